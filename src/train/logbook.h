/* A run's ledger, read: every record's text in its place (docs/ledger.md). */
#ifndef DK_TRAIN_LOGBOOK_H
#define DK_TRAIN_LOGBOOK_H

#include "ledger/chain.h"
#include "train/genesis.h"
#include "train/segment.h"

struct logbook {
    struct ledger ledger;
    char *path;                    /* ledger.path */
    struct genesis genesis;
    struct run_config config;      /* with BEACON's seed */
    struct digest hash;            /* of GENESIS */
    char origin[LEDGER_ORIGIN];
    bool has_beacon, has_init, has_final;
    struct beacon beacon;
    struct digest init;            /* state root before the first step */
    struct circumstance begun;
    struct segment *segment;
    struct event *event;
    uint64_t n_segments, n_events;
    struct final final;
};
/* Frame, chain, and the form and order of the texts; what they say is the caller's to check.  A ledger that ends within
 * an entry is read up to there (ledger.whole < ledger.map.len). */
int logbook_open(struct logbook **b, const char *path, struct err *e) MUST_CHECK;
/* Seconds that the run was trained, as the machines' clocks in its records say: from INIT and each EVENT to the last
 * record before the next one.  What a program did after its last record is not in it.  NaN: a clock cannot be read. */
double logbook_seconds(const struct logbook *b);
void logbook_close(struct logbook *b);   /* safe on NULL */

#endif
