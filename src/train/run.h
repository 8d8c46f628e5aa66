/* A run: its resolved configuration (run.json) and the recipe that fills in what the user left open. */
#ifndef DK_TRAIN_RUN_H
#define DK_TRAIN_RUN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/digest.h"
#include "model/config.h"
#include "train/optim.h"
#include "train/schedule.h"

struct run_config {
    struct model_config model;
    struct optim_config optim;
    struct schedule schedule;   /* schedule.steps is the length of the run */
    int seq;                    /* tokens of a row; multiple of OP_ROWS */
    int64_t batch_tokens;       /* of the global batch; whole rows for each worker */
    int workers;                /* virtual workers V, a power of two (NUMERICS §8) */
    double heldout;             /* fraction of documents */
    int64_t eval_tokens;        /* held-out tokens of an evaluation */
    int64_t eval_every;         /* steps; 0: only at the end */
    uint64_t seed;
    struct digest corpus_root, tokenizer;
};

/* What the user asked for; zero or negative: not said. */
struct run_request {
    int depth;
    const char *config_path;    /* a Hugging Face config.json instead of depth */
    int vocab;                  /* of the tokenizer */
    int seq, workers;
    int64_t batch_tokens;
    double flops, tokens, minutes;
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

/* Everything but the length of the run (schedule.steps, eval_every): enough to measure its speed. */
int run_resolve_shape(struct run_config *c, const struct run_request *r, struct err *e) MUST_CHECK;
/* The rest: batch, steps, rates from the recipe (docs/design.md, "the dial"). */
int run_resolve_length(struct run_config *c, const struct run_request *r, struct err *e) MUST_CHECK;

/* A run folder's config.json (the model) and run.json (the rest), in and out.  Floats are written with all
 * 17 digits, so that reading gives the same bits. */
int run_write(const struct run_config *c, const char *dir, struct err *e) MUST_CHECK;
int run_read(struct run_config *c, const char *dir, struct err *e) MUST_CHECK;
/* ERR_VALUE and a sentence naming the first field in which a request contradicts a stored run. */
int run_agrees(const struct run_config *c, const struct run_request *r, const char *dir, struct err *e) MUST_CHECK;

int64_t run_batch_rows(const struct run_config *c);

#endif
