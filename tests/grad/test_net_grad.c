/* Whole tiny networks against central differences in binary64: sampled elements of every tensor. */
#include "grad/grad_check.h"

#include "model/net.h"

#define TOL 1e-5

enum { ROWS = 64, VOCAB = 41, WIDTH = 32, LAYERS = 2 };

struct run {
    struct nn x;
    struct model_config c;
    struct param_table t;
    struct net *net;
    struct batch b;
    int tok[ROWS], pos[ROWS], target[ROWS];
    real loss[ROWS], scale, *w, *g;
};

/* Packed documents of 13, 1, 40 and 10 tokens. */
static void fill_batch(struct run *r)
{
    static const int doc[] = {13, 1, 40, 10};
    int row = 0;
    for (size_t i = 0; i < sizeof doc / sizeof *doc; i++)
        for (int p = 0; p < doc[i]; p++, row++) {
            r->tok[row] = (row * row * 7 + row) % VOCAB;
            r->pos[row] = p;
            r->target[row] = p + 1 < doc[i] ? (row * 5 + 3) % VOCAB : -1;
        }
    assert_int_equal(row, ROWS);
    r->b = (struct batch){.n = ROWS, .tok = r->tok, .pos = r->pos, .target = r->target};
}

/* Grouped queries and a window of 5 on the second layer. */
static void shape(struct model_config *c, bool tied)
{
    memset(c, 0, sizeof *c);
    c->vocab = VOCAB;
    c->d_model = WIDTH;
    c->n_layer = LAYERS;
    c->max_pos = 64;
    c->tied = tied;
    c->norm_eps = 1e-2;
    c->rope_theta = 1e4;
    for (int i = 0; i < LAYERS; i++)
        c->layer[i] = (struct layer_facts){.n_head = 4, .n_kv = 2, .d_head = 8, .d_ff = 48, .qk_norm = true,
                                           .rope = true, .window = i == 1 ? 5 : 0};
}

/* Every tensor random, so that no gradient vanishes by an initial zero. */
static void random_weights(struct run *r)
{
    for (int i = 0; i < r->t.n; i++) {
        const struct param *p = &r->t.p[i];
        real *v = grad_random(p->n, (uint32_t)(100 + i));
        for (size_t j = 0; j < p->n; j++)
            r->w[p->offset + j] = p->group == GROUP_GAIN ? 1 + 0.3 * v[j] : v[j] * (p->layer < 0 ? 0.5 : 0.3);
        free(v);
    }
}

static void open_run(struct run *r, const struct model_config *c, bool checkpoint)
{
    struct err e;
    struct net_opts o = {.max_rows = ROWS, .max_len = ROWS, .checkpoint = checkpoint, .backward = true};
    memset(r, 0, sizeof *r);
    r->c = *c;
    r->scale = 0.125;
    assert_int_equal(nn_init(&r->x, kernels_get(ISA_REF), 2, &e), 0);
    assert_int_equal(param_table_new(&r->t, c, &e), 0);
    assert_int_equal(net_new(&r->net, &r->x, c, &r->t, &o, &e), 0);
    r->w = grad_zeros(r->t.total);
    r->g = grad_zeros(r->t.total);
    random_weights(r);
    fill_batch(r);
}

static void close_run(struct run *r)
{
    net_free(r->net);
    param_table_release(&r->t);
    nn_release(&r->x);
    free(r->w);
    free(r->g);
}

static double run_loss(void *p)
{
    struct run *r = p;
    double s = 0;
    net_forward(r->net, r->w, &r->b, r->loss, NULL);
    for (int i = 0; i < ROWS; i++)
        s += r->loss[i];
    return s * r->scale;
}

static void step(struct run *r)
{
    net_step(r->net, r->w, r->g, &r->b, r->loss, r->scale);
    net_grad_end(r->net, r->g);
}

static void check_all(const struct model_config *c, bool checkpoint)
{
    struct run r;
    open_run(&r, c, checkpoint);
    step(&r);
    for (int i = 0; i < r.t.n; i++) {
        const struct param *p = &r.t.p[i];
        grad_check(p->name, run_loss, &r, r.w + p->offset, r.g + p->offset, p->n, 8, TOL);
    }
    close_run(&r);
}

static void test_qwen3_tied(void **state)
{
    (void)state;
    struct model_config c;
    shape(&c, true);
    check_all(&c, false);
}

static void test_qwen3_untied(void **state)
{
    (void)state;
    struct model_config c;
    shape(&c, false);
    check_all(&c, false);
}

/* No q, k norm; the second layer without rotary and with other heads and d_ff; layers computed again. */
static void test_llama_mixed(void **state)
{
    (void)state;
    struct model_config c;
    shape(&c, false);
    for (int i = 0; i < LAYERS; i++)
        c.layer[i].qk_norm = false;
    c.layer[1].rope = false;
    c.layer[1].n_head = 3;
    c.layer[1].n_kv = 1;
    c.layer[1].d_ff = 20;
    check_all(&c, true);
}

static void test_checkpoint_equal(void **state)
{
    (void)state;
    struct model_config c;
    struct run a, b;
    shape(&c, true);
    open_run(&a, &c, false);
    open_run(&b, &c, true);
    step(&a);
    step(&b);
    assert_memory_equal(a.g, b.g, a.t.total * sizeof *a.g);
    assert_memory_equal(a.loss, b.loss, sizeof a.loss);
    close_run(&a);
    close_run(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_qwen3_tied),
        cmocka_unit_test(test_qwen3_untied),
        cmocka_unit_test(test_llama_mixed),
        cmocka_unit_test(test_checkpoint_equal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
