/* dokja bench report: recorded measurements as a page with charts. */
#include <stdio.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/opt.h"
#include "base/plural.h"
#include "cli/bench.h"
#include "cli/bench_page.h"
#include "cli/cli.h"

static int write_page(const char *path, const struct bench_lines *l, int *charts, struct err *e)
{
    struct bench_group *g = NULL;
    struct html h = {0};
    int rc = bench_groups_new(&g, charts, l, e);
    if (rc == 0) {
        bench_page(&h, g, *charts);
        rc = h.rc ? err_set(e, h.rc, "%s: %s", path, h.e.msg) : file_replace(path, h.b.p, h.b.len, e);
    }
    html_release(&h);
    mem_free(g);
    return rc;
}

int bench_report(int argc, char **argv, struct err *e)
{
    struct opt_list in = {0};
    const char *out = "bench/report.html";
    bool json = false, force = false;
    const struct opt opts[] = {
        {"in", 'i', OPT_LIST, &in, "FILE", "recorded lines, may be repeated (default bench/results.jsonl)", 0, 0, NULL},
        {"out", 'o', OPT_STR, &out, "FILE", "the page (default bench/report.html)", 0, 0, NULL},
        CLI_FORCE(&force),
        {"json", 0, OPT_FLAG, &json, NULL, "one JSON document", 0, 0, NULL},
        {0}};
    const struct opt_spec spec = {
        "dokja bench report [--in FILE.jsonl …] [--out bench/report.html]",
        "Writes a page of charts from the lines that `dokja bench … --record FILE` and bench/peers append. The page "
        "stands alone: no network. Of a program measured twice for the same work, the last line counts.",
        opts, 0, 0};
    struct bench_lines l = {0};
    int n_args, charts = 0, rc = opt_parse(&spec, argc, argv, &n_args, e);
    if (rc != 0)
        return rc > 0 ? 0 : rc;
    rc = cli_may_write(out, BENCH_PAGE_MARK, force, e);
    if (in.n == 0)
        in.v[in.n++] = "bench/results.jsonl";
    for (int i = 0; i < in.n && rc == 0; i++)
        rc = bench_lines_read(&l, in.v[i], e);
    if (rc == 0 && l.n == 0)
        rc = err_set(e, ERR_VALUE, "%s: no measurements", in.v[0]);
    if (rc == 0)
        rc = write_page(out, &l, &charts, e);
    if (rc == 0 && json)
        printf("{\"lines\":%zu,\"charts\":%d}\n", l.n, charts);
    else if (rc == 0)
        printf("%s: %d chart%s from %zu measurement%s\n", out, charts, PLURAL(charts), l.n, PLURAL(l.n));
    bench_lines_release(&l);
    return rc;
}
