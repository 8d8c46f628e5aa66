#include "data/tokens.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/plural.h"
#include "base/rng.h"
#include "data/tokens_file.h"
#include "formats/shard.h"

struct tokens {
    char *dir;
    struct shard *shard[2];
    uint64_t bytes[2], chars[2];
    int bos;
};

static int open_split(struct tokens *t, const json_t *m, int s, const struct shard_info *want, const char *where,
                      struct err *e)
{
    struct buf path = {0};
    const json_t *row = json_object_get(json_object_get(m, "splits"), tokens_split_name[s]);
    int64_t bytes = 0, chars = 0, count = 0, docs = 0;
    int rc = json_is_object(row) ? 0 : err_set(e, ERR_FORMAT, "%s: no split \"%s\"", where, tokens_split_name[s]);
    if (rc == 0)
        rc = json_get_int(&bytes, row, "bytes", 0, INT64_MAX, false, 0, where, e);
    if (rc == 0)
        rc = json_get_int(&chars, row, "chars", 0, INT64_MAX, false, 0, where, e);
    if (rc == 0)
        rc = json_get_int(&count, row, "tokens", 0, INT64_MAX, false, 0, where, e);
    if (rc == 0)
        rc = json_get_int(&docs, row, "docs", 0, INT64_MAX, false, 0, where, e);
    if (rc == 0)
        rc = file_join(&path, t->dir, tokens_file_name[s], e);
    if (rc == 0)
        rc = shard_open(&t->shard[s], path.p, e);
    if (rc == 0) {
        const struct shard_info *in = shard_info(t->shard[s]);
        if (in->n_tokens != (uint64_t)count || in->n_docs != (uint64_t)docs || in->vocab != want->vocab ||
            memcmp(&in->corpus, &want->corpus, sizeof in->corpus) != 0 ||
            memcmp(&in->tokenizer, &want->tokenizer, sizeof in->tokenizer) != 0)
            rc = err_set(e, ERR_FORMAT, "%s: is not the file that tokens.json beside it describes", path.p);
    }
    /* An id out of range would be read as an address later. */
    if (rc == 0)
        rc = shard_verify(t->shard[s], e);
    buf_release(&path);
    t->bytes[s] = (uint64_t)bytes;
    t->chars[s] = (uint64_t)chars;
    return rc;
}

static int open_all(struct tokens *t, const char *where, struct err *e)
{
    json_t *m = NULL;
    struct shard_info want = {0};
    const char *format = "", *corpus = "", *tokenizer = "";
    int64_t version, vocab = 0, bos = 0;
    int rc = json_read(&m, where, 1 << 20, e);
    if (rc == 0)
        rc = json_get_str(&format, m, "format", false, NULL, where, e);
    if (rc == 0 && strcmp(format, "dokja-tokens") != 0)
        rc = err_set(e, ERR_FORMAT, "%s: format \"%s\", expected \"dokja-tokens\"", where, format);
    if (rc == 0)
        rc = json_get_int(&version, m, "version", 1, 1, false, 0, where, e);
    if (rc == 0)
        rc = json_get_str(&corpus, m, "corpus_root", false, NULL, where, e);
    if (rc == 0)
        rc = json_get_str(&tokenizer, m, "tokenizer", false, NULL, where, e);
    if (rc == 0 && (digest_parse(&want.corpus, corpus) != 0 || digest_parse(&want.tokenizer, tokenizer) != 0))
        rc = err_set(e, ERR_FORMAT, "%s: a digest is not 64 hexadecimal digits", where);
    if (rc == 0)
        rc = json_get_int(&vocab, m, "vocab", 1, INT32_MAX, false, 0, where, e);
    if (rc == 0)
        rc = json_get_int(&bos, m, "bos", 0, vocab - 1, false, 0, where, e);
    want.vocab = (uint32_t)vocab;
    t->bos = (int)bos;
    for (int s = 0; s < 2 && rc == 0; s++)
        rc = open_split(t, m, s, &want, where, e);
    json_decref(m);
    return rc;
}

int tokens_open(struct tokens **out, const char *dir, struct err *e)
{
    struct buf path = {0};
    struct tokens *t = mem_new(1, sizeof *t);
    *out = NULL;
    if (!t || !(t->dir = mem_strdup(dir))) {
        mem_free(t);
        return err_set(e, ERR_NOMEM, "%s: out of memory", dir);
    }
    int rc = file_join(&path, dir, TOKENS_MANIFEST, e);
    if (rc == 0)
        rc = open_all(t, path.p, e);
    buf_release(&path);
    if (rc != 0)
        tokens_close(t);
    else
        *out = t;
    return rc;
}

void tokens_close(struct tokens *t)
{
    if (!t)
        return;
    for (int s = 0; s < 2; s++)
        shard_close(t->shard[s]);
    mem_free(t->dir);
    mem_free(t);
}

uint64_t tokens_count(const struct tokens *t, enum tokens_split s) { return shard_info(t->shard[s])->n_tokens; }
uint64_t tokens_docs(const struct tokens *t, enum tokens_split s) { return shard_info(t->shard[s])->n_docs; }
struct digest tokens_corpus(const struct tokens *t) { return shard_info(t->shard[TOKENS_TRAIN])->corpus; }

int tokens_need_source(const struct tokens *t, const struct digest *corpus, const struct digest *tokenizer, int vocab,
                       int bos, struct err *e)
{
    for (int s = 0; s < 2; s++) {
        const struct shard_info *i = shard_info(t->shard[s]);
        if (memcmp(i->corpus.b, corpus->b, sizeof corpus->b) != 0)
            return err_set(e, ERR_VALUE, "%s: %s.tokens is of another corpus", t->dir, tokens_split_name[s]);
        if (memcmp(i->tokenizer.b, tokenizer->b, sizeof tokenizer->b) != 0)
            return err_set(e, ERR_VALUE, "%s: %s.tokens is of another tokenizer", t->dir, tokens_split_name[s]);
        if (i->vocab > (uint32_t)vocab)
            return err_set(e, ERR_VALUE, "%s: %s.tokens has a vocabulary of %" PRIu32 ", the model one of %d", t->dir,
                           tokens_split_name[s], i->vocab, vocab);
    }
    if (t->bos != bos)
        return err_set(e, ERR_VALUE, "%s: tokens.json says bos %d, the model %d", t->dir, t->bos, bos);
    return 0;
}

void tokens_document(const struct tokens *t, enum tokens_split s, uint64_t i, uint64_t *from, uint64_t *to)
{
    *from = shard_doc_start(t->shard[s], i);
    *to = shard_doc_start(t->shard[s], i + 1);
}

void tokens_text(const struct tokens *t, enum tokens_split s, uint64_t *bytes, uint64_t *chars)
{
    *bytes = t->bytes[s];
    *chars = t->chars[s];
}

uint64_t tokens_rows(const struct tokens *t, enum tokens_split s, int seq)
{
    uint64_t n = tokens_count(t, s), targets = n > 0 ? n - 1 : 0;
    assert(seq > 0);
    return (targets + (s == TOKENS_HELDOUT ? (uint64_t)seq - 1 : 0)) / (uint64_t)seq;
}

int tokens_need_row(const struct tokens *t, int seq, struct err *e)
{
    if (tokens_rows(t, TOKENS_TRAIN, seq) > 0)
        return 0;
    return err_set(e, ERR_VALUE,
                   "%s: the training text has %llu token%s, a sequence of %d needs %d: give more text or a "
                   "shorter --seq",
                   t->dir, (unsigned long long)tokens_count(t, TOKENS_TRAIN), PLURAL(tokens_count(t, TOKENS_TRAIN)),
                   seq, seq + 1);
}

void tokens_row(const struct tokens *t, enum tokens_split s, int seq, uint64_t i, int *tok, int *pos, int *target)
{
    uint64_t n = tokens_count(t, s), at = i * (uint64_t)seq;
    assert(i < tokens_rows(t, s, seq));
    int have = n - at < (uint64_t)seq ? (int)(n - at) : seq;
    int with_target = n - at - 1 < (uint64_t)seq ? (int)(n - at - 1) : seq;
    shard_read(t->shard[s], at, (size_t)have, tok);
    if (with_target > 0)
        shard_read(t->shard[s], at + 1, (size_t)with_target, target);
    for (int r = 0; r < seq; r++) {
        bool fill = r >= have;
        if (fill)
            tok[r] = t->bos;
        /* a document begins at each bos; the filling is one document of its own */
        bool starts = r == 0 || r == have || (!fill && tok[r] == t->bos);
        pos[r] = starts ? 0 : pos[r - 1] + 1;
        if (r >= with_target || target[r] == t->bos)
            target[r] = -1;
    }
}

uint64_t tokens_order(const struct tokens *t, int seq, uint64_t seed, uint64_t sample)
{
    uint64_t rows = tokens_rows(t, TOKENS_TRAIN, seq);
    assert(rows > 0);
    return rng_permute(seed, (uint32_t)(sample / rows), rows, sample % rows);
}
