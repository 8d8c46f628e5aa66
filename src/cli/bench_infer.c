/* dokja bench prefill|decode: reading a prompt beside the unit's peak, one token after the other beside the
 * speed at which memory can be read. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/opt.h"
#include "base/plural.h"
#include "base/rng.h"
#include "cli/bench.h"
#include "infer/session.h"

enum { PREFILL_ROWS = 512 };

struct infer_request {
    int64_t depth, vocab, length, tokens, runs, threads, rows;
    const char *config, *model, *record;
    bool json;
};
struct infer_bench {
    struct bench_machine m;
    struct infer_model *model;
    struct session *s;
    int32_t *tok;
    int length, tokens;  /* in the prompt or already in the context; new ones a measurement */
    double flops, bytes; /* of a prompt; of a decoded token */
    struct err e;
};

static double unit_limit(void *ctx)
{
    const struct infer_bench *b = ctx;
    return bench_unit_rate(&b->m, 0.3);
}

static double read_limit(void *ctx)
{
    struct infer_bench *b = ctx;
    return bench_read_rate(&b->m, 0.3);
}

static double prefill_rate(void *ctx)
{
    struct infer_bench *b = ctx;
    session_reset(b->s, 0);
    double t0 = clock_seconds();
    if (session_feed(b->s, b->tok, b->length, NULL, &b->e) != 0)
        return -1;
    return b->flops / (clock_seconds() - t0) * 1e-9;
}

static double decode_rate(void *ctx)
{
    struct infer_bench *b = ctx;
    session_reset(b->s, b->length);
    double t0 = clock_seconds();
    for (int i = 0; i < b->tokens; i++)
        if (session_feed(b->s, b->tok + i, 1, NULL, &b->e) != 0)
            return -1;
    return b->bytes * b->tokens / (clock_seconds() - t0) * 1e-9;
}

static int open_model(struct infer_bench *b, const struct infer_request *q, int positions, struct err *e)
{
    struct model_config *c = mem_new(1, sizeof *c);
    int rc = c ? 0 : err_set(e, ERR_NOMEM, "no memory for a configuration");
    if (rc == 0 && q->model) {
        rc = infer_model_open(&b->model, &b->m.nn, q->model, e);
    } else if (rc == 0) {
        if (q->config)
            rc = model_config_read(c, q->config, e);
        else
            model_config_depth(c, (int)q->depth, (int)q->vocab, positions);
        if (rc == 0)
            rc = model_config_check(c, q->config ? q->config : "--depth", e);
        if (rc == 0)
            rc = infer_model_random(&b->model, &b->m.nn, c, 1, e);
    }
    mem_free(c);
    return rc;
}

static int open_bench(struct infer_bench *b, const struct infer_request *q, struct err *e)
{
    struct rng r;
    b->length = (int)q->length;
    b->tokens = (int)q->tokens;
    int positions = b->length + b->tokens, rc = bench_machine_open(&b->m, (int)q->threads, e);
    if (rc == 0)
        rc = open_model(b, q, positions, e);
    if (rc == 0)
        rc = session_new(&b->s, b->model, positions, (int)q->rows, e);
    if (rc != 0)
        return rc;
    const struct model_config *c = infer_model_config(b->model);
    b->tok = mem_new((size_t)positions, sizeof *b->tok);
    if (!b->tok)
        return err_set(e, ERR_NOMEM, "no memory for %d tokens", positions);
    rng_init(&r, 1, RNG_BENCH, 0);
    for (int i = 0; i < positions; i++)
        b->tok[i] = (int32_t)rng_below(&r, (uint32_t)c->vocab);
    /* A third of what training counts; the head runs for the last row alone. */
    double head = 2.0 * c->vocab * c->d_model;
    b->flops = (model_flops_per_token(c, b->length) / 3 - head) * b->length + head;
    b->bytes = (double)infer_model_weight_bytes(b->model) + (double)session_kv_bytes(b->s, b->length + b->tokens / 2);
    return session_feed(b->s, b->tok, b->length, NULL, e);
}

static void close_bench(struct infer_bench *b)
{
    session_free(b->s);
    infer_model_close(b->model);
    mem_free(b->tok);
    bench_machine_close(&b->m);
}

static void print_result(const struct infer_bench *b, const struct infer_request *q, const struct bench_result *r,
                         bool decode)
{
    unsigned long long params = (unsigned long long)model_params_total(infer_model_config(b->model));
    double per_s = decode ? r->figure * 1e9 / b->bytes : r->figure * 1e9 / b->flops * b->length;
    const char *isa = isa_name(b->m.nn.k->isa), *unit = decode ? "GB/s" : "GFLOP/s";
    if (q->json)
        printf("{\"%s\":%.3f,\"limit\":%.3f,\"fraction_of_limit\":%.4f,\"runs\":%d,\"unit\":\"%s\","
               "\"isa\":\"%s\",\"threads\":%d,\"tokens_per_s\":%.2f,\"%s\":%d,\"weight_bytes\":%llu,"
               "\"parameters\":%llu,\"peak_rss_bytes\":%zu}\n",
               decode ? "gb_s" : "gflops", r->figure, r->limit, r->fraction, r->runs,
               decode ? "memory-read" : b->m.unit, isa, b->m.nn.threads, per_s,
               decode ? "context" : "prompt_tokens", b->length,
               (unsigned long long)infer_model_weight_bytes(b->model), params, mem_peak_rss());
    else
        printf("%.1fM parameters, %s %d token%s, %d thread%s, %s: %.1f tokens/s, %.1f of %.1f %s = %.1f %% (median of "
               "%d)\n",
               1e-6 * (double)params, decode ? "after" : "prompt of", b->length, PLURAL(b->length), b->m.nn.threads,
               PLURAL(b->m.nn.threads), isa, per_s, r->figure, r->limit, unit, 100 * r->fraction, r->runs);
}

/* Tokens a second; the limit is how many the unit or the memory would allow. */
static int record_result(const struct infer_bench *b, const struct infer_request *q, const struct bench_result *r,
                         bool decode, int argc, char **argv, struct err *e)
{
    char what[100];
    struct bench_line l = {.bench = decode ? "decode" : "prefill", .what = what, .unit = "tokens/s"};
    const struct model_config *c = infer_model_config(b->model);
    snprintf(what, sizeof what, "%.1fM parameters, %s %d tokens",
             1e-6 * (double)model_params_total(c), decode ? "after" : "prompt of", b->length);
    bench_line_set(&l, r, decode ? 1e9 / b->bytes : 1e9 / b->flops * b->length);
    l.limit_name = decode ? "memory read" : NULL;
    return bench_record(q->record, &b->m, &l, argc, argv, e);
}

static int bench_infer(int argc, char **argv, bool decode, struct err *e)
{
    struct infer_request q = {.depth = 12, .vocab = 32768, .length = decode ? 256 : 1024, .tokens = decode ? 16 : 0,
                              .runs = decode ? 9 : 5, .rows = PREFILL_ROWS};
    const struct opt opts[] = {
        {"model", 'm', OPT_STR, &q.model, "MODEL", "a run or model folder instead of random weights", 0, 0, NULL},
        {"depth", 'd', OPT_INT, &q.depth, "N", "layers; width is 64·N (default 12)", 1, 128, NULL},
        {"config", 0, OPT_STR, &q.config, "FILE", "config.json instead of --depth", 0, 0, NULL},
        {"vocab", 0, OPT_INT, &q.vocab, "N", "with --depth (default 32768)", 2, 1 << 22, NULL},
        {decode ? "context" : "prompt", 0, OPT_INT, &q.length, "N",
         decode ? "tokens already there (default 256)" : "tokens of the prompt (default 1024)", 1, 1 << 20, NULL},
        {decode ? "tokens" : "chunk", 0, OPT_INT, decode ? &q.tokens : &q.rows, "N",
         decode ? "new tokens a measurement (default 16)" : "rows computed at once (default 512)", 1, 1 << 16, NULL},
        {"runs", 0, OPT_INT, &q.runs, "N", decode ? "measurements (default 9)" : "measurements (default 5)", 1, 101,
         NULL},
        {"threads", 't', OPT_INT, &q.threads, "N", "threads (default: OMP_NUM_THREADS or all cores)", 1, 1024, NULL},
        {"record", 0, OPT_STR, &q.record, "FILE", "append the result to FILE for `bench report`", 0, 0, NULL},
        {"json", 0, OPT_FLAG, &q.json, NULL, "one JSON document", 0, 0, NULL},
        {0}};
    const struct opt_spec spec = {decode ? "dokja bench decode [--depth N | --config FILE | -m MODEL] [--context N] "
                                           "[--json]"
                                         : "dokja bench prefill [--depth N | --config FILE | -m MODEL] [--prompt N] "
                                           "[--json]",
                                  decode ? "One token after the other; bytes of weights, keys and values read per "
                                           "second beside the memory's measured read rate."
                                         : "Reads a prompt of random tokens and measures it beside the unit's peak.",
                                  opts, 0, 0};
    struct infer_bench b = {0};
    struct bench_result r;
    int n_args, rc = opt_parse(&spec, argc, argv, &n_args, e);
    if (rc != 0)
        return rc > 0 ? 0 : rc;
    rc = open_bench(&b, &q, e);
    struct bench_work w = {decode ? decode_rate : prefill_rate, decode ? read_limit : unit_limit, &b};
    if (rc == 0) {
        rc = bench_alternate(&r, &w, (int)q.runs, e);
        if (rc != 0 && b.e.code != 0)
            rc = err_set(e, b.e.code, "%s", b.e.msg);
    }
    if (rc == 0)
        print_result(&b, &q, &r, decode);
    if (rc == 0 && q.record)
        rc = record_result(&b, &q, &r, decode, argc, argv, e);
    close_bench(&b);
    return rc;
}

int bench_prefill(int argc, char **argv, struct err *e) { return bench_infer(argc, argv, false, e); }
int bench_decode(int argc, char **argv, struct err *e) { return bench_infer(argc, argv, true, e); }
