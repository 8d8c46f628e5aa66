/* A corpus folder: documents in zstd-compressed JSON lines and a manifest that commits to them.
 *
 *   manifest.json     settings, counts, reasons of removal, Merkle root, digests of the files
 *   docs-00000.jsonl.zst …   {"id","text","source","license","lang"}, NFC, in input order
 *   removed-00000.jsonl.zst  what was left out and why (exact duplicates, empty, not UTF-8) */
#ifndef DK_DATA_CORPUS_H
#define DK_DATA_CORPUS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/err.h"
#include "formats/textsrc.h"

struct corpus_build_opts {
    const char *const *in;    /* files or folders */
    int n_in;
    const char *out;
    int64_t max_doc_bytes;    /* longer documents are removed with reason "too-long" */
    int64_t shard_bytes;      /* of text per docs file */
    int threads;              /* the output does not depend on it */
};
struct corpus_counts {
    uint64_t files, docs_in, docs, bytes_in, bytes, chars;
    uint64_t duplicate, empty, not_utf8, too_long, bad_record;
};
int corpus_build(const struct corpus_build_opts *o, struct corpus_counts *out, struct err *e) MUST_CHECK;

struct corpus;
int corpus_open(struct corpus **c, const char *dir, struct err *e) MUST_CHECK;
void corpus_close(struct corpus *c);
struct corpus_counts corpus_count(const struct corpus *c);
struct digest corpus_root(const struct corpus *c);   /* Merkle root over documents, in order */

struct corpus_doc {
    const char *text, *id;
    size_t n;
    struct digest hash;       /* SHA-256 of the text: identity for dedup and the held-out split */
};
/* Reads documents in order: 1, 0 at the end, negative on error. Pointers live until the next call. */
struct corpus_reader;
int corpus_reader_new(struct corpus_reader **r, const struct corpus *c, struct err *e) MUST_CHECK;
int corpus_reader_next(struct corpus_reader *r, struct corpus_doc *d, struct err *e) MUST_CHECK;
void corpus_reader_free(struct corpus_reader *r);

/* True when a document is held out: the first 8 bytes of its hash, as a fraction of 2^64, < fraction. */
bool corpus_held_out(const struct digest *hash, double fraction);
/* Reads everything again and checks it against the manifest. */
int corpus_verify(const char *dir, struct err *e) MUST_CHECK;

#endif
