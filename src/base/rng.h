/* Philox 4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
 *
 * Value = f(key, counter): key = the run's 64-bit seed, counter = (purpose, stream,
 * index), so any element can be produced alone, in any order, by any thread. */
#ifndef DK_BASE_RNG_H
#define DK_BASE_RNG_H

#include <stdbool.h>
#include <stdint.h>

enum rng_purpose {
    RNG_INIT = 1,   /* stream = tensor id */
    RNG_ORDER = 2,  /* stream = epoch */
    RNG_SAMPLE = 3, /* stream = request, index = position */
    RNG_PRIMER = 4,
    RNG_BENCH = 5,
    RNG_TEST = 6,
    RNG_LINEAGE = 7 /* stream = what is permuted (lineage/chance.h) */
};

struct rng4 {
    uint32_t v[4];
};
struct rng4 rng_philox(uint64_t key, uint32_t purpose, uint32_t stream, uint64_t index);
/* The raw function, for the published vectors. */
struct rng4 rng_philox_raw(const uint32_t key[2], const uint32_t ctr[4]);

/* A seed as files have it, "0x" and 16 hexadecimal digits; false: s (or NULL) is none, and *seed as it was. */
bool rng_seed_read(uint64_t *seed, const char *s);

/* [0,1) with 24 bits, exact. */
static inline float rng_unit_f32(uint32_t u) { return (float)(u >> 8) * 0x1p-24f; }

/* A sequential reader over one (key, purpose, stream). */
struct rng {
    uint64_t key, index;
    uint32_t purpose, stream;
    struct rng4 have;
    int left;
};
void rng_init(struct rng *r, uint64_t key, uint32_t purpose, uint32_t stream);
uint32_t rng_u32(struct rng *r);
uint32_t rng_below(struct rng *r, uint32_t n); /* unbiased, n > 0 */

/* A keyed permutation of [0, n): balanced Feistel network over the next even number of
 * bits with cycle walking, round function Philox.  O(1) either way. */
uint64_t rng_permute(uint64_t key, uint32_t epoch, uint64_t n, uint64_t i);
uint64_t rng_permute_inverse(uint64_t key, uint32_t epoch, uint64_t n, uint64_t j);

#endif
