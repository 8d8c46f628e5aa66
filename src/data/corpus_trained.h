/* The documents of a corpus that pretraining trains on: all but those that tokens_prepare holds out with the same
 * fraction (tokens.h), so that what else is learned from the corpus, a vocabulary, leaves them out too.  A corpus of
 * one document, which tokens_prepare cuts, is given whole. */
#ifndef DK_DATA_CORPUS_TRAINED_H
#define DK_DATA_CORPUS_TRAINED_H

#include "data/corpus.h"

typedef int corpus_text_fn(void *ctx, const char *text, size_t n, struct err *e);

struct corpus_left_out {
    uint64_t docs, bytes;
};
/* Calls fn for each of them; mostly, not always, in the order of the corpus.  Stops at its first negative result. */
int corpus_trained_each(const struct corpus *c, double heldout, corpus_text_fn *fn, void *ctx,
                        struct corpus_left_out *left_out, struct err *e) MUST_CHECK;

#endif
