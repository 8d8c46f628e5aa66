/* Subcommands of `dokja ledger` with files of their own; argv[0] is the subcommand's name. */
#ifndef DK_CLI_LEDGER_SUB_H
#define DK_CLI_LEDGER_SUB_H

#include "cli/ledger_page.h"
#include "nn/nn.h"
#include "train/logbook.h"

int ledger_replay(int argc, char **argv, struct err *e);
int ledger_export(int argc, char **argv, struct err *e);
int ledger_disclose(int argc, char **argv, struct err *e);
int ledger_check(int argc, char **argv, struct err *e);
int ledger_used(int argc, char **argv, struct err *e);

/* ---- shared ---- */

/* What the user wants checked against. */
struct ledger_wish {
    const char *genesis, *checkpoint, *corpus, *model_key;
    int64_t threads;
};
int ledger_run_audit(struct audit *a, const char *run, const struct ledger_wish *w, struct err *e) MUST_CHECK;
/* p.manifest is corpus's, where one is given. */
int ledger_write_page(const char *path, struct ledger_page p, const char *corpus, struct err *e) MUST_CHECK;
/* RUN/ledger.bin. */
int ledger_book_open(struct logbook **b, const char *run, struct err *e) MUST_CHECK;

#endif
