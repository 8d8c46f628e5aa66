/* What the forward and the backward walk of attention share: key blocks of 64, who sees what, and
 * a thread's scratch.  Private to nn/attention*.c. */
#ifndef DK_NN_ATTENTION_WALK_H
#define DK_NN_ATTENTION_WALK_H

#include "base/mem.h"
#include "nn/attention.h"

enum { KEY_BLOCK = KV_PAGE };

static inline real *take_reals(struct arena *a, size_t n)
{
    return (real *)arena_take(a, n, sizeof(real));
}

/* A thread's scratch from its first 64-byte boundary on. */
static inline struct arena arena_of_thread(const struct nn *x, int thread)
{
    uintptr_t p = (uintptr_t)nn_scratch(x, thread), start = (p + 63) & ~(uintptr_t)63;
    return (struct arena){(unsigned char *)start, 0, x->scratch_bytes - (size_t)(start - p)};
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

/* Visible (query, key) pairs of a segment times query heads: a product over d_head costs 2·d_head for each. */
static inline double visible_pairs(const struct attn_seg *s, struct attn_shape a)
{
    double n = s->n, p = s->pos0, w = a.window > 0 ? a.window : p + n, full = w > p ? w - p : 0;
    if (full > n)
        full = n; /* the first rows see all before them, the others the window */
    return a.n_head * (full * p + full * (full + 1) / 2 + (n - full) * w);
}

static inline int min_int(int a, int b) { return a < b ? a : b; }
static inline int max_int(int a, int b) { return a > b ? a : b; }

/* One call of the forward. */
struct fwd {
    const struct kernels *k;
    struct attn_shape s;
    int group; /* query heads of a kv head */
    struct mat o, q;
    real *m, *l;
};

static inline const bf16 *query_at(const struct fwd *f, int row, int head)
{
    return mat_b(f->q) + (ptrdiff_t)row * f->q.stride + (ptrdiff_t)head * f->s.d_head;
}

static inline bf16 *out_at(const struct fwd *f, int row, int head)
{
    return mat_b(f->o) + (ptrdiff_t)row * f->o.stride + (ptrdiff_t)head * f->s.d_head;
}

static inline void keep_m_l(const struct fwd *f, int row, int head, real m, real l)
{
    if (!f->m)
        return;
    f->m[(ptrdiff_t)row * f->s.n_head + head] = m;
    f->l[(ptrdiff_t)row * f->s.n_head + head] = l;
}

static inline ptrdiff_t kv_offset(const struct kv *kv, int block, int g, int d_head)
{
    int page = kv->page ? kv->page[block] : block;
    return (ptrdiff_t)page * kv->page_stride + (ptrdiff_t)g * d_head;
}

/* Up to this many rows of a segment read keys and values without packing them. */
enum { FEW_ROWS = 16 };

/* All rows of a segment under kv heads [g0, g1). */
struct few {
    const struct attn_seg *seg;
    int g0, g1;
};
void attention_few_run(const struct fwd *f, struct arena space, const struct few *p);

/* Bytes of a thread's scratch. */
size_t attention_few_bytes(struct attn_shape s);
size_t attention_bwd_bytes(const struct kernels *k, struct attn_shape s, int max_len);

#endif
