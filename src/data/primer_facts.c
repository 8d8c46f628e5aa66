/* The split of facts into those the textbook may tell and those it never tells. */
#include <assert.h>

#include "data/primer_int.h"

/* Per cent held out in each space; small spaces give more, so that there is something to ask. */
static const int held_percent[] = {
    [SPACE_NUMBER] = 15, [SPACE_COUNT] = 15, [SPACE_PARTICLE] = 15, [SPACE_SUM] = 15, [SPACE_WEEKDAY] = 20,
        [SPACE_CLOCK] = 15,
    [SPACE_DATE] = 15, [SPACE_UNIT] = 20, [SPACE_LESS] = 15, [SPACE_SORTED] = 15, [SPACE_STORY_KO] = 15,
        [SPACE_STORY_EN] = 15,
    [SPACE_CODE] = 15, [SPACE_FORM] = 15, [SPACE_PAIR] = 15, [SPACE_TALL] = 15, [SPACE_LETTERS] = 15,
    [SPACE_COPY] = 15,
};

static uint64_t mix(uint64_t x)
{
    /* SplitMix64's finaliser (Steele, Lea, Flood, 2014). */
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

bool fact_held(enum fact_space space, int a, int b, int c, int d)
{
    uint64_t h = mix((uint64_t)space * 0x9e3779b97f4a7c15u);

    h = mix(h + ((uint64_t)(uint32_t)a << 32 | (uint32_t)b));
    h = mix(h + ((uint64_t)(uint32_t)c << 32 | (uint32_t)d));
    return h % 100 < (uint64_t)held_percent[space];
}

bool sum_held(int a, int b)
{
    return a < b ? fact_held(SPACE_SUM, a, b, 0, 0) : fact_held(SPACE_SUM, b, a, 0, 0);
}

bool less_held(int a, int b)
{
    return a < b ? fact_held(SPACE_LESS, a, b, 0, 0) : fact_held(SPACE_LESS, b, a, 0, 0);
}

int list_len(const char *const *l)
{
    int n = 0;

    while (l[n])
        n++;
    return n;
}

const char *list_pick(struct rng *r, const char *const *l)
{
    return l[pick(r, list_len(l))];
}

void pick_distinct(struct rng *r, int *v, int k, int n)
{
    assert(k <= n);
    for (int i = 0; i < k; i++) {
    again:
        v[i] = pick(r, n);
        for (int j = 0; j < i; j++)
            if (v[j] == v[i])
                goto again;
    }
}
