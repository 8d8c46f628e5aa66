#include "base/json.h"

#include <assert.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/codepoint.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/scan.h"

/* jansson does not always tell short memory from bad input, and where the buffer of a string could not grow for the
 * closing quote, it looks for the quote beyond the buffer and writes over the heap (2.14, lex_scan_string).  So a
 * reserve is kept while it parses: the first allocation that fails is made from there, and the text ends before the
 * next block of it. */
static _Thread_local struct {
    bool was_short;
    void *reserve;
} memory;

static void *json_alloc(size_t n)
{
    void *p = mem_resize(NULL, n, 1);
    if (p) return p;
    memory.was_short = true;
    if (!memory.reserve) return NULL;
    mem_free(memory.reserve);
    memory.reserve = NULL;
    return mem_resize(NULL, n, 1);
}

static void use_shims(void) { json_set_alloc_funcs(json_alloc, mem_free); }

struct source {
    const char *p;
    size_t n;
};

/* The next block of the text. */
static size_t feed(void *out, size_t cap, void *user)
{
    struct source *s = user;
    size_t n = memory.was_short ? 0 : s->n < cap ? s->n : cap;
    if (n) memcpy(out, s->p, n);
    s->p += n;
    s->n -= n;
    return n;
}

static size_t longest_string(const char *p, size_t n)
{
    size_t longest = 0;
    for (size_t i = 0; i < n; i++) {
        const char *quote = memchr(p + i, '"', n - i);
        if (!quote) break;
        size_t from = (size_t)(quote - p);
        for (i = from + 1; i < n && p[i] != '"';) {
            size_t plain = scan_json_plain(p + i, n - i);
            i += plain ? plain : p[i] == '\\' ? 2 : 1;
        }
        if (i - from > longest) longest = i - from;
    }
    return longest;
}

static int parse(json_t **out, const char *text, size_t n, size_t flags, const char *where, struct err *e)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, use_shims);
    enum { SMALL = 64 << 10 }; /* for what the rest of a block holds */
    json_error_t j;
    struct source s = {text, n};
    memory.was_short = false;
    memory.reserve = mem_resize(NULL, longest_string(text, n) + SMALL / 4, 4); /* a buffer grows to twice its size */
    *out = memory.reserve ? json_load_callback(feed, &s, flags, &j) : NULL;
    bool was_short = memory.was_short || !memory.reserve;
    mem_free(memory.reserve);
    memory.reserve = NULL;
    if (*out && !was_short) return 0;
    json_decref(*out); /* short of memory, jansson may also lose a character of a string and go on */
    *out = NULL;
    if (was_short) return err_set(e, ERR_NOMEM, "%s: out of memory", where);
    return err_set(e, ERR_FORMAT, "%s: not valid JSON, line %d column %d: %s", where, j.line, j.column, j.text);
}

int json_parse(json_t **out, const char *text, size_t n, const char *where, struct err *e)
{
    return parse(out, text, n, JSON_REJECT_DUPLICATES, where, e);
}

int json_parse_string(json_t **out, const char *text, size_t n, const char *where, struct err *e)
{
    int rc = parse(out, text, n, JSON_DECODE_ANY | JSON_ALLOW_NUL, where, e);
    if (rc || json_is_string(*out)) return rc;
    json_decref(*out);
    *out = NULL;
    return err_set(e, ERR_FORMAT, "%s: is not a JSON string", where);
}

int json_read(json_t **out, const char *path, size_t limit, struct err *e)
{
    struct buf b = {0};
    *out = NULL;
    int rc = file_read(&b, path, limit, e);
    if (!rc) rc = json_parse(out, b.p, b.len, path, e);
    buf_release(&b);
    return rc;
}

/* ---- text ---- */

/* What stands between the quotes of a string. */
static int escape(struct buf *b, const char *s, size_t n, struct err *e)
{
    static const char hex[] = "0123456789abcdef";
    static const char two[128] = {['"'] = '"', ['\\'] = '\\', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't'};
    for (size_t i = 0; i < n;) {
        size_t run = scan_json_plain(s + i, n - i);
        int rc = buf_reserve(b, run + 6, e);
        if (rc) return rc;
        memcpy(b->p + b->len, s + i, run);
        b->len += run;
        i += run;
        if (i < n) {
            unsigned c = (unsigned char)s[i++];
            const char esc[6] = {'\\', two[c] ? two[c] : 'u', '0', '0', hex[c >> 4 & 15], hex[c & 15]};
            memcpy(b->p + b->len, esc, two[c] ? 2 : 6);
            b->len += two[c] ? 2 : 6;
        }
        b->p[b->len] = 0;
    }
    return 0;
}

int json_quote_valid(struct buf *b, const char *s, size_t n, struct err *e)
{
    int rc = buf_reserve(b, n + n / 16 + 16, e);
    if (!rc) rc = buf_addc(b, '"', e);
    if (!rc) rc = escape(b, s, n, e);
    return rc ? rc : buf_addc(b, '"', e);
}

int json_quote(struct buf *b, const char *s, size_t n, struct err *e)
{
    size_t from = 0;
    int rc = buf_addc(b, '"', e);
    for (size_t i = 0, k; !rc && i < n; i += k) {
        int32_t cp;
        k = codepoint_next(&cp, s + i, n - i);
        if (cp >= 0) continue;
        rc = escape(b, s + from, i - from, e);
        if (!rc) rc = buf_adds(b, "\xEF\xBF\xBD", e);
        from = i + k;
    }
    if (!rc) rc = escape(b, s + from, n - from, e);
    return rc ? rc : buf_addc(b, '"', e);
}

static int print_real(struct buf *b, double x, struct err *e)
{
    char t[40];
    if (!isfinite(x)) return err_set(e, ERR_VALUE, "a number for JSON is not finite");
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(t, sizeof t, "%.*g", digits, x);
        if (strtod(t, NULL) == x) break;
    }
    if (!strpbrk(t, ".e")) strcat(t, ".0");
    return buf_adds(b, t, e);
}

static int new_line(struct buf *b, int indent, int depth, struct err *e)
{
    if (!indent) return 0;
    return buf_printf(b, e, "\n%*s", indent * depth, "");
}

static int print(struct buf *b, const json_t *v, int indent, int depth, struct err *e);

static int print_array(struct buf *b, const json_t *v, int indent, int depth, struct err *e)
{
    size_t n = json_array_size(v);
    int rc = buf_addc(b, '[', e);
    for (size_t i = 0; !rc && i < n; i++) {
        if (i) rc = buf_addc(b, ',', e);
        if (!rc) rc = new_line(b, indent, depth + 1, e);
        if (!rc) rc = print(b, json_array_get(v, i), indent, depth + 1, e);
    }
    if (!rc && n) rc = new_line(b, indent, depth, e);
    return rc ? rc : buf_addc(b, ']', e);
}

static int print_object(struct buf *b, const json_t *v, int indent, int depth, struct err *e)
{
    const char *key;
    json_t *item;
    bool first = true;
    int rc = buf_addc(b, '{', e);
    json_object_foreach((json_t *)(uintptr_t)v, key, item) {
        if (!rc && !first) rc = buf_addc(b, ',', e);
        if (!rc) rc = new_line(b, indent, depth + 1, e);
        if (!rc) rc = json_quote(b, key, strlen(key), e);
        if (!rc) rc = buf_adds(b, indent ? ": " : ":", e);
        if (!rc) rc = print(b, item, indent, depth + 1, e);
        first = false;
        if (rc) return rc;
    }
    if (!rc && !first) rc = new_line(b, indent, depth, e);
    return rc ? rc : buf_addc(b, '}', e);
}

static int print(struct buf *b, const json_t *v, int indent, int depth, struct err *e)
{
    if (depth > 2048) return err_set(e, ERR_LIMIT, "JSON nested deeper than 2048");
    switch (json_typeof(v)) {
    case JSON_OBJECT: return print_object(b, v, indent, depth, e);
    case JSON_ARRAY: return print_array(b, v, indent, depth, e);
    case JSON_STRING: return json_quote(b, json_string_value(v), json_string_length(v), e);
    case JSON_INTEGER: return buf_printf(b, e, "%lld", (long long)json_integer_value(v));
    case JSON_REAL: return print_real(b, json_real_value(v), e);
    case JSON_TRUE: return buf_adds(b, "true", e);
    case JSON_FALSE: return buf_adds(b, "false", e);
    case JSON_NULL: return buf_adds(b, "null", e);
    }
    return err_set(e, ERR_VALUE, "a JSON value of an unknown type");
}

int json_print(struct buf *b, const json_t *v, int indent, struct err *e) { return print(b, v, indent, 0, e); }

int json_write(const char *path, const json_t *v, struct err *e)
{
    struct buf b = {0};
    int rc = v ? json_print(&b, v, 2, e) : err_set(e, ERR_NOMEM, "out of memory");
    if (!rc) rc = buf_addc(&b, '\n', e);
    if (rc) err_prefix(e, "%s", path);
    else rc = file_replace(path, b.p, b.len, e);
    buf_release(&b);
    return rc;
}

/* ---- fields ---- */

static const char *kind(const json_t *v)
{
    switch (json_typeof(v)) {
    case JSON_OBJECT: return "an object";
    case JSON_ARRAY: return "an array";
    case JSON_STRING: return "a string";
    case JSON_INTEGER: return "an integer";
    case JSON_REAL: return "a real number";
    case JSON_TRUE:
    case JSON_FALSE: return "a boolean";
    default: return "null";
    }
}

/* 1: *v is the field; 0: absent (or null) and optional; negative: absent and needed. */
static int field(const json_t **v, const json_t *obj, const char *key, bool opt, const char *where, struct err *e)
{
    *v = json_object_get(obj, key);
    if (*v && !(opt && json_is_null(*v))) return 1;
    if (opt) return 0;
    return err_set(e, ERR_FORMAT, "%s: \"%s\" is missing", where, key);
}

static int wrong(const json_t *v, const char *key, const char *want, const char *where, struct err *e)
{
    return err_set(e, ERR_FORMAT, "%s: \"%s\" is %s, expected %s", where, key, kind(v), want);
}

int json_get_int(int64_t *out, const json_t *obj, const char *key, int64_t lo, int64_t hi, bool opt, int64_t dflt,
                 const char *where, struct err *e)
{
    const json_t *v;
    int rc = field(&v, obj, key, opt, where, e);
    *out = dflt;
    if (rc <= 0) return rc;
    int64_t x;
    if (json_is_integer(v)) x = json_integer_value(v);
    else {
        double r = json_is_real(v) ? json_real_value(v) : 0.5; /* Python writers put 1e6 or 1000000.0 */
        if (!(fabs(r) < 0x1p53) || r != floor(r)) return wrong(v, key, "an integer", where, e);
        x = (int64_t)r;
    }
    if (x < lo || x > hi)
        return err_set(e, ERR_VALUE, "%s: \"%s\" is %lld, expected %lld to %lld", where, key, (long long)x,
                       (long long)lo, (long long)hi);
    *out = x;
    return 0;
}

int json_get_real(double *out, const json_t *obj, const char *key, double lo, double hi, bool opt, double dflt,
                  const char *where, struct err *e)
{
    const json_t *v;
    int rc = field(&v, obj, key, opt, where, e);
    *out = dflt;
    if (rc <= 0) return rc;
    if (!json_is_number(v)) return wrong(v, key, "a number", where, e);
    double x = json_number_value(v);
    if (!(x >= lo && x <= hi))
        return err_set(e, ERR_VALUE, "%s: \"%s\" is %g, expected %g to %g", where, key, x, lo, hi);
    *out = x;
    return 0;
}

int json_get_bool(bool *out, const json_t *obj, const char *key, bool opt, bool dflt, const char *where,
                  struct err *e)
{
    const json_t *v;
    int rc = field(&v, obj, key, opt, where, e);
    *out = dflt;
    if (rc <= 0) return rc;
    if (!json_is_boolean(v)) return wrong(v, key, "true or false", where, e);
    *out = json_is_true(v);
    return 0;
}

int json_get_str(const char **out, const json_t *obj, const char *key, bool opt, const char *dflt, const char *where,
                 struct err *e)
{
    const json_t *v;
    int rc = field(&v, obj, key, opt, where, e);
    *out = dflt;
    if (rc <= 0) return rc;
    if (!json_is_string(v)) return wrong(v, key, "a string", where, e);
    *out = json_string_value(v);
    return 0;
}

/* ---- building ---- */

static json_t *whole(json_t *built, int failed)
{
    if (!failed) return built;
    json_decref(built);
    return NULL;
}

json_t *json_with(json_t *obj, const char *key, json_t *v) { return whole(obj, json_object_set_new(obj, key, v)); }

json_t *json_and(json_t *array, json_t *v) { return whole(array, json_array_append_new(array, v)); }
