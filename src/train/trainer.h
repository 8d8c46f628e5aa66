/* One training run in memory: plan, step, evaluate, save, resume.
 *
 * Bits: a step is a function of the state and the committed inputs.  The global batch is divided among V
 * virtual workers; a worker's micro-batches accumulate in order, and because every sum over rows runs in
 * blocks of 32 rows ascending, how many rows a micro-batch holds (memory) does not change a bit.  Workers'
 * gradients are added by the balanced binary tree over worker index (NUMERICS §8). */
#ifndef DK_TRAIN_TRAINER_H
#define DK_TRAIN_TRAINER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/digest.h"
#include "data/tokens.h"
#include "nn/nn.h"
#include "train/drift.h"
#include "train/run.h"

struct trainer;
enum { TRAINER_PLACE = 200 };

struct trainer_args {
    const struct nn *x;
    const struct run_config *config;
    const struct tokens *tokens;     /* borrowed */
    const uint8_t *token_bytes;      /* (vocab) text bytes of each token, 0 for special ones */
    const uint8_t *token_chars;      /* (vocab) characters that start in it */
    int64_t memory;                  /* budget in bytes; 0: no limit */
    bool memory_is_machine;          /* nobody chose the budget: it is what the machine has */
};

/* What trainer_new decided, printed before the run. */
struct trainer_plan {
    int micro_rows;                  /* sequences computed at once */
    bool checkpoint;                 /* activations are computed again in the backward */
    uint64_t bytes;                  /* promised peak of the process */
};

/* Takes all memory of the run; the step allocates nothing. ERR_LIMIT when the budget cannot hold even one
 * sequence, with the least that would do. */
int trainer_new(struct trainer **t, const struct trainer_args *a, struct err *e) MUST_CHECK;
void trainer_free(struct trainer *t);
struct trainer_plan trainer_planned(const struct trainer *t);
const struct param_table *trainer_params(const struct trainer *t);

/* Fresh weights from the seed, empty moments, step 0. */
void trainer_init(struct trainer *t);
/* The configured run with another length, for when it was measured first (--minutes). */
void trainer_set_run(struct trainer *t, const struct run_config *c);

struct step_report {
    int64_t step, tokens;            /* done after this step */
    double loss, lr, grad_norm;
};
int trainer_step(struct trainer *t, struct step_report *r, struct err *e) MUST_CHECK;

struct eval_report {
    double bits_per_byte, bits_per_char, loss;   /* loss: nats per token */
    double error;   /* standard error of bits_per_byte from the spread of the tokens' losses; NaN: unknown.  Tokens of a
                       document are alike, so the real one is larger */
    int64_t tokens; /* predicted; 0: unknown */
};
/* That many tokens of the held-out stream in rows spread evenly over it, so that every source
 * is heard (at least one row). */
int trainer_eval(struct trainer *t, int64_t tokens, struct eval_report *r, struct err *e) MUST_CHECK;

int64_t trainer_step_done(const struct trainer *t);
int64_t trainer_sample(const struct trainer *t);      /* rows consumed: the cursor */
/* How far each tensor moved since the state was made, loaded or last measured; d: one a tensor. */
void trainer_drift(struct trainer *t, struct drift *d);
/* The latest held-out figures (NaN before the first). */
struct eval_report trainer_last_eval(const struct trainer *t);
int trainer_root(const struct trainer *t, struct digest *root, struct err *e) MUST_CHECK;
/* Hashes of the chunks that the root stands over, leaf (trainer_chunks). */
uint64_t trainer_chunks(const struct trainer *t);
int trainer_leaves(const struct trainer *t, struct digest *leaf, struct err *e) MUST_CHECK;

/* RUN/state/state.safetensors and the Hugging Face files beside it; metrics_bytes is stored with the state. */
int trainer_save(struct trainer *t, const char *dir, uint64_t metrics_bytes, struct err *e) MUST_CHECK;
/* RUN/states/step-N.safetensors: the state alone, to begin a replay at. */
int trainer_keep(struct trainer *t, const char *dir, struct err *e) MUST_CHECK;
/* Any saved state of this run. */
int trainer_load(struct trainer *t, const char *path, struct err *e) MUST_CHECK;
/* The first place in which a saved state differs from this one, "moment1.model.norm.weight, element 7, chunk 3"; empty
 * when they are the same. */
int trainer_compare(const struct trainer *t, const char *path, char what[TRAINER_PLACE], struct err *e) MUST_CHECK;
/* Whether the model file in dir has these very weights; after trainer_drift, before the next step.  The name of the
 * first tensor that has not, or NULL. */
int trainer_compare_model(struct trainer *t, const char *dir, const char **differs, struct err *e) MUST_CHECK;
/* Loads a saved state; *metrics_bytes is where metrics.jsonl stood. */
int trainer_resume(struct trainer *t, const char *dir, uint64_t *metrics_bytes, struct err *e) MUST_CHECK;

#endif
