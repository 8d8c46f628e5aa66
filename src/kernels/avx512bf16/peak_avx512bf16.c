#include <immintrin.h>

#include "kernels/peak.h"
#include "kernels/unroll.h"

enum { CHAINS = 24 };

static void dot_bf16(long n)
{
    __m512 c[CHAINS], one = _mm512_set1_ps(1.0f), half = _mm512_set1_ps(0.5f);
    UNROLL
    for (int j = 0; j < CHAINS; j++)
        c[j] = _mm512_setzero_ps();
    __asm__ volatile("" : "+v"(one), "+v"(half)); /* nothing is folded, no chain dropped */
    for (long i = 0; i < n; i++) {
        UNROLL
        for (int j = 0; j < CHAINS; j++) {
            c[j] = _mm512_dpbf16_ps(c[j], (__m512bh)one, (__m512bh)half);
            __asm__ volatile("" : "+v"(c[j]));
        }
    }
}

void peak_fill_avx512bf16(struct peak *p) { p->dot_bf16 = (struct peak_loop){dot_bf16, 4.0 * 16 * CHAINS}; }
