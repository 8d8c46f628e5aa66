#include "nn/ops.h"

#include <assert.h>
#include <omp.h>
#include <string.h>

/* Elements of one block of the long scalar sums, and of the pieces simple vectors are cut into. */
enum { SUM_BLOCK = 4096 };

/* Thread t's part [*a, *b) of n things: contiguous, the same on every call. */
static void my_part(size_t n, size_t *a, size_t *b)
{
    size_t t = (size_t)omp_get_thread_num(), nt = (size_t)omp_get_num_threads();
    *a = n / nt * t + (t < n % nt ? t : n % nt);
    *b = *a + n / nt + (t < n % nt);
}

/* Operations counted for an element (`nn_count`) are the arithmetic of its formula, an exponential as one. */
static double elems(struct mat m) { return (double)m.rows * m.cols; }

static const real *row_f(struct mat m, size_t r) { return mat_f(m) + (ptrdiff_t)r * m.stride; }
static real *row_fw(struct mat m, size_t r) { return mat_f(m) + (ptrdiff_t)r * m.stride; }
static bf16 *row_b(struct mat m, size_t r) { return mat_b(m) + (ptrdiff_t)r * m.stride; }

/* ---- gain gradients: one partial sum per block of OP_ROWS rows, then blocks in ascending order ---- */

/* Adds the gradient of rows [r0, r0 + rows) to part; part is NULL where there is no gain. */
typedef void gain_block_fn(const void *ctx, real *part, int r0, int rows);

static void add_blocks(const struct kernels *k, real *dgain, const real *part, int n, int blocks)
{
    enum { COLS = 64 };
    int pieces = (n + COLS - 1) / COLS;
#pragma omp for schedule(static) nowait
    for (int i = 0; i < pieces; i++) {
        int c0 = i * COLS, w = n - c0 < COLS ? n - c0 : COLS;
        for (int b = 0; b < blocks; b++)
            k->add(dgain + c0, part + (size_t)b * (size_t)n + c0, (size_t)w);
    }
}

/* Partial sums of as many blocks as the shared space holds at a time: the order of the additions
 * does not depend on how many that is. */
static void by_row_blocks(const struct nn *x, real *dgain, int n, int rows, gain_block_fn *run, const void *ctx)
{
    size_t fit = dgain ? x->shared_bytes / ((size_t)n * sizeof(real)) : SIZE_MAX;
    int blocks = (rows + OP_ROWS - 1) / OP_ROWS;
    int group = fit < (size_t)blocks ? (int)fit : blocks;
    real *part = dgain ? x->shared : NULL;
    assert(group > 0 || blocks == 0);
#pragma omp parallel num_threads(x->threads)
    {
        nn_begin(x);
        for (int g0 = 0; g0 < blocks; g0 += group) {
            int here = blocks - g0 < group ? blocks - g0 : group;
#pragma omp for schedule(static) nowait
            for (int b = 0; b < here; b++) {
                int r0 = (g0 + b) * OP_ROWS;
                real *mine = part ? part + (size_t)b * (size_t)n : NULL;
                if (mine)
                    memset(mine, 0, (size_t)n * sizeof *mine);
                run(ctx, mine, r0, rows - r0 < OP_ROWS ? rows - r0 : OP_ROWS);
            }
            if (dgain) {
                nn_barrier(x);
                add_blocks(x->k, dgain, part, n, here);
                if (g0 + here < blocks)
                    nn_barrier(x);
            }
        }
        nn_end(x);
    }
}

/* ---- RMSNorm ---- */

void op_rmsnorm_fwd(const struct nn *x, struct mat y, real *rstd, struct mat in, const real *gain, real eps)
{
#pragma omp parallel num_threads(x->threads)
    {
        size_t a, b;
        nn_begin(x);
        my_part((size_t)in.rows, &a, &b);
        x->k->rmsnorm_fwd(row_b(y, a), y.stride, rstd + a, row_f(in, a), in.stride, gain, (int)(b - a), in.cols,
                          eps);
        nn_end(x);
    }
    nn_count(x, 4 * elems(in), elems(in) * (sizeof(real) + sizeof(bf16)));
}

struct rmsnorm_bwd {
    const struct kernels *k;
    struct mat dx, dy, in;
    const real *rstd, *gain;
};

static void rmsnorm_bwd_block(const void *ctx, real *part, int r0, int rows)
{
    const struct rmsnorm_bwd *j = ctx;
    size_t r = (size_t)r0;
    j->k->rmsnorm_bwd(row_fw(j->dx, r), j->dx.stride, part, row_b(j->dy, r), j->dy.stride, row_f(j->in, r),
                      j->in.stride, j->rstd + r, j->gain, rows, j->in.cols);
}

void op_rmsnorm_bwd(const struct nn *x, struct mat dx, real *dgain, struct mat dy, struct mat in,
                    const real *rstd, const real *gain)
{
    struct rmsnorm_bwd j = {x->k, dx, dy, in, rstd, gain};
    by_row_blocks(x, dgain, in.cols, in.rows, rmsnorm_bwd_block, &j);
    nn_count(x, 8 * elems(in), elems(in) * (3 * sizeof(real) + sizeof(bf16)));
}

/* ---- per-head norm and rotary ---- */

void op_qk_fwd(const struct nn *x, struct mat y, real *rstd, struct mat in, const real *gain, const int *pos,
               struct qk_shape s)
{
#pragma omp parallel num_threads(x->threads)
    {
        size_t a, b;
        nn_begin(x);
        my_part((size_t)in.rows, &a, &b);
        x->k->qk_fwd(row_b(y, a), y.stride, rstd ? rstd + a * (size_t)s.n_head : NULL, row_b(in, a), in.stride,
                     gain, s.rope, pos + a, (int)(b - a), s.n_head, s.d_head, s.eps);
        nn_end(x);
    }
    nn_count(x, 7 * elems(y), elems(y) * 2 * sizeof(bf16));
}

struct qk_bwd {
    const struct kernels *k;
    struct mat dx, dy, in;
    const real *rstd, *gain;
    const int *pos;
    struct qk_shape s;
};

static void qk_bwd_block(const void *ctx, real *part, int r0, int rows)
{
    const struct qk_bwd *j = ctx;
    size_t r = (size_t)r0;
    j->k->qk_bwd(row_b(j->dx, r), j->dx.stride, part, row_f(j->dy, r), j->dy.stride, row_b(j->in, r),
                 j->in.stride, j->rstd ? j->rstd + r * (size_t)j->s.n_head : NULL, j->gain, j->s.rope, j->pos + r,
                 rows, j->s.n_head, j->s.d_head);
}

void op_qk_bwd(const struct nn *x, struct mat dx, real *dgain, struct mat dy, struct mat in, const real *rstd,
               const real *gain, const int *pos, struct qk_shape s)
{
    struct qk_bwd j = {x->k, dx, dy, in, rstd, gain, pos, s};
    by_row_blocks(x, gain ? dgain : NULL, s.d_head, in.rows, qk_bwd_block, &j);
    nn_count(x, 11 * elems(dx), elems(dx) * (sizeof(real) + 2 * sizeof(bf16)));
}

/* ---- SwiGLU ---- */

void op_swiglu_fwd(const struct nn *x, struct mat y, struct mat gu)
{
#pragma omp parallel num_threads(x->threads)
    {
        size_t a, b;
        nn_begin(x);
        my_part((size_t)y.rows, &a, &b);
        x->k->swiglu_fwd(row_b(y, a), y.stride, row_b(gu, a), gu.stride, (int)(b - a), y.cols);
        nn_end(x);
    }
    nn_count(x, 4 * elems(y), elems(y) * 3 * sizeof(bf16));
}

void op_swiglu_bwd(const struct nn *x, struct mat dgu, struct mat dy, struct mat gu)
{
#pragma omp parallel num_threads(x->threads)
    {
        size_t a, b;
        nn_begin(x);
        my_part((size_t)dy.rows, &a, &b);
        x->k->swiglu_bwd(row_b(dgu, a), dgu.stride, row_b(dy, a), dy.stride, row_b(gu, a), gu.stride,
                         (int)(b - a), dy.cols);
        nn_end(x);
    }
    nn_count(x, 9 * elems(dy), elems(dy) * 5 * sizeof(bf16));
}

/* ---- embedding ---- */

void op_embed_fwd(const struct nn *x, struct mat out, const real *table, const int *tok)
{
#pragma omp parallel num_threads(x->threads)
    {
        size_t a, b;
        nn_begin(x);
        my_part((size_t)out.rows, &a, &b);
        x->k->embed_fwd(row_fw(out, a), out.stride, table, tok + a, (int)(b - a), out.cols);
        nn_end(x);
    }
    nn_count(x, 0, elems(out) * 2 * sizeof(real));
}

void op_embed_bwd(const struct nn *x, real *dtable, struct mat dx, const int *tok)
{
    enum { COLS = 16 }; /* one cache line: no two threads write to the same one */
#pragma omp parallel num_threads(x->threads)
    {
        size_t a, b, pieces = ((size_t)dx.cols + COLS - 1) / COLS;
        nn_begin(x);
        my_part(pieces, &a, &b);
        int c0 = (int)(a * COLS), c1 = b == pieces ? dx.cols : (int)(b * COLS);
        if (c0 < c1)
            x->k->embed_bwd(dtable, mat_f(dx), dx.stride, tok, dx.rows, dx.cols, c0, c1);
        nn_end(x);
    }
    nn_count(x, elems(dx), elems(dx) * 3 * sizeof(real));
}

/* ---- vectors ---- */

void op_to_bf16(const struct nn *x, struct mat y, struct mat in)
{
#pragma omp parallel num_threads(x->threads)
    {
        size_t a, b;
        nn_begin(x);
        my_part((size_t)in.rows, &a, &b);
        for (size_t r = a; r < b; r++)
            x->k->bf16_from_f32(row_b(y, r), row_f(in, r), (size_t)in.cols);
        nn_end(x);
    }
    nn_count(x, 0, elems(in) * (sizeof(real) + sizeof(bf16)));
}

/* This thread's elements [*a, *b) of n, cut at whole blocks. */
static void my_elems(size_t n, size_t *a, size_t *b)
{
    my_part((n + SUM_BLOCK - 1) / SUM_BLOCK, a, b);
    *a = *a * SUM_BLOCK < n ? *a * SUM_BLOCK : n;
    *b = *b * SUM_BLOCK < n ? *b * SUM_BLOCK : n;
}

void op_add(const struct nn *x, real *y, const real *v, size_t n)
{
#pragma omp parallel num_threads(x->threads)
    {
        size_t a, b;
        nn_begin(x);
        my_elems(n, &a, &b);
        x->k->add(y + a, v + a, b - a);
        nn_end(x);
    }
    nn_count(x, (double)n, (double)n * 3 * sizeof(real));
}

void op_scale(const struct nn *x, real *y, real s, size_t n)
{
#pragma omp parallel num_threads(x->threads)
    {
        size_t a, b;
        nn_begin(x);
        my_elems(n, &a, &b);
        x->k->scale(y + a, s, b - a);
        nn_end(x);
    }
}

void op_zero(const struct nn *x, void *p, size_t bytes)
{
#pragma omp parallel num_threads(x->threads)
    {
        size_t a, b;
        nn_begin(x);
        my_elems(bytes, &a, &b);
        memset((char *)p + a, 0, b - a);
        nn_end(x);
    }
    nn_count(x, 0, (double)bytes);
}

bool op_finite(const struct nn *x, const real *v, size_t n)
{
    int bad = 0;
#pragma omp parallel num_threads(x->threads) reduction(+ : bad)
    {
        size_t a, b;
        nn_begin(x);
        my_elems(n, &a, &b);
        bad += !x->k->finite(v + a, b - a);
        nn_end(x);
    }
    return bad == 0;
}

/* ---- long scalar sums ---- */

/* NUMERICS §4. */
static real sum16(const real *v, size_t n)
{
    real lane[16] = {0};
    for (size_t i = 0; i < n; i++)
        lane[i % 16] += v[i];
    for (int w = 8; w > 0; w /= 2)
        for (int l = 0; l < w; l++)
            lane[l] += lane[l + w];
    return lane[0];
}

typedef real block_sum_fn(const real *v, size_t n);

static size_t blocks_of(const struct op_vec *v) { return (v->n + SUM_BLOCK - 1) / SUM_BLOCK; }

/* Sums of blocks [b0, b1), counted through all vectors, into part. */
static void some_blocks(real *part, const struct op_vec *v, int n, size_t b0, size_t b1, block_sum_fn *f)
{
    size_t first = 0;
    for (int i = 0; i < n && first < b1; first += blocks_of(&v[i++])) {
        size_t lo = b0 > first ? b0 - first : 0, hi = b1 - first < blocks_of(&v[i]) ? b1 - first : blocks_of(&v[i]);
        for (size_t b = lo; b < hi; b++) {
            size_t e0 = b * SUM_BLOCK, len = v[i].n - e0 < SUM_BLOCK ? v[i].n - e0 : SUM_BLOCK;
            part[first + b - b0] = f(v[i].p + e0, len);
        }
    }
}

/* Block sums in parallel into the shared space, then added to their vector's in ascending order in binary64. */
static void sum_blocks(const struct nn *x, double *sum, const struct op_vec *v, int n, block_sum_fn *f)
{
    size_t group = x->shared_bytes / sizeof(real), blocks = 0, at = 0, elements = 0;
    real *part = x->shared;
    for (int i = 0; i < n; i++) {
        sum[i] = 0;
        blocks += blocks_of(&v[i]);
        elements += v[i].n;
    }
    int i = 0;
    for (size_t g0 = 0; g0 < blocks; g0 += group) {
        size_t here = blocks - g0 < group ? blocks - g0 : group;
#pragma omp parallel num_threads(x->threads)
        {
            size_t a, b;
            nn_begin(x);
            my_part(here, &a, &b);
            some_blocks(part + a, v, n, g0 + a, g0 + b, f);
            nn_end(x);
        }
        for (size_t k = 0; k < here; k++, at++) {
            while (at == blocks_of(&v[i])) {
                i++;
                at = 0;
            }
            sum[i] += (double)part[k];
        }
    }
    nn_count(x, 2 * (double)elements, (double)elements * sizeof(real));
}

double op_sum(const struct nn *x, const real *v, size_t n)
{
    double sum;
    sum_blocks(x, &sum, &(struct op_vec){v, n}, 1, sum16);
    return sum;
}

double op_sum_sq(const struct nn *x, const real *v, size_t n)
{
    double sum;
    op_sums_sq(x, &sum, &(struct op_vec){v, n}, 1);
    return sum;
}

void op_sums_sq(const struct nn *x, double *sum, const struct op_vec *v, int n)
{
    sum_blocks(x, sum, v, n, x->k->sum_sq);
}
