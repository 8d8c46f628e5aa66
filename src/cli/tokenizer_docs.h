/* Documents for `dokja tokenizer`: a corpus folder, or text files and folders. */
#ifndef DK_CLI_TOKENIZER_DOCS_H
#define DK_CLI_TOKENIZER_DOCS_H

#include <stddef.h>

#include "base/err.h"
#include "base/opt.h"
#include "data/corpus_trained.h"
#include "data/sources.h"

struct docs {
    const char *corpus;             /* folder, or NULL */
    double heldout;                 /* leaves out the documents of the corpus that pretraining holds out with it */
    const struct opt_list *in;      /* files and folders (data/sources.h) */
    const char *out;                /* what the command writes, or NULL */
    /* what became of it, anew with each call */
    struct corpus_left_out left_out;
    struct asides aside;
};
/* Calls fn for every document in order; stops at the first negative result.  What is not UTF-8 text is an error,
 * where a corpus leaves it out. */
typedef int docs_fn(void *ctx, const char *text, size_t n, struct err *e);
int docs_each(struct docs *d, docs_fn *fn, void *ctx, struct err *e) MUST_CHECK;

/* The subcommands that have a file of their own. */
int tokenizer_report_command(int argc, char **argv, struct err *e);
int tokenizer_train_command(int argc, char **argv, struct err *e);

#endif
