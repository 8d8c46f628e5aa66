/* Hand-written cutters against PCRE2 on the same patterns, the dialect, characters and normal form C. */
#include "harness.h"

#include <utf8proc.h>

#include "base/rng.h"
#include "text/dialect.h"
#include "text/lexer.h"
#include "text/split.h"
#include "text/unicode.h"

static const char cl100k[] = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}"
                             "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
static const char qwen2[] = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}"
                            "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
static const char *const known[] = {lexer_pattern_dokja, lexer_pattern_gpt2, cl100k, qwen2};

static const char *const bits[] = {" ",
                                   " ",
                                   "  ",
                                   "\n",
                                   "\r\n",
                                   "\t",
                                   "\xc2\xa0",
                                   "\xe3\x80\x80",
                                   "\xe2\x80\xa8",
                                   "가",
                                   "나다",
                                   "ㅋ",
                                   "\xe1\x84\x80",
                                   "\xe1\x85\xa1",
                                   "a",
                                   "B",
                                   "don",
                                   "'",
                                   "'s",
                                   "'T",
                                   "'ll",
                                   "'Ve",
                                   "'re",
                                   "’",
                                   "’s",
                                   "s",
                                   "l",
                                   "ſ",
                                   "é",
                                   "e\xcc\x81",
                                   "\xcc\x81",
                                   "1",
                                   "22",
                                   "2026",
                                   "Ⅳ",
                                   "½",
                                   "!",
                                   "...",
                                   "「",
                                   "😀",
                                   "\xef\xb8\x8f",
                                   "\xe2\x80\x8d",
                                   "漢",
                                   "ア",
                                   "я",
                                   "ب",
                                   "ก",
                                   "\xe0\xb8\xb1",
                                   "\x01",
                                   "\x7f",
                                   "\xc2\x85",
                                   "\xe1\xa0\x8e",
                                   "\xef\xbb\xbf",
                                   "\xf0\x9c\xb3\xb0",
                                   "\xf0\xb1\x8d\x90",
                                   "_",
                                   "/",
                                   "<|end|>"};
enum { N_BITS = sizeof bits / sizeof bits[0] };

static struct splitter *make(const char *pattern, bool pcre2)
{
    struct err e = {0};
    struct splitter *s;
    ok(splitter_new(&s, &e));
    ok(splitter_add_regex(s, pattern, SPLIT_ISOLATED, false, &e));
    if (pcre2)
        splitter_use_pcre2(s);
    return s;
}

static void same_pieces(const struct splitter *a, const struct splitter *b, struct split_work w[2], const char *text,
                        size_t n)
{
    struct err e = {0};
    ok(splitter_run(a, &w[0], text, n, &e));
    ok(splitter_run(b, &w[1], text, n, &e));
    size_t at = 0;
    for (size_t i = 0; i < w[0].n; i++) {
        if (i >= w[1].n || w[0].piece[i].n != w[1].piece[i].n)
            fail_msg("piece %zu of \"%.*s\" has %zu bytes here, %zu there", i, (int)n, text, w[0].piece[i].n,
                     i < w[1].n ? w[1].piece[i].n : 0);
        assert_int_equal(w[0].piece[i].at, at);
        at += w[0].piece[i].n;
    }
    assert_int_equal(at, n);
    assert_int_equal(w[0].n, w[1].n);
}

static void test_lexers(void **state)
{
    (void)state;
    struct rng r;
    rng_init(&r, 3, RNG_TEST, 1);
    for (size_t k = 0; k < sizeof known / sizeof known[0]; k++) {
        struct splitter *hand = make(known[k], false), *pcre = make(known[k], true);
        struct split_work w[2] = {0};
        assert_non_null(splitter_lexer(hand));
        assert_null(splitter_lexer(pcre));
        for (int i = 0; i < 30000; i++) {
            char text[400];
            size_t n = 0;
            for (uint32_t j = 1 + rng_below(&r, 12); j > 0; j--) {
                const char *b = bits[rng_below(&r, N_BITS)];
                memcpy(text + n, b, strlen(b));
                n += strlen(b);
            }
            same_pieces(hand, pcre, w, text, n);
        }
        split_work_release(&w[0]);
        split_work_release(&w[1]);
        splitter_free(hand);
        splitter_free(pcre);
    }
}

/* Each character alone, in a word, after a space and after a digit. */
static void test_lexers_every_char(void **state)
{
    (void)state;
    const int32_t step = getenv("DOKJA_LONG") ? 1 : 7;
    for (size_t k = 0; k < sizeof known / sizeof known[0]; k++) {
        struct splitter *hand = make(known[k], false), *pcre = make(known[k], true);
        struct split_work w[2] = {0};
        for (int32_t cp = 1; cp < 0x110000; cp += cp < 0x3000 ? 1 : step) {
            if (cp >= 0xD800 && cp < 0xE000)
                continue;
            unsigned char c[4], text[64];
            size_t len = (size_t)uc_put(c, cp), n = 0;
            static const char *const around[] = {"", "a", " ", "나", "1 ", "!", "\n"};
            for (size_t j = 0; j < sizeof around / sizeof around[0]; j++) {
                memcpy(text + n, around[j], strlen(around[j]));
                n += strlen(around[j]);
                memcpy(text + n, c, len);
                n += len;
            }
            same_pieces(hand, pcre, w, (char *)text, n);
        }
        split_work_release(&w[0]);
        split_work_release(&w[1]);
        splitter_free(hand);
        splitter_free(pcre);
    }
}

static void check_pieces(const char *pattern, enum split_behavior b, bool invert, const char *text, const char *want)
{
    struct err e = {0};
    struct splitter *s;
    struct split_work w = {0};
    char got[400] = "";
    ok(splitter_new(&s, &e));
    ok(splitter_add_regex(s, pattern, b, invert, &e));
    ok(splitter_run(s, &w, text, strlen(text), &e));
    for (size_t i = 0; i < w.n; i++)
        snprintf(got + strlen(got), sizeof got - strlen(got), "%.*s|", (int)w.piece[i].n, w.base + w.piece[i].at);
    assert_string_equal(got, want);
    split_work_release(&w);
    splitter_free(s);
}

static void test_our_pattern(void **state)
{
    (void)state;
    static const char *const row[][2] = {
        {"안녕하세요, 세계!", "안녕하세요|,| 세계|!|"},
        {"API를 쓰는 Python은", "API|를| 쓰는| Python|은|"},
        {"2026년 11월 1234567원", "202|6|년| |11|월| |123|456|7|원|"},
        {"don't I'LL ‘they’ve’ 'tis 'dog", "don|'t| I|'LL| ‘|they|’ve|’| '|tis| '|dog|"},
        {"x = (y+1);\n\n    z", "x| =| (|y|+|1|);\n\n|   | z|"},
        {"大韓民國은 ㅋㅋㅋ ㅠㅠ", "大韓民國|은| ㅋㅋㅋ| ㅠㅠ|"},
        {"끝.\n\n다음", "끝|.\n\n|다음|"},
        {"a \n b\t c", "a| \n| b|\t| c|"},
        {"❤️👨‍👩‍👧 좋아", "❤️👨‍👩‍👧| 좋아|"},
    };
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++)
        check_pieces(lexer_pattern_dokja, SPLIT_ISOLATED, false, row[i][0], row[i][1]);
}

/* As Hugging Face documents them for "the-final--countdown" and the pattern "-". */
static void test_behaviors(void **state)
{
    (void)state;
    static const char text[] = "the-final--countdown";
    check_pieces("-", SPLIT_REMOVED, false, text, "the|final|countdown|");
    check_pieces("-", SPLIT_ISOLATED, false, text, "the|-|final|-|-|countdown|");
    check_pieces("-", SPLIT_MERGED_PREVIOUS, false, text, "the-|final-|-|countdown|");
    check_pieces("-", SPLIT_MERGED_NEXT, false, text, "the|-final|-|-countdown|");
    check_pieces("-", SPLIT_CONTIGUOUS, false, text, "the|-|final|--|countdown|");
    check_pieces("[a-z]+", SPLIT_REMOVED, true, text, "the|final|countdown|");
    check_pieces("(?=f)", SPLIT_ISOLATED, false, text, "the-|final--countdown|");
    check_pieces("x*", SPLIT_ISOLATED, false, "axb가", "a|x|b|가|");
}

static void test_dialect(void **state)
{
    (void)state;
    struct err e = {0};
    static const char *const row[][3] = {
        /* pattern, text, pieces */
        {"\\h+", "xAF09g", "x|AF09|g|"},
        {"a{1,2}+", "aaaaab", "aaaaa|b|"},
        {"a{,2}b", "aaab", "a|aab|"},
        {"^b", "a\nb", "a\n|b|"},
        {"\\v",
         "a\x0b"
         "b\nc",
         "a|\x0b|b\nc|"},
        {"\\s",
         "a\xe1\xa0\x8e"
         "b",
         "a\xe1\xa0\x8e"
         "b|"}, /* U+180E is no space any more */
        {"\\d+", "1२x", "1२|x|"},
        {"[[a-c]x]+", "yabxz", "y|abx|z|"},
        {"\\u0061+", "baac", "b|aa|c|"},
        {"\\bfoo\\b", "a foo.food", "a |foo|.food|"},
        {"{", "a{b", "a|{|b|"},
        {"(?m:.)", "\n", "\n|"},
    };
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++)
        check_pieces(row[i][0], SPLIT_ISOLATED, false, row[i][1], row[i][2]);
    static const char *const no[][2] = {
        {"[a&&b]", "intersection"}, {"[a[^b]]", "complement"}, {"[[:alpha:]]", "POSIX"}, {"\\p{Klingon}", "property"},
        {"(?s:.)", "group"},        {"(?<n>a)", "group"},      {"\\X", "escape"},        {"\\xe9", "raw byte"},
        {"a{2}?", "{n}?"},          {"a**", "repetition"},     {"*a", "nothing"},        {"(a", "unmatched"},
        {"a)", "unmatched"},        {"[a", "without its end"}, {"a\\", "backslash"},     {"\\pL", "name"},
        {"\\u12", "code point"},    {"(?(1)a|b)", "group"},    {"[\\W]", "escape"}};
    for (size_t i = 0; i < sizeof no / sizeof no[0]; i++) {
        struct buf b = {0};
        refused(dialect_to_pcre2(&b, no[i][0], &e), ERR_FORMAT, no[i][1]);
        buf_release(&b);
    }
    struct splitter *s;
    ok(splitter_new(&s, &e));
    refused(splitter_add_regex(s, "\\p{L}[z-a]", SPLIT_ISOLATED, false, &e), ERR_FORMAT, "[z-a]");
    splitter_free(s);
}

/* A megabyte that one alternative takes whole, under a pattern without a hand-written cutter. */
static void test_deep_match(void **state)
{
    (void)state;
    struct err e = {0};
    struct splitter *s = make("(?:(?!b)[\\p{L}\\p{M}])+|\\s+", false);
    struct split_work w = {0};
    size_t n = 1 << 20;
    char *p = malloc(n);
    assert_non_null(p);
    memset(p, 'a', n);
    p[n - 1] = 'b';
    ok(splitter_run(s, &w, p, n, &e));
    assert_int_equal(w.n, 2);
    free(p);
    split_work_release(&w);
    splitter_free(s);
}

static void test_utf8(void **state)
{
    (void)state;
    for (int32_t cp = 0; cp < 0x110000; cp++) {
        unsigned char c[4];
        int32_t back;
        bool maybe = false;
        int n = uc_put(c, cp);
        bool surrogate = cp >= 0xD800 && cp < 0xE000;
        assert_int_equal(uc_valid(c, (size_t)n, &maybe), surrogate ? 0 : n);
        if (surrogate)
            continue;
        assert_int_equal(uc_next(&back, c), n);
        assert_int_equal(back, cp);
        assert_int_equal(uc_last(c, c + n), n);
        for (int k = 1; k < n; k++)
            assert_int_equal(uc_valid(c, (size_t)k, &maybe), 0);
    }
    static const char *const bad[] = {"\x80",         "\xc0\x80",         "\xc1\xbf",         "\xe0\x80\x80",
                                      "\xed\xa0\x80", "\xf0\x80\x80\x80", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80",
                                      "\xff"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        bool maybe = false;
        assert_int_equal(uc_valid((const unsigned char *)bad[i], strlen(bad[i]), &maybe), 0);
        assert_int_equal(uc_invalid((const unsigned char *)bad[i], strlen(bad[i])), strlen(bad[i]));
    }
}

static void test_text_or_not(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t n;
        const char *why;
    } t[] = {{"", 0, NULL},
             {NULL, 0, NULL},
             {"가나 abc\n", 11, NULL},
             {"abc\xb0\xa1", 5, "x.txt: byte 3 is not UTF-8 text"}, /* CP949 */
             {"가\xeb\x82", 5, "x.txt: byte 3 is not UTF-8 text"},   /* a character cut short */
             {"\xff\xfe" "a\0", 4, "x.txt: byte 0 is not UTF-8 text"}, /* UTF-16 */
             {"a\0b\0", 4, "x.txt: byte 1 is NUL"},
             {"a\0\xff", 3, "x.txt: byte 1 is NUL"}};
    for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
        struct err e = {0};
        int rc = uc_check("x.txt", t[i].text, t[i].n, &e);
        assert_int_equal(rc, t[i].why ? ERR_FORMAT : 0);
        if (t[i].why && !strstr(e.msg, t[i].why))
            fail_msg("\"%s\", expected \"%s\"", e.msg, t[i].why);
    }
}

/* utf8proc knows Unicode 15.0; ours stops at 9.0 in normal forms.  The two agree on characters both know. */
static void test_nfc(void **state)
{
    (void)state;
    struct err e = {0};
    struct rng r;
    rng_init(&r, 4, RNG_TEST, 2);
    struct buf out = {0};
    int different = 0;
    for (int k = 0; k < 200000; k++) {
        unsigned char in[200];
        size_t n = 0;
        bool known_to_both = true;
        for (uint32_t j = 1 + rng_below(&r, 8); j > 0; j--) {
            static const int32_t from[] = {0x41,   0xC0,   0x300,  0x300,   0x900,   0x1100,  0x1161, 0x11A8, 0xAC00,
                                           0x1E00, 0x3040, 0xF900, 0x2F800, 0x1D150, 0x11080, 0xB00,  0xF40};
            static const int32_t span[] = {60,  400, 112, 112, 1200, 20,  22,  28, 11172,
                                           512, 96,  512, 540, 100,  400, 900, 150};
            uint32_t i = rng_below(&r, 17);
            int32_t cp = from[i] + (int32_t)rng_below(&r, (uint32_t)span[i]);
            n += (size_t)uc_put(in + n, cp);
            /* Marks of Unicode 10 to 15 in these ranges. */
            known_to_both = known_to_both && cp != 0x9FE && cp != 0xC3C && cp != 0xD3B && cp != 0xD3C &&
                            cp != 0xEBA && cp != 0xECE && !(cp >= 0x11100 && cp < 0x11210);
        }
        in[n] = 0;
        buf_clear(&out);
        ok(uc_nfc(&out, in, n, &e));
        bool maybe = false;
        assert_int_equal(uc_valid(in, n, &maybe), n);
        if (!maybe) { /* the quick check may not miss a change */
            assert_int_equal(out.len, n);
            assert_memory_equal(out.p, in, n);
        }
        uint8_t *want = utf8proc_NFC(in);
        if (known_to_both && strcmp((char *)want, out.p) != 0 && different++ < 5)
            print_error("normal form differs from utf8proc's: %s\n", in);
        free(want);
        struct buf twice = {0};
        ok(uc_nfc(&twice, (unsigned char *)out.p, out.len, &e));
        assert_string_equal(twice.p, out.p);
        buf_release(&twice);
    }
    assert_int_equal(different, 0);
    buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_lexers),      cmocka_unit_test(test_lexers_every_char),
                                       cmocka_unit_test(test_our_pattern), cmocka_unit_test(test_behaviors),
                                       cmocka_unit_test(test_dialect),     cmocka_unit_test(test_deep_match),
                                       cmocka_unit_test(test_utf8),
                                       cmocka_unit_test(test_text_or_not),        cmocka_unit_test(test_nfc)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
