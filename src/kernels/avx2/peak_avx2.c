#include "kernels/peak.h"

#include <cpuid.h>
#include <immintrin.h>

#include "kernels/unroll.h"

enum { CHAINS = 12 };

/* The empty statement ties a value to a register, so that no chain is folded or dropped. */
#define KEEP(v) __asm__ volatile("" : "+x"(v))

static void fma_f32_avx2(long n)
{
    __m256 c[CHAINS], x = _mm256_set1_ps(1.0f), y = _mm256_set1_ps(0.5f);
    UNROLL
    for (int j = 0; j < CHAINS; j++)
        c[j] = _mm256_setzero_ps();
    KEEP(x);
    KEEP(y);
    for (long i = 0; i < n; i++) {
        UNROLL
        for (int j = 0; j < CHAINS; j++) {
            c[j] = _mm256_fmadd_ps(x, y, c[j]);
            KEEP(c[j]);
        }
    }
}

/* VPMADDWD, and the addition that makes its products a sum. */
static void madd_int16_avx2(long n)
{
    __m256i c[CHAINS], x = _mm256_set1_epi16(1), y = _mm256_set1_epi16(2);
    UNROLL
    for (int j = 0; j < CHAINS; j++)
        c[j] = _mm256_setzero_si256();
    for (long i = 0; i < n; i++) {
        UNROLL
        for (int j = 0; j < CHAINS; j++) {
            KEEP(x); /* or one product would do for all */
            c[j] = _mm256_add_epi32(c[j], _mm256_madd_epi16(x, y));
            KEEP(c[j]);
        }
    }
}

__attribute__((target("avxvnni"))) static void vnni_int8_avx2(long n)
{
    __m256i c[CHAINS], x = _mm256_set1_epi8(1), y = _mm256_set1_epi8(2);
    UNROLL
    for (int j = 0; j < CHAINS; j++)
        c[j] = _mm256_setzero_si256();
    KEEP(x);
    KEEP(y);
    for (long i = 0; i < n; i++) {
        UNROLL
        for (int j = 0; j < CHAINS; j++) {
            c[j] = _mm256_dpbusd_avx_epi32(c[j], x, y);
            KEEP(c[j]);
        }
    }
}

static uint64_t read_avx2(const void *p, size_t bytes)
{
    const char *q = p, *end = q + bytes;
    __m256i s[8];
    for (int j = 0; j < 8; j++)
        s[j] = _mm256_setzero_si256();
    for (; q < end; q += 256) {
        UNROLL
        for (int j = 0; j < 8; j++)
            s[j] = _mm256_xor_si256(s[j], _mm256_loadu_si256((const __m256i *)(const void *)(q + 32 * j)));
    }
    for (int j = 1; j < 8; j++)
        s[0] = _mm256_xor_si256(s[0], s[j]);
    return (uint64_t)_mm256_extract_epi64(s[0], 0) ^ (uint64_t)_mm256_extract_epi64(s[0], 2);
}

void peak_fill_avx2(struct peak *p)
{
    unsigned a, b, c, d;
    p->fma_f32 = (struct peak_loop){fma_f32_avx2, 2.0 * 8 * CHAINS};
    p->madd_int16 = (struct peak_loop){madd_int16_avx2, 2.0 * 16 * CHAINS};
    if (__get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & (1u << 4)))
        p->vnni_int8 = (struct peak_loop){vnni_int8_avx2, 2.0 * 32 * CHAINS};
    p->read = read_avx2;
}
