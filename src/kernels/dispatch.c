#include <stdlib.h>
#include <string.h>

#include "kernels/cpu.h"
#include "kernels/fill.h"
#include "kernels/kernels.h"

static struct kernels table[ISA_AMX + 1];
static bool have[ISA_AMX + 1];
static bool filled;
static enum isa best;

static const char *const names[] = {"ref", "avx2", "avx512", "avx512bf16", "amx"};

const char *isa_name(enum isa isa) { return names[isa]; }

#ifdef DK_X86

static void fill_x86(struct kernels *k, enum isa isa)
{
    if (isa >= ISA_AVX2) {
        gemm_fill_avx2(k);
        gemm_i8_fill_avx2(k);
        elem_fill_avx2(k);
        attn_fill_avx2(k);
    }
    if (isa >= ISA_AVX512) {
        gemm_fill_avx512(k);
        elem_fill_avx512(k);
        attn_fill_avx512(k);
        if (cpu_has_vnni(isa))
            gemm_i8_fill_avx512vnni(k);
    }
    if (isa == ISA_AVX512BF16) {
        gemm_fill_avx512bf16(k);
        elem_fill_avx512bf16(k);
    }
    if (isa >= ISA_AMX) {
        gemm_fill_amx(k);
        if (cpu_has_amx_int8(isa))
            gemm_i8_fill_amx(k);
    }
}

#else

static void fill_x86(struct kernels *k, enum isa isa)
{
    (void)k;
    (void)isa;
}

#endif

static void fill_table(enum isa isa)
{
    struct kernels *k = &table[isa];
    gemm_fill_ref(k);
    gemm_i8_fill_ref(k);
    elem_fill_ref(k);
    attn_fill_ref(k);
    fill_x86(k, isa);
    k->isa = isa;
    have[isa] = true;
}

static void fill_tables(void)
{
    enum isa top = cpu_isa();
    for (int i = ISA_REF; i <= (int)top; i++)
        if (i != ISA_AVX512BF16)
            fill_table((enum isa)i);
    if (cpu_has_dot(top))
        fill_table(ISA_AVX512BF16);
    best = top == ISA_AVX512 && have[ISA_AVX512BF16] && cpu_dot_pays() ? ISA_AVX512BF16 : top;
}

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
    return best;
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
        else if (have[i])
            isa = (enum isa)i;
    }
    return &table[isa];
}
