/* The whole self-test with the AMX kernels on emulated tiles: the profile's digest again. */
#include "harness.h"

#include "kernels/fill.h"
#include "nn/selftest.h"

void gemm_fill_amx_emulated(struct kernels *k);

static void test_emulated_tiles(void **state)
{
    (void)state;
    const struct kernels *best = kernels_get(ISA_AVX512);
    if (!best) {
        print_message("this machine lacks AVX-512, which the emulated tiles are compiled for\n");
        skip();
    }
    struct kernels k = *best;
    gemm_fill_amx_emulated(&k);
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

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_emulated_tiles)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
