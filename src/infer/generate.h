/* Sampling and generation. */
#ifndef DK_INFER_GENERATE_H
#define DK_INFER_GENERATE_H

#include <stdbool.h>

#include "infer/session.h"

struct gen_opts {
    int max_tokens;
    float temp;               /* 0: the most likely token, lowest id on ties */
    int top_k;                /* 0: off */
    float top_p, min_p;       /* 1, 0: off (0 counts as 1 for top_p) */
    float repeat_penalty;     /* 1: off (0 counts as 1) */
    int repeat_last;          /* window of the penalty in tokens; 0: 64 */
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
    struct buf text;          /* without a stop string and what follows it */
    struct token_vec tokens;  /* the new ones, without <|eos|> or the stop token */
    enum gen_stop stop;
    int prompt_tokens;
};
/* Options that contradict each other or are out of range: one sentence naming the option. */
int gen_check(const struct gen_opts *o, struct err *e) MUST_CHECK;
/* Feeds `prompt` after what the session already holds and generates.  Afterwards the session holds the prompt
 * and all of r->tokens but perhaps the last: session_len says.  Ids beyond the tokenizer's are never drawn.  r is set
 * up here; release it in any case. */
int generate(struct session *s, const int32_t *prompt, int n_prompt, const struct gen_opts *o,
             struct gen_result *r, struct err *e) MUST_CHECK;
void gen_result_release(struct gen_result *r);
const char *gen_stop_name(enum gen_stop s);   /* "length", "eos", "stop", "context", "caller" */

/* One draw from logits (vocab), which are overwritten; position counts from the session's start.  In this order:
 * each distinct token of `recent` is made less likely (logit ÷ penalty when positive, × when negative; Keskar and
 * others 2019); ÷ temp; the top_k most likely stay; of those the smallest set whose probability reaches top_p
 * (Holtzman and others 2019); of those what has at least min_p of the most likely one's probability; one draw
 * from the rest.  Equally likely tokens rank by id.  Allocates nothing. */
int32_t sample_token(const struct kernels *k, float *logits, int vocab, const struct gen_opts *o,
                     const int32_t *recent, int n_recent, uint64_t position);

#endif
