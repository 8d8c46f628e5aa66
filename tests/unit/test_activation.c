/* Activation tests on small models made here: what a run gives, places of two tokenizers, neurons that were moved,
 * models that know nothing of each other. */
#include "harness.h"

#include <math.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include "byte_tokenizer.h"
#include "infer/rows.h"
#include "lineage/lineage.h"
#include "model/store.h"

enum { D = 64, FF = 172, LAYERS = 3, MERGES = 6 };
static struct err e;
static struct nn x;
static char top[256];

static int set_up(void **state)
{
    const char *bad;
    (void)state;
    log_quiet(true);
    snprintf(top, sizeof top, "%s", test_dir());
    return nn_init(&x, kernels_best(&bad), 2, &e);
}

static int tear_down(void **state)
{
    (void)state;
    nn_release(&x);
    test_dir_remove(top);
    return 0;
}

/* ---- models ---- */

struct toy {
    struct model_config c;
    struct param_table t;
    float *w;
};

static float even(struct rng *r) { return rng_unit_f32(rng_u32(r)) - 0.5f; }

static void toy_new(struct toy *m, uint64_t seed, int layers, int vocab)
{
    struct rng r;
    rng_init(&r, seed, RNG_TEST, 0);
    model_config_depth(&m->c, 1, vocab, 256);
    m->c.n_layer = layers;
    m->c.d_model = D;
    m->c.bos = 0;
    m->c.eos = 1;
    for (int i = 0; i < layers; i++)
        m->c.layer[i] =
            (struct layer_facts){.n_head = 4, .n_kv = 2, .d_head = 16, .d_ff = FF, .qk_norm = true, .rope = true};
    ok(model_config_check(&m->c, "test", &e));
    ok(param_table_new(&m->t, &m->c, &e));
    m->w = mem_new(m->t.total, sizeof *m->w);
    params_init(&m->t, m->w, seed);
    for (int i = 0; i < m->t.n; i++)
        for (size_t j = 0; m->t.p[i].init != INIT_UNIFORM && j < m->t.p[i].n; j++)
            m->w[m->t.p[i].offset + j] += even(&r) * 0.4f;
}

static void toy_free(struct toy *m)
{
    mem_free(m->w);
    param_table_release(&m->t);
}

static float *part(const struct toy *m, int layer, const char *name)
{
    char full[96];
    snprintf(full, sizeof full, "model.layers.%d.%s.weight", layer, name);
    const struct param *p = param_find(&m->t, full);
    assert_non_null(p);
    return m->w + p->offset;
}

/* Neurons in another order and rescaled, some turned. */
static void toy_permute(struct toy *m, uint64_t seed)
{
    float *old = mem_new(FF * D, sizeof *old);
    int perm[FF];
    for (int l = 0; l < m->c.n_layer; l++) {
        chance_permutation(perm, FF, seed, 9, (uint64_t)l);
        for (int k = 0; k < 3; k++) {
            static const char *const names[] = {"mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"};
            float *w = part(m, l, names[k]);
            memcpy(old, w, FF * D * sizeof *w);
            for (int u = 0; u < FF; u++)
                for (int i = 0; i < D; i++) {
                    float scale = (u % 3 ? 1 : -1) * (1 + (float)(u % 5));
                    int to = k == 2 ? i * FF + u : u * D + i, from = k == 2 ? i * FF + perm[u] : perm[u] * D + i;
                    w[to] = k == 0 ? old[from] : k == 1 ? old[from] * scale : old[from] / scale;
                }
        }
    }
    mem_free(old);
}

/* W (rows, D) := W·Q, with Q = 1 − 2vv'. */
static void turn_rows(float *w, int rows, const float *v)
{
    for (int r = 0; r < rows; r++) {
        float dot = 0, *row = w + (size_t)r * D;
        for (int i = 0; i < D; i++)
            dot += row[i] * v[i];
        for (int i = 0; i < D; i++)
            row[i] -= 2 * dot * v[i];
    }
}

/* W (D, cols) := Q'·W. */
static void turn_columns(float *w, int cols, const float *v)
{
    for (int c = 0; c < cols; c++) {
        float dot = 0;
        for (int i = 0; i < D; i++)
            dot += w[i * cols + c] * v[i];
        for (int i = 0; i < D; i++)
            w[i * cols + c] -= 2 * dot * v[i];
    }
}

static void fold(float *w, int rows, const float *gain)
{
    for (int i = 0; i < rows * D; i++)
        w[i] *= gain[i % D];
}

static void fold_gains(struct toy *m)
{
    for (int l = 0; l < m->c.n_layer; l++) {
        float *g1 = part(m, l, "input_layernorm"), *g2 = part(m, l, "post_attention_layernorm");
        fold(part(m, l, "self_attn.q_proj"), 64, g1);
        fold(part(m, l, "self_attn.k_proj"), 32, g1);
        fold(part(m, l, "self_attn.v_proj"), 32, g1);
        fold(part(m, l, "mlp.gate_proj"), FF, g2);
        fold(part(m, l, "mlp.up_proj"), FF, g2);
        for (int i = 0; i < D; i++)
            g1[i] = g2[i] = 1;
    }
}

static void reflect(struct toy *m, const float *v)
{
    turn_rows(m->w + param_find(&m->t, "model.embed_tokens.weight")->offset, m->c.vocab, v);
    for (int l = 0; l < m->c.n_layer; l++) {
        turn_rows(part(m, l, "self_attn.q_proj"), 64, v);
        turn_rows(part(m, l, "self_attn.k_proj"), 32, v);
        turn_rows(part(m, l, "self_attn.v_proj"), 32, v);
        turn_rows(part(m, l, "mlp.gate_proj"), FF, v);
        turn_rows(part(m, l, "mlp.up_proj"), FF, v);
        turn_columns(part(m, l, "self_attn.o_proj"), 64, v);
        turn_columns(part(m, l, "mlp.down_proj"), FF, v);
    }
}

/* The residual stream turned by a product of random reflections: each of its dimensions becomes a mixture of all. */
static void toy_turn(struct toy *m, uint64_t seed)
{
    struct rng r;
    rng_init(&r, seed, RNG_TEST, 2);
    fold_gains(m);
    for (int t = 0; t < 2 * D; t++) {
        float v[D], square = 0;
        for (int i = 0; i < D; i++) {
            v[i] = even(&r);
            square += v[i] * v[i];
        }
        for (int i = 0; i < D; i++)
            v[i] /= sqrtf(square);
        reflect(m, v);
    }
}

/* Pairs of bytes that are one token in the larger vocabulary. */
static const char *const merge[MERGES][2] = {{"t", "h"}, {"a", "n"}, {"i", "n"}, {"e", "r"}, {"o", "n"}, {"r", "e"}};

static void replace_once(struct buf *b, const char *what, const char *by)
{
    struct buf out = {0};
    const char *at = strstr(b->p, what);
    assert_non_null(at);
    ok(buf_add(&out, b->p, (size_t)(at - b->p), &e));
    ok(buf_adds(&out, by, &e));
    ok(buf_adds(&out, at + strlen(what), &e));
    buf_release(b);
    *b = out;
}

static void pair_tokenizer_write(const char *dir)
{
    struct buf b = {0}, vocab = {0}, merges = {0};
    char path[400];
    ok(byte_tokenizer_write(dir, byte_specials, &e));
    snprintf(path, sizeof path, "%s/tokenizer.json", dir);
    ok(file_read(&b, path, 1 << 20, &e));
    for (int i = 0; i < MERGES; i++) {
        ok(buf_printf(&vocab, &e, ",\"%s%s\":%d", merge[i][0], merge[i][1], BYTE_VOCAB + i));
        ok(buf_printf(&merges, &e, "%s\"%s %s\"", i ? "," : "", merge[i][0], merge[i][1]));
    }
    ok(buf_printf(&vocab, &e, "},\"merges\":[%s]", merges.p));
    replace_once(&b, "},\"merges\":[]", vocab.p);
    ok(file_replace(path, b.p, b.len, &e));
    buf_release(&b);
    buf_release(&vocab);
    buf_release(&merges);
}

/* m with MERGES more tokens, each with the row of its second byte. */
static void toy_add_tokens(struct toy *m)
{
    struct toy more;
    toy_new(&more, 99, m->c.n_layer, BYTE_VOCAB + MERGES);
    for (int i = 0; i < m->t.n; i++) {
        const struct param *p = param_find(&more.t, m->t.p[i].name);
        memcpy(more.w + p->offset, m->w + m->t.p[i].offset, m->t.p[i].n * sizeof *m->w);
    }
    float *embed = more.w + param_find(&more.t, "model.embed_tokens.weight")->offset;
    for (int i = 0; i < MERGES; i++)
        memcpy(embed + (BYTE_VOCAB + i) * D, embed + (BYTE_TOKEN + merge[i][1][0]) * D, D * sizeof *embed);
    toy_free(m);
    *m = more;
}

static const char *toy_write(const struct toy *m, const char *name)
{
    static char path[4][300];
    static int at;
    char *p = path[at++ & 3];
    snprintf(p, sizeof path[0], "%s/%s", top, name);
    ok(model_save(p, &m->c, &m->t, m->w, &e));
    if (m->c.vocab == BYTE_VOCAB)
        ok(byte_tokenizer_write(p, byte_specials, &e));
    else
        pair_tokenizer_write(p);
    return p;
}

static void run_model(struct trace *t, const struct toy *m, const struct nn *y)
{
    struct probe text;
    struct view v;
    ok(probe_builtin(&text, &e));
    ok(view_open(&v, toy_write(m, "model"), &e));
    ok(trace_run(t, &v, &text, y, &e));
    view_close(&v);
    probe_release(&text);
}

static void compare_models(struct activations *r, const struct toy *a, const struct toy *b)
{
    struct trace ta, tb;
    run_model(&ta, a, &x);
    run_model(&tb, b, &x);
    ok(activations_compare(r, &ta, &tb, &x, 1, &e));
    trace_release(&ta);
    trace_release(&tb);
}

/* ---- a run ---- */

/* The last layer's gates and ups are those of the inference session, bit for bit. */
static void a_run_is_that_of_infer(void **state)
{
    (void)state;
    struct toy m;
    struct trace t;
    struct probe text;
    struct infer_model *model;
    struct infer_space w;
    struct kv_pool pool;
    int page[4] = {0, 1, 2, 3}, tok[200], n = 0;
    toy_new(&m, 3, LAYERS, BYTE_VOCAB);
    run_model(&t, &m, &x);
    ok(probe_builtin(&text, &e));
    ok(infer_model_open(&model, &x, toy_write(&m, "model"), &e));
    ok(infer_space_init(&w, model, 200, 200, &e));
    ok(kv_pool_init(&pool, &m.c, 4, &e));
    tok[n++] = 0;
    for (size_t i = 0; i < text.start[1]; i++)
        tok[n++] = BYTE_TOKEN + (unsigned char)text.text.p[i];
    struct infer_seg seg = {.n = n, .pool = &pool, .page = page};
    infer_rows(model, &w, tok, &seg, 1);
    for (int u = 0; u < FF; u++) {
        const bf16 *gate = trace_neuron(&t, t.gate, LAYERS - 1, u), *up = trace_neuron(&t, t.up, LAYERS - 1, u);
        int found = 0;
        for (int f = 0; f < FF; f++) {
            int same = 0;
            for (int k = 1; k < n; k++)
                same += memcmp(&gate[k - 1], &w.gu[k * 2 * FF + f], sizeof *gate) == 0 &&
                        memcmp(&up[k - 1], &w.gu[k * 2 * FF + FF + f], sizeof *up) == 0;
            found += same == n - 1;
        }
        assert_int_equal(found, 1);
    }
    kv_pool_release(&pool);
    infer_space_release(&w);
    infer_model_close(model);
    probe_release(&text);
    trace_release(&t);
    toy_free(&m);
}

static void threads_and_instruction_sets_do_not_matter(void **state)
{
    (void)state;
    struct toy m;
    struct trace t[2];
    struct nn y;
    toy_new(&m, 4, 2, BYTE_VOCAB);
    ok(nn_init(&y, kernels_get(ISA_REF), 3, &e));
    run_model(&t[0], &m, &x);
    run_model(&t[1], &m, &y);
    size_t n = (size_t)t[0].n, neurons = 2 * FF * n;
    assert_int_equal(t[1].n, n);
    assert_memory_equal(t[0].gate, t[1].gate, neurons * sizeof(bf16));
    assert_memory_equal(t[0].up, t[1].up, neurons * sizeof(bf16));
    assert_memory_equal(t[0].gram, t[1].gram, 2 * n * n * sizeof(float));
    nn_release(&y);
    trace_release(&t[0]);
    trace_release(&t[1]);
    toy_free(&m);
}

static void running_out_of_memory_is_one_sentence(void **state)
{
    (void)state;
    struct toy m;
    struct probe text;
    struct view v;
    struct trace t;
    toy_new(&m, 4, 1, BYTE_VOCAB);
    m.c.max_pos = 4;
    ok(probe_builtin(&text, &e));
    ok(view_open(&v, toy_write(&m, "model"), &e));
    for (long n = 1, rc = -1; rc; n++) {
        e = (struct err){0};
        mem_fail_at(n);
        rc = trace_run(&t, &v, &text, &x, &e);
        mem_fail_at(0);
        assert_true(rc == 0 || (*e.msg && t.n == 0 && !t.gate));
        assert_true(n < 10000);
    }
    trace_release(&t);
    view_close(&v);
    probe_release(&text);
    toy_free(&m);
}

static void a_context_cuts_each_sequence(void **state)
{
    (void)state;
    struct toy m;
    struct trace t;
    toy_new(&m, 4, 1, BYTE_VOCAB);
    m.c.max_pos = 8;
    run_model(&t, &m, &x);
    assert_int_equal(t.n, 24 * 7);  /* <|bos|> and seven bytes of each of 24 sentences */
    for (int i = 0; i < 7; i++)
        assert_int_equal(t.end[i], i + 1);
    assert_true(t.end[7] > 20);
    trace_release(&t);
    toy_free(&m);
}

/* ---- models that cannot be run ---- */

static void why_not(const char *path, const struct probe *text, int code, const char *sentence)
{
    struct view v;
    struct trace t;
    ok(view_open(&v, path, &e));
    refused(trace_run(&t, &v, text, &x, &e), code, sentence);
    assert_non_null(strstr(e.msg, path));
    assert_true(t.n == 0 && !t.gate);
    view_close(&v);
}

static void what_cannot_be_run_says_why(void **state)
{
    (void)state;
    struct toy m;
    struct probe text, empty = {0};
    char file[400];
    toy_new(&m, 4, 1, BYTE_VOCAB);
    ok(probe_builtin(&text, &e));
    const char *path = toy_write(&m, "silent");
    why_not(path, &empty, ERR_VALUE, "too short");
    snprintf(file, sizeof file, "%s/model.safetensors", path);
    why_not(file, &text, ERR_FORMAT, "not a folder");
    snprintf(file, sizeof file, "%s/tokenizer.json", path);
    ok(file_replace(file, "{}", 2, &e));
    why_not(path, &text, ERR_FORMAT, "tokenizer.json");
    ok(file_remove(file, &e));
    why_not(path, &text, ERR_FORMAT, "has no tokenizer.json");
    snprintf(file, sizeof file, "%s/config.json", path);
    ok(file_replace(file, "{\"model_type\":\"llama\"}", 22, &e));
    why_not(path, &text, ERR_FORMAT, "config.json");
    ok(file_remove(file, &e));
    why_not(path, &text, ERR_FORMAT, "has no config.json");
    m.w[m.t.p[3].offset] = INFINITY;
    why_not(toy_write(&m, "broken"), &text, ERR_NUMERIC, "not finite");
    probe_release(&text);
    toy_free(&m);
}

/* ---- text ---- */

static void text_is_lines(void **state)
{
    (void)state;
    struct probe p;
    char path[300];
    snprintf(path, sizeof path, "%s/text", top);
    static const char lines[] = "first\r\n\n  \t\ne\xcc\x81nd";  /* e and an accent become one character */
    ok(file_replace(path, lines, sizeof lines - 1, &e));
    ok(probe_read(&p, path, &e));
    assert_int_equal(p.n, 2);
    assert_memory_equal(p.text.p, "first\xc3\xa9nd", 9);
    assert_true(p.start[0] == 0 && p.start[1] == 5 && p.start[2] == 9);
    probe_release(&p);
    ok(file_replace(path, " \n\n", 3, &e));
    refused(probe_read(&p, path, &e), ERR_VALUE, "holds no text");
    ok(file_replace(path, "", 0, &e));
    refused(probe_read(&p, path, &e), ERR_VALUE, "holds no text");
    ok(file_replace(path, "ab\xff", 3, &e));
    refused(probe_read(&p, path, &e), ERR_FORMAT, "byte 2 is not UTF-8");
    refused(probe_read(&p, "nowhere/text", &e), ERR_IO, "nowhere/text");
    struct buf b = {0};
    for (int i = 0; i < PROBE_MAX_BYTES / 3 + 100; i++)
        ok(buf_adds(&b, "가", &e));
    ok(file_replace(path, b.p, b.len, &e));
    ok(probe_read(&p, path, &e));
    assert_true(p.n == 1 && p.text.len <= PROBE_MAX_BYTES && p.text.len % 3 == 0 && p.start[1] == p.text.len);
    probe_release(&p);
    buf_clear(&b);
    for (int i = 0; i < PROBE_MAX_SEQ + 5; i++)
        ok(buf_adds(&b, "x\n", &e));
    ok(file_replace(path, b.p, b.len, &e));
    ok(probe_read(&p, path, &e));
    assert_int_equal(p.n, PROBE_MAX_SEQ);
    probe_release(&p);
    buf_release(&b);
}

static void places_are_where_tokens_of_both_end(void **state)
{
    (void)state;
    struct trace a = {.n = 5, .end = {1, 3, 4, 7, 9}}, b = {.n = 4, .end = {2, 3, 7, 10}};
    int pa[TRACE_MAX_TOKENS], pb[TRACE_MAX_TOKENS];
    assert_int_equal(activation_places(pa, pb, &a, &b), 2);
    assert_true(pa[0] == 1 && pb[0] == 1 && pa[1] == 3 && pb[1] == 2);
    b.n = 0;
    assert_int_equal(activation_places(pa, pb, &a, &b), 0);
}

/* ---- pairs ---- */

static void moved_neurons_are_found(void **state)
{
    (void)state;
    struct toy a, b;
    struct activations r;
    toy_new(&a, 5, LAYERS, BYTE_VOCAB);
    toy_new(&b, 5, LAYERS, BYTE_VOCAB);
    toy_permute(&b, 6);
    toy_turn(&b, 7);
    compare_models(&r, &a, &b);
    assert_int_equal(r.n, LAYERS);
    assert_true(r.effect > 0.99 && match_p(&r.count) < 1e-50 && r.cka > 0.99);
    for (int i = 0; i < r.n; i++)
        assert_int_equal(r.m[i].a, r.m[i].b);
    toy_free(&a);
    toy_free(&b);
}

/* A dropped layer, and the model with fewer layers first and second. */
static void layers_find_each_other(void **state)
{
    (void)state;
    struct toy a, b;
    struct activations r;
    toy_new(&a, 5, LAYERS, BYTE_VOCAB);
    toy_new(&b, 5, LAYERS - 1, BYTE_VOCAB);
    for (int i = 0; i < b.t.n; i++) {
        char name[96];
        const struct param *p = &b.t.p[i];
        snprintf(name, sizeof name, "%s", p->name);
        if (p->layer == 1)
            name[strlen("model.layers.")] = '2';
        memcpy(b.w + p->offset, a.w + param_find(&a.t, name)->offset, p->n * sizeof *b.w);
    }
    for (int turn = 0; turn < 2; turn++) {
        compare_models(&r, turn ? &b : &a, turn ? &a : &b);
        assert_int_equal(r.n, 2);
        assert_true(r.effect > 0.6);
        assert_int_equal(turn ? r.m[1].b : r.m[1].a, 2);
        assert_int_equal(turn ? r.m[1].a : r.m[1].b, 1);
    }
    toy_free(&a);
    toy_free(&b);
}

static void another_vocabulary_does_not_hide_it(void **state)
{
    (void)state;
    struct toy a, b;
    struct activations r;
    toy_new(&a, 5, LAYERS, BYTE_VOCAB);
    toy_new(&b, 5, LAYERS, BYTE_VOCAB);
    toy_permute(&b, 6);
    toy_turn(&b, 7);
    toy_add_tokens(&b);
    compare_models(&r, &a, &b);
    assert_true(r.places > 100 && r.places < 500);
    assert_true(r.effect > 0.7 && match_p(&r.count) < 1e-20);
    toy_free(&a);
    toy_free(&b);
}

static void independent_models_do_not_agree(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 6; i++) {
        struct toy a, b;
        struct activations r;
        toy_new(&a, 10 + i, LAYERS, BYTE_VOCAB);
        toy_new(&b, 20 + i, i % 2 ? LAYERS : 2, BYTE_VOCAB);
        toy_turn(&b, 7);
        if (i >= 3)
            toy_add_tokens(&b);
        compare_models(&r, &a, &b);
        assert_true(r.n > 0 && r.effect < 0.05 && match_p(&r.count) > 1e-3);
        toy_free(&a);
        toy_free(&b);
    }
}

/* ---- the verdict ---- */

/* The audit of a pair of which nobody knows the vocabularies, so that weights in other dimensions cannot be mapped. */
static void audit(struct lineage_pair *p, const struct toy *a, const struct toy *b, double run_limit)
{
    struct subject s[2];
    struct probe text;
    struct lineage_opts o = {.x = &x, .draws = 999, .seed = 1};
    const struct toy *m[2] = {a, b};
    ok(probe_builtin(&text, &e));
    for (int i = 0; i < 2; i++) {
        ok(subject_open(&s[i], toy_write(m[i], i ? "b" : "a"), &x, &e));
        ok(subject_run(&s[i], &text, run_limit, &x, &e));
        vocab_release(&s[i].vocab);
        s[i].v.vocab += i;
    }
    ok(lineage_run(p, &s[0], &s[1], &o, &e));
    lineage_judge(p, 1);
    assert_true(run_limit > 1e3 || strstr(p->test[TEST_ACTIVATIONS].why_not, "limit"));
    subject_close(&s[0]);
    subject_close(&s[1]);
    probe_release(&text);
}

static void answers_alone_decide(void **state)
{
    (void)state;
    struct toy a, b, c;
    struct lineage_pair p;
    toy_new(&a, 5, LAYERS, BYTE_VOCAB);
    toy_new(&b, 5, LAYERS, BYTE_VOCAB);
    toy_new(&c, 6, LAYERS, BYTE_VOCAB);
    toy_permute(&b, 6);
    toy_turn(&b, 7);
    toy_add_tokens(&b);
    audit(&p, &a, &b, 1e9);
    assert_false(p.test[TEST_MAPPED_NEURONS].done || p.test[TEST_NEURONS].flagged || p.test[TEST_TENSORS].flagged);
    assert_true(p.test[TEST_ACTIVATIONS].flagged && p.act_covered > 0.5);
    assert_int_equal(p.verdict, LINEAGE_DERIVED);
    assert_non_null(strstr(p.reason, "answer to text"));
    audit(&p, &c, &b, 1e9);
    assert_true(p.test[TEST_ACTIVATIONS].done && p.test[TEST_STREAM].done);
    assert_int_equal(p.verdict, LINEAGE_NONE);
    audit(&p, &a, &b, 1e3);
    assert_false(p.test[TEST_ACTIVATIONS].done || p.test[TEST_STREAM].done);
    assert_true(p.test[TEST_HEADS].flagged);      /* what weights alone show of it */
    assert_int_equal(p.verdict, LINEAGE_SHARES);
    toy_free(&a);
    toy_free(&b);
    toy_free(&c);
}

/* ---- unbiased CKA ---- */

/* HSIC₁ as the mean over different i, j, q, r of k_ij·l_ij + k_ij·l_qr − 2·k_ij·l_iq (Song et al. 2012, theorem 2). */
static double hsic_by_tuples(const float *k, const float *l, int n)
{
    double sum = 0;
    int count = 0;
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++)
            for (int q = 0; q < n; q++)
                for (int r = 0; r < n; r++) {
                    if (i == j || i == q || i == r || j == q || j == r || q == r)
                        continue;
                    double kij = (double)k[i * n + j];
                    sum += kij * (double)l[i * n + j] + kij * (double)l[q * n + r] - 2 * kij * (double)l[i * n + q];
                    count++;
                }
    return sum / count;
}

static void cka_is_the_mean_over_tuples(void **state)
{
    (void)state;
    enum { N = 7 };
    float k[N * N], l[N * N];
    struct rng r;
    rng_init(&r, 8, RNG_TEST, 3);
    int below = 0;
    for (int t = 0; t < 50; t++) {
        for (int i = 0; i < N; i++)
            for (int j = 0; j <= i; j++) {
                k[i * N + j] = k[j * N + i] = even(&r);
                l[i * N + j] = l[j * N + i] = even(&r);
            }
        double kk = hsic_by_tuples(k, k, N), ll = hsic_by_tuples(l, l, N);
        double want = hsic_by_tuples(k, l, N) / sqrt(kk * ll), got = activation_cka(k, l, N);
        if (!(kk > 0 && ll > 0))
            continue;
        assert_true(fabs(got - want) < 1e-9);
        assert_true(fabs(activation_cka(k, k, N) - 1) < 1e-9);
        below += got < 0;
    }
    assert_true(below > 5);
    memset(k, 0, sizeof k);
    assert_true(isnan(activation_cka(k, l, N)));
}

int main(void)
{
    const struct CMUnitTest t[] = {
        cmocka_unit_test(a_run_is_that_of_infer), cmocka_unit_test(threads_and_instruction_sets_do_not_matter),
        cmocka_unit_test(running_out_of_memory_is_one_sentence), cmocka_unit_test(a_context_cuts_each_sequence),
        cmocka_unit_test(what_cannot_be_run_says_why), cmocka_unit_test(text_is_lines),
        cmocka_unit_test(places_are_where_tokens_of_both_end), cmocka_unit_test(moved_neurons_are_found),
        cmocka_unit_test(layers_find_each_other), cmocka_unit_test(another_vocabulary_does_not_hide_it),
        cmocka_unit_test(independent_models_do_not_agree), cmocka_unit_test(answers_alone_decide),
        cmocka_unit_test(cka_is_the_mean_over_tuples),
    };
    return cmocka_run_group_tests(t, set_up, tear_down);
}
