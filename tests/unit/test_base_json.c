#include "harness.h"

#include <math.h>

#include "base/file.h"
#include "base/json.h"

static json_t *parse(const char *text)
{
    struct err e = {0};
    json_t *v;
    ok(json_parse(&v, text, strlen(text), "here", &e));
    return v;
}

static void printed_as(const char *text, int indent, const char *want)
{
    struct err e = {0};
    struct buf b = {0};
    json_t *v = parse(text);
    ok(json_print(&b, v, indent, &e));
    assert_string_equal(b.p, want);
    json_decref(v);
    buf_release(&b);
}

static void prints_in_order_and_short(void **state)
{
    (void)state;
    printed_as("{\"z\":1,\"a\":[],\"m\":{},\"b\":[1,-2]}", 0, "{\"z\":1,\"a\":[],\"m\":{},\"b\":[1,-2]}");
    printed_as("[0.1,1e-6,1.0,1e300,-0.0,3.141592653589793,1e22,5e-324]", 0,
               "[0.1,1e-06,1.0,1e+300,-0.0,3.141592653589793,1e+22,5e-324]");
    printed_as("{\"a\":[true,false,null],\"b\":{\"c\":\"\\u0001\\n\\\"\\\\한\"}}", 2,
               "{\n  \"a\": [\n    true,\n    false,\n    null\n  ],\n  \"b\": {\n    \"c\": "
               "\"\\u0001\\n\\\"\\\\한\"\n  }\n}");
}

static void reals_read_back_to_the_same_bits(void **state)
{
    (void)state;
    struct err e = {0};
    uint64_t x = 88172645463325252u;
    for (int i = 0; i < 20000; i++) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        double d, back;
        memcpy(&d, &x, 8);
        if (!isfinite(d)) continue;
        struct buf b = {0};
        json_t *v = json_pack("[f]", d), *again;
        ok(json_print(&b, v, 0, &e));
        ok(json_parse(&again, b.p, b.len, "x", &e));
        assert_true(json_is_real(json_array_get(again, 0)));
        back = json_real_value(json_array_get(again, 0));
        assert_memory_equal(&d, &back, 8);
        json_decref(v);
        json_decref(again);
        buf_release(&b);
    }
}

static void refuses_what_is_not_json(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "{", "{\"a\":1,\"a\":2}", "{\"a\":1}x", "[1,]", "{\"a\\u0000\":1}",
                                      "[\"\xFF\"]", "[\"\\ud800\"]", "[NaN]", "[1e999]", "[99999999999999999999]",
                                      "{'a':1}", "\"text\"", "nul"};
    struct err e = {0};
    json_t *v;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        refused(json_parse(&v, bad[i], strlen(bad[i]), "here", &e), ERR_FORMAT, "here: not valid JSON, line 1");
    char deep[10001];
    memset(deep, '[', 10000);
    deep[10000] = 0;
    refused(json_parse(&v, deep, 10000, "here", &e), ERR_FORMAT, "depth");
}

static void fields_name_where_and_key(void **state)
{
    (void)state;
    struct err e = {0};
    json_t *o = parse("{\"n\":7,\"big\":1e6,\"half\":0.5,\"s\":\"x\",\"t\":true,\"nul\":null}");
    int64_t i;
    double r;
    bool b;
    const char *s;
    ok(json_get_int(&i, o, "n", 0, 10, false, 0, "cfg", &e));
    assert_int_equal(i, 7);
    ok(json_get_int(&i, o, "big", 0, 10000000, false, 0, "cfg", &e));
    assert_int_equal(i, 1000000);
    ok(json_get_int(&i, o, "absent", 0, 10, true, 5, "cfg", &e));
    assert_int_equal(i, 5);
    ok(json_get_int(&i, o, "nul", 0, 10, true, 6, "cfg", &e));
    assert_int_equal(i, 6);
    refused(json_get_int(&i, o, "n", 8, 10, false, 0, "cfg", &e), ERR_VALUE, "cfg: \"n\" is 7, expected 8 to 10");
    refused(json_get_int(&i, o, "half", 0, 10, false, 0, "cfg", &e), ERR_FORMAT, "a real number");
    refused(json_get_int(&i, o, "s", 0, 10, true, 0, "cfg", &e), ERR_FORMAT, "cfg: \"s\" is a string");
    refused(json_get_int(&i, o, "absent", 0, 10, false, 0, "cfg", &e), ERR_FORMAT, "\"absent\" is missing");
    refused(json_get_int(&i, o, "nul", 0, 10, false, 0, "cfg", &e), ERR_FORMAT, "null");
    ok(json_get_real(&r, o, "n", 0, 10, false, 0, "cfg", &e));
    assert_true(r == 7);
    refused(json_get_real(&r, o, "half", 1, 2, false, 0, "cfg", &e), ERR_VALUE, "0.5, expected 1 to 2");
    refused(json_get_real(&r, o, "t", 1, 2, false, 0, "cfg", &e), ERR_FORMAT, "a boolean");
    ok(json_get_bool(&b, o, "t", false, false, "cfg", &e));
    assert_true(b);
    refused(json_get_bool(&b, o, "n", false, false, "cfg", &e), ERR_FORMAT, "true or false");
    ok(json_get_str(&s, o, "s", false, NULL, "cfg", &e));
    assert_string_equal(s, "x");
    refused(json_get_str(&s, o, "n", false, NULL, "cfg", &e), ERR_FORMAT, "an integer, expected a string");
    json_decref(o);
}

static void quotes_bad_bytes(void **state)
{
    (void)state;
    struct err e = {0};
    struct buf b = {0};
    ok(json_quote(&b, "a\xE2\x82" "b\xFF\0c", 7, &e));
    assert_string_equal(b.p, "\"a\xEF\xBF\xBD" "b\xEF\xBF\xBD\\u0000c\"");
    buf_release(&b);
}

/* Every character of one byte, and one of three, at every place of what is scanned at once. */
static void quotes_what_is_valid(void **state)
{
    (void)state;
    struct err e = {0};
    for (unsigned c = 0; c <= 0x80; c++)
        for (size_t at = 0; at < 34; at++) {
            struct buf valid = {0}, checked = {0};
            char text[40];
            memset(text, 'x', sizeof text);
            if (c == 0x80) memcpy(text + at, "\xEA\xB0\x80", 3);
            else text[at] = (char)c;
            ok(json_quote(&checked, text, sizeof text, &e));
            ok(json_quote_valid(&valid, text, sizeof text, &e));
            assert_string_equal(valid.p, checked.p);
            json_t *v = json_loadb(valid.p, valid.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
            assert_non_null(v);
            assert_int_equal(json_string_length(v), sizeof text);
            assert_memory_equal(json_string_value(v), text, sizeof text);
            json_decref(v);
            buf_release(&valid), buf_release(&checked);
        }
}

static void file_round_trip(void **state)
{
    (void)state;
    struct err e = {0};
    char path[300];
    const char *dir = test_dir();
    snprintf(path, sizeof path, "%s/a.json", dir);
    json_t *v = parse("{\"b\":1,\"a\":[0.25]}"), *back;
    ok(json_write(path, v, &e));
    ok(json_read(&back, path, 1000, &e));
    assert_true(json_equal(v, back));
    json_decref(back);
    refused(json_read(&back, path, 10, &e), ERR_LIMIT, "a.json");
    assert_null(back);
    json_decref(v);
    test_dir_remove(dir);
}

/* One look at the end is enough: what is missing anywhere leaves nothing. */
static void builds_all_or_nothing(void **state)
{
    (void)state;
    json_t *list = json_and(json_and(json_array(), json_integer(1)), json_string("x"));
    json_t *v = json_with(json_with(json_object(), "list", list), "n", json_null()), *want =
        parse("{\"list\":[1,\"x\"],\"n\":null}");
    assert_true(json_equal(v, want));
    json_decref(want);
    v = json_with(v, "odd", json_string("\xff"));   /* not UTF-8 */
    assert_null(v);
    assert_null(json_with(v, "next", json_integer(2)));
    assert_null(json_and(json_array(), NULL));
    assert_null(json_and(NULL, json_integer(3)));
}

static void a_string_alone(void **state)
{
    (void)state;
    struct err e = {0};
    json_t *v;
    const char *text = "\"a\\u0000\\ud83d\\ude00\"";
    ok(json_parse_string(&v, text, strlen(text), "line 3", &e));
    assert_int_equal(json_string_length(v), 6);
    assert_memory_equal(json_string_value(v), "a\0\xF0\x9F\x98\x80", 6);
    json_decref(v);
    refused(json_parse_string(&v, "[\"a\"]", 5, "line 3", &e), ERR_FORMAT, "line 3: is not a JSON string");
    assert_null(v);
    refused(json_parse_string(&v, "\"a", 2, "line 3", &e), ERR_FORMAT, "line 3: not valid JSON");
    assert_null(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prints_in_order_and_short), cmocka_unit_test(reals_read_back_to_the_same_bits),
        cmocka_unit_test(refuses_what_is_not_json),  cmocka_unit_test(fields_name_where_and_key),
        cmocka_unit_test(quotes_bad_bytes),          cmocka_unit_test(quotes_what_is_valid),
        cmocka_unit_test(file_round_trip),           cmocka_unit_test(builds_all_or_nothing),
        cmocka_unit_test(a_string_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
