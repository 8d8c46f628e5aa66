#include "model/params.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"

/* ---- the table ---- */

struct builder {
    struct param_table *t;
    int cap;
};

static struct param *add(struct builder *b, int layer, const char *name, int rows, int cols)
{
    struct param_table *t = b->t;
    if (t->n >= b->cap)
        return NULL;
    struct param *p = &t->p[t->n++];
    memset(p, 0, sizeof *p);
    if (layer < 0)
        snprintf(p->name, sizeof p->name, "%s.weight", name);
    else
        snprintf(p->name, sizeof p->name, "model.layers.%d.%s.weight", layer, name);
    p->layer = layer;
    p->rows = rows;
    p->cols = cols;
    p->n = (size_t)rows * (size_t)cols;
    p->offset = t->total;
    t->total += (p->n + 15) / 16 * 16;
    return p;
}

/* Matrices that read a normalised input start uniform with standard deviation 1/sqrt(fan in), so that
 * their outputs have unit variance; those that write to the residual stream start at zero, so that every
 * block begins as the identity. */
static void matrix(struct builder *b, int layer, const char *name, int rows, int cols, bool zero)
{
    struct param *p = add(b, layer, name, rows, cols);
    if (!p)
        return;
    p->n_dims = 2;
    p->group = GROUP_MATRIX;
    p->init = zero ? INIT_ZERO : INIT_UNIFORM;
    p->std = zero ? 0 : 1.0 / sqrt((double)cols);
}

static void gain(struct builder *b, int layer, const char *name, int n, double start)
{
    struct param *p = add(b, layer, name, 1, n);
    if (!p)
        return;
    p->n_dims = 1;
    p->group = GROUP_GAIN;
    p->init = INIT_CONSTANT;
    p->start = start;
}

static void table(struct builder *b, const char *name, int rows, int cols, enum param_group g, double std,
                  double start)
{
    struct param *p = add(b, -1, name, rows, cols);
    if (!p)
        return;
    p->n_dims = 2;
    p->group = g;
    p->init = INIT_UNIFORM;
    p->std = std;
    p->start = start;
}

/* Queries and keys of unit mean square meet at scores within ±√d_head only when they are parallel, and start near 0:
 * attention begins almost even.  Gains above one on both sides let it pick sooner (docs/log.md). */
static const double QK_GAIN = 1.4;

static void add_layer(struct builder *b, int i, const struct model_config *c)
{
    const struct layer_facts *f = &c->layer[i];
    int d = c->d_model, dq = f->n_head * f->d_head, dkv = f->n_kv * f->d_head;
    gain(b, i, "input_layernorm", d, 1);
    matrix(b, i, "self_attn.q_proj", dq, d, false);
    matrix(b, i, "self_attn.k_proj", dkv, d, false);
    matrix(b, i, "self_attn.v_proj", dkv, d, false);
    if (f->qk_norm) {
        gain(b, i, "self_attn.q_norm", f->d_head, QK_GAIN);
        gain(b, i, "self_attn.k_norm", f->d_head, QK_GAIN);
    }
    matrix(b, i, "self_attn.o_proj", d, dq, true);
    gain(b, i, "post_attention_layernorm", d, 1);
    matrix(b, i, "mlp.gate_proj", f->d_ff, d, false);
    matrix(b, i, "mlp.up_proj", f->d_ff, d, false);
    matrix(b, i, "mlp.down_proj", d, f->d_ff, true);
}

/* While the blocks are still the identity, the final norm of a row is its own embedding over its
 * root mean square, so a tied head of standard deviation s gives the row's own token the logit s·d
 * and every other one s·sqrt(d).  The usual s = 0.02 would start a wide model out certain that each
 * token repeats (0.02·768 = 15) at a loss far above log(vocab); s = 4/d keeps that logit at 4
 * whatever the width. */
static double tied_std(int d) { return 4.0 / d; }

/* All embeddings share a component, half as long as the rest of a row.  A tied head adds it to every logit alike,
 * which a softmax does not see; but projections of it are what a bias would be, and queries and keys that do not
 * depend on the token are how a head learns to look at a place: copying from the context forms after 1.7M tokens,
 * not 2.5M (docs/log.md). */
static const double COMMON = 0.5;

int param_table_new(struct param_table *t, const struct model_config *c, struct err *e)
{
    memset(t, 0, sizeof *t);
    struct builder b = {t, 3 + c->n_layer * 11};
    t->p = mem_new((size_t)b.cap, sizeof *t->p);
    if (!t->p)
        return err_set(e, ERR_NOMEM, "no memory for a table of %d tensors", b.cap);
    double std = c->tied ? tied_std(c->d_model) : 0.02;
    table(&b, "model.embed_tokens", c->vocab, c->d_model, GROUP_EMBED, std, COMMON * std * sqrt((double)c->d_model));
    for (int i = 0; i < c->n_layer; i++)
        add_layer(&b, i, c);
    gain(&b, -1, "model.norm", c->d_model, 1);
    /* A separate head starts with logits of standard deviation 1/sqrt(d): the loss at log(vocab). */
    if (!c->tied)
        table(&b, "lm_head", c->vocab, c->d_model, GROUP_HEAD, 1.0 / c->d_model, 0);
    return 0;
}

void param_table_release(struct param_table *t)
{
    mem_free(t->p);
    memset(t, 0, sizeof *t);
}

const struct param *param_find(const struct param_table *t, const char *name)
{
    for (int i = 0; i < t->n; i++)
        if (strcmp(t->p[i].name, name) == 0)
            return &t->p[i];
    return NULL;
}

/* ---- initial values ---- */

/* Element i of tensor id: 24 bits k of word i mod 4 of block i/4; (2k + 1 − 2^24)/2^24 is exact in
 * binary32, uniform and symmetric, and one product with sqrt(3)·std rounds once: at
 * least 2^-24·std, far above the tiny results that kernels/fp.h is for. */
static void fill_uniform(real *w, size_t n, uint64_t seed, uint32_t id, double std)
{
    float bound = (float)(1.7320508075688772 * std);
    for (size_t i = 0; i < n; i += 4) {
        struct rng4 r = rng_philox(seed, RNG_INIT, id, i / 4);
        for (size_t j = 0; j < 4 && i + j < n; j++) {
            int32_t k = 2 * (int32_t)(r.v[j] >> 8) + 1 - (1 << 24);
            float unit = (float)k * 0x1p-24f;
            w[i + j] = unit * bound;
        }
    }
}

static void fill_table(const struct param *p, real *w, uint64_t seed, uint32_t id)
{
    fill_uniform(w, p->n, seed, id, p->std);
    for (int r = 0; p->start != 0 && r < p->rows; r++)
        w[(size_t)r * (size_t)p->cols] = (real)p->start;
}

void params_init(const struct param_table *t, real *w, uint64_t seed)
{
    memset(w, 0, t->total * sizeof *w);
    for (int i = 0; i < t->n; i++) {
        const struct param *p = &t->p[i];
        real *q = w + p->offset;
        if (p->init == INIT_UNIFORM)
            fill_table(p, q, seed, (uint32_t)i);
        else if (p->init == INIT_CONSTANT)
            for (size_t j = 0; j < p->n; j++)
                q[j] = (real)p->start;
    }
}

/* ---- offsets for the network ---- */

static size_t offset_of(const struct param_table *t, int layer, const char *name)
{
    char full[96];
    if (layer < 0)
        snprintf(full, sizeof full, "%s.weight", name);
    else
        snprintf(full, sizeof full, "model.layers.%d.%s.weight", layer, name);
    const struct param *p = param_find(t, full);
    return p ? p->offset : PARAM_NONE;
}

void net_params_resolve(struct net_params *np, const struct param_table *t, const struct model_config *c)
{
    np->embed = offset_of(t, -1, "model.embed_tokens");
    np->norm = offset_of(t, -1, "model.norm");
    np->head = c->tied ? np->embed : offset_of(t, -1, "lm_head");
    for (int i = 0; i < c->n_layer; i++) {
        struct layer_params *l = &np->layer[i];
        l->norm1 = offset_of(t, i, "input_layernorm");
        l->wqkv = offset_of(t, i, "self_attn.q_proj");
        l->q_norm = offset_of(t, i, "self_attn.q_norm");
        l->k_norm = offset_of(t, i, "self_attn.k_norm");
        l->wo = offset_of(t, i, "self_attn.o_proj");
        l->norm2 = offset_of(t, i, "post_attention_layernorm");
        l->wgu = offset_of(t, i, "mlp.gate_proj");
        l->wdown = offset_of(t, i, "mlp.down_proj");
    }
}
