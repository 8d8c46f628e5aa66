/* Merkle proofs: roots of the reference implementation of RFC 6962, and every proof of every tree up to 70 leaves,
 * true and false ones. */
#include "harness.h"

#include "ledger/proof.h"

enum { MOST = 70 };
static struct digest leaf[MOST], root[MOST + 1];

static void test_known_roots(void **state)
{
    (void)state;
    static const char *const text[] = {"", "\x00", "\x10", "\x20\x21", "\x30\x31", "\x40\x41\x42\x43",
                                       "\x50\x51\x52\x53\x54\x55\x56\x57",
                                       "\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f"};
    static const size_t len[] = {0, 1, 1, 2, 2, 4, 8, 16};
    struct merkle m;
    char hex[65];
    merkle_init(&m);
    for (int i = 0; i < 8; i++) {
        merkle_add(&m, text[i], len[i]);
        struct digest d = merkle_root(&m);
        digest_hex(hex, &d);
        if (i == 0)
            assert_string_equal(hex, "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d");
        if (i == 7)
            assert_string_equal(hex, "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328");
    }
}

static int setup(void **state)
{
    (void)state;
    struct merkle m;
    merkle_init(&m);
    root[0] = merkle_root(&m);
    for (int i = 0; i < MOST; i++) {
        leaf[i] = merkle_leaf(&i, sizeof i);
        merkle_add_hash(&m, &leaf[i]);
        root[i + 1] = merkle_root(&m);
    }
    return 0;
}

static void test_inclusion(void **state)
{
    (void)state;
    for (uint64_t n = 1; n <= MOST; n++)
        for (uint64_t i = 0; i < n; i++) {
            struct proof p;
            proof_inclusion(&p, leaf, n, i);
            assert_true(proof_included(&p, &leaf[i], i, n, &root[n]));
            assert_false(proof_included(&p, &leaf[(i + 1) % MOST], i, n, &root[n]));
            assert_false(proof_included(&p, &leaf[i], i, n, &root[n - 1]));
            assert_false(proof_included(&p, &leaf[i], n, n, &root[n]));
            if (n > 1)
                assert_false(proof_included(&p, &leaf[i], i ^ 1, n, &root[n]) && (i ^ 1) < n);
            for (int k = 0; k < p.n; k++) {
                p.hash[k].b[k % 32] ^= 4;
                assert_false(proof_included(&p, &leaf[i], i, n, &root[n]));
                p.hash[k].b[k % 32] ^= 4;
            }
            p.hash[p.n++] = leaf[0];
            assert_false(proof_included(&p, &leaf[i], i, n, &root[n]));
            p.n -= 2;
            if (p.n >= 0)
                assert_false(proof_included(&p, &leaf[i], i, n, &root[n]));
        }
}

static void test_consistency(void **state)
{
    (void)state;
    for (uint64_t n = 1; n <= MOST; n++)
        for (uint64_t m = 1; m <= n; m++) {
            struct proof p;
            proof_consistency(&p, leaf, n, m);
            assert_true(proof_consistent(&p, m, &root[m], n, &root[n]));
            assert_false(proof_consistent(&p, m, &root[m - 1], n, &root[n]));
            assert_false(proof_consistent(&p, m, &root[m], n, &root[n - 1]));
            assert_false(proof_consistent(&p, 0, &root[0], n, &root[n]));
            assert_false(proof_consistent(&p, n + 1, &root[m], n, &root[n]));
            for (int k = 0; k < p.n; k++) {
                p.hash[k].b[k % 32] ^= 4;
                assert_false(proof_consistent(&p, m, &root[m], n, &root[n]));
                p.hash[k].b[k % 32] ^= 4;
            }
            p.hash[p.n++] = leaf[0];
            assert_false(proof_consistent(&p, m, &root[m], n, &root[n]));
            p.n -= 2;
            if (p.n >= 0)
                assert_false(proof_consistent(&p, m, &root[m], n, &root[n]));
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_known_roots), cmocka_unit_test(test_inclusion),
                                       cmocka_unit_test(test_consistency)};
    return cmocka_run_group_tests(tests, setup, NULL);
}
