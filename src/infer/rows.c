#include "infer/rows.h"

#include <assert.h>
#include <math.h>
#include <omp.h>
#include <string.h>

#include "base/mem.h"
#include "kernels/fp.h"

enum { LOGITS_BYTES = 16 << 20, FEW_ROWS = 4, ROPE_LEAST = 64 };

/* ---- pages ---- */

int kv_pool_init(struct kv_pool *p, const struct model_config *c, int n_pages, struct err *e)
{
    *p = (struct kv_pool){.n_pages = n_pages, .n_free = n_pages};
    for (int i = 0; i < c->n_layer; i++)
        p->bytes += 2 * (size_t)n_pages * KV_PAGE * (size_t)(c->layer[i].n_kv * c->layer[i].d_head) * sizeof(bf16);
    p->mem = mem_map(p->bytes);
    p->free_page = mem_new((size_t)n_pages, sizeof *p->free_page);
    if (!p->mem || !p->free_page) {
        kv_pool_release(p);
        return err_set(e, ERR_NOMEM, "no memory for %zu MiB of keys and values", p->bytes >> 20);
    }
    bf16 *at = p->mem;
    for (int i = 0; i < c->n_layer; i++) {
        size_t n = (size_t)n_pages * KV_PAGE * (size_t)(c->layer[i].n_kv * c->layer[i].d_head);
        p->k[i] = at;
        p->v[i] = at + n;
        at += 2 * n;
    }
    for (int i = 0; i < n_pages; i++)
        p->free_page[i] = n_pages - 1 - i;
    return 0;
}

void kv_pool_release(struct kv_pool *p)
{
    if (p->mem)
        mem_unmap(p->mem, p->bytes);
    mem_free(p->free_page);
    p->mem = NULL;
    p->free_page = NULL;
}

int kv_pool_take(struct kv_pool *p) { return p->n_free > 0 ? p->free_page[--p->n_free] : -1; }

/* ---- space ---- */

/* The largest of each width over the layers. */
struct widths {
    int hq, hk, ff;
};

static struct widths widest(const struct model_config *c)
{
    struct widths w = {0};
    for (int i = 0; i < c->n_layer; i++) {
        const struct layer_facts *f = &c->layer[i];
        int hq = f->n_head * f->d_head, hk = f->n_kv * f->d_head;
        w.hq = hq > w.hq ? hq : w.hq;
        w.hk = hk > w.hk ? hk : w.hk;
        w.ff = f->d_ff > w.ff ? f->d_ff : w.ff;
    }
    return w;
}

static void *take(struct arena *a, const struct infer_space *w, int cols, size_t size)
{
    return arena_take(a, (size_t)w->max_rows * (size_t)cols, size);
}

static void lay_space(struct arena *a, struct infer_space *w, const struct model_config *c)
{
    struct widths x = widest(c);
    size_t rope = (size_t)w->max_pos * (size_t)(c->layer[0].d_head / 2);
    w->x = take(a, w, c->d_model, sizeof(real));
    w->rstd = take(a, w, 1, sizeof(real));
    w->loss = take(a, w, 1, sizeof(real));
    w->h = take(a, w, c->d_model, sizeof(bf16));
    w->qkv = take(a, w, x.hq + 2 * x.hk, sizeof(bf16));
    w->q = take(a, w, x.hq, sizeof(bf16));
    w->o = take(a, w, x.hq, sizeof(bf16));
    w->gu = take(a, w, 2 * x.ff, sizeof(bf16));
    w->act = take(a, w, x.ff, sizeof(bf16));
    w->tok = take(a, w, 1, sizeof(int));
    w->pos = take(a, w, 1, sizeof(int));
    w->target = take(a, w, 1, sizeof(int));
    w->seg = take(a, w, 1, sizeof *w->seg);
    w->cos = arena_take(a, rope, sizeof(real));
    w->sin = arena_take(a, rope, sizeof(real));
    w->logits = arena_take(a, (size_t)w->head_rows * (size_t)c->vocab, sizeof(real));
}

static struct attn_shape shape_of(const struct layer_facts *f)
{
    return (struct attn_shape){f->n_head, f->n_kv, f->d_head, f->window, (real)(1.0 / sqrt((double)f->d_head))};
}

static int check_scratch(const struct infer_model *m, int max_pos, struct err *e)
{
    for (int i = 0; i < m->c.n_layer; i++) {
        size_t need = attention_scratch_bytes(m->x->k, shape_of(&m->c.layer[i]), max_pos, false);
        if (need > m->x->scratch_bytes)
            return err_set(e, ERR_LIMIT, "attention over %d positions needs %zu bytes of scratch a thread, there "
                                         "are %zu",
                           max_pos, need, m->x->scratch_bytes);
    }
    return 0;
}

int infer_space_init(struct infer_space *w, const struct infer_model *m, int max_rows, int max_pos, struct err *e)
{
    size_t fit = LOGITS_BYTES / sizeof(real) / (size_t)m->c.vocab;
    *w = (struct infer_space){.max_rows = max_rows, .max_pos = max_pos};
    w->head_rows = fit < 1 ? 1 : fit < (size_t)max_rows ? (int)fit : max_rows;
    int rc = check_scratch(m, max_pos, e);
    if (rc != 0)
        return rc;
    struct arena a = {0};
    lay_space(&a, w, &m->c);
    w->bytes = a.used;
    w->mem = mem_map(w->bytes);
    if (!w->mem)
        return err_set(e, ERR_NOMEM, "no memory for the activations of %d rows (%zu MiB)", max_rows, w->bytes >> 20);
    a = (struct arena){.base = w->mem, .cap = w->bytes};
    lay_space(&a, w, &m->c);
    return 0;
}

void infer_space_release(struct infer_space *w)
{
    if (w->mem)
        mem_unmap(w->mem, w->bytes);
    w->mem = NULL;
}

/* ---- the pass ---- */

/* For the small ops between the products: with a row or two, waking the other threads costs more than the
 * work. The number of threads changes no bit. */
static struct nn small(const struct infer_model *m, int rows)
{
    struct nn x = *m->x;
    if (rows <= FEW_ROWS)
        x.threads = 1;
    return x;
}

/* The tables for n positions.  A context of a million is long to fill and seldom read to its end: they grow by twice
 * what is needed, so that all fills together cost no more than two of the last. */
static void rope_for(const struct infer_model *m, struct infer_space *w, int n)
{
    if (n <= w->rope_pos)
        return;
    int64_t most = 2 * (int64_t)(n > ROPE_LEAST / 2 ? n : ROPE_LEAST / 2);
    w->rope_pos = most < w->max_pos ? (int)most : w->max_pos;
    kernels_fp_enter();
    kernels_rope_fill(w->cos, w->sin, w->rope_pos, m->c.layer[0].d_head, m->c.rope_theta);
}

static int begin(const struct infer_model *m, struct infer_space *w, const int32_t *tok, const struct infer_seg *seg,
                 int n_seg)
{
    int rows = 0;
    for (int s = 0; s < n_seg; s++) {
        assert(seg[s].n > 0 && rows + seg[s].n <= w->max_rows && seg[s].pos0 + seg[s].n <= w->max_pos);
        rope_for(m, w, seg[s].pos0 + seg[s].n);
        w->seg[s] = (struct attn_seg){.row = rows, .n = seg[s].n, .pos0 = seg[s].pos0};
        for (int i = 0; i < seg[s].n; i++) {
            w->tok[rows + i] = tok[rows + i];
            w->pos[rows + i] = seg[s].pos0 + i;
        }
        rows += seg[s].n;
    }
    return rows;
}

/* Rotated keys and values of row `row` into its sequence's page. */
static void store_row(const struct infer_seg *s, int layer, int pos, int hk, const bf16 *k, const bf16 *v)
{
    size_t at = ((size_t)s->page[pos / KV_PAGE] * KV_PAGE + (size_t)(pos % KV_PAGE)) * (size_t)hk;
    memcpy(s->pool->k[layer] + at, k, (size_t)hk * sizeof *k);
    memcpy(s->pool->v[layer] + at, v, (size_t)hk * sizeof *v);
}

static void store_keys(const struct infer_model *m, struct infer_space *w, int layer, struct mat qkv,
                       const struct infer_seg *seg, int n_seg)
{
    const struct layer_facts *f = &m->c.layer[layer];
    int hq = f->n_head * f->d_head, hk = f->n_kv * f->d_head, threads = qkv.rows > FEW_ROWS ? m->x->threads : 1;
    for (int s = 0; s < n_seg; s++) {
        int row0 = w->seg[s].row;
#pragma omp parallel for schedule(static) num_threads(threads) if (threads > 1)
        for (int r = 0; r < seg[s].n; r++) {
            const bf16 *at = mat_b(qkv) + (ptrdiff_t)(row0 + r) * qkv.stride;
            store_row(&seg[s], layer, seg[s].pos0 + r, hk, at + hq, at + hq + hk);
        }
        w->seg[s].kv = (struct kv){.k = seg[s].pool->k[layer], .v = seg[s].pool->v[layer], .row_stride = hk,
                                   .page_stride = (ptrdiff_t)KV_PAGE * hk, .page = seg[s].page,
                                   .n = seg[s].pos0 + seg[s].n};
    }
}

/* x += Wo·attention(rmsnorm(x)) */
static void attention_block(const struct infer_model *m, struct infer_space *w, int layer, int rows,
                            const struct infer_seg *seg, int n_seg)
{
    const struct layer_facts *f = &m->c.layer[layer];
    const struct infer_layer *l = &m->layer[layer];
    int hq = f->n_head * f->d_head, hk = f->n_kv * f->d_head;
    real eps = real_narrow(m->c.norm_eps);
    struct mat x = mat_f32(w->x, rows, m->c.d_model), h = mat_bf16(w->h, rows, m->c.d_model);
    struct mat qkv = mat_bf16(w->qkv, rows, hq + 2 * hk), k = mat_cols(qkv, hq, hk);
    struct mat q = mat_bf16(w->q, rows, hq), o = mat_bf16(w->o, rows, hq);
    struct nn own = small(m, rows);
    struct rope_table rope = {f->rope ? w->cos : NULL, f->rope ? w->sin : NULL};
    op_rmsnorm_fwd(&own, h, w->rstd, x, l->norm1, eps);
    gemm_wp(m->x, qkv, (struct mat){0}, h, &l->wqkv);
    op_qk_fwd(&own, q, NULL, mat_cols(qkv, 0, hq), l->q_norm, w->pos,
              (struct qk_shape){f->n_head, f->d_head, eps, rope});
    op_qk_fwd(&own, k, NULL, k, l->k_norm, w->pos, (struct qk_shape){f->n_kv, f->d_head, eps, rope});
    store_keys(m, w, layer, qkv, seg, n_seg);
    attention_fwd(m->x, o, NULL, NULL, q, w->seg, n_seg, shape_of(f));
    gemm_wp(m->x, x, x, o, &l->wo);
}

/* x += Wdown·swiglu(Wgu·rmsnorm(x)) */
static void ff_block(const struct infer_model *m, struct infer_space *w, int layer, int rows)
{
    const struct infer_layer *l = &m->layer[layer];
    int ff = m->c.layer[layer].d_ff;
    struct mat x = mat_f32(w->x, rows, m->c.d_model), h = mat_bf16(w->h, rows, m->c.d_model);
    struct mat gu = mat_bf16(w->gu, rows, 2 * ff), act = mat_bf16(w->act, rows, ff);
    struct nn own = small(m, rows);
    op_rmsnorm_fwd(&own, h, w->rstd, x, l->norm2, real_narrow(m->c.norm_eps));
    gemm_wp(m->x, gu, (struct mat){0}, h, &l->wgu);
    op_swiglu_fwd(&own, act, gu);
    gemm_wp(m->x, x, x, act, &l->wdown);
}

void infer_rows(const struct infer_model *m, struct infer_space *w, const int32_t *tok, const struct infer_seg *seg,
                int n_seg)
{
    int rows = begin(m, w, tok, seg, n_seg);
    struct mat x = mat_f32(w->x, rows, m->c.d_model);
    struct nn own = small(m, rows);
    op_embed_fwd(&own, x, m->embed, w->tok);
    for (int i = 0; i < m->c.n_layer; i++) {
        attention_block(m, w, i, rows, seg, n_seg);
        ff_block(m, w, i, rows);
    }
    op_rmsnorm_fwd(&own, mat_bf16(w->h, rows, m->c.d_model), w->rstd, x, m->norm, real_narrow(m->c.norm_eps));
}

void infer_logits(const struct infer_model *m, struct infer_space *w, int row, int n, real *logits)
{
    struct mat h = mat_rows(mat_bf16(w->h, w->max_rows, m->c.d_model), row, n);
    assert(n <= w->head_rows);
    gemm_wp(m->x, mat_f32(logits, n, m->c.vocab), (struct mat){0}, h, &m->head);
}

int infer_argmax(const real *z, int n)
{
    int best = 0;
    for (int i = 1; i < n; i++)
        if (z[i] > z[best])
            best = i;
    return best;
}
