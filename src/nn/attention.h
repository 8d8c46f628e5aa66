/* Causal attention over key/value rows that belong to the same sequence (NUMERICS §6).
 *
 * Tokens are rows: row r has sequence-relative position pos[r]; consecutive rows with
 * pos[r] = pos[r−1] + 1 and the same seq[r] are one segment.  Grouped queries: head h reads kv head
 * h / (n_head / n_kv).  window > 0: a query at p sees keys (p − window, p]; 0: all of [0, p].
 *
 * Keys and values come from a `kv`: in training the packed batch itself, in inference pages of 64
 * positions.  Because key blocks of 64 are anchored at position 0 of the sequence, a token's result
 * does not depend on which of the two it was, on the chunking of a prefill, or on its neighbours. */
#ifndef DK_NN_ATTENTION_H
#define DK_NN_ATTENTION_H

#include "nn/nn.h"

enum { KV_PAGE = 64 };

/* Where the keys of one sequence lie: position p, kv head g, element d of K at
 * k[page(p/64)*page_stride + (p%64)*row_stride + g*d_head + d] (V alike), page(b) = page ? page[b] : b. */
struct kv {
    const bf16 *k, *v;
    ptrdiff_t row_stride, page_stride;
    const int *page;
    int n; /* positions present */
};

/* A run of query rows [row, row + n) with positions pos0, pos0+1, … of one sequence. */
struct attn_seg {
    int row, n, pos0;
    struct kv kv; /* holds at least pos0 + n positions */
};

struct attn_shape {
    int n_head, n_kv, d_head;
    int window;
    real scale;
};

/* Scratch per thread that forward and backward need for sequences of up to max_len positions. */
size_t attention_scratch_bytes(const struct kernels *k, struct attn_shape s, int max_len, bool backward);

/* o (rows, n_head·d_head) bf16; q (rows, n_head·d_head) bf16 in rows of stride q.stride.
 * m, l (rows, n_head) f32, kept for the backward; NULL when it will not run. */
void attention_fwd(const struct nn *x, struct mat o, real *m, real *l, struct mat q,
                   const struct attn_seg *seg, int n_seg, struct attn_shape s);

/* Training only: every segment starts at pos0 = 0 and its kv is its own rows.  d_o is the gradient
 * of o (bf16).  dq (rows, n_head·d_head), dk, dv (rows, n_kv·d_head) are f32 and written (not added).
 * Order of the sums: dq over keys ascending; dk and dv over the heads of a group ascending and, within
 * a head, over queries ascending.  Queries and keys are cut into blocks of 64 anchored at the segment's
 * start, of which a pair contributes where any of its (query, key) is visible, in depths of 32.
 * Threads own (segment, kv head) pairs.  delta (rows, n_head) is space for this op. */
void attention_bwd(const struct nn *x, struct mat dq, struct mat dk, struct mat dv, real *delta,
                   struct mat d_o, struct mat o, const real *m, const real *l, struct mat q,
                   struct mat k, struct mat v, const struct attn_seg *seg, int n_seg,
                   struct attn_shape s);

#endif
