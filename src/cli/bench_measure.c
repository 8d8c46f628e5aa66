#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "cli/bench.h"
#include "cli/machine.h"

enum { MAX_RUNS = 101, READ_BYTES = 256 << 20 };

int bench_machine_open(struct bench_machine *m, int threads, struct err *e)
{
    *m = (struct bench_machine){0};
    int rc = cli_machine(&m->nn, threads, e);
    if (rc)
        return rc;
    const struct kernels *k = m->nn.k;
    m->peak = peak_get(k->isa);
    m->unit = k->gemm.name;
    m->unit_loop = k->isa == ISA_AMX ? m->peak.amx_bf16 : k->isa == ISA_AVX512BF16 ? m->peak.dot_bf16 : m->peak.fma_f32;
    m->limit_name = k->isa == ISA_AMX ? "AMX bf16 peak" : k->isa == ISA_AVX512BF16 ? "VDPBF16PS peak" : "FMA f32 peak";
    return 0;
}

void bench_use_i8(struct bench_machine *m)
{
    m->unit = m->nn.k->gemm_i8.name;
    const struct {
        const char *unit, *name;
        struct peak_loop loop;
    } known[] = {{"amx-int8", "AMX int8 peak", m->peak.amx_int8}, {"dot-int8", "VPDPBUSD peak", m->peak.vnni_int8},
                 {"madd-int8", "VPMADDWD peak", m->peak.madd_int16}, {"c-int8", "FMA f32 peak", m->peak.fma_f32}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(m->unit, known[i].unit) == 0) {
            m->unit_loop = known[i].loop;
            m->limit_name = known[i].name;
        }
}

void bench_machine_close(struct bench_machine *m)
{
    if (m->memory)
        mem_unmap(m->memory, m->memory_bytes);
    nn_release(&m->nn);
    *m = (struct bench_machine){0};
}

static void run_loop(int threads, void (*run)(long), long n)
{
#pragma omp parallel num_threads(threads)
    {
        kernels_fp_enter();
        run(n);
    }
}

double bench_loop_rate(const struct bench_machine *m, struct peak_loop loop, double seconds)
{
    if (!loop.run)
        return -1;
    long n = 1000;
    double t;
    for (;;) { /* find a count long enough to time, then grow it to the time asked for */
        double t0 = clock_seconds();
        run_loop(m->nn.threads, loop.run, n);
        t = clock_seconds() - t0;
        if (t >= seconds / 2)
            break;
        double grow = t > seconds / 100 ? seconds / t : 10;
        n = (long)((double)n * (grow > 10 ? 10 : grow < 1.5 ? 1.5 : grow));
    }
    return loop.ops * (double)n * m->nn.threads / t * 1e-9;
}

double bench_unit_rate(const struct bench_machine *m, double seconds)
{
    return bench_loop_rate(m, m->unit_loop, seconds);
}

/* A thread's part of the memory that is read, mapped on first use; 0: there is none. */
static size_t memory_share(struct bench_machine *m)
{
    size_t share = (size_t)READ_BYTES / (size_t)m->nn.threads / 4096 * 4096;
    if (m->memory)
        return share;
    m->memory = mem_map(READ_BYTES);
    if (!m->memory)
        return 0;
    m->memory_bytes = READ_BYTES;
#pragma omp parallel num_threads(m->nn.threads)
    for (size_t i = 0; i < share; i += 4096) /* present pages, near their reader */
        m->memory[share * (size_t)omp_get_thread_num() + i] = 1;
    return share;
}

double bench_update_rate(struct bench_machine *m, double seconds)
{
    size_t share = memory_share(m);
    double t0 = clock_seconds(), t, bytes = 0;
    if (!share)
        return -1;
    do {
#pragma omp parallel num_threads(m->nn.threads)
        {
            kernels_fp_enter();
            m->nn.k->scale((real *)(void *)(m->memory + share * (size_t)omp_get_thread_num()), 1, share / sizeof(real));
        }
        bytes += 2.0 * (double)share * m->nn.threads;
        t = clock_seconds() - t0;
    } while (t < seconds);
    return bytes / t * 1e-9;
}

double bench_read_rate(struct bench_machine *m, double seconds)
{
    int threads = m->nn.threads;
    size_t share = memory_share(m);
    if (!share)
        return -1;
    double t0 = clock_seconds(), t;
    double bytes = 0;
    uint64_t sink = 0;
    do {
#pragma omp parallel num_threads(threads) reduction(^ : sink)
        sink ^= m->peak.read(m->memory + share * (size_t)omp_get_thread_num(), share);
        bytes += (double)share * threads;
        t = clock_seconds() - t0;
    } while (t < seconds);
    volatile uint64_t keep = sink;
    (void)keep;
    return bytes / t * 1e-9;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double bench_median(double *v, int n)
{
    if (n == 0)
        return 0;
    qsort(v, (size_t)n, sizeof *v, by_value);
    return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

int bench_alternate(struct bench_result *r, const struct bench_work *w, int runs, struct err *e)
{
    double figure[MAX_RUNS], limit[MAX_RUNS], ratio[MAX_RUNS];
    if (runs < 1 || runs > MAX_RUNS)
        return err_set(e, ERR_VALUE, "%d runs; between 1 and %d are possible", runs, MAX_RUNS);
    for (int i = -1; i < runs; i++) {
        double l = w->limit(w->ctx), f = w->work(w->ctx);
        if (!(l > 0) || !(f > 0))
            return err_set(e, ERR_VALUE, "a measurement gave no rate (work %g, limit %g)", f, l);
        if (i < 0)
            continue;
        figure[i] = f;
        limit[i] = l;
        ratio[i] = f / l;
    }
    double median = bench_median(figure, runs); /* sorts */
    *r = (struct bench_result){.figure = median,
                               .lo = figure[0],
                               .hi = figure[runs - 1],
                               .limit = bench_median(limit, runs),
                               .fraction = bench_median(ratio, runs),
                               .runs = runs};
    return 0;
}
