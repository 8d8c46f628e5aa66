/* Forward and backward over the rows of one micro-batch; the formulas of kernels are in kernels/kernels.h. */
#include "reference/reference_int.h"

enum { KEYS = 64, ROWS = REF_ROWS }; /* NUMERICS §6: blocks of keys and queries; §4: rows of a partial sum */

struct kept { /* what a layer's forward leaves for its backward */
    bf16 *h1, *qkv, *q, *k, *o, *h2, *gu, *act;
    float *in, *mid, *rstd1, *rstd2, *rstd_q, *rstd_k, *m, *l; /* m, l (n_head, rows) */
};

struct network {
    const struct ref_run *r;
    const struct ref_state *s;
    void *(*take)(uint64_t n, size_t size);
    int rows, d;
    /* of the linear layers and the logits */
    void (*product)(float *c, ptrdiff_t ldc, struct gemm_src a, struct gemm_src b, int m, int n, int k, bool zero);
    struct kept *layer;
    float *end, *rstd, *cos, *sin, *part, *dx, *dq, *dk, *dv;
    float *wide;                        /* a result before it is rounded */
    bf16 *h, *dh, *da, *db;             /* da, db: gradients inside a block */
    float *z, *head_o;                  /* 32 rows of logits; 64 of a head's attention */
    bf16 *dz;
    float p[KEYS * KEYS], dp[KEYS * KEYS], corr[KEYS], delta[KEYS];
    const int *pos;
};

/* ---- memory ---- */

static bf16 *halves(const struct network *n, int64_t cols)
{
    return n->take((uint64_t)(n->rows * cols), sizeof(bf16));
}

static float *reals(const struct network *n, int64_t cols)
{
    return n->take((uint64_t)(n->rows * cols), sizeof(float));
}

static struct kept layer_new(const struct network *n, const struct ref_layer *l)
{
    int64_t d = n->d, q = l->n_head * l->d_head, k = l->n_kv * l->d_head;
    return (struct kept){.h1 = halves(n, d), .qkv = halves(n, q + 2 * k), .q = halves(n, q), .k = halves(n, k),
                         .o = halves(n, q), .h2 = halves(n, d), .gu = halves(n, 2 * l->d_ff),
                         .act = halves(n, l->d_ff), .in = reals(n, d), .mid = reals(n, d), .rstd1 = reals(n, 1),
                         .rstd2 = reals(n, 1), .rstd_q = reals(n, l->n_head), .rstd_k = reals(n, l->n_kv),
                         .m = reals(n, l->n_head), .l = reals(n, l->n_head)};
}

struct network *network_new(const struct ref_state *s, int rows, void *(*take)(uint64_t n, size_t size))
{
    const struct ref_run *r = s->run;
    struct network *n = take(1, sizeof *n);
    int64_t d = r->d_model, most = d, q_most = 0, dh = r->layer[0].d_head;
    *n = (struct network){.r = r, .s = s, .take = take, .rows = rows, .d = (int)d};
    n->product = r->profile == REF_T2 ? ref_product_i8 : ref_product;
    n->layer = take((uint64_t)r->n_layer, sizeof *n->layer);
    for (int i = 0; i < r->n_layer; i++) {
        const struct ref_layer *l = &r->layer[i];
        int64_t q = l->n_head * dh, qkv = q + 2 * l->n_kv * dh, wide = qkv > 2 * l->d_ff ? qkv : 2 * l->d_ff;
        n->layer[i] = layer_new(n, l);
        q_most = q > q_most ? q : q_most;
        most = wide > most ? wide : most;
    }
    n->end = reals(n, d), n->dx = reals(n, d), n->rstd = reals(n, 1), n->wide = reals(n, most);
    n->dq = reals(n, q_most), n->dk = reals(n, q_most), n->dv = reals(n, q_most);
    n->h = halves(n, d), n->dh = halves(n, d), n->da = halves(n, most), n->db = halves(n, most);
    n->part = take((uint64_t)(d > dh ? d : dh), sizeof(float));
    n->z = take((uint64_t)r->vocab * ROWS, sizeof *n->z), n->dz = take((uint64_t)r->vocab * ROWS, sizeof *n->dz);
    n->head_o = take((uint64_t)dh * KEYS, sizeof *n->head_o);
    n->cos = reals(n, dh / 2), n->sin = reals(n, dh / 2); /* as many positions as rows */
    kernels_rope_fill(n->cos, n->sin, rows, (int)dh, r->rope_theta);
    return n;
}

/* ---- pieces ---- */

static struct gemm_src half(const bf16 *p, ptrdiff_t ld, bool t) { return (struct gemm_src){p, DT_BF16, t, ld}; }
static struct gemm_src full(const float *p, ptrdiff_t ld, bool t) { return (struct gemm_src){p, DT_F32, t, ld}; }

/* y (rows, cols) bf16 = A·Bᵀ over k */
static void rounded(struct network *n, bf16 *y, struct gemm_src a, struct gemm_src b, int cols, int k)
{
    n->product(n->wide, cols, a, b, n->rows, cols, k, true);
    T1.bf16_from_f32(y, n->wide, (size_t)n->rows * (size_t)cols);
}

/* y = x + A·Wᵀ, W (d, k) */
static void residual(struct network *n, float *y, const float *x, const bf16 *a, const float *w, int k)
{
    memcpy(y, x, (size_t)n->rows * (size_t)n->d * sizeof *y);
    n->product(y, n->d, half(a, k, false), full(w, k, false), n->rows, n->d, k, false);
}

/* For y = x·Wᵀ, W (out, in): dx = bf16(dy·W), dW += dyᵀ·x. */
static void linear_bwd(struct network *n, bf16 *dx, float *dw, struct gemm_src dy, const bf16 *x, const float *w,
                       int in, int out)
{
    rounded(n, dx, dy, full(w, in, true), in, out);
    dy.trans = true;
    n->product(dw, in, dy, half(x, in, true), out, in, n->rows, false);
}

static void norm(struct network *n, bf16 *y, float *rstd, const float *x, const float *gain)
{
    T1.rmsnorm_fwd(y, n->d, rstd, x, n->d, gain, n->rows, n->d, real_narrow(n->r->norm_eps));
}

/* dx += what n->dh gives; the gain's gradient in blocks of rows. */
static void norm_bwd(struct network *n, float *dgain, const float *x, const float *rstd, const float *gain)
{
    for (ptrdiff_t r = 0, d = n->d; r < n->rows; r += ROWS) {
        memset(n->part, 0, (size_t)d * sizeof(float));
        T1.rmsnorm_bwd(n->dx + r * d, d, n->part, n->dh + r * d, d, x + r * d, d, rstd + r, gain, ROWS, n->d);
        T1.add(dgain, n->part, (size_t)d);
    }
}

/* Queries or keys: their columns of qkv, their heads. */
struct qk {
    int at, heads, w, ld, dh;
    size_t gain;
    struct rope_table rope;
};

static struct qk qk_of(const struct network *n, int i, bool keys)
{
    const struct ref_layer *l = &n->r->layer[i];
    const struct ref_places *p = &n->s->place[i];
    int dh = (int)l->d_head, heads = (int)(keys ? l->n_kv : l->n_head), hq = (int)l->n_head * dh;
    return (struct qk){keys ? hq : 0, heads, heads * dh, hq + 2 * (int)l->n_kv * dh, dh, keys ? p->k_norm : p->q_norm,
                       {l->rope ? n->cos : NULL, l->rope ? n->sin : NULL}};
}

static void qk_bwd(struct network *n, const float *w, float *g, const struct qk *h, const float *dy, const bf16 *qkv,
                   const float *rstd)
{
    for (ptrdiff_t r = 0; r < n->rows; r += ROWS) {
        ptrdiff_t at = r * h->ld + h->at;
        memset(n->part, 0, (size_t)h->dh * sizeof(float));
        T1.qk_bwd(n->db + at, h->ld, n->part, dy + r * h->w, h->w, qkv + at, h->ld, rstd + r * h->heads,
                  h->gain ? w + h->gain : NULL, h->rope, n->pos + r, ROWS, h->heads, h->dh);
        if (h->gain)
            T1.add(g + h->gain, n->part, (size_t)h->dh);
    }
}

/* ---- attention ---- */

/* A block of queries of one head, from q0 on in the document of len rows that begins at row r0. */
struct queries {
    int r0, len, head, q0, window;
    struct qk q, k;
};

/* Against blocks of keys, ascending.  Forward: online softmax.  Backward, of d_o in n->da: dP = dO·Vᵀ,
 * dS = P∘(dP − delta)·scale, dQ = dS·K, dK += dSᵀ·Q, dV += Pᵀ·dO. */
static void attend(struct network *n, struct kept *b, const struct queries *x, bool backward)
{
    int dh = x->q.dh, hq = x->q.w, hk = x->k.w, ld = x->q.ld, rows = x->len - x->q0 < KEYS ? x->len - x->q0 : KEYS;
    int g = x->head / (x->q.heads / x->k.heads), lo[KEYS], hi[KEYS];
    ptrdiff_t row = x->r0 + x->q0, at = row * hq + x->head * dh;
    const bf16 *q = b->q + at, *d_o = n->da + at;
    float *m = b->m + (ptrdiff_t)x->head * n->rows + row, *l = b->l + (ptrdiff_t)x->head * n->rows + row;
    float *dq = n->dq + at, *o = n->head_o, scale = (float)(1.0 / sqrt((double)dh));
    memset(o, 0, (size_t)dh * KEYS * sizeof *o);
    for (int r = 0; r < rows && !backward; r++)
        m[r] = -INFINITY, l[r] = 0;
    for (int r = 0; r < rows && backward; r++)
        memset(dq + (ptrdiff_t)r * hq, 0, (size_t)dh * sizeof *dq);
    if (backward)
        T1.attn_delta(n->delta, b->o + at, hq, d_o, hq, rows, dh);
    int k0 = x->window > 0 && x->q0 >= x->window ? (x->q0 - x->window + 1) / KEYS * KEYS : 0;
    for (; k0 < x->q0 + rows; k0 += KEYS) {
        int keys = x->len - k0 < KEYS ? x->len - k0 : KEYS;
        ptrdiff_t kv = (ptrdiff_t)(x->r0 + k0) * hk + g * dh;
        struct gemm_src k = half(b->k + kv, hk, false);
        struct gemm_src v = half(b->qkv + (x->r0 + k0) * (ptrdiff_t)ld + hq + hk + g * dh, ld, true);
        for (int r = 0; r < rows; r++) {
            hi[r] = x->q0 + r + 1 - k0;
            lo[r] = x->window > 0 ? hi[r] - x->window : 0;
        }
        ref_product(n->p, KEYS, half(q, hq, false), k, rows, keys, dh, true);
        if (!backward) {
            T1.attn_softmax(n->p, KEYS, m, l, n->corr, n->p, KEYS, lo, hi, rows, scale);
            T1.attn_rescale(o, dh, n->corr, rows, dh);
            ref_product(o, dh, full(n->p, KEYS, false), v, rows, dh, keys, false);
            continue;
        }
        v.trans = false, k.trans = true;
        ref_product(n->dp, KEYS, half(d_o, hq, false), v, rows, keys, dh, true);
        T1.attn_softmax_bwd(n->p, KEYS, n->dp, KEYS, m, l, n->delta, lo, hi, rows, scale);
        ref_product(n->dv + kv, hk, full(n->p, KEYS, true), half(d_o, hq, true), keys, dh, rows, false);
        ref_product(n->dk + kv, hk, full(n->dp, KEYS, true), half(q, hq, true), keys, dh, rows, false);
        ref_product(dq, hq, full(n->dp, KEYS, false), k, rows, dh, keys, false);
    }
    if (!backward)
        T1.attn_finish(b->o + at, hq, o, dh, l, rows, dh);
}

/* Every document, head and query, ascending. */
static void attention(struct network *n, int i, bool backward)
{
    struct queries x = {.window = (int)n->r->layer[i].window, .q = qk_of(n, i, false), .k = qk_of(n, i, true)};
    for (; x.r0 < n->rows; x.r0 += x.len) {
        for (x.len = 1; x.r0 + x.len < n->rows && n->pos[x.r0 + x.len] > 0;)
            x.len++;
        for (x.head = 0; x.head < x.q.heads; x.head++)
            for (x.q0 = 0; x.q0 < x.len; x.q0 += KEYS)
                attend(n, &n->layer[i], &x, backward);
    }
}

/* ---- a layer ---- */

static void layer_fwd(struct network *n, const float *w, int i, float *out)
{
    struct kept *b = &n->layer[i];
    const struct ref_places *p = &n->s->place[i];
    struct qk h[2] = {qk_of(n, i, false), qk_of(n, i, true)};
    int ff = (int)n->r->layer[i].d_ff, d = n->d;
    norm(n, b->h1, b->rstd1, b->in, w + p->norm1);
    rounded(n, b->qkv, half(b->h1, d, false), full(w + p->qkv, d, false), h[0].ld, d);
    for (int j = 0; j < 2; j++)
        T1.qk_fwd(j ? b->k : b->q, h[j].w, j ? b->rstd_k : b->rstd_q, b->qkv + h[j].at, h[j].ld,
                  h[j].gain ? w + h[j].gain : NULL, h[j].rope, n->pos, n->rows, h[j].heads, h[j].dh,
                  real_narrow(n->r->norm_eps));
    attention(n, i, false);
    residual(n, b->mid, b->in, b->o, w + p->o, h[0].w);
    norm(n, b->h2, b->rstd2, b->mid, w + p->norm2);
    rounded(n, b->gu, half(b->h2, d, false), full(w + p->gu, d, false), 2 * ff, d);
    T1.swiglu_fwd(b->act, ff, b->gu, 2 * ff, n->rows, ff);
    residual(n, out, b->mid, b->act, w + p->down, ff);
}

static void layer_bwd(struct network *n, const float *w, float *g, int i)
{
    struct kept *b = &n->layer[i];
    const struct ref_places *p = &n->s->place[i];
    struct qk q = qk_of(n, i, false), k = qk_of(n, i, true);
    int ff = (int)n->r->layer[i].d_ff, d = n->d;
    linear_bwd(n, n->da, g + p->down, full(n->dx, d, false), b->act, w + p->down, ff, d);
    T1.swiglu_bwd(n->db, 2 * ff, n->da, ff, b->gu, 2 * ff, n->rows, ff);
    linear_bwd(n, n->dh, g + p->gu, half(n->db, 2 * ff, false), b->h2, w + p->gu, d, 2 * ff);
    norm_bwd(n, g + p->norm2, b->mid, b->rstd2, w + p->norm2);
    linear_bwd(n, n->da, g + p->o, full(n->dx, d, false), b->o, w + p->o, q.w, d);
    memset(n->dk, 0, (size_t)n->rows * (size_t)k.w * sizeof(float));
    memset(n->dv, 0, (size_t)n->rows * (size_t)k.w * sizeof(float));
    attention(n, i, true);
    qk_bwd(n, w, g, &q, n->dq, b->qkv, b->rstd_q);
    qk_bwd(n, w, g, &k, n->dk, b->qkv, b->rstd_k);
    for (ptrdiff_t r = 0; r < n->rows; r++)
        T1.bf16_from_f32(n->db + r * q.ld + q.w + k.w, n->dv + r * k.w, (size_t)k.w);
    linear_bwd(n, n->dh, g + p->qkv, half(n->db, q.ld, false), b->h1, w + p->qkv, d, q.ld);
    norm_bwd(n, g + p->norm1, b->in, b->rstd1, w + p->norm1);
}

/* ---- the whole ---- */

/* Loss and its gradient, 32 rows of logits at a time; w, g of the head's weights. */
static void head(struct network *n, const float *w, float *g, const int *target, float *loss, float scale)
{
    int vocab = (int)n->r->vocab, d = n->d;
    for (ptrdiff_t r0 = 0; r0 < n->rows; r0 += ROWS) {
        const bf16 *h = n->h + r0 * d;
        n->product(n->z, vocab, half(h, d, false), full(w, d, false), ROWS, vocab, d, true);
        for (ptrdiff_t r = 0; r < ROWS; r++)
            T1.cross_entropy(n->dz + r * vocab, &loss[r0 + r], n->z + r * vocab, vocab, target[r0 + r], scale);
        ref_product(n->wide, d, half(n->dz, vocab, false), full(w, d, true), ROWS, d, vocab, true);
        T1.bf16_from_f32(n->dh + r0 * d, n->wide, (size_t)ROWS * (size_t)d);
        ref_product(g, d, half(n->dz, vocab, true), half(h, d, true), vocab, d, ROWS, false);
    }
}

void network_step(struct network *n, const float *w, float *g, float *g_embed, const int *tok, const int *pos,
                  const int *target, float *loss, float scale)
{
    const struct ref_state *s = n->s;
    int layers = (int)n->r->n_layer;
    n->pos = pos;
    T1.embed_fwd(n->layer[0].in, n->d, w, tok, n->rows, n->d);
    for (int i = 0; i < layers; i++)
        layer_fwd(n, w, i, i + 1 < layers ? n->layer[i + 1].in : n->end);
    norm(n, n->h, n->rstd, n->end, w + s->norm);
    head(n, w + s->head, g + s->head, target, loss, scale);
    memset(n->dx, 0, (size_t)n->rows * (size_t)n->d * sizeof(float));
    norm_bwd(n, g + s->norm, n->end, n->rstd, w + s->norm);
    for (int i = layers - 1; i >= 0; i--)
        layer_bwd(n, w, g, i);
    T1.embed_bwd(g_embed, n->dx, n->d, tok, n->rows, n->d, 0, n->d);
}
