#include "kernels/peak.h"

#include <cpuid.h>
#include <immintrin.h>

#include "kernels/unroll.h"

enum { CHAINS = 24 };

/* The empty statement ties a value to a register, so that no chain is folded or dropped. */
#define KEEP(r) __asm__ volatile("" : "+v"(r))

static void fma_f32_avx512(long n)
{
    __m512 c[CHAINS], x = _mm512_set1_ps(1.0f), y = _mm512_set1_ps(0.5f);
    UNROLL
    for (int j = 0; j < CHAINS; j++)
        c[j] = _mm512_setzero_ps();
    KEEP(x);
    KEEP(y);
    for (long i = 0; i < n; i++) {
        UNROLL
        for (int j = 0; j < CHAINS; j++) {
            c[j] = _mm512_fmadd_ps(x, y, c[j]);
            KEEP(c[j]);
        }
    }
}

__attribute__((target("avx512vnni"))) static void vnni_int8_avx512(long n)
{
    __m512i c[CHAINS], x = _mm512_set1_epi8(1), y = _mm512_set1_epi8(2);
    UNROLL
    for (int j = 0; j < CHAINS; j++)
        c[j] = _mm512_setzero_si512();
    KEEP(x);
    KEEP(y);
    for (long i = 0; i < n; i++) {
        UNROLL
        for (int j = 0; j < CHAINS; j++) {
            c[j] = _mm512_dpbusd_epi32(c[j], x, y);
            KEEP(c[j]);
        }
    }
}

static uint64_t read_avx512(const void *p, size_t bytes)
{
    const char *q = p, *end = q + bytes;
    __m512i s[4];
    for (int j = 0; j < 4; j++)
        s[j] = _mm512_setzero_si512();
    for (; q < end; q += 256) {
        UNROLL
        for (int j = 0; j < 4; j++)
            s[j] = _mm512_xor_si512(s[j], _mm512_loadu_si512(q + 64 * j));
    }
    s[0] = _mm512_xor_si512(_mm512_xor_si512(s[0], s[1]), _mm512_xor_si512(s[2], s[3]));
    return (uint64_t)_mm512_reduce_add_epi64(s[0]);
}

void peak_fill_avx512(struct peak *p)
{
    unsigned a, b, c, d;
    p->fma_f32 = (struct peak_loop){fma_f32_avx512, 2.0 * 16 * CHAINS};
    if (__get_cpuid_count(7, 0, &a, &b, &c, &d) && (c & (1u << 11)))
        p->vnni_int8 = (struct peak_loop){vnni_int8_avx512, 2.0 * 64 * CHAINS};
    p->read = read_avx512;
}
