/* Inside of the network: what net.c, net_layout.c and net_block.c share.
 *
 * Shapes: d = d_model, hq = n_head·d_head, hk = n_kv·d_head, ff = d_ff of the layer; rows first. */
#ifndef DK_MODEL_NET_INT_H
#define DK_MODEL_NET_INT_H

#include "model/net.h"

/* What a layer's forward leaves for its backward. */
struct layer_buf {
    bf16 *h1;            /* d: input of the attention products */
    bf16 *qkvk;          /* hq + 3·hk: q, k, v as projected, then k as rotated, so that attention finds keys
                          * and values at one row stride */
    bf16 *q, *o;         /* hq: rotated queries; attention's result */
    bf16 *h2, *gu, *act; /* d, 2·ff, ff */
    real *rstd1, *rstd2; /* one a row */
    real *rstd_q, *rstd_k, *m, *l; /* one a row and head */
    real *x_mid;         /* d: residual stream between the two blocks */
};

struct net {
    const struct nn *x;
    struct model_config c;
    struct net_opts o;
    struct net_params p;

    struct layer_buf buf[MODEL_MAX_LAYERS]; /* all the same storage unless every layer keeps its own */
    real *in[MODEL_MAX_LAYERS + 1]; /* d: residual stream before layer i; the last is what the final norm reads */
    bf16 *h;                        /* d: input of the head */
    real *rstd;
    real *cos, *sin;                /* (max_len, d_head/2) */
    struct attn_seg *seg;           /* max_rows */
    int n_seg;
    const int *pos;                 /* of the batch at hand */
    bool i8;                        /* the products at hand are of 8-bit integers */

    /* backward; the pieces from dact on are dead while the head runs, and lie where its logits lay */
    real *dx;                       /* d: gradient of the residual stream */
    bf16 *dh;                       /* d */
    bf16 *dact, *dgu;               /* ff, 2·ff */
    bf16 *d_o, *dqkv;               /* hq, hq + 2·hk */
    real *dq, *dk, *dv, *delta;     /* hq, hk, hk, n_head */
    real *dembed;                   /* tied: (vocab, d) */
    void *head_space;

    void *mem;
    size_t bytes;
};

static inline int layer_hq(const struct layer_facts *f) { return f->n_head * f->d_head; }
static inline int layer_hk(const struct layer_facts *f) { return f->n_kv * f->d_head; }

/* in[i] → x_mid → in[i+1], rows of n->pos and n->seg.  `again`: only what the backward needs. */
void net_attn_fwd(struct net *n, const real *w, int i, int rows);
void net_ff_fwd(struct net *n, const real *w, int i, int rows, bool again);
/* dx: gradient of the block's output in, of its input out; g += gradients of its weights. */
void net_ff_bwd(struct net *n, const real *w, real *g, int i, int rows);
void net_attn_bwd(struct net *n, const real *w, real *g, int i, int rows);

#endif
