/* infer/: the training forward's bits from any chunking, threads, instruction set and company in the batch; no
 * allocation while decoding; sampling and stopping. */
#include "harness.h"
#include "dokja.h"

#include <math.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include "byte_tokenizer.h"
#include "infer/generate.h"
#include "infer/rows.h"
#include "model/net.h"
#include "model/store.h"

enum { LEN = 160, VOCAB = BYTE_VOCAB };

static struct err e;
static char top[256];
static struct nn x;
static struct model_config config;
static struct param_table table;
static float *weights;
static struct infer_model *model;
static int32_t text[LEN];

/* Grouped queries, an odd feed-forward. */
static void shape(struct model_config *c, bool tied, int vocab)
{
    model_config_depth(c, 1, vocab, 256);
    c->n_layer = 3;
    c->tied = tied;
    c->bos = 0;
    c->eos = 1;
    for (int i = 0; i < c->n_layer; i++)
        c->layer[i] =
            (struct layer_facts){.n_head = 4, .n_kv = 2, .d_head = 16, .d_ff = 172, .qk_norm = true, .rope = true};
    ok(model_config_check(c, "test", &e));
}

static int open_model(bool tied, int vocab)
{
    const char *bad;
    struct rng r;
    log_quiet(true);
    snprintf(top, sizeof top, "%s", test_dir());
    ok(nn_init(&x, kernels_best(&bad), 2, &e));
    shape(&config, tied, vocab);
    ok(param_table_new(&table, &config, &e));
    weights = calloc(table.total, sizeof *weights);
    params_init(&table, weights, 7);
    rng_init(&r, 3, RNG_TEST, 0);
    for (int i = 0; i < table.n; i++)
        for (size_t j = 0; table.p[i].init != INIT_UNIFORM && j < table.p[i].n; j++)
            weights[table.p[i].offset + j] += (rng_unit_f32(rng_u32(&r)) - 0.5f) * 0.4f;
    for (int i = 0; i < LEN; i++)
        text[i] = i == 0 ? 0 : (int32_t)rng_below(&r, VOCAB);
    ok(model_save(top, &config, &table, weights, &e));
    ok(byte_tokenizer_write(top, byte_specials, &e));
    ok(infer_model_open(&model, &x, top, &e));
    return 0;
}
static int set_up(void **state) { return *state = NULL, open_model(true, VOCAB); }
static int set_up_untied(void **state) { return *state = NULL, open_model(false, VOCAB); }
static int set_up_rounded(void **state) { return *state = NULL, open_model(true, 4 * VOCAB); }

static int tear_down(void **state)
{
    (void)state;
    infer_model_close(model);
    nn_release(&x);
    param_table_release(&table);
    free(weights);
    test_dir_remove(top);
    return 0;
}

static void train_losses(float *loss, int *best)
{
    int tok[LEN], pos[LEN], target[LEN];
    struct net *n;
    struct net_opts o = {.max_rows = LEN, .max_len = LEN};
    ok(net_new(&n, &x, &config, &table, &o, &e));
    for (int i = 0; i < LEN; i++) {
        tok[i] = text[i];
        pos[i] = i;
        target[i] = i + 1 < LEN ? text[i + 1] : -1;
    }
    net_forward(n, weights, &(struct batch){.n = LEN, .tok = tok, .pos = pos, .target = target}, loss, best);
    net_free(n);
}

/* The law: what was trained is what is served. */
static void test_training_forward(void **state)
{
    (void)state;
    float want[LEN], got[LEN];
    int best[LEN];
    int32_t top_token[LEN];
    train_losses(want, best);
    const int rows[] = {1, 3, 7, 32, 64, LEN};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct session *s;
        ok(session_new(&s, model, LEN, rows[i], &e));
        ok(session_score(s, text, LEN, got, top_token, &e));
        assert_memory_equal(got, want, (LEN - 1) * sizeof *got);
        for (int k = 0; k < LEN; k++)
            assert_int_equal(top_token[k], best[k]);
        session_reset(s, 0);
        ok(session_score_next(s, text, LEN - 1, text[LEN - 1], got, NULL, &e));
        assert_memory_equal(got, want, (LEN - 1) * sizeof *got);
        session_free(s);
    }
}

static void logits_by(const struct nn *with, int max_rows, const int *cuts, int n_cuts, float *out)
{
    struct infer_model *m;
    struct session *s;
    const float *z = NULL;
    ok(infer_model_open(&m, with, top, &e));
    ok(session_new(&s, m, LEN, max_rows, &e));
    for (int i = 0, at = 0; i < n_cuts; at += cuts[i++])
        ok(session_feed(s, text + at, cuts[i], &z, &e));
    memcpy(out, z, VOCAB * sizeof *out);
    session_free(s);
    infer_model_close(m);
}

static void test_any_way(void **state)
{
    (void)state;
    float want[VOCAB], got[VOCAB];
    const int whole[] = {LEN}, two[] = {100, 60}, odd[] = {1, 70, 2, 80, 7}, threads[] = {1, 2, 3, 7};
    int single[LEN];
    for (int i = 0; i < LEN; i++)
        single[i] = 1;
    logits_by(&x, LEN, whole, 1, want);
    logits_by(&x, 16, whole, 1, got);
    assert_memory_equal(got, want, sizeof got);
    logits_by(&x, LEN, two, 2, got);
    assert_memory_equal(got, want, sizeof got);
    logits_by(&x, 33, odd, 5, got);
    assert_memory_equal(got, want, sizeof got);
    logits_by(&x, LEN, single, LEN, got); /* decode */
    assert_memory_equal(got, want, sizeof got);
    for (int isa = ISA_REF; isa <= ISA_AMX; isa++)
        for (int i = 0; i < 4; i++) {
            struct nn y;
            const struct kernels *k = kernels_get((enum isa)isa);
            if (!k)
                continue;
            ok(nn_init(&y, k, threads[i], &e));
            logits_by(&y, 40, odd, 5, got);
            assert_memory_equal(got, want, sizeof got);
            nn_release(&y);
        }
}

static void test_reset_and_refusals(void **state)
{
    (void)state;
    struct session *s;
    const float *z;
    float want[VOCAB];
    int32_t bad[2] = {5, VOCAB};
    ok(session_new(&s, model, LEN, 64, &e));
    ok(session_feed(s, text, 90, &z, &e));
    memcpy(want, z, sizeof want);
    ok(session_feed(s, text, 50, &z, &e)); /* another way on */
    session_reset(s, 70);
    assert_int_equal(session_len(s), 70);
    ok(session_feed(s, text + 70, 20, &z, &e));
    assert_memory_equal(want, z, sizeof want);
    refused(session_feed(s, text, LEN, &z, &e), ERR_LIMIT, "160");
    refused(session_feed(s, bad, 2, &z, &e), ERR_VALUE, "262");
    refused(session_feed(s, text, 0, &z, &e), ERR_VALUE, "empty");
    assert_int_equal(session_len(s), 90);
    session_free(s);
    refused(session_new(&s, model, 257, 64, &e), ERR_LIMIT, "256");
    struct infer_model *none;
    refused(infer_model_open(&none, &x, "/nonexistent", &e), ERR_IO, "config.json");
}

/* Rows of three sessions in one call: each as alone. */
static void test_company(void **state)
{
    (void)state;
    const int n[3] = {5, 1, 64}, pos0[3] = {0, 70, 30};
    struct infer_space w;
    struct kv_pool pool;
    int page[3][4];
    struct infer_seg seg[3];
    int32_t tok[70];
    bf16 want[3][64];
    int row = 0;
    ok(infer_space_init(&w, model, 128, 256, &e));
    ok(kv_pool_init(&pool, &config, 12, &e));
    for (int i = 0; i < 4; i++) /* pages of the sequences lie between each other's */
        for (int k = 0; k < 3; k++)
            page[k][i] = kv_pool_take(&pool);
    assert_int_equal(kv_pool_take(&pool), -1);
    for (int k = 0; k < 3; k++) {
        seg[k] = (struct infer_seg){.n = n[k], .pos0 = pos0[k], .pool = &pool, .page = page[k]};
        struct infer_seg before = {.n = pos0[k], .pos0 = 0, .pool = &pool, .page = page[k]};
        if (pos0[k] > 0)
            infer_rows(model, &w, text + k, &before, 1);
        infer_rows(model, &w, text + k + pos0[k], &seg[k], 1);
        memcpy(want[k], w.h + (size_t)(n[k] - 1) * 64, sizeof want[k]);
        memcpy(tok + row, text + k + pos0[k], (size_t)n[k] * sizeof *tok);
        row += n[k];
    }
    infer_rows(model, &w, tok, seg, 3);
    assert_in_range(w.rope_pos, 94, 255); /* as far as was read, not the whole context */
    row = 0;
    for (int k = 0; k < 3; k++) {
        row += n[k];
        assert_memory_equal(want[k], w.h + (size_t)(row - 1) * 64, sizeof want[k]);
    }
    kv_pool_release(&pool);
    infer_space_release(&w);
}

static void test_no_allocation(void **state)
{
    (void)state;
    struct session *s;
    const float *z;
    float nll[LEN];
    struct gen_opts o = {.temp = 0.8f, .top_k = 20, .top_p = 0.9f, .min_p = 0.01f, .repeat_penalty = 1.1f};
    float draw[VOCAB];
    ok(session_new(&s, model, LEN, 64, &e));
    mem_forbid(true);
    int rc = session_feed(s, text, 100, &z, &e);
    for (int i = 100; i < LEN && rc == 0; i++) {
        rc = session_feed(s, text + i, 1, &z, &e);
        memcpy(draw, z, sizeof draw);
        (void)sample_token(x.k, draw, VOCAB, &o, text, i, (uint64_t)i);
    }
    session_reset(s, 0);
    if (rc == 0)
        rc = session_score(s, text, LEN, nll, NULL, &e);
    mem_forbid(false);
    assert_int_equal(rc, 0);
    assert_int_equal(mem_forbidden_count(), 0);
    session_free(s);
}

/* The root from its definition: tensors end to end in table order, chunks of 1 MiB. */
static void test_root(void **state)
{
    (void)state;
    struct buf all = {0};
    struct merkle m;
    for (int i = 0; i < table.n; i++)
        ok(buf_add(&all, weights + table.p[i].offset, table.p[i].n * sizeof(float), &e));
    merkle_init(&m);
    for (size_t at = 0; at < all.len; at += 1 << 20)
        merkle_add(&m, all.p + at, all.len - at < 1 << 20 ? all.len - at : 1 << 20);
    struct digest want = merkle_root(&m), got = infer_model_root(model);
    assert_memory_equal(&want, &got, sizeof want);
    buf_release(&all);
}

/* ---- sampling: against the plain way, with a sort ---- */

struct ranked {
    double p;
    int id;
};
static int by_rank(const void *a, const void *b)
{
    const struct ranked *p = a, *q = b;
    return p->p > q->p ? -1 : p->p < q->p ? 1 : p->id - q->id;
}

/* The tokens that may be drawn. */
static int allowed(bool *may, const float *logits, int n, const struct gen_opts *o)
{
    struct ranked r[VOCAB];
    double total = 0, sum = 0, max = -INFINITY;
    int count = 0;
    for (int i = 0; i < n; i++) {
        may[i] = false;
        r[i] = (struct ranked){(double)logits[i] / (double)o->temp, i};
        max = fmax(max, r[i].p);
    }
    qsort(r, (size_t)n, sizeof *r, by_rank);
    int k = o->top_k > 0 && o->top_k < n ? o->top_k : n;
    for (int i = 0; i < k; i++)
        total += r[i].p = exp(r[i].p - max);
    for (int i = 0; i < k; i++) {
        bool more = !(o->top_p > 0 && o->top_p < 1) || sum < (double)o->top_p;
        sum += r[i].p / total;
        if (more && r[i].p / total >= (double)o->min_p * r[0].p / total)
            may[r[i].id] = true, count++;
    }
    return count;
}

static void test_sampling(void **state)
{
    (void)state;
    struct rng r;
    rng_init(&r, 11, RNG_TEST, 0);
    const struct gen_opts opts[] = {{.temp = 1},
                                    {.temp = 0.7f, .top_k = 5},
                                    {.temp = 1, .top_p = 0.5f},
                                    {.temp = 2, .top_p = 0.9f, .top_k = 40},
                                    {.temp = 1, .min_p = 0.2f},
                                    {.temp = 0.5f, .top_k = 30, .top_p = 0.8f, .min_p = 0.05f}};
    for (size_t t = 0; t < sizeof opts / sizeof opts[0]; t++) {
        float z[VOCAB], copy[VOCAB];
        bool may[VOCAB], drawn[VOCAB] = {false};
        struct gen_opts o = opts[t];
        for (int i = 0; i < VOCAB; i++) /* distinct values, so that rounding moves no border */
            z[i] = 4.0f * rng_unit_f32(rng_u32(&r)) + (float)(i * 37 % VOCAB) * 0.02f;
        int count = allowed(may, z, VOCAB, &o), seen = 0;
        for (int k = 0; k < 4000; k++) {
            o.seed = (uint64_t)k;
            memcpy(copy, z, sizeof copy);
            int id = sample_token(x.k, copy, VOCAB, &o, NULL, 0, 3);
            assert_in_range(id, 0, VOCAB - 1);
            if (!may[id])
                fail_msg("options %zu drew token %d, which they leave out", t, id);
            seen += !drawn[id];
            drawn[id] = true;
        }
        assert_true(seen == count || count > 20);
        assert_true(seen > 1);
        memcpy(copy, z, sizeof copy);
        int a = sample_token(x.k, copy, VOCAB, &o, NULL, 0, 3);
        memcpy(copy, z, sizeof copy);
        assert_int_equal(a, sample_token(x.k, copy, VOCAB, &o, NULL, 0, 3));
    }
}

static void test_distribution(void **state)
{
    (void)state;
    float z[4] = {logf(0.1f), logf(0.2f), logf(0.3f), logf(0.4f)}, copy[4];
    int count[4] = {0};
    struct gen_opts o = {.temp = 1, .seed = 9};
    for (int i = 0; i < 20000; i++) {
        memcpy(copy, z, sizeof copy);
        count[sample_token(x.k, copy, 4, &o, NULL, 0, (uint64_t)i)]++;
    }
    for (int i = 0; i < 4; i++)
        assert_true(abs(count[i] - 2000 * (i + 1)) < 300); /* 4 standard deviations and more */
}

static void test_greedy_and_penalty(void **state)
{
    (void)state;
    float z[5] = {1, 3, 3, -1, 2.5f};
    const int32_t recent[4] = {1, 1, 2, 99};
    struct gen_opts o = {.temp = 0};
    assert_int_equal(sample_token(x.k, z, 5, &o, NULL, 0, 0), 1); /* lowest id on ties */
    o.repeat_penalty = 1.5f;
    assert_int_equal(sample_token(x.k, z, 5, &o, recent, 4, 0), 4);
    assert_true(z[1] == 2.0f && z[2] == 2.0f); /* once, however often it occurred */
    float neg[2] = {-1, -1.4f};
    const int32_t first = 0;
    assert_int_equal(sample_token(x.k, neg, 2, &o, &first, 1, 0), 1);
    o = (struct gen_opts){.temp = 1e-30f};
    float y[3] = {1, 2, 1.5f};
    assert_int_equal(sample_token(x.k, y, 3, &o, NULL, 0, 0), 1);
}

/* ---- generate ---- */

struct heard {
    struct buf text;
    int pieces, stop_after;
};
static bool hear(void *user, const char *p, size_t n)
{
    struct heard *h = user;
    assert_true(n > 0);
    assert_int_equal(buf_add(&h->text, p, n, &e), 0);
    h->pieces++;
    return h->stop_after == 0 || h->pieces < h->stop_after;
}

static void run(struct gen_result *r, struct heard *h, struct gen_opts o, int max_pos)
{
    struct session *s;
    if (h) {
        o.on_text = hear;
        o.user = h;
    }
    ok(session_new(&s, model, max_pos, 64, &e));
    ok(generate(s, text, 20, &o, r, &e));
    assert_int_equal(r->prompt_tokens, 20);
    int len = session_len(s), all = 20 + (int)r->tokens.n;
    assert_true(len == all || len == all - 1);
    assert_memory_equal(session_tokens(s) + 20, r->tokens.v, (size_t)(len - 20) * sizeof(int32_t));
    session_free(s);
}

static void test_generate(void **state)
{
    (void)state;
    struct gen_result a, b;
    struct heard h = {0};
    struct gen_opts o = {.max_tokens = 60, .temp = 1, .seed = 4, .stop_token = -1};
    run(&a, &h, o, LEN);
    assert_true(a.stop == GEN_LENGTH || a.stop == GEN_EOS);
    assert_int_equal(h.text.len, a.text.len);
    assert_memory_equal(h.text.p, a.text.p, a.text.len);
    run(&b, NULL, o, 256); /* another cache, the same bits */
    assert_int_equal(a.tokens.n, b.tokens.n);
    assert_memory_equal(a.tokens.v, b.tokens.v, a.tokens.n * sizeof(int32_t));
    gen_result_release(&b);
    o.seed = 5;
    run(&b, NULL, o, LEN);
    assert_true(a.tokens.n != b.tokens.n || memcmp(a.tokens.v, b.tokens.v, a.tokens.n * sizeof(int32_t)) != 0);
    gen_result_release(&a);
    gen_result_release(&b);
    buf_release(&h.text);
}

/* A table of four times as many rows as there are tokens: drawn evenly, three ids in four would be none. */
static void test_rounded_table(void **state)
{
    (void)state;
    struct gen_result r;
    for (uint64_t seed = 0; seed < 4; seed++) {
        run(&r, NULL, (struct gen_opts){.max_tokens = 40, .temp = 50, .seed = seed, .stop_token = -1}, LEN);
        for (size_t i = 0; i < r.tokens.n; i++)
            assert_in_range(r.tokens.v[i], 0, VOCAB - 1);
        gen_result_release(&r);
    }
}

/* Greedy text first; then what it says becomes the stop. */
static void test_stops(void **state)
{
    (void)state;
    struct gen_result a, b;
    struct gen_opts o = {.max_tokens = 40, .stop_token = -1};
    /* a letter-like text: only printable tokens may be drawn */
    for (int tok = 0; tok < VOCAB; tok++)
        for (int i = 0; i < config.d_model && (tok < BYTE_TOKEN + 'a' || tok > BYTE_TOKEN + 'z'); i++)
            weights[param_find(&table, "lm_head.weight")->offset + (size_t)(tok * config.d_model + i)] *= 1e-3f;
    ok(model_save(top, &config, &table, weights, &e));
    infer_model_close(model);
    ok(infer_model_open(&model, &x, top, &e));
    o.temp = 0.3f;
    run(&a, NULL, o, LEN);
    if (a.text.len < 12)
        fail_msg("text too short to test stops: %zu bytes", a.text.len);
    char stop[4] = {a.text.p[6], a.text.p[7], a.text.p[8], 0};
    ptrdiff_t first = strstr(a.text.p, stop) - a.text.p;
    const char *stops[2] = {"\x01never", stop};
    struct heard h = {0};
    o.stop = stops;
    o.n_stop = 2;
    run(&b, &h, o, LEN);
    assert_int_equal(b.stop, GEN_STOP_STRING);
    assert_int_equal(b.text.len, first);
    assert_memory_equal(b.text.p, a.text.p, b.text.len);
    assert_int_equal(h.text.len, b.text.len); /* nothing of the stop string was shown */
    gen_result_release(&b);
    buf_release(&h.text);
    o.n_stop = 0;
    o.stop_token = a.tokens.v[5];
    run(&b, NULL, o, LEN);
    assert_int_equal(b.stop, GEN_EOS);
    assert_true(b.tokens.n <= 5);
    gen_result_release(&b);
    o.stop_token = -1;
    h = (struct heard){.stop_after = 3};
    run(&b, &h, o, LEN);
    assert_int_equal(b.stop, GEN_CALLER);
    assert_int_equal(h.pieces, 3);
    gen_result_release(&b);
    buf_release(&h.text);
    o.max_tokens = 1000;
    run(&b, NULL, o, 30);
    assert_int_equal(b.stop, GEN_CONTEXT);
    assert_int_equal(b.tokens.n, 11);
    gen_result_release(&b);
    gen_result_release(&a);
}

static void test_contradictions(void **state)
{
    (void)state;
    struct session *s;
    struct gen_result r;
    const char *none = "";
    ok(session_new(&s, model, LEN, 64, &e));
    const struct {
        struct gen_opts o;
        const char *part;
    } bad[] = {{{.max_tokens = 0}, "max tokens"},
               {{.max_tokens = 1, .temp = -1}, "temperature"},
               {{.max_tokens = 1, .temp = NAN}, "temperature"},
               {{.max_tokens = 1, .top_k = 5}, "temperature 0"},
               {{.max_tokens = 1, .temp = 1, .top_p = 1.5f}, "top-p"},
               {{.max_tokens = 1, .temp = 1, .min_p = -0.5f}, "min-p"},
               {{.max_tokens = 1, .temp = 1, .repeat_penalty = -2}, "penalty"},
               {{.max_tokens = 1, .temp = 1, .stop = &none, .n_stop = 1}, "stop string"}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        refused(generate(s, text, 5, &bad[i].o, &r, &e), ERR_VALUE, bad[i].part);
        gen_result_release(&r);
    }
    struct gen_opts o = {.max_tokens = 4, .stop_token = -1};
    refused(generate(s, text, 0, &o, &r, &e), ERR_VALUE, "empty");
    gen_result_release(&r);
    session_free(s);
}

/* The public calls with no place for an answer: they count, and touch nothing. */
static void test_counting(void **state)
{
    (void)state;
    struct dk_model *m;
    struct dk_context *c;
    struct dk_error bad = {0};
    int32_t id[5], bos = 0;
    assert_int_equal(dk_model_open(&m, top, 1, &bad), 0);
    assert_int_equal(dk_tokenize(m, NULL, 0, "hello", 5, 0, &bad), 5);
    assert_int_equal(dk_tokenize(m, id, 5, "hello", 5, 0, &bad), 5);
    assert_int_equal(dk_detokenize(m, NULL, 0, id, 5, &bad), 5);
    assert_int_equal(dk_detokenize(m, NULL, 0, &bos, 1, &bad), 0);
    assert_int_equal(dk_context_new(&c, m, 0, &bad), 0);
    assert_int_equal(dk_score(c, id, 1, NULL, &bad), 0);
    dk_context_free(c);
    dk_model_close(m);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
#define U(f) cmocka_unit_test_setup_teardown(f, set_up_untied, tear_down)
#define R(f) cmocka_unit_test_setup_teardown(f, set_up_rounded, tear_down)
    const struct CMUnitTest tests[] = {T(test_training_forward), U(test_training_forward), T(test_any_way),
                                       T(test_reset_and_refusals), T(test_company), T(test_no_allocation),
                                       U(test_root), T(test_sampling), T(test_distribution),
                                       T(test_greedy_and_penalty), T(test_generate), U(test_stops),
                                       T(test_contradictions), R(test_rounded_table), T(test_counting)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
