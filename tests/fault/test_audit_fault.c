/* An audit under short memory: a whole run passes, or there is no verdict; never is the run said to be at fault. */
#include "harness.h"

#include "base/file.h"
#include "base/mem.h"
#include "model/store.h"
#include "train/audit.h"
#include "train/state.h"

enum { STEPS = 8, EVERY = 4, SEED = 3 };
static struct err e;
static char dir[300];
static struct nn x;
static struct sign_key *key;
static struct run_config config;

static void configure(void)
{
    config = (struct run_config){.seq = 64, .seq_start = 64, .batch_tokens = 64, .workers = 1, .segment_steps = EVERY,
                                 .heldout = 0.1, .eval_tokens = 64, .final_eval_tokens = 64, .seed = SEED,
                                 .schedule = {.kind = SCHEDULE_WSD, .steps = STEPS, .warmup = 0.05, .decay = 0.6},
                                 .optim = {.kind = OPTIM_ADAMW, .lr_matrix = 0.02, .beta1 = 0.9, .beta2 = 0.99}};
    model_config_shape(&config.model, 1, 64, 100, 64);
    config.model.bos = 0;
    config.model.eos = 1;
}

/* Model, state and roots of a run whose steps left its weights where they began; root[i] is that of step i·EVERY. */
static void write_files(struct digest root[STEPS / EVERY + 1])
{
    struct param_table t;
    struct optim o;
    char path[400];
    snprintf(path, sizeof path, "%s/tokenizer.json", dir);
    ok(file_replace(path, "{}", 2, &e));
    ok(sha256_file(&config.tokenizer, path, &e));
    ok(param_table_new(&t, &config.model, &e));
    ok(optim_init(&o, &x, &t, &config.optim, &e));
    real *w = mem_map(t.total * sizeof *w);
    params_init(&t, w, SEED);
    struct train_state s = {.table = &t, .w = w, .optim = &o};
    for (int i = 0; i <= STEPS / EVERY; i++) {
        s.step = s.sample = i * EVERY;
        ok(state_root(&root[i], &x, &s, &e));
    }
    ok(model_save(dir, &config.model, &t, w, &e));
    ok(run_write(&config, dir, &e));
    snprintf(path, sizeof path, "%s/state", dir);
    ok(file_mkdir_p(path, &e));
    snprintf(path, sizeof path, "%s/state/state.safetensors", dir);
    ok(state_save(&x, &s, path, &root[STEPS / EVERY], &e));
    mem_unmap(w, t.total * sizeof *w);
    optim_release(&o);
    param_table_release(&t);
}

static void add(struct ledger_log *l, enum ledger_kind kind, struct buf *text)
{
    char origin[LEDGER_ORIGIN];
    static struct digest genesis;
    ok(ledger_log_add(l, kind, text->p, text->len, &e));
    genesis = kind == LEDGER_GENESIS ? l->prev : genesis;
    ledger_origin(origin, &genesis);
    ok(ledger_log_sign(l, origin, origin, key, &e));
    buf_clear(text);
}

static void add_segments(struct ledger_log *l, struct buf *text, const struct digest *root,
                         const struct circumstance *c)
{
    struct param_table t;
    double figure[EVERY] = {4, 3, 2, 1};
    ok(param_table_new(&t, &config.model, &e));
    struct drift *still = mem_new((size_t)t.n, sizeof *still);
    for (uint64_t i = 0; i < STEPS / EVERY; i++) {
        uint64_t to = (i + 1) * EVERY;
        struct segment s = {.index = i, .from = i * EVERY, .to = to, .before = root[i], .after = root[i + 1],
                            .sample = to, .tokens = 64 * to, .flops = run_flops_until(&config, (int64_t)to),
                            .loss = figure, .grad_norm = figure, .drift = still, .n_drift = (uint64_t)t.n, .c = *c};
        ok(segment_text(text, &s, &e));
        add(l, LEDGER_SEGMENT, text);
    }
    mem_free(still);
    param_table_release(&t);
}

static void add_final(struct ledger_log *l, struct buf *text, const struct digest *root, const struct circumstance *c)
{
    static const char *const name[] = {"config.json", "model.safetensors", "run.json", "tokenizer.json"};
    static struct final f;
    char path[400];
    f = (struct final){.root = *root, .steps = STEPS, .tokens = 64 * STEPS, .flops = run_flops_until(&config, STEPS),
                       .bits_per_byte = 2, .bits_per_char = 4, .n_files = 4, .c = *c};
    for (int i = 0; i < 4; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, name[i]);
        snprintf(f.file[i].name, sizeof f.file[i].name, "%s", name[i]);
        ok(sha256_file(&f.file[i].sha256, path, &e));
    }
    ok(final_text(text, &f, &e));
    add(l, LEDGER_FINAL, text);
}

static int setup(void **state)
{
    (void)state;
    struct ledger_log l;
    struct buf text = {0};
    struct digest root[STEPS / EVERY + 1], selftest[N_PROFILES];
    const char *bad;
    char path[400];
    snprintf(dir, sizeof dir, "%s", test_dir());
    ok(nn_init(&x, kernels_best(&bad), 2, &e));
    ok(sign_key_new(&key, &e));
    configure();
    write_files(root);
    ok(selftest_digests(selftest, &x, &e));
    struct genesis g = {.compiler = "gcc", .holder = "a test", .created = "2026-01-01T00:00:00Z", .beacon = BEACON_SELF,
                        .key = sign_key_public(key), .selftest = selftest[PROFILE_T1]};
    struct circumstance c = {.at = "2026-01-01T00:00:00Z", .isa = "ref", .threads = 1};
    snprintf(path, sizeof path, "%s/ledger.bin", dir);
    ok(ledger_log_new(&l, path, &e));
    ok(genesis_text(&text, &g, &config, &e));
    add(&l, LEDGER_GENESIS, &text);
    ok(beacon_text(&text, &(struct beacon){.source = BEACON_SELF, .value = "-", .seed = SEED}, &e));
    add(&l, LEDGER_BEACON, &text);
    ok(init_text(&text, &root[0], &c, &e));
    add(&l, LEDGER_INIT, &text);
    add_segments(&l, &text, root, &c);
    add_final(&l, &text, &root[STEPS / EVERY], &c);
    ledger_log_release(&l);
    buf_release(&text);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    sign_key_free(key);
    nn_release(&x);
    test_dir_remove(dir);
    return 0;
}

/* Allocations that an audit makes: those left of many, told by using them up. */
static long count_allocations(const struct audit_opts *o)
{
    enum { MANY = 1 << 20 };
    static struct audit a;
    long left = 0;
    void *p;
    mem_fail_at(MANY);
    ok(audit_run(&a, o, &e));
    for (; (p = mem_new(1, 1)); left++)
        mem_free(p);
    mem_fail_at(0);
    return MANY - 1 - left;
}

static void short_memory_is_no_finding(void **state)
{
    (void)state;
    enum { PLACES = 12 };
    static struct audit a;
    const struct audit_opts o = {.x = &x, .dir = dir};
    ok(audit_run(&a, &o, &e));
    for (int i = 0; i < a.n; i++)
        if (a.check[i].result == CHECK_FAIL)
            fail_msg("%s: %s", a.check[i].name, a.check[i].detail);
    assert_int_equal(audit_verdict(&a), VERDICT_PASS);
    long all = count_allocations(&o);
    assert_true(all > 4 * PLACES);
    for (int k = 1; k <= PLACES; k++) {
        mem_fail_at(all * k / PLACES);
        int rc = audit_run(&a, &o, &e);
        mem_fail_at(0);
        if (rc != ERR_NOMEM || e.code != rc)
            fail_msg("allocation %ld of %ld: %d, %s \"%s\"", all * k / PLACES, all, rc, a.check[a.n - 1].name,
                     a.check[a.n - 1].detail);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(short_memory_is_no_finding)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
