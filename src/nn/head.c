/* The fused head: logits of a chunk of rows, their loss, their gradient, and on to the next chunk. */
#include "nn/ops.h"

#include <omp.h>

#include "nn/gemm.h"

/* A chunk must be large enough to pay for packing the whole head three times (each product packs vocab·d
 * weights or gradients for its chunk rows: at 512 rows a twelfth of the time, at 1024 half that) and small enough
 * to stay well below the activations. */
enum { CHUNK_BYTES = 192 << 20, MAX_CHUNK = 1024 };

/* Rows of a chunk: a function of the vocabulary alone, a multiple of OP_ROWS. dW accumulates over blocks of
 * 32 rows in ascending order whatever the chunk, so no result depends on it. */
static int chunk_rows(int vocab)
{
    size_t row = (size_t)vocab * (sizeof(real) + sizeof(bf16));
    size_t n = CHUNK_BYTES / row / OP_ROWS * OP_ROWS;
    return n > MAX_CHUNK ? MAX_CHUNK : n < OP_ROWS ? OP_ROWS : (int)n;
}

static size_t logits_bytes(int vocab, int rows)
{
    return ((size_t)rows * (size_t)vocab * sizeof(real) + 63) / 64 * 64;
}

size_t op_head_space(int vocab, int rows, bool backward)
{
    int chunk = chunk_rows(vocab);
    rows = rows < chunk ? rows : chunk;
    return logits_bytes(vocab, rows) + (backward ? (size_t)rows * (size_t)vocab * sizeof(bf16) : 0);
}

/* Index of the largest of n values, the first on ties. */
static int arg_max(const real *z, int n)
{
    enum { LANES = 16 };
    real best[LANES];
    int i = 0;
    for (int l = 0; l < LANES; l++)
        best[l] = z[0];
    for (; i + LANES <= n; i += LANES)
        for (int l = 0; l < LANES; l++)
            best[l] = z[i + l] > best[l] ? z[i + l] : best[l];
    for (; i < n; i++)
        best[0] = z[i] > best[0] ? z[i] : best[0];
    for (int l = 1; l < LANES; l++)
        best[0] = best[l] > best[0] ? best[l] : best[0];
    for (i = 0; i < n - 1 && !(z[i] == best[0]); i++)
        ;
    return i;
}

struct chunk {
    struct mat logits, dlogits; /* dlogits.p == NULL: loss only */
    real *loss;
    int *argmax;
    const int *target;
    real scale;
};

static void chunk_loss(const struct nn *x, const struct chunk *c)
{
#pragma omp parallel num_threads(x->threads)
    {
        nn_begin(x);
#pragma omp for schedule(static) nowait
        for (int r = 0; r < c->logits.rows; r++) {
            const real *z = mat_f(c->logits) + (ptrdiff_t)r * c->logits.stride;
            bf16 *dz = c->dlogits.p ? mat_b(c->dlogits) + (ptrdiff_t)r * c->dlogits.stride : NULL;
            if (c->argmax)
                c->argmax[r] = arg_max(z, c->logits.cols);
            x->k->cross_entropy(dz, &c->loss[r], z, c->logits.cols, c->target[r], c->scale);
        }
        nn_end(x);
    }
    double n = (double)c->logits.rows * c->logits.cols;
    nn_count(x, 5 * n, n * (sizeof(real) + (c->dlogits.p ? sizeof(bf16) : 0)));
}

/* With p = softmax(h·Wᵀ) of a row and t its target: dlogits = scale·(p − e_t), dh = dlogits·W,
 * dW += dlogitsᵀ·h.  The last two are never made of 8-bit integers (NUMERICS §3a). */
void op_head_loss(const struct nn *x, real *loss, struct mat dh, real *dw, int *argmax, struct mat h,
                  struct mat w, const int *target, real scale, bool i8, void *space)
{
    int chunk = chunk_rows(w.rows) < h.rows ? chunk_rows(w.rows) : h.rows;
    bf16 *dz = (bf16 *)((char *)space + logits_bytes(w.rows, chunk));
    for (int r0 = 0; r0 < h.rows; r0 += chunk) {
        int n = h.rows - r0 < chunk ? h.rows - r0 : chunk;
        struct mat hc = mat_rows(h, r0, n);
        struct chunk c = {.logits = mat_f32(space, n, w.rows),
                          .loss = loss + r0,
                          .argmax = argmax ? argmax + r0 : NULL,
                          .target = target + r0,
                          .scale = scale};
        if (dh.p)
            c.dlogits = mat_bf16(dz, n, w.rows);
        gemm(x, &(struct gemm_args){.c = c.logits, .a = hc, .b = w, .b_trans = true, .i8 = i8});
        nn_mark(x, WATCH_LOGITS);
        chunk_loss(x, &c);
        nn_mark(x, WATCH_LOSS);
        if (!dh.p)
            continue;
        struct mat dwm = mat_f32(dw, w.rows, w.cols);
        gemm(x, &(struct gemm_args){.c = mat_rows(dh, r0, n), .a = c.dlogits, .b = w});
        nn_mark(x, WATCH_HEAD_DX);
        gemm(x, &(struct gemm_args){.c = dwm, .init = dwm, .a = c.dlogits, .a_trans = true, .b = hc});
        nn_mark(x, WATCH_HEAD_DW);
    }
}
