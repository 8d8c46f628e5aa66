/* The battery's matrix products, attention and ops: every slot that packs or multiplies, and the
 * threaded ops above them. */
#include "nn/attention.h"
#include "nn/gemm.h"
#include "nn/ops.h"
#include "nn/selftest_parts.h"

/* ---- the unit: packed panels differ by instruction set, what comes out of them does not ---- */

static void unit(struct battery *b, int m, int n, int k, bool trans, enum dtype type, enum st_input kind)
{
    const struct gemm_unit *u = &b->x->k->gemm;
    struct mat (*make)(struct battery *, int, int, enum st_input) = type == DT_F32 ? reals : halves;
    struct mat a = trans ? make(b, k, m, kind) : make(b, m, k, kind);
    struct mat w = trans ? make(b, k, n, kind) : make(b, n, k, kind);
    struct mat c = reals(b, m, n, ST_UNIT);
    void *pa = arena_take(&b->arena, gemm_a_bytes(u, m, k), 1);
    void *pb = arena_take(&b->arena, gemm_b_bytes(u, n, k), 1);
    u->pack_a(pa, src_of(a, trans), m, k);
    u->pack_b(pb, src_of(w, trans), n, k);
    u->enter();
    u->block(mat_f(c), c.stride, pa, pb, m, n, gemm_kp(k), false);
    hash_mat(b, c);
    u->block(mat_f(c), c.stride, pa, pb, m, n, gemm_kp(k), true);
    u->leave();
    hash_mat(b, c);
}

void st_unit(struct battery *b)
{
    static const int shape[][3] = {{1, 1, 1}, {5, 17, 31}, {16, 48, 64}, {33, 65, 100}, {7, 130, 257}};
    for (int i = 0; i < 5; i++)
        for (int v = 0; v < 4; v++)
            unit(b, shape[i][0], shape[i][1], shape[i][2], v & 1, v & 2 ? DT_BF16 : DT_F32, ST_UNIT);
    unit(b, 33, 65, 100, false, DT_F32, ST_WIDE);
    unit(b, 33, 65, 100, true, DT_BF16, ST_TINY);
}

void st_gemv(struct battery *b)
{
    enum { M = 8 };
    static const int shape[][2] = {{16, 32}, {77, 130}, {200, 63}};
    const struct kernels *kn = b->x->k;
    for (int i = 0; i < 3; i++) {
        const int n = shape[i][0], k = shape[i][1], np = (n + WP_NR - 1) / WP_NR * WP_NR;
        struct mat w = reals(b, n, k, ST_UNIT), x = halves(b, M, k, ST_UNIT), y = reals(b, M, n, ST_UNIT);
        bf16 *wp = arena_take(&b->arena, (size_t)np * (size_t)gemm_kp(k), sizeof *wp);
        kn->wp_pack(wp, src_of(w, false), 0, n, n, k);
        for (int m = 1; m <= M; m++) {
            kn->gemv_wp(mat_f(y), y.stride, mat_b(x), x.stride, wp, m, 0, n, k, m % 2);
            hash_mat(b, y);
        }
        /* wp_to_b gives panels of the unit; their product shows what is in them. */
        const struct gemm_unit *u = &kn->gemm;
        void *pa = arena_take(&b->arena, gemm_a_bytes(u, M, k), 1);
        void *pb = arena_take(&b->arena, gemm_b_bytes(u, n, k), 1);
        u->pack_a(pa, src_of(x, false), M, k);
        kn->wp_to_b(pb, wp, 0, n, n, k, 0, k);
        u->enter();
        u->block(mat_f(y), y.stride, pa, pb, M, n, gemm_kp(k), true);
        u->leave();
        hash_mat(b, y);
    }
}

static void attn_pieces(struct battery *b, int d, real scale, enum st_input kind)
{
    enum { ROWS = 9, KEYS = 64 };
    static const int lo[ROWS] = {0, 0, -5, 10, 64, 3, -70, 0, 20}, hi[ROWS] = {64, 1, 30, 64, 64, 3, -3, 100, 37};
    const struct kernels *k = b->x->k;
    struct mat q = halves(b, ROWS, d, kind), key = halves(b, KEYS, d, kind), v = halves(b, KEYS, d, ST_UNIT);
    struct mat qf = reals(b, ROWS, d, ST_ZERO), s = reals(b, ROWS, KEYS, ST_ZERO), p = reals(b, ROWS, KEYS, ST_UNIT);
    struct mat o = reals(b, ROWS, d, ST_UNIT), y = halves(b, ROWS, d, ST_ZERO), d_o = halves(b, ROWS, d, ST_UNIT);
    struct mat dp = reals(b, ROWS, KEYS, ST_UNIT);
    real *m = st_reals(b, ROWS, ST_UNIT), *l = st_reals(b, ROWS, ST_ZERO), corr[ROWS], delta[ROWS];
    for (int r = 0; r < ROWS; r++) {
        l[r] = r % 3 ? 2 : 0;
        if (r % 3 == 0)
            m[r] = -(real)__builtin_inf();
    }
    k->f32_from_bf16(mat_f(qf), mat_b(q), (size_t)(ROWS * d));
    k->attn_qk(mat_f(s), s.stride, mat_f(qf), qf.stride, mat_b(key), key.stride, ROWS, KEYS, d);
    hash_mat(b, s);
    k->attn_softmax(mat_f(p), p.stride, m, l, corr, mat_f(s), s.stride, lo, hi, ROWS, scale);
    hash_mat(b, p);
    st_hash_reals(b, m, ROWS);
    st_hash_reals(b, l, ROWS);
    st_hash_reals(b, corr, ROWS);
    k->attn_rescale(mat_f(o), o.stride, corr, ROWS, d);
    k->attn_pv(mat_f(o), o.stride, mat_f(p), p.stride, mat_b(v), v.stride, ROWS, KEYS, d);
    hash_mat(b, o);
    k->attn_finish(mat_b(y), y.stride, mat_f(o), o.stride, l, ROWS, d);
    hash_mat(b, y);
    k->attn_delta(delta, mat_b(y), y.stride, mat_b(d_o), d_o.stride, ROWS, d);
    st_hash_reals(b, delta, ROWS);
    k->attn_softmax_bwd(mat_f(s), s.stride, mat_f(dp), dp.stride, m, l, delta, lo, hi, ROWS, scale);
    hash_mat(b, s);
    hash_mat(b, dp);
}

void st_attn_pieces(struct battery *b)
{
    attn_pieces(b, 64, 0.125f, ST_UNIT);
    attn_pieces(b, 40, 4, ST_UNIT);
    attn_pieces(b, 128, 0.09f, ST_UNIT);
    attn_pieces(b, 64, 0.125f, ST_TINY);
}

/* ---- threaded ---- */

static void linear(struct battery *b, int m, int n, int k)
{
    struct mat x = halves(b, m, k, ST_UNIT), w = reals(b, n, k, ST_UNIT), y = halves(b, m, n, ST_ZERO);
    struct mat dx = reals(b, m, k, ST_UNIT), dw = reals(b, n, k, ST_UNIT), res = reals(b, m, n, ST_UNIT);
    gemm(b->x, &(struct gemm_args){.c = y, .a = x, .b = w, .b_trans = true});
    gemm(b->x, &(struct gemm_args){.c = res, .init = res, .a = x, .b = w, .b_trans = true});
    gemm(b->x, &(struct gemm_args){.c = dx, .a = y, .b = w});
    gemm(b->x, &(struct gemm_args){.c = dw, .init = dw, .a = y, .a_trans = true, .b = x});
    hash_mat(b, y);
    hash_mat(b, res);
    hash_mat(b, dx);
    hash_mat(b, dw);
    struct wpack wp = {st_halves(b, wpack_elems(n, k), ST_ZERO), n, k};
    wpack_fill(b->x, &wp, 0, w);
    gemm_wp(b->x, res, (struct mat){0}, x, &wp);
    hash_mat(b, res);
    gemm_wp(b->x, mat_rows(res, 0, 1), mat_rows(res, 0, 1), mat_rows(x, 0, 1), &wp);
    hash_mat(b, res);
}

void st_gemm(struct battery *b)
{
    linear(b, 1, 1, 1);
    linear(b, 3, 50, 33);
    linear(b, 70, 130, 96);
    linear(b, 20, 300, 1100);
    linear(b, 257, 100, 64);
}

struct heads_case {
    struct attn_shape s;
    int len[6];
};

static void attention_case(struct battery *b, const struct heads_case *h)
{
    const struct attn_shape s = h->s;
    struct attn_seg seg[6];
    int n = 0, rows = 0;
    for (; n < 6 && h->len[n] > 0; n++)
        rows += h->len[n];
    const int qc = s.n_head * s.d_head, kc = s.n_kv * s.d_head;
    size_t stats = (size_t)(rows * s.n_head);
    struct mat q = halves(b, rows, qc, ST_UNIT), k = halves(b, rows, kc, ST_UNIT), v = halves(b, rows, kc, ST_UNIT);
    struct mat o = halves(b, rows, qc, ST_ZERO), d_o = halves(b, rows, qc, ST_UNIT);
    struct mat dq = reals(b, rows, qc, ST_ZERO), dk = reals(b, rows, kc, ST_ZERO), dv = reals(b, rows, kc, ST_ZERO);
    real *m = st_reals(b, stats, ST_ZERO), *l = st_reals(b, stats, ST_ZERO), *delta = st_reals(b, stats, ST_ZERO);
    for (int i = 0, row = 0; i < n; row += h->len[i++])
        seg[i] = (struct attn_seg){row, h->len[i], 0,
                                   {mat_b(mat_rows(k, row, 1)), mat_b(mat_rows(v, row, 1)), kc,
                                    (ptrdiff_t)KV_PAGE * kc, NULL, h->len[i]}};
    attention_fwd(b->x, o, m, l, q, seg, n, s);
    hash_mat(b, o);
    st_hash_reals(b, m, stats);
    st_hash_reals(b, l, stats);
    attention_bwd(b->x, dq, dk, dv, delta, d_o, o, m, l, q, k, v, seg, n, s);
    hash_mat(b, dq);
    hash_mat(b, dk);
    hash_mat(b, dv);
    /* Decoding: the last query of every sequence alone, against all its keys. */
    for (int i = 0; i < n; i++) {
        seg[i].row += seg[i].n - 1;
        seg[i].pos0 = seg[i].n - 1;
        seg[i].n = 1;
    }
    attention_fwd(b->x, o, NULL, NULL, q, seg, n, s);
    hash_mat(b, o);
}

void st_attention(struct battery *b)
{
    static const struct heads_case cases[] = {
        {{4, 2, 64, 0, 0.125f}, {150, 1, 64, 65, 7}},
        {{3, 1, 40, 17, 0.158f}, {100, 33}},
        {{2, 2, 128, 64, 0.088f}, {129, 63, 2}},
        {{4, 1, 32, 0, 2.0f}, {90, 40}},
    };
    for (int i = 0; i < 4; i++)
        attention_case(b, &cases[i]);
}

void st_ops(struct battery *b)
{
    enum { ROWS = 101, D = 96, HEADS = 3, HD = 32, FF = 150, TOKENS = 19, LONG = 20011, POS = 128 };
    const struct nn *x = b->x;
    struct mat in = reals(b, ROWS, D, ST_UNIT), y = halves(b, ROWS, D, ST_ZERO), z = halves(b, ROWS, D, ST_ZERO);
    struct mat dx = reals(b, ROWS, D, ST_UNIT), dy = halves(b, ROWS, D, ST_UNIT), df = reals(b, ROWS, D, ST_UNIT);
    real *gain = st_reals(b, D, ST_UNIT), *dgain = st_reals(b, D, ST_UNIT), *rstd = st_reals(b, ROWS * HEADS, ST_ZERO);
    real *c = st_reals(b, POS * HD / 2, ST_ZERO), *s = st_reals(b, POS * HD / 2, ST_ZERO);
    int *pos = st_ints(b, ROWS, POS), *tok = st_ints(b, ROWS, TOKENS);
    op_rmsnorm_fwd(x, y, rstd, in, gain, 1e-6f);
    op_rmsnorm_bwd(x, dx, dgain, dy, in, rstd, gain);
    hash_mat(b, y);
    hash_mat(b, dx);
    st_hash_reals(b, dgain, D);

    kernels_rope_fill(c, s, POS, HD, 1e4);
    struct qk_shape shape = {HEADS, HD, 1e-6f, {c, s}};
    op_qk_fwd(x, z, rstd, y, gain, pos, shape);
    hash_mat(b, z);
    op_qk_bwd(x, z, dgain, df, y, rstd, gain, pos, shape);
    hash_mat(b, z);
    st_hash_reals(b, dgain, D);

    struct mat gu = halves(b, ROWS, 2 * FF, ST_LOGIT), dgu = halves(b, ROWS, 2 * FF, ST_ZERO);
    struct mat h = halves(b, ROWS, FF, ST_ZERO), dh = halves(b, ROWS, FF, ST_UNIT);
    op_swiglu_fwd(x, h, gu);
    op_swiglu_bwd(x, dgu, dh, gu);
    hash_mat(b, h);
    hash_mat(b, dgu);

    real *table = st_reals(b, TOKENS * D, ST_UNIT);
    op_embed_fwd(x, in, table, tok);
    op_embed_bwd(x, table, dx, tok);
    op_to_bf16(x, y, in);
    hash_mat(b, in);
    hash_mat(b, y);
    st_hash_reals(b, table, TOKENS * D);

    real *v = st_reals(b, LONG, ST_UNIT), *w = st_reals(b, LONG, ST_UNIT);
    op_add(x, v, w, LONG);
    op_scale(x, v, 0.3f, LONG);
    st_hash_reals(b, v, LONG);
    double sums[] = {op_sum(x, v, LONG), op_sum_sq(x, v, LONG), op_finite(x, v, LONG) ? 1 : 0};
    st_hash_doubles(b, sums, 3);
    op_zero(x, v, LONG * sizeof *v);
    st_hash_reals(b, v, LONG);
}

void st_head(struct battery *b)
{
    enum { ROWS = 70, D = 64, VOCAB = 1003 };
    struct mat h = halves(b, ROWS, D, ST_UNIT), w = reals(b, VOCAB, D, ST_UNIT), dh = halves(b, ROWS, D, ST_ZERO);
    real *loss = st_reals(b, ROWS, ST_ZERO), *dw = st_reals(b, VOCAB * D, ST_UNIT);
    int *target = st_ints(b, ROWS, VOCAB), *best = st_ints(b, ROWS, VOCAB);
    for (int r = 0; r < ROWS; r += 9)
        target[r] = -1;
    void *space = arena_take(&b->arena, op_head_space(VOCAB, ROWS, true), 1);
    op_head_loss(b->x, loss, dh, dw, best, h, w, target, 0x1p-6f, false, space);
    st_hash_reals(b, loss, ROWS);
    hash_mat(b, dh);
    st_hash_reals(b, dw, VOCAB * D);
    sha256_add(b->hash, best, ROWS * sizeof *best);
}
