#include "data/corpus_batch.h"

#include <stdio.h>
#include <string.h>
#include <zstd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "data/corpus_nfc.h"
#include "data/corpus_pipe.h"
#include "data/corpus_seen.h"

/* Constants of the format: how documents fall into batches and frames must not depend on the machine. */
enum { BATCH_BYTES = 8 << 20, BATCH_DOCS = 8192, FRAME_BYTES = 1 << 20 };

struct item {
    size_t text, n;                  /* in raw */
    size_t id, source, license, lang; /* in meta */
    size_t first;                    /* of a duplicate, in meta */
    int file;
    enum corpus_reason reason;
    uint64_t chars;
    struct digest hash, leaf;
    struct buf nfc;                  /* when the text was not in normal form */
};
/* Documents [lo, hi) of a batch that become one zstd frame. */
struct frame {
    int lo, hi;
    bool removed, new_shard;
    struct buf out;
};
struct batch {
    struct buf raw, meta;
    struct item *it;
    int n;
    struct frame *fr;
    int n_fr, cap_fr;
};

struct worker {
    ZSTD_CCtx *z;
    struct buf lines;
};
struct out_file {
    struct file_new *f;
    struct sha256 *sha;
    char name[32];
    int number;
};
struct maker {
    struct corpus_files *c;
    const struct inputs *in;
    struct input_stream *src;
    struct input_doc held;           /* read, but the batch was full */
    bool has_held;
    struct batch b[2];
    struct worker *w;
    struct seen *seen;
    struct merkle tree;
    size_t shard_text;               /* text bytes planned into the present docs file */
    struct out_file docs, removed;
    double t0;
};

/* ---- fill: one thread ---- */

static int take(struct batch *b, const struct input_doc *d, struct err *e)
{
    struct item *it = &b->it[b->n];
    *it = (struct item){.text = b->raw.len, .n = d->n, .file = d->file, .reason = d->reason};
    int rc = buf_add(&b->raw, d->text ? d->text : "", d->n, e);
    if (rc == 0)
        rc = buf_addz(&b->meta, &it->id, d->id, e);
    if (rc == 0)
        rc = buf_addz(&b->meta, &it->source, d->source, e);
    if (rc == 0)
        rc = buf_addz(&b->meta, &it->license, d->license, e);
    if (rc == 0)
        rc = buf_addz(&b->meta, &it->lang, d->lang, e);
    b->n += rc == 0;
    return rc;
}

static int fill(void *user, void *batch, struct err *e)
{
    struct maker *m = user;
    struct batch *b = batch;
    buf_clear(&b->raw);
    buf_clear(&b->meta);
    b->n = 0;
    for (; b->n < BATCH_DOCS; m->has_held = false) {
        if (!m->has_held) {
            int got = input_stream_next(m->src, &m->held, e);
            if (got < 0)
                return got;
            if (got == 0)
                break;
            m->has_held = true;
        }
        if (b->n > 0 && b->raw.len + m->held.n > BATCH_BYTES)
            break;
        int rc = take(b, &m->held, e);
        if (rc != 0)
            return rc;
    }
    return b->n > 0;
}

/* ---- work: many threads, one document each ---- */

static int items(const void *batch) { return ((const struct batch *)batch)->n; }
static size_t weight(const void *batch, int i) { return ((const struct batch *)batch)->it[i].n + 256; }

static const char *final_text(const struct batch *b, const struct item *it, size_t *n)
{
    *n = it->nfc.p ? it->nfc.len : it->n;
    return it->nfc.p ? it->nfc.p : b->raw.p + it->text;
}

static int work(void *user, void *batch, int i, int thread, struct err *e)
{
    (void)thread;
    const struct maker *m = user;
    struct batch *b = batch;
    struct item *it = &b->it[i];
    if (it->reason != KEPT)
        return 0;
    struct nfc_look look;
    if (!nfc_look(&look, b->raw.p + it->text, it->n)) {
        it->reason = NOT_UTF8;
        return 0;
    }
    if (look.blank) {
        it->reason = EMPTY;
        return 0;
    }
    it->chars = look.chars;
    if (!look.plain) {
        int rc = nfc_normalise(&it->nfc, &it->chars, b->raw.p + it->text, it->n, e);
        if (rc != 0)
            return rc;
    }
    size_t n;
    const char *text = final_text(b, it, &n);
    it->hash = sha256_of(text, n);
    const char *s = b->meta.p;
    struct digest meta = corpus_meta(s + it->id, s + it->source, s + it->license, s + it->lang);
    it->leaf = corpus_leaf_of(m->c->salt, &it->hash, &meta);
    return 0;
}

/* ---- plan: one thread, in order ---- */

static void count_item(struct corpus_counts *c, const struct item *it, size_t n)
{
    c->docs_in++;
    c->bytes_in += it->n;
    uint64_t *reason[N_REASONS] = {[KEPT] = &c->docs,           [DUPLICATE] = &c->duplicate,
                                   [EMPTY] = &c->empty,         [NOT_UTF8] = &c->not_utf8,
                                   [TOO_LONG] = &c->too_long,   [BAD_RECORD] = &c->bad_record};
    ++*reason[it->reason];
    if (it->reason == KEPT) {
        c->bytes += n;
        c->chars += it->chars;
    }
}

static struct frame *new_frame(struct batch *b, int lo, struct err *e)
{
    if (b->n_fr == b->cap_fr) {
        int cap = b->cap_fr ? 2 * b->cap_fr : 16;
        struct frame *fr = mem_resize(b->fr, (size_t)cap, sizeof *fr);
        if (!fr) {
            err_set(e, ERR_NOMEM, "out of memory for %d compressed blocks", cap);
            return NULL;
        }
        memset(fr + b->cap_fr, 0, (size_t)(cap - b->cap_fr) * sizeof *fr);
        b->fr = fr;
        b->cap_fr = cap;
    }
    struct frame *f = &b->fr[b->n_fr++];
    buf_clear(&f->out);
    f->lo = lo;
    f->hi = lo;
    f->removed = f->new_shard = false;
    return f;
}

/* Decides what is kept; counts it. */
static int settle(struct maker *m, struct batch *b, struct item *it, size_t n, struct err *e)
{
    if (it->reason == KEPT) {
        const char *first;
        int rc = seen_add(m->seen, &it->hash, b->meta.p + it->id, &first, e);
        if (rc == 0 && first) {
            it->reason = DUPLICATE;
            rc = buf_addz(&b->meta, &it->first, first, e);
        }
        if (rc != 0)
            return rc;
    }
    if (it->reason == KEPT)
        merkle_add_hash(&m->tree, &it->leaf);
    count_item(&m->c->total, it, n);
    count_item(&m->c->file[it->file], it, n);
    return 0;
}

static int plan(void *user, void *batch, struct err *e)
{
    struct maker *m = user;
    struct batch *b = batch;
    struct frame *f = NULL;
    size_t in_frame = 0;
    bool removed = false;
    b->n_fr = 0;
    for (int i = 0; i < b->n; i++) {
        struct item *it = &b->it[i];
        size_t n;
        (void)final_text(b, it, &n);
        int rc = settle(m, b, it, n, e);
        if (rc != 0)
            return rc;
        removed |= it->reason != KEPT;
        if (it->reason != KEPT)
            continue;
        bool turn = m->docs.number < 0 || (m->shard_text > 0 && m->shard_text + n > m->c->shard);
        if (!f || turn || in_frame >= FRAME_BYTES) {
            f = new_frame(b, i, e);
            if (!f)
                return ERR_NOMEM;
            in_frame = 0;
        }
        if (turn) {
            f->new_shard = true;
            m->docs.number++;
            m->shard_text = 0;
        }
        f->hi = i + 1;
        in_frame += n;
        m->shard_text += n;
    }
    if (removed) {
        f = new_frame(b, 0, e);
        if (!f)
            return ERR_NOMEM;
        f->removed = true;
        f->hi = b->n;
    }
    return b->n_fr;
}

/* ---- pieces: many threads, one frame each ---- */

static int removed_line(struct buf *l, const struct batch *b, const struct item *it, struct err *e)
{
    const char *s = b->meta.p;
    const char *key[] = {"{\"id\": ", ", \"source\": ", ", \"reason\": ", ", \"first\": "};
    const char *val[] = {s + it->id, s + it->source, corpus_reason_name(it->reason), s + it->first};
    for (int i = 0; i < (it->reason == DUPLICATE ? 4 : 3); i++) {
        int rc = buf_adds(l, key[i], e);
        if (rc == 0)
            rc = json_quote(l, val[i], strlen(val[i]), e);
        if (rc != 0)
            return rc;
    }
    return buf_adds(l, "}\n", e);
}

static int doc_line(struct buf *l, const struct batch *b, const struct item *it, struct err *e)
{
    const char *s = b->meta.p;
    struct corpus_doc d = {.id = s + it->id, .source = s + it->source, .license = s + it->license,
                           .lang = s + it->lang};
    d.text = final_text(b, it, &d.n);
    return corpus_line(l, &d, e);
}

/* Compression is most of a build.  One table of 2^14 places and matches of seven bytes and more, two Korean syllables
 * and a bit: 3 to 6 % faster than level 1 and as small; level 3 is another 11 % smaller at 0.5 to 0.7 of the speed. */
static ZSTD_CCtx *new_compressor(void)
{
    static const struct {
        ZSTD_cParameter name;
        int value;
    } set[] = {{ZSTD_c_compressionLevel, 1}, {ZSTD_c_strategy, ZSTD_fast}, {ZSTD_c_windowLog, 20},
               {ZSTD_c_hashLog, 14},         {ZSTD_c_minMatch, 7}};
    ZSTD_CCtx *z = ZSTD_createCCtx();
    for (size_t i = 0; z && i < sizeof set / sizeof *set; i++)
        if (ZSTD_isError(ZSTD_CCtx_setParameter(z, set[i].name, set[i].value))) {
            ZSTD_freeCCtx(z);
            z = NULL;
        }
    return z;
}

static int piece(void *user, void *batch, int i, int thread, struct err *e)
{
    struct maker *m = user;
    struct batch *b = batch;
    struct frame *f = &b->fr[i];
    struct worker *w = &m->w[thread];
    buf_clear(&w->lines);
    for (int k = f->lo; k < f->hi; k++) {
        const struct item *it = &b->it[k];
        if ((it->reason != KEPT) != f->removed)
            continue;
        int rc = f->removed ? removed_line(&w->lines, b, it, e) : doc_line(&w->lines, b, it, e);
        if (rc != 0)
            return rc;
    }
    size_t bound = ZSTD_compressBound(w->lines.len);
    int rc = buf_reserve(&f->out, bound, e);
    if (rc != 0)
        return rc;
    if (!w->z && !(w->z = new_compressor()))
        return err_set(e, ERR_NOMEM, "out of memory for compression");
    size_t n = ZSTD_compress2(w->z, f->out.p, bound, w->lines.p, w->lines.len);
    if (ZSTD_isError(n))
        return err_set(e, ERR_NOMEM, "compression failed: %s", ZSTD_getErrorName(n));
    f->out.len = n;
    return 0;
}

/* ---- finish: one thread, in order ---- */

static int out_close(struct maker *m, struct out_file *o, struct err *e)
{
    if (!o->f)
        return 0;
    uint64_t bytes = file_new_tell(o->f);
    struct digest d = sha256_end(&o->sha);
    int rc = file_new_commit(&o->f, e);
    if (rc != 0)
        return rc;
    char hex[65];
    digest_hex(hex, &d);
    json_t *row = json_pack("{s:s, s:I, s:s}", "name", o->name, "bytes", (json_int_t)bytes, "sha256", hex);
    if (!row || json_array_append_new(m->c->files, row) != 0)
        return err_set(e, ERR_NOMEM, "out of memory for the list of files");
    return 0;
}

static int out_open(struct maker *m, struct out_file *o, const char *stem, int number, struct err *e)
{
    struct buf path = {0};
    snprintf(o->name, sizeof o->name, "%s-%05d.jsonl.zst", stem, number);
    int rc = file_join(&path, m->c->dir, o->name, e);
    if (rc == 0)
        rc = file_new_open(&o->f, path.p, e);
    buf_release(&path);
    if (rc == 0 && !(o->sha = sha256_new()))
        rc = err_set(e, ERR_NOMEM, "out of memory for a digest");
    return rc;
}

static int write_frame(struct maker *m, const struct frame *f, int *number, struct err *e)
{
    struct out_file *o = f->removed ? &m->removed : &m->docs;
    int rc = 0;
    if (f->new_shard) {
        rc = out_close(m, o, e);
        if (rc == 0)
            rc = out_open(m, o, "docs", (*number)++, e);
    } else if (f->removed && !o->f) {
        rc = out_open(m, o, "removed", 0, e);
    }
    if (rc != 0)
        return rc;
    sha256_add(o->sha, f->out.p, f->out.len);
    return file_new_write(o->f, f->out.p, f->out.len, e);
}

static void show_progress(const struct maker *m, int file)
{
    const struct corpus_counts *t = &m->c->total;
    double s = clock_seconds() - m->t0;
    log_progress("corpus: file %d of %d, %llu documents, %.0f MB of text, %.0f MB/s", file + 1, m->in->n,
                 (unsigned long long)t->docs, (double)t->bytes * 1e-6, (double)t->bytes_in * 1e-6 / (s + 1e-9));
}

static int finish(void *user, void *batch, struct err *e)
{
    struct maker *m = user;
    struct batch *b = batch;
    int shards = 0;
    for (int i = 0; i < b->n_fr; i++)
        shards += b->fr[i].new_shard;
    int number = m->docs.number + 1 - shards;
    for (int i = 0; i < b->n_fr; i++) {
        int rc = write_frame(m, &b->fr[i], &number, e);
        if (rc != 0)
            return rc;
    }
    for (int i = 0; i < b->n; i++)
        buf_release(&b->it[i].nfc);
    show_progress(m, b->it[b->n - 1].file);
    return log_stop_asked() ? err_set(e, ERR_STOPPED, "stopped before the corpus was complete") : 0;
}

static void maker_release(struct maker *m)
{
    for (int k = 0; k < 2; k++) {
        struct batch *b = &m->b[k];
        for (int i = 0; b->it && i < b->n; i++)
            buf_release(&b->it[i].nfc);
        for (int i = 0; i < b->cap_fr; i++)
            buf_release(&b->fr[i].out);
        mem_free(b->it);
        mem_free(b->fr);
        buf_release(&b->raw);
        buf_release(&b->meta);
    }
    for (int t = 0; m->w && t < m->c->threads; t++) {
        ZSTD_freeCCtx(m->w[t].z);
        buf_release(&m->w[t].lines);
    }
    mem_free(m->w);
    struct out_file *o[2] = {&m->docs, &m->removed};
    for (int i = 0; i < 2; i++) {
        file_new_abort(&o[i]->f);
        if (o[i]->sha)
            (void)sha256_end(&o[i]->sha);
    }
    input_stream_free(m->src);
    seen_free(m->seen);
}

static int maker_init(struct maker *m, struct err *e)
{
    struct corpus_files *c = m->c;
    m->t0 = clock_seconds();
    m->docs.number = -1;
    merkle_init(&m->tree);
    nfc_init();
    c->threads = pipe_threads(c->threads);
    m->w = mem_new((size_t)c->threads, sizeof *m->w);
    m->b[0].it = mem_new(BATCH_DOCS, sizeof *m->b[0].it);
    m->b[1].it = mem_new(BATCH_DOCS, sizeof *m->b[1].it);
    if (!m->w || !m->b[0].it || !m->b[1].it)
        return err_set(e, ERR_NOMEM, "out of memory for building a corpus");
    int rc = seen_new(&m->seen, e);
    return rc == 0 ? input_stream_new(&m->src, m->in, c->max_doc, c->piece, e) : rc;
}

int corpus_files_make(struct corpus_files *c, const struct inputs *in, struct err *e)
{
    struct maker m = {.c = c, .in = in};
    int rc = maker_init(&m, e);
    if (rc == 0) {
        struct pipe_ops ops = {.user = &m, .batch = {&m.b[0], &m.b[1]}, .fill = fill, .items = items, .weight = weight,
                               .work = work, .plan = plan, .piece = piece, .finish = finish};
        rc = pipe_run(&ops, c->threads, e);
    }
    if (rc == 0)
        rc = out_close(&m, &m.docs, e);
    if (rc == 0)
        rc = out_close(&m, &m.removed, e);
    c->total.files = (uint64_t)in->n;
    c->root = merkle_root(&m.tree);
    maker_release(&m);
    log_progress_end();
    return rc;
}
