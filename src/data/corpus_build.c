#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <dirent.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "data/corpus_batch.h"
#include "data/corpus_file.h"

/* A new corpus is made in this folder inside the output and moved up when it is complete, its manifest last. */
static const char work_name[] = ".building", manifest_name[] = "manifest.json";

static json_t *counts_json(const struct corpus_counts *c)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:{s:I, s:I, s:I, s:I, s:I}}", "docs_in", (json_int_t)c->docs_in,
                     "docs", (json_int_t)c->docs, "bytes_in", (json_int_t)c->bytes_in, "bytes", (json_int_t)c->bytes,
                     "chars", (json_int_t)c->chars, "removed", "duplicate", (json_int_t)c->duplicate, "empty",
                     (json_int_t)c->empty, "not-utf8", (json_int_t)c->not_utf8, "too-long", (json_int_t)c->too_long,
                     "bad-record", (json_int_t)c->bad_record);
}

static json_t *settings_json(const struct corpus_build_opts *o, const struct corpus_salt *salt)
{
    json_t *s = json_pack("{s:s, s:s, s:I, s:I, s:I}", "normal_form", "NFC", "dedup", "exact, SHA-256 of the text",
                          "max_doc_bytes", (json_int_t)o->max_doc_bytes, "piece_bytes", (json_int_t)o->piece_bytes,
                          "shard_bytes", (json_int_t)o->shard_bytes);
    char hex[65];
    if (salt) {
        struct digest name = corpus_salt_name(salt);
        digest_hex(hex, &name);
    }
    if (s && salt && json_object_set_new(s, "salt", json_string(hex)) != 0) {
        json_decref(s);
        return NULL;
    }
    return s;
}

/* Names, sizes and digests; what identical inputs means. */
static json_t *inputs_json(const struct inputs *in)
{
    json_t *a = json_array();
    for (int i = 0; a && i < in->n; i++) {
        char hex[65];
        digest_hex(hex, &in->f[i].sha256);
        json_t *row = json_pack("{s:s, s:I, s:s}", "name", in->f[i].name, "bytes", (json_int_t)in->f[i].bytes,
                                "sha256", hex);
        if (!row || json_array_append_new(a, row) != 0) {
            json_decref(a);
            return NULL;
        }
    }
    return a;
}

struct build {
    const struct corpus_build_opts *o;
    struct inputs in;
    json_t *settings;
    struct corpus_files files;
    struct buf work, path, to;
    struct corpus_salt salt;
    struct file_claim claim;
    bool new_salt, installing;
    struct corpus_notes *notes;
};

/* ---- what is already there ---- */

/* 1: the same corpus is there; 0: nothing, or it is to be replaced; negative: error.  Only where a corpus is must the
 * inputs be read twice, once to know that they are other ones. */
static int look_at_old(struct build *b, struct corpus_counts *out, struct err *e)
{
    int rc = file_join(&b->path, b->o->out, manifest_name, e);
    if (rc != 0 || !file_exists(b->path.p))
        return rc;
    rc = inputs_digest(&b->in, b->o->threads, e);
    if (rc != 0)
        return rc;
    struct corpus *old = NULL;
    struct err bad = {0};
    bool same = false;
    json_t *inputs = inputs_json(&b->in);
    if (!inputs)
        return err_set(e, ERR_NOMEM, "out of memory for the manifest");
    if (corpus_open(&old, b->o->out, &bad) == 0) {
        const json_t *m = corpus_manifest(old);
        same = json_equal(json_object_get(m, "settings"), b->settings) &&
               json_equal(json_object_get(m, "inputs"), inputs);
        if (same)
            *out = corpus_count(old);
        out->reused = same;
    }
    json_decref(inputs);
    corpus_close(old);
    if (bad.code == ERR_NOMEM) /* no word on what is there */
        return err_set(e, bad.code, "%s", bad.msg);
    if (same || b->o->force)
        return same;
    if (bad.code != 0)
        return err_set(e, bad.code, "%s; use --force to build it anew", bad.msg);
    return err_set(e, ERR_VALUE, "%s: holds a corpus of other inputs or settings; use --force to replace it, or "
                                 "another --out",
                   b->o->out);
}

/* docs-00000.jsonl.zst and removed-…; the folder may hold a user's docs-ko.jsonl.zst. */
static bool ours(const char *name)
{
    size_t stem = strncmp(name, "docs-", 5) == 0 ? 5 : strncmp(name, "removed-", 8) == 0 ? 8 : 0;
    size_t digits = strspn(name + stem, "0123456789");
    return stem && digits >= 5 && strcmp(name + stem + digits, ".jsonl.zst") == 0;
}

/* Removes the files of a corpus from a folder; others are left alone. */
static int remove_files(const char *dir, struct err *e)
{
    DIR *d = opendir(dir);
    if (!d)
        return err_set(e, ERR_IO, "%s: cannot open the folder: %s", dir, strerror(errno));
    int rc = 0;
    for (struct dirent *f; rc == 0 && (f = readdir(d));)
        if (ours(f->d_name) && unlinkat(dirfd(d), f->d_name, 0) != 0)
            rc = err_set(e, ERR_IO, "%s/%s: cannot remove: %s", dir, f->d_name, strerror(errno));
    closedir(d);
    return rc;
}

/* What is left of an interrupted build, or of this one. */
static int empty_work(struct build *b, struct err *e)
{
    int rc = file_join(&b->path, b->work.p, manifest_name, e);
    if (rc == 0)
        rc = file_remove(b->path.p, e);
    return rc == 0 ? remove_files(b->work.p, e) : rc;
}

static int prepare_work(struct build *b, struct err *e)
{
    int rc = file_join(&b->work, b->o->out, work_name, e);
    if (rc == 0)
        rc = file_mkdir_p(b->work.p, e);
    if (rc == 0)
        rc = file_clean_tmp(b->work.p, e);
    return rc == 0 ? empty_work(b, e) : rc;
}

/* ---- putting the new one in place ---- */

static int print_manifest(struct buf *text, const json_t *m, struct err *e)
{
    int rc = m ? json_print(text, m, 2, e) : err_set(e, ERR_NOMEM, "out of memory for the manifest");
    return rc == 0 ? buf_addc(text, '\n', e) : rc;
}

/* Of very many files it may be more than a reader takes. */
static int write_manifest(struct build *b, struct err *e)
{
    const struct corpus_files *c = &b->files;
    char hex[65];
    digest_hex(hex, &c->root);
    json_t *inputs = inputs_json(&b->in), *sources = inputs ? json_array() : NULL;
    for (int i = 0; sources && i < b->in.n; i++) {
        json_t *row = counts_json(&c->file[i]);
        json_t *name = json_object_get(json_array_get(inputs, (size_t)i), "name");
        bool named = row && json_object_set(row, "name", name) == 0;
        if (!named)
            json_decref(row);
        if (!named || json_array_append_new(sources, row) != 0) {
            json_decref(sources);
            sources = NULL;
        }
    }
    json_t *m = sources ? json_pack("{s:s, s:i, s:O, s:o, s:s, s:O, s:O, s:o}", "format", "dokja-corpus", "version", 1,
                                    "settings", b->settings, "counts", counts_json(&c->total), "root", hex, "files",
                                    c->files, "inputs", inputs, "sources", sources)
                        : NULL;
    struct buf text = {0};
    int rc = print_manifest(&text, m, e);
    if (rc == 0 && text.len > CORPUS_MANIFEST_LIMIT)
        rc = err_set(e, ERR_LIMIT, "%s: the manifest of %d input files would be %zu bytes, limit %d: join them into "
                                   "fewer .jsonl files", b->o->out, b->in.n, text.len, CORPUS_MANIFEST_LIMIT);
    if (rc == 0)
        rc = file_join(&b->path, b->work.p, manifest_name, e);
    if (rc == 0)
        rc = file_replace(b->path.p, text.p, text.len, e);
    buf_release(&text);
    json_decref(m);
    json_decref(inputs);
    return rc;
}

static int move_up(struct build *b, const char *name, struct err *e)
{
    int rc = file_join(&b->path, b->work.p, name, e);
    if (rc == 0)
        rc = file_join(&b->to, b->o->out, name, e);
    return rc == 0 ? file_move(b->path.p, b->to.p, e) : rc;
}

static int sync_out(struct build *b, struct err *e)
{
    return fsync(b->claim.lock) ? err_set(e, ERR_IO, "%s: cannot sync the folder: %s", b->o->out, strerror(errno)) : 0;
}

/* From the removal of the old manifest to the moving of the new one the folder is an unfinished build; so all that
 * needs memory or room on the disk comes before. */
static int install(struct build *b, struct err *e)
{
    const size_t longest = b->work.len + sizeof(((struct corpus_file *)0)->name);
    int rc = buf_reserve(&b->path, longest, e);
    if (rc == 0)
        rc = buf_reserve(&b->to, longest, e);
    if (rc == 0)
        rc = file_join(&b->path, b->o->out, manifest_name, e);
    b->installing = rc == 0;
    if (rc == 0)
        rc = file_remove(b->path.p, e);
    if (rc == 0)
        rc = remove_files(b->o->out, e);
    for (size_t i = 0; i < json_array_size(b->files.files) && rc == 0; i++)
        rc = move_up(b, json_string_value(json_object_get(json_array_get(b->files.files, i), "name")), e);
    if (rc == 0)
        rc = sync_out(b, e);
    if (rc == 0)
        rc = move_up(b, manifest_name, e);
    return rc == 0 ? sync_out(b, e) : rc;
}

static int make_new(struct build *b, struct corpus_counts *out, struct err *e)
{
    struct corpus_files *c = &b->files;
    int rc = prepare_work(b, e);
    if (rc != 0)
        return rc;
    c->dir = b->work.p;
    c->max_doc = (size_t)b->o->max_doc_bytes;
    c->piece = (size_t)b->o->piece_bytes;
    c->shard = (size_t)b->o->shard_bytes;
    c->threads = b->o->threads;
    c->salt = b->o->salted ? &b->salt : NULL;
    c->file = mem_new((size_t)b->in.n, sizeof *c->file);
    c->files = json_array();
    if (!c->file || !c->files)
        return err_set(e, ERR_NOMEM, "out of memory for the counts of %d files", b->in.n);
    rc = corpus_files_make(c, &b->in, e);
    b->notes->bad_record = c->bad_record;
    if (rc == 0 && c->total.docs == 0) {
        *out = c->total;
        rc = err_set(e, ERR_VALUE, "%s: no document is left of %llu (%llu empty, %llu not UTF-8, %llu too long, %llu "
                                   "bad records)",
                     b->o->in[0], (unsigned long long)c->total.docs_in, (unsigned long long)c->total.empty,
                     (unsigned long long)c->total.not_utf8, (unsigned long long)c->total.too_long,
                     (unsigned long long)c->total.bad_record);
    }
    if (rc == 0)
        rc = write_manifest(b, e);
    if (rc == 0)
        rc = install(b, e);
    if (rc == 0)
        *out = c->total;
    return rc;
}

static void build_release(struct build *b, bool failed)
{
    if (b->work.p) {
        (void)empty_work(b, NULL);
        (void)rmdir(b->work.p);
    }
    if (failed && b->new_salt && !b->installing)
        corpus_salt_drop(b->o->out);
    file_claim_close(&b->claim);
    mem_free(b->files.file);
    json_decref(b->files.files);
    json_decref(b->settings);
    inputs_release(&b->in);
    buf_release(&b->work);
    buf_release(&b->path);
    buf_release(&b->to);
}

int corpus_build(const struct corpus_build_opts *opts, struct corpus_counts *out, struct err *e)
{
    struct corpus_build_opts o = *opts;
    o.max_doc_bytes = o.max_doc_bytes > 0 ? o.max_doc_bytes : 16 << 20;
    o.piece_bytes = o.piece_bytes > 0 ? o.piece_bytes : 64 << 10;
    o.shard_bytes = o.shard_bytes > 0 ? o.shard_bytes : 256 << 20;
    struct corpus_notes unasked;
    struct build b = {.o = &o, .notes = o.notes ? o.notes : &unasked};
    *b.notes = (struct corpus_notes){0};
    *out = (struct corpus_counts){0};
    int rc = inputs_open(&b.in, &o, b.notes, e);
    out->files = rc == 0 ? (uint64_t)b.in.n : 0;
    if (rc == 0)   /* before anything is looked at: what another build finishes meanwhile is not to be replaced */
        rc = file_claim_open(&b.claim, o.out, "another build is writing here", e);
    if (rc == 0 && o.salted)
        rc = corpus_salt_make(&b.salt, o.out, &b.new_salt, e);
    if (rc == 0) {
        b.settings = settings_json(&o, o.salted ? &b.salt : NULL);
        rc = b.settings ? look_at_old(&b, out, e) : err_set(e, ERR_NOMEM, "out of memory for the manifest");
    }
    if (rc == 0)
        rc = make_new(&b, out, e);
    build_release(&b, rc < 0);
    return rc < 0 ? rc : 0;
}
