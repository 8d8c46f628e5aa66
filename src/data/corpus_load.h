/* Batches of a corpus's documents in memory, as the stages of corpus_pipe.h want them. */
#ifndef DK_DATA_CORPUS_LOAD_H
#define DK_DATA_CORPUS_LOAD_H

#include "base/buf.h"
#include "data/corpus.h"

enum { LOAD_BYTES = 8 << 20, LOAD_DOCS = 8192 };

struct load_item {
    size_t text, n;                   /* in raw */
    size_t id, source, license, lang; /* in meta, NUL-terminated */
};
struct load_batch {
    struct buf raw, meta;
    struct load_item *it; /* LOAD_DOCS */
    int n;
};
int load_init(struct load_batch *b, struct err *e) MUST_CHECK;
void load_release(struct load_batch *b);
/* Fills b anew: 1, or 0 when no document is left. */
int load_fill(struct load_batch *b, struct corpus_reader *r, struct err *e) MUST_CHECK;

#endif
