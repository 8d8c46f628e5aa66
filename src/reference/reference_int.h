/* What the files of the reference share. */
#ifndef DK_REFERENCE_REFERENCE_INT_H
#define DK_REFERENCE_REFERENCE_INT_H

#include <math.h>
#include <string.h>

#include "kernels/fp.h"
#include "reference/reference.h"

extern struct kernels T1; /* the reference kernels but those of matrix products; ref_begin fills it */

/* ---- network.c ---- */

struct network;
/* Of micro-batches of so many rows, a multiple of REF_ROWS. */
struct network *network_new(const struct ref_state *s, int rows, void *(*take)(uint64_t n, size_t size));
/* g += gradient of scale·Σ loss; the embedding's part goes to g_embed (vocab, d_model), which may be g where the table
 * is not tied.  tok, pos, target and loss (rows). */
void network_step(struct network *n, const float *w, float *g, float *g_embed, const int *tok, const int *pos,
                  const int *target, float *loss, float scale);

/* ---- update.c ---- */

size_t update_space(const struct ref_state *s); /* floats that update works in */
/* The step's update of s by a gradient g of that norm. */
void update(struct ref_state *s, const float *g, double norm, float *space);

#endif
