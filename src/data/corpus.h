/* A corpus folder: documents in zstd-compressed JSON lines and a manifest that commits to them.
 *
 *   manifest.json     settings, counts, reasons of removal, Merkle root, digests of the files
 *   docs-00000.jsonl.zst …   {"id","text","source","license","lang"}, NFC, in input order
 *   removed-00000.jsonl.zst  {"id","source","reason"}: what was left out; of a duplicate also "first", the id of
 *                     the document it equals, of a bad record "why", a sentence that names its line
 *
 * The manifest is written last: a folder without one is an unfinished build, which a rerun replaces.
 * Input order is the order of `in`, below a folder the byte order of paths; the same files and settings give
 * the same bytes wherever they lie and however many threads work on them.
 *
 * A record without an id is named file#line; its source, when it has none, is the file's name below the
 * folder that was asked for.  A .txt or .md file is cut into documents of at most `piece_bytes`, file#1,
 * file#2 … (a shorter one is one document, named file), after an empty line where there is one, else after a
 * line, a space, a character: so that one long book can be shuffled and held out in part.  Records of .jsonl
 * are never cut.
 *
 * Root: the RFC 6962 tree over the documents in order; the leaf of a document is the 64 bytes
 * SHA-256(text) ‖ SHA-256(metadata), metadata being id, source, license and lang, each after its length in
 * bytes as a little-endian 64-bit number; in a salted corpus 32 bytes more (data/corpus_salt.h). */
#ifndef DK_DATA_CORPUS_H
#define DK_DATA_CORPUS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/err.h"
#include "base/json.h"
#include "data/corpus_salt.h"
#include "data/sources.h"
#include "formats/textsrc.h"

/* Bytes of a manifest: a build that would need more is refused, and so is what claims to have more. */
enum { CORPUS_MANIFEST_LIMIT = 1 << 30 };

struct corpus_notes {
    struct asides aside;      /* below the folders that were named */
    struct err bad_record;    /* the first: "FILE: line 12 …"; zero: none, or nothing was read */
};

struct corpus_build_opts {
    const char *const *in;    /* files or folders (data/sources.h) */
    int n_in;
    const char *out;
    int64_t max_doc_bytes;    /* longer records are removed with reason "too-long"; 0: 16 MiB */
    int64_t piece_bytes;      /* of .txt and .md files; 0: 64 KiB */
    int64_t shard_bytes;      /* of text per docs file; 0: 256 MiB */
    int threads;              /* the output does not depend on it; 0: all */
    bool salted;              /* leaves that nobody can guess; OUT/salt.key, made where there is none */
    bool force;               /* replace a corpus of other inputs or settings */
    struct corpus_notes *notes; /* where to say what else there was, also on failure; or NULL */
};
struct corpus_counts {
    uint64_t files, docs_in, docs, bytes_in, bytes, chars;
    uint64_t duplicate, empty, not_utf8, too_long, bad_record;
    bool reused;              /* corpus_build: the folder already held exactly this corpus */
};
/* A corpus that is already there is kept when its inputs (by digest) and settings are the same, replaced
 * only with `force`, and stays whole until the new one is complete.  Where no document is left, an ERR_VALUE, *out has
 * the counts; on other failures at most the number of files. */
int corpus_build(const struct corpus_build_opts *o, struct corpus_counts *out, struct err *e) MUST_CHECK;

struct corpus;
int corpus_open(struct corpus **c, const char *dir, struct err *e) MUST_CHECK;
void corpus_close(struct corpus *c);
struct corpus_counts corpus_count(const struct corpus *c);
struct digest corpus_root(const struct corpus *c);   /* Merkle root over documents, in order */
/* The secret of a salted corpus; ERR_VALUE where it is missing or of another one. *salted: is it one at all? */
int corpus_salt_of(const struct corpus *c, struct corpus_salt *s, bool *salted, struct err *e) MUST_CHECK;
const json_t *corpus_manifest(const struct corpus *c);   /* borrowed */

struct corpus_doc {
    const char *text, *id, *source, *license, *lang;
    size_t n;
    struct digest hash;       /* SHA-256 of the text: identity for dedup and the held-out split */
};
/* Reads documents in order: 1, 0 at the end, negative on error. Pointers live until the next call. */
struct corpus_reader;
int corpus_reader_new(struct corpus_reader **r, const struct corpus *c, struct err *e) MUST_CHECK;
int corpus_reader_next(struct corpus_reader *r, struct corpus_doc *d, struct err *e) MUST_CHECK;
/* The same without the hash, for those who make it elsewhere. */
int corpus_reader_next_text(struct corpus_reader *r, struct corpus_doc *d, struct err *e) MUST_CHECK;
void corpus_reader_free(struct corpus_reader *r);

/* SHA-256 of a document's metadata (above). */
struct digest corpus_meta(const char *id, const char *source, const char *license, const char *lang);
/* The leaf of a document (above), hashed with the RFC 6962 prefix; part: corpus_salt_part's, or NULL. */
struct digest corpus_leaf(const struct digest *part, const struct digest *text, const struct digest *meta);
/* The same, with the corpus' secret, or NULL where it has none. */
struct digest corpus_leaf_of(const struct corpus_salt *s, const struct digest *text, const struct digest *meta);
/* The fraction that is held out when none is given: by pretraining, and by what else learns from a corpus. */
#define CORPUS_HELDOUT 0.005
/* True when a document is held out: the first 8 bytes of its hash, big-endian, as a fraction of 2^64,
 * < fraction. */
bool corpus_held_out(const struct digest *hash, double fraction);
/* Reads everything again and checks it against the manifest. */
int corpus_verify(const char *dir, struct err *e) MUST_CHECK;

#endif
