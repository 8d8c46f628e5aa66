/* Sixteen lanes of the profile: elementary functions (formulas in kernels/math_poly.h), bf16, the sum16
 * tree, and masks for tails.  Bit-equal to kernels/ref under FTZ|DAZ. */
#ifndef DK_KERNELS_AVX512_MATH_AVX512_H
#define DK_KERNELS_AVX512_MATH_AVX512_H

#include <immintrin.h>
#include <stddef.h>

#include "kernels/kernels.h"
#include "kernels/math_poly.h"

/* The first n lanes, n clipped to [0, 16]. */
static inline __mmask16 tail_avx512(ptrdiff_t n)
{
    return n >= 16 ? (__mmask16)0xffff : n <= 0 ? (__mmask16)0 : (__mmask16)((1u << n) - 1);
}

/* 2^k·q(r) of the reduced argument; lanes outside `keep` give +0. */
static inline __m512 exp_core_avx512(__m512 x, __mmask16 keep)
{
    const __m512 magic = _mm512_set1_ps(EXP_MAGIC), one = _mm512_set1_ps(1.0f);
    __m512 k = _mm512_sub_ps(_mm512_fmadd_ps(x, _mm512_set1_ps(EXP_LOG2E), magic), magic);
    __m512 r = _mm512_fnmadd_ps(k, _mm512_set1_ps(EXP_LN2_HI), x);
    r = _mm512_fnmadd_ps(k, _mm512_set1_ps(EXP_LN2_LO), r);
    __m512 q = _mm512_fmadd_ps(_mm512_set1_ps(EXP_C6), r, _mm512_set1_ps(EXP_C5));
    q = _mm512_fmadd_ps(q, r, _mm512_set1_ps(EXP_C4));
    q = _mm512_fmadd_ps(q, r, _mm512_set1_ps(EXP_C3));
    q = _mm512_fmadd_ps(q, r, _mm512_set1_ps(EXP_C2));
    q = _mm512_fmadd_ps(q, r, one);
    q = _mm512_fmadd_ps(q, r, one);
    return _mm512_maskz_scalef_ps(keep, q, k);
}

static inline __m512 exp_f32_avx512(__m512 x)
{
    /* "Not less", so that NaN stays; min returns its second operand for NaN. */
    __mmask16 keep = _mm512_cmp_ps_mask(x, _mm512_set1_ps(EXP_LO), _CMP_NLT_UQ);
    return exp_core_avx512(_mm512_min_ps(_mm512_set1_ps(EXP_HI), x), keep);
}

/* exp for x that cannot exceed EXP_HI (softmax: x ≤ 0); NaN stays. */
static inline __m512 exp_neg_f32_avx512(__m512 x)
{
    return exp_core_avx512(x, _mm512_cmp_ps_mask(x, _mm512_set1_ps(EXP_LO), _CMP_NLT_UQ));
}

static inline __m512 sigmoid_f32_avx512(__m512 x)
{
    const __m512 one = _mm512_set1_ps(1.0f);
    __m512 e = exp_neg_f32_avx512(_mm512_or_ps(x, _mm512_set1_ps(-0.0f)));
    __mmask16 pos = _mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_GE_OQ);
    return _mm512_div_ps(_mm512_mask_mov_ps(e, pos, one), _mm512_add_ps(one, e));
}

/* bf16 of each lane in the upper half of the lane (the lower half is rubbish). */
static inline __m512i bf16_high_avx512(__m512 x)
{
    __m512i u = _mm512_castps_si512(x);
    __mmask16 tiny = _mm512_testn_epi32_mask(u, _mm512_set1_epi32(0x7f800000));
    __mmask16 nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
    __m512i odd = _mm512_and_si512(_mm512_srli_epi32(u, 16), _mm512_set1_epi32(1));
    __m512i r = _mm512_add_epi32(_mm512_add_epi32(u, _mm512_set1_epi32(0x7fff)), odd);
    r = _mm512_mask_and_epi32(r, tiny, u, _mm512_set1_epi32((int)0x80000000u));
    return _mm512_mask_or_epi32(r, nan, u, _mm512_set1_epi32(0x00400000));
}

static inline __m256i bf16_pack_avx512(__m512 x)
{
    return _mm512_cvtepi32_epi16(_mm512_srli_epi32(bf16_high_avx512(x), 16));
}

/* The value a lane would have after a trip through bf16. */
static inline __m512 bf16_rounded_avx512(__m512 x)
{
    return _mm512_castsi512_ps(
        _mm512_and_si512(bf16_high_avx512(x), _mm512_set1_epi32((int)0xffff0000u)));
}

static inline void bf16_store_avx512(bf16 *y, __m512 x)
{
    _mm256_storeu_si256((__m256i *)y, bf16_pack_avx512(x));
}
static inline void bf16_mask_store_avx512(bf16 *y, __mmask16 k, __m512 x)
{
    _mm256_mask_storeu_epi16(y, k, bf16_pack_avx512(x));
}
static inline __m512 bf16_widen_avx512(__m256i h)
{
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(h), 16));
}
static inline __m512 bf16_load_avx512(const bf16 *x)
{
    return bf16_widen_avx512(_mm256_loadu_si256((const __m256i *)x));
}
static inline __m512 bf16_mask_load_avx512(const bf16 *x, __mmask16 k)
{
    return bf16_widen_avx512(_mm256_maskz_loadu_epi16(k, x));
}

/* The tree of NUMERICS §4. */
static inline float lanes_sum_avx512(__m512 v)
{
    __m256 a = _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
    __m128 b = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    b = _mm_add_ps(b, _mm_movehl_ps(b, b));
    return _mm_cvtss_f32(_mm_add_ss(b, _mm_movehdup_ps(b)));
}
/* b > a ? b : a, as max_ps(b, a) does. */
static inline float lanes_max_avx512(__m512 v)
{
    __m256 a = _mm256_max_ps(_mm512_extractf32x8_ps(v, 1), _mm512_castps512_ps256(v));
    __m128 b = _mm_max_ps(_mm256_extractf128_ps(a, 1), _mm256_castps256_ps128(a));
    b = _mm_max_ps(_mm_movehl_ps(b, b), b);
    return _mm_cvtss_f32(_mm_max_ss(_mm_movehdup_ps(b), b));
}

#endif
