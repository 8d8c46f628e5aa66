#include <stdio.h>
#include <string.h>

#include "base/opt.h"
#include "base/plural.h"
#include "cli/bench.h"

enum { RUNS = 5 };
static const double SECONDS = 0.1;

/* Median and ends of RUNS rates; -1 where the machine lacks the unit. */
static struct bench_result loop_rates(const struct bench_machine *m, struct peak_loop loop)
{
    double v[RUNS];
    if (!loop.run)
        return (struct bench_result){.figure = -1};
    for (int i = 0; i < RUNS; i++)
        v[i] = bench_loop_rate(m, loop, SECONDS);
    double median = bench_median(v, RUNS);
    return (struct bench_result){.figure = median, .lo = v[0], .hi = v[RUNS - 1], .runs = RUNS};
}

static struct bench_result read_rates(struct bench_machine *m)
{
    double v[RUNS];
    for (int i = 0; i < RUNS; i++)
        v[i] = bench_read_rate(m, SECONDS);
    double median = bench_median(v, RUNS);
    return (struct bench_result){.figure = median, .lo = v[0], .hi = v[RUNS - 1], .runs = RUNS};
}

static void print(const char *key, double v, bool json)
{
    if (json && v < 0)
        printf(",\"%s\":null", key);
    else if (json)
        printf(",\"%s\":%.2f", key, v);
    else if (v < 0)
        printf("  %-16s absent\n", key);
    else
        printf("  %-16s %.1f\n", key, v);
}

int bench_peak(int argc, char **argv, struct err *e)
{
    int64_t threads = 0;
    const char *record = NULL;
    char machine[200];
    bool json = false;
    const struct opt opts[] = {
        {"threads", 't', OPT_INT, &threads, "N", "threads (default: OMP_NUM_THREADS or all cores)", 1, 1024, NULL},
        {"record", 0, OPT_STR, &record, "FILE", "append the result to FILE for `bench report`", 0, 0, NULL},
        {"json", 0, OPT_FLAG, &json, NULL, "one JSON document", 0, 0, NULL},
        {0}};
    const struct opt_spec spec = {
        "dokja bench peak [--threads N] [--json]",
        "Measures the machine's arithmetic units and memory reading, all threads together.", opts, 0, 0};
    int n_args, rc = opt_parse(&spec, argc, argv, &n_args, e);
    if (rc)
        return rc > 0 ? 0 : rc;
    struct bench_machine m;
    if ((rc = bench_machine_open(&m, (int)threads, e)))
        return rc;
    const struct {
        const char *key, *what, *unit;
        struct bench_result r;
    } row[] = {{"amx_bf16_gflops", "AMX bf16", "GFLOP/s", loop_rates(&m, m.peak.amx_bf16)},
               {"amx_int8_gops", "AMX int8", "GOP/s", loop_rates(&m, m.peak.amx_int8)},
               {"dot_bf16_gflops", "VDPBF16PS", "GFLOP/s", loop_rates(&m, m.peak.dot_bf16)},
               {"fma_f32_gflops", "FMA f32", "GFLOP/s", loop_rates(&m, m.peak.fma_f32)},
               {"madd_int16_gops", "VPMADDWD int16", "GOP/s", loop_rates(&m, m.peak.madd_int16)},
               {"vnni_int8_gops", "VNNI int8", "GOP/s", loop_rates(&m, m.peak.vnni_int8)},
               {"read_gb_s", "memory read", "GB/s", read_rates(&m)}};
    bench_machine_name(machine);
    if (json)
        printf("{\"threads\":%d,\"unit\":\"%s\",\"unit_int8\":\"%s\",\"isa\":\"%s\"", m.nn.threads, m.unit,
               m.nn.k->gemm_i8.name, isa_name(m.nn.k->isa));
    else
        printf("%s: %d thread%s, %s; profile T1 runs on %s, T2 on %s\n", machine, m.nn.threads, PLURAL(m.nn.threads),
               isa_name(m.nn.k->isa), m.unit, m.nn.k->gemm_i8.name);
    for (size_t i = 0; i < sizeof row / sizeof *row; i++)
        print(row[i].key, row[i].r.figure, json);
    for (size_t i = 0; i < sizeof row / sizeof *row && record && rc == 0; i++) {
        struct bench_line l = {.bench = "peak", .what = row[i].what, .who = "machine", .unit = row[i].unit};
        bench_line_set(&l, &row[i].r, 1);
        if (row[i].r.figure > 0)
            rc = bench_record(record, &m, &l, argc, argv, e);
    }
    if (json) {
        struct buf name = {0};
        if (rc == 0)
            rc = json_quote(&name, machine, strlen(machine), e);
        printf(",\"machine\":%s}\n", name.p ? name.p : "\"\"");
        buf_release(&name);
    }
    bench_machine_close(&m);
    return rc;
}
