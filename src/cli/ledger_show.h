/* What `dokja ledger` prints. */
#ifndef DK_CLI_LEDGER_SHOW_H
#define DK_CLI_LEDGER_SHOW_H

#include "base/json.h"
#include "train/audit.h"
#include "train/replay.h"

/* What was replayed, and what came of it. */
struct replayed {
    const struct replay_choice *choice;
    const struct replay_result *result;
};

/* null where a ledger says what is no number; NULL when memory is short. */
json_t *ledger_real_json(double v);
double segment_loss(const struct segment *s);   /* mean of its steps */

void ledger_show(const char *run, const struct logbook *b);
int ledger_show_json(const struct logbook *b, struct err *e) MUST_CHECK;
void ledger_audit_show(const struct audit *a);
int ledger_audit_json(const struct audit *a, struct err *e) MUST_CHECK;
/* corpus: the text was made again from the committed corpus. */
void ledger_replay_show(const struct logbook *b, const struct replayed *r, double seconds, bool corpus);
int ledger_replay_json(const struct replayed *r, struct err *e) MUST_CHECK;

#endif
