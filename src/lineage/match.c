#include "lineage/match.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "lineage/chance.h"

enum { MAX_VALUES = 1 << 26 };

/* Rows centred over units, columns of equal length, rows of length 1. */
static void level(float *w, int units, int n)
{
    for (int k = 0; k < n; k++) {
        double mean = 0, square = 0;
        for (int u = 0; u < units; u++)
            mean += w[(size_t)u * (size_t)n + (size_t)k];
        mean /= units;
        for (int u = 0; u < units; u++) {
            float *p = &w[(size_t)u * (size_t)n + (size_t)k];
            *p -= (float)mean;
            square += (double)*p * *p;
        }
        float scale = square > 0 ? (float)(1 / sqrt(square)) : 0;
        for (int u = 0; u < units; u++)
            w[(size_t)u * (size_t)n + (size_t)k] *= scale;
    }
    for (int u = 0; u < units; u++) {
        double s = 0;
        float *row = w + (size_t)u * (size_t)n;
        for (int k = 0; k < n; k++)
            s += (double)row[k] * row[k];
        float scale = s > 0 ? (float)(1 / sqrt(s)) : 0;
        for (int k = 0; k < n; k++)
            row[k] *= scale;
    }
}

struct asked {
    const float *a[FFN_ROLES], *b[FFN_ROLES];  /* (na, n) and (nb, n); NULL: no such part */
    float *rows, *cos;                         /* (nb, n), (nb, na) */
    int na, nb, n;
};

/* answer[u]: the nearest neuron by this part; by gate a sign counts, by the others it may have been turned. */
static void nearest(int *answer, const struct asked *q, const struct nn *x, int part, const int *perm)
{
    for (int u = 0; u < q->nb; u++)
        for (int k = 0; k < q->n; k++)
            q->rows[u * q->n + k] = q->b[part][u * q->n + (perm ? perm[k] : k)];
    struct gemm_args g = {.c = mat_f32(q->cos, q->nb, q->na), .a = mat_f32(q->rows, q->nb, q->n),
                          .b = mat_f32((float *)(uintptr_t)q->a[part], q->na, q->n), .b_trans = true};
    gemm(x, &g);
    for (int u = 0; u < q->nb; u++) {
        const float *c = q->cos + (size_t)u * (size_t)q->na;
        float best = -2;
        for (int i = 0; i < q->na; i++) {
            float v = part == 0 ? c[i] : fabsf(c[i]);
            if (v > best) {
                best = v;
                answer[u] = i;
            }
        }
    }
}

static int agreements(const struct asked *q, const struct nn *x, const int *perm)
{
    int answer[FFN_ROLES][MATCH_MAX_NEURONS], n = 0;
    for (int part = 0; part < FFN_ROLES; part++) {
        for (int u = 0; u < q->nb; u++)
            answer[part][u] = -1 - part;
        if (q->a[part] && q->b[part])
            nearest(answer[part], q, x, part, perm);
    }
    for (int u = 0; u < q->nb; u++)
        n += answer[0][u] == answer[1][u] || answer[0][u] == answer[2][u] || answer[1][u] == answer[2][u];
    return n;
}

static void count(struct match_count *c, const struct asked *q, const struct nn *x, uint64_t seed)
{
    int perm[BASIS_MAX];
    c->n += q->nb;
    c->agree += agreements(q, x, NULL);
    for (int t = 0; t < MATCH_DRAWS; t++) {
        chance_permutation(perm, q->n, seed, CHANCE_NEURONS, (uint64_t)t);
        c->drawn += q->nb;
        c->drawn_agree += agreements(q, x, perm);
    }
}

/* One part of one side, levelled; *out is NULL when there is none. */
static int read_side(float **out, const struct nn *x, const struct match_side *s, int part, struct err *e)
{
    const struct slice *w = &s->f->part[part];
    *out = NULL;
    if (!w->t || (int64_t)w->units * s->b->n > MAX_VALUES)
        return 0;
    *out = mem_new((size_t)w->units, (size_t)s->b->n * sizeof **out);
    if (!*out)
        return err_set(e, ERR_NOMEM, "%s: tensor \"%s\": out of memory", s->v->path, w->t->name);
    const struct weight *gain = part == 2 ? NULL : s->v->layer[s->f->layer].norm[1];
    int rc = basis_read(*out, x, s->v, w, gain, s->b, e);
    if (rc == 0)
        level(*out, w->units, s->b->n);
    weight_drop(w->t);
    return rc;
}

/* Some rows of `w`, the same of every part, moved to its front. */
static void sample(float *w, int units, int keep, int n)
{
    for (int i = 0; i < keep; i++)
        memmove(w + (size_t)i * (size_t)n, w + (size_t)((int64_t)i * units / keep) * (size_t)n, (size_t)n * sizeof *w);
}

static int units_of(const struct ffn_view *f)
{
    const struct slice *up = &f->part[1], *down = &f->part[2];
    bool equal = up->t && down->t && up->units == down->units && (!f->part[0].t || f->part[0].units == up->units);
    return equal ? up->units : 0;
}

int match_add(struct match_count *c, const struct nn *x, const struct match_side *a, const struct match_side *b,
              uint64_t seed, struct err *e)
{
    float *wa[FFN_ROLES] = {0}, *wb[FFN_ROLES] = {0};
    struct asked q = {.na = units_of(a->f), .nb = units_of(b->f), .n = b->b->n};
    int all = q.nb, rc = 0;
    if (q.na < 8 || q.nb < 8 || q.n < 16)
        return 0;
    q.nb = all < MATCH_MAX_NEURONS ? all : MATCH_MAX_NEURONS;
    for (int p = 0; p < FFN_ROLES && rc == 0; p++) {
        rc = read_side(&wa[p], x, a, p, e);
        if (rc == 0)
            rc = read_side(&wb[p], x, b, p, e);
        if (rc == 0 && wb[p])
            sample(wb[p], all, q.nb, q.n);
        q.a[p] = wa[p];
        q.b[p] = wb[p];
    }
    q.rows = mem_new((size_t)q.nb * (size_t)q.n, sizeof *q.rows);
    q.cos = mem_new((size_t)q.nb * (size_t)q.na, sizeof *q.cos);
    if (rc == 0 && (!q.rows || !q.cos))
        rc = err_set(e, ERR_NOMEM, "%s: out of memory for its neurons", b->v->path);
    if (rc == 0)
        count(c, &q, x, seed);
    for (int p = 0; p < FFN_ROLES; p++) {
        mem_free(wa[p]);
        mem_free(wb[p]);
    }
    mem_free(q.rows);
    mem_free(q.cos);
    return rc;
}

double match_p(const struct match_count *c)
{
    if (!c->n || !c->drawn)
        return 1;
    double mean = chance_poisson_limit(c->drawn_agree) * c->n / c->drawn;
    return chance_poisson_tail(mean, c->agree);
}
