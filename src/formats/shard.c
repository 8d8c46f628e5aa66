#include "formats/shard.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"

enum { HEAD = 128, VERSION = 1, BATCH = 4096 };
static const char magic[8] = "DKTOKENS";

static uint32_t get32(const unsigned char *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}
static uint64_t get64(const unsigned char *p) { return get32(p) | (uint64_t)get32(p + 4) << 32; }

static void put32(unsigned char *p, uint32_t v)
{
    for (int i = 0; i < 4; i++) p[i] = (unsigned char)(v >> 8 * i);
}
static void put64(unsigned char *p, uint64_t v)
{
    put32(p, (uint32_t)v);
    put32(p + 4, (uint32_t)(v >> 32));
}

static int token_bytes_for(uint32_t vocab) { return vocab <= 65536 ? 2 : 4; }

/* ---- reading ---- */

struct shard {
    struct file_map map;
    struct shard_info info;
    const unsigned char *tok, *start;
    char *path;
};

static int parse_head(struct shard *s, struct err *e)
{
    const unsigned char *h = s->map.p;
    struct shard_info *in = &s->info;
    if (s->map.len < HEAD)
        return err_set(e, ERR_FORMAT, "%s: %zu bytes, expected a header of %d", s->path, s->map.len, HEAD);
    if (memcmp(h, magic, sizeof magic)) return err_set(e, ERR_FORMAT, "%s: not a token shard", s->path);
    if (get32(h + 8) != VERSION)
        return err_set(e, ERR_FORMAT, "%s: shard version %u, expected %d", s->path, get32(h + 8), VERSION);
    in->token_bytes = (int)(get32(h + 12) & 7);
    in->n_tokens = get64(h + 16);
    in->n_docs = get64(h + 24);
    memcpy(in->corpus.b, h + 32, 32);
    memcpy(in->tokenizer.b, h + 64, 32);
    in->vocab = get32(h + 96);
    if (in->vocab == 0 || in->vocab > INT32_MAX)
        return err_set(e, ERR_FORMAT, "%s: vocabulary of %u", s->path, in->vocab);
    if (get32(h + 12) != (uint32_t)token_bytes_for(in->vocab))
        return err_set(e, ERR_FORMAT, "%s: %u bytes per token, expected %d for a vocabulary of %u", s->path,
                       get32(h + 12), token_bytes_for(in->vocab), in->vocab);
    for (int i = 100; i < HEAD; i++)
        if (h[i]) return err_set(e, ERR_FORMAT, "%s: header byte %d is %u, expected 0", s->path, i, h[i]);
    return 0;
}

static int check_size(struct shard *s, struct err *e)
{
    const struct shard_info *in = &s->info;
    uint64_t len = s->map.len, size = (uint64_t)in->token_bytes;
    /* Counts beyond the file's size are refused before they are multiplied. */
    if (in->n_tokens > len / size || in->n_docs > len / 8)
        return err_set(e, ERR_FORMAT, "%s: %llu tokens and %llu documents cannot lie in %llu bytes", s->path,
                       (unsigned long long)in->n_tokens, (unsigned long long)in->n_docs, (unsigned long long)len);
    uint64_t tokens = (in->n_tokens * size + 7) & ~(uint64_t)7, want = HEAD + tokens + in->n_docs * 8;
    if (want != len)
        return err_set(e, ERR_FORMAT, "%s: %llu bytes, expected %llu", s->path, (unsigned long long)len,
                       (unsigned long long)want);
    s->tok = s->map.p + HEAD;
    s->start = s->tok + tokens;
    for (const unsigned char *p = s->tok + in->n_tokens * size; p < s->start; p++)
        if (*p) return err_set(e, ERR_FORMAT, "%s: padding after the tokens is not zero", s->path);
    return 0;
}

static int check_docs(const struct shard *s, struct err *e)
{
    uint64_t before = 0;
    if (s->info.n_docs == 0 && s->info.n_tokens)
        return err_set(e, ERR_FORMAT, "%s: tokens without a document", s->path);
    for (uint64_t i = 0; i < s->info.n_docs; i++) {
        uint64_t at = get64(s->start + 8 * i);
        if (at < before || at > s->info.n_tokens || (i == 0 && at))
            return err_set(e, ERR_FORMAT, "%s: document %llu starts at token %llu, expected %llu to %llu", s->path,
                           (unsigned long long)i, (unsigned long long)at, (unsigned long long)before,
                           (unsigned long long)(i ? s->info.n_tokens : 0));
        before = at;
    }
    return 0;
}

int shard_open(struct shard **out, const char *path, struct err *e)
{
    *out = NULL;
    struct shard *s = mem_new(1, sizeof *s);
    if (!s || !(s->path = mem_strdup(path))) {
        mem_free(s);
        return err_set(e, ERR_NOMEM, "%s: out of memory", path);
    }
    int rc = file_map_open(&s->map, path, e);
    if (!rc) rc = parse_head(s, e);
    if (!rc) rc = check_size(s, e);
    if (!rc) rc = check_docs(s, e);
    if (rc) shard_close(s);
    else *out = s;
    return rc;
}

void shard_close(struct shard *s)
{
    if (!s) return;
    file_map_close(&s->map);
    mem_free(s->path);
    mem_free(s);
}

const struct shard_info *shard_info(const struct shard *s) { return &s->info; }

void shard_read(const struct shard *s, uint64_t from, size_t n, int *out)
{
    assert(from <= s->info.n_tokens && n <= s->info.n_tokens - from);
    const unsigned char *p = s->tok + from * (uint64_t)s->info.token_bytes;
    if (s->info.token_bytes == 2)
        for (size_t i = 0; i < n; i++) out[i] = p[2 * i] | p[2 * i + 1] << 8;
    else
        for (size_t i = 0; i < n; i++) out[i] = (int)get32(p + 4 * i);
}

int shard_verify(const struct shard *s, struct err *e)
{
    int tok[BATCH];
    for (uint64_t at = 0; at < s->info.n_tokens;) {
        uint64_t left = s->info.n_tokens - at;
        size_t n = left < BATCH ? (size_t)left : BATCH;
        shard_read(s, at, n, tok);
        for (size_t i = 0; i < n; i++)
            if ((uint32_t)tok[i] >= s->info.vocab)
                return err_set(e, ERR_FORMAT, "%s: token %llu is %u, vocabulary %u", s->path,
                               (unsigned long long)(at + i), (uint32_t)tok[i], s->info.vocab);
        at += n;
    }
    return 0;
}

uint64_t shard_doc_start(const struct shard *s, uint64_t i)
{
    assert(i <= s->info.n_docs);
    return i == s->info.n_docs ? s->info.n_tokens : get64(s->start + 8 * i);
}

uint64_t shard_doc_of(const struct shard *s, uint64_t at)
{
    assert(at < s->info.n_tokens);
    uint64_t lo = 0, hi = s->info.n_docs; /* start[lo] ≤ at < start[hi] */
    while (hi - lo > 1) {
        uint64_t mid = lo + (hi - lo) / 2;
        if (shard_doc_start(s, mid) <= at) lo = mid;
        else hi = mid;
    }
    return lo;
}

/* ---- writing ---- */

struct shard_new {
    struct file_new *f;
    struct shard_info info;
    char *path;
    struct buf start; /* the document starts, as they will be written */
};

static void make_head(unsigned char h[HEAD], const struct shard_info *in)
{
    memset(h, 0, HEAD);
    memcpy(h, magic, sizeof magic);
    put32(h + 8, VERSION);
    put32(h + 12, (uint32_t)in->token_bytes);
    put64(h + 16, in->n_tokens);
    put64(h + 24, in->n_docs);
    memcpy(h + 32, in->corpus.b, 32);
    memcpy(h + 64, in->tokenizer.b, 32);
    put32(h + 96, in->vocab);
}

int shard_new_open(struct shard_new **out, const char *path, uint32_t vocab, const struct digest *corpus,
                   const struct digest *tokenizer, struct err *e)
{
    unsigned char head[HEAD];
    *out = NULL;
    if (vocab == 0 || vocab > INT32_MAX) return err_set(e, ERR_VALUE, "%s: vocabulary of %u", path, vocab);
    struct shard_new *w = mem_new(1, sizeof *w);
    if (!w || !(w->path = mem_strdup(path))) {
        mem_free(w);
        return err_set(e, ERR_NOMEM, "%s: out of memory", path);
    }
    w->info = (struct shard_info){.vocab = vocab, .token_bytes = token_bytes_for(vocab), .corpus = *corpus,
                                  .tokenizer = *tokenizer};
    int rc = file_new_open(&w->f, path, e);
    make_head(head, &w->info);
    if (!rc) rc = file_new_write(w->f, head, HEAD, e);
    if (rc) shard_new_abort(&w);
    else *out = w;
    return rc;
}

int shard_new_doc(struct shard_new *w, const int *tok, size_t n, struct err *e)
{
    unsigned char out[4 * BATCH], at[8];
    const size_t size = (size_t)w->info.token_bytes;
    for (size_t i = 0; i < n; i++)
        if (tok[i] < 0 || (uint32_t)tok[i] >= w->info.vocab)
            return err_set(e, ERR_VALUE, "%s: document %llu has token id %d, vocabulary %u", w->path,
                           (unsigned long long)w->info.n_docs, tok[i], w->info.vocab);
    put64(at, w->info.n_tokens);
    int rc = buf_add(&w->start, at, 8, e);
    for (size_t done = 0; !rc && done < n;) {
        size_t k = n - done < BATCH ? n - done : BATCH;
        for (size_t i = 0; i < k; i++) {
            uint32_t v = (uint32_t)tok[done + i];
            if (size == 4) put32(out + 4 * i, v);
            else out[2 * i] = (unsigned char)v, out[2 * i + 1] = (unsigned char)(v >> 8);
        }
        rc = file_new_write(w->f, out, k * size, e);
        done += k;
    }
    if (rc) return rc;
    w->info.n_tokens += n;
    w->info.n_docs++;
    return 0;
}

int shard_new_commit(struct shard_new **wp, struct err *e)
{
    struct shard_new *w = *wp;
    unsigned char head[HEAD];
    make_head(head, &w->info);
    size_t pad = (size_t)(-file_new_tell(w->f) & 7);
    int rc = file_new_write(w->f, "\0\0\0\0\0\0\0", pad, e);
    if (!rc) rc = file_new_write(w->f, w->start.p, w->start.len, e);
    if (!rc) rc = file_new_patch(w->f, 0, head, HEAD, e);
    if (!rc) rc = file_new_commit(&w->f, e);
    shard_new_abort(wp);
    return rc;
}

void shard_new_abort(struct shard_new **wp)
{
    struct shard_new *w = *wp;
    *wp = NULL;
    if (!w) return;
    file_new_abort(&w->f);
    buf_release(&w->start);
    mem_free(w->path);
    mem_free(w);
}
