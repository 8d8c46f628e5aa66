#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "data/corpus_load.h"
#include "data/corpus_nfc.h"
#include "data/corpus_pipe.h"
#include "data/tokens.h"
#include "data/tokens_file.h"
#include "formats/shard.h"

struct encoded {
    struct digest hash;
    uint64_t chars;
    struct token_vec ids;
};
struct batch {
    struct load_batch in;
    struct encoded *out; /* LOAD_DOCS */
};
/* Which side a document falls on. */
enum rule { BY_HASH, LOWEST_HELD, HIGHEST_TRAINED, ONE_DOCUMENT };

struct split_count {
    uint64_t docs, tokens, bytes, chars;
};
struct prep {
    const char *dir;
    const struct corpus *c;
    const struct tokenizer *t;
    double heldout;
    int threads;
    enum rule rule;
    struct digest lowest, highest; /* of the documents seen, known after the first pass */
    struct corpus_reader *r;
    struct batch b[2];
    struct tok_encoder **enc;      /* one a thread */
    struct shard_new *out[2];
    struct split_count n[2];
    struct token_vec line;         /* a document with its ends */
    double t0;
};

static int fill(void *user, void *batch, struct err *e)
{
    struct prep *p = user;
    struct batch *b = batch;
    return load_fill(&b->in, p->r, e);
}

static int items(const void *batch) { return ((const struct batch *)batch)->in.n; }
static size_t weight(const void *batch, int i) { return ((const struct batch *)batch)->in.it[i].n + 64; }

static int encode(struct prep *p, struct token_vec *ids, const char *text, size_t n, int thread, struct err *e)
{
    ids->n = 0;
    if (!p->enc[thread]) {
        int rc = tok_encoder_new(&p->enc[thread], p->t, e);
        if (rc != 0)
            return rc;
    }
    return tok_encode(p->enc[thread], ids, text, n, false, e);
}

static int work(void *user, void *batch, int i, int thread, struct err *e)
{
    struct prep *p = user;
    struct batch *b = batch;
    const struct load_item *it = &b->in.it[i];
    const char *text = b->in.raw.p + it->text;
    b->out[i].hash = sha256_of(text, it->n);
    b->out[i].chars = nfc_count_chars(text, it->n);
    return p->rule == ONE_DOCUMENT ? 0 : encode(p, &b->out[i].ids, text, it->n, thread, e);
}

static int plan(void *user, void *batch, struct err *e)
{
    (void)user;
    (void)batch;
    (void)e;
    return 0;
}

static bool held_out(const struct prep *p, const struct digest *h)
{
    if (p->rule == LOWEST_HELD)
        return memcmp(h, &p->lowest, sizeof *h) == 0;
    if (p->rule == HIGHEST_TRAINED)
        return memcmp(h, &p->highest, sizeof *h) != 0;
    return corpus_held_out(h, p->heldout);
}

static int put(struct prep *p, int split, const struct token_vec *ids, size_t bytes, uint64_t chars, struct err *e)
{
    struct tok_special sp = tokenizer_special(p->t);
    size_t n = ids->n + 2;
    if (n > p->line.cap) {
        int32_t *v = mem_resize(p->line.v, n + n / 2, sizeof *v);
        if (!v)
            return err_set(e, ERR_NOMEM, "out of memory for a document of %zu tokens", n);
        p->line.v = v;
        p->line.cap = n + n / 2;
    }
    p->line.v[0] = sp.bos;
    if (ids->n > 0)
        memcpy(p->line.v + 1, ids->v, ids->n * sizeof *ids->v);
    p->line.v[n - 1] = sp.eos;
    int rc = shard_new_doc(p->out[split], p->line.v, n, e);
    p->n[split].docs++;
    p->n[split].tokens += n;
    p->n[split].bytes += bytes;
    p->n[split].chars += chars;
    return rc;
}

/* About nine tenths to train on, cut after a line where one ends near there, else at a character. */
static int put_one_document(struct prep *p, struct batch *b, struct err *e)
{
    const struct load_item *it = &b->in.it[0];
    const char *text = b->in.raw.p + it->text;
    size_t cut = it->n - (it->n + 9) / 10, near = it->n - it->n / 5, at = cut;
    while (at > near && text[at - 1] != '\n')
        at--;
    if (at <= near)
        for (at = cut; at > 0 && at < it->n && ((unsigned char)text[at] & 0xc0) == 0x80; at--)
            ;
    const size_t from[3] = {0, at, it->n};
    for (int s = 0; s < 2; s++) {
        size_t n = from[s + 1] - from[s];
        if (n == 0)
            continue;
        int rc = encode(p, &b->out[0].ids, text + from[s], n, 0, e);
        if (rc == 0)
            rc = put(p, s, &b->out[0].ids, n, nfc_count_chars(text + from[s], n), e);
        if (rc != 0)
            return rc;
    }
    return 0;
}

static int finish(void *user, void *batch, struct err *e)
{
    struct prep *p = user;
    struct batch *b = batch;
    int rc = p->rule == ONE_DOCUMENT ? put_one_document(p, b, e) : 0;
    for (int i = 0; i < b->in.n && rc == 0 && p->rule != ONE_DOCUMENT; i++) {
        struct encoded *d = &b->out[i];
        if (p->rule == BY_HASH) {
            bool first = p->n[0].docs + p->n[1].docs == 0;
            if (first || memcmp(&d->hash, &p->lowest, sizeof d->hash) < 0)
                p->lowest = d->hash;
            if (first || memcmp(&d->hash, &p->highest, sizeof d->hash) > 0)
                p->highest = d->hash;
        }
        rc = put(p, held_out(p, &d->hash), &d->ids, b->in.it[i].n, d->chars, e);
        /* One long document must not keep its space in this slot for good. */
        if (d->ids.cap > 1 << 16)
            token_vec_release(&d->ids);
    }
    uint64_t bytes = p->n[0].bytes + p->n[1].bytes, all = corpus_count(p->c).bytes;
    double s = clock_seconds() - p->t0 + 1e-9;
    log_progress("tokens: %.0f %% of %.0f MB of text, %.1f MB/s", 100.0 * (double)bytes / ((double)all + 1e-9),
                 (double)all * 1e-6, (double)bytes * 1e-6 / s);
    if (rc == 0 && log_stop_asked())
        rc = err_set(e, ERR_STOPPED, "stopped before the text was tokenized");
    return rc;
}

static int open_shards(struct prep *p, struct err *e)
{
    struct buf path = {0};
    struct digest corpus = corpus_root(p->c), tok = tokenizer_digest(p->t);
    int rc = 0;
    for (int s = 0; s < 2 && rc == 0; s++) {
        shard_new_abort(&p->out[s]);
        p->n[s] = (struct split_count){0};
        rc = file_join(&path, p->dir, tokens_file_name[s], e);
        if (rc == 0)
            rc = shard_new_open(&p->out[s], path.p, (uint32_t)tokenizer_vocab(p->t), &corpus, &tok, e);
    }
    buf_release(&path);
    return rc;
}

/* One pass over the corpus under the present rule. */
static int pass(struct prep *p, struct err *e)
{
    int rc = open_shards(p, e);
    corpus_reader_free(p->r);
    p->r = NULL;
    if (rc == 0)
        rc = corpus_reader_new(&p->r, p->c, e);
    struct pipe_ops ops = {.user = p, .batch = {&p->b[0], &p->b[1]}, .fill = fill, .items = items, .weight = weight,
                           .work = work, .plan = plan, .finish = finish};
    return rc == 0 ? pipe_run(&ops, p->threads, e) : rc;
}

static int passes(struct prep *p, struct err *e)
{
    bool one = corpus_count(p->c).docs == 1 && p->heldout > 0;
    p->rule = one ? ONE_DOCUMENT : BY_HASH;
    int rc = pass(p, e);
    if (rc != 0 || one || p->heldout <= 0 || corpus_count(p->c).docs < 2)
        return rc;
    if (p->n[TOKENS_HELDOUT].docs > 0 && p->n[TOKENS_TRAIN].docs > 0)
        return 0;
    p->rule = p->n[TOKENS_HELDOUT].docs == 0 ? LOWEST_HELD : HIGHEST_TRAINED;
    return pass(p, e);
}

static json_t *split_json(const struct split_count *n)
{
    return json_pack("{s:I, s:I, s:I, s:I}", "docs", (json_int_t)n->docs, "tokens", (json_int_t)n->tokens, "bytes",
                     (json_int_t)n->bytes, "chars", (json_int_t)n->chars);
}

static int write_manifest(const struct prep *p, const char *path, struct err *e)
{
    char corpus[65], tok[65];
    struct digest root = corpus_root(p->c), td = tokenizer_digest(p->t);
    struct tok_special sp = tokenizer_special(p->t);
    digest_hex(corpus, &root);
    digest_hex(tok, &td);
    json_t *m = json_pack("{s:s, s:i, s:s, s:s, s:f, s:i, s:i, s:i, s:{s:o, s:o}}", "format", "dokja-tokens",
                          "version", 1, "corpus_root", corpus, "tokenizer", tok, "heldout", p->heldout, "vocab",
                          tokenizer_vocab(p->t),
                          "bos", sp.bos, "eos", sp.eos, "splits", tokens_split_name[0], split_json(&p->n[0]),
                          tokens_split_name[1], split_json(&p->n[1]));
    int rc = m ? json_write(path, m, e) : err_set(e, ERR_NOMEM, "%s: out of memory", path);
    json_decref(m);
    return rc;
}

/* The same corpus, tokenizer and fraction, and shards that open. */
static bool up_to_date(const struct prep *p, const char *manifest)
{
    json_t *m = NULL;
    struct tokens *old = NULL;
    const char *corpus, *tok;
    double heldout;
    char hex[2][65];
    struct digest root = corpus_root(p->c), td = tokenizer_digest(p->t);
    digest_hex(hex[0], &root);
    digest_hex(hex[1], &td);
    bool same = file_exists(manifest) && json_read(&m, manifest, 1 << 20, NULL) == 0 &&
                json_get_str(&corpus, m, "corpus_root", false, NULL, manifest, NULL) == 0 &&
                json_get_str(&tok, m, "tokenizer", false, NULL, manifest, NULL) == 0 &&
                json_get_real(&heldout, m, "heldout", 0, 1, false, 0, manifest, NULL) == 0 &&
                strcmp(corpus, hex[0]) == 0 && strcmp(tok, hex[1]) == 0 && heldout == p->heldout &&
                tokens_open(&old, p->dir, NULL) == 0;
    tokens_close(old);
    json_decref(m);
    return same;
}

static int make(struct prep *p, const char *manifest, struct err *e)
{
    int rc = file_mkdir_p(p->dir, e);
    if (rc == 0)
        rc = file_clean_tmp(p->dir, e);
    p->enc = mem_new((size_t)p->threads, sizeof *p->enc);
    for (int k = 0; k < 2 && rc == 0; k++) {
        p->b[k].out = mem_new(LOAD_DOCS, sizeof *p->b[k].out);
        rc = p->b[k].out && p->enc ? load_init(&p->b[k].in, e) : err_set(e, ERR_NOMEM, "%s: out of memory", p->dir);
    }
    if (rc == 0)
        rc = passes(p, e);
    /* Without its manifest the folder is an unfinished build, whichever of the shards is new. */
    if (rc == 0)
        rc = file_remove(manifest, e);
    for (int s = 0; s < 2 && rc == 0; s++)
        rc = shard_new_commit(&p->out[s], e);
    return rc == 0 ? write_manifest(p, manifest, e) : rc;
}

static void prep_release(struct prep *p)
{
    for (int s = 0; s < 2; s++)
        shard_new_abort(&p->out[s]);
    for (int i = 0; p->enc && i < p->threads; i++)
        tok_encoder_free(p->enc[i]);
    for (int k = 0; k < 2; k++) {
        for (int i = 0; p->b[k].out && i < LOAD_DOCS; i++)
            token_vec_release(&p->b[k].out[i].ids);
        mem_free(p->b[k].out);
        load_release(&p->b[k].in);
    }
    mem_free(p->enc);
    mem_free(p->line.v);
    corpus_reader_free(p->r);
}

int tokens_prepare(const char *dir, const struct corpus *c, const struct tokenizer *t, const struct tokens_opts *o,
                   struct err *e)
{
    struct tok_special sp = tokenizer_special(t);
    struct prep p = {.dir = dir, .c = c, .t = t, .heldout = o->heldout, .threads = pipe_threads(o->threads)};
    struct buf manifest = {0};
    if (sp.bos < 0 || sp.eos < 0)
        return err_set(e, ERR_VALUE, "the tokenizer has no %s token, which every document %s with",
                       sp.bos < 0 ? "<|bos|>" : "<|eos|>", sp.bos < 0 ? "begins" : "ends");
    if (!(o->heldout >= 0 && o->heldout < 1))
        return err_set(e, ERR_VALUE, "held-out fraction %g, expected at least 0 and below 1", o->heldout);
    p.t0 = clock_seconds();
    int rc = file_join(&manifest, dir, TOKENS_MANIFEST, e);
    if (rc == 0 && !up_to_date(&p, manifest.p)) {
        rc = make(&p, manifest.p, e);
        log_progress_end();
    }
    prep_release(&p);
    buf_release(&manifest);
    return rc;
}

void tokens_drop(const char *dir)
{
    const char *const name[] = {TOKENS_MANIFEST, tokens_file_name[0], tokens_file_name[1]};
    struct buf path = {0};
    for (size_t i = 0; i < sizeof name / sizeof *name; i++)
        if (file_join(&path, dir, name[i], NULL) == 0)
            unlink(path.p);
    buf_release(&path);
    rmdir(dir);
}
