/* In which steps of a run a document was trained on.
 *
 * Its tokens lie in a few rows of the training stream; a row's place in the order of an epoch is the inverse of the
 * keyed permutation (base/rng.h), and a place is a step: no step is looked at that does not hold the document. */
#ifndef DK_TRAIN_EXPOSURE_H
#define DK_TRAIN_EXPOSURE_H

#include "train/run.h"

/* Of the training stream. */
struct exposure_span {
    uint64_t from, to;         /* the document's tokens, its two ends among them */
    uint64_t rows;             /* whole rows of c->seq in the stream (tokens_rows) */
};
struct exposure {
    int64_t *step;             /* counted from 1, ascending, each once */
    size_t n;
    uint64_t rows;             /* rows of c->seq that predict one of its tokens */
};
/* Among the first `steps` steps. */
int exposure_find(struct exposure *x, const struct run_config *c, const struct exposure_span *s, int64_t steps,
                  struct err *e) MUST_CHECK;
void exposure_release(struct exposure *x);   /* safe on zero */

#endif
