/* The element-wise kernels of AVX-512, by name; elem_avx512.c puts them into the table.  Each is a
 * body over sixteen lanes and a mask, run over whole vectors and once over the tail. */
#ifndef DK_KERNELS_AVX512_ELEM_AVX512_H
#define DK_KERNELS_AVX512_ELEM_AVX512_H

#include "kernels/avx512/math_avx512.h"
#include "kernels/ref/elem_ref.h"

enum { ALL_LANES = 0xffff };

void rmsnorm_fwd_f32_avx512(bf16 *y, ptrdiff_t ldy, float *rstd, const float *x, ptrdiff_t ldx,
                            const float *gain, int rows, int n, float eps);
void rmsnorm_bwd_f32_avx512(float *dx, ptrdiff_t lddx, float *dgain, const bf16 *dy, ptrdiff_t lddy,
                            const float *x, ptrdiff_t ldx, const float *rstd, const float *gain,
                            int rows, int n);
void qk_fwd_bf16_avx512(bf16 *y, ptrdiff_t ldy, float *rstd, const bf16 *x, ptrdiff_t ldx,
                        const float *gain, struct rope_table rope, const int *pos, int rows,
                        int n_head, int d_head, float eps);
void qk_bwd_bf16_avx512(bf16 *dx, ptrdiff_t lddx, float *dgain, const float *dy, ptrdiff_t lddy,
                        const bf16 *x, ptrdiff_t ldx, const float *rstd, const float *gain,
                        struct rope_table rope, const int *pos, int rows, int n_head, int d_head);

void swiglu_fwd_bf16_avx512(bf16 *y, ptrdiff_t ldy, const bf16 *gu, ptrdiff_t ldgu, int rows, int ff);
void swiglu_bwd_bf16_avx512(bf16 *dgu, ptrdiff_t lddgu, const bf16 *dy, ptrdiff_t lddy,
                            const bf16 *gu, ptrdiff_t ldgu, int rows, int ff);
void cross_entropy_f32_avx512(bf16 *dlogits, float *loss, const float *logits, int n, int target,
                              float scale);
void softmax_f32_avx512(float *y, const float *x, int n);
void exp_n_avx512(float *y, const float *x, size_t n);
void sigmoid_n_avx512(float *y, const float *x, size_t n);

#endif
