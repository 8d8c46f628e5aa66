/* See added.h. */
#include "text/added.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "text/unicode.h"

static int by_content(const void *x, const void *y)
{
    const struct added_token *a = *(const struct added_token *const *)x, *b = *(const struct added_token *const *)y;
    int c = memcmp(a->content, b->content, a->n < b->n ? a->n : b->n);
    return c ? c : a->n < b->n ? -1 : a->n > b->n;
}

int added_set_init(struct added_set *s, const struct added_token *t, size_t n, bool normalized, struct err *e)
{
    *s = (struct added_set){0};
    s->token = mem_new(n ? n : 1, sizeof *s->token);
    if (!s->token)
        return err_set(e, ERR_NOMEM, "out of memory for %zu added tokens", n);
    for (size_t i = 0; i < n; i++)
        if (t[i].normalized == normalized && t[i].n) {
            s->token[s->n++] = &t[i];
            s->starts[(unsigned char)t[i].content[0]] = true;
        }
    qsort(s->token, s->n, sizeof *s->token, by_content);
    return 0;
}

void added_set_release(struct added_set *s)
{
    mem_free(s->token);
    *s = (struct added_set){0};
}

/* The longest content that begins text[0..n): narrows the range of contents that share a prefix with it. */
static const struct added_token *longest(const struct added_set *s, const char *text, size_t n)
{
    size_t lo = 0, hi = s->n;
    const struct added_token *best = NULL;
    for (size_t d = 0; d < n && lo < hi; d++) {
        unsigned char c = (unsigned char)text[d];
        size_t a = lo, b = hi;
        while (a < b) {
            size_t mid = (a + b) / 2;
            if (s->token[mid]->n <= d || (unsigned char)s->token[mid]->content[d] < c)
                a = mid + 1;
            else
                b = mid;
        }
        lo = a;
        b = hi;
        while (a < b) {
            size_t mid = (a + b) / 2;
            if ((unsigned char)s->token[mid]->content[d] <= c)
                a = mid + 1;
            else
                b = mid;
        }
        hi = a;
        if (lo < hi && s->token[lo]->n == d + 1)
            best = s->token[lo];
    }
    return best;
}

static bool is_flag_before(const char *text, size_t at, uint8_t flag)
{
    int32_t cp;
    size_t len = uc_last((const unsigned char *)text, (const unsigned char *)text + at);
    uc_next(&cp, (const unsigned char *)text + at - len);
    return uc_flags(uc_table(), cp) & flag;
}

static bool is_flag_at(const char *text, size_t at, uint8_t flag)
{
    int32_t cp;
    uc_next(&cp, (const unsigned char *)text + at);
    return uc_flags(uc_table(), cp) & flag;
}

/* Contents without the flags end here at the latest; the strips only widen the match. */
static void widen(const struct added_walk *w, struct added_match *m)
{
    if (m->token->lstrip)
        while (m->from > w->from && is_flag_before(w->text, m->from, UC_SPACE))
            m->from -= uc_last((const unsigned char *)w->text, (const unsigned char *)w->text + m->from);
    if (m->token->rstrip)
        while (m->to < w->n && is_flag_at(w->text, m->to, UC_SPACE)) {
            int32_t cp;
            m->to += (size_t)uc_next(&cp, (const unsigned char *)w->text + m->to);
        }
}

bool added_next(struct added_walk *w, struct added_match *m)
{
    if (w->set->n == 0)
        return false;
    while (w->at < w->n) {
        const struct added_token *t = NULL;
        if (w->set->starts[(unsigned char)w->text[w->at]])
            t = longest(w->set, w->text + w->at, w->n - w->at);
        if (!t) {
            w->at++;
            continue;
        }
        size_t from = w->at, to = from + t->n;
        w->at = to; /* text of a match that is passed over is not searched again */
        if (t->special && !w->special)
            continue;
        if (t->single_word &&
            ((from > 0 && is_flag_before(w->text, from, UC_WORD)) || (to < w->n && is_flag_at(w->text, to, UC_WORD))))
            continue;
        *m = (struct added_match){from, to, t};
        /* A match inside the space that the token before it stripped is already spent. */
        if (m->from < w->from)
            m->from = w->from;
        widen(w, m);
        if (m->to < m->from)
            m->to = m->from;
        w->from = m->to;
        return true;
    }
    return false;
}
