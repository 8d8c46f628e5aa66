#include "formats/record.h"

#include <stdint.h>
#include <string.h>

#include "base/codepoint.h"
#include "base/scan.h"

enum { MAX_DEPTH = 8, MAX_KEYS = 64, MAX_WHOLE = 18, MAX_REAL = 64 };

struct span {
    size_t at, n;
    bool escaped;
};
enum kind { NOTHING, STRING, INTEGER, OTHER };
struct value {
    enum kind kind;
    struct span s; /* of a string or an integer */
};
struct scan {
    const char *p;
    size_t i, n;
    struct span key[MAX_KEYS]; /* of all objects that are open, the innermost last */
    int n_key;
};

enum field { TEXT, ID, SOURCE, LICENSE, LANG, N_FIELDS };
static const char *const field_name[N_FIELDS] = {"text", "id", "source", "license", "lang"};

static int peek(const struct scan *s) { return s->i < s->n ? (unsigned char)s->p[s->i] : -1; }

static int skip_space(struct scan *s)
{
    while (s->i < s->n && (s->p[s->i] == ' ' || s->p[s->i] == '\t' || s->p[s->i] == '\n' || s->p[s->i] == '\r')) s->i++;
    return peek(s);
}

/* The next thing that is not space must be c. */
static bool take(struct scan *s, char c)
{
    bool is = skip_space(s) == c;
    s->i += is;
    return is;
}

/* ---- strings ---- */

static int hex4(const char *p)
{
    int v = 0;
    for (int i = 0; i < 4; i++) {
        int c = p[i], low = c | 32;
        int d = c >= '0' && c <= '9' ? c - '0' : low >= 'a' && low <= 'f' ? low - 'a' + 10 : -1;
        if (d < 0) return -1;
        v = v << 4 | d;
    }
    return v;
}

/* The character of the escape at p[0..n), after its backslash; its length in *used.  −1: not a valid one, or NUL. */
static int32_t escape(const char *p, size_t n, size_t *used)
{
    static const char short_form[128] = {['"'] = '"',  ['\\'] = '\\', ['/'] = '/',  ['b'] = '\b',
                                         ['f'] = '\f', ['n'] = '\n',  ['r'] = '\r', ['t'] = '\t'};
    if (n == 0 || (unsigned char)*p >= 128) return -1;
    *used = 1;
    if (short_form[(unsigned char)*p]) return short_form[(unsigned char)*p];
    if (*p != 'u' || n < 5) return -1;
    int32_t v = hex4(p + 1);
    *used = 5;
    if (v <= 0 || (v & 0xF800) != 0xD800) return v > 0 ? v : -1;
    if (v >= 0xDC00 || n < 11 || p[5] != '\\' || p[6] != 'u') return -1;
    int32_t low = hex4(p + 7);
    *used = 11;
    return low >= 0xDC00 && low <= 0xDFFF ? 0x10000 + ((v - 0xD800) << 10) + (low - 0xDC00) : -1;
}

/* One escape or character of a string, before its end; false: not a valid one. */
static bool string_char(struct scan *s, struct span *of)
{
    const char *p = s->p + s->i;
    int32_t cp;
    size_t used = 0, left = s->n - s->i;
    if (*p == '\\') {
        cp = escape(p + 1, left - 1, &used);
        used++;
        of->escaped = true;
    } else {
        used = codepoint_next(&cp, p, left);
        if (cp < 0x20) return false;
    }
    s->i += used;
    return cp >= 0;
}

static bool string(struct scan *s, struct span *out)
{
    if (!take(s, '"')) return false;
    *out = (struct span){s->i, 0, false};
    for (;;) {
        s->i = scan_json_easy((const unsigned char *)s->p, s->i, s->n, &out->escaped);
        int c = peek(s);
        do {
            if (c == '"') {
                out->n = s->i++ - out->at;
                return true;
            }
            if (c < 0 || !string_char(s, out)) return false;
            c = peek(s);
        } while (c < 0 || c == '"' || !scan_pays((unsigned char)c, s->n - s->i));
    }
}

static size_t put_utf8(char *out, int32_t cp)
{
    size_t n = cp < 0x80 ? 1 : cp < 0x800 ? 2 : cp < 0x10000 ? 3 : 4;
    static const uint8_t lead[5] = {0, 0, 0xC0, 0xE0, 0xF0};
    for (size_t i = n; i-- > 1; cp >>= 6) out[i] = (char)(0x80 | (cp & 0x3F));
    out[0] = (char)(lead[n] | cp);
    return n;
}

/* In place, with a NUL where the quote was or before it. */
static size_t decode(char *line, const struct span *f)
{
    char *s = line + f->at, *end = s + f->n, *out = s, *from = s;
    while (f->escaped) {
        char *slash = memchr(from, '\\', (size_t)(end - from));
        size_t run = (size_t)((slash ? slash : end) - from), used;
        if (out != from) memmove(out, from, run);
        out += run;
        if (!slash) break;
        int32_t cp = escape(slash + 1, (size_t)(end - slash - 1), &used);
        out += put_utf8(out, cp);
        from = slash + 1 + used;
    }
    if (!f->escaped) out = end;
    *out = 0;
    return (size_t)(out - s);
}

/* ---- values ---- */

static bool word(struct scan *s, const char *w)
{
    size_t n = strlen(w);
    if (s->n - s->i < n || memcmp(s->p + s->i, w, n) != 0) return false;
    s->i += n;
    return true;
}

static bool digit(const struct scan *s) { return peek(s) >= '0' && peek(s) <= '9'; }

/* Integers have no limit. */
static bool number(struct scan *s, struct value *v)
{
    size_t start = s->i;
    s->i += peek(s) == '-';
    size_t from = s->i;
    while (digit(s)) s->i++;
    size_t digits = s->i - from;
    if (digits == 0 || (digits > 1 && s->p[from] == '0')) return false;
    v->kind = INTEGER;
    if (peek(s) == '.') {
        v->kind = OTHER;
        s->i++;
        if (digits > MAX_WHOLE || !digit(s)) return false;
        while (digit(s) && s->i - start < MAX_REAL) s->i++;
    }
    v->s = (struct span){start, s->i - start, false};
    int c = peek(s);
    return c != 'e' && c != 'E' && !digit(s);
}

static bool value(struct scan *s, struct value *v, int depth);

static bool new_key(struct scan *s, int first)
{
    struct span k;
    if (s->n_key == MAX_KEYS || !string(s, &k) || k.escaped) return false;
    for (int i = first; i < s->n_key; i++)
        if (s->key[i].n == k.n && memcmp(s->p + s->key[i].at, s->p + k.at, k.n) == 0) return false;
    s->key[s->n_key++] = k;
    return true;
}

static void keep_field(struct value *fields, const struct scan *s, const struct span *key, const struct value *v)
{
    for (int f = 0; f < N_FIELDS; f++)
        if (strlen(field_name[f]) == key->n && memcmp(field_name[f], s->p + key->at, key->n) == 0) fields[f] = *v;
}

/* At the brace; fields: where the outermost object's values go, else NULL. */
static bool object(struct scan *s, struct value *fields, int depth)
{
    int first = s->n_key;
    if (!take(s, '{')) return false;
    if (take(s, '}')) return true;
    do {
        struct value v = {0};
        if (!new_key(s, first) || !take(s, ':') || !value(s, &v, depth)) return false;
        if (fields) keep_field(fields, s, &s->key[s->n_key - 1], &v);
    } while (take(s, ','));
    s->n_key = first;
    return take(s, '}');
}

static bool array(struct scan *s, int depth)
{
    if (!take(s, '[')) return false;
    if (take(s, ']')) return true;
    do {
        struct value v = {0};
        if (!value(s, &v, depth)) return false;
    } while (take(s, ','));
    return take(s, ']');
}

static bool value(struct scan *s, struct value *v, int depth)
{
    int c = skip_space(s);
    if (c == '"') {
        v->kind = STRING;
        return string(s, &v->s);
    }
    if (c == '-' || (c >= '0' && c <= '9')) return number(s, v);
    v->kind = OTHER;
    if (c == '{' || c == '[') {
        if (depth == MAX_DEPTH) return false;
        return c == '{' ? object(s, NULL, depth + 1) : array(s, depth + 1);
    }
    return word(s, c == 't' ? "true" : c == 'f' ? "false" : "null");
}

/* ---- the record ---- */

static const char *string_or_empty(char *line, const struct value *v)
{
    if (v->kind != STRING) return "";
    decode(line, &v->s);
    return line + v->s.at;
}

/* A string or the digits of an integer, in one form: −0 is 0. */
static const char *id_or_empty(char *line, const struct value *v)
{
    char *s = line + v->s.at;
    if (v->kind != INTEGER) return string_or_empty(line, v);
    s[v->s.n] = 0; /* what follows a number is read by now */
    return s + (s[0] == '-' && s[1] == '0');
}

bool record_scan(struct record *r, char *line, size_t n)
{
    struct scan s = {.p = line, .n = n};
    struct value f[N_FIELDS] = {{0}};
    if (!object(&s, f, 0) || skip_space(&s) >= 0 || f[TEXT].kind != STRING) return false;
    r->text = line + f[TEXT].s.at;
    r->n = decode(line, &f[TEXT].s);
    r->id = id_or_empty(line, &f[ID]);
    r->source = string_or_empty(line, &f[SOURCE]);
    r->license = string_or_empty(line, &f[LICENSE]);
    r->lang = string_or_empty(line, &f[LANG]);
    return true;
}
