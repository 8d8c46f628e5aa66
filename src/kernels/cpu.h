/* What is asked of the machine itself: its vector units. */
#ifndef DK_KERNELS_CPU_H
#define DK_KERNELS_CPU_H

#include "kernels/kernels.h"

/* Kernels other than the reference are built in. */
#if defined __x86_64__ && !defined DK_DOUBLE
#define DK_X86
#endif

/* The highest instruction set that the CPU has and the operating system saves; never ISA_AVX512BF16. */
enum isa cpu_isa(void);
/* AVX512_BF16 is there and computes what the profile says. */
bool cpu_has_dot(void);
/* … and VDPBF16PS makes clearly more multiply-adds than FMA: on AMD twice as many, on Intel half.  Measured, some
 * microseconds; the bits are the same either way. */
bool cpu_dot_pays(void);
/* AVX512_VNNI is there. */
bool cpu_has_vnni(void);
/* AMX-INT8 is there. */
bool cpu_has_amx_int8(void);

#endif
