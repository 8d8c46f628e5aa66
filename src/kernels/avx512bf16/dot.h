/* VDPBF16PS: c + (high halves' product), rounded, + (low halves' product), rounded; to nearest even, denormals zero,
 * whatever MXCSR says.  That is two links of one chain of NUMERICS §3 when the high half of a lane holds the earlier
 * k: a lane here is (k, k + 2) of the even chain or (k + 1, k + 3) of the odd one, the earlier in the high half.
 *
 * DK_DOT_EMULATED: the same with two fused multiply-adds, to prove the code on machines without it. */
#ifndef DK_KERNELS_AVX512BF16_DOT_H
#define DK_KERNELS_AVX512BF16_DOT_H

#include "kernels/avx512/lanes_avx512.h"

#ifdef DK_DOT_EMULATED
LANES_INLINE __m512 dot(__m512 c, __m512i a, __m512i b)
{
    c = _mm512_fmadd_ps(pair_odd(a), pair_odd(b), c);
    return _mm512_fmadd_ps(pair_even(a), pair_even(b), c);
}
#else
LANES_INLINE __m512 dot(__m512 c, __m512i a, __m512i b) { return _mm512_dpbf16_ps(c, (__m512bh)a, (__m512bh)b); }
#endif

/* From the pairs (k, k + 1) and (k + 2, k + 3) of 16 lanes. */
LANES_INLINE __m512i chain_even(__m512i first, __m512i second)
{
    return _mm512_mask_blend_epi16(0xaaaaaaaau, second, _mm512_slli_epi32(first, 16));
}
LANES_INLINE __m512i chain_odd(__m512i first, __m512i second)
{
    return _mm512_mask_blend_epi16(0xaaaaaaaau, _mm512_srli_epi32(second, 16), first);
}

#endif
