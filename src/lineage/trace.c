#include "lineage/trace.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "kernels/fp.h"
#include "model/store.h"
#include "nn/attention.h"
#include "nn/gemm.h"
#include "nn/ops.h"
#include "text/tokenizer.h"

/* Weights are read in blocks of about this many values, in rows by sixteens: any cut gives the same bits. */
enum { STAGE = 1 << 22, STAGE_ROWS = 16 };

/* The model at work: rows are the positions of all sequences, one after the other. */
struct pass {
    const struct nn *x;
    const struct view *v;
    struct model_config c;
    struct param_table t;
    struct tokenizer *tok;
    int rows, n_seg;
    int id[TRACE_MAX_TOKENS], pos[TRACE_MAX_TOKENS];
    int kept[TRACE_MAX_TOKENS];        /* row of the trace's token t */
    struct attn_seg seg[TRACE_MAX_TOKENS];
    real *stream, *rstd, *cos, *sin, *stage, *gain;
    bf16 *h, *qkv, *q, *o, *gu, *act;
    void *mem;
    size_t bytes;
};

/* ---- tokens ---- */

/* Appends one sequence; text bytes [from, to). */
static int add_sequence(struct pass *s, struct trace *t, const struct token_vec *v, size_t from, size_t to,
                        struct err *e)
{
    int begin = s->rows, room = TRACE_MAX_TOKENS - s->rows;
    size_t at = from;
    room = room < s->c.max_pos ? room : s->c.max_pos;
    if (s->c.bos >= 0 && room > 0) {
        s->id[s->rows] = s->c.bos;
        s->pos[s->rows++] = 0;
        room--;
    }
    for (size_t i = 0; i < v->n; i++) {
        at += (size_t)tokenizer_token_bytes(s->tok, v->v[i]);
        if (room-- <= 0)
            continue;
        if (s->rows > begin) {
            s->kept[t->n] = s->rows;
            t->end[t->n++] = at;
        }
        s->id[s->rows] = v->v[i];
        s->pos[s->rows] = s->rows - begin;
        s->rows++;
    }
    if (at != to)
        return err_set(e, ERR_FORMAT, "%s: its tokenizer changes the text, so that tokens have no place in it",
                       s->v->path);
    if (s->rows > begin)
        s->seg[s->n_seg++] = (struct attn_seg){.row = begin, .n = s->rows - begin};
    return 0;
}

static int tokens(struct pass *s, struct trace *t, const struct probe *p, struct err *e)
{
    struct tok_encoder *enc = NULL;
    struct token_vec v = {0};
    int rc = tokenizer_open(&s->tok, s->v->path, e);
    if (rc == 0 && (tokenizer_vocab(s->tok) > s->c.vocab || s->c.bos >= s->c.vocab))
        rc = err_set(e, ERR_FORMAT, "%s: the tokenizer has %d tokens, the model's vocabulary is %d", s->v->path,
                     tokenizer_vocab(s->tok), s->c.vocab);
    if (rc == 0)
        rc = tok_encoder_new(&enc, s->tok, e);
    for (int i = 0; i < p->n && rc == 0 && s->rows < TRACE_MAX_TOKENS; i++) {
        v.n = 0;
        rc = tok_encode(enc, &v, p->text.p + p->start[i], p->start[i + 1] - p->start[i], false, e);
        if (rc == 0)
            rc = add_sequence(s, t, &v, p->start[i], p->start[i + 1], e);
    }
    token_vec_release(&v);
    tok_encoder_free(enc);
    return rc;
}

/* ---- space ---- */

static int widest(const struct model_config *c, int (*of)(const struct layer_facts *))
{
    int most = 0;
    for (int i = 0; i < c->n_layer; i++)
        most = of(&c->layer[i]) > most ? of(&c->layer[i]) : most;
    return most;
}

static int hq_of(const struct layer_facts *f) { return f->n_head * f->d_head; }
static int hk_of(const struct layer_facts *f) { return f->n_kv * f->d_head; }
static int ff_of(const struct layer_facts *f) { return f->d_ff; }
static int head_of(const struct layer_facts *f) { return f->d_head; }

static void lay(struct arena *a, struct pass *s)
{
    size_t rows = (size_t)s->rows, d = (size_t)s->c.d_model, hq = (size_t)widest(&s->c, hq_of);
    size_t hk = (size_t)widest(&s->c, hk_of), ff = (size_t)widest(&s->c, ff_of), head = (size_t)widest(&s->c, head_of);
    size_t cols = d > hq ? d : hq, row = cols > ff ? cols : ff;
    s->stream = arena_take(a, rows * d, sizeof(real));
    s->rstd = arena_take(a, rows, sizeof(real));
    s->gain = arena_take(a, d > head ? d : head, 2 * sizeof(real));
    s->cos = arena_take(a, rows * (head / 2), sizeof(real));
    s->sin = arena_take(a, rows * (head / 2), sizeof(real));
    s->stage = arena_take(a, row * STAGE_ROWS > STAGE ? row * STAGE_ROWS : STAGE, sizeof(real));
    s->h = arena_take(a, rows * d, sizeof(bf16));
    s->qkv = arena_take(a, rows * (hq + 2 * hk), sizeof(bf16));
    s->q = arena_take(a, rows * hq, sizeof(bf16));
    s->o = arena_take(a, rows * hq, sizeof(bf16));
    s->gu = arena_take(a, rows * 2 * ff, sizeof(bf16));
    s->act = arena_take(a, rows * ff, sizeof(bf16));
}

static int take_space(struct pass *s, struct err *e)
{
    struct arena a = {0};
    lay(&a, s);
    s->bytes = a.used;
    s->mem = mem_map(s->bytes);
    if (!s->mem)
        return err_set(e, ERR_NOMEM, "%s: no memory for the activations of %d tokens (%zu MiB)", s->v->path, s->rows,
                       s->bytes >> 20);
    a = (struct arena){.base = s->mem, .cap = s->bytes};
    lay(&a, s);
    kernels_rope_fill(s->cos, s->sin, s->rows, s->c.layer[0].d_head, s->c.rope_theta);
    return 0;
}

static int take_trace(struct trace *t, const struct pass *s, struct err *e)
{
    t->n_layer = s->c.n_layer < TRACE_MAX_LAYERS ? s->c.n_layer : TRACE_MAX_LAYERS;
    t->n_neuron = TRACE_MAX_NEURONS;
    for (int i = 0; i < s->c.n_layer; i++)
        t->n_neuron = s->c.layer[i].d_ff < t->n_neuron ? s->c.layer[i].d_ff : t->n_neuron;
    for (int i = 0; i < t->n_layer; i++)
        t->layer[i] = (int)((int64_t)i * s->c.n_layer / t->n_layer);
    size_t n = (size_t)t->n, layers = (size_t)t->n_layer;
    t->gate = mem_new(layers * (size_t)t->n_neuron, n * sizeof *t->gate);
    t->up = mem_new(layers * (size_t)t->n_neuron, n * sizeof *t->up);
    t->gram = mem_new(layers, n * n * sizeof *t->gram);
    return t->gate && t->up && t->gram ? 0 : err_set(e, ERR_NOMEM, "%s: no memory for its activations", s->v->path);
}

/* ---- the pass ---- */

static const struct weight *named(const struct pass *s, int layer, const char *name)
{
    char full[96];
    if (layer < 0)
        snprintf(full, sizeof full, "%s.weight", name);
    else
        snprintf(full, sizeof full, "model.layers.%d.%s.weight", layer, name);
    return weights_find(&s->v->w, full);
}

static const real *gain(struct pass *s, int layer, const char *name)
{
    weight_row(named(s, layer, name), 0, s->gain);
    return s->gain;
}

static void read_rows(const struct pass *s, const struct weight *w, int row0, int n)
{
#pragma omp parallel for schedule(static) num_threads(s->x->threads)
    for (int r = 0; r < n; r++)
        weight_row(w, (uint64_t)(row0 + r), s->stage + (size_t)r * (size_t)w->cols);
}

/* y (+)= a·Wᵀ with W's rows as y's columns. */
static void product(struct pass *s, struct mat y, bool add, struct mat a, int layer, const char *name)
{
    const struct weight *w = named(s, layer, name);
    int rows = (int)w->rows, cols = (int)w->cols;
    int step = STAGE / cols / STAGE_ROWS * STAGE_ROWS;
    step = step < STAGE_ROWS ? STAGE_ROWS : step;
    for (int r = 0, n; r < rows; r += n) {
        n = rows - r < step ? rows - r : step;
        read_rows(s, w, r, n);
        struct mat c = mat_cols(y, r, n);
        gemm(s->x, &(struct gemm_args){.c = c, .init = add ? c : (struct mat){0}, .a = a,
                                       .b = mat_f32(s->stage, n, cols), .b_trans = true});
    }
    weight_drop(w);
}

static void attention(struct pass *s, int i)
{
    const struct layer_facts *f = &s->c.layer[i];
    int hq = hq_of(f), hk = hk_of(f), rows = s->rows;
    real eps = real_narrow(s->c.norm_eps);
    struct mat x = mat_f32(s->stream, rows, s->c.d_model), h = mat_bf16(s->h, rows, s->c.d_model);
    struct mat qkv = mat_bf16(s->qkv, rows, hq + 2 * hk), k = mat_cols(qkv, hq, hk), v = mat_cols(qkv, hq + hk, hk);
    struct mat q = mat_bf16(s->q, rows, hq), o = mat_bf16(s->o, rows, hq);
    struct rope_table rope = {f->rope ? s->cos : NULL, f->rope ? s->sin : NULL};
    op_rmsnorm_fwd(s->x, h, s->rstd, x, gain(s, i, "input_layernorm"), eps);
    product(s, mat_cols(qkv, 0, hq), false, h, i, "self_attn.q_proj");
    product(s, k, false, h, i, "self_attn.k_proj");
    product(s, v, false, h, i, "self_attn.v_proj");
    op_qk_fwd(s->x, q, NULL, mat_cols(qkv, 0, hq), f->qk_norm ? gain(s, i, "self_attn.q_norm") : NULL, s->pos,
              (struct qk_shape){f->n_head, f->d_head, eps, rope});
    op_qk_fwd(s->x, k, NULL, k, f->qk_norm ? gain(s, i, "self_attn.k_norm") : NULL, s->pos,
              (struct qk_shape){f->n_kv, f->d_head, eps, rope});
    for (int g = 0; g < s->n_seg; g++) {
        ptrdiff_t at = (ptrdiff_t)s->seg[g].row * qkv.stride;
        s->seg[g].kv = (struct kv){.k = mat_b(k) + at, .v = mat_b(v) + at, .row_stride = qkv.stride,
                                   .page_stride = KV_PAGE * qkv.stride, .n = s->seg[g].n};
    }
    attention_fwd(s->x, o, NULL, NULL, q, s->seg, s->n_seg,
                  (struct attn_shape){f->n_head, f->n_kv, f->d_head, f->window,
                                      real_narrow(1.0 / sqrt((double)f->d_head))});
    product(s, x, true, o, i, "self_attn.o_proj");
}

static void feed_forward(struct pass *s, int i)
{
    int ff = s->c.layer[i].d_ff, rows = s->rows;
    struct mat x = mat_f32(s->stream, rows, s->c.d_model), h = mat_bf16(s->h, rows, s->c.d_model);
    struct mat gu = mat_bf16(s->gu, rows, 2 * ff), act = mat_bf16(s->act, rows, ff);
    op_rmsnorm_fwd(s->x, h, s->rstd, x, gain(s, i, "post_attention_layernorm"), real_narrow(s->c.norm_eps));
    product(s, mat_cols(gu, 0, ff), false, h, i, "mlp.gate_proj");
    product(s, mat_cols(gu, ff, ff), false, h, i, "mlp.up_proj");
    op_swiglu_fwd(s->x, act, gu);
    product(s, x, true, act, i, "mlp.down_proj");
}

static void embed(struct pass *s)
{
    const struct weight *w = named(s, -1, "model.embed_tokens");
    for (int r = 0; r < s->rows; r++)
        weight_row(w, (uint64_t)s->id[r], s->stream + (size_t)r * (size_t)s->c.d_model);
    weight_drop(w);
}

/* ---- what is kept ---- */

struct ranked {
    double variance;
    int neuron;
};

static int by_variance(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    if (x->variance > y->variance || x->variance < y->variance)
        return x->variance < y->variance ? 1 : -1;
    return x->neuron - y->neuron;
}

static double variance(const struct pass *s, const struct trace *t, int column, int stride)
{
    double sum = 0, squares = 0;
    for (int k = 0; k < t->n; k++) {
        double v = (double)bf16_expand(s->gu[(size_t)s->kept[k] * (size_t)stride + (size_t)column]);
        sum += v;
        squares += v * v;
    }
    return squares / t->n - sum / t->n * (sum / t->n);
}

static int keep_neurons(struct trace *t, const struct pass *s, int at, int layer, struct err *e)
{
    int ff = s->c.layer[layer].d_ff, stride = 2 * ff;
    struct ranked *r = mem_new((size_t)ff, sizeof *r);
    if (!r)
        return err_set(e, ERR_NOMEM, "%s: no memory for %d neurons", s->v->path, ff);
    for (int i = 0; i < ff; i++)
        r[i] = (struct ranked){variance(s, t, i, stride), i};
    qsort(r, (size_t)ff, sizeof *r, by_variance);
    for (int i = 0; i < t->n_neuron; i++) {
        size_t to = ((size_t)at * (size_t)t->n_neuron + (size_t)i) * (size_t)t->n;
        for (int k = 0; k < t->n; k++) {
            const bf16 *row = s->gu + (size_t)s->kept[k] * (size_t)stride + (size_t)r[i].neuron;
            t->gate[to + (size_t)k] = row[0];
            t->up[to + (size_t)k] = row[ff];
        }
    }
    mem_free(r);
    return 0;
}

/* gram_tu = cos(x_t − mean, x_u − mean): one massive token or channel then does not stand for all. */
static int keep_gram(struct trace *t, const struct pass *s, int at, struct err *e)
{
    int d = s->c.d_model, n = t->n;
    float *y = mem_new((size_t)n, (size_t)d * sizeof *y);
    if (!y)
        return err_set(e, ERR_NOMEM, "%s: no memory for the stream of %d tokens", s->v->path, n);
    for (int i = 0; i < d; i++) {
        double mean = 0;
        for (int k = 0; k < n; k++)
            mean += (double)s->stream[(size_t)s->kept[k] * (size_t)d + (size_t)i];
        mean /= n;
        for (int k = 0; k < n; k++)
            y[(size_t)k * (size_t)d + (size_t)i] =
                (float)((double)s->stream[(size_t)s->kept[k] * (size_t)d + (size_t)i] - mean);
    }
    for (int k = 0; k < n; k++) {
        float *row = y + (size_t)k * (size_t)d;
        double square = 0;
        for (int i = 0; i < d; i++)
            square += (double)row[i] * (double)row[i];
        for (int i = 0; i < d; i++)
            row[i] = square > 0 ? (float)((double)row[i] / sqrt(square)) : 0;
    }
    struct mat m = mat_f32(y, n, d);
    gemm(s->x, &(struct gemm_args){.c = mat_f32(t->gram + (size_t)at * (size_t)n * (size_t)n, n, n), .a = m, .b = m,
                                   .b_trans = true});
    mem_free(y);
    return 0;
}

static int run_layers(struct trace *t, struct pass *s, struct err *e)
{
    int at = 0, rc = 0;
    embed(s);
    for (int i = 0; i < s->c.n_layer && rc == 0; i++) {
        attention(s, i);
        feed_forward(s, i);
        if (!op_finite(s->x, s->stream, (size_t)s->rows * (size_t)s->c.d_model))
            return err_set(e, ERR_NUMERIC, "%s: what layer %d gives on the text is not finite", s->v->path, i);
        if (at == t->n_layer || t->layer[at] != i)
            continue;
        rc = keep_neurons(t, s, at, i, e);
        if (rc == 0)
            rc = keep_gram(t, s, at++, e);
    }
    return rc;
}

/* ---- whether it can be run ---- */

static int check_scratch(const struct pass *s, struct err *e)
{
    for (int i = 0; i < s->c.n_layer; i++) {
        const struct layer_facts *f = &s->c.layer[i];
        struct attn_shape a = {f->n_head, f->n_kv, f->d_head, f->window, 1};
        if (attention_scratch_bytes(s->x->k, a, s->rows, false) > s->x->scratch_bytes)
            return err_set(e, ERR_LIMIT, "%s: attention of layer %d needs more scratch than there is", s->v->path, i);
        if (f->d_head != s->c.layer[0].d_head)
            return err_set(e, ERR_VALUE, "%s: heads of layer %d differ in size from those before", s->v->path, i);
    }
    return 0;
}

static int open_model(struct pass *s, struct err *e)
{
    struct buf path = {0};
    if (!file_is_dir(s->v->path) || !s->v->w.st)
        return err_set(e, ERR_FORMAT, "%s: not a folder with config.json, safetensors and tokenizer.json",
                       s->v->path);
    int rc = file_join(&path, s->v->path, "config.json", e);
    if (rc == 0 && !file_exists(path.p))
        rc = err_set(e, ERR_FORMAT, "%s: has no config.json", s->v->path);
    if (rc == 0)
        rc = model_config_read(&s->c, path.p, e);
    if (rc == 0)
        rc = file_join(&path, s->v->path, "tokenizer.json", e);
    if (rc == 0 && !file_exists(path.p))
        rc = err_set(e, ERR_FORMAT, "%s: has no tokenizer.json", s->v->path);
    if (rc == 0)
        rc = param_table_new(&s->t, &s->c, e);
    if (rc == 0)
        rc = model_check_weights(s->v->path, &s->c, &s->t, e);
    buf_release(&path);
    return rc;
}

int trace_run(struct trace *t, const struct view *v, const struct probe *p, const struct nn *x, struct err *e)
{
    struct pass *s = mem_new(1, sizeof *s);
    *t = (struct trace){.n = 0};
    if (!s)
        return err_set(e, ERR_NOMEM, "%s: no memory to run it", v->path);
    s->x = x;
    s->v = v;
    int rc = open_model(s, e);
    if (rc == 0)
        rc = tokens(s, t, p, e);
    if (rc == 0 && t->n < 1)
        rc = err_set(e, ERR_VALUE, "%s: the text is too short for its tokens", v->path);
    if (rc == 0)
        rc = check_scratch(s, e);
    if (rc == 0)
        rc = take_space(s, e);
    if (rc == 0)
        rc = take_trace(t, s, e);
    if (rc == 0)
        rc = run_layers(t, s, e);
    if (s->mem)
        mem_unmap(s->mem, s->bytes);
    tokenizer_close(s->tok);
    param_table_release(&s->t);
    mem_free(s);
    if (rc)
        trace_release(t);
    return rc;
}

void trace_release(struct trace *t)
{
    mem_free(t->gate);
    mem_free(t->up);
    mem_free(t->gram);
    *t = (struct trace){.n = 0};
}
