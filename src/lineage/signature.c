#include "lineage/signature.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"

enum { CHUNK = 1 << 25, CUT = 4 }; /* values read at once; standard deviations */
static const uint64_t CHOICE = 0x6c696e656167u;

void basis_choose(struct basis *b, int d)
{
    *b = (struct basis){.d = d, .n = (d < BASIS_MAX ? d : BASIS_MAX) & ~1};
    for (int i = 0; i < b->n; i++)
        b->res[i] = (int)rng_permute(CHOICE, 0, (uint64_t)d, (uint64_t)i);
}

/* ---- reading in a basis ---- */

static void fold_gain(float *w, int units, int d, const float *gain, bool plus_one)
{
    for (int u = 0; u < units; u++)
        for (int i = 0; i < d; i++)
            w[(size_t)u * (size_t)d + (size_t)i] *= plus_one ? 1 + gain[i] : gain[i];
}

static int read_mapped(float *out, const struct nn *x, const struct view *v, const struct slice *s, const float *gain,
                       const struct basis *b, struct err *e)
{
    float *w = mem_new((size_t)s->units, (size_t)b->d * sizeof *w);
    if (!w)
        return err_set(e, ERR_NOMEM, "%s: tensor \"%s\": out of memory", v->path, s->t->name);
    int rc = slice_read(w, s, b->d, NULL, 0, e);
    if (rc == 0) {
        if (gain)
            fold_gain(w, s->units, b->d, gain, v->gain_plus_one);
        struct gemm_args g = {.c = mat_f32(out, s->units, b->n), .a = mat_f32(w, s->units, b->d),
                              .b = mat_f32((float *)(uintptr_t)b->x, b->d, b->n)};
        gemm(x, &g);
    }
    mem_free(w);
    return rc;
}

int basis_read(float *out, const struct nn *x, const struct view *v, const struct slice *s, const struct weight *gain,
               const struct basis *b, struct err *e)
{
    if (!b->x)
        return slice_read(out, s, b->d, b->res, b->n, e);
    float *g = gain ? mem_new((size_t)b->d, sizeof *g) : NULL;
    if (gain && !g)
        return err_set(e, ERR_NOMEM, "%s: out of memory", v->path);
    if (g)
        weight_row(gain, 0, g);
    int rc = 0, step = CHUNK / b->d;
    for (int u = 0; u < s->units && rc == 0; u += step) {
        struct slice part = *s;
        part.skip += u;
        part.units = s->units - u < step ? s->units - u : step;
        rc = read_mapped(out + (size_t)u * (size_t)b->n, x, v, &part, g, b, e);
    }
    mem_free(g);
    return rc;
}

/* ---- the signature ---- */

static void level_units(float *w, int units, int n)
{
    for (int u = 0; u < units; u++) {
        float *row = w + (size_t)u * (size_t)n;
        double s = 0;
        for (int i = 0; i < n; i++)
            s += (double)row[i] * row[i];
        float scale = s > 0 ? (float)(1 / sqrt(s)) : 0;
        for (int i = 0; i < n; i++)
            row[i] *= scale;
    }
}

/* Over units of equal length; c (n, n) becomes Wᵀ·W, sum (n) the column sums. */
static int gram(float *c, double *sum, const struct nn *x, const struct view *v, const struct slice *s,
                const struct weight *gain, const struct basis *b, struct err *e)
{
    int rc = 0, step = CHUNK / b->n;
    float *w = mem_new((size_t)(s->units < step ? s->units : step), (size_t)b->n * sizeof *w);
    if (!w)
        return err_set(e, ERR_NOMEM, "%s: tensor \"%s\": out of memory", v->path, s->t->name);
    memset(c, 0, (size_t)b->n * (size_t)b->n * sizeof *c);
    for (int u = 0; u < s->units && rc == 0; u += step) {
        struct slice part = *s;
        part.skip += u;
        part.units = s->units - u < step ? s->units - u : step;
        rc = basis_read(w, x, v, &part, gain, b, e);
        if (rc == 0)
            level_units(w, part.units, b->n);
        for (int r = 0; r < part.units && rc == 0; r++)
            for (int i = 0; i < b->n; i++)
                sum[i] += w[(size_t)r * (size_t)b->n + (size_t)i];
        struct mat m = mat_f32(w, part.units, b->n), out = mat_f32(c, b->n, b->n);
        struct gemm_args g = {.c = out, .init = out, .a = m, .a_trans = true, .b = m};
        if (rc == 0)
            gemm(x, &g);
    }
    mem_free(w);
    weight_drop(s->t);
    return rc;
}

static void centre(float *m, int h)
{
    double mean[BASIS_MAX / 2], all = 0;
    for (int i = 0; i < h; i++) {
        mean[i] = 0;
        for (int j = 0; j < h; j++)
            mean[i] += i == j ? 0 : m[i * h + j];
        mean[i] /= h - 1;
        all += mean[i] / h;
    }
    for (int i = 0; i < h; i++)
        for (int j = 0; j < h; j++)
            m[i * h + j] = i == j ? 0 : (float)(m[i * h + j] - mean[i] - mean[j] + all);
}

static double length(const float *m, int h)
{
    double s = 0;
    for (int i = 0; i < h; i++)
        for (int j = 0; j < i; j++)
            s += (double)m[i * h + j] * m[i * h + j];
    return sqrt(s);
}

/* Centred, cut, and of length 1 over the pairs i > j. */
static void standardise(float *m, int h)
{
    centre(m, h);
    double limit = CUT * length(m, h) / sqrt(0.5 * h * (h - 1));
    for (int i = 0; i < h * h; i++)
        m[i] = (float)fmax(-limit, fmin(limit, m[i]));
    double n = length(m, h);
    for (int i = 0; i < h * h; i++)
        m[i] = n > 0 ? (float)(m[i] / n) : 0;
}

static void cosines(struct signature *g, const float *c, const double *sum, int n, int units)
{
    double scale[BASIS_MAX];
    for (int i = 0; i < n; i++) {
        double v = c[i * n + i] - sum[i] * sum[i] / units;
        scale[i] = v > 0 ? 1 / sqrt(v) : 0;
    }
    for (int k = 0; k < 2; k++) {
        for (int i = 0; i < g->h; i++)
            for (int j = 0; j < g->h; j++) {
                int a = k * g->h + i, b = k * g->h + j;
                g->half[k][i * g->h + j] = (float)((c[a * n + b] - sum[a] * sum[b] / units) * scale[a] * scale[b]);
            }
        standardise(g->half[k], g->h);
    }
}

int signature_make(struct signature *g, const struct nn *x, const struct view *v, const struct slice *s,
                   const struct weight *gain, const struct basis *b, struct err *e)
{
    double sum[BASIS_MAX] = {0};
    *g = (struct signature){0};
    if (!s->t || s->units < 4 || b->n < 16)
        return 0;
    size_t h = (size_t)b->n / 2;
    float *c = mem_new((size_t)b->n * (size_t)b->n, sizeof *c);
    for (int k = 0; k < 2; k++)
        g->half[k] = mem_new(h * h, sizeof(float));
    int rc = c && g->half[0] && g->half[1] ? gram(c, sum, x, v, s, gain, b, e)
                                           : err_set(e, ERR_NOMEM, "%s: out of memory", v->path);
    if (rc == 0) {
        g->h = (int)h;
        cosines(g, c, sum, b->n, s->units);
    } else {
        signature_release(g);
    }
    mem_free(c);
    return rc;
}

void signature_release(struct signature *g)
{
    mem_free(g->half[0]);
    mem_free(g->half[1]);
    *g = (struct signature){0};
}

double signature_product(const struct signature *a, const struct signature *b, int k, const int *perm)
{
    const int h = a->h;
    double s = 0;
    for (int i = 1; i < h; i++) {
        const float *x = a->half[k] + (perm ? perm[i] : i) * h, *y = b->half[k] + i * h;
        float row = 0;
        if (perm)
            for (int j = 0; j < i; j++)
                row += x[perm[j]] * y[j];
        else
            for (int j = 0; j < i; j++)
                row += x[j] * y[j];
        s += row;
    }
    return s;
}
