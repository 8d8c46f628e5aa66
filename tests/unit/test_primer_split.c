/* The primer's split: held-out facts occur in no document.
 *
 * Two matchers look for them, and both are shown to find training facts: phrases built here, and the
 * skills' own sentences filled with a fact. Numbers, forms and lists are read back from the text. */
#include "harness.h"

#include <ctype.h>

#include "data/primer_int.h"

/* ---- many needles at once: tables over their first 4, 7 or 16 bytes ---- */
enum { BUCKETS = 1 << 17, N_KEYS = 3 };
static const size_t key_bytes[N_KEYS] = {4, 7, 16};
struct needle {
    char *text;
    size_t n;
    int next;
    bool whole;     /* not inside a longer number or word on either side */
};
struct needles {
    struct needle *v;
    int n, cap;
    int head[N_KEYS][BUCKETS];
};

static unsigned key_of(const char *p, size_t n)
{
    uint64_t k[2] = {0, 0};

    memcpy(k, p, n);
    return (unsigned)(((k[0] ^ k[1] * 0xd1342543de82ef95u) * 0x9e3779b97f4a7c15u) >> 47);
}

static struct needles *needles_new(void)
{
    struct needles *s = calloc(1, sizeof *s);

    memset(s->head, -1, sizeof s->head);
    return s;
}

static void needle_add(struct needles *s, const char *text, bool whole)
{
    size_t n = strlen(text);
    int k = n >= key_bytes[2] ? 2 : n >= key_bytes[1] ? 1 : 0;

    assert_true(n >= key_bytes[0]);
    if (s->n == s->cap) {
        s->cap = s->cap ? 2 * s->cap : 1024;
        s->v = realloc(s->v, (size_t)s->cap * sizeof *s->v);
    }
    int *head = &s->head[k][key_of(text, key_bytes[k])];
    s->v[s->n] = (struct needle){strdup(text), n, *head, whole};
    *head = s->n++;
}

static void needles_free(struct needles *s)
{
    for (int i = 0; i < s->n; i++)
        free(s->v[i].text);
    free(s->v);
    free(s);
}

static bool edges_free(const char *start, const char *p, size_t n)
{
    bool before = p > start && (isalnum((unsigned char)p[-1]) ||
                                (p - start >= 3 && (unsigned char)p[-3] >= 0xea && (unsigned char)p[-3] <= 0xed &&
                                    (p[-1] & 0xc0) == 0x80));
    bool after = isalnum((unsigned char)p[n - 1]) && isalnum((unsigned char)p[n]);

    return !before && !after;
}

/* Total hits; `first` names one. */
static long needles_find(struct needles *s, const char *text, size_t n, const char **first)
{
    long hits = 0;

    for (size_t i = 0; i < n; i++)
        for (int key = 0; key < N_KEYS && i + key_bytes[key] <= n; key++)
            for (int k = s->head[key][key_of(text + i, key_bytes[key])]; k >= 0; k = s->v[k].next) {
                const struct needle *d = &s->v[k];
                if (i + d->n > n || memcmp(text + i, d->text, d->n) || (d->whole && !edges_free(text, text + i, d->n)))
                    continue;
                hits++;
                *first = d->text;
            }
    return hits;
}

/* ---- phrases built here: one maker per space, over all its facts ---- */
typedef void (*maker)(struct needles *s, bool held);

static void add(struct needles *s, bool whole, const char *fmt, ...) PRINTF_LIKE(3, 4);
static void add(struct needles *s, bool whole, const char *fmt, ...)
{
    char t[512];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(t, sizeof t, fmt, ap);
    va_end(ap);
    needle_add(s, t, whole);
}

static void make_counts(struct needles *s, bool held)
{
    char t[64];

    for (int i = 0; i < N_COUNTED; i++)
        for (int n = 1; n <= 29; n++)
            if (fact_held(SPACE_COUNT, i, n, 0, 0) == held) {
                ko_native(t, n);
                add(s, true, "%s %s %s", counted_nouns[i].noun, t, counted_nouns[i].counter);
            }
}

static void make_particles(struct needles *s, bool held)
{
    static const char *const form[5][2] = {{"을", "를"}, {"이", "가"}, {"은", "는"}, {"과", "와"}, {"으로", "로"}};

    for (int i = 0; i < N_PARTICLE_NOUNS; i++)
        for (int p = 0; p < 5; p++)
            if (fact_held(SPACE_PARTICLE, i, p, 0, 0) == held) {
                add(s, false, "%s%s", particle_nouns[i], form[p][0]);
                add(s, false, "%s%s", particle_nouns[i], form[p][1]);
            }
}

static void make_pairs(struct needles *s, bool held)
{
    static const char *const after[] = {"\n", "’", " - ", "이", "가", "을", "를", "은", "는", ".", ",", "다"};

    for (int a = 0; a < N_PAIR_ADJS; a++)
        for (int n = 0; n < N_PAIR_NOUNS; n++)
            if (fact_held(SPACE_PAIR, a, n, 0, 0) == held) {
                add(s, true, "%s %s", pair_adjs[a].en, pair_nouns[n].en);
                for (size_t k = 0; k < sizeof after / sizeof *after; k++)
                    add(s, true, "%s %s%s", pair_adjs[a].ko, pair_nouns[n].ko, after[k]);
            }
}

static void make_dates(struct needles *s, bool held)
{
    static const char *const month[12] = {"일월", "이월", "삼월", "사월", "오월", "유월", "칠월", "팔월", "구월", "시월", "십일월", "십이월"};
    static const char *const after[] = {"\n", "이", "을", "은"};
    char t[64];

    for (int m = 1; m <= 12; m++)
        for (int d = 1; d <= 31; d++)
            if (fact_held(SPACE_DATE, m, d, 0, 0) == held) {
                ko_sino(t, d);
                for (int k = 0; k < 4; k++)
                    add(s, true, "%s %s일%s", month[m - 1], t, after[k]);
                add(s, true, "%d월 %d일", m, d);
                add(s, true, "%s %d\n", en_months[m - 1], d);
                add(s, true, "%s %d ", en_months[m - 1], d);
                add(s, true, "%s %d,", en_months[m - 1], d);
            }
}

static void make_sums(struct needles *s, bool held)
{
    char x[64], y[64];

    for (int a = 10; a < 90; a++)
        for (int b = 10; a + b < 100; b++)
            if (a % 10 + b % 10 < 10 && sum_held(a, b) == held) {
                en_number(x, a);
                en_number(y, b);
                add(s, true, "%s plus %s.", x, y);
                add(s, true, "%s plus %s?", x, y);
                add(s, true, "%s plus %s ", x, y);
                add(s, true, "%s and %s.", x, y);
                add(s, true, "%s and %s,", x, y);
                add(s, true, "%s and %s ", x, y);
                add(s, true, "%s + %s = ", x, y);
                add(s, true, "%d + %d = ", a, b);
                add(s, false, "묶음 %d, 낱개 %d 더하기 묶음 %d, 낱개 %d", a / 10, a % 10, b / 10, b % 10);
                add(s, false, "묶음 %d, 낱개 %d에 묶음 %d, 낱개 %d", a / 10, a % 10, b / 10, b % 10);
            }
}

static void make_weekdays(struct needles *s, bool held)
{
    for (int d = 0; d < 7; d++)
        for (int n = 7; n <= 86; n++)
            if (n % 7 < 3 && fact_held(SPACE_WEEKDAY, d, n, 0, 0) == held) {
                add(s, false, "%s에서 %d일", ko_days[d], n);
                add(s, false, "%s이면 %d일", ko_days[d], n);
            }
}

static void make_clocks(struct needles *s, bool held)
{
    static const char *const form[] = {"에서 ", "에 시작해서 ", " + "};
    char t[64];

    for (int h = 1; h <= 12; h++)
        for (int m = 0; m < 60; m += 10)
            for (int d = 10; d <= 30; d += 10)
                for (size_t k = 0; k < 3 && fact_held(SPACE_CLOCK, h, m, d, 0) == held; k++) {
                    if (m)
                        snprintf(t, sizeof t, "%d시 %d분", h, m);
                    else
                        snprintf(t, sizeof t, "%d시 정각", h);
                    add(s, true, "%s%s%d분", t, form[k], d);
                }
}

static void make_units(struct needles *s, bool held)
{
    for (int u = 0; u < N_UNITS; u++)
        for (int v = 2; v <= 99; v++)
            if (fact_held(SPACE_UNIT, u, v, 0, 0) == held) {
                add(s, true, "%d,000%s", v, big_small_units[u].en);
                add(s, true, "%d%s", v, big_small_units[u].ko);
            }
}

static void make_less(struct needles *s, bool held)
{
    for (int a = 1; a <= 99; a++)
        for (int b = 1; b <= 99; b++)
            if (a != b && less_held(a, b) == held) {
                add(s, true, "%d, %d 가운데", a, b);
                add(s, true, "%d, %d → ", a, b);
                add(s, true, "%d은 %d보다", a, b);
                add(s, true, "%d는 %d보다", a, b);
            }
}

static void make_stories(struct needles *s, bool held)
{
    struct slots sl;

    for (int p = 0; p < N_KO_NAMES; p++)
        for (int t = 0; t < N_KO_THINGS; t++)
            for (int l = 0; l < N_KO_PLACES; l++)
                if (fact_held(SPACE_STORY_KO, p, t, l, 0) == held) {
                    sl.s[0] = ko_names[p];
                    sl.s[1] = ko_things[t];
                    sl.s[2] = ko_places[l];
                    struct buf b = {0};
                    struct pr_out o = {&b, NULL, 0};
                    pr_pattern(&o, "{0}{0:은} {1}{1:을} {2}에", &sl);
                    needle_add(s, b.p, false);
                    buf_release(&b);
                }
    for (int p = 0; p < N_EN_NAMES; p++)
        for (int t = 0; t < N_EN_THINGS; t++)
            for (int l = 0; l < N_EN_PLACES; l++)
                if (fact_held(SPACE_STORY_EN, p, t, l, 0) == held) {
                    add(s, true, "%s put the %s in the %s", en_names[p], en_things[t], en_places[l]);
                }
}

static void make_codes(struct needles *s, bool held)
{
    for (int w = 0; w < N_CODES; w++)
        for (int m = 0; m < N_MEANINGS; m++)
            if (fact_held(SPACE_CODE, w, m, 0, 0) == held) {
                add(s, false, "%s: %s\n", ko_codes[w], ko_meanings[m]);
                add(s, false, "%s: %s, ", ko_codes[w], ko_meanings[m]);
                add(s, false, "%s: %s. ", ko_codes[w], ko_meanings[m]);
            }
}

static void make_people(struct needles *s, bool held)
{
    for (int a = 0; a < N_EN_NAMES; a++)
        for (int b = 0; b < N_EN_NAMES; b++)
            for (int d = 0; d < N_POLAR; d++)
                if (a != b && fact_held(SPACE_TALL, a, b, d, 0) == held) {
                    add(s, true, "%s is %s than %s", en_names[a], polar_adjs[d].more, en_names[b]);
                    add(s, true, "%s is %s than %s", en_names[b], polar_adjs[d].less, en_names[a]);
                }
}

static const struct {
    const char *name;
    maker make;
} makers[] = {{"counts", make_counts}, {"particles", make_particles}, {"pairs", make_pairs}, {"dates", make_dates},
    {"sums", make_sums}, {"weekdays", make_weekdays}, {"clocks", make_clocks}, {"units", make_units}, {"less",
    make_less},
    {"stories", make_stories}, {"codes", make_codes}, {"people", make_people}};
enum { N_MAKERS = sizeof makers / sizeof *makers };

/* ---- the text under test: several seeds, in one buffer ---- */
static struct buf text;

static int read_books(void **state)
{
    size_t bytes = getenv("DOKJA_LONG") ? 60000000 : 6000000;
    struct err e = {0};
    struct buf d = {0};

    (void)state;
    for (uint64_t seed = 0; seed < 4; seed++)
        for (uint64_t i = 0; text.len < (seed + 1) * bytes / 4; i++)
            if (primer_document(&d, seed * 977, i, &e) || buf_add(&text, d.p, d.len, &e))
                return -1;
    buf_release(&d);
    return 0;
}

static int drop_books(void **state)
{
    (void)state;
    buf_release(&text);
    return 0;
}

static void phrases_of_held_out_facts_never_occur(void **state)
{
    (void)state;
    for (int held = 1; held >= 0; held--)
        for (int i = 0; i < N_MAKERS; i++) {
            struct needles *s = needles_new();
            const char *first = NULL;
            makers[i].make(s, held);
            assert_true(s->n > 20);
            /* Training facts in the first part show that the phrases are the textbook's. */
            long hits = needles_find(s, text.p, held ? text.len : text.len / 4, &first);
            if (held && hits)
                fail_msg("%s: %ld held-out phrases in the text, one is \"%s\"", makers[i].name, hits, first);
            if (!held && hits < 30)
                fail_msg("%s: only %ld training phrases found: the matcher looks for the wrong thing", makers[i].name,
                    hits);
            needles_free(s);
        }
}

static void needle_of(struct needles *s, const char *pattern, const char *tail, const struct slots *sl)
{
    struct buf b = {0};
    struct pr_out o = {&b, NULL, 0};

    pr_pattern(&o, pattern, sl);
    pr_str(&o, tail);
    assert_int_equal(o.rc, 0);
    needle_add(s, b.p, true);
    buf_release(&b);
}

/* The skills' own sentences and questions, filled with facts. Skills with a context are covered above. */
static void own_sentences_of_held_out_facts_never_occur(void **state)
{
    struct rng r;

    (void)state;
    rng_init(&r, 5, RNG_TEST, 0);
    for (int held = 1; held >= 0; held--) {
        struct needles *s = needles_new();
        const char *first = NULL;
        for (int k = 0; k < primer_table_n; k++) {
            const struct skill *sk = primer_table[k];
            for (int i = 0; i < 400 && !sk->context; i++) {
                struct fact f;
                struct slots sl;
                sk->draw(&f, &r, held);
                sl.used = 0;
                sk->fill(&sl, &f);
                for (int j = 0; sk->state[j]; j++)
                    needle_of(s, sk->state[j], "", &sl);
                needle_of(s, sk->drill, "\n", &sl);
                for (int j = 0; sk->qa[j].q; j++)
                    if (sk->qa[j].chance > 0)
                        needle_of(s, sk->qa[j].q, "\n", &sl);
            }
        }
        long hits = needles_find(s, text.p, held ? text.len : text.len / 4, &first);
        if (held && hits)
            fail_msg("%ld held-out sentences in the text, one is \"%s\"", hits, first);
        if (!held)
            assert_true(hits > 1000);
        needles_free(s);
    }
}

static bool starts(const char *p, const char *end, const char *word)
{
    size_t n = strlen(word);

    return (size_t)(end - p) >= n && memcmp(p, word, n) == 0;
}

/* Every standalone three-digit number, every reading with 백 and every "hundred …" is a training fact. */
static void three_digit_numbers_are_training_facts(void **state)
{
    struct needles *s = needles_new();
    const char *first = NULL, *end = text.p + text.len;
    long seen = 0;

    (void)state;
    for (const char *p = text.p; p < end; p++) {
        if (!isdigit((unsigned char)*p))
            continue;
        const char *q = p;
        while (q < end && isdigit((unsigned char)*q))
            q++;
        bool group = p > text.p && p[-1] == ',';
        if (q - p == 3 && !group) {
            int n = atoi(p);
            seen++;
            if (n > 100 && fact_held(SPACE_NUMBER, n, 0, 0, 0))
                fail_msg("held-out number %d in the text", n);
        }
        p = q;
    }
    assert_true(seen > 100);
    for (int n = 101; n < 1000; n++) {
        static const char *const after[] = {"\n", "’"};
        static const char *const after_en[] = {"\n", ".", "?", " stand"};
        char t[64], ones[32];
        int h = n / 100, d = n / 10 % 10;
        if (!fact_held(SPACE_NUMBER, n, 0, 0, 0))
            continue;
        for (int k = 0; k < 2; k++) {
            ko_sino(t, n);
            add(s, true, "%s%s", t, after[k]);
            ko_sino_places(t, n);
            add(s, true, "%s%s", t, after[k]);
        }
        en_number(t, n);
        for (int k = 0; k < 4; k++)
            add(s, true, "%s%s", t, after_en[k]);
        add(s, true, "100이 %d개, 10이 %d개, 1이 %d개", h, d, n % 10);
        snprintf(ones, sizeof ones, "%d one%s", n % 10, n % 10 == 1 ? "" : "s");
        for (int k = 0; k < 2; k++)
            add(s, true, "%d hundred%s, %d ten%s%s%s", h, h == 1 ? "" : "s", d, d == 1 ? "" : "s", k ? " and " : ", ",
                ones);
    }
    if (needles_find(s, text.p, text.len, &first))
        fail_msg("held-out reading \"%s\" in the text", first);
    needles_free(s);
}

static int int_of(const char *const *list, int n, const char *p, const char *end)
{
    for (int i = 0; i < n; i++)
        if (starts(p, end, list[i]) && p[strlen(list[i])] == '\n')
            return i;
    return -1;
}

/* A word of the copying skill by its place in the four lists. */
static int copy_index(const char *p)
{
    const struct {
        const char *const *word;
        int n;
    } list[] = {{ko_codes, N_CODES}, {ko_meanings, N_MEANINGS}, {ko_things, N_KO_THINGS}, {ko_places, N_KO_PLACES}};
    size_t len = strcspn(p, " \n");
    int base = 0;

    for (int k = 0; k < 4; base += list[k++].n)
        for (int i = 0; i < list[k].n; i++)
            if (strlen(list[k].word[i]) == len && !memcmp(list[k].word[i], p, len))
                return base + i;
    fail_msg("an unknown word to copy: %.*s", (int)len, p);
    return -1;
}

/* Forms are read back field by field; letters and sorted numbers out of every comma list. */
static void forms_and_lists_are_training_facts(void **state)
{
    const char *end = text.p + text.len;
    long forms = 0, rows = 0, triples = 0, copies = 0;
    static const char copy_label[] = "그대로 쓰시오: ";

    (void)state;
    for (const char *p = text.p; (p = memmem(p, (size_t)(end - p), "이름: ", 8)) != NULL; p += 8) {
        const char *from = p - 400 < text.p ? text.p : p - 400, *head = NULL, *f;
        static const char *const title[] = {"사용 신청서\n", "접수 대장\n", "예약 확인서\n"};
        for (int t = 0; t < 3; t++)
            for (f = from; (f = memmem(f, (size_t)(p - f), title[t], strlen(title[t]))) != NULL; f++)
                head = !head || f > head ? f : head;
        if (!head)
            continue;
        f = memmem(head, (size_t)(end - head), "부서: ", 8);
        const char *room = memmem(head, (size_t)(end - head), "장소: ", 8);
        int dept = int_of(ko_depts, N_DEPTS, f + 8, end), place = int_of(ko_rooms, N_ROOMS, room + 8, end), who = -1,
            sur = -1;
        for (int k = 0; k < N_SURNAMES && who < 0; k++)
            if (starts(p + 8, end, ko_surnames[sur = k]))
                who = int_of(ko_names, N_KO_NAMES, p + 8 + strlen(ko_surnames[k]), end);
        assert_true(dept >= 0 && place >= 0 && who >= 0);
        assert_false(fact_held(SPACE_FORM, sur * 100 + who, dept, place, 0));
        forms++;
    }
    for (const char *p = text.p; p + 12 < end; p++) {
        if (isupper((unsigned char)p[0]) && !memcmp(p + 1, ", ", 2) && isupper((unsigned char)p[3]) && !memcmp(p + 4,
            ", ", 2) &&
            isupper((unsigned char)p[6]) && !isalpha((unsigned char)p[7])) {
            int v[3] = {p[0] - 'A', p[3] - 'A', p[6] - 'A'};
            bool turn = v[0] > v[2];
            assert_false(fact_held(SPACE_LETTERS, v[turn ? 2 : 0], v[1], v[turn ? 0 : 2], 0));
            rows++;
        }
        if (starts(p, end, copy_label)) {
            int v[4];
            const char *q = p + strlen(copy_label);
            for (int k = 0; k < 4; k++) {
                v[k] = copy_index(q);
                q += strcspn(q, " \n") + 1;
            }
            assert_false(fact_held(SPACE_COPY, v[0], v[1], v[2], v[3]));
            copies++;
        }
        int a, b, c, n = 0;
        if ((p == text.p || !isdigit((unsigned char)p[-1])) && isdigit((unsigned char)*p) && p[1] != '\n' &&
            sscanf(p, "%2d, %2d, %2d%n", &a, &b, &c, &n) == 3 && (a > 9 || b > 9 || c > 9) && a != b && b != c &&
                a != c) {
            int lo = a < b ? (a < c ? a : c) : (b < c ? b : c), hi = a > b ? (a > c ? a : c) : (b > c ? b : c);
            if (fact_held(SPACE_SORTED, lo, a + b + c - lo - hi, hi, 0) || less_held(a, b) || less_held(b, c) ||
                less_held(a, c))
                fail_msg("held-out order %d, %d, %d", a, b, c);
            triples++;
        }
    }
    assert_true(forms > 200 && rows > 500 && triples > 500 && copies > 200);
}

/* Enough facts of both kinds, and the share held out near what was meant. */
static void the_split_is_fair(void **state)
{
    int held = 0;

    (void)state;
    for (int n = 100; n < 1000; n++)
        held += fact_held(SPACE_NUMBER, n, 0, 0, 0);
    assert_in_range(held, 90, 180);
    held = 0;
    for (int d = 0; d < 7; d++)
        for (int n = 7; n <= 86; n++)
            held += n % 7 < 3 && fact_held(SPACE_WEEKDAY, d, n, 0, 0);
    assert_in_range(held, 30, 75);
    assert_int_equal(sum_held(31, 25), sum_held(25, 31));
    assert_int_equal(less_held(3, 99), less_held(99, 3));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_split_is_fair),
        cmocka_unit_test(phrases_of_held_out_facts_never_occur),
        cmocka_unit_test(own_sentences_of_held_out_facts_never_occur),
        cmocka_unit_test(three_digit_numbers_are_training_facts),
        cmocka_unit_test(forms_and_lists_are_training_facts),
    };
    return cmocka_run_group_tests_name("primer split", tests, read_books, drop_books);
}
