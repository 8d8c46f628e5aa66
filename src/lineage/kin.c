#include "lineage/kin.h"

#include "base/mem.h"

struct search {
    int n, others;
    float *c[2];                  /* (n, others): correlations by each description */
    int found[2][KIN_ASKING];
};
struct searches {
    struct search s[2];
    int n;
    uint64_t seed;
};

static float dot(const float *a, const float *b, int n)
{
    float s[8] = {0};
    int k = 0;
    for (; k + 8 <= n; k += 8)
        for (int i = 0; i < 8; i++)
            s[i] += a[k + i] * b[k + i];
    for (; k < n; k++)
        s[0] += a[k] * b[k];
    return ((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7]));
}

static int best_of(const float *c, int n)
{
    int best = 0;
    for (int i = 1; i < n; i++)
        if (c[i] > c[best])
            best = i;
    return best;
}

static void look(struct search *k, const struct head_set *asks, const struct head_set *asked, int threads)
{
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int i = 0; i < k->n; i++)
        for (int r = 0; r < 2; r++) {
            const int len = asks->len[r];
            const float *x = asks->x[r] + (int64_t)i * asks->n / k->n * len;
            float *c = k->c[r] + (size_t)i * (size_t)k->others;
            for (int j = 0; j < k->others; j++)
                c[j] = dot(x, asked->x[r] + (size_t)j * (size_t)len, len);
            k->found[r][i] = best_of(c, k->others);
        }
}

static int search_new(struct search *k, const struct head_set *asks, const struct head_set *asked, int threads,
                      struct err *e)
{
    *k = (struct search){.n = asks->n < KIN_ASKING ? asks->n : KIN_ASKING, .others = asked->n};
    for (int r = 0; r < 2; r++) {
        k->c[r] = mem_new((size_t)k->n, (size_t)k->others * sizeof(float));
        if (!k->c[r])
            return err_set(e, ERR_NOMEM, "no memory for %d × %d heads", k->n, k->others);
    }
    look(k, asks, asked, threads);
    return 0;
}

/* The mean correlation of what one description found, by the other. */
static double confirmed(const struct search *k, const int *perm)
{
    double sum = 0;
    for (int i = 0; i < k->n; i++)
        for (int r = 0; r < 2; r++) {
            int f = k->found[r][i];
            sum += (double)k->c[!r][(size_t)i * (size_t)k->others + (size_t)(perm ? perm[f] : f)];
        }
    return sum / (2 * k->n);
}

static double most(const struct searches *k, const int *perm)
{
    double best = -2;
    for (int i = 0; i < k->n; i++) {
        double x = confirmed(&k->s[i], perm);
        best = x > best ? x : best;
    }
    return best;
}

static double permuted(void *user, uint64_t t)
{
    const struct searches *k = user;
    int perm[HEAD_MAX_HEADS];
    chance_permutation(perm, k->s[0].others, k->seed, CHANCE_HEADS, t);
    return most(k, perm);
}

/* Share of heads that both descriptions send to the same one, of the set where it is larger. */
static double twice(const struct searches *k)
{
    double best = 0;
    for (int i = 0; i < k->n; i++) {
        const struct search *s = &k->s[i];
        int same = 0;
        for (int j = 0; j < s->n; j++)
            same += s->found[0][j] == s->found[1][j];
        best = (double)same / s->n > best ? (double)same / s->n : best;
    }
    return best;
}

int kin_compare(struct kin_result *r, const char **why_not, const struct head_set *a, const struct head_set *b, int n,
                int64_t draws, uint64_t seed, int threads, struct err *e)
{
    const struct head_set *asks = a->n < b->n ? a : b, *asked = asks == a ? b : a;
    struct searches k = {.n = n, .seed = seed};
    *why_not = asks->n < KIN_LEAST_HEADS ? "too few heads that are known in one of the models"
               : a->len[0] != b->len[0] ? "heads of different size" : NULL;
    int rc = 0;
    for (int i = 0; i < n && rc == 0 && !*why_not; i++)
        rc = search_new(&k.s[i], asks + i, asked + i, threads, e);
    if (rc == 0 && !*why_not) {
        *r = (struct kin_result){.effect = most(&k, NULL), .twice = twice(&k)};
        r->chance = chance_test(r->effect, draws, permuted, &k, threads);
    }
    for (int i = 0; i < n; i++)
        for (int p = 0; p < 2; p++)
            mem_free(k.s[i].c[p]);
    return rc;
}
