#include "data/corpus_batch.h"

#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/plural.h"
#include "data/corpus_file.h"
#include "data/corpus_nfc.h"
#include "data/corpus_pipe.h"
#include "data/corpus_seen.h"

/* Documents come in units, each of which becomes a zstd frame: constants of the format, for what a file looks like must
 * not depend on the machine. */
enum { UNIT_BYTES = 1 << 20, UNIT_DOCS = 8192 };
/* A batch is as many units as its threads can share.  Of 1, 2, 4 and 8 units 4 were fastest for one thread: larger
 * batches leave its cache before they are compressed, smaller ones drive the window of a compressed input out of it. */
enum { UNITS_PER_THREAD = 4, MAX_UNITS = 16 };

struct item {
    size_t text, n;                  /* in raw */
    size_t id, source, license, lang; /* in meta */
    size_t note;                     /* of a duplicate the first, of a bad record the cause, in meta */
    int file;
    enum corpus_reason reason;
    uint64_t chars;
    struct digest hash, leaf;
    struct buf nfc;                  /* when the text was not in normal form */
};
/* Documents [lo, hi) of a batch of which those kept, or those removed, become one zstd frame. */
struct frame {
    int lo, hi;
    bool removed, new_shard;
    struct buf out;
};
struct batch {
    struct buf raw, meta;
    struct item *it;
    int n;
    int unit[MAX_UNITS], n_units;    /* unit u ends before it[unit[u]] */
    struct frame *fr;
    int n_fr, cap_fr;
};

struct maker {
    struct corpus_files *c;
    struct inputs *in;
    struct input_stream *src;
    struct input_doc held;           /* read, but the unit was full */
    bool has_held;
    int units;                       /* of a batch */
    struct batch b[2];
    struct packer *w;
    struct seen *seen;
    struct merkle tree;
    size_t shard_text;               /* text bytes planned into the present docs file */
    struct corpus_file docs, removed;
    int shard;                       /* number of the present docs file; −1: none yet */
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
    if (rc == 0 && d->reason == BAD_RECORD)
        rc = buf_addz(&b->meta, &it->note, d->why, e);
    b->n += rc == 0;
    return rc;
}

static int fill_unit(struct maker *m, struct batch *b, struct err *e)
{
    int first = b->n;
    size_t from = b->raw.len;
    for (; b->n - first < UNIT_DOCS; m->has_held = false) {
        if (!m->has_held) {
            int got = input_stream_next(m->src, &m->held, e);
            if (got < 0)
                return got;
            if (got == 0)
                break;
            m->has_held = true;
        }
        if (b->n > first && b->raw.len - from + m->held.n > UNIT_BYTES)
            break;
        int rc = take(b, &m->held, e);
        if (rc != 0)
            return rc;
    }
    return b->n > first;
}

static int fill(void *user, void *batch, struct err *e)
{
    struct maker *m = user;
    struct batch *b = batch;
    buf_clear(&b->raw);
    buf_clear(&b->meta);
    b->n = b->n_units = 0;
    while (b->n_units < m->units) {
        int got = fill_unit(m, b, e);
        if (got < 0)
            return got;
        if (got == 0)
            break;
        b->unit[b->n_units++] = b->n;
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

static struct frame *new_frame(struct batch *b, int lo, int hi, struct err *e)
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
    f->lo = lo;
    f->hi = hi;
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
            rc = buf_addz(&b->meta, &it->note, first, e);
        }
        if (rc != 0)
            return rc;
    }
    if (it->reason == KEPT)
        merkle_add_hash(&m->tree, &it->leaf);
    if (it->reason == BAD_RECORD && m->c->bad_record.code == 0)
        err_set(&m->c->bad_record, ERR_FORMAT, "%s: %s", m->in->f[it->file].name, b->meta.p + it->note);
    count_item(&m->c->total, it, n);
    count_item(&m->c->file[it->file], it, n);
    return 0;
}

static int plan_unit(struct maker *m, struct batch *b, int lo, int hi, struct err *e)
{
    struct frame *f = NULL;
    bool removed = false;
    for (int i = lo; i < hi; i++) {
        struct item *it = &b->it[i];
        size_t n;
        (void)final_text(b, it, &n);
        int rc = settle(m, b, it, n, e);
        if (rc != 0)
            return rc;
        removed |= it->reason != KEPT;
        if (it->reason != KEPT)
            continue;
        bool turn = m->shard < 0 || (m->shard_text > 0 && m->shard_text + n > m->c->shard);
        if (turn) {
            m->shard++;
            m->shard_text = 0;
        }
        if ((!f || turn) && !(f = new_frame(b, i, i, e)))
            return ERR_NOMEM;
        f->new_shard |= turn;
        f->hi = i + 1;
        m->shard_text += n;
    }
    if (!removed)
        return 0;
    f = new_frame(b, lo, hi, e);
    if (!f)
        return ERR_NOMEM;
    f->removed = true;
    return 0;
}

static int plan(void *user, void *batch, struct err *e)
{
    struct maker *m = user;
    struct batch *b = batch;
    b->n_fr = 0;
    for (int u = 0; u < b->n_units; u++) {
        int rc = plan_unit(m, b, u > 0 ? b->unit[u - 1] : 0, b->unit[u], e);
        if (rc != 0)
            return rc;
    }
    return b->n_fr;
}

/* ---- pieces: many threads, one frame each ---- */

static int removed_line(struct buf *l, const struct batch *b, const struct item *it, struct err *e)
{
    const char *s = b->meta.p;
    bool first = it->reason == DUPLICATE, noted = first || it->reason == BAD_RECORD;
    const char *key[] = {"{\"id\": ", ", \"source\": ", ", \"reason\": ", first ? ", \"first\": " : ", \"why\": "};
    const char *val[] = {s + it->id, s + it->source, corpus_reason_name(it->reason), s + it->note};
    for (int i = 0; i < (noted ? 4 : 3); i++) {
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

static int piece(void *user, void *batch, int i, int thread, struct err *e)
{
    struct maker *m = user;
    struct batch *b = batch;
    struct frame *f = &b->fr[i];
    struct buf *lines = &m->w[thread].lines;
    buf_clear(lines);
    for (int k = f->lo; k < f->hi; k++) {
        const struct item *it = &b->it[k];
        if ((it->reason != KEPT) != f->removed)
            continue;
        int rc = f->removed ? removed_line(lines, b, it, e) : doc_line(lines, b, it, e);
        if (rc != 0)
            return rc;
    }
    return packer_frame(&m->w[thread], &f->out, e);
}

/* ---- finish: one thread, in order ---- */

static int write_frame(struct maker *m, const struct frame *f, int *shard, struct err *e)
{
    struct corpus_file *o = f->removed ? &m->removed : &m->docs;
    int rc = 0;
    if (f->new_shard) {
        rc = corpus_file_close(o, m->c->files, e);
        if (rc == 0)
            rc = corpus_file_open(o, m->c->dir, "docs", (*shard)++, e);
    } else if (f->removed && !o->f) {
        rc = corpus_file_open(o, m->c->dir, "removed", 0, e);
    }
    return rc == 0 ? corpus_file_add(o, &f->out, e) : rc;
}

static void show_progress(const struct maker *m, int file)
{
    const struct corpus_counts *t = &m->c->total;
    double s = clock_seconds() - m->t0;
    log_progress("corpus: file %d of %d, %llu document%s, %.0f MB of text, %.0f MB/s", file + 1, m->in->n,
                 (unsigned long long)t->docs, PLURAL(t->docs), (double)t->bytes * 1e-6,
                 (double)t->bytes_in * 1e-6 / (s + 1e-9));
}

static int finish(void *user, void *batch, struct err *e)
{
    struct maker *m = user;
    struct batch *b = batch;
    int shards = 0;
    for (int i = 0; i < b->n_fr; i++)
        shards += b->fr[i].new_shard;
    int shard = m->shard + 1 - shards;
    for (int i = 0; i < b->n_fr; i++) {
        int rc = write_frame(m, &b->fr[i], &shard, e);
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
    for (int t = 0; m->w && t < m->c->threads; t++)
        packer_release(&m->w[t]);
    mem_free(m->w);
    corpus_file_abort(&m->docs);
    corpus_file_abort(&m->removed);
    input_stream_free(m->src);
    seen_free(m->seen);
}

static int maker_init(struct maker *m, struct err *e)
{
    struct corpus_files *c = m->c;
    m->t0 = clock_seconds();
    m->shard = -1;
    merkle_init(&m->tree);
    nfc_init();
    c->threads = pipe_threads(c->threads);
    m->units = c->threads < MAX_UNITS / UNITS_PER_THREAD ? c->threads * UNITS_PER_THREAD : MAX_UNITS;
    m->w = mem_new((size_t)c->threads, sizeof *m->w);
    for (int k = 0; k < 2; k++)
        m->b[k].it = mem_new((size_t)m->units * UNIT_DOCS, sizeof *m->b[k].it);
    if (!m->w || !m->b[0].it || !m->b[1].it)
        return err_set(e, ERR_NOMEM, "out of memory for building a corpus");
    int rc = seen_new(&m->seen, e);
    return rc == 0 ? input_stream_new(&m->src, m->in, c->max_doc, c->piece, e) : rc;
}

int corpus_files_make(struct corpus_files *c, struct inputs *in, struct err *e)
{
    struct maker m = {.c = c, .in = in};
    int rc = maker_init(&m, e);
    if (rc == 0) {
        struct pipe_ops ops = {.user = &m, .batch = {&m.b[0], &m.b[1]}, .fill = fill, .items = items, .weight = weight,
                               .work = work, .plan = plan, .piece = piece, .finish = finish};
        rc = pipe_run(&ops, c->threads, e);
    }
    if (rc == 0)
        rc = corpus_file_close(&m.docs, c->files, e);
    if (rc == 0)
        rc = corpus_file_close(&m.removed, c->files, e);
    c->total.files = (uint64_t)in->n;
    c->root = merkle_root(&m.tree);
    maker_release(&m);
    log_progress_end();
    return rc;
}
