/* config.json, the parameter table, initial weights, models in folders. */
#include "folder.h"

#include <math.h>

#include "base/file.h"
#include "formats/safetensors.h"
#include "model/store.h"

/* ---- config ---- */

static int read_text(struct model_config *c, const char *text, struct err *e)
{
    const char *path = in_dir("config.json");
    assert_int_equal(file_replace(path, text, strlen(text), e), 0);
    return model_config_read(c, path, e);
}

static void test_depth(void **state)
{
    (void)state;
    struct model_config c;
    struct err e;
    model_config_depth(&c, 12, 32768, 1024);
    assert_int_equal(model_config_check(&c, "depth 12", &e), 0);
    assert_int_equal(c.d_model, 768);
    assert_int_equal(c.layer[11].d_ff, 2048);
    assert_int_equal(c.layer[0].n_head, 12);
    assert_int_equal(c.layer[0].n_kv, 12);
    assert_true(c.tied && c.layer[0].qk_norm && c.layer[0].rope);
    /* 12·(4·768² + 3·768·2048 + 2·768 + 2·64) + 32768·768 + 768 */
    assert_int_equal(model_params_total(&c), 110121216u);
    assert_int_equal(model_params_matmul(&c), 110121216u);
    double attention = 6.0 * 12 * 12 * 64 * 1024;
    assert_true(fabs(model_flops_per_token(&c, 1024) - (6.0 * 110121216 + attention)) < 1);
    for (int depth = 1; depth <= 40; depth++) {
        model_config_depth(&c, depth, 1000, 512);
        assert_int_equal(model_config_check(&c, "depth", &e), 0);
        assert_true(c.layer[0].d_ff % 64 == 0 && 3 * c.layer[0].d_ff >= 8 * c.d_model);
    }
}

/* A window shortens the keys a query sees: fewer FLOPs, equal once it covers the sequence. */
static void test_window_flops(void **state)
{
    (void)state;
    struct model_config c;
    model_config_depth(&c, 4, 1000, 4096);
    double full = model_flops_per_token(&c, 1024);
    c.layer[0].window = 1024;
    assert_true(model_flops_per_token(&c, 1024) == full);
    c.layer[0].window = 256;
    double span = 2 * 256 - 256.0 * 256 / 1024;
    assert_true(fabs(full - model_flops_per_token(&c, 1024) - 6.0 * 4 * 64 * (1024 - span)) < 1e-3);
}

#define BASE "\"vocab_size\":151936,\"hidden_size\":1024,\"intermediate_size\":3072,\"num_hidden_layers\":28," \
             "\"num_attention_heads\":16,\"max_position_embeddings\":40960,\"hidden_act\":\"silu\""

static void test_read_qwen3(void **state)
{
    (void)state;
    struct model_config c;
    struct err e;
    assert_int_equal(read_text(&c, "{\"model_type\":\"qwen3\"," BASE ",\"num_key_value_heads\":8,\"head_dim\":128,"
                                   "\"rms_norm_eps\":1e-06,\"rope_theta\":1000000,\"rope_scaling\":null,"
                                   "\"tie_word_embeddings\":true,\"eos_token_id\":[151645,151643],"
                                   "\"bos_token_id\":151643,\"use_sliding_window\":false,\"sliding_window\":null,"
                                   "\"max_window_layers\":28,\"unknown\":{\"x\":1}}", &e), 0);
    assert_string_equal(c.arch, "Qwen3ForCausalLM");
    assert_int_equal(model_params_total(&c), 596049920u); /* Qwen3-0.6B as published */
    assert_int_equal(c.eos, 151645);
    assert_int_equal(c.bos, 151643);
    assert_true(c.rope_theta == 1e6);
    assert_int_equal(c.layer[27].window, 0);
    /* transformers 5, without head_dim and key-value heads: their defaults */
    assert_int_equal(read_text(&c, "{\"model_type\":\"qwen3\"," BASE ",\"rope_parameters\":{\"rope_type\":"
                                   "\"default\",\"rope_theta\":5000.5}}", &e), 0);
    assert_true(c.rope_theta == 5000.5);
    assert_int_equal(c.layer[0].d_head, 128);
    assert_int_equal(c.layer[0].n_kv, 16);
    assert_false(c.tied);
    assert_int_equal(c.eos, -1);
}

static void test_read_windows(void **state)
{
    (void)state;
    struct model_config c;
    struct err e;
    assert_int_equal(read_text(&c, "{\"model_type\":\"qwen3\"," BASE ",\"use_sliding_window\":true,"
                                   "\"sliding_window\":4096,\"max_window_layers\":20}", &e), 0);
    assert_int_equal(c.layer[19].window, 0);
    assert_int_equal(c.layer[20].window, 4096);
    assert_int_equal(read_text(&c, "{\"model_type\":\"qwen3\"," BASE ",\"use_sliding_window\":false,"
                                   "\"sliding_window\":4096,\"max_window_layers\":20}", &e), 0);
    assert_int_equal(c.layer[20].window, 0);
}

static void test_read_llama(void **state)
{
    (void)state;
    struct model_config c;
    struct err e;
    assert_int_equal(read_text(&c, "{\"model_type\":\"llama\"," BASE ",\"rms_norm_eps\":1e-5}", &e), 0);
    assert_string_equal(c.arch, "LlamaForCausalLM");
    assert_false(c.layer[0].qk_norm);
    assert_int_equal(c.layer[0].d_head, 64);
    assert_true(c.rope_theta == 1e4);
}

/* Refused with a sentence that names the file and what is wrong. */
static void refuse(const char *text, const char *word)
{
    struct model_config c;
    struct err e = {0};
    if (read_text(&c, text, &e) == 0)
        fail_msg("accepted: %s", text);
    if (!strstr(e.msg, word) || !strstr(e.msg, "config.json"))
        fail_msg("\"%s\" names neither the file nor \"%s\"", e.msg, word);
}

static void test_refuse(void **state)
{
    (void)state;
    refuse("{\"model_type\":\"gemma3\"," BASE "}", "gemma3");
    refuse("{" BASE "}", "model_type");
    refuse("[]", "object");
    refuse("{\"model_type\":\"qwen3\"}", "vocab_size");
    refuse("{\"model_type\":\"qwen3\"," BASE ",\"attention_bias\":true}", "attention_bias");
    refuse("{\"model_type\":\"llama\"," BASE ",\"mlp_bias\":true}", "mlp_bias");
    refuse("{\"model_type\":\"llama\"," BASE ",\"rope_scaling\":{\"rope_type\":\"llama3\",\"factor\":8}}", "llama3");
    refuse("{\"model_type\":\"llama\"," BASE ",\"rope_scaling\":{\"type\":\"yarn\",\"factor\":8}}", "yarn");
    refuse("{\"model_type\":\"qwen3\"," BASE ",\"rope_parameters\":{\"rope_type\":\"linear\"}}", "linear");
    refuse("{\"model_type\":\"qwen3\"," BASE ",\"rope_parameters\":{\"full_attention\":{}}}", "rope_parameters");
    refuse("{\"model_type\":\"qwen3\"," BASE ",\"rope_parameters\":{\"partial_rotary_factor\":0.5}}", "partial");
    refuse("{\"model_type\":\"llama\"," BASE ",\"partial_rotary_factor\":0.5}", "partial_rotary_factor 0.5");
    refuse("{\"model_type\":\"qwen3\"," BASE ",\"quantization_config\":{\"bits\":4}}", "quantization_config");
    refuse("{\"model_type\":\"qwen3\"," BASE ",\"num_key_value_heads\":5}", "key-value");
    refuse("{\"model_type\":\"qwen3\"," BASE ",\"head_dim\":33}", "head_dim");
    refuse("{\"model_type\":\"qwen3\"," BASE ",\"eos_token_id\":200000}", "eos_token_id");
    refuse("{\"model_type\":\"qwen3\"," BASE ",\"rms_norm_eps\":0}", "rms_norm_eps");
    refuse("{\"model_type\":\"qwen3\"," BASE ",\"layer_types\":[\"full_attention\"]}", "layer_types");
    refuse("{\"model_type\":\"qwen3\",\"hidden_act\":\"gelu\"}", "gelu");
    refuse("{\"model_type\":\"qwen3\",\"vocab_size\":10,\"hidden_size\":99999999}", "hidden_size");
    refuse("{\"model_type\":\"qwen3\",\"vocab_size\":10,\"hidden_size\":40,\"intermediate_size\":8,"
           "\"num_hidden_layers\":1,\"num_attention_heads\":2,\"max_position_embeddings\":9}", "multiple of 16");
    refuse("{\"model_type\":\"qwen3\",\"vocab_size\":10,\"hidden_size\":32,\"intermediate_size\":8,"
           "\"num_hidden_layers\":1,\"num_attention_heads\":2,\"max_position_embeddings\":9,"
           "\"layer_types\":[\"linear_attention\"]}", "linear_attention");
}

static void round_trip(const struct model_config *c)
{
    struct model_config back;
    struct err e;
    const char *path = in_dir("config.json");
    if (model_config_write(c, path, &e) || model_config_read(&back, path, &e))
        fail_msg("%s", e.msg);
    assert_string_equal(back.arch, c->arch);
    assert_int_equal(back.vocab, c->vocab);
    assert_int_equal(back.d_model, c->d_model);
    assert_int_equal(back.n_layer, c->n_layer);
    assert_int_equal(back.max_pos, c->max_pos);
    assert_int_equal(back.tied, c->tied);
    assert_int_equal(back.bos, c->bos);
    assert_int_equal(back.eos, c->eos);
    assert_true(back.norm_eps == c->norm_eps && back.rope_theta == c->rope_theta);
    for (int i = 0; i < c->n_layer; i++) {
        assert_int_equal(back.layer[i].n_head, c->layer[i].n_head);
        assert_int_equal(back.layer[i].n_kv, c->layer[i].n_kv);
        assert_int_equal(back.layer[i].d_head, c->layer[i].d_head);
        assert_int_equal(back.layer[i].d_ff, c->layer[i].d_ff);
        assert_int_equal(back.layer[i].window, c->layer[i].window);
        assert_int_equal(back.layer[i].qk_norm, c->layer[i].qk_norm);
        assert_int_equal(back.layer[i].rope, c->layer[i].rope);
    }
}

static void test_round_trip(void **state)
{
    (void)state;
    struct model_config c;
    struct err e;
    model_config_depth(&c, 5, 777, 2048);
    c.bos = 3;
    round_trip(&c);
    c.tied = false;
    c.eos = 776;
    c.norm_eps = 1e-5;
    c.rope_theta = 123456.5;
    for (int i = 0; i < c.n_layer; i++)
        c.layer[i].window = i % 2 ? 128 : 0;
    round_trip(&c);
    c.layer[2].window = 64; /* a second window size has no place in config.json */
    assert_true(model_config_write(&c, in_dir("config.json"), &e) != 0);
    assert_non_null(strstr(e.msg, "window"));
    model_config_depth(&c, 2, 99, 64);
    strcpy(c.arch, "LlamaForCausalLM");
    assert_true(model_config_write(&c, in_dir("config.json"), &e) != 0);
    c.layer[0].qk_norm = c.layer[1].qk_norm = false;
    round_trip(&c);
    c.layer[1].rope = false;
    assert_true(model_config_write(&c, in_dir("config.json"), &e) != 0);
}

/* ---- parameters ---- */

static void test_table(void **state)
{
    (void)state;
    struct model_config c;
    struct param_table t;
    struct net_params np;
    struct err e;
    model_config_depth(&c, 3, 777, 64);
    for (int tied = 0; tied < 2; tied++) {
        c.tied = tied;
        c.layer[2].qk_norm = false;
        assert_int_equal(param_table_new(&t, &c, &e), 0);
        size_t sum = 0;
        for (int i = 0; i < t.n; i++) {
            assert_int_equal(t.p[i].offset % 16, 0);
            assert_ptr_equal(param_find(&t, t.p[i].name), &t.p[i]);
            if (i)
                assert_true(t.p[i].offset >= t.p[i - 1].offset + t.p[i - 1].n);
            sum += t.p[i].n;
        }
        assert_int_equal(sum, model_params_total(&c));
        assert_true(t.total >= sum);
        net_params_resolve(&np, &t, &c);
        assert_int_equal(np.head, tied ? np.embed : param_find(&t, "lm_head.weight")->offset);
        assert_true((np.layer[2].q_norm == PARAM_NONE) && np.layer[1].q_norm != PARAM_NONE);
        for (int i = 0; i < 3; i++) {
            size_t at = np.layer[i].wqkv, d = 192;
            char name[96];
            snprintf(name, sizeof name, "model.layers.%d.self_attn.k_proj.weight", i);
            assert_int_equal(param_find(&t, name)->offset, at + d * d);
            snprintf(name, sizeof name, "model.layers.%d.self_attn.v_proj.weight", i);
            assert_int_equal(param_find(&t, name)->offset, at + 2 * d * d);
            snprintf(name, sizeof name, "model.layers.%d.mlp.up_proj.weight", i);
            assert_int_equal(param_find(&t, name)->offset, np.layer[i].wgu + 512 * d);
        }
        param_table_release(&t);
    }
}

static void test_init(void **state)
{
    (void)state;
    struct model_config c;
    struct param_table t;
    struct err e;
    model_config_depth(&c, 2, 1001, 64);
    assert_int_equal(param_table_new(&t, &c, &e), 0);
    float *a = malloc(t.total * sizeof *a), *b = malloc(t.total * sizeof *b);
    assert_true(a && b);
    params_init(&t, a, 1);
    params_init(&t, b, 1);
    assert_memory_equal(a, b, t.total * sizeof *a);
    params_init(&t, b, 2);
    for (int i = 0; i < t.n; i++) {
        const struct param *p = &t.p[i];
        double s = 0, s2 = 0, top = 0;
        size_t count = 0;
        for (size_t j = 0; j < p->n; j++) {
            double v = a[p->offset + j];
            if (p->init == INIT_UNIFORM && p->start != 0 && j % (size_t)p->cols == 0) {
                assert_true(v == (double)(float)p->start);   /* what all rows share */
                continue;
            }
            count++;
            s += v;
            s2 += v * v;
            top = fabs(v) > top ? fabs(v) : top;
        }
        double n = (double)count, std = sqrt(s2 / n);
        if (p->init == INIT_ZERO)
            assert_true(top == 0);
        else if (p->init == INIT_CONSTANT)
            assert_true(top == (double)(float)p->start && fabs(s - n * top) < 1e-9 * n && top >= 1);
        else {
            assert_true(fabs(s / n) < 5 * p->std / sqrt(n));
            assert_true(fabs(std / p->std - 1) < 0.02);
            assert_true(top <= sqrt(3) * p->std * (1 + 1e-6) && top > 1.7 * p->std);
            assert_memory_not_equal(a + p->offset, b + p->offset, p->n * sizeof *a);
        }
    }
    /* Two tensors of one shape do not share values. */
    const float *q = a + param_find(&t, "model.layers.0.self_attn.q_proj.weight")->offset;
    const float *k = a + param_find(&t, "model.layers.0.self_attn.k_proj.weight")->offset;
    assert_memory_not_equal(q, k, 64 * sizeof *q);
    free(a);
    free(b);
    param_table_release(&t);
}

/* ---- folders ---- */

struct model {
    struct model_config c;
    struct param_table t;
    float *w;
};

static void make(struct model *m, bool tied)
{
    struct err e;
    model_config_depth(&m->c, 1, 61, 32);
    m->c.tied = tied;
    assert_int_equal(param_table_new(&m->t, &m->c, &e), 0);
    m->w = calloc(m->t.total, sizeof *m->w);
    assert_non_null(m->w);
    params_init(&m->t, m->w, 5);
}

static void drop(struct model *m)
{
    free(m->w);
    param_table_release(&m->t);
}

static void test_save_load(void **state)
{
    (void)state;
    for (int tied = 0; tied < 2; tied++) {
        struct model m;
        struct model_config back;
        struct err e;
        make(&m, tied);
        if (model_save(dir, &m.c, &m.t, m.w, &e))
            fail_msg("%s", e.msg);
        float *w = malloc(m.t.total * sizeof *w);
        assert_non_null(w);
        memset(w, 0xff, m.t.total * sizeof *w);
        assert_int_equal(model_config_read(&back, in_dir("config.json"), &e), 0);
        if (model_load_weights(dir, &back, &m.t, w, &e))
            fail_msg("%s", e.msg);
        assert_memory_equal(w, m.w, m.t.total * sizeof *w);
        assert_true(file_exists(in_dir("generation_config.json")));
        free(w);
        drop(&m);
    }
}

/* Writes the model's tensors but for a change, and expects loading to fail with these words. */
static void damaged(const struct model *m, int drop_i, int reshape_i, const char *extra, const char *word)
{
    struct st_write list[32];
    struct err e = {0};
    size_t n = 0;
    for (int i = 0; i < m->t.n; i++) {
        const struct param *p = &m->t.p[i];
        if (i == drop_i)
            continue;
        list[n] = (struct st_write){.name = p->name, .dtype = ST_F32, .n_dims = p->n_dims,
                                    .data = m->w + p->offset};
        list[n].dim[0] = (uint64_t)(p->n_dims == 1 ? p->cols : p->rows);
        list[n].dim[1] = (uint64_t)(p->n_dims == 1 ? 0 : p->cols);
        if (i == reshape_i) {
            uint64_t d = list[n].dim[0];
            list[n].dim[0] = list[n].dim[1];
            list[n].dim[1] = d;
        }
        n++;
    }
    if (extra)
        list[n++] = (struct st_write){.name = extra, .dtype = ST_F32, .n_dims = 1, .dim = {4}, .data = m->w};
    assert_int_equal(safetensors_write(in_dir("model.safetensors"), list, n, NULL, 0, &e), 0);
    float *w = malloc(m->t.total * sizeof *w);
    assert_non_null(w);
    memset(w, 0x5a, m->t.total * sizeof *w);
    int rc = model_load_weights(dir, &m->c, &m->t, w, &e);
    for (size_t i = 0; rc && i < m->t.total * sizeof *w; i++)
        assert_int_equal(((unsigned char *)w)[i], 0x5a);   /* not touched */
    struct err look = {0};
    assert_int_equal(model_check_weights(dir, &m->c, &m->t, &look), rc);
    assert_string_equal(look.msg, e.msg);
    free(w);
    if (!word) {
        if (rc)
            fail_msg("%s", e.msg);
        return;
    }
    assert_true(rc != 0);
    if (!strstr(e.msg, word) || !strstr(e.msg, dir))
        fail_msg("\"%s\" does not name the folder and \"%s\"", e.msg, word);
}

static void test_damaged(void **state)
{
    (void)state;
    struct model m;
    make(&m, true);
    int gate = (int)(param_find(&m.t, "model.layers.0.mlp.gate_proj.weight") - m.t.p);
    damaged(&m, -1, -1, NULL, NULL);
    damaged(&m, gate, -1, NULL, "mlp.gate_proj.weight is missing");
    damaged(&m, -1, gate, NULL, "shape [64, 192], config.json expects [192, 64]");
    damaged(&m, -1, -1, "model.layers.0.self_attn.q_proj.bias", "q_proj.bias");
    damaged(&m, -1, -1, "lm_head.weight", NULL);
    damaged(&m, -1, -1, "model.layers.0.self_attn.rotary_emb.inv_freq", NULL);
    drop(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_depth),       cmocka_unit_test(test_window_flops), cmocka_unit_test(test_read_qwen3),
        cmocka_unit_test(test_read_windows), cmocka_unit_test(test_read_llama),  cmocka_unit_test(test_refuse),
        cmocka_unit_test(test_round_trip),  cmocka_unit_test(test_table),        cmocka_unit_test(test_init),
        cmocka_unit_test(test_save_load),   cmocka_unit_test(test_damaged),
    };
    return cmocka_run_group_tests(tests, folder_up, folder_down);
}
