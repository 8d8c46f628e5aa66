/* Batches of documents through three stages, with results in order: fill (one thread, the next batch is
 * filled while the present one is worked on), work (many threads, items on their own), then emit pieces
 * (planned by one thread, made by many), then finish (one thread).  The order of fill, plan and finish
 * calls, and so the result, does not depend on the number of threads. */
#ifndef DK_DATA_CORPUS_PIPE_H
#define DK_DATA_CORPUS_PIPE_H

#include <stddef.h>

#include "base/err.h"

struct pipe_ops {
    void *user;
    void *batch[2];
    /* 1: the batch has items; 0: no more; negative: error. */
    int (*fill)(void *user, void *batch, struct err *e);
    int (*items)(const void *batch);
    size_t (*weight)(const void *batch, int item); /* rough cost, bytes */
    int (*work)(void *user, void *batch, int item, int thread, struct err *e);
    /* After all items are worked on: returns the number of pieces to make, or a negative error. */
    int (*plan)(void *user, void *batch, struct err *e);
    int (*piece)(void *user, void *batch, int piece, int thread, struct err *e); /* may be NULL when plan gives 0 */
    int (*finish)(void *user, void *batch, struct err *e);
};

/* threads ≤ 0: as many as this process may use. */
int pipe_threads(int threads);
int pipe_run(const struct pipe_ops *p, int threads, struct err *e) MUST_CHECK;

#endif
