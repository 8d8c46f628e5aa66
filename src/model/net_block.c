/* The two blocks of a layer over its facts. */
#include <math.h>

#include "kernels/fp.h"
#include "model/net_int.h"

static struct mat stream(const struct net *n, real *p, int rows) { return mat_f32(p, rows, n->c.d_model); }

static struct mat weight(const real *w, size_t at, int rows, int cols)
{
    return mat_f32((real *)w + at, rows, cols); /* a view to read; mat knows no const */
}

/* y = init + a·Wᵀ */
static void linear(struct net *n, struct mat y, struct mat init, struct mat a, struct mat w)
{
    gemm(n->x, &(struct gemm_args){.c = y, .init = init, .a = a, .b = w, .b_trans = true, .i8 = n->i8});
}

/* dx = dy·W */
static void linear_dx(struct net *n, struct mat dx, struct mat dy, struct mat w)
{
    gemm(n->x, &(struct gemm_args){.c = dx, .a = dy, .b = w, .i8 = n->i8});
}

/* dW += dyᵀ·x */
static void linear_dw(struct net *n, real *g, size_t at, struct mat dy, struct mat in)
{
    struct mat dw = mat_f32(g + at, dy.cols, in.cols);
    gemm(n->x, &(struct gemm_args){.c = dw, .init = dw, .a = dy, .a_trans = true, .b = in, .i8 = n->i8});
}

/* ---- attention ---- */

/* The pieces of a layer's attention as views of `rows` rows. */
struct attn_views {
    struct mat h1, qkv, q_in, k_in, k, v, q, o;
    struct attn_shape shape;
    struct qk_shape qs, ks;
};

static struct attn_views attn_views(const struct net *n, int i, int rows)
{
    const struct layer_facts *f = &n->c.layer[i];
    const struct layer_buf *b = &n->buf[i];
    int hq = layer_hq(f), hk = layer_hk(f);
    struct mat all = mat_bf16(b->qkvk, rows, hq + 3 * hk);
    struct rope_table rope = {NULL, NULL};
    if (f->rope)
        rope = (struct rope_table){n->cos, n->sin};
    return (struct attn_views){
        .h1 = mat_bf16(b->h1, rows, n->c.d_model),
        .qkv = mat_cols(all, 0, hq + 2 * hk),
        .q_in = mat_cols(all, 0, hq),
        .k_in = mat_cols(all, hq, hk),
        .v = mat_cols(all, hq + hk, hk),
        .k = mat_cols(all, hq + 2 * hk, hk),
        .q = mat_bf16(b->q, rows, hq),
        .o = mat_bf16(b->o, rows, hq),
        .shape = {f->n_head, f->n_kv, f->d_head, f->window, (real)(1.0 / sqrt((double)f->d_head))},
        .qs = {f->n_head, f->d_head, real_narrow(n->c.norm_eps), rope},
        .ks = {f->n_kv, f->d_head, real_narrow(n->c.norm_eps), rope},
    };
}

/* Points every segment at its own rows' keys and values. */
static void point_segments(struct net *n, const struct attn_views *v)
{
    for (int i = 0; i < n->n_seg; i++) {
        struct attn_seg *s = &n->seg[i];
        ptrdiff_t at = (ptrdiff_t)s->row * v->k.stride;
        s->kv = (struct kv){.k = mat_b(v->k) + at, .v = mat_b(v->v) + at, .row_stride = v->k.stride,
                            .page_stride = KV_PAGE * v->k.stride, .n = s->n};
    }
}

void net_attn_fwd(struct net *n, const real *w, int i, int rows)
{
    const struct layer_params *p = &n->p.layer[i];
    const struct layer_buf *b = &n->buf[i];
    struct attn_views v = attn_views(n, i, rows);
    struct mat x_in = stream(n, n->in[i], rows);
    bool norm = n->c.layer[i].qk_norm;
    op_rmsnorm_fwd(n->x, v.h1, b->rstd1, x_in, w + p->norm1, real_narrow(n->c.norm_eps));
    nn_mark(n->x, WATCH_NORM);
    linear(n, v.qkv, (struct mat){0}, v.h1, weight(w, p->wqkv, v.qkv.cols, n->c.d_model));
    nn_mark(n->x, WATCH_QKV);
    op_qk_fwd(n->x, v.q, b->rstd_q, v.q_in, norm ? w + p->q_norm : NULL, n->pos, v.qs);
    op_qk_fwd(n->x, v.k, b->rstd_k, v.k_in, norm ? w + p->k_norm : NULL, n->pos, v.ks);
    nn_mark(n->x, WATCH_QK);
    point_segments(n, &v);
    attention_fwd(n->x, v.o, b->m, b->l, v.q, n->seg, n->n_seg, v.shape);
    nn_mark(n->x, WATCH_ATTN);
    linear(n, stream(n, b->x_mid, rows), x_in, v.o, weight(w, p->wo, n->c.d_model, v.o.cols));
    nn_mark(n->x, WATCH_WO);
}

/* Given dx = dL/d(x + o·Woᵀ): do = dx·Wo, dWo += dxᵀ·o; back through attention, rotation and norm to
 * dqkv; dh = dqkv·Wqkv, dWqkv += dqkvᵀ·h1; dx += rmsnorm'(dh). */
void net_attn_bwd(struct net *n, const real *w, real *g, int i, int rows)
{
    const struct layer_params *p = &n->p.layer[i];
    const struct layer_buf *b = &n->buf[i];
    struct attn_views v = attn_views(n, i, rows);
    int hq = v.q.cols, hk = v.k.cols, d = n->c.d_model;
    bool norm = n->c.layer[i].qk_norm;
    struct mat dx = stream(n, n->dx, rows), dh = mat_bf16(n->dh, rows, d);
    struct mat d_o = mat_bf16(n->d_o, rows, hq), dqkv = mat_bf16(n->dqkv, rows, hq + 2 * hk);
    struct mat dq = mat_f32(n->dq, rows, hq), dk = mat_f32(n->dk, rows, hk), dv = mat_f32(n->dv, rows, hk);

    linear_dx(n, d_o, dx, weight(w, p->wo, d, hq));
    nn_mark(n->x, WATCH_WO_DX);
    linear_dw(n, g, p->wo, dx, v.o);
    nn_mark(n->x, WATCH_WO_DW);
    point_segments(n, &v);
    attention_bwd(n->x, dq, dk, dv, n->delta, d_o, v.o, b->m, b->l, v.q, v.k, v.v, n->seg, n->n_seg, v.shape);
    nn_mark(n->x, WATCH_ATTN_BWD);
    op_qk_bwd(n->x, mat_cols(dqkv, 0, hq), norm ? g + p->q_norm : NULL, dq, v.q_in, b->rstd_q,
              norm ? w + p->q_norm : NULL, n->pos, v.qs);
    op_qk_bwd(n->x, mat_cols(dqkv, hq, hk), norm ? g + p->k_norm : NULL, dk, v.k_in, b->rstd_k,
              norm ? w + p->k_norm : NULL, n->pos, v.ks);
    op_to_bf16(n->x, mat_cols(dqkv, hq + hk, hk), dv);
    nn_mark(n->x, WATCH_QK_BWD);
    linear_dx(n, dh, dqkv, weight(w, p->wqkv, dqkv.cols, d));
    nn_mark(n->x, WATCH_QKV_DX);
    linear_dw(n, g, p->wqkv, dqkv, v.h1);
    nn_mark(n->x, WATCH_QKV_DW);
    op_rmsnorm_bwd(n->x, dx, g + p->norm1, dh, stream(n, n->in[i], rows), b->rstd1, w + p->norm1);
    nn_mark(n->x, WATCH_NORM_BWD);
}

/* ---- feed-forward ---- */

void net_ff_fwd(struct net *n, const real *w, int i, int rows, bool again)
{
    const struct layer_params *p = &n->p.layer[i];
    const struct layer_buf *b = &n->buf[i];
    int ff = n->c.layer[i].d_ff, d = n->c.d_model;
    struct mat x_mid = stream(n, b->x_mid, rows), h2 = mat_bf16(b->h2, rows, d);
    struct mat gu = mat_bf16(b->gu, rows, 2 * ff), act = mat_bf16(b->act, rows, ff);
    op_rmsnorm_fwd(n->x, h2, b->rstd2, x_mid, w + p->norm2, real_narrow(n->c.norm_eps));
    nn_mark(n->x, WATCH_NORM);
    linear(n, gu, (struct mat){0}, h2, weight(w, p->wgu, 2 * ff, d));
    nn_mark(n->x, WATCH_GU);
    op_swiglu_fwd(n->x, act, gu);
    nn_mark(n->x, WATCH_SWIGLU);
    if (again)
        return;
    linear(n, stream(n, n->in[i + 1], rows), x_mid, act, weight(w, p->wdown, d, ff));
    nn_mark(n->x, WATCH_DOWN);
}

/* Given dx = dL/d(x_mid + act·Wdownᵀ): dact = dx·Wdown, dWdown += dxᵀ·act; dgu through SwiGLU;
 * dh = dgu·Wgu, dWgu += dguᵀ·h2; dx += rmsnorm'(dh). */
void net_ff_bwd(struct net *n, const real *w, real *g, int i, int rows)
{
    const struct layer_params *p = &n->p.layer[i];
    const struct layer_buf *b = &n->buf[i];
    int ff = n->c.layer[i].d_ff, d = n->c.d_model;
    struct mat dx = stream(n, n->dx, rows), dh = mat_bf16(n->dh, rows, d);
    struct mat dact = mat_bf16(n->dact, rows, ff), dgu = mat_bf16(n->dgu, rows, 2 * ff);

    linear_dx(n, dact, dx, weight(w, p->wdown, d, ff));
    nn_mark(n->x, WATCH_DOWN_DX);
    linear_dw(n, g, p->wdown, dx, mat_bf16(b->act, rows, ff));
    nn_mark(n->x, WATCH_DOWN_DW);
    op_swiglu_bwd(n->x, dgu, dact, mat_bf16(b->gu, rows, 2 * ff));
    nn_mark(n->x, WATCH_SWIGLU_BWD);
    linear_dx(n, dh, dgu, weight(w, p->wgu, 2 * ff, d));
    nn_mark(n->x, WATCH_GU_DX);
    linear_dw(n, g, p->wgu, dgu, mat_bf16(b->h2, rows, d));
    nn_mark(n->x, WATCH_GU_DW);
    op_rmsnorm_bwd(n->x, dx, g + p->norm2, dh, stream(n, b->x_mid, rows), b->rstd2, w + p->norm2);
    nn_mark(n->x, WATCH_NORM_BWD);
}
