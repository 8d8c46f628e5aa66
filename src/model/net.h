/* The network: forward and backward over packed rows, composed of blocks over facts.
 *
 * A block's forward fills a buffer; who calls decides how long it lives: one per layer (training),
 * layer inputs only and the forward once more (checkpointing), one shared by all (inference). */
#ifndef DK_MODEL_NET_H
#define DK_MODEL_NET_H

#include <stdbool.h>

#include "base/mem.h"
#include "model/config.h"
#include "model/params.h"
#include "nn/attention.h"
#include "nn/gemm.h"
#include "nn/ops.h"

/* Rows of a training micro-batch; n is a multiple of OP_ROWS. Consecutive rows of one document have
 * consecutive pos; pos == 0 starts a document (or the continuation of one that was cut). */
struct batch {
    int n;
    const int *tok, *pos, *target; /* target −1: no loss here */
};

struct net_opts {
    int max_rows;         /* rows of the largest micro-batch, multiple of OP_ROWS */
    int max_len;          /* longest segment */
    bool checkpoint;      /* keep layer inputs only, run each layer's forward again in the backward */
    bool i8;              /* net_step's matrix products by 8-bit integers (profile T2), rows of a multiple of I8_GROUP;
                           * net_forward's never are */
    bool backward;        /* false: evaluation only, one layer buffer shared */
};

/* Training-side network: owns activations, borrows x (whose scratch must do for attention over max_len) and the
 * caller's weights and gradients; the configuration is copied. */
struct net;
int net_new(struct net **out, const struct nn *x, const struct model_config *c, const struct param_table *t,
            const struct net_opts *o, struct err *e) MUST_CHECK;
void net_free(struct net *n);
/* Bytes net_new would take: a pure function of its arguments. */
size_t net_bytes(const struct nn *x, const struct model_config *c, const struct net_opts *o);

/* Forward and loss: loss[r] per row (0 without target); argmax may be NULL. Allocates nothing. */
void net_forward(struct net *n, const real *w, const struct batch *b, real *loss, int *argmax);
/* Forward and backward: g += gradient of scale·Σ loss. Allocates nothing.
 *
 * A tied table is both embedding and head, and its two gradients arrive in an order that depends on how the
 * rows were cut into micro-batches; so net_step adds only the head's to g and keeps the embedding's apart
 * until net_grad_end, which must follow the last micro-batch that goes into g. Any cut into whole sequences
 * and blocks of OP_ROWS rows, with i8 of I8_GROUP rows, then gives the same bits. */
void net_step(struct net *n, const real *w, real *g, const struct batch *b, real *loss, real scale);
void net_grad_end(struct net *n, real *g);

#endif
