/* The state of a run between steps: weights, moments, cursor; its identity and its file. */
#ifndef DK_TRAIN_STATE_H
#define DK_TRAIN_STATE_H

#include <stdint.h>

#include "base/digest.h"
#include "model/params.h"
#include "train/optim.h"

struct train_state {
    const struct param_table *table;
    real *w;                  /* master weights, flat */
    struct optim *optim;
    int64_t step;             /* steps done */
    int64_t sample;           /* rows consumed: the cursor */
    uint64_t metrics_bytes;   /* length of metrics.jsonl at this state */
    double last_bpb, last_bpc; /* latest held-out figures, NaN before the first; not part of the root */
};

/* NUMERICS §9: Merkle root over 1 MiB chunks of: each tensor's weights in table order, each tensor's first
 * moment, each tensor's second moment where it has one (all little-endian f32), then step and cursor as
 * little-endian u64.  Leaves are hashed in parallel; the root does not depend on it. */
int state_root(struct digest *root, const struct nn *x, const struct train_state *s, struct err *e) MUST_CHECK;
/* The leaves themselves, state_chunks of them. */
uint64_t state_chunks(const struct train_state *s);
int state_leaves(struct digest *leaf, const struct nn *x, const struct train_state *s, struct err *e) MUST_CHECK;

/* state/state.safetensors: everything needed to go on, in one file replaced atomically. The root is stored
 * and checked on load. */
int state_save(const struct nn *x, const struct train_state *s, const char *path, struct digest *root,
               struct err *e) MUST_CHECK;
/* The first place in which the file differs from s, or nothing, into what. */
int state_compare(const struct train_state *s, const char *path, char *what, size_t size, struct err *e) MUST_CHECK;
int state_load(const struct nn *x, struct train_state *s, const char *path, struct err *e) MUST_CHECK;
/* The step that a file says it is of, without a look at its tensors; −1: no state. */
int64_t state_step(const char *path);

#endif
