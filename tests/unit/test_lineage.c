/* The audit on small models made here: independent ones, and copies changed in the ways it must see through. */
#include "harness.h"

#include <math.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/rng.h"
#include "formats/safetensors.h"
#include "lineage/lineage.h"
#include "lineage/calibration.h"
#include "lineage/vocab.h"

enum { D = 64, FF = 96, LAYERS = 3, VOCAB = 300, PER_LAYER = 9, N = LAYERS * PER_LAYER + 2 };
static const char *const part[PER_LAYER] = {"input_layernorm", "self_attn.q_proj", "self_attn.k_proj",
                                            "self_attn.v_proj", "self_attn.o_proj", "post_attention_layernorm",
                                            "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"};
static const int rows_of[PER_LAYER] = {1, D, D, D, D, 1, FF, FF, D}, cols_of[PER_LAYER] = {D, D, D, D, D, D, D, D, FF};
static struct err e;

struct toy {
    float *w[N];
    char name[N][64];
    int rows[N], cols[N];
};

static float normal(struct rng *r)
{
    double s = -6;
    for (int i = 0; i < 12; i++)
        s += (double)rng_unit_f32(rng_u32(r));
    return (float)s;
}

static void toy_new(struct toy *t, uint64_t seed)
{
    struct rng r;
    rng_init(&r, seed, RNG_TEST, 0);
    for (int i = 0; i < N; i++) {
        int l = i / PER_LAYER, k = i % PER_LAYER;
        bool table = i >= LAYERS * PER_LAYER;
        if (table)
            snprintf(t->name[i], sizeof t->name[i], "model.%s.weight", i == N - 1 ? "norm" : "embed_tokens");
        else
            snprintf(t->name[i], sizeof t->name[i], "model.layers.%d.%s.weight", l, part[k]);
        t->rows[i] = table ? i == N - 1 ? 1 : VOCAB : rows_of[k];
        t->cols[i] = table ? D : cols_of[k];
        size_t n = (size_t)t->rows[i] * (size_t)t->cols[i];
        t->w[i] = mem_new(n, sizeof(float));
        for (size_t j = 0; j < n; j++)
            t->w[i][j] = t->rows[i] == 1 ? 1 + 0.1f * normal(&r) : normal(&r);
    }
}

static void toy_free(struct toy *t)
{
    for (int i = 0; i < N; i++)
        mem_free(t->w[i]);
}

static void toy_write(const struct toy *t, const char *path)
{
    struct st_write s[N];
    for (int i = 0; i < N; i++) {
        s[i] = (struct st_write){t->name[i], ST_F32, 2, {(uint64_t)t->rows[i], (uint64_t)t->cols[i]}, t->w[i]};
        if (t->rows[i] == 1)
            s[i] = (struct st_write){t->name[i], ST_F32, 1, {(uint64_t)t->cols[i]}, t->w[i]};
    }
    ok(safetensors_write(path, s, N, NULL, 0, &e));
}

static void toy_noise(struct toy *t, float share, uint64_t seed)
{
    struct rng r;
    rng_init(&r, seed, RNG_TEST, 1);
    for (int i = 0; i < N; i++)
        for (size_t j = 0; j < (size_t)t->rows[i] * (size_t)t->cols[i]; j++)
            t->w[i][j] += share * (t->rows[i] == 1 ? 0.1f : 1) * normal(&r);
}

/* The neurons of every layer in another order, and each scaled. */
static void toy_permute(struct toy *t, uint64_t seed)
{
    int perm[FF];
    for (int l = 0; l < LAYERS; l++) {
        float *gate = t->w[l * PER_LAYER + 6], *up = t->w[l * PER_LAYER + 7], *down = t->w[l * PER_LAYER + 8];
        float *g = mem_new(FF * D, sizeof *g), *u = mem_new(FF * D, sizeof *u), *d = mem_new(FF * D, sizeof *d);
        chance_permutation(perm, FF, seed, 9, (uint64_t)l);
        for (int i = 0; i < FF; i++)
            for (int k = 0; k < D; k++) {
                float scale = 1 + (float)(i % 7);
                g[i * D + k] = gate[perm[i] * D + k];
                u[i * D + k] = up[perm[i] * D + k] * scale;
                d[k * FF + i] = down[k * FF + perm[i]] / scale;
            }
        memcpy(gate, g, FF * D * sizeof *g);
        memcpy(up, u, FF * D * sizeof *u);
        memcpy(down, d, FF * D * sizeof *d);
        mem_free(g);
        mem_free(u);
        mem_free(d);
    }
}

/* The residual stream in another order and with other signs, norm gains folded into the matrices. */
static void toy_turn(struct toy *t, uint64_t seed)
{
    int perm[D];
    float sign[D];
    chance_permutation(perm, D, seed, 10, 0);
    for (int k = 0; k < D; k++)
        sign[k] = perm[k] % 3 ? 1 : -1;
    for (int i = 0; i < N; i++) {
        int k = i % PER_LAYER;
        bool out = i < LAYERS * PER_LAYER && (k == 4 || k == 8);
        const float *gain = i >= LAYERS * PER_LAYER || out || t->rows[i] == 1 ? NULL : t->w[i - k + (k < 5 ? 0 : 5)];
        float *w = mem_new((size_t)t->rows[i] * (size_t)t->cols[i], sizeof *w);
        for (int r = 0; r < t->rows[i]; r++)
            for (int c = 0; c < t->cols[i]; c++) {
                int fr = out ? perm[r] : r, fc = out ? c : perm[c];
                float v = t->w[i][fr * t->cols[i] + fc] * (out ? sign[r] : sign[c]);
                w[r * t->cols[i] + c] = t->rows[i] == 1 ? 1 : gain ? v * gain[fc] : v;
            }
        if (t->rows[i] > 1)
            memcpy(t->w[i], w, (size_t)t->rows[i] * (size_t)t->cols[i] * sizeof *w);
        mem_free(w);
    }
    for (int i = 0; i < N; i++)
        for (int c = 0; t->rows[i] == 1 && c < D; c++)
            t->w[i][c] = 1;
}

static void audit(struct lineage_pair *p, const struct toy *a, const struct toy *b, int threads)
{
    const char *dir = test_dir();
    char pa[300], pb[300];
    struct subject s[2];
    struct nn y;
    snprintf(pa, sizeof pa, "%s/a.safetensors", dir);
    snprintf(pb, sizeof pb, "%s/b.safetensors", dir);
    toy_write(a, pa);
    toy_write(b, pb);
    const char *bad;
    ok(nn_init(&y, kernels_best(&bad), threads, &e));
    ok(subject_open(&s[0], pa, &y, &e));
    ok(subject_open(&s[1], pb, &y, &e));
    struct lineage_opts o = {.x = &y, .draws = 1999, .seed = 1};
    ok(lineage_run(p, &s[0], &s[1], &o, &e));
    lineage_judge(p, 1);
    subject_close(&s[0]);
    subject_close(&s[1]);
    nn_release(&y);
    p->a = p->b = NULL;
    test_dir_remove(dir);
}

static void expect(const struct lineage_pair *p, enum lineage_verdict v)
{
    if (p->verdict != v)
        fail_msg("verdict %s (%s), expected %s", lineage_verdict_name(p->verdict), p->reason, lineage_verdict_name(v));
}

static void independent_models_are_not_flagged(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 4; i++) {
        struct toy a, b;
        struct lineage_pair p;
        toy_new(&a, 10 + i);
        toy_new(&b, 20 + i);
        audit(&p, &a, &b, 2);
        expect(&p, LINEAGE_NONE);
        for (int t = 0; t < N_TESTS; t++)
            assert_false(p.test[t].flagged);
        assert_true(p.norm_cosine > 0.98);
        toy_free(&a);
        toy_free(&b);
    }
}

static void relatives_are_found(void **state)
{
    (void)state;
    for (int change = 0; change < 4; change++) {
        struct toy a, b;
        struct lineage_pair p;
        toy_new(&a, 5);
        toy_new(&b, 5);
        if (change == 1 || change == 3)
            toy_permute(&b, 6);
        if (change >= 2)
            toy_turn(&b, 7);
        toy_noise(&b, 0.3f, 8);
        audit(&p, &a, &b, 2);
        expect(&p, LINEAGE_DERIVED);
        assert_true(p.test[TEST_MAPPED_NEURONS].flagged);
        assert_true(p.test[change < 2 ? TEST_ATTENTION : TEST_MAPPED_ATTENTION].flagged);
        assert_int_equal(p.test[TEST_FFN].flagged, change < 2);
        assert_int_equal(p.test[TEST_TENSORS].flagged, 0);
        for (int l = 0; l < p.n_ffn; l++)
            assert_int_equal(p.ffn[l].a, p.ffn[l].b);
        toy_free(&a);
        toy_free(&b);
    }
}

static void shared_parts_are_named(void **state)
{
    (void)state;
    struct toy a, b;
    struct lineage_pair p;
    toy_new(&a, 5);
    toy_new(&b, 55);
    memcpy(b.w[N - 2], a.w[N - 2], VOCAB * D * sizeof(float));
    audit(&p, &a, &b, 1);
    expect(&p, LINEAGE_SHARES);
    assert_true(p.test[TEST_EMBEDDING].flagged && p.test[TEST_TENSORS].flagged);
    assert_false(p.test[TEST_ATTENTION].flagged || p.test[TEST_FFN].flagged || p.test[TEST_NEURONS].flagged);
    assert_non_null(strstr(p.reason, "embedding"));
    toy_free(&a);
    toy_free(&b);
}

static void threads_do_not_matter(void **state)
{
    (void)state;
    struct toy a, b;
    struct lineage_pair p[2];
    toy_new(&a, 5);
    toy_new(&b, 6);
    toy_noise(&b, 0.1f, 8);
    for (int i = 0; i < 2; i++)
        audit(&p[i], &a, &b, i ? 3 : 1);
    for (int t = 0; t < N_TESTS; t++) {
        assert_memory_equal(&p[0].test[t].effect, &p[1].test[t].effect, sizeof(double));
        assert_memory_equal(&p[0].test[t].p, &p[1].test[t].p, sizeof(double));
    }
    toy_free(&a);
    toy_free(&b);
}

static bool same_results(const struct lineage_pair *p, const struct lineage_pair *q)
{
    bool same = p->verdict == q->verdict && memcmp(&p->compensation, &q->compensation, sizeof p->compensation) == 0 &&
                memcmp(&p->norm_cosine, &q->norm_cosine, sizeof p->norm_cosine) == 0;
    for (int t = 0; t < N_TESTS; t++)
        same = same && p->test[t].done == q->test[t].done &&
               memcmp(&p->test[t].effect, &q->test[t].effect, sizeof(double)) == 0 &&
               memcmp(&p->test[t].p, &q->test[t].p, sizeof(double)) == 0;
    return same;
}

/* Every third allocation fails once: the verdict is the same or there is none. */
static void short_memory_is_no_finding(void **state)
{
    (void)state;
    const char *dir = test_dir(), *bad;
    struct toy a;
    struct subject s[2];
    struct nn x;
    struct lineage_pair whole, p;
    char path[2][300]; /* a subject's, as long as it is open */
    ok(nn_init(&x, kernels_best(&bad), 1, &e));
    for (int i = 0; i < 2; i++) {
        snprintf(path[i], sizeof path[i], "%s/%d.safetensors", dir, i);
        toy_new(&a, 5);
        if (i)
            toy_noise(&a, 0.3f, 8);
        toy_write(&a, path[i]);
        toy_free(&a);
        ok(subject_open(&s[i], path[i], &x, &e));
    }
    struct lineage_opts o = {.x = &x, .draws = 9, .seed = 1};
    ok(lineage_run(&whole, &s[0], &s[1], &o, &e));
    lineage_judge(&whole, 1);
    long n = 1;
    for (int rc = ERR_NOMEM; rc; n += 3) {
        mem_fail_at(n);
        rc = lineage_run(&p, &s[0], &s[1], &o, &e);
        mem_fail_at(0);
        if (rc && (rc != ERR_NOMEM || e.code != rc))
            fail_msg("allocation %ld: %d \"%s\"", n, rc, e.msg);
        lineage_judge(&p, 1);
        if (rc == 0 && !same_results(&p, &whole))
            fail_msg("allocation %ld: %s (%s)", n, lineage_verdict_name(p.verdict), p.reason);
    }
    assert_true(n > 50);
    subject_close(&s[0]);
    subject_close(&s[1]);
    nn_release(&x);
    test_dir_remove(dir);
}

/* ---- chance ---- */

static double draw(void *user, uint64_t t)
{
    int perm[1000];
    chance_permutation(perm, 1000, *(uint64_t *)user, 4, t);
    return perm[0];
}

/* Under the null p is at most uniform: P(p ≤ 0.05) ≤ 0.05. */
static void permutation_p_is_honest(void **state)
{
    (void)state;
    int small = 0;
    for (uint64_t i = 0; i < 400; i++) {
        uint64_t seed = 1000 + i, other = 77 + i;
        struct chance_result r = chance_test(draw(&other, 5), 399, draw, &seed, 1);
        small += r.p <= 0.05;
    }
    assert_true(small >= 5 && small <= 36);
}

/* Figures that are known beforehand: x is reached by every draw of which t mod every = every − 1. */
static double now_and_then(void *user, uint64_t t)
{
    uint64_t every = *(uint64_t *)user;
    return t % every == every - 1;
}

static void a_test_stops_at_the_twentieth(void **state)
{
    (void)state;
    static const struct {
        uint64_t every;
        int64_t most, made;
        double p;
    } t[] = {{1, 9999, 20, 1},                    /* all of them */
             {7, 9999, 140, 20 / 140.0},          /* not a multiple of what is computed at once */
             {300, 9999, 6000, 20 / 6000.0},
             {7, 140, 140, 20 / 140.0},           /* at the last draw allowed */
             {7, 139, 139, (1 + 19) / 140.0},     /* one draw short of it */
             {20000, 9999, 9999, 1 / 10000.0}};   /* never: no p is zero */
    for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
        uint64_t every = t[i].every;
        struct chance_result r = chance_test(1, t[i].most, now_and_then, &every, 1);
        assert_int_equal(r.draws, t[i].made);
        assert_true(fabs(r.p - t[i].p) < 1e-12);
    }
}

static double uniform(void *user, uint64_t t)
{
    return rng_philox(*(uint64_t *)user, RNG_TEST, 0, t).v[0];
}

/* P(p ≤ u) ≤ u at every u, where tests stop early and where they do not, and not far below it. */
static void stopping_early_keeps_p_honest(void **state)
{
    (void)state;
    enum { TRIALS = 20000, DRAWS = 199 };
    static double p[TRIALS];
    int early = 0;
    for (int i = 0; i < TRIALS; i++) {
        uint64_t seed = (uint64_t)i, other = (uint64_t)i + TRIALS;
        struct chance_result r = chance_test(uniform(&other, 0), DRAWS, uniform, &seed, 1);
        p[i] = r.p;
        early += r.draws < DRAWS;
    }
    assert_true(early > TRIALS / 2 && early < TRIALS);
    for (int k = 1; k < 20; k++) {
        /* STOP / n for n draws, or so many of DRAWS + 1: the values that p can have, where the share is exact. */
        const double u[2] = {(double)CHANCE_STOP / (20 + 9 * k), k / (DRAWS + 1.0)};
        for (int j = 0; j < 2; j++) {
            int n = 0;
            for (int i = 0; i < TRIALS; i++)
                n += p[i] <= u[j] + 1e-12;
            double sd = sqrt(u[j] * (1 - u[j]) / TRIALS), share = (double)n / TRIALS;
            if (!(fabs(share - u[j]) < 4.5 * sd))
                fail_msg("P(p <= %.4f) = %.4f, %.1f standard deviations off", u[j], share, (share - u[j]) / sd);
        }
    }
}

static void tails_are_right(void **state)
{
    (void)state;
    /* P(X ≥ 3 | 1) = 1 − e⁻¹(1 + 1 + ½); P(X ≥ 20 | 2) from a table of the Poisson distribution. */
    assert_true(fabs(chance_poisson_tail(1, 3) - (1 - exp(-1) * 2.5)) < 1e-12);
    assert_true(fabs(chance_poisson_tail(2, 20) / 6.4e-14 - 1) < 0.05);
    assert_true(fabs(chance_poisson_tail(3, 0) - 1) < 1e-12);
    /* Below the mean: P(X ≥ 1) = 1 − e^−mean, and what a thousand terms do not reach. */
    assert_true(fabs(chance_poisson_tail(2, 1) - (1 - exp(-2))) < 1e-12);
    assert_true(fabs(chance_poisson_tail(1000, 1) - 1) < 1e-12);
    assert_true(fabs(chance_poisson_tail(3000, 100) - 1) < 1e-12);
    /* About the mean, by the central limit: a half, and both ways of adding up meet. */
    double at = chance_poisson_tail(4000, 4000), above = chance_poisson_tail(4000, 4001);
    assert_true(fabs(at - 0.5) < 0.01 && at > above && at - above < 1 / sqrt(2 * 3.14159 * 4000));
    assert_true(chance_poisson_tail(10, 5000) >= CHANCE_LEAST);
    double p[4] = {0.01, 0.04, 0.03, 0.005};
    const double want[4] = {0.03, 0.06, 0.06, 0.02};
    chance_holm(p, 4);
    for (int i = 0; i < 4; i++)
        assert_true(fabs(p[i] - want[i]) < 1e-12);
}

/* With the fewest draws the smallest p there is makes a finding among all tests of all pairs, with one less not. */
static void fewest_draws_can_find(void **state)
{
    (void)state;
    static struct subject s;
    static struct lineage_pair p[3];
    for (int n = 1; n <= 3; n++)
        for (int less = 0; less < 2; less++) {
            int64_t draws = lineage_least_draws(n) - less;
            for (int i = 0; i < n; i++) {
                p[i] = (struct lineage_pair){.a = &s, .b = &s};
                for (int t = 0; t < N_TESTS; t++)
                    p[i].test[t] = (struct test_result){.done = true, .p_raw = 1};
            }
            p[0].test[TEST_SPECTRA].p_raw = 1 / ((double)draws + 1);
            p[0].test[TEST_SPECTRA].effect = 1;
            lineage_judge(p, n);
            assert_int_equal(p[0].test[TEST_SPECTRA].flagged, !less);
        }
    assert_int_equal(lineage_least_draws(1), 1199);
}

/* A tokenizer file may give one id to more texts than the embedding has rows. */
static void many_texts_of_one_id_are_paired(void **state)
{
    (void)state;
    enum { TEXTS = 5000, ROWS = 4 };
    struct vocab_entry *v = mem_new(TEXTS, sizeof *v);
    char *text = mem_new(TEXTS, 16);
    for (int i = 0; i < TEXTS; i++) {
        snprintf(text + 16 * i, 16, "t%05d", i);
        v[i] = (struct vocab_entry){text + 16 * i, i % ROWS};
    }
    const struct vocab a = {v, TEXTS, NULL}, b = {v + 10, TEXTS - 10, NULL};
    const struct view rows = {.vocab = ROWS};
    struct token_pairs s;
    assert_int_equal(vocab_shared(&s, &a, &b, &rows, &rows, &e), 0);
    assert_int_equal(s.n, TEXTS - 10);
    assert_int_equal(s.p[0].a, 10 % ROWS);
    token_pairs_release(&s);
    mem_free(v);
    mem_free(text);
}

int main(void)
{
    const struct CMUnitTest t[] = {
        cmocka_unit_test(independent_models_are_not_flagged), cmocka_unit_test(relatives_are_found),
        cmocka_unit_test(shared_parts_are_named), cmocka_unit_test(threads_do_not_matter),
        cmocka_unit_test(short_memory_is_no_finding),
        cmocka_unit_test(permutation_p_is_honest),
        cmocka_unit_test(a_test_stops_at_the_twentieth),
        cmocka_unit_test(stopping_early_keeps_p_honest), cmocka_unit_test(tails_are_right),
        cmocka_unit_test(fewest_draws_can_find),
        cmocka_unit_test(many_texts_of_one_id_are_paired),
    };
    return cmocka_run_group_tests(t, NULL, NULL);
}
