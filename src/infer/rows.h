/* One forward pass over rows of several sessions: the inside of infer/session.h, and what a server batches
 * with.  Rows are cut into segments; a segment is a run of consecutive positions of one sequence, be it a
 * prefill chunk or a single decode step. */
#ifndef DK_INFER_ROWS_H
#define DK_INFER_ROWS_H

#include "infer/session.h"
#include "model/params.h"
#include "nn/attention.h"
#include "nn/gemm.h"
#include "nn/ops.h"

struct infer_layer {
    struct wpack wqkv, wo, wgu, wdown;
    const real *norm1, *norm2, *q_norm, *k_norm; /* q_norm, k_norm NULL: none */
};
struct infer_model {
    const struct nn *x;
    struct model_config c;
    struct tokenizer *tok;
    struct digest root;
    const real *embed;          /* (vocab, d) f32: rows are copied out of it */
    const real *norm;
    struct wpack head;
    struct infer_layer layer[MODEL_MAX_LAYERS];
    void *mem, *kept;           /* the packs; embedding and gains */
    size_t mem_bytes, kept_bytes;
    uint64_t pack_bytes;
};

/* Pages of 64 positions for all layers.  Layer i's keys of page p lie at k[i] + p·page_stride(i). */
struct kv_pool {
    bf16 *k[MODEL_MAX_LAYERS], *v[MODEL_MAX_LAYERS];
    int n_pages, n_free;
    int *free_page;             /* (n_pages), the next to give out last */
    void *mem;
    size_t bytes;
};
int kv_pool_init(struct kv_pool *p, const struct model_config *c, int n_pages, struct err *e) MUST_CHECK;
void kv_pool_release(struct kv_pool *p);
int kv_pool_take(struct kv_pool *p); /* a page, or −1 */

/* Rows of the batch that belong to one sequence: positions pos0 … pos0 + n − 1. */
struct infer_seg {
    int n, pos0;
    const struct kv_pool *pool;
    const int *page;            /* of the sequence; covers pos0 + n positions */
};

/* Activations of up to max_rows rows, one set shared by all layers; segments of up to max_pos positions. */
struct infer_space {
    int max_rows, max_pos, head_rows, rope_pos; /* rope_pos: positions that cos and sin hold by now */
    real *x, *rstd, *cos, *sin, *logits, *loss;
    bf16 *h, *qkv, *q, *o, *gu, *act;
    int *tok, *pos, *target;
    struct attn_seg *seg;       /* (max_rows) */
    void *mem;
    size_t bytes;
};
int infer_space_init(struct infer_space *w, const struct infer_model *m, int max_rows, int max_pos,
                     struct err *e) MUST_CHECK;
void infer_space_release(struct infer_space *w);

/* w->h (rows, d) bf16 = what the head reads, of all rows of all segments in order; keys and values go to the
 * pages.  Allocates nothing. tok: the rows' tokens, checked by the caller. */
void infer_rows(const struct infer_model *m, struct infer_space *w, const int32_t *tok, const struct infer_seg *seg,
                int n_seg);
/* logits (n, vocab) of rows [row, row + n) of w->h, n ≤ w->head_rows. */
void infer_logits(const struct infer_model *m, struct infer_space *w, int row, int n, real *logits);

int infer_argmax(const real *z, int n); /* lowest index on ties */

#endif
