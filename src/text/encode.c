/* Text to ids: added tokens, normal form, pieces, merges; with a cache of pieces per encoder. */
#include <string.h>

#include "base/mem.h"
#include "text/tokenizer_impl.h"

/* One cache line a piece: most are short and become a few tokens.  A piece that does not fit is merged anew. */
enum { CACHE_BITS = 15, KEY_MAX = 30, IDS_MAX = 8 };
struct cache_slot {
    uint8_t n_key, n_id; /* n_key 0: empty */
    unsigned char key[KEY_MAX];
    int32_t id[IDS_MAX];
};
_Static_assert(sizeof(struct cache_slot) == 64, "a slot is a cache line");

struct tok_encoder {
    const struct tokenizer *t;
    const struct uc_table *uc;
    struct cache_slot *cache; /* 1 << CACHE_BITS of them */
    struct split_work split;
    struct bpe_work bpe;
    struct buf normal;
};

int tok_encoder_new(struct tok_encoder **enc, const struct tokenizer *t, struct err *e)
{
    *enc = mem_new(1, sizeof **enc);
    if (!*enc)
        return err_set(e, ERR_NOMEM, "out of memory for an encoder");
    (*enc)->t = t;
    (*enc)->uc = uc_table();
    (*enc)->cache = mem_map(sizeof(struct cache_slot) << CACHE_BITS);
    if (!(*enc)->cache) {
        tok_encoder_free(*enc);
        *enc = NULL;
        return err_set(e, ERR_NOMEM, "out of memory for an encoder");
    }
    return 0;
}

void tok_encoder_free(struct tok_encoder *enc)
{
    if (!enc)
        return;
    if (enc->cache)
        mem_unmap(enc->cache, sizeof(struct cache_slot) << CACHE_BITS);
    split_work_release(&enc->split);
    bpe_work_release(&enc->bpe);
    buf_release(&enc->normal);
    mem_free(enc);
}

static int encode_piece(struct tok_encoder *enc, struct token_vec *out, const unsigned char *p, size_t n,
                        struct err *e)
{
    if (n > KEY_MAX)
        return bpe_piece(&enc->t->bpe, &enc->bpe, out, p, n, e);
    struct cache_slot *s = &enc->cache[hash_bytes(enc->t->bpe.key, p, n) >> (64 - CACHE_BITS)];
    if (s->n_key == n && memcmp(s->key, p, n) == 0) {
        int rc = token_vec_reserve(out, IDS_MAX, e);
        if (rc)
            return rc;
        memcpy(out->v + out->n, s->id, sizeof s->id); /* all of them: only n_id count */
        out->n += s->n_id;
        return 0;
    }
    size_t before = out->n;
    int rc = bpe_piece(&enc->t->bpe, &enc->bpe, out, p, n, e);
    size_t got = out->n - before;
    if (rc || got > IDS_MAX)
        return rc;
    s->n_key = (uint8_t)n;
    s->n_id = (uint8_t)got;
    memcpy(s->key, p, n);
    memcpy(s->id, out->v + before, got * sizeof *s->id);
    return 0;
}

/* Normalised valid text without added tokens. */
static int encode_plain(struct tok_encoder *enc, struct token_vec *out, const char *text, size_t n, struct err *e)
{
    lexer_fn *cut = splitter_lexer(enc->t->split);
    int rc = 0;
    if (cut) {
        const unsigned char *p = (const unsigned char *)text;
        for (size_t i = 0; i < n && rc == 0;) {
            size_t len = cut(enc->uc, p + i, n - i);
            rc = encode_piece(enc, out, p + i, len, e);
            i += len;
        }
        return rc;
    }
    rc = splitter_run(enc->t->split, &enc->split, text, n, e);
    for (size_t i = 0; i < enc->split.n && rc == 0; i++)
        rc = encode_piece(enc, out, (const unsigned char *)enc->split.base + enc->split.piece[i].at,
                          enc->split.piece[i].n, e);
    return rc;
}

static int push_id(struct token_vec *out, int32_t id, struct err *e)
{
    int rc = token_vec_reserve(out, 1, e);
    if (rc == 0)
        out->v[out->n++] = id;
    return rc;
}

/* Valid text between tokens matched on the raw text: normalised, then searched for the others. */
static int encode_normal(struct tok_encoder *enc, struct token_vec *out, const char *text, size_t n, bool nfc,
                         bool special, struct err *e)
{
    int rc = 0;
    if (nfc && n) {
        buf_clear(&enc->normal);
        rc = uc_nfc(&enc->normal, (const unsigned char *)text, n, e);
        text = enc->normal.p;
        n = enc->normal.len;
    }
    struct added_walk w = {.set = &enc->t->normal, .text = text, .n = n, .special = special};
    struct added_match m;
    size_t done = 0;
    while (rc == 0 && added_next(&w, &m)) {
        if (m.from > done)
            rc = encode_plain(enc, out, text + done, m.from - done, e);
        if (rc == 0)
            rc = push_id(out, m.token->id, e);
        done = m.to;
    }
    return rc == 0 && done < n ? encode_plain(enc, out, text + done, n - done, e) : rc;
}

static int encode_valid(struct tok_encoder *enc, struct token_vec *out, const char *text, size_t n, bool nfc,
                        bool special, struct err *e)
{
    struct added_walk w = {.set = &enc->t->raw, .text = text, .n = n, .special = special};
    struct added_match m;
    size_t done = 0;
    int rc = 0;
    while (rc == 0 && added_next(&w, &m)) {
        if (m.from > done)
            rc = encode_normal(enc, out, text + done, m.from - done, nfc, special, e);
        if (rc == 0)
            rc = push_id(out, m.token->id, e);
        done = m.to;
    }
    return rc == 0 && done < n ? encode_normal(enc, out, text + done, n - done, nfc, special, e) : rc;
}

int tok_encode(struct tok_encoder *enc, struct token_vec *out, const char *text, size_t n, bool special,
               struct err *e)
{
    const unsigned char *p = (const unsigned char *)text;
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0;) {
        bool nfc = false;
        size_t good = uc_valid(p + i, n - i, &nfc);
        if (good)
            rc = encode_valid(enc, out, text + i, good, nfc && enc->t->nfc, special, e);
        i += good;
        size_t bytes = i < n ? uc_invalid(p + i, n - i) : 0;
        if (rc == 0 && bytes) /* what is not text is a piece of its own */
            rc = bpe_piece(&enc->t->bpe, &enc->bpe, out, p + i, bytes, e);
        i += bytes;
    }
    return rc;
}
