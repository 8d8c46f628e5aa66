/* Do the neurons of two feed-forwards know each other?
 *
 * For a neuron of B, the nearest neuron of A (cosine in a common basis of the residual stream) is looked up three
 * times, by its row of gate, of up and its column of down; rows are centred over neurons and columns scaled to equal
 * length first.  Unrelated models give unrelated answers; in relatives the answers agree, wherever the neurons lie
 * now (after MATCH of Zhu et al., ICML 2025, arXiv 2502.12292, on weights alone).  A neuron agrees when two of its
 * answers are equal; chance makes 3/n_A of them agree, and what the real figures of chance are is measured with
 * the residual dimensions of B permuted, which leaves what B computes unchanged. */
#ifndef DK_LINEAGE_MATCH_H
#define DK_LINEAGE_MATCH_H

#include "lineage/signature.h"

enum { MATCH_MAX_NEURONS = 256, MATCH_DRAWS = 8 };

struct match_count {
    int n, agree;              /* neurons of B asked, and those that agree */
    int drawn, drawn_agree;    /* the same under permutation, all draws together */
};
/* Adds one pair of feed-forwards, of models and in bases a and b, to the count; one without two of the three parts
 * adds nothing. */
struct match_side {
    const struct view *v;
    const struct ffn_view *f;
    const struct basis *b;
};
int match_add(struct match_count *c, const struct nn *x, const struct match_side *a, const struct match_side *b,
              uint64_t seed, struct err *e) MUST_CHECK;

/* P(agreements ≥ those seen) for a Poisson count whose mean is at the upper limit of what permutation showed: a draw
 * costs as much as the test, so there are few, and a rank among few could not survive Holm's correction.  A model, not
 * exact: agreements by chance are rare (a few of 256) and nearly independent; over 300 draws for each of 16
 * feed-forwards the count's variance was 0.84 to 1.05 of its mean. */
double match_p(const struct match_count *c);

#endif
