#include "kernels/cpu.h"

#include "kernels/fill.h"
#include "kernels/peak.h"

#ifdef DK_X86

#include <cpuid.h>
#include <x86intrin.h>

static uint64_t read_xcr0(void)
{
    uint32_t lo, hi;
    __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
    return ((uint64_t)hi << 32) | lo;
}

/* By CPUID and by what the operating system saves (XCR0). */
enum isa cpu_isa(void)
{
    unsigned a, b, c, d, b7, c7, d7;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE) || !(c & bit_FMA) || !(c & bit_F16C))
        return ISA_REF;
    if (!__get_cpuid_count(7, 0, &a, &b7, &c7, &d7))
        return ISA_REF;
    uint64_t xcr0 = read_xcr0();
    if ((xcr0 & 6) != 6 || !(b7 & bit_AVX2))
        return ISA_REF;
    unsigned need = bit_AVX512F | bit_AVX512DQ | bit_AVX512BW | bit_AVX512VL;
    if ((xcr0 & 0xe0) != 0xe0 || (b7 & need) != need)
        return ISA_AVX2;
    /* AMX-TILE, AMX-BF16 and tile state; leaves 1D and 1E read zero in some virtual machines. */
    if ((xcr0 & 0x60000) != 0x60000 || !(d7 & (1u << 24)) || !(d7 & (1u << 22)))
        return ISA_AVX512;
    return gemm_amx_usable() ? ISA_AMX : ISA_AVX512;
}

/* Leaf 7, subleaf 1: AVX512_BF16. */
bool cpu_has_dot(enum isa isa)
{
    unsigned a, b, c, d;
    return isa >= ISA_AVX512 && __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & (1u << 5)) && gemm_avx512bf16_usable();
}

/* Leaf 7, subleaf 0, and so for AMX-INT8. */
bool cpu_has_vnni(enum isa isa)
{
    unsigned a, b, c, d;
    return isa >= ISA_AVX512 && __get_cpuid_count(7, 0, &a, &b, &c, &d) && (c & (1u << 11)) &&
           gemm_i8_avx512vnni_usable();
}

bool cpu_has_amx_int8(enum isa isa)
{
    unsigned a, b, c, d;
    return isa >= ISA_AMX && __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d & (1u << 25)) && gemm_i8_amx_usable();
}

/* Cycles of one run, the least of a few: another program may take the core away. */
static uint64_t cycles(void (*run)(long), long n)
{
    uint64_t least = UINT64_MAX;
    for (int i = 0; i < 8; i++) {
        uint64_t t = __rdtsc();
        run(n);
        t = __rdtsc() - t;
        least = t < least ? t : least;
    }
    return least;
}

bool cpu_dot_pays(void)
{
    enum { LOOPS = 256 };
    struct peak p = peak_get(ISA_AVX512BF16);
    double fma = p.fma_f32.ops * LOOPS / (double)cycles(p.fma_f32.run, LOOPS);
    double dot = p.dot_bf16.ops * LOOPS / (double)cycles(p.dot_bf16.run, LOOPS);
    return dot > 1.2 * fma;
}

#else

enum isa cpu_isa(void) { return ISA_REF; }
bool cpu_dot_pays(void) { return false; }

bool cpu_has_dot(enum isa isa)
{
    (void)isa;
    return false;
}

bool cpu_has_vnni(enum isa isa)
{
    (void)isa;
    return false;
}

bool cpu_has_amx_int8(enum isa isa)
{
    (void)isa;
    return false;
}

#endif
