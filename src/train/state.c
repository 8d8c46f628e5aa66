#include "train/state.h"

#include <math.h>
#include <omp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "formats/safetensors.h"
#include "train/leaves.h"
#include "train/state_layout.h"

/* The canonical state as a list of byte ranges. */
struct piece {
    const unsigned char *p;
    uint64_t n, at;   /* length and position in the canonical bytes */
};

struct canon {
    struct piece *piece;
    size_t n;
    uint64_t total;
    unsigned char tail[STATE_TAIL];
};

static void canon_add(struct canon *c, const void *p, uint64_t n)
{
    c->piece[c->n++] = (struct piece){p, n, c->total};
    c->total += n;
}

static size_t v_count(const struct train_state *s, int i)
{
    return optim_v_count(&s->optim->config, &s->table->p[i]);
}

static int canon_new(struct canon *c, const struct train_state *s)
{
    const struct param_table *t = s->table;
    *c = (struct canon){.piece = mem_new(3 * (size_t)t->n + 1, sizeof(struct piece))};
    if (!c->piece)
        return ERR_NOMEM;
    for (int i = 0; i < t->n; i++)
        canon_add(c, s->w + t->p[i].offset, t->p[i].n * sizeof(real));
    for (int i = 0; i < t->n; i++)
        canon_add(c, s->optim->m + t->p[i].offset, t->p[i].n * sizeof(real));
    for (int i = 0; i < t->n; i++)
        if (v_count(s, i) > 0)
            canon_add(c, s->optim->v + s->optim->v_offset[i], v_count(s, i) * sizeof(real));
    for (int i = 0; i < 8; i++) {
        c->tail[i] = (unsigned char)((uint64_t)s->step >> (8 * i));
        c->tail[8 + i] = (unsigned char)((uint64_t)s->sample >> (8 * i));
    }
    canon_add(c, c->tail, sizeof c->tail);
    return 0;
}

/* RFC 6962 leaf hash of canonical bytes [lo, hi); false when out of memory. */
static bool leaf_of(struct digest *leaf, const struct canon *c, uint64_t lo, uint64_t hi)
{
    static const unsigned char prefix = 0;
    size_t a = 0, b = c->n - 1;
    while (a < b) {            /* the last piece that starts at or before lo */
        size_t mid = (a + b + 1) / 2;
        if (c->piece[mid].at <= lo)
            a = mid;
        else
            b = mid - 1;
    }
    struct sha256 *h = sha256_new();
    if (!h)
        return false;
    sha256_add(h, &prefix, 1);
    for (; lo < hi; a++) {
        const struct piece *p = &c->piece[a];
        uint64_t end = p->at + p->n < hi ? p->at + p->n : hi;
        if (end > lo)
            sha256_add(h, p->p + (lo - p->at), (size_t)(end - lo));
        lo = end > lo ? end : lo;
    }
    *leaf = sha256_end(&h);
    return true;
}

uint64_t state_chunks(const struct train_state *s)
{
    uint64_t floats = 0;       /* not the table's total, which pads tensors */
    for (int i = 0; i < s->table->n; i++)
        floats += 2 * (uint64_t)s->table->p[i].n + v_count(s, i);
    return (floats * sizeof(real) + STATE_TAIL + STATE_CHUNK - 1) / STATE_CHUNK;
}

int state_leaves(struct digest *leaf, const struct nn *x, const struct train_state *s, struct err *e)
{
    struct canon c;
    int64_t leaves = (int64_t)state_chunks(s), failed = 0;
    if (canon_new(&c, s) != 0)
        return err_set(e, ERR_NOMEM, "state root: out of memory");
#pragma omp parallel for schedule(static) num_threads(x->threads) reduction(+ : failed)
    for (int64_t i = 0; i < leaves; i++) {
        uint64_t lo = (uint64_t)i * STATE_CHUNK, hi = lo + STATE_CHUNK < c.total ? lo + STATE_CHUNK : c.total;
        failed += !leaf_of(&leaf[i], &c, lo, hi);
    }
    mem_free(c.piece);
    return failed ? err_set(e, ERR_NOMEM, "state root: out of memory") : 0;
}

int state_root(struct digest *root, const struct nn *x, const struct train_state *s, struct err *e)
{
    uint64_t n = state_chunks(s);
    struct digest *leaf = mem_new((size_t)n, sizeof *leaf);
    int rc = leaf ? state_leaves(leaf, x, s, e) : err_set(e, ERR_NOMEM, "state root: out of memory");
    if (rc == 0)
        *root = leaves_root(leaf, n);
    mem_free(leaf);
    return rc;
}

/* Names of the three kinds of tensors in the file. */
static char *tensor_name(const char *kind, const char *name)
{
    size_t n = strlen(kind) + strlen(name) + 2;
    char *s = mem_new(n, 1);
    if (s)
        snprintf(s, n, "%s.%s", kind, name);
    return s;
}

struct writes {
    struct st_write *w;
    size_t n;
};

static void writes_release(struct writes *l)
{
    for (size_t i = 0; l->w && i < l->n; i++)
        mem_free((char *)l->w[i].name);
    mem_free(l->w);
}

static int v_cols(const struct train_state *s, int i) { return (int)(v_count(s, i) / (size_t)s->table->p[i].rows); }

static int writes_add(struct writes *l, const char *kind, const struct param *p, int cols, const real *data,
                      struct err *e)
{
    char *name = tensor_name(kind, p->name);
    if (!name)
        return err_set(e, ERR_NOMEM, "checkpoint: no memory for tensor names");
    l->w[l->n++] = (struct st_write){.name = name, .dtype = ST_F32, .n_dims = 2,
                                     .dim = {(uint64_t)p->rows, (uint64_t)cols}, .data = data};
    return 0;
}

static int writes_new(struct writes *l, const struct train_state *s, struct err *e)
{
    const struct param_table *t = s->table;
    int rc = 0;
    *l = (struct writes){.w = mem_new(3 * (size_t)t->n, sizeof *l->w)};
    if (!l->w)
        return err_set(e, ERR_NOMEM, "checkpoint: no memory for the tensor list");
    for (int i = 0; i < t->n && rc == 0; i++)
        rc = writes_add(l, "weight", &t->p[i], t->p[i].cols, s->w + t->p[i].offset, e);
    for (int i = 0; i < t->n && rc == 0; i++)
        rc = writes_add(l, "moment1", &t->p[i], t->p[i].cols, s->optim->m + t->p[i].offset, e);
    for (int i = 0; i < t->n && rc == 0; i++)
        if (v_count(s, i) > 0)
            rc = writes_add(l, "moment2", &t->p[i], v_cols(s, i), s->optim->v + s->optim->v_offset[i], e);
    return rc;
}

int state_save(const struct nn *x, const struct train_state *s, const char *path, struct digest *root, struct err *e)
{
    char step[32], sample[32], metrics[32], bpb[40], bpc[40], hex[65];
    int rc = state_root(root, x, s, e);
    if (rc)
        return rc;
    digest_hex(hex, root);
    snprintf(step, sizeof step, "%lld", (long long)s->step);
    snprintf(sample, sizeof sample, "%lld", (long long)s->sample);
    snprintf(metrics, sizeof metrics, "%llu", (unsigned long long)s->metrics_bytes);
    snprintf(bpb, sizeof bpb, "%.17g", s->last_bpb);
    snprintf(bpc, sizeof bpc, "%.17g", s->last_bpc);
    const char *meta[] = {"format", "dokja-state-1", "step", step, "sample", sample, "metrics_bytes", metrics,
                          "heldout_bits_per_byte", bpb, "heldout_bits_per_char", bpc, "state_root", hex};
    struct writes l;
    rc = writes_new(&l, s, e);
    if (rc == 0)
        rc = safetensors_write(path, l.w, l.n, meta, sizeof meta / sizeof *meta / 2, e);
    writes_release(&l);
    return rc;
}

static int read_kind(const struct safetensors *f, const char *kind, const struct param *p, size_t n, real *dst,
                     const char *path, struct err *e)
{
    char *name = tensor_name(kind, p->name);
    if (!name)
        return err_set(e, ERR_NOMEM, "%s: no memory for tensor names", path);
    int rc = safetensors_get_f32(f, name, dst, n, e);
    mem_free(name);
    return rc;
}

static int read_tensors(const struct safetensors *f, struct train_state *s, const char *path, struct err *e)
{
    const struct param_table *t = s->table;
    for (int i = 0; i < t->n; i++) {
        const struct param *p = &t->p[i];
        int rc = read_kind(f, "weight", p, p->n, s->w + p->offset, path, e);
        if (rc == 0)
            rc = read_kind(f, "moment1", p, p->n, s->optim->m + p->offset, path, e);
        if (rc == 0 && v_count(s, i) > 0)
            rc = read_kind(f, "moment2", p, v_count(s, i), s->optim->v + s->optim->v_offset[i], path, e);
        if (rc)
            return rc;
    }
    return 0;
}

int state_load(const struct nn *x, struct train_state *s, const char *path, struct err *e)
{
    struct safetensors *f = NULL;
    struct digest want, got;
    int64_t metrics = 0;
    const char *hex, *num;
    int rc = safetensors_open(&f, path, e);
    if (rc)
        return rc;
    if ((rc = state_meta(&s->step, f, "step", path, e)) || (rc = state_meta(&s->sample, f, "sample", path, e)) ||
        (rc = state_meta(&metrics, f, "metrics_bytes", path, e)) || (rc = read_tensors(f, s, path, e)))
        goto out;
    s->metrics_bytes = (uint64_t)metrics;
    num = safetensors_meta(f, "heldout_bits_per_byte");
    s->last_bpb = num ? strtod(num, NULL) : (double)NAN;
    num = safetensors_meta(f, "heldout_bits_per_char");
    s->last_bpc = num ? strtod(num, NULL) : (double)NAN;
    if ((rc = state_root(&got, x, s, e)))
        goto out;
    hex = safetensors_meta(f, "state_root");
    if (!hex || digest_parse(&want, hex) != 0 || memcmp(&want, &got, sizeof got) != 0) {
        char now[65];
        digest_hex(now, &got);
        rc = err_set(e, ERR_FORMAT, "%s: state_root is %.16s…, but the tensors give %.16s…: the file is damaged", path,
                     hex ? hex : "missing", now);
    }
out:
    safetensors_close(f);
    return rc;
}

int64_t state_step(const char *path)
{
    struct safetensors *f = NULL;
    struct err e;
    int64_t step = -1;
    if (safetensors_open(&f, path, &e) || state_meta(&step, f, "step", path, &e))
        step = -1;
    safetensors_close(f);
    return step;
}

/* The chunk of the canonical state that holds element i of a piece. */
static void name_place(char *what, size_t size, const struct train_state *s, const char *name, size_t piece, size_t i)
{
    struct canon c;
    uint64_t at = 0;
    if (canon_new(&c, s) == 0)
        at = c.piece[piece].at + i * sizeof(real);
    mem_free(c.piece);
    snprintf(what, size, "%s, element %zu, chunk %llu", name, i, (unsigned long long)(at / STATE_CHUNK));
}

/* Tensors in the canonical order, as they are written. */
int state_compare(const struct train_state *s, const char *path, char *what, size_t size, struct err *e)
{
    struct safetensors *f = NULL;
    struct writes l = {0};
    int rc = safetensors_open(&f, path, e);
    what[0] = 0;
    if (rc == 0)
        rc = writes_new(&l, s, e);
    for (size_t i = 0; rc == 0 && i < l.n && !what[0]; i++) {
        const struct st_tensor *t = safetensors_find(f, l.w[i].name);
        size_t n = (size_t)(l.w[i].dim[0] * l.w[i].dim[1]);
        if (!t || t->dtype != ST_F32 || t->bytes != n * sizeof(real)) {
            rc = err_set(e, ERR_FORMAT, "%s: has no tensor %s of this shape", path, l.w[i].name);
            break;
        }
        const unsigned char *a = t->data, *b = l.w[i].data;
        for (size_t j = 0; j < n && !what[0]; j++)
            if (memcmp(a + j * sizeof(real), b + j * sizeof(real), sizeof(real)) != 0)
                name_place(what, size, s, l.w[i].name, i, j);
    }
    writes_release(&l);
    safetensors_close(f);
    return rc;
}
