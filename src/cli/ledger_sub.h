/* Subcommands of `dokja ledger` with files of their own; argv[0] is the subcommand's name. */
#ifndef DK_CLI_LEDGER_SUB_H
#define DK_CLI_LEDGER_SUB_H

#include "train/logbook.h"

int ledger_export(int argc, char **argv, struct err *e);
int ledger_disclose(int argc, char **argv, struct err *e);
int ledger_check(int argc, char **argv, struct err *e);
int ledger_used(int argc, char **argv, struct err *e);

/* RUN/ledger.bin. */
int ledger_book_open(struct logbook **b, const char *run, struct err *e) MUST_CHECK;

#endif
