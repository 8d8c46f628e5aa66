/* data/tokens: streams, rows, the held-out split, and shards that are kept or made anew. */
#include "harness.h"

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include "byte_tokenizer.h"
#include "data/corpus_trained.h"
#include "data/tokens.h"

static char top[256];
static struct err e;

static const char *at(const char *name)
{
    static char path[4][320];
    static int turn;
    char *p = path[turn++ & 3];
    snprintf(p, sizeof path[0], "%s/%s", top, name);
    return p;
}

static struct tokenizer *tok;
static struct corpus *corpus;

static int set_up(void **state)
{
    (void)state;
    log_quiet(true);
    snprintf(top, sizeof top, "%s", test_dir());
    ok(byte_tokenizer_write(at("tok"), byte_specials, &e));
    ok(tokenizer_open(&tok, at("tok"), &e));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    tokenizer_close(tok);
    corpus_close(corpus);
    corpus = NULL;
    test_dir_remove(top);
    return 0;
}

/* A corpus of n documents "문서 i …" of varying length. */
static void make_corpus(int n)
{
    struct buf b = {0};
    struct corpus_counts c;
    for (int i = 0; i < n; i++) {
        ok(buf_printf(&b, &e, "{\"text\":\"문서 %d", i));
        for (int k = 0; k < i * 7 % 40; k++)
            ok(buf_printf(&b, &e, " 낱말%d", k));
        ok(buf_adds(&b, "\"}\n", &e));
    }
    ok(file_mkdir_p(at("in"), &e));
    ok(file_replace(at("in/a.jsonl"), b.p, b.len, &e));
    buf_release(&b);
    const char *in[1] = {at("in")};
    ok(corpus_build(&(struct corpus_build_opts){.in = in, .n_in = 1, .out = at("corpus"), .force = true}, &c, &e));
    corpus_close(corpus);
    ok(corpus_open(&corpus, at("corpus"), &e));
}

static void prepare(const char *dir, double heldout, int threads)
{
    ok(tokens_prepare(at(dir), corpus, tok, &(struct tokens_opts){.heldout = heldout, .threads = threads}, &e));
}

/* The two streams as the header defines them, made without tokens.c. */
static void expect_streams(int *stream[2], size_t n[2], size_t docs[2], uint64_t bytes[2], double heldout)
{
    struct corpus_reader *r;
    struct corpus_doc d;
    n[0] = n[1] = docs[0] = docs[1] = 0;
    bytes[0] = bytes[1] = 0;
    ok(corpus_reader_new(&r, corpus, &e));
    while (corpus_reader_next(r, &d, &e) == 1) {
        int s = corpus_held_out(&d.hash, heldout);
        stream[s] = realloc(stream[s], (n[s] + d.n + 2) * sizeof(int));
        stream[s][n[s]++] = 0;
        for (size_t i = 0; i < d.n; i++)
            stream[s][n[s]++] = BYTE_TOKEN + (unsigned char)d.text[i];
        stream[s][n[s]++] = 1;
        docs[s]++;
        bytes[s] += d.n;
    }
    corpus_reader_free(r);
}

static void check_row(const struct tokens *t, enum tokens_split s, int seq, uint64_t row, const int *stream, size_t n)
{
    int tk[64], pos[64], target[64], want_pos = 0;
    tokens_row(t, s, seq, row, tk, pos, target);
    for (int i = 0; i < seq; i++) {
        size_t a = row * (size_t)seq + (size_t)i;
        if (a >= n) { /* filling */
            assert_int_equal(tk[i], 0);
            assert_int_equal(target[i], -1);
            assert_int_equal(pos[i], a == n || i == 0 ? 0 : pos[i - 1] + 1);
            continue;
        }
        want_pos = i == 0 || stream[a] == 0 ? 0 : want_pos + 1;
        assert_int_equal(tk[i], stream[a]);
        assert_int_equal(pos[i], want_pos);
        assert_int_equal(target[i], a + 1 < n && stream[a + 1] != 0 ? stream[a + 1] : -1);
    }
}

static void test_rows(void **state)
{
    (void)state;
    struct tokens *t;
    int *stream[2] = {NULL, NULL};
    size_t n[2], docs[2];
    uint64_t bytes[2];
    make_corpus(60);
    prepare("t", 0.2, 2);
    ok(tokens_open(&t, at("t"), &e));
    expect_streams(stream, n, docs, bytes, 0.2);
    assert_true(docs[0] > 30 && docs[1] > 3);
    for (int s = 0; s < 2; s++) {
        uint64_t b, c;
        assert_int_equal(tokens_count(t, s), n[s]);
        assert_int_equal(tokens_docs(t, s), docs[s]);
        tokens_text(t, s, &b, &c);
        assert_int_equal(b, bytes[s]);
        assert_true(c < b && c > b / 3);
        for (int seq = 1; seq <= 64; seq += 21) {
            uint64_t rows = tokens_rows(t, s, seq), targets = 0;
            assert_int_equal(rows, s ? (n[s] - 1 + (size_t)seq - 1) / (size_t)seq : (n[s] - 1) / (size_t)seq);
            for (uint64_t i = 0; i < rows; i++) {
                int tk[64], pos[64], target[64];
                check_row(t, s, seq, i, stream[s], n[s]);
                tokens_row(t, s, seq, i, tk, pos, target);
                for (int k = 0; k < seq; k++)
                    targets += target[k] >= 0;
            }
            if (s) /* every token but the first of each document is predicted exactly once */
                assert_int_equal(targets, n[s] - docs[s]);
        }
        free(stream[s]);
    }
    ok(tokens_need_row(t, 64, &e));
    refused(tokens_need_row(t, 1 << 20, &e), ERR_VALUE, "--seq");
    tokens_close(t);
}

static void test_order(void **state)
{
    (void)state;
    struct tokens *t;
    make_corpus(60);
    prepare("t", 0.2, 2);
    ok(tokens_open(&t, at("t"), &e));
    uint64_t rows = tokens_rows(t, TOKENS_TRAIN, 16);
    int *seen = calloc(rows, sizeof *seen), moved = 0, other = 0;
    for (uint64_t i = 0; i < 2 * rows; i++) {
        uint64_t r = tokens_order(t, 16, 9, i);
        assert_true(r < rows);
        seen[r]++;
        moved += i < rows && r != i;
        other += i < rows && r != tokens_order(t, 16, 9, i + rows);
    }
    for (uint64_t i = 0; i < rows; i++)
        assert_int_equal(seen[i], 2); /* once an epoch */
    assert_true(moved > (int)rows / 2 && other > (int)rows / 2);
    free(seen);
    tokens_close(t);
}

static void same_file(const char *a, const char *b)
{
    struct buf x = {0}, y = {0};
    ok(file_read(&x, a, 1 << 24, &e));
    ok(file_read(&y, b, 1 << 24, &e));
    assert_int_equal(x.len, y.len);
    assert_memory_equal(x.p, y.p, x.len);
    buf_release(&x);
    buf_release(&y);
}

static void test_threads(void **state)
{
    (void)state;
    make_corpus(500);
    prepare("t1", 0.1, 1);
    const int threads[] = {2, 3, 7};
    for (int i = 0; i < 3; i++) {
        prepare("tn", 0.1, threads[i]);
        same_file(at("t1/train.tokens"), at("tn/train.tokens"));
        same_file(at("t1/heldout.tokens"), at("tn/heldout.tokens"));
        same_file(at("t1/tokens.json"), at("tn/tokens.json"));
        assert_int_equal(unlink(at("tn/tokens.json")), 0);
    }
}

static void test_kept_or_made_anew(void **state)
{
    (void)state;
    struct buf b = {0};
    struct tokens *t;
    make_corpus(60);
    prepare("t", 0.2, 2);
    mem_fail_at(0);
    file_fail_at(1); /* nothing is written when the shards are there */
    prepare("t", 0.2, 2);
    int rc = tokens_prepare(at("t"), corpus, tok, &(struct tokens_opts){.heldout = 0.3}, &e);
    file_fail_at(0);
    assert_int_equal(rc, ERR_IO);
    prepare("t", 0.3, 2); /* and the same call again makes them */
    prepare("t", 0.2, 2);
    /* a damaged shard is made anew; opening it says what is wrong */
    ok(file_read(&b, at("t/train.tokens"), 1 << 24, &e));
    b.p[131] = (char)0xff;
    ok(file_replace(at("t/train.tokens"), b.p, b.len, &e));
    refused(tokens_open(&t, at("t"), &e), ERR_FORMAT, "vocabulary");
    ok(file_replace(at("t/train.tokens"), b.p, b.len - 8, &e));
    refused(tokens_open(&t, at("t"), &e), ERR_FORMAT, "train.tokens");
    prepare("t", 0.2, 2);
    ok(tokens_open(&t, at("t"), &e));
    tokens_close(t);
    /* another corpus: other shards */
    make_corpus(61);
    prepare("t", 0.2, 2);
    ok(tokens_open(&t, at("t"), &e));
    assert_int_equal(tokens_docs(t, 0) + tokens_docs(t, 1), 61);
    tokens_close(t);
    buf_release(&b);
}

/* Documents whatever their order: how many, and their hashes added up. */
struct doc_set {
    uint64_t docs, sum;
};

static int add_to_set(void *ctx, const char *text, size_t n, struct err *why)
{
    struct doc_set *s = ctx;
    struct digest h = sha256_of(text, n);
    uint64_t v;
    memcpy(&v, h.b, sizeof v);
    s->docs++;
    s->sum += v;
    return why ? 0 : -1;
}

static struct doc_set training_set(const struct tokens *t)
{
    struct doc_set set = {0};
    struct buf b = {0};
    int tk, pos, target;
    for (uint64_t i = 0; i < tokens_rows(t, TOKENS_TRAIN, 1); i++) {
        tokens_row(t, TOKENS_TRAIN, 1, i, &tk, &pos, &target);
        if (tk == 0 && i > 0)
            ok(add_to_set(&set, b.p, b.len, &e));
        if (tk == 0)
            buf_clear(&b);
        else if (tk != 1)
            ok(buf_addc(&b, (char)(tk - BYTE_TOKEN), &e));
    }
    ok(add_to_set(&set, b.p, b.len, &e));
    buf_release(&b);
    return set;
}

/* What a vocabulary learns from is what the model learns from. */
static void test_trained_documents(void **state)
{
    (void)state;
    static const double fraction[] = {0, 1e-9, 0.05, 0.3, 0.9, 0.999999999};
    for (int n = 1; n <= 80; n += n < 6 ? 1 : 37) {
        make_corpus(n);
        for (size_t k = 0; k < sizeof fraction / sizeof fraction[0]; k++) {
            struct tokens *t;
            struct doc_set got = {0};
            struct corpus_left_out out;
            ok(corpus_trained_each(corpus, fraction[k], add_to_set, &got, &out, &e));
            assert_int_equal(got.docs + out.docs, n);
            if (n == 1) {
                assert_int_equal(got.docs, 1);
                continue;
            }
            prepare("t", fraction[k], 1);
            ok(tokens_open(&t, at("t"), &e));
            struct doc_set want = training_set(t);
            uint64_t bytes, chars;
            tokens_text(t, TOKENS_HELDOUT, &bytes, &chars);
            assert_int_equal(got.docs, want.docs);
            assert_true(got.sum == want.sum);
            assert_int_equal(out.docs, tokens_docs(t, TOKENS_HELDOUT));
            assert_int_equal(out.bytes, bytes);
            tokens_close(t);
        }
    }
}

static void test_small_corpora(void **state)
{
    (void)state;
    for (int n = 1; n <= 4; n++) {
        struct tokens *t;
        uint64_t b[2], c[2];
        make_corpus(n);
        prepare("t", 1e-9, 1); /* nobody is held out by hash */
        ok(tokens_open(&t, at("t"), &e));
        assert_int_equal(tokens_docs(t, TOKENS_HELDOUT), 1);
        assert_int_equal(tokens_docs(t, TOKENS_TRAIN), n == 1 ? 1 : n - 1);
        for (int s = 0; s < 2; s++) {
            tokens_text(t, s, &b[s], &c[s]);
            assert_int_equal(tokens_count(t, s), b[s] + 2 * tokens_docs(t, s));
        }
        assert_int_equal(b[0] + b[1], corpus_count(corpus).bytes);
        assert_int_equal(c[0] + c[1], corpus_count(corpus).chars);
        tokens_close(t);
        prepare("t", 0.999999999, 1); /* everybody is */
        ok(tokens_open(&t, at("t"), &e));
        assert_int_equal(tokens_docs(t, TOKENS_TRAIN), 1);
        tokens_close(t);
        prepare("t", 0, 1);
        ok(tokens_open(&t, at("t"), &e));
        assert_int_equal(tokens_docs(t, TOKENS_TRAIN), n);
        assert_int_equal(tokens_rows(t, TOKENS_HELDOUT, 8), 0);
        tokens_close(t);
    }
}

static void test_refusals(void **state)
{
    (void)state;
    const char *no_bos[BYTE_TOKEN] = {"<|a|>", "<|eos|>", "<|b|>", "<|c|>", "<|d|>", "<|e|>"};
    const char *no_eos[BYTE_TOKEN] = {"<|bos|>", "<|a|>", "<|b|>", "<|c|>", "<|d|>", "<|e|>"};
    struct tokenizer *bad;
    make_corpus(3);
    ok(byte_tokenizer_write(at("bad"), no_bos, &e));
    ok(tokenizer_open(&bad, at("bad"), &e));
    refused(tokens_prepare(at("t"), corpus, bad, &(struct tokens_opts){.heldout = 0.1}, &e), ERR_VALUE, "<|bos|>");
    tokenizer_close(bad);
    ok(byte_tokenizer_write(at("bad"), no_eos, &e));
    ok(tokenizer_open(&bad, at("bad"), &e));
    refused(tokens_prepare(at("t"), corpus, bad, &(struct tokens_opts){.heldout = 0.1}, &e), ERR_VALUE, "<|eos|>");
    tokenizer_close(bad);
    refused(tokens_prepare(at("t"), corpus, tok, &(struct tokens_opts){.heldout = 1}, &e), ERR_VALUE, "held-out");
    assert_false(file_exists(at("t")));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {T(test_rows),           T(test_order),    T(test_threads),
                                       T(test_kept_or_made_anew),
                                       T(test_small_corpora),  T(test_trained_documents), T(test_refusals)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
