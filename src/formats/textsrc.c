#include "formats/textsrc.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "formats/instream.h"
#include "formats/longint.h"
#include "formats/record.h"

enum { CHUNK = 1 << 17 };

struct textsrc {
    struct instream *in;
    enum textsrc_kind kind;
    char *path;
    size_t limit;
    bool report, done;
    uint64_t line;
    struct err why;           /* what is wrong with the last line, without the path */
    struct buf doc;           /* the text of a .txt, a line of a .jsonl that crosses chunks */
    char *p;                  /* the line, in doc or in the chunk; NUL follows */
    size_t n;
    struct buf id;            /* an id that was a number, for the full parser */
    struct buf hidden;        /* a line with its long integers replaced */
    json_t *record;           /* owns the strings of the last document */
    size_t at, len;           /* unread part of chunk */
    char chunk[CHUNK];
};

enum textsrc_kind textsrc_kind(const char *path)
{
    static const struct {
        const char *end;
        enum textsrc_kind kind;
    } ends[] = {{".txt", TEXTSRC_TXT}, {".md", TEXTSRC_TXT}, {".jsonl", TEXTSRC_JSONL}};
    const char *slash = strrchr(path, '/');
    size_t n = instream_stem(path), from = slash ? (size_t)(slash - path) + 1 : 0;
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        size_t k = strlen(ends[i].end);
        if (n > from + k && !strncasecmp(path + n - k, ends[i].end, k)) return ends[i].kind;
    }
    return TEXTSRC_NONE;
}

static int not_a_source(const char *path, struct err *e)
{
    if (!file_exists(path)) return err_set(e, ERR_IO, "%s: cannot open: %s", path, strerror(errno));
    if (file_is_dir(path)) return err_set(e, ERR_VALUE, "%s: is a folder; expected a .txt, .md or .jsonl file", path);
    return err_set(e, ERR_VALUE, "%s: not a text source; expected .txt, .md or .jsonl, plain, .gz or .zst", path);
}

int textsrc_open(struct textsrc **out, const char *path, size_t limit, struct err *e)
{
    *out = NULL;
    enum textsrc_kind kind = textsrc_kind(path);
    if (kind == TEXTSRC_NONE) return not_a_source(path, e);
    struct textsrc *s = mem_new(1, sizeof *s);
    if (!s || !(s->path = mem_strdup(path))) {
        mem_free(s);
        return err_set(e, ERR_NOMEM, "%s: out of memory", path);
    }
    s->kind = kind;
    s->limit = limit;
    int rc = instream_open(&s->in, path, e);
    if (rc) textsrc_close(s);
    else *out = s;
    return rc;
}

int textsrc_switch(struct textsrc *s, const char *path, struct err *e)
{
    enum textsrc_kind kind = textsrc_kind(path);
    char *own = mem_strdup(path);
    if (!own) return err_set(e, ERR_NOMEM, "%s: out of memory", path);
    mem_free(s->path);
    s->path = own;
    s->kind = kind;
    s->done = false;
    s->line = 0;
    s->at = s->len = 0;
    return kind == TEXTSRC_NONE ? not_a_source(path, e) : instream_switch(s->in, path, e);
}

void textsrc_close(struct textsrc *s)
{
    if (!s) return;
    instream_close(s->in);
    json_decref(s->record);
    buf_release(&s->doc);
    buf_release(&s->id);
    buf_release(&s->hidden);
    mem_free(s->path);
    mem_free(s);
}

void textsrc_report(struct textsrc *s, bool on) { s->report = on; }

void textsrc_hash(struct textsrc *s, struct sha256 *sha) { instream_hash(s->in, sha); }

int textsrc_drain(struct textsrc *s, uint64_t *bytes, struct err *e) { return instream_drain(s->in, bytes, e); }

/* ---- bytes ---- */

/* Reads on up to the next '\n' (a .jsonl) or the end (a .txt).  *more = 0: nothing was left.  What goes
 * beyond the limit is passed over without being kept, and *too_long says so. */
static int read_piece(struct textsrc *s, bool *more, bool *too_long, struct err *e)
{
    buf_clear(&s->doc);
    *more = *too_long = false;
    for (;;) {
        if (s->at == s->len) {
            s->at = 0;
            int rc = instream_read(s->in, s->chunk, CHUNK, &s->len, e);
            if (rc) return rc;
            if (s->len == 0) break;
        }
        *more = true;
        char *from = s->chunk + s->at, *nl = NULL;
        size_t n = s->len - s->at;
        if (s->kind == TEXTSRC_JSONL && (nl = memchr(from, '\n', n))) n = (size_t)(nl - from);
        s->at += n + (nl != NULL);
        if (n > s->limit - s->doc.len) *too_long = true;
        if (nl && s->doc.len == 0 && !*too_long) { /* all of it lies in the chunk */
            *nl = 0;
            s->p = from;
            s->n = n;
            return 0;
        }
        if (!*too_long && buf_add(&s->doc, from, n, NULL))
            return err_set(e, ERR_NOMEM, "%s: out of memory for a document of %zu bytes", s->path, s->doc.len + n);
        if (nl) break;
    }
    s->p = s->doc.p;
    s->n = s->doc.len;
    return 0;
}

/* ---- documents ---- */

static void drop_bom(struct textsrc *s)
{
    if (s->n < 3 || memcmp(s->p, "\xEF\xBB\xBF", 3) != 0) return;
    s->p += 3;
    s->n -= 3;
}

static int next_txt(struct textsrc *s, struct textsrc_doc *d, struct err *e)
{
    bool more, too_long;
    if (s->done) return 0;
    s->done = true;
    int rc = read_piece(s, &more, &too_long, e);
    if (rc) return rc;
    if (too_long) return err_set(e, ERR_LIMIT, "%s: a document longer than %zu bytes", s->path, s->limit);
    drop_bom(s);
    d->text = s->p ? s->p : "";
    d->n = s->n;
    d->line = 1;
    return 1;
}

static const char *string_or_empty(const json_t *record, const char *key)
{
    const char *v = json_string_value(json_object_get(record, key));
    return v ? v : "";
}

/* The digits as they stand; shorter ones have one form, but for −0. */
static int number_id(struct textsrc *s, struct textsrc_doc *d, long long id, struct err *e)
{
    size_t n = 0;
    const char *digits = longint_find(s->p, s->n, id, &n);
    buf_clear(&s->id);
    int rc = digits ? buf_add(&s->id, digits, n, e) : buf_printf(&s->id, e, "%lld", id);
    if (!rc) d->id = s->id.p;
    return rc;
}

/* False: one for the full parser. */
static bool scan_record(struct textsrc *s, struct textsrc_doc *d)
{
    struct record r;
    if (!s->p || !record_scan(&r, s->p, s->n)) return false;
    *d = (struct textsrc_doc){r.text, r.n, r.id, r.source, r.license, r.lang, s->line, 0, ""};
    return true;
}

static int full_parse(struct textsrc *s, struct err *why)
{
    int rc = longint_hide(&s->hidden, s->p, s->n, why);
    bool hidden = s->hidden.len > 0;
    return rc ? rc : json_parse(&s->record, hidden ? s->hidden.p : s->p, s->n, "", why);
}

/* What the line is of input may be quoted in it. */
static int bad_line(struct textsrc *s, int code, const char *what)
{
    err_set(&s->why, code, "line %llu%s", (unsigned long long)s->line, what);
    for (char *p = s->why.msg; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7F) *p = '?';
    return code;
}

static int no_record(struct textsrc *s, const struct err *json)
{
    char what[300];
    const char *text = strstr(json->msg, "column");
    snprintf(what, sizeof what, " is not a JSON record: %.250s", text ? text : json->msg);
    return bad_line(s, ERR_FORMAT, what);
}

/* 1 or a negative code; ERR_FORMAT: this line is no record, and s->why says why. */
static int parse_record(struct textsrc *s, struct textsrc_doc *d, struct err *e)
{
    struct err why = {0};
    json_decref(s->record);
    s->record = NULL;
    if (scan_record(s, d)) return 1;
    int rc = full_parse(s, &why);
    if (rc == ERR_NOMEM) return err_set(e, rc, "%s: out of memory", s->path);
    if (rc) return no_record(s, &why);
    const json_t *text = json_object_get(s->record, "text");
    if (!json_is_string(text))
        return bad_line(s, ERR_FORMAT, json_is_object(s->record) ? ": no string \"text\" in the record"
                                                                 : ": not an object");
    d->text = json_string_value(text);
    d->n = json_string_length(text);
    d->source = string_or_empty(s->record, "source");
    d->license = string_or_empty(s->record, "license");
    d->lang = string_or_empty(s->record, "lang");
    d->line = s->line;
    d->id = string_or_empty(s->record, "id");
    const json_t *id = json_object_get(s->record, "id");
    rc = json_is_integer(id) ? number_id(s, d, (long long)json_integer_value(id), e) : 0;
    return rc ? rc : 1;
}

static bool blank(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!strchr(" \t\r", p[i]) || !p[i]) return false;
    return true;
}

static int long_line(struct textsrc *s)
{
    char what[60];
    snprintf(what, sizeof what, " is longer than %zu bytes", s->limit);
    return bad_line(s, ERR_LIMIT, what);
}

static int next_jsonl(struct textsrc *s, struct textsrc_doc *d, struct err *e)
{
    for (;;) {
        bool more, too_long;
        int rc = read_piece(s, &more, &too_long, e);
        if (rc || !more) return rc;
        s->line++;
        if (s->line == 1) drop_bom(s);
        if (!too_long && blank(s->p, s->n)) continue;
        s->why.code = 0;
        rc = too_long ? long_line(s) : parse_record(s, d, e);
        if (!s->why.code) return rc;
        if (!s->report) return err_set(e, rc, "%s: %s", s->path, s->why.msg);
        *d = (struct textsrc_doc){.text = too_long ? "" : s->p, .n = too_long ? 0 : s->n, .id = "", .source = "",
                                  .license = "", .lang = "", .line = s->line, .bad = rc, .why = s->why.msg};
        return 1;
    }
}

int textsrc_next(struct textsrc *s, struct textsrc_doc *d, struct err *e)
{
    *d = (struct textsrc_doc){.text = "", .id = "", .source = "", .license = "", .lang = "", .why = ""};
    return s->kind == TEXTSRC_TXT ? next_txt(s, d, e) : next_jsonl(s, d, e);
}
