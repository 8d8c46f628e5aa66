#include <assert.h>

#include "kernels/fp.h"
#include "model/net_int.h"

/* Runs of rows with consecutive positions; each begins at position 0. */
static void find_segments(struct net *n, const struct batch *b)
{
    assert(b->n > 0 && b->n <= n->o.max_rows && b->n % OP_ROWS == 0);
    n->n_seg = 0;
    n->pos = b->pos;
    for (int r = 0; r < b->n; r++) {
        if (r > 0 && b->pos[r] == b->pos[r - 1] + 1) {
            n->seg[n->n_seg - 1].n++;
            assert(b->pos[r] < n->o.max_len);
            continue;
        }
        assert(b->pos[r] == 0);
        n->seg[n->n_seg++] = (struct attn_seg){.row = r, .n = 1};
    }
}

static struct mat final_stream(const struct net *n, int rows)
{
    return mat_f32(n->in[n->c.n_layer], rows, n->c.d_model);
}

/* Everything up to the head's input. */
static void forward(struct net *n, const real *w, const struct batch *b)
{
    nn_mark(n->x, WATCH_OTHER);
    find_segments(n, b);
    op_embed_fwd(n->x, mat_f32(n->in[0], b->n, n->c.d_model), w + n->p.embed, b->tok);
    nn_mark(n->x, WATCH_EMBED);
    for (int i = 0; i < n->c.n_layer; i++) {
        net_attn_fwd(n, w, i, b->n);
        net_ff_fwd(n, w, i, b->n, false);
    }
    op_rmsnorm_fwd(n->x, mat_bf16(n->h, b->n, n->c.d_model), n->rstd, final_stream(n, b->n), w + n->p.norm,
                   real_narrow(n->c.norm_eps));
    nn_mark(n->x, WATCH_NORM);
}

static struct mat head_weight(const struct net *n, const real *w)
{
    return mat_f32((real *)w + n->p.head, n->c.vocab, n->c.d_model);
}

void net_forward(struct net *n, const real *w, const struct batch *b, real *loss, int *argmax)
{
    n->i8 = false;
    forward(n, w, b);
    op_head_loss(n->x, loss, (struct mat){0}, NULL, argmax, mat_bf16(n->h, b->n, n->c.d_model),
                 head_weight(n, w), b->target, 1, false, n->head_space);
}

void net_step(struct net *n, const real *w, real *g, const struct batch *b, real *loss, real scale)
{
    int d = n->c.d_model, last = n->c.n_layer - 1;
    struct mat dx = mat_f32(n->dx, b->n, d), dh = mat_bf16(n->dh, b->n, d);
    assert(n->o.backward && (!n->o.i8 || b->n % I8_GROUP == 0));
    n->i8 = n->o.i8;
    forward(n, w, b);
    op_head_loss(n->x, loss, dh, g + n->p.head, NULL, mat_bf16(n->h, b->n, d), head_weight(n, w), b->target,
                 scale, n->i8, n->head_space);
    op_zero(n->x, n->dx, (size_t)b->n * (size_t)d * sizeof(real));
    op_rmsnorm_bwd(n->x, dx, g + n->p.norm, dh, final_stream(n, b->n), n->rstd, w + n->p.norm);
    nn_mark(n->x, WATCH_NORM_BWD);
    for (int i = last; i >= 0; i--) {
        if (n->o.checkpoint && i < last) {
            net_attn_fwd(n, w, i, b->n);
            net_ff_fwd(n, w, i, b->n, true);
        }
        net_ff_bwd(n, w, g, i, b->n);
        net_attn_bwd(n, w, g, i, b->n);
    }
    op_embed_bwd(n->x, n->c.tied ? n->dembed : g + n->p.embed, dx, b->tok);
    nn_mark(n->x, WATCH_EMBED_BWD);
}

void net_grad_end(struct net *n, real *g)
{
    if (!n->dembed)
        return;
    size_t elems = (size_t)n->c.vocab * (size_t)n->c.d_model;
    nn_mark(n->x, WATCH_OTHER);
    op_add(n->x, g + n->p.embed, n->dembed, elems);
    op_zero(n->x, n->dembed, elems * sizeof(real));
    nn_mark(n->x, WATCH_EMBED_BWD);
}
