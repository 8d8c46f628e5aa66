/* The network in binary64 against an independent implementation: tests/golden/net_golden.json, written by
 * make_net_golden.py beside it. */
#include "grad/grad_check.h"

#include <jansson.h>

#include "model/net.h"

#define TOL 1e-9

enum { MAX_TOKENS = 128 };

/* The weights of make_net_golden.py: element i of tensor t, in [-1, 1). */
static double unit(uint32_t i, uint32_t t)
{
    uint32_t h = (i + 1) * 2654435761u;
    h ^= t * 0x9E3779B9u;
    h *= 0x85EBCA6Bu;
    h ^= h >> 13;
    h *= 0xC2B2AE35u;
    h ^= h >> 16;
    return (double)(h >> 8) / 8388608.0 - 1;
}

static real *weights(const struct param_table *t)
{
    real *w = grad_zeros(t->total);
    for (int i = 0; i < t->n; i++) {
        const struct param *p = &t->p[i];
        double base = p->group == GROUP_GAIN ? 1 : 0;
        double scale = p->group == GROUP_MATRIX ? 0.25 : 0.5;
        for (size_t j = 0; j < p->n; j++)
            w[p->offset + j] = base + scale * unit((uint32_t)j, (uint32_t)i);
    }
    return w;
}

static int get(const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);
    if (!json_is_integer(v))
        fail_msg("net_golden.json: %s is missing", key);
    return (int)json_integer_value(v);
}

static struct model_config shape(const json_t *o)
{
    struct model_config c = {.vocab = get(o, "vocab"), .d_model = get(o, "d_model"), .n_layer = get(o, "n_layer"),
                             .max_pos = MAX_TOKENS, .tied = get(o, "tied"), .rope_theta = get(o, "theta"),
                             .norm_eps = json_real_value(json_object_get(o, "eps"))};
    for (int i = 0; i < c.n_layer; i++) {
        const json_t *window = json_array_get(json_object_get(o, "window"), (size_t)i);
        c.layer[i] = (struct layer_facts){.n_head = get(o, "n_head"), .n_kv = get(o, "n_kv"),
                                          .d_head = get(o, "d_head"), .d_ff = get(o, "d_ff"), .rope = true,
                                          .qk_norm = get(o, "qk_norm"), .window = (int)json_integer_value(window)};
    }
    return c;
}

static void check_case(const struct nn *x, const json_t *o)
{
    const json_t *ids = json_object_get(o, "ids"), *nll = json_object_get(o, "nll"), *top = json_object_get(o, "top");
    struct model_config c = shape(o);
    struct param_table t;
    struct net *n;
    struct err e;
    int rows = (int)json_array_size(ids), tok[MAX_TOKENS], pos[MAX_TOKENS], target[MAX_TOKENS], best[MAX_TOKENS];
    real loss[MAX_TOKENS];
    double worst = 0;
    assert_true(rows > 64 && rows <= MAX_TOKENS && (int)json_array_size(nll) == rows - 1);
    for (int i = 0; i < rows; i++) {
        tok[i] = (int)json_integer_value(json_array_get(ids, (size_t)i));
        pos[i] = i;
        target[i] = i + 1 < rows ? (int)json_integer_value(json_array_get(ids, (size_t)i + 1)) : -1;
    }
    assert_int_equal(param_table_new(&t, &c, &e), 0);
    assert_int_equal(net_new(&n, x, &c, &t, &(struct net_opts){.max_rows = rows, .max_len = rows}, &e), 0);
    real *w = weights(&t);
    net_forward(n, w, &(struct batch){.n = rows, .tok = tok, .pos = pos, .target = target}, loss, best);
    for (int i = 0; i + 1 < rows; i++) {
        double want = json_real_value(json_array_get(nll, (size_t)i)), bad = fabs(loss[i] - want);
        if (!(bad <= TOL))
            fail_msg("row %d: loss %.12g, independently %.12g", i, loss[i], want);
        assert_int_equal(best[i], json_integer_value(json_array_get(top, (size_t)i)));
        worst = bad > worst ? bad : worst;
    }
    print_message("  %s: worst difference %.1e nats\n", json_string_value(json_object_get(o, "name")), worst);
    free(w);
    net_free(n);
    param_table_release(&t);
}

static void test_golden(void **state)
{
    (void)state;
    json_error_t why;
    struct err e;
    struct nn x;
    json_t *root = json_load_file("tests/golden/net_golden.json", 0, &why);
    if (!root)
        fail_msg("tests/golden/net_golden.json: %s (run from the root of the tree)", why.text);
    assert_int_equal(nn_init(&x, kernels_get(ISA_REF), 2, &e), 0);
    assert_true(json_array_size(root) >= 2);
    for (size_t i = 0; i < json_array_size(root); i++)
        check_case(&x, json_array_get(root, i));
    nn_release(&x);
    json_decref(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_golden)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
