/* The ops of the network as forward/backward pairs over matrices of token rows; threads inside.
 * The formula of each is beside its kernel in kernels/kernels.h.  Row-block reductions (gain
 * gradients, losses) use blocks of OP_ROWS rows anchored at row 0, added in ascending order; a
 * micro-batch is a whole number of such blocks, so results do not depend on how a batch is cut. */
#ifndef DK_NN_OPS_H
#define DK_NN_OPS_H

#include "nn/nn.h"

enum { OP_ROWS = 32 };

/* y bf16 (rows, n); rstd (rows). */
void op_rmsnorm_fwd(const struct nn *x, struct mat y, real *rstd, struct mat in, const real *gain,
                    real eps);
/* dx += …, dgain += …; dy bf16. */
void op_rmsnorm_bwd(const struct nn *x, struct mat dx, real *dgain, struct mat dy, struct mat in,
                    const real *rstd, const real *gain);

/* Per-head norm and rotary: y (rows, n_head·d_head) bf16 from x bf16; gain NULL: no norm. */
struct qk_shape {
    int n_head, d_head;
    real eps;
    struct rope_table rope;
};
void op_qk_fwd(const struct nn *x, struct mat y, real *rstd, struct mat in, const real *gain,
               const int *pos, struct qk_shape s);
void op_qk_bwd(const struct nn *x, struct mat dx, real *dgain, struct mat dy, struct mat in,
               const real *rstd, const real *gain, const int *pos, struct qk_shape s);

/* gu (rows, 2·ff) bf16 → y (rows, ff) bf16. */
void op_swiglu_fwd(const struct nn *x, struct mat y, struct mat gu);
void op_swiglu_bwd(const struct nn *x, struct mat dgu, struct mat dy, struct mat gu);

/* out (rows, d) f32 = table[tok]. */
void op_embed_fwd(const struct nn *x, struct mat out, const real *table, const int *tok);
void op_embed_bwd(const struct nn *x, real *dtable, struct mat dx, const int *tok);

/* y (bf16) = in (f32), matrices of equal shape. No gradient: a change of representation. */
void op_to_bf16(const struct nn *x, struct mat y, struct mat in);

/* Fused head and cross-entropy: logits = h·Wᵀ exist for a chunk of rows at a time only, in at most about
 * 192 MiB (or what 32 rows need); no result depends on the chunk.
 * h (rows, d) bf16, w (vocab, d) f32, target (rows), −1: no loss there.
 *   loss[r] = −log softmax(logits[r])[target[r]]
 * With dh != NULL also dh (bf16, written) and dw += dlogitsᵀ·h, for the loss sum times `scale`.
 * i8: the logits are made of 8-bit integers.
 * argmax (rows) or NULL: the most likely token (lowest id on ties). `space` holds
 * op_head_space(vocab, rows, dh != NULL) bytes. */
size_t op_head_space(int vocab, int rows, bool backward);
void op_head_loss(const struct nn *x, real *loss, struct mat dh, real *dw, int *argmax, struct mat h,
                  struct mat w, const int *target, real scale, bool i8, void *space);

/* Binary64 sum of f32 values: sum16 per block of 4096 elements, blocks ascending. */
double op_sum(const struct nn *x, const real *v, size_t n);
/* Binary64 sum of squares with the same blocks. */
double op_sum_sq(const struct nn *x, const real *v, size_t n);
struct op_vec {
    const real *p;
    size_t n;
};
/* The same of each of n vectors. No gradient: for the norm of gradients. */
void op_sums_sq(const struct nn *x, double *sum, const struct op_vec *v, int n);
/* Plain vectors: y += v; y *= a; zeros; no NaN and no infinity. No gradient: they move gradients themselves. */
void op_add(const struct nn *x, real *y, const real *v, size_t n);
void op_scale(const struct nn *x, real *y, real a, size_t n);
void op_zero(const struct nn *x, void *p, size_t bytes);
bool op_finite(const struct nn *x, const real *v, size_t n);

#endif
