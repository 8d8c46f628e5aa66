#include "lineage/embedding.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"

static const double RIDGE = 0.003; /* of the mean of the diagonal */

static void centre_rows(float *e, int n, int d)
{
    for (int k = 0; k < d; k++) {
        double mean = 0;
        for (int i = 0; i < n; i++)
            mean += e[(size_t)i * (size_t)d + (size_t)k];
        mean /= n;
        for (int i = 0; i < n; i++)
            e[(size_t)i * (size_t)d + (size_t)k] -= (float)mean;
    }
    for (int i = 0; i < n; i++) {
        float *row = e + (size_t)i * (size_t)d;
        double s = 0;
        for (int k = 0; k < d; k++)
            s += (double)row[k] * row[k];
        for (int k = 0; k < d; k++)
            row[k] = s > 0 ? (float)(row[k] / sqrt(s)) : 0;
    }
}

int embeddings_read(struct embeddings *m, const struct view *a, const struct view *b, const struct token_pairs *s,
                    const struct basis *bb, struct err *e)
{
    int n = (s->n < EMBED_MAX_TOKENS ? s->n : EMBED_MAX_TOKENS) & ~1;
    *m = (struct embeddings){.n = n, .da = a->d_model, .nb = bb->n};
    float *row = mem_new((size_t)(a->d_model > b->d_model ? a->d_model : b->d_model), sizeof *row);
    m->a = mem_new((size_t)n * (size_t)m->da, sizeof *m->a);
    m->b = mem_new((size_t)n * (size_t)m->nb, sizeof *m->b);
    int rc = row && m->a && m->b ? 0 : err_set(e, ERR_NOMEM, "%s: no memory for %d embeddings", a->path, n);
    for (int i = 0; i < n && rc == 0; i++) {
        struct token_pair p = s->p[(int64_t)i * s->n / n];
        int to = i / 2 + (i % 2 ? n / 2 : 0);
        weight_row(a->embed, (uint64_t)p.a, m->a + (size_t)to * (size_t)m->da);
        weight_row(b->embed, (uint64_t)p.b, row);
        for (int k = 0; k < m->nb; k++)
            m->b[(size_t)to * (size_t)m->nb + (size_t)k] = row[bb->res[k]];
    }
    weight_drop(a->embed);
    weight_drop(b->embed);
    if (rc == 0) {
        centre_rows(m->a, n, m->da);
        centre_rows(m->b, n, m->nb);
    } else {
        embeddings_release(m);
    }
    mem_free(row);
    return rc;
}

void embeddings_release(struct embeddings *m)
{
    mem_free(m->a);
    mem_free(m->b);
    *m = (struct embeddings){0};
}

/* ---- the same dimensions ---- */

struct same {
    const float *c;   /* (n, n) correlations */
    int n;
    uint64_t seed;
};

static double diagonal(void *user, uint64_t t)
{
    const struct same *s = user;
    int perm[BASIS_MAX];
    double sum = 0;
    chance_permutation(perm, s->n, s->seed, CHANCE_EMBEDDING, t);
    for (int k = 0; k < s->n; k++)
        sum += s->c[perm[k] * s->n + k];
    return sum / s->n;
}

static double column_length(const float *e, int n, int d, int k)
{
    double s = 0;
    for (int i = 0; i < n; i++)
        s += (double)e[(size_t)i * (size_t)d + (size_t)k] * e[(size_t)i * (size_t)d + (size_t)k];
    return sqrt(s);
}

double embeddings_same(struct chance_result *r, const struct embeddings *m, const struct basis *b, int64_t draws,
                       uint64_t seed, const struct nn *x, struct err *e)
{
    int n = b->n;
    double sum = 0;
    float *c = mem_new((size_t)n * (size_t)n, sizeof *c);
    float *a = mem_new((size_t)m->n * (size_t)n, sizeof *a);
    *r = (struct chance_result){.p = 1};
    if (c && a) {
        for (int i = 0; i < m->n; i++)
            for (int k = 0; k < n; k++)
                a[(size_t)i * (size_t)n + (size_t)k] = m->a[(size_t)i * (size_t)m->da + (size_t)b->res[k]];
        struct gemm_args g = {.c = mat_f32(c, n, n), .a = mat_f32(a, m->n, n), .a_trans = true,
                              .b = mat_f32(m->b, m->n, n)};
        gemm(x, &g);
        for (int i = 0; i < n; i++) {
            double la = column_length(a, m->n, n, i);
            for (int k = 0; k < n; k++)
                c[i * n + k] = la > 0 ? (float)(c[i * n + k] / la) : 0;
            double lb = column_length(m->b, m->n, n, i);
            for (int k = 0; k < n; k++)
                c[k * n + i] = lb > 0 ? (float)(c[k * n + i] / lb) : 0;
        }
        for (int k = 0; k < n; k++)
            sum += c[k * n + k];
        struct same s = {c, n, seed};
        *r = chance_test(sum / n, draws, diagonal, &s, x->threads);
    } else {
        err_set(e, ERR_NOMEM, "no memory for the correlations of %d dimensions", n);
        sum = NAN;
    }
    mem_free(c);
    mem_free(a);
    return sum / n;
}

/* ---- the map ---- */

/* In place: the lower triangle of m (n, n) becomes L with L·L' = m. */
static void cholesky(double *m, int n, int threads)
{
    for (int j = 0; j < n; j++) {
        double *rj = m + (size_t)j * (size_t)n, s = rj[j];
        for (int k = 0; k < j; k++)
            s -= rj[k] * rj[k];
        rj[j] = sqrt(s > 1e-30 ? s : 1e-30);
#pragma omp parallel for schedule(static) num_threads(threads)
        for (int i = j + 1; i < n; i++) {
            double *ri = m + (size_t)i * (size_t)n, t = ri[j];
            for (int k = 0; k < j; k++)
                t -= ri[k] * rj[k];
            ri[j] = t / rj[j];
        }
    }
}

/* b (n, w) becomes (L·L')⁻¹ b; rows of b are contiguous, columns go together. */
static void solve(const double *l, double *b, int n, int w)
{
    for (int i = 0; i < n; i++) {
        double *bi = b + (size_t)i * (size_t)w;
        for (int k = 0; k < i; k++)
            for (int c = 0; c < w; c++)
                bi[c] -= l[(size_t)i * (size_t)n + (size_t)k] * b[(size_t)k * (size_t)w + (size_t)c];
        for (int c = 0; c < w; c++)
            bi[c] /= l[(size_t)i * (size_t)n + (size_t)i];
    }
    for (int i = n - 1; i >= 0; i--) {
        double *bi = b + (size_t)i * (size_t)w;
        for (int k = i + 1; k < n; k++)
            for (int c = 0; c < w; c++)
                bi[c] -= l[(size_t)k * (size_t)n + (size_t)i] * b[(size_t)k * (size_t)w + (size_t)c];
        for (int c = 0; c < w; c++)
            bi[c] /= l[(size_t)i * (size_t)n + (size_t)i];
    }
}

static double explained(const struct embeddings *m, const float *map, float *guess, const struct nn *x)
{
    int half = m->n / 2;
    float *b = m->b + (size_t)half * (size_t)m->nb;
    double wrong = 0, all = 0;
    struct gemm_args g = {.c = mat_f32(guess, half, m->nb),
                          .a = mat_f32(m->a + (size_t)half * (size_t)m->da, half, m->da),
                          .b = mat_f32((float *)(uintptr_t)map, m->da, m->nb)};
    gemm(x, &g);
    for (size_t i = 0; i < (size_t)half * (size_t)m->nb; i++) {
        wrong += ((double)b[i] - guess[i]) * ((double)b[i] - guess[i]);
        all += (double)b[i] * b[i];
    }
    return all > 0 ? 1 - wrong / all : 0;
}

int embeddings_map(float *map, double *r2, const struct embeddings *m, const struct nn *x, struct err *e)
{
    const int da = m->da, nb = m->nb, half = m->n / 2;
    size_t na = (size_t)da * (size_t)da, nm = (size_t)da * (size_t)nb, ng = (size_t)half * (size_t)nb;
    float *c = mem_new(na, sizeof *c), *guess = mem_new(ng, sizeof *guess);
    double *l = mem_new(na, sizeof *l), *b = mem_new(nm, sizeof *b), trace = 0;
    int rc = c && guess && l && b ? 0 : err_set(e, ERR_NOMEM, "no memory for a map of %d dimensions", da);
    if (rc == 0) {
        struct mat a = mat_f32(m->a, half, da);
        struct gemm_args g = {.c = mat_f32(c, da, da), .a = a, .a_trans = true, .b = a};
        gemm(x, &g);
        for (int i = 0; i < da; i++)
            trace += c[(size_t)i * (size_t)da + (size_t)i];
        for (size_t i = 0; i < na; i++)
            l[i] = c[i];
        /* Fewer tokens than dimensions leave directions without data. */
        double ridge = (RIDGE + (half < 2 * da ? 0.1 : 0)) * trace / da + 1e-12;
        for (int i = 0; i < da; i++)
            l[(size_t)i * (size_t)da + (size_t)i] += ridge;
        struct gemm_args k = {.c = mat_f32(map, da, nb), .a = a, .a_trans = true, .b = mat_f32(m->b, half, nb)};
        gemm(x, &k);
        for (size_t i = 0; i < nm; i++)
            b[i] = map[i];
        cholesky(l, da, x->threads);
        solve(l, b, da, nb);
        for (size_t i = 0; i < nm; i++)
            map[i] = (float)b[i];
        *r2 = explained(m, map, guess, x);
    }
    mem_free(c);
    mem_free(guess);
    mem_free(l);
    mem_free(b);
    return rc;
}
