#include "formats/longint.h"

#include <stdio.h>
#include <string.h>

struct span {
    size_t at, n; /* of the digits */
};

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

static size_t string_end(const char *p, size_t i, size_t n)
{
    for (i++; i < n && p[i] != '"'; i++) i += p[i] == '\\';
    return i < n ? i + 1 : n;
}

/* Part of a real number or of what is no number; the sign of an exponent stands between. */
static bool goes_on(const char *p, size_t from)
{
    size_t before = from && p[from - 1] == '-' ? from - 1 : from;
    return before && (is_digit(p[before - 1]) || strchr(".eE+-", p[before - 1])) && p[before - 1];
}

/* The next long integer from p[*at] on, where no string is open. */
static bool next(const char *p, size_t n, size_t *at, struct span *s)
{
    while (*at < n) {
        size_t i = *at, from = i;
        if (p[i] == '"') {
            *at = string_end(p, i, n);
            continue;
        }
        while (i < n && is_digit(p[i])) i++;
        *at = i + (i == from);
        bool real = i < n && p[i] && strchr(".eE", p[i]);
        if (i - from < LONGINT_DIGITS || p[from] == '0' || real || goes_on(p, from)) continue;
        *s = (struct span){from, i - from};
        return true;
    }
    return false;
}

int longint_hide(struct buf *out, const char *line, size_t n, struct err *e)
{
    struct span s;
    size_t at = 0;
    buf_clear(out);
    for (long long k = 0; next(line, n, &at, &s); k++) {
        char stand_in[32];
        int rc = k ? 0 : buf_add(out, line, n, e);
        if (rc) return rc;
        int len = snprintf(stand_in, sizeof stand_in, "%lld", LONGINT_FIRST + k);
        memset(out->p + s.at, ' ', s.n);
        memcpy(out->p + s.at, stand_in, (size_t)len);
    }
    return 0;
}

const char *longint_find(const char *line, size_t n, long long value, size_t *len)
{
    struct span s;
    size_t at = 0, minus = value < 0;
    long long k = (minus ? -value : value) - LONGINT_FIRST;
    if (k < 0) return NULL;
    do
        if (!next(line, n, &at, &s)) return NULL;
    while (k-- > 0);
    *len = s.n + minus;
    return line + s.at - minus;
}
