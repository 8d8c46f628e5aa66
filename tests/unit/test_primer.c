/* The primer: its words, its text, its questions, its writer. */
#include "harness.h"

#include <utf8proc.h>

#include "base/digest.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "data/primer_int.h"

static void text_is_utf8_nfc_and_half_korean(void **state)
{
    struct err e = {0};
    struct buf d = {0};
    size_t all = 0, hangul = 0;

    (void)state;
    for (uint64_t i = 0; i < 4000; i++) {
        ok(primer_document(&d, 11, i, &e));
        utf8proc_uint8_t *n = utf8proc_NFC((const utf8proc_uint8_t *)d.p);
        assert_non_null(n);
        assert_string_equal((char *)n, d.p);
        free(n);
        assert_true(d.len > 150 && d.len < 4096);
        assert_null(memchr(d.p, 0, d.len));
        assert_null(strchr(d.p, '{'));
        assert_null(strstr(d.p, "  "));
        assert_null(strstr(d.p, "\n\n\n"));
        assert_null(strstr(d.p, " \n"));
        all += d.len;
        for (size_t k = 0; k + 2 < d.len; k++) {
            const unsigned char *u = (const unsigned char *)d.p + k;
            int cp = (u[0] & 15) << 12 | (u[1] & 63) << 6 | (u[2] & 63);
            if (u[0] >= 0xe3 && u[0] <= 0xed && ((cp >= 0xac00 && cp <= 0xd7a3) || (cp >= 0x3131 && cp <= 0x318e)))
                hangul += 3;
        }
    }
    assert_true(hangul * 2 > all);
    buf_release(&d);
}

static void documents_depend_on_seed_and_index_alone(void **state)
{
    struct err e = {0};
    struct buf a = {0}, b = {0};
    int same = 0;

    (void)state;
    for (uint64_t i = 0; i < 200; i++) {
        ok(primer_document(&a, 3, i, &e));
        ok(primer_document(&b, 4, i, &e));
        same += a.len == b.len && !memcmp(a.p, b.p, a.len);
        ok(primer_document(&b, 3, i + (1ull << 32), &e));
        same += a.len == b.len && !memcmp(a.p, b.p, a.len);
        ok(primer_document(&b, 3, i, &e));
        assert_int_equal(a.len, b.len);
        assert_memory_equal(a.p, b.p, a.len);
    }
    assert_true(same <= 1);
    buf_release(&a);
    buf_release(&b);
}

static void questions_are_sound(void **state)
{
    struct err e = {0};
    struct primer_item it = {0}, again = {0};

    (void)state;
    assert_true(primer_skills() >= 12 && primer_skills() <= PRIMER_MAX_SKILLS);
    for (int s = 0; s < primer_skills(); s++) {
        int distinct = 0;
        char last[256] = "";
        for (uint64_t i = 0; i < 200; i++) {
            ok(primer_question(&it, s, i & 1, 9, i, &e));
            ok(primer_question(&again, s, i & 1, 9, i, &e));
            assert_string_equal(it.prompt.p, again.prompt.p);
            assert_string_equal(it.answer.p, again.answer.p);
            assert_int_equal(it.skill, s);
            assert_true(it.chance > 0 && it.chance <= 0.5);
            assert_true(it.prompt.p[it.prompt.len - 1] == ':' && it.answer.len > 0 && !strchr(it.answer.p, '\n'));
            assert_null(strchr(it.prompt.p, '{'));
            distinct += strcmp(last, it.answer.p) != 0;
            snprintf(last, sizeof last, "%s", it.answer.p);
            char reply[512];
            int n = snprintf(reply, sizeof reply, " %s \n문제: 다음", it.answer.p);
            assert_true(primer_check(&it, reply, (size_t)n));
            n = snprintf(reply, sizeof reply, " %s다\n", it.answer.p);
            assert_false(primer_check(&it, reply, (size_t)n));
            assert_false(primer_check(&it, "", 0));
            assert_false(primer_check(&it, it.answer.p, it.answer.len - 1));
        }
        assert_true(distinct > 60);
    }
    primer_item_release(&it);
    primer_item_release(&again);
}

/* Known answers, worked out by hand. */
static void words_for_numbers(void **state)
{
    static const struct {
        int n;
        const char *sino, *native, *english;
    } known[] = {{347, "삼백사십칠", NULL, "three hundred forty-seven"}, {110, "백십", NULL, "one hundred ten"},
        {101, "백일", NULL, "one hundred one"}, {905, "구백오", NULL, "nine hundred five"}, {213, "이백십삼", NULL,
            "two hundred thirteen"},
        {20, "이십", "스무", "twenty"}, {21, "이십일", "스물한", "twenty-one"}, {4, "사", "네", "four"}, {12, "십이", "열두", "twelve"},
        {99, "구십구", "아흔아홉", "ninety-nine"}, {700, "칠백", NULL, "seven hundred"}};
    char t[64];

    (void)state;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        ko_sino(t, known[i].n);
        assert_string_equal(t, known[i].sino);
        en_number(t, known[i].n);
        assert_string_equal(t, known[i].english);
        if (known[i].native) {
            ko_native(t, known[i].n);
            assert_string_equal(t, known[i].native);
        }
    }
    ko_sino(t, 1999);
    assert_string_equal(t, "천구백구십구");
}

static void particles_follow_final_consonants(void **state)
{
    static const struct {
        const char *word, *want;
    } known[] = {{"책", "책을 책이 책은 책과 책으로"}, {"물", "물을 물이 물은 물과 물로"}, {"나무", "나무를 나무가 나무는 나무와 나무로"},
        {"3", "3을 3이 3은 3과 3으로"}, {"7", "7을 7이 7은 7과 7로"}, {"5", "5를 5가 5는 5와 5로"}, {"10", "10을 10이 10은 10과 10으로"},
        {"6", "6을 6이 6은 6과 6으로"}, {"‘길’", "‘길’을 ‘길’이 ‘길’은 ‘길’과 ‘길’로"}};

    (void)state;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        struct buf b = {0};
        struct pr_out o = {&b, NULL, 0};
        struct slots sl = {.s = {known[i].word}};
        pr_pattern(&o, "{0}{0:을} {0}{0:이} {0}{0:은} {0}{0:과} {0}{0:로}", &sl);
        assert_int_equal(o.rc, 0);
        assert_string_equal(b.p, known[i].want);
        buf_release(&b);
    }
}

static void writer_is_exact_and_atomic(void **state)
{
    struct err e = {0};
    char dir[256], path[300];
    struct buf b = {0}, d = {0};
    uint64_t total = 0, index = 0;

    (void)state;
    snprintf(dir, sizeof dir, "%s", test_dir());
    snprintf(path, sizeof path, "%s/p.jsonl", dir);
    ok(primer_write(path, 300000, 5, &e));
    struct digest one;
    ok(sha256_file(&one, path, &e));
    ok(file_read(&b, path, 1 << 20, &e));
    for (char *line = b.p, *next; line < b.p + b.len; line = next + 1) {
        json_t *v = NULL;
        const char *t;
        next = strchr(line, '\n');
        assert_non_null(next);
        assert_true(total < 300000);
        ok(json_parse(&v, line, (size_t)(next - line), path, &e));
        ok(json_get_str(&t, v, "text", false, NULL, path, &e));
        ok(primer_document(&d, 5, index++, &e));
        assert_string_equal(t, d.p);
        total += d.len;
        json_decref(v);
    }
    assert_true(total >= 300000);
    ok(primer_write(path, 300000, 5, &e));
    struct digest two;
    ok(sha256_file(&two, path, &e));
    assert_memory_equal(&one, &two, sizeof one);
    for (int n = 1; n <= 3; n++) {                            /* a full disk leaves the old file */
        file_fail_at(n);
        assert_true(primer_write(path, 3000000, 6, &e) < 0);
        file_fail_at(0);
        ok(sha256_file(&two, path, &e));
        assert_memory_equal(&one, &two, sizeof one);
    }
    refused(primer_write("/nonexistent-folder/p.jsonl", 1000, 1, &e), ERR_IO, "nonexistent-folder");
    buf_release(&b);
    buf_release(&d);
    test_dir_remove(dir);
}

static void memory_shortage_is_an_error(void **state)
{
    struct err e = {0};
    struct buf d = {0};
    struct primer_item it = {0};

    (void)state;
    mem_fail_at(1);
    assert_int_equal(primer_document(&d, 1, 1, &e), ERR_NOMEM);
    mem_fail_at(2);
    assert_int_equal(primer_question(&it, 0, true, 1, 1, &e), ERR_NOMEM);
    mem_fail_at(0);
    buf_release(&d);
    primer_item_release(&it);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_for_numbers),
        cmocka_unit_test(particles_follow_final_consonants),
        cmocka_unit_test(documents_depend_on_seed_and_index_alone),
        cmocka_unit_test(text_is_utf8_nfc_and_half_korean),
        cmocka_unit_test(questions_are_sound),
        cmocka_unit_test(writer_is_exact_and_atomic),
        cmocka_unit_test(memory_shortage_is_an_error),
    };
    return cmocka_run_group_tests_name("primer", tests, NULL, NULL);
}
