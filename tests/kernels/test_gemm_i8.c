/* Products of 8-bit integers: every instruction set of this machine, and VPDPBUSD and AMX emulated, against NUMERICS
 * §3a computed plainly (src/reference), bit for bit; then nn/gemm on 1 to 3 threads against the same. */
#include "kernels/products.h"

/* Equal bits, or NaN both: what a NaN carries differs among instructions, and no result depends on it. */
static bool equal(const float *a, const float *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (memcmp(a + i, b + i, sizeof *a) != 0 && !(a[i] != a[i] && b[i] != b[i]))
            return false;
    return true;
}

/* ---- operands whose groups differ ---- */

/* Beside products.h's kinds: most of those make groups that are not finite, and then nearly every output is NaN. */
enum { GROUPED = N_KIND };

static float at(const struct operand *o, int row, int kk)
{
    ptrdiff_t i = o->src.trans ? kk * o->src.ld + row : row * o->src.ld + kk;
    return o->src.dtype == DT_BF16 ? bf16_expand(((const bf16 *)o->g.p)[i]) : ((const float *)o->g.p)[i];
}

/* Bits that bf16 has no room for are cut off, so that denormals stay what they are. */
static void set_at(struct operand *o, int row, int kk, float v)
{
    ptrdiff_t i = o->src.trans ? kk * o->src.ld + row : row * o->src.ld + kk;
    uint32_t u;
    memcpy(&u, &v, sizeof u);
    if (o->src.dtype == DT_BF16)
        ((bf16 *)o->g.p)[i] = (bf16){(uint16_t)(u >> 16)};
    else
        memcpy((float *)o->g.p + i, &u, sizeof u);
}

/* Any mantissa and sign; an exponent of 0 or less makes a denormal. */
static float with_exponent(int biased)
{
    return from_bits((draw() & 0x807fffff) | (uint32_t)(biased > 0 ? biased : 0) << 23);
}

/* An element of a group whose largest is near 2^(top - 127). */
static float near(int top)
{
    switch (below(16)) {
    case 0:
        return -0.0f;
    case 1:
        return with_exponent(0);
    default:
        return with_exponent(top - below(9));
    }
}

/* Of n elements from k0 on: half of the groups of any magnitude from 2^-126 to 2^125, so that some products are tiny
 * and few too large; one in a hundred with an element that is not finite. */
static void draw_group(struct operand *o, int row, int k0, int n)
{
    static const float odd[] = {INFINITY, -INFINITY, NAN};
    int top = below(2) ? 1 + below(252) : 97 + below(60);
    for (int i = 0; i < n; i++)
        set_at(o, row, k0 + i, near(top));
    if (below(100) == 0)
        set_at(o, row, k0 + below(n), ONE_OF(odd));
}

static struct operand any_operand(int rows, int k, int kind)
{
    enum kind first = kind == GROUPED ? PLAIN : (enum kind)kind;
    struct operand o = operand(rows, k, below(2) ? DT_F32 : DT_BF16, below(2), first);
    for (int r = 0; kind == GROUPED && r < rows; r++)
        for (int k0 = 0; k0 < k; k0 += I8_GROUP)
            draw_group(&o, r, k0, k - k0 < I8_GROUP ? k - k0 : I8_GROUP);
    return o;
}

/* What c holds before: zeros of both signs, denormals and ordinary values beside GROUPED. */
static float any_start(int kind)
{
    if (kind != GROUPED)
        return value((enum kind)kind);
    switch (below(4)) {
    case 0:
        return below(2) ? 0.0f : -0.0f;
    case 1:
        return with_exponent(0);
    default:
        return with_exponent(67 + below(120));
    }
}

/* ---- one product ---- */

static void product(const struct gemm_unit *u, float *c, ptrdiff_t ldc, struct operand *a, struct operand *b, bool zero)
{
    struct guarded pa = guarded(gemm_a_bytes(u, a->rows, a->k)), pb = guarded(gemm_b_bytes(u, b->rows, b->k));
    u->pack_a(pa.p, a->src, a->rows, a->k);
    u->pack_b(pb.p, b->src, b->rows, b->k);
    u->enter();
    u->block(c, ldc, pa.p, pb.p, a->rows, b->rows, gemm_depth(u, a->k), zero);
    u->leave();
    unguard(&pa);
    unguard(&pb);
}

/* Outputs of GROUPED operands, and how many of them tell something. */
static struct {
    size_t all, finite, not_zero;
} told;

static void tell(const float *c, ptrdiff_t ldc, int m, int n)
{
    for (int r = 0; r < m; r++)
        for (int j = 0; j < n; j++) {
            float v = c[r * ldc + j];
            told.all++;
            told.finite += v - v == 0;
            told.not_zero += v - v == 0 && v != 0;
        }
}

static void check_product(int i, int m, int n, int k, int kind, bool zero)
{
    struct operand a = any_operand(m, k, kind), b = any_operand(n, k, kind);
    ptrdiff_t ldc = n + below(4);
    size_t len = m > 0 ? (size_t)(m - 1) * (size_t)ldc + (size_t)n : 0;
    struct guarded got = guarded(len * 4), want = guarded(len * 4);
    for (int r = 0; r < m && !zero; r++)
        for (int j = 0; j < n; j++)
            ((float *)got.p)[r * ldc + j] = any_start(kind);
    memcpy(want.p, got.p, len * 4); /* what lies between the rows stays NaN */
    product(&set[i].k.gemm_i8, got.p, ldc, &a, &b, zero);
    ref_product_i8(want.p, ldc, a.src, b.src, m, n, k, zero);
    if (!equal(got.p, want.p, len))
        fail_msg("%s: %d x %d x %d, kind %d, zero %d: bits differ", set[i].name, m, n, k, kind, zero);
    if (kind == GROUPED && k > 0)
        tell(want.p, ldc, m, n);
    unguard(&got);
    unguard(&want);
    unguard(&a.g);
    unguard(&b.g);
}

/* About the ends of groups, and of several. */
static const int group_k[] = {192, 255, 256, 257, 511, 512, 513, 768, 1024, 1025};

static void products_are_what_numerics_says(void **state)
{
    (void)state;
    int rounds = getenv("DOKJA_LONG") ? 20000 : 300;
    memset(&told, 0, sizeof told);
    for (int i = 0; i < n_set; i++) {
        for (int r = 0; r < rounds; r++) {
            int k = below(2) ? ONE_OF(some_k) : ONE_OF(group_k);
            check_product(i, ONE_OF(some_m), ONE_OF(some_n), k, below(2) ? GROUPED : below(N_KIND), below(2));
        }
        check_product(i, 65, 66, 0, PLAIN, true);
        check_product(i, 65, 66, 0, TINY, false);
        check_product(i, 49, 66, 1500, GROUPED, false);
    }
    assert_true(told.finite > told.all * 3 / 4 && told.not_zero > told.all / 2);
}

/* A panel's groups follow each other, and panels too, where gemm_a_bytes and its kin say: nn/gemm enters packed
 * operands there.  So strips of c and groups of depth, each by a call of its own, make the whole product. */
static void by_panels(const struct gemm_unit *u, struct operand *a, struct operand *b, float *c)
{
    int m = a->rows, n = b->rows, k = a->k;
    struct guarded pa = guarded(gemm_a_bytes(u, m, k)), pb = guarded(gemm_b_bytes(u, n, k));
    u->pack_a(pa.p, a->src, m, k);
    u->pack_b(pb.p, b->src, n, k);
    u->enter();
    for (int i = 0; i < m; i += u->mr)
        for (int j = 0; j < n; j += u->nr)
            for (int k0 = 0; k0 < k; k0 += u->k_cut) {
                const char *ap = (char *)pa.p + gemm_a_bytes(u, i, k) + gemm_panel_bytes(u, u->mr, u->a_head, k0);
                const char *bp = (char *)pb.p + gemm_b_bytes(u, j, k) + gemm_panel_bytes(u, u->nr, u->b_head, k0);
                u->block(c + i * n + j, n, ap, bp, m - i < u->mr ? m - i : u->mr, n - j < u->nr ? n - j : u->nr,
                         gemm_depth(u, k - k0 < u->k_cut ? k - k0 : u->k_cut), k0 == 0);
            }
    u->leave();
    unguard(&pa);
    unguard(&pb);
}

static void panels_lie_where_sizes_say(void **state)
{
    (void)state;
    for (int i = 0; i < n_set; i++)
        for (size_t d = 0; d < sizeof group_k / sizeof *group_k; d++) {
            const struct gemm_unit *u = &set[i].k.gemm_i8;
            int m = 2 * u->mr + 3, n = 2 * u->nr + 5, k = group_k[d];
            struct operand a = any_operand(m, k, PLAIN), b = any_operand(n, k, PLAIN);
            size_t len = (size_t)m * (size_t)n;
            struct guarded got = guarded(len * 4), want = guarded(len * 4);
            by_panels(u, &a, &b, got.p);
            ref_product_i8(want.p, n, a.src, b.src, m, n, k, true);
            if (memcmp(got.p, want.p, len * 4) != 0)
                fail_msg("%s: %d x %d x %d by panels and groups: bits differ", set[i].name, m, n, k);
            unguard(&got);
            unguard(&want);
            unguard(&a.g);
            unguard(&b.g);
        }
}

/* Elements of n rows of k: the largest of each group is 127 times a power of two, so that integers stay integers. */
static struct operand whole_numbers(int rows, int k, bool trans, int scale)
{
    struct operand o = operand(rows, k, DT_F32, trans, PLAIN);
    for (int r = 0; r < rows; r++)
        for (int kk = 0; kk < k; kk++) {
            int v = kk % I8_GROUP == r % 5 ? (kk & 1 ? 127 : -127) : (r * 37 + kk * 11) % 255 - 127;
            set_at(&o, r, kk, (float)(v * scale));
        }
    return o;
}

/* Known values: a scale that is exact leaves sums of integers, the largest ones among them. */
static void integers_are_exact(void **state)
{
    (void)state;
    enum { M = 29, N = 37, K = 600 };
    for (int i = 0; i < n_set; i++)
        for (int form = 0; form < 4; form++) {
            struct operand a = whole_numbers(M, K, form & 1, 2), b = whole_numbers(N, K, form & 2, 4);
            float c[M * N];
            product(&set[i].k.gemm_i8, c, N, &a, &b, true);
            for (int r = 0; r < M; r++)
                for (int j = 0; j < N; j++) {
                    int64_t sum = 0;
                    for (int kk = 0; kk < K; kk++)
                        sum += (int64_t)at(&a, r, kk) * (int64_t)at(&b, j, kk);
                    assert_true(c[r * N + j] == (float)sum);
                }
            unguard(&a.g);
            unguard(&b.g);
        }
}

/* A zero group gives zero beside any other; one that is not finite gives NaN in its row (column) and nowhere else. */
static void odd_groups_stay_where_they_are(void **state)
{
    (void)state;
    enum { M = 14, N = 34, K = 300 };
    for (int i = 0; i < n_set; i++)
        for (int form = 0; form < 4; form++) {
            struct operand a = operand(M, K, DT_F32, form & 1, PLAIN), b = operand(N, K, DT_F32, form & 2, PLAIN);
            float c[M * N], *pa = a.g.p;
            for (int kk = 0; kk < K; kk++)
                pa[form & 1 ? kk * a.src.ld + 3 : 3 * a.src.ld + kk] = kk % 2 ? 1e-37f : -1e-31f;
            pa[form & 1 ? 270 * a.src.ld + 13 : 13 * a.src.ld + 270] = form & 2 ? INFINITY : NAN;
            product(&set[i].k.gemm_i8, c, N, &a, &b, true);
            for (int r = 0; r < M; r++)
                for (int j = 0; j < N; j++) {
                    float v = c[r * N + j];
                    assert_true(r == 13 ? v != v : r == 3 ? v == 0 : v == v && v != 0);
                }
            unguard(&a.g);
            unguard(&b.g);
        }
}

/* Where groups begin to have a scale, and cease to: one row (column, with swap) for each. */
static void check_brims(int i, bool trans, bool swap)
{
    static const uint32_t most[] = {0x0d7fffff, 0x0d800000, 0x8d800001, 0x7f7fffff, 0x7f800000, 0x7f800001};
    enum { M = 6, N = 19, K = 70 };
    struct operand a = operand(M, K, DT_F32, trans, PLAIN), b = operand(N, K, DT_BF16, false, PLAIN);
    struct operand *left = swap ? &b : &a, *right = swap ? &a : &b;
    float got[M * N], want[M * N];
    for (int r = 0; r < M; r++)
        for (int kk = 0; kk < K; kk++)
            ((float *)a.g.p)[trans ? kk * a.src.ld + r : r * a.src.ld + kk] =
                from_bits(kk == 11 * r ? most[r] : (most[r] & INT32_MAX) - 0x01000000);
    product(&set[i].k.gemm_i8, got, right->rows, left, right, true);
    ref_product_i8(want, right->rows, left->src, right->src, left->rows, right->rows, K, true);
    assert_true(equal(got, want, M * N));
    for (int r = 0; r < M; r++)
        for (int j = 0; j < N; j++) {
            float v = got[swap ? j * M + r : r * N + j];
            assert_true(r == 0 ? v == 0 : r < 4 ? v == v && v != 0 : v != v);
        }
    unguard(&a.g);
    unguard(&b.g);
}

static void scales_begin_and_end(void **state)
{
    (void)state;
    for (int i = 0; i < n_set; i++)
        for (int form = 0; form < 4; form++)
            check_brims(i, form & 1, form & 2);
}

/* What is lost: an element at most half a step of its group's largest over 127, so a product no more than that of
 * either side against the other's magnitudes. */
static void errors_are_bounded(void **state)
{
    (void)state;
    enum { M = 24, N = 40, K = 512 };
    for (int i = 0; i < n_set; i++) {
        struct operand a = operand(M, K, DT_BF16, false, PLAIN), b = operand(N, K, DT_F32, true, PLAIN);
        float c[M * N];
        product(&set[i].k.gemm_i8, c, N, &a, &b, true);
        for (int r = 0; r < M; r++)
            for (int j = 0; j < N; j++) {
                double sum = 0, bound = 0, top[2][2] = {{0}};
                for (int kk = 0; kk < K; kk++) {
                    double x = at(&a, r, kk), y = at(&b, j, kk);
                    int g = kk / I8_GROUP;
                    top[0][g] = fmax(top[0][g], fabs(x));
                    top[1][g] = fmax(top[1][g], fabs(y));
                }
                for (int kk = 0; kk < K; kk++) {
                    double x = at(&a, r, kk), y = at(&b, j, kk);
                    double ex = top[0][kk / I8_GROUP] / 254, ey = top[1][kk / I8_GROUP] / 254;
                    sum += x * y;
                    bound += fabs(x) * ey + fabs(y) * ex + ex * ey;
                }
                assert_true(fabs(c[r * N + j] - sum) <= 1.001 * bound);
            }
        unguard(&a.g);
        unguard(&b.g);
    }
}

/* ---- nn/gemm ---- */

struct layer {
    int m, n, k;
    bool a_trans, b_trans;
    int init;    /* 0: +0, 1: c itself, 2: another matrix */
    enum dtype ta, tb, tc;
};

static void check_layer(const struct layer *l, bool small)
{
    struct operand a = operand(l->m, l->k, l->ta, l->a_trans, PLAIN);
    struct operand b = operand(l->n, l->k, l->tb, !l->b_trans, PLAIN);
    size_t len = (size_t)l->m * (size_t)l->n, bytes = len * dtype_size(l->tc);
    struct guarded sum = guarded(len * 4), want = guarded(bytes), start = guarded(len * 4);
    for (size_t i = 0; l->init && i < len; i++)
        ((float *)sum.p)[i] = ((float *)start.p)[i] = value(PLAIN);
    ref_product_i8(sum.p, l->n, a.src, b.src, l->m, l->n, l->k, !l->init);
    for (size_t i = 0; i < len; i++)
        if (l->tc == DT_BF16)
            ((bf16 *)want.p)[i] = bf16_round(((float *)sum.p)[i]);
        else
            ((float *)want.p)[i] = ((float *)sum.p)[i];
    for (int i = 0; i < n_set; i++)
        for (int t = 1; t <= 3; t++) {
            struct space w = space_open(&set[i].k, t, small);
            struct guarded c = guarded(bytes);
            struct mat mc = {c.p, l->tc, l->m, l->n, l->n}, other = {start.p, DT_F32, l->m, l->n, l->n};
            if (l->init == 1)
                memcpy(c.p, start.p, bytes);
            gemm(&w.x, &(struct gemm_args){.c = mc, .init = l->init == 1 ? mc : l->init ? other : (struct mat){0},
                                           .a = as_mat(&a, l->a_trans), .b = as_mat(&b, !l->b_trans),
                                           .a_trans = l->a_trans, .b_trans = l->b_trans, .i8 = true});
            if (memcmp(c.p, want.p, bytes) != 0)
                fail_msg("%s, %d threads: gemm %d x %d x %d, a%s b%s: bits differ", set[i].name, t, l->m, l->n, l->k,
                         l->a_trans ? "ᵀ" : "", l->b_trans ? "ᵀ" : "");
            space_close(&w);
            unguard(&c);
        }
    unguard(&sum);
    unguard(&want);
    unguard(&start);
    unguard(&a.g);
    unguard(&b.g);
}

static void layers_do_not_depend_on_threads(void **state)
{
    (void)state;
    for (int form = 0; form < 16; form++) {
        enum dtype to = form & 8 ? DT_BF16 : DT_F32;
        struct layer l = {1 + below(90), 1 + below(140), 1 + below(700), form & 1, form & 2,
                          form & 4 ? (to == DT_F32 ? 1 + below(2) : 2) : 0, DT_BF16, DT_F32, to};
        check_layer(&l, form & 1);
    }
    /* deep and wide against little space: many blocks */
    check_layer(&(struct layer){90, 290, 5000, true, false, 1, DT_BF16, DT_BF16, DT_F32}, true);
    check_layer(&(struct layer){50, 70, 9000, false, true, 2, DT_F32, DT_BF16, DT_F32}, true);
    check_layer(&(struct layer){40, 1100, 9000, false, true, 0, DT_BF16, DT_F32, DT_BF16}, true);
    check_layer(&(struct layer){3, 9000, 40, false, false, 0, DT_F32, DT_F32, DT_F32}, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_are_exact),
        cmocka_unit_test(odd_groups_stay_where_they_are),
        cmocka_unit_test(scales_begin_and_end),
        cmocka_unit_test(errors_are_bounded),
        cmocka_unit_test(products_are_what_numerics_says),
        cmocka_unit_test(panels_lie_where_sizes_say),
        cmocka_unit_test(layers_do_not_depend_on_threads),
    };
    return cmocka_run_group_tests(tests, list_sets, NULL);
}
