/* The heads of attention, seen from their own dimensions: the Gram matrix W·Wᵀ (head size × head size) of every head's
 * rows of q, k, v and columns of o, the norm's gain folded into q, k and v.
 *
 * What is made of them alone does not change when the residual stream is turned or permuted, so that a copy in
 * other residual dimensions is seen without tokens and without a map. */
#ifndef DK_LINEAGE_HEADS_H
#define DK_LINEAGE_HEADS_H

#include "lineage/view.h"

enum { HEAD_MIN_SIZE = 8, HEAD_MAX_SIZE = 512, HEAD_MAX_HEADS = 4096 };

/* Of one layer: query heads, key-value heads, dimensions of a head. */
struct heads {
    int q, kv, size;
};
/* The layers whose heads are known and alike; where they have more than HEAD_MAX_HEADS heads together, evenly spaced
 * ones of them.  Returns their number. */
int heads_choose(int layer[VIEW_MAX_LAYERS], struct heads *h, const struct view *v);

struct head_grams {
    const struct view *v;
    struct heads h;
    int threads;
    double *gram[ATTN_ROLES];   /* (heads of that role, size, size), lower triangles */
    float *gain;                /* (d_model), scratch */
};
int head_grams_init(struct head_grams *g, const struct view *v, const struct heads *h, int threads,
                    struct err *e) MUST_CHECK;
void head_grams_release(struct head_grams *g); /* safe on zero */
int head_grams_read(struct head_grams *g, const struct layer_view *l, struct err *e) MUST_CHECK;
/* Of query head i; of k and v that of its key-value head. */
const double *head_gram(const struct head_grams *g, enum role r, int i);

#endif
