/* The trainer's outside: documents in batches, the finished vocabulary out.  The merging is in bpe_merge.c. */
#include "text/bpe_train.h"

#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "text/bpe_merge.h"
#include "text/piece_count.h"
#include "text/tokenizer_impl.h"

enum { BATCH_BYTES = 16 << 20, STRETCH = 256 << 10 };
static const size_t document_limit = (size_t)3 << 30;
/* Lengths of pieces are kept in 32 bits; normal form C may make a text three times as long. */
static const size_t piece_limit = UINT32_MAX;

const char *const bpe_default_special[16] = {"<|bos|>",        "<|eos|>",        "<|user|>",       "<|assistant|>",
                                             "<|end|>",        "<|tool|>",       "<|reserved_0|>", "<|reserved_1|>",
                                             "<|reserved_2|>", "<|reserved_3|>", "<|reserved_4|>", "<|reserved_5|>",
                                             "<|reserved_6|>", "<|reserved_7|>", "<|reserved_8|>", "<|reserved_9|>"};

struct bpe_trainer {
    struct bpe_train_opts o;
    struct splitter *split;
    struct piece_counter *count;
    struct buf batch;
    size_t *at;
    size_t n_at, cap_at; /* stretches of the batch: at[0..n_at] */
    struct bpe_train_progress now;
};

static int check(struct bpe_train_opts *o, struct err *e)
{
    if (!o->special) {
        o->special = bpe_default_special;
        o->n_special = 16;
    }
    if (o->vocab < o->n_special + 256)
        return err_set(e, ERR_VALUE, "a vocabulary of %d is too small: %d special tokens and 256 bytes need %d",
                       o->vocab, o->n_special, o->n_special + 256);
    if (o->vocab > BPE_MAX_VOCAB)
        return err_set(e, ERR_LIMIT, "a vocabulary of %d, limit %d", o->vocab, BPE_MAX_VOCAB);
    for (int i = 0; i < o->n_special; i++)
        for (int k = 0; k <= i; k++)
            if (strlen(o->special[i]) < 2 || (k < i && strcmp(o->special[i], o->special[k]) == 0))
                return err_set(e, ERR_VALUE, "special token \"%s\" is given twice or shorter than two bytes",
                               o->special[i]);
    if (o->min_count == 0)
        o->min_count = 2;
    if (o->threads <= 0)
        o->threads = omp_get_max_threads();
    return 0;
}

int bpe_trainer_new(struct bpe_trainer **out, const struct bpe_train_opts *o, struct err *e)
{
    struct bpe_trainer *tr = mem_new(1, sizeof *tr);
    *out = NULL;
    if (!tr)
        return err_set(e, ERR_NOMEM, "out of memory for a trainer");
    tr->o = *o;
    int rc = check(&tr->o, e);
    if (rc == 0)
        rc = splitter_new(&tr->split, e);
    if (rc == 0)
        rc = splitter_add_regex(tr->split, o->pattern ? o->pattern : lexer_pattern_dokja, SPLIT_ISOLATED, false, e);
    if (rc == 0)
        rc = piece_counter_new(&tr->count, tr->split, tr->o.threads, e);
    if (rc) {
        bpe_trainer_free(tr);
        return rc;
    }
    tr->now.vocab = tr->o.vocab;
    *out = tr;
    return 0;
}

void bpe_trainer_free(struct bpe_trainer *tr)
{
    if (!tr)
        return;
    splitter_free(tr->split);
    piece_counter_free(tr->count);
    buf_release(&tr->batch);
    mem_free(tr->at);
    mem_free(tr);
}

static int report(struct bpe_trainer *tr, struct err *e)
{
    if (tr->o.progress && !tr->o.progress(tr->o.ctx, &tr->now))
        return err_set(e, ERR_STOPPED, "tokenizer training was stopped");
    return 0;
}

static int run_batch(struct bpe_trainer *tr, struct err *e)
{
    if (tr->n_at == 0)
        return 0;
    tr->at[tr->n_at] = tr->batch.len;
    int rc = piece_counter_batch(tr->count, tr->batch.p, tr->at, tr->n_at, e);
    tr->n_at = 0;
    buf_clear(&tr->batch);
    tr->now.pieces = piece_counter_distinct(tr->count);
    return rc ? rc : report(tr, e);
}

static int begin_stretch(struct bpe_trainer *tr, struct err *e)
{
    if (tr->n_at + 2 > tr->cap_at) {
        size_t cap = tr->cap_at ? tr->cap_at * 2 : 1024;
        size_t *v = mem_resize(tr->at, cap, sizeof *v);
        if (!v)
            return err_set(e, ERR_NOMEM, "out of memory for a batch of documents");
        tr->at = v;
        tr->cap_at = cap;
    }
    tr->at[tr->n_at++] = tr->batch.len;
    return 0;
}

/* Where a stretch of our own pattern may end without cutting a piece: behind a newline before what is not space. */
static size_t stretch_end(const char *p, size_t n)
{
    if (n <= STRETCH)
        return n;
    for (const char *q = p + STRETCH; (q = memchr(q, '\n', n - (size_t)(q - p))) != NULL; q++)
        if (q + 1 < p + n && (unsigned char)q[1] > ' ' && (unsigned char)q[1] < 0x7F)
            return (size_t)(q + 1 - p);
    return n;
}

/* Normal form of the valid parts of a document, added to the batch. */
static int add_normal(struct bpe_trainer *tr, const unsigned char *p, size_t n, struct err *e)
{
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0;) {
        bool nfc = false;
        size_t good = uc_valid(p + i, n - i, &nfc);
        rc = nfc ? uc_nfc(&tr->batch, p + i, good, e) : buf_add(&tr->batch, p + i, good, e);
        i += good;
        size_t bytes = i < n ? uc_invalid(p + i, n - i) : 0;
        if (rc == 0)
            rc = buf_add(&tr->batch, p + i, bytes, e);
        i += bytes;
    }
    return rc;
}

int bpe_trainer_add(struct bpe_trainer *tr, const char *text, size_t n, struct err *e)
{
    if (n > document_limit)
        return err_set(e, ERR_LIMIT, "a document of %zu bytes, limit %zu", n, document_limit);
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0;) {
        size_t len = tr->o.pattern ? n : stretch_end(text + i, n - i);
        size_t from = tr->batch.len;
        rc = begin_stretch(tr, e);
        if (rc == 0)
            rc = add_normal(tr, (const unsigned char *)text + i, len, e);
        if (rc == 0 && tr->batch.len - from > piece_limit)
            rc = err_set(e, ERR_LIMIT, "a document has %zu bytes in normal form C where a piece may have %zu",
                         tr->batch.len - from, piece_limit);
        i += len;
        tr->now.bytes += len;
        if (rc == 0 && tr->batch.len >= BATCH_BYTES)
            rc = run_batch(tr, e);
    }
    tr->now.documents++;
    return rc;
}

int bpe_trainer_add_piece(struct bpe_trainer *tr, const char *piece, size_t n, uint64_t count, struct err *e)
{
    return piece_counter_one(tr->count, piece, n, count, e);
}

static int by_char(const void *x, const void *y)
{
    int32_t a = bpe_byte_to_char(*(const unsigned char *)x), b = bpe_byte_to_char(*(const unsigned char *)y);
    return a < b ? -1 : a > b;
}

/* The contents of all tokens, in the order of their ids. */
struct vocab {
    struct buf bytes;
    uint32_t *at;
};

static int base_vocab(struct vocab *v, const struct bpe_train_opts *o, int32_t byte_id[256], struct err *e)
{
    uint32_t n = 0;
    int rc = 0;
    v->at = mem_new((size_t)o->vocab + 1, sizeof *v->at);
    if (!v->at)
        return err_set(e, ERR_NOMEM, "out of memory for a vocabulary of %d", o->vocab);
    for (int i = 0; i < o->n_special && rc == 0; i++) {
        v->at[n++] = (uint32_t)v->bytes.len;
        rc = buf_adds(&v->bytes, o->special[i], e);
    }
    unsigned char alphabet[256];
    for (int i = 0; i < 256; i++)
        alphabet[i] = (unsigned char)i;
    qsort(alphabet, 256, 1, by_char);
    for (int i = 0; i < 256 && rc == 0; i++) {
        byte_id[alphabet[i]] = (int32_t)n;
        v->at[n++] = (uint32_t)v->bytes.len;
        rc = buf_addc(&v->bytes, (char)alphabet[i], e);
    }
    v->at[n] = (uint32_t)v->bytes.len;
    return rc;
}

static bool merged(void *ctx, int n_token)
{
    struct bpe_trainer *tr = ctx;
    tr->now.done = n_token;
    return !tr->o.progress || tr->o.progress(tr->o.ctx, &tr->now);
}

int bpe_trainer_finish(struct bpe_trainer *tr, struct tokenizer **t, struct err *e)
{
    struct vocab v = {0};
    struct bpe_merges m = {0};
    struct buf json = {0};
    int32_t byte_id[256];
    *t = NULL;
    int rc = run_batch(tr, e);
    if (rc == 0 && piece_counter_distinct(tr->count) == 0)
        rc = err_set(e, ERR_VALUE, "there is no text to train a tokenizer on");
    if (rc == 0)
        rc = base_vocab(&v, &tr->o, byte_id, e);
    if (rc == 0)
        rc = bpe_merge_run(&m, tr->count,
                           &(struct bpe_merge_opts){.vocab = (uint32_t)tr->o.vocab,
                                                    .first = (uint32_t)tr->o.n_special + 256,
                                                    .at_most = tr->o.at_most,
                                                    .min_count = tr->o.min_count,
                                                    .byte_id = byte_id,
                                                    .bytes = &v.bytes,
                                                    .at = v.at,
                                                    .progress = merged,
                                                    .ctx = tr},
                           e);
    if (rc == 0)
        rc = tokjson_write(&json,
                           &(struct tokjson_model){.bytes = v.bytes.p,
                                                   .at = v.at,
                                                   .n = m.n_token,
                                                   .n_special = (uint32_t)tr->o.n_special,
                                                   .merge = m.merge,
                                                   .n_merge = m.n_merge,
                                                   .pattern = tr->o.pattern ? tr->o.pattern : lexer_pattern_dokja},
                           e);
    if (rc == 0)
        rc = tokjson_read(t, &json, "trained tokenizer", e);
    buf_release(&json);
    bpe_merges_release(&m);
    buf_release(&v.bytes);
    mem_free(v.at);
    return rc;
}
