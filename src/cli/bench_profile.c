#include <stdio.h>

#include "base/plural.h"
#include "cli/bench.h"

/* Shares of the threads' time, over all ops. */
struct totals {
    double seconds, flop, bytes, wait, idle;
};

static struct totals add_up(const struct nn_watch *w)
{
    struct totals t = {0};
    double busy = 0;
    for (int i = 0; i < WATCH_OPS; i++) {
        t.seconds += w->op[i].seconds;
        t.flop += w->op[i].flop;
        t.bytes += w->op[i].bytes;
        t.wait += w->op[i].wait;
        busy += w->op[i].busy;
    }
    t.wait /= t.seconds * w->threads;
    t.idle = 1 - busy / (t.seconds * w->threads);
    return t;
}

/* One line of the table, per step. */
struct row {
    double ms, share, gflop, gflops, mb, gbs, of_limit, wait;
    const char *bound;
};

static struct row row_of(const struct watch_stat *s, int threads, int steps, double total, const struct bench_limits *l)
{
    double compute = s->flop * 1e-9 / l->unit, memory = s->bytes * 1e-9 / l->update;
    return (struct row){.ms = 1e3 * s->seconds / steps,
                        .share = s->seconds / total,
                        .gflop = s->flop * 1e-9 / steps,
                        .gflops = s->flop * 1e-9 / s->seconds,
                        .mb = s->bytes * 1e-6 / steps,
                        .gbs = s->bytes * 1e-9 / s->seconds,
                        .of_limit = (compute > memory ? compute : memory) / s->seconds,
                        .wait = s->wait / (s->seconds * threads),
                        .bound = s->flop == 0 && s->bytes == 0 ? "-" : compute > memory ? "unit" : "memory"};
}

static void print_text(const char *name, long calls, const struct row *r)
{
    fprintf(stderr, "%-20s %6ld %9.2f %6.1f%% %9.2f %8.1f %9.1f %7.1f %6.0f%% %-6s %5.1f%%\n", name, calls, r->ms,
            100 * r->share, r->gflop, r->gflops, r->mb, r->gbs, 100 * r->of_limit, r->bound, 100 * r->wait);
}

static void print_json(const char *name, long calls, const struct row *r)
{
    printf("{\"op\":\"%s\",\"calls\":%ld,\"ms\":%.4f,\"share\":%.5f,\"gflop\":%.4f,\"gflops\":%.2f,\"mbytes\":%.3f,"
           "\"gb_s\":%.2f,\"fraction_of_limit\":%.4f,\"bound\":\"%s\",\"wait_share\":%.5f}",
           name, calls, r->ms, r->share, r->gflop, r->gflops, r->mb, r->gbs, r->of_limit, r->bound, r->wait);
}

void bench_print_profile(const struct nn_watch *w, int steps, const struct bench_limits *limit, bool json)
{
    struct totals t = add_up(w);
    bool first = true;
    if (json)
        printf("\"profile\":{\"step_ms\":%.3f,\"unit_gflops\":%.2f,\"read_gb_s\":%.2f,\"update_gb_s\":%.2f,"
               "\"wait_share\":%.5f,\"idle_share\":%.5f,\"ops\":[",
               1e3 * t.seconds / steps, limit->unit, limit->read, limit->update, t.wait, t.idle);
    else
        fprintf(stderr, "%-20s %6s %9s %7s %9s %8s %9s %7s %7s %-6s %6s\n", "op", "calls", "ms", "share", "GFLOP",
                "GFLOP/s", "MB", "GB/s", "limit", "bound", "wait");
    for (int i = 0; i < WATCH_OPS; i++) {
        const struct watch_stat *s = &w->op[i];
        if (s->seconds <= 0 || (s->calls == 0 && i != WATCH_OTHER))
            continue;
        struct row r = row_of(s, w->threads, steps, t.seconds, limit);
        if (json && !first)
            putchar(',');
        (json ? print_json : print_text)(watch_name((enum watch_op)i), s->calls / steps, &r);
        first = false;
    }
    if (json)
        printf("]}");
    else
        fprintf(stderr, "step %.1f ms, %.1f GFLOP/s, %.1f GB/s; limits %.1f GFLOP/s, %.1f GB/s read, %.1f read and "
                "written\nof the time of %d thread%s: waiting for each other %.2f %%, outside parallel work %.2f %%\n",
                1e3 * t.seconds / steps, t.flop * 1e-9 / t.seconds, t.bytes * 1e-9 / t.seconds, limit->unit,
                limit->read, limit->update, w->threads, PLURAL(w->threads), 100 * t.wait, 100 * (t.idle - t.wait));
}
