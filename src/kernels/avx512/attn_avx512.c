/* Attention pieces on AVX-512.  Softmax works on 16 rows at a time, so that maxima, sums and
 * corrections of 16 rows are one vector: no reduction within a row. */
#include "kernels/avx512/lanes_avx512.h"
#include "kernels/avx512/math_avx512.h"
#include "kernels/fill.h"

enum { KEYS = 64, ROWS = 16 };

/* Bit j: key j is seen. */
LANES_INLINE uint64_t seen_keys(int lo, int hi)
{
    uint64_t below_hi = hi >= KEYS ? ~0ull : hi <= 0 ? 0 : (1ull << hi) - 1;
    uint64_t below_lo = lo >= KEYS ? ~0ull : lo <= 0 ? 0 : (1ull << lo) - 1;
    return below_hi & ~below_lo;
}

static bool all_seen(const int *lo, const int *hi, int rows)
{
    bool all = true;
    for (int r = 0; r < rows; r++)
        all &= (lo[r] <= 0) & (hi[r] >= KEYS);
    return all;
}

/* The 16 trees of NUMERICS §4 at once: lane r of the result is the sum (or maximum) of v[r]. Each
 * level halves the vectors: lanes l and l + 8, then l + 4, l + 2, l + 1. */
#define REDUCE16(name, op) \
    LANES_INLINE __m512 name(const __m512 v[16]) \
    { \
        __m512 quad[4]; \
        _Pragma("GCC unroll 4") for (int g = 0; g < 4; g++) { /* rows g, 4+g, 8+g, 12+g */ \
            __m512 a = v[g], b = v[4 + g], c = v[8 + g], d = v[12 + g]; \
            __m512 ab = op(_mm512_shuffle_f32x4(a, b, 0x44), _mm512_shuffle_f32x4(a, b, 0xee)); \
            __m512 cd = op(_mm512_shuffle_f32x4(c, d, 0x44), _mm512_shuffle_f32x4(c, d, 0xee)); \
            quad[g] = op(_mm512_shuffle_f32x4(ab, cd, 0x88), _mm512_shuffle_f32x4(ab, cd, 0xdd)); \
        } \
        __m512d q0 = _mm512_castps_pd(quad[0]), q1 = _mm512_castps_pd(quad[1]); \
        __m512d q2 = _mm512_castps_pd(quad[2]), q3 = _mm512_castps_pd(quad[3]); \
        __m512 u = op(_mm512_castpd_ps(_mm512_unpacklo_pd(q0, q1)), \
                      _mm512_castpd_ps(_mm512_unpackhi_pd(q0, q1))); \
        __m512 w = op(_mm512_castpd_ps(_mm512_unpacklo_pd(q2, q3)), \
                      _mm512_castpd_ps(_mm512_unpackhi_pd(q2, q3))); \
        return op(_mm512_shuffle_ps(u, w, 0x88), _mm512_shuffle_ps(u, w, 0xdd)); \
    }
REDUCE16(sum_of_16, _mm512_add_ps)
REDUCE16(max_of_16, _mm512_max_ps)

/* x = exp(x) by the steps of exp_core_avx512, where keep and x ≥ EXP_LO (else +0), for two rows at
 * once: eight independent chains side by side keep the multipliers busy. */
LANES_INLINE void exp_rows(__m512 x[8], const __mmask16 keep[8])
{
#define STEP _Pragma("GCC unroll 8") for (int v = 0; v < 8; v++)
    const __m512 magic = _mm512_set1_ps(EXP_MAGIC), one = _mm512_set1_ps(1.0f);
    __m512 k[8], q[8];
    __mmask16 m[8];
    STEP k[v] = _mm512_fmadd_ps(x[v], _mm512_set1_ps(EXP_LOG2E), magic);
    STEP m[v] = _mm512_mask_cmp_ps_mask(keep[v], x[v], _mm512_set1_ps(EXP_LO), _CMP_NLT_UQ);
    STEP k[v] = _mm512_sub_ps(k[v], magic);
    STEP x[v] = _mm512_fnmadd_ps(k[v], _mm512_set1_ps(EXP_LN2_HI), x[v]);
    STEP x[v] = _mm512_fnmadd_ps(k[v], _mm512_set1_ps(EXP_LN2_LO), x[v]);
    STEP q[v] = _mm512_fmadd_ps(_mm512_set1_ps(EXP_C6), x[v], _mm512_set1_ps(EXP_C5));
    STEP q[v] = _mm512_fmadd_ps(q[v], x[v], _mm512_set1_ps(EXP_C4));
    STEP q[v] = _mm512_fmadd_ps(q[v], x[v], _mm512_set1_ps(EXP_C3));
    STEP q[v] = _mm512_fmadd_ps(q[v], x[v], _mm512_set1_ps(EXP_C2));
    STEP q[v] = _mm512_fmadd_ps(q[v], x[v], one);
    STEP q[v] = _mm512_fmadd_ps(q[v], x[v], one);
    STEP x[v] = _mm512_maskz_scalef_ps(m[v], q[v], k[v]);
#undef STEP
}

/* The exponentials of rows r and r + 1 (the same row when r + 1 does not exist) and their sums. */
LANES_INLINE void softmax2(bool full, float *p0, float *p1, __m512 part[2], const float *s0,
                           const float *s1, const uint64_t *seen, const float *top, int one, __m512 scale)
{
    const float *s[2] = {s0, s1};
    __m512 e[8];
    __mmask16 k[8];
#pragma GCC unroll 8
    for (int v = 0; v < 8; v++) {
        int i = v / 4, j = 16 * (v % 4);
        k[v] = full ? 0xffff : (__mmask16)(seen[i * one] >> j);
        e[v] = _mm512_mul_ps(scale, _mm512_maskz_loadu_ps(k[v], s[i] + j));
        e[v] = _mm512_sub_ps(e[v], _mm512_set1_ps(top[i * one]));
    }
    exp_rows(e, k);
    part[0] = _mm512_add_ps(_mm512_add_ps(_mm512_add_ps(e[0], e[1]), e[2]), e[3]);
    part[1] = _mm512_add_ps(_mm512_add_ps(_mm512_add_ps(e[4], e[5]), e[6]), e[7]);
#pragma GCC unroll 8
    for (int v = 0; v < 8; v++)
        _mm512_storeu_ps((v < 4 ? p0 : p1) + 16 * (v % 4), e[v]);
}

/* rows ≤ 16; full: they see all keys. */
LANES_INLINE void softmax16(bool full, float *p, ptrdiff_t ldp, float *m, float *l, float *corr,
                            const float *s, ptrdiff_t lds, const int *lo, const int *hi, int rows,
                            float scale)
{
    const __m512 vs = _mm512_set1_ps(scale), none = _mm512_set1_ps(-__builtin_inff());
    __mmask16 exists = mask16(rows), touched = exists;
    __m512 part[ROWS];
    uint64_t seen[ROWS] = {0};
    float top[ROWS];
    for (int r = 0; r < rows; r++) {
        __m512 t[4];
        if (!full)
            seen[r] = seen_keys(lo[r], hi[r]);
        if (!full && seen[r] == 0)
            touched &= (__mmask16)~(1u << r);
#pragma GCC unroll 4
        for (int v = 0; v < 4; v++) {
            __mmask16 k = full ? 0xffff : (__mmask16)(seen[r] >> 16 * v);
            t[v] = _mm512_mask_mul_ps(none, k, vs, _mm512_maskz_loadu_ps(k, s + r * lds + 16 * v));
        }
        /* A NaN leaves the second operand. */
        part[r] = _mm512_max_ps(t[3], _mm512_max_ps(t[2], _mm512_max_ps(t[1], _mm512_max_ps(t[0], none))));
    }
    for (int r = rows; r < ROWS; r++)
        part[r] = none;
    __m512 m0 = _mm512_mask_loadu_ps(none, exists, m);
    __m512 m1 = _mm512_add_ps(_mm512_max_ps(max_of_16(part), m0), _mm512_setzero_ps());
    __mmask16 old = _mm512_cmp_ps_mask(m0, none, _CMP_NEQ_UQ);
    __m512 c = _mm512_maskz_mov_ps(old, exp_neg_f32_avx512(_mm512_sub_ps(m0, m1)));
    _mm512_storeu_ps(top, m1);
    for (int r = 0; r < rows; r += 2) {
        int one = r + 1 < rows;
        softmax2(full, p + r * ldp, p + (r + one) * ldp, part + r, s + r * lds, s + (r + one) * lds, seen + r,
                 top + r, one, vs);
    }
    for (int r = rows; r < ROWS; r++)
        part[r] = _mm512_setzero_ps();
    __m512 l0 = _mm512_maskz_loadu_ps(exists, l);
    __m512 l1 = _mm512_add_ps(_mm512_mul_ps(l0, c), sum_of_16(part));
    c = _mm512_mask_mov_ps(_mm512_set1_ps(1.0f), touched, c);
    _mm512_mask_storeu_ps(m, touched, m1);
    _mm512_mask_storeu_ps(l, touched, l1);
    _mm512_mask_storeu_ps(corr, exists, c);
}

static void attn_softmax_f32_avx512(float *p, ptrdiff_t ldp, float *m, float *l, float *corr,
                                    const float *s, ptrdiff_t lds, const int *lo, const int *hi,
                                    int rows, float scale)
{
    for (int r = 0; r < rows; r += ROWS) {
        int n = rows - r < ROWS ? rows - r : ROWS;
        float *pr = p + r * ldp;
        const float *sr = s + r * lds;
        if (all_seen(lo + r, hi + r, n))
            softmax16(true, pr, ldp, m + r, l + r, corr + r, sr, lds, lo + r, hi + r, n, scale);
        else
            softmax16(false, pr, ldp, m + r, l + r, corr + r, sr, lds, lo + r, hi + r, n, scale);
    }
}

static void attn_rescale_f32_avx512(float *o, ptrdiff_t ldo, const float *corr, int rows, int d)
{
    for (int r = 0; r < rows; r++) {
        float *x = o + r * ldo;
        __m512 c = _mm512_set1_ps(corr[r]);
        int i = 0;
        for (; i + 16 <= d; i += 16)
            _mm512_storeu_ps(x + i, _mm512_mul_ps(_mm512_loadu_ps(x + i), c));
        __mmask16 k = mask16(d - i);
        if (k)
            _mm512_mask_storeu_ps(x + i, k, _mm512_mul_ps(_mm512_maskz_loadu_ps(k, x + i), c));
    }
}

static void attn_finish_bf16_avx512(bf16 *y, ptrdiff_t ldy, const float *o, ptrdiff_t ldo,
                                    const float *l, int rows, int d)
{
    for (int r = 0; r < rows; r++)
        for (int i = 0; i < d; i += 16) {
            __mmask16 k = mask16(d - i), some = l[r] == 0 ? 0 : k;
            __m512 x = _mm512_maskz_loadu_ps(k, o + r * ldo + i);
            x = _mm512_maskz_div_ps(some, x, _mm512_set1_ps(l[r]));
            bf16_mask_store_avx512(y + r * ldy + i, k, _mm512_add_ps(x, _mm512_setzero_ps()));
        }
}

/* Rows 0 and 1 (or row 0 twice); full: they see all keys. */
LANES_INLINE void softmax_bwd2(bool full, float *s_p[2], float *dp_ds[2], const float *m, const float *l,
                               const float *delta, const uint64_t *seen, float scale, int one)
{
    const __m512 vs = _mm512_set1_ps(scale);
    const __m512 inv[2] = {_mm512_set1_ps(1.0f / l[0]), _mm512_set1_ps(1.0f / l[one])};
    __m512 x[8], g[8];
    __mmask16 k[8];
#pragma GCC unroll 8
    for (int v = 0; v < 8; v++) {
        int i = v / 4, j = 16 * (v % 4);
        k[v] = full ? 0xffff : (__mmask16)(seen[i] >> j);
        x[v] = _mm512_mul_ps(vs, _mm512_maskz_loadu_ps(k[v], s_p[i] + j));
        x[v] = _mm512_sub_ps(x[v], _mm512_set1_ps(m[i * one]));
        x[v] = _mm512_min_ps(_mm512_set1_ps(EXP_HI), x[v]);
    }
    exp_rows(x, k);
#pragma GCC unroll 8
    for (int v = 0; v < 8; v++) {
        int i = v / 4, j = 16 * (v % 4);
        g[v] = _mm512_sub_ps(_mm512_maskz_loadu_ps(k[v], dp_ds[i] + j), _mm512_set1_ps(delta[i * one]));
        x[v] = _mm512_maskz_mul_ps(k[v], x[v], inv[i]);
        g[v] = _mm512_maskz_mul_ps(k[v], _mm512_mul_ps(x[v], g[v]), vs);
    }
#pragma GCC unroll 8
    for (int v = 0; v < 8; v++) {
        _mm512_storeu_ps(s_p[v / 4] + 16 * (v % 4), x[v]);
        _mm512_storeu_ps(dp_ds[v / 4] + 16 * (v % 4), g[v]);
    }
}

static void attn_softmax_bwd_f32_avx512(float *s_p, ptrdiff_t lds, float *dp_ds, ptrdiff_t lddp,
                                        const float *m, const float *l, const float *delta,
                                        const int *lo, const int *hi, int rows, float scale)
{
    for (int r = 0; r < rows; r += 2) {
        int one = r + 1 < rows;
        uint64_t seen[2] = {seen_keys(lo[r], hi[r]), seen_keys(lo[r + one], hi[r + one])};
        float *x[2] = {s_p + r * lds, s_p + (r + one) * lds};
        float *g[2] = {dp_ds + r * lddp, dp_ds + (r + one) * lddp};
        if ((seen[0] & seen[1]) == ~0ull)
            softmax_bwd2(true, x, g, m + r, l + r, delta + r, seen, scale, one);
        else
            softmax_bwd2(false, x, g, m + r, l + r, delta + r, seen, scale, one);
    }
}

static void attn_delta_bf16_avx512(float *delta, const bf16 *o, ptrdiff_t ldo, const bf16 *d_o,
                                   ptrdiff_t lddo, int rows, int d)
{
    for (int r = 0; r < rows; r++) {
        __m512 acc = _mm512_setzero_ps();
        for (int i = 0; i < d; i += 16) {
            __mmask16 k = mask16(d - i);
            __m512 a = bf16_mask_load_avx512(o + r * ldo + i, k);
            __m512 b = bf16_mask_load_avx512(d_o + r * lddo + i, k);
            acc = _mm512_mask_add_ps(acc, k, acc, _mm512_mul_ps(a, b));
        }
        delta[r] = lanes_sum_avx512(acc);
    }
}

/* n rows (a constant of each instance) of queries against 16 transposed keys of depth nd ≤ 32. */
LANES_INLINE void qk_rows(int n, float *s, ptrdiff_t lds, const float *q, ptrdiff_t ldq,
                          const __m512i *pairs, int nd, __mmask16 keys, bool first)
{
    __m512 e[4], o[4];
#pragma GCC unroll 4
    for (int r = 0; r < n; r++)
        e[r] = o[r] = _mm512_setzero_ps();
    for (int j = 0; 2 * j < nd; j++) {
        __m512 ke = pair_even(pairs[j]), ko = pair_odd(pairs[j]);
#pragma GCC unroll 4
        for (int r = 0; r < n; r++)
            e[r] = _mm512_fmadd_ps(_mm512_set1_ps(q[r * ldq + 2 * j]), ke, e[r]);
        if (2 * j + 1 == nd)
            break;
#pragma GCC unroll 4
        for (int r = 0; r < n; r++)
            o[r] = _mm512_fmadd_ps(_mm512_set1_ps(q[r * ldq + 2 * j + 1]), ko, o[r]);
    }
#pragma GCC unroll 4
    for (int r = 0; r < n; r++) {
        float *sr = s + r * lds;
        __m512 c = first ? _mm512_setzero_ps() : _mm512_maskz_loadu_ps(keys, sr);
        _mm512_mask_storeu_ps(sr, keys, _mm512_add_ps(c, _mm512_add_ps(e[r], o[r])));
    }
}

/* Depth 32 of 16 keys as pairs. */
LANES_INLINE void whole_pairs(__m512i pairs[16], const bf16 *k, ptrdiff_t ldk)
{
    __m512i v[16];
#pragma GCC unroll 16
    for (int r = 0; r < 16; r++)
        v[r] = _mm512_loadu_si512(k + r * ldk);
    transpose16(v);
#pragma GCC unroll 16
    for (int r = 0; r < 16; r++)
        pairs[r] = v[r];
}

static void attn_qk_bf16_avx512(float *s, ptrdiff_t lds, const float *q, ptrdiff_t ldq,
                                const bf16 *k, ptrdiff_t ldk, int rows, int keys, int d)
{
    const struct gemm_src src = {k, DT_BF16, false, ldk};
    for (int j = 0; j < keys; j += 16)
        for (int i = 0; i < d; i += 32) {
            __m512i pairs[16];
            __mmask16 some = mask16(keys - j);
            int nd = d - i < 32 ? d - i : 32, r = 0;
            if (nd == 32 && some == 0xffff)
                whole_pairs(pairs, k + j * ldk + i, ldk);
            else
                load_row_pairs(pairs, &src, j, keys - j, i, d - i, true);
            for (; r + 4 <= rows; r += 4)
                qk_rows(4, s + r * lds + j, lds, q + r * ldq + i, ldq, pairs, nd, some, i == 0);
            for (; r < rows; r++)
                qk_rows(1, s + r * lds + j, lds, q + r * ldq + i, ldq, pairs, nd, some, i == 0);
        }
}

/* acc += p·v of one key for n rows × nv vectors of 16 columns, the last of which is masked. */
LANES_INLINE void pv_key(int n, int nv, __m512 acc[2][4], const float *p, const bf16 *v, __mmask16 last)
{
#pragma GCC unroll 4
    for (int c = 0; c < nv; c++) {
        __m512 x = bf16_mask_load_avx512(v + 16 * c, c + 1 < nv ? 0xffff : last);
#pragma GCC unroll 2
        for (int r = 0; r < n; r++)
            acc[r][c] = _mm512_fmadd_ps(_mm512_set1_ps(p[r * KEYS]), x, acc[r][c]);
    }
}

/* n and nv are constants of each instance. */
LANES_INLINE void pv_tile(int n, int nv, float *o, ptrdiff_t ldo, const float *p, const bf16 *v,
                          ptrdiff_t ldv, int keys, __mmask16 last)
{
    for (int j0 = 0; j0 < keys; j0 += 32) {
        __m512 even[2][4], odd[2][4];
#pragma GCC unroll 2
        for (int r = 0; r < n; r++)
#pragma GCC unroll 4
            for (int c = 0; c < nv; c++)
                even[r][c] = odd[r][c] = _mm512_setzero_ps();
        int j = j0, j1 = keys < j0 + 32 ? keys : j0 + 32;
        for (; j + 2 <= j1; j += 2) {
            pv_key(n, nv, even, p + j, v + j * ldv, last);
            pv_key(n, nv, odd, p + j + 1, v + (j + 1) * ldv, last);
        }
        if (j < j1)
            pv_key(n, nv, even, p + j, v + j * ldv, last);
#pragma GCC unroll 2
        for (int r = 0; r < n; r++)
#pragma GCC unroll 4
            for (int c = 0; c < nv; c++) {
                __mmask16 k = c + 1 < nv ? 0xffff : last;
                float *at = o + r * ldo + 16 * c;
                __m512 x = _mm512_add_ps(even[r][c], odd[r][c]);
                _mm512_mask_storeu_ps(at, k, _mm512_add_ps(_mm512_maskz_loadu_ps(k, at), x));
            }
    }
}

LANES_INLINE void pv_rows(int n, float *o, ptrdiff_t ldo, const float *p, const bf16 *v,
                          ptrdiff_t ldv, int keys, int d)
{
    int c = 0;
    for (; d - c > 48; c += 64)
        pv_tile(n, 4, o + c, ldo, p, v + c, ldv, keys, mask16(d - c - 48));
    if (d - c > 32)
        pv_tile(n, 3, o + c, ldo, p, v + c, ldv, keys, mask16(d - c - 32));
    else if (d - c > 16)
        pv_tile(n, 2, o + c, ldo, p, v + c, ldv, keys, mask16(d - c - 16));
    else if (d - c > 0)
        pv_tile(n, 1, o + c, ldo, p, v + c, ldv, keys, mask16(d - c));
}

static void attn_pv_bf16_avx512(float *o, ptrdiff_t ldo, const float *p, ptrdiff_t ldp,
                                const bf16 *v, ptrdiff_t ldv, int rows, int keys, int d)
{
    float rounded[2 * KEYS];
    for (int r = 0; r < rows; r += 2) {
        int n = rows - r < 2 ? 1 : 2;
        for (int i = 0; i < n; i++)
            for (int j = 0; j < keys; j += 16) {
                __m512 x = _mm512_maskz_loadu_ps(mask16(keys - j), p + (r + i) * ldp + j);
                _mm512_storeu_ps(rounded + i * KEYS + j, bf16_rounded_avx512(x));
            }
        if (n == 2)
            pv_rows(2, o + r * ldo, ldo, rounded, v, ldv, keys, d);
        else
            pv_rows(1, o + r * ldo, ldo, rounded, v, ldv, keys, d);
    }
}

void attn_fill_avx512(struct kernels *k)
{
    k->attn_softmax = attn_softmax_f32_avx512;
    k->attn_rescale = attn_rescale_f32_avx512;
    k->attn_finish = attn_finish_bf16_avx512;
    k->attn_softmax_bwd = attn_softmax_bwd_f32_avx512;
    k->attn_delta = attn_delta_bf16_avx512;
    k->attn_qk = attn_qk_bf16_avx512;
    k->attn_pv = attn_pv_bf16_avx512;
}
