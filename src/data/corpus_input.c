#include "data/corpus_input.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "data/corpus_nfc.h"
#include "data/corpus_pipe.h"
#include "formats/instream.h"
#include "text/unicode.h"

enum { MAX_INPUTS = 1 << 24 };
/* Of id, source, license and lang together: a batch holds those of 8192 documents, and quoted they must fit the line
 * that corpus_line_limit leaves them, or what a build wrote could not be read. */
enum { MAX_OTHERS = 64 << 10 };

const char *corpus_reason_name(enum corpus_reason r)
{
    static const char *const name[N_REASONS] = {"kept", "duplicate", "empty", "not-utf8", "too-long", "bad-record"};
    return name[r];
}

/* ---- the list of files ---- */

/* Names come to stand in JSON; a file name can be any bytes. */
static void make_utf8(char *name)
{
    bool unused = false;
    size_t n = strlen(name);
    for (size_t i = 0; i < n; i++) {
        i += uc_valid((const unsigned char *)name + i, n - i, &unused);
        if (i < n)
            name[i] = '?';
    }
}

static int add_file(struct inputs *l, size_t *cap, const char *path, const char *root, struct err *e)
{
    if (l->n == MAX_INPUTS)
        return err_set(e, ERR_LIMIT, "%s: more than %d input files", path, MAX_INPUTS);
    if ((size_t)l->n == *cap) {
        size_t more = *cap ? 2 * *cap : 16;
        struct input_file *f = mem_resize(l->f, more, sizeof *f);
        if (!f)
            return err_set(e, ERR_NOMEM, "out of memory for %zu input files", more);
        l->f = f;
        *cap = more;
    }
    struct stat st;
    if (stat(path, &st) != 0)
        return err_set(e, ERR_IO, "%s: cannot be read", path);
    const char *name = path + strlen(root), *slash = strrchr(path, '/');
    name += strspn(name, "/");
    if (*name == 0)
        name = slash ? slash + 1 : path;
    struct input_file f = {.path = mem_strdup(path), .name = mem_strdup(name), .bytes = (uint64_t)st.st_size,
                           .kind = textsrc_kind(path)};
    l->f[l->n++] = f;
    if (f.name)
        make_utf8(f.name);
    return f.path && f.name ? 0 : err_set(e, ERR_NOMEM, "out of memory for the input files");
}

static int add_input(struct inputs *l, size_t *cap, const char *in, const char *out, struct corpus_notes *notes,
                     struct err *e)
{
    struct file_list fl;
    int rc = sources_list(&fl, &notes->aside, in, out, e);
    for (size_t i = 0; i < fl.n && rc == 0; i++)
        rc = add_file(l, cap, fl.path[i], in, e);
    file_list_release(&fl);
    return rc;
}

int inputs_open(struct inputs *l, const struct corpus_build_opts *o, struct corpus_notes *notes, struct err *e)
{
    size_t cap = 0;
    int rc = 0;
    *l = (struct inputs){0};
    for (int i = 0; i < o->n_in && rc == 0; i++)
        rc = add_input(l, &cap, o->in[i], o->out, notes, e);
    if (rc == 0 && l->n == 0)
        rc = err_set(e, ERR_VALUE, "%s: no .txt, .md or .jsonl file (plain, .gz or .zst) in it",
                     o->n_in > 0 ? o->in[0] : "no input");
    if (rc != 0)
        inputs_release(l);
    return rc;
}

int inputs_digest(struct inputs *l, int threads, struct err *e)
{
    int failed = l->n, n = l->n;
    struct err first = {0};
#pragma omp parallel for schedule(dynamic, 1) num_threads(pipe_threads(threads))
    for (int i = 0; i < n; i++) {
        struct err own = {0};
        if (sha256_file(&l->f[i].sha256, l->f[i].path, &own) == 0)
            continue;
#pragma omp critical(dk_input_error)
        if (i < failed) {
            failed = i;
            first = own;
        }
    }
    return failed < n ? err_set(e, first.code, "%s", first.msg) : 0;
}

void inputs_release(struct inputs *l)
{
    for (int i = 0; i < l->n; i++) {
        mem_free(l->f[i].path);
        mem_free(l->f[i].name);
    }
    mem_free(l->f);
    *l = (struct inputs){0};
}

/* ---- cutting ---- */

static size_t after_last(const char *text, size_t n, char c, size_t at_least)
{
    for (size_t i = n; i > at_least; i--)
        if (text[i - 1] == c)
            return i;
    return 0;
}

size_t input_cut(const char *text, size_t n, size_t piece)
{
    if (n <= piece)
        return n;
    /* Not below half, or a text with one early empty line would fall into crumbs. */
    size_t half = piece / 2;
    for (size_t i = piece; i > half; i--)
        if (text[i - 1] == '\n' && i >= 2 && text[i - 2] == '\n')
            return i;
    size_t at = after_last(text, piece, '\n', half);
    if (at == 0)
        at = after_last(text, piece, ' ', half);
    if (at == 0) {
        at = piece;
        for (int back = 0; back < 3 && at > 1 && ((unsigned char)text[at] & 0xc0) == 0x80; back++)
            at--;
    }
    return at;
}

/* ---- the stream of documents ---- */

struct input_stream {
    struct inputs *l;
    size_t max_doc, piece;
    int file;               /* the next to open; the open one is file − 1 */
    struct textsrc *records, *idle; /* idle: at the end of its file, for the next one */
    struct instream *text;  /* a text file being cut */
    struct sha256 *sha;     /* of the open file */
    struct buf buf, id;     /* its bytes in memory, `given` of them handed out */
    size_t given;
    uint64_t part;
    bool ended;
};

int input_stream_new(struct input_stream **out, struct inputs *l, size_t max_doc, size_t piece, struct err *e)
{
    struct input_stream *s = mem_new(1, sizeof *s);
    if (!s)
        return err_set(e, ERR_NOMEM, "out of memory for reading %d files", l->n);
    s->l = l;
    s->max_doc = max_doc;
    s->piece = piece;
    *out = s;
    return 0;
}

void input_stream_free(struct input_stream *s)
{
    if (!s)
        return;
    textsrc_close(s->records);
    textsrc_close(s->idle);
    instream_close(s->text);
    if (s->sha)
        (void)sha256_end(&s->sha);
    buf_release(&s->buf);
    buf_release(&s->id);
    mem_free(s);
}

static struct input_file *open_file(const struct input_stream *s) { return &s->l->f[s->file - 1]; }

static int end_records(struct input_stream *s, struct err *e)
{
    struct input_file *f = open_file(s);
    int rc = textsrc_drain(s->records, &f->bytes, e);
    f->sha256 = sha256_end(&s->sha);
    s->idle = s->records;
    s->records = NULL;
    return rc;
}

static int end_text(struct input_stream *s, struct err *e)
{
    struct input_file *f = open_file(s);
    int rc = instream_drain(s->text, &f->bytes, e);
    f->sha256 = sha256_end(&s->sha);
    instream_close(s->text);
    s->text = NULL;
    return rc;
}

static int next_record(struct input_stream *s, struct input_doc *d, struct err *e)
{
    struct textsrc_doc t;
    struct nfc_look look;
    int got = textsrc_next(s->records, &t, e);
    if (got <= 0)
        return got == 0 ? end_records(s, e) : got;
    *d = (struct input_doc){t.text, t.id, t.source, t.license, t.lang, t.n, s->file - 1, KEPT, t.why};
    size_t others = strlen(t.id) + strlen(t.source) + strlen(t.license) + strlen(t.lang);
    if (others > MAX_OTHERS)
        d->id = d->source = d->license = d->lang = "";
    if (t.bad == ERR_LIMIT || others > MAX_OTHERS || (t.bad == 0 && t.n > s->max_doc))
        d->reason = TOO_LONG;
    else if (t.bad != 0)
        d->reason = nfc_look(&look, t.text, t.n) ? BAD_RECORD : NOT_UTF8;
    if (d->reason != KEPT)
        d->text = NULL, d->n = 0;
    if (*d->source == 0)
        d->source = open_file(s)->name;
    if (*d->id != 0)
        return 1;
    buf_clear(&s->id);
    int rc = buf_printf(&s->id, e, "%s#%llu", open_file(s)->name, (unsigned long long)t.line);
    d->id = s->id.p;
    return rc == 0 ? 1 : rc;
}

/* Reads on until more than a piece is in memory or the file ends. */
static int read_text(struct input_stream *s, struct err *e)
{
    size_t left = s->buf.len - s->given;
    if (s->given > 0)
        memmove(s->buf.p, s->buf.p + s->given, left);
    s->buf.len = left;
    s->given = 0;
    int rc = buf_reserve(&s->buf, 2 * s->piece, e);
    while (rc == 0 && !s->ended && s->buf.len <= s->piece + 3) { /* a byte order mark does not count */
        size_t got;
        rc = instream_read(s->text, s->buf.p + s->buf.len, 2 * s->piece - s->buf.len, &got, e);
        if (rc == 0)
            s->buf.len += got;
        s->ended = rc == 0 && got == 0;
    }
    return rc;
}

/* A file whose beginning is not text is left out as a whole: it is no text file. */
static int next_text(struct input_stream *s, struct input_doc *d, struct err *e)
{
    int rc = read_text(s, e);
    if (rc != 0)
        return rc;
    if (s->buf.len == 0 && s->part > 0)
        return end_text(s, e);
    const char *text = s->buf.p;
    size_t n = s->buf.len, skip = s->part == 0 && n >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    text += skip;
    n = input_cut(text, n - skip, s->piece);
    s->given = skip + n;
    bool whole = s->part++ == 0 && s->ended && s->given == s->buf.len;
    *d = (struct input_doc){text, open_file(s)->name, open_file(s)->name, "", "", n, s->file - 1, KEPT, ""};
    struct nfc_look look;
    if (s->part == 1 && !nfc_look(&look, text, n)) {
        d->reason = NOT_UTF8;
        d->text = NULL, d->n = 0;
        rc = end_text(s, e);
        return rc == 0 ? 1 : rc;
    }
    if (whole)
        return 1;
    buf_clear(&s->id);
    rc = buf_printf(&s->id, e, "%s#%llu", open_file(s)->name, (unsigned long long)s->part);
    d->id = s->id.p;
    return rc == 0 ? 1 : rc;
}

static int open_next(struct input_stream *s, struct err *e)
{
    const struct input_file *f = &s->l->f[s->file++];
    s->part = 0;
    s->given = 0;
    s->ended = false;
    buf_clear(&s->buf);
    if (!(s->sha = sha256_new()))
        return err_set(e, ERR_NOMEM, "%s: out of memory", f->path);
    if (f->kind == TEXTSRC_TXT) {
        int rc = instream_open(&s->text, f->path, e);
        if (rc == 0)
            instream_hash(s->text, s->sha);
        return rc;
    }
    int rc = s->idle ? textsrc_switch(s->idle, f->path, e)
                     : textsrc_open(&s->idle, f->path, corpus_line_limit(s->max_doc), e);
    if (rc != 0)
        return rc;
    s->records = s->idle;
    s->idle = NULL;
    textsrc_report(s->records, true);
    textsrc_hash(s->records, s->sha);
    return 0;
}

int input_stream_next(struct input_stream *s, struct input_doc *d, struct err *e)
{
    for (;;) {
        int rc = 0;
        if (s->records)
            rc = next_record(s, d, e);
        else if (s->text)
            rc = next_text(s, d, e);
        else if (s->file == s->l->n)
            return 0;
        else
            rc = open_next(s, e);
        if (rc != 0)
            return rc;
    }
}
