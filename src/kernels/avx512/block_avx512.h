/* The walk of a product over packed panels and what a tile does besides multiplying, the same for FMA and VDPBF16PS.
 * Before it is included a file says MR, NR (32), KC (depth of a B panel kept in L1 while the A panels pass), ELEM
 * (bytes of a packed element), and
 *
 *   chains(rows, e0, e1, o0, o1, a, b)     the even and odd chains of NUMERICS §3 of one block of 32 k from +0 on, of
 *                                          rows × 2 vectors; rows ≤ MR is a constant in each instance */
#ifndef DK_KERNELS_AVX512_BLOCK_H
#define DK_KERNELS_AVX512_BLOCK_H

#include "kernels/avx512/lanes_avx512.h"
#include "kernels/unroll.h"

/* What one tile brings nearer for later ones: `lines` cache lines from p on for every 32 k. */
struct ahead {
    const char *p;
    int lines;
};

/* m0, m1: the columns that exist. */
LANES_INLINE void tile(int rows, float *c, ptrdiff_t ldc, const char *a, const char *b, int k, bool zero, __mmask16 m0,
                       __mmask16 m1, struct ahead next)
{
    for (; k > 0; k -= 32, a += 32 * MR * ELEM, b += 32 * NR * ELEM) {
        for (int i = 0; i < next.lines; i++, next.p += 64)
            _mm_prefetch(next.p, _MM_HINT_T1);
        __m512 e0[MR], e1[MR], o0[MR], o1[MR];
        UNROLL
        for (int i = 0; i < rows; i++)
            e0[i] = e1[i] = o0[i] = o1[i] = _mm512_setzero_ps();
        chains(rows, e0, e1, o0, o1, a, b);
        UNROLL
        for (int i = 0; i < rows; i++) {
            float *ci = c + i * ldc;
            __m512 c0 = _mm512_setzero_ps(), c1 = c0;
            if (!zero) {
                c0 = _mm512_maskz_loadu_ps(m0, ci);
                c1 = _mm512_maskz_loadu_ps(m1, ci + 16);
            }
            c0 = _mm512_add_ps(c0, _mm512_add_ps(e0[i], o0[i]));
            c1 = _mm512_add_ps(c1, _mm512_add_ps(e1[i], o1[i]));
            _mm512_mask_storeu_ps(ci, m0, c0);
            _mm512_mask_storeu_ps(ci + 16, m1, c1);
        }
        zero = false;
    }
}

#define TILE_CASE(r) \
    case r: \
        tile(r, c, ldc, a, b, k, zero, m0, m1, next); \
        break;
static void tile_edge(int rows, float *c, ptrdiff_t ldc, const char *a, const char *b, int k, bool zero, int cols,
                      struct ahead next)
{
    __mmask16 m0 = mask16(cols), m1 = mask16(cols - 16);
    switch (rows) {
        TILE_CASE(1)
        TILE_CASE(2)
        TILE_CASE(3)
        TILE_CASE(4)
        TILE_CASE(5)
        TILE_CASE(6)
        TILE_CASE(7)
    }
}

/* gemm_unit.block */
static void walk_panels(float *c, ptrdiff_t ldc, const void *a, const void *b, int m, int n, int k, bool zero)
{
    for (int i = 0; k == 0 && zero && i < m; i++)
        for (int j = 0; j < n; j++)
            c[i * ldc + j] = 0;
    for (int j = 0; j < n && m > 0; j += NR)
        for (int k0 = 0; k0 < k; k0 += KC) {
            int kc = k - k0 < KC ? k - k0 : KC;
            const char *bp = (const char *)b + ((ptrdiff_t)j * k + (ptrdiff_t)k0 * NR) * ELEM;
            /* The depth after this one follows in memory (the next panel after the last); its lines are asked for over
             * the tiles of this one, so that no tile waits for all of them. */
            int lines = (NR * ELEM / 2 * MR + m - 1) / m;
            struct ahead next = {bp + (ptrdiff_t)kc * NR * ELEM, lines < 8 ? lines : 8};
            for (int i = 0; i < m; i += MR, next.p += 2 * next.lines * kc) {
                const char *ap = (const char *)a + ((ptrdiff_t)i * k + (ptrdiff_t)k0 * MR) * ELEM;
                float *cp = c + i * ldc + j;
                bool fresh = zero && k0 == 0;
                if (k0 == 0) /* c of the next tile comes from far the first time */
                    for (int r = MR; r < 2 * MR && i + r < m; r++) {
                        _mm_prefetch((const char *)(cp + r * ldc), _MM_HINT_T0);
                        _mm_prefetch((const char *)(cp + r * ldc + 16), _MM_HINT_T0);
                    }
                if (m - i >= MR && n - j >= NR)
                    tile(MR, cp, ldc, ap, bp, kc, fresh, 0xffff, 0xffff, next);
                else
                    tile_edge(m - i < MR ? m - i : MR, cp, ldc, ap, bp, kc, fresh, n - j, next);
            }
        }
}

#endif
