/* Sets of signatures, one row for each layer (or expert), compared all with all. */
#ifndef DK_LINEAGE_COMPARE_H
#define DK_LINEAGE_COMPARE_H

#include "lineage/chance.h"
#include "lineage/signature.h"

enum { SIGSET_MAX = 192, COMPARE_TOP = 12 };

struct sigset {
    int n, roles;
    struct signature *s;             /* (n, roles) */
    int layer[SIGSET_MAX], expert[SIGSET_MAX], index[SIGSET_MAX];  /* expert −1: dense; index into view.ffn or layer */
};
/* The attention layers, or the feed-forwards, of v in basis b; of more than SIGSET_MAX evenly spaced ones. */
int sigset_attn(struct sigset *g, const struct nn *x, const struct view *v, const struct basis *b,
                struct err *e) MUST_CHECK;
int sigset_ffn(struct sigset *g, const struct nn *x, const struct view *v, const struct basis *b,
               struct err *e) MUST_CHECK;
void sigset_release(struct sigset *g);

/* A row of the set with fewer rows, its partner in the other, found in the first half of the dimensions, and the
 * mean correlation over the common roles in the second. */
struct layer_match {
    int a, b;         /* rows */
    double found, r, sd;
};
/* All rows in m[0..*n); returns the effect: the mean of r over the COMPARE_TOP rows with the highest `found`, with
 * its permutation test.  false: nothing to compare (another number of dimensions, or no common role). */
bool sigset_compare(struct layer_match *m, int *n, int max, double *effect, struct chance_result *c,
                    const struct sigset *a, const struct sigset *b, int64_t draws, uint64_t seed, int threads);

#endif
