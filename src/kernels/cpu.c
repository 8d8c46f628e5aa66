#include "kernels/cpu.h"

#include "kernels/fill.h"

#ifdef DK_X86

#include <cpuid.h>

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

#else

enum isa cpu_isa(void) { return ISA_REF; }

#endif
