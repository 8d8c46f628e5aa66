/* AVX-512: RMSNorm, and per-head RMSNorm with rotary embedding.
 *
 * A sum16 is one chain of fma per row, bound by latency: several rows are summed side by side. */
#include "kernels/avx512/elem_avx512.h"

static inline float rstd_of(float sum_sq, int n, float eps)
{
    return 1.0f / _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(sum_sq / (float)n + eps)));
}

static inline __m512 sq_lanes(__m512 acc, const float *x, __mmask16 k)
{
    __m512 v = _mm512_maskz_loadu_ps(k, x);
    return _mm512_mask3_fmadd_ps(v, v, acc, k);
}

/* rstd of four rows; each lane chain is its row's own. */
static void rstd4(float *rstd, const float *x, ptrdiff_t ldx, int n, float eps)
{
    __m512 a0 = _mm512_setzero_ps(), a1 = a0, a2 = a0, a3 = a0;
    const float *x1 = x + ldx, *x2 = x1 + ldx, *x3 = x2 + ldx;
    int j = 0;
    for (; j + 16 <= n; j += 16) {
        a0 = sq_lanes(a0, x + j, ALL_LANES);
        a1 = sq_lanes(a1, x1 + j, ALL_LANES);
        a2 = sq_lanes(a2, x2 + j, ALL_LANES);
        a3 = sq_lanes(a3, x3 + j, ALL_LANES);
    }
    if (j < n) {
        __mmask16 k = tail_avx512(n - j);
        a0 = sq_lanes(a0, x + j, k);
        a1 = sq_lanes(a1, x1 + j, k);
        a2 = sq_lanes(a2, x2 + j, k);
        a3 = sq_lanes(a3, x3 + j, k);
    }
    rstd[0] = rstd_of(lanes_sum_avx512(a0), n, eps);
    rstd[1] = rstd_of(lanes_sum_avx512(a1), n, eps);
    rstd[2] = rstd_of(lanes_sum_avx512(a2), n, eps);
    rstd[3] = rstd_of(lanes_sum_avx512(a3), n, eps);
}

static float rstd1(const float *x, int n, float eps)
{
    __m512 a = _mm512_setzero_ps();
    int j = 0;
    for (; j + 16 <= n; j += 16)
        a = sq_lanes(a, x + j, ALL_LANES);
    if (j < n)
        a = sq_lanes(a, x + j, tail_avx512(n - j));
    return rstd_of(lanes_sum_avx512(a), n, eps);
}

static void scale_row(bf16 *y, const float *x, const float *gain, float rstd, int n)
{
    const __m512 s = _mm512_set1_ps(rstd);
    int j = 0;
    for (; j + 16 <= n; j += 16) {
        __m512 v = _mm512_mul_ps(_mm512_loadu_ps(x + j), s);
        bf16_store_avx512(y + j, _mm512_mul_ps(v, _mm512_loadu_ps(gain + j)));
    }
    if (j == n)
        return;
    __mmask16 k = tail_avx512(n - j);
    __m512 v = _mm512_mul_ps(_mm512_maskz_loadu_ps(k, x + j), s);
    bf16_mask_store_avx512(y + j, k, _mm512_mul_ps(v, _mm512_maskz_loadu_ps(k, gain + j)));
}

void rmsnorm_fwd_f32_avx512(bf16 *y, ptrdiff_t ldy, float *rstd, const float *x, ptrdiff_t ldx,
                            const float *gain, int rows, int n, float eps)
{
    int r = 0;
    for (; r + 4 <= rows; r += 4) {
        rstd4(rstd + r, x + r * ldx, ldx, n, eps);
        for (int i = r; i < r + 4; i++)
            scale_row(y + i * ldy, x + i * ldx, gain, rstd[i], n);
    }
    for (; r < rows; r++) {
        rstd[r] = rstd1(x + r * ldx, n, eps);
        scale_row(y + r * ldy, x + r * ldx, gain, rstd[r], n);
    }
}

/* acc + t·xh over one vector of a row. */
static inline __m512 dot_lanes(__m512 acc, const bf16 *dy, const float *x, const float *gain, __m512 s,
                               __mmask16 k)
{
    __m512 t = _mm512_mul_ps(bf16_mask_load_avx512(dy, k), _mm512_maskz_loadu_ps(k, gain));
    return _mm512_mask3_fmadd_ps(t, _mm512_mul_ps(_mm512_maskz_loadu_ps(k, x), s), acc, k);
}

static inline void bwd_lanes(float *dx, float *dgain, const bf16 *dy, const float *x,
                             const float *gain, __m512 s, __m512 c, __mmask16 k)
{
    __m512 d = bf16_mask_load_avx512(dy, k), xh = _mm512_mul_ps(_mm512_maskz_loadu_ps(k, x), s);
    __m512 t = _mm512_mul_ps(d, _mm512_maskz_loadu_ps(k, gain));
    __m512 e = _mm512_fnmadd_ps(xh, c, t);
    _mm512_mask_storeu_ps(dx, k, _mm512_fmadd_ps(s, e, _mm512_maskz_loadu_ps(k, dx)));
    _mm512_mask_storeu_ps(dgain, k, _mm512_fmadd_ps(d, xh, _mm512_maskz_loadu_ps(k, dgain)));
}

static void bwd_row(float *dx, float *dgain, const bf16 *dy, const float *x, const float *gain,
                    float rstd, float mean, int n)
{
    const __m512 s = _mm512_set1_ps(rstd), c = _mm512_set1_ps(mean);
    int j = 0;
    for (; j + 16 <= n; j += 16)
        bwd_lanes(dx + j, dgain + j, dy + j, x + j, gain + j, s, c, ALL_LANES);
    if (j < n)
        bwd_lanes(dx + j, dgain + j, dy + j, x + j, gain + j, s, c, tail_avx512(n - j));
}

void rmsnorm_bwd_f32_avx512(float *dx, ptrdiff_t lddx, float *dgain, const bf16 *dy, ptrdiff_t lddy,
                            const float *x, ptrdiff_t ldx, const float *rstd, const float *gain,
                            int rows, int n)
{
    for (int r = 0; r < rows; r += 2) {
        /* With an odd count the last row is summed twice and used once. */
        const int r1 = r + 1 < rows ? r + 1 : r;
        const float *x0 = x + r * ldx, *x1 = x + r1 * ldx;
        const bf16 *d0 = dy + r * lddy, *d1 = dy + r1 * lddy;
        const __m512 s0 = _mm512_set1_ps(rstd[r]), s1 = _mm512_set1_ps(rstd[r1]);
        __m512 a0 = _mm512_setzero_ps(), a1 = a0;
        int j = 0;
        for (; j + 16 <= n; j += 16) {
            a0 = dot_lanes(a0, d0 + j, x0 + j, gain + j, s0, ALL_LANES);
            a1 = dot_lanes(a1, d1 + j, x1 + j, gain + j, s1, ALL_LANES);
        }
        if (j < n) {
            __mmask16 k = tail_avx512(n - j);
            a0 = dot_lanes(a0, d0 + j, x0 + j, gain + j, s0, k);
            a1 = dot_lanes(a1, d1 + j, x1 + j, gain + j, s1, k);
        }
        bwd_row(dx + r * lddx, dgain, d0, x0, gain, rstd[r], lanes_sum_avx512(a0) / (float)n, n);
        if (r1 != r)
            bwd_row(dx + r1 * lddx, dgain, d1, x1, gain, rstd[r1], lanes_sum_avx512(a1) / (float)n, n);
    }
}

/* ---- heads: whole vectors in each half, so that a pair (i, i + h) is a pair of registers ---- */

enum { QK_MAX = 256 };

static bool qk_fits(int d_head) { return d_head % 32 == 0 && d_head <= QK_MAX; }

static inline float head_rstd(const bf16 *x, int d, float eps)
{
    __m512 acc = _mm512_setzero_ps();
    for (int j = 0; j < d; j += 16) {
        __m512 v = bf16_load_avx512(x + j);
        acc = _mm512_fmadd_ps(v, v, acc);
    }
    return rstd_of(lanes_sum_avx512(acc), d, eps);
}

static inline void head_fwd(bf16 *y, const bf16 *x, const float *gain, float rstd, const float *cosine,
                            const float *sine, int d)
{
    const int h = d / 2;
    const __m512 s = _mm512_set1_ps(rstd);
    for (int i = 0; i < h; i += 16) {
        __m512 a = bf16_load_avx512(x + i), b = bf16_load_avx512(x + i + h);
        if (gain) {
            a = _mm512_mul_ps(_mm512_mul_ps(a, s), _mm512_loadu_ps(gain + i));
            b = _mm512_mul_ps(_mm512_mul_ps(b, s), _mm512_loadu_ps(gain + i + h));
        }
        if (cosine) {
            __m512 c = _mm512_loadu_ps(cosine + i), sn = _mm512_loadu_ps(sine + i);
            __m512 ra = _mm512_fnmadd_ps(b, sn, _mm512_mul_ps(a, c));
            b = _mm512_fmadd_ps(a, sn, _mm512_mul_ps(b, c));
            a = ra;
        }
        bf16_store_avx512(y + i, a);
        bf16_store_avx512(y + i + h, b);
    }
}

void qk_fwd_bf16_avx512(bf16 *y, ptrdiff_t ldy, float *rstd, const bf16 *x, ptrdiff_t ldx,
                        const float *gain, struct rope_table rope, const int *pos, int rows,
                        int n_head, int d_head, float eps)
{
    if (!qk_fits(d_head)) {
        qk_fwd_bf16_ref(y, ldy, rstd, x, ldx, gain, rope, pos, rows, n_head, d_head, eps);
        return;
    }
    for (int r = 0; r < rows; r++) {
        ptrdiff_t at = rope.cos ? (ptrdiff_t)pos[r] * (d_head / 2) : 0;
        const float *cosine = rope.cos ? rope.cos + at : NULL, *sine = rope.cos ? rope.sin + at : NULL;
        for (int h = 0; h < n_head; h++) {
            ptrdiff_t o = (ptrdiff_t)h * d_head;
            const bf16 *xh = x + r * ldx + o;
            float s = gain ? head_rstd(xh, d_head, eps) : 0;
            if (gain && rstd)
                rstd[(ptrdiff_t)r * n_head + h] = s;
            head_fwd(y + r * ldy + o, xh, gain, s, cosine, sine, d_head);
        }
    }
}

/* dz = the rotation's transpose of dy. */
static inline void unrotate(float *dz, const float *dy, const float *cosine, const float *sine, int d)
{
    const int h = d / 2;
    for (int i = 0; i < h; i += 16) {
        __m512 a = _mm512_loadu_ps(dy + i), b = _mm512_loadu_ps(dy + i + h);
        if (cosine) {
            __m512 c = _mm512_loadu_ps(cosine + i), sn = _mm512_loadu_ps(sine + i);
            __m512 ra = _mm512_fmadd_ps(b, sn, _mm512_mul_ps(a, c));
            b = _mm512_fnmadd_ps(a, sn, _mm512_mul_ps(b, c));
            a = ra;
        }
        _mm512_store_ps(dz + i, a);
        _mm512_store_ps(dz + i + h, b);
    }
}

static inline void head_bwd(bf16 *dx, float *dgain, const float *dz, const bf16 *x, float rstd,
                            const float *gain, int d)
{
    const __m512 s = _mm512_set1_ps(rstd);
    __m512 acc = _mm512_setzero_ps();
    for (int j = 0; j < d; j += 16) {
        __m512 t = _mm512_mul_ps(_mm512_load_ps(dz + j), _mm512_loadu_ps(gain + j));
        acc = _mm512_fmadd_ps(t, _mm512_mul_ps(bf16_load_avx512(x + j), s), acc);
    }
    const __m512 c = _mm512_set1_ps(lanes_sum_avx512(acc) / (float)d);
    for (int j = 0; j < d; j += 16) {
        __m512 z = _mm512_load_ps(dz + j), xh = _mm512_mul_ps(bf16_load_avx512(x + j), s);
        __m512 t = _mm512_mul_ps(z, _mm512_loadu_ps(gain + j));
        bf16_store_avx512(dx + j, _mm512_mul_ps(s, _mm512_fnmadd_ps(xh, c, t)));
        _mm512_storeu_ps(dgain + j, _mm512_fmadd_ps(z, xh, _mm512_loadu_ps(dgain + j)));
    }
}

void qk_bwd_bf16_avx512(bf16 *dx, ptrdiff_t lddx, float *dgain, const float *dy, ptrdiff_t lddy,
                        const bf16 *x, ptrdiff_t ldx, const float *rstd, const float *gain,
                        struct rope_table rope, const int *pos, int rows, int n_head, int d_head)
{
    if (!qk_fits(d_head)) {
        qk_bwd_bf16_ref(dx, lddx, dgain, dy, lddy, x, ldx, rstd, gain, rope, pos, rows, n_head,
                        d_head);
        return;
    }
    _Alignas(64) float dz[QK_MAX];
    for (int r = 0; r < rows; r++) {
        ptrdiff_t at = rope.cos ? (ptrdiff_t)pos[r] * (d_head / 2) : 0;
        const float *cosine = rope.cos ? rope.cos + at : NULL, *sine = rope.cos ? rope.sin + at : NULL;
        for (int h = 0; h < n_head; h++) {
            ptrdiff_t o = (ptrdiff_t)h * d_head;
            unrotate(dz, dy + r * lddy + o, cosine, sine, d_head);
            if (gain) {
                head_bwd(dx + r * lddx + o, dgain, dz, x + r * ldx + o, rstd[(ptrdiff_t)r * n_head + h],
                         gain, d_head);
                continue;
            }
            for (int j = 0; j < d_head; j += 16)
                bf16_store_avx512(dx + r * lddx + o + j, _mm512_load_ps(dz + j));
        }
    }
}
