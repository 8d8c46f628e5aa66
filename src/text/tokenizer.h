/* Byte-level BPE: load, train, encode, decode; tokenizer.json as Hugging Face `tokenizers` reads
 * and writes it (docs: README, "tokenizer"). */
#ifndef DK_TEXT_TOKENIZER_H
#define DK_TEXT_TOKENIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/digest.h"
#include "base/err.h"

struct tokenizer; /* immutable after load: safe to share between threads */

/* `path`: a tokenizer.json or a folder that holds one. */
int tokenizer_open(struct tokenizer **t, const char *path, struct err *e) MUST_CHECK;
void tokenizer_close(struct tokenizer *t); /* safe on NULL */
/* Writes tokenizer.json and tokenizer_config.json into a folder, each atomically. */
int tokenizer_save(const struct tokenizer *t, const char *dir, struct err *e) MUST_CHECK;

struct token_vec {
    int32_t *v;
    size_t n, cap;
};
void token_vec_release(struct token_vec *v);

/* Per-thread working space and piece cache of an encoder; reusable, never shared. */
struct tok_encoder;
int tok_encoder_new(struct tok_encoder **enc, const struct tokenizer *t, struct err *e) MUST_CHECK;
void tok_encoder_free(struct tok_encoder *enc);

/* Appends the ids of n bytes of text (any bytes; invalid UTF-8 is kept as bytes).  special: text
 * such as "<|end|>" that names a special token becomes that token; false: it is ordinary text. */
int tok_encode(struct tok_encoder *enc, struct token_vec *out, const char *text, size_t n,
               bool special, struct err *e) MUST_CHECK;
/* Appends the bytes of the tokens; special tokens are skipped unless `special`. */
int tok_decode(const struct tokenizer *t, struct buf *out, const int32_t *id, size_t n, bool special,
               struct err *e) MUST_CHECK;

/* Streaming decode: holds back the tail of an unfinished UTF-8 character. */
struct tok_stream {
    unsigned char held[4];
    int n_held;
};
/* Appends what can be shown now after token `id`; bytes that can never become a character
 * are shown as U+FFFD. */
int tok_stream_next(const struct tokenizer *t, struct tok_stream *s, struct buf *out, int32_t id,
                    struct err *e) MUST_CHECK;
int tok_stream_end(struct tok_stream *s, struct buf *out, struct err *e) MUST_CHECK;

int tokenizer_vocab(const struct tokenizer *t);                      /* ids are [0, vocab) */
/* Bytes of text a token stands for: 0 for special tokens. */
int tokenizer_token_bytes(const struct tokenizer *t, int32_t id);
/* The raw bytes of a token (not NUL-terminated), valid while t lives. */
const char *tokenizer_token(const struct tokenizer *t, int32_t id, size_t *n);
int32_t tokenizer_find_special(const struct tokenizer *t, const char *content); /* −1: none */
/* bos, eos, user, assistant, end, tool; −1 where the file has none. */
struct tok_special {
    int32_t bos, eos, user, assistant, end, tool;
};
struct tok_special tokenizer_special(const struct tokenizer *t);
/* SHA-256 of the tokenizer.json bytes. */
struct digest tokenizer_digest(const struct tokenizer *t);

#endif
