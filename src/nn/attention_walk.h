/* What the forward and the backward walk of attention share: key blocks of 64, who sees what, and
 * carving of a thread's scratch.  Private to nn/attention*.c. */
#ifndef DK_NN_ATTENTION_WALK_H
#define DK_NN_ATTENTION_WALK_H

#include "nn/attention.h"

enum { KEY_BLOCK = KV_PAGE };

/* Runs twice: with base NULL it measures, with a base it places. */
struct carve {
    char *base;
    size_t used;
};

static inline void *carve_take(struct carve *c, size_t bytes)
{
    size_t at = c->used;
    c->used += (bytes + 63) & ~(size_t)63;
    return c->base ? c->base + at : NULL;
}

static inline real *carve_reals(struct carve *c, size_t n)
{
    return (real *)carve_take(c, n * sizeof(real));
}

/* A thread's scratch from its first 64-byte boundary on. */
static inline struct carve carve_thread(const struct nn *x, int thread)
{
    uintptr_t p = ((uintptr_t)nn_scratch(x, thread) + 63) & ~(uintptr_t)63;
    return (struct carve){(char *)p, 0};
}

/* First key block that a query at position p sees. */
static inline int first_block(int p, int window)
{
    return window > 0 && p >= window ? (p - window + 1) / KEY_BLOCK : 0;
}

/* Visible keys of block b, relative to it, for rows at positions p0, p0+1, … */
static inline void visible_keys(int *lo, int *hi, int rows, int p0, int b, int window)
{
    for (int r = 0; r < rows; r++) {
        hi[r] = p0 + r + 1 - b * KEY_BLOCK;
        lo[r] = window > 0 ? hi[r] - window : 0;
    }
}

size_t attention_bwd_bytes(const struct kernels *k, struct attn_shape s, int max_len);

static inline int min_int(int a, int b) { return a < b ? a : b; }
static inline int max_int(int a, int b) { return a > b ? a : b; }

#endif
