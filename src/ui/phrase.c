#include "ui/phrase.h"

#include <string.h>

enum { MOST = 9 };

struct words {
    const char *p[MOST];
    size_t n[MOST];
    int k;
};

/* Each "*" takes as little as lets what follows it come next, the last one all there is: enough for sentences. */
static bool fits(struct words *w, const char *pattern, const char *text)
{
    w->k = 0;
    for (;;) {
        size_t n = strcspn(pattern, "*");
        if (strncmp(text, pattern, n) != 0)
            return false;
        pattern += n;
        text += n;
        if (!*pattern)
            return !*text;
        pattern++;
        char next[200];
        size_t m = strcspn(pattern, "*"), left = strlen(text);
        if (w->k == MOST || m >= sizeof next)
            return false;
        memcpy(next, pattern, m);
        next[m] = 0;
        bool last = !pattern[m];
        if (last && left < m)
            return false;
        const char *end = last ? text + left - m : strstr(text, next);
        if (!end)
            return false;
        w->p[w->k] = text;
        w->n[w->k++] = (size_t)(end - text);
        text = end;
    }
}

static bool put(char *out, size_t size, size_t *at, const char *s, size_t n)
{
    if (n >= size - *at)
        return false;
    memcpy(out + *at, s, n);
    out[*at += n] = 0;
    return true;
}

static bool fill(char *out, size_t size, const char *ko, const struct words *w)
{
    size_t at = 0;
    for (bool room = true; room;) {
        size_t n = strcspn(ko, "$");
        room = put(out, size, &at, ko, n);
        ko += n;
        if (!*ko)
            return room;
        int k = ko[1] - '1';
        if (k < 0 || k >= w->k)
            return false;
        room = room && put(out, size, &at, w->p[k], w->n[k]);
        ko += 2;
    }
    return false;
}

bool phrase_ko(char *ko, size_t size, const struct two *table, size_t n, const char *text)
{
    struct words w;
    for (size_t i = 0; i < n; i++)
        if (fits(&w, table[i].en, text)) {
            if (fill(ko, size, table[i].ko, &w))
                return true;
            break;
        }
    *ko = 0;
    return false;
}
