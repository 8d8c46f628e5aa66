#include <stdlib.h>
#include <string.h>

#include "kernels/fill.h"
#include "kernels/kernels.h"

#ifndef DK_DOUBLE
#include <cpuid.h>
#include <immintrin.h>
#endif

static struct kernels table[ISA_AMX + 1];
static bool have[ISA_AMX + 1];
static bool filled;

static const char *const names[] = {"ref", "avx2", "avx512", "amx"};

const char *isa_name(enum isa isa) { return names[isa]; }

#ifdef DK_DOUBLE

void kernels_fp_enter(void) {}

static void fill_tables(void)
{
    gemm_fill_ref(&table[ISA_REF]);
    elem_fill_ref(&table[ISA_REF]);
    attn_fill_ref(&table[ISA_REF]);
    have[ISA_REF] = true;
}

#else

/* FTZ (bit 15) and DAZ (bit 6) on, all exceptions masked, round to nearest. */
void kernels_fp_enter(void) { _mm_setcsr(0x1f80u | 0x8040u); }

static uint64_t read_xcr0(void)
{
    uint32_t lo, hi;
    __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
    return ((uint64_t)hi << 32) | lo;
}

/* Highest instruction set by CPUID and by what the operating system saves (XCR0). */
static enum isa cpu_isa(void)
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

static void fill_tables(void)
{
    enum isa top = cpu_isa();
    for (int i = ISA_REF; i <= (int)top; i++) {
        struct kernels *k = &table[i];
        gemm_fill_ref(k);
        elem_fill_ref(k);
        attn_fill_ref(k);
        if (i >= ISA_AVX2) {
            gemm_fill_avx2(k);
            elem_fill_avx2(k);
            attn_fill_avx2(k);
        }
        if (i >= ISA_AVX512) {
            gemm_fill_avx512(k);
            elem_fill_avx512(k);
            attn_fill_avx512(k);
        }
        if (i >= ISA_AMX)
            gemm_fill_amx(k);
        k->isa = (enum isa)i;
        have[i] = true;
    }
}

#endif

/* Called from the main thread before any other starts (nn_init), so no lock is needed. */
static void fill_once(void)
{
    if (!filled)
        fill_tables();
    filled = true;
}

const struct kernels *kernels_get(enum isa isa)
{
    fill_once();
    return have[isa] ? &table[isa] : NULL;
}

enum isa kernels_detect(void)
{
    fill_once();
    int i = ISA_AMX;
    while (!have[i])
        i--;
    return (enum isa)i;
}

const struct kernels *kernels_best(const char **bad)
{
    enum isa isa = kernels_detect();
    const char *cap = getenv("DOKJA_CPU");
    *bad = NULL;
    if (cap && *cap) {
        int i = ISA_AMX;
        while (i >= 0 && strcmp(cap, names[i]) != 0)
            i--;
        if (i < 0)
            *bad = cap;
        else if (i < (int)isa)
            isa = (enum isa)i;
    }
    return &table[isa];
}
