/* A signature over a folder says of every file either its digest or that it was left out; where it cannot, there is
 * none. */
#include "harness.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "ledger/oms.h"

static struct err e;
static struct dsse_key *own, *public;
static const char *dir;

static void put(const char *name, const char *text) { ok(file_replace(name, text, strlen(text), &e)); }

static int set_up(void **state)
{
    (void)state;
    json_t *v;
    assert_int_equal(chdir(dir = test_dir()), 0);
    EVP_PKEY *k = EVP_EC_gen("P-256");
    FILE *f = fopen("own.pem", "w"), *g = fopen("public.pem", "w");
    assert_true(k && f && g && PEM_write_PrivateKey(f, k, NULL, NULL, 0, NULL, NULL) && PEM_write_PUBKEY(g, k));
    fclose(f);
    fclose(g);
    EVP_PKEY_free(k);
    ok(dsse_private_read(&own, "own.pem", &e));
    ok(dsse_public_read(&public, "public.pem", &e));
    ok(json_parse(&v, "{}", 2, "here", &e));   /* from here on JSON takes its memory where it can be made to fail */
    json_decref(v);
    ok(file_mkdir_p("model", &e));
    put("model/a", "one");
    put("model/b", "two");
    put("model/notes", "left out");
    return 0;
}

static int take_down(void **state)
{
    (void)state;
    dsse_key_free(own);
    dsse_key_free(public);
    test_dir_remove(dir);
    return 0;
}

static const char *const ignore[] = {"notes", NULL};

static void signs_what_it_does_not_leave_out(void **state)
{
    (void)state;
    struct oms_report r;
    struct digest root;
    ok(oms_sign("model", "model/sig", &(struct oms_opts){.ignore = ignore}, own, &root, &e));
    ok(oms_verify("model", "model/sig", public, &r, &e));
    assert_int_equal(r.files, 2);
    put("model/notes", "changed");   /* allowed: the signature says that it leaves this out */
    ok(oms_verify("model", "model/sig", public, &r, &e));
    unlink("model/sig");
}

/* The names of what is left out must be in the signature, for a reader refuses files that it does not tell of. */
static void refuses_names_that_json_cannot_hold(void **state)
{
    (void)state;
    struct digest root;
    static const char *const odd[] = {"notes\xff", NULL};
    refused(oms_sign("model", "model/sig", &(struct oms_opts){.ignore = odd}, own, &root, &e), ERR_VALUE,
            "notes\xff: cannot be left out");
    refused(oms_sign("model", "model/sig\xff", &(struct oms_opts){.ignore = ignore}, own, &root, &e), ERR_VALUE,
            "sig\xff: cannot be left out");
    assert_false(file_exists("model/sig"));
    assert_false(file_exists("model/sig\xff"));
}

/* Whichever allocation fails, either there is no signature or one that holds; it may be there although the folder could
 * not be synced. */
static void signs_all_or_nothing_when_memory_is_short(void **state)
{
    (void)state;
    struct oms_report r;
    struct digest root;
    int failed = 0, signatures = 0;
    for (long n = 1; n <= 300; n++) {
        unlink("model/sig");
        mem_fail_at(n);
        int rc = oms_sign("model", "model/sig", &(struct oms_opts){.ignore = ignore}, own, &root, &e);
        mem_fail_at(0);
        failed += rc != 0;
        signatures += rc == 0;
        assert_true(rc != 0 || file_exists("model/sig"));
        if (file_exists("model/sig") && oms_verify("model", "model/sig", public, &r, &e))
            fail_msg("allocation %ld failing gave a signature that does not hold: %s", n, e.msg);
    }
    assert_true(failed > 50 && signatures > 50);   /* the last ones were not asked for */
    unlink("model/sig");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(signs_what_it_does_not_leave_out),
                                       cmocka_unit_test(refuses_names_that_json_cannot_hold),
                                       cmocka_unit_test(signs_all_or_nothing_when_memory_is_short)};
    return cmocka_run_group_tests(tests, set_up, take_down);
}
