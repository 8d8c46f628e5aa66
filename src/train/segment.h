/* What a run's ledger says of training: INIT, SEGMENT, EVENT and FINAL (docs/ledger.md).
 *
 * The lines from `at` on are informative: when, where, how fast; a replay gives the same text up to them. */
#ifndef DK_TRAIN_SEGMENT_H
#define DK_TRAIN_SEGMENT_H

#include "base/digest.h"
#include "ledger/lines.h"
#include "train/drift.h"
#include "train/genesis.h"

/* Where, and when: `at`, `isa`, `threads`. */
struct circumstance {
    char at[GENESIS_TEXT], isa[GENESIS_TEXT];
    uint64_t threads;
};

struct segment {
    uint64_t index, from, to;          /* steps (from, to] were done */
    struct digest before, after;       /* state roots at from and to */
    uint64_t sample, tokens;           /* cursor and tokens at `to` */
    double flops;                      /* until `to` */
    double *loss, *grad_norm;          /* one a step */
    struct drift *drift;               /* one a tensor */
    uint64_t n_drift;
    struct circumstance c;
};
int segment_text(struct buf *b, const struct segment *s, struct err *e) MUST_CHECK;
/* The arrays are the segment's. */
int segment_read(struct segment *s, struct lines *t, struct err *e) MUST_CHECK;
void segment_release(struct segment *s);   /* safe on zero */

int init_text(struct buf *b, const struct digest *root, const struct circumstance *c, struct err *e) MUST_CHECK;
int init_read(struct digest *root, struct circumstance *c, struct lines *t, struct err *e) MUST_CHECK;

/* From a saved state; from the initial weights, where INIT was written already and no state was there. */
#define EVENT_RESUMED "resumed"
#define EVENT_BEGUN_AGAIN "begun again"
struct event {
    char what[GENESIS_TEXT];           /* one of these */
    uint64_t step;
    struct digest root;
    struct circumstance c;
};
int event_text(struct buf *b, const struct event *v, struct err *e) MUST_CHECK;
int event_read(struct event *v, struct lines *t, struct err *e) MUST_CHECK;

enum { FINAL_MAX_FILES = 64 };
struct final {
    struct digest root;
    uint64_t steps, tokens;
    double flops, bits_per_byte, bits_per_char;
    struct {
        char name[GENESIS_TEXT];
        struct digest sha256;
    } file[FINAL_MAX_FILES];           /* of RUN, in the order of their names' bytes */
    uint64_t n_files;
    struct circumstance c;
};
int final_text(struct buf *b, const struct final *f, struct err *e) MUST_CHECK;
int final_read(struct final *f, struct lines *t, struct err *e) MUST_CHECK;
/* The files of the run's folder are those that FINAL names, none of them outside it; config.json, model.safetensors,
 * run.json and tokenizer.json are among them, the last with the digest of GENESIS.  ERR_VALUE where they are not,
 * ERR_IO where one cannot be read. */
int final_files_check(const struct final *f, const struct digest *tokenizer, const char *dir,
                      struct err *e) MUST_CHECK;

/* How many bytes of a record's text are not informative. */
size_t record_firm(const char *text, size_t n);

#endif
