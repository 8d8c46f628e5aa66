/* Embeddings over shared tokens: whether two models use the same residual dimensions, and the map between them where
 * they do not.  Rows are centred over the tokens looked at and scaled to length 1, so that frequent tokens do not
 * outweigh the others. */
#ifndef DK_LINEAGE_EMBEDDING_H
#define DK_LINEAGE_EMBEDDING_H

#include "lineage/chance.h"
#include "lineage/signature.h"
#include "lineage/vocab.h"

enum { EMBED_MAX_TOKENS = 16384 };

/* n tokens of the shared ones, evenly spaced when there are more than EMBED_MAX_TOKENS; E_A (n, d_a), E_B (n, h). */
struct embeddings {
    int n, da, nb;
    float *a, *b;
};
/* b is looked at in the basis `bb`; every second token comes first, so that halves are alike. */
int embeddings_read(struct embeddings *m, const struct view *a, const struct view *b, const struct token_pairs *s,
                    const struct basis *bb, struct err *e) MUST_CHECK;
void embeddings_release(struct embeddings *m);

/* mean_k corr(E_A[:, k], E_B[:, k]) over the basis (both models have its width).  Null: a permutation of the residual
 * dimensions of A, which leaves what A computes unchanged. */
double embeddings_same(struct chance_result *r, const struct embeddings *m, const struct basis *b, int64_t draws,
                       uint64_t seed, const struct nn *x, struct err *e) MUST_CHECK;

/* The ridge regression of E_B on E_A over the first half of the tokens:
 *   X = (E_A'E_A + λ)⁻¹ E_A'E_B (da, nb),   r2 = 1 − |E_B − E_A X|² / |E_B|² over the second half.
 * A rotation, permutation, sign change or choice of dimensions is found by it. */
int embeddings_map(float *map, double *r2, const struct embeddings *m, const struct nn *x, struct err *e) MUST_CHECK;

#endif
