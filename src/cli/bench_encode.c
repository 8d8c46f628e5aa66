/* dokja bench encode: text to ids on one thread, in memory, as a program that holds a tokenizer open does it. */
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/mem.h"
#include "base/opt.h"
#include "base/plural.h"
#include "cli/bench.h"
#include "cli/not_read.h"
#include "cli/tokenizer_docs.h"
#include "text/tokenizer.h"

enum { MAX_RUNS = 101 };

struct texts {
    struct buf bytes, ends; /* ends: size_t, where each document ends */
    size_t n;
};
struct figure {
    double rate[MAX_RUNS]; /* MB/s */
    uint64_t tokens;
    struct digest ids;     /* SHA-256 of all ids, 32 bits little-endian, document after document */
};

static int keep(void *ctx, const char *text, size_t n, struct err *e)
{
    struct texts *t = ctx;
    int rc = buf_add(&t->bytes, text, n, e);
    if (rc == 0)
        rc = buf_add(&t->ends, &t->bytes.len, sizeof t->bytes.len, e);
    t->n += rc == 0;
    return rc;
}

static void hash_ids(struct sha256 *h, const struct token_vec *ids)
{
    for (size_t i = 0; i < ids->n; i++) {
        uint32_t v = (uint32_t)ids->v[i];
        const uint8_t b[4] = {(uint8_t)v, (uint8_t)(v >> 8), (uint8_t)(v >> 16), (uint8_t)(v >> 24)};
        sha256_add(h, b, sizeof b);
    }
}

/* All documents once, with an encoder that has seen nothing yet; h: also their hash, untimed use only. */
static int encode_all(const struct tokenizer *t, const struct texts *x, double *seconds, uint64_t *tokens,
                      struct sha256 *h, struct err *e)
{
    struct tok_encoder *enc = NULL;
    struct token_vec ids = {0};
    const size_t *end = (const size_t *)(const void *)x->ends.p;
    int rc = tok_encoder_new(&enc, t, e);
    *tokens = 0;
    double start = clock_seconds();
    for (size_t i = 0, at = 0; i < x->n && rc == 0; at = end[i++]) {
        ids.n = 0;
        rc = tok_encode(enc, &ids, x->bytes.p + at, end[i] - at, false, e);
        *tokens += ids.n;
        if (h)
            hash_ids(h, &ids);
    }
    *seconds = clock_seconds() - start;
    token_vec_release(&ids);
    tok_encoder_free(enc);
    return rc;
}

static int measure(struct figure *f, const struct tokenizer *t, const struct texts *x, int runs, struct err *e)
{
    struct sha256 *h = sha256_new();
    double seconds;
    if (!h)
        return err_set(e, ERR_NOMEM, "out of memory for a digest");
    int rc = encode_all(t, x, &seconds, &f->tokens, h, e);
    f->ids = sha256_end(&h);
    for (int i = 0; i < runs && rc == 0; i++) {
        rc = encode_all(t, x, &seconds, &f->tokens, NULL, e);
        f->rate[i] = (double)x->bytes.len * 1e-6 / seconds;
    }
    return rc;
}

static void print(struct figure *f, const struct texts *x, int runs, bool json)
{
    char hex[65];
    digest_hex(hex, &f->ids);
    double median = bench_median(f->rate, runs);
    if (json)
        printf("{\"mb_per_s\":%.2f,\"min\":%.2f,\"max\":%.2f,\"runs\":%d,\"threads\":1,\"documents\":%zu,\"bytes\":%zu,"
               "\"tokens\":%llu,\"ids_sha256\":\"%s\"}\n",
               median, f->rate[0], f->rate[runs - 1], runs, x->n, x->bytes.len, (unsigned long long)f->tokens, hex);
    else
        printf("encode   %.1f MB/s on one thread (%d run%s, %.1f to %.1f), %.2f bytes a token over %.1f MB\n", median,
               runs, PLURAL(runs), f->rate[0], f->rate[runs - 1], (double)x->bytes.len / ((double)f->tokens + 1e-9),
               (double)x->bytes.len * 1e-6);
}

static int record_result(const char *path, struct figure *f, const struct texts *x, int runs, int argc, char **argv,
                         struct err *e)
{
    char what[100];
    struct bench_line l = {.bench = "encode", .what = what, .unit = "MB/s", .n = runs, .higher = true};
    snprintf(what, sizeof what, "encode, %.1f MB at %.2f bytes a token, one thread", (double)x->bytes.len * 1e-6,
             (double)x->bytes.len / ((double)f->tokens + 1e-9));
    l.value = bench_median(f->rate, runs); /* sorts */
    l.min = f->rate[0];
    l.max = f->rate[runs - 1];
    return bench_record(path, NULL, &l, argc, argv, e);
}

int bench_encode(int argc, char **argv, struct err *e)
{
    const char *dir = NULL, *corpus = NULL, *record = NULL;
    struct opt_list in = {0};
    int64_t runs = 5;
    bool json = false;
    const struct opt opts[] = {{"tokenizer", 't', OPT_STR, &dir, "DIR", "the tokenizer", 0, 0, NULL},
                               {"corpus", 'c', OPT_STR, &corpus, "DIR", "documents of a corpus", 0, 0, NULL},
                               {"in", 'i', OPT_LIST, &in, "FILE", "text files or folders; repeatable", 0, 0, NULL},
                               {"runs", 0, OPT_INT, &runs, "N", "timed runs (5)", 1, MAX_RUNS, NULL},
                               {"record", 0, OPT_STR, &record, "FILE",
                                "append the result to FILE for `bench report`", 0, 0, NULL},
                               {"json", 0, OPT_FLAG, &json, NULL, "machine-readable output", 0, 0, NULL},
                               {0}};
    const struct opt_spec spec = {"dokja bench encode --tokenizer DIR --in FILE…",
                                  "Text to ids on one thread, the text in memory, the encoder new in each run.", opts,
                                  0, 0};
    int n_args, rc = opt_parse(&spec, argc, argv, &n_args, e);
    if (rc)
        return rc > 0 ? 0 : rc;
    if (!dir || (!corpus && in.n == 0))
        return err_set(e, ERR_USAGE, "bench encode needs --tokenizer DIR and --in FILE or --corpus DIR");
    struct tokenizer *t = NULL;
    struct texts x = {0};
    struct figure f = {0};
    struct docs d = {.corpus = corpus, .in = &in};
    rc = tokenizer_open(&t, dir, e);
    if (rc == 0)
        rc = docs_each(&d, keep, &x, e);
    not_read_say(&d.aside);
    if (rc == 0 && x.bytes.len == 0)
        rc = err_set(e, ERR_VALUE, "bench encode: there is no text in the input");
    if (rc == 0)
        rc = measure(&f, t, &x, (int)runs, e);
    if (rc == 0)
        print(&f, &x, (int)runs, json);
    if (rc == 0 && record)
        rc = record_result(record, &f, &x, (int)runs, argc, argv, e);
    tokenizer_close(t);
    buf_release(&x.bytes);
    buf_release(&x.ends);
    return rc;
}
