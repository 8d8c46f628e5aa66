#include "cli/bench_lines.h"

#include <string.h>

#include "base/file.h"
#include "base/mem.h"

enum { MAX_FILE = 16 << 20, MAX_LINES = 20000, MAX_TEXT = 2000 };

static int text(const char **out, const json_t *o, const char *key, bool opt, const char *where, struct err *e)
{
    int rc = json_get_str(out, o, key, opt, "", where, e);
    if (rc == 0 && strlen(*out) > MAX_TEXT)
        return err_set(e, ERR_LIMIT, "%s: \"%s\" has %zu bytes, at most %d are taken", where, key, strlen(*out),
                       MAX_TEXT);
    if (rc == 0 && !opt && !**out)
        return err_set(e, ERR_VALUE, "%s: \"%s\" is empty", where, key);
    return rc;
}

static int texts(struct bench_line *l, const json_t *o, const char *where, struct err *e)
{
    const struct {
        const char **dst, *key;
        bool opt;
    } field[] = {{&l->bench, "bench", false}, {&l->what, "what", false}, {&l->who, "who", false},
                 {&l->unit, "unit", false}, {&l->machine, "machine", false}, {&l->limit_name, "limit_name", true},
                 {&l->date, "date", true}, {&l->run, "run", true}, {&l->command, "command", true}};
    int rc = 0;
    for (size_t i = 0; i < sizeof field / sizeof *field && rc == 0; i++)
        rc = text(field[i].dst, o, field[i].key, field[i].opt, where, e);
    return rc;
}

static int numbers(struct bench_line *l, const json_t *o, const char *where, struct err *e)
{
    static const double most = 1e30;
    int64_t n = 0;
    int rc = json_get_real(&l->value, o, "value", 0, most, false, 0, where, e);
    if (rc == 0)
        rc = json_get_real(&l->min, o, "min", 0, l->value, false, 0, where, e);
    if (rc == 0)
        rc = json_get_real(&l->max, o, "max", l->value, most, false, 0, where, e);
    if (rc == 0)
        rc = json_get_int(&n, o, "n", 1, 1000000, false, 0, where, e);
    if (rc == 0)
        rc = json_get_real(&l->limit, o, "limit", 0, most, true, 0, where, e);
    if (rc == 0)
        rc = json_get_real(&l->fraction, o, "fraction", 0, most, true, 0, where, e);
    l->n = (int)n;
    if (l->fraction <= 0 && l->limit > 0)
        l->fraction = l->value / l->limit;
    return rc;
}

static int parse(struct bench_line *l, const char *p, size_t len, const char *where, struct err *e)
{
    const char *better;
    int rc = json_parse(&l->doc, p, len, where, e);
    if (rc == 0 && !json_is_object(l->doc))
        rc = err_set(e, ERR_FORMAT, "%s: not a JSON object", where);
    if (rc == 0)
        rc = texts(l, l->doc, where, e);
    if (rc == 0)
        rc = numbers(l, l->doc, where, e);
    if (rc == 0)
        rc = json_get_str(&better, l->doc, "better", false, "", where, e);
    if (rc == 0) {
        l->higher = strcmp(better, "higher") == 0;
        if (!l->higher && strcmp(better, "lower") != 0)
            rc = err_set(e, ERR_VALUE, "%s: \"better\" is \"%.40s\", expected higher or lower", where, better);
    }
    if (rc != 0) {
        json_decref(l->doc);
        *l = (struct bench_line){0};
    }
    return rc;
}

static int grow(struct bench_lines *l, const char *path, struct err *e)
{
    if (l->n < l->cap)
        return 0;
    if (l->n >= MAX_LINES)
        return err_set(e, ERR_LIMIT, "%s: more than %d lines", path, MAX_LINES);
    size_t cap = l->cap ? 2 * l->cap : 64;
    struct bench_line *v = mem_resize(l->v, cap, sizeof *v);
    if (!v)
        return err_set(e, ERR_NOMEM, "%s: no memory for %zu lines", path, cap);
    l->v = v;
    l->cap = cap;
    return 0;
}

int bench_lines_read(struct bench_lines *l, const char *path, struct err *e)
{
    struct buf b = {0}, where = {0};
    int rc = file_read(&b, path, MAX_FILE, e), number = 0;
    for (size_t at = 0; rc == 0 && at < b.len;) {
        const char *p = b.p + at, *end = memchr(p, '\n', b.len - at);
        size_t len = end ? (size_t)(end - p) : b.len - at;
        at += len + 1;
        number++;
        if (strspn(p, " \t\r") >= len)
            continue;
        buf_clear(&where);
        rc = buf_printf(&where, e, "%s line %d", path, number);
        if (rc == 0)
            rc = grow(l, path, e);
        if (rc == 0) {
            l->v[l->n] = (struct bench_line){0};
            rc = parse(&l->v[l->n], p, len, where.p, e);
        }
        if (rc == 0)
            l->n++;
    }
    buf_release(&where);
    buf_release(&b);
    return rc;
}

void bench_lines_release(struct bench_lines *l)
{
    for (size_t i = 0; i < l->n; i++)
        json_decref(l->v[i].doc);
    mem_free(l->v);
    *l = (struct bench_lines){0};
}

static int put_text(struct buf *b, const char *key, const char *v, struct err *e)
{
    if (!v || !*v)
        return 0;
    int rc = buf_printf(b, e, ",\"%s\":", key);
    return rc == 0 ? json_quote(b, v, strlen(v), e) : rc;
}

int bench_line_append(const char *path, const struct bench_line *l, struct err *e)
{
    struct buf b = {0};
    int rc = buf_adds(&b, "{\"bench\":", e);
    if (rc == 0)
        rc = json_quote(&b, l->bench, strlen(l->bench), e);
    if (rc == 0)
        rc = put_text(&b, "what", l->what, e);
    if (rc == 0)
        rc = put_text(&b, "who", l->who, e);
    if (rc == 0)
        rc = buf_printf(&b, e, ",\"value\":%.6g", l->value);
    if (rc == 0)
        rc = put_text(&b, "unit", l->unit, e);
    /* As many digits as the value has: rounding must not carry it past its own ends. */
    if (rc == 0)
        rc = buf_printf(&b, e, ",\"min\":%.6g,\"max\":%.6g,\"n\":%d,\"better\":\"%s\"", l->min, l->max, l->n,
                        l->higher ? "higher" : "lower");
    if (rc == 0 && l->limit > 0)
        rc = buf_printf(&b, e, ",\"limit\":%.6g", l->limit);
    if (rc == 0 && l->fraction > 0)
        rc = buf_printf(&b, e, ",\"fraction\":%.4g", l->fraction);
    const char *const key[] = {"limit_name", "machine", "date", "run", "command"};
    const char *const v[] = {l->limit_name, l->machine, l->date, l->run, l->command};
    for (size_t i = 0; i < sizeof key / sizeof *key && rc == 0; i++)
        rc = put_text(&b, key[i], v[i], e);
    if (rc == 0)
        rc = buf_adds(&b, "}\n", e);
    if (rc == 0)
        rc = file_append(path, b.p, b.len, e);
    buf_release(&b);
    return rc;
}
