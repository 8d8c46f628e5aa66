/* The initial weights of runs of this program: a pure function of seed and shape, so that two runs that share a seed
 * can be told from relatives. */
#ifndef DK_LINEAGE_INITIAL_H
#define DK_LINEAGE_INITIAL_H

#include "lineage/view.h"

/* The seed in run.json beside the weights; *has = false where there is none. */
int initial_seed(bool *has, uint64_t *seed, const struct view *v, struct err *e) MUST_CHECK;

/* Takes the initial weights of `seed` away from what is read of every tensor of v that has the name and shape of
 * v's config.json; memory of all weights as f32 until initial_restore.  *done = false where the folder is no model
 * of this program. */
struct initial {
    float *w;
};
int initial_take_away(struct initial *s, bool *done, struct view *v, uint64_t seed, struct err *e) MUST_CHECK;
void initial_restore(struct initial *s, struct view *v);

#endif
