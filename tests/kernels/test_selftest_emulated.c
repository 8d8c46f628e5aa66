/* The whole self-test with AMX kernels on emulated tiles, and with VDPBF16PS kernels on emulated dots: the profile's
 * digest again. */
#include "harness.h"

#include "kernels/fill.h"
#include "nn/selftest.h"

void gemm_fill_amx_emulated(struct kernels *k);
void gemm_fill_avx512bf16_emulated(struct kernels *k);

static void whole_selftest(void (*fill)(struct kernels *))
{
    const struct kernels *best = kernels_get(ISA_AVX512);
    if (!best) {
        print_message("this machine lacks AVX-512, which the emulated instructions are compiled for\n");
        skip();
    }
    struct kernels k = *best;
    fill(&k);
    assert_true(k.gemm.layout_id != best->gemm.layout_id);
    for (int threads = 1; threads < 4; threads += 2) {
        struct err e = {0};
        struct nn x;
        struct digest d;
        char hex[65];
        ok(nn_init(&x, &k, threads, &e));
        ok(selftest_digest(&d, &x, &e));
        nn_release(&x);
        digest_hex(hex, &d);
        assert_string_equal(hex, SELFTEST_T1);
    }
}

static void test_emulated_tiles(void **state)
{
    (void)state;
    whole_selftest(gemm_fill_amx_emulated);
}

static void test_emulated_dots(void **state)
{
    (void)state;
    whole_selftest(gemm_fill_avx512bf16_emulated);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_emulated_tiles), cmocka_unit_test(test_emulated_dots)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
