/* One document of a corpus with what shows its place: the leaves of all, and the side of the split it falls on. */
#ifndef DK_DATA_CORPUS_FIND_H
#define DK_DATA_CORPUS_FIND_H

#include "data/corpus.h"

struct corpus_found {
    uint64_t index;            /* among all documents */
    char *text, *id, *source, *license, *lang;
    size_t n;                  /* of text */
    struct digest hash;        /* of text */
    bool salted;
    struct digest part;        /* of a salted corpus: the document's own (data/corpus_salt.h) */
    struct digest *leaf;       /* leaf hashes of all documents; their tree has the corpus' root */
    uint64_t docs;
    bool trained, held;        /* its side (data/tokens.h); both where a corpus of one document was cut */
    uint64_t rank;             /* its number among the documents of its side; 0 where both */
};
/* `wanted`: an id, or "sha256:" and 64 hex digits of the text.  One pass over the corpus, which must have the root its
 * manifest tells; none or several such documents are an ERR_VALUE. */
int corpus_find(struct corpus_found *f, const struct corpus *c, const char *wanted, double heldout,
                struct err *e) MUST_CHECK;
void corpus_found_release(struct corpus_found *f);   /* safe on zero */

#endif
