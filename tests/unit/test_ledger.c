/* Records and the chain that holds them: round trips, every cut and every changed byte, resuming, full disks. */
#include "harness.h"

#include <math.h>

#include "base/file.h"
#include "base/mem.h"
#include "ledger/chain.h"
#include "ledger/lines.h"

static struct err e;
static char path[300];
static const char ORIGIN[] = "dokja/run/0011";

/* A ledger of GENESIS, BEACON, INIT and `segments` segments, a checkpoint behind each of these, and a FINAL. */
static void make(struct sign_key *k, int segments, bool final)
{
    struct ledger_log l;
    ok(ledger_log_new(&l, path, &e));
    ok(ledger_log_add(&l, LEDGER_GENESIS, "spec 1\n", 7, &e));
    ok(ledger_log_add(&l, LEDGER_BEACON, "seed 1\n", 7, &e));
    ok(ledger_log_add(&l, LEDGER_INIT, "root a\n", 7, &e));
    for (int i = 0; i < segments; i++) {
        char text[40];
        ok(ledger_log_add(&l, LEDGER_SEGMENT, text, (size_t)snprintf(text, sizeof text, "segment %d\n", i), &e));
        ok(ledger_log_sign(&l, ORIGIN, "dokja", k, &e));
    }
    if (final)
        ok(ledger_log_add(&l, LEDGER_FINAL, "root z\n", 7, &e));
    ledger_log_release(&l);
}

/* Whoever is stopped before the first record leaves no file, or the one that was there. */
static void test_first_record(void **state)
{
    (void)state;
    struct ledger_log w;
    struct ledger l;
    unlink(path);
    ok(ledger_log_new(&w, path, &e));
    assert_int_equal(access(path, F_OK), -1);
    ok(ledger_log_add(&w, LEDGER_GENESIS, "spec 1\n", 7, &e));
    ok(ledger_log_add(&w, LEDGER_BEACON, "seed 1\n", 7, &e));
    uint64_t bytes = w.bytes;
    ledger_log_release(&w);
    ok(ledger_log_new(&w, path, &e));
    ledger_log_release(&w);
    ok(ledger_open(&l, path, false, &e));
    assert_int_equal(l.n_records, 2);
    assert_int_equal(l.map.len, bytes);
    ledger_close(&l);
}

static int setup(void **state)
{
    (void)state;
    snprintf(path, sizeof path, "%s/ledger.bin", test_dir());
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    *strrchr(path, '/') = 0;
    test_dir_remove(path);
    return 0;
}

static void test_record(void **state)
{
    (void)state;
    struct buf b = {0};
    struct digest d = sha256_of("x", 1), got;
    uint64_t n;
    double v;
    struct line_value value;
    ok(lines_add(&b, "name", "독자 run", &e));
    ok(lines_add(&b, "empty", "", &e));
    ok(lines_add_count(&b, "steps", UINT64_MAX, &e));
    ok(lines_add_real(&b, "lr", 0.02, &e));
    ok(lines_add_real(&b, "odd", -NAN, &e));
    ok(lines_add_digest(&b, "root", &d, &e));
    refused(lines_add(&b, "name", "two\nlines", &e), ERR_VALUE, "control");
    struct lines t = {b.p, b.len, "ledger.bin: record 0 (GENESIS)"};
    assert_true(lines_at(&t, "name"));
    assert_false(lines_at(&t, "nam"));
    ok(lines_take(&t, "name", &value, &e));
    assert_int_equal(value.n, strlen("독자 run"));
    ok(lines_take(&t, "empty", &value, &e));
    assert_int_equal(value.n, 0);
    refused(lines_take_count(&t, "tokens", &n, &e), ERR_FORMAT, "where tokens was expected");
    ok(lines_take_count(&t, "steps", &n, &e));
    assert_true(n == UINT64_MAX);
    ok(lines_take_real(&t, "lr", &v, &e));
    assert_true(v == 0.02);
    ok(lines_take_real(&t, "odd", &v, &e));
    assert_true(isnan(v) && signbit(v));
    refused(lines_end(&t, &e), ERR_FORMAT, "where it should end");
    ok(lines_take_digest(&t, "root", &got, &e));
    assert_memory_equal(&got, &d, sizeof d);
    ok(lines_end(&t, &e));
    refused(lines_take(&t, "more", &value, &e), ERR_FORMAT, "ends where more was expected");
    buf_release(&b);

    static const char *const bad[] = {"n 01\n", "n -1\n", "n \n", "n 18446744073709551616\n", "n 1 \n", "n +1\n",
                                      "n\n", "n 1"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct lines u = {bad[i], strlen(bad[i]), "r"};
        if (lines_take_count(&u, "n", &n, &e) != ERR_FORMAT)
            fail_msg("accepted \"%s\"", bad[i]);
    }
    static const char *const real[] = {"n 0x3F947AE147AE147B\n", "n 3f947ae147ae147b\n", "n 0x3f947ae147ae147\n",
                                       "n 0.02\n"};
    for (size_t i = 0; i < sizeof real / sizeof *real; i++) {
        struct lines u = {real[i], strlen(real[i]), "r"};
        refused(lines_take_real(&u, "n", &v, &e), ERR_FORMAT, "16 hex digits");
    }
}

static void test_round_trip(void **state)
{
    (void)state;
    struct sign_key *k, *other;
    struct ledger l;
    struct buf b = {0};
    uint64_t covered;
    size_t n;
    ok(sign_key_new(&k, &e));
    ok(sign_key_new(&other, &e));
    make(k, 5, true);
    struct note_signer s = {"dokja", sign_key_public(k)}, o = {"dokja", sign_key_public(other)};
    ok(ledger_open(&l, path, false, &e));
    assert_int_equal(l.n_records, 9);
    assert_int_equal(l.n_entries, 14);
    const char *text = ledger_text(&l.entry[3], &n);
    assert_int_equal(n, strlen("segment 0\n"));
    assert_memory_equal(text, "segment 0\n", n);
    assert_non_null(strstr(ledger_where(&l, &l.entry[3], &b), "ledger.bin: record 3 (SEGMENT)"));
    ok(ledger_signed_check(&l, ORIGIN, &s, &covered, &e));
    assert_int_equal(covered, 8);
    refused(ledger_signed_check(&l, ORIGIN, &o, &covered, &e), ERR_SIGNATURE, "checkpoint after 4 records");
    refused(ledger_signed_check(&l, "dokja/run/0012", &s, &covered, &e), ERR_VALUE, "0012");
    ledger_close(&l);
    buf_release(&b);
    sign_key_free(k);
    sign_key_free(other);
}

/* One flipped bit anywhere is found by the frame, the chain or a signature; so is every cut, but at an entry's end. */
static void test_damage(void **state)
{
    (void)state;
    struct sign_key *k;
    struct ledger l;
    struct buf whole = {0};
    uint64_t covered;
    struct err quiet;
    ok(sign_key_new(&k, &e));
    make(k, 2, false);
    struct note_signer s = {"dokja", sign_key_public(k)};
    ok(file_read(&whole, path, 1 << 20, &e));
    for (size_t i = 0; i < whole.len; i++) {
        whole.p[i] ^= (char)(1 << i % 8);
        ok(file_replace(path, whole.p, whole.len, &e));
        if (ledger_open(&l, path, false, &quiet) == 0) {
            if (ledger_signed_check(&l, ORIGIN, &s, &covered, &quiet) == 0 && covered == 5)
                fail_msg("byte %zu changed and nobody saw it", i);
            ledger_close(&l);
        }
        whole.p[i] ^= (char)(1 << i % 8);
    }
    int ends = 0;
    for (size_t cut = 0; cut < whole.len; cut++) {
        ok(file_replace(path, whole.p, cut, &e));
        ends += ledger_open(&l, path, false, &quiet) == 0;
        ledger_close(&l);
    }
    assert_int_equal(ends, 7);   /* the empty ledger, and behind each entry but the last */
    buf_release(&whole);
    sign_key_free(k);
}

static void test_order(void **state)
{
    (void)state;
    static const struct {
        int kind[3];
        const char *says;
    } bad[] = {{{LEDGER_BEACON, 0, 0}, "BEACON, which cannot stand first"},
               {{LEDGER_GENESIS, LEDGER_GENESIS, 0}, "GENESIS, which cannot stand there"},
               {{LEDGER_GENESIS, LEDGER_FINAL, LEDGER_SEGMENT}, "SEGMENT, which cannot stand there"},
               {{9, 0, 0}, "of kind 9"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct ledger_log w;
        struct ledger l;
        unlink(path);
        ok(ledger_log_new(&w, path, &e));
        for (int j = 0; j < 3 && bad[i].kind[j]; j++)
            ok(ledger_log_add(&w, (enum ledger_kind)bad[i].kind[j], "x\n", 2, &e));
        ledger_log_release(&w);
        refused(ledger_open(&l, path, false, &e), ERR_FORMAT, bad[i].says);
    }
}

/* Going on after a kill gives the bytes that an uninterrupted run gives, whatever was left behind the cut. */
static void test_resume(void **state)
{
    (void)state;
    struct sign_key *k;
    struct buf whole = {0}, again = {0};
    ok(sign_key_new(&k, &e));
    make(k, 4, true);
    ok(file_read(&whole, path, 1 << 20, &e));
    for (size_t cut = 0; cut <= 60; cut += 7) {
        struct ledger_log l;
        ok(file_replace(path, whole.p, whole.len - cut, &e));
        ok(ledger_log_open(&l, path, 5, &e));   /* two segments and their checkpoints stay */
        assert_int_equal(l.tree.n, 5);
        for (int i = 2; i < 4; i++) {
            char text[40];
            ok(ledger_log_add(&l, LEDGER_SEGMENT, text, (size_t)snprintf(text, sizeof text, "segment %d\n", i), &e));
            ok(ledger_log_sign(&l, ORIGIN, "dokja", k, &e));   /* Ed25519 signs the same text alike */
        }
        ok(ledger_log_add(&l, LEDGER_FINAL, "root z\n", 7, &e));
        assert_int_equal(l.bytes, whole.len);
        ledger_log_release(&l);
        ok(file_read(&again, path, 1 << 20, &e));
        assert_int_equal(again.len, whole.len);
        assert_memory_equal(again.p, whole.p, whole.len);
    }
    struct ledger_log l;
    refused(ledger_log_open(&l, path, 10, &e), ERR_FORMAT, "expected at least 10");
    buf_release(&whole);
    buf_release(&again);
    sign_key_free(k);
}

/* A write that fails leaves the ledger as it was, in memory too: the next one continues the chain. */
static void test_full_disk(void **state)
{
    (void)state;
    struct sign_key *k;
    struct ledger l;
    struct ledger_log w;
    uint64_t covered;
    ok(sign_key_new(&k, &e));
    make(k, 1, false);
    struct note_signer s = {"dokja", sign_key_public(k)};
    ok(ledger_log_open(&w, path, UINT64_MAX, &e));
    for (long n = 1; n <= 2; n++) {   /* the write, then its fsync */
        file_fail_at(n);
        assert_true(ledger_log_add(&w, LEDGER_SEGMENT, "lost\n", 5, &e) < 0);
        file_fail_at(n);
        assert_true(ledger_log_sign(&w, ORIGIN, "dokja", k, &e) < 0);
        file_fail_at(0);
    }
    ok(ledger_log_add(&w, LEDGER_SEGMENT, "kept\n", 5, &e));
    ok(ledger_log_sign(&w, ORIGIN, "dokja", k, &e));
    ledger_log_release(&w);
    ok(ledger_open(&l, path, false, &e));
    assert_int_equal(l.n_records, 5);
    ok(ledger_signed_check(&l, ORIGIN, &s, &covered, &e));
    assert_int_equal(covered, 5);
    ledger_close(&l);
    sign_key_free(k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_record),
        cmocka_unit_test_setup_teardown(test_first_record, setup, teardown),
        cmocka_unit_test_setup_teardown(test_round_trip, setup, teardown),
        cmocka_unit_test_setup_teardown(test_damage, setup, teardown),
        cmocka_unit_test_setup_teardown(test_order, setup, teardown),
        cmocka_unit_test_setup_teardown(test_resume, setup, teardown),
        cmocka_unit_test_setup_teardown(test_full_disk, setup, teardown)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
