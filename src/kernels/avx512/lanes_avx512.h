/* Reading an operand as bf16 pairs, 16 rows × 32 k at a time: the common first step of every
 * packing for AVX-512 and AMX.  A 32-bit lane is one pair: k even in the low half, k odd in the
 * high half. Rows and k beyond the end are +0 and are not read. */
#ifndef DK_KERNELS_AVX512_LANES_H
#define DK_KERNELS_AVX512_LANES_H

#include <immintrin.h>

#include "kernels/kernels.h"

#define LANES_INLINE static inline __attribute__((always_inline))

LANES_INLINE __mmask16 mask16(int n)
{
    return n >= 16 ? (__mmask16)0xffff : n <= 0 ? 0 : (__mmask16)((1u << n) - 1u);
}
LANES_INLINE __mmask32 mask32(int n)
{
    return n >= 32 ? (__mmask32)~0u : n <= 0 ? 0 : (__mmask32)((1u << n) - 1u);
}

/* bf16_round of 16 lanes; the result is the upper half of each lane, the lower is left over. */
LANES_INLINE __m512i round_upper(__m512i u)
{
    const __m512i expo = _mm512_set1_epi32(0x7f800000), sign = _mm512_set1_epi32((int)0x80000000u);
    __m512i odd = _mm512_and_si512(_mm512_srli_epi32(u, 16), _mm512_set1_epi32(1));
    __m512i r = _mm512_add_epi32(_mm512_add_epi32(u, _mm512_set1_epi32(0x7fff)), odd);
    __mmask16 nan = _mm512_cmpgt_epi32_mask(_mm512_andnot_si512(sign, u), expo);
    __mmask16 tiny = _mm512_testn_epi32_mask(u, expo);
    r = _mm512_mask_or_epi32(r, nan, u, _mm512_set1_epi32(0x00400000));
    return _mm512_mask_and_epi32(r, tiny, u, sign);
}

/* bf16_round of 32 values, in their order: lo, then hi.  VCVTNE2PS2BF16 gives that for every input, NaN included
 * (tests/kernels/test_math.c goes through all of them). */
LANES_INLINE __m512i round_both(__m512i lo, __m512i hi)
{
#ifdef __AVX512BF16__
    return (__m512i)_mm512_cvtne2ps_pbh(_mm512_castsi512_ps(hi), _mm512_castsi512_ps(lo));
#else
    const __m512i upper = _mm512_set_epi16(63, 61, 59, 57, 55, 53, 51, 49, 47, 45, 43, 41, 39, 37, 35,
                                           33, 31, 29, 27, 25, 23, 21, 19, 17, 15, 13, 11, 9, 7, 5, 3, 1);
    return _mm512_permutex2var_epi16(round_upper(lo), upper, round_upper(hi));
#endif
}
/* The same in pairs: lane i is (lo_i, hi_i). */
LANES_INLINE __m512i round_pairs(__m512i lo, __m512i hi)
{
#ifdef __AVX512BF16__
    const __m512i order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8,
                                           23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    return _mm512_permutexvar_epi16(order, round_both(lo, hi));
#else
    return _mm512_or_si512(_mm512_srli_epi32(round_upper(lo), 16),
                           _mm512_and_si512(round_upper(hi), _mm512_set1_epi32((int)0xffff0000u)));
#endif
}

/* The two operands of the even and the odd chain. */
LANES_INLINE __m512 pair_even(__m512i w) { return _mm512_castsi512_ps(_mm512_slli_epi32(w, 16)); }
LANES_INLINE __m512 pair_odd(__m512i w)
{
    return _mm512_castsi512_ps(_mm512_and_si512(w, _mm512_set1_epi32((int)0xffff0000u)));
}

/* 32 consecutive k of one row. */
LANES_INLINE __m512i pairs_along_k(const struct gemm_src *s, ptrdiff_t at, int nk)
{
    if (s->dtype == DT_BF16)
        return _mm512_maskz_loadu_epi16(mask32(nk), (const bf16 *)s->p + at);
    const float *p = (const float *)s->p + at;
    return round_both(_mm512_maskz_loadu_epi32(mask16(nk), p), _mm512_maskz_loadu_epi32(mask16(nk - 16), p + 16));
}

/* k and k+1 of 16 neighbouring rows, from a source whose k is strided. */
LANES_INLINE __m512i pairs_across(const struct gemm_src *s, ptrdiff_t at, __mmask16 rows, int nk)
{
    __mmask16 m0 = nk > 0 ? rows : 0, m1 = nk > 1 ? rows : 0;
    if (s->dtype == DT_BF16) {
        const bf16 *p = (const bf16 *)s->p + at;
        __m512i lo = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(m0, p));
        __m512i hi = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(m1, p + s->ld));
        return _mm512_or_si512(lo, _mm512_slli_epi32(hi, 16));
    }
    const float *p = (const float *)s->p + at;
    return round_pairs(_mm512_maskz_loadu_epi32(m0, p), _mm512_maskz_loadu_epi32(m1, p + s->ld));
}

/* Four rows of 16 lanes: out[q] holds, in its lane group L, lane 4L+q of each of the four. */
LANES_INLINE void transpose4(__m512i out[4], __m512i a, __m512i b, __m512i c, __m512i d)
{
    __m512i ab0 = _mm512_unpacklo_epi32(a, b), ab1 = _mm512_unpackhi_epi32(a, b);
    __m512i cd0 = _mm512_unpacklo_epi32(c, d), cd1 = _mm512_unpackhi_epi32(c, d);
    out[0] = _mm512_unpacklo_epi64(ab0, cd0);
    out[1] = _mm512_unpackhi_epi64(ab0, cd0);
    out[2] = _mm512_unpacklo_epi64(ab1, cd1);
    out[3] = _mm512_unpackhi_epi64(ab1, cd1);
}

LANES_INLINE void transpose16(__m512i v[16])
{
    __m512i t[4][4];
#pragma GCC unroll 4 /* registers, not memory */
    for (int g = 0; g < 4; g++)
        transpose4(t[g], v[4 * g], v[4 * g + 1], v[4 * g + 2], v[4 * g + 3]);
#pragma GCC unroll 4
    for (int q = 0; q < 4; q++) {
        __m512i x0 = _mm512_shuffle_i32x4(t[0][q], t[1][q], 0x88); /* groups 0 2 | 0 2 */
        __m512i x1 = _mm512_shuffle_i32x4(t[2][q], t[3][q], 0x88);
        __m512i y0 = _mm512_shuffle_i32x4(t[0][q], t[1][q], 0xdd); /* groups 1 3 | 1 3 */
        __m512i y1 = _mm512_shuffle_i32x4(t[2][q], t[3][q], 0xdd);
        v[q] = _mm512_shuffle_i32x4(x0, x1, 0x88);
        v[8 + q] = _mm512_shuffle_i32x4(x0, x1, 0xdd);
        v[4 + q] = _mm512_shuffle_i32x4(y0, y1, 0x88);
        v[12 + q] = _mm512_shuffle_i32x4(y0, y1, 0xdd);
    }
}

/* Rows [row, row+nr) × [kk, kk+nk): v[r] = the 16 pairs of row r. */
LANES_INLINE void load_row_pairs(__m512i v[16], const struct gemm_src *s, int row, int nr, int kk,
                                 int nk, bool want_columns)
{
    if (!s->trans)
        for (int r = 0; r < 16; r++)
            v[r] = r < nr ? pairs_along_k(s, (row + r) * s->ld + kk, nk) : _mm512_setzero_si512();
    else
        for (int j = 0; j < 16; j++)
            v[j] = 2 * j < nk ? pairs_across(s, (kk + 2 * j) * s->ld + row, mask16(nr), nk - 2 * j)
                              : _mm512_setzero_si512();
    if (s->trans != want_columns)
        transpose16(v);
}

#endif
