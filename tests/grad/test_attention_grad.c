/* Attention's gradients against central differences in binary64: packed segments, grouped queries,
 * windows, depths that are and are not multiples of 32. */
#include "grad/grad_check.h"

#include "nn/attention.h"

#define TOL 1e-6

static struct nn x;

struct attn {
    struct attn_shape s;
    int rows, n_seg;
    struct attn_seg seg[4];
    real *q, *k, *v, *c, *o, *m, *l;
};

static struct mat heads(real *p, const struct attn *t, int n)
{
    return mat_bf16((bf16 *)p, t->rows, n * t->s.d_head);
}

static double attn_loss(void *p)
{
    struct attn *t = p;
    attention_fwd(&x, heads(t->o, t, t->s.n_head), t->m, t->l, heads(t->q, t, t->s.n_head), t->seg, t->n_seg, t->s);
    return grad_dot(t->o, t->c, (size_t)(t->rows * t->s.n_head * t->s.d_head));
}

static void check_shape(struct attn_shape s, const int *len, int n_seg)
{
    struct attn t = {.s = s, .n_seg = n_seg};
    for (int i = 0; i < n_seg; i++)
        t.rows += len[i];
    size_t qn = (size_t)(t.rows * s.n_head * s.d_head), kn = (size_t)(t.rows * s.n_kv * s.d_head);
    size_t hn = (size_t)(t.rows * s.n_head);
    t.q = grad_random(qn, 1), t.k = grad_random(kn, 2), t.v = grad_random(kn, 3), t.c = grad_random(qn, 4);
    t.o = grad_zeros(qn), t.m = grad_zeros(hn), t.l = grad_zeros(hn);
    ptrdiff_t stride = (ptrdiff_t)s.n_kv * s.d_head;
    for (int i = 0, row = 0; i < n_seg; row += len[i++])
        t.seg[i] = (struct attn_seg){row, len[i], 0,
                                     {(bf16 *)(t.k + row * stride), (bf16 *)(t.v + row * stride), stride, 64 * stride,
                                      NULL, len[i]}};
    /* Written, not added: what was there must not show. */
    real *dq = grad_random(qn, 5), *dk = grad_random(kn, 6), *dv = grad_random(kn, 7), *delta = grad_zeros(hn);
    attn_loss(&t);
    attention_bwd(&x, mat_f32(dq, t.rows, s.n_head * s.d_head), mat_f32(dk, t.rows, s.n_kv * s.d_head),
                  mat_f32(dv, t.rows, s.n_kv * s.d_head), delta, heads(t.c, &t, s.n_head), heads(t.o, &t, s.n_head),
                  t.m, t.l, heads(t.q, &t, s.n_head), heads(t.k, &t, s.n_kv), heads(t.v, &t, s.n_kv), t.seg, n_seg, s);
    char what[64];
    snprintf(what, sizeof what, "heads %d/%d x %d window %d", s.n_head, s.n_kv, s.d_head, s.window);
    print_message("  %s\n", what);
    grad_check("attention q", attn_loss, &t, t.q, dq, qn, 32, TOL);
    grad_check("attention k", attn_loss, &t, t.k, dk, kn, 32, TOL);
    grad_check("attention v", attn_loss, &t, t.v, dv, kn, 32, TOL);
    free(t.q), free(t.k), free(t.v), free(t.c), free(t.o), free(t.m), free(t.l);
    free(dq), free(dk), free(dv), free(delta);
}

/* One segment over three key blocks, and several segments, one of them a single token. */
static void test_attention(void **state)
{
    (void)state;
    static const int one[] = {150}, packed[] = {70, 1, 30, 9};
    static const struct attn_shape shapes[] = {
        {1, 1, 32, 0, 0.7}, {4, 2, 16, 0, 0.9}, {2, 1, 40, 50, 0.6}, {2, 2, 24, 90, 0.8},
    };
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        check_shape(shapes[i], one, 1);
        check_shape(shapes[i], packed, 4);
    }
}

/* A window of one key: o = v, so dv is the gradient of o and dq, dk are zero. */
static void test_window_of_one(void **state)
{
    (void)state;
    enum { N = 70, D = 8 };
    struct attn_shape s = {1, 1, D, 1, 1.0};
    real *q = grad_random(N * D, 1), *k = grad_random(N * D, 2), *v = grad_random(N * D, 3), *c = grad_random(N * D, 4);
    real *o = grad_zeros(N * D), *dq = grad_random(N * D, 5), *dk = grad_random(N * D, 6), *dv = grad_zeros(N * D);
    real m[N], l[N], delta[N];
    struct attn_seg seg = {0, N, 0, {(bf16 *)k, (bf16 *)v, D, 64 * D, NULL, N}};
    struct mat mq = mat_bf16((bf16 *)q, N, D), mk = mat_bf16((bf16 *)k, N, D), mv = mat_bf16((bf16 *)v, N, D);
    struct mat mo = mat_bf16((bf16 *)o, N, D), mc = mat_bf16((bf16 *)c, N, D);
    attention_fwd(&x, mo, m, l, mq, &seg, 1, s);
    attention_bwd(&x, mat_f32(dq, N, D), mat_f32(dk, N, D), mat_f32(dv, N, D), delta, mc, mo, m, l, mq, mk,
                  mv, &seg, 1, s);
    for (int i = 0; i < N * D; i++) {
        assert_true(fabs(o[i] - v[i]) <= 1e-12 && fabs(dv[i] - c[i]) <= 1e-12);
        assert_true(fabs(dq[i]) <= 1e-12 && fabs(dk[i]) <= 1e-12);
    }
    free(q), free(k), free(v), free(c), free(o), free(dq), free(dk), free(dv);
}

static int start(void **state)
{
    (void)state;
    struct err e = {0};
    return nn_init(&x, kernels_get(ISA_REF), 1, &e);
}

static int stop(void **state)
{
    (void)state;
    nn_release(&x);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_attention),
        cmocka_unit_test(test_window_of_one),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
