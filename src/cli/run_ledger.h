/* The ledger of a run that a command trains: what the user says of it, and its beginning. */
#ifndef DK_CLI_RUN_LEDGER_H
#define DK_CLI_RUN_LEDGER_H

#include "data/tokens.h"
#include "nn/nn.h"
#include "train/journal.h"

struct run_ledger {
    /* what the user says */
    const char *lodge;       /* whose value the seed will be made of: GENESIS only, to be lodged before it is drawn */
    const char *beacon;      /* VALUE@SOURCE; VALUE where GENESIS names the source; NULL: none */
    const char *holder, *key;
    /* what it is about */
    const char *dir;         /* RUN */
    const struct nn *x;
    const struct corpus *corpus;
    const struct tokens *tokens;
    struct digest selftest[N_PROFILES]; /* run_ledger_selftest's */
};

/* Whether a new run can begin with what the user says of its seed: asked before its text is prepared. */
int run_ledger_check(const struct run_ledger *l, struct err *e) MUST_CHECK;
/* This machine and build compute by T1, or ERR_NUMERIC; before the run takes its memory.  The two below ask for the
 * run's own profile. */
int run_ledger_selftest(struct run_ledger *l, struct err *e) MUST_CHECK;

/* Begins the ledger of a new run and settles the seed (c->seed, c->seed_awaited). */
int run_ledger_new(struct journal **j, const struct run_ledger *l, struct run_config *c, struct err *e) MUST_CHECK;
/* Goes on with one; a run that waits for its beacon gets its seed, and *settled says so. */
int run_ledger_resume(struct journal **j, const struct run_ledger *l, struct run_config *c, bool *settled,
                      struct err *e) MUST_CHECK;

#endif
