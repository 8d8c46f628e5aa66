/* A run: its resolved configuration, and run.json. */
#ifndef DK_TRAIN_RUN_H
#define DK_TRAIN_RUN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/digest.h"
#include "model/config.h"
#include "nn/selftest.h"
#include "train/optim.h"
#include "train/schedule.h"

struct run_config {
    enum profile profile;       /* T2: training's matrix products by 8-bit integers */
    struct model_config model;
    struct optim_config optim;
    struct schedule schedule;   /* schedule.steps is the length of the run */
    int seq;                    /* tokens of a row; multiple of run_row_unit */
    int seq_start;              /* tokens of a row in the first steps; divides seq, multiple of run_row_unit */
    int64_t start_steps;        /* how many of those */
    int64_t batch_tokens;       /* of the global batch; whole rows for each worker */
    int workers;                /* virtual workers V, a power of two (NUMERICS §8) */
    int64_t segment_steps;      /* steps between two states in the ledger */
    double heldout;             /* fraction of documents */
    int64_t eval_tokens;        /* held-out tokens of an evaluation */
    int64_t final_eval_tokens;  /* of the last one */
    int64_t eval_every;         /* steps; 0: only at the end */
    uint64_t seed;
    bool seed_awaited;          /* it will come from a beacon (train/genesis.h); seed is 0 until then */
    struct digest corpus_root, tokenizer;
};

/* A run folder's config.json (the model) and run.json (the rest), in and out.  Floats are written with all
 * 17 digits, so that reading gives the same bits. */
int run_write(const struct run_config *c, const char *dir, struct err *e) MUST_CHECK;
int run_read(struct run_config *c, const char *dir, struct err *e) MUST_CHECK;
/* Ranges, and that lengths fit together; sentences begin with `where`. */
int run_check(const struct run_config *c, const char *where, struct err *e) MUST_CHECK;
/* What lengths of rows are multiples of: a block of OP_ROWS rows, in T2 a group of I8_GROUP.  The products of gradients
 * of weights take their groups over tokens; with whole ones in each row no micro-batch cuts one. */
int run_row_unit(enum profile p);
int64_t run_batch_rows(const struct run_config *c);
/* Tokens of a row at that step, counted from 0. */
int run_seq_at(const struct run_config *c, int64_t step);
/* Row i of a step: that piece of the training sample.  While rows are short, this part of the run takes its samples in
 * as many laps as they have pieces, first all first pieces, then all second ones: no token comes twice, and the rows
 * of a batch are from different places. */
struct run_row {
    uint64_t sample, piece;
};
struct run_row run_row_at(const struct run_config *c, int64_t step, int64_t i);
/* Where the segment that holds this step ends. */
int64_t run_segment_end(const struct run_config *c, int64_t step);
/* FLOPs of the first `step` steps. */
double run_flops_until(const struct run_config *c, int64_t step);
/* FLOPs per token, averaged over the run (model_flops_per_token at each step's row). */
double run_flops_per_token(const struct run_config *c);

#endif
