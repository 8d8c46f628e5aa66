/* The element-wise kernels of AVX2, by name; elem_avx2.c puts them into the table.  A sum16 is two
 * registers of eight lanes; tails of plain element-wise loops are left to the reference. */
#ifndef DK_KERNELS_AVX2_ELEM_AVX2_H
#define DK_KERNELS_AVX2_ELEM_AVX2_H

#include "kernels/avx2/math_avx2.h"
#include "kernels/ref/elem_ref.h"

void rmsnorm_fwd_f32_avx2(bf16 *y, ptrdiff_t ldy, float *rstd, const float *x, ptrdiff_t ldx,
                          const float *gain, int rows, int n, float eps);
void rmsnorm_bwd_f32_avx2(float *dx, ptrdiff_t lddx, float *dgain, const bf16 *dy, ptrdiff_t lddy,
                          const float *x, ptrdiff_t ldx, const float *rstd, const float *gain,
                          int rows, int n);
void qk_fwd_bf16_avx2(bf16 *y, ptrdiff_t ldy, float *rstd, const bf16 *x, ptrdiff_t ldx,
                      const float *gain, struct rope_table rope, const int *pos, int rows, int n_head,
                      int d_head, float eps);
void qk_bwd_bf16_avx2(bf16 *dx, ptrdiff_t lddx, float *dgain, const float *dy, ptrdiff_t lddy,
                      const bf16 *x, ptrdiff_t ldx, const float *rstd, const float *gain,
                      struct rope_table rope, const int *pos, int rows, int n_head, int d_head);

void swiglu_fwd_bf16_avx2(bf16 *y, ptrdiff_t ldy, const bf16 *gu, ptrdiff_t ldgu, int rows, int ff);
void swiglu_bwd_bf16_avx2(bf16 *dgu, ptrdiff_t lddgu, const bf16 *dy, ptrdiff_t lddy, const bf16 *gu,
                          ptrdiff_t ldgu, int rows, int ff);
void cross_entropy_f32_avx2(bf16 *dlogits, float *loss, const float *logits, int n, int target,
                            float scale);
void softmax_f32_avx2(float *y, const float *x, int n);
void exp_n_avx2(float *y, const float *x, size_t n);
void sigmoid_n_avx2(float *y, const float *x, size_t n);

/* The sixteen lanes of a sum. */
struct lanes {
    __m256 lo, hi;
};

/* lane + a·b where `keep` is set: a skipped element must not turn a −0 into +0. */
static inline __m256 keep_fma_avx2(__m256 a, __m256 b, __m256 lane, __m256i keep)
{
    return _mm256_blendv_ps(lane, _mm256_fmadd_ps(a, b, lane), _mm256_castsi256_ps(keep));
}

#endif
