/* Hashes for tables whose keys others chose, in a file or in text.  Each set of tables draws a key of its own, so that
 * nobody can prepare entries that all fall into one place; no result may depend on a hash.
 *
 * A step is a folded product: the two halves of a product of 128 bits, one xored into the other, as in wyhash
 * (Wang Yi).  All 64 bits are well mixed. */
#ifndef DK_BASE_HASH_H
#define DK_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct hash_key {
    uint64_t a, b;
};
/* From the system's source of random bytes. */
int hash_key_draw(struct hash_key *k, struct err *e) MUST_CHECK;

static inline uint64_t hash_fold(uint64_t x, uint64_t y)
{
    unsigned __int128 p = (unsigned __int128)x * y;
    return (uint64_t)p ^ (uint64_t)(p >> 64);
}

static inline uint64_t hash_word(struct hash_key k, uint64_t x) { return hash_fold(x ^ k.a, k.b); }

/* 1 to 7 bytes as a word that differs for any two of the same length. */
static inline uint64_t hash_tail(const unsigned char *p, size_t n)
{
    uint32_t low, high;
    if (n < 4)
        return p[0] | (uint64_t)p[n / 2] << 8 | (uint64_t)p[n - 1] << 16;
    __builtin_memcpy(&low, p, 4);
    __builtin_memcpy(&high, p + n - 4, 4);
    return low | (uint64_t)high << 32;
}

static inline uint64_t hash_bytes(struct hash_key k, const void *data, size_t n)
{
    const unsigned char *p = data;
    uint64_t h = k.a ^ n;
    for (; n >= 8; p += 8, n -= 8) {
        uint64_t w;
        __builtin_memcpy(&w, p, 8);
        h = hash_fold(h ^ w, k.b);
    }
    return n > 0 ? hash_fold(h ^ hash_tail(p, n), k.b) : h;
}

#endif
