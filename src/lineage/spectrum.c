#include "lineage/spectrum.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "lineage/eigen.h"

enum { MOST_ROWS = 32 };                /* of a half, for angles */
static const double FLOOR = 1e-10;      /* of the largest σ² */

/* ---- one product ---- */

/* m = Lᵀ·G·L, lower triangle; t: scratch; G's upper triangle is not read. */
static void between(double *m, const double *l, const double *g, double *t, int n)
{
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++) {
            double s = 0;
            for (int k = j; k < n; k++)
                s += (i > k ? g[i * n + k] : g[k * n + i]) * l[k * n + j];
            t[i * n + j] = s;
        }
    for (int i = 0; i < n; i++)
        for (int j = 0; j <= i; j++) {
            double s = 0;
            for (int k = i; k < n; k++)
                s += l[k * n + i] * t[k * n + j];
            m[i * n + j] = s;
        }
}

bool spectrum_of(double *x, const double *gram_a, const double *gram_b, int size, double *scratch)
{
    double *l = scratch, *m = l + size * size, *t = m + size * size;
    eigen_cholesky(l, gram_a, size);
    between(m, l, gram_b, t, size);
    eigen_symmetric(x, m, size);
    double top = x[0];
    if (!(top > 0 && isfinite(top)))
        return false;
    for (int i = 0; i < size; i++)
        x[i] = 0.5 * log(fmax(x[i], FLOOR * top));
    return true;
}

/* ---- from values to a description ---- */

static void centre(double *x, int n)
{
    double mean = 0;
    for (int i = 0; i < n; i++)
        mean += x[i] / n;
    for (int i = 0; i < n; i++)
        x[i] -= mean;
}

static void put_unit(float *to, const double *x, int n)
{
    double s = 0;
    for (int i = 0; i < n; i++)
        s += x[i] * x[i];
    for (int i = 0; i < n; i++)
        to[i] = s > 0 ? (float)(x[i] / sqrt(s)) : 0;
}

/* m centred rows of one layer: the mean of all taken away. */
static void less_common(double *x, int m, int size)
{
    for (int k = 0; k < size; k++) {
        double mean = 0;
        for (int i = 0; i < m; i++)
            mean += x[i * size + k] / m;
        for (int i = 0; i < m; i++)
            x[i * size + k] -= mean;
    }
}

/* ---- a layer ---- */

struct work {
    struct head_grams g;
    double *row[2];      /* (q, size): log σ of M_QK and M_OV, heads that are not zero in front */
    double *scratch;     /* (q, 3·size²) */
    bool *good;          /* (q) */
    int *kept, n_kept;   /* (q): heads that are not zero */
};

static void work_release(struct work *k)
{
    head_grams_release(&k->g);
    mem_free(k->row[0]);
    mem_free(k->row[1]);
    mem_free(k->scratch);
    mem_free(k->good);
    mem_free(k->kept);
}

static int work_init(struct work *k, const struct view *v, const struct heads *h, int threads, struct err *e)
{
    size_t q = (size_t)h->q, size = (size_t)h->size;
    int rc = head_grams_init(&k->g, v, h, threads, e);
    if (rc)
        return rc;
    k->row[0] = mem_new(q, size * sizeof(double));
    k->row[1] = mem_new(q, size * sizeof(double));
    k->scratch = mem_new(q, 3 * size * size * sizeof(double));
    k->good = mem_new(q, sizeof *k->good);
    k->kept = mem_new(q, sizeof *k->kept);
    return k->row[0] && k->row[1] && k->scratch && k->good && k->kept
               ? 0 : err_set(e, ERR_NOMEM, "%s: out of memory for %d heads", v->path, h->q);
}

static void take_spectra(struct work *k)
{
    const struct heads *h = &k->g.h;
#pragma omp parallel for schedule(static) num_threads(k->g.threads)
    for (int i = 0; i < h->q; i++) {
        double *t = k->scratch + (size_t)i * 3 * (size_t)h->size * (size_t)h->size;
        double *qk = k->row[0] + i * h->size, *ov = k->row[1] + i * h->size;
        k->good[i] = spectrum_of(qk, head_gram(&k->g, ROLE_Q, i), head_gram(&k->g, ROLE_K, i), h->size, t) &&
                     spectrum_of(ov, head_gram(&k->g, ROLE_O, i), head_gram(&k->g, ROLE_V, i), h->size, t);
    }
    k->n_kept = 0;
    for (int i = 0; i < h->q; i++)
        if (k->good[i])
            k->kept[k->n_kept++] = i;
}

static void add_spectra(struct head_set *s, struct work *k)
{
    const int size = k->g.h.size, m = k->n_kept;
    if (m < 2)
        return;
    for (int r = 0; r < 2; r++) {
        for (int i = 0; i < m; i++) {
            memmove(k->row[r] + i * size, k->row[r] + k->kept[i] * size, (size_t)size * sizeof(double));
            centre(k->row[r] + i * size, size);
        }
        less_common(k->row[r], m, size);
        for (int i = 0; i < m; i++)
            put_unit(s->x[r] + (size_t)(s->n + i) * (size_t)size, k->row[r] + i * size, size);
    }
    s->n += m;
}

/* cos of rows i > j of every second dimension from `half` on, at most MOST_ROWS evenly spaced; returns their number. */
static int angles(double *x, const double *gram, int size, int half)
{
    int all = size / 2, rows = all < MOST_ROWS ? all : MOST_ROWS, n = 0;
    for (int i = 1; i < rows; i++)
        for (int j = 0; j < i; j++) {
            int a = half + 2 * (i * all / rows), b = half + 2 * (j * all / rows);
            double s = gram[a * size + a] * gram[b * size + b];
            x[n++] = s > 0 ? gram[a * size + b] / sqrt(s) : 0;
        }
    return n;
}

static void add_angles(struct head_set s[2], const struct work *k)
{
    static const enum role of[2][2] = {{ROLE_Q, ROLE_K}, {ROLE_O, ROLE_V}};
    double x[MOST_ROWS * (MOST_ROWS - 1)];
    for (int p = 0; p < 2; p++) {
        for (int i = 0; i < k->n_kept; i++)
            for (int half = 0; half < 2; half++) {
                int n = angles(x, head_gram(&k->g, of[p][0], k->kept[i]), k->g.h.size, half);
                n += angles(x + n, head_gram(&k->g, of[p][1], k->kept[i]), k->g.h.size, half);
                centre(x, n);
                put_unit(s[p].x[half] + (size_t)(s[p].n + i) * (size_t)s[p].len[half], x, n);
            }
        s[p].n += k->n_kept;
    }
}

/* ---- a model ---- */

static int room_for(struct head_set *s, int heads, int len, const char *path, struct err *e)
{
    for (int r = 0; r < 2; r++) {
        s->len[r] = len;
        s->x[r] = mem_new((size_t)heads, (size_t)len * sizeof(float));
        if (!s->x[r])
            return err_set(e, ERR_NOMEM, "%s: out of memory for %d heads", path, heads);
    }
    return 0;
}

int head_sets_make(struct head_sets *s, const struct view *v, int threads, struct err *e)
{
    int layer[VIEW_MAX_LAYERS];
    struct heads h;
    struct work k = {0};
    *s = (struct head_sets){0};
    int n = heads_choose(layer, &h, v);
    if (n == 0)
        return 0;
    int rows = h.size / 2 < MOST_ROWS ? h.size / 2 : MOST_ROWS;
    s->size = h.size;
    int rc = room_for(&s->spectra, n * h.q, h.size, v->path, e);
    for (int p = 0; p < 2 && rc == 0; p++)
        rc = room_for(&s->angles[p], n * h.q, rows * (rows - 1), v->path, e);
    if (rc == 0)
        rc = work_init(&k, v, &h, threads, e);
    for (int i = 0; i < n && rc == 0; i++) {
        rc = head_grams_read(&k.g, &v->layer[layer[i]], e);
        if (rc == 0) {
            take_spectra(&k);
            add_angles(s->angles, &k);
            add_spectra(&s->spectra, &k);
        }
    }
    work_release(&k);
    if (rc)
        head_sets_release(s);
    return rc;
}

static void release(struct head_set *s)
{
    mem_free(s->x[0]);
    mem_free(s->x[1]);
}

void head_sets_release(struct head_sets *s)
{
    release(&s->spectra);
    release(&s->angles[0]);
    release(&s->angles[1]);
    *s = (struct head_sets){0};
}
