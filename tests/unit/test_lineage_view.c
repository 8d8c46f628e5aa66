/* Roles from names and shapes: plain, fused, interleaved, transposed and stacked storage, and GGUF names. */
#include "harness.h"

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "formats/safetensors.h"
#include "lineage/view.h"

enum { D = 8, MAX_T = 16 };
static struct err e;

struct made {
    const char *name;
    int n_dims;
    uint64_t dim[3];
};

/* Element (matrix m, row r, column c) of tensor k is 10000·k + 1000·m + 20·r + c. */
static void open_made(struct view *v, const char *dir, const struct made *t, int n, const char *config)
{
    struct st_write s[MAX_T];
    float *w[MAX_T];
    char path[300];
    for (int k = 0; k < n; k++) {
        const uint64_t *d = t[k].dim;
        uint64_t ms = t[k].n_dims == 3 ? d[0] : 1, cols = d[t[k].n_dims - 1];
        uint64_t rows = t[k].n_dims < 2 ? 1 : d[t[k].n_dims - 2];
        w[k] = mem_new((size_t)(ms * rows * cols), sizeof(float));
        for (uint64_t i = 0; i < ms * rows * cols; i++)
            w[k][i] = (float)(10000 * k) + (float)(1000 * (i / (rows * cols)) + 20 * (i / cols % rows) + i % cols);
        s[k] = (struct st_write){t[k].name, ST_F32, t[k].n_dims, {d[0], d[1], d[2]}, w[k]};
    }
    snprintf(path, sizeof path, "%s/model.safetensors", dir);
    ok(safetensors_write(path, s, (size_t)n, NULL, 0, &e));
    snprintf(path, sizeof path, "%s/config.json", dir);
    if (config)
        ok(file_replace(path, config, strlen(config), &e));
    ok(view_open(v, dir, &e));
    for (int k = 0; k < n; k++)
        mem_free(w[k]);
}

/* Unit u, residual dimension r of a slice. */
static int at(const struct slice *s, int u, int r)
{
    float *out = mem_new((size_t)s->units * D, sizeof *out);
    ok(slice_read(out, s, D, NULL, 0, &e));
    int v = (int)out[u * D + r];
    mem_free(out);
    return v;
}

static void plain_names(void **state)
{
    (void)state;
    const struct made t[] = {{"model.embed_tokens.weight", 2, {30, D, 0}},
                             {"model.layers.0.self_attn.q_proj.weight", 2, {16, D, 0}},
                             {"model.layers.0.self_attn.o_proj.weight", 2, {D, 16, 0}},
                             {"model.layers.1.mlp.up_proj.weight", 2, {12, D, 0}},
                             {"model.layers.1.mlp.down_proj.weight", 2, {D, 12, 0}},
                             {"model.layers.1.post_attention_layernorm.weight", 1, {D, 0, 0}},
                             {"model.layers.1.pre_feedforward_layernorm.weight", 1, {D, 0, 0}},
                             {"model.layers.0.self_attn.q_proj.bias", 1, {16, 0, 0}}};
    char dir[256];
    snprintf(dir, sizeof dir, "%s", test_dir());
    struct view v;
    open_made(&v, dir, t, 8, NULL);
    assert_int_equal(v.d_model, D);
    assert_int_equal(v.n_layer, 2);
    assert_int_equal(v.vocab, 30);
    assert_int_equal(v.layer[0].attn[ROLE_Q].units, 16);
    assert_int_equal(at(&v.layer[0].attn[ROLE_Q], 3, 2), 10062);
    assert_int_equal(at(&v.layer[0].attn[ROLE_O], 3, 2), 20043);
    assert_null(v.layer[0].attn[ROLE_K].t);
    assert_int_equal(v.n_ffn, 1);
    assert_int_equal(v.ffn[0].layer, 1);
    assert_int_equal(at(&v.ffn[0].part[1], 11, 7), 30227);
    assert_int_equal(at(&v.ffn[0].part[2], 11, 7), 40151);
    assert_string_equal(v.layer[1].norm[1]->name, "model.layers.1.pre_feedforward_layernorm.weight");
    int res[2] = {5, 1};
    float some[24];
    ok(slice_read(some, &v.ffn[0].part[1], D, res, 2, &e));
    assert_true((int)some[0] == 30005 && (int)some[1] == 30001 && (int)some[2] == 30025);
    view_close(&v);
    test_dir_remove(dir);
}

/* From a norm over the dimensions of a head, where no config.json tells it; config.json goes first. */
static void number_of_heads(void **state)
{
    (void)state;
    const struct made t[] = {{"model.embed_tokens.weight", 2, {30, D, 0}},
                             {"model.layers.0.self_attn.q_proj.weight", 2, {16, D, 0}},
                             {"model.layers.0.self_attn.k_norm.weight", 1, {2, 0, 0}},
                             {"model.layers.0.self_attn.q_norm.weight", 1, {4, 0, 0}}};
    char dir[256];
    struct view v;
    for (int told = 0; told < 2; told++) {
        snprintf(dir, sizeof dir, "%s", test_dir());
        open_made(&v, dir, t, 4, told ? "{\"num_attention_heads\": 2}" : NULL);
        assert_int_equal(v.n_head, told ? 2 : 4);
        view_close(&v);
        test_dir_remove(dir);
    }
}

static void fused_names(void **state)
{
    (void)state;
    const struct made phi[] = {{"model.embed_tokens.weight", 2, {30, D, 0}},
                               {"model.layers.0.self_attn.qkv_proj.weight", 2, {16, D, 0}},
                               {"model.layers.0.self_attn.o_proj.weight", 2, {D, D, 0}},
                               {"model.layers.0.mlp.gate_up_proj.weight", 2, {20, D, 0}}};
    const struct made neox[] = {{"gpt_neox.embed_in.weight", 2, {30, D, 0}},
                                {"gpt_neox.layers.0.attention.query_key_value.weight", 2, {24, D, 0}},
                                {"gpt_neox.layers.0.attention.dense.weight", 2, {D, D, 0}}};
    char dir[256];
    struct view v;
    snprintf(dir, sizeof dir, "%s", test_dir());
    open_made(&v, dir, phi, 4, NULL);   /* 8 rows of q, 4 of k, 4 of v */
    assert_int_equal(v.layer[0].attn[ROLE_K].units, 4);
    assert_int_equal(at(&v.layer[0].attn[ROLE_Q], 7, 0), 10140);
    assert_int_equal(at(&v.layer[0].attn[ROLE_K], 0, 0), 10160);
    assert_int_equal(at(&v.layer[0].attn[ROLE_V], 3, 1), 10301);
    assert_int_equal(at(&v.layer[0].attn[ROLE_O], 1, 2), 20041);
    assert_int_equal(at(&v.ffn[0].part[0], 9, 0), 30180);
    assert_int_equal(at(&v.ffn[0].part[1], 0, 0), 30200);
    view_close(&v);
    test_dir_remove(dir);
    snprintf(dir, sizeof dir, "%s", test_dir());
    open_made(&v, dir, neox, 3, "{\"num_attention_heads\": 2}");   /* of each head 4 rows of q, of k, of v */
    assert_int_equal(at(&v.layer[0].attn[ROLE_Q], 4, 0), 10000 + 20 * 12);
    assert_int_equal(at(&v.layer[0].attn[ROLE_K], 0, 0), 10000 + 20 * 4);
    assert_int_equal(at(&v.layer[0].attn[ROLE_V], 7, 0), 10000 + 20 * 23);
    view_close(&v);
    test_dir_remove(dir);
}

static void transposed_and_stacked(void **state)
{
    (void)state;
    const struct made gpt2[] = {{"wte.weight", 2, {30, D, 0}}, {"h.0.attn.c_attn.weight", 2, {D, 24, 0}},
                                {"h.0.attn.c_proj.weight", 2, {D, D, 0}}, {"h.0.mlp.c_fc.weight", 2, {D, 32, 0}},
                                {"h.0.mlp.c_proj.weight", 2, {32, D, 0}}};
    const struct made moe[] = {{"model.embed_tokens.weight", 2, {30, D, 0}},
                               {"model.layers.0.mlp.experts.gate_up_proj", 3, {3, 12, D}},
                               {"model.layers.0.mlp.experts.down_proj", 3, {3, D, 6}},
                               {"model.layers.1.mlp.experts.1.gate_proj.weight", 2, {6, D, 0}},
                               {"model.layers.1.mlp.shared_expert.up_proj.weight", 2, {6, D, 0}}};
    char dir[256];
    struct view v;
    snprintf(dir, sizeof dir, "%s", test_dir());
    open_made(&v, dir, gpt2, 5, NULL);
    assert_int_equal(at(&v.layer[0].attn[ROLE_K], 1, 3), 10000 + 20 * 3 + 9);
    assert_int_equal(at(&v.layer[0].attn[ROLE_O], 1, 3), 20000 + 20 * 1 + 3);
    assert_int_equal(at(&v.ffn[0].part[1], 31, 3), 30000 + 20 * 3 + 31);
    assert_int_equal(at(&v.ffn[0].part[2], 31, 3), 40000 + 20 * 31 + 3);
    view_close(&v);
    test_dir_remove(dir);
    snprintf(dir, sizeof dir, "%s", test_dir());
    open_made(&v, dir, moe, 5, NULL);
    assert_int_equal(v.n_ffn, 5);
    assert_int_equal(at(&v.ffn[2].part[0], 5, 1), 10000 + 2000 + 20 * 5 + 1);
    assert_int_equal(at(&v.ffn[2].part[1], 0, 1), 10000 + 2000 + 20 * 6 + 1);
    assert_int_equal(at(&v.ffn[2].part[2], 5, 1), 20000 + 2000 + 20 * 1 + 5);
    assert_int_equal(v.ffn[3].expert, 1);
    assert_int_equal(at(&v.ffn[4].part[1], 5, 1), 40101);
    view_close(&v);
    test_dir_remove(dir);
}

static void gguf_names(void **state)
{
    (void)state;
    struct view v;
    ok(view_open(&v, "tests/fuzz/corpus/gguf/model.gguf", &e));
    assert_int_equal(v.d_model, 4);
    assert_int_equal(v.n_layer, 2);
    assert_int_equal(v.n_ffn, 3);
    assert_int_equal(v.ffn[0].part[1].units, 6);
    assert_int_equal(v.ffn[2].expert, 1);
    view_close(&v);
    refused(view_open(&v, "tests/fuzz/corpus/gguf", &e), ERR_VALUE, "several .gguf files");
}

int main(void)
{
    const struct CMUnitTest t[] = {cmocka_unit_test(plain_names), cmocka_unit_test(number_of_heads),
                                   cmocka_unit_test(fused_names), cmocka_unit_test(transposed_and_stacked),
                                   cmocka_unit_test(gguf_names)};
    return cmocka_run_group_tests(t, NULL, NULL);
}
