#include "data/corpus.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/plural.h"
#include "data/corpus_input.h"

enum { MAX_FILES = 1 << 20 };

struct corpus {
    char *dir;
    json_t *manifest;
    struct corpus_counts counts;
    struct digest root;
    const json_t *files;
    int64_t max_doc;
};

/* ---- the manifest ---- */

static int get_count(uint64_t *out, const json_t *o, const char *key, const char *where, struct err *e)
{
    int64_t v = 0;
    int rc = json_get_int(&v, o, key, 0, INT64_MAX, false, 0, where, e);
    *out = (uint64_t)v;
    return rc;
}

static int read_counts(struct corpus *c, const char *where, struct err *e)
{
    const json_t *o = json_object_get(c->manifest, "counts"), *r = json_object_get(o, "removed");
    struct corpus_counts *n = &c->counts;
    if (!json_is_object(o) || !json_is_object(r))
        return err_set(e, ERR_FORMAT, "%s: \"counts\" is missing or has no \"removed\"", where);
    const struct {
        uint64_t *to;
        const json_t *in;
        const char *key;
    } f[] = {{&n->docs_in, o, "docs_in"},      {&n->docs, o, "docs"},         {&n->bytes_in, o, "bytes_in"},
             {&n->bytes, o, "bytes"},          {&n->chars, o, "chars"},       {&n->duplicate, r, "duplicate"},
             {&n->empty, r, "empty"},          {&n->not_utf8, r, "not-utf8"}, {&n->too_long, r, "too-long"},
             {&n->bad_record, r, "bad-record"}};
    int rc = 0;
    for (size_t i = 0; i < sizeof f / sizeof f[0] && rc == 0; i++)
        rc = get_count(f[i].to, f[i].in, f[i].key, where, e);
    n->files = json_array_size(json_object_get(c->manifest, "inputs"));
    return rc;
}

/* Name, size and kind of file number i; the name stays inside the folder. */
static int file_row(const struct corpus *c, size_t i, const char **name, int64_t *bytes, bool *docs, struct err *e)
{
    const json_t *row = json_array_get(c->files, i);
    if (!json_is_object(row))
        return err_set(e, ERR_FORMAT, "%s/manifest.json: entry %zu of \"files\" is not an object", c->dir, i);
    int rc = json_get_str(name, row, "name", false, NULL, "manifest.json: an entry of \"files\"", e);
    if (rc == 0)
        rc = json_get_int(bytes, row, "bytes", 0, INT64_MAX, false, 0, "manifest.json: an entry of \"files\"", e);
    if (rc != 0) {
        err_prefix(e, "%s", c->dir);
        return rc;
    }
    *docs = strncmp(*name, "docs-", 5) == 0;
    if ((!*docs && strncmp(*name, "removed-", 8) != 0) || strchr(*name, '/'))
        return err_set(e, ERR_FORMAT, "%s/manifest.json: \"%s\" is not the name of a corpus file", c->dir, *name);
    return 0;
}

static int check_files(const struct corpus *c, struct err *e)
{
    struct buf path = {0};
    int rc = 0;
    for (size_t i = 0; i < json_array_size(c->files) && rc == 0; i++) {
        const char *name;
        int64_t bytes;
        bool docs;
        struct stat st;
        rc = file_row(c, i, &name, &bytes, &docs, e);
        if (rc == 0)
            rc = file_join(&path, c->dir, name, e);
        if (rc != 0)
            break;
        if (stat(path.p, &st) != 0)
            rc = err_set(e, ERR_IO, "%s: missing, but the manifest names it", path.p);
        else if (!S_ISREG(st.st_mode))
            rc = err_set(e, ERR_FORMAT, "%s: is not a regular file", path.p);
        else if (st.st_size != bytes)
            rc = err_set(e, ERR_FORMAT, "%s: %lld bytes, the manifest says %lld", path.p, (long long)st.st_size,
                         (long long)bytes);
    }
    buf_release(&path);
    return rc;
}

static int read_manifest(struct corpus *c, const char *where, struct err *e)
{
    const char *format, *root;
    int64_t version;
    int rc = json_read(&c->manifest, where, CORPUS_MANIFEST_LIMIT, e);
    if (rc == 0)
        rc = json_get_str(&format, c->manifest, "format", false, NULL, where, e);
    if (rc == 0 && strcmp(format, "dokja-corpus") != 0)
        rc = err_set(e, ERR_FORMAT, "%s: format \"%s\", expected \"dokja-corpus\"", where, format);
    if (rc == 0)
        rc = json_get_int(&version, c->manifest, "version", 1, 1, false, 0, where, e);
    if (rc == 0)
        rc = json_get_str(&root, c->manifest, "root", false, NULL, where, e);
    if (rc == 0 && digest_parse(&c->root, root) != 0)
        rc = err_set(e, ERR_FORMAT, "%s: \"root\" is not 64 hexadecimal digits", where);
    if (rc == 0)
        rc = read_counts(c, where, e);
    if (rc == 0)
        rc = json_get_int(&c->max_doc, json_object_get(c->manifest, "settings"), "max_doc_bytes", 1, INT64_MAX / 16,
                          false, 0, where, e);
    if (rc != 0)
        return rc;
    c->files = json_object_get(c->manifest, "files");
    if (!json_is_array(c->files) || json_array_size(c->files) > MAX_FILES)
        return err_set(e, ERR_FORMAT, "%s: \"files\" is not a list of at most %d", where, MAX_FILES);
    return check_files(c, e);
}

int corpus_open(struct corpus **out, const char *dir, struct err *e)
{
    struct buf path = {0};
    struct corpus *c = mem_new(1, sizeof *c);
    *out = NULL;
    if (!c || !(c->dir = mem_strdup(dir))) {
        mem_free(c);
        return err_set(e, ERR_NOMEM, "%s: out of memory", dir);
    }
    int rc = file_join(&path, dir, "manifest.json", e);
    if (rc == 0 && !file_exists(path.p))
        rc = err_set(e, ERR_IO, "%s: not a corpus: it has no manifest.json%s", dir,
                     file_is_dir(dir) ? " (an unfinished build has none: run corpus build again)" : "");
    if (rc == 0)
        rc = read_manifest(c, path.p, e);
    buf_release(&path);
    if (rc != 0) {
        corpus_close(c);
        return rc;
    }
    *out = c;
    return 0;
}

void corpus_close(struct corpus *c)
{
    if (!c)
        return;
    json_decref(c->manifest);
    mem_free(c->dir);
    mem_free(c);
}

struct corpus_counts corpus_count(const struct corpus *c) { return c->counts; }
struct digest corpus_root(const struct corpus *c) { return c->root; }
const json_t *corpus_manifest(const struct corpus *c) { return c->manifest; }

int corpus_salt_of(const struct corpus *c, struct corpus_salt *s, bool *salted, struct err *e)
{
    const char *said = json_string_value(json_object_get(json_object_get(c->manifest, "settings"), "salt"));
    struct digest want;
    *salted = said != NULL;
    if (!said)
        return 0;
    int rc = corpus_salt_read(s, c->dir, e);
    if (rc)
        return err_prefix(e, "the corpus is salted, and without its secret its root cannot be made again");
    struct digest name = corpus_salt_name(s);
    if (digest_parse(&want, said) != 0 || memcmp(want.b, name.b, sizeof name.b) != 0)
        return err_set(e, ERR_VALUE, "%s/salt.key: is not the secret of this corpus", c->dir);
    return 0;
}

bool corpus_held_out(const struct digest *hash, double fraction)
{
    uint64_t v = 0;
    for (int i = 0; i < 8; i++)
        v = v << 8 | hash->b[i];
    return (double)(v >> 11) * 0x1p-53 < fraction;
}

/* ---- reading ---- */

struct corpus_reader {
    const struct corpus *c;
    size_t file;
    uint64_t docs;
    struct textsrc *src, *idle; /* idle: at the end of its file, for the next one */
    struct buf path;
};

int corpus_reader_new(struct corpus_reader **out, const struct corpus *c, struct err *e)
{
    struct corpus_reader *r = mem_new(1, sizeof *r);
    if (!r)
        return err_set(e, ERR_NOMEM, "%s: out of memory", c->dir);
    r->c = c;
    *out = r;
    return 0;
}

void corpus_reader_free(struct corpus_reader *r)
{
    if (!r)
        return;
    textsrc_close(r->src);
    textsrc_close(r->idle);
    buf_release(&r->path);
    mem_free(r);
}

/* Opens the next docs file; 1 opened, 0 none left. */
static int next_file(struct corpus_reader *r, struct err *e)
{
    while (r->file < json_array_size(r->c->files)) {
        const char *name;
        int64_t bytes;
        bool docs;
        int rc = file_row(r->c, r->file++, &name, &bytes, &docs, e);
        if (rc == 0 && !docs)
            continue;
        if (rc == 0)
            rc = file_join(&r->path, r->c->dir, name, e);
        if (rc == 0)
            rc = r->idle ? textsrc_switch(r->idle, r->path.p, e)
                         : textsrc_open(&r->idle, r->path.p, corpus_line_limit((size_t)r->c->max_doc), e);
        if (rc != 0)
            return rc;
        r->src = r->idle;
        r->idle = NULL;
        return 1;
    }
    if (r->docs != r->c->counts.docs)
        return err_set(e, ERR_FORMAT, "%s: %llu document%s in the files, the manifest says %llu", r->c->dir,
                       (unsigned long long)r->docs, PLURAL(r->docs), (unsigned long long)r->c->counts.docs);
    return 0;
}

int corpus_reader_next_text(struct corpus_reader *r, struct corpus_doc *d, struct err *e)
{
    for (;;) {
        if (!r->src) {
            int rc = next_file(r, e);
            if (rc <= 0)
                return rc;
        }
        struct textsrc_doc t;
        int got = textsrc_next(r->src, &t, e);
        if (got < 0)
            return got;
        if (got > 0) {
            r->docs++;
            *d = (struct corpus_doc){.text = t.text, .id = t.id, .source = t.source, .license = t.license,
                                     .lang = t.lang, .n = t.n};
            return 1;
        }
        r->idle = r->src;
        r->src = NULL;
    }
}

int corpus_reader_next(struct corpus_reader *r, struct corpus_doc *d, struct err *e)
{
    int got = corpus_reader_next_text(r, d, e);
    if (got > 0)
        d->hash = sha256_of(d->text, d->n);
    return got;
}
