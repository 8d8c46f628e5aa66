#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/opt.h"
#include "base/plural.h"
#include "cli/bench.h"
#include "nn/gemm.h"

/* Which of the three products of a linear layer: the way its operands lie in memory. */
static const struct form {
    const char *name;
    bool a_trans, b_trans, accumulate;
} forms[] = {
    {"y", false, true, false},  /* y = x·Wᵀ   */
    {"dx", false, false, false}, /* dx = dy·W  */
    {"dw", true, false, true},  /* dW += dyᵀ·x */
};

struct gemm_bench {
    struct bench_machine m;
    struct gemm_args g;
    double flops, seconds;
};

static double limit_rate(void *ctx)
{
    const struct gemm_bench *b = ctx;
    return bench_unit_rate(&b->m, 0.1);
}

static double work_rate(void *ctx)
{
    struct gemm_bench *b = ctx;
    int n = 0;
    double t0 = clock_seconds(), t;
    do {
        gemm(&b->m.nn, &b->g);
        n++;
        t = clock_seconds() - t0;
    } while (t < b->seconds);
    return b->flops * n / t * 1e-9;
}

/* Small dyadic values of both signs: exact in bf16, no denormals, no overflow. */
static void fill(void *p, enum dtype t, size_t n, uint32_t stream)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t h = (uint32_t)i * 2654435761u ^ stream * 0x9e3779b9u;
        real v = (real)((int)(h >> 16 & 127) - 63) / 64;
        if (t == DT_BF16)
            ((bf16 *)p)[i] = bf16_round(v);
        else
            ((real *)p)[i] = v;
    }
}

static int operand(struct mat *m, enum dtype t, int rows, int cols, uint32_t stream, struct err *e)
{
    size_t n = (size_t)rows * (size_t)cols;
    *m = (struct mat){mem_map(n * dtype_size(t)), t, rows, cols, cols};
    if (!m->p)
        return err_set(e, ERR_NOMEM, "no memory for a %d x %d matrix", rows, cols);
    fill(m->p, t, n, stream);
    return 0;
}

static void drop(struct mat *m)
{
    if (m->p)
        mem_unmap(m->p, (size_t)m->rows * (size_t)m->cols * dtype_size(m->dtype));
}

static int measure(struct gemm_bench *b, const struct form *f, const int64_t dim[3], bool out_bf16,
                   bool i8, int runs, struct bench_result *r, struct err *e)
{
    int m = (int)dim[0], n = (int)dim[1], k = (int)dim[2];
    struct gemm_args *g = &b->g;
    enum dtype b_type = f->accumulate ? DT_BF16 : DT_F32; /* weights are f32, activations bf16 */
    *g = (struct gemm_args){.a_trans = f->a_trans, .b_trans = f->b_trans, .i8 = i8};
    b->flops = 2.0 * m * n * k;
    int rc = operand(&g->a, DT_BF16, f->a_trans ? k : m, f->a_trans ? m : k, 1, e);
    if (!rc)
        rc = operand(&g->b, b_type, f->b_trans ? n : k, f->b_trans ? k : n, 2, e);
    if (!rc)
        rc = operand(&g->c, out_bf16 ? DT_BF16 : DT_F32, m, n, 3, e);
    if (!rc && f->accumulate && !out_bf16)
        g->init = g->c;
    if (!rc) {
        const struct bench_work w = {work_rate, limit_rate, b};
        rc = bench_alternate(r, &w, runs, e);
    }
    drop(&g->a);
    drop(&g->b);
    drop(&g->c);
    return rc;
}

static int record_result(const char *path, const struct gemm_bench *b, const char *form, const int64_t dim[3],
                         const struct bench_result *r, int argc, char **argv, struct err *e)
{
    char what[100];
    struct bench_line l = {.bench = "gemm", .what = what, .unit = "GFLOP/s"};
    bool cube = dim[0] == dim[1] && dim[1] == dim[2];
    int at = cube ? snprintf(what, sizeof what, "%d³", (int)dim[0])
                  : snprintf(what, sizeof what, "%d × %d × %d", (int)dim[0], (int)dim[1], (int)dim[2]);
    if (strcmp(form, "y") != 0)
        snprintf(what + at, sizeof what - (size_t)at, ", %s", form);
    if (b->g.i8)
        l.who = "dokja int8";
    bench_line_set(&l, r, 1);
    return bench_record(path, &b->m, &l, argc, argv, e);
}

int bench_gemm(int argc, char **argv, struct err *e)
{
    int64_t threads = 0, size = 2048, dim[3] = {0}, runs = 7;
    const char *form = "y", *record = NULL;
    bool json = false, out_bf16 = false, i8 = false;
    const struct opt opts[] = {
        {"size", 's', OPT_INT, &size, "N", "m = n = k = N (default 2048)", 1, 65536, NULL},
        {"m", 'm', OPT_INT, &dim[0], "N", "rows of the result", 1, 1 << 20, NULL},
        {"n", 'n', OPT_INT, &dim[1], "N", "columns of the result", 1, 1 << 20, NULL},
        {"k", 'k', OPT_INT, &dim[2], "N", "depth", 1, 1 << 20, NULL},
        {"form", 0, OPT_STR, &form, "F", "y = x·Wᵀ, dx = dy·W or dw: dW += dyᵀ·x (default y)", 0, 0, NULL},
        {"bf16", 0, OPT_FLAG, &out_bf16, NULL, "write the result as bf16", 0, 0, NULL},
        {"int8", 0, OPT_FLAG, &i8, NULL, "by 8-bit integers (profile T2)", 0, 0, NULL},
        {"runs", 0, OPT_INT, &runs, "N", "alternations of limit and work (default 7)", 1, 101, NULL},
        {"threads", 't', OPT_INT, &threads, "N", "threads (default: OMP_NUM_THREADS or all cores)", 1, 1024, NULL},
        {"record", 0, OPT_STR, &record, "FILE", "append the result to FILE for `bench report`", 0, 0, NULL},
        {"json", 0, OPT_FLAG, &json, NULL, "one JSON document", 0, 0, NULL},
        {0}};
    const struct opt_spec spec = {"dokja bench gemm [--size N | --m M --n N --k K] [--form F] [--json]",
                                  "Measures the matrix product of profile T1 (--int8: T2) beside its unit's peak.",
                                  opts, 0, 0};
    int n_args, rc = opt_parse(&spec, argc, argv, &n_args, e);
    if (rc)
        return rc > 0 ? 0 : rc;
    const struct form *f = NULL;
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        if (strcmp(form, forms[i].name) == 0)
            f = &forms[i];
    if (!f)
        return err_set(e, ERR_USAGE, "bench gemm: --form is \"%s\"; it takes y, dx or dw", form);
    for (int i = 0; i < 3; i++)
        if (dim[i] == 0)
            dim[i] = size;

    struct gemm_bench b = {.seconds = 0.2};
    struct bench_result r;
    if ((rc = bench_machine_open(&b.m, (int)threads, e)))
        return rc;
    if (i8)
        bench_use_i8(&b.m);
    rc = measure(&b, f, dim, out_bf16, i8, (int)runs, &r, e);
    if (!rc && json)
        printf("{\"gflops\":%.2f,\"limit\":%.2f,\"fraction_of_limit\":%.4f,\"runs\":%d,\"unit\":\"%s\","
               "\"isa\":\"%s\",\"threads\":%d,\"form\":\"%s\",\"m\":%d,\"n\":%d,\"k\":%d}\n",
               r.figure, r.limit, r.fraction, r.runs, b.m.unit, isa_name(b.m.nn.k->isa),
               b.m.nn.threads, f->name, (int)dim[0], (int)dim[1], (int)dim[2]);
    else if (!rc)
        printf("%s %d x %d x %d, %d thread%s, %s: %.1f GFLOP/s of %.1f = %.1f %% (median of %d)\n",
               f->name, (int)dim[0], (int)dim[1], (int)dim[2], b.m.nn.threads, PLURAL(b.m.nn.threads),
               isa_name(b.m.nn.k->isa), r.figure, r.limit, 100 * r.fraction, r.runs);
    if (!rc && record)
        rc = record_result(record, &b, f->name, dim, &r, argc, argv, e);
    bench_machine_close(&b.m);
    return rc;
}
