/* Gradients against central differences in binary64 (programs built with -DDK_DOUBLE). */
#ifndef DK_TESTS_GRAD_CHECK_H
#define DK_TESTS_GRAD_CHECK_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "nn/nn.h"

/* n values in (−1, 1), a function of the stream. */
static inline real *grad_random(size_t n, uint32_t stream)
{
    real *p = malloc((n ? n : 1) * sizeof *p);
    assert_non_null(p);
    for (size_t i = 0; i < n; i++)
        p[i] = 2 * (real)rng_unit_f32(rng_philox(1, RNG_TEST, stream, i).v[0]) - 1;
    return p;
}

static inline real *grad_zeros(size_t n)
{
    real *p = calloc(n ? n : 1, sizeof *p);
    assert_non_null(p);
    return p;
}

static inline double grad_dot(const real *a, const real *b, size_t n)
{
    double s = 0;
    for (size_t i = 0; i < n; i++)
        s += a[i] * b[i];
    return s;
}

/* Fourth-order central difference of loss at *p. */
static inline double grad_numeric(double (*loss)(void *), void *ctx, real *p)
{
    const double h = 1e-3;
    double keep = *p, f[4];
    static const int step[4] = {-2, -1, 1, 2};
    for (int i = 0; i < 4; i++) {
        *p = keep + step[i] * h;
        f[i] = loss(ctx);
    }
    *p = keep;
    return (8 * (f[2] - f[1]) - (f[3] - f[0])) / (12 * h);
}

/* Compares `got` (n) with differences of loss over p (n) at about `samples` elements spread over all; errors
 * are relative to the element, or to a thousandth of the largest one where that is more. */
static inline void grad_check(const char *what, double (*loss)(void *), void *ctx, real *p, const real *got,
                              size_t n, size_t samples, double tol)
{
    double top = 0, worst = 0;
    size_t step = n > samples ? n / samples : 1;
    for (size_t i = 0; i < n; i++)
        top = fabs(got[i]) > top ? fabs(got[i]) : top;
    if (!(top > 1e-9))
        fail_msg("%s: the gradient is zero everywhere: nothing is tested", what);
    for (size_t i = 0; i < n; i += step) {
        double want = grad_numeric(loss, ctx, &p[i]);
        double size = fabs(want) > 1e-3 * top ? fabs(want) : 1e-3 * top;
        double bad = fabs(got[i] - want) / size;
        if (!(bad <= tol))
            fail_msg("%s[%zu]: gradient %.12g, central difference %.12g, relative error %.2g", what, i, got[i],
                     want, bad);
        worst = bad > worst ? bad : worst;
    }
    print_message("  %-32s worst relative error %.1e\n", what, worst);
}

/* The part an op added to what was there. */
static inline void grad_subtract(real *p, const real *base, size_t n)
{
    for (size_t i = 0; i < n; i++)
        p[i] -= base[i];
}

static inline real *grad_copy(const real *p, size_t n)
{
    real *q = grad_zeros(n);
    memcpy(q, p, n * sizeof *q);
    return q;
}

#endif
