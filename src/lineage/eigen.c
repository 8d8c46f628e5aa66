#include "lineage/eigen.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_STEPS = 60 };  /* for one eigenvalue; three are usual */
static const double EPS = 0x1p-52;

/* ---- three diagonals ---- */

static void fill_upper(double *a, int n)
{
    for (int i = 0; i < n; i++)
        for (int j = 0; j < i; j++)
            a[j * n + i] = a[i * n + j];
}

/* x (n values, stride n) becomes v with (I − 2vvᵀ/vᵀv)·x = alpha·e₁; returns alpha, and vᵀv in *vv. */
static double reflect(double *x, int m, int n, double *vv)
{
    double s = 0;
    for (int i = 0; i < m; i++)
        s += x[i * n] * x[i * n];
    double alpha = x[0] > 0 ? -sqrt(s) : sqrt(s);
    x[0] -= alpha;
    *vv = 2 * (s - alpha * (x[0] + alpha));
    return alpha;
}

/* The block b (m, m) of row length n becomes H·b·H for the reflection at v (stride n); p is scratch. */
static void reflect_both(double *b, const double *v, double vv, double *p, int m, int n)
{
    double k = 0;
    for (int i = 0; i < m; i++) {
        p[i] = 0;
        for (int j = 0; j < m; j++)
            p[i] += b[i * n + j] * v[j * n];
        p[i] *= 2 / vv;
        k += p[i] * v[i * n] / vv;
    }
    for (int i = 0; i < m; i++)
        p[i] -= k * v[i * n];
    for (int i = 0; i < m; i++)
        for (int j = 0; j < m; j++)
            b[i * n + j] -= v[i * n] * p[j] + p[i] * v[j * n];
}

/* d: the diagonal, e[i]: beside d[i] and d[i + 1]; e[n − 1] = 0.  p: scratch. */
static void three_diagonals(double *d, double *e, double *a, double *p, int n)
{
    for (int k = 0; k < n; k++) {
        double *x = a + (k + 1) * n + k, vv = 0;
        d[k] = a[k * n + k];
        e[k] = k + 2 < n ? reflect(x, n - k - 1, n, &vv) : k + 2 == n ? x[0] : 0;
        if (vv > 0)
            reflect_both(a + (k + 1) * n + k + 1, x, vv, p, n - k - 1, n);
    }
}

/* ---- QL ---- */

static int end_of_block(const double *d, const double *e, int l, int n)
{
    while (l + 1 < n && fabs(e[l]) > EPS * (fabs(d[l]) + fabs(d[l + 1])))
        l++;
    return l;
}

/* One implicit QL step on the unreduced block l … m. */
static void ql_step(double *d, double *e, int l, int m)
{
    double g = (d[l + 1] - d[l]) / (2 * e[l]), r = sqrt(g * g + 1), s = 1, c = 1, p = 0;
    g = d[m] - d[l] + e[l] / (g + copysign(r, g));
    for (int i = m - 1; i >= l; i--) {
        double f = s * e[i], b = c * e[i];
        r = sqrt(f * f + g * g);
        e[i + 1] = r;
        if (!(r > 0)) {
            d[i + 1] -= p;
            e[m] = 0;
            return;
        }
        s = f / r;
        c = g / r;
        g = d[i + 1] - p;
        r = (d[i] - g) * s + 2 * c * b;
        p = s * r;
        d[i + 1] = g + p;
        g = c * r - b;
    }
    d[l] -= p;
    e[l] = g;
    e[m] = 0;
}

static int falling(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x < y) - (x > y);
}

void eigen_symmetric(double *w, double *a, int n)
{
    double e[EIGEN_MAX], p[EIGEN_MAX];
    assert(n <= EIGEN_MAX);
    fill_upper(a, n);
    three_diagonals(w, e, a, p, n);
    for (int l = 0; l < n; l++)
        for (int step = 0, m; step < MOST_STEPS && (m = end_of_block(w, e, l, n)) > l; step++)
            ql_step(w, e, l, m);
    qsort(w, (size_t)n, sizeof *w, falling);
}

void eigen_cholesky(double *l, const double *a, int n)
{
    double trace = 0;
    memset(l, 0, (size_t)n * (size_t)n * sizeof *l);
    for (int i = 0; i < n; i++)
        trace += a[i * n + i];
    for (int j = 0; j < n; j++) {
        for (int i = j; i < n; i++) {
            double s = a[i * n + j];
            for (int k = 0; k < j; k++)
                s -= l[i * n + k] * l[j * n + k];
            if (i == j && !(s > 4 * n * EPS * trace))
                break;
            l[i * n + j] = i == j ? sqrt(s) : s / l[j * n + j];
        }
    }
}
