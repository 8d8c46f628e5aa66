/* The state of a run: one block of weights, first and second moments, step and cursor, as NUMERICS §9 hashes it. */
#include "verify/verify.h"

bool by_muon(const struct run *r, const struct tensor *t) {
    return t->group == MATRIX && strcmp(r->optimizer, "adamw") != 0;
}

/* ---- tensors in table order; q, k, v and gate, up are one matrix each time ---- */

static size_t add(struct state *s, int layer, const char *name, int64_t rows, int64_t cols, enum group g, double std,
                  double start) {
    struct tensor *t = s->t_end++;
    *t = (struct tensor){.rows = (int)rows, .cols = (int)cols, .group = g, .std = std, .start = start, .at = s->total,
                         .n = (size_t)(rows * cols), .v_at = s->v_total};
    if (layer < 0) snprintf(t->name, sizeof t->name, "%s.weight", name);
    else snprintf(t->name, sizeof t->name, "model.layers.%d.%s.weight", layer, name);
    t->v_n = !by_muon(s->r, t) ? t->n : strcmp(s->r->optimizer, "normuon") == 0 ? (size_t)rows : 0;
    s->total += t->n;
    s->v_total += t->v_n;
    return t->at;
}
static struct places add_layer(struct state *s, int i) {
    const struct layer *l = &s->r->layer[i];
    int64_t d = s->r->d_model, q = l->n_head * l->d_head, kv = l->n_kv * l->d_head;
    double std = 1.0 / sqrt((double)d);
    struct places p = {.norm1 = add(s, i, "input_layernorm", 1, d, GAIN, 0, 1)};
    p.qkv = add(s, i, "self_attn.q_proj", q, d, MATRIX, std, 0);
    add(s, i, "self_attn.k_proj", kv, d, MATRIX, std, 0);
    add(s, i, "self_attn.v_proj", kv, d, MATRIX, std, 0);
    if (l->qk_norm) p.q_norm = add(s, i, "self_attn.q_norm", 1, l->d_head, GAIN, 0, 1.4);
    if (l->qk_norm) p.k_norm = add(s, i, "self_attn.k_norm", 1, l->d_head, GAIN, 0, 1.4);
    p.o = add(s, i, "self_attn.o_proj", d, q, MATRIX, 0, 0);
    p.norm2 = add(s, i, "post_attention_layernorm", 1, d, GAIN, 0, 1);
    p.gu = add(s, i, "mlp.gate_proj", l->d_ff, d, MATRIX, std, 0);
    add(s, i, "mlp.up_proj", l->d_ff, d, MATRIX, std, 0);
    p.down = add(s, i, "mlp.down_proj", d, l->d_ff, MATRIX, 0, 0);
    return p;
}

/* Element i: 24 bits k of word i mod 4 of Philox block i/4, (2k + 1 − 2^24)/2^24 times √3·std. */
static void fill(float *w, const struct tensor *t, uint64_t seed, uint32_t id) {
    float bound = (float)(1.7320508075688772 * t->std);
    for (size_t i = 0; i < t->n; i++) {
        bool constant = !(t->std > 0) || (t->start != 0 && i % (size_t)t->cols == 0);
        int32_t k = constant ? 0 : 2 * (int32_t)(philox(seed, 1, id, i / 4, (int)(i % 4)) >> 8) + 1 - (1 << 24);
        w[i] = constant ? (float)t->start : (float)k * 0x1p-24f * bound;
    }
}
void state_new(struct state *s, const struct run *r) {
    double d = (double)r->d_model, std = r->tied ? 4.0 / d : 0.02;
    *s = (struct state){.r = r, .t = take(3 + 11 * (uint64_t)r->n_layer, sizeof *s->t),
                        .place = take((uint64_t)r->n_layer, sizeof *s->place)};
    s->t_end = s->t;
    add(s, -1, "model.embed_tokens", r->vocab, r->d_model, EMBED, std, 0.5 * std * sqrt(d));
    for (int i = 0; i < r->n_layer; i++) s->place[i] = add_layer(s, i);
    s->norm = add(s, -1, "model.norm", 1, r->d_model, GAIN, 0, 1);
    if (!r->tied) s->head = add(s, -1, "lm_head", r->vocab, r->d_model, HEAD, 1.0 / d, 0);
    s->w = take(2 * s->total + s->v_total + 4, sizeof *s->w);
    s->m = s->w + s->total;
    s->v = s->m + s->total;
    for (struct tensor *t = s->t; t < s->t_end; t++) fill(s->w + t->at, t, r->seed, (uint32_t)(t - s->t));
}
struct digest state_root(const struct state *s) {
    size_t floats = 2 * s->total + s->v_total, n = floats * sizeof *s->w + 16;
    uint8_t *all = (uint8_t *)s->w;
    struct tree t = {.n = 0};
    memcpy(all + n - 16, &s->step, 8);
    memcpy(all + n - 8, &s->sample, 8);
    for (size_t at = 0; at < n; at += 1 << 20)
        tree_add(&t, (struct bytes){all + at, n - at < 1 << 20 ? n - at : 1 << 20});
    return tree_root(&t);
}

/* safetensors: u64 length of a JSON header, the header, the data; here tensors in table order without a gap.  The
 * header must say of each what the table says.  all: the whole state, else weights alone. */
static const char *read_tensors(const struct state *s, float *out, const char *path, bool all) {
    struct bytes b = map_file(path);
    size_t want = (all ? 2 * s->total + s->v_total : s->total) * sizeof *out, at = 0;
    uint64_t n = 0;
    if (b.n >= 8) memcpy(&n, b.p, 8);
    if (b.n < 8 || n > b.n - 8 || n > 64 << 20 || b.n - 8 - n != want)
        refuse("%s: expected a safetensors file of %zu bytes of tensors", path, want);
    const char *header = text_of((struct bytes){b.p + 8, n});
    for (int k = 0; k < (all ? 3 : 1); k++)
        for (const struct tensor *t = s->t; t < s->t_end; t++) {
            const char *kind = all ? (const char *[]){"weight.", "moment1.", "moment2."}[k] : "";
            size_t here = k < 2 ? t->n : t->v_n, end = at + here * sizeof *out, cols = here / (size_t)t->rows;
            char rows[16] = "", line[300];
            if (here == 0) continue;
            if (all || t->group != GAIN) snprintf(rows, sizeof rows, "%d,", t->rows);
            snprintf(line, sizeof line, "\"%s%s\":{\"dtype\":\"F32\",\"shape\":[%s%zu],\"data_offsets\":[%zu,%zu]}",
                     kind, t->name, rows, cols, at, end);
            if (!strstr(header, line)) refuse("%s: its header does not have %s", path, line);
            at = end;
        }
    memcpy(out, b.p + 8 + n, want);
    return header;
}
void model_load(const struct state *s, float *w, const char *path) { read_tensors(s, w, path, false); }
void state_load(struct state *s, const char *path) {
    const char *header = read_tensors(s, s->w, path, true);
    s->step = (uint64_t)json_number(header, path, "step");
    s->sample = (uint64_t)json_number(header, path, "sample");
}
double sum_blocks(const float *v, size_t n, bool squares) {
    double sum = 0;
    for (size_t at = 0; at < n; at += 4096) {
        size_t k = n - at < 4096 ? n - at : 4096;
        float lane[16] = {0};
        for (size_t i = 0; i < k && !squares; i++) lane[i % 16] += v[at + i];
        for (int h = 8; h > 0 && !squares; h /= 2)
            for (int l = 0; l < h; l++) lane[l] += lane[l + h];
        sum += (double)(squares ? T1.sum_sq(v + at, k) : lane[0]);
    }
    return sum;
}
