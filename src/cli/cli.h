/* The table of commands; each file of this folder fills one row. */
#ifndef DK_CLI_CLI_H
#define DK_CLI_CLI_H

#include <stdbool.h>

#include "base/err.h"

/* A constant as it is written, for help texts. */
#define TEXT_OF_(x) #x
#define TEXT_OF(x) TEXT_OF_(x)

struct command {
    const char *name, *args, *about;
    /* argv[0] is the command's name. 0 done; otherwise a negative code with a sentence in e. */
    int (*run)(int argc, char **argv, struct err *e);
};

/* Whether a command may write `path` (NULL: it writes none): nothing lies there, or an empty file, or one in whose
 * first 2 KiB stands `mark`, as in all that the command writes.  What its user made, a model above all, must not be
 * lost to a slip in a name.  Asked before the work; not with `force`. */
int cli_may_write(const char *path, const char *mark, bool force, struct err *e) MUST_CHECK;
/* The row of an option table. */
#define CLI_FORCE(flag) {.name = "force", .type = OPT_FLAG, .dst = (flag), \
                         .help = "replace a file that this command did not write"}

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
