/* The state of a run: one block of weights, first and second moments, step and cursor, as NUMERICS §9 hashes it. */
#include <stdio.h>

#include "reference/reference_int.h"

enum { CURSOR = 16 }; /* bytes of step and cursor behind the tensors */

bool ref_by_muon(const struct ref_run *r, const struct ref_tensor *t)
{
    return t->group == REF_MATRIX && r->optimizer != REF_ADAMW;
}

double ref_rate(const struct ref_run *r, const struct ref_tensor *t)
{
    return (double[]){r->lr_embed, r->lr_head, r->lr_matrix, r->lr_gain}[t->group];
}

double ref_weight_decay(const struct ref_run *r, const struct ref_tensor *t)
{
    return (double[]){r->decay_embed, r->decay_embed, r->decay_matrix, 0}[t->group];
}

/* ---- the table ---- */

static size_t add(struct ref_state *s, int layer, const char *name, int64_t rows, int64_t cols, enum ref_group g,
                  double std, double start)
{
    struct ref_tensor *t = s->t_end++;
    *t = (struct ref_tensor){.rows = (int)rows, .cols = (int)cols, .group = g, .std = std, .start = start,
                             .at = s->total, .n = (size_t)(rows * cols), .v_at = s->v_total};
    if (layer < 0)
        snprintf(t->name, sizeof t->name, "%s.weight", name);
    else
        snprintf(t->name, sizeof t->name, "model.layers.%d.%s.weight", layer, name);
    t->v_n = !ref_by_muon(s->run, t) ? t->n : s->run->optimizer == REF_NORMUON ? (size_t)rows : 0;
    s->total += t->n;
    s->v_total += t->v_n;
    return t->at;
}

static struct ref_places add_layer(struct ref_state *s, int i)
{
    const struct ref_layer *l = &s->run->layer[i];
    int64_t d = s->run->d_model, q = l->n_head * l->d_head, kv = l->n_kv * l->d_head;
    double std = 1.0 / sqrt((double)d);
    struct ref_places p = {.norm1 = add(s, i, "input_layernorm", 1, d, REF_GAIN, 0, 1)};
    p.qkv = add(s, i, "self_attn.q_proj", q, d, REF_MATRIX, std, 0);
    add(s, i, "self_attn.k_proj", kv, d, REF_MATRIX, std, 0);
    add(s, i, "self_attn.v_proj", kv, d, REF_MATRIX, std, 0);
    if (l->qk_norm) {
        p.q_norm = add(s, i, "self_attn.q_norm", 1, l->d_head, REF_GAIN, 0, 1.4);
        p.k_norm = add(s, i, "self_attn.k_norm", 1, l->d_head, REF_GAIN, 0, 1.4);
    }
    p.o = add(s, i, "self_attn.o_proj", d, q, REF_MATRIX, 0, 0);
    p.norm2 = add(s, i, "post_attention_layernorm", 1, d, REF_GAIN, 0, 1);
    p.gu = add(s, i, "mlp.gate_proj", l->d_ff, d, REF_MATRIX, std, 0);
    add(s, i, "mlp.up_proj", l->d_ff, d, REF_MATRIX, std, 0);
    p.down = add(s, i, "mlp.down_proj", d, l->d_ff, REF_MATRIX, 0, 0);
    return p;
}

/* ---- values ---- */

/* Element i: 24 bits k of word i mod 4 of Philox block i/4, (2k + 1 − 2^24)/2^24 times √3·std. */
static void fill(float *w, const struct ref_tensor *t, uint64_t seed, uint32_t id)
{
    enum { PURPOSE = 1 };
    float bound = (float)(1.7320508075688772 * t->std);
    for (size_t i = 0; i < t->n; i++) {
        bool constant = !(t->std > 0) || (t->start != 0 && i % (size_t)t->cols == 0);
        uint32_t u = constant ? 0 : ref_philox(seed, PURPOSE, id, i / 4, (int)(i % 4)) >> 8;
        w[i] = constant ? (float)t->start : (float)(2 * (int32_t)u + 1 - (1 << 24)) * 0x1p-24f * bound;
    }
}

void ref_state_first(struct ref_state *s)
{
    memset(s->m, 0, (s->total + s->v_total) * sizeof *s->m);
    s->step = s->sample = 0;
    for (struct ref_tensor *t = s->t; t < s->t_end; t++)
        fill(s->w + t->at, t, s->run->seed, (uint32_t)(t - s->t));
}

void ref_state_plan(struct ref_state *s, const struct ref_run *r, void *(*take)(uint64_t n, size_t size))
{
    enum { OUTSIDE = 3, IN_A_LAYER = 11 }; /* tensors at most */
    double d = (double)r->d_model, std = r->tied ? 4.0 / d : 0.02;
    *s = (struct ref_state){.run = r, .t = take(OUTSIDE + IN_A_LAYER * (uint64_t)r->n_layer, sizeof *s->t),
                            .place = take((uint64_t)r->n_layer, sizeof *s->place)};
    s->t_end = s->t;
    add(s, -1, "model.embed_tokens", r->vocab, r->d_model, REF_EMBED, std, 0.5 * std * sqrt(d));
    for (int i = 0; i < r->n_layer; i++)
        s->place[i] = add_layer(s, i);
    s->norm = add(s, -1, "model.norm", 1, r->d_model, REF_GAIN, 0, 1);
    if (!r->tied)
        s->head = add(s, -1, "lm_head", r->vocab, r->d_model, REF_HEAD, 1.0 / d, 0);
}

void ref_state_new(struct ref_state *s, const struct ref_run *r, void *(*take)(uint64_t n, size_t size))
{
    ref_state_plan(s, r, take);
    s->w = take(2 * s->total + s->v_total + CURSOR / sizeof *s->w, sizeof *s->w);
    s->m = s->w + s->total;
    s->v = s->m + s->total;
    ref_state_first(s);
}

const uint8_t *ref_state_bytes(const struct ref_state *s, size_t *n)
{
    uint8_t *behind = (uint8_t *)(s->v + s->v_total);
    memcpy(behind, &s->step, 8);
    memcpy(behind + 8, &s->sample, 8);
    *n = (2 * s->total + s->v_total) * sizeof *s->w + CURSOR;
    return (const uint8_t *)s->w;
}
