#include <omp.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "infer/rows.h"
#include "model/store.h"

enum { CHUNK = 1 << 20 };

/* ---- identity ---- */

/* Leaf hash of bytes [lo, hi) of the tensors laid end to end. */
static struct digest leaf_of(const struct param_table *t, const real *w, uint64_t lo, uint64_t hi, unsigned char *space)
{
    uint64_t at = 0;
    size_t got = 0;
    for (int i = 0; i < t->n && lo + got < hi; i++) {
        uint64_t n = t->p[i].n * sizeof(real), from = lo + got;
        if (from < at + n) {
            uint64_t end = at + n < hi ? at + n : hi;
            memcpy(space + got, (const unsigned char *)(w + t->p[i].offset) + (from - at), (size_t)(end - from));
            got += (size_t)(end - from);
        }
        at += n;
    }
    return merkle_leaf(space, got);
}

static int weights_root(struct digest *root, const struct nn *x, const struct param_table *t, const real *w,
                        struct err *e)
{
    uint64_t total = 0;
    for (int i = 0; i < t->n; i++)
        total += t->p[i].n * sizeof(real);
    int64_t leaves = (int64_t)((total + CHUNK - 1) / CHUNK);
    struct digest *leaf = mem_new((size_t)leaves, sizeof *leaf);
    unsigned char *space = mem_new((size_t)x->threads, CHUNK);
    if (!leaf || !space) {
        mem_free(leaf);
        mem_free(space);
        return err_set(e, ERR_NOMEM, "out of memory for the digest of the weights");
    }
#pragma omp parallel num_threads(x->threads)
    {
        unsigned char *mine = space + (size_t)omp_get_thread_num() * CHUNK;
#pragma omp for schedule(static)
        for (int64_t i = 0; i < leaves; i++) {
            uint64_t lo = (uint64_t)i * CHUNK, hi = lo + CHUNK < total ? lo + CHUNK : total;
            leaf[i] = leaf_of(t, w, lo, hi, mine);
        }
    }
    struct merkle m;
    merkle_init(&m);
    for (int64_t i = 0; i < leaves; i++)
        merkle_add_hash(&m, &leaf[i]);
    *root = merkle_root(&m);
    mem_free(leaf);
    mem_free(space);
    return 0;
}

/* ---- layout: packs for what multiplies, f32 for the rest ---- */

static void lay_pack(struct arena *a, struct wpack *w, int n, int k)
{
    w->n = n;
    w->k = k;
    w->p = arena_take(a, wpack_elems(n, k), sizeof(bf16));
}

static void lay_packs(struct arena *a, struct infer_model *m)
{
    const struct model_config *c = &m->c;
    for (int i = 0; i < c->n_layer; i++) {
        const struct layer_facts *f = &c->layer[i];
        struct infer_layer *l = &m->layer[i];
        lay_pack(a, &l->wqkv, (f->n_head + 2 * f->n_kv) * f->d_head, c->d_model);
        lay_pack(a, &l->wo, c->d_model, f->n_head * f->d_head);
        lay_pack(a, &l->wgu, 2 * f->d_ff, c->d_model);
        lay_pack(a, &l->wdown, c->d_model, f->d_ff);
    }
    lay_pack(a, &m->head, c->vocab, c->d_model);
}

static const real *keep(struct arena *a, const real *w, size_t at, size_t n)
{
    real *p = arena_take(a, n, sizeof *p);
    if (p && at != PARAM_NONE)
        memcpy(p, w + at, n * sizeof *p);
    return at == PARAM_NONE ? NULL : p;
}

static void lay_kept(struct arena *a, struct infer_model *m, const struct net_params *np, const real *w)
{
    const struct model_config *c = &m->c;
    size_t d = (size_t)c->d_model;
    m->embed = keep(a, w, np->embed, (size_t)c->vocab * d);
    m->norm = keep(a, w, np->norm, d);
    for (int i = 0; i < c->n_layer; i++) {
        struct infer_layer *l = &m->layer[i];
        l->norm1 = keep(a, w, np->layer[i].norm1, d);
        l->norm2 = keep(a, w, np->layer[i].norm2, d);
        l->q_norm = keep(a, w, np->layer[i].q_norm, (size_t)c->layer[i].d_head);
        l->k_norm = keep(a, w, np->layer[i].k_norm, (size_t)c->layer[i].d_head);
    }
}

static void pack(const struct nn *x, struct wpack *dst, const real *w, size_t at)
{
    wpack_fill(x, dst, 0, mat_f32((real *)w + at, dst->n, dst->k)); /* a view to read; mat knows no const */
}

static int take_memory(struct infer_model *m, const struct net_params *np, const real *w, struct err *e)
{
    struct arena a = {0}, b = {0};
    lay_packs(&a, m);
    lay_kept(&b, m, np, w);
    m->mem_bytes = a.used;
    m->kept_bytes = b.used;
    m->mem = mem_map(m->mem_bytes);
    m->kept = mem_map(m->kept_bytes);
    if (!m->mem || !m->kept)
        return err_set(e, ERR_NOMEM, "no memory for %zu MiB of packed weights", (m->mem_bytes + m->kept_bytes) >> 20);
    a = (struct arena){.base = m->mem, .cap = m->mem_bytes};
    b = (struct arena){.base = m->kept, .cap = m->kept_bytes};
    lay_packs(&a, m);
    lay_kept(&b, m, np, w);
    return 0;
}

/* From flat f32 weights to what a forward pass reads. */
static int prepare(struct infer_model *m, const struct param_table *t, const real *w, struct err *e)
{
    struct net_params *np = mem_new(1, sizeof *np);
    if (!np)
        return err_set(e, ERR_NOMEM, "no memory for the model");
    net_params_resolve(np, t, &m->c);
    int rc = take_memory(m, np, w, e);
    if (rc == 0)
        rc = weights_root(&m->root, m->x, t, w, e);
    for (int i = 0; i < m->c.n_layer && rc == 0; i++) {
        struct infer_layer *l = &m->layer[i];
        const struct layer_params *p = &np->layer[i];
        pack(m->x, &l->wqkv, w, p->wqkv);
        pack(m->x, &l->wo, w, p->wo);
        pack(m->x, &l->wgu, w, p->wgu);
        pack(m->x, &l->wdown, w, p->wdown);
    }
    if (rc == 0)
        pack(m->x, &m->head, w, np->head);
    m->pack_bytes = m->mem_bytes;
    mem_free(np);
    return rc;
}

/* ---- opening ---- */

static int open_tokenizer(struct infer_model *m, const char *path, struct err *e)
{
    int rc = tokenizer_open(&m->tok, path, e);
    if (rc == 0 && tokenizer_vocab(m->tok) > m->c.vocab)
        rc = err_set(e, ERR_FORMAT, "%s: the tokenizer has %d tokens, the model's vocabulary is %d", path,
                     tokenizer_vocab(m->tok), m->c.vocab);
    return rc;
}

static int read_config(struct infer_model *m, const char *path, struct err *e)
{
    struct buf b = {0};
    int rc = file_join(&b, path, "config.json", e);
    if (rc == 0 && !file_exists(b.p))
        rc = err_set(e, ERR_IO, "%s: not a model folder: it has no config.json", path);
    if (rc == 0)
        rc = model_config_read(&m->c, b.p, e);
    buf_release(&b);
    return rc;
}

/* path NULL: random weights. */
static int load(struct infer_model *m, const char *path, uint64_t seed, struct err *e)
{
    struct param_table t = {0};
    real *w = NULL;
    int rc = param_table_new(&t, &m->c, e);
    if (rc != 0)
        return rc;
    size_t bytes = t.total * sizeof *w;
    w = mem_map(bytes);
    if (!w)
        rc = err_set(e, ERR_NOMEM, "no memory for %zu MiB of weights", bytes >> 20);
    if (rc == 0 && path)
        rc = model_load_weights(path, &m->c, &t, w, e);
    if (rc == 0 && !path) {
        /* Projections that start at zero in training would leave every block without effect. */
        for (int i = 0; i < t.n; i++)
            if (t.p[i].init == INIT_ZERO) {
                t.p[i].init = INIT_UNIFORM;
                t.p[i].std = 0.02;
            }
        params_init(&t, w, seed);
    }
    if (rc == 0 && !op_finite(m->x, w, t.total))
        rc = err_set(e, ERR_NUMERIC, "%s: a weight is not finite", path ? path : "random model");
    if (rc == 0)
        rc = prepare(m, &t, w, e);
    if (w)
        mem_unmap(w, bytes);
    param_table_release(&t);
    return rc;
}

int infer_model_open(struct infer_model **out, const struct nn *x, const char *path, struct err *e)
{
    struct infer_model *m = mem_new(1, sizeof *m);
    *out = NULL;
    if (!m)
        return err_set(e, ERR_NOMEM, "%s: no memory for the model", path);
    m->x = x;
    int rc = read_config(m, path, e);
    if (rc == 0)
        rc = open_tokenizer(m, path, e);
    if (rc == 0)
        rc = load(m, path, 0, e);
    if (rc != 0)
        infer_model_close(m);
    else
        *out = m;
    return rc;
}

int infer_model_random(struct infer_model **out, const struct nn *x, const struct model_config *c, uint64_t seed,
                       struct err *e)
{
    struct infer_model *m = mem_new(1, sizeof *m);
    *out = NULL;
    if (!m)
        return err_set(e, ERR_NOMEM, "no memory for the model");
    m->x = x;
    m->c = *c;
    int rc = load(m, NULL, seed, e);
    if (rc != 0)
        infer_model_close(m);
    else
        *out = m;
    return rc;
}

void infer_model_close(struct infer_model *m)
{
    if (!m)
        return;
    if (m->mem)
        mem_unmap(m->mem, m->mem_bytes);
    if (m->kept)
        mem_unmap(m->kept, m->kept_bytes);
    tokenizer_close(m->tok);
    mem_free(m);
}

const struct model_config *infer_model_config(const struct infer_model *m) { return &m->c; }
const struct tokenizer *infer_model_tokenizer(const struct infer_model *m) { return m->tok; }
struct digest infer_model_root(const struct infer_model *m) { return m->root; }
uint64_t infer_model_weight_bytes(const struct infer_model *m) { return m->pack_bytes; }
