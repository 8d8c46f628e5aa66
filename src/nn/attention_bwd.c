/* The backward pass of attention.  With P = softmax(scale·Q·Kᵀ) recomputed from m and l, and
 * delta_i = Σ_c o_ic·do_ic (= Σ_j P_ij·dP_ij):
 *
 *   dP = dO·Vᵀ     dS = P ∘ (dP − delta)·scale     dQ = dS·K     dK = dSᵀ·Q     dV = Pᵀ·dO
 *
 * P and dS are rounded to bf16 for the last three products.  Order (NUMERICS §6): queries and keys
 * are cut into blocks of 64 anchored at the segment's start; a pair of blocks contributes where any
 * of its (query, key) pairs is visible.  dQ sums over keys ascending; dK and dV sum over the heads
 * of the group ascending and, within a head, over queries ascending, in products of depth 32. */
#include <assert.h>
#include <string.h>

#include <omp.h>

#include "nn/attention_walk.h"

enum {
    QUERY_BLOCK = KEY_BLOCK,
    PANEL_BYTES = 512 << 10 /* packed keys, values and their gradients: about half of a level-2 cache */
};

/* Space of one thread.  A panel is `blocks` key blocks: K and V as right operands of S and dP, K
 * once more as right operand of dQ, and the sums dK and dV. */
struct bwd_space {
    int blocks;
    char *k_s, *v_dp, *k_dq;           /* (blocks) packed */
    size_t ks_bytes, kdq_bytes;        /* of one block */
    real *dk, *dv;                     /* (blocks·64, d_head) */
    char *q_s, *do_dp;                 /* one query block as left operands of S and dP */
    char *q_dk, *do_dv;                /* … as right operands of dK and dV */
    char *left;                        /* P or dS packed */
    real *dq;                          /* (64, d_head) */
    real *s, *dp;                      /* (64, 64): S then P, dP then dS */
    real *m, *l;
    int *lo, *hi;
};

static struct bwd_space bwd_layout(struct arena *a, const struct kernels *k, struct attn_shape s,
                                   int max_len)
{
    const struct gemm_unit *u = &k->gemm;
    struct bwd_space w = {0};
    size_t tile = (size_t)KEY_BLOCK * (size_t)s.d_head;
    w.ks_bytes = gemm_b_bytes(u, KEY_BLOCK, s.d_head);
    w.kdq_bytes = gemm_b_bytes(u, s.d_head, KEY_BLOCK);
    size_t block = 2 * w.ks_bytes + w.kdq_bytes + 2 * tile * sizeof(real);
    int all = max_int(1, (max_len + KEY_BLOCK - 1) / KEY_BLOCK);
    w.blocks = min_int(all, max_int(2, (int)(PANEL_BYTES / block)));
    size_t n = (size_t)w.blocks;
    w.k_s = (char *)arena_take(a, n, w.ks_bytes);
    w.v_dp = (char *)arena_take(a, n, w.ks_bytes);
    w.k_dq = (char *)arena_take(a, n, w.kdq_bytes);
    w.dk = take_reals(a, n * tile);
    w.dv = take_reals(a, n * tile);
    w.q_s = (char *)arena_take(a, 1, gemm_a_bytes(u, QUERY_BLOCK, s.d_head));
    w.do_dp = (char *)arena_take(a, 1, gemm_a_bytes(u, QUERY_BLOCK, s.d_head));
    w.q_dk = (char *)arena_take(a, 1, w.kdq_bytes);
    w.do_dv = (char *)arena_take(a, 1, w.kdq_bytes);
    w.left = (char *)arena_take(a, 1, gemm_a_bytes(u, KEY_BLOCK, QUERY_BLOCK));
    w.dq = take_reals(a, tile);
    w.s = take_reals(a, QUERY_BLOCK * KEY_BLOCK);
    w.dp = take_reals(a, QUERY_BLOCK * KEY_BLOCK);
    w.m = take_reals(a, QUERY_BLOCK);
    w.l = take_reals(a, QUERY_BLOCK);
    w.lo = (int *)arena_take(a, QUERY_BLOCK, sizeof(int));
    w.hi = (int *)arena_take(a, QUERY_BLOCK, sizeof(int));
    return w;
}

size_t attention_bwd_bytes(const struct kernels *k, struct attn_shape s, int max_len)
{
    struct arena a = {0};
    bwd_layout(&a, k, s, max_len);
    return a.used;
}

struct bwd {
    const struct kernels *k;
    struct attn_shape s;
    int group;
    struct mat dq, dk, dv, d_o, o, q, key, val;
    real *delta; /* (n_head, rows) */
    const real *m, *l;
};

/* One (segment, kv head) pair and the key blocks [b0, b1) at work. */
struct pair {
    const struct attn_seg *seg;
    int g, b0, b1;
};

static struct gemm_src source(struct mat m, int row, int head, int d, bool trans)
{
    const bf16 *p = mat_b(m) + (ptrdiff_t)row * m.stride + (ptrdiff_t)head * d;
    return (struct gemm_src){p, DT_BF16, trans, m.stride};
}

static real *rows_of(struct mat m, int row, int head, int d)
{
    return mat_f(m) + (ptrdiff_t)row * m.stride + (ptrdiff_t)head * d;
}

static void panel_begin(const struct bwd *f, struct bwd_space *w, const struct pair *p)
{
    int d = f->s.d_head;
    for (int b = p->b0; b < p->b1; b++) {
        size_t i = (size_t)(b - p->b0);
        int row = p->seg->row + b * KEY_BLOCK, keys = min_int(KEY_BLOCK, p->seg->n - b * KEY_BLOCK);
        f->k->gemm.pack_b(w->k_s + i * w->ks_bytes, source(f->key, row, p->g, d, false), keys, d);
        f->k->gemm.pack_b(w->v_dp + i * w->ks_bytes, source(f->val, row, p->g, d, false), keys, d);
        f->k->gemm.pack_b(w->k_dq + i * w->kdq_bytes, source(f->key, row, p->g, d, true), d, keys);
    }
    size_t bytes = (size_t)(p->b1 - p->b0) * KEY_BLOCK * (size_t)d * sizeof(real);
    memset(w->dk, 0, bytes);
    memset(w->dv, 0, bytes);
}

static void panel_end(const struct bwd *f, const struct bwd_space *w, const struct pair *p)
{
    int d = f->s.d_head, r0 = p->b0 * KEY_BLOCK, r1 = min_int(p->b1 * KEY_BLOCK, p->seg->n);
    for (int r = r0; r < r1; r++) {
        ptrdiff_t at = (ptrdiff_t)(r - r0) * d;
        memcpy(rows_of(f->dk, p->seg->row + r, p->g, d), w->dk + at, (size_t)d * sizeof(real));
        memcpy(rows_of(f->dv, p->seg->row + r, p->g, d), w->dv + at, (size_t)d * sizeof(real));
    }
}

/* One query block of one head: rows [r0, r0 + rows) of the segment. */
struct query {
    int head, r0, rows;
};

static void query_begin(const struct bwd *f, struct bwd_space *w, const struct pair *p,
                        const struct query *t)
{
    const struct gemm_unit *u = &f->k->gemm;
    int d = f->s.d_head, row = p->seg->row + t->r0;
    u->pack_a(w->q_s, source(f->q, row, t->head, d, false), t->rows, d);
    u->pack_a(w->do_dp, source(f->d_o, row, t->head, d, false), t->rows, d);
    u->pack_b(w->q_dk, source(f->q, row, t->head, d, true), d, t->rows);
    u->pack_b(w->do_dv, source(f->d_o, row, t->head, d, true), d, t->rows);
    for (int r = 0; r < t->rows; r++) {
        w->m[r] = f->m[(ptrdiff_t)(row + r) * f->s.n_head + t->head];
        w->l[r] = f->l[(ptrdiff_t)(row + r) * f->s.n_head + t->head];
    }
    bool goes_on = first_block(t->r0, f->s.window) < p->b0;
    for (int r = 0; r < t->rows && goes_on; r++)
        memcpy(w->dq + (ptrdiff_t)r * d, rows_of(f->dq, row + r, t->head, d),
               (size_t)d * sizeof(real));
}

/* The query block against key block b. */
static void query_step(const struct bwd *f, struct bwd_space *w, const struct pair *p,
                       const struct query *t, int b)
{
    const struct kernels *k = f->k;
    int d = f->s.d_head, dp = gemm_kp(d), keys = min_int(KEY_BLOCK, p->seg->n - b * KEY_BLOCK);
    size_t i = (size_t)(b - p->b0);
    const real *delta = f->delta + (ptrdiff_t)t->head * f->q.rows + p->seg->row + t->r0;
    k->gemm.block(w->s, KEY_BLOCK, w->q_s, w->k_s + i * w->ks_bytes, t->rows, keys, dp, true);
    k->gemm.block(w->dp, KEY_BLOCK, w->do_dp, w->v_dp + i * w->ks_bytes, t->rows, keys, dp, true);
    visible_keys(w->lo, w->hi, t->rows, t->r0, b, f->s.window);
    k->attn_softmax_bwd(w->s, KEY_BLOCK, w->dp, KEY_BLOCK, w->m, w->l, delta, w->lo, w->hi, t->rows,
                        f->s.scale);
    struct gemm_src pt = {w->s, DT_F32, true, KEY_BLOCK}, dst = {w->dp, DT_F32, true, KEY_BLOCK};
    struct gemm_src ds = {w->dp, DT_F32, false, KEY_BLOCK};
    real *dv = w->dv + i * KEY_BLOCK * (size_t)d, *dk = w->dk + i * KEY_BLOCK * (size_t)d;
    k->gemm.pack_a(w->left, pt, keys, t->rows);
    k->gemm.block(dv, d, w->left, w->do_dv, keys, d, gemm_kp(t->rows), false);
    k->gemm.pack_a(w->left, dst, keys, t->rows);
    k->gemm.block(dk, d, w->left, w->q_dk, keys, d, gemm_kp(t->rows), false);
    k->gemm.pack_a(w->left, ds, t->rows, keys);
    k->gemm.block(w->dq, d, w->left, w->k_dq + i * w->kdq_bytes, t->rows, d, gemm_kp(keys),
                  b == first_block(t->r0, f->s.window));
}

static void query_end(const struct bwd *f, const struct bwd_space *w, const struct pair *p,
                      const struct query *t)
{
    int d = f->s.d_head;
    for (int r = 0; r < t->rows; r++)
        memcpy(rows_of(f->dq, p->seg->row + t->r0 + r, t->head, d), w->dq + (ptrdiff_t)r * d,
               (size_t)d * sizeof(real));
}

static void panel_run(const struct bwd *f, struct bwd_space *w, const struct pair *p)
{
    panel_begin(f, w, p);
    for (int h = 0; h < f->group; h++)
        for (int r0 = p->b0 * KEY_BLOCK; r0 < p->seg->n; r0 += QUERY_BLOCK) {
            struct query t = {p->g * f->group + h, r0, min_int(QUERY_BLOCK, p->seg->n - r0)};
            int b0 = max_int(p->b0, first_block(r0, f->s.window));
            int b1 = min_int(p->b1, (r0 + t.rows - 1) / KEY_BLOCK + 1);
            if (b0 >= p->b1)
                break;
            query_begin(f, w, p, &t);
            for (int b = b0; b < b1; b++)
                query_step(f, w, p, &t, b);
            query_end(f, w, p, &t);
        }
    panel_end(f, w, p);
}

static void pair_run(const struct bwd *f, struct bwd_space *w, struct pair *p)
{
    int d = f->s.d_head, row = p->seg->row;
    for (int head = p->g * f->group; head < (p->g + 1) * f->group; head++)
        f->k->attn_delta(f->delta + (ptrdiff_t)head * f->q.rows + row,
                         mat_b(f->o) + (ptrdiff_t)row * f->o.stride + (ptrdiff_t)head * d,
                         f->o.stride,
                         mat_b(f->d_o) + (ptrdiff_t)row * f->d_o.stride + (ptrdiff_t)head * d,
                         f->d_o.stride, p->seg->n, d);
    int blocks = (p->seg->n + KEY_BLOCK - 1) / KEY_BLOCK;
    for (p->b0 = 0; p->b0 < blocks; p->b0 = p->b1) {
        p->b1 = min_int(blocks, p->b0 + w->blocks);
        panel_run(f, w, p);
    }
}

/* Pairs of blocks of one head: the measure by which work is divided. */
static int64_t segment_cost(int n, int window)
{
    int64_t cost = 0;
    for (int r0 = 0; r0 < n; r0 += QUERY_BLOCK)
        cost += r0 / KEY_BLOCK - first_block(r0, window) + 1;
    return cost;
}

/* Pairs in the order segment, kv head; a pair belongs to the thread in whose share of the total
 * cost its middle lies. */
static void bwd_share(const struct bwd *f, struct bwd_space *w, const struct attn_seg *seg,
                      int n_seg, int thread, int threads)
{
    int64_t total = 0, done = 0;
    for (int i = 0; i < n_seg; i++)
        total += segment_cost(seg[i].n, f->s.window) * f->s.n_kv;
    for (int i = 0; i < n_seg; i++) {
        int64_t cost = segment_cost(seg[i].n, f->s.window);
        for (int g = 0; g < f->s.n_kv && cost > 0; g++, done += cost) {
            struct pair p = {&seg[i], g, 0, 0};
            if ((2 * done + cost) * threads / (2 * total) == thread)
                pair_run(f, w, &p);
        }
    }
}

/* Five products; q, o and do are read and dq written, k and v read and dk and dv written. */
static void count(const struct nn *x, const struct attn_seg *seg, int n_seg, struct attn_shape s)
{
    double pairs = 0, rows = 0;
    for (int i = 0; x->watch && i < n_seg; i++) {
        pairs += visible_pairs(&seg[i], s);
        rows += seg[i].n;
    }
    double q = 3 * sizeof(bf16) + sizeof(real), k = 2 * sizeof(bf16) + 2 * sizeof(real);
    nn_count(x, 10 * s.d_head * pairs, rows * s.d_head * (s.n_head * q + s.n_kv * k));
}

void attention_bwd(const struct nn *x, struct mat dq, struct mat dk, struct mat dv, real *delta,
                   struct mat d_o, struct mat o, const real *m, const real *l, struct mat q,
                   struct mat k, struct mat v, const struct attn_seg *seg, int n_seg,
                   struct attn_shape s)
{
    struct bwd f = {x->k, s, s.n_head / s.n_kv, dq, dk, dv, d_o, o, q, k, v, delta, m, l};
    int max_len = 0;
    for (int i = 0; i < n_seg; i++) {
        assert(seg[i].pos0 == 0);
        max_len = max_int(max_len, seg[i].n);
    }
    assert(attention_scratch_bytes(x->k, s, max_len, true) <= x->scratch_bytes);
#pragma omp parallel num_threads(x->threads)
    {
        struct arena a = arena_of_thread(x, omp_get_thread_num());
        struct bwd_space w = bwd_layout(&a, x->k, s, max_len);
        nn_begin(x);
        x->k->gemm.enter();
        bwd_share(&f, &w, seg, n_seg, omp_get_thread_num(), omp_get_num_threads());
        x->k->gemm.leave();
        nn_end(x);
    }
    count(x, seg, n_seg, s);
}
