#include "cli/bench_page.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "cli/bench_words.h"
#include "ui/chart.h"

/* Sections in the order of the page; what begins with none of these names follows under "more". */
static const struct section {
    const char *bench; /* a line's "bench" begins with it */
    struct two title;
} sections[] = {
    {"gemm", {"Matrix product", "행렬곱"}},
    {"train", {"Training", "학습"}},
    {"tokenizer", {"Tokenizer training", "토크나이저 학습"}},
    {"encod", {"Encoding", "토큰화"}},
    {"corpus", {"Corpus", "말뭉치"}},
    {"prefill", {"Inference: reading a prompt", "추론: 프롬프트 읽기"}},
    {"decode", {"Inference: one token after the other", "추론: 한 토큰씩 쓰기"}},
    {"peak", {"What the machine can do", "기계의 한계"}},
    {"", {"More", "그 밖에"}},
};
enum { N_SECTIONS = sizeof sections / sizeof *sections };

static bool same(const char *a, const char *b) { return strcmp(a, b) == 0; }

static bool is_ours(const struct bench_line *l) { return strncmp(l->who, "dokja", 5) == 0; }

/* ---- groups ---- */

static int section_of(const char *bench)
{
    int i = 0; /* ends: every name begins with "" */
    while (strncmp(bench, sections[i].bench, strlen(sections[i].bench)) != 0)
        i++;
    return i;
}

static bool belongs(const struct bench_group *g, const struct bench_line *l)
{
    const struct bench_line *a = g->bar[0];
    return same(a->bench, l->bench) && same(a->what, l->what) && same(a->unit, l->unit) &&
           same(a->machine, l->machine) && a->higher == l->higher;
}

static int add_bar(struct bench_group *g, const struct bench_line *l, struct err *e)
{
    for (int i = 0; i < g->n; i++)
        if (same(g->bar[i]->who, l->who)) { /* measured again */
            g->bar[i] = l;
            return 0;
        }
    if (g->n == CHART_BARS)
        return err_set(e, ERR_LIMIT, "\"%.80s\" was measured for more than %d programs", l->what, CHART_BARS);
    g->bar[g->n++] = l;
    return 0;
}

static bool better(const struct bench_line *a, const struct bench_line *b)
{
    return a->higher ? a->value > b->value : a->value < b->value;
}

static void sort_bars(struct bench_group *g)
{
    for (int i = 1; i < g->n; i++)
        for (int j = i; j > 0 && better(g->bar[j], g->bar[j - 1]); j--) {
            const struct bench_line *t = g->bar[j];
            g->bar[j] = g->bar[j - 1];
            g->bar[j - 1] = t;
        }
}

int bench_groups_new(struct bench_group **out, int *n, const struct bench_lines *l, struct err *e)
{
    struct bench_group *v = mem_new(l->n, sizeof *v);
    int rc = v ? 0 : err_set(e, ERR_NOMEM, "no memory for %zu measurements", l->n);
    *n = 0;
    for (size_t i = 0; i < l->n && rc == 0; i++) {
        int k = 0;
        while (k < *n && !belongs(&v[k], &l->v[i]))
            k++;
        if (k == *n)
            v[(*n)++].section = section_of(l->v[i].bench);
        rc = add_bar(&v[k], &l->v[i], e);
    }
    for (int k = 0; k < *n && rc == 0; k++)
        sort_bars(&v[k]);
    if (rc != 0) {
        mem_free(v);
        v = NULL;
    }
    *out = v;
    return rc;
}

/* ---- figures as text ---- */

struct figure {
    char s[40];
};

static struct figure number(double v)
{
    struct figure f;
    snprintf(f.s, sizeof f.s, "%.*f", v >= 100 ? 0 : v >= 10 ? 1 : v >= 0.1 ? 2 : 4, v);
    return f;
}

static struct figure or_none(double v, int digits, const char *after)
{
    struct figure f = {"–"};
    if (v > 0)
        snprintf(f.s, sizeof f.s, "%.*f%s", digits, v, after);
    return f;
}

static struct figure percent(const struct bench_line *l) { return or_none(100 * l->fraction, 1, " %"); }

static const struct bench_line *best(const struct bench_group *g, bool ours)
{
    for (int i = 0; i < g->n; i++)
        if (is_ours(g->bar[i]) == ours)
            return g->bar[i];
    return NULL;
}

/* How many times better `a` is than `b`; 0 where nothing can be said. */
static double times(const struct bench_line *a, const struct bench_line *b)
{
    if (!a || !b || !(a->value > 0) || !(b->value > 0))
        return 0;
    return a->higher ? a->value / b->value : b->value / a->value;
}

static bool one_run(const struct bench_group *g)
{
    for (int i = 1; i < g->n; i++)
        if (!same(g->bar[i]->run, g->bar[0]->run))
            return false;
    return *g->bar[0]->run != 0;
}

/* ---- a chart and its table ---- */

static void name_in(struct html *h, const char *tag, const char *name)
{
    struct bench_words w;
    html_two(h, tag, bench_say(&w, name));
}

static void headings(struct html *h, const struct two *head, int n)
{
    html_add(h, "<div class=\"scroll\"><table>\n<thead><tr>");
    for (int i = 0; i < n; i++) {
        html_add(h, "<th scope=\"col\">");
        html_two(h, "span", head[i]);
        html_add(h, "</th>");
    }
    html_add(h, "</tr></thead>\n<tbody>\n");
}

static void table(struct html *h, const struct bench_group *g)
{
    static const struct two head[] = {{"program", "프로그램"}, {"median", "중앙값"}, {"min–max", "최소–최대"},
                                      {"runs", "횟수"}, {"limit", "한계"}, {"of the limit", "한계 대비"},
                                      {"dokja to it", "상대 대비 dokja"}};
    const struct bench_line *ours = best(g, true);
    headings(h, head, sizeof head / sizeof *head);
    for (int i = 0; i < g->n; i++) {
        const struct bench_line *l = g->bar[i];
        html_add(h, is_ours(l) ? "<tr class=\"ours\">" : "<tr>");
        html_add(h, "<th scope=\"row\">");
        name_in(h, "span", l->who);
        html_add(h, "</th>");
        html_addf(h, "<td>%s</td><td>%s–%s</td><td>%d</td><td>%s</td><td>%s</td><td>%s</td>", number(l->value).s,
                  number(l->min).s, number(l->max).s, l->n, l->limit > 0 ? number(l->limit).s : "–", percent(l).s,
                  or_none(is_ours(l) ? 0 : times(ours, l), 2, " ×").s);
        html_add(h, "</tr>\n");
    }
    html_add(h, "</tbody></table></div>\n");
}

/* The same as the drawing for those who cannot see it. */
static void describe(struct html *d, const struct bench_group *g)
{
    for (int i = 0; i < g->n; i++) {
        const struct bench_line *l = g->bar[i];
        html_add(d, i ? "; " : "");
        html_add(d, l->who);
        html_addf(d, ": %s ", number(l->value).s);
        html_add(d, l->unit);
        if (l->fraction > 0)
            html_addf(d, " (%s)", percent(l).s);
    }
}

static void draw(struct html *h, const struct bench_group *g, int id)
{
    struct chart_bar bar[CHART_BARS];
    struct figure text[CHART_BARS];
    struct bench_words who[CHART_BARS], title, unit;
    struct html desc = {0}; /* plain text here; the chart escapes it */
    char name[16];
    for (int i = 0; i < g->n; i++) {
        const struct bench_line *l = g->bar[i];
        text[i] = number(l->value);
        if (l->fraction > 0) {
            size_t at = strlen(text[i].s);
            snprintf(text[i].s + at, sizeof text[i].s - at, " · %.0f %%", 100 * l->fraction);
        }
        bar[i] = (struct chart_bar){bench_say(&who[i], l->who), text[i].s, l->value, l->min, l->max, l->limit,
                                    is_ours(l)};
    }
    snprintf(name, sizeof name, "c%d", id);
    describe(&desc, g);
    if (desc.rc == 0) {
        const struct chart c = {name, bench_say(&title, g->bar[0]->what), desc.b.p,
                                bench_say(&unit, g->bar[0]->unit), bar, g->n};
        chart_bars(h, &c);
    } else if (h->rc == 0) {
        h->rc = desc.rc;
        h->e = desc.e;
    }
    html_release(&desc);
}

/* From the day of the first line to that of the last. */
static void days(struct html *h, const struct bench_group *g, int n)
{
    const char *first = "", *last = "";
    for (int i = 0; i < n; i++)
        for (int j = 0; j < g[i].n; j++) {
            const char *d = g[i].bar[j]->date;
            if (*d && (!*first || strcmp(d, first) < 0))
                first = d;
            if (strcmp(d, last) > 0)
                last = d;
        }
    char text[32];
    snprintf(text, sizeof text, strncmp(first, last, 10) ? "%.10s – %.10s" : "%.10s", first, last);
    html_in(h, "p class=\"soft\"", text);
}

/* The names of the limits, each once: lines that ran on different units have different ones. */
static void limits(struct html *h, const struct bench_group *g)
{
    for (int i = 0; i < g->n; i++) {
        bool named = g->bar[i]->limit > 0 && *g->bar[i]->limit_name;
        for (int j = 0; named && j < i; j++)
            named = g->bar[j]->limit <= 0 || strcmp(g->bar[i]->limit_name, g->bar[j]->limit_name) != 0;
        if (!named)
            continue;
        html_add(h, "<p><span class=\"key k-limit\"></span>");
        name_in(h, "span", g->bar[i]->limit_name);
        html_add(h, "</p>");
    }
}

/* "dokja = 1.32 × PyTorch …", the limits' names, and what the reader must know before comparing. */
static void caption(struct html *h, const struct bench_group *g, bool one_machine)
{
    const struct bench_line *ours = best(g, true), *peer = best(g, false);
    double ratio = times(ours, peer);
    html_add(h, "<figcaption>");
    if (ratio > 0) {
        html_add(h, "<p><strong>");
        html_text(h, ours->who);
        html_addf(h, " = %.2f ×</strong> ", ratio);
        html_text(h, peer->who);
        html_add(h, "</p>");
    }
    limits(h, g);
    if (!g->bar[0]->higher)
        html_two(h, "p", (struct two){"Shorter is better.", "짧을수록 좋다."});
    if (g->n > 1 && !one_run(g))
        html_two(h, "p", (struct two){"Not all measured in one run.", "모두 한 번에 번갈아 잰 것은 아니다."});
    if (!one_machine)
        name_in(h, "p", g->bar[0]->machine);
    days(h, g, 1);
    html_add(h, "</figcaption>\n");
}

/* ---- the page ---- */

static void commands(struct html *h, const struct bench_group *g, int n, int section)
{
    const char *said[64];
    int k = 0;
    for (int i = 0; i < n; i++)
        for (int j = 0; j < g[i].n && g[i].section == section; j++) {
            const char *c = g[i].bar[j]->command;
            bool known = !*c || k == (int)(sizeof said / sizeof *said);
            for (int s = 0; s < k; s++)
                known = known || same(said[s], c);
            if (!known)
                said[k++] = c;
        }
    if (k == 0)
        return;
    html_two(h, "p class=\"soft\"", (struct two){"Measured with", "잰 명령"});
    html_add(h, "<pre>");
    for (int i = 0; i < k; i++) {
        html_text(h, said[i]);
        html_add(h, i + 1 < k ? "\n" : "</pre>\n");
    }
}

static void section(struct html *h, const struct bench_group *g, int n, int s, bool one_machine)
{
    bool begun = false;
    for (int i = 0; i < n; i++) {
        if (g[i].section != s)
            continue;
        if (!begun) {
            html_add(h, "<section>\n");
            html_two(h, "h2", sections[s].title);
            html_add(h, "\n<div class=\"charts\">\n");
        }
        begun = true;
        html_add(h, "<figure>\n");
        name_in(h, "h3", g[i].bar[0]->what);
        draw(h, &g[i], i);
        caption(h, &g[i], one_machine);
        table(h, &g[i]);
        html_add(h, "</figure>\n");
    }
    if (!begun)
        return;
    html_add(h, "</div>\n");
    commands(h, g, n, s);
    html_add(h, "</section>\n");
}

/* Machines and days; whether it is one machine. */
static bool facts(struct html *h, const struct bench_group *g, int n)
{
    int machines = 0;
    for (int i = 0; i < n; i++) {
        bool known = false;
        for (int j = 0; j < i; j++)
            known = known || same(g[j].bar[0]->machine, g[i].bar[0]->machine);
        if (!known)
            name_in(h, "p", g[i].bar[0]->machine);
        machines += !known;
    }
    days(h, g, n);
    return machines == 1;
}

static void legend(struct html *h)
{
    static const struct {
        const char *key;
        struct two t;
    } row[] = {{"k-ours", {"dokja", "dokja"}}, {"k-peer", {"others", "다른 프로그램"}},
               {"k-limit", {"the hardware's limit, measured beside the work", "함께 잰 하드웨어의 한계"}}};
    html_add(h, "<p class=\"legend\">");
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        html_addf(h, "<span><span class=\"key %s\"></span>", row[i].key);
        html_two(h, "span", row[i].t);
        html_add(h, "</span>");
    }
    html_add(h, "</p>\n");
    html_two(h, "p class=\"soft\"", (struct two){
        "Bars are medians, whiskers the smallest and the largest run; a percentage is the share of the limit.",
        "막대는 중앙값, 수염은 가장 작은 값과 가장 큰 값이다. 백분율은 한계에 대한 비율이다."});
}

/* Every chart with a figure of ours in one line. */
static void summary(struct html *h, const struct bench_group *g, int n, bool one_machine)
{
    static const struct two head[] = {{"measured", "잰 것"}, {"unit", "단위"}, {"dokja", "dokja"},
                                      {"of the limit", "한계 대비"}, {"best other", "가장 나은 상대"}, {"its figure", "그 값"},
                                      {"dokja to it", "상대 대비 dokja"}};
    headings(h, head, sizeof head / sizeof *head);
    for (int s = 0; s < N_SECTIONS; s++)
        for (int i = 0; i < n; i++) {
            const struct bench_line *ours = best(&g[i], true), *peer = best(&g[i], false);
            if (g[i].section != s || !ours)
                continue;
            html_add(h, "<tr><th scope=\"row\">");
            html_two(h, "span", sections[s].title);
            html_add(h, ": ");
            name_in(h, "span", ours->what);
            if (!one_machine) {
                html_add(h, "<br>");
                name_in(h, "small", ours->machine);
            }
            html_add(h, "</th>");
            name_in(h, "td", ours->unit);
            html_addf(h, "<td>%s", number(ours->value).s);
            if (strcmp(ours->who, "dokja") != 0) {
                html_add(h, "<br>");
                html_in(h, "small", ours->who);
            }
            html_addf(h, "</td><td>%s</td>", percent(ours).s);
            html_in(h, "td", peer ? peer->who : "–");
            html_addf(h, "<td>%s</td><td>%s</td></tr>\n", peer ? number(peer->value).s : "–",
                      or_none(times(ours, peer), 2, " ×").s);
        }
    html_add(h, "</tbody></table></div>\n");
}

void bench_page(struct html *h, const struct bench_group *g, int n)
{
    html_begin(h, (struct two){BENCH_PAGE_TITLE, "dokja: 재어 본 속도"});
    bool one_machine = facts(h, g, n);
    legend(h);
    summary(h, g, n, one_machine);
    for (int s = 0; s < N_SECTIONS; s++)
        section(h, g, n, s, one_machine);
    html_end(h);
}
