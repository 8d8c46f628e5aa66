/* Eight lanes of the profile: elementary functions (formulas in kernels/math_poly.h), bf16, the sum16
 * tree over two registers, and masks for tails.  Bit-equal to kernels/ref under FTZ|DAZ. */
#ifndef DK_KERNELS_AVX2_MATH_AVX2_H
#define DK_KERNELS_AVX2_MATH_AVX2_H

#include <immintrin.h>
#include <stddef.h>
#include <string.h>

#include "kernels/kernels.h"
#include "kernels/math_poly.h"

/* All ones in the first n lanes, n clipped to [0, 8]. */
static inline __m256i tail_avx2(ptrdiff_t n)
{
    int c = n > 8 ? 8 : n < 0 ? 0 : (int)n;
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(c), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

/* q(r) with k added to its exponent, for EXP_LO ≤ x and a result below 2^128. */
static inline __m256 exp_core_avx2(__m256 x)
{
    const __m256 magic = _mm256_set1_ps(EXP_MAGIC), one = _mm256_set1_ps(1.0f);
    __m256 t = _mm256_fmadd_ps(x, _mm256_set1_ps(EXP_LOG2E), magic);
    __m256 k = _mm256_sub_ps(t, magic);
    __m256 r = _mm256_fnmadd_ps(k, _mm256_set1_ps(EXP_LN2_HI), x);
    r = _mm256_fnmadd_ps(k, _mm256_set1_ps(EXP_LN2_LO), r);
    __m256 q = _mm256_fmadd_ps(_mm256_set1_ps(EXP_C6), r, _mm256_set1_ps(EXP_C5));
    q = _mm256_fmadd_ps(q, r, _mm256_set1_ps(EXP_C4));
    q = _mm256_fmadd_ps(q, r, _mm256_set1_ps(EXP_C3));
    q = _mm256_fmadd_ps(q, r, _mm256_set1_ps(EXP_C2));
    q = _mm256_fmadd_ps(q, r, one);
    q = _mm256_fmadd_ps(q, r, one);
    /* The low bits of t are k, and EXP_MAGIC has none in the nine that survive the shift. */
    __m256i n = _mm256_slli_epi32(_mm256_castps_si256(t), 23);
    return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(q), n));
}

static inline __m256 exp_f32_avx2(__m256 x)
{
    __m256 low = _mm256_cmp_ps(x, _mm256_set1_ps(EXP_LO), _CMP_LT_OQ);
    /* Above EXP_MAX the result is +inf, and NaN stays: x + inf is both. */
    __m256 high = _mm256_cmp_ps(x, _mm256_set1_ps(EXP_MAX), _CMP_NLE_UQ);
    __m256 top = _mm256_add_ps(x, _mm256_set1_ps(__builtin_inff()));
    return _mm256_blendv_ps(_mm256_andnot_ps(low, exp_core_avx2(x)), top, high);
}

/* exp for x ≤ EXP_MAX (softmax: x ≤ 0); NaN stays a NaN. */
static inline __m256 exp_neg_f32_avx2(__m256 x)
{
    __m256 low = _mm256_cmp_ps(x, _mm256_set1_ps(EXP_LO), _CMP_LT_OQ);
    __m256 nan = _mm256_cmp_ps(x, x, _CMP_UNORD_Q);
    return _mm256_or_ps(_mm256_andnot_ps(low, exp_core_avx2(x)), nan);
}

static inline __m256 sigmoid_f32_avx2(__m256 x)
{
    const __m256 one = _mm256_set1_ps(1.0f);
    __m256 e = exp_neg_f32_avx2(_mm256_or_ps(x, _mm256_set1_ps(-0.0f)));
    /* The sign bit chooses: −0 takes e = 1, the same bits. */
    return _mm256_div_ps(_mm256_blendv_ps(one, e, x), _mm256_add_ps(one, e));
}

/* bf16 of each lane in the lower half of the lane, the upper half zero. */
static inline __m256i bf16_low_avx2(__m256 x)
{
    __m256i u = _mm256_castps_si256(x);
    __m256i tiny = _mm256_cmpeq_epi32(_mm256_and_si256(u, _mm256_set1_epi32(0x7f800000)),
                                      _mm256_setzero_si256());
    __m256 nan = _mm256_cmp_ps(x, x, _CMP_UNORD_Q);
    __m256i odd = _mm256_and_si256(_mm256_srli_epi32(u, 16), _mm256_set1_epi32(1));
    __m256i r = _mm256_add_epi32(_mm256_add_epi32(u, _mm256_set1_epi32(0x7fff)), odd);
    /* A denormal rounds at most to 0x00800000: clearing all but the sign is its zero. */
    r = _mm256_andnot_si256(_mm256_and_si256(tiny, _mm256_set1_epi32(0x7fffffff)), r);
    __m256i quiet = _mm256_or_si256(u, _mm256_set1_epi32(0x00400000));
    r = _mm256_castps_si256(
        _mm256_blendv_ps(_mm256_castsi256_ps(r), _mm256_castsi256_ps(quiet), nan));
    return _mm256_srli_epi32(r, 16);
}

/* Eight bf16 of one register. */
static inline __m128i bf16_pack_avx2(__m256 x)
{
    __m256i r = bf16_low_avx2(x);
    return _mm_packus_epi32(_mm256_castsi256_si128(r), _mm256_extracti128_si256(r, 1));
}

/* The value a lane would have after a trip through bf16. */
static inline __m256 bf16_rounded_avx2(__m256 x)
{
    return _mm256_castsi256_ps(_mm256_slli_epi32(bf16_low_avx2(x), 16));
}

static inline void bf16_store_avx2(bf16 *y, __m256 x)
{
    _mm_storeu_si128((__m128i *)y, bf16_pack_avx2(x));
}
/* The first n < 8 elements. */
static inline void bf16_tail_store_avx2(bf16 *y, ptrdiff_t n, __m256 x)
{
    bf16 b[8];
    bf16_store_avx2(b, x);
    memcpy(y, b, (size_t)n * sizeof *y);
}
static inline __m256 bf16_widen_avx2(__m128i h)
{
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(h), 16));
}
static inline __m256 bf16_load_avx2(const bf16 *x)
{
    return bf16_widen_avx2(_mm_loadu_si128((const __m128i *)x));
}
/* The first n < 8 elements, the rest +0. */
static inline __m256 bf16_tail_load_avx2(const bf16 *x, ptrdiff_t n)
{
    bf16 b[8] = {{0}};
    memcpy(b, x, (size_t)n * sizeof *x);
    return bf16_load_avx2(b);
}

/* The tree of NUMERICS §4: lo holds lanes 0–7, hi 8–15. */
static inline float lanes_sum_avx2(__m256 lo, __m256 hi)
{
    __m256 a = _mm256_add_ps(lo, hi);
    __m128 b = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    b = _mm_add_ps(b, _mm_movehl_ps(b, b));
    return _mm_cvtss_f32(_mm_add_ss(b, _mm_movehdup_ps(b)));
}
/* b > a ? b : a, as max_ps(b, a) does. */
static inline float lanes_max_avx2(__m256 lo, __m256 hi)
{
    __m256 a = _mm256_max_ps(hi, lo);
    __m128 b = _mm_max_ps(_mm256_extractf128_ps(a, 1), _mm256_castps256_ps128(a));
    b = _mm_max_ps(_mm_movehl_ps(b, b), b);
    return _mm_cvtss_f32(_mm_max_ss(_mm_movehdup_ps(b), b));
}

#endif
