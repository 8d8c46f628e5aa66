/* Chance: what a figure is worth when two models know nothing of each other.
 *
 * Permutation tests give p = (1 + #{t: x_t ≥ x}) / (T + 1), with P(p ≤ u) ≤ u where the permutations leave the
 * distribution under the null as it is.  They stop early at draw t = STOP / p, where x_t is the STOP-th that is ≥ x
 * (Besag and Clifford, Biometrika 78, 1991), which keeps that: p ≤ STOP / n says that fewer than STOP of the first
 * n − 1 draws were ≥ x, that is, x is among the STOP largest of n exchangeable values. */
#ifndef DK_LINEAGE_CHANCE_H
#define DK_LINEAGE_CHANCE_H

#include <stdint.h>

enum { CHANCE_STOP = 20 };

/* What is permuted: streams of chance_permutation.  Tests may share one: Holm's correction asks for no independence. */
enum { CHANCE_EMBEDDING = 1, CHANCE_NEURONS = 2, CHANCE_LAYERS = 3, CHANCE_ANSWERS = 3, CHANCE_GAINS = 5,
       CHANCE_HEADS = 6 };
/* perm[0..n): a uniformly random permutation, draw `t` of (seed, stream). */
void chance_permutation(int *perm, int n, uint64_t seed, uint32_t stream, uint64_t t);

/* The permutation test of `x` against figure(user, t) for t = 0 … draws − 1, computed `threads` at once in blocks of
 * fixed size, so that the result depends on nothing else.  mean, sd: of the draws made. */
struct chance_result {
    double p, mean, sd;
    int64_t draws;
};
struct chance_result chance_test(double x, int64_t draws, double (*figure)(void *user, uint64_t t), void *user,
                                 int threads);

/* P(X ≥ k) for X ~ Poisson(mean), at least CHANCE_LEAST: no p-value is zero. */
#define CHANCE_LEAST 1e-300
double chance_poisson_tail(double mean, int k);
/* An upper limit (well above 99.9 %) for the mean of a Poisson count of which n were seen. */
double chance_poisson_limit(double n);
/* Holm (1979): p[0..n) become adjusted p-values, in place of the raw ones. */
void chance_holm(double *p, int n);

#endif
