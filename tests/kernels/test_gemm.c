/* Matrix products: every instruction set of this machine, and the AMX kernels on emulated tiles, against
 * NUMERICS §3 computed plainly (src/reference), bit for bit; then nn/gemm for every thread count against the same. */
#include "kernels/products.h"

static bf16 element(const struct gemm_src *s, int row, int kk)
{
    ptrdiff_t i = s->trans ? kk * s->ld + row : row * s->ld + kk;
    return s->dtype == DT_BF16 ? ((const bf16 *)s->p)[i] : bf16_round(((const float *)s->p)[i]);
}

/* ---- kernels ---- */

/* c of m × n in rows of ldc, starting from `start`, by one unit. */
static void product(const struct gemm_unit *u, float *c, ptrdiff_t ldc, struct operand *a,
                    struct operand *b, bool zero)
{
    struct guarded pa = guarded(gemm_a_bytes(u, a->rows, a->k)), pb = guarded(gemm_b_bytes(u, b->rows, b->k));
    u->pack_a(pa.p, a->src, a->rows, a->k);
    u->pack_b(pb.p, b->src, b->rows, b->k);
    u->enter();
    u->block(c, ldc, pa.p, pb.p, a->rows, b->rows, gemm_kp(a->k), zero);
    u->leave();
    unguard(&pa);
    unguard(&pb);
}

static void check_product(int i, int m, int n, int k, enum kind kind, bool zero)
{
    struct operand a = operand(m, k, below(2) ? DT_F32 : DT_BF16, below(2), kind);
    struct operand b = operand(n, k, below(2) ? DT_F32 : DT_BF16, below(2), kind);
    ptrdiff_t ldc = n + below(4);
    size_t len = m > 0 ? (size_t)(m - 1) * (size_t)ldc + (size_t)n : 0;
    struct guarded got = guarded(len * 4), want = guarded(len * 4);
    for (int r = 0; r < m && !zero; r++)
        for (int j = 0; j < n; j++)
            ((float *)got.p)[r * ldc + j] = value(kind);
    memcpy(want.p, got.p, len * 4); /* what lies between the rows stays NaN */
    product(&set[i].k.gemm, got.p, ldc, &a, &b, zero);
    ref_product(want.p, ldc, a.src, b.src, m, n, k, zero);
    if (memcmp(got.p, want.p, len * 4) != 0)
        fail_msg("%s: %d x %d x %d, kind %d, zero %d: bits differ", set[i].name, m, n, k, (int)kind, zero);
    unguard(&got);
    unguard(&want);
    unguard(&a.g);
    unguard(&b.g);
}

static void products_are_what_numerics_says(void **state)
{
    (void)state;
    int rounds = getenv("DOKJA_LONG") ? 20000 : 300;
    for (int i = 0; i < n_set; i++) {
        for (int r = 0; r < rounds; r++)
            check_product(i, ONE_OF(some_m), ONE_OF(some_n), ONE_OF(some_k), (enum kind)below(SPECIAL), below(2));
        check_product(i, 65, 66, 0, PLAIN, true);
        check_product(i, 65, 66, 0, TINY, false);
    }
}

/* Known value: small integers are exact in any order. */
static void small_integers_are_exact(void **state)
{
    (void)state;
    for (int i = 0; i < n_set; i++) {
        struct operand a = operand(40, 70, DT_F32, false, PLAIN), b = operand(37, 70, DT_F32, true, PLAIN);
        float c[40 * 37];
        for (int r = 0; r < 40; r++)
            for (int kk = 0; kk < 70; kk++)
                ((float *)a.g.p)[r * a.src.ld + kk] = (float)((r * 7 + kk * 3) % 11 - 5);
        for (int kk = 0; kk < 70; kk++)
            for (int j = 0; j < 37; j++)
                ((float *)b.g.p)[kk * b.src.ld + j] = (float)((j * 5 + kk) % 9 - 4);
        product(&set[i].k.gemm, c, 37, &a, &b, true);
        for (int r = 0; r < 40; r++)
            for (int j = 0; j < 37; j++) {
                int sum = 0;
                for (int kk = 0; kk < 70; kk++)
                    sum += ((r * 7 + kk * 3) % 11 - 5) * ((j * 5 + kk) % 9 - 4);
                assert_true(c[r * 37 + j] == (float)sum);
            }
        unguard(&a.g);
        unguard(&b.g);
    }
}

/* ---- packing ---- */

/* The packed element of (row, kk) as bf16 bits; *exact false when an expanded one has more. */
static uint16_t packed(const struct gemm_unit *u, const void *p, bool b_side, int row, int kk, int kp)
{
    int wide = b_side ? u->nr : u->mr;
    size_t panel = (size_t)(row / wide) * (size_t)wide * (size_t)kp;
    int r = row % wide;
    if (u->elem == 4) {
        uint32_t v;
        memcpy(&v, (const char *)p + (panel + (size_t)kk * (size_t)wide + (size_t)r) * 4, 4);
        assert_int_equal(v & 0xffff, 0);
        return (uint16_t)(v >> 16);
    }
    if (strcmp(u->name, "dot-bf16") == 0) { /* lanes (k, k + 2) and (k + 1, k + 3), the earlier in the upper half */
        int lane = b_side ? kk / 4 * 64 + kk % 2 * 32 + r : kk / 32 * u->mr * 16 + r * 16 + kk % 2 * 8 + kk % 32 / 4;
        uint32_t v;
        memcpy(&v, (const char *)p + panel * 2 + (size_t)lane * 4, 4);
        return (uint16_t)(kk % 4 < 2 ? v >> 16 : v);
    }
    size_t step = panel + (size_t)(kk / 32) * 32 * 32 + (size_t)(r / 16) * 512;
    size_t at = b_side ? step + (size_t)(kk % 32 / 2) * 32 + (size_t)(r % 16) * 2 + (size_t)(kk % 2)
                       : step + (size_t)(r % 16) * 32 + (size_t)(kk % 32);
    uint16_t v;
    memcpy(&v, (const char *)p + at * 2, 2);
    return v;
}

static void check_packing(int i, bool b_side, int rows, int k, enum dtype t, bool trans)
{
    const struct gemm_unit *u = &set[i].k.gemm;
    struct operand o = operand(rows, k, t, trans, SPECIAL);
    size_t bytes = b_side ? gemm_b_bytes(u, rows, k) : gemm_a_bytes(u, rows, k);
    struct guarded g = guarded(bytes);
    int wide = b_side ? u->nr : u->mr, kp = gemm_kp(k);
    (b_side ? u->pack_b : u->pack_a)(g.p, o.src, rows, k);
    for (int r = 0; r < (rows + wide - 1) / wide * wide; r++)
        for (int kk = 0; kk < kp; kk++) {
            uint16_t want = r < rows && kk < k ? element(&o.src, r, kk).bits : 0;
            uint16_t got = packed(u, g.p, b_side, r, kk, kp);
            if (got != want)
                fail_msg("%s: %s of %d x %d at (%d, %d): %04x, not %04x", set[i].name,
                         b_side ? "pack_b" : "pack_a", rows, k, r, kk, got, want);
        }
    unguard(&g);
    unguard(&o.g);
}

static void packing_rounds_and_pads(void **state)
{
    (void)state;
    for (int i = 0; i < n_set; i++)
        for (int form = 0; form < 8; form++)
            for (int r = 0; r < 20; r++)
                check_packing(i, form & 1, ONE_OF(some_m), ONE_OF(some_k), form & 2 ? DT_F32 : DT_BF16, form & 4);
}

/* ---- weights packed once ---- */

static void check_weights(int i, int n, int k, enum dtype t, bool trans)
{
    const struct kernels *x = &set[i].k;
    struct operand w = operand(n, k, t, trans, SPECIAL);
    size_t bytes = wpack_elems(n, k) * sizeof(bf16);
    struct guarded got = guarded(bytes), want = guarded(bytes);
    int half = n / 2 / WP_NR * WP_NR; /* in two parts, as threads do */
    x->wp_pack(got.p, w.src, 0, half, n, k);
    x->wp_pack(got.p, w.src, half, n, n, k);
    ref->wp_pack(want.p, w.src, 0, n, n, k);
    assert_memory_equal(got.p, want.p, bytes);

    const struct gemm_unit *u = &x->gemm;
    int n0 = n > u->nr ? u->nr : 0, k0 = k > 64 ? 32 : 0, k1 = k > 100 ? 96 : k;
    for (int cols = n - n0; cols > 0; cols -= 9) {
        struct operand part = w;
        ptrdiff_t from = trans ? k0 * w.src.ld + n0 : n0 * w.src.ld + k0;
        part.src.p = (const char *)w.src.p + from * (ptrdiff_t)dtype_size(t);
        struct guarded b = guarded(gemm_b_bytes(u, cols, k1 - k0)), p = guarded(gemm_b_bytes(u, cols, k1 - k0));
        u->pack_b(b.p, part.src, cols, k1 - k0);
        x->wp_to_b(p.p, got.p, n0, cols, n, k, k0, k1);
        assert_memory_equal(p.p, b.p, gemm_b_bytes(u, cols, k1 - k0));
        unguard(&b);
        unguard(&p);
    }
    unguard(&got);
    unguard(&want);
    unguard(&w.g);
}

static void packed_weights_are_the_same_everywhere(void **state)
{
    (void)state;
    for (int i = 0; i < n_set; i++)
        for (int r = 0; r < 60; r++)
            check_weights(i, ONE_OF(some_n), ONE_OF(some_k), below(2) ? DT_F32 : DT_BF16, below(2));
}

static void check_gemv(int i, int m, int n0, int n, int k, enum kind kind, bool zero)
{
    struct operand x = operand(m, k, DT_BF16, false, kind), w = operand(n, k, DT_F32, false, kind);
    struct guarded wp = guarded(wpack_elems(n, k) * sizeof(bf16));
    ptrdiff_t ldy = n + below(3);
    size_t len = (size_t)(m - 1) * (size_t)ldy + (size_t)n;
    struct guarded got = guarded(len * 4), want = guarded(len * 4);
    for (int r = 0; r < m; r++)
        for (int j = 0; j < n; j++)
            ((float *)got.p)[r * ldy + j] = value(kind);
    memcpy(want.p, got.p, len * 4);
    ref->wp_pack(wp.p, w.src, 0, n, n, k);
    set[i].k.gemv_wp(got.p, ldy, x.src.p, x.src.ld, wp.p, m, n0, n, k, zero);
    struct gemm_src rest = w.src;
    rest.p = (const float *)w.src.p + n0 * w.src.ld;
    ref_product((float *)want.p + n0, ldy, x.src, rest, m, n - n0, k, zero);
    if (memcmp(got.p, want.p, len * 4) != 0)
        fail_msg("%s: gemv_wp of %d rows, columns %d..%d, k %d, kind %d, zero %d: bits differ", set[i].name, m,
                 n0, n, k, (int)kind, zero);
    unguard(&got);
    unguard(&want);
    unguard(&wp);
    unguard(&x.g);
    unguard(&w.g);
}

static void few_rows_equal_the_reference(void **state)
{
    (void)state;
    for (int i = 0; i < n_set; i++) {
        for (int m = 1; m <= 8; m++)
            for (int r = 0; r < 20; r++) {
                int n = 1 + below(70), n0 = n > 16 && below(2) ? 16 : 0;
                check_gemv(i, m, n0, n, 1 + below(200), (enum kind)below(SPECIAL), below(2));
            }
        check_gemv(i, 8, 0, 17, 2100, PLAIN, false); /* deeper than the rows kept expanded */
        check_gemv(i, 3, 0, 5, 6000, WIDE, true);
    }
}

/* ---- nn/gemm ---- */

struct layer {
    int m, n, k;
    bool a_trans, b_trans;
    enum dtype ta, tb, tc;
    int init; /* 0 none, 1 c itself, 2 another matrix */
};

/* What gemm() must give. */
static void expect(struct guarded *c, const struct layer *l, ptrdiff_t ldc, struct operand *a,
                   struct operand *b, const float *init, ptrdiff_t ldi)
{
    float *f = calloc((size_t)l->m * (size_t)l->n + 1, sizeof *f);
    assert_non_null(f);
    for (int i = 0; init && i < l->m; i++)
        memcpy(f + (ptrdiff_t)i * l->n, init + i * ldi, (size_t)l->n * sizeof *f);
    ref_product(f, l->n, a->src, b->src, l->m, l->n, l->k, !init);
    for (int i = 0; i < l->m; i++)
        for (int j = 0; j < l->n; j++) {
            float v = f[(ptrdiff_t)i * l->n + j];
            if (l->tc == DT_BF16)
                ((bf16 *)c->p)[i * ldc + j] = bf16_round(v);
            else
                ((float *)c->p)[i * ldc + j] = v;
        }
    free(f);
}

static void check_layer(const struct layer *l, bool small, const int *threads)
{
    struct operand a = operand(l->m, l->k, l->ta, l->a_trans, PLAIN);
    struct operand b = operand(l->n, l->k, l->tb, !l->b_trans, PLAIN);
    ptrdiff_t ldc = l->n + below(4), ldi = l->n + below(4);
    size_t len = l->m > 0 ? (size_t)(l->m - 1) * (size_t)ldc + (size_t)l->n : 0;
    size_t bytes = len * dtype_size(l->tc);
    struct guarded want = guarded(bytes), start = guarded(bytes);
    struct guarded init = guarded(l->m > 0 ? ((size_t)(l->m - 1) * (size_t)ldi + (size_t)l->n) * 4 : 0);
    for (int i = 0; i < l->m; i++)
        for (int j = 0; j < l->n; j++) {
            ((float *)init.p)[i * ldi + j] = value(PLAIN);
            if (l->init == 1)
                ((float *)start.p)[i * ldc + j] = value(PLAIN);
        }
    memcpy(want.p, start.p, bytes);
    expect(&want, l, ldc, &a, &b, l->init == 1 ? start.p : l->init == 2 ? init.p : NULL, l->init == 1 ? ldc : ldi);
    for (int i = 0; i < n_set; i++)
        for (const int *t = threads; *t; t++) {
            struct space w = space_open(&set[i].k, *t, small);
            struct guarded c = guarded(bytes);
            memcpy(c.p, start.p, bytes);
            struct mat mc = {c.p, l->tc, l->m, l->n, ldc};
            struct gemm_args g = {.c = mc,
                                  .a = as_mat(&a, l->a_trans),
                                  .b = as_mat(&b, !l->b_trans),
                                  .a_trans = l->a_trans,
                                  .b_trans = l->b_trans};
            if (l->init)
                g.init = l->init == 1 ? mc : (struct mat){init.p, DT_F32, l->m, l->n, ldi};
            gemm(&w.x, &g);
            if (memcmp(c.p, want.p, bytes) != 0)
                fail_msg("%s, %d threads: gemm %d x %d x %d, a%s b%s, c %s, init %d: bits differ", set[i].name,
                         *t, l->m, l->n, l->k, l->a_trans ? "ᵀ" : "", l->b_trans ? "ᵀ" : "",
                         l->tc == DT_BF16 ? "bf16" : "f32", l->init);
            space_close(&w);
            unguard(&c);
        }
    unguard(&want);
    unguard(&start);
    unguard(&init);
    unguard(&a.g);
    unguard(&b.g);
}

static struct layer some_layer(int m, int n, int k)
{
    struct layer l = {m, n, k, below(2), below(2), below(2) ? DT_F32 : DT_BF16, below(2) ? DT_F32 : DT_BF16,
                      below(2) ? DT_F32 : DT_BF16, below(3)};
    if (l.tc == DT_BF16 && l.init == 1)
        l.init = 2;
    return l;
}

static void layers_do_not_depend_on_threads(void **state)
{
    (void)state;
    static const int threads[] = {1, 2, 3, 7, 0}, few[] = {1, 3, 0};
    for (int r = 0; r < 30; r++) {
        struct layer l = some_layer(below(90), below(140), below(170));
        check_layer(&l, r % 2, threads);
    }
    for (int init = 0; init < 3; init++)
        for (int form = 0; form < 8; form++) { /* deep and wide against little space: many blocks */
            struct layer l = {90, 290, 2500, form & 1, form & 2, DT_BF16, DT_F32, DT_F32, init};
            if (form & 4)
                l = (struct layer){40, 1100, 1300, form & 1, form & 2, DT_F32, DT_BF16, DT_BF16, init == 1 ? 0 : init};
            if (init == form % 3 || getenv("DOKJA_LONG"))
                check_layer(&l, true, few);
        }
    struct layer wide = some_layer(3, 9000, 40);
    check_layer(&wide, true, few);
    struct layer empty = {5, 70, 0, false, true, DT_BF16, DT_F32, DT_BF16, 2};
    check_layer(&empty, false, few);
}

/* Half of a symmetric product, finished with fma(post_scale, post, scale·c), then mirrored: as the whole of it. */
static void halves_and_their_finish(void **state)
{
    (void)state;
    static const int sides[][2] = {{5, 40}, {64, 64}, {131, 300}, {90, 2500}};
    for (int s = 0; s < 4; s++) {
        int n = sides[s][0], k = sides[s][1];
        size_t bytes = (size_t)(n * n) * sizeof(float);
        struct operand a = operand(n, k, DT_F32, s & 1, PLAIN);
        struct guarded want = guarded(bytes), post = guarded(bytes);
        struct layer l = {n, n, k, s & 1, !(s & 1), DT_F32, DT_F32, DT_F32, 0};
        expect(&want, &l, n, &a, &a, NULL, 0);
        for (int i = 0; i < n; i++)
            for (int j = 0; j <= i; j++)
                ((float *)post.p)[i * n + j] = ((float *)post.p)[j * n + i] = value(PLAIN);
        ref->axpby(want.p, 0.3f, post.p, -1.7f, want.p, (size_t)(n * n));
        for (int i = 0; i < n_set; i++)
            for (int t = 1; t <= 3; t++)
                for (int small = 0; small < 2; small++) {
                    struct space w = space_open(&set[i].k, t, small);
                    struct guarded c = guarded(bytes);
                    struct mat mc = mat_f32(c.p, n, n), ma = as_mat(&a, s & 1);
                    gemm(&w.x, &(struct gemm_args){.c = mc, .a = ma, .b = ma, .a_trans = s & 1, .b_trans = !(s & 1),
                                                   .lower = true, .post = mat_f32(post.p, n, n), .post_scale = 0.3f,
                                                   .scale = -1.7f});
                    gemm_mirror(&w.x, mc);
                    assert_memory_equal(c.p, want.p, bytes);
                    space_close(&w);
                    unguard(&c);
                }
        unguard(&want);
        unguard(&post);
        unguard(&a.g);
    }
}

static void check_stacked(int m, int n1, int n2, int k, enum dtype ta, enum dtype tc, int with_init)
{
    struct layer l = {m, n1 + n2, k, false, true, ta, DT_F32, tc, with_init};
    struct operand a = operand(m, k, ta, false, PLAIN), w = operand(n1 + n2, k, DT_F32, false, PLAIN);
    size_t bytes = (size_t)m * (size_t)l.n * dtype_size(tc);
    struct guarded want = guarded(bytes), init = guarded((size_t)m * (size_t)l.n * 4);
    for (int i = 0; i < m * l.n; i++)
        ((float *)init.p)[i] = value(PLAIN);
    expect(&want, &l, l.n, &a, &w, with_init ? init.p : NULL, l.n);
    for (int i = 0; i < n_set; i++)
        for (int t = 1; t <= 7; t += t == 1 ? 1 : t == 2 ? 1 : 4) {
            struct nn x;
            struct err e;
            assert_int_equal(nn_init(&x, &set[i].k, t, &e), 0);
            struct guarded wp = guarded(wpack_elems(l.n, k) * sizeof(bf16)), c = guarded(bytes);
            struct wpack pack = {wp.p, l.n, k};
            struct mat all = as_mat(&w, false), mc = {c.p, tc, m, l.n, l.n};
            wpack_fill(&x, &pack, 0, mat_rows(all, 0, n1));
            wpack_fill(&x, &pack, n1, mat_rows(all, n1, n2));
            gemm_wp(&x, mc, with_init ? mat_f32(init.p, m, l.n) : (struct mat){0}, as_mat(&a, false), &pack);
            if (memcmp(c.p, want.p, bytes) != 0)
                fail_msg("%s, %d threads: gemm_wp %d x %d x %d, init %d: bits differ", set[i].name, t, m, l.n, k,
                         with_init);
            if (with_init && tc == DT_F32) { /* and into init itself */
                memcpy(c.p, init.p, bytes);
                gemm_wp(&x, mc, mc, as_mat(&a, false), &pack);
                assert_memory_equal(c.p, want.p, bytes);
            }
            nn_release(&x);
            unguard(&wp);
            unguard(&c);
        }
    unguard(&want);
    unguard(&init);
    unguard(&a.g);
    unguard(&w.g);
}

static void packed_products_equal_the_others(void **state)
{
    (void)state;
    for (int m = 1; m <= 9; m++)
        for (int r = 0; r < 3; r++)
            check_stacked(m, 16 * (1 + below(3)), 1 + below(60), 1 + below(150), r & 1 ? DT_F32 : DT_BF16,
                          r & 2 ? DT_F32 : DT_BF16, below(2));
    check_stacked(8, 1024, 1100, 70, DT_BF16, DT_BF16, 1);
    check_stacked(20, 1024, 40, 1200, DT_BF16, DT_F32, 1);
    check_stacked(33, 48, 40, 1200, DT_F32, DT_BF16, 0);
    check_stacked(70, 48, 40, 1200, DT_BF16, DT_BF16, 1); /* more than stream: B panels */
}

static void working_space_is_bounded(void **state)
{
    (void)state;
    struct nn x;
    struct err e = {0};
    assert_int_equal(nn_init(&x, ref, 100000, &e), ERR_LIMIT);
    assert_non_null(strstr(e.msg, "100000"));
    mem_fail_at(1);
    assert_int_equal(nn_init(&x, ref, 2, &e), ERR_NOMEM);
    mem_fail_at(0);
    assert_int_equal(nn_init(&x, ref, 2, &e), 0);
    assert_true(x.l1 > 0 && x.l2 > x.l1 && x.threads == 2);
    nn_release(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_integers_are_exact),
        cmocka_unit_test(packing_rounds_and_pads),
        cmocka_unit_test(products_are_what_numerics_says),
        cmocka_unit_test(packed_weights_are_the_same_everywhere),
        cmocka_unit_test(few_rows_equal_the_reference),
        cmocka_unit_test(layers_do_not_depend_on_threads),
        cmocka_unit_test(halves_and_their_finish),
        cmocka_unit_test(packed_products_equal_the_others),
        cmocka_unit_test(working_space_is_bounded),
    };
    return cmocka_run_group_tests(tests, list_sets, NULL);
}
