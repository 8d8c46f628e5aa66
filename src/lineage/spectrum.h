/* What a head is, in figures that need no residual dimensions: the spectra of what it computes, and the angles between
 * its rows.
 *
 * Spectra: with the norm's gain folded in, a head h (of the key-value head g) is its two products
 *
 *   M_QK = W_Q,hᵀ·W_K,g        M_OV = W_O,h·W_V,g        (d_model, d_model), rank ≤ head size
 *
 * whose singular values do not change when the residual stream is turned, when heads or their dimensions are permuted
 * or turned, or when scale moves from one factor to the other: σ(AᵀB)² are the eigenvalues of LᵀBBᵀL with AAᵀ = LLᵀ.
 * Independent models have nearly the same spectra; what tells is how a head departs from the others of its layer:
 *
 *   x = log σᵢ − mean over i,   less its mean over the heads of that layer,   scaled to length 1
 *
 * Angles: cos of the rows i, j of W_Q,h (and of W_K,g; of W_O,h and W_V,g), over all pairs of even dimensions, and of
 * odd ones, as two vectors less their mean, scaled to length 1.  They survive far more training than spectra do, and
 * any scale of rows, but not a head whose dimensions were turned or permuted (rotary embedding and norms of q and k
 * forbid that for q and k). */
#ifndef DK_LINEAGE_SPECTRUM_H
#define DK_LINEAGE_SPECTRUM_H

#include "lineage/heads.h"

/* Two descriptions x[0], x[1] of each of n heads, of which one searches and the other tests. */
struct head_set {
    int n, len[2];
    float *x[2];        /* (n, len) */
};
struct head_sets {
    int size;           /* of heads; 0: they are not known */
    struct head_set spectra;      /* of M_QK and of M_OV */
    struct head_set angles[2];    /* of q with k, of o with v; even and odd dimensions */
};
/* Spectra: only of layers with several heads.  Heads that are zero are left out. */
int head_sets_make(struct head_sets *s, const struct view *v, int threads, struct err *e) MUST_CHECK;
void head_sets_release(struct head_sets *s); /* safe on zero */

/* x[0..size): log σᵢ(AᵀB) from the Gram matrices (lower triangles) of A and B, largest first; scratch: 3·size² values.
 * Below a hundred-thousandth of the largest they count as that.  false: the product is zero. */
bool spectrum_of(double *x, const double *gram_a, const double *gram_b, int size, double *scratch);

#endif
