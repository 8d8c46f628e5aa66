/* Norm gains of layers that belong together.
 *
 * Gains begin at a constant, so what they agree in was learned: two runs that share their initial weights do not agree
 * here, a child and its parent do.  Spearman's correlation over the chosen residual dimensions, so that massive
 * channels and the common positive sign, which give any two models a raw cosine near 1, do not count. */
#ifndef DK_LINEAGE_GAINS_H
#define DK_LINEAGE_GAINS_H

#include "lineage/compare.h"

/* A pair of gains (d_model each; NULL: the model has none there). */
struct gain_pair {
    const struct weight *a, *b;
};
/* Mean correlation of n pairs, with its permutation test; *effect is NAN where no pair differs from a constant. */
int gains_compare(double *effect, struct chance_result *c, const struct gain_pair *g, int n, const struct basis *b,
                  int64_t draws, uint64_t seed, int threads, struct err *e) MUST_CHECK;

/* Whether differences of gains are made up for by the columns of the matrix they feed: the correlation over the
 * chosen dimensions of log |gain_A / gain_B| with −log(|W_A:k| / |W_B:k|).  Near 1 where one model is the other with
 * its channels rescaled; else near 0.  NAN: a part is missing or holds a zero, or nothing differs. */
int gains_compensation(double *r, const struct weight *ga, const struct weight *gb, const struct slice *wa,
                       const struct slice *wb, const struct basis *b, struct err *e) MUST_CHECK;

#endif
