/* The battery of profile T2: products of 8-bit integers (NUMERICS §3a), packed and multiplied by the unit, and in the
 * ops above it. */
#include "nn/gemm.h"
#include "nn/ops.h"
#include "nn/selftest_parts.h"

/* ---- the unit ---- */

struct product {
    struct mat a, b;            /* (m, k) or where a_trans (k, m); (n, k) or where b_trans (k, n) */
    bool a_trans, b_trans;
    int m, n, k;
    enum st_input onto;         /* what c holds at first */
};

/* Onto something, then onto nothing. */
static void product(struct battery *b, const struct product *p)
{
    const struct gemm_unit *u = &b->x->k->gemm_i8;
    struct mat c = reals(b, p->m, p->n, p->onto);
    void *pa = arena_take(&b->arena, gemm_a_bytes(u, p->m, p->k), 1);
    void *pb = arena_take(&b->arena, gemm_b_bytes(u, p->n, p->k), 1);
    u->pack_a(pa, src_of(p->a, p->a_trans), p->m, p->k);
    u->pack_b(pb, src_of(p->b, p->b_trans), p->n, p->k);
    u->enter();
    for (int zero = 0; zero < 2; zero++) {
        u->block(mat_f(c), c.stride, pa, pb, p->m, p->n, gemm_depth(u, p->k), zero);
        hash_mat(b, c);
    }
    u->leave();
}

static struct mat operand(struct battery *b, int rows, int k, bool trans, enum dtype type, enum st_input kind)
{
    struct mat (*make)(struct battery *, int, int, enum st_input) = type == DT_F32 ? reals : halves;
    return trans ? make(b, k, rows, kind) : make(b, rows, k, kind);
}

/* Every form of both operands: bits of `form` choose. */
static void plain(struct battery *b, struct product p, int form, enum st_input left, enum st_input right)
{
    p.a_trans = form & 1;
    p.b_trans = form & 2;
    p.a = operand(b, p.m, p.k, p.a_trans, form & 4 ? DT_BF16 : DT_F32, left);
    p.b = operand(b, p.n, p.k, p.b_trans, form & 8 ? DT_BF16 : DT_F32, right);
    product(b, &p);
}

static struct mat rounded(struct battery *b, struct mat m)
{
    struct mat h = halves(b, m.rows, m.cols, ST_ZERO);
    for (ptrdiff_t i = 0; i < (ptrdiff_t)m.rows * m.cols; i++)
        mat_b(h)[i] = bf16_round(mat_f(m)[i]);
    return h;
}

/* Groups with scales from about 2^-66 to 2^-59: a product of two is flushed, or about 2^-126, or a little more. */
static struct mat faint(struct battery *b, int rows, int k, bool trans, enum dtype type)
{
    struct mat m = operand(b, rows, k, trans, DT_F32, ST_UNIT);
    for (int r = 0; r < rows; r++)
        for (int kk = 0; kk < k; kk++) {
            ptrdiff_t at = trans ? kk * m.stride + r : r * m.stride + kk;
            mat_f(m)[at] *= 0x1p-59f * (real)(1 << (r + kk / I8_GROUP) % 8);
        }
    return type == DT_F32 ? m : rounded(b, m);
}

static void both_faint(struct battery *b, struct product p, int form)
{
    p.a_trans = form & 1;
    p.b_trans = form & 2;
    p.a = faint(b, p.m, p.k, p.a_trans, form & 4 ? DT_BF16 : DT_F32);
    p.b = faint(b, p.n, p.k, p.b_trans, form & 8 ? DT_BF16 : DT_F32);
    product(b, &p);
}

/* What a group can be; the last two make its row's results NaN, and only some rows have them. */
enum group { PLAIN, TIES, WIDE, LEAST, BELOW, LIMIT, INFINITE, NOT_A_NUMBER, N_GROUP };

/* n elements of a row: one that is the largest in magnitude and what it decides (kernels/int8.h: I8_LEAST), and others
 * of no more. */
static void group_fill(struct battery *b, real *v, int n, enum group g)
{
    static const real most[N_GROUP] = {1,         127,         0x1p60f,         0x1p-100f, 0x1.fffffep-101f,
                                       0x1.fffffep127f, (real)__builtin_inf(), (real)__builtin_nan("")};
    for (int i = 0; i < n; i++) {
        uint32_t u = rng_u32(&b->rng);
        real unit = ((real)(int32_t)(u >> 8) - 0x1p23f) * 0x1p-23f;
        if (g == TIES) /* the inverse of the scale is 1 */
            v[i] = (real)((int)(u % 509) - 254) * (real)0.5;
        else if (g == WIDE) /* most of them round to zero, some are flushed */
            v[i] = unit * (u & 1 ? 0x1p60f : u & 2 ? 0x1p-60f : 0x1p-140f);
        else
            v[i] = g < INFINITE ? unit * most[g] : unit;
    }
    real one = most[g];
    v[rng_below(&b->rng, (uint32_t)n)] = rng_below(&b->rng, 2) ? -one : one;
}

static struct mat strange(struct battery *b, int rows, int k)
{
    struct mat m = reals(b, rows, k, ST_ZERO);
    for (int r = 0; r < rows; r++)
        for (int k0 = 0; k0 < k; k0 += I8_GROUP) {
            int g = r % N_GROUP < INFINITE ? (r + k0 / I8_GROUP) % INFINITE : r % N_GROUP;
            group_fill(b, mat_f(m) + r * m.stride + k0, k - k0 < I8_GROUP ? k - k0 : I8_GROUP, (enum group)g);
        }
    return m;
}

void st_int8_unit(struct battery *b)
{
    enum { FORMS = 16, M = 19, N = 37 };
    static const int shape[][3] = {{1, 1, 1}, {5, 17, 31}, {16, 48, 64}, {33, 65, 256}, {7, 130, 257}, {18, 33, 700}};
    static const int depth[] = {9, 256, 900};
    for (int i = 0; i < 6; i++) {
        struct product p = {.m = shape[i][0], .n = shape[i][1], .k = shape[i][2], .onto = ST_UNIT};
        for (int form = 0; form < FORMS; form++)
            plain(b, p, form, ST_UNIT, ST_UNIT);
        b->arena.used = 0;
    }
    for (int form = 0; form < FORMS; form++) {
        plain(b, (struct product){.m = 21, .n = 50, .k = 513, .onto = ST_UNIT}, form, ST_WIDE, ST_WIDE);
        plain(b, (struct product){.m = 21, .n = 50, .k = 300, .onto = ST_TINY}, form, ST_TINY, ST_UNIT);
        plain(b, (struct product){.m = 21, .n = 50, .k = 300, .onto = ST_TINY}, form, ST_UNIT, ST_TINY);
        both_faint(b, (struct product){.m = 21, .n = 50, .k = 300, .onto = ST_TINY}, form);
        plain(b, (struct product){.m = 9, .n = 40, .k = 3, .onto = ST_UNIT}, form, ST_EDGE, ST_EDGE);
        b->arena.used = 0;
    }
    for (int i = 0; i < 3; i++) {
        struct product p = {.m = M, .n = N, .k = depth[i], .onto = ST_UNIT};
        p.a = strange(b, M, depth[i]);
        p.b = strange(b, N, depth[i]);
        product(b, &p);
        p.a = rounded(b, p.a);
        p.b = rounded(b, p.b);
        product(b, &p);
    }
}

/* Scales whose products lie on both brims of [2^-126 − 2^-151, 2^-126): 127 times such a factor, divided by 127, is it
 * again, but for a few. */
static struct mat brim_rows(struct battery *b, int rows, int k, uint32_t side, int exponent)
{
    struct mat m = reals(b, rows, k, ST_UNIT);
    for (int r = 0; r < rows; r++) {
        real f = 127 * st_brim_side((uint32_t)r & 7, side, exponent + (r >> 3 & 1)), *v = mat_f(m) + r * m.stride;
        for (int i = 0; i < k; i++)
            v[i] = i % 3 ? v[i] * f : i % 2 ? -f : f;
    }
    return m;
}

void st_int8_brims(struct battery *b)
{
    enum { M = 16, N = 32, K = 70 };
    for (int e = -65; e <= -62; e++) {
        struct product p = {.m = M, .n = N, .k = K, .onto = ST_TINY};
        p.a = brim_rows(b, M, K, 0, e);
        p.b = brim_rows(b, N, K, 1, -127 - e);
        product(b, &p);
        p.a = brim_rows(b, M, K, 1, -126 - e);
        p.b = brim_rows(b, N, K, 0, e - 1);
        product(b, &p);
    }
}

/* ---- threaded ---- */

/* The products of a layer y = x·Wᵀ and its gradients. */
static void linear(struct battery *b, int m, int n, int k)
{
    struct mat x = halves(b, m, k, ST_UNIT), w = reals(b, n, k, ST_UNIT), y = halves(b, m, n, ST_ZERO);
    struct mat dx = halves(b, m, k, ST_ZERO), dw = reals(b, n, k, ST_UNIT), res = reals(b, m, n, ST_UNIT);
    gemm(b->x, &(struct gemm_args){.c = y, .a = x, .b = w, .b_trans = true, .i8 = true});
    gemm(b->x, &(struct gemm_args){.c = dx, .a = res, .b = w, .i8 = true});
    gemm(b->x, &(struct gemm_args){.c = dw, .init = dw, .a = res, .a_trans = true, .b = x, .i8 = true});
    hash_mat(b, y);
    hash_mat(b, dx);
    hash_mat(b, dw);
    gemm(b->x, &(struct gemm_args){.c = res, .init = res, .a = x, .b = w, .b_trans = true, .i8 = true});
    gemm(b->x, &(struct gemm_args){.c = dw, .a = y, .a_trans = true, .b = x, .i8 = true});
    hash_mat(b, res);
    hash_mat(b, dw);
}

void st_int8_gemm(struct battery *b)
{
    linear(b, 256, 130, 96);
    linear(b, 70, 300, 259);
    linear(b, 33, 20, 9000); /* deeper than what is packed at once */
    linear(b, 4700, 19, 40);
}

static void head(struct battery *b, int rows, int vocab, int d)
{
    size_t n = (size_t)vocab * (size_t)d;
    struct mat h = halves(b, rows, d, ST_UNIT), w = reals(b, vocab, d, ST_UNIT), dh = halves(b, rows, d, ST_ZERO);
    real *loss = st_reals(b, (size_t)rows, ST_ZERO), *dw = st_reals(b, n, ST_UNIT);
    int *target = st_ints(b, (size_t)rows, vocab);
    for (int r = 0; r < rows; r += 9)
        target[r] = -1;
    void *space = arena_take(&b->arena, op_head_space(vocab, rows, true), 1);
    op_head_loss(b->x, loss, dh, dw, NULL, h, w, target, 0x1p-6f, true, space);
    st_hash_reals(b, loss, (size_t)rows);
    hash_mat(b, dh);
    st_hash_reals(b, dw, n);
}

void st_int8_head(struct battery *b)
{
    head(b, 300, 509, 64);
    head(b, 1100, 41, 32); /* more rows than have logits at once */
}
