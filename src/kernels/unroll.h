/* UNROLL before a loop with a small constant count: all of it, so that arrays of vectors become
 * registers.  gcc does that by itself only at -O3, clang not where the count comes from inlining. */
#ifndef DK_KERNELS_UNROLL_H
#define DK_KERNELS_UNROLL_H

#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 32")
#endif

#endif
