#include "train/drift.h"

#include <math.h>
#include <string.h>

/* Sums of so many elements in binary32, their sum in binary64, in order. */
enum { BLOCK = 4096 };

static double sum_sq(const struct kernels *k, const real *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i += BLOCK)
        sum += (double)k->sum_sq(x + i, n - i < BLOCK ? n - i : BLOCK);
    return sum;
}

static struct drift of_tensor(const struct kernels *k, const real *w, real *before, size_t n)
{
    real most = 0;
    for (size_t i = 0; i < n; i++) {
        before[i] = w[i] - before[i];
        real size = before[i] < 0 ? -before[i] : before[i];
        most = size > most ? size : most;
    }
    struct drift d = {sqrt(sum_sq(k, before, n) / (double)n), (double)most};
    memcpy(before, w, n * sizeof *w);
    return d;
}

bool drift_possible(const struct drift *d)
{
    return d->rms >= 0 && d->max < INFINITY && d->rms <= 1.001 * d->max + 1e-20; /* squares round in binary32 */
}

void drift_measure(struct drift *d, const struct nn *x, const struct param_table *t, const real *w, real *before)
{
#pragma omp parallel num_threads(x->threads)
    {
        nn_begin(x);
#pragma omp for schedule(dynamic, 1) nowait /* a tensor is one thread's, whoever it is */
        for (int i = 0; i < t->n; i++)
            d[i] = of_tensor(x->k, w + t->p[i].offset, before + t->p[i].offset, t->p[i].n);
        nn_end(x);
    }
}
