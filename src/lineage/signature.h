/* The signature of a projection W (units × residual): how its columns lie to each other.
 *
 *   c_ij = cos(W_:i − mean, W_:j − mean)     over chosen residual dimensions i, j
 *
 * Units are scaled to equal length first.  It does not change when units are permuted or scaled one by one, nearly
 * not when they are rotated among themselves (dimensions of heads) or columns are scaled (norm gains folded or not).
 * Chosen dimensions are cut into two halves: one to find which layers belong together, the other to test it, so that
 * the test is not spoiled by the search.  Each half is centred over rows and columns, cut at ±4 standard deviations
 * (massive channels), and scaled to length 1, so that the product of two signatures is a correlation (Mantel 1967). */
#ifndef DK_LINEAGE_SIGNATURE_H
#define DK_LINEAGE_SIGNATURE_H

#include "lineage/view.h"
#include "nn/gemm.h"

enum { BASIS_MAX = 256 };

/* Where the residual stream is looked at: n chosen dimensions of a model, or n directions x of another's. */
struct basis {
    int d, n;          /* n even */
    int res[BASIS_MAX];
    const float *x;    /* (d, n), or NULL: dimensions res */
};
/* n ≤ BASIS_MAX dimensions of d, the same for every model of that width. */
void basis_choose(struct basis *b, int d);

/* out (units, n): the projection in that basis; with x, gains of the norm before it (or NULL) are folded in. */
int basis_read(float *out, const struct nn *x, const struct view *v, const struct slice *s, const struct weight *gain,
               const struct basis *b, struct err *e) MUST_CHECK;

struct signature {
    int h;             /* dimensions of a half; 0: there is none */
    float *half[2];    /* (h, h), symmetric, zero diagonal */
};
int signature_make(struct signature *g, const struct nn *x, const struct view *v, const struct slice *s,
                   const struct weight *gain, const struct basis *b, struct err *e) MUST_CHECK;
void signature_release(struct signature *g);
/* Correlation of half k; perm == NULL or a permutation of a's dimensions. */
double signature_product(const struct signature *a, const struct signature *b, int k, const int *perm);

#endif
