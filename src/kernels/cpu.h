/* What is asked of the machine itself: its vector units. */
#ifndef DK_KERNELS_CPU_H
#define DK_KERNELS_CPU_H

#include "kernels/kernels.h"

/* Kernels other than the reference are built in. */
#if defined __x86_64__ && !defined DK_DOUBLE
#define DK_X86
#endif

/* The highest instruction set that the CPU has and the operating system saves; never ISA_AVX512BF16.  It asks for tile
 * state and tests the tiles: to be called once. */
enum isa cpu_isa(void);
/* What there is beside `isa`, which is cpu_isa()'s or a lower one: AVX512_BF16, and it computes what the profile
 * says. */
bool cpu_has_dot(enum isa isa);
/* … and VDPBF16PS makes clearly more multiply-adds than FMA: on AMD twice as many, on Intel half.  Measured, some
 * microseconds; the bits are the same either way. */
bool cpu_dot_pays(void);
/* AVX512_VNNI, and its sums are right. */
bool cpu_has_vnni(enum isa isa);
/* AMX-INT8, and its sums are right. */
bool cpu_has_amx_int8(enum isa isa);

#endif
