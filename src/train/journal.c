#include "train/journal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "ledger/chain.h"
#include "train/leaves.h"
#include "train/segment.h"

struct journal {
    struct ledger_log log;
    struct run_config c;
    struct sign_key *key;
    struct digest genesis;        /* hash of its record */
    char origin[LEDGER_ORIGIN], beacon_source[GENESIS_TEXT];
    struct circumstance here;
    struct buf path, leaves, dir;  /* RUN/ledger.bin, RUN/ledger.leaves, RUN */
    /* what was written when the ledger was opened; n_segments: SEGMENT records */
    struct ledger old;
    const struct ledger_entry **segment, *beacon, *init, *final;
    uint64_t n_segments;
    /* the segment under way */
    struct segment now;
};

/* ---- keys and names ---- */

static int take_key(struct journal *j, const struct journal_opts *o, bool make, struct err *e)
{
    struct buf path = {0};
    int rc = 0;
    if (o->key_path)
        return sign_key_read(&j->key, o->key_path, e);
    rc = file_join(&path, o->dir, "state", e);
    if (rc == 0)
        rc = file_mkdir_p(path.p, e);
    if (rc == 0)
        rc = file_join(&path, o->dir, "state/key.pem", e);
    if (rc == 0 && (file_exists(path.p) || !make)) {
        rc = sign_key_read(&j->key, path.p, e);
    } else if (rc == 0) {
        rc = sign_key_new(&j->key, e);
        if (rc == 0)
            rc = sign_key_write(j->key, path.p, e);
    }
    buf_release(&path);
    return rc;
}

static void name_log(struct journal *j, const struct digest *genesis)
{
    j->genesis = *genesis;
    ledger_origin(j->origin, genesis);
}

static void stamp(struct journal *j) { clock_utc(j->here.at); }

static int base_new(struct journal **out, const struct journal_opts *o, const struct run_config *c, struct err *e)
{
    struct journal *j = mem_new(1, sizeof *j);
    *out = j;
    if (!j)
        return err_set(e, ERR_NOMEM, "%s/ledger.bin: out of memory", o->dir);
    j->c = *c;
    snprintf(j->here.isa, sizeof j->here.isa, "%s", o->isa);
    j->here.threads = (uint64_t)o->threads;
    int rc = buf_adds(&j->dir, o->dir, e);
    if (rc == 0)
        rc = file_join(&j->path, o->dir, "ledger.bin", e);
    return rc ? rc : file_join(&j->leaves, o->dir, "ledger.leaves", e);
}

void journal_close(struct journal *j)
{
    if (!j)
        return;
    segment_release(&j->now);
    sign_key_free(j->key);
    mem_free(j->segment);
    ledger_close(&j->old);
    ledger_log_release(&j->log);
    buf_release(&j->path);
    buf_release(&j->leaves);
    buf_release(&j->dir);
    mem_free(j);
}

struct digest journal_genesis(const struct journal *j) { return j->genesis; }
const char *journal_beacon_source(const struct journal *j) { return j->beacon_source; }

/* ---- records ---- */

static int sign(struct journal *j, struct err *e)
{
    return ledger_log_sign(&j->log, j->origin, j->origin, j->key, e);
}

static int add(struct journal *j, enum ledger_kind kind, const struct buf *text, struct err *e)
{
    int rc = ledger_log_add(&j->log, kind, text->p, text->len, e);
    return rc ? rc : sign(j, e);
}

/* First line of a record in which it differs from what is written. */
static const char *line_that_differs(const char *a, size_t na, const char *b, size_t nb, int *len)
{
    size_t start = 0, i = 0;
    for (; i < na && i < nb && a[i] == b[i]; i++)
        if (a[i] == '\n')
            start = i + 1;
    size_t end = start;
    while (end < na && a[end] != '\n' && a[end] != ' ')
        end++;
    *len = (int)(end - start);
    return a + start;
}

/* Adds a record, or, where it is written already, sees that it says the same. */
static int add_or_compare(struct journal *j, enum ledger_kind kind, const struct buf *text,
                          const struct ledger_entry *written, struct err *e)
{
    struct buf where = {0};
    size_t n;
    int len, rc = 0;
    if (!written)
        return add(j, kind, text, e);
    const char *was = ledger_text(written, &n);
    size_t firm = record_firm(was, n), mine = record_firm(text->p, text->len);
    if (firm != mine || memcmp(was, text->p, firm) != 0) {
        const char *key = line_that_differs(was, firm, text->p, mine, &len);
        rc = err_set(e, ERR_NUMERIC, "%s: this machine computes another %.*s than is written there; the run's inputs "
                     "or program changed, or a machine erred", ledger_where(&j->old, written, &where), len, key);
    }
    buf_release(&where);
    return rc;
}

/* ---- beginning ---- */

int journal_new(struct journal **out, const struct journal_opts *o, struct genesis *g, const struct run_config *c,
                struct err *e)
{
    struct buf text = {0};
    int rc = base_new(out, o, c, e);
    struct journal *j = *out;
    if (rc == 0)
        rc = take_key(j, o, true, e);
    if (rc == 0) {
        g->key = sign_key_public(j->key);
        memcpy(j->beacon_source, g->beacon, sizeof g->beacon);
    }
    if (rc == 0)
        rc = ledger_log_new(&j->log, j->path.p, e);
    if (rc == 0)
        rc = genesis_text(&text, g, c, e);
    if (rc == 0)
        rc = ledger_log_add(&j->log, LEDGER_GENESIS, text.p, text.len, e);
    if (rc == 0) {
        name_log(j, &j->log.prev);
        rc = sign(j, e);
    }
    buf_release(&text);
    return rc;
}

/* Where each record of the ledger stands. */
static int index_records(struct journal *j, struct err *e)
{
    j->segment = mem_new((size_t)j->old.n_records + 1, sizeof *j->segment);
    if (!j->segment)
        return err_set(e, ERR_NOMEM, "%s: out of memory", j->path.p);
    for (uint64_t i = 0; i < j->old.n_entries; i++) {
        const struct ledger_entry *x = &j->old.entry[i];
        if (x->kind == LEDGER_BEACON)
            j->beacon = x;
        else if (x->kind == LEDGER_INIT)
            j->init = x;
        else if (x->kind == LEDGER_SEGMENT)
            j->segment[j->n_segments++] = x;
        else if (x->kind == LEDGER_FINAL)
            j->final = x;
    }
    return 0;
}

/* GENESIS must be of this run: what would be written now is what stands there. */
static int compare_genesis(struct journal *j, struct err *e)
{
    struct genesis *g = mem_new(1, sizeof *g);
    struct run_config *c = mem_new(1, sizeof *c);
    struct buf where = {0}, text = {0};
    struct sign_public mine = sign_key_public(j->key);
    size_t n;
    int rc = g && c && j->old.n_records > 0 ? 0 : err_set(e, ERR_FORMAT, "%s: has no record", j->path.p);
    if (rc == 0) {
        const char *was = ledger_text(&j->old.entry[0], &n);
        struct lines t = {was, n, ledger_where(&j->old, &j->old.entry[0], &where)};
        rc = genesis_read(g, c, &t, e);
        if (rc == 0)
            rc = genesis_text(&text, g, &j->c, e);
        if (rc == 0 && (text.len != n || memcmp(text.p, was, n) != 0)) {
            int len;
            const char *key = line_that_differs(was, n, text.p, text.len, &len);
            rc = err_set(e, ERR_VALUE, "%s: its %.*s is not that of %s/run.json", where.p, len, key, j->dir.p);
        }
        if (rc == 0 && memcmp(mine.b, g->key.b, sizeof mine.b) != 0)
            rc = err_set(e, ERR_VALUE, "%s: was begun with another key; give it with --key", where.p);
    }
    if (rc == 0)
        memcpy(j->beacon_source, g->beacon, sizeof g->beacon);
    buf_release(&where);
    buf_release(&text);
    mem_free(g);
    mem_free(c);
    return rc;
}

int journal_read_genesis(struct genesis *g, const char *dir, struct err *e)
{
    struct run_config c;
    struct ledger old = {0};
    struct buf path = {0}, where = {0};
    int rc = file_join(&path, dir, "ledger.bin", e);
    if (rc == 0)
        rc = ledger_open(&old, path.p, true, e);   /* a torn end is cut when it is gone on with */
    if (rc == 0 && old.n_records == 0)
        rc = err_set(e, ERR_FORMAT, "%s: has no record", path.p);
    if (rc == 0) {
        struct lines t = {.where = ledger_where(&old, &old.entry[0], &where)};
        t.p = ledger_text(&old.entry[0], &t.n);
        rc = genesis_read(g, &c, &t, e);
    }
    ledger_close(&old);
    buf_release(&path);
    buf_release(&where);
    return rc;
}

int journal_open(struct journal **out, const struct journal_opts *o, const struct run_config *c, struct err *e)
{
    int rc = base_new(out, o, c, e);
    struct journal *j = *out;
    if (rc == 0)
        rc = take_key(j, o, false, e);
    if (rc == 0)
        rc = ledger_log_open(&j->log, j->path.p, UINT64_MAX, e);
    if (rc == 0)
        rc = ledger_open(&j->old, j->path.p, false, e);
    if (rc == 0)
        rc = index_records(j, e);
    if (rc == 0)
        rc = compare_genesis(j, e);
    if (rc == 0) {
        struct digest d = sha256_of(j->old.entry[0].p, j->old.entry[0].n);
        name_log(j, &d);
    }
    /* Killed between a record and its checkpoint. */
    if (rc == 0 && j->old.entry[j->old.n_entries - 1].kind != LEDGER_CHECKPOINT)
        rc = sign(j, e);
    return rc;
}

int journal_beacon(struct journal *j, const struct beacon *v, struct err *e)
{
    struct buf text = {0};
    int rc = beacon_text(&text, v, e);
    if (rc == 0)
        rc = add_or_compare(j, LEDGER_BEACON, &text, j->beacon, e);
    j->c.seed = v->seed;
    buf_release(&text);
    return rc;
}

/* ---- training ---- */

static int segment_begin(struct journal *j, uint64_t from, const struct digest *root, struct err *e)
{
    segment_release(&j->now);
    int64_t to = run_segment_end(&j->c, (int64_t)from);
    size_t steps = (size_t)(to - (int64_t)from);
    j->now = (struct segment){.index = from / (uint64_t)j->c.segment_steps, .from = from, .to = (uint64_t)to,
                              .before = *root};
    if (steps == 0)
        return 0;
    j->now.loss = mem_new(steps, sizeof(double));
    j->now.grad_norm = mem_new(steps, sizeof(double));
    if (!j->now.loss || !j->now.grad_norm)
        return err_set(e, ERR_NOMEM, "%s: no memory for a segment of %zu steps", j->path.p, steps);
    return 0;
}

/* That training begins at this state though it was there before; not where the run has ended. */
static int tell_event(struct journal *j, const char *what, uint64_t step, const struct digest *root, struct err *e)
{
    struct event v = {.step = step, .root = *root, .c = j->here};
    struct buf text = {0};
    if (j->final || step == (uint64_t)j->c.schedule.steps)
        return 0;
    snprintf(v.what, sizeof v.what, "%s", what);
    int rc = event_text(&text, &v, e);
    if (rc == 0)
        rc = add(j, LEDGER_EVENT, &text, e);
    buf_release(&text);
    return rc;
}

/* A state that was loaded must be the one the ledger tells of. */
static int begin_at(struct journal *j, uint64_t step, const struct digest *root, struct err *e)
{
    uint64_t every = (uint64_t)j->c.segment_steps, last = (step + every - 1) / every;
    struct buf where = {0};
    size_t n;
    if (last > j->n_segments || (step % every && step != (uint64_t)j->c.schedule.steps))
        return err_set(e, ERR_FORMAT, "%s: tells of %" PRIu64 " segments of %" PRIu64 " steps, the state is of step %"
                       PRIu64, j->path.p, j->n_segments, every, step);
    const struct ledger_entry *x = j->segment[last - 1];
    struct segment s;
    const char *p = ledger_text(x, &n);
    struct lines t = {p, n, ledger_where(&j->old, x, &where)};
    int rc = segment_read(&s, &t, e);
    if (rc == 0 && (s.to != step || memcmp(s.after.b, root->b, sizeof root->b) != 0))
        rc = err_set(e, ERR_FORMAT, "%s: its state at step %" PRIu64 " is not the one saved at step %" PRIu64,
                     where.p, s.to, step);
    segment_release(&s);
    if (rc == 0)
        rc = tell_event(j, EVENT_RESUMED, step, root, e);
    buf_release(&where);
    return rc;
}

int journal_begin(struct journal *j, const struct trainer *t, struct err *e)
{
    struct buf text = {0};
    struct digest root;
    uint64_t step = (uint64_t)trainer_step_done(t);
    stamp(j);
    int rc = trainer_root(t, &root, e);
    if (rc == 0 && step > 0)
        rc = begin_at(j, step, &root, e);
    if (rc == 0 && step == 0)
        rc = init_text(&text, &root, &j->here, e);
    if (rc == 0 && step == 0)
        rc = add_or_compare(j, LEDGER_INIT, &text, j->init, e);
    if (rc == 0 && step == 0 && j->init)
        rc = tell_event(j, EVENT_BEGUN_AGAIN, step, &root, e);
    if (rc == 0)
        rc = segment_begin(j, step, &root, e);
    buf_release(&text);
    return rc;
}

/* The state's root, and its chunks' hashes beside the ledger. */
static int hash_state(struct journal *j, const struct trainer *t, struct err *e)
{
    uint64_t n = trainer_chunks(t);
    struct digest *leaf = mem_new((size_t)n, sizeof *leaf);
    int rc = leaf ? trainer_leaves(t, leaf, e) : err_set(e, ERR_NOMEM, "%s: out of memory", j->leaves.p);
    if (rc == 0)
        rc = leaves_put(j->leaves.p, j->now.index, leaf, n, e);
    if (rc == 0)
        j->now.after = leaves_root(leaf, n);
    mem_free(leaf);
    return rc;
}

static int segment_end(struct journal *j, struct trainer *t, struct err *e)
{
    struct segment *s = &j->now;
    struct buf text = {0};
    const struct param_table *table = trainer_params(t);
    stamp(j);
    s->c = j->here;
    s->sample = (uint64_t)trainer_sample(t);
    s->tokens = s->to * (uint64_t)j->c.batch_tokens;
    s->flops = run_flops_until(&j->c, (int64_t)s->to);
    s->n_drift = (uint64_t)table->n;
    s->drift = mem_new((size_t)table->n, sizeof *s->drift);
    if (!s->drift)
        return err_set(e, ERR_NOMEM, "%s: no memory for %d tensors", j->path.p, table->n);
    trainer_drift(t, s->drift);
    int rc = hash_state(j, t, e);
    if (rc == 0)
        rc = segment_text(&text, s, e);
    if (rc == 0)
        rc = add_or_compare(j, LEDGER_SEGMENT, &text, s->index < j->n_segments ? j->segment[s->index] : NULL, e);
    struct digest after = s->after;
    if (rc == 0)
        rc = segment_begin(j, s->to, &after, e);
    buf_release(&text);
    return rc;
}

int journal_step(struct journal *j, struct trainer *t, const struct step_report *r, bool *ended, struct err *e)
{
    struct segment *s = &j->now;
    uint64_t i = (uint64_t)r->step - 1 - s->from;
    s->loss[i] = r->loss;
    s->grad_norm[i] = r->grad_norm;
    *ended = (uint64_t)r->step == s->to;
    return *ended ? segment_end(j, t, e) : 0;
}

/* ---- the end ---- */

static int final_files(struct final *f, const char *dir, struct err *e)
{
    static const char *const name[] = {"config.json", "generation_config.json", "model.safetensors", "run.json",
                                       "tokenizer.json", "tokenizer_config.json"};
    struct buf path = {0};
    int rc = 0;
    for (size_t i = 0; i < sizeof name / sizeof *name && rc == 0; i++) {
        rc = file_join(&path, dir, name[i], e);
        if (rc || !file_exists(path.p))
            continue;
        snprintf(f->file[f->n_files].name, sizeof f->file->name, "%s", name[i]);
        rc = sha256_file(&f->file[f->n_files++].sha256, path.p, e);
    }
    buf_release(&path);
    return rc;
}

int journal_final(struct journal *j, const struct trainer *t, const struct eval_report *r, struct err *e)
{
    struct buf text = {0};
    struct final *f = mem_new(1, sizeof *f);
    if (!f)
        return err_set(e, ERR_NOMEM, "%s: out of memory", j->path.p);
    stamp(j);
    *f = (struct final){.steps = (uint64_t)trainer_step_done(t), .bits_per_byte = r->bits_per_byte,
                        .bits_per_char = r->bits_per_char, .c = j->here};
    f->tokens = f->steps * (uint64_t)j->c.batch_tokens;
    f->flops = run_flops_until(&j->c, (int64_t)f->steps);
    int rc = trainer_root(t, &f->root, e);
    if (rc == 0)
        rc = final_files(f, j->dir.p, e);
    if (rc == 0)
        rc = final_text(&text, f, e);
    if (rc == 0)
        rc = add_or_compare(j, LEDGER_FINAL, &text, j->final, e);
    buf_release(&text);
    mem_free(f);
    return rc;
}
