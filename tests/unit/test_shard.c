#include "folder.h"

#include "base/file.h"
#include "base/mem.h"
#include "formats/shard.h"

static char path[400];
static struct err e;

static int setup(void **state)
{
    folder_up(state);
    snprintf(path, sizeof path, "%s", in_dir("s.bin"));
    return 0;
}

static struct digest digest_of(const char *s) { return sha256_of(s, strlen(s)); }

/* n_docs documents; document i has i tokens, token k of the stream is (k · 7919) mod vocab. */
static void write_shard(uint32_t vocab, int n_docs)
{
    struct shard_new *w;
    struct digest c = digest_of("corpus"), t = digest_of("tokenizer");
    int tok[8000];
    uint64_t at = 0;
    ok(shard_new_open(&w, path, vocab, &c, &t, &e));
    for (int i = 0; i < n_docs; i++) {
        for (int k = 0; k < i; k++) tok[k] = (int)(at++ * 7919 % vocab);
        ok(shard_new_doc(w, tok, (size_t)i, &e));
    }
    ok(shard_new_commit(&w, &e));
    assert_null(w);
}

static void check_shard(uint32_t vocab, int n_docs, int token_bytes)
{
    struct shard *s;
    struct digest c = digest_of("corpus"), t = digest_of("tokenizer");
    uint64_t n = (uint64_t)n_docs * (uint64_t)(n_docs ? n_docs - 1 : 0) / 2;
    ok(shard_open(&s, path, &e));
    const struct shard_info *in = shard_info(s);
    assert_int_equal(in->n_tokens, n);
    assert_int_equal(in->n_docs, n_docs);
    assert_int_equal(in->vocab, vocab);
    assert_int_equal(in->token_bytes, token_bytes);
    assert_memory_equal(&in->corpus, &c, 32);
    assert_memory_equal(&in->tokenizer, &t, 32);
    ok(shard_verify(s, &e));
    int *tok = mem_new(n, sizeof *tok);
    shard_read(s, 0, n, tok);
    for (uint64_t k = 0; k < n; k++) assert_int_equal(tok[k], k * 7919 % vocab);
    if (n > 3) {
        shard_read(s, n - 3, 3, tok);
        assert_int_equal(tok[2], (n - 1) * 7919 % vocab);
    }
    for (int i = 0; i <= n_docs; i++)
        assert_int_equal(shard_doc_start(s, (uint64_t)i), (uint64_t)i * (uint64_t)(i ? i - 1 : 0) / 2);
    for (uint64_t k = 0; k < n; k++) {
        uint64_t d = shard_doc_of(s, k);
        assert_true(shard_doc_start(s, d) <= k && k < shard_doc_start(s, d + 1));
    }
    mem_free(tok);
    shard_close(s);
}

static void round_trip(void **state)
{
    (void)state;
    static const struct {
        uint32_t vocab;
        int n_docs, token_bytes;
    } t[] = {{300, 0, 2}, {300, 1, 2}, {300, 2, 2}, {65536, 100, 2}, {65537, 100, 4}, {200000, 3, 4}, {1, 5, 2}};
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        write_shard(t[i].vocab, t[i].n_docs);
        check_shard(t[i].vocab, t[i].n_docs, t[i].token_bytes);
    }
}

/* The bytes on disk are the contract, not what our own reader makes of them. */
static void bytes_are_as_documented(void **state)
{
    (void)state;
    struct file_map m;
    write_shard(300, 3);
    ok(file_map_open(&m, path, &e));
    assert_int_equal(m.len, 128 + 8 + 24);
    assert_memory_equal(m.p, "DKTOKENS\1\0\0\0\2\0\0\0\3\0\0\0\0\0\0\0\3\0\0\0\0\0\0\0", 32);
    assert_memory_equal(m.p + 96, "\x2C\1\0\0\0\0\0\0", 8);
    /* 0, 7919 mod 300 = 119, 15838 mod 300 = 238, padding; starts 0, 0, 1 */
    assert_memory_equal(m.p + 128, "\0\0\x77\0\xEE\0\0\0" "\0\0\0\0\0\0\0\0" "\0\0\0\0\0\0\0\0" "\1\0\0\0\0\0\0\0", 32);
    file_map_close(&m);
}

static void writer_refuses_foreign_ids(void **state)
{
    (void)state;
    struct shard_new *w;
    struct digest d = digest_of("");
    const int tok[2][2] = {{1, 300}, {1, -1}};
    for (int i = 0; i < 2; i++) {
        ok(shard_new_open(&w, path, 300, &d, &d, &e));
        refused(shard_new_doc(w, tok[i], 2, &e), ERR_VALUE, "vocabulary 300");
        shard_new_abort(&w);
        assert_null(w);
    }
    assert_false(file_exists(path));
    refused(shard_new_open(&w, path, 0, &d, &d, &e), ERR_VALUE, "vocabulary of 0");
    shard_new_abort(&w);
}

static void every_truncation_is_refused(void **state)
{
    (void)state;
    struct shard *s;
    struct buf b = {0};
    write_shard(300, 6);
    ok(file_read(&b, path, 1 << 20, &e));
    for (size_t n = 0; n < b.len; n++) {
        ok(file_replace(path, b.p, n, &e));
        refused(shard_open(&s, path, &e), ERR_FORMAT, "s.bin: ");
        assert_null(s);
    }
    ok(buf_addc(&b, 0, &e));
    ok(file_replace(path, b.p, b.len, &e));
    refused(shard_open(&s, path, &e), ERR_FORMAT, "bytes, expected");
    buf_release(&b);
}

static void foreign_headers_are_refused(void **state)
{
    (void)state;
    /* One byte changed in a shard of 15 tokens (30 bytes and 2 of padding) in 6 documents. */
    static const struct {
        size_t at;
        unsigned char v;
        const char *part;
    } t[] = {
        {0, 'X', "not a token shard"},
        {8, 2, "version 2, expected 1"},
        {12, 4, "4 bytes per token, expected 2"},
        {12, 0, "0 bytes per token"},
        {13, 1, "258 bytes per token"},
        {16, 14, "padding after the tokens"},
        {16, 17, "bytes, expected"},
        {23, 0x80, "cannot lie in"},
        {24, 7, "bytes, expected"},
        {31, 0x20, "cannot lie in"},
        {98, 1, "expected 4 for a vocabulary of"},
        {99, 0x80, "vocabulary of"},
        {100, 1, "header byte 100 is 1"},
        {127, 1, "header byte 127 is 1"},
        {128 + 30, 1, "padding after the tokens"},
        {128 + 32, 1, "document 0 starts at token 1"},
        {128 + 32 + 5 * 8, 16, "document 5 starts at token 16"},
        {128 + 32 + 5 * 8, 2, "document 5 starts at token 2, expected 6 to 15"},
        {128 + 32 + 3 * 8 + 7, 0x80, "document 3 starts"},
    };
    struct shard *s;
    struct buf b = {0};
    write_shard(300, 6);
    ok(file_read(&b, path, 1 << 20, &e));
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        char keep = b.p[t[i].at];
        b.p[t[i].at] = (char)t[i].v;
        ok(file_replace(path, b.p, b.len, &e));
        refused(shard_open(&s, path, &e), ERR_FORMAT, t[i].part);
        b.p[t[i].at] = keep;
    }
    b.p[128 + 3] = 2; /* the second token becomes 119 + 512 */
    ok(file_replace(path, b.p, b.len, &e));
    ok(shard_open(&s, path, &e));
    refused(shard_verify(s, &e), ERR_FORMAT, "token 1 is 631, vocabulary 300");
    shard_close(s);
    buf_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(round_trip, setup, folder_down),
        cmocka_unit_test_setup_teardown(bytes_are_as_documented, setup, folder_down),
        cmocka_unit_test_setup_teardown(writer_refuses_foreign_ids, setup, folder_down),
        cmocka_unit_test_setup_teardown(every_truncation_is_refused, setup, folder_down),
        cmocka_unit_test_setup_teardown(foreign_headers_are_refused, setup, folder_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
