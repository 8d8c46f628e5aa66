/* Heads without residual dimensions: eigenvalues and spectra against known ones, what leaves them as they are, and
 * models that share attention alone in a turned copy. */
#include "harness.h"

#include <math.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/rng.h"
#include "formats/safetensors.h"
#include "lineage/eigen.h"
#include "lineage/kin.h"
#include "lineage/lineage.h"

enum { D = 64, HEADS = 4, KV = 2, SIZE = 16, FF = 32, LAYERS = 3, VOCAB = 200, PER = 8, N = LAYERS * PER + 1 };
static const char *const part[PER] = {"input_layernorm", "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj",
                                      "self_attn.o_proj", "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"};
static const int rows_of[PER] = {1, HEADS * SIZE, KV * SIZE, KV * SIZE, D, FF, FF, D};
static const int cols_of[PER] = {D, D, D, D, HEADS * SIZE, D, D, FF};
static struct err e;

static double normal(struct rng *r)
{
    double s = -6;
    for (int i = 0; i < 12; i++)
        s += (double)rng_unit_f32(rng_u32(r));
    return s;
}

/* q (n, n): a random rotation, by Gram and Schmidt. */
static void turn_new(double *q, int n, uint64_t seed)
{
    struct rng r;
    rng_init(&r, seed, RNG_TEST, 2);
    for (int i = 0; i < n; i++) {
        for (int k = 0; k < n; k++)
            q[i * n + k] = normal(&r);
        for (int pass = 0; pass < 2; pass++)
            for (int j = 0; j < i; j++) {
                double s = 0;
                for (int k = 0; k < n; k++)
                    s += q[i * n + k] * q[j * n + k];
                for (int k = 0; k < n; k++)
                    q[i * n + k] -= s * q[j * n + k];
            }
        double s = 0;
        for (int k = 0; k < n; k++)
            s += q[i * n + k] * q[i * n + k];
        for (int k = 0; k < n; k++)
            q[i * n + k] /= sqrt(s);
    }
}

/* ---- eigenvalues ---- */

/* The second difference on n points: 2 − 2·cos(kπ/(n + 1)), k = n … 1. */
static void eigenvalues_of_the_second_difference(void **state)
{
    (void)state;
    static double a[96 * 96], w[96];
    for (int n = 1; n <= 96; n = 2 * n + 1) {
        for (int i = 0; i < n * n; i++)    /* the upper triangle is not read */
            a[i] = i / n == i % n ? 2 : i / n - i % n == 1 ? -1 : i / n < i % n ? 99 : 0;
        eigen_symmetric(w, a, n);
        for (int i = 0; i < n; i++)
            assert_true(fabs(w[i] - (2 - 2 * cos((n - i) * acos(-1) / (n + 1)))) < 1e-13);
    }
}

/* Q·diag(λ)·Qᵀ with equal, zero and negative λ. */
static void eigenvalues_of_turned_diagonals(void **state)
{
    (void)state;
    enum { M = 20 };
    static double q[M * M], a[M * M], w[M];
    double known[M] = {1e6, 5, 5, 5, 1};
    known[M - 1] = -3;
    turn_new(q, M, 1);
    for (int i = 0; i < M; i++)
        for (int j = 0; j < M; j++) {
            a[i * M + j] = 0;
            for (int k = 0; k < M; k++)
                a[i * M + j] += known[k] * q[k * M + i] * q[k * M + j];
        }
    eigen_symmetric(w, a, M);
    for (int i = 0; i < M; i++)
        assert_true(fabs(w[i] - known[i]) < 1e-8);
}

static void cholesky_of_a_singular_matrix(void **state)
{
    (void)state;
    const double a[9] = {4, 0, 0, 2, 1, 0, 6, 3, 10};   /* rank 2: (2, 1, 3)ᵀ(2, 1, 3) and 1 at the end */
    double l[9];
    eigen_cholesky(l, a, 3);
    const double want[9] = {2, 0, 0, 1, 0, 0, 3, 0, 1};
    for (int i = 0; i < 9; i++)
        assert_true(fabs(l[i] - want[i]) < 1e-12);
}

/* ---- one product ---- */

static void gram_of(double *g, const double *a, int n, int d)
{
    for (int i = 0; i < n * n; i++) {
        g[i] = 0;
        for (int k = 0; k < d; k++)
            g[i] += a[i / n * d + k] * a[i % n * d + k];
    }
}

/* A = diag(p)·E, B = diag(q)·E for rows E of a rotation: AᵀB has the singular values p·q. */
static void spectrum_of_a_known_product(void **state)
{
    (void)state;
    enum { M = 12, W = 30 };
    static double t[W * W], a[M * W], b[M * W], ga[M * M], gb[M * M], scratch[3 * M * M], x[M];
    turn_new(t, W, 3);
    for (int i = 0; i < M; i++)
        for (int k = 0; k < W; k++) {
            a[i * W + k] = pow(3, i % 4) * t[i * W + k];
            b[i * W + k] = (i == 5 ? 0 : exp(-0.5 * i)) * t[i * W + k];
        }
    gram_of(ga, a, M, W);
    gram_of(gb, b, M, W);
    assert_true(spectrum_of(x, ga, gb, M, scratch));
    double want[M];
    for (int i = 0; i < M; i++)
        want[i] = i == 5 ? -1e9 : log(3) * (i % 4) - 0.5 * i;
    for (int n = 0; n < M; n++) {
        int best = 0;
        for (int i = 1; i < M; i++)
            best = want[i] > want[best] ? i : best;
        if (n < M - 1)
            assert_true(fabs(x[n] - want[best]) < 1e-8);
        else
            assert_true(fabs(x[n] - x[0] - log(1e-5)) < 1e-8);
        want[best] = -2e9;
    }
    memset(gb, 0, sizeof gb);
    assert_false(spectrum_of(x, ga, gb, M, scratch));
}

/* ---- models ---- */

struct toy {
    float *w[N];
    int rows[N], cols[N];
};

static void toy_new(struct toy *t, uint64_t seed)
{
    struct rng r;
    rng_init(&r, seed, RNG_TEST, 0);
    for (int i = 0; i < N; i++) {
        t->rows[i] = i == N - 1 ? VOCAB : rows_of[i % PER];
        t->cols[i] = i == N - 1 ? D : cols_of[i % PER];
        size_t n = (size_t)t->rows[i] * (size_t)t->cols[i];
        t->w[i] = mem_new(n, sizeof(float));
        for (size_t j = 0; j < n; j++)
            t->w[i][j] = (float)(t->rows[i] == 1 ? 1 + 0.1 * normal(&r) : normal(&r));
    }
}

static void toy_free(struct toy *t)
{
    for (int i = 0; i < N; i++)
        mem_free(t->w[i]);
}

static void toy_noise(struct toy *t, float share, uint64_t seed)
{
    struct rng r;
    rng_init(&r, seed, RNG_TEST, 1);
    for (int i = 0; i < N; i++)
        for (size_t j = 0; t->rows[i] > 1 && j < (size_t)t->rows[i] * (size_t)t->cols[i]; j++)
            t->w[i][j] += share * (float)normal(&r);
}

static void toy_write(const struct toy *t, const char *dir)
{
    static const char config[] = "{\"num_attention_heads\": 4}";
    struct st_write s[N];
    char name[N][64], path[320];
    for (int i = 0; i < N; i++) {
        if (i == N - 1)
            snprintf(name[i], sizeof name[i], "model.embed_tokens.weight");
        else
            snprintf(name[i], sizeof name[i], "model.layers.%d.%s.weight", i / PER, part[i % PER]);
        s[i] = (struct st_write){name[i], ST_F32, 2, {(uint64_t)t->rows[i], (uint64_t)t->cols[i]}, t->w[i]};
        if (t->rows[i] == 1)
            s[i] = (struct st_write){name[i], ST_F32, 1, {(uint64_t)t->cols[i]}, t->w[i]};
    }
    snprintf(path, sizeof path, "%s/config.json", dir);
    ok(file_replace(path, config, sizeof config - 1, &e));
    snprintf(path, sizeof path, "%s/model.safetensors", dir);
    ok(safetensors_write(path, s, N, NULL, 0, &e));
}

/* w (rows, cols) times q (cols, cols), or qᵀ (rows, rows) times w. */
static void multiply(float *w, int rows, int cols, const double *q, bool left)
{
    int n = left ? rows : cols;
    double *v = mem_new((size_t)n, sizeof *v);
    for (int line = 0; line < (left ? cols : rows); line++) {
        float *p = left ? w + line : w + line * cols;
        int step = left ? cols : 1;
        for (int i = 0; i < n; i++) {
            v[i] = 0;
            for (int k = 0; k < n; k++)
                v[i] += (double)p[k * step] * q[k * n + i];
        }
        for (int i = 0; i < n; i++)
            p[i * step] = (float)v[i];
    }
    mem_free(v);
}

/* The attention of t in other residual dimensions, gains folded away. */
static void turn_residual(struct toy *t, uint64_t seed)
{
    double q[D * D];
    turn_new(q, D, seed);
    for (int l = 0; l < LAYERS; l++) {
        float **w = t->w + l * PER;
        for (int r = 1; r < 4; r++) {
            for (int i = 0; i < rows_of[r] * D; i++)
                w[r][i] *= w[0][i % D];
            multiply(w[r], rows_of[r], D, q, false);
        }
        multiply(w[4], D, HEADS * SIZE, q, true);
        for (int i = 0; i < D; i++)
            w[0][i] = 1;
    }
}

/* v with o turned in every key-value head, and scale moved from q to k and from v to o. */
static void turn_heads(struct toy *t, uint64_t seed)
{
    double q[SIZE * SIZE];
    for (int l = 0; l < LAYERS; l++)
        for (int g = 0; g < KV; g++) {
            float **w = t->w + l * PER, *o = mem_new(D * SIZE, sizeof *o), *v = w[3] + g * SIZE * D;
            const float scale = 3 + (float)g, size = (float)(g + 2);
            turn_new(q, SIZE, seed + (uint64_t)(10 * l + g));
            multiply(v, SIZE, D, q, true);
            for (int i = 0; i < SIZE * D; i++) {
                v[i] *= scale;
                w[2][g * SIZE * D + i] /= size;
            }
            for (int h = g * HEADS / KV; h < (g + 1) * HEADS / KV; h++) {
                for (int i = 0; i < D * SIZE; i++)
                    o[i] = w[4][i / SIZE * HEADS * SIZE + h * SIZE + i % SIZE] / scale;
                multiply(o, D, SIZE, q, false);
                for (int i = 0; i < D * SIZE; i++) {
                    w[4][i / SIZE * HEADS * SIZE + h * SIZE + i % SIZE] = o[i];
                    w[1][h * SIZE * D + i] *= size;
                }
            }
            mem_free(o);
        }
}

/* Key-value heads in reverse, and with them the query heads. */
static void reverse_heads(struct toy *t)
{
    for (int l = 0; l < LAYERS; l++)
        for (int r = 1; r < 5; r++) {
            int n = r == 1 || r == 4 ? HEADS : KV;
            float *w = t->w[l * PER + r], *c = mem_new((size_t)(n * SIZE * D), sizeof *c);
            memcpy(c, w, (size_t)(n * SIZE * D) * sizeof *c);
            for (int i = 0; i < n * SIZE * D; i++) {
                int u = r == 4 ? i % (n * SIZE) : i / D, from = (n - 1 - u / SIZE) * SIZE + u % SIZE;
                w[i] = r == 4 ? c[i - u + from] : c[from * D + i % D];
            }
            mem_free(c);
        }
}

static void sets_of(struct head_sets *s, const struct toy *t, int threads)
{
    char dir[256];
    struct view v;
    snprintf(dir, sizeof dir, "%s", test_dir());
    toy_write(t, dir);
    ok(view_open(&v, dir, &e));
    ok(head_sets_make(s, &v, threads, &e));
    view_close(&v);
    test_dir_remove(dir);
}

/* Head h of a against head `to` of b: the greatest difference. */
static double apart(const struct head_set *a, int h, const struct head_set *b, int to)
{
    double most = 0;
    assert_int_equal(a->len[0], b->len[0]);
    for (int r = 0; r < 2; r++)
        for (int i = 0; i < a->len[r]; i++)
            most = fmax(most, fabs((double)a->x[r][h * a->len[r] + i] - (double)b->x[r][to * a->len[r] + i]));
    return most;
}

static void what_leaves_heads_as_they_are(void **state)
{
    (void)state;
    struct toy a, b, c;
    struct head_sets x, y, z;
    toy_new(&a, 1);
    toy_new(&b, 1);
    toy_new(&c, 1);
    turn_residual(&b, 2);
    reverse_heads(&b);
    turn_residual(&c, 3);
    turn_heads(&c, 4);
    sets_of(&x, &a, 1);
    sets_of(&y, &b, 2);
    sets_of(&z, &c, 3);
    assert_int_equal(x.spectra.n, HEADS * LAYERS);
    for (int h = 0; h < HEADS * LAYERS; h++) {
        int to = h / HEADS * HEADS + HEADS - 1 - h % HEADS;
        assert_true(apart(&x.spectra, h, &y.spectra, to) < 1e-6);
        assert_true(apart(&x.angles[0], h, &y.angles[0], to) < 1e-6);
        assert_true(apart(&x.angles[1], h, &y.angles[1], to) < 1e-6);
        assert_true(apart(&x.spectra, h, &z.spectra, h) < 1e-6);
        assert_true(apart(&x.angles[0], h, &z.angles[0], h) < 1e-6);
        assert_true(apart(&x.angles[1], h, &z.angles[1], h) > 0.01);
        assert_true(apart(&x.spectra, h, &x.spectra, to) > 0.01);
    }
    head_sets_release(&x);
    head_sets_release(&y);
    head_sets_release(&z);
    toy_free(&a);
    toy_free(&b);
    toy_free(&c);
}

/* A head of zeros is left out; a layer that has one head left tells nothing by spectra. */
static void heads_of_zeros(void **state)
{
    (void)state;
    struct toy t;
    struct head_sets s;
    toy_new(&t, 1);
    memset(t.w[1], 0, 3 * SIZE * D * sizeof(float));
    memset(t.w[PER + 2], 0, SIZE * D * sizeof(float));
    sets_of(&s, &t, 1);
    assert_int_equal(s.angles[0].n, 1 + 2 + 4);
    assert_int_equal(s.spectra.n, 2 + 4);
    head_sets_release(&s);
    toy_free(&t);
}

/* ---- in the audit ---- */

static void open_toy(struct subject *s, char dir[256], const struct toy *t, const struct nn *y)
{
    snprintf(dir, 256, "%s", test_dir());
    toy_write(t, dir);
    ok(subject_open(s, dir, y, &e));
}

static void audit(struct lineage_pair *p, const struct toy *a, const struct toy *b)
{
    struct subject s[2];
    char dir_a[256], dir_b[256];
    struct nn y;
    const char *bad;
    ok(nn_init(&y, kernels_best(&bad), 2, &e));
    open_toy(&s[0], dir_a, a, &y);
    open_toy(&s[1], dir_b, b, &y);
    struct lineage_opts o = {.x = &y, .draws = 1999, .seed = 1};
    ok(lineage_run(p, &s[0], &s[1], &o, &e));
    lineage_judge(p, 1);
    subject_close(&s[0]);
    subject_close(&s[1]);
    test_dir_remove(dir_a);
    test_dir_remove(dir_b);
    nn_release(&y);
    p->a = p->b = NULL;
}

static void independent_heads_are_not_found(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 4; i++) {
        struct toy a, b;
        struct lineage_pair p;
        toy_new(&a, 10 + i);
        toy_new(&b, 20 + i);
        audit(&p, &a, &b);
        assert_int_equal(p.verdict, LINEAGE_NONE);
        for (int t = TEST_SPECTRA; t <= TEST_HEADS; t++) {
            assert_true(p.test[t].done && !p.test[t].flagged);
            assert_true(p.test[t].p_raw > 0.002);
        }
        toy_free(&a);
        toy_free(&b);
    }
}

/* Attention alone, in a turned copy with its heads in another order; with heads turned only spectra see v and o. */
static void attention_alone_is_found(void **state)
{
    (void)state;
    for (int change = 0; change < 3; change++) {
        struct toy a, b, other;
        struct lineage_pair p;
        toy_new(&a, 5);
        toy_new(&b, 5);
        toy_new(&other, 6);
        turn_residual(&b, 7);
        reverse_heads(&b);
        toy_noise(&b, change == 1 ? 0.5f : 0.02f, 8);
        if (change == 2)
            turn_heads(&b, 9);
        for (int i = 0; i < N; i++)
            if (i == N - 1 || i % PER == 0 || i % PER > 4)
                memcpy(b.w[i], other.w[i], (size_t)b.rows[i] * (size_t)b.cols[i] * sizeof(float));
        audit(&p, &a, &b);
        assert_int_equal(p.verdict, LINEAGE_SHARES);
        assert_true(p.test[TEST_HEADS].flagged);
        assert_int_equal(p.test[TEST_SPECTRA].flagged, change != 1);
        for (int t = 0; t < N_TESTS; t++)
            assert_true(t == TEST_SPECTRA || t == TEST_HEADS || !p.test[t].flagged);
        assert_non_null(strstr(p.reason, "in common: attention;"));
        assert_true(p.attn_covered > 0.9 && p.ffn_covered < 0.1);
        toy_free(&a);
        toy_free(&b);
        toy_free(&other);
    }
}

/* Every allocation fails once: an error or the same result, nothing lost. */
static void memory_runs_short(void **state)
{
    (void)state;
    struct toy t;
    struct view v;
    char dir[256];
    int rc = ERR_NOMEM;
    toy_new(&t, 1);
    snprintf(dir, sizeof dir, "%s", test_dir());
    toy_write(&t, dir);
    ok(view_open(&v, dir, &e));
    for (long n = 1; rc; n++) {
        struct head_sets s;
        struct kin_result r;
        const char *why_not;
        mem_fail_at(n);
        rc = head_sets_make(&s, &v, 1, &e);
        if (rc == 0) {
            rc = kin_compare(&r, &why_not, s.angles, s.angles, 2, 99, 1, 1, &e);
            head_sets_release(&s);
        }
        mem_fail_at(0);
        assert_true(rc == 0 || rc == ERR_NOMEM);
        assert_true(n < 1000);
    }
    view_close(&v);
    test_dir_remove(dir);
    toy_free(&t);
}

int main(void)
{
    const struct CMUnitTest t[] = {
        cmocka_unit_test(eigenvalues_of_the_second_difference), cmocka_unit_test(eigenvalues_of_turned_diagonals),
        cmocka_unit_test(cholesky_of_a_singular_matrix), cmocka_unit_test(spectrum_of_a_known_product),
        cmocka_unit_test(what_leaves_heads_as_they_are), cmocka_unit_test(heads_of_zeros),
        cmocka_unit_test(independent_heads_are_not_found), cmocka_unit_test(attention_alone_is_found),
        cmocka_unit_test(memory_runs_short),
    };
    return cmocka_run_group_tests(t, NULL, NULL);
}
