/* The documents that `dokja ledger export` makes of a run's ledger, for other people's tools.  Each is a function of
 * the ledger, the corpus and the options alone, so that making it again gives the same bytes. */
#ifndef DK_CLI_EXPORT_H
#define DK_CLI_EXPORT_H

#include "data/census.h"
#include "train/logbook.h"

struct export {
    const struct logbook *b;           /* ended and signed; RUN's files are FINAL's */
    const char *corpus_dir;
    const struct corpus *corpus;       /* NULL: not given */
    const struct census *census;       /* of it */
    const char *name, *license, *url;  /* license, url: NULL where not told */
    const json_t *config, *run;        /* config.json and run.json */
    const char *checkpoint;            /* the last signed note */
    size_t checkpoint_n;
    bool signed_too;                   /* run.intoto.jsonl is written */
    char genesis[65], root[65], corpus_root[65], tokenizer[65], source[65], ledger[65];
};

/* Each appends a document to d. */
int export_slsa(struct buf *d, const struct export *x, struct err *e) MUST_CHECK;
int export_bom(struct buf *d, const struct export *x, struct err *e) MUST_CHECK;
int export_croissant(struct buf *d, const struct export *x, struct err *e) MUST_CHECK;
int export_eu(struct buf *d, const struct export *x, struct err *e) MUST_CHECK;
int export_eu_json(struct buf *d, const struct export *x, struct err *e) MUST_CHECK;
int export_korea(struct buf *d, const struct export *x, struct err *e) MUST_CHECK;

/* ---- what they share ---- */

/* Adding v, which is taken, to a list or an object.  Where that fails (memory, a string that is not UTF-8), *to becomes
 * NULL, and so does what is made of it: no document is written that is not whole. */
void export_push(json_t **to, json_t *v);
void export_set(json_t **to, const char *key, json_t *v);
/* Prints v, which it takes. */
int export_json(struct buf *d, json_t *v, struct err *e) MUST_CHECK;
/* A time of the ledger as JSON, or null where it is not of the form 2026-01-31T23:59:59Z. */
json_t *export_time(const char *at);
/* Is it known who holds the run?  GENESIS says "not named" otherwise. */
bool export_named(const struct export *x);

#endif
