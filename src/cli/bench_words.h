/* The names that measurements have in their records, in both languages. */
#ifndef DK_CLI_BENCH_WORDS_H
#define DK_CLI_BENCH_WORDS_H

#include "ui/html.h"

struct bench_words {
    char ko[2400];
};

/* What was measured, a unit, a limit, a machine or a program: parts between commas are said in Korean where they are
 * known and stay as they are where not.  The result lives as long as `name` and `w`. */
struct two bench_say(struct bench_words *w, const char *name);

#endif
