#include "harness.h"

#include <math.h>

#include "base/mem.h"
#include "ui/chart.h"
#include "ui/phrase.h"

static void steps_are_round_enough_and_few(void **state)
{
    (void)state;
    static const struct {
        double max;
        int most;
        double want;
    } known[] = {{1, 1, 1}, {10, 5, 2}, {571, 5, 200}, {500, 5, 100}, {501, 5, 200}, {0.07, 5, 0.02},
                 {9, 4, 5}, {1e9, 10, 1e8}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        double got = chart_step(known[i].max, known[i].most);
        if (!(fabs(got / known[i].want - 1) <= 1e-9))
            fail_msg("step for %g in %d is %g, expected %g", known[i].max, known[i].most, got, known[i].want);
    }
    for (int most = 1; most <= 12; most++)
        for (double max = 1.3e-7; max < 1e12; max *= 1.37) {
            double step = chart_step(max, most), ten = pow(10, floor(log10(step * 1.000001))), part = step / ten;
            assert_true(step * most >= max * (1 - 1e-12));
            assert_true(step * most < max * 10); /* the axis is used */
            if (!(fabs(part - 1) <= 1e-6 || fabs(part - 2) <= 1e-6 || fabs(part - 5) <= 1e-6))
                fail_msg("step %g for %g is not 1, 2 or 5 times a power of ten", step, max);
        }
}

static const struct chart_bar bars[] = {
    {.label = {"one <&\"'>", "하나"}, .figure = "200", .value = 200, .lo = 100, .hi = 300, .limit = 400, .ours = true},
    {.label = {"two", "two"}, .figure = "50", .value = 50, .lo = 50, .hi = 50},
};
static const struct chart chart = {"x1", {"a < b", "a < b"}, "one: 200; two: 50", {"tokens/s", "토큰/s"}, bars, 2};

static int count(const char *s, const char *part)
{
    int n = 0;
    for (; (s = strstr(s, part)); s++)
        n++;
    return n;
}

static void bars_are_as_long_as_their_values(void **state)
{
    (void)state;
    struct html h = {0};
    double first, second, limit;
    chart_bars(&h, &chart);
    assert_int_equal(h.rc, 0);
    const char *p = strstr(h.b.p, "<rect"), *q = strstr(p + 1, "<rect"), *l = strstr(h.b.p, "class=\"limit\"");
    assert_int_equal(sscanf(strstr(p, "width=\""), "width=\"%lf\"", &first), 1);
    assert_int_equal(sscanf(strstr(q, "width=\""), "width=\"%lf\"", &second), 1);
    assert_int_equal(sscanf(strstr(l, "x1=\""), "x1=\"%lf\"", &limit), 1);
    assert_true(fabs(first - 4 * second) < 0.5);
    assert_true(fabs(limit - 2 * first) < 0.5);
    assert_int_equal(count(h.b.p, "class=\"whisker\""), 1); /* none where the runs agree */
    assert_int_equal(count(h.b.p, "class=\"limit\""), 1);
    html_release(&h);
}

static void texts_are_escaped(void **state)
{
    (void)state;
    struct html h = {0};
    chart_bars(&h, &chart);
    assert_non_null(strstr(h.b.p, "one &lt;&amp;&quot;&#39;&gt;"));
    assert_non_null(strstr(h.b.p, "a &lt; b</title>"));
    html_release(&h);
    html_in(&h, "p class=\"soft\"", "a\001\x7f\xed\x95\x9c");
    assert_string_equal(h.b.p, "<p class=\"soft\">a\xef\xbf\xbd\xef\xbf\xbd\xed\x95\x9c</p>");
    html_release(&h);
    html_two(&h, "b", (struct two){"x", "y&"});
    assert_string_equal(h.b.p, "<b lang=\"en\">x</b><b lang=\"ko\">y&amp;</b>");
    html_release(&h);
    html_two(&h, "b", (struct two){"x&", "x&"});
    assert_string_equal(h.b.p, "<b>x&amp;</b>");
    html_release(&h);
}

static void a_chart_has_one_label_a_language(void **state)
{
    (void)state;
    struct html h = {0};
    chart_bars(&h, &chart);
    assert_int_equal(h.rc, 0);
    assert_int_equal(count(h.b.p, " lang=\"en\">"), 2); /* a label and the unit */
    assert_int_equal(count(h.b.p, " lang=\"ko\">"), 2);
    assert_non_null(strstr(h.b.p, " lang=\"ko\">하나</text>"));
    assert_non_null(strstr(h.b.p, " lang=\"ko\">토큰/s</text>"));
    assert_non_null(strstr(h.b.p, ">a &lt; b</title>"));
    html_release(&h);
    static const double x[2] = {1, 2};
    chart_line(&h, &(struct chart_curve){"x4", {"t", "제목"}, {"d", "설명"}, {"tokens", "토큰"}, {"loss", "손실"}, x,
                                         x, 2});
    assert_int_equal(h.rc, 0);
    assert_non_null(strstr(h.b.p, " lang=\"ko\">토큰</text>"));
    assert_non_null(strstr(h.b.p, " lang=\"en\">loss</text>"));
    assert_non_null(strstr(h.b.p, ">t · 제목</title>"));
    assert_non_null(strstr(h.b.p, ">d · 설명</desc>"));
    html_release(&h);
}

/* Losses whose largest lies little above, little below and on a round number. */
static void grid_lines_lie_within_the_drawing(void **state)
{
    (void)state;
    static const double x[2] = {1, 2};
    for (double top = 1.02; top < 12; top *= 1.013) {
        const double y[2] = {top, 1};
        struct html h = {0};
        int lines = 0;
        chart_line(&h, &(struct chart_curve){"x5", {"t", "t"}, {"d", "d"}, {"x", "x"}, {"y", "y"}, x, y, 2});
        assert_int_equal(h.rc, 0);
        double peak, first = 0;
        assert_int_equal(sscanf(strstr(h.b.p, "class=\"curve\" d=\"M"), "class=\"curve\" d=\"M%*f %lf", &peak), 1);
        for (const char *p = h.b.p; (p = strstr(p, "class=\"grid\"")); p++, lines++) {
            double at;
            assert_int_equal(sscanf(strstr(p, " y1="), " y1=\"%lf\"", &at), 1);
            if (!(at >= peak - 0.06))
                fail_msg("largest %g at %g: a line at %g lies above it", top, peak, at);
            if (lines == 0)
                first = at;
            assert_true(at <= first);
        }
        assert_true(lines >= 2);
        html_release(&h);
    }
}

static void phrases_keep_their_figures(void **state)
{
    (void)state;
    static const struct two table[] = {{"no figure", "수 없음"}, {"* moved * times", "$2배: $1"}, {"seed * of *", "$2 $1"},
                                       {"*, *", "$2;$1"}, {"*x", "[$1]"}, {"bad *", "$2"}};
    static const struct {
        const char *text, *ko;
    } known[] = {{"no figure", "수 없음"}, {"no figure ", NULL}, {"w.1 moved 2.5 times", "2.5배: w.1"},
                 {"w.1 moved 2.5 times as fast", NULL}, {" moved  times", "배: "}, {"seed 7 of a of b", "a of b 7"},
                 {"a, b, c", "b, c;a"}, {"xx", "[x]"}, {"x", "[]"}, {"", NULL}, {"bad 1", NULL},
                 {"moved 1 times", NULL}};
    char ko[32], brief[8];
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        bool found = phrase_ko(ko, sizeof ko, table, sizeof table / sizeof *table, known[i].text);
        if (found != (known[i].ko != NULL) || strcmp(ko, found ? known[i].ko : "") != 0)
            fail_msg("\"%s\" gives \"%s\"", known[i].text, ko);
    }
    assert_false(phrase_ko(brief, sizeof brief, table, 2, "abc moved 1 times")); /* no room for the end */
    assert_string_equal(brief, "");
    assert_true(phrase_ko(brief, sizeof brief, table, 2, "a moved 1 times"));
    assert_string_equal(brief, "1배: a");
}

static void nothing_to_draw_is_drawn(void **state)
{
    (void)state;
    static const struct chart_bar zero = {.label = {"none", "none"}, .figure = "0"};
    const struct chart c = {"x2", {"t", "t"}, "d", {"s", "s"}, &zero, 1};
    struct html h = {0};
    chart_bars(&h, &c);
    assert_int_equal(h.rc, 0);
    assert_null(strstr(h.b.p, "nan"));
    assert_null(strstr(h.b.p, "inf\""));
    html_release(&h);
}

/* Someone else's ledger may hold any losses. */
static void any_curve_is_drawn(void **state)
{
    (void)state;
    static const double x[4] = {0, 1, 2, 3};
    const double y[][4] = {{3, 2, 1.5, 1.4}, {NAN, 2, 1, 1}, {NAN, NAN, NAN, NAN}, {1e17, 1e17 + 16, 1e17, 1e17},
                           {1e300, -1e300, 0, 1}, {INFINITY, 1, -INFINITY, 2}, {0, 0, 0, 0}, {5e-324, 0, 0, 0},
                           {9007199254740993.0, 9007199254740993.0, 9007199254740993.0, 9007199254740993.0}};
    for (size_t i = 0; i < sizeof y / sizeof *y; i++) {
        struct html h = {0};
        chart_line(&h, &(struct chart_curve){"x3", {"t", "t"}, {"d", "d"}, {"tokens", "토큰"}, {"loss", "손실"}, x,
                                             y[i], 4});
        assert_int_equal(h.rc, 0);
        assert_in_range(h.b.len, 100, 8000);
        assert_null(strstr(h.b.p, "nan"));
        assert_null(strstr(h.b.p, "inf"));
        html_release(&h);
    }
}

/* Whichever allocation fails, the page says so at the end. */
static void a_failed_allocation_is_kept(void **state)
{
    (void)state;
    int failed = 0;
    for (int n = 1; n < 200; n++) {
        struct html h = {0};
        mem_fail_at(n);
        html_begin(&h, (struct two){"a", "b"});
        chart_bars(&h, &chart);
        html_end(&h);
        mem_fail_at(0);
        bool whole = h.rc == 0;
        if (whole)
            assert_non_null(strstr(h.b.p, "</html>"));
        else
            assert_int_equal(h.rc, ERR_NOMEM);
        failed += !whole;
        html_release(&h);
        if (whole)
            break;
    }
    assert_true(failed > 1 && failed < 199);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_are_round_enough_and_few), cmocka_unit_test(bars_are_as_long_as_their_values),
        cmocka_unit_test(texts_are_escaped), cmocka_unit_test(nothing_to_draw_is_drawn),
        cmocka_unit_test(any_curve_is_drawn), cmocka_unit_test(a_chart_has_one_label_a_language),
        cmocka_unit_test(phrases_keep_their_figures), cmocka_unit_test(grid_lines_lie_within_the_drawing),
        cmocka_unit_test(a_failed_allocation_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
