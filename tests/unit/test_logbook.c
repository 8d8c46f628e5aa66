/* What a run's ledger says: texts that come back, order, and the arithmetic of bounds and chances. */
#include "harness.h"

#include <math.h>

#include "base/mem.h"
#include "train/bounds.h"
#include "train/logbook.h"
#include "train/replay.h"

static void small_run(struct run_config *c)
{
    *c = (struct run_config){.seq = 64, .seq_start = 32, .start_steps = 7, .batch_tokens = 256, .workers = 2,
                             .segment_steps = 4, .heldout = 0.005, .final_eval_tokens = 512,
                             .schedule = {.kind = SCHEDULE_WSD, .steps = 10, .warmup = 0.05, .decay = 0.6},
                             .optim = {.kind = OPTIM_NORMUON, .lr_matrix = 0.02, .lr_embed = 0.01, .lr_head = 0.01,
                                       .lr_gain = 0.003, .momentum = 0.9, .beta1 = 0.9, .beta2 = 0.99, .eps = 1e-10,
                                       .beta2_row = 0.95, .decay_matrix = 0.05, .clip = 1}};
    model_config_shape(&c->model, 2, 64, 128, 64);
    c->model.bos = 0;
    c->model.eos = 1;
    memset(c->corpus_root.b, 7, sizeof c->corpus_root.b);
}

static void test_genesis_comes_back(void **state)
{
    (void)state;
    static struct run_config c, got;
    static struct genesis g, h;
    struct buf a = {0}, b = {0};
    struct err e;
    small_run(&c);
    g = (struct genesis){.compiler = "gcc 12", .holder = "한국 연구원", .created = "2026-01-01T00:00:00Z", .beacon = "self",
                         .n_ancestors = 1, .corpus_docs = 3, .train_tokens = UINT64_MAX};
    ok(genesis_text(&a, &g, &c, &e));
    struct lines t = {a.p, a.len, "record 0 (GENESIS)"};
    ok(genesis_read(&h, &got, &t, &e));
    ok(genesis_text(&b, &h, &got, &e));
    assert_int_equal(a.len, b.len);
    assert_memory_equal(a.p, b.p, a.len);
    assert_string_equal(h.holder, "한국 연구원");
    assert_memory_equal(&got.optim, &c.optim, sizeof c.optim);
    /* Every line that is cut off, and every one that is another, is refused. */
    for (size_t i = 0; i < a.len; i++)
        if (a.p[i] == '\n' && i + 1 < a.len) {
            struct lines cut = {a.p, i + 1, "GENESIS"};
            assert_true(genesis_read(&h, &got, &cut, &e) < 0);
        }
    buf_clear(&a);
    g.holder[0] = '\n';
    assert_int_equal(genesis_text(&a, &g, &c, &e), ERR_VALUE);
    buf_release(&a);
    buf_release(&b);
}

#define BEACON_42 UINT64_C(0x410078b3f9817083)
/* SHA-256("run-seed" ‖ 32 zero bytes ‖ "42"), as `openssl dgst` gives it: 837081f9b3780041… */
static void test_beacon_seed(void **state)
{
    (void)state;
    struct digest zero = {{0}};
    assert_true(beacon_seed(&zero, "42") == BEACON_42);
    assert_true(beacon_seed(&zero, "43") != BEACON_42);
}

static void test_segment_comes_back(void **state)
{
    (void)state;
    double loss[] = {1.5, -0.0}, norm[] = {1e-300, 3};
    struct drift d[] = {{0.5, 1}, {0, 0}, {1e-9, 2e-9}};
    struct segment s = {.index = 3, .from = 8, .to = 10, .sample = 40, .tokens = 2560, .flops = 1e12, .loss = loss,
                        .grad_norm = norm, .drift = d, .n_drift = 3,
                        .c = {.at = "2026-01-01T00:00:00Z", .isa = "ref", .threads = 3}},
                   r;
    struct buf a = {0}, b = {0};
    struct err e;
    ok(segment_text(&a, &s, &e));
    struct lines t = {a.p, a.len, "record 6 (SEGMENT)"};
    ok(segment_read(&r, &t, &e));
    assert_memory_equal(r.loss, loss, sizeof loss);
    assert_memory_equal(r.drift, d, sizeof d);
    ok(segment_text(&b, &r, &e));
    assert_int_equal(a.len, b.len);
    assert_memory_equal(a.p, b.p, a.len);
    assert_memory_equal(a.p + record_firm(a.p, a.len), "at 2026", 7);
    segment_release(&r);
    /* More steps than losses. */
    struct lines huge = {b.p, b.len, "record 6 (SEGMENT)"};
    char *to = strstr(b.p, "to 10");
    memcpy(to, "to 99", 5);
    assert_int_equal(segment_read(&r, &huge, &e), ERR_FORMAT);
    buf_release(&a);
    buf_release(&b);
}

static void test_run_lengths(void **state)
{
    (void)state;
    struct run_config c;
    small_run(&c);
    assert_int_equal(run_segment_end(&c, 0), 4);
    assert_int_equal(run_segment_end(&c, 3), 4);
    assert_int_equal(run_segment_end(&c, 4), 8);
    assert_int_equal(run_segment_end(&c, 9), 10);
    double at_first = model_flops_per_token(&c.model, 32), later = model_flops_per_token(&c.model, 64);
    assert_true(run_flops_until(&c, 10) == 256 * (7 * at_first + 3 * later));
    assert_true(run_flops_until(&c, 5) == 256 * 5 * at_first);
}

/* provenance tables: of 200 segments with 1 % tampered, 137 find it with 90 %; 21 do with 10 %. */
static void test_chances(void **state)
{
    (void)state;
    assert_true(replay_detection(200, 2, 137) >= 0.9 && replay_detection(200, 2, 136) < 0.9);
    assert_true(replay_detection(200, 20, 21) >= 0.9 && replay_detection(200, 20, 20) < 0.9);
    assert_true(fabs(replay_detection(1000, 1, 900) - 0.9) < 1e-12);
    assert_true(replay_detection(10, 3, 8) == 1);
}

/* One nonce gives one list, whose first K random:K takes: asked for twice, no more segments were drawn than once. */
static void test_draws_are_counted_once(void **state)
{
    (void)state;
    enum { N = 10 };
    static const struct {
        const char *list;
        uint64_t drawn;
    } t[] = {{"0,last", 0}, {"random:2", 2}, {"random:2,random:2", 2}, {"random:4,random:2", 4}, {"1,random:3", 3},
             {"random:99", N}};
    static struct logbook b;
    static struct segment s[N];
    struct param_table table;
    struct err e;
    small_run(&b.config);
    b.config.schedule.steps = N * b.config.segment_steps;
    ok(param_table_new(&table, &b.config.model, &e));
    struct drift *d = mem_new((size_t)table.n, sizeof *d);
    for (int i = 0; i < table.n; i++)
        d[i] = (struct drift){1e-3, 2e-3};
    for (uint64_t k = 0; k < N; k++)
        s[k] = (struct segment){.index = k, .from = 4 * k, .to = 4 * k + 4, .drift = d, .n_drift = (uint64_t)table.n};
    b.segment = s;
    b.n_segments = N;
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        struct replay_choice c;
        ok(replay_choose(&c, &b, t[i].list, "nonce", &e));
        assert_int_equal(c.drawn, t[i].drawn);
        assert_true(c.k >= c.drawn);
        replay_choice_release(&c);
    }
    mem_free(d);
    param_table_release(&table);
}

/* Trained from 0 s to 60 s, killed; resumed at 100 s, to 130 s; resumed on a machine whose clock is behind, 5 s. */
static void test_seconds_of_all_sessions(void **state)
{
    (void)state;
    static struct segment s[] = {{.c.at = "2026-01-01T00:00:40Z"}, {.c.at = "2026-01-01T00:01:00Z"},
                                 {.c.at = "2026-01-01T00:02:10Z"}, {.c.at = "2025-12-31T00:00:03Z"}};
    static struct event v[] = {{.c.at = "2026-01-01T00:01:40Z"}, {.c.at = "2025-12-31T00:00:00Z"}};
    static struct ledger_entry entry[] = {
        {.kind = LEDGER_GENESIS}, {.kind = LEDGER_BEACON}, {.kind = LEDGER_INIT}, {.kind = LEDGER_SEGMENT},
        {.kind = LEDGER_CHECKPOINT}, {.kind = LEDGER_SEGMENT}, {.kind = LEDGER_EVENT}, {.kind = LEDGER_SEGMENT},
        {.kind = LEDGER_EVENT}, {.kind = LEDGER_SEGMENT}, {.kind = LEDGER_FINAL}};
    static struct logbook b = {.begun.at = "2026-01-01T00:00:00Z", .segment = s, .event = v,
                               .final.c.at = "2025-12-31T00:00:05Z", .ledger = {.entry = entry}};
    b.ledger.n_entries = sizeof entry / sizeof *entry;
    assert_true(logbook_seconds(&b) == 60 + 30 + 5);
    b.ledger.n_entries = 2;
    assert_true(logbook_seconds(&b) == 0);
    b.ledger.n_entries = 8;
    s[1].c.at[0] = 'x';
    assert_true(isnan(logbook_seconds(&b)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_genesis_comes_back), cmocka_unit_test(test_beacon_seed),
        cmocka_unit_test(test_segment_comes_back), cmocka_unit_test(test_run_lengths),
        cmocka_unit_test(test_chances), cmocka_unit_test(test_draws_are_counted_once),
        cmocka_unit_test(test_seconds_of_all_sessions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
