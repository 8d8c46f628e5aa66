#include "model/config.h"

#include <math.h>
#include <string.h>

enum {
    MAX_CONFIG_BYTES = 4 << 20,
    MAX_VOCAB = 1 << 22,
    MAX_WIDTH = 1 << 16,
    MAX_FF = 1 << 20,
    MAX_HEADS = 1024,
    MAX_HEAD_DIM = 1024,
    MAX_POS = 1 << 24
};

/* What an architecture name fixes; everything else comes from the fields. */
static const struct arch {
    const char *model_type, *name;
    bool qk_norm, windows;
    int head_dim; /* when config.json has none; 0: hidden_size / num_attention_heads */
} archs[] = {
    {"qwen3", "Qwen3ForCausalLM", true, true, 128},
    {"llama", "LlamaForCausalLM", false, false, 0},
};
enum { N_ARCHS = sizeof archs / sizeof *archs };

static const struct arch *arch_named(const char *name)
{
    for (int i = 0; i < N_ARCHS; i++)
        if (strcmp(archs[i].name, name) == 0)
            return &archs[i];
    return NULL;
}

void model_config_shape(struct model_config *c, int layers, int width, int vocab, int max_pos)
{
    memset(c, 0, sizeof *c);
    memcpy(c->arch, archs[0].name, strlen(archs[0].name) + 1);
    c->vocab = vocab;
    c->d_model = width;
    c->n_layer = layers;
    c->max_pos = max_pos;
    c->tied = true;
    c->norm_eps = 1e-6;
    /* The slowest pair turns once in 2π·theta positions: 1e4 covers a short context many times over and
     * leaves more pairs that move at all; long contexts take the value Qwen3 uses. */
    c->rope_theta = max_pos <= 8192 ? 1e4 : 1e6;
    c->bos = c->eos = -1;
    int ff = (8 * c->d_model + 2) / 3;
    for (int i = 0; i < layers && i < MODEL_MAX_LAYERS; i++)
        c->layer[i] = (struct layer_facts){.n_head = width / 64,
                                           .n_kv = width / 64,
                                           .d_head = 64,
                                           .d_ff = (ff + 63) / 64 * 64,
                                           .qk_norm = true,
                                           .rope = true};
}

void model_config_depth(struct model_config *c, int depth, int vocab, int max_pos)
{
    model_config_shape(c, depth, 64 * depth, vocab, max_pos);
}

/* ---- checks ---- */

static int in_range(const char *where, const char *field, long v, long lo, long hi, struct err *e)
{
    if (v < lo || v > hi)
        return err_set(e, ERR_VALUE, "%s: %s is %ld, expected %ld to %ld", where, field, v, lo, hi);
    return 0;
}

static int check_layer(const struct model_config *c, int i, const char *where, struct err *e)
{
    const struct layer_facts *f = &c->layer[i];
    int rc;
    if ((rc = in_range(where, "num_attention_heads", f->n_head, 1, MAX_HEADS, e)) ||
        (rc = in_range(where, "num_key_value_heads", f->n_kv, 1, f->n_head, e)) ||
        (rc = in_range(where, "head_dim", f->d_head, 2, MAX_HEAD_DIM, e)) ||
        (rc = in_range(where, "intermediate_size", f->d_ff, 1, MAX_FF, e)) ||
        (rc = in_range(where, "sliding_window", f->window, 0, MAX_POS, e)))
        return rc;
    if (f->n_head % f->n_kv != 0)
        return err_set(e, ERR_VALUE, "%s: layer %d has %d attention heads, not a multiple of its %d key-value heads",
                       where, i, f->n_head, f->n_kv);
    if (f->d_head % 2 != 0)
        return err_set(e, ERR_VALUE, "%s: head_dim is %d; rotary pairs need an even number", where, f->d_head);
    if (f->d_head != c->layer[0].d_head)
        return err_set(e, ERR_VALUE, "%s: layer %d has head_dim %d, layer 0 has %d; all layers must agree", where,
                       i, f->d_head, c->layer[0].d_head);
    return 0;
}

int model_config_check(const struct model_config *c, const char *where, struct err *e)
{
    int rc;
    if ((rc = in_range(where, "vocab_size", c->vocab, 1, MAX_VOCAB, e)) ||
        (rc = in_range(where, "hidden_size", c->d_model, 16, MAX_WIDTH, e)) ||
        (rc = in_range(where, "num_hidden_layers", c->n_layer, 1, MODEL_MAX_LAYERS, e)) ||
        (rc = in_range(where, "max_position_embeddings", c->max_pos, 1, MAX_POS, e)) ||
        (rc = in_range(where, "bos_token_id", c->bos, -1, c->vocab - 1, e)) ||
        (rc = in_range(where, "eos_token_id", c->eos, -1, c->vocab - 1, e)))
        return rc;
    if (c->d_model % 16 != 0)
        return err_set(e, ERR_VALUE, "%s: hidden_size is %d, expected a multiple of 16", where, c->d_model);
    if (!(c->norm_eps > 0 && c->norm_eps <= 1))
        return err_set(e, ERR_VALUE, "%s: rms_norm_eps is %g, expected above 0 and at most 1", where, c->norm_eps);
    if (!(c->rope_theta >= 1 && c->rope_theta <= 1e12))
        return err_set(e, ERR_VALUE, "%s: rope_theta is %g, expected 1 to 1e12", where, c->rope_theta);
    for (int i = 0; i < c->n_layer; i++)
        if ((rc = check_layer(c, i, where, e)))
            return rc;
    return 0;
}

/* ---- reading ---- */

struct reader {
    const json_t *root;
    const char *path;
    struct err *e;
};

static int get_int(const struct reader *r, int *out, const char *key, long lo, long hi, bool opt, int dflt)
{
    int64_t v = dflt;
    const json_t *f = json_object_get(r->root, key);
    if (!(opt && json_is_null(f))) {
        int rc = json_get_int(&v, r->root, key, lo, hi, opt, dflt, r->path, r->e);
        if (rc)
            return rc;
    }
    *out = (int)v;
    return 0;
}

/* A token id field: a number, a list (its first entry), null or absent. */
static int get_token(const struct reader *r, int *out, const char *key)
{
    const json_t *v = json_object_get(r->root, key);
    if (json_is_array(v))
        v = json_array_get(v, 0);
    *out = -1;
    if (!v || json_is_null(v))
        return 0;
    if (!json_is_integer(v) || json_integer_value(v) < 0 || json_integer_value(v) >= MAX_VOCAB)
        return err_set(r->e, ERR_VALUE, "%s: %s is not a token id", r->path, key);
    *out = (int)json_integer_value(v);
    return 0;
}

static int refuse_true(const struct reader *r, const char *key)
{
    bool v;
    int rc = json_get_bool(&v, r->root, key, true, false, r->path, r->e);
    if (!rc && v)
        rc = err_set(r->e, ERR_VALUE, "%s: %s is true; models with it are not supported", r->path, key);
    return rc;
}

/* Readers take it from the top or from rope_parameters. */
static int refuse_partial(const struct reader *r, const json_t *o)
{
    double part = 1;
    int rc = json_is_null(json_object_get(o, "partial_rotary_factor"))
                 ? 0 : json_get_real(&part, o, "partial_rotary_factor", 0, 1, true, 1, r->path, r->e);
    if (!rc && part < 1)
        rc = err_set(r->e, ERR_VALUE, "%s: partial_rotary_factor %g is not supported", r->path, part);
    return rc;
}

/* rope_theta at the top (transformers 4) or in rope_parameters (transformers 5); any scaling is refused
 * by name, because it would change every result silently. */
static int read_rope(const struct reader *r, struct model_config *c)
{
    static const char *const boxes[] = {"rope_scaling", "rope_parameters"};
    int rc = json_get_real(&c->rope_theta, r->root, "rope_theta", 1, 1e12, true, 1e4, r->path, r->e);
    if (!rc)
        rc = refuse_partial(r, r->root);
    for (int i = 0; !rc && i < 2; i++) {
        const json_t *box = json_object_get(r->root, boxes[i]);
        if (!box || json_is_null(box))
            continue;
        if (!json_is_object(box))
            return err_set(r->e, ERR_FORMAT, "%s: %s is not an object", r->path, boxes[i]);
        const char *type, *key = json_object_get(box, "rope_type") ? "rope_type" : "type";
        if ((rc = json_get_str(&type, box, key, true, "default", r->path, r->e)))
            return rc;
        if (strcmp(type, "default") != 0)
            return err_set(r->e, ERR_VALUE, "%s: rope scaling \"%s\" is not supported", r->path, type);
        rc = refuse_partial(r, box);
        if (!rc && (json_object_get(box, "full_attention") || json_object_get(box, "sliding_attention")))
            rc = err_set(r->e, ERR_VALUE, "%s: %s per kind of layer is not supported", r->path, boxes[i]);
        if (!rc)
            rc = json_get_real(&c->rope_theta, box, "rope_theta", 1, 1e12, true, c->rope_theta, r->path, r->e);
    }
    return rc;
}

/* Windows by layer_types, or by max_window_layers (layers from that one on), as transformers does. */
static int read_windows(const struct reader *r, struct model_config *c)
{
    bool use;
    int window, from, rc;
    if ((rc = json_get_bool(&use, r->root, "use_sliding_window", true, false, r->path, r->e)) ||
        (rc = get_int(r, &window, "sliding_window", 1, MAX_POS, true, 0)) ||
        (rc = get_int(r, &from, "max_window_layers", 0, 1 << 20, true, 28)))
        return rc;
    if (!use)
        window = 0;
    const json_t *types = json_object_get(r->root, "layer_types");
    bool listed = types && !json_is_null(types);
    if (listed && (!json_is_array(types) || (int)json_array_size(types) != c->n_layer))
        return err_set(r->e, ERR_FORMAT, "%s: layer_types is not a list of num_hidden_layers (%d) names", r->path,
                       c->n_layer);
    for (int i = 0; i < c->n_layer; i++) {
        bool sliding = window > 0 && i >= from;
        if (listed) {
            const char *t = json_string_value(json_array_get(types, (size_t)i));
            sliding = t && strcmp(t, "sliding_attention") == 0;
            if (!sliding && (!t || strcmp(t, "full_attention") != 0))
                return err_set(r->e, ERR_VALUE, "%s: layer_types[%d] is \"%s\", expected full_attention or "
                               "sliding_attention", r->path, i, t ? t : "(not a string)");
            if (sliding && window == 0)
                return err_set(r->e, ERR_VALUE, "%s: layer_types[%d] is sliding_attention, but sliding_window is "
                               "not set or use_sliding_window is false", r->path, i);
        }
        c->layer[i].window = sliding ? window : 0;
    }
    return 0;
}

static int read_kind(const struct reader *r, struct model_config *c, const struct arch **a)
{
    const char *type, *act;
    int rc;
    if ((rc = json_get_str(&type, r->root, "model_type", false, NULL, r->path, r->e)) ||
        (rc = json_get_str(&act, r->root, "hidden_act", true, "silu", r->path, r->e)))
        return rc;
    *a = NULL;
    for (int i = 0; i < N_ARCHS; i++)
        if (strcmp(archs[i].model_type, type) == 0)
            *a = &archs[i];
    if (!*a)
        return err_set(r->e, ERR_VALUE, "%s: model_type \"%.60s\" is not supported (known: qwen3, llama)", r->path,
                       type);
    if (strcmp(act, "silu") != 0)
        return err_set(r->e, ERR_VALUE, "%s: hidden_act is \"%.60s\", expected silu", r->path, act);
    if ((rc = refuse_true(r, "attention_bias")) || (rc = refuse_true(r, "mlp_bias")))
        return rc;
    const json_t *q = json_object_get(r->root, "quantization_config");
    if (q && !json_is_null(q))
        return err_set(r->e, ERR_VALUE, "%s: quantization_config is set; quantised models are not supported",
                       r->path);
    memcpy(c->arch, (*a)->name, strlen((*a)->name) + 1);
    return 0;
}

static int read_fields(const struct reader *r, struct model_config *c)
{
    const struct arch *a;
    struct layer_facts f = {.rope = true};
    int rc;
    if ((rc = read_kind(r, c, &a)) ||
        (rc = get_int(r, &c->vocab, "vocab_size", 1, MAX_VOCAB, false, 0)) ||
        (rc = get_int(r, &c->d_model, "hidden_size", 1, MAX_WIDTH, false, 0)) ||
        (rc = get_int(r, &c->n_layer, "num_hidden_layers", 1, MODEL_MAX_LAYERS, false, 0)) ||
        (rc = get_int(r, &f.d_ff, "intermediate_size", 1, MAX_FF, false, 0)) ||
        (rc = get_int(r, &f.n_head, "num_attention_heads", 1, MAX_HEADS, false, 0)) ||
        (rc = get_int(r, &f.n_kv, "num_key_value_heads", 1, MAX_HEADS, true, f.n_head)) ||
        (rc = get_int(r, &f.d_head, "head_dim", 1, MAX_HEAD_DIM, true,
                      a->head_dim ? a->head_dim : c->d_model / f.n_head)) ||
        (rc = get_int(r, &c->max_pos, "max_position_embeddings", 1, MAX_POS, false, 0)) ||
        (rc = json_get_real(&c->norm_eps, r->root, "rms_norm_eps", 0, 1, true, 1e-6, r->path, r->e)) ||
        (rc = json_get_bool(&c->tied, r->root, "tie_word_embeddings", true, false, r->path, r->e)) ||
        (rc = get_token(r, &c->bos, "bos_token_id")) || (rc = get_token(r, &c->eos, "eos_token_id")) ||
        (rc = read_rope(r, c)))
        return rc;
    f.qk_norm = a->qk_norm;
    for (int i = 0; i < c->n_layer; i++)
        c->layer[i] = f;
    return a->windows ? read_windows(r, c) : 0;
}

int model_config_read(struct model_config *c, const char *path, struct err *e)
{
    json_t *root = NULL;
    int rc = json_read(&root, path, MAX_CONFIG_BYTES, e);
    if (rc)
        return rc;
    memset(c, 0, sizeof *c);
    struct reader r = {root, path, e};
    rc = json_is_object(root) ? read_fields(&r, c) : err_set(e, ERR_FORMAT, "%s: not a JSON object", path);
    json_decref(root);
    return rc ? rc : model_config_check(c, path, e);
}

/* ---- writing ---- */

/* Facts that config.json of this architecture can say: all layers alike but for one window. */
static int check_expressible(const struct model_config *c, const struct arch *a, const char *path, int *window,
                             struct err *e)
{
    *window = 0;
    for (int i = 0; i < c->n_layer; i++) {
        const struct layer_facts *f = &c->layer[i], *f0 = &c->layer[0];
        if (f->n_head != f0->n_head || f->n_kv != f0->n_kv || f->d_ff != f0->d_ff || !f->rope ||
            f->qk_norm != a->qk_norm)
            return err_set(e, ERR_VALUE, "%s: %s cannot express the heads, d_ff, qk_norm or rope of layer %d", path,
                           a->name, i);
        if (f->window && (!a->windows || (*window && *window != f->window)))
            return err_set(e, ERR_VALUE, "%s: %s cannot express the window %d of layer %d", path, a->name,
                           f->window, i);
        if (f->window)
            *window = f->window;
    }
    return 0;
}

static json_t *token_or_null(int id) { return id < 0 ? json_null() : json_integer(id); }

static json_t *layer_types(const struct model_config *c)
{
    json_t *l = json_array();
    for (int i = 0; l && i < c->n_layer; i++)
        if (json_array_append_new(l, json_string(c->layer[i].window ? "sliding_attention" : "full_attention"))) {
            json_decref(l);
            l = NULL;
        }
    return l;
}

/* NULL: out of memory. */
static json_t *config_json(const struct model_config *c, const struct arch *a, int window)
{
    const struct layer_facts *f = &c->layer[0];
    /* Both spellings: transformers 4, vLLM and llama.cpp read rope_theta, transformers 5 rope_parameters. */
    json_t *o = json_pack(
        "{s:[s],s:s,s:i,s:i,s:i,s:i,s:i,s:i,s:i,s:s,s:i,s:f,s:f,s:n,s:{s:s,s:f},s:b,s:f,s:b,s:o,s:o,s:f,s:b,s:s}",
        "architectures", a->name, "model_type", a->model_type, "vocab_size", c->vocab, "hidden_size", c->d_model,
        "intermediate_size", f->d_ff, "num_hidden_layers", c->n_layer, "num_attention_heads", f->n_head,
        "num_key_value_heads", f->n_kv, "head_dim", f->d_head, "hidden_act", "silu", "max_position_embeddings",
        c->max_pos, "rms_norm_eps", c->norm_eps, "rope_theta", c->rope_theta, "rope_scaling", "rope_parameters",
        "rope_type", "default", "rope_theta", c->rope_theta, "attention_bias", 0, "attention_dropout", 0.0,
        "tie_word_embeddings", c->tied, "bos_token_id", token_or_null(c->bos), "eos_token_id", token_or_null(c->eos),
        "initializer_range", 0.02, "use_cache", 1, "torch_dtype", "float32");
    json_t *own = a->windows ? json_pack("{s:b,s:o,s:i,s:o}", "use_sliding_window", window > 0, "sliding_window",
                                         window ? json_integer(window) : json_null(), "max_window_layers", c->n_layer,
                                         "layer_types", layer_types(c))
                             : json_pack("{s:b}", "mlp_bias", 0);
    if (!o || !own || json_object_update(o, own)) {
        json_decref(o);
        o = NULL;
    }
    json_decref(own);
    return o;
}

int model_config_write(const struct model_config *c, const char *path, struct err *e)
{
    int window, rc = model_config_check(c, path, e);
    if (rc)
        return rc;
    const struct arch *a = arch_named(c->arch);
    if (!a)
        return err_set(e, ERR_VALUE, "%s: unknown architecture \"%s\"", path, c->arch);
    if ((rc = check_expressible(c, a, path, &window, e)))
        return rc;
    json_t *o = config_json(c, a, window);
    rc = json_write(path, o, e);
    json_decref(o);
    return rc;
}

/* ---- counting ---- */

static uint64_t layer_matrices(const struct model_config *c, const struct layer_facts *f)
{
    uint64_t d = (uint64_t)c->d_model, dh = (uint64_t)f->d_head;
    return d * dh * (2 * (uint64_t)f->n_head + 2 * (uint64_t)f->n_kv) + 3 * d * (uint64_t)f->d_ff;
}

uint64_t model_params_total(const struct model_config *c)
{
    uint64_t d = (uint64_t)c->d_model, n = (uint64_t)c->vocab * d * (c->tied ? 1 : 2) + d;
    for (int i = 0; i < c->n_layer; i++) {
        const struct layer_facts *f = &c->layer[i];
        n += layer_matrices(c, f) + 2 * d + (f->qk_norm ? 2 * (uint64_t)f->d_head : 0);
    }
    return n;
}

uint64_t model_params_matmul(const struct model_config *c)
{
    uint64_t table = (uint64_t)c->vocab * (uint64_t)c->d_model;
    return model_params_total(c) - (c->tied ? 0 : table);
}

double model_flops_per_token(const struct model_config *c, int seq)
{
    double f = 6.0 * (double)model_params_matmul(c);
    for (int i = 0; i < c->n_layer; i++) {
        const struct layer_facts *l = &c->layer[i];
        double w = l->window && l->window < seq ? l->window : seq;
        /* Twice the mean number of visible keys: seq for full causal attention. */
        double span = 2 * w - w * w / seq;
        f += 6.0 * l->n_head * l->d_head * span;
    }
    return f;
}
