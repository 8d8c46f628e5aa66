/* The self-test: one digest for every instruction set and thread count, the one that is written down
 * in nn/selftest.h; no slot of the table is left out; one wrong bit shows. */
#include "harness.h"

#include <signal.h>
#include <sys/wait.h>

#include "nn/selftest.h"

static void digests_of(char hex[N_PROFILES][65], const struct kernels *k, int threads)
{
    struct err e = {0};
    struct nn x;
    struct digest d[N_PROFILES];
    ok(nn_init(&x, k, threads, &e));
    ok(selftest_digests(d, &x, &e));
    nn_release(&x);
    for (int i = 0; i < N_PROFILES; i++)
        digest_hex(hex[i], &d[i]);
}

/* Each slot in turn is NULL in a child process, which must not come to a digest.  First of all tests: a
 * process that has started OpenMP threads should not fork. */
static void test_all_slots(void **state)
{
    (void)state;
    const struct kernels *k = kernels_get(kernels_detect());
    size_t first = offsetof(struct kernels, gemm.pack_a), last = sizeof *k;
    assert_int_equal((last - first) % sizeof(void (*)(void)), 0);
    for (size_t at = first; at < last; at += sizeof(void (*)(void))) {
        if (at == offsetof(struct kernels, gemm_i8)) /* what lies before its functions */
            at = offsetof(struct kernels, gemm_i8.pack_a);
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            struct kernels holed = *k;
            char hex[N_PROFILES][65];
            memset((char *)&holed + at, 0, sizeof(void (*)(void)));
            if (!freopen("/dev/null", "w", stderr))
                _exit(1);
            signal(SIGSEGV, SIG_DFL);
            digests_of(hex, &holed, 1);
            _exit(0);
        }
        int status;
        assert_int_equal(waitpid(child, &status, 0), child);
        if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
            fail_msg("the slot %zu bytes into struct kernels is never called", at);
    }
}

static void test_one_digest(void **state)
{
    (void)state;
    static const int threads[] = {1, 2, 3, 7};
    static const char *const want[] = {SELFTEST_T1, SELFTEST_T2};
    for (int isa = ISA_REF; isa <= ISA_AMX; isa++)
        for (int t = 0; t < 4; t++) {
            const struct kernels *k = kernels_get((enum isa)isa);
            if (!k || (isa == ISA_REF && t == 1))
                continue;
            char hex[N_PROFILES][65];
            digests_of(hex, k, threads[t]);
            for (int i = 0; i < N_PROFILES; i++)
                if (strcmp(hex[i], want[i]) != 0)
                    fail_msg("%s with %d threads gives %s, expected %s", isa_name(k->isa), threads[t], hex[i], want[i]);
        }
}

static const struct kernels *honest;

/* One unit in the last place of one element among a thousand. */
static void add_wrong(real *y, const real *x, size_t n)
{
    uint32_t u;
    honest->add(y, x, n);
    if (n == 1003) {
        memcpy(&u, y + 500, sizeof u);
        u ^= 1;
        memcpy(y + 500, &u, sizeof u);
    }
}

static void cross_entropy_wrong(bf16 *d, real *loss, const real *z, int n, int target, real scale)
{
    honest->cross_entropy(d, loss, z, n, target, scale);
    if (d && n == 1003 && target == 0)
        d[1002].bits ^= 1;
}

/* A product of 8-bit integers and of nothing else. */
static void block_wrong(real *c, ptrdiff_t ldc, const void *a, const void *b, int m, int n, int k, bool zero)
{
    uint32_t u;
    honest->gemm_i8.block(c, ldc, a, b, m, n, k, zero);
    if (m == 7 && n == 130 && zero) {
        memcpy(&u, c + 6 * ldc + 129, sizeof u);
        u ^= 1;
        memcpy(c + 6 * ldc + 129, &u, sizeof u);
    }
}

static void test_one_bit(void **state)
{
    (void)state;
    char hex[N_PROFILES][65];
    honest = kernels_get(kernels_detect());
    struct kernels k = *honest;
    k.add = add_wrong;
    digests_of(hex, &k, 1);
    assert_string_not_equal(hex[PROFILE_T1], SELFTEST_T1);
    assert_string_not_equal(hex[PROFILE_T2], SELFTEST_T2); /* it is T1 too */
    k = *honest;
    k.cross_entropy = cross_entropy_wrong;
    digests_of(hex, &k, 1);
    assert_string_not_equal(hex[PROFILE_T1], SELFTEST_T1);
    k = *honest;
    k.gemm_i8.block = block_wrong;
    digests_of(hex, &k, 1);
    assert_string_equal(hex[PROFILE_T1], SELFTEST_T1);
    assert_string_not_equal(hex[PROFILE_T2], SELFTEST_T2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_slots),
        cmocka_unit_test(test_one_digest),
        cmocka_unit_test(test_one_bit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
