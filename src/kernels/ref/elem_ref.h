/* The element-wise kernels of the reference, by name: vector files fall back to them for shapes they
 * do not specialise.  The formulas are in kernels/kernels.h. */
#ifndef DK_KERNELS_REF_ELEM_REF_H
#define DK_KERNELS_REF_ELEM_REF_H

#include <math.h>

#include "kernels/fp.h"
#include "kernels/kernels.h"

enum { LANES = 16 };

/* The tree of NUMERICS §4 over 16 lanes; v is overwritten. */
static inline real lanes_sum(real v[LANES])
{
    for (int h = LANES / 2; h > 0; h /= 2)
        for (int l = 0; l < h; l++)
            v[l] = v[l] + v[l + h];
    return v[0];
}

/* The same tree for maxima: b > a ? b : a, so the lower lane wins ties and a NaN never enters. */
static inline real lanes_max(real v[LANES])
{
    for (int h = LANES / 2; h > 0; h /= 2)
        for (int l = 0; l < h; l++)
            v[l] = v[l + h] > v[l] ? v[l + h] : v[l];
    return v[0];
}

void bf16_from_f32_ref(bf16 *y, const real *x, size_t n);
void f32_from_bf16_ref(real *y, const bf16 *x, size_t n);
void add_f32_ref(real *y, const real *x, size_t n);
void scale_f32_ref(real *y, real a, size_t n);
bool finite_f32_ref(const real *x, size_t n);
real sum_sq_f32_ref(const real *x, size_t n);
void embed_fwd_f32_ref(real *x, ptrdiff_t ldx, const real *table, const int *tok, int rows, int d);
void embed_bwd_f32_ref(real *dtable, const real *dx, ptrdiff_t lddx, const int *tok, int rows, int d,
                       int c0, int c1);
void adamw_f32_ref(real *w, real *m, real *v, const real *g, size_t n, const struct adamw_args *a);
void muon_momentum_f32_ref(real *u, real *m, const real *g, size_t n, real mu, real grad_scale);
void axpby_f32_ref(real *y, real a, const real *x, real b, const real *z, size_t n);
void muon_apply_f32_ref(real *w, const real *x, size_t n, real lr, real weight_decay, bool cautious);

void rmsnorm_fwd_f32_ref(bf16 *y, ptrdiff_t ldy, real *rstd, const real *x, ptrdiff_t ldx,
                         const real *gain, int rows, int n, real eps);
void rmsnorm_bwd_f32_ref(real *dx, ptrdiff_t lddx, real *dgain, const bf16 *dy, ptrdiff_t lddy,
                         const real *x, ptrdiff_t ldx, const real *rstd, const real *gain, int rows,
                         int n);
void qk_fwd_bf16_ref(bf16 *y, ptrdiff_t ldy, real *rstd, const bf16 *x, ptrdiff_t ldx,
                     const real *gain, struct rope_table rope, const int *pos, int rows, int n_head,
                     int d_head, real eps);
void qk_bwd_bf16_ref(bf16 *dx, ptrdiff_t lddx, real *dgain, const real *dy, ptrdiff_t lddy,
                     const bf16 *x, ptrdiff_t ldx, const real *rstd, const real *gain,
                     struct rope_table rope, const int *pos, int rows, int n_head, int d_head);

void swiglu_fwd_bf16_ref(bf16 *y, ptrdiff_t ldy, const bf16 *gu, ptrdiff_t ldgu, int rows, int ff);
void swiglu_bwd_bf16_ref(bf16 *dgu, ptrdiff_t lddgu, const bf16 *dy, ptrdiff_t lddy, const bf16 *gu,
                         ptrdiff_t ldgu, int rows, int ff);
void cross_entropy_f32_ref(bf16 *dlogits, real *loss, const real *logits, int n, int target,
                           real scale);
void softmax_f32_ref(real *y, const real *x, int n);
void exp_f32_ref(real *y, const real *x, size_t n);
void sigmoid_f32_ref(real *y, const real *x, size_t n);

#endif
