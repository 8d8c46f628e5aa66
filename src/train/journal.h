/* A run's ledger, RUN/ledger.bin, written while it trains (docs/ledger.md).
 *
 * Records are only ever added.  A run that was killed goes on from an older state than its ledger tells of: what is
 * trained again must then say what is written already, or the machine computed something else, an error.  So nobody
 * has to forget a checkpoint that was signed before. */
#ifndef DK_TRAIN_JOURNAL_H
#define DK_TRAIN_JOURNAL_H

#include "train/genesis.h"
#include "train/trainer.h"

struct journal;
struct journal_opts {
    const char *dir;              /* RUN */
    const char *key_path;         /* Ed25519, PEM; NULL: RUN/state/key.pem, made where there is none */
    const char *isa;              /* informative, like threads */
    int threads;
};

/* Begins a ledger: GENESIS and its signed checkpoint.  g's key and c's configuration are what the run will be; a ledger
 * of a run that never wrote its run.json is replaced. */
int journal_new(struct journal **j, const struct journal_opts *o, struct genesis *g, const struct run_config *c,
                struct err *e) MUST_CHECK;
/* Goes on with one.  ERR_VALUE where GENESIS is not of this configuration, or the key is another. */
int journal_open(struct journal **j, const struct journal_opts *o, const struct run_config *c,
                 struct err *e) MUST_CHECK;
void journal_close(struct journal *j);   /* safe on NULL */
/* GENESIS of the run in that folder, before its ledger is gone on with. */
int journal_read_genesis(struct genesis *g, const char *dir, struct err *e) MUST_CHECK;
struct digest journal_genesis(const struct journal *j);   /* hash of GENESIS, to be lodged */
const char *journal_beacon_source(const struct journal *j);   /* GENESIS' */

int journal_beacon(struct journal *j, const struct beacon *v, struct err *e) MUST_CHECK;
/* The state training begins or goes on from, trainer_init's or a loaded one; before the first step. */
int journal_begin(struct journal *j, const struct trainer *t, struct err *e) MUST_CHECK;
/* After each step; at the end of a segment its record is added and signed.  *ended says so: the state may be saved. */
int journal_step(struct journal *j, struct trainer *t, const struct step_report *r, bool *ended,
                 struct err *e) MUST_CHECK;
/* After the last step, when the model's files lie in RUN. */
int journal_final(struct journal *j, const struct trainer *t, const struct eval_report *r, struct err *e) MUST_CHECK;

#endif
