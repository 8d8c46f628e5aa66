/* Results at the brim of 2^-126 (NUMERICS §1): single operations against exact integers, then kernels of every
 * instruction set against values written by hand. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/fp.h"
#include "kernels/kernels.h"
#include "nn/selftest_parts.h"

static const float LEAST = 0x1p-126f;

static uint64_t seed = 7;
static uint32_t draw(void)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 32);
}
static int below(int n) { return (int)(draw() % (uint32_t)n); }

static float from_bits(uint32_t u)
{
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}
static uint32_t bits(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return u;
}

/* ---- single operations: exact values as multiples of 2^-220 ---- */

typedef __int128 exact;

/* A float of exponent e and its value in units of 2^(e − 23). */
static float number(int e, int64_t *m)
{
    uint32_t u = draw() & 0x807fffffu, kind = draw() % 4;
    if (kind == 0) /* near a power of two */
        u = (u & 0x80000007u) | (draw() & 1 ? 0x7ffff8u : 0);
    *m = (int64_t)((u & 0x7fffffu) | 0x800000u) * (u >> 31 ? -1 : 1);
    return from_bits(u | (uint32_t)(e + 127) << 23);
}

/* What the profile makes of v·2^-220. */
static float rounded(exact v, float zero)
{
    exact size = v < 0 ? -v : v, one = 1;
    if (size < (one << 94) - (one << 69))
        return zero;
    float f = size < one << 94 ? LEAST : (float)size * 0x1p-110f * 0x1p-110f;
    return v < 0 ? -f : f;
}

static long near_brim;

static void expect(const char *what, float got, exact v, float zero, float a, float b, float c)
{
    exact size = v < 0 ? -v : v, one = 1;
    near_brim += size < one << 94 && size >= (one << 94) - (one << 70);
    float want = rounded(v, zero);
    if (bits(got) != bits(want) && (v != 0 || got != 0))
        fail_msg("%s of %a %a %a gives %a, expected %a", what, (double)a, (double)b, (double)c, (double)got,
                 (double)want);
}

static void test_products(void **state)
{
    (void)state;
    near_brim = 0;
    for (int i = 0; i < 2000000; i++) {
        int64_t m, n;
        int ea = -126 + below(126), eb = -127 + below(2) - ea;
        if (eb < -126)
            continue;
        float a = number(ea, &m), b = number(eb, &n);
        if (i % 2) { /* the factor that comes nearest to 2^-126 with a, or a neighbour */
            int64_t f = (INT64_C(1) << 47) / (m < 0 ? -m : m) - below(2);
            if (f < 1 << 23 || f >= 1 << 24 || -127 - ea < -126)
                continue;
            n = n < 0 ? -f : f;
            b = from_bits((bits(b) & 0x80000000u) | (uint32_t)(-127 - ea + 127) << 23 | ((uint32_t)f & 0x7fffffu));
            eb = -127 - ea;
        }
        exact v = (exact)(m * n) * ((exact)1 << (ea + eb - 46 + 220));
        volatile float va = a, vb = b;
        expect("the product", real_mul(va, vb), v, m * n < 0 ? -0.0f : 0.0f, a, b, 0);
        expect("fma", real_fma(va, vb, -0.0f), v, m * n < 0 ? -0.0f : 0.0f, a, b, -0.0f);
        expect("narrowing", real_narrow((double)va * (double)vb), v, m * n < 0 ? -0.0f : 0.0f, a, b, 0);
    }
    assert_true(near_brim > 100000);
}

static void test_fma(void **state)
{
    (void)state;
    near_brim = 0;
    for (int i = 0; i < 4000000; i++) {
        int64_t m, n, l;
        int ec = -126 + below(i % 4 ? 2 : 20), ep = i % 2 ? -154 + below(5) : ec - 2 + below(4);
        int ea = -75 + below(20), eb = ep - ea;
        float a = number(ea, &m), b = number(eb, &n), c = number(ec, &l);
        if (i % 8 == 1) {
            l = l < 0 ? -(1 << 23) : 1 << 23;
            c = l < 0 ? -LEAST : LEAST;
            ec = -126;
        }
        exact v = (exact)(m * n) * ((exact)1 << (ea + eb - 46 + 220)) + (exact)l * ((exact)1 << (ec - 23 + 220));
        volatile float va = a, vb = b, vc = c;
        expect("fma", real_fma(va, vb, vc), v, v < 0 ? -0.0f : 0.0f, a, b, c);
    }
    assert_true(near_brim > 50000);
}

/* 2^-126 less a product that misses 2^-151 by less than binary64 sees beside 2^-126. */
static void test_fma_beyond_binary64(void **state)
{
    (void)state;
    int more = 0, less = 0;
    for (int64_t m = (1 << 23) + 1; m < 1 << 24; m += 3)
        for (int up = 0; up < 2; up++) {
            int64_t n = (INT64_C(1) << 47) / m + up, r = m * n - (INT64_C(1) << 47);
            if (r < -(1 << 17) || r > 1 << 17 || n >= 1 << 24)
                continue;
            more += r > 0;
            less += r < 0;
            float sign = m & 2 ? -1 : 1;
            volatile float a = -sign * (float)m * 0x1p-99f, b = (float)n * 0x1p-99f, c = sign * LEAST;
            float got = real_fma(a, b, c);
            if (bits(got) != bits(r <= 0 ? c : sign * 0.0f))
                fail_msg("fma of %a %a %a gives %a", (double)a, (double)b, (double)c, (double)got);
        }
    assert_true(more > 1000 && less > 1000);
}

/* (n − 1)/n is the quotient nearest below a power of two: not near enough. */
static void test_quotients(void **state)
{
    (void)state;
    for (uint32_t n = (1 << 23) + 1; n < 1 << 24; n += 3) {
        volatile float a = from_bits(1u << 23 | ((n - 1) & 0x7fffffu)), b = from_bits(127u << 23 | (n & 0x7fffffu));
        float q = a / b;
        if (bits(q) != 0)
            fail_msg("%a / %a gives %a", (double)a, (double)b, (double)q);
    }
}

static void test_denormals(void **state)
{
    (void)state;
    volatile float d = from_bits(0x007fffffu), big = 0x1p100f, nan = NAN, inf = INFINITY;
    assert_int_equal(bits(real_mul(d, big)), 0);
    assert_int_equal(bits(real_mul(-d, big)), 0x80000000u);
    assert_int_equal(bits(real_fma(d, big, d)), 0);
    assert_int_equal(bits(real_fma(d, big, LEAST)), bits(LEAST));
    assert_true(isnan(real_mul(nan, big)) && isnan(real_fma(0.0f, inf, LEAST)) && isnan(real_fma(nan, d, d)));
    volatile double least = 0x1.ffffffp-127, less = 0x1.fffffefffffffp-127; /* a compiler would round denormals */
    assert_int_equal(bits(real_narrow(least)), bits(LEAST));
    assert_int_equal(bits(real_narrow(-least)), bits(-LEAST));
    assert_int_equal(bits(real_narrow(-less)), 0x80000000u);
}

/* ---- the battery's factors ---- */

static void test_factors(void **state)
{
    (void)state;
    static const int64_t r[8] = {2 << 16, 63 << 16, 65 << 16, 1, (1 << 22) - 1, 1 << 22, (1 << 22) + 2, 1 << 23};
    for (uint32_t i = 0; i < 8; i++) {
        int64_t a = (int64_t)(st_brim_side(i, 0, 0) * 0x1p23f), b = (int64_t)(st_brim_side(i, 1, 0) * 0x1p23f);
        assert_true(a >= 1 << 23 && a < 1 << 24 && b >= 1 << 23 && b < 1 << 24);
        assert_true(a * b == (i < 7 ? (INT64_C(1) << 47) - r[i] : INT64_C(1) << 46));
    }
}

/* ---- kernels ---- */

/* Pair i scaled down to 2^-126 is kept, or flushed. */
static float kept(uint32_t i) { return i == 2 || i >= 6 ? 0 : LEAST; }

static void kernels_of(const struct kernels *k)
{
    enum { N = 37, K = 32 };
    float x[N], y[N], zero[N] = {0};
    for (uint32_t i = 0; i < 8; i++)
        for (int s = -1; s < 2; s += 2) {
            float a = (float)s * st_brim_side(i, 1, -1), want = (float)s * kept(i);
            for (int j = 0; j < N; j++)
                x[j] = y[j] = st_brim_side(i, 0, -126);
            k->scale(y, a, N);
            k->axpby(zero, a, x, 1, zero, N);
            for (int j = 0; j < N; j++)
                if (bits(y[j]) != bits(want) || zero[j] != want)
                    fail_msg("%s: pair %u gives %a and %a, expected %a", isa_name(k->isa), i, (double)y[j],
                             (double)zero[j], (double)want);
            memset(zero, 0, sizeof zero);
        }
    /* q·k: 2^-126 less 2^-152, 2^-151 or 3·2^-152, over keys enough for every width. */
    static const struct {
        float crumb;
        bool kept;
    } lost[] = {{0x1p-89f, true}, {0x1p-88f, true}, {0x1.8p-88f, false}};
    for (int c = 0; c < 3; c++)
        for (int s = -1; s < 2; s += 2) {
            float q[K] = {0}, score[N] = {0};
            bf16 key[N * K] = {{0}};
            q[4] = (float)s * 0x1p-63f;
            q[6] = (float)-s * lost[c].crumb;
            for (int j = 0; j < N; j++)
                key[j * K + 4] = key[j * K + 6] = bf16_round(0x1p-63f);
            k->attn_qk(score, N, q, K, key, K, 1, N, K);
            for (int j = 0; j < N; j++)
                if (score[j] != (lost[c].kept ? (float)s * LEAST : 0))
                    fail_msg("%s: q·k of crumb %d gives %a", isa_name(k->isa), c, (double)score[j]);
        }
}

static void test_kernels(void **state)
{
    (void)state;
    for (int i = ISA_REF; i <= ISA_AMX; i++)
        if (kernels_get((enum isa)i))
            kernels_of(kernels_get((enum isa)i));
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
        cmocka_unit_test_setup(test_products, enter),  cmocka_unit_test_setup(test_fma, enter),
        cmocka_unit_test_setup(test_fma_beyond_binary64, enter),
        cmocka_unit_test_setup(test_quotients, enter), cmocka_unit_test_setup(test_denormals, enter),
        cmocka_unit_test_setup(test_factors, enter),   cmocka_unit_test_setup(test_kernels, enter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
