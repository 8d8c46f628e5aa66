/* The primer's front door: documents, questions, the checker and the file writer. */
#include "data/primer.h"

#include <assert.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "data/primer_skills.h"

const struct skill *const primer_table[] = {
    &skill_ko_number, &skill_ko_counting, &skill_ko_addition, &skill_ko_particle, &skill_ko_date, &skill_ko_weekday,
    &skill_ko_clock, &skill_ko_unit, &skill_ko_compare, &skill_ko_order, &skill_ko_story, &skill_ko_code,
        &skill_ko_form,
    &skill_ko_pairs, &skill_ko_copy, &skill_en_number, &skill_en_addition, &skill_en_compare, &skill_en_story,
        &skill_en_letters, &skill_en_pairs,
};
const int primer_table_n = sizeof primer_table / sizeof *primer_table;

int primer_skills(void)
{
    return primer_table_n;
}

const struct primer_skill *primer_skill(int i)
{
    assert(i >= 0 && i < primer_table_n);
    return &primer_table[i]->pub;
}

/* Streams of one seed: documents count from 0 in their own key, questions in another. */
static void stream(struct rng *r, uint64_t seed, uint64_t what, uint64_t index)
{
    rng_init(r, seed ^ what * 0x9e3779b97f4a7c15u ^ (index >> 32) * 0xd1342543de82ef95u, RNG_PRIMER, (uint32_t)index);
}

/* Seven documents in ten are Korean; within a language the skills' weights decide. */
static const struct skill *pick_skill(struct rng *r, bool ko)
{
    int total = 0;

    for (int i = 0; i < primer_table_n; i++)
        if ((primer_table[i]->pub.lang[0] == 'k') == ko)
            total += primer_table[i]->weight;
    int at = pick(r, total);
    for (int i = 0;; i++) {
        const struct skill *s = primer_table[i];
        if ((s->pub.lang[0] == 'k') != ko)
            continue;
        if (at < s->weight)
            return s;
        at -= s->weight;
    }
}

static bool write_document(struct pr_out *o, uint64_t seed, uint64_t index)
{
    struct rng r;

    stream(&r, seed, 0, index);
    bool ko = pick(&r, 10) < 7;
    const struct skill *a = pick_skill(&r, ko), *b = pick(&r, 10) < 4 ? pick_skill(&r, ko) : NULL;
    pr_document(o, &r, a, a == b ? NULL : b);
    return ko;
}

int primer_document(struct buf *b, uint64_t seed, uint64_t index, struct err *e)
{
    struct pr_out o = {b, e, 0};

    buf_clear(b);
    write_document(&o, seed, index);
    return o.rc;
}

static int write_line(struct file_new *f, struct buf *line, struct buf *doc, uint64_t seed, uint64_t index,
    struct err *e)
{
    struct pr_out o = {doc, e, 0};

    buf_clear(doc);
    bool ko = write_document(&o, seed, index);
    if (o.rc)
        return o.rc;
    buf_clear(line);
    int rc = buf_printf(line, e, "{\"id\":\"primer-%llu-%llu\",\"lang\":\"%s\",\"license\":\"Apache-2.0\",\"text\":",
                        (unsigned long long)seed, (unsigned long long)index, ko ? "ko" : "en");
    if (rc == 0)
        rc = json_quote(line, doc->p, doc->len, e);
    if (rc == 0)
        rc = buf_adds(line, "}\n", e);
    return rc ? rc : file_new_write(f, line->p, line->len, e);
}

int primer_write(const char *path, uint64_t bytes, uint64_t seed, struct err *e)
{
    struct buf doc = {0}, line = {0};
    struct file_new *f = NULL;
    double start = clock_seconds();
    uint64_t text = 0, index = 0;
    int rc = file_new_open(&f, path, e);

    while (rc == 0 && text < bytes) {
        if (log_stop_asked()) {
            rc = err_set(e, ERR_STOPPED, "%s: stopped before it was complete, nothing was written", path);
            break;
        }
        rc = write_line(f, &line, &doc, seed, index++, e);
        text += doc.len;
        if (index % 4096 == 0)
            log_progress("primer: %.1f of %.1f MB, %.0f MB/s", (double)text / 1e6, (double)bytes / 1e6,
                         (double)text / 1e6 / (clock_seconds() - start + 1e-9));
    }
    if (index >= 4096)
        log_progress_end();
    if (rc)
        file_new_abort(&f);
    else
        rc = file_new_commit(&f, e);
    buf_release(&doc);
    buf_release(&line);
    return rc;
}

/* The question's pattern: those with chance 0 occur in documents alone. */
static const struct qa *pick_qa(struct rng *r, const struct skill *s)
{
    int n = 0;

    while (s->qa[n].q)
        n++;
    for (;;) {
        const struct qa *qa = &s->qa[pick(r, n)];
        if (qa->chance > 0)
            return qa;
    }
}

int primer_question(struct primer_item *it, int skill, bool held_out, uint64_t seed, uint64_t index, struct err *e)
{
    assert(skill >= 0 && skill < primer_table_n);
    const struct skill *s = primer_table[skill];
    bool ko = s->pub.lang[0] == 'k';
    struct pr_out q = {&it->prompt, e, 0}, a = {&it->answer, e, 0};
    const char *ask = ko ? "문제: " : "Question: ", *answer = ko ? "답: " : "Answer: ";
    struct rng r;

    buf_clear(&it->prompt);
    buf_clear(&it->answer);
    it->stop = "\n";
    it->skill = skill;
    stream(&r, seed, 1 + (uint64_t)skill, index);
    pr_str(&q, ko ? "학습지: " : "Worksheet: ");
    char first[2] = {s->title[0], 0};
    if (!ko)
        first[0] = (char)(first[0] - 'a' + 'A');
    pr_str(&q, first);
    pr_str(&q, s->title + 1);
    pr_str(&q, "\n\n");
    for (int solved = s->context ? 1 : 2; solved >= 0; solved--) {
        struct fact f;
        struct slots sl;
        const struct qa *qa = pick_qa(&r, s);
        s->draw(&f, &r, solved == 0 && held_out);
        sl.used = 0;
        s->fill(&sl, &f);
        it->question = q.b->len;
        if (s->context) {
            pr_pattern(&q, list_pick(&r, s->context), &sl);
            pr_str(&q, "\n");
        }
        pr_ask(&q, qa, &sl, ask, answer);
        pr_pattern(solved ? &q : &a, qa->a, &sl);
        if (solved)
            pr_str(&q, "\n");
        it->chance = qa->chance;
    }
    if (q.rc == 0 && a.rc == 0) {                            /* the space belongs to the first word of the answer */
        it->prompt.len--;
        it->prompt.p[it->prompt.len] = 0;
    }
    return q.rc ? q.rc : a.rc;
}

void primer_item_release(struct primer_item *it)
{
    buf_release(&it->prompt);
    buf_release(&it->answer);
}

bool primer_check(const struct primer_item *it, const char *answer, size_t n)
{
    const char *stop = n ? memmem(answer, n, it->stop, strlen(it->stop)) : NULL;

    if (stop)
        n = (size_t)(stop - answer);
    while (n && (*answer == ' ' || *answer == '\t')) {
        answer++;
        n--;
    }
    while (n && (answer[n - 1] == ' ' || answer[n - 1] == '\t' || answer[n - 1] == '\r'))
        n--;
    return n == it->answer.len && memcmp(answer, it->answer.p, n) == 0;
}
