/* Training segments of a run again, from what its ledger commits to, and comparing (docs/ledger.md). */
#ifndef DK_TRAIN_REPLAY_H
#define DK_TRAIN_REPLAY_H

#include "train/logbook.h"
#include "train/trainer.h"

/* Which segments: a list of numbers, 0, last, outliers, random:K, all, behind one another with commas. */
struct replay_choice {
    bool *chosen;                  /* one a segment */
    uint64_t n;                    /* segments */
    uint64_t k;                    /* chosen */
    uint64_t drawn;                /* of those, by random: */
    /* What replay_plan adds. */
    bool *trained;                 /* the chosen ones and those on the way to them */
    uint64_t train, steps;         /* so many segments, of so many steps in all */
    uint64_t kept;                 /* states in RUN/states that a segment could begin at, good ones or not */
};
/* random:K draws by SHA-256("replay" ‖ nonce ‖ FINAL's root, or the last segment's ‖ counter), so that nobody could
 * know before the nonce was public; the first and last segment, those around an EVENT and the three of the largest
 * continuity ratio come with it. */
int replay_choose(struct replay_choice *c, const struct logbook *b, const char *list, const char *nonce,
                  struct err *e) MUST_CHECK;
void replay_choice_release(struct replay_choice *c);
/* The chance that k of n segments, drawn at random, hold one of the c that were tampered with. */
double replay_detection(uint64_t n, uint64_t c, uint64_t k);

/* Whether RUN's model file, where there is one, has the shape that GENESIS claims: asked before a trainer takes memory
 * for that. */
int replay_check_model(const struct logbook *b, const char *dir, struct err *e) MUST_CHECK;
/* What has to be trained to reach the chosen segments, given the states that lie in the run's folder. */
int replay_plan(struct replay_choice *c, struct trainer *t, const struct logbook *b, const char *dir,
                struct err *e) MUST_CHECK;

struct replay_opts {
    const char *dir;               /* RUN: states to begin at are looked for in it */
    const struct replay_choice *choice;   /* planned */
    bool (*stop)(void *user);
    void (*on_step)(void *user, uint64_t done, uint64_t all);   /* steps to train */
    void *user;
};
struct replay_result {
    uint64_t segments, matched;    /* chosen ones */
    uint64_t same;                 /* trained ones that match, the chosen among them */
    bool differs;
    uint64_t segment, step;        /* the first difference: segment, and the step its loss or gradient differ at */
    char what[600];                /* what differs there, and where in the state, as far as files tell */
};
/* Stops at the first difference; what lies behind it was not replayed. */
int replay_run(struct replay_result *r, struct trainer *t, const struct logbook *b, const struct replay_opts *o,
               struct err *e) MUST_CHECK;

#endif
