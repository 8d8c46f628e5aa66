/* The elementary functions over a stride of all 2^32 inputs (every one with DOKJA_LONG=1): error in
 * ulp against libm in binary64, and equality of the vector forms with the scalar ones; rotary tables
 * and binary64 functions against long double. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/kernels.h"

enum { CHUNK = 4096 };

static uint64_t stride(void) { return getenv("DOKJA_LONG") ? 1 : 997; }

/* Fills x with the next inputs; returns how many. */
static int next_inputs(float *x, uint64_t *at)
{
    int n = 0;
    for (; n < CHUNK && *at < (1ull << 32); *at += stride(), n++) {
        uint32_t u = (uint32_t)*at;
        memcpy(&x[n], &u, sizeof u);
    }
    return n;
}

static bool same(float a, float b) { return (a != a && b != b) || memcmp(&a, &b, sizeof a) == 0; }

/* Distance in units of the last place of `want`, which is normal. */
static double ulps(float got, double want)
{
    int e;
    frexp(want, &e);
    return fabs((double)got - want) / ldexp(1.0, e - 24);
}

static double exp_d(double x) { return exp(x); }
static double log_d(double x) { return log(x); }
static double tanh_d(double x) { return tanh(x); }
static double sigmoid_d(double x) { return x >= 0 ? 1 / (1 + exp(-x)) : exp(x) / (1 + exp(x)); }
static double rsqrt_d(double x) { return 1 / sqrt(x); }

struct fn {
    const char *name;
    float (*t1)(float);
    double (*exact)(double);
    double max_ulp;
};
static const struct fn fns[] = {
    {"exp", t1_exp, exp_d, 1.0},         {"log", t1_log, log_d, 1.0},
    {"sigmoid", t1_sigmoid, sigmoid_d, 2.5}, {"tanh", t1_tanh, tanh_d, 1.5},
    {"rsqrt", t1_rsqrt, rsqrt_d, 1.5},
};

/* What the profile says about a result that is no normal float: flushed, infinite or NaN. */
static void check_special(const struct fn *f, float x, float got, double want)
{
    if (want != want)
        assert_true(got != got);
    else if (fabs(want) >= 0x1.ffffffp127)
        assert_true(got == (want > 0 ? INFINITY : -INFINITY));
    else if (!(fabs(got) <= 0x1p-126f))
        fail_msg("%s(%a) = %a, expected about %a", f->name, (double)x, (double)got, want);
}

static void test_errors(void **state)
{
    (void)state;
    static float x[CHUNK];
    for (size_t k = 0; k < sizeof fns / sizeof *fns; k++) {
        const struct fn *f = &fns[k];
        double worst = 0;
        float where = 0;
        uint64_t at = 0;
        for (int n; (n = next_inputs(x, &at)) > 0;)
            for (int i = 0; i < n; i++) {
                float in = x[i], got = f->t1(in);
                if (in == 0) /* DAZ: denormals are zeros */
                    in = copysignf(0.0f, in);
                double want = f->exact((double)in);
                if (!(fabs(want) >= 0x1p-126 && fabs(want) < 0x1.ffffffp127)) {
                    check_special(f, x[i], got, want);
                    continue;
                }
                double u = ulps(got, want);
                if (!(u <= worst)) {
                    worst = u;
                    where = in;
                }
            }
        print_message("%-8s max %.4f ulp at %a\n", f->name, worst, (double)where);
        assert_true(worst <= f->max_ulp);
    }
}

static void test_vectors(void **state)
{
    (void)state;
    static float x[CHUNK], y[CHUNK], e[CHUNK], s[CHUNK];
    static bf16 b[CHUNK];
    uint64_t at = 0;
    for (int n; (n = next_inputs(x, &at)) > 0;) {
        for (int i = 0; i < n; i++) {
            e[i] = t1_exp(x[i]);
            s[i] = t1_sigmoid(x[i]);
        }
        for (int isa = ISA_REF; isa <= ISA_AMX; isa++) {
            const struct kernels *k = kernels_get((enum isa)isa);
            if (!k)
                continue;
            k->exp(y, x, (size_t)n);
            for (int i = 0; i < n; i++)
                if (!same(y[i], e[i]))
                    fail_msg("exp(%a): %s gives %a, ref %a", (double)x[i], isa_name(k->isa),
                             (double)y[i], (double)e[i]);
            k->sigmoid(y, x, (size_t)n);
            for (int i = 0; i < n; i++)
                if (!same(y[i], s[i]))
                    fail_msg("sigmoid(%a): %s gives %a, ref %a", (double)x[i], isa_name(k->isa),
                             (double)y[i], (double)s[i]);
            k->bf16_from_f32(b, x, (size_t)n);
            for (int i = 0; i < n; i++)
                if (b[i].bits != bf16_round(x[i]).bits)
                    fail_msg("bf16(%a): %s gives %04x, ref %04x", (double)x[i], isa_name(k->isa),
                             b[i].bits, bf16_round(x[i]).bits);
        }
    }
}

/* NUMERICS §2 by another route: the nearest of the two neighbours, even on ties. */
static void test_bf16(void **state)
{
    (void)state;
    assert_int_equal(bf16_round(0x1.01p0f).bits, 0x3f80);  /* tie: even below */
    assert_int_equal(bf16_round(0x1.03p0f).bits, 0x3f82);  /* tie: even above */
    assert_int_equal(bf16_round(0x1.010002p0f).bits, 0x3f81);
    assert_int_equal(bf16_round(0x1.fffffep127f).bits, 0x7f80);
    assert_int_equal(bf16_round(-INFINITY).bits, 0xff80);
    assert_int_equal(bf16_round(-0.0f).bits, 0x8000);
    uint32_t u = 0x807fffffu; /* the largest denormal, negative */
    float d;
    memcpy(&d, &u, sizeof d);
    assert_int_equal(bf16_round(d).bits, 0x8000);
    /* From 2^-116 on, so that the distance of neighbours is normal. */
    for (uint32_t h = 0x580; h + 1 < 0x7f80; h++) {
        float a = bf16_expand((bf16){(uint16_t)h}), b = bf16_expand((bf16){(uint16_t)(h + 1)});
        float mid = a + (b - a) * 0.5f;
        assert_int_equal(bf16_round(mid).bits, h & 1 ? h + 1 : h);
        assert_int_equal(bf16_round(nextafterf(mid, a)).bits, h);
        assert_int_equal(bf16_round(nextafterf(mid, b)).bits, h + 1);
    }
}

static void test_edges(void **state)
{
    (void)state;
    assert_true(same(t1_exp(0.0f), 1.0f));
    assert_true(same(t1_exp(-INFINITY), 0.0f));
    assert_true(same(t1_exp(-0x1.5d58a0p+6f), 0.0f));
    assert_true(t1_exp(-0x1.5d589ep+6f) >= 0x1p-126f);
    assert_true(t1_exp(0x1.62e42ep+6f) < INFINITY);
    assert_true(t1_exp(0x1.62e430p+6f) == INFINITY);
    assert_true(t1_exp(NAN) != t1_exp(NAN));
    assert_true(same(t1_log(1.0f), 0.0f));
    assert_true(t1_log(0.0f) == -INFINITY && t1_log(-0.0f) == -INFINITY);
    assert_true(t1_log(INFINITY) == INFINITY);
    assert_true(t1_log(-1.0f) != t1_log(-1.0f) && t1_log(-INFINITY) != t1_log(-INFINITY));
    assert_true(same(t1_tanh(-0.0f), -0.0f) && same(t1_tanh(INFINITY), 1.0f));
    assert_true(same(t1_sigmoid(0.0f), 0.5f) && same(t1_sigmoid(-0.0f), 0.5f));
    assert_true(same(t1_sigmoid(-INFINITY), 0.0f) && same(t1_sigmoid(INFINITY), 1.0f));
    assert_true(t1_rsqrt(0.0f) == INFINITY && same(t1_rsqrt(4.0f), 0.5f));
}

static void near_ld(const char *what, double got, long double want, double tol)
{
    if (!(fabsl((long double)got - want) <= tol))
        fail_msg("%s: %.17g, expected %.17Lg", what, got, want);
}

static void test_f64(void **state)
{
    (void)state;
    for (int i = -20000; i <= 20000; i++) {
        double x = i * 0.7310585786;
        near_ld("cos", t1_cos_f64(x), cosl((long double)x), 2.3e-16);
    }
    near_ld("cos(pi)", t1_cos_f64(3.141592653589793), -1.0L, 0);
    near_ld("cos(pi/2)", t1_cos_f64(1.5707963267948966), cosl((long double)1.5707963267948966), 1e-24);
    static const double base[] = {1e-9, 0.1, 0.5, 0.9999, 0.999999999, 1.0000001, 2, 3.3, 1e4, 5e5, 1e6, 1e12};
    for (size_t b = 0; b < sizeof base / sizeof *base; b++)
        for (int i = -300; i <= 300; i++) {
            double e = i * 0.0375;
            long double want = powl((long double)base[b], (long double)e);
            near_ld("pow", t1_pow_f64(base[b], e), want, (double)(want * 5e-16L));
        }
    near_ld("0^0", t1_pow_f64(0, 0), 1, 0);
    near_ld("0^2", t1_pow_f64(0, 2), 0, 0);
    assert_true(t1_pow_f64(-1, 0.5) != t1_pow_f64(-1, 0.5));
    assert_true(t1_pow_f64(10, 400) == INFINITY && t1_pow_f64(10, -400) == 0);
}

static void test_rope(void **state)
{
    (void)state;
    enum { POS = 5000, D = 128 };
    static float c[POS * D / 2], s[POS * D / 2];
    static const double thetas[] = {1e4, 1e6};
    for (int t = 0; t < 2; t++) {
        kernels_rope_fill(c, s, POS, D, thetas[t]);
        for (int i = 0; i < D / 2; i++) {
            long double f = powl((long double)thetas[t], -2.0L * i / D);
            for (int p = 0; p < POS; p++) {
                /* half an ulp of f32 below 1, and what 2^-53 of the angle makes of it */
                double tol = 0x1p-25 + p * 4e-16;
                near_ld("rope cos", (double)c[p * (D / 2) + i], cosl(p * f), tol);
                near_ld("rope sin", (double)s[p * (D / 2) + i], sinl(p * f), tol);
            }
        }
    }
    assert_true(same(c[0], 1.0f) && same(s[0], 0.0f));
}

static int enter(void **state)
{
    (void)state;
    kernels_fp_enter();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_edges, enter),   cmocka_unit_test_setup(test_bf16, enter),
        cmocka_unit_test_setup(test_errors, enter),  cmocka_unit_test_setup(test_vectors, enter),
        cmocka_unit_test_setup(test_f64, enter),     cmocka_unit_test_setup(test_rope, enter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
