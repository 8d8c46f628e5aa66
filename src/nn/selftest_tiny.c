/* The battery's results at the brim: products, fmas and quotients whose exact values lie in
 * [2^-126 − 2^-151, 2^-126), where they are kept, and as near outside as there are any (NUMERICS §1). */
#include "nn/selftest_parts.h"

enum { N = 1003, VARIANTS = 32 };

/* A kernel's setting: plain, so that what comes after it meets the brim too, or a factor at the brim. */
static real setting(struct battery *b, real plain, int exponent)
{
    real v = st_brim(b, exponent);
    return rng_below(&b->rng, 2) ? plain : v < 0 ? -v : v;
}

/* The same for a decay rate, or one that leaves such a factor to what is new. */
static real rate(struct battery *b, real plain)
{
    real v = setting(b, plain, -1);
    return rng_below(&b->rng, 2) ? v : 1 - v;
}

static real one_of(struct battery *b, const real *v, uint32_t n) { return v[rng_below(&b->rng, n)]; }

static void vectors(struct battery *b, int variant)
{
    const struct kernels *k = b->x->k;
    real *x = st_reals(b, N, ST_BRIM), *y = st_reals(b, N, ST_BRIM), *z = st_reals(b, N, ST_BRIM);
    real *o = st_reals(b, N, ST_ZERO);
    bf16 *h = st_halves(b, N, ST_ZERO);
    static const int exponents[] = {-1, -2, -64, -63};
    real a = st_brim(b, exponents[variant & 3]), c = st_brim(b, exponents[variant >> 2 & 3]);
    k->axpby(o, a, x, c, z, N);
    st_hash_reals(b, o, N);
    k->scale(y, a, N);
    st_hash_reals(b, y, N);
    k->bf16_from_f32(h, y, N);
    st_hash_halves(b, h, N);
    k->add(y, x, N);
    st_hash_reals(b, y, N);
    for (size_t i = 0; i < 60; i++)
        o[i] = k->sum_sq(x + 16 * i, i + 1);
    st_hash_reals(b, o, 60);
}

static void optimizers(struct battery *b, int variant)
{
    const struct kernels *k = b->x->k;
    real *w = st_reals(b, N, ST_BRIM), *m = st_reals(b, N, ST_BRIM), *v = st_reals(b, N, ST_BRIM);
    real *g = st_reals(b, N, ST_BRIM), *u = st_reals(b, N, ST_ZERO);
    real *m2 = st_reals(b, N, ST_BRIM), *w2 = st_reals(b, N, ST_BRIM);
    for (size_t i = 0; i < N; i++) {
        v[i] = i % 2 ? 0 : v[i] < 0 ? -v[i] : v[i];
        g[i] = i % 3 ? g[i] : 0;
    }
    const real scale = setting(b, 1, -1);
    const struct adamw_args a = {.lr = setting(b, 0x1p-26f, -1), .beta1 = rate(b, 1), .beta2 = rate(b, 0.5f),
                                 .eps = variant % 2 ? 1 : 0x1p-63f, .weight_decay = 0.25f, .bias1 = 1,
                                 .bias2 = setting(b, 1, 0), .grad_scale = scale};
    k->adamw(w, m, v, g, N, &a);
    st_hash_reals(b, w, N);
    st_hash_reals(b, m, N);
    st_hash_reals(b, v, N);
    k->muon_momentum(u, m2, g, N, rate(b, 1), scale);
    st_hash_reals(b, u, N);
    st_hash_reals(b, m2, N);
    k->muon_apply(w2, g, N, a.lr, 0.25f, variant % 3);
    st_hash_reals(b, w2, N);
}

/* (1 − beta2)·(g·g) and fma(mu, m, t), which chance does not bring to the brim. */
static void second_moments(struct battery *b)
{
    const struct kernels *k = b->x->k;
    static const real gs[4] = {0x1p-126f, -0x1p-126f, 0x1p-125f, 0};
    static const real ms[4] = {0x1p-99f, -0x1p-99f, 0x1.8p-99f, -0x1.8p-99f};
    for (int i = 0; i < 100; i++) {
        real g = 0x1p-63f * (1 + (real)rng_below(&b->rng, 6 << 20) * 0x1p-24f), q = (g * g) * 0x1p126f, w[] = {1, 0, 0};
        uint64_t f = (UINT64_C(1) << 47) / (uint64_t)(q * 0x1p23f);
        const struct adamw_args a = {.lr = 1, .beta2 = 1 - (real)f * 0x1p-24f, .eps = 1, .bias1 = 1, .bias2 = 1,
                                     .grad_scale = 1};
        k->adamw(w, w + 1, w + 2, &g, 1, &a);
        st_hash_reals(b, w, 3);
    }
    real *g = st_reals(b, N, ST_ZERO), *m = st_reals(b, N, ST_ZERO), *u = st_reals(b, N, ST_ZERO);
    for (int i = 0; i < N; i++) {
        g[i] = one_of(b, gs, 4);
        m[i] = one_of(b, ms, 4);
    }
    k->muon_momentum(u, m, g, N, 0x1p-26f, 1);
    st_hash_reals(b, u, N);
    st_hash_reals(b, m, N);
}

/* Rows under an eps that makes 1/sqrt(eps) a factor at the brim; then gradients with a given 1/rms. */
static void norm(struct battery *b, int rows, int n)
{
    const struct kernels *k = b->x->k;
    size_t size = (size_t)rows * (size_t)n;
    real *x = st_reals(b, size, ST_BRIM), *gain = st_reals(b, (size_t)n, ST_BRIM);
    real *rstd = st_reals(b, (size_t)rows, ST_ZERO);
    real *dx = st_reals(b, size, ST_BRIM), *dgain = st_reals(b, size, ST_ZERO);
    bf16 *y = st_halves(b, size, ST_ZERO), *dy = st_halves(b, size, ST_BRIM);
    for (size_t i = 0; i < size; i++) {
        dx[i] = i % 2 ? dx[i] : 0;
        dy[i] = i % 5 ? dy[i] : bf16_round(st_brim(b, 1));
    }
    for (int j = 0; j < n; j++)
        gain[j] = j % 2 ? st_brim(b, -1) : 1;
    for (int r = 0; r < rows; r++) {
        int at = r * n;
        rstd[r] = setting(b, 1, -1);
        k->rmsnorm_bwd(dx + at, n, dgain + at, dy + at, n, x + at, n, rstd + r, gain, 1, n);
    }
    st_hash_reals(b, dx, size);
    st_hash_reals(b, dgain, size);
    for (size_t i = 0; i < size; i++)
        x[i] = st_brim(b, i % 3 ? -126 : -64);
    for (int r = 0; r < rows; r++) {
        real e = setting(b, 1, 0);
        k->rmsnorm_fwd(y + r * n, n, rstd + r, x + r * n, n, gain, 1, n, e * e);
    }
    st_hash_halves(b, y, size);
    st_hash_reals(b, rstd, (size_t)rows);
}

/* Two elements: the mean is what the first brings to the brim, or hangs on the second alone. */
static void norm_pairs(struct battery *b)
{
    enum { ROWS = 2000 };
    const struct kernels *k = b->x->k;
    for (int r = 0; r < ROWS; r++) {
        const uint32_t i = rng_below(&b->rng, 8);
        const real half = st_brim_side(i, 0, -1), tiny = st_brim_side(i, 0, -126);
        const real other_half = st_brim_side(i, 1, -1), other_tiny = st_brim_side(i, 1, -126);
        const real xs[] = {half, 1, tiny, 0}, ts[] = {tiny, other_tiny, half, 16, 0};
        real gain[] = {r & 1 ? other_half : 1, 1}, rstd = r & 2 ? other_half : 1, dx[2] = {0}, dgain[2] = {0};
        real t[] = {one_of(b, ts, 5), r & 4 ? 0x1p-122f : 2 * other_tiny}, x[] = {one_of(b, xs, 4), 1};
        bf16 h[] = {bf16_round(x[0]), bf16_round(1)}, dy[] = {bf16_round(t[0]), bf16_round(t[1])}, dh[2];
        k->rmsnorm_bwd(dx, 2, dgain, dy, 2, x, 2, &rstd, gain, 1, 2);
        st_hash_reals(b, dx, 2);
        st_hash_reals(b, dgain, 2);
        dgain[0] = dgain[1] = 0;
        k->qk_bwd(dh, 2, dgain, t, 2, h, 2, &rstd, gain, (struct rope_table){NULL, NULL}, NULL, 1, 1, 2);
        st_hash_halves(b, dh, 2);
        st_hash_reals(b, dgain, 2);
    }
}

static void qk(struct battery *b, int d, bool norm_on, bool turn)
{
    enum { ROWS = 60, HEADS = 3 };
    const struct kernels *k = b->x->k;
    const int ld = HEADS * d;
    size_t size = (size_t)(ROWS * ld), table = (size_t)(ROWS * (d / 2));
    bf16 *x = st_halves(b, size, ST_BRIM), *y = st_halves(b, size, ST_ZERO), *dx = st_halves(b, size, ST_ZERO);
    real *dy = st_reals(b, size, ST_BRIM), *rstd = st_reals(b, ROWS * HEADS, ST_BRIM);
    real *gain = norm_on ? st_reals(b, (size_t)d, ST_BRIM) : NULL, *dgain = st_reals(b, (size_t)d, ST_ZERO);
    real *c = st_reals(b, table, ST_BRIM), *s = st_reals(b, table, ST_BRIM);
    struct rope_table rope = {turn ? c : NULL, turn ? s : NULL};
    int pos[ROWS];
    for (int r = 0; r < ROWS; r++)
        pos[r] = r;
    k->qk_bwd(dx, ld, dgain, dy, ld, x, ld, rstd, gain, rope, pos, ROWS, HEADS, d);
    st_hash_halves(b, dx, size);
    st_hash_reals(b, dgain, (size_t)d);
    for (size_t i = 0; i < size && norm_on; i++)
        x[i] = bf16_round(st_brim(b, i % 3 ? -126 : -64));
    for (int j = 0; j < d && norm_on; j++)
        gain[j] = j % 2 ? st_brim(b, -1) : 1;
    for (int r = 0; r < ROWS; r++) {
        real e = setting(b, 1, 0);
        k->qk_fwd(y + r * ld, ld, rstd + r * HEADS, x + r * ld, ld, gain, rope, pos + r, 1, HEADS, d, e * e);
    }
    st_hash_halves(b, y, size);
    st_hash_reals(b, rstd, ROWS * HEADS);
}

/* Found by search: with sigmoid(g) a factor of 24 bits, (dy·u)·s and ((dy·u)·s)·fma(g, 1 − s, 1).  Among all g, g·s and
 * its products with bf16 values there is none. */
static void swiglu(struct battery *b)
{
    static const real found[][3] = {
        {0x1p-14f, 151, 217},  {0x1p-13f, 129, 254},  {0x1.4p-12f, 163, 201},
        {-0x1p-13f, 145, 226}, {-0x1p-14f, 145, 226}, {-0x1p-12f, 136, 241}};
    enum { COUNT = sizeof found / sizeof *found };
    const struct kernels *k = b->x->k;
    for (int i = 0; i < COUNT; i++)
        for (int sign = 0; sign < 4; sign++) {
            real d = found[i][1] * 0x1p-70f, u = found[i][2] * 0x1p-70f;
            bf16 gu[] = {bf16_round(found[i][0]), bf16_round(sign & 1 ? -u : u)}, dgu[2];
            bf16 dy = bf16_round(sign & 2 ? -d : d);
            k->swiglu_bwd(dgu, 2, &dy, 1, gu, 2, 1, 1);
            st_hash_halves(b, dgu, 2);
        }
}

/* Found by search: n logits of 0 and one whose probability exp(z)·(1/n) is at the brim. */
static void probabilities(struct battery *b)
{
    enum { MOST = 2080 };
    static const struct {
        int n;
        real z;
    } found[] = {{381, -0x1.459332p+6f}, {639, -0x1.4381aep+6f}, {1108, -0x1.414e1p+6f}, {1304, -0x1.40a746p+6f},
                 {1325, -0x1.4096eap+6f}, {1432, -0x1.404764p+6f}, {1719, -0x1.3f8c56p+6f}, {2074, -0x1.3ecc18p+6f}};
    const struct kernels *k = b->x->k;
    real *z = st_reals(b, MOST, ST_ZERO), *p = st_reals(b, MOST, ST_ZERO), l;
    bf16 *d = st_halves(b, MOST, ST_ZERO);
    for (size_t i = 0; i < sizeof found / sizeof *found; i++) {
        const int n = found[i].n;
        z[n] = found[i].z;
        k->softmax(p, z, n + 1);
        st_hash_reals(b, p, (size_t)n + 1);
        k->cross_entropy(d, &l, z, n + 1, 0, 2);
        st_hash_halves(b, d, (size_t)n + 1);
        z[n] = 0;
    }
}

/* Gradients of one logit among equal ones: p = 1/n, times a factor at the brim. */
static void loss(struct battery *b)
{
    enum { MOST = 64 };
    const struct kernels *k = b->x->k;
    for (int n = 2; n <= MOST; n++) {
        real *z = st_reals(b, MOST, ST_ZERO), l = 0, p = 1 / (real)n;
        bf16 *d = st_halves(b, MOST, ST_ZERO);
        for (int i = -2; i <= 2; i++) {
            k->cross_entropy(d, &l, z, n, 0, 0x1p-126f / p * (1 + (real)i * 0x1p-23f));
            st_hash_halves(b, d, (size_t)n);
        }
    }
}

static void attention(struct battery *b)
{
    enum { ROWS = 64, KEYS = 64, D = 64 };
    const struct kernels *k = b->x->k;
    const size_t all = ROWS * KEYS;
    real *s = st_reals(b, all, ST_BRIM), *p = st_reals(b, all, ST_ZERO), *dp = st_reals(b, all, ST_BRIM);
    real *o = st_reals(b, ROWS * D, ST_BRIM), *corr = st_reals(b, ROWS, ST_BRIM), *l = st_reals(b, ROWS, ST_BRIM);
    real *m = st_reals(b, ROWS, ST_ZERO), *zero = st_reals(b, ROWS, ST_ZERO), own[ROWS], one[ROWS];
    real *delta = st_reals(b, ROWS, ST_ZERO);
    bf16 *y = st_halves(b, ROWS * D, ST_ZERO);
    int lo[ROWS], hi[ROWS], none[ROWS], most[ROWS];
    const real scale = setting(b, 1, -1);
    k->attn_finish(y, D, o, D, l, ROWS, D);
    st_hash_halves(b, y, ROWS * D);
    k->attn_rescale(o, D, corr, ROWS, D);
    st_hash_reals(b, o, ROWS * D);
    /* One key a row, so that its score is the maximum. */
    for (int r = 0; r < ROWS; r++) {
        lo[r] = r;
        hi[r] = r + 1;
        none[r] = 0;
        most[r] = KEYS;
        m[r] = -(real)__builtin_inf();
        l[r] = 0;
        one[r] = setting(b, 1, 0);
    }
    k->attn_softmax(p, KEYS, m, l, own, s, KEYS, lo, hi, ROWS, scale);
    st_hash_reals(b, m, ROWS);
    st_hash_reals(b, p, all);
    /* The last rows, found by search: exp(−m)·(1/l) is at the brim. */
    static const real found[][2] = {{0x1p-5f, 0x1.f03f56p+125f},
                                    {0x1.4p-4f, 0x1.d985c8p+125f},
                                    {0x1p-3f, 0x1.c3d6a2p+125f},
                                    {0x1p-3f, 0x1.c3d6a4p+125f},
                                    {0x1.ap-3f, 0x1.a1e1dap+125f}};
    for (int i = 0; i < 5; i++) {
        zero[ROWS - 1 - i] = found[i][0];
        one[ROWS - 1 - i] = found[i][1];
    }
    for (size_t i = 0; i < all; i++)
        s[i] = i % 5 ? 0 : s[i];
    k->attn_softmax_bwd(s, KEYS, dp, KEYS, zero, one, delta, none, most, ROWS, scale);
    st_hash_reals(b, s, all);
    st_hash_reals(b, dp, all);
}

/* ---- products: 2^-126 first, then crumbs of about 2^-151 that it loses or not ---- */

/* Rows of k values: two of ±2^-63, then some (every one when whole) of about 2^exponent. */
static bf16 *crumbs(struct battery *b, int rows, int k, int exponent, bool whole)
{
    bf16 *p = st_halves(b, (size_t)rows * (size_t)k, ST_ZERO);
    for (int r = 0; r < rows; r++)
        for (int i = 0; i < k; i++) {
            uint32_t u = rng_u32(&b->rng);
            real v = st_brim(b, i < 2 ? -63 : exponent + (int)(u & 1));
            if (i < 2 || (u >> 1) % 3 == 0)
                v = (v < 0 ? -1 : 1) * (i < 2 ? 0x1p-63f : u & 1 ? 0x1p-88f : 0x1p-89f) *
                    (whole && i >= 2 ? 0x1p26f : 1);
            p[r * k + i] = whole || i < 2 || (u >> 8) % 6 == 0 ? bf16_round(v) : bf16_round(0);
        }
    return p;
}

static void products(struct battery *b, int m, int n, int k)
{
    const struct kernels *kn = b->x->k;
    const struct gemm_unit *u = &kn->gemm;
    bf16 *a = crumbs(b, m, k, -89, false), *w = crumbs(b, n, k, -63, true);
    bf16 *wp = st_halves(b, (size_t)((n + WP_NR - 1) / WP_NR * WP_NR) * (size_t)gemm_kp(k), ST_ZERO);
    size_t size = (size_t)m * (size_t)n;
    real *c = st_reals(b, size, ST_ZERO);
    void *pa = arena_take(&b->arena, gemm_a_bytes(u, m, k), 1);
    void *pb = arena_take(&b->arena, gemm_b_bytes(u, n, k), 1);
    const struct gemm_src sa = {a, DT_BF16, false, k}, sw = {w, DT_BF16, false, k};
    u->pack_a(pa, sa, m, k);
    u->pack_b(pb, sw, n, k);
    u->enter();
    u->block(c, n, pa, pb, m, n, gemm_kp(k), true);
    st_hash_reals(b, c, size);
    u->block(c, n, pa, pb, m, n, gemm_kp(k), false);
    u->leave();
    st_hash_reals(b, c, size);
    kn->wp_pack(wp, sw, 0, n, n, k);
    for (int r = 0; r < m; r += 8)
        kn->gemv_wp(c + r * n, n, a + r * k, k, wp, m - r < 8 ? m - r : 8, 0, n, k, r % 16);
    st_hash_reals(b, c, size);
}

static void few_rows(struct battery *b, int d)
{
    enum { ROWS = 9, KEYS = 64 };
    const struct kernels *k = b->x->k;
    bf16 *q = crumbs(b, ROWS, d, -89, false), *key = crumbs(b, KEYS, d, -63, true);
    bf16 *p = crumbs(b, ROWS, KEYS, -89, false), *vt = crumbs(b, d, KEYS, -63, true);
    bf16 *v = st_halves(b, (size_t)(KEYS * d), ST_ZERO);
    real *qf = st_reals(b, (size_t)(ROWS * d), ST_ZERO), *pf = st_reals(b, ROWS * KEYS, ST_ZERO);
    real *s = st_reals(b, ROWS * KEYS, ST_ZERO), *o = st_reals(b, (size_t)(ROWS * d), ST_ZERO);
    for (int j = 0; j < KEYS; j++)
        for (int c = 0; c < d; c++)
            v[j * d + c] = vt[c * KEYS + j];
    k->f32_from_bf16(qf, q, (size_t)(ROWS * d));
    k->f32_from_bf16(pf, p, ROWS * KEYS);
    k->attn_qk(s, KEYS, qf, d, key, d, ROWS, KEYS, d);
    k->attn_pv(o, d, pf, KEYS, v, d, ROWS, KEYS, d);
    st_hash_reals(b, s, ROWS * KEYS);
    st_hash_reals(b, o, (size_t)(ROWS * d));
}

void st_tiny(struct battery *b)
{
    for (int i = 0; i < VARIANTS; i++) {
        vectors(b, i);
        optimizers(b, i);
        attention(b);
        b->arena.used = 0;
    }
    second_moments(b);
    norm(b, 300, 17);
    norm(b, 9, 1003);
    norm_pairs(b);
    for (int v = 1; v < 4; v++) {
        qk(b, 64, v & 1, v & 2);
        qk(b, 40, v & 1, v & 2);
    }
    loss(b);
    swiglu(b);
    probabilities(b);
    products(b, 5, 17, 96);
    products(b, 33, 65, 64);
    few_rows(b, 64);
    few_rows(b, 40);
}
