/* The numeric contract (docs/numerics.md, profiles T1 and T2) as a table of pure functions over
 * ranges.  A kernel knows no threads, allocates nothing and reads no global.
 *
 * src/kernels/ref/ *is* the profile; avx2/, avx512/ and amx/ override slots with what was
 * measured faster and must equal ref under memcmp.  All pointers may be unaligned to the
 * vector width unless said otherwise; lengths may be 0.  `ld*` are row strides in
 * elements.  Sums over n are the 16-lane sums of NUMERICS §4 ("sum16"). */
#ifndef DK_KERNELS_KERNELS_H
#define DK_KERNELS_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/real.h"

enum isa { ISA_REF, ISA_AVX2, ISA_AVX512, ISA_AVX512BF16, ISA_AMX };

enum dtype { DT_F32, DT_BF16 }; /* DT_F32 is `real` */

/* A matrix operand as it lies in memory.  trans == false: element (row, kk) of an A operand
 * (or (col, kk) of a B operand) is p[row*ld + kk], i.e. k is contiguous.  trans == true:
 * p[kk*ld + row], i.e. k is strided.  For products of bf16, f32 sources are rounded to it when packed. */
struct gemm_src {
    const void *p;
    enum dtype dtype;
    bool trans;
    ptrdiff_t ld;
};

/* One matrix-product unit: tile shape, packing and inner loop belong together.  There are two of them: products of
 * bf16 (NUMERICS §3) and products of 8-bit integers (§3a).
 *
 * A panel of A holds mr rows × kp, one of B nr columns × kp, where kp is k rounded up to k_pad and the
 * padding (k beyond the end, rows or columns beyond m or n) counts as zero.  One of 8-bit integers has
 * a_head or b_head bytes before every k_cut.  Panels follow each other.
 * Packed buffers must be 64-byte aligned. */
struct gemm_unit {
    const char *name; /* "fma-f32", "dot-bf16" or "amx-bf16"; "c-int8", "madd-int8", "dot-int8" or "amx-int8" */
    int mr, nr;
    int k_pad;     /* 32; 64 for 8-bit integers */
    int k_cut;     /* where depth may be cut into blocks that are packed apart: 32; I8_GROUP */
    size_t elem;   /* bytes of one packed element: 4 when expanded to f32, 2 for bf16 or 16 bits, 1 */
    size_t a_head, b_head; /* bytes before each k_cut of a panel: the scales of 8-bit integers */
    void (*pack_a)(void *dst, struct gemm_src src, int m, int k);
    void (*pack_b)(void *dst, struct gemm_src src, int n, int k);
    /* c[0..m)[0..n) = (zero ? +0 : c) then accumulation over the blocks (of 32 k; groups of I8_GROUP) of the
     * packed operands, ascending. Any m, n ≥ 0; never writes outside. k is that of gemm_depth. */
    void (*block)(real *c, ptrdiff_t ldc, const void *a, const void *b, int m, int n, int k,
                  bool zero);
    /* Per-thread unit state (AMX tile configuration); called around a run of block calls. */
    void (*enter)(void);
    void (*leave)(void);
};

/* The k of one scale in products of 8-bit integers; sums of so many products are below 2^24. */
enum { I8_GROUP = 256 };

/* Depth of panels of bf16, and of a unit. */
static inline int gemm_kp(int k) { return (k + 31) & ~31; }
static inline int gemm_depth(const struct gemm_unit *u, int k) { return (k + u->k_pad - 1) / u->k_pad * u->k_pad; }
/* Bytes of one panel of `wide` rows or columns. */
static inline size_t gemm_panel_bytes(const struct gemm_unit *u, int wide, size_t head, int k)
{
    return (size_t)wide * (size_t)gemm_depth(u, k) * u->elem + (size_t)((k + u->k_cut - 1) / u->k_cut) * head;
}
static inline size_t gemm_a_bytes(const struct gemm_unit *u, int m, int k)
{
    return (size_t)((m + u->mr - 1) / u->mr) * gemm_panel_bytes(u, u->mr, u->a_head, k);
}
static inline size_t gemm_b_bytes(const struct gemm_unit *u, int n, int k)
{
    return (size_t)((n + u->nr - 1) / u->nr) * gemm_panel_bytes(u, u->nr, u->b_head, k);
}

/* Weights kept as bf16 panels for inference: WP_NR output columns × k pairs, so that one
 * 32-bit lane holds (k even, k odd) of one column: the AMX B tile and, with a shift and a
 * mask, both f32 operands of an FMA step.  Panel p, pair j, column c, parity b at
 * ((p*(kp/2) + j)*WP_NR + c)*2 + b. */
enum { WP_NR = 16 };

struct adamw_args {
    real lr, beta1, beta2, eps, weight_decay;
    real bias1, bias2; /* 1 − beta^t, made in binary64 by the caller */
    real grad_scale;   /* multiplies g first: clipping */
};

struct rope_table {
    const real *cos, *sin; /* (max_pos, d_head/2) */
};

struct kernels {
    enum isa isa;
    struct gemm_unit gemm;
    struct gemm_unit gemm_i8;

    /* y[n] = (zero ? +0 : y[n]) + Σ_k x[k]·W[k][n] by NUMERICS §3 for m ≤ 8 rows against
     * wp-packed weights: y is (m, ldy), columns [n0, n1) of it are written, n0 a multiple of
     * WP_NR. x is bf16 (m, ldx), readable only up to k. */
    void (*gemv_wp)(real *y, ptrdiff_t ldy, const bf16 *x, ptrdiff_t ldx, const bf16 *wp, int m,
                    int n0, int n1, int k, bool zero);
    /* Packs rows (output columns) [n0, n1) of a (n, k) matrix; n0 a multiple of WP_NR, n1 too
     * unless it is n.  Columns from n to the end of the last panel become +0. */
    void (*wp_pack)(bf16 *wp, struct gemm_src src, int n0, int n1, int n, int k);
    /* Expands wp panels of a (n_total, k) matrix into what gemm.pack_b makes of columns
     * [n0, n0+n) and depth [k0, k1): n0 a multiple of nr, k0 of 32, k1 too unless it is k. */
    void (*wp_to_b)(void *dst, const bf16 *wp, int n0, int n, int n_total, int k, int k0, int k1);

    /* ---- conversions and simple vectors ---- */
    void (*bf16_from_f32)(bf16 *y, const real *x, size_t n);
    void (*f32_from_bf16)(real *y, const bf16 *x, size_t n);
    void (*add)(real *y, const real *x, size_t n);          /* y += x */
    void (*scale)(real *y, real a, size_t n);               /* y *= a */
    bool (*finite)(const real *x, size_t n);                /* no NaN and no infinity */
    real (*sum_sq)(const real *x, size_t n);                /* sum16 of fma(x, x, lane) */

    /* ---- normalisation (Zhang and Sennrich 2019) ----
     * rstd = 1/sqrt(sum_sq(x)/n + eps);  y = bf16((x·rstd)·gain). */
    void (*rmsnorm_fwd)(bf16 *y, ptrdiff_t ldy, real *rstd, const real *x, ptrdiff_t ldx,
                        const real *gain, int rows, int n, real eps);
    /* xh = x·rstd, t = dy·gain, c = sum16 of fma(t, xh, lane), divided by n:
     * dx = fma(rstd, fma(−xh, c, t), dx);  dgain[j] = fma(dy, xh, dgain[j]) in row order (the caller
     * gives one block of rows). */
    void (*rmsnorm_bwd)(real *dx, ptrdiff_t lddx, real *dgain, const bf16 *dy, ptrdiff_t lddy,
                        const real *x, ptrdiff_t ldx, const real *rstd, const real *gain, int rows,
                        int n);

    /* ---- per-head RMSNorm and rotary embedding, half-split pairs (i, i + d/2) ----
     * x is (rows, n_head, d_head) bf16 inside rows of stride ldx; gain (d_head) or NULL for no
     * norm; rstd (rows, n_head) or NULL.  z = (x·rstd)·gain;
     * y_i = z_i·cos − z_{i+h}·sin, y_{i+h} = z_{i+h}·cos + z_i·sin, each as one product then one fma
     * (y_i = fma(−z_{i+h}, sin, z_i·cos), y_{i+h} = fma(z_i, sin, z_{i+h}·cos)). cos == NULL: no rotation.
     * y may be x. */
    void (*qk_fwd)(bf16 *y, ptrdiff_t ldy, real *rstd, const bf16 *x, ptrdiff_t ldx,
                   const real *gain, struct rope_table rope, const int *pos, int rows, int n_head,
                   int d_head, real eps);
    /* dy is f32 (rows, n_head, d_head); dz is the rotation's transpose of dy, as one product then one
     * fma; then as rmsnorm_bwd with dx = bf16(rstd·fma(−xh, c, t)) written (not added) and dgain += in
     * row, then head order. */
    void (*qk_bwd)(bf16 *dx, ptrdiff_t lddx, real *dgain, const real *dy, ptrdiff_t lddy,
                   const bf16 *x, ptrdiff_t ldx, const real *rstd, const real *gain,
                   struct rope_table rope, const int *pos, int rows, int n_head, int d_head);

    /* ---- SwiGLU (Shazeer 2020): gu holds gate then up, ff columns each ----
     * y = bf16((g·sigmoid(g))·u). */
    void (*swiglu_fwd)(bf16 *y, ptrdiff_t ldy, const bf16 *gu, ptrdiff_t ldgu, int rows, int ff);
    /* dgu written: dg = bf16(((dy·u)·s)·fma(g, 1 − s, 1)), du = bf16(dy·(g·s)). */
    void (*swiglu_bwd)(bf16 *dgu, ptrdiff_t lddgu, const bf16 *dy, ptrdiff_t lddy, const bf16 *gu,
                       ptrdiff_t ldgu, int rows, int ff);

    /* ---- embedding ---- */
    void (*embed_fwd)(real *x, ptrdiff_t ldx, const real *table, const int *tok, int rows, int d);
    /* dtable[tok][c0..c1) += dx in row order; threads own column ranges. */
    void (*embed_bwd)(real *dtable, const real *dx, ptrdiff_t lddx, const int *tok, int rows, int d,
                      int c0, int c1);

    /* ---- softmax cross-entropy of one row of n logits ----
     * m = max16, l = sum16(exp(z − m)); *loss = (log(l) + m) − z[target];
     * dlogits_j = bf16((exp(z_j − m)·(1/l) − [j = target])·scale).  dlogits == NULL: loss only.
     * target < 0: loss 0, dlogits all +0.  max16: b > a ? b : a from −inf, so a NaN passes it by and
     * then shows in l. */
    void (*cross_entropy)(bf16 *dlogits, real *loss, const real *logits, int n, int target,
                          real scale);
    /* y_j = exp(x_j − m)·(1/l) with the same order; y may be x. For sampling. */
    void (*softmax)(real *y, const real *x, int n);

    /* ---- attention pieces (NUMERICS §6); the walk over blocks is nn/attention ----
     * One key block for `rows` query rows.  s (rows, lds ≥ 64) holds raw q·k of 64 keys; row r
     * sees key j when lo[r] ≤ j < hi[r] (block-relative, may be < 0 or > 64).  With t_j = scale·s_j:
     *   m' = max(m, t_j) + 0, corr = exp(m − m') (+0 when m = −inf), p_j = exp(t_j − m'),
     *   l = l·corr + sum16(p)
     * p (rows, ldp ≥ 64) is f32, masked keys +0; s may hold anything there, and p may be s.  max: t > m ? t : m, so
     * that a NaN among the seen keys passes it by and then shows in p and l.
     * lo ≥ hi: m and l stay, p is all +0, corr is 1.  Before its first block a row has m = −inf,
     * l = +0. */
    void (*attn_softmax)(real *p, ptrdiff_t ldp, real *m, real *l, real *corr, const real *s,
                         ptrdiff_t lds, const int *lo, const int *hi, int rows, real scale);
    /* o[r][c] *= corr[r] for c in [0, d). */
    void (*attn_rescale)(real *o, ptrdiff_t ldo, const real *corr, int rows, int d);
    /* y[r] = bf16(o[r]/l[r] + 0); l == 0 gives +0.  The added +0 makes every zero +0: a block of
     * masked keys can at most change the sign of a zero in o, so it may be skipped or not. */
    void (*attn_finish)(bf16 *y, ptrdiff_t ldy, const real *o, ptrdiff_t ldo, const real *l, int rows,
                        int d);
    /* Backward of one key block: p = exp(scale·s − m)·(1/l) (masked: +0; product, difference,
     * 1/l each rounded); ds = (p·(dp − delta))·scale.  s and dp (rows, 64) are overwritten by p
     * and ds (f32; the caller's packing rounds them to bf16). */
    void (*attn_softmax_bwd)(real *s_p, ptrdiff_t lds, real *dp_ds, ptrdiff_t lddp, const real *m,
                             const real *l, const real *delta, const int *lo, const int *hi,
                             int rows, real scale);
    /* delta[r] = sum16(o[r]·do[r]) over d, both bf16. */
    void (*attn_delta)(real *delta, const bf16 *o, ptrdiff_t ldo, const bf16 *d_o, ptrdiff_t lddo,
                       int rows, int d);
    /* The two products for a few query rows, straight from rows of keys and values, as §3 defines
     * them: s[r][j] = Σ_i q[r][i]·k[j][i] for j < keys, q holding bf16 values as f32;
     * o[r][c] += Σ_j bf16(p[r][j])·v[j][c].  keys ≤ 64, those of one block from its first on. */
    void (*attn_qk)(real *s, ptrdiff_t lds, const real *q, ptrdiff_t ldq, const bf16 *k,
                    ptrdiff_t ldk, int rows, int keys, int d);
    void (*attn_pv)(real *o, ptrdiff_t ldo, const real *p, ptrdiff_t ldp, const bf16 *v,
                    ptrdiff_t ldv, int rows, int keys, int d);

    /* ---- optimizers ----
     * AdamW (Loshchilov and Hutter 2019): g' = g·grad_scale; m = fma(beta1, m, (1−beta1)·g');
     * v = fma(beta2, v, (1−beta2)·(g'·g')); w = fma(−(lr·weight_decay), w, w);
     * w = fma(−(lr/bias1), m ÷ (sqrt(v·(1/bias2)) + eps), w). */
    void (*adamw)(real *w, real *m, real *v, const real *g, size_t n, const struct adamw_args *a);
    /* Muon momentum (Nesterov): t = (1−mu)·(g·grad_scale); m = fma(mu, m, t); u = fma(mu, m, t). */
    void (*muon_momentum)(real *u, real *m, const real *g, size_t n, real mu, real grad_scale);
    /* y = a·x + b·z (one product, one fma: fma(a, x, b·z)); y may be x or z. */
    void (*axpby)(real *y, real a, const real *x, real b, const real *z, size_t n);
    /* w = fma(−(lr·wd), w, w) where x·w ≥ 0 (cautious decay; all of w when cautious is false), then
     * w = fma(−lr, x, w). */
    void (*muon_apply)(real *w, const real *x, size_t n, real lr, real weight_decay, bool cautious);

    /* ---- the vector forms of t1_exp and t1_sigmoid that the kernels above are made of, laid open so
     * that all 2^32 inputs can be compared; y may be x ---- */
    void (*exp)(real *y, const real *x, size_t n);
    void (*sigmoid)(real *y, const real *x, size_t n);
};

/* What is fastest here of what the machine has, after known-answer tests. */
enum isa kernels_detect(void);
/* The table for an instruction set, or NULL when the machine lacks it (ISA_REF always works). */
const struct kernels *kernels_get(enum isa isa);
/* The table that DOKJA_CPU names, where this machine has it; else the fastest.  *bad is set to the value when it is
 * none of ISA_NAMES. */
#define ISA_NAMES "ref, avx2, avx512, avx512bf16 or amx"
const struct kernels *kernels_best(const char **bad);
const char *isa_name(enum isa isa);

/* Every thread that computes calls this first (NUMERICS §1): MXCSR FTZ and DAZ on, rounding to
 * nearest, exceptions masked.  Cheap. */
void kernels_fp_enter(void);

/* Rotary tables (NUMERICS §5): cos and sin of pos·theta^(−2i/d_head), i < d_head/2, for pos in
 * [0, max_pos), by own range reduction in binary64, rounded once. */
void kernels_rope_fill(real *cos, real *sin, int max_pos, int d_head, double theta);

/* Scalar functions of the profile (kernels/ref/math_ref.c). */
real t1_exp(real x);
real t1_log(real x);
real t1_tanh(real x);
real t1_sigmoid(real x);
real t1_rsqrt(real x);
double t1_pow_f64(double base, double exponent); /* for schedules; own exp/log in binary64 */
double t1_cos_f64(double x);

#endif
