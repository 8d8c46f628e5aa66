/* Products of 8-bit integers (NUMERICS §3a) on AVX-512: 16 rows of a group become integers, and a group's sums join c.
 * What follows is the same for VPDPBUSD and for AMX tiles; only the order of bytes in panels is theirs. */
#ifndef DK_KERNELS_AVX512_INT8_H
#define DK_KERNELS_AVX512_INT8_H

#include "kernels/avx512/lanes_avx512.h"
#include "kernels/int8.h"
#include "kernels/unroll.h"

/* c + sum·(sa·sb) of 16 columns, those of `some`. */
LANES_INLINE void i8_fold(float *c, __mmask16 some, bool zero, __m512i sum, __m512 sa, __m512 sb)
{
    __m512 was = zero ? _mm512_setzero_ps() : _mm512_maskz_loadu_ps(some, c);
    was = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum), _mm512_mul_ps(sa, sb), was);
    _mm512_mask_storeu_ps(c, some, was);
}

/* Up to 16 rows of one group in their source: bf16 (`half`, a constant in each instance) or f32. */
struct i8_rows {
    bool half, trans;
    const char *p;
    ptrdiff_t ld; /* bytes to the next row; with trans to the next k */
    int rows, n;  /* as many as there are: rows ≤ 0 none, n ≤ I8_GROUP */
};

LANES_INLINE ptrdiff_t size_of(bool half) { return half ? sizeof(bf16) : sizeof(float); }

/* 16 neighbouring values at p as f32. */
LANES_INLINE __m512 values(bool half, const char *p, __mmask16 some)
{
    if (half)
        return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(some, p)), 16));
    return _mm512_maskz_loadu_ps(some, p);
}

LANES_INLINE __m512i magnitude(__m512 x)
{
    return _mm512_and_si512(_mm512_castps_si512(x), _mm512_set1_epi32(INT32_MAX));
}

/* The integers of 16 values; of a group that is not finite, anything. */
LANES_INLINE __m512i rounded(__m512 x, __m512 inverse) { return _mm512_cvtps_epi32(_mm512_mul_ps(x, inverse)); }

/* ---- scales ---- */

/* The largest magnitude of n neighbouring values. */
LANES_INLINE uint32_t most_along(bool half, const char *p, int n)
{
    __m512i most = _mm512_setzero_si512();
    if (half) {
        for (; n > 0; n -= 32, p += 64)
            most = _mm512_max_epu16(most, _mm512_and_si512(_mm512_maskz_loadu_epi16(mask32(n), p),
                                                           _mm512_set1_epi16(INT16_MAX)));
        __m512i odd = _mm512_slli_epi32(_mm512_srli_epi32(most, 16), 16);
        return _mm512_reduce_max_epu32(_mm512_max_epu32(_mm512_slli_epi32(most, 16), odd));
    }
    for (; n > 0; n -= 16, p += 64)
        most = _mm512_max_epu32(most, magnitude(_mm512_maskz_loadu_ps(mask16(n), p)));
    return _mm512_reduce_max_epu32(most);
}

/* The largest magnitudes of the first `wide` rows (with trans: of all). */
LANES_INLINE __m512i most_of_rows(const struct i8_rows *s, int wide)
{
    uint32_t each[16] = {0};
    __m512i most = _mm512_setzero_si512();
    if (!s->trans) {
        for (int r = 0; r < wide && r < s->rows; r++)
            each[r] = most_along(s->half, s->p + r * s->ld, s->n);
        return _mm512_loadu_si512(each);
    }
    int n = s->rows > 0 ? s->n : 0; /* a load with an empty mask is slow where no memory is */
    for (int kk = 0; kk < n; kk++)
        most = _mm512_max_epu32(most, magnitude(values(s->half, s->p + kk * s->ld, mask16(s->rows))));
    return most;
}

/* scale_of (ref/gemm_i8_ref.c) of `wide` rows: the scales, and in `each` their inverses. */
LANES_INLINE __m512 i8_scales(float each[16], const struct i8_rows *s, int wide)
{
    const __m512 steps = _mm512_set1_ps(127), nan = _mm512_castsi512_ps(_mm512_set1_epi32(0x7fc00000));
    __m512i most = most_of_rows(s, wide);
    __m512 m = _mm512_castsi512_ps(most);
    __mmask16 bad = _mm512_cmpge_epu32_mask(most, _mm512_set1_epi32(I8_INFINITE));
    __mmask16 good = _mm512_cmpge_epu32_mask(most, _mm512_set1_epi32(I8_LEAST)) & ~bad;
    _mm512_storeu_ps(each, _mm512_maskz_div_ps(good, steps, m));
    return _mm512_mask_mov_ps(_mm512_maskz_div_ps(good, m, steps), bad, nan);
}

/* ---- integers ---- */

/* 64 integers of a row in order. */
LANES_INLINE __m512i line_of(__m512i v0, __m512i v1, __m512i v2, __m512i v3)
{
    const __m512i order = _mm512_set_epi32(15, 11, 7, 3, 14, 10, 6, 2, 13, 9, 5, 1, 12, 8, 4, 0);
    __m512i bytes = _mm512_packs_epi16(_mm512_packs_epi32(v0, v1), _mm512_packs_epi32(v2, v3));
    return _mm512_permutexvar_epi32(order, bytes);
}

/* The first n ≤ 64 of 64 values of a row as its line. */
LANES_INLINE __m512i line_along(bool half, const char *p, int n, __m512 inverse)
{
    __m512i v[4];
    UNROLL
    for (int i = 0; i < 4; i++)
        v[i] = 16 * i < n ? rounded(values(half, p + 16 * i * size_of(half), mask16(n - 16 * i)), inverse)
                          : _mm512_setzero_si512();
    return line_of(v[0], v[1], v[2], v[3]);
}

/* Four k, the first n of which are there, of 16 neighbouring rows: lane r holds row r's. */
LANES_INLINE __m512i quad_across(bool half, const char *p, ptrdiff_t ld, __mmask16 some, int n, __m512 inverse)
{
    __m512i v[4];
    UNROLL
    for (int i = 0; i < 4; i++)
        v[i] = i < n ? rounded(values(half, p + i * ld, some), inverse) : _mm512_setzero_si512();
    __m512i low = _mm512_mask_blend_epi8(0x2222222222222222u, v[0], _mm512_slli_epi32(v[1], 8));
    __m512i third = _mm512_slli_epi32(v[2], 16);
    __m512i high = _mm512_mask_blend_epi8(0x8888888888888888u, third, _mm512_slli_epi32(v[3], 24));
    return _mm512_mask_blend_epi16(0xaaaaaaaau, low, high);
}

/* 64 k from kk on: v[r] = those of row r, of the first `wide`; with quads v[j] = k 4j to 4j + 3 of 16 rows. */
LANES_INLINE void i8_lines(__m512i v[16], const struct i8_rows *s, int kk, int wide, const float each[16], bool quads)
{
    int n = s->rows > 0 ? s->n - kk : 0; /* see most_of_rows */
    UNROLL
    for (int i = 0; i < 16; i++) {
        v[i] = _mm512_setzero_si512();
        if (s->trans)
            v[i] = quad_across(s->half, s->p + (kk + 4 * i) * s->ld, s->ld, mask16(s->rows), n - 4 * i,
                               _mm512_loadu_ps(each));
        else if (i < wide && i < s->rows)
            v[i] = line_along(s->half, s->p + i * s->ld + kk * size_of(s->half), n, _mm512_set1_ps(each[i]));
    }
    if (s->trans != quads)
        transpose16(v);
}

#endif
