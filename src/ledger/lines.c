#include "ledger/lines.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/codepoint.h"

/* ---- writing ---- */

static bool printable(const char *p, size_t n)
{
    for (size_t at = 0; at < n;) {
        int32_t cp;
        at += codepoint_next(&cp, p + at, n - at);
        if (cp < ' ' || cp == 0x7f)
            return false;
    }
    return true;
}

int lines_add(struct buf *b, const char *key, const char *value, struct err *e)
{
    if (!printable(value, strlen(value)))
        return err_set(e, ERR_VALUE,
                       "a ledger's %s cannot be \"%.80s\": control characters or bytes that are not UTF-8", key, value);
    return buf_printf(b, e, "%s %s\n", key, value);
}

int lines_add_count(struct buf *b, const char *key, uint64_t v, struct err *e)
{
    return buf_printf(b, e, "%s %" PRIu64 "\n", key, v);
}

int lines_add_real(struct buf *b, const char *key, double v, struct err *e)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    return buf_printf(b, e, "%s 0x%016" PRIx64 "\n", key, bits);
}

int lines_add_reals(struct buf *b, const char *key, const double *v, size_t n, struct err *e)
{
    int rc = buf_reserve(b, strlen(key) + 16 * n + 2, e);
    if (rc == 0)
        rc = buf_printf(b, e, "%s ", key);
    for (size_t i = 0; i < n && rc == 0; i++) {
        uint64_t bits;
        memcpy(&bits, &v[i], sizeof bits);
        rc = buf_printf(b, e, "%016" PRIx64, bits);
    }
    return rc ? rc : buf_addc(b, '\n', e);
}

int lines_add_digest(struct buf *b, const char *key, const struct digest *d, struct err *e)
{
    char hex[65];
    digest_hex(hex, d);
    return buf_printf(b, e, "%s %s\n", key, hex);
}

/* ---- reading ---- */

bool lines_at(const struct lines *t, const char *key)
{
    size_t n = strlen(key);
    return t->n > n && memcmp(t->p, key, n) == 0 && t->p[n] == ' ';
}

static int shown(size_t n) { return n < 60 ? (int)n : 60; }

int lines_take(struct lines *t, const char *key, struct line_value *v, struct err *e)
{
    const char *end = t->n ? memchr(t->p, '\n', t->n) : NULL;
    if (!end)
        return err_set(e, ERR_FORMAT, "%s: ends where %s was expected", t->where, key);
    if (!lines_at(t, key) || t->p + strlen(key) >= end)
        return err_set(e, ERR_FORMAT, "%s: has the line \"%.*s\" where %s was expected", t->where,
                       shown((size_t)(end - t->p)), t->p, key);
    v->p = t->p + strlen(key) + 1;
    v->n = (size_t)(end - v->p);
    if (!printable(v->p, v->n))
        return err_set(e, ERR_FORMAT, "%s: %s holds a control character or bytes that are not UTF-8", t->where, key);
    t->n -= (size_t)(end + 1 - t->p);
    t->p = end + 1;
    return 0;
}

static int wrong(const struct lines *t, const char *key, const struct line_value *v, const char *want,
                 struct err *e)
{
    return err_set(e, ERR_FORMAT, "%s: %s is \"%.*s\", expected %s", t->where, key, shown(v->n), v->p, want);
}

int lines_take_text(char *out, size_t size, struct lines *t, const char *key, struct err *e)
{
    struct line_value v;
    int rc = lines_take(t, key, &v, e);
    if (rc)
        return rc;
    if (v.n >= size)
        return err_set(e, ERR_LIMIT, "%s: %s has %zu bytes, expected fewer than %zu", t->where, key, v.n, size);
    memcpy(out, v.p, v.n);
    out[v.n] = 0;
    return 0;
}

int lines_take_count(struct lines *t, const char *key, uint64_t *out, struct err *e)
{
    struct line_value v;
    int rc = lines_take(t, key, &v, e);
    if (rc)
        return rc;
    bool good = v.n > 0 && (v.n == 1 || v.p[0] != '0');
    *out = 0;
    for (size_t i = 0; good && i < v.n; i++) {
        uint64_t d = (uint64_t)(v.p[i] - '0');
        good = v.p[i] >= '0' && v.p[i] <= '9' && *out <= (UINT64_MAX - d) / 10;
        *out = *out * 10 + d;
    }
    return good ? 0 : wrong(t, key, &v, "a decimal number below 2^64", e);
}

static int nibble(char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1; }

/* Lower-case hex digits to bytes, first digit first. */
static bool hex(uint8_t *out, const char *p, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        int hi = nibble(p[2 * i]), lo = nibble(p[2 * i + 1]);
        if (hi < 0 || lo < 0)
            return false;
        out[i] = (uint8_t)(hi << 4 | lo);
    }
    return true;
}

static bool real_of(double *out, const char *digits)
{
    uint8_t b[8];
    uint64_t bits = 0;
    if (!hex(b, digits, sizeof b))
        return false;
    for (size_t i = 0; i < sizeof b; i++)
        bits = bits << 8 | b[i];
    memcpy(out, &bits, sizeof bits);
    return true;
}

int lines_take_real(struct lines *t, const char *key, double *out, struct err *e)
{
    struct line_value v;
    int rc = lines_take(t, key, &v, e);
    if (rc)
        return rc;
    if (v.n != 18 || memcmp(v.p, "0x", 2) != 0 || !real_of(out, v.p + 2))
        return wrong(t, key, &v, "0x and 16 hex digits", e);
    return 0;
}

int lines_take_reals(struct lines *t, const char *key, double *out, size_t n, struct err *e)
{
    struct line_value v;
    int rc = lines_take(t, key, &v, e);
    if (rc)
        return rc;
    bool good = v.n / 16 == n && v.n % 16 == 0;
    for (size_t i = 0; good && i < n; i++)
        good = real_of(&out[i], v.p + 16 * i);
    return good ? 0 : err_set(e, ERR_FORMAT, "%s: %s is not %zu times 16 hex digits", t->where, key, n);
}

int lines_take_digest(struct lines *t, const char *key, struct digest *d, struct err *e)
{
    struct line_value v;
    int rc = lines_take(t, key, &v, e);
    if (rc)
        return rc;
    return v.n == 64 && hex(d->b, v.p, sizeof d->b) ? 0 : wrong(t, key, &v, "64 hex digits", e);
}

int lines_end(const struct lines *t, struct err *e)
{
    const char *end = t->n ? memchr(t->p, '\n', t->n) : NULL;
    return t->n == 0 ? 0 : err_set(e, ERR_FORMAT, "%s: has the line \"%.*s\" where it should end", t->where,
                                   shown(end ? (size_t)(end - t->p) : t->n), t->p);
}
