/* The coefficients of profile T1's elementary functions, shared by every instruction set
 * (NUMERICS §5).  Minimax polynomials, each coefficient rounded in turn and the rest fitted again.
 *
 * Every function below is a fixed sequence of binary32 operations; each fma(a, b, c) = a·b + c is one
 * rounding, everything else rounds once per operator.
 *
 * exp(x)      x < EXP_LO: +0.  x = min(x, EXP_HI).
 *             t = fma(x, EXP_LOG2E, EXP_MAGIC);  k = t − EXP_MAGIC        (k = nearest integer)
 *             r = fma(−k, EXP_LN2_HI, x);  r = fma(−k, EXP_LN2_LO, r)
 *             q = C6; q = fma(q, r, C5) … fma(q, r, C2);  q = fma(q, r, 1);  q = fma(q, r, 1)
 *             result q·2^k, exact unless it overflows to +inf.
 * log(x)      x = 2^e·(1 + f), √½ ≤ 1 + f < √2, denormals are zeros.
 *             p = C8 … C0 by fma in f;  y = f·f;  t = (f·p)·y;  t = fma(e, LOG_LN2_LO, t);
 *             t = fma(−½, y, t);  result fma(e, LOG_LN2_HI, f + t)
 *             ±0: −inf.  +inf: +inf.  x < 0: NaN.
 * sigmoid(x)  e = exp(−|x|);  result (x ≥ 0 ? 1 : e) ÷ (1 + e)
 * tanh(x)     z = |x|.  z < TANH_SPLIT: y = z·z, p = C4 … C0 by fma in y, fma(z·y, p, z)
 *             else 1 − 2 ÷ (exp(z + z) + 1); either with the sign of x.
 * rsqrt(x)    1 ÷ sqrt(x)
 *
 * The second half serves rotary tables and schedules in binary64: plain Taylor coefficients, cut where
 * the first missing term is below 2^-56 of the result. */
#ifndef DK_KERNELS_MATH_POLY_H
#define DK_KERNELS_MATH_POLY_H

/* exp, relative error of the polynomial on |r| ≤ ln2/2: 3.2e-9. */
#define EXP_LO (-0x1.5d589ep+6f) /* below it 2^-126 is not reached */
#define EXP_HI 0x1.64p+6f        /* 89: already +inf */
#define EXP_MAX 0x1.62e42ep+6f   /* above it +inf */
#define EXP_LOG2E 0x1.715476p+0f
#define EXP_MAGIC 0x1.8p+23f
#define EXP_LN2_HI 0x1.62e430p-1f
#define EXP_LN2_LO (-0x1.05c610p-29f)
#define EXP_C2 0x1.fffffcp-2f
#define EXP_C3 0x1.55548cp-3f
#define EXP_C4 0x1.555858p-5f
#define EXP_C5 0x1.123de0p-7f
#define EXP_C6 0x1.6ac74ep-10f

/* log: (log(1+f) − f + f²/2)/f³, relative error of the result 2.3e-9. */
#define LOG_SQRT_HALF_BITS 0x3f3504f3u
#define LOG_LN2_HI 0x1.63p-1f /* 9 bits: e·LN2_HI is exact */
#define LOG_LN2_LO (-0x1.bd0106p-13f)
#define LOG_C0 0x1.555548p-2f
#define LOG_C1 (-0x1.000070p-2f)
#define LOG_C2 0x1.99a542p-3f
#define LOG_C3 (-0x1.552f10p-3f)
#define LOG_C4 0x1.2302f8p-3f
#define LOG_C5 (-0x1.010450p-3f)
#define LOG_C6 0x1.f003c2p-4f
#define LOG_C7 (-0x1.bf5ac2p-4f)
#define LOG_C8 0x1.b5fbbep-5f

/* tanh: (tanh(x)/x − 1)/x² in x², relative error of the result 4.6e-9. */
#define TANH_SPLIT 0x1.4p-1f
#define TANH_C0 (-0x1.555532p-2f)
#define TANH_C1 0x1.1106f6p-3f
#define TANH_C2 (-0x1.b835a4p-5f)
#define TANH_C3 0x1.51f904p-6f
#define TANH_C4 (-0x1.750f54p-8f)

/* ---- binary64 ---- */
#define F64_LOG2E 0x1.71547652b82fep+0
#define F64_LN2_HI 0x1.62e42fefa39efp-1
#define F64_LN2_LO 0x1.abc9e3b39803fp-56
#define F64_2_PI 0x1.45f306dc9c883p-1
#define F64_PI2_0 0x1.921fb54442d18p+0
#define F64_PI2_1 0x1.1a62633145c07p-54
#define F64_PI2_2 (-0x1.f1976b8p-110)
#define F64_SQRT_HALF 0x1.6a09e667f3bcdp-1
#define F64_SQRT2 0x1.6a09e667f3bcdp+0
/* 1/n!, n = 0 … 18 */
#define F64_INV_FACT                                                                               \
    {1.0,                  1.0,                  0x1.0000000000000p-1,  0x1.5555555555555p-3,      \
     0x1.5555555555555p-5, 0x1.1111111111111p-7, 0x1.6c16c16c16c17p-10, 0x1.a01a01a01a01ap-13,     \
     0x1.a01a01a01a01ap-16, 0x1.71de3a556c734p-19, 0x1.27e4fb7789f5cp-22, 0x1.ae64567f544e4p-26,   \
     0x1.1eed8eff8d898p-29, 0x1.6124613a86d09p-33, 0x1.93974a8c07c9dp-37, 0x1.ae7f3e733b81fp-41,   \
     0x1.ae7f3e733b81fp-45, 0x1.952c77030ad4ap-49, 0x1.6827863b97d97p-53}
/* 2/(2n+3), n = 0 … 10: log(m) = 2s + s³·Σ, s = (m − 1)/(m + 1) */
#define F64_ATANH                                                                                  \
    {0x1.5555555555555p-1, 0x1.999999999999ap-2, 0x1.2492492492492p-2, 0x1.c71c71c71c71cp-3,       \
     0x1.745d1745d1746p-3, 0x1.3b13b13b13b14p-3, 0x1.1111111111111p-3, 0x1.e1e1e1e1e1e1ep-4,       \
     0x1.af286bca1af28p-4, 0x1.8618618618618p-4, 0x1.642c8590b2164p-4}

#endif
