#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/opt.h"
#include "base/plural.h"
#include "base/rng.h"
#include "cli/bench.h"
#include "model/net.h"
#include "train/optim.h"
#include "train/run.h"

enum { MICRO_TOKENS = 8192 }; /* of a micro-batch at most, where the sequence allows */
enum { MAX_STEPS = 101 };

struct train_bench {
    struct bench_machine m;
    struct model_config c;
    struct param_table t;
    struct net *net;
    struct optim optim;
    bool optimize;
    int seq, rows, micro, step;
    int *tok, *pos, *target;
    float *w, *g, *loss;
    size_t weight_bytes;
    double flops;
    struct nn_watch watch;
    double read[MAX_STEPS + 1], update[MAX_STEPS + 1]; /* GB/s beside each step, when watched */
    int n_rates;
};

static double limit_rate(void *ctx)
{
    struct train_bench *b = ctx;
    if (b->m.nn.watch) {
        b->read[b->n_rates] = bench_read_rate(&b->m, 0.05);
        b->update[b->n_rates++] = bench_update_rate(&b->m, 0.05);
    }
    return bench_unit_rate(&b->m, 0.3);
}

/* One optimizer step on random tokens: FLOP/s as DESIGN §2.2 counts them. */
static double work_rate(void *ctx)
{
    struct train_bench *b = ctx;
    const char *bad;
    if (b->m.nn.watch && b->step == 1) /* the first step only warmed up */
        watch_reset(&b->watch);
    watch_skip(&b->watch);
    double t0 = clock_seconds();
    op_zero(&b->m.nn, b->g, b->t.total * sizeof *b->g);
    nn_mark(&b->m.nn, WATCH_ZERO);
    for (int r = 0; r < b->rows; r += b->micro) {
        int n = b->rows - r < b->micro ? b->rows - r : b->micro;
        struct batch batch = {.n = n, .tok = b->tok + r, .pos = b->pos + r, .target = b->target + r};
        net_step(b->net, b->w, b->g, &batch, b->loss + r, 1.0f / (float)b->rows);
    }
    net_grad_end(b->net, b->g);
    if (b->optimize) {
        double norm = optim_grad_norm(&b->m.nn, &b->t, b->g, &bad);
        if (bad)
            return -1;
        optim_step(&b->m.nn, &b->optim, b->w, b->g, b->step, 1, 0.95, norm);
    }
    b->step++;
    return b->flops * b->rows / (clock_seconds() - t0) * 1e-9;
}

static int open_optim(struct train_bench *b, const char *name, struct err *e)
{
    struct optim_config o = {.momentum = 0.95, .beta1 = 0.9, .beta2 = 0.95, .beta2_row = 0.95,
                             .eps = 1e-10, .clip = 1,
                             .lr_matrix = 1e-3, .lr_embed = 1e-3, .lr_head = 1e-3, .lr_gain = 1e-3};
    b->optimize = strcmp(name, "none") != 0;
    if (!b->optimize)
        return 0;
    if (optim_parse(&o.kind, name) != 0)
        return err_set(e, ERR_USAGE, "bench train: --optimizer is \"%s\"; it takes adamw, muon, normuon or none", name);
    return optim_init(&b->optim, &b->m.nn, &b->t, &o, e);
}

static int open_data(struct train_bench *b, struct err *e)
{
    size_t n = (size_t)b->rows;
    struct rng r;
    b->tok = mem_new(n, sizeof *b->tok);
    b->pos = mem_new(n, sizeof *b->pos);
    b->target = mem_new(n, sizeof *b->target);
    b->loss = mem_new(n, sizeof *b->loss);
    b->weight_bytes = b->t.total * sizeof *b->w;
    b->w = mem_map(b->weight_bytes);
    b->g = mem_map(b->weight_bytes);
    if (!b->tok || !b->pos || !b->target || !b->loss || !b->w || !b->g)
        return err_set(e, ERR_NOMEM, "no memory for %d tokens and %zu MiB of weights and gradients", b->rows,
                       2 * b->weight_bytes >> 20);
    params_init(&b->t, b->w, 1);
    rng_init(&r, 1, RNG_BENCH, 0);
    for (int i = 0; i < b->rows; i++) {
        b->tok[i] = (int)rng_below(&r, (uint32_t)b->c.vocab);
        b->target[i] = (int)rng_below(&r, (uint32_t)b->c.vocab);
        b->pos[i] = i % b->seq;
    }
    return 0;
}

static void close_bench(struct train_bench *b)
{
    net_free(b->net);
    if (b->optimize)
        optim_release(&b->optim);
    watch_release(&b->watch);
    param_table_release(&b->t);
    mem_free(b->tok);
    mem_free(b->pos);
    mem_free(b->target);
    mem_free(b->loss);
    mem_unmap(b->w, b->weight_bytes);
    mem_unmap(b->g, b->weight_bytes);
    bench_machine_close(&b->m);
}

struct train_request {
    int64_t depth, vocab, seq, batch, steps, threads;
    const char *config, *optimizer, *record;
    bool json, profile, checkpoint, i8;
};

static int open_watch(struct train_bench *b, struct err *e)
{
    int rc = watch_init(&b->watch, b->m.nn.threads, e);
    if (rc == 0)
        b->m.nn.watch = &b->watch;
    return rc;
}

static int open_bench(struct train_bench *b, const struct train_request *q, struct err *e)
{
    int rc;
    if (q->config) {
        if ((rc = model_config_read(&b->c, q->config, e)))
            return rc;
    } else {
        model_config_depth(&b->c, (int)q->depth, (int)q->vocab, (int)q->seq);
    }
    if ((rc = model_config_check(&b->c, q->config ? q->config : "--depth", e)))
        return rc;
    const int unit = run_row_unit(q->i8 ? PROFILE_T2 : PROFILE_T1);
    if (q->seq % unit != 0 || q->batch % q->seq != 0)
        return err_set(e, ERR_USAGE, "bench train: --batch-tokens %lld is not a multiple of --seq %lld, or that not "
                       "one of %d", (long long)q->batch, (long long)q->seq, unit);
    b->seq = (int)q->seq;
    b->rows = (int)q->batch;
    b->micro = b->seq < MICRO_TOKENS ? MICRO_TOKENS / b->seq * b->seq : b->seq;
    if (b->micro > b->rows)
        b->micro = b->rows;
    b->flops = model_flops_per_token(&b->c, b->seq);
    struct net_opts o = {.max_rows = b->micro, .max_len = b->seq, .checkpoint = q->checkpoint, .i8 = q->i8,
                         .backward = true};
    if ((rc = bench_machine_open(&b->m, (int)q->threads, e)) || (rc = param_table_new(&b->t, &b->c, e)) ||
        (q->profile && (rc = open_watch(b, e))) || (rc = net_new(&b->net, &b->m.nn, &b->c, &b->t, &o, e)) ||
        (rc = open_optim(b, q->optimizer, e)))
        return rc;
    if (q->i8)
        bench_use_i8(&b->m);
    return open_data(b, e);
}

static void print_profile(struct train_bench *b, double unit, bool json)
{
    struct bench_limits l = {unit, bench_median(b->read, b->n_rates), bench_median(b->update, b->n_rates)};
    bench_print_profile(&b->watch, b->step - 1, &l, json);
}

static void print_result(struct train_bench *b, const struct train_request *q, const struct bench_result *r)
{
    double tokens = r->figure * 1e9 / b->flops;
    if (q->profile && !q->json)
        print_profile(b, r->limit, false);
    if (q->json) {
        printf("{\"gflops\":%.2f,\"limit\":%.2f,\"fraction_of_limit\":%.4f,\"runs\":%d,\"unit\":\"%s\","
               "\"isa\":\"%s\",\"threads\":%d,\"tokens_per_s\":%.1f,\"flops_per_token\":%.0f,"
               "\"peak_rss_bytes\":%zu,\"parameters\":%llu,\"seq\":%d,\"batch_tokens\":%d,\"optimizer\":\"%s\"",
               r->figure, r->limit, r->fraction, r->runs, b->m.unit, isa_name(b->m.nn.k->isa), b->m.nn.threads,
               tokens, b->flops, mem_peak_rss(), (unsigned long long)model_params_total(&b->c), b->seq, b->rows,
               q->optimizer);
        if (q->profile) {
            putchar(',');
            print_profile(b, r->limit, true);
        }
        printf("}\n");
    } else
        printf("%.1fM parameters, %d tokens a step, %d thread%s, %s: %.0f tokens/s, %.1f GFLOP/s of %.1f = %.1f %% "
               "(median of %d), peak memory %.2f GiB\n", 1e-6 * (double)model_params_total(&b->c), b->rows,
               b->m.nn.threads, PLURAL(b->m.nn.threads), isa_name(b->m.nn.k->isa), tokens, r->figure, r->limit,
               100 * r->fraction, r->runs, (double)mem_peak_rss() / 0x1p30);
}

static int record_result(const struct train_bench *b, const struct train_request *q, const struct bench_result *r,
                         int argc, char **argv, struct err *e)
{
    char what[160];
    struct bench_line l = {.bench = "train", .what = what, .unit = "GFLOP/s"};
    snprintf(what, sizeof what, "%d × %d, vocabulary %d, sequence %d, %d tokens a step, %s", b->c.d_model, b->c.n_layer,
             b->c.vocab, b->seq, b->rows, strcmp(q->optimizer, "adamw") == 0 ? "AdamW" : q->optimizer);
    if (q->i8)
        l.who = "dokja int8";
    bench_line_set(&l, r, 1);
    return bench_record(q->record, &b->m, &l, argc, argv, e);
}

int bench_train(int argc, char **argv, struct err *e)
{
    struct train_request q = {.depth = 12, .vocab = 32768, .seq = 1024, .batch = 4096, .steps = 5,
                              .optimizer = "normuon"};
    const struct opt opts[] = {
        {"depth", 'd', OPT_INT, &q.depth, "N", "layers; width is 64·N (default 12)", 1, 128, NULL},
        {"config", 0, OPT_STR, &q.config, "FILE", "config.json instead of --depth", 0, 0, NULL},
        {"vocab", 0, OPT_INT, &q.vocab, "N", "with --depth (default 32768)", 1, 1 << 22, NULL},
        {"seq", 0, OPT_INT, &q.seq, "N", "sequence length (default 1024)", OP_ROWS, 1 << 20, NULL},
        {"batch-tokens", 0, OPT_INT, &q.batch, "N", "tokens of a step (default 4096)", OP_ROWS, 1 << 24, NULL},
        {"steps", 0, OPT_INT, &q.steps, "N", "measured steps, after one to warm up (default 5)", 1, MAX_STEPS, NULL},
        {"optimizer", 0, OPT_STR, &q.optimizer, "NAME", "normuon (default), muon, adamw or none", 0, 0, NULL},
        {"checkpoint", 0, OPT_FLAG, &q.checkpoint, NULL, "keep layer inputs only", 0, 0, NULL},
        {"int8", 0, OPT_FLAG, &q.i8, NULL, "matrix products by 8-bit integers (profile T2)", 0, 0, NULL},
        {"profile", 0, OPT_FLAG, &q.profile, NULL, "time, rates and waiting of each op", 0, 0, NULL},
        {"threads", 't', OPT_INT, &q.threads, "N", "threads (default: OMP_NUM_THREADS or all cores)", 1, 1024, NULL},
        {"record", 0, OPT_STR, &q.record, "FILE", "append the result to FILE for `bench report`", 0, 0, NULL},
        {"json", 0, OPT_FLAG, &q.json, NULL, "one JSON document", 0, 0, NULL},
        {0}};
    const struct opt_spec spec = {"dokja bench train [--depth N | --config FILE] [--seq N] [--batch-tokens N] [--json]",
                                  "Trains on random tokens and measures it beside the unit's peak.", opts, 0, 0};
    int n_args, rc = opt_parse(&spec, argc, argv, &n_args, e);
    if (rc)
        return rc > 0 ? 0 : rc;
    struct train_bench b = {0};
    struct bench_result r;
    rc = open_bench(&b, &q, e);
    if (!rc) {
        const struct bench_work w = {work_rate, limit_rate, &b};
        rc = bench_alternate(&r, &w, (int)q.steps, e);
    }
    if (!rc)
        print_result(&b, &q, &r);
    if (!rc && q.record)
        rc = record_result(&b, &q, &r, argc, argv, e);
    close_bench(&b);
    return rc;
}
