/* What is asked of the machine itself: its vector units. */
#ifndef DK_KERNELS_CPU_H
#define DK_KERNELS_CPU_H

#include "kernels/kernels.h"

/* Kernels other than the reference are built in. */
#if defined __x86_64__ && !defined DK_DOUBLE
#define DK_X86
#endif

/* The highest instruction set that the CPU has and the operating system saves. */
enum isa cpu_isa(void);

#endif
