/* Memory of the network: one arena, laid out twice, once to measure and once to place. */
#include <assert.h>
#include <string.h>

#include "model/net_int.h"

static bf16 *take_b(struct arena *a, const struct net *n, int cols)
{
    return arena_take(a, (size_t)n->o.max_rows * (size_t)cols, sizeof(bf16));
}

static real *take_f(struct arena *a, const struct net *n, int cols)
{
    return arena_take(a, (size_t)n->o.max_rows * (size_t)cols, sizeof(real));
}

static void lay_buf(struct arena *a, const struct net *n, struct layer_buf *b, const struct layer_facts *f)
{
    int d = n->c.d_model, hq = layer_hq(f), hk = layer_hk(f);
    b->h1 = take_b(a, n, d);
    b->qkvk = take_b(a, n, hq + 3 * hk);
    b->q = take_b(a, n, hq);
    b->o = take_b(a, n, hq);
    b->h2 = take_b(a, n, d);
    b->gu = take_b(a, n, 2 * f->d_ff);
    b->act = take_b(a, n, f->d_ff);
    b->rstd1 = take_f(a, n, 1);
    b->rstd2 = take_f(a, n, 1);
    b->rstd_q = take_f(a, n, f->n_head);
    b->rstd_k = take_f(a, n, f->n_kv);
    b->m = take_f(a, n, f->n_head);
    b->l = take_f(a, n, f->n_head);
    b->x_mid = take_f(a, n, d);
}

/* The largest of each fact over the layers: what shared storage must hold. */
static struct layer_facts largest(const struct model_config *c)
{
    struct layer_facts m = c->layer[0];
    for (int i = 1; i < c->n_layer; i++) {
        const struct layer_facts *f = &c->layer[i];
        m.n_head = f->n_head > m.n_head ? f->n_head : m.n_head;
        m.n_kv = f->n_kv > m.n_kv ? f->n_kv : m.n_kv;
        m.d_ff = f->d_ff > m.d_ff ? f->d_ff : m.d_ff;
    }
    return m;
}

/* Storage of two alternatives in time begins at the same place and is as long as the longer. */
static void rewind_to(struct arena *a, size_t start, size_t *high)
{
    if (a->used > *high)
        *high = a->used;
    a->used = start;
}

static void lay_ff_bwd(struct arena *a, struct net *n, const struct layer_facts *f)
{
    n->dact = take_b(a, n, f->d_ff);
    n->dgu = take_b(a, n, 2 * f->d_ff);
}

static void lay_attn_bwd(struct arena *a, struct net *n, const struct layer_facts *f)
{
    int hq = layer_hq(f), hk = layer_hk(f);
    n->d_o = take_b(a, n, hq);
    n->dqkv = take_b(a, n, hq + 2 * hk);
    n->dq = take_f(a, n, hq);
    n->dk = take_f(a, n, hk);
    n->dv = take_f(a, n, hk);
    n->delta = take_f(a, n, f->n_head);
}

static void lay_backward(struct arena *a, struct net *n, const struct layer_facts *f, size_t head_bytes)
{
    n->dx = take_f(a, n, n->c.d_model);
    n->dh = take_b(a, n, n->c.d_model);
    if (n->c.tied)
        n->dembed = arena_take(a, (size_t)n->c.vocab * (size_t)n->c.d_model, sizeof(real));
    size_t start = a->used, high = 0;
    n->head_space = arena_take(a, head_bytes, 1);
    rewind_to(a, start, &high);
    lay_ff_bwd(a, n, f);
    rewind_to(a, start, &high);
    lay_attn_bwd(a, n, f);
    rewind_to(a, start, &high);
    a->used = high;
}

static void lay_training(struct arena *a, struct net *n, const struct layer_facts *f, size_t head_bytes)
{
    for (int i = 0; i <= n->c.n_layer; i++)
        n->in[i] = take_f(a, n, n->c.d_model);
    if (n->o.checkpoint)
        lay_buf(a, n, &n->buf[0], f);
    for (int i = 0; i < n->c.n_layer; i++) {
        if (n->o.checkpoint)
            n->buf[i] = n->buf[0];
        else
            lay_buf(a, n, &n->buf[i], &n->c.layer[i]);
    }
    lay_backward(a, n, f, head_bytes);
}

/* One residual stream, updated in place, and one buffer, dead while the head runs. */
static void lay_evaluation(struct arena *a, struct net *n, const struct layer_facts *f, size_t head_bytes)
{
    n->in[0] = take_f(a, n, n->c.d_model);
    size_t start = a->used, high = 0;
    lay_buf(a, n, &n->buf[0], f);
    for (int i = 0; i < n->c.n_layer; i++) {
        n->in[i + 1] = n->in[0];
        n->buf[i] = n->buf[0];
    }
    rewind_to(a, start, &high);
    n->head_space = arena_take(a, head_bytes, 1);
    rewind_to(a, start, &high);
    a->used = high;
}

static void lay_out(struct arena *a, struct net *n)
{
    struct layer_facts f = largest(&n->c);
    size_t rope = (size_t)n->o.max_len * (size_t)(f.d_head / 2);
    size_t head_bytes = op_head_space(n->c.vocab, n->o.max_rows, n->o.backward);
    n->cos = arena_take(a, rope, sizeof(real));
    n->sin = arena_take(a, rope, sizeof(real));
    n->seg = arena_take(a, (size_t)n->o.max_rows, sizeof *n->seg);
    n->h = take_b(a, n, n->c.d_model);
    n->rstd = take_f(a, n, 1);
    if (n->o.backward)
        lay_training(a, n, &f, head_bytes);
    else
        lay_evaluation(a, n, &f, head_bytes);
}

size_t net_bytes(const struct nn *x, const struct model_config *c, const struct net_opts *o)
{
    struct net n = {.x = x, .c = *c, .o = *o};
    struct arena a = {0};
    lay_out(&a, &n);
    return a.used + sizeof n;
}

static int check_scratch(const struct net *n, struct err *e)
{
    for (int i = 0; i < n->c.n_layer; i++) {
        const struct layer_facts *f = &n->c.layer[i];
        struct attn_shape s = {.n_head = f->n_head, .n_kv = f->n_kv, .d_head = f->d_head, .window = f->window};
        size_t need = attention_scratch_bytes(n->x->k, s, n->o.max_len, n->o.backward);
        if (need > n->x->scratch_bytes)
            return err_set(e, ERR_LIMIT, "attention over %d positions of %d heads of %d needs %zu bytes of scratch "
                           "a thread, there are %zu", n->o.max_len, f->n_head, f->d_head, need,
                           n->x->scratch_bytes);
    }
    return 0;
}

int net_new(struct net **out, const struct nn *x, const struct model_config *c, const struct param_table *t,
            const struct net_opts *o, struct err *e)
{
    struct net *n = mem_new(1, sizeof *n);
    int rc = 0;
    *out = NULL;
    if (!n)
        return err_set(e, ERR_NOMEM, "no memory for the network");
    *n = (struct net){.x = x, .c = *c, .o = *o};
    assert(o->max_rows > 0 && o->max_rows % OP_ROWS == 0 && o->max_len > 0);
    net_params_resolve(&n->p, t, c);
    if ((rc = check_scratch(n, e)))
        goto out;
    struct arena a = {0};
    lay_out(&a, n);
    n->bytes = a.used;
    n->mem = mem_map(n->bytes);
    if (!n->mem) {
        rc = err_set(e, ERR_NOMEM, "no memory for the activations of %d rows (%zu MiB)", o->max_rows,
                     n->bytes >> 20);
        goto out;
    }
    a = (struct arena){.base = n->mem, .cap = n->bytes};
    lay_out(&a, n);
    kernels_rope_fill(n->cos, n->sin, o->max_len, c->layer[0].d_head, c->rope_theta);
    *out = n;
    n = NULL;
out:
    net_free(n);
    return rc;
}

void net_free(struct net *n)
{
    if (!n)
        return;
    mem_unmap(n->mem, n->bytes);
    mem_free(n);
}
