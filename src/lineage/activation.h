/* Two models compared by what they answer to the same text, at the places where tokens of both end: no shared
 * vocabulary, width or order of dimensions is needed.
 *
 * Neurons (MATCH of Zhu et al., ICML 2025, arXiv 2502.12292): a neuron of the asking model looks for the neuron of the
 * other whose gate correlates most with its own over the places, and again by the size of up's correlation (up may have
 * been turned together with down); it agrees when both answers are one neuron.  Of the neurons asked every second one
 * finds the layer of the other model, the rest test it, so the search does not spoil the test; likewise the half of
 * the layers that looked best is taken.  Chance is measured by giving the answers by up to the asked neurons in another
 * order, which keeps how often each neuron is named.
 *
 * Unbiased CKA (Song et al., JMLR 2012): of Gram matrices K, L over n places, diagonals zero,
 *   HSIC₁(K, L) = [tr KL + 1'K1·1'L1 / ((n−1)(n−2)) − 2/(n−2)·1'KL1] / (n(n−3))
 *   UCKA(K, L) = HSIC₁(K, L) / √(HSIC₁(K, K)·HSIC₁(L, L))
 * It may be negative.  Layers find each other on every second place and are compared on the rest. */
#ifndef DK_LINEAGE_ACTIVATION_H
#define DK_LINEAGE_ACTIVATION_H

#include "lineage/match.h"
#include "lineage/trace.h"

enum { ACTIVATION_LEAST_PLACES = 64, ACTIVATION_ASKED = 256, ACTIVATION_DRAWS = 64 };

/* A layer of the model with fewer layers (of B when equal) and its partner; indices into trace.layer. */
struct activation_match {
    int a, b;
    int found, tested, agree;   /* agreements in the search; neurons asked in the test, and agreements there */
};
struct activations {
    int places;
    struct activation_match m[TRACE_MAX_LAYERS];
    int n;
    struct match_count count;   /* the test, over the best half of the layers */
    double effect;              /* agreeing share there */
    double cka;                 /* mean over the layers; NAN: not to be had */
};

/* Places at which a token of each ends: pa, pb (n) index the traces' tokens. */
int activation_places(int *pa, int *pb, const struct trace *a, const struct trace *b);

/* With fewer than ACTIVATION_LEAST_PLACES places, or fewer than 16 neurons, n stays 0. */
int activations_compare(struct activations *r, const struct trace *a, const struct trace *b, const struct nn *x,
                        uint64_t seed, struct err *e) MUST_CHECK;

/* Unbiased CKA of Gram matrices k and l, (n, n) each, n ≥ 4; their diagonals do not count.  NAN where one of the
 * norms is not positive. */
double activation_cka(const float *k, const float *l, int n);

#endif
