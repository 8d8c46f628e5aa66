/* Training by the engine, on every instruction set of this machine, against NUMERICS computed plainly
 * (src/reference): losses, gradient norms and the whole state, bit for bit, after every step. */
#include "harness.h"

#include <math.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/rng.h"
#include "formats/shard.h"
#include "reference/reference.h"
#include "train/trainer.h"

enum { VOCAB = 90, BOS = 3, EOS = 4, DOCS = 40, LONGEST = 300, BATCH = 256, BATCH_T2 = 1024, STEPS = 4 };

static struct err e;
static char dir[300];
static struct tokens *tokens;
static int *stream;      /* the training text */
static uint64_t n_stream;

/* ---- memory of the reference ---- */

static void *taken[400];
static int n_taken;

static void *take(uint64_t n, size_t size)
{
    assert_true(n_taken < 400);
    void *p = calloc(n + 1, size);
    assert_non_null(p);
    return taken[n_taken++] = p;
}

static void give_back(void)
{
    while (n_taken > 0)
        free(taken[--n_taken]);
}

/* ---- a text ---- */

/* Documents of one token to more than a row; keeps the first split's tokens. */
static void split_write(const char *name, bool keep)
{
    char path[400];
    struct shard_new *w;
    struct rng r;
    struct digest d = {{1}};
    snprintf(path, sizeof path, "%s/%s", dir, name);
    rng_init(&r, keep ? 1 : 2, RNG_TEST, 0);
    ok(shard_new_open(&w, path, VOCAB, &d, &d, &e));
    for (int i = 0; i < DOCS; i++) {
        int doc[LONGEST + 2], n = i % 5 == 0 ? 1 + (int)rng_below(&r, 4) : (int)rng_below(&r, LONGEST);
        doc[0] = BOS;
        for (int k = 1; k <= n; k++)
            doc[k] = 5 + (int)rng_below(&r, k % 3 ? 12 : VOCAB - 5);
        doc[n + 1] = EOS;
        ok(shard_new_doc(w, doc, (size_t)n + 2, &e));
        for (int k = 0; k < n + 2 && keep; k++)
            stream[n_stream++] = doc[k];
    }
    ok(shard_new_commit(&w, &e));
}

static uint64_t count_of(const char *name)
{
    char path[400];
    struct shard *s;
    snprintf(path, sizeof path, "%s/%s", dir, name);
    ok(shard_open(&s, path, &e));
    uint64_t n = shard_info(s)->n_tokens;
    shard_close(s);
    return n;
}

static int setup(void **state)
{
    (void)state;
    char path[400], hex[65];
    struct digest d = {{1}};
    snprintf(dir, sizeof dir, "%s", test_dir());
    snprintf(path, sizeof path, "%s/tokens.json", dir);
    stream = malloc(DOCS * (LONGEST + 2) * sizeof *stream);
    split_write("train.tokens", true);
    split_write("heldout.tokens", false);
    digest_hex(hex, &d);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fprintf(f, "{\"format\": \"dokja-tokens\", \"version\": 1, \"corpus_root\": \"%s\", \"tokenizer\": \"%s\", "
            "\"vocab\": %d, \"bos\": %d, \"splits\": {", hex, hex, VOCAB, BOS);
    for (int s = 0; s < 2; s++)
        fprintf(f, "%s\"%s\": {\"bytes\": 1, \"chars\": 1, \"tokens\": %llu, \"docs\": %d}", s ? ", " : "",
                s ? "heldout" : "train", (unsigned long long)count_of(s ? "heldout.tokens" : "train.tokens"), DOCS);
    fputs("}}", f);
    assert_int_equal(fclose(f), 0);
    ok(tokens_open(&tokens, dir, &e));
    ref_begin();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    tokens_close(tokens);
    free(stream);
    test_dir_remove(dir);
    return 0;
}

/* ---- runs ---- */

static const struct run_case {
    const char *name;
    enum profile profile;
    enum optim_kind kind;
    bool tied, llama, cosine;    /* llama: no norm of queries and keys */
    int n_kv, d_head, window;    /* of 4 heads; the window is the first layer's */
    int d_ff, seq, seq_start, start_steps, workers;
    double clip;
} cases[] = {
    {"AdamW, tied", PROFILE_T1, OPTIM_ADAMW, true, false, true, 4, 8, 0, 48, 64, 64, 0, 1, 0.5},
    {"AdamW, untied, two lengths", PROFILE_T1, OPTIM_ADAMW, false, true, false, 2, 12, 33, 40, 128, 32, 2, 2, 0},
    {"Muon, tied, window, four workers", PROFILE_T1, OPTIM_MUON, true, false, false, 1, 12, 20, 32, 64, 64, 0, 4, 0.1},
    {"Muon, untied", PROFILE_T1, OPTIM_MUON, false, false, true, 2, 8, 0, 72, 96, 96, 0, 1, 0},
    {"NorMuon, tied, two lengths, four workers", PROFILE_T1, OPTIM_NORMUON, true, false, false, 2, 12, 40, 48, 64, 32,
     3, 4, 1},
    {"NorMuon, untied, long rows", PROFILE_T1, OPTIM_NORMUON, false, false, false, 4, 10, 70, 20, 256, 64, 1, 1, 0},
    {"NorMuon, one head for all, no norm", PROFILE_T1, OPTIM_NORMUON, true, true, true, 1, 16, 7, 64, 128, 64, 2, 1,
     0.2},
    {"integers, NorMuon, tied, several rows", PROFILE_T2, OPTIM_NORMUON, true, false, false, 2, 12, 40, 300, 256, 256,
     0, 1, 1},
    {"integers, AdamW, untied, two lengths, two workers", PROFILE_T2, OPTIM_ADAMW, false, true, true, 4, 10, 0, 72, 512,
     256, 2, 2, 0.5},
};
enum { CASES = sizeof cases / sizeof *cases };

static struct run_config config_of(const struct run_case *k)
{
    const int batch = k->profile == PROFILE_T2 ? BATCH_T2 : BATCH, unit = k->seq * k->workers;
    struct run_config c = {
        .profile = k->profile,
        .optim = {.kind = k->kind, .lr_matrix = 0.02, .lr_embed = 0.01, .lr_head = 0.004, .lr_gain = 0.003,
                  .momentum = 0.9, .beta1 = 0.9, .beta2 = 0.97, .eps = 1e-10, .beta2_row = 0.95, .decay_matrix = 0.1,
                  .decay_embed = 0.05, .clip = k->clip},
        .schedule = {.kind = k->cosine ? SCHEDULE_COSINE : SCHEDULE_WSD, .steps = STEPS, .warmup = 0.3, .decay = 0.5,
                     .floor = 0.1},
        .seq = k->seq, .seq_start = k->seq_start, .start_steps = k->start_steps,
        .batch_tokens = batch / unit * unit,
        .workers = k->workers, .segment_steps = 1, .heldout = 0.1, .eval_tokens = 64, .final_eval_tokens = 64,
        .seed = 0x0123456789abcdefULL + (uint64_t)k->seq};
    model_config_shape(&c.model, 2, 64, VOCAB, 512);
    snprintf(c.model.arch, sizeof c.model.arch, "%s", k->llama ? "LlamaForCausalLM" : "Qwen3ForCausalLM");
    c.model.d_model = 48;
    c.model.tied = k->tied;
    c.model.bos = BOS;
    c.model.eos = EOS;
    for (int i = 0; i < c.model.n_layer; i++)
        c.model.layer[i] = (struct layer_facts){.n_head = 4, .n_kv = k->n_kv, .d_head = k->d_head, .d_ff = k->d_ff,
                                                .window = i == 0 ? k->window : 0, .qk_norm = !k->llama, .rope = true};
    ok(model_config_check(&c.model, "the test's model", &e));
    ok(run_check(&c, "the test's run", &e));
    return c;
}

/* The same run as the reference takes it. */
static struct ref_run reference_of(const struct run_config *c)
{
    static const enum ref_optimizer kind[] = {[OPTIM_ADAMW] = REF_ADAMW, [OPTIM_MUON] = REF_MUON,
                                              [OPTIM_NORMUON] = REF_NORMUON};
    const struct optim_config *o = &c->optim;
    struct ref_run r = {
        .profile = c->profile == PROFILE_T2 ? REF_T2 : REF_T1,
        .vocab = c->model.vocab, .d_model = c->model.d_model, .n_layer = c->model.n_layer, .tied = c->model.tied,
        .norm_eps = c->model.norm_eps, .rope_theta = c->model.rope_theta, .seq = c->seq, .seq_start = c->seq_start,
        .start_steps = c->start_steps, .batch_tokens = c->batch_tokens, .workers = c->workers,
        .steps = c->schedule.steps, .train_tokens = n_stream, .seed = c->seed,
        .schedule = c->schedule.kind == SCHEDULE_COSINE ? REF_COSINE : REF_WSD, .warmup = c->schedule.warmup,
        .decay = c->schedule.decay, .floor = c->schedule.floor, .optimizer = kind[o->kind],
        .lr_matrix = o->lr_matrix, .lr_embed = o->lr_embed, .lr_head = o->lr_head, .lr_gain = o->lr_gain,
        .momentum = o->momentum, .beta1 = o->beta1, .beta2 = o->beta2, .eps = o->eps, .beta2_row = o->beta2_row,
        .decay_matrix = o->decay_matrix, .decay_embed = o->decay_embed, .clip = o->clip};
    for (int i = 0; i < c->model.n_layer; i++) {
        const struct layer_facts *l = &c->model.layer[i];
        r.layer[i] = (struct ref_layer){l->n_head, l->n_kv, l->d_head, l->d_ff, l->window, l->qk_norm, l->rope};
    }
    return r;
}

/* What a state's bytes are after each step, from the beginning on. */
struct course {
    double loss[STEPS], norm[STEPS];
    uint8_t *bytes[STEPS + 1];
    size_t n;
};

static void keep(struct course *c, int step, const struct ref_state *s)
{
    const uint8_t *p = ref_state_bytes(s, &c->n);
    c->bytes[step] = memcpy(malloc(c->n), p, c->n);
}

/* Documents begin at each bos; what would be predicted across their border is no target. */
static void batch_of(const struct ref_run *r, int step, int *tok, int *pos, int *target)
{
    int64_t seq = ref_seq(r, step);
    for (int64_t i = 0; i < r->batch_tokens; i++) {
        const int *at = stream + ref_row(r, step, i / seq) * (uint64_t)seq + i % seq;
        tok[i] = at[0];
        target[i] = at[1] == BOS ? -1 : at[1];
        pos[i] = i % seq == 0 || at[0] == BOS ? 0 : pos[i - 1] + 1;
    }
}

static void course_of(struct course *c, const struct ref_run *r)
{
    int tok[BATCH_T2], pos[BATCH_T2], target[BATCH_T2];
    struct ref_state s;
    ref_state_new(&s, r, take);
    struct ref_trainer *t = ref_trainer_new(&s, take);
    int taken_so_far = n_taken;
    keep(c, 0, &s);
    for (int i = 0; i < STEPS; i++) {
        batch_of(r, i, tok, pos, target);
        assert_true(ref_step(t, tok, pos, target, &c->loss[i], &c->norm[i]));
        keep(c, i + 1, &s);
    }
    assert_int_equal(n_taken, taken_so_far);
    ref_state_first(&s);
    assert_memory_equal(ref_state_bytes(&s, &c->n), c->bytes[0], c->n);
    give_back();
}

/* The engine's state as a file: the data behind the header are the tensors without gaps, as NUMERICS §9 orders them. */
static void same_state(struct trainer *t, const struct course *c, int step, const char *who)
{
    struct digest root;
    struct merkle m;
    struct buf b = {0};
    char path[400];
    uint64_t header;
    const size_t cursor = 16, chunk = 1 << 20;
    snprintf(path, sizeof path, "%s/states/step-%08d.safetensors", dir, step);
    ok(trainer_keep(t, dir, &e));
    ok(file_read(&b, path, 1 << 28, &e));
    memcpy(&header, b.p, 8);
    assert_int_equal(b.len, 8 + header + c->n - cursor);
    for (size_t i = 0; i < c->n - cursor; i++)
        if ((uint8_t)b.p[8 + header + i] != c->bytes[step][i])
            fail_msg("%s, step %d: byte %zu of %zu of the states differs", who, step, i, c->n - cursor);
    buf_release(&b);
    unlink(path);
    merkle_init(&m);
    for (size_t at = 0; at < c->n; at += chunk)
        merkle_add(&m, c->bytes[step] + at, c->n - at < chunk ? c->n - at : chunk);
    struct digest want = merkle_root(&m);
    ok(trainer_root(t, &root, &e));
    assert_memory_equal(&root, &want, sizeof root);
}

static void train(const struct run_config *c, const struct course *want, const struct kernels *k, int threads,
                  const char *name)
{
    struct nn x;
    struct trainer *t;
    char who[200];
    snprintf(who, sizeof who, "%s, %s, %d threads", name, isa_name(k->isa), threads);
    ok(nn_init(&x, k, threads, &e));
    ok(trainer_new(&t, &(struct trainer_args){.x = &x, .config = c, .tokens = tokens}, &e));
    trainer_init(t);
    same_state(t, want, 0, who);
    for (int i = 0; i < STEPS; i++) {
        struct step_report r;
        ok(trainer_step(t, &r, &e));
        if (memcmp(&r.loss, &want->loss[i], sizeof r.loss) != 0)
            fail_msg("%s, step %d: loss %a, expected %a", who, i + 1, r.loss, want->loss[i]);
        if (memcmp(&r.grad_norm, &want->norm[i], sizeof r.grad_norm) != 0)
            fail_msg("%s, step %d: gradient norm %a, expected %a", who, i + 1, r.grad_norm, want->norm[i]);
        same_state(t, want, i + 1, who);
    }
    trainer_free(t);
    nn_release(&x);
}

static void training_is_what_numerics_says(void **state)
{
    (void)state;
    for (const struct run_case *k = cases; k < cases + CASES; k++) {
        static struct run_config c;
        static struct ref_run r;
        struct course want;
        c = config_of(k);
        r = reference_of(&c);
        course_of(&want, &r);
        for (int i = ISA_REF; i <= ISA_AMX; i++)
            for (int threads = 1; threads <= (i == ISA_REF ? 1 : 3) && kernels_get((enum isa)i); threads += 2)
                train(&c, &want, kernels_get((enum isa)i), threads, k->name);
        for (int i = 0; i <= STEPS; i++)
            free(want.bytes[i]);
        kernels_fp_enter();
    }
}

/* A loss that is no number: no step is made of it. */
static void what_is_not_finite_changes_nothing(void **state)
{
    (void)state;
    static struct ref_run r;
    static struct run_config c;
    int tok[BATCH_T2], pos[BATCH_T2], target[BATCH_T2];
    double loss, norm;
    struct ref_state s;
    struct course before = {.n = 0};
    c = config_of(&cases[4]);
    r = reference_of(&c);
    ref_state_new(&s, &r, take);
    struct ref_trainer *t = ref_trainer_new(&s, take);
    batch_of(&r, 0, tok, pos, target);
    s.w[s.norm] = INFINITY;
    keep(&before, 0, &s);
    assert_false(ref_step(t, tok, pos, target, &loss, &norm));
    assert_memory_equal(ref_state_bytes(&s, &before.n), before.bytes[0], before.n);
    free(before.bytes[0]);
    give_back();
}

/* ---- the pieces that no state shows one by one ---- */

static void order_is_the_engines(void **state)
{
    (void)state;
    struct rng g;
    rng_init(&g, 11, RNG_TEST, 1);
    for (int i = 0; i < 400; i++) {
        uint64_t key = (uint64_t)rng_u32(&g) << 32 | rng_u32(&g), index = (uint64_t)rng_u32(&g) << 20;
        uint32_t stream_id = rng_u32(&g), epoch = rng_below(&g, 5);
        struct rng4 b = rng_philox(key, RNG_TEST, stream_id, index);
        for (int w = 0; w < 4; w++)
            assert_int_equal(ref_philox(key, RNG_TEST, stream_id, index, w), b.v[w]);
        uint64_t n = i < 40 ? (uint64_t)i + 1 : 1 + ((uint64_t)rng_u32(&g) << rng_below(&g, 20)), x = index % n;
        assert_int_equal(ref_permuted(key, epoch, n, x), rng_permute(key, epoch, n, x));
    }
}

static void rates_are_the_engines(void **state)
{
    (void)state;
    static const int64_t lengths[] = {1, 2, 7, 100, 1001};
    for (int i = 0; i < 5 * 2 * 3; i++) {
        struct schedule s = {.kind = i % 2 ? SCHEDULE_COSINE : SCHEDULE_WSD, .steps = lengths[i / 6],
                             .warmup = i / 2 % 3 * 0.07, .decay = 0.3 * (i / 2 % 3), .floor = 0.05};
        static struct ref_run r;
        r = (struct ref_run){.schedule = i % 2 ? REF_COSINE : REF_WSD, .steps = s.steps, .warmup = s.warmup,
                             .decay = s.decay, .floor = s.floor, .momentum = 0.93};
        for (int64_t k = 0; k < s.steps; k++) {
            double got[2] = {ref_factor(&r, k), ref_momentum(&r, k)};
            double want[2] = {schedule_lr(&s, k), schedule_momentum(&s, k, 0.93)};
            assert_memory_equal(got, want, sizeof got);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(training_is_what_numerics_says),
        cmocka_unit_test(what_is_not_finite_changes_nothing),
        cmocka_unit_test(order_is_the_engines),
        cmocka_unit_test(rates_are_the_engines),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
