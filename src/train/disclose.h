/* Showing one thing of a run and nothing else: a document of its corpus, a segment, a tensor of its last state.
 *
 * A disclosure is one JSON object that is checked by itself: it carries GENESIS, a checkpoint signed by GENESIS' key,
 * the thing, and a path from the thing to a root that one of the two commits to (docs/ledger.md, "Showing one thing and
 * nothing else").  What is left to whoever checks it is where the hash of GENESIS came from. */
#ifndef DK_TRAIN_DISCLOSE_H
#define DK_TRAIN_DISCLOSE_H

#include "data/corpus_find.h"
#include "train/logbook.h"

enum { DISCLOSE_MAX_CHUNKS = 256, DISCLOSE_MAX_FILE = 512 << 20 };

/* Each appends the text of a disclosure to b.  The ledger's last checkpoint must cover what is shown. */

/* The corpus of f must be the one GENESIS commits to. */
int disclose_document(struct buf *b, const struct logbook *l, const struct corpus_found *f, bool with_text,
                      struct err *e) MUST_CHECK;
int disclose_segment(struct buf *b, const struct logbook *l, uint64_t segment, struct err *e) MUST_CHECK;
/* `state`: the state file of FINAL; ERR_LIMIT where the tensor needs more than DISCLOSE_MAX_CHUNKS chunks. */
int disclose_tensor(struct buf *b, const struct logbook *l, const char *state, const char *name,
                    struct err *e) MUST_CHECK;

/* ---- checking ---- */

enum disclosed { DISCLOSED_DOCUMENT, DISCLOSED_SEGMENT, DISCLOSED_TENSOR };

struct disclosed_document {
    uint64_t index;
    struct digest text;
    const char *id, *source, *license, *lang;
    const char *shown;         /* the text, or NULL */
    size_t n;
};
struct disclosed_tensor {
    char name[128];
    int rows, cols;
    struct digest values;      /* SHA-256 of the values, little-endian binary32 in row order */
    double rms, lowest, highest;
    uint64_t chunks, of;
};
struct disclosure {
    enum disclosed what;
    struct digest genesis_hash;
    struct genesis genesis;
    struct run_config config;  /* without the seed */
    struct checkpoint checkpoint;
    struct disclosed_document document;
    struct segment segment;
    struct disclosed_tensor tensor;
    struct final final;        /* of a tensor's run */
    json_t *json;              /* the strings are in it */
};
/* Reads and checks: 0 means that everything in *d is what the run's ledger commits to.  Sentences begin with
 * `where`. */
int disclosure_read(struct disclosure *d, const char *text, size_t n, const char *where, struct err *e) MUST_CHECK;
void disclosure_release(struct disclosure *d);   /* safe on zero */

#endif
