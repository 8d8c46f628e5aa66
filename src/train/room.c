#include "train/room.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "train/state.h"
#include "train/state_layout.h"

/* Bytes in a header for a tensor, in metrics.jsonl and ledger.bin for a step, in ledger.bin for a segment and for each
 * tensor's drift in it: a little more than they are as a rule. */
enum { TENSOR_ENTRY = 192, HEADER = 4096, METRICS_STEP = 200, LEDGER_STEP = 64, SEGMENT = 1024, DRIFT = 64 };

void run_room_text(char out[24], uint64_t bytes)
{
    double v = (double)bytes;
    if (v >= 1e9)
        snprintf(out, 24, "%.2f GB", v / 1e9);
    else
        snprintf(out, 24, "%.1f MB", v / 1e6);
}

static uint64_t beyond(uint64_t all, uint64_t there) { return all > there ? all - there : 0; }

static int size_of(uint64_t *bytes, const char *dir, const char *name, struct err *e)
{
    struct buf path = {0};
    int rc = file_join(&path, dir, name, e);
    *bytes = rc == 0 ? file_size(path.p) : 0;
    buf_release(&path);
    return rc;
}

static int step_of(int64_t *step, const char *dir, struct err *e)
{
    struct buf path = {0};
    int rc = file_join(&path, dir, "state/state.safetensors", e);
    int64_t at = rc == 0 ? state_step(path.p) : -1;
    *step = at > 0 ? at : 0;
    buf_release(&path);
    return rc;
}

/* States of keep_states evenly spaced ones that lie in the first `segments` of n. */
static uint64_t kept_until(uint64_t segments, uint64_t n, uint64_t keep_states)
{
    if (n == 0)
        return 0;
    uint64_t last = segments < n ? segments : n - 1, k = last * (keep_states + 1) / n;
    return k < last ? k : last;
}

int run_room_find(struct run_room *r, const struct run_config *c, const char *dir, int keep_states, struct err *e)
{
    struct state_layout l = {0};
    uint64_t model = HEADER, tensors = 0, old_model = 0, old_state = 0;
    int64_t done = 0;
    *r = (struct run_room){0};
    int rc = state_layout_new(&l, c, e);
    if (rc == 0)
        rc = step_of(&done, dir, e);
    if (rc == 0)
        rc = size_of(&old_model, dir, "model.safetensors", e);
    if (rc == 0)
        rc = size_of(&old_state, dir, "state/state.safetensors", e);
    for (size_t i = 0; i < l.n; i++)
        if (strncmp(l.part[i].name, "weight.", 7) == 0) {
            model += l.part[i].bytes + TENSOR_ENTRY;
            tensors++;
        }
    uint64_t state = l.total + HEADER + l.n * TENSOR_ENTRY, chunks = l.chunks;
    state_layout_release(&l);
    if (rc || (done > 0 && done >= c->schedule.steps))
        return rc;
    uint64_t every = c->segment_steps > 0 ? (uint64_t)c->segment_steps : 1;
    uint64_t steps = (uint64_t)c->schedule.steps, n = (steps + every - 1) / every;
    uint64_t had = ((uint64_t)done + every - 1) / every;
    r->model = beyond(model, old_model);
    r->state = beyond(state, old_state);
    r->copy = model > state ? model : state;
    r->kept = state * (kept_until(n, n, (uint64_t)keep_states) - kept_until(had, n, (uint64_t)keep_states));
    r->logs = beyond(steps, (uint64_t)done) * (METRICS_STEP + LEDGER_STEP) +
              beyond(n, had) * (SEGMENT + tensors * DRIFT + chunks * sizeof(struct digest));
    r->all = r->model + r->state + r->copy + r->kept + r->logs;
    return 0;
}

int run_room_check(const struct run_room *r, const char *dir, struct err *e)
{
    char need[24], model[24], state[24], copy[24], rest[24], there[24];
    uint64_t left;
    if (!file_disk_free(dir, &left) || r->all <= left)
        return 0;
    run_room_text(need, r->all);
    run_room_text(model, r->model);
    run_room_text(state, r->state);
    run_room_text(copy, r->copy);
    run_room_text(rest, r->kept + r->logs);
    run_room_text(there, left);
    return err_set(e, ERR_LIMIT, "%.200s: the run still takes %s there (model %s, state %s, a copy while one is "
                   "replaced %s, kept states, ledger and metrics %s), and %s are free", dir, need, model, state, copy,
                   rest, there);
}
