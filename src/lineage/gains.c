#include "lineage/gains.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

struct ranked {
    float v;
    int at;
};

static int by_value(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    if (x->v < y->v || x->v > y->v)
        return x->v < y->v ? -1 : 1;
    return (x->at > y->at) - (x->at < y->at);
}

/* Mid-ranks, centred and of length 1; false for a constant. */
static bool ranks(float *out, const float *v, int n)
{
    struct ranked r[BASIS_MAX];
    double s = 0;
    for (int i = 0; i < n; i++)
        r[i] = (struct ranked){v[i], i};
    qsort(r, (size_t)n, sizeof *r, by_value);
    for (int i = 0, k; i < n; i = k) {
        for (k = i; k < n && !(r[k].v > r[i].v); k++)
            ;
        for (int j = i; j < k; j++)
            out[r[j].at] = (float)(0.5 * (i + k - 1) - 0.5 * (n - 1));
    }
    for (int i = 0; i < n; i++)
        s += (double)out[i] * out[i];
    for (int i = 0; i < n && s > 0; i++)
        out[i] = (float)(out[i] / sqrt(s));
    return s > 0;
}

struct ranks_of {
    float *a, *b;    /* (n, d) */
    int n, d;
    uint64_t seed;
};

static double mean_product(const struct ranks_of *k, const int *perm)
{
    double sum = 0;
    for (int i = 0; i < k->n; i++)
        for (int j = 0; j < k->d; j++)
            sum += (double)k->a[i * k->d + (perm ? perm[j] : j)] * k->b[i * k->d + j];
    return sum / k->n;
}

static double permuted(void *user, uint64_t t)
{
    const struct ranks_of *k = user;
    int perm[BASIS_MAX];
    chance_permutation(perm, k->d, k->seed, CHANCE_GAINS, t);
    return mean_product(k, perm);
}

static bool add(struct ranks_of *k, const struct gain_pair *g, const struct basis *b, float *row)
{
    float v[BASIS_MAX];
    const struct weight *w[2] = {g->a, g->b};
    float *to[2] = {k->a + k->n * k->d, k->b + k->n * k->d};
    for (int s = 0; s < 2; s++) {
        weight_row(w[s], 0, row);
        for (int i = 0; i < b->n; i++)
            v[i] = row[b->res[i]];
        if (!ranks(to[s], v, b->n))
            return false;
    }
    k->n++;
    return true;
}

int gains_compare(double *effect, struct chance_result *c, const struct gain_pair *g, int n, const struct basis *b,
                  int64_t draws, uint64_t seed, int threads, struct err *e)
{
    struct ranks_of k = {.d = b->n, .seed = seed};
    float *row = mem_new((size_t)b->d, sizeof *row);
    k.a = mem_new((size_t)n, (size_t)b->n * sizeof *k.a);
    k.b = mem_new((size_t)n, (size_t)b->n * sizeof *k.b);
    int rc = row && k.a && k.b ? 0 : err_set(e, ERR_NOMEM, "no memory for %d gains", n);
    *effect = NAN;
    for (int i = 0; i < n && rc == 0; i++)
        if (g[i].a && g[i].b)
            add(&k, &g[i], b, row);
    if (k.n) {
        *effect = mean_product(&k, NULL);
        *c = chance_test(*effect, draws, permuted, &k, threads);
    }
    mem_free(row);
    mem_free(k.a);
    mem_free(k.b);
    return rc;
}

/* log of the lengths of the columns; −infinity where one is zero. */
static int log_columns(double *out, const struct slice *s, const struct basis *b, struct err *e)
{
    float *w = mem_new((size_t)s->units, (size_t)b->n * sizeof *w);
    int rc = w ? slice_read(w, s, b->d, b->res, b->n, e)
               : err_set(e, ERR_NOMEM, "tensor \"%s\": out of memory", s->t->name);
    for (int i = 0; i < b->n && rc == 0; i++) {
        double sum = 0;
        for (int u = 0; u < s->units; u++)
            sum += (double)w[(size_t)u * (size_t)b->n + (size_t)i] * w[(size_t)u * (size_t)b->n + (size_t)i];
        out[i] = 0.5 * log(sum);
    }
    mem_free(w);
    return rc;
}

/* log |gain|; −infinity where one is zero. */
static int log_gains(double *out, const struct weight *g, const struct basis *b, struct err *e)
{
    float *row = mem_new((size_t)b->d, sizeof *row);
    if (!row)
        return err_set(e, ERR_NOMEM, "tensor \"%s\": out of memory", g->name);
    weight_row(g, 0, row);
    for (int i = 0; i < b->n; i++)
        out[i] = log(fabs((double)row[b->res[i]]));
    mem_free(row);
    return 0;
}

static bool all_finite(const double *x, int n)
{
    bool good = true;
    for (int i = 0; i < n; i++)
        good = good && isfinite(x[i]);
    return good;
}

static double correlation(const double *x, const double *y, int n)
{
    double mx = 0, my = 0, xx = 0, yy = 0, xy = 0;
    for (int i = 0; i < n; i++) {
        mx += x[i] / n;
        my += y[i] / n;
    }
    for (int i = 0; i < n; i++) {
        xx += (x[i] - mx) * (x[i] - mx);
        yy += (y[i] - my) * (y[i] - my);
        xy += (x[i] - mx) * (y[i] - my);
    }
    return xx > 0 && yy > 0 ? xy / sqrt(xx * yy) : NAN;
}

int gains_compensation(double *r, const struct weight *ga, const struct weight *gb, const struct slice *wa,
                       const struct slice *wb, const struct basis *b, struct err *e)
{
    double x[BASIS_MAX], y[BASIS_MAX], c[BASIS_MAX], d[BASIS_MAX];
    int rc;
    *r = NAN;
    if (!ga || !gb || !wa->t || !wb->t)
        return 0;
    if ((rc = log_gains(x, ga, b, e)) || (rc = log_gains(y, gb, b, e)) || (rc = log_columns(c, wa, b, e)) ||
        (rc = log_columns(d, wb, b, e)))
        return rc;
    if (!all_finite(x, b->n) || !all_finite(y, b->n) || !all_finite(c, b->n) || !all_finite(d, b->n))
        return 0;
    for (int i = 0; i < b->n; i++) {
        x[i] -= y[i];
        c[i] = d[i] - c[i];
    }
    *r = correlation(x, c, b->n);
    return 0;
}
