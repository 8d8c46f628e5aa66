#include "lineage/compare.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"

static int row_of(int i, int n, int all) { return (int)((int64_t)i * all / n); }

static int begin(struct sigset *g, const struct view *v, int all, int roles, struct err *e)
{
    *g = (struct sigset){.n = all < SIGSET_MAX ? all : SIGSET_MAX, .roles = roles};
    g->s = mem_new((size_t)g->n * (size_t)roles, sizeof *g->s);
    return g->s ? 0 : err_set(e, ERR_NOMEM, "%s: out of memory for %d layers", v->path, g->n);
}

int sigset_attn(struct sigset *g, const struct nn *x, const struct view *v, const struct basis *b, struct err *e)
{
    int rc = begin(g, v, v->n_layer, ATTN_ROLES, e);
    for (int i = 0; i < g->n && rc == 0; i++) {
        int l = row_of(i, g->n, v->n_layer);
        g->layer[i] = g->index[i] = l;
        g->expert[i] = -1;
        for (int r = 0; r < ATTN_ROLES && rc == 0; r++)
            rc = signature_make(&g->s[i * ATTN_ROLES + r], x, v, &v->layer[l].attn[r],
                                r == ROLE_O ? NULL : v->layer[l].norm[0], b, e);
    }
    return rc;
}

int sigset_ffn(struct sigset *g, const struct nn *x, const struct view *v, const struct basis *b, struct err *e)
{
    int rc = begin(g, v, v->n_ffn, FFN_ROLES, e);
    for (int i = 0; i < g->n && rc == 0; i++) {
        int k = row_of(i, g->n, v->n_ffn);
        const struct ffn_view *f = &v->ffn[k];
        g->layer[i] = f->layer;
        g->expert[i] = f->expert;
        g->index[i] = k;
        for (int r = 0; r < FFN_ROLES && rc == 0; r++)
            rc = signature_make(&g->s[i * FFN_ROLES + r], x, v, &f->part[r],
                                r == 2 ? NULL : v->layer[f->layer].norm[1], b, e);
    }
    return rc;
}

void sigset_release(struct sigset *g)
{
    for (int i = 0; g->s && i < g->n * g->roles; i++)
        signature_release(&g->s[i]);
    mem_free(g->s);
    *g = (struct sigset){0};
}

/* ---- comparing ---- */

/* Mean correlation of two rows over the roles both have; NAN: none. */
static double rows_product(const struct sigset *a, int i, const struct sigset *b, int j, int half, const int *perm,
                           int *roles)
{
    double sum = 0;
    *roles = 0;
    for (int r = 0; r < a->roles; r++) {
        const struct signature *x = &a->s[i * a->roles + r], *y = &b->s[j * b->roles + r];
        if (x->h == 0 || x->h != y->h)
            continue;
        sum += signature_product(x, y, half, perm);
        ++*roles;
    }
    return *roles ? sum / *roles : NAN;
}

struct mantel {
    const struct sigset *a, *b;
    const struct layer_match *m;
    int n, h;
    uint64_t seed;
};

static double permuted(void *user, uint64_t t)
{
    const struct mantel *k = user;
    int perm[BASIS_MAX], roles;
    double sum = 0;
    chance_permutation(perm, k->h, k->seed, CHANCE_LAYERS, t);
    for (int i = 0; i < k->n; i++)
        sum += rows_product(k->a, k->m[i].a, k->b, k->m[i].b, 1, perm, &roles);
    return sum / k->n;
}

static int by_found(const void *a, const void *b)
{
    const struct layer_match *x = a, *y = b;
    if (x->found != y->found)
        return x->found < y->found ? 1 : -1;
    return (x->a > y->a) - (x->a < y->a);
}

static int by_row(const void *a, const void *b)
{
    const struct layer_match *x = a, *y = b;
    return x->b != y->b ? (x->b > y->b) - (x->b < y->b) : (x->a > y->a) - (x->a < y->a);
}

/* The best partner of row i of the smaller set. */
static bool partner(struct layer_match *m, const struct sigset *a, const struct sigset *b, int i, bool a_less)
{
    const int others = a_less ? b->n : a->n;
    int roles = 0;
    *m = (struct layer_match){.a = -1, .found = -2};
    for (int j = 0; j < others; j++) {
        int ra = a_less ? i : j, rb = a_less ? j : i;
        double r = rows_product(a, ra, b, rb, 0, NULL, &roles);
        if (r > m->found)
            *m = (struct layer_match){.a = ra, .b = rb, .found = r};
    }
    if (m->a < 0)
        return false;
    m->r = rows_product(a, m->a, b, m->b, 1, NULL, &roles);
    int h = 0;
    for (int r = 0; r < a->roles; r++)
        h = a->s[m->a * a->roles + r].h > h ? a->s[m->a * a->roles + r].h : h;
    m->sd = 1 / sqrt(0.5 * h * (h - 1) * roles);
    return true;
}

static int dims(const struct sigset *g)
{
    for (int i = 0; i < g->n * g->roles; i++)
        if (g->s[i].h)
            return g->s[i].h;
    return 0;
}

bool sigset_compare(struct layer_match *m, int *n, int max, double *effect, struct chance_result *c,
                    const struct sigset *a, const struct sigset *b, int64_t draws, uint64_t seed, int threads)
{
    const bool a_less = a->n < b->n;
    const int rows = a_less ? a->n : b->n;
    *n = 0;
    *effect = 0;
    for (int i = 0; i < rows && *n < max; i++) {
        int row = rows <= max ? i : row_of(i, max, rows);
        if (partner(&m[*n], a, b, row, a_less))
            ++*n;
    }
    if (*n == 0)
        return false;
    qsort(m, (size_t)*n, sizeof *m, by_found);
    struct mantel k = {a, b, m, *n < COMPARE_TOP ? *n : COMPARE_TOP, dims(a), seed};
    for (int i = 0; i < k.n; i++)
        *effect += m[i].r / k.n;
    *c = chance_test(*effect, draws, permuted, &k, threads);
    qsort(m, (size_t)*n, sizeof *m, by_row);
    return true;
}
