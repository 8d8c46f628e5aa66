/* The elementary functions of profile T1 (the formulas stand in kernels/math_poly.h), and the binary64
 * ones that make tables and schedules. Under DK_DOUBLE the former are libm's, for gradient tests. */
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "kernels/fp.h"
#include "kernels/kernels.h"
#include "kernels/math_poly.h"

#ifdef DK_DOUBLE

real t1_exp(real x) { return exp(x); }
real t1_log(real x) { return log(x); }
real t1_tanh(real x) { return tanh(x); }
real t1_sigmoid(real x) { return x >= 0 ? 1 / (1 + exp(-x)) : exp(x) / (1 + exp(x)); }

#else

static inline uint32_t bits_of(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

static inline float float_of(uint32_t u)
{
    float x;
    memcpy(&x, &u, sizeof x);
    return x;
}

float t1_exp(float x)
{
    if (x < EXP_LO)
        return 0.0f;
    x = EXP_HI < x ? EXP_HI : x; /* NaN passes */
    float t = real_fma(x, EXP_LOG2E, EXP_MAGIC);
    float k = t - EXP_MAGIC;
    float r = real_fma(-k, EXP_LN2_HI, x);
    r = real_fma(-k, EXP_LN2_LO, r);
    float q = EXP_C6;
    q = real_fma(q, r, EXP_C5);
    q = real_fma(q, r, EXP_C4);
    q = real_fma(q, r, EXP_C3);
    q = real_fma(q, r, EXP_C2);
    q = real_fma(q, r, 1.0f);
    q = real_fma(q, r, 1.0f);
    /* −126 ≤ k ≤ 128, in two exact factors because 2^128 is no float; plain products (fp.h, a·2^k). */
    int n = (int)(bits_of(t) - bits_of(EXP_MAGIC));
    int a = n / 2, b = n - a;
    return q * float_of((uint32_t)(a + 127) << 23) * float_of((uint32_t)(b + 127) << 23);
}

float t1_log(float x)
{
    uint32_t u = bits_of(x);
    if ((u & 0x7f800000u) == 0)
        return -INFINITY;
    if (u >= 0x7f800000u) /* negative, infinite or NaN */
        return u == 0x7f800000u ? x : u > 0xff800000u || u < 0x80000000u ? x + x : float_of(0x7fc00000u);
    int e = (int)(u - LOG_SQRT_HALF_BITS) >> 23;
    float f = float_of(u - ((uint32_t)e << 23)) - 1.0f, fe = (float)e;
    float p = LOG_C8;
    p = real_fma(p, f, LOG_C7);
    p = real_fma(p, f, LOG_C6);
    p = real_fma(p, f, LOG_C5);
    p = real_fma(p, f, LOG_C4);
    p = real_fma(p, f, LOG_C3);
    p = real_fma(p, f, LOG_C2);
    p = real_fma(p, f, LOG_C1);
    p = real_fma(p, f, LOG_C0);
    float y = real_mul(f, f);
    float t = real_mul(real_mul(f, p), y);
    t = real_fma(fe, LOG_LN2_LO, t);
    t = real_fma(-0.5f, y, t);
    return real_fma(fe, LOG_LN2_HI, f + t);
}

float t1_sigmoid(float x)
{
    float e = t1_exp(float_of(bits_of(x) | 0x80000000u));
    return (x >= 0 ? 1.0f : e) / (1.0f + e);
}

float t1_tanh(float x)
{
    uint32_t sign = bits_of(x) & 0x80000000u;
    float z = float_of(bits_of(x) ^ sign);
    if (z < TANH_SPLIT) {
        float y = real_mul(z, z);
        float p = TANH_C4;
        p = real_fma(p, y, TANH_C3);
        p = real_fma(p, y, TANH_C2);
        p = real_fma(p, y, TANH_C1);
        p = real_fma(p, y, TANH_C0);
        float t = real_fma(real_mul(z, y), p, z);
        return float_of(bits_of(t) | sign);
    }
    float r = 1.0f - 2.0f / (t1_exp(z + z) + 1.0f);
    return float_of(bits_of(r) | sign);
}

#endif

real t1_rsqrt(real x) { return 1 / real_sqrt(x); }

/* ---- binary64 ---- */

static double pow2_f64(int n) /* −1022 ≤ n ≤ 1023 */
{
    uint64_t u = (uint64_t)(n + 1023) << 52;
    double x;
    memcpy(&x, &u, sizeof x);
    return x;
}

static const double inv_fact[] = F64_INV_FACT;

static double exp_f64(double x)
{
    if (!(x > -700))
        return x != x ? x : 0;
    if (x > 709)
        return INFINITY;
    double k = (double)(int)(x * F64_LOG2E + (x < 0 ? -0.5 : 0.5));
    double r = fma(-k, F64_LN2_LO, fma(-k, F64_LN2_HI, x));
    double p = inv_fact[14];
    for (int i = 13; i >= 0; i--)
        p = fma(p, r, inv_fact[i]);
    return p * pow2_f64((int)k);
}

/* log(x) as hi + lo, |lo| ≤ ulp(hi), for normal positive x. */
static void log_f64(double x, double *hi, double *lo)
{
    static const double c[] = F64_ATANH;
    uint64_t u;
    memcpy(&u, &x, sizeof u);
    int e = (int)(u >> 52) - 1023;
    double m = x * pow2_f64(-e);
    if (m > F64_SQRT2) {
        m *= 0.5;
        e++;
    }
    /* s = f/(2+f) with the remainder of the division, so that 2s carries no error of its own. */
    double f = m - 1, d = 2 + f, s = f / d;
    double rem = fma(-s, d, f) - s * (f - (d - 2));
    double z = s * s, p = c[10];
    for (int i = 9; i >= 0; i--)
        p = fma(p, z, c[i]);
    double small = s * z * p + 2 * (rem / d) + e * F64_LN2_LO;
    double a = e * F64_LN2_HI, err = fma((double)e, F64_LN2_HI, -a);
    double b = 2 * s;
    double sum = a + b, t = sum - a;
    double tail = (a - (sum - t)) + (b - t) + err + small;
    *hi = sum + tail;
    *lo = tail - (*hi - sum);
}

double t1_pow_f64(double base, double exponent)
{
    if (exponent == 0 || base == 1)
        return 1;
    if (!(base > 0x1p-1022) || base == INFINITY) {
        if (base == INFINITY)
            return exponent > 0 ? INFINITY : 0;
        if (base < 0 || base != base)
            return NAN;
        return exponent > 0 ? 0 : INFINITY;
    }
    double hi, lo;
    log_f64(base, &hi, &lo);
    double p = exponent * hi, err = fma(exponent, hi, -p) + exponent * lo;
    double y = exp_f64(p);
    return y > 0 && y < INFINITY ? fma(y, err, y) : y;
}

/* sin and cos of x: x = k·π/2 + r by three parts of π/2, |x| < 2^30. */
static void sincos_f64(double x, double *sine, double *cosine)
{
    double k = (double)(long long)(x * F64_2_PI + (x < 0 ? -0.5 : 0.5));
    double r = fma(-k, F64_PI2_0, x);
    r = fma(-k, F64_PI2_1, r);
    r = fma(-k, F64_PI2_2, r);
    double z = r * r, s = 0, c = 0;
    for (int i = 17; i >= 3; i -= 2)
        s = fma(s, z, i % 4 == 1 ? inv_fact[i] : -inv_fact[i]);
    for (int i = 18; i >= 2; i -= 2)
        c = fma(c, z, i % 4 == 0 ? inv_fact[i] : -inv_fact[i]);
    s = fma(s * z, r, r);
    c = fma(c, z, 1.0);
    switch ((long long)k & 3) {
    case 0: *sine = s; *cosine = c; break;
    case 1: *sine = c; *cosine = -s; break;
    case 2: *sine = -s; *cosine = -c; break;
    default: *sine = -c; *cosine = s; break;
    }
}

double t1_cos_f64(double x)
{
    double s, c;
    sincos_f64(x, &s, &c);
    return c;
}

void kernels_rope_fill(real *cosine, real *sine, int max_pos, int d_head, double theta)
{
    int h = d_head / 2;
    for (int i = 0; i < h; i++) {
        double freq = t1_pow_f64(theta, -2.0 * i / d_head);
        for (int p = 0; p < max_pos; p++) {
            double s, c;
            sincos_f64(p * freq, &s, &c);
            cosine[(ptrdiff_t)p * h + i] = real_narrow(c);
            sine[(ptrdiff_t)p * h + i] = real_narrow(s);
        }
    }
}
