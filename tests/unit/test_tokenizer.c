/* The tokenizer from outside: training, ids, bytes in and out, streaming. */
#include "harness.h"

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/rng.h"
#include "text/bpe.h"
#include "text/bpe_train.h"
#include "text/tok_report.h"
#include "text/tokenizer.h"
#include "text/unicode.h"

static const char *const text[] = {
    "독자는 자기 힘으로 글을 읽고, 자기 힘으로 모형을 만든다. 자기 기계에서 만든 모형은 자기 것이다.\n",
    "The reader reads on their own; the model is trained on their own machine. Don't trust, verify.\n",
    "API를 쓰면 3월 1일부터 2026년까지 1,234,567원을 아낄 수 있다. 大韓民國은 한국이다. ㅋㅋㅋ ㅠㅠ\n",
    "\tint main(void) { return 0; }\n\n\n    if (x == y) z++;\r\n",
};
enum { N_TEXT = sizeof text / sizeof text[0] };

static struct tokenizer *train(int vocab, int threads, const char *pattern)
{
    struct err e = {0};
    struct bpe_trainer *tr;
    struct tokenizer *t;
    ok(bpe_trainer_new(&tr, &(struct bpe_train_opts){.vocab = vocab, .threads = threads, .pattern = pattern}, &e));
    for (int k = 0; k < 5; k++)
        for (int i = 0; i < N_TEXT; i++)
            ok(bpe_trainer_add(tr, text[i], strlen(text[i]), &e));
    ok(bpe_trainer_finish(tr, &t, &e));
    bpe_trainer_free(tr);
    return t;
}

static void encode(const struct tokenizer *t, struct token_vec *v, const char *p, size_t n, bool special)
{
    struct err e = {0};
    struct tok_encoder *enc;
    v->n = 0;
    ok(tok_encoder_new(&enc, t, &e));
    ok(tok_encode(enc, v, p, n, special, &e));
    size_t first = v->n;
    ok(tok_encode(enc, v, p, n, special, &e)); /* again, from the cache */
    assert_int_equal(v->n, 2 * first);
    assert_memory_equal(v->v, v->v + first, first * sizeof *v->v);
    v->n = first;
    tok_encoder_free(enc);
}

static void check_round_trip(const struct tokenizer *t, const char *p, size_t n, const char *want, size_t n_want)
{
    struct err e = {0};
    struct token_vec v = {0};
    struct buf b = {0};
    encode(t, &v, p, n, false);
    ok(tok_decode(t, &b, v.v, v.n, false, &e));
    assert_int_equal(b.len, n_want);
    if (n_want)
        assert_memory_equal(b.p, want, n_want);
    buf_release(&b);
    token_vec_release(&v);
}

static void test_alphabet(void **state)
{
    (void)state;
    int remapped = 0;
    for (int i = 0; i < 256; i++) {
        int32_t cp = bpe_byte_to_char((unsigned char)i);
        remapped += cp != i;
        assert_int_equal(bpe_char_to_byte(cp), i);
    }
    assert_int_equal(remapped, 68);
    /* 한 is ED 95 9C and is written íķľ. */
    assert_int_equal(bpe_byte_to_char(0xED), 0xED);
    assert_int_equal(bpe_byte_to_char(0x95), 0x137);
    assert_int_equal(bpe_byte_to_char(0x9C), 0x13E);
    assert_int_equal(bpe_byte_to_char(' '), 0x120);
    assert_int_equal(bpe_byte_to_char('\n'), 0x10A);
    assert_int_equal(bpe_char_to_byte(0x144), -1);
    assert_int_equal(bpe_char_to_byte(0xAD), -1);
    assert_int_equal(bpe_char_to_byte(0xD55C), -1);
}

static void test_ids_in_order(void **state)
{
    (void)state;
    struct tokenizer *t = train(400, 1, NULL);
    size_t n;
    assert_int_equal(tokenizer_vocab(t), 400);
    for (int i = 0; i < 16; i++) {
        const char *p = tokenizer_token(t, i, &n);
        assert_int_equal(n, strlen(bpe_default_special[i]));
        assert_memory_equal(p, bpe_default_special[i], n);
        assert_int_equal(tokenizer_token_bytes(t, i), 0);
        assert_int_equal(tokenizer_find_special(t, bpe_default_special[i]), i);
    }
    int32_t last = 0;
    for (int i = 16; i < 272; i++) { /* bytes by code point of their printable form */
        const char *p = tokenizer_token(t, i, &n);
        assert_int_equal(n, 1);
        int32_t cp = bpe_byte_to_char((unsigned char)*p);
        assert_true(cp > last);
        last = cp;
    }
    struct tok_special s = tokenizer_special(t);
    assert_int_equal(s.bos, 0);
    assert_int_equal(s.eos, 1);
    assert_int_equal(s.user, 2);
    assert_int_equal(s.assistant, 3);
    assert_int_equal(s.end, 4);
    assert_int_equal(s.tool, 5);
    assert_int_equal(tokenizer_find_special(t, "<|nobody|>"), -1);
    tokenizer_close(t);
}

static void test_any_bytes(void **state)
{
    (void)state;
    struct tokenizer *t = train(440, 2, NULL);
    char all[256], three[3];
    for (int i = 0; i < 256; i++)
        all[i] = (char)i;
    check_round_trip(t, all, 256, all, 256);
    check_round_trip(t, "", 0, "", 0);
    for (int a = 0; a < 256; a++) {
        for (int b = 0; b < 256; b += 3) {
            three[0] = (char)a;
            three[1] = (char)b;
            three[2] = (char)(a ^ b);
            bool maybe = false;
            if (uc_valid((unsigned char *)three, 3, &maybe) == 3 && maybe)
                continue;
            check_round_trip(t, three, 3, three, 3);
        }
    }
    struct rng r;
    rng_init(&r, 1, RNG_TEST, 0);
    char noise[3000];
    for (int k = 0; k < 200; k++) {
        size_t n = rng_below(&r, sizeof noise);
        for (size_t i = 0; i < n; i++)
            noise[i] = (char)rng_u32(&r);
        /* What is valid in it may be normalised: leave lead bytes of marks and jamo out. */
        for (size_t i = 0; i < n; i++)
            if ((unsigned char)noise[i] >= 0xC2 && (unsigned char)noise[i] < 0xF5)
                noise[i] = (char)0xFF;
        check_round_trip(t, noise, n, noise, n);
    }
    tokenizer_close(t);
}

static void test_normal_form(void **state)
{
    (void)state;
    struct tokenizer *t = train(440, 2, NULL);
    static const char *const pair[][2] = {
        {"\xe1\x84\x92\xe1\x85\xa1\xe1\x86\xab\xe1\x84\x80\xe1\x85\xb3\xe1\x86\xaf", "한글"},
        {"e\xcc\x81", "é"},
        {"q\xcc\xa3\xcc\x87", "q\xcc\xa3\xcc\x87"},
        {"q\xcc\x87\xcc\xa3", "q\xcc\xa3\xcc\x87"},
        {"\xe2\x84\xab", "Å"},            /* ANGSTROM SIGN */
        {"\xef\xbd\xbb", "\xef\xbd\xbb"}, /* compatibility forms stay */
        {"\xff"
         "e\xcc\x81\xff",
         "\xff"
         "é\xff"},                                   /* also between bytes that are not text */
        {"\xcd\x84", "\xcc\x88\xcc\x81"},            /* U+0344 never comes back */
        {"\xe0\xa5\x98", "\xe0\xa4\x95\xe0\xa4\xbc"} /* composition exclusion */
    };
    struct token_vec a = {0}, b = {0};
    for (size_t i = 0; i < sizeof pair / sizeof pair[0]; i++) {
        check_round_trip(t, pair[i][0], strlen(pair[i][0]), pair[i][1], strlen(pair[i][1]));
        encode(t, &a, pair[i][0], strlen(pair[i][0]), false);
        encode(t, &b, pair[i][1], strlen(pair[i][1]), false);
        assert_int_equal(a.n, b.n);
        assert_memory_equal(a.v, b.v, a.n * sizeof *a.v);
    }
    token_vec_release(&a);
    token_vec_release(&b);
    tokenizer_close(t);
}

static void test_special(void **state)
{
    (void)state;
    struct err e = {0};
    struct tokenizer *t = train(400, 1, NULL);
    struct token_vec v = {0};
    struct buf b = {0};
    static const char chat[] = "<|user|>\n안녕<|end|>";
    encode(t, &v, chat, strlen(chat), true);
    assert_int_equal(v.v[0], 2);
    assert_int_equal(v.v[v.n - 1], 4);
    ok(tok_decode(t, &b, v.v, v.n, false, &e));
    assert_string_equal(b.p, "\n안녕");
    buf_clear(&b);
    ok(tok_decode(t, &b, v.v, v.n, true, &e));
    assert_string_equal(b.p, chat);
    encode(t, &v, chat, strlen(chat), false);
    for (size_t i = 0; i < v.n; i++)
        assert_true(v.v[i] >= 16);
    buf_clear(&b);
    ok(tok_decode(t, &b, v.v, v.n, false, &e));
    assert_string_equal(b.p, chat);
    int32_t bad[] = {17, 400}, neg[] = {-1};
    refused(tok_decode(t, &b, bad, 2, false, &e), ERR_VALUE, "400");
    refused(tok_decode(t, &b, neg, 1, false, &e), ERR_VALUE, "-1");
    buf_release(&b);
    token_vec_release(&v);
    tokenizer_close(t);
}

/* Whatever is shown is whole characters, and in the end everything has been shown. */
static void test_stream(void **state)
{
    (void)state;
    struct err e = {0};
    struct tokenizer *t = train(272, 1, NULL); /* bytes alone */
    static const char in[] = "가a😀é\xff\xed\xa0\x80\xe1\x84z\xf0\x9f\x98가\xf0\x9f\x98";
    static const char want[] =
        "가a😀é\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdz\xef\xbf\xbd가\xef\xbf\xbd";
    struct token_vec v = {0};
    struct buf b = {0};
    struct tok_stream s = {0};
    encode(t, &v, in, sizeof in - 1, false);
    for (size_t i = 0; i < v.n; i++) {
        ok(tok_stream_next(t, &s, &b, v.v[i], &e));
        bool maybe = false;
        assert_int_equal(uc_valid((unsigned char *)b.p, b.len, &maybe), b.len);
    }
    ok(tok_stream_end(&s, &b, &e));
    assert_string_equal(b.p, want);
    buf_clear(&b);
    ok(tok_stream_next(t, &s, &b, 4, &e)); /* special tokens show nothing */
    assert_int_equal(b.len, 0);
    refused(tok_stream_next(t, &s, &b, 272, &e), ERR_VALUE, "272");
    buf_release(&b);
    token_vec_release(&v);
    tokenizer_close(t);
}

static void test_threads_and_order(void **state)
{
    (void)state;
    struct tokenizer *one = train(470, 1, NULL);
    for (int n = 2; n <= 7; n += 5) {
        struct tokenizer *t = train(470, n, NULL);
        struct digest a = tokenizer_digest(one), b = tokenizer_digest(t);
        assert_memory_equal(&a, &b, sizeof a);
        tokenizer_close(t);
    }
    struct err e = {0};
    struct bpe_trainer *tr;
    struct tokenizer *t;
    ok(bpe_trainer_new(&tr, &(struct bpe_train_opts){.vocab = 470, .threads = 2}, &e));
    for (int i = N_TEXT - 1; i >= 0; i--)
        for (int k = 0; k < 5; k++)
            ok(bpe_trainer_add(tr, text[i], strlen(text[i]), &e));
    ok(bpe_trainer_finish(tr, &t, &e));
    bpe_trainer_free(tr);
    struct digest a = tokenizer_digest(one), b = tokenizer_digest(t);
    assert_memory_equal(&a, &b, sizeof a);
    tokenizer_close(t);
    tokenizer_close(one);
}

static int32_t id_of(const struct tokenizer *t, const char *s)
{
    size_t n;
    for (int32_t id = 0; id < tokenizer_vocab(t); id++) {
        const char *p = tokenizer_token(t, id, &n);
        if (n == strlen(s) && memcmp(p, s, n) == 0)
            return id;
    }
    return -1;
}

/* A pair beyond 2^31 (and 2^32) still wins, and equal counts go to the smaller pair. */
static void test_counts_and_ties(void **state)
{
    (void)state;
    struct err e = {0};
    struct bpe_trainer *tr;
    struct tokenizer *t;
    ok(bpe_trainer_new(&tr, &(struct bpe_train_opts){.vocab = 275, .threads = 1}, &e));
    ok(bpe_trainer_add_piece(tr, "zq", 2, ((uint64_t)1 << 32) + 5, &e));
    ok(bpe_trainer_add_piece(tr, "ab", 2, ((uint64_t)1 << 31) + 7, &e));
    ok(bpe_trainer_add_piece(tr, "cd", 2, 100, &e));
    ok(bpe_trainer_finish(tr, &t, &e));
    bpe_trainer_free(tr);
    assert_int_equal(id_of(t, "zq"), 272);
    assert_int_equal(id_of(t, "ab"), 273);
    assert_int_equal(id_of(t, "cd"), 274);
    tokenizer_close(t);
    ok(bpe_trainer_new(&tr, &(struct bpe_train_opts){.vocab = 276, .threads = 1}, &e));
    static const char *const tie[] = {"xy", "ab", "ba", "\xc2\x80"};
    for (int i = 0; i < 4; i++)
        ok(bpe_trainer_add_piece(tr, tie[i], 2, 9, &e));
    ok(bpe_trainer_finish(tr, &t, &e));
    bpe_trainer_free(tr);
    assert_int_equal(id_of(t, "ab"), 272);
    assert_int_equal(id_of(t, "ba"), 273);
    assert_int_equal(id_of(t, "xy"), 274);
    assert_int_equal(id_of(t, "\xc2\x80"), 275);
    tokenizer_close(t);
}

static void test_limits(void **state)
{
    (void)state;
    struct err e = {0};
    struct bpe_trainer *tr = NULL;
    struct tokenizer *t = NULL;
    refused(bpe_trainer_new(&tr, &(struct bpe_train_opts){.vocab = 271}, &e), ERR_VALUE, "272");
    refused(bpe_trainer_new(&tr, &(struct bpe_train_opts){.vocab = 1 << 23}, &e), ERR_LIMIT, "limit");
    refused(bpe_trainer_new(&tr, &(struct bpe_train_opts){.vocab = 300, .pattern = "(a"}, &e), ERR_FORMAT, "(a");
    ok(bpe_trainer_new(&tr, &(struct bpe_train_opts){.vocab = 300}, &e));
    refused(bpe_trainer_finish(tr, &t, &e), ERR_VALUE, "no text");
    bpe_trainer_free(tr);
    ok(bpe_trainer_new(&tr, &(struct bpe_train_opts){.vocab = 5000}, &e));
    ok(bpe_trainer_add(tr, text[0], strlen(text[0]), &e));
    refused(bpe_trainer_finish(tr, &t, &e), ERR_VALUE, "smaller --vocab");
    /* The size it names can be reached. */
    const char *digits = strstr(e.msg, "vocabulary of ");
    assert_non_null(digits);
    int reachable = atoi(digits + strlen("vocabulary of "));
    bpe_trainer_free(tr);
    ok(bpe_trainer_new(&tr, &(struct bpe_train_opts){.vocab = reachable}, &e));
    ok(bpe_trainer_add(tr, text[0], strlen(text[0]), &e));
    ok(bpe_trainer_finish(tr, &t, &e));
    assert_int_equal(tokenizer_vocab(t), reachable);
    bpe_trainer_free(tr);
    tokenizer_close(t);
    ok(bpe_trainer_new(&tr, &(struct bpe_train_opts){.vocab = reachable + 1}, &e));
    ok(bpe_trainer_add(tr, text[0], strlen(text[0]), &e));
    refused(bpe_trainer_finish(tr, &t, &e), ERR_VALUE, "smaller --vocab");
    bpe_trainer_free(tr);
}

/* Asked for at most so many, a trainer gives what it gives when asked for exactly the size that it reaches. */
static void test_at_most(void **state)
{
    (void)state;
    static const struct {
        int vocab, made;
    } most[] = {{5000, 0}, {280, 280}, {272, 272}};
    struct err e = {0};
    for (size_t i = 0; i < sizeof most / sizeof *most; i++) {
        struct tokenizer *t = NULL, *exact = NULL;
        struct bpe_trainer *tr = NULL;
        ok(bpe_trainer_new(&tr, &(struct bpe_train_opts){.vocab = most[i].vocab, .at_most = true}, &e));
        ok(bpe_trainer_add(tr, text[0], strlen(text[0]), &e));
        ok(bpe_trainer_finish(tr, &t, &e));
        bpe_trainer_free(tr);
        int made = tokenizer_vocab(t);
        assert_true(most[i].made ? made == most[i].made : made > 280 && made < 5000);
        ok(bpe_trainer_new(&tr, &(struct bpe_train_opts){.vocab = made}, &e));
        ok(bpe_trainer_add(tr, text[0], strlen(text[0]), &e));
        ok(bpe_trainer_finish(tr, &exact, &e));
        bpe_trainer_free(tr);
        struct digest got = tokenizer_digest(t), want = tokenizer_digest(exact);
        assert_memory_equal(&got, &want, sizeof got);
        tokenizer_close(t);
        tokenizer_close(exact);
    }
}

static void test_save_and_open(void **state)
{
    (void)state;
    struct err e = {0};
    char dir[256];
    snprintf(dir, sizeof dir, "%s", test_dir());
    struct tokenizer *t = train(440, 2, NULL), *again;
    ok(tokenizer_save(t, dir, &e));
    ok(tokenizer_open(&again, dir, &e));
    struct digest a = tokenizer_digest(t), b = tokenizer_digest(again);
    assert_memory_equal(&a, &b, sizeof a);
    struct buf path = {0};
    json_t *config;
    ok(file_join(&path, dir, "tokenizer_config.json", &e));
    ok(json_read(&config, path.p, 1 << 20, &e));
    assert_string_equal(json_string_value(json_object_get(config, "bos_token")), "<|bos|>");
    assert_string_equal(json_string_value(json_object_get(config, "eos_token")), "<|eos|>");
    assert_non_null(strstr(json_string_value(json_object_get(config, "chat_template")), "<|assistant|>"));
    json_decref(config);
    ok(file_join(&path, dir, "tokenizer.json", &e));
    file_fail_at(1);
    assert_true(tokenizer_save(t, dir, &e) < 0);
    file_fail_at(0);
    struct digest d;
    ok(sha256_file(&d, path.p, &e)); /* the old file stands */
    assert_memory_equal(&a, &d, sizeof a);
    tokenizer_close(again);
    refused(tokenizer_open(&again, "/nonexistent/tokenizer.json", &e), ERR_IO, "/nonexistent");
    buf_release(&path);
    tokenizer_close(t);
    test_dir_remove(dir);
}

/* Long pieces take the heap: a megabyte without a space, repeated letters. Quadratic work would not end. */
static void test_long_pieces(void **state)
{
    (void)state;
    struct tokenizer *t = train(470, 2, NULL);
    size_t n = 1 << 20;
    char *p = mem_new(n, 1);
    assert_non_null(p);
    memset(p, 'a', n);
    check_round_trip(t, p, n, p, n);
    for (size_t i = 0; i + 3 <= n; i += 3)
        memcpy(p + i, "한", 3);
    check_round_trip(t, p, n / 3 * 3, p, n / 3 * 3);
    memset(p, ' ', n);
    check_round_trip(t, p, n, p, n);
    memset(p, 0xFF, n);
    check_round_trip(t, p, n, p, n);
    mem_free(p);
    tokenizer_close(t);
}

/* The merge list of a tokenizer as pairs of ids, from the file it writes. */
static size_t read_merges(const struct tokenizer *t, int32_t (**merge)[2])
{
    struct err e = {0};
    char dir[256];
    struct buf path = {0};
    json_t *root;
    snprintf(dir, sizeof dir, "%s", test_dir());
    ok(tokenizer_save(t, dir, &e));
    ok(file_join(&path, dir, "tokenizer.json", &e));
    ok(json_read(&root, path.p, 1 << 24, &e));
    const json_t *model = json_object_get(root, "model"), *list = json_object_get(model, "merges");
    size_t n = json_array_size(list);
    *merge = mem_new(n, sizeof **merge);
    assert_non_null(*merge);
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < 2; k++) {
            const char *s = json_string_value(json_array_get(json_array_get(list, i), k));
            (*merge)[i][k] = (int32_t)json_integer_value(json_object_get(json_object_get(model, "vocab"), s));
        }
    json_decref(root);
    buf_release(&path);
    test_dir_remove(dir);
    return n;
}

/* The definition: the first merge of the list that applies anywhere, at its leftmost place, until none does. */
static void merge_slowly(const struct tokenizer *t, int32_t (*merge)[2], size_t n_merge, struct token_vec *v)
{
    for (size_t m = 0; m < n_merge;) {
        size_t at = 0;
        while (at + 1 < v->n && (v->v[at] != merge[m][0] || v->v[at + 1] != merge[m][1]))
            at++;
        if (at + 1 >= v->n) {
            m++;
            continue;
        }
        char both[600];
        size_t a, b;
        const char *x = tokenizer_token(t, v->v[at], &a), *y = tokenizer_token(t, v->v[at + 1], &b);
        memcpy(both, x, a);
        memcpy(both + a, y, b);
        both[a + b] = 0;
        v->v[at] = id_of(t, both);
        memmove(v->v + at + 1, v->v + at + 2, (v->n - at - 2) * sizeof *v->v);
        v->n--;
        m = 0;
    }
}

/* Pieces of every length around the border between scanning and the heap. */
static void test_scan_and_heap(void **state)
{
    (void)state;
    struct err e = {0};
    struct tokenizer *t = train(540, 1, "[\\s\\S]+");
    struct tok_encoder *enc;
    struct token_vec want = {0}, v = {0};
    int32_t(*merge)[2];
    size_t n_merge = read_merges(t, &merge), one;
    assert_true(n_merge >= 540 - 272);
    ok(tok_encoder_new(&enc, t, &e));
    for (int i = 0; i < N_TEXT; i++) {
        size_t len = strlen(text[i]);
        for (size_t n = 1; n <= len; n += n < 70 ? 1 : 9) {
            if (((unsigned char)text[i][n] & 0xC0) == 0x80)
                continue; /* the beginning of a character would be a piece of its own */
            v.n = want.n = 0;
            ok(tok_encode(enc, &v, text[i], n, false, &e));
            ok(token_vec_reserve(&want, n, &e));
            for (size_t k = 0; k < n; k++)
                for (int32_t id = 16; id < 272; id++)
                    if (*tokenizer_token(t, id, &one) == text[i][k])
                        want.v[want.n++] = id;
            merge_slowly(t, merge, n_merge, &want);
            assert_int_equal(v.n, want.n);
            assert_memory_equal(v.v, want.v, v.n * sizeof *v.v);
        }
    }
    mem_free(merge);
    tok_encoder_free(enc);
    token_vec_release(&want);
    token_vec_release(&v);
    tokenizer_close(t);
}

/* Every allocation that fails gives an error and loses nothing.  The vocabulary is out of reach, so that training
 * ends before the JSON library, which does not survive all of its own. */
static void test_out_of_memory(void **state)
{
    (void)state;
    struct err e = {0};
    int stages = 0;
    for (long n = 1; n < 2000 && stages < 1; n++) {
        struct bpe_trainer *tr = NULL;
        struct tokenizer *t = NULL;
        mem_fail_at(n);
        int rc = bpe_trainer_new(&tr, &(struct bpe_train_opts){.vocab = 5000, .threads = 1}, &e);
        for (int i = 0; i < N_TEXT && rc == 0; i++)
            rc = bpe_trainer_add(tr, text[i], strlen(text[i]), &e);
        if (rc == 0)
            rc = bpe_trainer_finish(tr, &t, &e);
        mem_fail_at(0);
        assert_true(rc == ERR_VALUE || rc == ERR_NOMEM);
        stages += rc == ERR_VALUE;
        bpe_trainer_free(tr);
    }
    assert_int_equal(stages, 1);
    struct tokenizer *t = train(440, 1, "[\\s\\S]+");
    for (long n = 1; n < 2000 && stages < 2; n++) {
        struct tok_encoder *enc = NULL;
        struct token_vec v = {0};
        static const char marks[] = "q\xcc\x87\xcc\xa3 e\xcc\x81";
        mem_fail_at(n);
        int rc = tok_encoder_new(&enc, t, &e);
        for (int i = 0; i < N_TEXT && rc == 0; i++)
            rc = tok_encode(enc, &v, text[i], strlen(text[i]), false, &e);
        if (rc == 0)
            rc = tok_encode(enc, &v, marks, strlen(marks), false, &e);
        mem_fail_at(0);
        assert_true(rc == 0 || rc == ERR_NOMEM);
        stages += rc == 0;
        tok_encoder_free(enc);
        token_vec_release(&v);
    }
    assert_int_equal(stages, 2);
    struct tok_report r;
    assert_int_equal(tok_report_init(&r, t, &e), 0);
    json_t *whole = tok_report_json(&r, t), *v = NULL;
    for (long n = 1; n < 2000 && !v; n++) {
        mem_fail_at(n);
        v = tok_report_json(&r, t);
        mem_fail_at(0);
        assert_true(!v || json_equal(v, whole)); /* all of it or nothing */
    }
    assert_non_null(v);
    json_decref(v);
    json_decref(whole);
    tok_report_release(&r);
    tokenizer_close(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_alphabet),
                                       cmocka_unit_test(test_ids_in_order),
                                       cmocka_unit_test(test_any_bytes),
                                       cmocka_unit_test(test_normal_form),
                                       cmocka_unit_test(test_special),
                                       cmocka_unit_test(test_stream),
                                       cmocka_unit_test(test_threads_and_order),
                                       cmocka_unit_test(test_counts_and_ties),
                                       cmocka_unit_test(test_limits),
                                       cmocka_unit_test(test_at_most),
                                       cmocka_unit_test(test_save_and_open),
                                       cmocka_unit_test(test_long_pieces),
                                       cmocka_unit_test(test_scan_and_heap),
                                       cmocka_unit_test(test_out_of_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
