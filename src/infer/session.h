/* A loaded model and sessions on it: prefill, decode, with a KV cache of 64-position pages.
 *
 * Many sessions share one model; their rows may be computed in one call (infer/rows.h), and each gets the
 * same bits as alone, whatever the chunking of its prefill (NUMERICS §6).  One thread at a time uses a model
 * and its sessions: the ops inside have threads of their own. */
#ifndef DK_INFER_SESSION_H
#define DK_INFER_SESSION_H

#include <stdint.h>

#include "base/digest.h"
#include "base/err.h"
#include "model/config.h"
#include "nn/nn.h"
#include "text/tokenizer.h"

struct infer_model;   /* packed weights; immutable after load */
/* `path`: a run or Hugging Face folder. Loads the tokenizer beside it too. x must outlive the model. */
int infer_model_open(struct infer_model **m, const struct nn *x, const char *path, struct err *e) MUST_CHECK;
/* Random weights of a shape, without files: for benchmarks and tests. */
int infer_model_random(struct infer_model **m, const struct nn *x, const struct model_config *c, uint64_t seed,
                       struct err *e) MUST_CHECK;
void infer_model_close(struct infer_model *m); /* safe on NULL */
const struct model_config *infer_model_config(const struct infer_model *m);
const struct tokenizer *infer_model_tokenizer(const struct infer_model *m); /* NULL for random models */
/* SHA-256 Merkle root over the weights: 1 MiB chunks of each tensor's little-endian f32 in table order
 * (NUMERICS §9, weights only). */
struct digest infer_model_root(const struct infer_model *m);
uint64_t infer_model_weight_bytes(const struct infer_model *m); /* streamed per decoded token */

struct session;
/* max_pos ≤ the model's; KV pages for it are taken now, so that decoding allocates nothing. max_rows: rows
 * computed at once in a prefill. */
int session_new(struct session **s, struct infer_model *m, int max_pos, int max_rows, struct err *e) MUST_CHECK;
void session_free(struct session *s); /* safe on NULL */
void session_reset(struct session *s, int keep);   /* keep the first `keep` positions */
int session_len(const struct session *s);
int session_max_pos(const struct session *s);
const int32_t *session_tokens(const struct session *s);  /* the session_len(s) tokens fed */
struct infer_model *session_model(const struct session *s);
uint64_t session_kv_bytes(const struct session *s, int len); /* read by one decoded token at this length */
/* Appends n tokens; logits (vocab) of the last one, valid until the next call.  Tokens outside the vocabulary
 * and more positions than there are leave the session as it was. */
int session_feed(struct session *s, const int32_t *tok, int n, const float **logits, struct err *e) MUST_CHECK;
/* The same, and the log-probability of each next token: nll[i] of tok[i+1] given what precedes it,
 * i < n−1. Never holds (tokens × vocabulary). top (n) or NULL: the most likely token after each, lowest id
 * on ties. */
int session_score(struct session *s, const int32_t *tok, int n, float *nll, int32_t *top, struct err *e) MUST_CHECK;
/* The same with `next` as what follows the last token: nll[n−1] is of it. */
int session_score_next(struct session *s, const int32_t *tok, int n, int32_t next, float *nll, int32_t *top,
                       struct err *e) MUST_CHECK;

#endif
