/* Opening, saving and decoding; encoding is in encode.c. */
#include "text/tokenizer.h"

#include <assert.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "text/tokenizer_impl.h"

enum { JSON_LIMIT = 512 << 20, CONFIG_LIMIT = 64 << 20 };

int tokenizer_open(struct tokenizer **t, const char *path, struct err *e)
{
    struct buf name = {0}, json = {0};
    bool folder = file_is_dir(path);
    *t = NULL;
    int rc = folder ? file_join(&name, path, "tokenizer.json", e) : buf_adds(&name, path, e);
    if (rc == 0)
        rc = file_read(&json, name.p, JSON_LIMIT, e);
    if (rc == 0)
        rc = tokjson_read(t, &json, name.p, e);
    if (rc == 0 && folder) {
        rc = file_join(&name, path, "tokenizer_config.json", e);
        if (rc == 0 && file_exists(name.p))
            rc = file_read(&(*t)->config, name.p, CONFIG_LIMIT, e);
    }
    if (rc) {
        tokenizer_close(*t);
        *t = NULL;
    }
    buf_release(&name);
    buf_release(&json);
    return rc;
}

void tokenizer_close(struct tokenizer *t)
{
    if (!t)
        return;
    bpe_release(&t->bpe);
    splitter_free(t->split);
    for (size_t i = 0; i < t->n_added; i++)
        mem_free(t->added[i].content);
    mem_free(t->added);
    added_set_release(&t->raw);
    added_set_release(&t->normal);
    buf_release(&t->json);
    buf_release(&t->config);
    mem_free(t);
}

int tokenizer_save(const struct tokenizer *t, const char *dir, struct err *e)
{
    struct buf name = {0}, made = {0};
    int rc = file_mkdir_p(dir, e);
    if (rc == 0)
        rc = file_join(&name, dir, "tokenizer.json", e);
    if (rc == 0)
        rc = file_replace(name.p, t->json.p, t->json.len, e);
    if (rc == 0)
        rc = file_join(&name, dir, "tokenizer_config.json", e);
    const struct buf *config = &t->config;
    if (rc == 0 && config->len == 0) {
        rc = tokjson_config(&made, t, e);
        config = &made;
    }
    if (rc == 0)
        rc = file_replace(name.p, config->p, config->len, e);
    buf_release(&name);
    buf_release(&made);
    return rc;
}

int tokenizer_vocab(const struct tokenizer *t)
{
    return (int)t->bpe.n;
}

const char *tokenizer_token(const struct tokenizer *t, int32_t id, size_t *n)
{
    assert(id >= 0 && (uint32_t)id < t->bpe.n);
    *n = t->bpe.at[id + 1] - t->bpe.at[id];
    return t->bpe.bytes.p + t->bpe.at[id];
}

int tokenizer_token_bytes(const struct tokenizer *t, int32_t id)
{
    assert(id >= 0 && (uint32_t)id < t->bpe.n);
    return t->bpe.flag[id] & BPE_TOKEN_SPECIAL ? 0 : (int)(t->bpe.at[id + 1] - t->bpe.at[id]);
}

int32_t tokenizer_find_special(const struct tokenizer *t, const char *content)
{
    size_t n = strlen(content);
    for (size_t i = 0; i < t->n_added; i++)
        if (t->added[i].special && t->added[i].n == n && memcmp(t->added[i].content, content, n) == 0)
            return t->added[i].id;
    return -1;
}

struct tok_special tokenizer_special(const struct tokenizer *t)
{
    return t->special;
}

struct digest tokenizer_digest(const struct tokenizer *t)
{
    return t->digest;
}

static int check_id(const struct tokenizer *t, int32_t id, struct err *e)
{
    if (id < 0 || (uint32_t)id >= t->bpe.n)
        return err_set(e, ERR_VALUE, "token id %d is outside the vocabulary of %u", (int)id, t->bpe.n);
    return 0;
}

int tok_decode(const struct tokenizer *t, struct buf *out, const int32_t *id, size_t n, bool special, struct err *e)
{
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0; i++) {
        rc = check_id(t, id[i], e);
        if (rc || (!special && (t->bpe.flag[id[i]] & BPE_TOKEN_SPECIAL)))
            continue;
        size_t len;
        const char *p = tokenizer_token(t, id[i], &len);
        rc = buf_add(out, p, len, e);
    }
    return rc;
}

/* How many bytes of a beginning p[0..n) could still become one character: 0 when none could. */
static int unfinished(const unsigned char *p, int n)
{
    unsigned c = p[0];
    int need = c >= 0xC2 && c < 0xE0 ? 2 : c >= 0xE0 && c < 0xF0 ? 3 : c >= 0xF0 && c < 0xF5 ? 4 : 0;
    if (n >= need)
        return 0;
    if (n >= 2) {
        unsigned lo = c == 0xE0 ? 0xA0 : c == 0xF0 ? 0x90 : 0x80, hi = c == 0xED ? 0x9F : c == 0xF4 ? 0x8F : 0xBF;
        if (p[1] < lo || p[1] > hi)
            return 0;
    }
    return n == 3 && (p[2] & 0xC0) != 0x80 ? 0 : need - n;
}

static const char replacement[] = "\xEF\xBF\xBD";

/* One byte more: shows a character when it is complete, U+FFFD for the longest part that cannot become one. */
static int stream_byte(struct tok_stream *s, struct buf *out, unsigned char byte, struct err *e)
{
    s->held[s->n_held++] = byte;
    bool maybe = false;
    if (uc_valid(s->held, (size_t)s->n_held, &maybe) == (size_t)s->n_held) {
        int rc = buf_add(out, s->held, (size_t)s->n_held, e);
        s->n_held = 0;
        return rc;
    }
    if (unfinished(s->held, s->n_held))
        return 0;
    int rc = buf_adds(out, replacement, e);
    bool again = s->n_held > 1; /* the last byte may begin a character */
    s->n_held = 0;
    return rc == 0 && again ? stream_byte(s, out, byte, e) : rc;
}

int tok_stream_next(const struct tokenizer *t, struct tok_stream *s, struct buf *out, int32_t id, struct err *e)
{
    int rc = check_id(t, id, e);
    if (rc || (t->bpe.flag[id] & BPE_TOKEN_SPECIAL))
        return rc;
    size_t n;
    const char *p = tokenizer_token(t, id, &n);
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = stream_byte(s, out, (unsigned char)p[i], e);
    return rc;
}

int tok_stream_end(struct tok_stream *s, struct buf *out, struct err *e)
{
    int rc = s->n_held ? buf_adds(out, replacement, e) : 0;
    s->n_held = 0;
    return rc;
}
