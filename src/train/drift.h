/* How far each tensor's weights moved between two states. */
#ifndef DK_TRAIN_DRIFT_H
#define DK_TRAIN_DRIFT_H

#include <stdbool.h>

#include "model/params.h"
#include "nn/nn.h"

struct drift {
    double rms;   /* root of the mean square of w − before, differences in binary32, T1's sum of squares over blocks
                   * of 4096, those added in order in binary64 */
    double max;   /* the largest |w − before| */
};

/* Whether a tensor can have moved like that: finite, and the root mean square no larger than the largest. */
bool drift_possible(const struct drift *d);
/* d: one a tensor, in table order.  before (flat like w) becomes a copy of w. */
void drift_measure(struct drift *d, const struct nn *x, const struct param_table *t, const real *w, real *before);

#endif
