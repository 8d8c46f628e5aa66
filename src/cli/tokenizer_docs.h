/* Documents for `dokja tokenizer`: a corpus folder, or text files and folders. */
#ifndef DK_CLI_TOKENIZER_DOCS_H
#define DK_CLI_TOKENIZER_DOCS_H

#include <stddef.h>

#include "base/err.h"
#include "base/opt.h"
#include "data/corpus_trained.h"

/* Calls fn for every document in order; stops at the first negative result.  What is not UTF-8 text is an error,
 * where a corpus leaves it out. */
typedef int docs_fn(void *ctx, const char *text, size_t n, struct err *e);
int docs_each(const char *corpus, const struct opt_list *in, docs_fn *fn, void *ctx, struct err *e) MUST_CHECK;

/* Like docs_each, but without the documents of the corpus that pretraining holds out (data/corpus_trained.h). */
int docs_each_trained(const char *corpus, double heldout, const struct opt_list *in, docs_fn *fn, void *ctx,
                      struct corpus_left_out *left_out, struct err *e) MUST_CHECK;

/* The subcommands that have a file of their own. */
int tokenizer_report_command(int argc, char **argv, struct err *e);
int tokenizer_train_command(int argc, char **argv, struct err *e);

#endif
