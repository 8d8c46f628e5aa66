/* The network's bits, in both profiles: the same for every thread count, instruction set and cut into micro-batches,
 * with layers kept or computed again; and no allocation in a step. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/rng.h"
#include "model/net.h"

/* Sequences of any length; for products of 8-bit integers of whole groups, and fewer. */
enum { SEQ = 96, SEQS = 4, SEQ_I8 = I8_GROUP, SEQS_I8 = 3, MAX_ROWS = SEQ_I8 * SEQS_I8, VOCAB = 301 };

static struct model_config config;
static struct param_table table;
static float *weights;
static int seq, seqs, rows, tok[MAX_ROWS], pos[MAX_ROWS], target[MAX_ROWS];

/* Grouped queries, a window, odd widths of the feed-forward (with i8 more than a group), a tied or separate head. */
static void shape(struct model_config *c, bool tied, bool i8)
{
    struct err e;
    model_config_depth(c, 1, VOCAB, SEQ_I8);
    c->n_layer = 3;
    c->tied = tied;
    for (int i = 0; i < c->n_layer; i++)
        c->layer[i] = (struct layer_facts){.n_head = 4, .n_kv = 2, .d_head = 16, .d_ff = i8 ? 300 : 172,
                                           .qk_norm = true, .rope = true, .window = i == 1 ? 20 : 0};
    assert_int_equal(model_config_check(c, "test", &e), 0);
}

/* Every sequence is cut into documents differently; the zero matrices get values too. */
static void fill(bool tied, bool i8)
{
    struct err e;
    struct rng r;
    seq = i8 ? SEQ_I8 : SEQ;
    seqs = i8 ? SEQS_I8 : SEQS;
    rows = seq * seqs;
    shape(&config, tied, i8);
    assert_int_equal(param_table_new(&table, &config, &e), 0);
    weights = malloc(table.total * sizeof *weights);
    assert_non_null(weights);
    params_init(&table, weights, 7);
    rng_init(&r, 3, RNG_TEST, 0);
    for (int i = 0; i < table.n; i++)
        for (size_t j = 0; table.p[i].init != INIT_UNIFORM && j < table.p[i].n; j++)
            weights[table.p[i].offset + j] += (rng_unit_f32(rng_u32(&r)) - 0.5f) * 0.2f;
    for (int i = 0, p = 0; i < rows; i++) {
        p = i % seq == 0 || rng_below(&r, 30) == 0 ? 0 : p + 1;
        tok[i] = (int)rng_below(&r, VOCAB);
        pos[i] = p;
        target[i] = rng_below(&r, 10) == 0 ? -1 : (int)rng_below(&r, VOCAB);
    }
}

static void drop(void)
{
    param_table_release(&table);
    free(weights);
}

struct way {
    enum isa isa;
    int threads, micro; /* sequences of a micro-batch */
    bool checkpoint, i8;
};

struct result {
    float *g, loss[MAX_ROWS], eval[MAX_ROWS];
    int top[MAX_ROWS];
};

static void run(struct result *out, struct way way)
{
    struct err e;
    struct nn x;
    struct net *n;
    struct net_opts o = {.max_rows = way.micro * seq, .max_len = seq, .checkpoint = way.checkpoint, .i8 = way.i8,
                         .backward = true};
    assert_int_equal(nn_init(&x, kernels_get(way.isa), way.threads, &e), 0);
    if (net_new(&n, &x, &config, &table, &o, &e))
        fail_msg("%s", e.msg);
    out->g = calloc(table.total, sizeof *out->g);
    assert_non_null(out->g);
    mem_forbid(true);
    for (int r = 0; r < rows; r += o.max_rows) {
        struct batch b = {.n = rows - r < o.max_rows ? rows - r : o.max_rows, .tok = tok + r, .pos = pos + r,
                          .target = target + r};
        net_step(n, weights, out->g, &b, out->loss + r, 0.25f);
        net_forward(n, weights, &b, out->eval + r, out->top + r);
    }
    net_grad_end(n, out->g);
    mem_forbid(false);
    assert_int_equal(mem_forbidden_count(), 0);
    net_free(n);
    nn_release(&x);
}

static void same(const struct result *a, const struct result *b)
{
    for (int i = 0; i < table.n; i++)
        if (memcmp(a->g + table.p[i].offset, b->g + table.p[i].offset, table.p[i].n * sizeof(float)) != 0)
            fail_msg("the gradient of %s differs", table.p[i].name);
    assert_memory_equal(a->loss, b->loss, (size_t)rows * sizeof *a->loss);
    assert_memory_equal(a->eval, b->eval, (size_t)rows * sizeof *a->eval);
    assert_memory_equal(a->top, b->top, (size_t)rows * sizeof *a->top);
}

static void compare(const struct result *want, struct way way)
{
    struct result got;
    run(&got, way);
    same(want, &got);
    free(got.g);
}

/* A reference that says something: finite losses, no gradient tensor all zero. */
static void plausible(const struct result *r)
{
    for (int i = 0; i < rows; i++) {
        if (target[i] < 0)
            assert_true(r->loss[i] == 0);
        else if (!(r->loss[i] > 0 && r->loss[i] < 100))
            fail_msg("the loss of row %d is %g", i, (double)r->loss[i]);
    }
    for (int i = 0; i < table.n; i++) {
        float top = 0;
        for (size_t j = 0; j < table.p[i].n; j++) {
            float v = r->g[table.p[i].offset + j];
            assert_true(v - v == 0);
            top = v > top ? v : top;
        }
        assert_true(top > 0);
    }
}

/* The loss of a row in both passes: the same, or with i8 another in a step, though not much. */
static void passes_agree(const struct result *r, bool i8)
{
    for (int i = 0; i < rows; i++) {
        float apart = r->loss[i] - r->eval[i];
        if (!i8 || target[i] < 0)
            assert_memory_equal(r->loss + i, r->eval + i, sizeof *r->loss);
        else if (!(apart < 0.2f && apart > -0.2f))
            fail_msg("the loss of row %d is %g in a step, %g without", i, (double)r->loss[i], (double)r->eval[i]);
    }
}

static void all_ways(bool tied, bool i8)
{
    struct result want;
    fill(tied, i8);
    run(&want, (struct way){ISA_REF, 1, seqs, false, i8});
    plausible(&want);
    passes_agree(&want, i8);
    for (int isa = ISA_REF; isa <= ISA_AMX; isa++) {
        if (!kernels_get((enum isa)isa)) {
            print_message("  %s: not on this machine, skipped\n", isa_name((enum isa)isa));
            continue;
        }
        if (isa != ISA_REF || !i8) /* plain C takes longest by far */
            compare(&want, (struct way){(enum isa)isa, 2, seqs, false, i8});
        compare(&want, (struct way){(enum isa)isa, 3, 1, true, i8});
    }
    enum isa best = kernels_detect();
    static const int threads[] = {1, 2, 3, 7};
    for (size_t i = 0; i < 4; i++) {
        compare(&want, (struct way){best, threads[i], seqs, false, i8});
        compare(&want, (struct way){best, threads[i], seqs - 1, true, i8});
    }
    compare(&want, (struct way){best, 2, seqs, true, i8});
    compare(&want, (struct way){best, 2, 1, false, i8});
    compare(&want, (struct way){best, 2, 2, false, i8});
    free(want.g);
    drop();
}

static void test_tied(void **state)
{
    (void)state;
    all_ways(true, false);
}

static void test_untied(void **state)
{
    (void)state;
    all_ways(false, false);
}

static void test_tied_i8(void **state)
{
    (void)state;
    all_ways(true, true);
}

static void test_untied_i8(void **state)
{
    (void)state;
    all_ways(false, true);
}

/* Losses by a network that only evaluates. */
static void evaluate(float *loss, int *top, bool i8)
{
    struct err e;
    struct nn x;
    struct net *n;
    struct net_opts o = {.max_rows = rows, .max_len = seq, .i8 = i8};
    struct batch b = {.n = rows, .tok = tok, .pos = pos, .target = target};
    assert_int_equal(nn_init(&x, kernels_get(kernels_detect()), 2, &e), 0);
    assert_int_equal(net_new(&n, &x, &config, &table, &o, &e), 0);
    net_forward(n, weights, &b, loss, top);
    net_free(n);
    nn_release(&x);
}

/* Evaluation shares one buffer between layers: the same losses as training's forward.  It is never made of 8-bit
 * integers, whatever the steps of the network are made of, and before and after them. */
static void test_evaluation(void **state)
{
    (void)state;
    for (int i8 = 0; i8 < 2; i8++) {
        struct result want, eight;
        float loss[MAX_ROWS];
        int top[MAX_ROWS];
        fill(true, i8);
        size_t n = (size_t)rows;
        run(&want, (struct way){kernels_detect(), 2, seqs, false, false});
        evaluate(loss, top, i8);
        assert_memory_equal(loss, want.loss, n * sizeof *loss);
        assert_memory_equal(top, want.top, n * sizeof *top);
        if (i8) {
            run(&eight, (struct way){kernels_detect(), 2, seqs, false, true});
            assert_memory_equal(eight.eval, want.eval, n * sizeof *loss);
            assert_memory_equal(eight.top, want.top, n * sizeof *top);
            assert_memory_not_equal(eight.loss, want.loss, n * sizeof *loss);
            free(eight.g);
        }
        free(want.g);
        drop();
    }
}

/* What net_bytes promises is what a network takes, give or take pages. */
static void test_bytes(void **state)
{
    (void)state;
    struct err e;
    struct nn x;
    struct model_config c;
    shape(&c, true, false);
    assert_int_equal(nn_init(&x, kernels_get(ISA_REF), 1, &e), 0);
    size_t kept = net_bytes(&x, &c, &(struct net_opts){.max_rows = SEQS * SEQ, .max_len = SEQ, .backward = true});
    size_t again = net_bytes(&x, &c, &(struct net_opts){.max_rows = SEQS * SEQ, .max_len = SEQ, .backward = true,
                                                        .checkpoint = true});
    size_t eval = net_bytes(&x, &c, &(struct net_opts){.max_rows = SEQS * SEQ, .max_len = SEQ});
    assert_true(eval < again && again < kept);
    nn_release(&x);
}

/* The n-th allocation of net_new failing leaves a sentence and no network. */
static void test_no_memory(void **state)
{
    (void)state;
    struct err e;
    struct nn x;
    struct net *n;
    struct net_opts o = {.max_rows = 32, .max_len = 32};
    fill(true, false);
    assert_int_equal(nn_init(&x, kernels_get(ISA_REF), 1, &e), 0);
    int failed = 0;
    for (long i = 1; i < 10; i++) {
        mem_fail_at(i);
        int rc = net_new(&n, &x, &config, &table, &o, &e);
        mem_fail_at(0);
        if (rc == 0) {
            net_free(n);
            break;
        }
        failed++;
        assert_int_equal(rc, ERR_NOMEM);
        assert_null(n);
        assert_true(strlen(e.msg) > 10);
    }
    assert_true(failed >= 2);
    nn_release(&x);
    drop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tied),       cmocka_unit_test(test_untied),     cmocka_unit_test(test_tied_i8),
        cmocka_unit_test(test_untied_i8),  cmocka_unit_test(test_evaluation), cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
