/* The whole self-test with AMX kernels on emulated tiles, and with VDPBF16PS and VPDPBUSD kernels on emulated dots: the
 * profiles' digests again. */
#include "harness.h"

#include "kernels/fill.h"
#include "nn/selftest.h"

void gemm_fill_amx_emulated(struct kernels *k);
void gemm_i8_fill_amx_emulated(struct kernels *k);
void gemm_fill_avx512bf16_emulated(struct kernels *k);
void gemm_i8_fill_avx512vnni_emulated(struct kernels *k);

static void whole_selftest(void (*fill)(struct kernels *), const char *unit, const char *unit_i8)
{
    const struct kernels *best = kernels_get(ISA_AVX512);
    if (!best) {
        print_message("this machine lacks AVX-512, which the emulated instructions are compiled for\n");
        skip();
    }
    struct kernels k = *best;
    fill(&k);
    assert_string_equal(k.gemm.name, unit);
    assert_string_equal(k.gemm_i8.name, unit_i8);
    for (int threads = 1; threads < 4; threads += 2) {
        struct err e = {0};
        struct nn x;
        struct digest d[N_PROFILES];
        ok(nn_init(&x, &k, threads, &e));
        ok(selftest_digests(d, &x, &e));
        nn_release(&x);
        ok(selftest_check(d, &e));
    }
}

static void fill_tiles(struct kernels *k)
{
    gemm_fill_amx_emulated(k);
    gemm_i8_fill_amx_emulated(k);
}

static void test_emulated_tiles(void **state)
{
    (void)state;
    whole_selftest(fill_tiles, "amx-bf16", "amx-int8");
}

static void fill_dots(struct kernels *k)
{
    gemm_fill_avx512bf16_emulated(k);
    gemm_i8_fill_avx512vnni_emulated(k);
}

static void test_emulated_dots(void **state)
{
    (void)state;
    whole_selftest(fill_dots, "dot-bf16", "dot-int8");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_emulated_tiles), cmocka_unit_test(test_emulated_dots)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
