/* Token shards: the ids of documents, one after the other, in a file made to be mapped.
 *
 * All little-endian:
 *    0  magic "DKTOKENS"        24  u64 n_docs
 *    8  u32 version = 1         32  u8[32] corpus root
 *   12  u32 bytes per token     64  u8[32] tokenizer digest
 *   16  u64 n_tokens            96  u32 vocab, then zeros up to 128
 * then n_tokens ids of 2 bytes (vocab ≤ 65536) or 4, zeros up to a multiple of 8, and n_docs u64: the
 * first token of each document.  Documents tile the tokens; the file ends there exactly. */
#ifndef DK_FORMATS_SHARD_H
#define DK_FORMATS_SHARD_H

#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/err.h"

struct shard_info {
    uint64_t n_tokens, n_docs;
    uint32_t vocab;
    int token_bytes;
    struct digest corpus, tokenizer;
};

/* ---- reading ---- */

struct shard;
/* Checks header, exact size and document starts, but not each id: see shard_verify. */
int shard_open(struct shard **s, const char *path, struct err *e) MUST_CHECK;
void shard_close(struct shard *s); /* safe on NULL */
const struct shard_info *shard_info(const struct shard *s);
/* Every id is below vocab; reads the whole file. */
int shard_verify(const struct shard *s, struct err *e) MUST_CHECK;
/* out[n] = tokens [from, from + n), which must lie inside. */
void shard_read(const struct shard *s, uint64_t from, size_t n, int *out);
/* First token of document i; i == n_docs gives n_tokens. */
uint64_t shard_doc_start(const struct shard *s, uint64_t i);
/* The document that holds token `at` < n_tokens. O(log n_docs). */
uint64_t shard_doc_of(const struct shard *s, uint64_t at);

/* ---- writing: streaming, replaced atomically; memory is 8 bytes a document ---- */

struct shard_new;
int shard_new_open(struct shard_new **w, const char *path, uint32_t vocab, const struct digest *corpus,
                   const struct digest *tokenizer, struct err *e) MUST_CHECK;
/* One whole document; an id outside [0, vocab) is an error. */
int shard_new_doc(struct shard_new *w, const int *tok, size_t n, struct err *e) MUST_CHECK;
int shard_new_commit(struct shard_new **w, struct err *e) MUST_CHECK; /* frees, *w = NULL, also on failure */
void shard_new_abort(struct shard_new **w);                           /* leaves nothing; safe on NULL */

#endif
