/* VPDPBUSD: c + the sum of a lane's four products of an unsigned byte of a and a signed one of b, without saturation.
 *
 * dot_words is the same with multiplications of 16 bits: with DK_VNNI_EMULATED it stands for the instruction, to prove
 * the code on machines without it. */
#ifndef DK_KERNELS_AVX512VNNI_DOT_BYTES_H
#define DK_KERNELS_AVX512VNNI_DOT_BYTES_H

#include "kernels/avx512/lanes_avx512.h"

LANES_INLINE __m512i dot_words(__m512i c, __m512i a, __m512i b)
{
    __m512i even = _mm512_madd_epi16(_mm512_and_si512(a, _mm512_set1_epi16(255)),
                                     _mm512_srai_epi16(_mm512_slli_epi16(b, 8), 8));
    __m512i odd = _mm512_madd_epi16(_mm512_srli_epi16(a, 8), _mm512_srai_epi16(b, 8));
    return _mm512_add_epi32(c, _mm512_add_epi32(even, odd));
}

#ifdef DK_VNNI_EMULATED
LANES_INLINE __m512i dot_bytes(__m512i c, __m512i a, __m512i b) { return dot_words(c, a, b); }
#else
LANES_INLINE __m512i dot_bytes(__m512i c, __m512i a, __m512i b) { return _mm512_dpbusd_epi32(c, a, b); }
#endif

#endif
