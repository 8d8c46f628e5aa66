#include "lineage/chance.h"

#include <math.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/rng.h"

enum { BLOCK = 256, MAX_HOLM = 1 << 16 };

void chance_permutation(int *perm, int n, uint64_t seed, uint32_t stream, uint64_t t)
{
    struct rng r;
    rng_init(&r, seed ^ (t * 0x9E3779B97F4A7C15u), RNG_LINEAGE, stream);
    for (int i = 0; i < n; i++)
        perm[i] = i;
    for (int i = n - 1; i > 0; i--) {
        int k = (int)rng_below(&r, (uint32_t)i + 1), keep = perm[i];
        perm[i] = perm[k];
        perm[k] = keep;
    }
}

struct chance_result chance_test(double x, int64_t draws, double (*figure)(void *user, uint64_t t), void *user,
                                 int threads)
{
    struct chance_result r = {.p = 1};
    double v[BLOCK], sum = 0, squares = 0;
    int64_t above = 0;
    while (r.draws < draws && above < CHANCE_STOP) {
        int n = draws - r.draws < BLOCK ? (int)(draws - r.draws) : BLOCK;
#pragma omp parallel for schedule(static) num_threads(threads)
        for (int i = 0; i < n; i++)
            v[i] = figure(user, (uint64_t)(r.draws + i));
        for (int i = 0; i < n && above < CHANCE_STOP; i++) {
            above += !(v[i] < x);
            sum += v[i];
            squares += v[i] * v[i];
            r.draws++;
        }
    }
    if (r.draws == 0)
        return r;
    r.p = above >= CHANCE_STOP ? (double)above / (double)r.draws : (1.0 + (double)above) / ((double)r.draws + 1);
    r.mean = sum / (double)r.draws;
    r.sd = sqrt(fmax(0, squares / (double)r.draws - r.mean * r.mean));
    return r;
}

static double poisson_log(double mean, int k) { return (double)k * log(mean) - mean - lgamma((double)k + 1); }

double chance_poisson_tail(double mean, int k)
{
    double sum = 0, term;
    if (k <= 0)
        return 1;
    if (k <= mean) {
        /* The terms below k, falling from the last one on: together about a half at most, so that the rest is exact. */
        term = exp(poisson_log(mean, k - 1));
        for (int i = k - 1; i >= 0 && term > sum * 1e-17; i--) {
            sum += term;
            term *= i / mean;
        }
        return 1 - sum;
    }
    /* The terms from k on, falling too; the first one through logarithms: no cancellation. */
    term = exp(poisson_log(mean, k));
    for (int i = k + 1; term > sum * 1e-17; i++) {
        sum += term;
        term *= mean / i;
    }
    return sum < 1 ? fmax(sum, CHANCE_LEAST) : 1;
}

double chance_poisson_limit(double n)
{
    return n + 4 * sqrt(n + 1) + 4;
}

void chance_holm(double *p, int n)
{
    static bool done[MAX_HOLM];
    double least = 0;
    if (n > MAX_HOLM)
        n = MAX_HOLM;
    for (int i = 0; i < n; i++)
        done[i] = false;
    for (int rank = 0; rank < n; rank++) {
        int at = -1;
        for (int i = 0; i < n; i++)
            if (!done[i] && (at < 0 || p[i] < p[at]))
                at = i;
        double adjusted = p[at] * (n - rank);
        least = adjusted > least ? adjusted : least;
        p[at] = least < 1 ? least : 1;
        done[at] = true;
    }
}
