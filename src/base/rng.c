#include "base/rng.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct rng4 rng_philox_raw(const uint32_t key[2], const uint32_t ctr[4])
{
    uint32_t c0 = ctr[0], c1 = ctr[1], c2 = ctr[2], c3 = ctr[3], k0 = key[0], k1 = key[1];
    for (int round = 0; round < 10; round++) {
        uint64_t a = (uint64_t)0xD2511F53u * c0, b = (uint64_t)0xCD9E8D57u * c2;
        c0 = (uint32_t)(b >> 32) ^ c1 ^ k0;
        c2 = (uint32_t)(a >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)b;
        c3 = (uint32_t)a;
        k0 += 0x9E3779B9u; /* golden ratio */
        k1 += 0xBB67AE85u; /* sqrt(3) − 1 */
    }
    return (struct rng4){{c0, c1, c2, c3}};
}

struct rng4 rng_philox(uint64_t key, uint32_t purpose, uint32_t stream, uint64_t index)
{
    const uint32_t k[2] = {(uint32_t)key, (uint32_t)(key >> 32)};
    const uint32_t c[4] = {(uint32_t)index, (uint32_t)(index >> 32), stream, purpose};
    return rng_philox_raw(k, c);
}

bool rng_seed_read(uint64_t *seed, const char *s)
{
    /* A number reader alone would take "0x-5" and "0x 5". */
    if (!s || strncmp(s, "0x", 2) != 0 || strspn(s + 2, "0123456789abcdefABCDEF") != 16 || s[18]) return false;
    *seed = strtoull(s + 2, NULL, 16);
    return true;
}

void rng_init(struct rng *r, uint64_t key, uint32_t purpose, uint32_t stream)
{
    *r = (struct rng){.key = key, .purpose = purpose, .stream = stream};
}

uint32_t rng_u32(struct rng *r)
{
    if (r->left == 0) {
        r->have = rng_philox(r->key, r->purpose, r->stream, r->index++);
        r->left = 4;
    }
    return r->have.v[4 - r->left--];
}

/* Multiply and take the high half; draws whose low half falls into the uneven rest
 * (2^32 mod n of them) are taken again (Lemire 2019). */
uint32_t rng_below(struct rng *r, uint32_t n)
{
    assert(n > 0);
    uint32_t rest = -n % n;
    uint64_t m;
    do m = (uint64_t)rng_u32(r) * n;
    while ((uint32_t)m < rest);
    return (uint32_t)(m >> 32);
}

enum { ROUNDS = 8 };

struct feistel {
    uint64_t key;
    uint32_t epoch;
    int half; /* bits on each side */
};

static uint32_t mix(const struct feistel *f, int round, uint32_t x)
{
    uint32_t mask = f->half == 32 ? UINT32_MAX : (1u << f->half) - 1;
    return rng_philox(f->key, RNG_ORDER, f->epoch, (uint64_t)round << 32 | x).v[0] & mask;
}

/* One pass over 2·half bits; backwards undoes forwards. */
static uint64_t feistel_pass(const struct feistel *f, uint64_t x, bool forwards)
{
    uint64_t mask = ((uint64_t)1 << f->half) - 1;
    uint32_t l = (uint32_t)(x >> f->half), r = (uint32_t)(x & mask), t;
    for (int i = 0; i < ROUNDS; i++) {
        if (forwards) t = l ^ mix(f, i, r), l = r, r = t;
        else t = r ^ mix(f, ROUNDS - 1 - i, l), r = l, l = t;
    }
    return (uint64_t)l << f->half | r;
}

/* Cycle walking: the pass permutes [0, 4^half) ⊇ [0, n); following it until it comes back into
 * [0, n) permutes that. On average fewer than four steps. */
static uint64_t walk(uint64_t key, uint32_t epoch, uint64_t n, uint64_t x, bool forwards)
{
    assert(x < n);
    if (n == 1) return 0;
    int bits = 64 - __builtin_clzll(n - 1);
    struct feistel f = {key, epoch, (bits + 1) / 2};
    do x = feistel_pass(&f, x, forwards);
    while (x >= n);
    return x;
}

uint64_t rng_permute(uint64_t key, uint32_t epoch, uint64_t n, uint64_t i)
{
    return walk(key, epoch, n, i, true);
}

uint64_t rng_permute_inverse(uint64_t key, uint32_t epoch, uint64_t n, uint64_t j)
{
    return walk(key, epoch, n, j, false);
}
