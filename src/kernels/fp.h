/* The float operations of profile T1 (NUMERICS §1) where machines differ: everything outside src/kernels/<isa>/ that
 * reaches state multiplies, fuses and narrows through these.
 *
 * A result whose exact value lies in [2^-126 − 2^-151, 2^-126) rounds up to the smallest normal number.  x86 decides
 * after rounding whether a result is tiny and keeps it; AArch64 decides before and flushes it to ±0.  There a product,
 * fma or narrowing that gives 0 is looked at again in binary64, where it is exact.  On x86 these are plain operators.
 *
 * Sums, quotients and roots are written plainly, because their exact values do not lie there:
 *   a ± b    a multiple of 2^-149, as both operands are
 *   a ÷ b    2^-126·(m/n), m < n, m and n of at most 24 bits: at most 2^-126·(1 − 2^-24)
 *   √a       at least 2^-63
 *   a·2^k    24 bits: at most 2^-126 − 2^-150
 * Binary64 is nowhere near its own 2^-1022: it holds sums of f32 values and functions of settings. */
#ifndef DK_KERNELS_FP_H
#define DK_KERNELS_FP_H

#include <math.h>
#include <stdbool.h>

#include "kernels/real.h"

#ifdef DK_DOUBLE

#define real_sqrt sqrt
#define real_fma fma
#define real_mul(a, b) ((a) * (b))
#define real_narrow(x) ((real)(x))

#else

#define real_sqrt sqrtf
#ifdef __aarch64__

/* What `flushed`, a zero, should be when sum + err is exact and |err| at most half a last place of sum. */
static inline float fp_tiny(float flushed, double sum, double err)
{
    const double least = 0x1.ffffffp-127; /* 2^-126 − 2^-151 */
    double size = sum < 0 ? -sum : sum, more = sum < 0 ? -err : err;
    bool kept = size > least || (size == least && more >= 0);
    return kept ? sum < 0 ? -0x1p-126f : 0x1p-126f : flushed;
}

static inline float fp_tiny_fma(float flushed, float a, float b, float c)
{
    double p = (double)a * (double)b, q = (double)c; /* 48 bits: exact */
    double sum = p + q, of_q = sum - p;              /* Knuth's two-sum */
    return fp_tiny(flushed, sum, (p - (sum - of_q)) + (q - of_q));
}

static inline float real_mul(float a, float b)
{
    float r = a * b;
    return r != 0 ? r : fp_tiny(r, (double)a * (double)b, 0);
}

static inline float real_fma(float a, float b, float c)
{
    float r = fmaf(a, b, c);
    return r != 0 ? r : fp_tiny_fma(r, a, b, c);
}

static inline float real_narrow(double x)
{
    float r = (float)x;
    return r != 0 ? r : fp_tiny(r, x, 0);
}

#else

#define real_fma fmaf
#define real_mul(a, b) ((a) * (b))
#define real_narrow(x) ((real)(x))

#endif
#endif
#endif
