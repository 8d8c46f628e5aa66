/* Sampling and generation. */
#ifndef DK_INFER_GENERATE_H
#define DK_INFER_GENERATE_H

#include <stdbool.h>

#include "infer/session.h"

struct gen_opts {
    int max_tokens;
    float temp;               /* 0: the most likely token, lowest id on ties */
    int top_k;                /* 0: off */
    float top_p, min_p;       /* 1, 0: off */
    float repeat_penalty;     /* 1: off */
    int repeat_last;          /* window of the penalty in tokens */
    uint64_t seed;            /* draws depend on (seed, position) alone */
    const char *const *stop;  /* stop strings */
    int n_stop;
    int32_t stop_token;       /* besides <|eos|>: −1 none */
    /* Text as it can be shown (whole characters, stop strings held back); false stops. */
    bool (*on_text)(void *user, const char *text, size_t n);
    void *user;
};
enum gen_stop { GEN_LENGTH, GEN_EOS, GEN_STOP_STRING, GEN_CONTEXT, GEN_CALLER };
struct gen_result {
    struct buf text;
    struct token_vec tokens;  /* the new ones */
    enum gen_stop stop;
    int prompt_tokens;
};
/* Feeds `prompt` after what the session already holds and generates. */
int generate(struct session *s, const int32_t *prompt, int n_prompt, const struct gen_opts *o,
             struct gen_result *r, struct err *e) MUST_CHECK;
void gen_result_release(struct gen_result *r);
const char *gen_stop_name(enum gen_stop s);   /* "length", "eos", "stop", "context", "caller" */

/* One draw from logits (vocab), in place; position counts from the session's start. */
int32_t sample_token(float *logits, int vocab, const struct gen_opts *o, const int32_t *recent, int n_recent,
                     uint64_t position);

#endif
