/* The table of commands; each file of this folder fills one row. */
#ifndef DK_CLI_CLI_H
#define DK_CLI_CLI_H

#include "base/err.h"

/* A constant as it is written, for help texts. */
#define TEXT_OF_(x) #x
#define TEXT_OF(x) TEXT_OF_(x)

struct command {
    const char *name, *args, *about;
    /* argv[0] is the command's name. 0 done; otherwise a negative code with a sentence in e. */
    int (*run)(int argc, char **argv, struct err *e);
};

int cmd_primer(int argc, char **argv, struct err *e);
int cmd_corpus(int argc, char **argv, struct err *e);
int cmd_tokenizer(int argc, char **argv, struct err *e);
int cmd_pretrain(int argc, char **argv, struct err *e);
int cmd_ledger(int argc, char **argv, struct err *e);
int cmd_generate(int argc, char **argv, struct err *e);
int cmd_chat(int argc, char **argv, struct err *e);
int cmd_score(int argc, char **argv, struct err *e);
int cmd_eval(int argc, char **argv, struct err *e);
int cmd_lineage(int argc, char **argv, struct err *e);
int cmd_bench(int argc, char **argv, struct err *e);
int cmd_selftest(int argc, char **argv, struct err *e);

#endif
