#include <stdlib.h>
#include <string.h>

#include "kernels/cpu.h"
#include "kernels/fill.h"
#include "kernels/kernels.h"

static struct kernels table[ISA_AMX + 1];
static bool have[ISA_AMX + 1];
static bool filled;

static const char *const names[] = {"ref", "avx2", "avx512", "amx"};

const char *isa_name(enum isa isa) { return names[isa]; }

#ifdef DK_X86

static void fill_x86(struct kernels *k, enum isa isa)
{
    if (isa >= ISA_AVX2) {
        gemm_fill_avx2(k);
        elem_fill_avx2(k);
        attn_fill_avx2(k);
    }
    if (isa >= ISA_AVX512) {
        gemm_fill_avx512(k);
        elem_fill_avx512(k);
        attn_fill_avx512(k);
    }
    if (isa >= ISA_AMX)
        gemm_fill_amx(k);
}

#else

static void fill_x86(struct kernels *k, enum isa isa)
{
    (void)k;
    (void)isa;
}

#endif

static void fill_tables(void)
{
    enum isa top = cpu_isa();
    for (int i = ISA_REF; i <= (int)top; i++) {
        struct kernels *k = &table[i];
        gemm_fill_ref(k);
        elem_fill_ref(k);
        attn_fill_ref(k);
        fill_x86(k, (enum isa)i);
        k->isa = (enum isa)i;
        have[i] = true;
    }
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
