/* dokja: the public C API — load a model, tokenize, score, generate.
 *
 * Link with libdokja.a and the libraries of its pkg-config list (see Makefile, PKGS).  Handles are opaque; a
 * function that can fail returns 0 or a negative code and leaves one sentence in the caller's message buffer.
 * A model may be shared by several contexts; one thread at a time uses a model and its contexts, and models are
 * opened by one thread at a time.  Calls leave the calling thread flushing subnormal numbers to zero.  Results are
 * the same bits on any machine, instruction set and thread count (docs/numerics.md). */
#ifndef DOKJA_H
#define DOKJA_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct dk_model;   /* weights and tokenizer, immutable */
struct dk_context; /* a conversation: what was fed, its key/value cache */

/* The sentence of the last failure; always NUL-terminated. */
struct dk_error {
    int code;
    char message[512];
};

/* `path`: a run folder of `dokja pretrain` or a Hugging Face folder.  threads ≤ 0: OMP_NUM_THREADS or all cores. */
int dk_model_open(struct dk_model **model, const char *path, int threads, struct dk_error *error);
void dk_model_close(struct dk_model *model); /* safe on NULL */
int dk_model_vocab(const struct dk_model *model);
int dk_model_max_tokens(const struct dk_model *model);
/* SHA-256 Merkle root of the weights as 64 hex digits and NUL. */
void dk_model_root(const struct dk_model *model, char hex[65]);

/* Ids of n bytes of text into ids[cap]; returns how many there are (more than cap: the first cap were written; cap 0:
 * ids may be NULL), or a negative code. special != 0: text such as "<|end|>" becomes that special token. */
long dk_tokenize(const struct dk_model *model, int32_t *ids, size_t cap, const char *text, size_t n, int special,
                 struct dk_error *error);
/* Bytes of n ids into text[cap], counted and cut as dk_tokenize does; no NUL after them, none of special tokens. */
long dk_detokenize(const struct dk_model *model, char *text, size_t cap, const int32_t *ids, size_t n,
                   struct dk_error *error);

/* max_tokens ≤ 0: the model's. */
int dk_context_new(struct dk_context **context, struct dk_model *model, int max_tokens, struct dk_error *error);
void dk_context_free(struct dk_context *context); /* safe on NULL */
void dk_context_reset(struct dk_context *context);

/* nll[i] = −log p(ids[i+1] | what the context holds, ids[0..i]) for i < n−1, in nats (n = 1: nll may be NULL); the
 * context then holds ids too. */
int dk_score(struct dk_context *context, const int32_t *ids, int n, float *nll, struct dk_error *error);

struct dk_generate_options {
    int max_tokens;
    float temperature;      /* 0: the most likely token */
    int top_k;              /* 0: off */
    float top_p, min_p;     /* 0: off */
    float repeat_penalty;   /* 0 or 1: off */
    uint64_t seed;
    const char *const *stop;
    int n_stop;
    /* Whole characters as they appear; 0 stops. May be NULL. */
    int (*on_text)(void *user, const char *text, size_t n);
    void *user;
};
/* Feeds the ids and generates.  The text is malloc'ed, NUL-terminated and the caller's to free. */
int dk_generate(struct dk_context *context, const int32_t *ids, int n, const struct dk_generate_options *options,
                char **text, struct dk_error *error);

#ifdef __cplusplus
}
#endif
#endif
