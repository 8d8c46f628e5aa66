/* The record scanner against the full parser, and the byte scans under it against plain loops. */
#include "harness.h"

#include "base/codepoint.h"
#include "base/scan.h"
#include "record_check.h"
#include "text/unicode.h"

static uint64_t state = 88172645463325252u;

static uint32_t rnd(uint32_t n)
{
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    return (uint32_t)(state >> 32) % n;
}

static void takes(const char *line)
{
    if (record_check(line, strlen(line)) != RECORD_TAKEN) fail_msg("not taken, or not the same: %s", line);
}

static void leaves(const char *line, size_t n)
{
    if (record_check(line, n) != RECORD_LEFT) fail_msg("not left to the full parser: %.*s", (int)n, line);
}

/* ---- what is ordinary ---- */

static void test_ordinary(void **s)
{
    (void)s;
    takes("{\"text\":\"\"}");
    takes(" \t{ \"id\" : \"a\" , \"text\" : \"b\" } \r\n");
    takes("{\"text\":\"가 \\\" \\\\ \\/ \\b\\f\\n\\r\\t \\u00e9\\uAC00\\uFFFF\\ud83d\\uDE00.\",\"id\":\"x\\ny\"}");
    takes("{\"id\":0,\"text\":\"a\",\"source\":\"b\",\"license\":\"c\",\"lang\":\"d\"}");
    takes("{\"id\":-999999999999999999,\"text\":\"a\"}");
    takes("{\"id\":-0,\"text\":\"a\"}");
    takes("{\"id\":18446744073709551615,\"text\":\"a\",\"n\":[-9223372036854775809,{\"m\":18446744073709551616}]}");
    takes("{\"n\":[9223372036854775807,1000000000000000000],\"text\":\"1234567890123456789\",\"id\":"
          "-12345678901234567890123456789012345678901234567890 }");
    takes("{\"id\":1000000000000000000,\"text\":\"\\\"a\",\"b\":999999999999999999}");
    takes("{\"id\":1.5,\"text\":\"a\",\"lang\":null,\"source\":true,\"license\":[\"x\"]}");
    takes("{\"text\":\"a\",\"meta\":{\"text\":\"b\",\"id\":[1,-2.25,{},[],{\"a\":{\"a\":false}}]},"
          "\"TEXT\":\"c\",\"\":0}");
    takes("{\"a\":[[[[[[[[1]]]]]]]],\"text\":\"a\"}");
    takes("{\"text\":\"\x7f \xc2\x80 \xe0\xa0\x80 \xed\x9f\xbf \xee\x80\x80 \xef\xbf\xbf \xf0\x90\x80\x80 "
          "\xf4\x8f\xbf\xbf\"}");
}

/* ---- what is left to the full parser ---- */

static void test_left(void **s)
{
    (void)s;
    static const char *const line[] = {
        "", " ", "{}", "[]", "\"text\"", "{\"text\":1}", "{\"text\":null}", "{\"text\":[\"a\"]}", "{\"txt\":\"a\"}",
        "{\"text\":\"a\"", "{\"text\":\"a}", "{\"text\":\"a\"}}", "{\"text\":\"a\"} x", "{\"text\":\"a\",}",
        "{,\"text\":\"a\"}", "{\"text\" \"a\"}", "{\"text\":\"a\" \"b\":1}", "{text:\"a\"}", "{'text':'a'}",
        "{\"text\":\"a\",\"text\":\"b\"}", "{\"text\":\"a\",\"m\":{\"k\":1,\"k\":1}}", "{\"te\\u0078t\":\"a\"}",
        "{\"text\":\"a\",\"b\\n\":1}", "{\"text\":\"\\u0000\"}", "{\"text\":\"a\",\"b\":\"\\u0000\"}",
        "{\"text\":\"\\ud800\"}", "{\"text\":\"\\udc00\"}", "{\"text\":\"\\ud800\\u0041\"}",
        "{\"text\":\"\\ud800\\n\"}",
        "{\"text\":\"\\u12\"}", "{\"text\":\"\\u12g4\"}", "{\"text\":\"\\x\"}", "{\"text\":\"\\\"}",
        "{\"text\":\"a\nb\"}",
        "{\"text\":\"a\tb\"}", "{\"text\":\"a\x1f\"}", "{\"text\":\"a\x80\"}", "{\"text\":\"\xc0\x80\"}",
        "{\"text\":\"\xc3\"}", "{\"text\":\"\xed\xa0\x80\"}", "{\"text\":\"\xe0\x80\x80\"}",
        "{\"text\":\"\xf5\x80\x80\x80\"}",
        "{\"text\":\"\xf4\x90\x80\x80\"}", "{\"text\":\"a\",\"\xff\":1}", "{\"text\":\"a\",\"b\":01}",
        "{\"text\":\"a\",\"b\":-}", "{\"text\":\"a\",\"b\":+1}", "{\"text\":\"a\",\"b\":1.}",
        "{\"text\":\"a\",\"b\":.5}",
        "{\"text\":\"a\",\"b\":1e5}", "{\"text\":\"a\",\"b\":1e999}", "{\"text\":\"a\",\"b\":1234567890123456789.5}",
        "{\"text\":\"a\",\"b\":01234567890123456789}", "{\"text\":\"a\",\"b\":1234567890123456789e5}",
        "{\"text\":\"a\",\"b\":--1234567890123456789}", "{\"text\":12345678901234567890}",
        "{\"text\":\"a\",\"b\":tru}", "{\"text\":\"a\",\"b\":truex}", "{\"text\":\"a\",\"b\":True}",
        "{\"text\":\"a\",\"b\":NaN}", "{\"text\":\"a\",\"b\":}", "{\"text\":\"a\",\"b\":[1,]}",
        "{\"text\":\"a\",\"b\":[1}",
        "{\"text\":\"a\",\"b\":[[[[[[[[[1]]]]]]]]]}", "\xef\xbb\xbf{\"text\":\"a\"}"};
    for (size_t i = 0; i < sizeof line / sizeof *line; i++) leaves(line[i], strlen(line[i]));
    leaves("{\"text\":\"a\0b\"}", 14);
    leaves("{\"text\":\"a\"}\0", 13);
    char many[1024] = "{\"text\":\"a\"";
    for (int i = 0; i < 64; i++) sprintf(many + strlen(many), ",\"k%d\":1", i);
    strcat(many, "}");
    leaves(many, strlen(many));
}

/* ---- random lines, whole and with one thing wrong ---- */

static size_t random_string(char *out)
{
    static const char *const part[] = {"a",      "0",  "가",  "힣",   "中",     "é",    " ",        "\\n",
                                       "\\\"",   "·",  "「",  "\\\\", "\\u00ac", "😀",  "\\ud83d\\ude00", "각각각각각각",
                                       "word of ", "\xcc\x81"};
    size_t n = 0, parts = rnd(4) ? rnd(12) : rnd(60);
    out[n++] = '"';
    for (size_t i = 0; i < parts; i++) {
        const char *p = part[rnd(sizeof part / sizeof *part)];
        n += (size_t)sprintf(out + n, "%s", p);
    }
    out[n++] = '"';
    out[n] = 0;
    return n;
}

static size_t random_line(char *out)
{
    static const char *const key[] = {"text", "id", "source", "license", "lang", "meta", "n", "url"};
    static const char *const other[] = {"0", "-12", "3.25", "true", "null", "[]", "{\"a\":[1,\"x\"]}", "1e3", "007",
                                        "{}", "18446744073709551615", "-1000000000000000000", "1234567890123456789.5"};
    enum { OTHERS = sizeof other / sizeof *other };
    uint32_t used = 0, n_keys = 1 + rnd(8);
    size_t n = (size_t)sprintf(out, "{");
    for (uint32_t i = 0; i < n_keys; i++) {
        uint32_t k = i == 0 ? 0 : rnd(8);
        if ((used >> k & 1) && rnd(50)) continue;
        used |= 1u << k;
        n += (size_t)sprintf(out + n, "%s\"%s\":", i ? "," : "", key[k]);
        if (k == 0 || rnd(2)) n += random_string(out + n);
        else n += (size_t)sprintf(out + n, "%s", other[rnd(OTHERS)]);
    }
    return n + (size_t)sprintf(out + n, "}");
}

static void test_random(void **s)
{
    (void)s;
    char line[20000];
    int taken = 0, left = 0;
    for (int i = 0; i < 60000; i++) {
        size_t n = random_line(line);
        if (i % 2) {
            size_t at = rnd((uint32_t)n);
            static const char bytes[] = "\"\\{}[],:01-.eE \x80\xbf\xc2\xe0\xea\xed\xf0\xff\x00\x1f";
            uint32_t how = rnd(3);
            if (how == 0) n = at;
            else if (how == 1) line[at] = bytes[rnd(sizeof bytes)];
            else memmove(line + at, line + at + 1, --n - at);
        }
        enum record_outcome o = record_check(line, n);
        if (o == RECORD_DIFFERS) fail_msg("line %d differs: %.*s", i, (int)n, line);
        *(o == RECORD_TAKEN ? &taken : &left) += 1;
    }
    assert_in_range(taken, 20000, 50000);
    assert_in_range(left, 10000, 40000);
}

/* ---- the scans ---- */

static void test_json_plain(void **s)
{
    (void)s;
    char text[100];
    for (int n = 0; n < 80; n++)
        for (int at = 0; at < 80; at++)
            for (int c = 0; c < 256; c++) {
                memset(text, 'x', sizeof text);
                text[at] = (char)c;
                text[n] = '"';
                bool stops = c < 0x20 || c == '"' || c == '\\';
                size_t want = at < n && stops ? (size_t)at : (size_t)n, got = scan_json_plain(text, (size_t)n);
                if (got != want) fail_msg("byte %d at %d of %d: %zu, expected %zu", c, at, n, got, want);
            }
}

static void test_count_chars(void **s)
{
    (void)s;
    static char text[20000];
    for (size_t i = 0; i < sizeof text; i++) text[i] = (char)rnd(256);
    for (size_t n = 0, more = 1; n < sizeof text; n += more, more += more / 8) {
        size_t want = 0;
        for (size_t i = 0; i < n; i++) want += ((unsigned char)text[i] & 0xC0) != 0x80;
        assert_int_equal(scan_count_chars(text, n), want);
    }
    memset(text, 'a', sizeof text);
    assert_int_equal(scan_count_chars(text, sizeof text), sizeof text);
}

static bool easy(int32_t cp)
{
    return (cp >= 0 && cp < 0x80) || (cp >= 0x2002 && cp < 0x2040) || (cp >= 0x4000 && cp < 0xA000) ||
           (cp >= 0xAC00 && cp < 0xD780);
}

static bool quoted(int32_t cp) { return cp < 0x20 || cp == '"' || cp == '\\'; }

/* Where the run ends, by slower means. */
static size_t easy_end(const unsigned char *p, size_t from, size_t n)
{
    size_t i = from;
    while (n - from >= SCAN_LEAST && i < n) {
        int32_t cp;
        size_t len = codepoint_next(&cp, (const char *)p + i, n - i);
        if (!easy(cp)) break;
        i += len;
    }
    return i;
}

/* The run of a JSON string ends where it must or before an escape, or near the end. */
static void check_json_easy(const unsigned char *p, size_t from, size_t n)
{
    bool said = false, escaped = false;
    size_t end = scan_json_easy(p, from, n, &said), i = from;
    assert_in_range(end, from, n);
    int32_t cp = 0;
    while (i < end) {
        size_t len = codepoint_next(&cp, (const char *)p + i, n - i);
        if (cp == '\\' && i + 1 < end && strchr("\"\\/bfnrt", p[i + 1])) len = 2, cp = 0, escaped = true;
        if (!easy(cp) || (quoted(cp) && cp)) fail_msg("U+%04X at %zu, before %zu of %zu", cp, i, end, n);
        i += len;
    }
    assert_int_equal(i, end);
    assert_int_equal(said, escaped);
    if (n - i <= SCAN_LEAST) return;
    (void)codepoint_next(&cp, (const char *)p + i, n - i);
    if (easy(cp) && !quoted(cp)) fail_msg("from %zu of %zu ends at %zu already", from, n, end);
}

/* In memory of just these bytes, so that a sanitizer sees one read too many. */
static void check_easy(const unsigned char *text, size_t from, size_t n)
{
    unsigned char *p = malloc(n ? n : 1);
    memcpy(p, text, n);
    size_t end = scan_easy_utf8(p, from, n), want = easy_end(p, from, n);
    if (end != want) fail_msg("from %zu of %zu ends at %zu, not %zu", from, n, end, want);
    check_json_easy(p, from, n);
    free(p);
}

static void test_easy_characters(void **s)
{
    (void)s;
    unsigned char text[80];
    int passed = 0;
    for (int32_t cp = 0; cp < 0x30000; cp++) {
        if (cp >= 0xD800 && cp < 0xE000) continue;
        for (int at = 0; at < 36; at += cp % 7 ? 7 : 1) {
            memset(text, 'x', sizeof text);
            uc_put(text + at, cp);
            check_easy(text, 0, sizeof text);
            check_easy(text, at > 3 ? 3 : 0, 48);
        }
        memset(text, 'x', sizeof text);
        uc_put(text + 30, cp);
        assert_true(!easy(cp) || !(uc_flags(uc_table(), cp) & UC_NFC));
        passed += scan_easy_utf8(text, 0, sizeof text) == sizeof text;
    }
    assert_int_equal(passed, 128 + 0x2040 - 0x2002 + 0xA000 - 0x4000 + 0xD780 - 0xAC00);
}

static void test_easy_bytes(void **s)
{
    (void)s;
    static const unsigned char some[] = {'a',  '"',  '\\', '\n', 0x80, 0x81, 0x82, 0x8F, 0x9D, 0x9E, 0xA0, 0xB0, 0xBF,
                                         0xC2, 0xE0, 0xE2, 0xE3, 0xE4, 0xE9, 0xEA, 0xEB, 0xED, 0xEE, 0xF0, 0xFF};
    static const int32_t range[] = {0x20, 0x60, 0x2000, 0x42, 0xAC00, 0x2B80, 0xAC00, 0x2B80}; /* from, how many */
    unsigned char text[64];
    for (int i = 0; i < 300000; i++) {
        for (size_t k = 0; k < sizeof text;) {
            bool whole = rnd(20) && k + 3 <= sizeof text;
            const int32_t *r = range + 2 * rnd(4);
            if (whole) k += (size_t)uc_put(text + k, r[0] + (int32_t)rnd((uint32_t)r[1]));
            else text[k++] = some[rnd(sizeof some)];
            if (!rnd(9) && k + 2 <= sizeof text) text[k++] = '\\', text[k++] = (unsigned char)"\"\\/bfnrtux"[rnd(10)];
        }
        check_easy(text, 0, rnd(65));
        size_t from = 0;
        for (int32_t cp = 0; from < 20 && cp >= 0;) {
            size_t len = codepoint_next(&cp, (const char *)text + from, sizeof text - from);
            if (cp >= 0) from += len;
        }
        check_easy(text, from, sizeof text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_ordinary),        cmocka_unit_test(test_left),
                                       cmocka_unit_test(test_random),          cmocka_unit_test(test_json_plain),
                                       cmocka_unit_test(test_count_chars),     cmocka_unit_test(test_easy_characters),
                                       cmocka_unit_test(test_easy_bytes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
