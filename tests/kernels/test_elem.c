/* Element-wise kernels: every instruction set against the reference under memcmp, over lengths around
 * the lane counts, strides, and inputs from ordinary to hostile; each buffer ends (or begins) at a page
 * that cannot be touched, and gaps between rows are poisoned.  Then the reference against binary64 and
 * hand-made values.  DOKJA_BENCH=1 prints ns per element and
 * what the optimizer gets of the memory. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include <cmocka.h>

#include "base/mem.h"
#include "kernels/kernels.h"

/* ---- buffers between guard pages ---- */

enum { PAGE = 4096, MAX_BUF = 8 };

struct guarded {
    unsigned char *map, *p;
    size_t map_bytes, bytes;
};

static struct guarded guarded_new(size_t bytes, bool at_end)
{
    struct guarded g = {.bytes = bytes};
    size_t body = (bytes + PAGE - 1) / PAGE * PAGE + PAGE;
    g.map_bytes = body + 2 * PAGE;
    g.map = mmap(NULL, g.map_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(g.map != MAP_FAILED);
    assert_int_equal(mprotect(g.map + PAGE, body, PROT_READ | PROT_WRITE), 0);
    g.p = at_end ? g.map + PAGE + body - bytes : g.map + PAGE;
    return g;
}

static void guarded_free(struct guarded *g) { munmap(g->map, g->map_bytes); }

/* ---- inputs ---- */

static uint64_t seed_state;
static uint32_t next_u32(void)
{
    uint64_t z = (seed_state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (uint32_t)((z ^ (z >> 31)) >> 32);
}

static float float_of(uint32_t u)
{
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

enum input { IN_UNIT, IN_WIDE, IN_TINY, IN_RANGE, IN_HOSTILE, N_INPUT };

static float sample(enum input kind)
{
    static const uint32_t odd[] = {
        0x00000000, 0x80000000, 0x00000001, 0x807fffff, 0x00800000, 0x80800000, 0x3f800000,
        0xbf800000, 0x7f7fffff, 0xff7fffff, 0x7f800000, 0xff800000, 0x7fc00000, 0x33800000,
        0x42b17218, 0xc2aeac4f, 0xc2aeac50, 0x42b17217, 0x3effffff, 0xc2d00000};
    uint32_t u = next_u32();
    switch (kind) {
    case IN_UNIT: return ((float)(int32_t)u * 0x1p-31f) * 2.0f;
    case IN_WIDE: /* exponents 2^-60 … 2^60 */
        return float_of((u & 0x807fffffu) | ((67 + next_u32() % 121) << 23));
    case IN_TINY: /* products and differences of these fall below 2^-126 */
        return float_of((u & 0x807fffffu) | ((next_u32() % 30) << 23));
    case IN_RANGE: return ((float)(int32_t)u * 0x1p-31f) * 110.0f;
    default: return next_u32() % 3 ? float_of(u) : odd[u % 20] ? float_of(odd[u % 20]) : 0.0f;
    }
}

/* ---- cases ---- */

enum kind { NONE, MAT_F, MAT_H, VEC_F, ROW_F, HEAD_F, HGAIN_F, ROPE_F };

struct shape {
    int n, rows, n_head, gap; /* n: columns, or d_head */
    int variant;
    enum input input;
};

/* What a case works on: buffers of its kinds, filled anew before every run. */
struct ctx {
    struct shape s;
    struct guarded g[MAX_BUF];
    ptrdiff_t ld[MAX_BUF];
    float scalar[8];
    int index[64];
    float value; /* returned scalar */
};
static float *F(struct ctx *c, int i) { return (float *)(void *)c->g[i].p; }
static bf16 *H(struct ctx *c, int i) { return (bf16 *)(void *)c->g[i].p; }

enum { MAX_POS = 40 };

struct test_case {
    const char *name;
    struct {
        enum kind kind;
        int width; /* columns in units of n */
        bool nonneg;
    } buf[MAX_BUF];
    int variants;
    bool rows, heads;
    void (*run)(const struct kernels *k, struct ctx *c);
};

static size_t n_of(struct ctx *c) { return (size_t)c->s.n; }

static void run_to_bf16(const struct kernels *k, struct ctx *c) { k->bf16_from_f32(H(c, 0), F(c, 1), n_of(c)); }
static void run_to_f32(const struct kernels *k, struct ctx *c) { k->f32_from_bf16(F(c, 0), H(c, 1), n_of(c)); }
static void run_add(const struct kernels *k, struct ctx *c) { k->add(F(c, 0), F(c, 1), n_of(c)); }
static void run_scale(const struct kernels *k, struct ctx *c) { k->scale(F(c, 0), c->scalar[0], n_of(c)); }
static void run_sum_sq(const struct kernels *k, struct ctx *c) { c->value = k->sum_sq(F(c, 0), n_of(c)); }
static void run_finite(const struct kernels *k, struct ctx *c) { c->value = k->finite(F(c, 0), n_of(c)); }
static void run_exp(const struct kernels *k, struct ctx *c) { k->exp(F(c, 0), F(c, 1), n_of(c)); }
static void run_sigmoid(const struct kernels *k, struct ctx *c) { k->sigmoid(F(c, 0), F(c, 0), n_of(c)); }

static void run_norm_fwd(const struct kernels *k, struct ctx *c)
{
    k->rmsnorm_fwd(H(c, 0), c->ld[0], F(c, 1), F(c, 2), c->ld[2], F(c, 3), c->s.rows, c->s.n, 1e-6f);
}
static void run_norm_bwd(const struct kernels *k, struct ctx *c)
{
    k->rmsnorm_bwd(F(c, 0), c->ld[0], F(c, 1), H(c, 2), c->ld[2], F(c, 3), c->ld[3], F(c, 4), F(c, 5),
                   c->s.rows, c->s.n);
}
/* Variants: bit 0 gain, bit 1 rotation, bit 2 rstd wanted. */
static void run_qk_fwd(const struct kernels *k, struct ctx *c)
{
    int v = c->s.variant;
    struct rope_table t = {v & 2 ? F(c, 4) : NULL, v & 2 ? F(c, 5) : NULL};
    k->qk_fwd(H(c, 0), c->ld[0], v & 4 ? F(c, 1) : NULL, H(c, 2), c->ld[2], v & 1 ? F(c, 3) : NULL, t,
              c->index, c->s.rows, c->s.n_head, c->s.n, 1e-6f);
}
static void run_qk_bwd(const struct kernels *k, struct ctx *c)
{
    int v = c->s.variant;
    struct rope_table t = {v & 2 ? F(c, 4) : NULL, v & 2 ? F(c, 5) : NULL};
    k->qk_bwd(H(c, 0), c->ld[0], F(c, 6), F(c, 7), c->ld[7], H(c, 2), c->ld[2], F(c, 1),
              v & 1 ? F(c, 3) : NULL, t, c->index, c->s.rows, c->s.n_head, c->s.n);
}
static void run_swiglu_fwd(const struct kernels *k, struct ctx *c)
{
    k->swiglu_fwd(H(c, 0), c->ld[0], H(c, 1), c->ld[1], c->s.rows, c->s.n);
}
static void run_swiglu_bwd(const struct kernels *k, struct ctx *c)
{
    k->swiglu_bwd(H(c, 0), c->ld[0], H(c, 1), c->ld[1], H(c, 2), c->ld[2], c->s.rows, c->s.n);
}
/* The table has MAX_POS rows of n; rows choose among five of them, so that some meet. */
static void run_embed_fwd(const struct kernels *k, struct ctx *c)
{
    k->embed_fwd(F(c, 0), c->ld[0], F(c, 1), c->index, c->s.rows, c->s.n);
}
static void run_embed_bwd(const struct kernels *k, struct ctx *c)
{
    int c0 = c->s.variant ? c->s.n / 3 : 0, c1 = c->s.variant ? c->s.n - c->s.n / 4 : c->s.n;
    k->embed_bwd(F(c, 1), F(c, 0), c->ld[0], c->index, c->s.rows, c->s.n, c0, c1);
}
static void run_cross_entropy(const struct kernels *k, struct ctx *c)
{
    int v = c->s.variant, target = v == 3 ? -1 : v == 2 ? c->s.n - 1 : v ? c->s.n / 2 : 0;
    c->value = 0;
    if (c->s.n)
        k->cross_entropy(v == 4 ? NULL : H(c, 0), &c->value, F(c, 1), c->s.n, target, c->scalar[0]);
}
static void run_softmax(const struct kernels *k, struct ctx *c)
{
    k->softmax(F(c, 0), F(c, c->s.variant), c->s.n);
}
static void run_adamw(const struct kernels *k, struct ctx *c)
{
    k->adamw(F(c, 0), F(c, 1), F(c, 2), F(c, 3), n_of(c),
             &(struct adamw_args){.lr = 0.01f, .beta1 = 0.9f, .beta2 = 0.95f, .eps = 1e-10f,
                                  .weight_decay = 0.1f, .bias1 = 0.271f, .bias2 = 0.142625f,
                                  .grad_scale = c->scalar[0]});
}
static void run_muon_momentum(const struct kernels *k, struct ctx *c)
{
    k->muon_momentum(F(c, 0), F(c, 1), F(c, 2), n_of(c), 0.95f, c->scalar[0]);
}
/* Variants: apart, y is x, y is z. */
static void run_axpby(const struct kernels *k, struct ctx *c)
{
    int v = c->s.variant;
    k->axpby(F(c, v), c->scalar[0], F(c, 1), c->scalar[1], F(c, 2), n_of(c));
}
static void run_muon_apply(const struct kernels *k, struct ctx *c)
{
    k->muon_apply(F(c, 0), F(c, 1), n_of(c), 0.02f, 0.3f, c->s.variant != 0);
}

static const struct test_case cases[] = {
    {"bf16_from_f32", {{MAT_H, 1, 0}, {MAT_F, 1, 0}}, 1, 0, 0, run_to_bf16},
    {"f32_from_bf16", {{MAT_F, 1, 0}, {MAT_H, 1, 0}}, 1, 0, 0, run_to_f32},
    {"add", {{MAT_F, 1, 0}, {MAT_F, 1, 0}}, 1, 0, 0, run_add},
    {"scale", {{MAT_F, 1, 0}}, 1, 0, 0, run_scale},
    {"finite", {{MAT_F, 1, 0}}, 1, 0, 0, run_finite},
    {"sum_sq", {{MAT_F, 1, 0}}, 1, 0, 0, run_sum_sq},
    {"exp", {{MAT_F, 1, 0}, {MAT_F, 1, 0}}, 1, 0, 0, run_exp},
    {"sigmoid", {{MAT_F, 1, 0}}, 1, 0, 0, run_sigmoid},
    {"rmsnorm_fwd", {{MAT_H, 1, 0}, {ROW_F, 0, 0}, {MAT_F, 1, 0}, {VEC_F, 0, 0}}, 1, 1, 0, run_norm_fwd},
    {"rmsnorm_bwd",
     {{MAT_F, 1, 0}, {VEC_F, 0, 0}, {MAT_H, 1, 0}, {MAT_F, 1, 0}, {ROW_F, 0, 0}, {VEC_F, 0, 0}},
     1, 1, 0, run_norm_bwd},
    {"qk_fwd",
     {{MAT_H, 1, 0}, {HEAD_F, 0, 0}, {MAT_H, 1, 0}, {HGAIN_F, 0, 0}, {ROPE_F, 0, 0}, {ROPE_F, 0, 0}},
     8, 1, 1, run_qk_fwd},
    {"qk_bwd",
     {{MAT_H, 1, 0}, {HEAD_F, 0, 0}, {MAT_H, 1, 0}, {HGAIN_F, 0, 0}, {ROPE_F, 0, 0}, {ROPE_F, 0, 0},
      {HGAIN_F, 0, 0}, {MAT_F, 1, 0}},
     4, 1, 1, run_qk_bwd},
    {"swiglu_fwd", {{MAT_H, 1, 0}, {MAT_H, 2, 0}}, 1, 1, 0, run_swiglu_fwd},
    {"swiglu_bwd", {{MAT_H, 2, 0}, {MAT_H, 1, 0}, {MAT_H, 2, 0}}, 1, 1, 0, run_swiglu_bwd},
    {"embed_fwd", {{MAT_F, 1, 0}, {VEC_F, MAX_POS, 0}}, 1, 1, 0, run_embed_fwd},
    {"embed_bwd", {{MAT_F, 1, 0}, {VEC_F, MAX_POS, 0}}, 2, 1, 0, run_embed_bwd},
    {"cross_entropy", {{MAT_H, 1, 0}, {MAT_F, 1, 0}}, 5, 0, 0, run_cross_entropy},
    {"softmax", {{MAT_F, 1, 0}, {MAT_F, 1, 0}}, 2, 0, 0, run_softmax},
    {"adamw", {{MAT_F, 1, 0}, {MAT_F, 1, 0}, {MAT_F, 1, true}, {MAT_F, 1, 0}}, 1, 0, 0, run_adamw},
    {"muon_momentum", {{MAT_F, 1, 0}, {MAT_F, 1, 0}, {MAT_F, 1, 0}}, 1, 0, 0, run_muon_momentum},
    {"axpby", {{MAT_F, 1, 0}, {MAT_F, 1, 0}, {MAT_F, 1, 0}}, 3, 0, 0, run_axpby},
    {"muon_apply", {{MAT_F, 1, 0}, {MAT_F, 1, 0}}, 2, 0, 0, run_muon_apply},
};
enum { N_CASES = sizeof cases / sizeof *cases };

static bool is_half(enum kind k) { return k == MAT_H; }

static size_t buf_elems(const struct test_case *t, struct ctx *c, int i)
{
    size_t n = n_of(c), rows = (size_t)c->s.rows, cols;
    switch (t->buf[i].kind) {
    case VEC_F: return n * (size_t)(t->buf[i].width ? t->buf[i].width : 1);
    case ROW_F: return rows;
    case HEAD_F: return rows * (size_t)c->s.n_head;
    case HGAIN_F: return n;
    case ROPE_F: return MAX_POS * (n / 2);
    default: break;
    }
    cols = n * (size_t)t->buf[i].width * (size_t)c->s.n_head;
    c->ld[i] = (ptrdiff_t)cols + c->s.gap;
    return rows ? (rows - 1) * (size_t)c->ld[i] + cols : 0;
}

static void ctx_new(struct ctx *c, const struct test_case *t, struct shape s, bool at_end)
{
    *c = (struct ctx){.s = s};
    for (int i = 0; i < MAX_BUF && t->buf[i].kind != NONE; i++)
        c->g[i] = guarded_new(buf_elems(t, c, i) * (is_half(t->buf[i].kind) ? 2 : 4), at_end);
}

static void ctx_free(struct ctx *c)
{
    for (int i = 0; i < MAX_BUF; i++)
        if (c->g[i].map)
            guarded_free(&c->g[i]);
}

static void ctx_fill(struct ctx *c, const struct test_case *t, uint64_t seed)
{
    seed_state = seed;
    for (int i = 0; i < MAX_BUF && t->buf[i].kind != NONE; i++) {
        size_t n = c->g[i].bytes / (is_half(t->buf[i].kind) ? 2 : 4);
        for (size_t j = 0; j < n; j++) {
            float v = sample(c->s.input);
            if (t->buf[i].nonneg)
                v = fabsf(v);
            if (!is_half(t->buf[i].kind))
                memcpy(F(c, i) + j, &v, sizeof v);
            else if (c->s.input == IN_HOSTILE && j % 2)
                H(c, i)[j].bits = (uint16_t)next_u32();
            else
                H(c, i)[j] = bf16_round(v);
        }
    }
    for (int i = 0; i < 8; i++)
        c->scalar[i] = sample(c->s.input == IN_HOSTILE ? IN_UNIT : c->s.input);
    for (int i = 0; i < 64; i++)
        c->index[i] = (int)(next_u32() % 5) * 9 + 3;
    for (int i = 0; i < 64; i += 7)
        c->index[i] = 39; /* the last row: its end is the guard */
}

static bool nan16(uint16_t u) { return (u & 0x7fff) > 0x7f80; }
static bool nan32(uint32_t u) { return (u & 0x7fffffffu) > 0x7f800000u; }

/* Equal bits, except that any NaN equals any NaN. */
static void compare(const struct test_case *t, const struct ctx *a, const struct ctx *b, enum isa isa)
{
    uint32_t va, vb;
    memcpy(&va, &a->value, 4);
    memcpy(&vb, &b->value, 4);
    if (va != vb && !(nan32(va) && nan32(vb)))
        fail_msg("%s %s n=%d input=%d variant=%d: value %08x, ref %08x", t->name, isa_name(isa), a->s.n,
                 a->s.input, a->s.variant, vb, va);
    for (int i = 0; i < MAX_BUF && t->buf[i].kind != NONE; i++) {
        if (memcmp(a->g[i].p, b->g[i].p, a->g[i].bytes) == 0)
            continue;
        bool half = is_half(t->buf[i].kind);
        for (size_t j = 0; j < a->g[i].bytes / (half ? 2 : 4); j++) {
            uint32_t x = 0, y = 0;
            memcpy(&x, a->g[i].p + j * (half ? 2 : 4), half ? 2 : 4);
            memcpy(&y, b->g[i].p + j * (half ? 2 : 4), half ? 2 : 4);
            bool nan = half ? nan16((uint16_t)x) && nan16((uint16_t)y) : nan32(x) && nan32(y);
            if (x != y && !nan)
                fail_msg("%s %s n=%d rows=%d heads=%d gap=%d input=%d variant=%d buffer %d element %zu: "
                         "%08x, ref %08x", t->name, isa_name(isa), a->s.n, a->s.rows, a->s.n_head,
                         a->s.gap, a->s.input, a->s.variant, i, j, y, x);
        }
    }
}

static long compared;

static void one_shape(const struct test_case *t, struct shape s)
{
    for (int at_end = 0; at_end < 2; at_end++) {
        struct ctx want, got;
        uint64_t seed = (uint64_t)s.n * 1000003u + (uint64_t)s.input * 77 + (uint64_t)s.variant;
        ctx_new(&want, t, s, at_end);
        ctx_new(&got, t, s, at_end);
        ctx_fill(&want, t, seed);
        t->run(kernels_get(ISA_REF), &want);
        for (int isa = ISA_AVX2; isa <= ISA_AMX; isa++) {
            const struct kernels *k = kernels_get((enum isa)isa);
            if (!k)
                continue;
            ctx_fill(&got, t, seed);
            t->run(k, &got);
            compare(t, &want, &got, (enum isa)isa);
            compared++;
        }
        ctx_free(&want);
        ctx_free(&got);
    }
}

static void test_equal_bits(void **state)
{
    (void)state;
    static const int lengths[] = {0,  1,  2,  7,  8,  9,  15, 16,  17,  23,  24,  31,
                                  32, 33, 47, 48, 63, 64, 65, 100, 127, 129, 256, 1003};
    static const int heads[] = {2, 6, 16, 20, 32, 48, 64, 80, 96, 128, 256, 288};
    for (int i = 0; i < N_CASES; i++) {
        const struct test_case *t = &cases[i];
        const int *n = t->heads ? heads : lengths;
        int count = t->heads ? (int)(sizeof heads / sizeof *heads) : (int)(sizeof lengths / sizeof *lengths);
        for (int j = 0; j < count; j++)
            for (int v = 0; v < t->variants; v++)
                for (int in = 0; in < N_INPUT; in++) {
                    struct shape s = {n[j], 1, 1, 0, v, (enum input)in};
                    if (t->heads)
                        s.n_head = 1 + j % 3;
                    one_shape(t, s);
                    if (!t->rows)
                        continue;
                    s.rows = 2 + (j + in) % 6;
                    s.gap = 1 + (j * 7 + in) % 19;
                    one_shape(t, s);
                }
    }
    print_message("%ld comparisons\n", compared);
    assert_true(compared > 0 || !kernels_get(ISA_AVX2));
}

/* Every slot has at least its reference, and the lists here miss none of the element-wise ones. */
static void test_rows_zero(void **state)
{
    (void)state;
    for (int isa = ISA_REF; isa <= ISA_AMX; isa++) {
        const struct kernels *k = kernels_get((enum isa)isa);
        if (!k)
            continue;
        k->rmsnorm_fwd(NULL, 0, NULL, NULL, 0, NULL, 0, 64, 1e-6f);
        k->rmsnorm_bwd(NULL, 0, NULL, NULL, 0, NULL, 0, NULL, NULL, 0, 64);
        k->qk_fwd(NULL, 0, NULL, NULL, 0, NULL, (struct rope_table){0}, NULL, 0, 2, 64, 1e-6f);
        k->swiglu_fwd(NULL, 0, NULL, 0, 0, 64);
        k->embed_bwd(NULL, NULL, 0, NULL, 0, 64, 0, 64);
    }
}

/* ---- the reference itself ---- */

static void near_rel(const char *what, double got, double want, double tol)
{
    if (!(fabs(got - want) <= tol * (fabs(want) + 1e-3)))
        fail_msg("%s: %.9g, expected %.9g", what, got, want);
}

static float uniform(void) { return sample(IN_UNIT); }

/* Lanes by their definition: lane l is elements l, l+16, …; halves added pairwise. */
static void test_sum16(void **state)
{
    (void)state;
    const struct kernels *k = kernels_get(ISA_REF);
    float x[100];
    for (int n = 0; n <= 100; n++) {
        seed_state = (uint64_t)n;
        for (int i = 0; i < n; i++)
            x[i] = sample(IN_WIDE) * 0x1p-10f;
        float lane[16], a[8], b[4], c[2];
        for (int l = 0; l < 16; l++) {
            lane[l] = 0;
            for (int i = l; i < n; i += 16)
                lane[l] = fmaf(x[i], x[i], lane[l]);
        }
        for (int l = 0; l < 8; l++)
            a[l] = lane[l] + lane[l + 8];
        for (int l = 0; l < 4; l++)
            b[l] = a[l] + a[l + 4];
        for (int l = 0; l < 2; l++)
            c[l] = b[l] + b[l + 2];
        float want = c[0] + c[1], got = k->sum_sq(x, (size_t)n);
        assert_memory_equal(&got, &want, sizeof want);
    }
}

static void test_norm_values(void **state)
{
    (void)state;
    enum { N = 200 };
    const struct kernels *k = kernels_get(ISA_REF);
    float x[N], gain[N], rstd, dx[N], dgain[N];
    bf16 y[N], dy[N];
    seed_state = 5;
    double ss = 0, dot = 0;
    for (int i = 0; i < N; i++) {
        x[i] = uniform();
        gain[i] = uniform();
        dy[i] = bf16_round(uniform());
        dx[i] = 0.25f;
        dgain[i] = -1;
        ss += (double)x[i] * (double)x[i];
    }
    k->rmsnorm_fwd(y, N, &rstd, x, N, gain, 1, N, 1e-5f);
    double s = 1 / sqrt(ss / N + 1e-5);
    near_rel("rstd", (double)rstd, s, 1e-6);
    for (int i = 0; i < N; i++) {
        near_rel("rmsnorm", (double)bf16_expand(y[i]), (double)x[i] * s * (double)gain[i], 0.004);
        dot += (double)bf16_expand(dy[i]) * (double)gain[i] * (double)x[i] * s;
    }
    k->rmsnorm_bwd(dx, N, dgain, dy, N, x, N, &rstd, gain, 1, N);
    for (int i = 0; i < N; i++) {
        double d = (double)bf16_expand(dy[i]), xh = (double)x[i] * s;
        near_rel("rmsnorm dx", (double)dx[i], 0.25 + s * (d * (double)gain[i] - xh * dot / N), 1e-5);
        near_rel("rmsnorm dgain", (double)dgain[i], -1 + d * xh, 1e-5);
    }
}

/* Rotation by pos·theta^(−2i/d) in complex form; the norm before it. */
static void test_qk_values(void **state)
{
    (void)state;
    enum { D = 64, HALF = D / 2, POS = 19 };
    const struct kernels *k = kernels_get(ISA_REF);
    static float cosine[(POS + 1) * HALF], sine[(POS + 1) * HALF];
    float gain[D], rstd;
    bf16 x[D], y[D];
    int pos = POS;
    kernels_rope_fill(cosine, sine, POS + 1, D, 1e4);
    seed_state = 9;
    double ss = 0;
    for (int i = 0; i < D; i++) {
        x[i] = bf16_round(uniform());
        gain[i] = 1 + 0.1f * uniform();
        ss += (double)bf16_expand(x[i]) * (double)bf16_expand(x[i]);
    }
    k->qk_fwd(y, D, &rstd, x, D, gain, (struct rope_table){cosine, sine}, &pos, 1, 1, D, 1e-6f);
    double s = 1 / sqrt(ss / D + 1e-6);
    for (int i = 0; i < HALF; i++) {
        double a = (double)bf16_expand(x[i]) * s * (double)gain[i];
        double b = (double)bf16_expand(x[i + HALF]) * s * (double)gain[i + HALF];
        double angle = POS * pow(1e4, -2.0 * i / D);
        near_rel("rotary", (double)bf16_expand(y[i]), a * cos(angle) - b * sin(angle), 0.005);
        near_rel("rotary", (double)bf16_expand(y[i + HALF]), b * cos(angle) + a * sin(angle), 0.005);
    }
}

static void test_loss_values(void **state)
{
    (void)state;
    enum { N = 777 };
    const struct kernels *k = kernels_get(ISA_REF);
    float z[N], loss, p[N];
    bf16 d[N], gu[2 * N], y[N];
    seed_state = 3;
    double l = 0;
    for (int i = 0; i < N; i++) {
        z[i] = 6 * uniform();
        l += exp((double)z[i]);
        gu[i] = bf16_round(4 * uniform());
        gu[i + N] = bf16_round(uniform());
    }
    k->cross_entropy(d, &loss, z, N, 123, 0.5f);
    near_rel("loss", (double)loss, log(l) - (double)z[123], 1e-6);
    k->softmax(p, z, N);
    k->swiglu_fwd(y, N, gu, 2 * N, 1, N);
    for (int i = 0; i < N; i++) {
        double want = exp((double)z[i]) / l, g = (double)bf16_expand(gu[i]);
        near_rel("softmax", (double)p[i] * 1e3, want * 1e3, 3e-6);
        want = ((i == 123 ? want - 1 : want) * 0.5);
        near_rel("dlogits", (double)bf16_expand(d[i]) * 1e3, want * 1e3, 0.004);
        near_rel("swiglu", (double)bf16_expand(y[i]), g / (1 + exp(-g)) * (double)bf16_expand(gu[i + N]), 0.004);
    }
    k->cross_entropy(d, &loss, z, N, -1, 0.5f);
    assert_true(loss == 0 && d[0].bits == 0 && d[N - 1].bits == 0);
    z[50] = NAN; /* a NaN must reach the loss */
    k->cross_entropy(d, &loss, z, N, 3, 0.5f);
    assert_true(loss != loss);
}

/* One step by hand: m = 0.1·2, v = 0.05·4, m̂ = 2, v̂ = 4: w = (1 − 0.01·0.1)·1 − 0.01·2/(2 + 0). */
static void test_optimizer_values(void **state)
{
    (void)state;
    const struct kernels *k = kernels_get(ISA_REF);
    float w[2] = {1, -3}, m[2] = {0}, v[2] = {0}, g[2] = {4, -0.5f};
    struct adamw_args a = {.lr = 0.01f, .beta1 = 0.9f, .beta2 = 0.95f, .eps = 0, .weight_decay = 0.1f,
                           .bias1 = 0.1f, .bias2 = 0.05f, .grad_scale = 0.5f};
    k->adamw(w, m, v, g, 2, &a);
    near_rel("m", (double)m[0], 0.2, 1e-6);
    near_rel("v", (double)v[0], 0.2, 1e-6);
    near_rel("w", (double)w[0], 0.989, 1e-6);
    near_rel("w", (double)w[1], -3 * 0.999 + 0.01, 1e-6);
    /* second step, g' = (1, 0): m = 0.28, v = 0.24; bias 0.19, 0.0975 */
    g[0] = 2;
    g[1] = 0;
    a.bias1 = 0.19f;
    a.bias2 = 0.0975f;
    k->adamw(w, m, v, g, 2, &a);
    near_rel("m2", (double)m[0], 0.28, 1e-6);
    near_rel("v2", (double)v[0], 0.24, 1e-6);
    near_rel("w2", (double)w[0], 0.989 * 0.999 - 0.01 * (0.28 / 0.19) / sqrt(0.24 / 0.0975), 1e-6);

    float u[2], mm[2] = {1, -1}, mg[2] = {2, 4};
    k->muon_momentum(u, mm, mg, 2, 0.75f, 0.5f); /* t = 0.25·g/2 = 0.25, 0.5 */
    assert_true(mm[0] == 1.0f && mm[1] == -0.25f);
    assert_true(u[0] == 1.0f && u[1] == 0.3125f);
    float mw[3] = {1, -1, 0}, x[3] = {0.5f, 0.5f, -0.5f}; /* only the first agrees in sign; 0 ≥ 0 too */
    k->muon_apply(mw, x, 3, 0.5f, 0.5f, true);
    assert_true(mw[0] == 0.5f && mw[1] == -1.25f && mw[2] == 0.25f);
    float aw[2] = {1, -1};
    k->muon_apply(aw, x, 2, 0.5f, 0.5f, false);
    assert_true(aw[0] == 0.5f && aw[1] == -1.0f);
    float y[1], ax[1] = {3}, az[1] = {5};
    k->axpby(y, 2, ax, -1, az, 1);
    assert_true(y[0] == 1.0f);
}

/* ((0 + 2^30) + 1) − 2^30 = 0 in this order only. */
static void test_embed_order(void **state)
{
    (void)state;
    for (int isa = ISA_REF; isa <= ISA_AMX; isa++) {
        const struct kernels *k = kernels_get((enum isa)isa);
        if (!k)
            continue;
        float table[2 * 40] = {0}, dx[4 * 40];
        static const int tok[] = {1, 1, 0, 1};
        static const float v[] = {0x1p30f, 1, 7, -0x1p30f};
        for (int r = 0; r < 4; r++)
            for (int c = 0; c < 40; c++)
                dx[r * 40 + c] = v[r];
        k->embed_bwd(table, dx, 40, tok, 4, 40, 0, 40);
        for (int c = 0; c < 40; c++)
            assert_true(table[40 + c] == 0.0f && table[c] == 7.0f);
    }
}

static void test_finite(void **state)
{
    (void)state;
    static const float bad[] = {NAN, -NAN, INFINITY, -INFINITY};
    for (int isa = ISA_REF; isa <= ISA_AMX; isa++) {
        const struct kernels *k = kernels_get((enum isa)isa);
        if (!k)
            continue;
        float x[70];
        for (int i = 0; i < 70; i++)
            x[i] = i % 2 ? 0x1.fffffep127f : -0x1.fffffep127f;
        assert_true(k->finite(x, 70) && k->finite(x, 0));
        for (int i = 0; i < 70; i++) {
            float keep = x[i];
            x[i] = bad[i % 4];
            assert_false(k->finite(x, 70));
            assert_true(k->finite(x, (size_t)i));
            x[i] = keep;
        }
    }
}

/* ---- figures ---- */

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double copy_gb_s(void)
{
    enum { BYTES = 1 << 26 };
    char *a = malloc(BYTES), *b = malloc(BYTES);
    double best = 1e9;
    assert_non_null(a);
    assert_non_null(b);
    memset(a, 1, BYTES);
    memset(b, 2, BYTES);
    for (int i = 0; i < 20; i++) {
        double t = now();
        memcpy(a, b, BYTES);
        __asm__ volatile("" : : "r"(a) : "memory");
        t = now() - t;
        best = t < best ? t : best;
    }
    free(a);
    free(b);
    return 2.0 * BYTES / best * 1e-9;
}

/* Vectors of 2^22 (from memory) for plain ops, rows that a cache holds for the others. */
static void bench_case(const struct test_case *t, double *ns, struct shape s, double *bytes)
{
    struct ctx c;
    ctx_new(&c, t, s, true);
    *bytes = 0;
    for (int i = 0; i < MAX_BUF; i++)
        *bytes += (double)c.g[i].bytes;
    double elems = (double)s.n * s.rows * s.n_head;
    ctx_fill(&c, t, 1);
    for (int isa = ISA_REF; isa <= ISA_AVX512; isa++)
        ns[isa] = 1e9;
    for (int rep = 0; rep < 60; rep++)
        for (int isa = rep < 3 ? ISA_REF : ISA_AVX2; isa <= ISA_AVX512; isa++) {
            const struct kernels *k = kernels_get((enum isa)isa);
            if (!k)
                continue;
            double start = now();
            t->run(k, &c);
            double each = (now() - start) / elems * 1e9;
            ns[isa] = each < ns[isa] ? each : ns[isa];
        }
    ctx_free(&c);
}

static void bench(void)
{
    printf("copy %.1f GB/s (read + written)\n", copy_gb_s());
    printf("%-14s %10s %9s %9s %9s   ns per element; GB/s of all its buffers once (avx512)\n", "", "shape",
           "ref", "avx2", "avx512");
    for (int i = 0; i < N_CASES; i++) {
        const struct test_case *t = &cases[i];
        bool vector = !t->rows && strcmp(t->name, "cross_entropy") != 0 && strcmp(t->name, "softmax") != 0;
        struct shape s = {.n = vector ? 1 << 20 : 32768, .rows = 1, .n_head = 1, .input = IN_UNIT};
        if (t->rows)
            s = (struct shape){.n = 768, .rows = 60, .n_head = 1, .input = IN_UNIT};
        if (t->heads)
            s = (struct shape){.n = 64, .rows = 60, .n_head = 12, .input = IN_UNIT, .variant = t->variants - 1};
        double ns[3], bytes;
        bench_case(t, ns, s, &bytes);
        double elems = (double)s.n * s.rows * s.n_head;
        printf("%-14s %4dx%-7d %7.3f %9.3f %9.3f   %6.1f\n", t->name, s.rows, s.n * s.n_head, ns[0], ns[1],
               ns[2], bytes / (ns[2] * elems));
    }
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* AdamW over tables far larger than any cache beside an update in place of one of them, all threads; medians, because
 * the memory of a shared machine changes its speed. */
static void bench_optimizer(void)
{
    enum { N = 1 << 26, RUNS = 9 };
    const struct kernels *k = kernels_get(kernels_get(ISA_AVX512) ? ISA_AVX512 : ISA_AVX2);
    const struct adamw_args a = {.lr = 1e-3f, .beta1 = 0.9f, .beta2 = 0.99f, .eps = 1e-10f, .bias1 = 0.5f,
                                 .bias2 = 0.5f, .grad_scale = 1};
    float *t[4];
    double adamw[RUNS], update[RUNS], share[RUNS];
    if (!k)
        return;
    for (int i = 0; i < 4; i++) {
        t[i] = mem_map(N * sizeof(float));
        assert_non_null(t[i]);
    }
#pragma omp parallel for schedule(static)
    for (int i = 0; i < N; i++)
        t[0][i] = t[1][i] = t[2][i] = t[3][i] = 1e-3f;
    for (int r = 0; r < RUNS; r++) {
        double t0 = now();
#pragma omp parallel for schedule(static)
        for (int i = 0; i < N; i += 1 << 16)
            k->adamw(t[0] + i, t[1] + i, t[2] + i, t[3] + i, 1 << 16, &a);
        double t1 = now();
#pragma omp parallel for schedule(static)
        for (int i = 0; i < N; i += 1 << 16)
            k->scale(t[0] + i, 1, 1 << 16);
        adamw[r] = 7.0 * sizeof(float) * N / (t1 - t0) * 1e-9;
        update[r] = 2.0 * sizeof(float) * N / (now() - t1) * 1e-9;
        share[r] = adamw[r] / update[r];
    }
    qsort(adamw, RUNS, sizeof *adamw, by_value);
    qsort(update, RUNS, sizeof *update, by_value);
    qsort(share, RUNS, sizeof *share, by_value);
    printf("adamw %.1f GB/s, update in place %.1f GB/s, ratio %.2f (medians of %d, 256 MiB a table, all threads)\n",
           adamw[RUNS / 2], update[RUNS / 2], share[RUNS / 2], RUNS);
    for (int i = 0; i < 4; i++)
        mem_unmap(t[i], N * sizeof(float));
}

static int enter(void **state)
{
    (void)state;
    kernels_fp_enter();
    return 0;
}

int main(void)
{
    if (getenv("DOKJA_BENCH")) {
        kernels_fp_enter();
        bench();
        bench_optimizer();
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equal_bits),   cmocka_unit_test(test_rows_zero),
        cmocka_unit_test(test_sum16),        cmocka_unit_test(test_norm_values),
        cmocka_unit_test(test_qk_values),    cmocka_unit_test(test_loss_values),
        cmocka_unit_test(test_optimizer_values), cmocka_unit_test(test_embed_order),
        cmocka_unit_test(test_finite),
    };
    return cmocka_run_group_tests(tests, enter, NULL);
}
