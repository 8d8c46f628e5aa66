#include "folder.h"

#include <zlib.h>
#include <zstd.h>

#include "base/file.h"
#include "base/mem.h"
#include "formats/instream.h"
#include "formats/textsrc.h"

static struct err e;

/* Appends p[n] to b as gzip or zstd, by the libraries' own writers. */
static void pack(struct buf *b, const char *name, const void *p, size_t n)
{
    if (strstr(name, ".gz")) {
        z_stream z = {0};
        assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
        size_t cap = deflateBound(&z, n);
        ok(buf_reserve(b, cap, &e));
        z.next_in = (Bytef *)(uintptr_t)p;
        z.avail_in = (uInt)n;
        z.next_out = (Bytef *)b->p + b->len;
        z.avail_out = (uInt)cap;
        assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
        b->len += z.total_out;
        deflateEnd(&z);
    } else if (strstr(name, ".zst")) {
        ok(buf_reserve(b, ZSTD_compressBound(n), &e));
        size_t k = ZSTD_compress(b->p + b->len, ZSTD_compressBound(n), p, n, 3);
        assert_false(ZSTD_isError(k));
        b->len += k;
    } else ok(buf_add(b, p, n, &e));
}

static void put_n(const char *name, const void *p, size_t n)
{
    struct buf b = {0};
    pack(&b, name, p, n);
    ok(file_replace(in_dir(name), b.p, b.len, &e));
    buf_release(&b);
}

static void put(const char *name, const char *text) { put_n(name, text, strlen(text)); }

static struct textsrc *open_src(const char *name, size_t limit)
{
    struct textsrc *s;
    ok(textsrc_open(&s, in_dir(name), limit, &e));
    return s;
}

static void expect(struct textsrc *s, const char *text, const char *id, uint64_t line)
{
    struct textsrc_doc d;
    if (textsrc_next(s, &d, &e) != 1) fail_msg("no document: %s", e.msg);
    assert_int_equal(d.n, strlen(text));
    assert_memory_equal(d.text, text, d.n);
    assert_string_equal(d.id, id);
    assert_int_equal(d.line, line);
}

static void expect_end(struct textsrc *s)
{
    struct textsrc_doc d;
    for (int i = 0; i < 2; i++) assert_int_equal(textsrc_next(s, &d, &e), 0);
}

static void kinds_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        enum textsrc_kind kind;
    } t[] = {{"a.txt", TEXTSRC_TXT},      {"a.md", TEXTSRC_TXT},       {"x/a.jsonl", TEXTSRC_JSONL},
             {"a.TXT", TEXTSRC_TXT},      {"a.jsonl.gz", TEXTSRC_JSONL}, {"a.jsonl.zst", TEXTSRC_JSONL},
             {"a.md.zst", TEXTSRC_TXT},   {"a.json", TEXTSRC_NONE},    {"a", TEXTSRC_NONE},
             {".txt", TEXTSRC_NONE},      {"x/.txt", TEXTSRC_NONE},    {"txt", TEXTSRC_NONE},
             {"a.gz", TEXTSRC_NONE},      {"a.txt.bz2", TEXTSRC_NONE}, {"a.txt.gz.gz", TEXTSRC_NONE},
             {"a.txt/b", TEXTSRC_NONE},   {"", TEXTSRC_NONE}};
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) assert_int_equal(textsrc_kind(t[i].path), t[i].kind);
    struct textsrc *s;
    put("a.json", "{}");
    refused(textsrc_open(&s, in_dir("a.json"), 10, &e), ERR_VALUE, "a.json: not a text source");
    refused(textsrc_open(&s, in_dir("none"), 10, &e), ERR_IO, "none: cannot open: No such file");
    refused(textsrc_open(&s, in_dir(""), 10, &e), ERR_VALUE, "is a folder; expected");
    refused(textsrc_open(&s, in_dir("none.txt"), 10, &e), ERR_IO, "none.txt: cannot open");
    ok(file_mkdir_p(in_dir("d.txt"), &e));
    refused(textsrc_open(&s, in_dir("d.txt"), 10, &e), ERR_IO, "is a folder");
}

static void texts_are_one_document(void **state)
{
    (void)state;
    static const char *const names[] = {"a.txt", "a.md", "a.txt.gz", "a.txt.zst"};
    static const char binary[] = "line\n\0\xFF\r\nend";
    for (int i = 0; i < 4; i++) {
        put_n(names[i], binary, sizeof binary - 1);
        struct textsrc *s = open_src(names[i], sizeof binary - 1);
        struct textsrc_doc d;
        assert_int_equal(textsrc_next(s, &d, &e), 1);
        assert_int_equal(d.n, sizeof binary - 1);
        assert_memory_equal(d.text, binary, d.n);
        assert_string_equal(d.id, "");
        expect_end(s);
        textsrc_close(s);
        s = open_src(names[i], sizeof binary - 2);
        refused(textsrc_next(s, &d, &e), ERR_LIMIT, "a document longer than 11 bytes");
        textsrc_close(s);
    }
    static const char *const marked[][2] = {{"", ""},
                                            {"\xEF\xBB\xBF", ""},
                                            {"\xEF\xBB\xBF\xED\x95\x9C", "\xED\x95\x9C"},
                                            {"\xEF\xBB\xBF\xEF\xBB\xBFx", "\xEF\xBB\xBFx"},
                                            {"x\xEF\xBB\xBF", "x\xEF\xBB\xBF"}};
    for (size_t i = 0; i < sizeof marked / sizeof *marked; i++) {
        put("mark.txt", marked[i][0]);
        struct textsrc *s = open_src("mark.txt", 10);
        expect(s, marked[i][1], "", 1);
        expect_end(s);
        textsrc_close(s);
    }
}

static void records_are_documents(void **state)
{
    (void)state;
    static const char *const names[] = {"a.jsonl", "a.jsonl.gz", "a.jsonl.zst"};
    for (int i = 0; i < 3; i++) {
        put(names[i], "\xEF\xBB\xBF{\"text\":\"하나\",\"id\":\"k1\",\"source\":\"s\",\"license\":\"l\","
                      "\"lang\":\"ko\"}\r\n"
                      "\n  \t\r\n"
                      "{\"id\":12,\"text\":\"\"}\n"
                      "{\"id\":null,\"text\":\"last\\nline\",\"source\":5}");
        struct textsrc *s = open_src(names[i], 1000);
        struct textsrc_doc d;
        assert_int_equal(textsrc_next(s, &d, &e), 1);
        assert_string_equal(d.text, "하나");
        assert_string_equal(d.id, "k1");
        assert_string_equal(d.source, "s");
        assert_string_equal(d.license, "l");
        assert_string_equal(d.lang, "ko");
        assert_int_equal(d.line, 1);
        expect(s, "", "12", 4);
        expect(s, "last\nline", "", 5);
        expect_end(s);
        textsrc_close(s);
    }
}

/* A bad line, told with its cause and without the path. */
static void expect_bad(struct textsrc *s, int code, const char *raw, const char *part, uint64_t line)
{
    struct textsrc_doc d;
    if (textsrc_next(s, &d, &e) != 1) fail_msg("no bad line: %s", e.msg);
    assert_int_equal(d.bad, code);
    assert_int_equal(d.line, line);
    assert_int_equal(d.n, strlen(raw));
    assert_memory_equal(d.text, raw, d.n);
    if (strncmp(d.why, "line ", 5) != 0 || !strstr(d.why, part)) fail_msg("\"%s\" without \"%s\"", d.why, part);
}

static void bad_records_are_named_or_told(void **state)
{
    (void)state;
    static const struct {
        const char *line, *part;
        int code;
    } t[] = {
        {"{\"text\":1}", "line 2: no string \"text\"", ERR_FORMAT},
        {"{\"t\":\"x\"}", "line 2: no string \"text\"", ERR_FORMAT},
        {"[\"text\"]", "line 2: not an object", ERR_FORMAT},
        {"{\"text\":\"x\"", "line 2 is not a JSON record", ERR_FORMAT},
        {"{\"text\":\"x\"}{}", "line 2 is not a JSON record", ERR_FORMAT},
        {"{\"text\":\"\xFF\"}", "line 2 is not a JSON record", ERR_FORMAT},
        {"{\"text\":\"a\",\"text\":\"b\"}", "line 2 is not a JSON record", ERR_FORMAT},
        {"{\"text\":\"0123456789012345678901234567890123456789\"}", "line 2 is longer than 40 bytes", ERR_LIMIT},
    };
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        char text[200];
        struct textsrc_doc d;
        snprintf(text, sizeof text, "{\"text\":\"a\"}\n%s\n{\"text\":\"b\"}\n", t[i].line);
        put("a.jsonl", text);
        struct textsrc *s = open_src("a.jsonl", 40);
        expect(s, "a", "", 1);
        refused(textsrc_next(s, &d, &e), t[i].code, t[i].part);
        textsrc_close(s);
        s = open_src("a.jsonl", 40);
        textsrc_report(s, true);
        expect(s, "a", "", 1);
        expect_bad(s, t[i].code, t[i].code == ERR_LIMIT ? "" : t[i].line, t[i].part, 2);
        expect(s, "b", "", 3);
        expect_end(s);
        textsrc_close(s);
    }
    put("a.jsonl", "{\"text\":\x1b[1mx}"); /* what is quoted may go to a terminal */
    struct textsrc *s = open_src("a.jsonl", 40);
    struct textsrc_doc d;
    refused(textsrc_next(s, &d, &e), ERR_FORMAT,
            "a.jsonl: line 1 is not a JSON record: column 9: invalid token near '?'");
    textsrc_close(s);
}

/* Numbers that 64 bits do not hold, each read by the scanner and, where a key has an escape, by the full parser. */
static void long_integers(void **state)
{
    (void)state;
    static const struct {
        const char *fields, *id;
    } t[] = {
        {"\"id\":\"k\",\"hash\":18446744073709551615", "k"},
        {"\"id\":18446744073709551615", "18446744073709551615"},
        {"\"id\": -9223372036854775809 ,\"n\":[18446744073709551615]", "-9223372036854775809"},
        {"\"n\":{\"id\":18446744073709551615},\"id\":9223372036854775807", "9223372036854775807"},
        {"\"a\":\"\\\" 11111111111111111111\",\"b\":-22222222222222222222,\"id\":33333333333333333333",
         "33333333333333333333"},
        {"\"a\":22222222222222222222,\"id\":1000000000000000000", "1000000000000000000"},
        {"\"a\":22222222222222222222,\"id\":-0", "0"},
        {"\"a\":22222222222222222222,\"id\":1234567890123456789.5", ""},
        {"\"a\":22222222222222222222,\"id\":[12345678901234567890]", ""},
        {"\"source\":12345678901234567890,\"id\":999999999999999999", "999999999999999999"},
    };
    enum { N = sizeof t / sizeof *t };
    char text[400], digits[600];
    for (size_t i = 0; i < N; i++) {
        snprintf(text, sizeof text, "{%s,\"text\":\"a\"}\n{%s,\"te\\u0078t\":\"a\"}", t[i].fields, t[i].fields);
        put("a.jsonl", text);
        struct textsrc *s = open_src("a.jsonl", 1000);
        struct textsrc_doc d;
        for (int line = 1; line <= 2; line++) {
            if (textsrc_next(s, &d, &e) != 1) fail_msg("%s: %s", t[i].fields, e.msg);
            assert_string_equal(d.text, "a");
            assert_string_equal(d.id, t[i].id);
            assert_string_equal(d.source, "");
        }
        expect_end(s);
        textsrc_close(s);
    }
    memset(digits, '7', 500); /* longer than what a double holds */
    snprintf(digits + 500, 100, ",\"text\":\"b\",\"x\":1e5}");
    struct buf b = {0};
    ok(buf_printf(&b, &e, "{\"id\":%s\n{\"id\":1,\"text\":22222222222222222222}", digits));
    put_n("a.jsonl", b.p, b.len);
    struct textsrc *s = open_src("a.jsonl", 1000);
    digits[500] = 0;
    expect(s, "b", digits, 1);
    struct textsrc_doc d;
    refused(textsrc_next(s, &d, &e), ERR_FORMAT, "line 2: no string \"text\"");
    textsrc_close(s);
    buf_release(&b);
}

/* 300 MB of one line in a few kilobytes of zstd: passing over it must not take memory. */
static void long_lines_are_not_kept(void **state)
{
    (void)state;
    enum { MB = 1 << 20, N = 300 };
    char *block = mem_new(MB, 1);
    memset(block, 'x', MB);
    struct buf b = {0};
    pack(&b, ".zst", "{\"text\":\"a\"}\n{\"text\":\"", 22);
    for (int i = 0; i < N; i++) pack(&b, ".zst", block, MB);
    pack(&b, ".zst", "\"}\n{\"text\":\"b\"}\n", 16);
    ok(file_replace(in_dir("a.jsonl.zst"), b.p, b.len, &e));
    buf_release(&b);
    mem_free(block);
    struct textsrc *s = open_src("a.jsonl.zst", MB);
    textsrc_report(s, true);
    mem_peak_rss_reset();
    size_t before = mem_peak_rss();
    expect(s, "a", "", 1);
    expect_bad(s, ERR_LIMIT, "", "line 2 is longer than 1048576 bytes", 2);
    expect(s, "b", "", 3);
    expect_end(s);
#ifndef __SANITIZE_ADDRESS__
    assert_true(mem_peak_rss() - before < 32 * (size_t)MB);
#else
    (void)before;
#endif
    textsrc_close(s);
}

static void every_truncation_is_an_error(void **state)
{
    (void)state;
    static const char *const names[] = {"a.jsonl.gz", "a.jsonl.zst"};
    for (int i = 0; i < 2; i++) {
        struct buf b = {0};
        pack(&b, names[i], "{\"text\":\"abcabcabc\"}\n", 21);
        for (size_t n = 0; n < b.len; n++) {
            struct textsrc_doc d;
            ok(file_replace(in_dir(names[i]), b.p, n, &e));
            struct textsrc *s = open_src(names[i], 1000);
            textsrc_report(s, true);
            int rc = textsrc_next(s, &d, &e);
            if (rc == 1) rc = textsrc_next(s, &d, &e);
            if (rc != ERR_FORMAT || !strstr(e.msg, names[i]) || !strstr(e.msg, "ends in the middle"))
                fail_msg("%s cut to %zu of %zu bytes: %d \"%s\"", names[i], n, b.len, rc, e.msg);
            textsrc_close(s);
        }
        buf_release(&b);
    }
}

static void corrupt_data_is_an_error(void **state)
{
    (void)state;
    struct textsrc_doc d;
    put("plain", "{\"text\":\"a\"}\n");
    static const char *const names[] = {"a.jsonl.gz", "a.jsonl.zst"};
    for (int i = 0; i < 2; i++) {
        ok(file_replace(in_dir(names[i]), "{\"text\":\"a\"}\n", 13, &e));
        struct textsrc *s = open_src(names[i], 100);
        refused(textsrc_next(s, &d, &e), ERR_FORMAT, i ? "not valid zstd data" : "not valid gzip data");
        textsrc_close(s);
    }
    struct buf b = {0};
    pack(&b, ".gz", "{\"text\":\"a\"}\n", 13);
    b.p[b.len - 8] ^= 1; /* the check sum */
    ok(file_replace(in_dir("a.jsonl.gz"), b.p, b.len, &e));
    struct textsrc *s = open_src("a.jsonl.gz", 100);
    int rc = textsrc_next(s, &d, &e);
    if (rc == 1) rc = textsrc_next(s, &d, &e);
    assert_int_equal(rc, ERR_FORMAT);
    assert_non_null(strstr(e.msg, "incorrect data check"));
    textsrc_close(s);
    buf_release(&b);
}

static void members_and_frames_are_joined(void **state)
{
    (void)state;
    static const char *const names[] = {"a.jsonl.gz", "a.jsonl.zst"};
    for (int i = 0; i < 2; i++) {
        struct buf b = {0};
        pack(&b, names[i], "{\"text\":", 8);
        pack(&b, names[i], "", 0);
        pack(&b, names[i], "\"a\"}\n{\"text\":\"b\"}\n", 18);
        if (i == 0) ok(buf_add(&b, "\0\0\0", 3, &e)); /* tapes pad */
        ok(file_replace(in_dir(names[i]), b.p, b.len, &e));
        struct textsrc *s = open_src(names[i], 100);
        expect(s, "a", "", 1);
        expect(s, "b", "", 2);
        expect_end(s);
        textsrc_close(s);
        struct textsrc_doc d;
        ok(buf_add(&b, "junk", 4, &e));
        ok(file_replace(in_dir(names[i]), b.p, b.len, &e));
        s = open_src(names[i], 100);
        expect(s, "a", "", 1);
        int rc = textsrc_next(s, &d, &e);
        if (rc == 1) rc = textsrc_next(s, &d, &e);
        assert_int_equal(rc, ERR_FORMAT);
        textsrc_close(s);
        buf_release(&b);
    }
}

/* One reader through files of every kind, a bad one and a missing one among them. */
static void switching(void **state)
{
    (void)state;
    static const char *const names[] = {"a.jsonl.zst", "b.txt", "c.jsonl.gz", "d.jsonl", "e.md.gz", "f.jsonl.zst"};
    struct textsrc_doc d;
    struct textsrc *s = NULL;
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < 6; i++) {
            char text[200];
            bool lines = strstr(names[i], "jsonl");
            snprintf(text, sizeof text, lines ? "{\"text\":\"%d.%d\",\"id\":%d}\n" : "%d.%d", round, i, i);
            put(names[i], text);
            if (s) ok(textsrc_switch(s, in_dir(names[i]), &e));
            else s = open_src(names[i], 1000);
            snprintf(text, sizeof text, "%d.%d", round, i);
            expect(s, text, lines ? (char[]){(char)('0' + i), 0} : "", 1);
            if (i == 3) { /* left in the middle of things */
                refused(textsrc_switch(s, in_dir("none.jsonl"), &e), ERR_IO, "none.jsonl");
                put("a.json", "{}");
                refused(textsrc_switch(s, in_dir("a.json"), &e), ERR_VALUE, "a.json");
                put_n("cut.jsonl", "{\"text\":\"a\"}\n{\"text\":", 20);
                ok(textsrc_switch(s, in_dir("cut.jsonl"), &e));
                expect(s, "a", "", 1);
                refused(textsrc_next(s, &d, &e), ERR_FORMAT, "line 2");
            } else expect_end(s);
        }
    textsrc_close(s);
}

/* The same documents whatever the chunks: lines of every length around the buffer's size. */
static void chunk_edges(void **state)
{
    (void)state;
    struct buf b = {0};
    unsigned seed = 1;
    size_t len[400];
    for (int i = 0; i < 400; i++) {
        seed = seed * 1664525 + 1013904223;
        len[i] = seed >> 16 & 4095;
        if (i % 40 == 7) len[i] += 131072 - 20;
        ok(buf_adds(&b, "{\"text\":\"", &e));
        for (size_t k = 0; k < len[i]; k++) ok(buf_addc(&b, (char)('a' + (k + (size_t)i) % 26), &e));
        ok(buf_adds(&b, "\"}\n", &e));
    }
    static const char *const names[] = {"a.jsonl", "a.jsonl.gz", "a.jsonl.zst"};
    for (int f = 0; f < 3; f++) {
        put_n(names[f], b.p, b.len);
        struct textsrc *s = open_src(names[f], 1 << 20);
        for (int i = 0; i < 400; i++) {
            struct textsrc_doc d;
            assert_int_equal(textsrc_next(s, &d, &e), 1);
            assert_int_equal(d.n, len[i]);
            for (size_t k = 0; k < d.n; k++)
                if (d.text[k] != (char)('a' + (k + (size_t)i) % 26)) fail_msg("document %d differs at %zu", i, k);
        }
        expect_end(s);
        textsrc_close(s);
    }
    buf_release(&b);
}

/* 0 when both documents came, else the error. */
static int read_two(const char *path)
{
    struct textsrc *s;
    struct textsrc_doc d;
    int docs = 0, got = textsrc_open(&s, path, 1 << 20, &e);
    if (got) return got;
    while ((got = textsrc_next(s, &d, &e)) == 1) docs++;
    textsrc_close(s);
    if (!got) assert_int_equal(docs, 2);
    return got;
}

/* Every allocation fails once, the codecs' own among them. */
static void want_of_memory(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int least; /* of zlib its state and window, of zstd the decoder and its buffers */
    } t[] = {{"m.jsonl", 3}, {"m.jsonl.gz", 5}, {"m.jsonl.zst", 5}};
    for (int f = 0; f < 3; f++) {
        char path[400];
        snprintf(path, sizeof path, "%s", in_dir(t[f].name));
        put(t[f].name, "{\"id\":\"a\",\"text\":\"first\"}\n{\"id\":\"b\",\"text\":\"second\"}");
        int n = 0;
        for (int rc = ERR_NOMEM; rc; n++) {
            assert_true(n < 100);
            memset(&e, 0, sizeof e);
            mem_fail_at(n + 1);
            rc = read_two(path);
            mem_fail_at(0);
            if (rc && (rc != ERR_NOMEM || !strstr(e.msg, "out of memory"))) fail_msg("%s: %d \"%s\"", path, rc, e.msg);
        }
        if (n - 1 < t[f].least) fail_msg("%s: %d allocations", path, n - 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(kinds_by_name, folder_up, folder_down),
        cmocka_unit_test_setup_teardown(texts_are_one_document, folder_up, folder_down),
        cmocka_unit_test_setup_teardown(records_are_documents, folder_up, folder_down),
        cmocka_unit_test_setup_teardown(bad_records_are_named_or_told, folder_up, folder_down),
        cmocka_unit_test_setup_teardown(long_integers, folder_up, folder_down),
        cmocka_unit_test_setup_teardown(long_lines_are_not_kept, folder_up, folder_down),
        cmocka_unit_test_setup_teardown(every_truncation_is_an_error, folder_up, folder_down),
        cmocka_unit_test_setup_teardown(corrupt_data_is_an_error, folder_up, folder_down),
        cmocka_unit_test_setup_teardown(members_and_frames_are_joined, folder_up, folder_down),
        cmocka_unit_test_setup_teardown(switching, folder_up, folder_down),
        cmocka_unit_test_setup_teardown(chunk_edges, folder_up, folder_down),
        cmocka_unit_test_setup_teardown(want_of_memory, folder_up, folder_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
