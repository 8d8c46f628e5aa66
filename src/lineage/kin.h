/* Do the heads of two models know each other?
 *
 * Each head of the model with fewer heads looks for its like in the other, once by each of its two descriptions
 * (spectrum.h); what one finds, the other tests, so that the search does not spoil the test: the effect is the mean
 * correlation by the other description, over heads and both ways, and p comes from permuting the heads of the other
 * model between search and test.  Layers may lie anywhere, be left out or repeated. */
#ifndef DK_LINEAGE_KIN_H
#define DK_LINEAGE_KIN_H

#include "lineage/chance.h"
#include "lineage/spectrum.h"

enum { KIN_ASKING = 512, KIN_LEAST_HEADS = 6 };

struct kin_result {
    double effect;
    double twice;       /* share of the asking heads that find the same head by both descriptions */
    struct chance_result chance;
};
/* Of n ≤ 2 sets (the same sets of both models) the one that shows more, and the same of the permutations; KIN_ASKING
 * evenly spaced heads ask at most.  *why_not: NULL, or why nothing was compared. */
int kin_compare(struct kin_result *r, const char **why_not, const struct head_set *a, const struct head_set *b, int n,
                int64_t draws, uint64_t seed, int threads, struct err *e) MUST_CHECK;

#endif
