/* The floating-point environment of profile T1 (NUMERICS §1). */
#include "kernels/cpu.h"

#ifdef DK_X86

#include <xmmintrin.h>

/* FTZ (bit 15) and DAZ (bit 6) on, all exceptions masked, round to nearest. */
void kernels_fp_enter(void) { _mm_setcsr(0x1f80u | 0x8040u); }

#elif defined DK_DOUBLE

void kernels_fp_enter(void) {}

#elif defined __aarch64__

/* FZ (bit 24) alone: denormals flushed in and out, round to nearest, no traps.  Reading costs less than writing. */
void kernels_fp_enter(void)
{
    const uint64_t want = UINT64_C(1) << 24;
    uint64_t fpcr;
    __asm__ volatile("mrs %0, fpcr" : "=r"(fpcr)::"memory");
    if (fpcr != want)
        __asm__ volatile("msr fpcr, %0" ::"r"(want) : "memory");
}

#else
#error "how this machine flushes denormals, and when it decides that a result is tiny, is not known here (NUMERICS 1)"
#endif
