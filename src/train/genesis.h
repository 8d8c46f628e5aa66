/* What a run's ledger says before training: GENESIS commits to everything that the state after any step follows from,
 * but for the seed; BEACON says where that comes from.  The texts are ledger/lines.h's, in the order of docs/ledger.md.
 *
 * Seed: with a public value drawn after GENESIS was lodged, the first 8 bytes, little-endian, of
 * SHA-256("run-seed" ‖ hash of GENESIS ‖ value); else the run's own, and BEACON says so.  GENESIS names whose value
 * that will be, drawn when: who may pick among beacons afterwards may pick the seed. */
#ifndef DK_TRAIN_GENESIS_H
#define DK_TRAIN_GENESIS_H

#include "base/digest.h"
#include "ledger/lines.h"
#include "ledger/signing.h"
#include "train/run.h"

#define GENESIS_SPEC "dokja-ledger/1"
#define BEACON_SELF "self"
#define BEACON_UNNAMED "not named"   /* in old ledgers: a value that came without its source */
enum { GENESIS_MAX_ANCESTORS = 16, GENESIS_TEXT = 160 };

/* What GENESIS says besides the configuration. */
struct genesis {
    struct digest selftest, source;         /* of the run's profile; of the program's source (base/build.h) */
    char compiler[GENESIS_TEXT];            /* informative */
    char holder[GENESIS_TEXT];              /* who trains, in their own words */
    char created[GENESIS_TEXT];             /* UTC, informative */
    struct sign_public key;                 /* signs the checkpoints */
    char beacon[GENESIS_TEXT];              /* whose value, drawn when, the seed will be made of; BEACON_SELF: none */
    struct digest ancestor[GENESIS_MAX_ANCESTORS];   /* none: from random weights */
    int n_ancestors;
    uint64_t corpus_docs, corpus_bytes, train_docs, train_tokens, heldout_docs, heldout_tokens;
};
int genesis_text(struct buf *b, const struct genesis *g, const struct run_config *c, struct err *e) MUST_CHECK;
/* c gets all but the seed.  Ranges are checked: a run can be made of it. */
int genesis_read(struct genesis *g, struct run_config *c, struct lines *t, struct err *e) MUST_CHECK;

struct beacon {
    char source[GENESIS_TEXT];   /* GENESIS' beacon */
    char value[GENESIS_TEXT];    /* "-" where the seed is the run's own */
    uint64_t seed;
};
uint64_t beacon_seed(const struct digest *genesis, const char *value);
int beacon_text(struct buf *b, const struct beacon *v, struct err *e) MUST_CHECK;
int beacon_read(struct beacon *v, struct lines *t, struct err *e) MUST_CHECK;

#endif
