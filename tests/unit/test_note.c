/* Keys, signed notes and checkpoints: the published vectors of RFC 8032 and RFC 4648, round trips, and every way in
 * which a note can be wrong. */
#include "harness.h"

#include <sys/stat.h>

#include "base/base64.h"
#include "base/file.h"
#include "ledger/note.h"

static struct err e;

static void from_hex(uint8_t *out, const char *hex)
{
    for (size_t i = 0; hex[2 * i]; i++) {
        unsigned v;
        assert_int_equal(sscanf(hex + 2 * i, "%2x", &v), 1);
        out[i] = (uint8_t)v;
    }
}

static void test_base64(void **state)
{
    (void)state;
    static const char *const vector[][2] = {{"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"},
                                            {"foob", "Zm9vYg=="}, {"fooba", "Zm9vYmE="}, {"foobar", "Zm9vYmFy"}};
    static const char *const bad[] = {"Z", "Zg", "Zg=", "Zh==", "Zm9=", "Zg==Zg==", "Zm9v\n", " Zm9", "Zm9*", "====",
                                      "=m9v", "Zm=v", "Zg-_"};
    unsigned char out[128];
    for (size_t i = 0; i < sizeof vector / sizeof *vector; i++) {
        struct buf b = {0};
        ok(base64_add(&b, vector[i][0], strlen(vector[i][0]), &e));
        assert_int_equal(b.len, strlen(vector[i][1]));
        assert_memory_equal(b.p ? b.p : "", vector[i][1], b.len);
        assert_int_equal(base64_read(out, sizeof out, vector[i][1], b.len), strlen(vector[i][0]));
        assert_memory_equal(out, vector[i][0], strlen(vector[i][0]));
        buf_release(&b);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (base64_read(out, sizeof out, bad[i], strlen(bad[i])) != -1)
            fail_msg("accepted %s", bad[i]);
    assert_int_equal(base64_read(out, 2, "Zm9v", 4), -1);
    unsigned char all[100];
    struct buf b = {0};
    for (int i = 0; i < 100; i++)
        all[i] = (unsigned char)(i * 37);
    ok(base64_add(&b, all, sizeof all, &e));   /* more than one piece */
    assert_int_equal(base64_read(out, sizeof out, b.p, b.len), 100);
    assert_memory_equal(out, all, sizeof all);
    buf_release(&b);
}

/* RFC 8032 §7.1, tests 1 to 3. */
static void test_ed25519(void **state)
{
    (void)state;
    static const struct {
        const char *key, *message, *signature;
    } v[] = {
        {"d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
         "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
         "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"},
        {"3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
         "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
         "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"},
        {"fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
         "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
         "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"}};
    for (size_t i = 0; i < sizeof v / sizeof *v; i++) {
        struct sign_public key;
        struct signature sig;
        uint8_t message[8];
        size_t n = strlen(v[i].message) / 2;
        from_hex(key.b, v[i].key);
        from_hex(sig.b, v[i].signature);
        from_hex(message, v[i].message);
        ok(sign_verify(&sig, &key, message, n, &e));
        sig.b[i]++;
        assert_int_equal(sign_verify(&sig, &key, message, n, &e), ERR_SIGNATURE);
    }
}

/* A key goes to a file that others cannot read, and comes back the same. */
static void test_key_file(void **state)
{
    (void)state;
    const char *dir = test_dir();
    char path[300];
    struct sign_key *a, *b;
    struct signature s;
    struct stat st;
    snprintf(path, sizeof path, "%s/key.pem", dir);
    ok(sign_key_new(&a, &e));
    ok(sign_key_write(a, path, &e));
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    ok(sign_key_read(&b, path, &e));
    struct sign_public pa = sign_key_public(a), pb = sign_key_public(b);
    assert_memory_equal(&pa, &pb, sizeof pa);
    ok(sign_bytes(&s, b, "dokja", 5, &e));
    ok(sign_verify(&s, &pa, "dokja", 5, &e));
    assert_int_equal(sign_verify(&s, &pa, "dokjo", 5, &e), ERR_SIGNATURE);
    sign_key_free(b);
    ok(file_replace(path, "no key", 6, &e));
    refused(sign_key_read(&b, path, &e), ERR_FORMAT, "Ed25519");
    assert_null(b);
    sign_key_free(a);
    test_dir_remove(dir);
}

static void add(struct buf *b, const char *s) { ok(buf_adds(b, s, &e)); }

static void test_note(void **state)
{
    (void)state;
    static const char text[] = "독자/run\n12\nkept apart\n\neven with an empty line\n";
    const size_t n = sizeof text - 1;
    struct sign_key *k, *other;
    struct buf b = {0}, two = {0};
    size_t got;
    ok(sign_key_new(&k, &e));
    ok(sign_key_new(&other, &e));
    struct note_signer s = {"dokja.example/run", sign_key_public(k)}, o = {"dokja.example/run", sign_key_public(other)};
    ok(note_sign(&b, text, n, s.name, k, &e));
    ok(note_verify(b.p, b.len, &s, &got, &e));
    assert_int_equal(got, n);
    refused(note_verify(b.p, b.len, &o, &got, &e), ERR_SIGNATURE, "not signed by");

    /* The signature of another stands beside ours. */
    ok(note_sign(&two, text, n, o.name, other, &e));
    ok(buf_add(&two, b.p + n + 1, b.len - n - 1, &e));
    ok(note_verify(two.p, two.len, &s, &got, &e));
    ok(note_verify(two.p, two.len, &o, &got, &e));

    for (size_t i = 0; i < b.len; i++) {   /* no changed byte goes through */
        struct err quiet;
        b.p[i] ^= 1;
        assert_true(note_verify(b.p, b.len, &s, &got, &quiet) < 0);
        b.p[i] ^= 1;
    }
    for (size_t cut = 0; cut < b.len; cut++) {
        struct err quiet;
        assert_true(note_verify(b.p, cut, &s, &got, &quiet) < 0);
    }
    buf_clear(&two);
    add(&two, "text\nno empty line\n");
    refused(note_verify(two.p, two.len, &s, &got, &e), ERR_FORMAT, "empty line");
    buf_clear(&two);
    add(&two, "text\n\n- plain dash AAAA\n");
    refused(note_verify(two.p, two.len, &s, &got, &e), ERR_FORMAT, "NAME BASE64");
    buf_clear(&two);
    refused(note_sign(&two, "no newline", 10, s.name, k, &e), ERR_FORMAT, "newline");
    refused(note_sign(&two, "a\tb\n", 4, s.name, k, &e), ERR_FORMAT, "control character");
    refused(note_sign(&two, text, n, "two words", k, &e), ERR_VALUE, "blanks");
    refused(note_sign(&two, text, n, "a+b", k, &e), ERR_VALUE, "+");
    buf_release(&b);
    buf_release(&two);
    sign_key_free(k);
    sign_key_free(other);
}

static void test_checkpoint(void **state)
{
    (void)state;
    struct checkpoint c = {.size = 18446744073709551615u, .root = sha256_of("root", 4)}, d;
    struct buf b = {0};
    ok(checkpoint_text(&b, "dokja/run/1", &c, &e));
    ok(checkpoint_read(&d, b.p, b.len, "dokja/run/1", &e));
    assert_true(d.size == c.size);
    assert_memory_equal(&d.root, &c.root, sizeof c.root);
    add(&b, "another line\n");
    ok(checkpoint_read(&d, b.p, b.len, "dokja/run/1", &e));
    refused(checkpoint_read(&d, b.p, b.len, "dokja/run/2", &e), ERR_VALUE, "dokja/run/1");
    static const char *const bad[][2] = {
        {"o\n", "1 lines"}, {"o\n1\n", "2 lines"}, {"o\n01\nAAAA\n", "01"}, {"o\n-1\nAAAA\n", "-1"},
        {"o\n18446744073709551616\nAAAA\n", "18446744073709551616"}, {"o\n1\nAAAA\n", "32 bytes"},
        {"o\n\nAAAA\n", "decimal"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        refused(checkpoint_read(&d, bad[i][0], strlen(bad[i][0]), "o", &e), ERR_FORMAT, bad[i][1]);
    buf_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_base64), cmocka_unit_test(test_ed25519),
                                       cmocka_unit_test(test_key_file), cmocka_unit_test(test_note),
                                       cmocka_unit_test(test_checkpoint)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
