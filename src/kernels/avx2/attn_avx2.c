/* Attention pieces on AVX2: a row of 64 keys is eight vectors; 16 lanes are two registers. */
#include "kernels/avx2/math_avx2.h"
#include "kernels/fill.h"

enum { KEYS = 64, ROWS = 8 };

#define AVX2_INLINE static inline __attribute__((always_inline))

/* Lanes j .. j+7 that lie in [lo, hi). */
AVX2_INLINE __m256i seen_lanes(int j, int lo, int hi)
{
    __m256i i = _mm256_add_epi32(_mm256_set1_epi32(j), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
    return _mm256_andnot_si256(_mm256_cmpgt_epi32(_mm256_set1_epi32(lo), i),
                               _mm256_cmpgt_epi32(_mm256_set1_epi32(hi), i));
}

AVX2_INLINE float row_max(bool full, const float *s, int lo, int hi, __m256 scale)
{
    const __m256 none = _mm256_set1_ps(-__builtin_inff());
    __m256 a = none, b = none;
    for (int j = 0; j < KEYS; j += 16) {
        __m256 x = _mm256_mul_ps(scale, _mm256_loadu_ps(s + j));
        __m256 y = _mm256_mul_ps(scale, _mm256_loadu_ps(s + j + 8));
        if (!full) {
            x = _mm256_blendv_ps(none, x, _mm256_castsi256_ps(seen_lanes(j, lo, hi)));
            y = _mm256_blendv_ps(none, y, _mm256_castsi256_ps(seen_lanes(j + 8, lo, hi)));
        }
        a = _mm256_max_ps(x, a); /* a NaN in x leaves a */
        b = _mm256_max_ps(y, b);
    }
    return lanes_max_avx2(a, b);
}

/* p of one row; returns sum16. */
AVX2_INLINE float row_exp(bool full, float *p, const float *s, int lo, int hi, __m256 scale, float top)
{
    const __m256 t = _mm256_set1_ps(top);
    __m256 a = _mm256_setzero_ps(), b = a;
    for (int j = 0; j < KEYS; j += 16) {
        __m256 x = _mm256_sub_ps(_mm256_mul_ps(scale, _mm256_loadu_ps(s + j)), t);
        __m256 y = _mm256_sub_ps(_mm256_mul_ps(scale, _mm256_loadu_ps(s + j + 8)), t);
        x = exp_neg_f32_avx2(x);
        y = exp_neg_f32_avx2(y);
        if (!full) {
            x = _mm256_and_ps(x, _mm256_castsi256_ps(seen_lanes(j, lo, hi)));
            y = _mm256_and_ps(y, _mm256_castsi256_ps(seen_lanes(j + 8, lo, hi)));
        }
        _mm256_storeu_ps(p + j, x);
        _mm256_storeu_ps(p + j + 8, y);
        a = _mm256_add_ps(a, x);
        b = _mm256_add_ps(b, y);
    }
    return lanes_sum_avx2(a, b);
}

/* At most eight rows: maxima first, their corrections as one vector, then the exponentials. */
static void softmax8(float *p, ptrdiff_t ldp, float *m, float *l, float *corr, const float *s,
                     ptrdiff_t lds, const int *lo, const int *hi, int rows, float scale)
{
    const float minus_inf = -__builtin_inff();
    const __m256 vs = _mm256_set1_ps(scale);
    float old[ROWS] = {0}, top[ROWS] = {0}, c[ROWS];
    for (int r = 0; r < rows; r++) {
        bool full = lo[r] <= 0 && hi[r] >= KEYS;
        float best = full ? row_max(true, s + r * lds, 0, KEYS, vs)
                          : row_max(false, s + r * lds, lo[r], hi[r], vs);
        old[r] = m[r];
        top[r] = (best > m[r] ? best : m[r]) + 0.0f;
    }
    _mm256_storeu_ps(c, exp_neg_f32_avx2(_mm256_sub_ps(_mm256_loadu_ps(old), _mm256_loadu_ps(top))));
    for (int r = 0; r < rows; r++) {
        float *pr = p + r * ldp;
        int a = lo[r] < 0 ? 0 : lo[r], b = hi[r] > KEYS ? KEYS : hi[r];
        if (a >= b) {
            for (int j = 0; j < KEYS; j += 8)
                _mm256_storeu_ps(pr + j, _mm256_setzero_ps());
            corr[r] = 1;
            continue;
        }
        float sum = b - a == KEYS ? row_exp(true, pr, s + r * lds, 0, KEYS, vs, top[r])
                                  : row_exp(false, pr, s + r * lds, a, b, vs, top[r]);
        corr[r] = old[r] == minus_inf ? 0 : c[r];
        m[r] = top[r];
        l[r] = l[r] * corr[r] + sum;
    }
}

static void attn_softmax_f32_avx2(float *p, ptrdiff_t ldp, float *m, float *l, float *corr,
                                  const float *s, ptrdiff_t lds, const int *lo, const int *hi, int rows,
                                  float scale)
{
    for (int r = 0; r < rows; r += ROWS)
        softmax8(p + r * ldp, ldp, m + r, l + r, corr + r, s + r * lds, lds, lo + r, hi + r,
                 rows - r < ROWS ? rows - r : ROWS, scale);
}

static void attn_rescale_f32_avx2(float *o, ptrdiff_t ldo, const float *corr, int rows, int d)
{
    for (int r = 0; r < rows; r++) {
        float *x = o + r * ldo;
        int i = 0;
        for (; i + 8 <= d; i += 8)
            _mm256_storeu_ps(x + i, _mm256_mul_ps(_mm256_loadu_ps(x + i), _mm256_set1_ps(corr[r])));
        for (; i < d; i++)
            x[i] *= corr[r];
    }
}

static void attn_finish_bf16_avx2(bf16 *y, ptrdiff_t ldy, const float *o, ptrdiff_t ldo,
                                  const float *l, int rows, int d)
{
    for (int r = 0; r < rows; r++) {
        __m256 by = _mm256_set1_ps(l[r]), zero = _mm256_setzero_ps();
        __m256 some = _mm256_cmp_ps(by, zero, _CMP_NEQ_UQ);
        for (int i = 0; i < d; i += 8) {
            __m256 x = _mm256_maskload_ps(o + r * ldo + i, tail_avx2(d - i));
            x = _mm256_add_ps(_mm256_and_ps(_mm256_div_ps(x, by), some), zero);
            if (d - i >= 8)
                bf16_store_avx2(y + r * ldy + i, x);
            else
                bf16_tail_store_avx2(y + r * ldy + i, d - i, x);
        }
    }
}

AVX2_INLINE void softmax_bwd_row(bool full, float *s_p, float *dp_ds, float m, float l, float delta,
                                 int lo, int hi, __m256 scale)
{
    const __m256 vm = _mm256_set1_ps(m), vd = _mm256_set1_ps(delta), inv = _mm256_set1_ps(1.0f / l);
    for (int j = 0; j < KEYS; j += 8) {
        __m256 x = _mm256_sub_ps(_mm256_mul_ps(scale, _mm256_loadu_ps(s_p + j)), vm);
        __m256 p = _mm256_mul_ps(exp_f32_avx2(x), inv);
        __m256 g = _mm256_sub_ps(_mm256_loadu_ps(dp_ds + j), vd);
        g = _mm256_mul_ps(_mm256_mul_ps(p, g), scale);
        if (!full) {
            __m256 seen = _mm256_castsi256_ps(seen_lanes(j, lo, hi));
            p = _mm256_and_ps(p, seen);
            g = _mm256_and_ps(g, seen);
        }
        _mm256_storeu_ps(s_p + j, p);
        _mm256_storeu_ps(dp_ds + j, g);
    }
}

static void attn_softmax_bwd_f32_avx2(float *s_p, ptrdiff_t lds, float *dp_ds, ptrdiff_t lddp,
                                      const float *m, const float *l, const float *delta,
                                      const int *lo, const int *hi, int rows, float scale)
{
    const __m256 vs = _mm256_set1_ps(scale);
    for (int r = 0; r < rows; r++) {
        float *x = s_p + r * lds, *g = dp_ds + r * lddp;
        if (lo[r] <= 0 && hi[r] >= KEYS)
            softmax_bwd_row(true, x, g, m[r], l[r], delta[r], 0, KEYS, vs);
        else
            softmax_bwd_row(false, x, g, m[r], l[r], delta[r], lo[r], hi[r], vs);
    }
}

static void attn_delta_bf16_avx2(float *delta, const bf16 *o, ptrdiff_t ldo, const bf16 *d_o,
                                 ptrdiff_t lddo, int rows, int d)
{
    for (int r = 0; r < rows; r++) {
        const bf16 *a = o + r * ldo, *b = d_o + r * lddo;
        __m256 acc[2] = {_mm256_setzero_ps(), _mm256_setzero_ps()};
        int i = 0;
        for (; i + 16 <= d; i += 16) {
            acc[0] = _mm256_add_ps(acc[0], _mm256_mul_ps(bf16_load_avx2(a + i), bf16_load_avx2(b + i)));
            acc[1] = _mm256_add_ps(acc[1],
                                   _mm256_mul_ps(bf16_load_avx2(a + i + 8), bf16_load_avx2(b + i + 8)));
        }
        /* A missing lane must stay as it is: −0 + 0 would not. */
        for (int h = 0; h < 2 && i < d; h++, i += 8) {
            int n = d - i < 8 ? d - i : 8;
            __m256 t = _mm256_mul_ps(bf16_tail_load_avx2(a + i, n), bf16_tail_load_avx2(b + i, n));
            t = _mm256_add_ps(acc[h], t);
            acc[h] = _mm256_blendv_ps(acc[h], t, _mm256_castsi256_ps(tail_avx2(n)));
        }
        delta[r] = lanes_sum_avx2(acc[0], acc[1]);
    }
}

/* Eight rows of eight 32-bit lanes. */
AVX2_INLINE void transpose8(__m256i v[8])
{
    __m256i t[8], u[8];
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        t[2 * i] = _mm256_unpacklo_epi32(v[2 * i], v[2 * i + 1]);
        t[2 * i + 1] = _mm256_unpackhi_epi32(v[2 * i], v[2 * i + 1]);
    }
#pragma GCC unroll 2
    for (int i = 0; i < 2; i++) {
        u[4 * i] = _mm256_unpacklo_epi64(t[4 * i], t[4 * i + 2]);
        u[4 * i + 1] = _mm256_unpackhi_epi64(t[4 * i], t[4 * i + 2]);
        u[4 * i + 2] = _mm256_unpacklo_epi64(t[4 * i + 1], t[4 * i + 3]);
        u[4 * i + 3] = _mm256_unpackhi_epi64(t[4 * i + 1], t[4 * i + 3]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        v[i] = _mm256_permute2x128_si256(u[i], u[4 + i], 0x20);
        v[4 + i] = _mm256_permute2x128_si256(u[i], u[4 + i], 0x31);
    }
}

/* Depth [0, nd), nd ≤ 32, of eight keys as pairs: pairs[j] = (k even, k odd) of the eight. */
AVX2_INLINE void key_pairs(__m256i pairs[16], const bf16 *k, ptrdiff_t ldk, int keys, int nd)
{
    for (int h = 0; h < 2; h++) {
        __m256i v[8];
        int n = nd - 16 * h < 16 ? nd - 16 * h : 16;
#pragma GCC unroll 8
        for (int r = 0; r < 8; r++) {
            bf16 part[16] = {{0}};
            if (r < keys && n == 16) {
                v[r] = _mm256_loadu_si256((const __m256i *)(k + r * ldk + 16 * h));
                continue;
            }
            if (r < keys && n > 0)
                memcpy(part, k + r * ldk + 16 * h, (size_t)n * sizeof *part);
            v[r] = _mm256_loadu_si256((const __m256i *)part);
        }
        transpose8(v);
#pragma GCC unroll 8
        for (int j = 0; j < 8; j++)
            pairs[8 * h + j] = v[j];
    }
}

/* n query rows (a constant of each instance) against eight keys. */
AVX2_INLINE void qk_rows(int n, float *s, ptrdiff_t lds, const float *q, ptrdiff_t ldq,
                         const __m256i *pairs, int nd, __m256i keys, bool first)
{
    __m256 e[4], o[4];
#pragma GCC unroll 4
    for (int r = 0; r < n; r++)
        e[r] = o[r] = _mm256_setzero_ps();
    for (int j = 0; 2 * j < nd; j++) {
        __m256 ke = _mm256_castsi256_ps(_mm256_slli_epi32(pairs[j], 16));
        __m256 ko = _mm256_castsi256_ps(_mm256_and_si256(pairs[j], _mm256_set1_epi32((int)0xffff0000u)));
#pragma GCC unroll 4
        for (int r = 0; r < n; r++)
            e[r] = _mm256_fmadd_ps(_mm256_set1_ps(q[r * ldq + 2 * j]), ke, e[r]);
        if (2 * j + 1 == nd)
            break;
#pragma GCC unroll 4
        for (int r = 0; r < n; r++)
            o[r] = _mm256_fmadd_ps(_mm256_set1_ps(q[r * ldq + 2 * j + 1]), ko, o[r]);
    }
#pragma GCC unroll 4
    for (int r = 0; r < n; r++) {
        float *sr = s + r * lds;
        __m256 c = first ? _mm256_setzero_ps() : _mm256_maskload_ps(sr, keys);
        _mm256_maskstore_ps(sr, keys, _mm256_add_ps(c, _mm256_add_ps(e[r], o[r])));
    }
}

static void attn_qk_bf16_avx2(float *s, ptrdiff_t lds, const float *q, ptrdiff_t ldq, const bf16 *k,
                              ptrdiff_t ldk, int rows, int keys, int d)
{
    for (int j = 0; j < keys; j += 8)
        for (int i = 0; i < d; i += 32) {
            __m256i pairs[16], some = tail_avx2(keys - j);
            int nd = d - i < 32 ? d - i : 32, r = 0;
            key_pairs(pairs, k + j * ldk + i, ldk, keys - j, nd);
            for (; r + 4 <= rows; r += 4)
                qk_rows(4, s + r * lds + j, lds, q + r * ldq + i, ldq, pairs, nd, some, i == 0);
            for (; r < rows; r++)
                qk_rows(1, s + r * lds + j, lds, q + r * ldq + i, ldq, pairs, nd, some, i == 0);
        }
}

/* acc += p·v of one key for nv vectors of eight columns. */
AVX2_INLINE void pv_key(int nv, __m256 acc[4], float p, const bf16 *v)
{
#pragma GCC unroll 4
    for (int c = 0; c < nv; c++)
        acc[c] = _mm256_fmadd_ps(_mm256_set1_ps(p), bf16_load_avx2(v + 8 * c), acc[c]);
}

/* nv is a constant of each instance. */
AVX2_INLINE void pv_tile(int nv, float *o, const float *p, const bf16 *v, ptrdiff_t ldv, int keys)
{
    for (int j0 = 0; j0 < keys; j0 += 32) {
        __m256 even[4], odd[4];
#pragma GCC unroll 4
        for (int c = 0; c < nv; c++)
            even[c] = odd[c] = _mm256_setzero_ps();
        int j = j0, j1 = keys < j0 + 32 ? keys : j0 + 32;
        for (; j + 2 <= j1; j += 2) {
            pv_key(nv, even, p[j], v + j * ldv);
            pv_key(nv, odd, p[j + 1], v + (j + 1) * ldv);
        }
        if (j < j1)
            pv_key(nv, even, p[j], v + j * ldv);
#pragma GCC unroll 4
        for (int c = 0; c < nv; c++) {
            __m256 x = _mm256_add_ps(even[c], odd[c]);
            _mm256_storeu_ps(o + 8 * c, _mm256_add_ps(_mm256_loadu_ps(o + 8 * c), x));
        }
    }
}

/* The last d < 8 columns. */
static void pv_tail(float *o, const float *p, const bf16 *v, ptrdiff_t ldv, int keys, int d)
{
    for (int j0 = 0; j0 < keys; j0 += 32) {
        __m256 acc[2] = {_mm256_setzero_ps(), _mm256_setzero_ps()};
        for (int j = j0; j < keys && j < j0 + 32; j++)
            acc[j & 1] = _mm256_fmadd_ps(_mm256_set1_ps(p[j]), bf16_tail_load_avx2(v + j * ldv, d), acc[j & 1]);
        __m256 x = _mm256_maskload_ps(o, tail_avx2(d));
        _mm256_maskstore_ps(o, tail_avx2(d), _mm256_add_ps(x, _mm256_add_ps(acc[0], acc[1])));
    }
}

static void attn_pv_bf16_avx2(float *o, ptrdiff_t ldo, const float *p, ptrdiff_t ldp, const bf16 *v,
                              ptrdiff_t ldv, int rows, int keys, int d)
{
    float rounded[KEYS];
    for (int r = 0; r < rows; r++) {
        float *out = o + r * ldo;
        for (int j = 0; j < keys; j += 8) {
            __m256 x = _mm256_maskload_ps(p + r * ldp + j, tail_avx2(keys - j));
            _mm256_storeu_ps(rounded + j, bf16_rounded_avx2(x));
        }
        int c = 0;
        for (; c + 32 <= d; c += 32)
            pv_tile(4, out + c, rounded, v + c, ldv, keys);
        for (; c + 8 <= d; c += 8)
            pv_tile(1, out + c, rounded, v + c, ldv, keys);
        if (c < d)
            pv_tail(out + c, rounded, v + c, ldv, keys, d - c);
    }
}

void attn_fill_avx2(struct kernels *k)
{
    k->attn_softmax = attn_softmax_f32_avx2;
    k->attn_rescale = attn_rescale_f32_avx2;
    k->attn_finish = attn_finish_bf16_avx2;
    k->attn_softmax_bwd = attn_softmax_bwd_f32_avx2;
    k->attn_delta = attn_delta_bf16_avx2;
    k->attn_qk = attn_qk_bf16_avx2;
    k->attn_pv = attn_pv_bf16_avx2;
}
