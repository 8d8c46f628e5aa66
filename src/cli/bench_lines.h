/* Measurements as lines of JSON: what `--record` appends, what bench/peers writes and what `dokja bench report` reads.
 *
 *   {"bench","what","who","value","unit","min","max","n","better","machine"}   value is the median of n runs
 *   and, where known: "limit" (the hardware's, in the same unit), "limit_name", "fraction" (median of the pairwise
 *   ratios to the limit), "date" (UTC), "run" (lines that alternated in one run share it), "command"
 *
 * Unknown keys are ignored. */
#ifndef DK_CLI_BENCH_LINES_H
#define DK_CLI_BENCH_LINES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/json.h"

struct bench_line {
    const char *bench, *what, *who, *unit, *machine;
    const char *limit_name, *date, *run, *command; /* "" where absent */
    double value, min, max, limit, fraction;       /* limit, fraction: 0 where absent */
    int n;
    bool higher; /* is better */
    json_t *doc; /* owns the texts; NULL when the caller does */
};

struct bench_lines {
    struct bench_line *v;
    size_t n, cap;
};

/* Adds the lines of a file of at most 16 MiB; empty lines are skipped. The texts live until release. */
int bench_lines_read(struct bench_lines *l, const char *path, struct err *e) MUST_CHECK;
void bench_lines_release(struct bench_lines *l); /* safe on zero */

/* Appends one line to a file. */
int bench_line_append(const char *path, const struct bench_line *l, struct err *e) MUST_CHECK;

#endif
