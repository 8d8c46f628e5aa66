/* What the commands that run a model share: opening it, and the options of sampling. */
#ifndef DK_CLI_INFER_ARGS_H
#define DK_CLI_INFER_ARGS_H

#include "base/opt.h"
#include "infer/generate.h"

struct cli_model {
    struct nn x;
    struct infer_model *m;
};
/* The machine's kernels (DOKJA_CPU respected) and the model at `path`. */
int cli_model_open(struct cli_model *c, const char *path, int threads, struct err *e) MUST_CHECK;
void cli_model_close(struct cli_model *c); /* safe on zero */

struct sample_args {
    int64_t max_tokens, top_k, repeat_last;
    uint64_t seed;
    double temp, top_p, min_p, repeat_penalty;
    bool top_p_given;
    struct opt_list stop;
};
/* 256 tokens, temperature 0.7, top-p 0.95. */
struct sample_args sample_args_default(void);
#define SAMPLE_OPTS(a)                                                                                               \
    {"max-tokens", 'n', OPT_INT, &(a).max_tokens, "N", "new tokens at most (256)", 1, 1 << 24, NULL},                \
    {"temp", 't', OPT_REAL, &(a).temp, "T", "temperature; 0: the most likely token (0.7)", 0, 1000, NULL},           \
    {"top-k", 0, OPT_INT, &(a).top_k, "K", "only the K most likely tokens; 0: off (0)", 0, 1 << 24, NULL},           \
    {"top-p", 0, OPT_REAL, &(a).top_p, "P", "only the most likely up to this probability (0.95)", 0, 1,              \
     &(a).top_p_given},                                                                                              \
    {"min-p", 0, OPT_REAL, &(a).min_p, "P", "only those this likely beside the most likely; 0: off (0)", 0, 1, NULL},\
    {"repeat-penalty", 0, OPT_REAL, &(a).repeat_penalty, "R", "makes recent tokens less likely; 1: off (1)", 0, 100, \
     NULL},                                                                                                          \
    {"repeat-last", 0, OPT_INT, &(a).repeat_last, "N", "tokens that count as recent (64)", 1, 1 << 24, NULL},        \
    {"seed", 's', OPT_SEED, &(a).seed, "N", "the draws depend on it and the position alone (1)", 0, 0, NULL},        \
    {"stop", 0, OPT_LIST, &(a).stop, "TEXT", "ends before this text; repeatable", 0, 0, NULL}
/* The options as generate() takes them; `a` must outlive them. */
int sample_opts(struct gen_opts *o, const struct sample_args *a, struct err *e) MUST_CHECK;

/* Appends the ids of a text. */
int cli_encode(struct token_vec *v, const struct tokenizer *t, const char *text, size_t n, bool special,
               struct err *e) MUST_CHECK;
int cli_push(struct token_vec *v, int32_t id, struct err *e) MUST_CHECK;

/* {"text":…,"tokens":[…],"prompt_tokens":…,"stop":…,"state_root":…,"seconds":…} and a newline on stdout. */
int cli_print_result(const struct gen_result *r, const struct infer_model *m, double seconds, struct err *e) MUST_CHECK;

#endif
