/* The page of `dokja bench report`: everything on it comes from the lines it is given. */
#ifndef DK_CLI_BENCH_PAGE_H
#define DK_CLI_BENCH_PAGE_H

#include "cli/bench_lines.h"
#include "ui/html.h"

/* What the page begins with, for cli_may_write. */
#define BENCH_PAGE_TITLE "dokja: measured speed"
#define BENCH_PAGE_MARK "<title>" BENCH_PAGE_TITLE

enum { CHART_BARS = 24 };

/* What one chart shows: the same work in the same unit on one machine, by each program its last line. */
struct bench_group {
    const struct bench_line *bar[CHART_BARS]; /* best first; of equals, the earlier */
    int n, section;
};

/* Groups in the order of their first lines; *out is freed with mem_free, its bars point into l. */
int bench_groups_new(struct bench_group **out, int *n, const struct bench_lines *l, struct err *e) MUST_CHECK;

void bench_page(struct html *h, const struct bench_group *g, int n);

#endif
