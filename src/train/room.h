/* The room on the disk that a run still takes: known before training, for a full disk would otherwise show at the first
 * checkpoint, after what it should have saved was trained. */
#ifndef DK_TRAIN_ROOM_H
#define DK_TRAIN_ROOM_H

#include "train/run.h"

/* Bytes that are not there yet.  Files are replaced by a copy that takes its place when it is whole, one at a time. */
struct run_room {
    uint64_t model, state;   /* model.safetensors, state/state.safetensors */
    uint64_t copy;           /* the larger of them once more */
    uint64_t kept;           /* states/ */
    uint64_t logs;           /* ledger.bin, ledger.leaves and metrics.jsonl, about; 0 while the length is open */
    uint64_t all;            /* their sum; 0 for a run that is complete */
};
int run_room_find(struct run_room *r, const struct run_config *c, const char *dir, int keep_states, struct err *e)
    MUST_CHECK;

/* ERR_LIMIT where the disk that holds dir has less.  A disk that does not say how much it has, has enough. */
int run_room_check(const struct run_room *r, const char *dir, struct err *e) MUST_CHECK;

/* "12.3 MB" */
void run_room_text(char out[24], uint64_t bytes);

#endif
