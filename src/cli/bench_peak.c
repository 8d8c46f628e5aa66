#include <stdio.h>

#include "base/opt.h"
#include "cli/bench.h"

enum { RUNS = 5 };
static const double SECONDS = 0.1;

static double median_loop(const struct bench_machine *m, struct peak_loop loop)
{
    double v[RUNS];
    if (!loop.run)
        return -1;
    for (int i = 0; i < RUNS; i++)
        v[i] = bench_loop_rate(m, loop, SECONDS);
    return bench_median(v, RUNS);
}

static double median_read(struct bench_machine *m)
{
    double v[RUNS];
    for (int i = 0; i < RUNS; i++)
        v[i] = bench_read_rate(m, SECONDS);
    return bench_median(v, RUNS);
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
    bool json = false;
    const struct opt opts[] = {
        {"threads", 't', OPT_INT, &threads, "N", "threads (default: OMP_NUM_THREADS or all cores)", 1, 1024, NULL},
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
        const char *key;
        double v;
    } row[] = {{"amx_bf16_gflops", median_loop(&m, m.peak.amx_bf16)},
               {"amx_int8_gops", median_loop(&m, m.peak.amx_int8)},
               {"fma_f32_gflops", median_loop(&m, m.peak.fma_f32)},
               {"vnni_int8_gops", median_loop(&m, m.peak.vnni_int8)},
               {"read_gb_s", median_read(&m)}};
    if (json)
        printf("{\"threads\":%d,\"unit\":\"%s\",\"isa\":\"%s\"", m.nn.threads, m.unit,
               isa_name(m.nn.k->isa));
    else
        printf("%d threads, %s; profile T1 runs on %s\n", m.nn.threads, isa_name(m.nn.k->isa), m.unit);
    for (size_t i = 0; i < sizeof row / sizeof *row; i++)
        print(row[i].key, row[i].v, json);
    if (json)
        puts("}");
    bench_machine_close(&m);
    return 0;
}
