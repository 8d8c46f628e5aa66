/* Attention: equal bits for every instruction set, tiling, chunking, paging and thread count, and
 * values against a plain softmax in binary64. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/rng.h"
#include "kernels/cpu.h"
#include "kernels/fill.h"
#include "kernels/peak.h"
#include "nn/attention.h"

void gemm_fill_amx_emulated(struct kernels *k);
void gemm_fill_avx512bf16_emulated(struct kernels *k);

enum { MAX_TABLES = 6, GUARD = 4096 };
static const struct kernels *tables[MAX_TABLES];
static const char *table_name[MAX_TABLES];
static int n_tables;
static struct kernels tiles, dots;   /* on emulated instructions */

static int make_tables(void **state)
{
    (void)state;
    for (int isa = ISA_REF; isa <= ISA_AVX512BF16; isa++)
        if (kernels_get((enum isa)isa)) {
            table_name[n_tables] = isa_name((enum isa)isa);
            tables[n_tables++] = kernels_get((enum isa)isa);
        }
#ifdef DK_X86
    if (kernels_get(ISA_AVX512)) {
        tiles = dots = *kernels_get(ISA_AVX512);
        gemm_fill_amx_emulated(&tiles);
        table_name[n_tables] = "amx on emulated tiles";
        tables[n_tables++] = &tiles;
        gemm_fill_avx512bf16_emulated(&dots);
        table_name[n_tables] = "avx512bf16 on emulated dots";
        tables[n_tables++] = &dots;
    }
#endif
    kernels_fp_enter();
    return 0;
}

/* ---- values ---- */

static float draw(uint32_t stream, size_t i)
{
    return 2 * rng_unit_f32(rng_philox(7, RNG_TEST, stream, i).v[0]) - 1;
}

static bf16 *draw_bf16(size_t n, uint32_t stream, float scale)
{
    bf16 *p = malloc((n + 1) * sizeof *p);
    assert_non_null(p);
    for (size_t i = 0; i < n; i++)
        p[i] = bf16_round(draw(stream, i) * scale);
    return p;
}

/* Wide exponents, zeros of both signs and denormals among ordinary values. */
static bf16 *draw_wild(size_t n, uint32_t stream)
{
    bf16 *p = draw_bf16(n, stream, 2);
    for (size_t i = 0; i < n; i++) {
        uint32_t r = rng_philox(8, RNG_TEST, stream, i).v[1];
        if (r % 8 == 0)
            p[i].bits = (uint16_t)((r >> 16 & 0x8000) | (40 + (r >> 8) % 90) << 7 | (r >> 20 & 0x7f));
        else if (r % 31 == 0)
            p[i].bits = (uint16_t)(r >> 16 & 0x8007);
    }
    return p;
}

static float *draw_f32(size_t n, uint32_t stream, float scale)
{
    float *p = malloc((n + 1) * sizeof *p);
    assert_non_null(p);
    for (size_t i = 0; i < n; i++)
        p[i] = draw(stream, i) * scale;
    return p;
}

static void *copy_of(const void *p, size_t bytes)
{
    void *q = malloc(bytes + 1);
    assert_non_null(q);
    memcpy(q, p, bytes);
    return q;
}

static void assert_same_bits(const char *what, const char *who, const void *want, const void *got,
                             size_t bytes)
{
    const uint16_t *a = want, *b = got;
    for (size_t i = 0; i < bytes / 2; i++)
        if (a[i] != b[i])
            fail_msg("%s on %s: byte %zu of %zu differs (%04x, expected %04x)", what, who, 2 * i, bytes, b[i],
                     a[i]);
}

/* A struct nn whose scratch is exactly what the op asked for, with a guard behind. */
static struct nn nn_exact(const struct kernels *k, int threads, size_t bytes)
{
    struct nn x = {.k = k, .threads = threads, .scratch_bytes = (bytes + 63) & ~(size_t)63};
    size_t all = x.scratch_bytes * (size_t)threads;
    x.scratch = aligned_alloc(4096, (all + GUARD + 4095) & ~(size_t)4095);
    assert_non_null(x.scratch);
    memset(x.scratch, 0xff, all + GUARD); /* NaN everywhere */
    return x;
}

static void nn_exact_free(struct nn *x)
{
    const unsigned char *g = (unsigned char *)x->scratch + x->scratch_bytes * (size_t)x->threads;
    for (int i = 0; i < GUARD; i++)
        assert_int_equal(g[i], 0xff);
    free(x->scratch);
}

/* ---- the pieces against the reference ---- */

enum { PR = 41, LD = 80 }; /* rows; row stride with columns that nobody may touch */

static void draw_visibility(int *lo, int *hi, uint32_t stream)
{
    for (int r = 0; r < PR; r++) {
        uint32_t u = rng_philox(9, RNG_TEST, stream, (uint64_t)r).v[0];
        bool full = stream % 3 == 0 || (u & 7) < 3;
        lo[r] = full ? -(int)(u >> 8 & 63) : (int)(u >> 8 & 127) - 63;
        hi[r] = full ? 64 + (int)(u >> 16 & 63) : (int)(u >> 16 & 127) - 20;
    }
}

static void piece_softmax(const struct kernels *k, const char *who, int rows, uint32_t stream)
{
    const struct kernels *ref = tables[0];
    int lo[PR], hi[PR];
    draw_visibility(lo, hi, stream);
    float *s = draw_f32(PR * LD, stream, stream % 4 == 1 ? 600 : 20);
    float *p0 = draw_f32(PR * LD, 3, 1), *m0 = draw_f32(PR, 4, 3), *l0 = draw_f32(PR, 5, 9), *c0 = draw_f32(PR, 6, 1);
    for (int r = 0; r < PR; r++) {
        for (int j = 0; j < LD; j++)
            if (j < lo[r] || j >= hi[r] || j >= 64)
                s[r * LD + j] = NAN;
        if (r % 3 == 0)
            m0[r] = -INFINITY, l0[r] = 0;
        if (r % 5 == 1) /* maxima that are zeros */
            for (int j = 0; j < 64; j++)
                s[r * LD + j] = s[r * LD + j] != s[r * LD + j] ? s[r * LD + j] : j % 2 ? -0.0f : 0.0f;
        if (r % 5 == 1 && m0[r] > -9)
            m0[r] = 0;
    }
    float *p1 = copy_of(p0, PR * LD * 4), *m1 = copy_of(m0, PR * 4), *l1 = copy_of(l0, PR * 4);
    float *c1 = copy_of(c0, PR * 4);
    ref->attn_softmax(p0, LD, m0, l0, c0, s, LD, lo, hi, rows, 0.3f);
    k->attn_softmax(p1, LD, m1, l1, c1, s, LD, lo, hi, rows, 0.3f);
    assert_same_bits("softmax p", who, p0, p1, PR * LD * 4);
    assert_same_bits("softmax m", who, m0, m1, PR * 4);
    assert_same_bits("softmax l", who, l0, l1, PR * 4);
    assert_same_bits("softmax corr", who, c0, c1, PR * 4);
    for (int r = 0; r < rows; r++)
        for (int j = 0; j < 64; j++)
            assert_true(p0[r * LD + j] >= 0 && p0[r * LD + j] <= 1);
    free(s), free(p0), free(m0), free(l0), free(c0), free(p1), free(m1), free(l1), free(c1);
}

/* The same bits, or a NaN on both sides: which one is nobody's promise. */
static void assert_same_or_nan(const char *what, const char *who, const float *want, const float *got, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!(isnan(want[i]) && isnan(got[i])))
            assert_same_bits(what, who, want + i, got + i, sizeof *want);
}

/* Seen scores that are NaN, few or all of a row, beside infinities; maxima that are NaN already. */
static void piece_softmax_nan(const struct kernels *k, const char *who, int rows, uint32_t stream)
{
    int lo[PR], hi[PR];
    draw_visibility(lo, hi, stream);
    float *s = draw_f32(PR * LD, stream, 20);
    float *p0 = draw_f32(PR * LD, 3, 1), *m0 = draw_f32(PR, 4, 3), *l0 = draw_f32(PR, 5, 9), *c0 = draw_f32(PR, 6, 1);
    for (int r = 0; r < PR; r++) {
        for (int j = 0; j < 64; j++) {
            uint32_t u = rng_philox(10, RNG_TEST, stream, (uint64_t)(r * 64 + j)).v[0];
            if (r % 6 == 5 || (r % 6 && u % 32 < 1u << r % 6))
                s[r * LD + j] = u & 64 ? NAN : -NAN;
            else if (r % 4 == 3 && u % 32 > 29)
                s[r * LD + j] = u & 64 ? INFINITY : -INFINITY;
        }
        if (r % 3 == 0)
            m0[r] = -INFINITY, l0[r] = 0;
        if (r % 7 == 6)
            m0[r] = NAN;
    }
    float *p1 = copy_of(p0, PR * LD * 4), *m1 = copy_of(m0, PR * 4), *l1 = copy_of(l0, PR * 4);
    float *c1 = copy_of(c0, PR * 4);
    tables[0]->attn_softmax(p0, LD, m0, l0, c0, s, LD, lo, hi, rows, 0.3f);
    k->attn_softmax(p1, LD, m1, l1, c1, s, LD, lo, hi, rows, 0.3f);
    assert_same_or_nan("softmax m with NaN", who, m0, m1, PR);
    assert_same_or_nan("softmax p with NaN", who, p0, p1, PR * LD);
    assert_same_or_nan("softmax l with NaN", who, l0, l1, PR);
    assert_same_or_nan("softmax corr with NaN", who, c0, c1, PR);
    for (int r = 0; r < rows; r++)
        for (int j = lo[r] < 0 ? 0 : lo[r]; j < hi[r] && j < 64; j++)
            if (isnan(s[r * LD + j]))
                assert_true(isnan(l0[r]));
    free(s), free(p0), free(m0), free(l0), free(c0), free(p1), free(m1), free(l1), free(c1);
}

static void piece_softmax_bwd(const struct kernels *k, const char *who, int rows, uint32_t stream)
{
    int lo[PR], hi[PR];
    draw_visibility(lo, hi, stream);
    float *s0 = draw_f32(PR * LD, stream, 50), *g0 = draw_f32(PR * LD, stream + 1, 5);
    float *m = draw_f32(PR, 4, 30), *l = draw_f32(PR, 5, 9), *delta = draw_f32(PR, 6, 1);
    float *s1 = copy_of(s0, PR * LD * 4), *g1 = copy_of(g0, PR * LD * 4);
    tables[0]->attn_softmax_bwd(s0, LD, g0, LD, m, l, delta, lo, hi, rows, 0.3f);
    k->attn_softmax_bwd(s1, LD, g1, LD, m, l, delta, lo, hi, rows, 0.3f);
    assert_same_bits("softmax_bwd p", who, s0, s1, PR * LD * 4);
    assert_same_bits("softmax_bwd ds", who, g0, g1, PR * LD * 4);
    free(s0), free(g0), free(m), free(l), free(delta), free(s1), free(g1);
}

static void piece_rows(const struct kernels *k, const char *who, int rows, int d, uint32_t stream)
{
    enum { W = 150 };
    const struct kernels *ref = tables[0];
    float *o0 = draw_f32(PR * W, stream, 4), *corr = draw_f32(PR, 5, 1), *l = draw_f32(PR, 6, 1);
    bf16 *y0 = draw_wild(PR * W, 8), *y1 = copy_of(y0, PR * W * 2), *g = draw_wild(PR * W, 9);
    float *o1 = copy_of(o0, PR * W * 4), *t0 = draw_f32(PR, 3, 1), *t1 = copy_of(t0, PR * 4);
    corr[1] = l[2] = 0;
    corr[2] = 1e-38f;
    ref->attn_rescale(o0, W, corr, rows, d);
    k->attn_rescale(o1, W, corr, rows, d);
    assert_same_bits("rescale", who, o0, o1, PR * W * 4);
    ref->attn_delta(t0, y0, W, g, W, rows, d);
    k->attn_delta(t1, y0, W, g, W, rows, d);
    assert_same_bits("delta", who, t0, t1, PR * 4);
    ref->attn_finish(y0, W, o0, W, l, rows, d);
    k->attn_finish(y1, W, o0, W, l, rows, d);
    assert_same_bits("finish", who, y0, y1, PR * W * 2);
    free(o0), free(corr), free(l), free(y0), free(y1), free(g), free(o1), free(t0), free(t1);
}

/* Also against the matrix product unit: the two ways must agree. */
static void piece_small_products(const struct kernels *k, const char *who, int rows, int keys, int d)
{
    enum { W = 150 };
    const struct kernels *ref = tables[0];
    bf16 *qb = draw_wild(PR * W, 1), *kb = draw_wild(64 * W, 2), *vb = draw_wild(64 * W, 3);
    float *q = draw_f32(PR * W, 4, 1), *p = draw_f32(PR * LD, 5, 1), *o0 = draw_f32(PR * W, 6, 1);
    float *s0 = draw_f32(PR * LD, 7, 1), *s1 = copy_of(s0, PR * LD * 4), *o1 = copy_of(o0, PR * W * 4);
    float *s2 = copy_of(s0, PR * LD * 4), *o2 = copy_of(o0, PR * W * 4);
    for (int r = 0; r < rows; r++)
        ref->f32_from_bf16(q + r * W, qb + r * W, W);
    ref->attn_qk(s0, LD, q, W, kb, W, rows, keys, d);
    k->attn_qk(s1, LD, q, W, kb, W, rows, keys, d);
    assert_same_bits("qk", who, s0, s1, PR * LD * 4);
    ref->attn_pv(o0, W, p, LD, vb, W, rows, keys, d);
    k->attn_pv(o1, W, p, LD, vb, W, rows, keys, d);
    assert_same_bits("pv", who, o0, o1, PR * W * 4);
    const struct gemm_unit *u = &k->gemm;
    void *a = aligned_alloc(64, gemm_a_bytes(u, rows, 160)), *b = aligned_alloc(64, gemm_b_bytes(u, 160, 160));
    u->enter();
    u->pack_a(a, (struct gemm_src){qb, DT_BF16, false, W}, rows, d);
    u->pack_b(b, (struct gemm_src){kb, DT_BF16, false, W}, keys, d);
    u->block(s2, LD, a, b, rows, keys, gemm_kp(d), true);
    assert_same_bits("qk by blocks", who, s0, s2, PR * LD * 4);
    u->pack_a(a, (struct gemm_src){p, DT_F32, false, LD}, rows, keys);
    u->pack_b(b, (struct gemm_src){vb, DT_BF16, true, W}, d, keys);
    u->block(o2, W, a, b, rows, d, gemm_kp(keys), false);
    u->leave();
    assert_same_bits("pv by blocks", who, o0, o2, PR * W * 4);
    free(qb), free(kb), free(vb), free(q), free(p), free(o0), free(s0), free(s1), free(o1), free(s2), free(o2);
    free(a), free(b);
}

static void test_pieces(void **state)
{
    (void)state;
    static const int rows[] = {0, 1, 2, 5, 7, 8, 9, 15, 16, 17, 32, 40, 41};
    static const int depth[] = {1, 2, 7, 8, 16, 31, 32, 33, 48, 64, 80, 96, 100, 128, 145};
    for (int t = 0; t < n_tables; t++) {
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
            for (uint32_t stream = 0; stream < 12; stream++) {
                piece_softmax(tables[t], table_name[t], rows[i], stream);
                piece_softmax_nan(tables[t], table_name[t], rows[i], stream);
                piece_softmax_bwd(tables[t], table_name[t], rows[i], stream);
            }
        for (size_t i = 0; i < sizeof depth / sizeof *depth; i++) {
            piece_rows(tables[t], table_name[t], 41, depth[i], (uint32_t)i);
            static const int keys[] = {1, 15, 16, 31, 32, 33, 63, 64};
            for (size_t j = 0; j < sizeof keys / sizeof *keys; j++)
                piece_small_products(tables[t], table_name[t], 1 + (int)(i + j) % 9, keys[j], depth[i]);
        }
    }
}

/* ---- whole attention over packed documents ---- */

struct problem {
    struct attn_shape s;
    int n_seg, len[8], rows;
    bf16 *q, *k, *v, *d_o;
    struct attn_seg seg[8];
};

struct result {
    bf16 *o;
    float *m, *l, *dq, *dk, *dv;
};

static struct problem problem_new(struct attn_shape s, const int *len, int n_seg, bool wild)
{
    struct problem p = {.s = s, .n_seg = n_seg};
    for (int i = 0; i < n_seg; i++)
        p.rows += p.len[i] = len[i];
    size_t qn = (size_t)(p.rows * s.n_head * s.d_head), kn = (size_t)(p.rows * s.n_kv * s.d_head);
    p.q = wild ? draw_wild(qn, 21) : draw_bf16(qn, 21, 2);
    p.k = wild ? draw_wild(kn, 22) : draw_bf16(kn, 22, 2);
    p.v = wild ? draw_wild(kn, 23) : draw_bf16(kn, 23, 2);
    p.d_o = wild ? draw_wild(qn, 24) : draw_bf16(qn, 24, 1);
    ptrdiff_t stride = (ptrdiff_t)s.n_kv * s.d_head;
    for (int i = 0, row = 0; i < n_seg; row += len[i++])
        p.seg[i] = (struct attn_seg){row, len[i], 0,
                                     {p.k + row * stride, p.v + row * stride, stride, 64 * stride, NULL, len[i]}};
    return p;
}

static void problem_free(struct problem *p) { free(p->q), free(p->k), free(p->v), free(p->d_o); }

static struct mat heads(void *p, enum dtype t, int rows, int n, int d)
{
    return (struct mat){p, t, rows, n * d, (ptrdiff_t)n * d};
}

static int longest(const struct problem *p)
{
    int n = 0;
    for (int i = 0; i < p->n_seg; i++)
        n = p->len[i] > n ? p->len[i] : n;
    return n;
}

static struct result run(const struct problem *p, const struct kernels *k, int threads, bool backward)
{
    struct attn_shape s = p->s;
    int rows = p->rows, d = s.d_head;
    size_t qn = (size_t)(rows * s.n_head * d), kn = (size_t)(rows * s.n_kv * d);
    struct result r = {malloc(qn * 2), malloc((size_t)(rows * s.n_head) * 4), malloc((size_t)(rows * s.n_head) * 4),
                       NULL, NULL, NULL};
    struct nn x = nn_exact(k, threads, attention_scratch_bytes(k, s, longest(p), backward));
    struct mat o = heads(r.o, DT_BF16, rows, s.n_head, d), q = heads(p->q, DT_BF16, rows, s.n_head, d);
    attention_fwd(&x, o, r.m, r.l, q, p->seg, p->n_seg, s);
    if (backward) {
        r.dq = draw_f32(qn, 1, 1), r.dk = draw_f32(kn, 2, 1), r.dv = draw_f32(kn, 3, 1);
        float *delta = malloc((size_t)(rows * s.n_head) * 4);
        attention_bwd(&x, heads(r.dq, DT_F32, rows, s.n_head, d), heads(r.dk, DT_F32, rows, s.n_kv, d),
                      heads(r.dv, DT_F32, rows, s.n_kv, d), delta, heads(p->d_o, DT_BF16, rows, s.n_head, d), o, r.m,
                      r.l, q, heads(p->k, DT_BF16, rows, s.n_kv, d), heads(p->v, DT_BF16, rows, s.n_kv, d), p->seg,
                      p->n_seg, s);
        free(delta);
    }
    nn_exact_free(&x);
    return r;
}

static void result_free(struct result *r) { free(r->o), free(r->m), free(r->l), free(r->dq), free(r->dk), free(r->dv); }

static void assert_same_result(const struct problem *p, const char *who, const struct result *a,
                               const struct result *b)
{
    size_t rows = (size_t)p->rows, d = (size_t)p->s.d_head, h = (size_t)p->s.n_head, g = (size_t)p->s.n_kv;
    assert_same_bits("o", who, a->o, b->o, rows * h * d * 2);
    assert_same_bits("m", who, a->m, b->m, rows * h * 4);
    assert_same_bits("l", who, a->l, b->l, rows * h * 4);
    if (!a->dq)
        return;
    assert_same_bits("dq", who, a->dq, b->dq, rows * h * d * 4);
    assert_same_bits("dk", who, a->dk, b->dk, rows * g * d * 4);
    assert_same_bits("dv", who, a->dv, b->dv, rows * g * d * 4);
}

static const struct attn_shape shapes[] = {
    {1, 1, 32, 0, 0.2f}, {4, 2, 64, 0, 0.125f},   {3, 1, 80, 0, 0.1f},  {2, 2, 96, 70, 0.1f},
    {4, 1, 128, 33, 0.09f}, {6, 3, 64, 1, 0.125f}, {2, 1, 40, 200, 0.2f},
};
enum { N_SHAPES = sizeof shapes / sizeof *shapes };

static void test_instruction_sets(void **state)
{
    (void)state;
    static const int len[] = {130, 1, 64, 9, 75};
    for (int i = 0; i < N_SHAPES; i++)
        for (int wild = 0; wild < 2; wild++) {
            struct problem p = problem_new(shapes[i], len, 5, wild);
            struct result want = run(&p, tables[0], 1, true);
            for (int t = 1; t < n_tables; t++) {
                struct result got = run(&p, tables[t], 1, true);
                assert_same_result(&p, table_name[t], &want, &got);
                result_free(&got);
            }
            result_free(&want);
            problem_free(&p);
        }
}

static void test_threads(void **state)
{
    (void)state;
    static const int len[] = {517, 3, 200, 64, 8}, threads[] = {2, 3, 7};
    for (int i = 0; i < N_SHAPES; i++) {
        struct problem p = problem_new(shapes[i], len, 5, false);
        struct result want = run(&p, tables[n_tables > 2 ? 2 : n_tables - 1], 1, true);
        for (int t = 0; t < 3; t++) {
            int who = n_tables > 1 ? 1 + (i + t) % (n_tables - 1) : 0;
            struct result got = run(&p, tables[who], threads[t], true);
            assert_same_result(&p, table_name[who], &want, &got);
            result_free(&got);
        }
        result_free(&want);
        problem_free(&p);
    }
}

/* More keys than stay packed, more than one panel of the backward: the sizes of both differ between
 * instruction sets, the bits do not; and the last rows alone, read from the cache. */
static void test_long(void **state)
{
    (void)state;
    static const int len[] = {2150};
    struct problem p = problem_new((struct attn_shape){2, 1, 128, 1700, 0.09f}, len, 1, false);
    struct result want = run(&p, tables[n_tables > 2 ? 2 : n_tables - 1], 1, true);
    for (int t = 1; t < n_tables; t++) {
        struct result got = run(&p, tables[t], 2, true);
        assert_same_result(&p, table_name[t], &want, &got);
        result_free(&got);
        for (int n = 1; n < 24; n += 5) {
            struct problem tail = p;
            size_t first = (size_t)(len[0] - n), w = (size_t)(p.s.n_head * p.s.d_head), h = (size_t)p.s.n_head;
            tail.rows = n;
            tail.q += first * w;
            tail.seg[0] = (struct attn_seg){0, n, (int)first, p.seg[0].kv};
            struct result part = {want.o + first * w, want.m + first * h, want.l + first * h, NULL, NULL, NULL};
            got = run(&tail, tables[t], 1, false);
            assert_same_result(&tail, table_name[t], &part, &got);
            result_free(&got);
        }
    }
    result_free(&want);
    problem_free(&p);
}

/* A document alone gives the bits it has among others. */
static void test_documents(void **state)
{
    (void)state;
    static const int len[] = {70, 200, 5, 129};
    const struct kernels *k = tables[n_tables - 1];
    for (int i = 0; i < N_SHAPES; i++) {
        struct problem p = problem_new(shapes[i], len, 4, false);
        struct result all = run(&p, k, 2, true);
        for (int j = 0; j < 4; j++) {
            size_t row = (size_t)p.seg[j].row, qw = (size_t)(p.s.n_head * p.s.d_head);
            size_t kw = (size_t)(p.s.n_kv * p.s.d_head);
            struct problem one = p;
            one.n_seg = 1, one.rows = one.len[0] = len[j];
            one.q += row * qw, one.d_o += row * qw, one.k += row * kw, one.v += row * kw;
            one.seg[0] = p.seg[j];
            one.seg[0].row = 0;
            struct result part = {all.o + row * qw, all.m + row * (size_t)p.s.n_head, all.l + row * (size_t)p.s.n_head,
                                  all.dq + row * qw, all.dk + row * kw, all.dv + row * kw};
            struct result alone = run(&one, k, 1, true);
            assert_same_result(&one, "a document alone", &part, &alone);
            result_free(&alone);
        }
        result_free(&all);
        problem_free(&p);
    }
}

/* ---- against binary64 ---- */

struct plain {
    double *o, *dq, *dk, *dv;             /* exact up to binary64 */
    double *ao, *adq, *adk, *adv;         /* sums of absolute terms: the scale of rounding errors */
};

static double at(const bf16 *p, size_t i) { return (double)bf16_expand(p[i]); }

/* One query row of one head. */
static void plain_row(const struct problem *p, const struct attn_seg *seg, int r, int h, struct plain *y)
{
    int d = p->s.d_head, g = h / (p->s.n_head / p->s.n_kv);
    int first = p->s.window > 0 && r >= p->s.window ? r - p->s.window + 1 : 0;
    size_t qi = ((size_t)(seg->row + r) * (size_t)p->s.n_head + (size_t)h) * (size_t)d;
    double prob[1024], dp[1024], top = -INFINITY, sum = 0, delta = 0, slack = 0;
    for (int j = first; j <= r; j++) {
        size_t ki = ((size_t)(seg->row + j) * (size_t)p->s.n_kv + (size_t)g) * (size_t)d;
        double s = dp[j] = 0;
        for (int c = 0; c < d; c++) {
            s += at(p->q, qi + (size_t)c) * at(p->k, ki + (size_t)c);
            dp[j] += at(p->d_o, qi + (size_t)c) * at(p->v, ki + (size_t)c);
        }
        prob[j] = s * (double)p->s.scale;
        top = fmax(top, prob[j]);
    }
    for (int j = first; j <= r; j++)
        sum += prob[j] = exp(prob[j] - top);
    for (int j = first; j <= r; j++) {
        size_t ki = ((size_t)(seg->row + j) * (size_t)p->s.n_kv + (size_t)g) * (size_t)d;
        prob[j] /= sum;
        delta += prob[j] * dp[j];
        for (int c = 0; c < d; c++) {
            y->o[qi + (size_t)c] += prob[j] * at(p->v, ki + (size_t)c);
            y->ao[qi + (size_t)c] += prob[j] * fabs(at(p->v, ki + (size_t)c));
        }
    }
    for (int c = 0; c < d; c++)
        slack += fabs(at(p->d_o, qi + (size_t)c)) * y->ao[qi + (size_t)c];
    for (int j = first; j <= r; j++) {
        size_t ki = ((size_t)(seg->row + j) * (size_t)p->s.n_kv + (size_t)g) * (size_t)d;
        double ds = prob[j] * (dp[j] - delta) * (double)p->s.scale;
        double ads = prob[j] * (fabs(dp[j] - delta) + slack) * (double)p->s.scale;
        for (int c = 0; c < d; c++) {
            size_t a = qi + (size_t)c, b = ki + (size_t)c;
            y->dq[a] += ds * at(p->k, b), y->adq[a] += ads * fabs(at(p->k, b));
            y->dk[b] += ds * at(p->q, a), y->adk[b] += ads * fabs(at(p->q, a));
            y->dv[b] += prob[j] * at(p->d_o, a), y->adv[b] += prob[j] * fabs(at(p->d_o, a));
        }
    }
}

/* Errors stay below 2^-7 of the absolute sums: two roundings to bf16, 2^-8 each, and room for f32. */
static void assert_near(const char *what, const double *want, const double *size, const float *got, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!(fabs((double)got[i] - want[i]) <= size[i] * 0x1.1p-7 + 1e-7))
            fail_msg("%s[%zu] = %g, expected %g (terms sum to %g)", what, i, (double)got[i], want[i], size[i]);
}

static void test_values(void **state)
{
    (void)state;
    static const int len[] = {300, 64, 1, 45};
    for (int i = 0; i < N_SHAPES; i++) {
        struct problem p = problem_new(shapes[i], len, 4, false);
        size_t qn = (size_t)(p.rows * p.s.n_head * p.s.d_head), kn = (size_t)(p.rows * p.s.n_kv * p.s.d_head);
        double *space = calloc(4 * qn + 4 * kn, sizeof *space), *w = space;
        struct plain y = {w, w + qn, w + 2 * qn, w + 2 * qn + kn, 0, 0, 0, 0};
        w += 2 * qn + 2 * kn;
        y.ao = w, y.adq = w + qn, y.adk = w + 2 * qn, y.adv = w + 2 * qn + kn;
        for (int j = 0; j < 4; j++)
            for (int r = 0; r < len[j]; r++)
                for (int h = 0; h < p.s.n_head; h++)
                    plain_row(&p, &p.seg[j], r, h, &y);
        struct result got = run(&p, tables[n_tables - 1], 2, true);
        float *o = malloc(qn * 4);
        tables[0]->f32_from_bf16(o, got.o, qn);
        assert_near("o", y.o, y.ao, o, qn);
        assert_near("dq", y.dq, y.adq, got.dq, qn);
        assert_near("dk", y.dk, y.adk, got.dk, kn);
        assert_near("dv", y.dv, y.adv, got.dv, kn);
        free(o), free(space);
        result_free(&got);
        problem_free(&p);
    }
}

/* ---- serving: pages, chunks, neighbours ---- */

enum { SERVED = 333, PAGES = 16 };

/* Copies keys and values of positions [0, n) into scattered pages; the rest stays NaN. */
static void fill_pages(const struct problem *p, bf16 *kp, bf16 *vp, const int *page, int n)
{
    size_t w = (size_t)(p->s.n_kv * p->s.d_head);
    memset(kp, 0xff, PAGES * 64 * w * 2);
    memset(vp, 0xff, PAGES * 64 * w * 2);
    for (int r = 0; r < n; r++) {
        size_t to = (size_t)(page[r / 64] * 64 + r % 64) * w;
        memcpy(kp + to, p->k + (size_t)r * w, w * 2);
        memcpy(vp + to, p->v + (size_t)r * w, w * 2);
    }
}

/* The rows in chunks of `chunk`, each seeing only what is cached by then, beside a neighbour. */
static void served(const struct problem *p, const struct kernels *k, int chunk, int threads, struct result *r)
{
    static const int page[] = {11, 2, 7, 0, 15, 4};
    struct attn_shape s = p->s;
    size_t w = (size_t)(s.n_kv * s.d_head), qw = (size_t)(s.n_head * s.d_head), h = (size_t)s.n_head;
    bf16 *kp = malloc(PAGES * 64 * w * 2), *vp = malloc(PAGES * 64 * w * 2);
    struct nn x = nn_exact(k, threads, attention_scratch_bytes(k, s, SERVED, false));
    for (int at0 = 0; at0 < SERVED; at0 += chunk) {
        int n = SERVED - at0 < chunk ? SERVED - at0 : chunk, beside = n % 3 == 0 ? 0 : n % 3 == 1 ? 20 : 3;
        fill_pages(p, kp, vp, page, at0 + n);
        struct kv cache = {kp, vp, (ptrdiff_t)w, 64 * (ptrdiff_t)w, page, at0 + n};
        struct attn_seg seg[2] = {{0, beside, 0, p->seg[0].kv}, {beside, n, at0, cache}};
        bf16 *q = malloc((size_t)(n + beside) * qw * 2), *o = malloc((size_t)(n + beside) * qw * 2);
        memcpy(q, p->q, (size_t)beside * qw * 2);
        memcpy(q + (size_t)beside * qw, p->q + (size_t)at0 * qw, (size_t)n * qw * 2);
        float *m = malloc((size_t)(n + beside) * h * 4), *l = malloc((size_t)(n + beside) * h * 4);
        attention_fwd(&x, heads(o, DT_BF16, n + beside, s.n_head, s.d_head), m, l,
                      heads(q, DT_BF16, n + beside, s.n_head, s.d_head), seg + (beside == 0), 2 - (beside == 0), s);
        memcpy(r->o + (size_t)at0 * qw, o + (size_t)beside * qw, (size_t)n * qw * 2);
        memcpy(r->m + (size_t)at0 * h, m + (size_t)beside * h, (size_t)n * h * 4);
        memcpy(r->l + (size_t)at0 * h, l + (size_t)beside * h, (size_t)n * h * 4);
        free(q), free(o), free(m), free(l);
    }
    nn_exact_free(&x);
    free(kp), free(vp);
}

static void test_serving(void **state)
{
    (void)state;
    static const int len[] = {SERVED}, chunks[] = {1, 2, 7, 16, 17, 63, 64, 65, 100, 256, SERVED};
    for (int i = 0; i < N_SHAPES; i++) {
        struct problem p = problem_new(shapes[i], len, 1, i % 2 == 1);
        for (int t = 1; t < n_tables; t++) {
            if (t != 1 + i % 3 && t != n_tables - 2)
                continue; /* each set with some shapes, AVX-512 with all */
            struct result want = run(&p, tables[t], 1, false), got = run(&p, tables[t], 1, false);
            for (size_t c = 0; c < sizeof chunks / sizeof *chunks; c++) {
                char who[64];
                snprintf(who, sizeof who, "%s in chunks of %d", table_name[t], chunks[c]);
                memset(got.o, 0xff, (size_t)(SERVED * p.s.n_head * p.s.d_head) * 2);
                served(&p, tables[t], chunks[c], 1 + (int)c % 3, &got);
                assert_same_result(&p, who, &want, &got);
            }
            result_free(&want), result_free(&got);
        }
        problem_free(&p);
    }
}

/* ---- rough speed of one thread, causal FLOPs (half of the square), printed when DOKJA_BENCH is set ---- */

/* Time of this thread alone: the machine may be shared. */
static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Of the unit that multiplies. */
static double peak_gflops(enum isa isa)
{
    struct peak peak = peak_get(isa);
    struct peak_loop loop = isa == ISA_AVX512BF16 ? peak.dot_bf16 : peak.fma_f32;
    double t = now();
    loop.run(200000);
    return (double)loop.ops * 2e5 / (now() - t) * 1e-9;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *v, int n)
{
    qsort(v, (size_t)n, sizeof *v, by_value);
    return v[n / 2];
}

enum { RUNS = 11 };

static void bench_shape(const struct kernels *k, const char *who, int len, int n_head, int n_kv, int d)
{
    struct problem p = problem_new((struct attn_shape){n_head, n_kv, d, 0, 0.125f}, &len, 1, false);
    struct nn x = nn_exact(k, 1, attention_scratch_bytes(k, p.s, len, true));
    struct result r = run(&p, k, 1, true);
    float *delta = malloc((size_t)(len * n_head) * 4);
    struct mat o = heads(r.o, DT_BF16, len, n_head, d), q = heads(p.q, DT_BF16, len, n_head, d);
    double f[RUNS], b[RUNS], fs[RUNS], bs[RUNS], flops = 2.0 * n_head * len * (double)len * d;
    for (int i = 0; i < RUNS; i++) {
        double peak = peak_gflops(k->isa), t = now();
        attention_fwd(&x, o, r.m, r.l, q, p.seg, 1, p.s);
        f[i] = flops / (now() - t) * 1e-9;
        peak = (peak + peak_gflops(k->isa)) / 2;
        fs[i] = f[i] / peak;
        t = now();
        attention_bwd(&x, heads(r.dq, DT_F32, len, n_head, d), heads(r.dk, DT_F32, len, n_kv, d),
                      heads(r.dv, DT_F32, len, n_kv, d), delta, heads(p.d_o, DT_BF16, len, n_head, d), o, r.m, r.l, q,
                      heads(p.k, DT_BF16, len, n_kv, d), heads(p.v, DT_BF16, len, n_kv, d), p.seg, 1, p.s);
        b[i] = 2.5 * flops / (now() - t) * 1e-9;
        bs[i] = b[i] / ((peak + peak_gflops(k->isa)) / 2);
    }
    print_message("  %s len %d heads %d/%d x %d: forward %.1f GFLOP/s, %.1f %% of the unit's peak; backward %.1f, "
                  "%.1f %%\n",
                  who, len, n_head, n_kv, d, median(f, RUNS), 100 * median(fs, RUNS), median(b, RUNS),
                  100 * median(bs, RUNS));
    free(delta);
    nn_exact_free(&x);
    result_free(&r);
    problem_free(&p);
}

static void bench_decode(const struct kernels *k, const char *who, int len, int n_head, int n_kv, int d)
{
    struct problem p = problem_new((struct attn_shape){n_head, n_kv, d, 0, 0.125f}, &len, 1, false);
    struct nn x = nn_exact(k, 1, attention_scratch_bytes(k, p.s, len, false));
    struct attn_seg seg = p.seg[0];
    seg.pos0 = len - 1, seg.n = 1;
    bf16 *o = malloc((size_t)(n_head * d) * 2);
    double best = 1e9;
    for (int i = 0; i < 9; i++) {
        double t = now();
        attention_fwd(&x, heads(o, DT_BF16, 1, n_head, d), NULL, NULL, heads(p.q, DT_BF16, 1, n_head, d), &seg, 1, p.s);
        best = fmin(best, now() - t);
    }
    print_message("  %s decode over %d, heads %d/%d x %d: %.1f GB/s of cache\n", who, len, n_head, n_kv, d,
                  4.0 * len * n_kv * d / best * 1e-9);
    free(o);
    nn_exact_free(&x);
    problem_free(&p);
}

static void bench(void **state)
{
    (void)state;
    const char *which = getenv("DOKJA_BENCH"); /* 1, or the name of an instruction set */
    if (!which)
        skip();
    for (int t = 1; t < n_tables && tables[t] != &tiles; t++) {
        if (strcmp(which, "1") != 0 && strcmp(which, table_name[t]) != 0)
            continue;
        bench_shape(tables[t], table_name[t], 1024, 12, 12, 64);
        bench_shape(tables[t], table_name[t], 1024, 8, 2, 128);
        bench_shape(tables[t], table_name[t], 4096, 4, 2, 64);
        bench_decode(tables[t], table_name[t], 4096, 12, 12, 64);
        bench_decode(tables[t], table_name[t], 4096, 16, 4, 128);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pieces),    cmocka_unit_test(test_instruction_sets), cmocka_unit_test(test_threads),
        cmocka_unit_test(test_long),      cmocka_unit_test(test_documents),        cmocka_unit_test(test_values),
        cmocka_unit_test(test_serving),   cmocka_unit_test(bench),
    };
    return cmocka_run_group_tests(tests, make_tables, NULL);
}
