/* How far an optimizer can move a tensor, and how far it did (docs/ledger.md: step-bound, continuity, travel,
 * birth). */
#ifndef DK_TRAIN_BOUNDS_H
#define DK_TRAIN_BOUNDS_H

#include "model/params.h"
#include "train/logbook.h"

/* The worst of something over segments and tensors. */
struct worst {
    double figure;
    uint64_t segment;
    int tensor;
};

/* Recorded movement over the bound, both of every segment and tensor: 1 is the limit.  w0: the initial weights.
 * ERR_VALUE where no bound is known (β1² >= β2). */
int bounds_steps(struct worst *w, const struct logbook *b, const struct param_table *t, const real *w0,
                 struct err *e) MUST_CHECK;
/* A segment's rms movement per unit of learning rate, against the median of up to two segments on either side; infinite
 * where those did not move at all and it did, by more than rounding.  The first segment, where everything is still far
 * from its place, is not judged.  It has no limit: an honest run whose text is soon known by heart comes to a stop
 * within a segment, and what moved before that is out of every proportion to what moves after. */
int bounds_continuity(struct worst *w, const struct logbook *b, const struct param_table *t, struct err *e) MUST_CHECK;
/* The same, the largest of each segment, the first too. */
int bounds_ratios(double *ratio, const struct logbook *b, const struct param_table *t, struct err *e) MUST_CHECK;
/* rms(w − w0) over the sum of the segments' rms: 1 is the limit. */
struct worst bounds_travel(const struct logbook *b, const struct param_table *t, const real *w, const real *w0);
/* z = ⟨w, w0⟩ / (σ0·‖w‖); the tensor that begins at random with the smallest one. */
struct worst bounds_birth(const struct param_table *t, const real *w, const real *w0);

#endif
