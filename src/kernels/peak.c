#include "kernels/peak.h"

#include "kernels/cpu.h"

struct peak peak_get(enum isa isa)
{
    struct peak p = {0};
    peak_fill_ref(&p);
#ifdef DK_X86
    if (isa >= ISA_AVX2)
        peak_fill_avx2(&p);
    if (isa >= ISA_AVX512)
        peak_fill_avx512(&p);
    if (isa == ISA_AVX512BF16)
        peak_fill_avx512bf16(&p);
    if (isa >= ISA_AMX)
        peak_fill_amx(&p);
#else
    (void)isa;
#endif
    return p;
}
