/* The recipe: from what the user asked for to a resolved run.  What was left open follows from rules that were measured
 * (docs/design.md, "the dial"; docs/log.md has the experiments). */
#ifndef DK_TRAIN_RECIPE_H
#define DK_TRAIN_RECIPE_H

#include "train/run.h"

/* What the user asked for; zero or negative: not said (warmup, decay, weight_decay, clip, eval_every: negative). */
struct run_request {
    int depth;
    const char *config_path;    /* a Hugging Face config.json instead of depth */
    int vocab;                  /* of the tokenizer */
    bool int8;                  /* profile T2 */
    int seq, seq_start, workers;
    double seq_switch;          /* fraction of the steps with rows of seq_start */
    int64_t batch_tokens;
    double flops, tokens, minutes;
    double budget;              /* FLOPs the shape is chosen for where neither depth nor config_path says it */
    int64_t steps;
    double tokens_per_s;        /* measured, for minutes */
    const char *optimizer, *schedule;
    double lr_matrix, lr_embed, weight_decay, clip, warmup, decay, heldout;
    int untied;
    int64_t eval_every, eval_tokens;
    uint64_t seed;
    bool seed_given;
    struct digest corpus_root, tokenizer;
    int bos, eos;
};

/* Parameters that multiply (model_params_matmul) worth training with that many FLOPs, and the size of a vocabulary that
 * goes with them: fitted to runs of equal compute (docs/log.md). */
double recipe_params(double flops);
int recipe_vocab(double flops);

/* Held-out tokens below which a figure of the run is said to be too rough to compare.  Losses of single tokens spread
 * about as widely as their mean is large (1.1 to 1.6 of it in runs on the primer), so the standard error of a figure
 * over n tokens is a little more than 1/sqrt(n) of it: 2 to 3 % here.  Two such figures have to be two or three times
 * as far apart to say anything, more than most of what one tries changes. */
enum { RECIPE_HELDOUT_LEAST = 2500 };
/* Of `heldout` tokens, those that the run's last figure is of; and how far off it may be by chance, as a share of it:
 * two standard errors, at the middle of those spreads. */
uint64_t recipe_heldout_used(const struct run_config *c, uint64_t heldout);
double recipe_heldout_chance(uint64_t tokens);

/* Everything but the length of the run (schedule.steps, eval_every): enough to measure its speed. */
int run_resolve_shape(struct run_config *c, const struct run_request *r, struct err *e) MUST_CHECK;
/* Shorter rows where the text has not one of the recipe's; what the user asked for stays. */
void run_fit_text(struct run_config *c, const struct run_request *r, uint64_t text_tokens);
/* The rest: batch, steps, rates from the recipe (docs/design.md, "the dial"). */
int run_resolve_length(struct run_config *c, const struct run_request *r, struct err *e) MUST_CHECK;

/* The optimizer and the schedule by name; what was not said stays as it is. */
int run_request_kinds(const struct run_request *r, enum optim_kind *optim, enum schedule_kind *schedule,
                      struct err *e) MUST_CHECK;

#endif
