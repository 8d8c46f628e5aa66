/* The scalar types of profile T1.
 *
 * The reference kernels and the ops above them are compiled twice: as the profile
 * (real = float, bf16 = upper half of a float) and, for gradient tests, with
 * -DDK_DOUBLE (real = double, bf16 = a double that rounding leaves alone), where
 * central differences reach 1e-9. */
#ifndef DK_KERNELS_REAL_H
#define DK_KERNELS_REAL_H

#include <stdint.h>
#include <string.h>

#ifdef DK_DOUBLE

typedef double real;
typedef struct {
    double v;
} bf16;
static inline bf16 bf16_round(real x) { return (bf16){x}; }
static inline real bf16_expand(bf16 x) { return x.v; }

#else

typedef float real;
typedef struct {
    uint16_t bits;
} bf16;

/* NUMERICS §2: denormals become signed zero, then integer round-to-nearest-even;
 * infinities are kept, NaN stays a (quiet) NaN and is caught by whoever checks. */
static inline bf16 bf16_round(real x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    if ((u & 0x7f800000u) == 0)
        return (bf16){(uint16_t)((u >> 16) & 0x8000u)};
    if ((u & 0x7fffffffu) > 0x7f800000u)
        return (bf16){(uint16_t)((u >> 16) | 0x0040u)};
    return (bf16){(uint16_t)((u + 0x7fffu + ((u >> 16) & 1u)) >> 16)};
}

static inline real bf16_expand(bf16 x)
{
    uint32_t u = (uint32_t)x.bits << 16;
    real f;
    memcpy(&f, &u, sizeof f);
    return f;
}

#endif
#endif
