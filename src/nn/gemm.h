/* Matrix products of NUMERICS §3 and §3a: packing, cache blocking and threads around a gemm_unit.
 *
 *   c = init + A·B     c (m, n) f32 or bf16; A (m, k); B (k, n); A, B f32 (rounded to bf16 when
 *                      packed; with i8 quantised as they are) or bf16
 *
 * a_trans: `a` is stored (k, m).  b_trans: `b` is stored (n, k), as weights are.  The three
 * products of a linear layer y = x·Wᵀ are therefore
 *
 *   y  = x·Wᵀ          a = x,  b = W, b_trans
 *   dx = dy·W          a = dy, b = W
 *   dW += dyᵀ·x        a = dy, a_trans, b = x, init = dW
 *
 * init.p == NULL: c starts at +0.  init may be c itself (accumulate) or another f32 matrix of
 * c's shape (residual add).  bf16 c is rounded once from the finished f32 value.  Threads own
 * blocks of c; K is never split between threads.  With i8 groups of I8_GROUP begin at the first k
 * of a call: who makes a product by several calls along k cuts at multiples of it. */
#ifndef DK_NN_GEMM_H
#define DK_NN_GEMM_H

#include "nn/nn.h"

struct gemm_args {
    struct mat c, init, a, b;
    bool a_trans, b_trans;
    bool i8;                /* by 8-bit integers (NUMERICS §3a; profile T2), not bf16 (§3) */
    bool lower;             /* c is known to be symmetric: only blocks that touch its lower triangle are computed,
                               what lies in the others is undefined; see gemm_mirror */
    struct mat post;        /* post.p != NULL (f32, not c): once finished, c = fma(post_scale, post, scale·c) */
    real post_scale, scale;
};
void gemm(const struct nn *x, const struct gemm_args *g);
/* No gradient: the optimizer's. The upper triangle of a square f32 matrix from its lower one. */
void gemm_mirror(const struct nn *x, struct mat c);

/* Weights packed once for inference: bf16 panels of kernels.h (WP_NR), several matrices of equal
 * cols stacked by rows into one. */
struct wpack {
    bf16 *p;
    int n, k;    /* output columns, depth */
};
size_t wpack_elems(int n, int k);
/* Inference only. Stacks `w` below the `row0` rows already there. row0 must be a multiple of WP_NR. */
void wpack_fill(const struct nn *x, struct wpack *dst, int row0, struct mat w);
/* Inference only. c = init + x·Wᵀ; few rows stream the panels, many rows run at gemm speed; same bits as gemm(). */
void gemm_wp(const struct nn *x, struct mat c, struct mat init, struct mat a, const struct wpack *w);

#endif
