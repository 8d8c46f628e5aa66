/* data/corpus: what is kept, what is left out and why, and that neither threads nor places change a bit. */
#include "folder.h"
#include <zlib.h>
#include <zstd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include "data/corpus.h"
#include "data/corpus_input.h"
#include "data/corpus_nfc.h"
#include "text/unicode.h"

static struct err err;

static void put(const char *name, const void *p, size_t n)
{
    assert_int_equal(file_replace(in_dir(name), p, n, &err), 0);
}
static void puts_to(const char *name, const char *s) { put(name, s, strlen(s)); }

static void put_zst(const char *name, const char *s, size_t n, size_t cut)
{
    size_t cap = ZSTD_compressBound(n);
    char *z = malloc(cap);
    size_t got = ZSTD_compress(z, cap, s, n, 3);
    assert_false(ZSTD_isError(got));
    put(name, z, got - cut);
    free(z);
}

static void put_gz(const char *name, const char *s)
{
    gzFile g = gzopen(in_dir(name), "wb");
    assert_non_null(g);
    assert_int_equal(gzwrite(g, s, (unsigned)strlen(s)), (int)strlen(s));
    assert_int_equal(gzclose(g), Z_OK);
}

static int set_up(void **state)
{
    log_quiet(true);
    return folder_up(state);
}

static int build_to(const char *in, const char *out, int threads, bool force, struct corpus_counts *c)
{
    const char *paths[1] = {in};
    struct corpus_build_opts o = {.in = paths, .n_in = 1, .out = out, .threads = threads, .force = force,
                                  .max_doc_bytes = 4096, .piece_bytes = 1024, .shard_bytes = 8192};
    err = (struct err){0};
    return corpus_build(&o, c, &err);
}

static void expect_doc(struct corpus_reader *r, const char *id, const char *source, const char *text)
{
    struct corpus_doc d;
    assert_int_equal(corpus_reader_next(r, &d, &err), 1);
    assert_string_equal(d.id, id);
    assert_string_equal(d.source, source);
    assert_int_equal(d.n, strlen(text));
    assert_memory_equal(d.text, text, d.n);
    struct digest h = sha256_of(text, d.n);
    assert_memory_equal(&h, &d.hash, sizeof h);
}

/* One of each: kinds of files, kinds of removal. */
static void make_inputs(void)
{
    char long_text[5000];
    struct buf b = {0};
    assert_int_equal(file_mkdir_p(in_dir("in/sub"), &err), 0);
    puts_to("in/a.txt", "\xef\xbb\xbf첫째 문서\n");
    puts_to("in/b.md", "e\xcc\x81\xe1\x84\x92\xe1\x85\xa1\xe1\x86\xab");
    puts_to("in/c.txt", " \n\t\xe3\x80\x80");
    put("in/d.txt", "PK\0\1binary", 10);
    put("in/e.txt", "\xff\xfe", 2);
    puts_to("in/ignored.pdf", "%PDF");
    put_gz("in/f.txt.gz", "첫째 문서\n");
    memset(long_text, 'x', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = 0;
    assert_int_equal(buf_printf(&b, &err,
                                "{\"id\":\"one\",\"text\":\"line\\none\",\"source\":\"s\",\"license\":\"CC0\","
                                "\"lang\":\"en\"}\n"
                                "\n{\"text\":\"second\"}\nnot json\n{\"id\":7,\"text\":5}\n{\"text\":\"bad \xff\"}\n"
                                "{\"text\":\"%s\"}\n{\"id\":\"dup\",\"text\":\"second\"}\n{\"id\":9,\"text\":\"\"}",
                                long_text),
                     0);
    put_zst("in/sub/g.jsonl.zst", b.p, b.len, 0);
    buf_release(&b);
}

static void test_kept_and_removed(void **state)
{
    (void)state;
    struct corpus_counts c;
    struct corpus *k;
    struct corpus_reader *r;
    struct corpus_doc d;
    make_inputs();
    assert_int_equal(build_to(in_dir("in"), in_dir("out"), 2, false, &c), 0);
    assert_false(c.reused);
    assert_int_equal(c.files, 7);
    assert_int_equal(c.docs, 4);
    assert_int_equal(c.duplicate, 2);
    assert_int_equal(c.empty, 2);
    assert_int_equal(c.not_utf8, 3);
    assert_int_equal(c.too_long, 1);
    assert_int_equal(c.bad_record, 2);
    assert_int_equal(c.docs_in, 14);
    assert_int_equal(corpus_open(&k, in_dir("out"), &err), 0);
    assert_int_equal(corpus_count(k).chars, 6 + 2 + 8 + 6);
    assert_int_equal(corpus_reader_new(&r, k, &err), 0);
    expect_doc(r, "a.txt", "a.txt", "첫째 문서\n");
    expect_doc(r, "b.md", "b.md", "é한");
    expect_doc(r, "one", "s", "line\none");
    expect_doc(r, "sub/g.jsonl.zst#3", "sub/g.jsonl.zst", "second");
    assert_int_equal(corpus_reader_next(r, &d, &err), 0);
    corpus_reader_free(r);
    corpus_close(k);
    assert_int_equal(corpus_verify(in_dir("out"), &err), 0);
    assert_false(file_exists(in_dir("out/.building")));

    /* every removal with its reason; a duplicate with the id of the first */
    struct buf z = {0};
    char text[4096];
    assert_int_equal(file_read(&z, in_dir("out/removed-00000.jsonl.zst"), 1 << 20, &err), 0);
    size_t n = ZSTD_decompress(text, sizeof text - 1, z.p, z.len);
    assert_false(ZSTD_isError(n));
    text[n] = 0;
    assert_non_null(strstr(text, "{\"id\": \"f.txt.gz\", \"source\": \"f.txt.gz\", \"reason\": \"duplicate\", "
                                 "\"first\": \"a.txt\"}\n"));
    assert_non_null(strstr(text, "{\"id\": \"d.txt\", \"source\": \"d.txt\", \"reason\": \"not-utf8\"}\n"));
    assert_non_null(strstr(text, "\"sub/g.jsonl.zst#4\", \"source\": \"sub/g.jsonl.zst\", \"reason\": \"bad-record\", "
                                 "\"why\": \"line 4 is not a JSON record: column 3: "
                                 "'[' or '{' expected near 'not'\"}\n"));
    assert_non_null(strstr(text, "\"reason\": \"bad-record\", "
                                 "\"why\": \"line 5: no string \\\"text\\\" in the record\"}"));
    assert_non_null(strstr(text, "\"sub/g.jsonl.zst#6\", \"source\": \"sub/g.jsonl.zst\", \"reason\": \"not-utf8\""));
    assert_non_null(strstr(text, "\"sub/g.jsonl.zst#7\", \"source\": \"sub/g.jsonl.zst\", \"reason\": \"too-long\""));
    assert_non_null(strstr(text, "{\"id\": \"dup\", \"source\": \"sub/g.jsonl.zst\", \"reason\": \"duplicate\", "
                                 "\"first\": \"sub/g.jsonl.zst#3\"}"));
    buf_release(&z);
}

/* The tree of the header, built here from its definition. */
static void test_root(void **state)
{
    (void)state;
    struct corpus_counts c;
    struct corpus *k;
    struct corpus_reader *r;
    struct corpus_doc d;
    struct merkle m;
    make_inputs();
    assert_int_equal(build_to(in_dir("in"), in_dir("out"), 1, false, &c), 0);
    assert_int_equal(corpus_open(&k, in_dir("out"), &err), 0);
    assert_int_equal(corpus_reader_new(&r, k, &err), 0);
    merkle_init(&m);
    while (corpus_reader_next(r, &d, &err) == 1) {
        unsigned char leaf[64];
        struct buf meta = {0};
        const char *s[4] = {d.id, d.source, d.license, d.lang};
        for (int i = 0; i < 4; i++) {
            uint64_t n = strlen(s[i]);
            assert_int_equal(buf_add(&meta, &n, 8, &err), 0); /* little-endian here */
            assert_int_equal(buf_add(&meta, s[i], n, &err), 0);
        }
        struct digest t = sha256_of(d.text, d.n), h = sha256_of(meta.p, meta.len);
        memcpy(leaf, &t, 32);
        memcpy(leaf + 32, &h, 32);
        merkle_add(&m, leaf, sizeof leaf);
        buf_release(&meta);
    }
    struct digest want = merkle_root(&m), got = corpus_root(k);
    assert_memory_equal(&want, &got, sizeof want);
    /* long metadata takes the other path to the same leaf */
    char long_id[3000];
    memset(long_id, 'i', sizeof long_id - 1);
    long_id[sizeof long_id - 1] = 0;
    struct buf meta = {0};
    const char *s[4] = {long_id, "", "l", ""};
    for (int i = 0; i < 4; i++) {
        uint64_t n = strlen(s[i]);
        assert_int_equal(buf_add(&meta, &n, 8, &err), 0);
        assert_int_equal(buf_add(&meta, s[i], n, &err), 0);
    }
    unsigned char leaf[64];
    struct digest h = sha256_of(meta.p, meta.len);
    memcpy(leaf, &want, 32);
    memcpy(leaf + 32, &h, 32);
    struct digest got_meta = corpus_meta(s[0], s[1], s[2], s[3]);
    struct digest a = merkle_leaf(leaf, 64), b = corpus_leaf(NULL, &want, &got_meta);
    assert_memory_equal(&a, &b, sizeof a);
    buf_release(&meta);
    corpus_reader_free(r);
    corpus_close(k);
}

static void same_file(const char *a, const char *b)
{
    struct buf x = {0}, y = {0};
    assert_int_equal(file_read(&x, a, 1 << 28, &err), 0);
    assert_int_equal(file_read(&y, b, 1 << 28, &err), 0);
    assert_int_equal(x.len, y.len);
    assert_memory_equal(x.p, y.p, x.len);
    buf_release(&x);
    buf_release(&y);
}

static const uint32_t some_cp[] = {'a',    'e',    ' ',    '\n',   0x301,  0x323,  0xe9,   0x1100, 0x1161, 0x11a8,
                                   0xac00, 0xac01, 0xd55c, 0x4e00, 0x212b, 0x3099, 0x304b, 0xf900, 0x0f73, 0x1f600,
                                   0x0958, 0x1d15e, 0x2adc, 0x5d0, 0x5bc};

static void random_text(struct buf *b, struct rng *r, int chars)
{
    for (int i = 0; i < chars; i++) {
        unsigned char u[4];
        uint32_t pick = rng_below(r, 30);
        uint32_t cp = pick < 25 ? some_cp[pick] : 'a' + rng_below(r, 26);
        assert_int_equal(buf_add(b, u, (size_t)uc_put(u, (int32_t)cp), &err), 0);
    }
}

static void test_threads(void **state)
{
    (void)state;
    struct rng r;
    struct buf b = {0};
    struct corpus_counts c;
    rng_init(&r, 5, RNG_TEST, 0);
    assert_int_equal(file_mkdir_p(in_dir("in"), &err), 0);
    for (int i = 0; i < 400; i++) {
        struct buf t = {0};
        random_text(&t, &r, (int)rng_below(&r, 300));
        assert_int_equal(buf_adds(&b, "{\"text\":", &err), 0);
        assert_int_equal(json_quote(&b, t.p ? t.p : "", t.len, &err), 0);
        assert_int_equal(buf_adds(&b, "}\n", &err), 0);
        buf_release(&t);
    }
    put("in/a.jsonl", b.p, b.len);
    put("in/b.jsonl", b.p, b.len / 2); /* duplicates and a cut line */
    buf_release(&b);
    assert_int_equal(build_to(in_dir("in"), in_dir("out1"), 1, false, &c), 0);
    assert_true(c.docs > 300 && c.duplicate > 150);
    const int threads[] = {2, 3, 7};
    for (size_t i = 0; i < 3; i++) {
        char out[16], name[64];
        snprintf(out, sizeof out, "out%d", threads[i]);
        assert_int_equal(build_to(in_dir("in"), in_dir(out), threads[i], false, &c), 0);
        snprintf(name, sizeof name, "%s/manifest.json", out);
        same_file(in_dir("out1/manifest.json"), in_dir(name));
        for (int k = 0; k < 3; k++) { /* shards of 8 KiB: there are many */
            char one[64];
            snprintf(one, sizeof one, "out1/docs-%05d.jsonl.zst", k);
            snprintf(name, sizeof name, "%s/docs-%05d.jsonl.zst", out, k);
            same_file(in_dir(one), in_dir(name));
        }
        assert_int_equal(corpus_verify(in_dir(out), &err), 0);
    }
    /* the place of the input does not matter either */
    assert_int_equal(rename(in_dir("in"), in_dir("elsewhere")), 0);
    assert_int_equal(build_to(in_dir("elsewhere"), in_dir("out9"), 2, false, &c), 0);
    same_file(in_dir("out1/manifest.json"), in_dir("out9/manifest.json"));
}

/* Threads decide how many units a batch has, and so where batches end; files must not show it. */
static void test_batches(void **state)
{
    (void)state;
    struct buf b = {0};
    struct corpus_counts c;
    assert_int_equal(file_mkdir_p(in_dir("in"), &err), 0);
    for (int i = 0; b.len < 11 << 20; i++) {
        int same = i - (i % 3 == 2); /* a third of them twice */
        assert_int_equal(buf_printf(&b, &err, "{\"text\":\"%d %0*d\"}\n", same, same * 37 % 2000, 7), 0);
    }
    put("in/a.jsonl", b.p, b.len);
    buf_release(&b);
    const int threads[] = {1, 2, 5};
    char out[16], name[64], one[64];
    for (int i = 0; i < 3; i++) {
        snprintf(out, sizeof out, "out%d", threads[i]);
        const char *in = in_dir("in");
        struct corpus_build_opts o = {.in = &in, .n_in = 1, .out = in_dir(out), .threads = threads[i],
                                      .shard_bytes = 3000000};
        assert_int_equal(corpus_build(&o, &c, &err), 0);
        assert_int_equal(corpus_verify(in_dir(out), &err), 0);
        static const char *const files[] = {"manifest.json", "removed-00000.jsonl.zst", "docs-00000.jsonl.zst",
                                            "docs-00001.jsonl.zst", "docs-00002.jsonl.zst"};
        for (int k = 0; k < 5; k++) {
            snprintf(one, sizeof one, "out1/%s", files[k]);
            snprintf(name, sizeof name, "%s/%s", out, files[k]);
            same_file(in_dir(one), in_dir(name));
        }
    }
    assert_true(c.docs > 5000 && c.duplicate > 2500);
}

/* What the manifest says of its inputs is what was read: all of each file, however little of it was wanted. */
static void test_inputs_are_read_whole(void **state)
{
    (void)state;
    struct corpus_counts c;
    struct corpus *k;
    struct buf b = {0};
    char hex[65];
    assert_int_equal(file_mkdir_p(in_dir("in"), &err), 0);
    while (b.len < 700000)
        assert_int_equal(buf_printf(&b, &err, "줄 %zu\n", b.len), 0);
    put("in/a.txt", b.p, b.len);
    put_zst("in/b.txt.zst", b.p, b.len, 0);
    put_gz("in/c.md.gz", b.p);
    b.p[0] = (char)0xff; /* no text, and left out after its first piece */
    put("in/d.txt", b.p, b.len);
    puts_to("in/e.jsonl", "{\"text\":\"one\"}\n\n\n");
    puts_to("in/f.txt", "");
    buf_release(&b);
    assert_int_equal(build_to(in_dir("in"), in_dir("out"), 2, false, &c), 0);
    assert_int_equal(c.not_utf8, 1);
    assert_int_equal(corpus_open(&k, in_dir("out"), &err), 0);
    const json_t *inputs = json_object_get(corpus_manifest(k), "inputs");
    assert_int_equal(json_array_size(inputs), 6);
    for (size_t i = 0; i < 6; i++) {
        const json_t *row = json_array_get(inputs, i);
        char path[64];
        struct digest d;
        struct stat st;
        snprintf(path, sizeof path, "in/%s", json_string_value(json_object_get(row, "name")));
        assert_int_equal(sha256_file(&d, in_dir(path), &err), 0);
        assert_int_equal(stat(in_dir(path), &st), 0);
        digest_hex(hex, &d);
        assert_string_equal(json_string_value(json_object_get(row, "sha256")), hex);
        assert_int_equal(json_integer_value(json_object_get(row, "bytes")), st.st_size);
    }
    corpus_close(k);
    /* a pipe has no bytes that could be read again */
    assert_int_equal(mkfifo(in_dir("in/p.jsonl"), 0600), 0);
    assert_int_equal(build_to(in_dir("in/p.jsonl"), in_dir("out2"), 2, false, &c), ERR_IO);
    assert_non_null(strstr(err.msg, "p.jsonl: is neither a file nor a folder"));
}

static void test_normalise_is_nfc(void **state)
{
    (void)state;
    struct rng r;
    rng_init(&r, 6, RNG_TEST, 0);
    for (int i = 0; i < 3000; i++) {
        struct buf t = {0}, whole = {0}, mine = {0};
        struct nfc_look look;
        uint64_t chars;
        random_text(&t, &r, 1 + (int)rng_below(&r, 12));
        assert_true(nfc_look(&look, t.p, t.len));
        assert_int_equal(uc_nfc(&whole, (unsigned char *)t.p, t.len, &err), 0);
        assert_int_equal(nfc_normalise(&mine, &chars, t.p, t.len, &err), 0);
        assert_int_equal(mine.len, whole.len);
        assert_memory_equal(mine.p, whole.p, whole.len);
        assert_int_equal(chars, nfc_count_chars(whole.p, whole.len));
        if (look.plain) {
            assert_int_equal(t.len, whole.len);
            assert_memory_equal(t.p, whole.p, t.len);
        }
        buf_release(&t);
        buf_release(&whole);
        buf_release(&mine);
    }
    struct nfc_look look;
    assert_false(nfc_look(&look, "a\0b", 3));
    assert_false(nfc_look(&look, "\xed\xa0\x80", 3));
    assert_false(nfc_look(&look, "\xc0\x80", 2));
    assert_false(nfc_look(&look, "가\xea\xb0", 5));
    assert_true(nfc_look(&look, " \xe2\x80\x8b\n", 5) && look.blank);
    assert_true(nfc_look(&look, " x", 2) && !look.blank);
}

static void test_pieces(void **state)
{
    (void)state;
    struct buf b = {0}, all = {0};
    struct corpus_counts c;
    struct corpus *k;
    struct corpus_reader *r;
    struct corpus_doc d;
    for (int i = 0; i < 300; i++)
        assert_int_equal(buf_printf(&b, &err, "줄 번호 %d: 글자들.%s", i, i % 7 == 6 ? "\n\n" : i % 50 > 40 ? "" : "\n"), 0);
    assert_int_equal(file_mkdir_p(in_dir("in"), &err), 0);
    put("in/book.txt", b.p, b.len);
    assert_int_equal(build_to(in_dir("in"), in_dir("out"), 2, false, &c), 0);
    assert_true(c.docs > b.len / 1024 && c.docs == c.docs_in);
    assert_int_equal(corpus_open(&k, in_dir("out"), &err), 0);
    assert_int_equal(corpus_reader_new(&r, k, &err), 0);
    for (int i = 1; corpus_reader_next(r, &d, &err) == 1; i++) {
        char id[32];
        snprintf(id, sizeof id, "book.txt#%d", i);
        assert_string_equal(d.id, id);
        assert_true(d.n <= 1024);
        assert_int_equal(buf_add(&all, d.text, d.n, &err), 0);
    }
    assert_int_equal(all.len, b.len);
    assert_memory_equal(all.p, b.p, b.len);
    corpus_reader_free(r);
    corpus_close(k);
    buf_release(&b);
    buf_release(&all);
    assert_int_equal(input_cut("aaaa\n\nbbbb", 10, 8), 6);
    assert_int_equal(input_cut("aaaaaa\nbbb", 10, 8), 7);
    assert_int_equal(input_cut("aaaaaa bbb", 10, 8), 7);
    assert_int_equal(input_cut("가나다라", 12, 8), 6);
    assert_int_equal(input_cut("abc", 3, 8), 3);
}

static void test_what_is_there(void **state)
{
    (void)state;
    struct corpus_counts c;
    make_inputs();
    assert_int_equal(build_to(in_dir("in"), in_dir("out"), 2, false, &c), 0);
    assert_int_equal(build_to(in_dir("in"), in_dir("out"), 1, false, &c), 0);
    assert_true(c.reused && c.docs == 4);
    puts_to("in/a.txt", "다른 글");
    assert_int_equal(build_to(in_dir("in"), in_dir("out"), 2, false, &c), ERR_VALUE);
    assert_non_null(strstr(err.msg, "--force"));
    assert_int_equal(corpus_verify(in_dir("out"), &err), 0);
    assert_int_equal(build_to(in_dir("in"), in_dir("out"), 2, true, &c), 0);
    assert_false(c.reused);
    assert_int_equal(corpus_verify(in_dir("out"), &err), 0);
    /* without its manifest it is an unfinished build, and other files are none of our business */
    puts_to("out/docs-00007.jsonl.zst", "left over");
    puts_to("out/mine.txt", "mine");
    assert_int_equal(unlink(in_dir("out/manifest.json")), 0);
    struct corpus *k;
    assert_int_equal(corpus_open(&k, in_dir("out"), &err), ERR_IO);
    assert_int_equal(build_to(in_dir("in"), in_dir("out"), 2, false, &c), 0);
    assert_false(file_exists(in_dir("out/docs-00007.jsonl.zst")));
    assert_true(file_exists(in_dir("out/mine.txt")));
    assert_int_equal(corpus_verify(in_dir("out"), &err), 0);
}

static void test_verify_finds_damage(void **state)
{
    (void)state;
    struct corpus_counts c;
    struct buf b = {0}, m = {0};
    make_inputs();
    assert_int_equal(build_to(in_dir("in"), in_dir("out"), 2, false, &c), 0);
    assert_int_equal(file_read(&b, in_dir("out/docs-00000.jsonl.zst"), 1 << 20, &err), 0);
    b.p[b.len / 2] ^= 1;
    put("out/docs-00000.jsonl.zst", b.p, b.len);
    assert_int_equal(corpus_verify(in_dir("out"), &err), ERR_FORMAT);
    assert_non_null(strstr(err.msg, "docs-00000"));
    b.p[b.len / 2] ^= 1;
    put("out/docs-00000.jsonl.zst", b.p, b.len - 1);
    assert_int_equal(corpus_verify(in_dir("out"), &err), ERR_FORMAT);
    put("out/docs-00000.jsonl.zst", b.p, b.len);
    assert_int_equal(corpus_verify(in_dir("out"), &err), 0);
    assert_int_equal(file_read(&m, in_dir("out/manifest.json"), 1 << 20, &err), 0);
    char *root = strstr(m.p, "\"root\": \"") + 9;
    *root = *root == '0' ? '1' : '0';
    put("out/manifest.json", m.p, m.len);
    assert_int_equal(corpus_verify(in_dir("out"), &err), ERR_FORMAT);
    assert_non_null(strstr(err.msg, "Merkle"));
    buf_release(&b);
    buf_release(&m);
}

static void test_bad_input(void **state)
{
    (void)state;
    struct corpus_counts c;
    char *line;
    assert_int_equal(file_mkdir_p(in_dir("none"), &err), 0);
    assert_int_equal(build_to(in_dir("none"), in_dir("out"), 2, false, &c), ERR_VALUE);
    assert_int_equal(build_to(in_dir("absent"), in_dir("out"), 2, false, &c), ERR_IO);
    puts_to("none/x.pdf", "%PDF");
    assert_int_equal(build_to(in_dir("none/x.pdf"), in_dir("out"), 2, false, &c), ERR_VALUE);
    puts_to("none/e.txt", "");
    assert_int_equal(build_to(in_dir("none"), in_dir("out"), 2, false, &c), ERR_VALUE);
    assert_non_null(strstr(err.msg, "no document is left"));
    assert_false(file_exists(in_dir("out")));
    line = malloc(100000);
    memset(line, 'a', 100000);
    for (int i = 0; i < 100000; i += 7)
        line[i] = (char)('a' + i % 23);
    put_zst("none/t.txt.zst", line, 100000, 5);
    free(line);
    assert_int_equal(build_to(in_dir("none"), in_dir("out"), 2, false, &c), ERR_FORMAT);
    assert_non_null(strstr(err.msg, "t.txt.zst"));
    assert_false(file_exists(in_dir("out")));
    assert_int_equal(file_mkdir_p(in_dir("mine"), &err), 0);
    assert_int_equal(build_to(in_dir("none"), in_dir("mine/a/b"), 2, false, &c), ERR_FORMAT);
    assert_false(file_exists(in_dir("mine/a")));
    assert_int_equal(build_to(in_dir("none"), in_dir("mine"), 2, false, &c), ERR_FORMAT);
    assert_true(file_is_dir(in_dir("mine")));
}

/* Below a folder nothing hidden is read, nor what the build itself writes; what is named is read whatever its name. */
static void test_aside(void **state)
{
    (void)state;
    struct corpus_counts c;
    struct corpus_notes n;
    char in[400], out[400], own[400];
    snprintf(in, sizeof in, "%s", in_dir("in"));
    snprintf(out, sizeof out, "%s", in_dir("in/out"));
    const char *paths[2] = {in, own};
    struct corpus_build_opts o = {.in = paths, .n_in = 1, .out = out, .threads = 1, .notes = &n};
    assert_int_equal(file_mkdir_p(in_dir("in/.git/x"), &err), 0);
    assert_int_equal(file_mkdir_p(in_dir("in/sub/.cache"), &err), 0);
    puts_to("in/a.txt", "a"), puts_to("in/sub/b.txt", "b"), puts_to("in/.git/x/c.txt", "c"), puts_to("in/c.pdf", "");
    puts_to("in/sub/.d.txt", "d"), puts_to("in/sub/.cache/e.txt", "e"), puts_to("in/.git/bad.jsonl", "x\n");
    puts_to("in/sub/r.jsonl", "{\"text\":\"t\"}\n{}\nx\n");
    for (int again = 0; again < 2; again++) {
        assert_int_equal(corpus_build(&o, &c, &err), 0);
        assert_int_equal(c.docs, 3);
        assert_int_equal(c.files, 3);
        assert_int_equal(c.reused, again);
        assert_int_equal(n.aside.of[ASIDE_KIND].n, 1);
        assert_int_equal(n.aside.of[ASIDE_LINK].n, 0);
        assert_int_equal(n.aside.of[ASIDE_HIDDEN].n, 3);
        assert_int_equal(n.aside.of[ASIDE_OUT].n, again);
        assert_string_equal(n.aside.of[ASIDE_KIND].first, in_dir("in/c.pdf"));
        assert_string_equal(n.aside.of[ASIDE_OUT].first, again ? out : "");
        assert_string_equal(n.bad_record.msg, again ? "" : "sub/r.jsonl: line 2: no string \"text\" in the record");
    }
    snprintf(own, sizeof own, "%s", in_dir("in/.git"));
    o.n_in = 2;
    o.out = in_dir("out");
    assert_int_equal(corpus_build(&o, &c, &err), 0);
    assert_int_equal(c.files, 3 + 2 + 2);   /* the corpus that lies in the folder is not this one */
    snprintf(own, sizeof own, "%s", in_dir("in/sub/.d.txt"));
    o.in = paths + 1;
    o.n_in = 1;
    o.out = in_dir("out2");
    assert_int_equal(corpus_build(&o, &c, &err), 0);
    assert_int_equal(c.docs, 1);
    assert_int_equal(n.aside.of[ASIDE_HIDDEN].n, 0);
    puts_to("none.jsonl", "x\n\xff\n");
    snprintf(own, sizeof own, "%s", in_dir("none.jsonl"));
    o.out = in_dir("out3");
    assert_int_equal(corpus_build(&o, &c, &err), ERR_VALUE);
    assert_int_equal(c.docs_in, 2);
    assert_int_equal(c.not_utf8, 1);
    assert_non_null(strstr(n.bad_record.msg, "none.jsonl: line 1 is not"));
}

/* Nothing is looked at, and nothing said of it, while another build may be finishing it. */
static void test_locked(void **state)
{
    (void)state;
    struct corpus_counts c;
    int lock;
    assert_int_equal(file_mkdir_p(in_dir("in"), &err), 0);
    puts_to("in/a.txt", "a");
    assert_int_equal(build_to(in_dir("in"), in_dir("out"), 1, false, &c), 0);
    assert_int_equal(file_lock_folder(&lock, in_dir("out"), "busy", &err), 0);
    assert_int_equal(build_to(in_dir("in"), in_dir("out"), 1, false, &c), ERR_IO);
    assert_non_null(strstr(err.msg, "another build is writing here"));
    file_unlock(lock);
    assert_int_equal(build_to(in_dir("in"), in_dir("out"), 1, false, &c), 0);
    assert_true(c.reused);
}

/* A line far beyond the limit passes through in bounded memory. */
static void test_huge_line(void **state)
{
    (void)state;
    struct corpus_counts c;
    const size_t mb = getenv("DOKJA_LONG") ? 2100 : 200;
    ZSTD_CCtx *z = ZSTD_createCCtx();
    char *in = malloc(1 << 20), *out = malloc(1 << 20);
    assert_int_equal(file_mkdir_p(in_dir("in"), &err), 0);
    FILE *f = fopen(in_dir("in/big.jsonl.zst"), "wb");
    memset(in, 'x', 1 << 20);
    memcpy(in, "{\"text\":\"", 9);
    for (size_t i = 0; i <= mb; i++) {
        ZSTD_inBuffer ib = {in, 1 << 20, 0};
        if (i == mb)
            ib.size = (size_t)sprintf(in, "\"}\n{\"text\":\"after\"}\n");
        for (size_t left = 1; i == mb ? left != 0 : ib.pos < ib.size;) {
            ZSTD_outBuffer ob = {out, 1 << 20, 0};
            left = ZSTD_compressStream2(z, &ob, &ib, i == mb ? ZSTD_e_end : ZSTD_e_continue);
            assert_false(ZSTD_isError(left));
            fwrite(out, 1, ob.pos, f);
        }
        memset(in, 'x', 16);
    }
    fclose(f);
    ZSTD_freeCCtx(z);
    free(in);
    free(out);
    mem_peak_rss_reset();
    size_t before = mem_peak_rss();
    assert_int_equal(build_to(in_dir("in"), in_dir("out"), 2, false, &c), 0);
    assert_int_equal(c.docs, 1);
    assert_int_equal(c.too_long, 1);
    assert_true(mem_peak_rss() - before < (64u << 20));
}

static void test_held_out(void **state)
{
    (void)state;
    struct digest d = {{0x80}};
    assert_false(corpus_held_out(&d, 0.5));
    assert_true(corpus_held_out(&d, 0.51));
    d.b[0] = 0x7f;
    assert_true(corpus_held_out(&d, 0.5));
    assert_false(corpus_held_out(&d, 0));
}

/* A salted corpus: the same documents, another root, which cannot be made again without its secret. */
static void test_salted(void **state)
{
    (void)state;
    struct corpus_counts c;
    struct corpus *plain, *salted;
    struct corpus_salt salt;
    const char *in[1];
    bool is;
    make_inputs();
    struct corpus_build_opts o = {.in = in, .n_in = 1, .threads = 1, .salted = true};
    char out[512];
    snprintf(out, sizeof out, "%s", in_dir("salted"));
    o.out = out;
    assert_int_equal(build_to(in_dir("in"), in_dir("plain"), 1, false, &c), 0);
    char from[512];
    snprintf(from, sizeof from, "%s", in_dir("in"));
    in[0] = from;
    assert_int_equal(corpus_build(&o, &c, &err), 0);
    assert_int_equal(corpus_verify(out, &err), 0);
    assert_int_equal(corpus_open(&plain, in_dir("plain"), &err), 0);
    assert_int_equal(corpus_open(&salted, out, &err), 0);
    struct digest a = corpus_root(plain), b = corpus_root(salted);
    assert_memory_not_equal(&a, &b, sizeof a);
    assert_int_equal(corpus_salt_of(plain, &salt, &is, &err), 0);
    assert_false(is);
    assert_int_equal(corpus_salt_of(salted, &salt, &is, &err), 0);
    assert_true(is);
    corpus_close(plain);
    corpus_close(salted);
    /* Built again with the secret that lies there: kept. */
    assert_int_equal(corpus_build(&o, &c, &err), 0);
    assert_true(c.reused);
    char key[600];
    snprintf(key, sizeof key, "%s/salt.key", out);
    assert_int_equal(file_replace(key, "00", 2, &err), 0);
    assert_int_equal(corpus_verify(out, &err), ERR_FORMAT);
    char zeros[65];
    memset(zeros, '0', 64);
    assert_int_equal(file_replace(key, zeros, 64, &err), 0);
    assert_int_equal(corpus_verify(out, &err), ERR_VALUE);
    assert_int_equal(remove(key), 0);
    assert_int_equal(corpus_verify(out, &err), ERR_IO);
    /* A build that is refused leaves no key of its own: the corpus' one may be found again. */
    assert_int_equal(corpus_build(&o, &c, &err), ERR_VALUE);
    assert_non_null(strstr(err.msg, "--force"));
    assert_false(file_exists(key));
    puts_to("empty.txt", "");
    snprintf(from, sizeof from, "%s", in_dir("empty.txt"));
    snprintf(out, sizeof out, "%s", in_dir("fresh"));
    assert_int_equal(corpus_build(&o, &c, &err), ERR_VALUE);
    assert_false(file_exists(out));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, folder_down)
    const struct CMUnitTest tests[] = {
        T(test_kept_and_removed), T(test_root),
        T(test_threads),          T(test_batches),
        T(test_normalise_is_nfc), T(test_inputs_are_read_whole),
        T(test_pieces),           T(test_what_is_there),
        T(test_bad_input),        T(test_locked),
        T(test_aside),
        T(test_huge_line),        T(test_held_out),
        T(test_verify_finds_damage),
        T(test_salted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
