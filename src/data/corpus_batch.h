/* The building of a corpus's files: batches of documents are checked, normalised and hashed by many threads,
 * compared and counted in order by one, written and compressed by many, and put into files in order. */
#ifndef DK_DATA_CORPUS_BATCH_H
#define DK_DATA_CORPUS_BATCH_H

#include "base/json.h"
#include "data/corpus.h"
#include "data/corpus_input.h"

struct corpus_files {
    const char *dir;           /* where docs-* and removed-* are made */
    size_t max_doc, piece, shard;
    int threads;
    const struct corpus_salt *salt; /* or NULL */
    struct corpus_counts total;
    struct corpus_counts *file; /* one per input file */
    struct digest root;
    json_t *files;             /* [{"name","bytes","sha256"}] of what was written */
    struct err bad_record;     /* the first */
};
/* Reads all of `in`, whose digests it learns by that, and fills total, file[], root, files, bad_record. */
int corpus_files_make(struct corpus_files *c, struct inputs *in, struct err *e) MUST_CHECK;

/* One line of a docs file, with its newline, appended to b. Empty license and lang are left out. */
int corpus_line(struct buf *b, const struct corpus_doc *d, struct err *e) MUST_CHECK;

#endif
