/* The training loop around a trainer: evaluation, metrics.jsonl, checkpoints, clean stops. */
#ifndef DK_TRAIN_LOOP_H
#define DK_TRAIN_LOOP_H

#include "train/journal.h"
#include "train/trainer.h"

struct loop_progress {
    struct step_report step;
    int64_t steps;               /* of the whole run */
    double tokens_per_s;         /* over the last few seconds of training alone */
    double fraction_of_peak;     /* 0 when the peak is unknown */
    double seconds_left;
    struct eval_report eval;     /* latest */
};

/* The line of an evaluation, as metrics.jsonl has it. */
void loop_eval_json(char *out, size_t size, const struct loop_progress *p);

struct loop_opts {
    const char *dir;             /* RUN */
    double save_every;           /* seconds between checkpoints; bits do not depend on it */
    double peak_flops;           /* of the machine, measured; 0: unknown */
    struct journal *journal;     /* the run's ledger; states are then saved at the ends of its segments.  NULL: none */
    int keep_states;             /* so many states on the way, evenly spaced over the segments, stay in RUN/states */
    bool resume;                 /* a state exists: metrics.jsonl is cut to it */
    bool (*stop)(void *user);    /* asked where the state may be saved */
    /* Steps done and the step where the state may be saved next: before the first step of this call, and before each
     * segment (without a ledger, each step). */
    void (*on_segment)(void *user, int64_t done, int64_t to);
    void (*on_step)(void *user, const struct loop_progress *p);
    void (*on_eval)(void *user, const struct loop_progress *p);
    void *user;
};

struct loop_result {
    struct digest root;
    struct eval_report eval;
    double seconds;              /* of this call */
    double ledger_seconds;       /* of those, for the ledger: state roots, movements, signatures, writing */
    int64_t steps, tokens;
};

/* Trains to the configured number of steps and leaves a complete checkpoint.  ERR_STOPPED after a stop was asked: the
 * segment is trained to its end and the state saved.  On any failure the last checkpoint stays whole. */
int train_loop(struct trainer *t, const struct run_config *c, const struct loop_opts *o, struct loop_result *r,
               struct err *e) MUST_CHECK;

#endif
