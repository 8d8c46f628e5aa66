#include "lineage/view.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"

enum { MAX_CONFIG = 16 << 20 };

/* What stands between a layer's number and ".weight", or in place of an expert's number a '#'. */
enum part { P_Q, P_K, P_V, P_O, P_GATE, P_UP, P_DOWN, P_QKV, P_QKV_HEADS, P_GATE_UP, P_NORM1, P_NORM2, P_NORM2_MAYBE };
static const struct {
    const char *name;
    enum part part;
    bool conv;     /* a Conv1D of GPT-2: stored input × output */
} parts[] = {
    {"self_attn.q_proj", P_Q, 0}, {"self_attn.k_proj", P_K, 0}, {"self_attn.v_proj", P_V, 0},
    {"self_attn.o_proj", P_O, 0}, {"self_attn.dense", P_O, 0}, {"self_attn.out_proj", P_O, 0},
    {"self_attn.qkv_proj", P_QKV, 0}, {"self_attn.q_a_proj", P_Q, 0}, {"self_attn.kv_a_proj_with_mqa", P_K, 0},
    {"attn.c_attn", P_QKV, 1}, {"attn.c_proj", P_O, 1},
    {"attn.q_proj", P_Q, 0}, {"attn.k_proj", P_K, 0}, {"attn.v_proj", P_V, 0}, {"attn.out_proj", P_O, 0},
    {"attn.attention.q_proj", P_Q, 0}, {"attn.attention.k_proj", P_K, 0}, {"attn.attention.v_proj", P_V, 0},
    {"attn.attention.out_proj", P_O, 0},
    {"attention.query_key_value", P_QKV_HEADS, 0}, {"self_attention.query_key_value", P_QKV_HEADS, 0},
    {"attention.dense", P_O, 0}, {"self_attention.dense", P_O, 0},
    {"attention.wq", P_Q, 0}, {"attention.wk", P_K, 0}, {"attention.wv", P_V, 0}, {"attention.wo", P_O, 0},
    {"attn_q", P_Q, 0}, {"attn_k", P_K, 0}, {"attn_v", P_V, 0}, {"attn_output", P_O, 0}, {"attn_qkv", P_QKV, 0},
    {"attn_q_a", P_Q, 0}, {"attn_kv_a_mqa", P_K, 0},
    {"mlp.gate_proj", P_GATE, 0}, {"mlp.up_proj", P_UP, 0}, {"mlp.down_proj", P_DOWN, 0},
    {"mlp.gate_up_proj", P_GATE_UP, 0}, {"mlp.c_fc", P_UP, 1}, {"mlp.c_proj", P_DOWN, 1},
    {"mlp.c_fc_0", P_GATE, 0}, {"mlp.c_fc_1", P_UP, 0}, {"mlp.dense_h_to_4h", P_UP, 0},
    {"mlp.dense_4h_to_h", P_DOWN, 0}, {"mlp.fc1", P_UP, 0}, {"mlp.fc2", P_DOWN, 0}, {"fc1", P_UP, 0},
    {"fc2", P_DOWN, 0}, {"mlp.fc_in", P_UP, 0}, {"mlp.fc_out", P_DOWN, 0},
    {"feed_forward.w1", P_GATE, 0}, {"feed_forward.w3", P_UP, 0}, {"feed_forward.w2", P_DOWN, 0},
    {"ffn_gate", P_GATE, 0}, {"ffn_up", P_UP, 0}, {"ffn_down", P_DOWN, 0},
    {"mlp.experts.#.gate_proj", P_GATE, 0}, {"mlp.experts.#.up_proj", P_UP, 0}, {"mlp.experts.#.down_proj", P_DOWN, 0},
    {"block_sparse_moe.experts.#.w1", P_GATE, 0}, {"block_sparse_moe.experts.#.w3", P_UP, 0},
    {"block_sparse_moe.experts.#.w2", P_DOWN, 0},
    {"mlp.experts.gate_up_proj", P_GATE_UP, 0}, {"mlp.experts.down_proj", P_DOWN, 0},
    {"mlp.experts.gate_proj", P_GATE, 0}, {"mlp.experts.up_proj", P_UP, 0},
    {"mlp.shared_expert.gate_proj", P_GATE, 0}, {"mlp.shared_expert.up_proj", P_UP, 0},
    {"mlp.shared_expert.down_proj", P_DOWN, 0}, {"mlp.shared_experts.gate_proj", P_GATE, 0},
    {"mlp.shared_experts.up_proj", P_UP, 0}, {"mlp.shared_experts.down_proj", P_DOWN, 0},
    {"ffn_gate_exps", P_GATE, 0}, {"ffn_up_exps", P_UP, 0}, {"ffn_down_exps", P_DOWN, 0},
    {"ffn_gate_shexp", P_GATE, 0}, {"ffn_up_shexp", P_UP, 0}, {"ffn_down_shexp", P_DOWN, 0},
    {"input_layernorm", P_NORM1, 0}, {"ln_1", P_NORM1, 0}, {"attn_norm", P_NORM1, 0}, {"attention_norm", P_NORM1, 0},
    {"self_attn_layer_norm", P_NORM1, 0}, {"pre_feedforward_layernorm", P_NORM2, 0}, {"ln_2", P_NORM2, 0},
    {"ffn_norm", P_NORM2, 0}, {"final_layer_norm", P_NORM2, 0}, {"post_attention_layernorm", P_NORM2_MAYBE, 0},
};
static const char *const embed_names[] = {"embed_tokens", "wte", "embed_in", "token_embd", "tok_embeddings",
                                          "word_embeddings"};
static const char *const head_names[] = {"lm_head", "output", "embed_out"};

const char *role_name(enum role r)
{
    static const char *const name[N_ROLES] = {"q", "k", "v", "o", "gate", "up", "down"};
    return name[r];
}

/* ---- names ---- */

enum { STEM = 160, NO_LAYER = -1 };
struct place {
    char prefix[STEM];   /* before the layer's number */
    char stem[STEM];     /* after it, without ".weight", an expert's number as '#' */
    int layer, expert;
};

static bool number_at(const char *s, const char **end, int *v)
{
    if (!isdigit((unsigned char)*s))
        return false;
    *v = 0;
    while (isdigit((unsigned char)*s) && *v < VIEW_MAX_BLOCKS)
        *v = 10 * *v + (*s++ - '0');
    *end = s;
    return *s == '.' || *s == '\0';
}

/* Cuts a tensor's name into its place; false for a bias or a name too long to be known. */
static bool place_of(struct place *p, const char *name)
{
    size_t n = strlen(name);
    bool plain = true;
    *p = (struct place){.layer = NO_LAYER, .expert = -1};
    if (n >= STEM)
        return false;
    if (n > 7 && strcmp(name + n - 7, ".weight") == 0)
        n -= 7;
    else if (strstr(name, "bias"))
        plain = false;
    size_t k = 0;
    for (const char *s = name; s < name + n;) {
        const char *end;
        int v;
        bool begin = s == name || s[-1] == '.';
        if (begin && number_at(s, &end, &v) && p->layer == NO_LAYER) {
            memcpy(p->prefix, p->stem, k);
            memset(p->stem, 0, sizeof p->stem);
            k = 0;
            p->layer = v;
            s = end < name + n ? end + 1 : end;
        } else if (begin && number_at(s, &end, &v) && p->expert < 0) {
            p->stem[k++] = '#';
            p->expert = v;
            s = end;
        } else {
            p->stem[k++] = *s++;
        }
    }
    return plain;
}

static const char *last_word(const char *stem)
{
    const char *dot = strrchr(stem, '.');
    return dot ? dot + 1 : stem;
}

static int find_part(const char *stem)
{
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (strcmp(parts[i].name, stem) == 0)
            return (int)i;
    return -1;
}

/* ---- the survey: embedding, width, the tower of layers that holds most ---- */

static const struct weight *named(const struct view *v, const char *const *names, size_t n)
{
    const struct weight *best = NULL;
    for (size_t i = 0; i < v->w.n; i++) {
        const struct weight *t = &v->w.t[i];
        struct place p;
        if (t->n_dims != 2 || !place_of(&p, t->name) || p.layer != NO_LAYER)
            continue;
        for (size_t k = 0; k < n; k++)
            if (strcmp(last_word(p.stem), names[k]) == 0 && (!best || t->bytes > best->bytes))
                best = t;
    }
    return best;
}

struct tower {
    char prefix[STEM];
    double size;
};

static void main_tower(const struct view *v, char prefix[STEM])
{
    struct tower tower[16] = {0};
    int n = 0, best = 0;
    for (size_t i = 0; i < v->w.n; i++) {
        struct place p;
        if (!place_of(&p, v->w.t[i].name) || p.layer == NO_LAYER || find_part(p.stem) < 0)
            continue;
        int k = 0;
        while (k < n && strcmp(tower[k].prefix, p.prefix) != 0)
            k++;
        if (k == 16)
            continue;
        if (k == n)
            memcpy(tower[n++].prefix, p.prefix, STEM);
        tower[k].size += (double)v->w.t[i].rows * (double)v->w.t[i].cols;
    }
    for (int k = 1; k < n; k++)
        if (tower[k].size > tower[best].size)
            best = k;
    memcpy(prefix, tower[best].prefix, STEM);
}

/* A width where no embedding tells it: of the gains before attention. */
static int width_of_gains(const struct view *v)
{
    for (size_t i = 0; i < v->w.n; i++) {
        struct place p;
        const struct weight *t = &v->w.t[i];
        if (t->n_dims != 1 || t->cols > VIEW_MAX_MODEL || !place_of(&p, t->name))
            continue;
        int k = find_part(p.stem);
        if (p.layer != NO_LAYER && k >= 0 && parts[k].part == P_NORM1)
            return (int)t->cols;
    }
    return 0;
}

/* ---- slices ---- */

/* Units [u0, u0 + units) of the whole tensor t, or of matrix m of a stacked one. */
static struct slice cut(const struct weight *t, bool by_unit, uint64_t matrix, uint64_t u0, uint64_t units)
{
    uint64_t rows = t->n_dims == 3 ? t->dim[1] : t->rows, base = matrix * rows;
    return (struct slice){.t = t, .by_unit = by_unit, .res0 = by_unit ? 0 : base, .first = (by_unit ? base : 0) + u0,
                          .run = units, .step = units, .units = (int)units};
}

/* Which axis is the residual stream: by role, else by size. */
static bool axis_of(const struct view *v, const struct weight *t, bool output, bool conv, bool *by_unit,
                    uint64_t *units)
{
    uint64_t d = (uint64_t)v->d_model, rows = t->n_dims == 3 ? t->dim[1] : t->rows, cols = t->cols;
    if (t->n_dims < 2 || t->n_dims > 3 || (rows != d && cols != d))
        return false;
    *by_unit = rows == cols ? output == conv : cols == d;
    *units = *by_unit ? rows : cols;
    return *units > 0 && *units <= 1 << 20;
}

static struct ffn_view *ffn_block(struct view *v, int layer, int expert)
{
    for (int i = v->n_ffn - 1; i >= 0; i--)
        if (v->ffn[i].layer == layer && v->ffn[i].expert == expert)
            return &v->ffn[i];
    if (v->n_ffn == VIEW_MAX_BLOCKS)
        return NULL;
    if ((v->n_ffn & (v->n_ffn - 1)) == 0) {
        struct ffn_view *f = mem_resize(v->ffn, v->n_ffn ? 2 * (size_t)v->n_ffn : 1, sizeof *f);
        if (!f)
            return NULL;
        v->ffn = f;
    }
    v->ffn[v->n_ffn] = (struct ffn_view){.layer = layer, .expert = expert};
    return &v->ffn[v->n_ffn++];
}

static bool add_ffn(struct view *v, const struct weight *t, const struct place *p, enum part part, bool conv)
{
    uint64_t units, stacked = t->n_dims == 3 ? t->dim[0] : 1;
    bool by_unit;
    if (!axis_of(v, t, part == P_DOWN, conv, &by_unit, &units) || stacked > VIEW_MAX_BLOCKS)
        return true;
    bool shared = strstr(p->stem, "shared") || strstr(p->stem, "shexp");
    for (uint64_t m = 0; m < stacked; m++) {
        int expert = shared ? VIEW_MAX_BLOCKS : t->n_dims == 3 ? (int)m : p->expert;
        struct ffn_view *f = ffn_block(v, p->layer, expert);
        if (!f)
            return false;
        if (part == P_GATE_UP) {
            f->part[0] = cut(t, by_unit, m, 0, units / 2);
            f->part[1] = cut(t, by_unit, m, units / 2, units / 2);
        } else {
            f->part[part == P_GATE ? 0 : part == P_UP ? 1 : 2] = cut(t, by_unit, m, 0, units);
        }
    }
    return true;
}

static void add_attn(struct view *v, const struct weight *t, const struct place *p, enum part part, bool conv)
{
    struct layer_view *l = &v->layer[p->layer];
    uint64_t units;
    bool by_unit;
    if (t->n_dims != 2 || !axis_of(v, t, part == P_O, conv, &by_unit, &units))
        return;
    l->attn[part == P_QKV || part == P_QKV_HEADS ? P_Q : part] = cut(t, by_unit, 0, 0, units);
}

/* A fused matrix [q; k; v], or of every head its q, k and v: q has as many units as the output projection. */
static void split_fused(const struct view *v, struct layer_view *l, bool by_head)
{
    struct slice all = l->attn[ROLE_Q];
    uint64_t n = (uint64_t)all.units, q = (uint64_t)l->attn[ROLE_O].units, heads = (uint64_t)v->n_head;
    if (q == 0 || q >= n || (n - q) % 2)
        return;
    uint64_t kv = (n - q) / 2;
    for (int i = 0; i < 3; i++) {
        struct slice *s = &l->attn[i];
        *s = all;
        s->units = (int)(i == 0 ? q : kv);
        s->run = s->step = (uint64_t)s->units;
        s->first += i == 0 ? 0 : q + (uint64_t)(i - 1) * kv;
        if (by_head && q == kv && heads && q % heads == 0) {
            s->run = q / heads;
            s->step = 3 * s->run;
            s->first = all.first + (uint64_t)i * s->run;
        }
    }
}

static bool add_tensor(struct view *v, const struct weight *t, const struct place *p, int k, bool conv)
{
    enum part part = parts[k].part;
    conv = conv && parts[k].conv;
    if (part == P_NORM1 || part == P_NORM2 || part == P_NORM2_MAYBE) {
        const struct weight **to = &v->layer[p->layer].norm[part != P_NORM1];
        if (t->n_dims == 1 && t->cols == (uint64_t)v->d_model && (part != P_NORM2_MAYBE || !*to))
            *to = t;
        return true;
    }
    if (part == P_GATE || part == P_UP || part == P_DOWN || part == P_GATE_UP)
        return add_ffn(v, t, p, part, conv);
    add_attn(v, t, p, part, conv);
    return true;
}

static int by_block(const void *a, const void *b)
{
    const struct ffn_view *x = a, *y = b;
    return x->layer != y->layer ? (x->layer > y->layer) - (x->layer < y->layer)
                                : (x->expert > y->expert) - (x->expert < y->expert);
}

/* GPT-2 stores its matrices transposed; a c_fc or c_attn that is wider than high tells. */
static bool is_conv(const struct view *v)
{
    for (size_t i = 0; i < v->w.n; i++) {
        struct place p;
        const struct weight *t = &v->w.t[i];
        int k = place_of(&p, t->name) && p.layer != NO_LAYER ? find_part(p.stem) : -1;
        if (k >= 0 && parts[k].conv && t->n_dims == 2 && t->rows == (uint64_t)v->d_model && t->cols > t->rows)
            return true;
    }
    return false;
}

static int survey_layers(struct view *v, struct err *e)
{
    char prefix[STEM];
    bool conv = is_conv(v), room = true;
    main_tower(v, prefix);
    for (int pass = 0; pass < 2 && room; pass++) {
        for (size_t i = 0; i < v->w.n && room; i++) {
            struct place p;
            int k = place_of(&p, v->w.t[i].name) && p.layer != NO_LAYER ? find_part(p.stem) : -1;
            if (k < 0 || p.layer >= VIEW_MAX_LAYERS || strcmp(p.prefix, prefix) != 0)
                continue;
            if (pass == 0 && p.layer >= v->n_layer)
                v->n_layer = p.layer + 1;
            if (pass == 1)
                room = add_tensor(v, &v->w.t[i], &p, k, conv);
        }
        if (pass == 0) {
            v->layer = mem_new((size_t)v->n_layer, sizeof *v->layer);
            room = v->layer != NULL;
        }
    }
    if (!room)
        return err_set(e, ERR_NOMEM, "%s: out of memory for its layers", v->path);
    for (int l = 0; l < v->n_layer; l++)
        for (size_t i = 0; i < v->w.n; i++) {
            struct place p;
            const struct weight *t = &v->w.t[i];
            if (t != v->layer[l].attn[ROLE_Q].t)
                continue;
            int k = place_of(&p, t->name) ? find_part(p.stem) : -1;
            if (k >= 0 && (parts[k].part == P_QKV || parts[k].part == P_QKV_HEADS))
                split_fused(v, &v->layer[l], parts[k].part == P_QKV_HEADS);
        }
    if (v->n_ffn)
        qsort(v->ffn, (size_t)v->n_ffn, sizeof *v->ffn, by_block);
    return 0;
}

/* ---- opening ---- */

/* Where no config.json tells it: by a GGUF file's metadata, or by the gains of a norm over the dimensions of a head. */
static void find_heads(struct view *v)
{
    const char *arch;
    size_t n;
    char key[STEM];
    uint64_t heads;
    if (v->n_head)
        return;
    if (v->w.gguf && gguf_get_str(v->w.gguf, "general.architecture", &arch, &n) && n < 64) {
        snprintf(key, sizeof key, "%.*s.attention.head_count", (int)n, arch);
        if (gguf_get_uint(v->w.gguf, key, &heads) && heads < VIEW_MAX_MODEL)
            v->n_head = (int)heads;
    }
    for (size_t i = 0; i < v->w.n && v->n_head == 0 && v->n_layer; i++) {
        struct place p;
        const struct weight *t = &v->w.t[i];
        int q = v->layer[0].attn[ROLE_Q].t ? v->layer[0].attn[ROLE_Q].units : 0;
        if (t->n_dims == 1 && place_of(&p, t->name) && p.layer == 0 && t->cols && (uint64_t)q % t->cols == 0 &&
            (strcmp(last_word(p.stem), "q_norm") == 0 || strcmp(last_word(p.stem), "attn_q_norm") == 0))
            v->n_head = q / (int)t->cols;
    }
}

static int read_config(struct view *v, struct err *e)
{
    struct buf b = {0};
    int rc = 0;
    if (file_is_dir(v->path))
        rc = file_join(&b, v->path, "config.json", e);
    if (rc == 0 && b.len && file_exists(b.p))
        rc = json_read(&v->config, b.p, MAX_CONFIG, e);
    buf_release(&b);
    if (rc || !v->config)
        return rc;
    const json_t *text = json_object_get(v->config, "text_config");
    const json_t *from = json_is_object(text) ? text : v->config;
    json_int_t heads = json_integer_value(json_object_get(from, "num_attention_heads"));
    v->n_head = heads > 0 && heads < VIEW_MAX_MODEL ? (int)heads : 0;
    const char *type = json_string_value(json_object_get(v->config, "model_type"));
    v->gain_plus_one = type && strncmp(type, "gemma", 5) == 0;
    return 0;
}

int view_open(struct view *v, const char *path, struct err *e)
{
    *v = (struct view){.path = path};
    int rc = weights_open(&v->w, path, e);
    if (rc == 0)
        rc = read_config(v, e);
    if (rc == 0) {
        v->embed = named(v, embed_names, sizeof embed_names / sizeof *embed_names);
        v->head = named(v, head_names, sizeof head_names / sizeof *head_names);
        if (!v->embed && v->head)
            v->embed = v->head;
        uint64_t d = v->embed ? v->embed->cols : (uint64_t)width_of_gains(v);
        if (d > VIEW_MAX_MODEL)
            rc = err_set(e, ERR_LIMIT, "%s: width %llu, limit %d", path, (unsigned long long)d, VIEW_MAX_MODEL);
        else if (v->embed && v->embed->rows > 1 << 24)
            rc = err_set(e, ERR_LIMIT, "%s: %llu tokens, limit %d", path, (unsigned long long)v->embed->rows, 1 << 24);
        v->d_model = (int)d;
        v->vocab = v->embed ? (int)v->embed->rows : 0;
    }
    if (rc == 0 && v->d_model > 0)
        rc = survey_layers(v, e);
    if (rc == 0)
        find_heads(v);
    for (size_t i = 0; i < v->w.n; i++)
        v->params += (double)v->w.t[i].rows * (double)v->w.t[i].cols;
    if (rc)
        view_close(v);
    return rc;
}

void view_close(struct view *v)
{
    weights_close(&v->w);
    json_decref(v->config);
    mem_free(v->layer);
    mem_free(v->ffn);
    *v = (struct view){0};
}

/* ---- reading ---- */

static uint64_t unit_at(const struct slice *s, int u)
{
    uint64_t w = (uint64_t)s->skip + (uint64_t)u;
    return s->first + w / s->run * s->step + w % s->run;
}

int slice_read(float *out, const struct slice *s, int d_model, const int *res, int n, struct err *e)
{
    float *row = mem_new((size_t)s->t->cols, sizeof *row);
    if (!row)
        return err_set(e, ERR_NOMEM, "tensor \"%s\": no memory for a row of %llu values", s->t->name,
                       (unsigned long long)s->t->cols);
    if (!res)
        n = d_model;
    if (s->by_unit) {
        for (int u = 0; u < s->units; u++) {
            weight_row(s->t, unit_at(s, u), row);
            for (int i = 0; i < n; i++)
                out[(size_t)u * (size_t)n + (size_t)i] = row[res ? res[i] : i];
        }
    } else {
        for (int i = 0; i < n; i++) {
            weight_row(s->t, s->res0 + (uint64_t)(res ? res[i] : i), row);
            for (int u = 0; u < s->units; u++)
                out[(size_t)u * (size_t)n + (size_t)i] = row[unit_at(s, u)];
        }
    }
    mem_free(row);
    return 0;
}
