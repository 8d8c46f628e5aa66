#include "train/state_layout.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/params.h"
#include "train/optim.h"

enum { F32 = 4 };

static void add(struct state_layout *l, const char *kind, const struct param *p, size_t count)
{
    struct state_part *s = &l->part[l->n++];
    *s = (struct state_part){.rows = p->rows, .cols = (int)(count / (size_t)p->rows), .at = l->total,
                             .bytes = (uint64_t)count * F32};
    snprintf(s->name, sizeof s->name, "%s.%s", kind, p->name);
    l->total += s->bytes;
}

int state_layout_new(struct state_layout *l, const struct run_config *c, struct err *e)
{
    struct param_table t = {0};
    *l = (struct state_layout){0};
    int rc = param_table_new(&t, &c->model, e);
    if (rc)
        return rc;
    l->part = mem_new(3 * (size_t)t.n, sizeof *l->part);
    if (!l->part)
        rc = err_set(e, ERR_NOMEM, "no memory for the layout of %d tensors", t.n);
    for (int i = 0; i < t.n && rc == 0; i++)
        add(l, "weight", &t.p[i], t.p[i].n);
    for (int i = 0; i < t.n && rc == 0; i++)
        add(l, "moment1", &t.p[i], t.p[i].n);
    for (int i = 0; i < t.n && rc == 0; i++)
        if (optim_v_count(&c->optim, &t.p[i]) > 0)
            add(l, "moment2", &t.p[i], optim_v_count(&c->optim, &t.p[i]));
    param_table_release(&t);
    l->total += STATE_TAIL;
    l->chunks = (l->total + STATE_CHUNK - 1) / STATE_CHUNK;
    return rc;
}

void state_layout_release(struct state_layout *l)
{
    mem_free(l->part);
    *l = (struct state_layout){0};
}

const struct state_part *state_layout_find(const struct state_layout *l, const char *name)
{
    static const char weight[] = "weight.";
    for (size_t i = 0; i < l->n; i++) {
        const char *s = l->part[i].name;
        if (strcmp(s, name) == 0 ||
            (strncmp(s, weight, sizeof weight - 1) == 0 && strcmp(s + sizeof weight - 1, name) == 0))
            return &l->part[i];
    }
    return NULL;
}

size_t state_chunk_bytes(const struct state_layout *l, uint64_t i)
{
    assert(i < l->chunks);
    uint64_t left = l->total - i * STATE_CHUNK;
    return left < STATE_CHUNK ? (size_t)left : STATE_CHUNK;
}

void state_chunk_name(char *out, size_t size, const struct state_layout *l, uint64_t i)
{
    uint64_t lo = i * STATE_CHUNK, hi = lo + state_chunk_bytes(l, i);
    const char *first = NULL, *last = "step and cursor";
    for (size_t k = 0; k < l->n; k++)
        if (l->part[k].at < hi && l->part[k].at + l->part[k].bytes > lo) {
            last = l->part[k].name;
            first = first ? first : last;
        }
    if (!first || first == last)
        snprintf(out, size, "chunk %" PRIu64 " of %" PRIu64 ", in %s", i, l->chunks, last);
    else
        snprintf(out, size, "chunk %" PRIu64 " of %" PRIu64 ", from %s to %s", i, l->chunks, first, last);
}

/* What [at, at + n) of the canonical bytes and [lo, hi) have in common goes to its place in out. */
static void overlap(unsigned char *out, uint64_t lo, uint64_t hi, const unsigned char *p, uint64_t at, uint64_t n)
{
    uint64_t a = at > lo ? at : lo, b = at + n < hi ? at + n : hi;
    if (a < b)
        memcpy(out + (a - lo), p + (a - at), (size_t)(b - a));
}

int state_chunk_read(unsigned char *out, const struct state_layout *l, const struct safetensors *f, int64_t step,
                     int64_t cursor, uint64_t i, const char *path, struct err *e)
{
    uint64_t lo = i * STATE_CHUNK, hi = lo + state_chunk_bytes(l, i);
    unsigned char tail[STATE_TAIL];
    for (size_t k = 0; k < l->n; k++) {
        const struct state_part *s = &l->part[k];
        if (s->at >= hi || s->at + s->bytes <= lo)
            continue;
        const struct st_tensor *t = safetensors_find(f, s->name);
        if (!t || t->dtype != ST_F32 || t->bytes != s->bytes)
            return err_set(e, ERR_FORMAT, "%s: has no tensor %s of %" PRIu64 " bytes of F32", path, s->name, s->bytes);
        overlap(out, lo, hi, t->data, s->at, s->bytes);
    }
    for (int k = 0; k < 8; k++) {
        tail[k] = (unsigned char)((uint64_t)step >> (8 * k));
        tail[8 + k] = (unsigned char)((uint64_t)cursor >> (8 * k));
    }
    overlap(out, lo, hi, tail, l->total - STATE_TAIL, STATE_TAIL);
    return 0;
}

int state_meta(int64_t *v, const struct safetensors *f, const char *key, const char *path, struct err *e)
{
    const char *s = safetensors_meta(f, key);
    errno = 0;
    long long n = s ? strtoll(s, NULL, 10) : 0;
    /* A number reader alone would take " 5", "+5" and "5 steps". */
    if (!s || !*s || s[strspn(s, "0123456789")] || errno)
        return err_set(e, ERR_FORMAT, "%s: __metadata__.%s is %.40s, expected a whole number", path, key,
                       s ? s : "missing");
    *v = n;
    return 0;
}
