/* AVX2: RMSNorm, and per-head RMSNorm with rotary embedding. */
#include "kernels/avx2/elem_avx2.h"

static inline float rstd_of(float sum_sq, int n, float eps)
{
    return 1.0f / _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(sum_sq / (float)n + eps)));
}

static inline struct lanes sq_lanes(struct lanes a, const float *x)
{
    __m256 lo = _mm256_loadu_ps(x), hi = _mm256_loadu_ps(x + 8);
    a.lo = _mm256_fmadd_ps(lo, lo, a.lo);
    a.hi = _mm256_fmadd_ps(hi, hi, a.hi);
    return a;
}

/* The last `left` < 16 elements of a row, then the tree. */
static inline float sq_end(struct lanes a, const float *x, int left)
{
    if (left > 0) {
        __m256i k0 = tail_avx2(left), k1 = tail_avx2(left - 8);
        __m256 lo = _mm256_maskload_ps(x, k0), hi = _mm256_maskload_ps(x + 8, k1);
        a.lo = keep_fma_avx2(lo, lo, a.lo, k0);
        a.hi = keep_fma_avx2(hi, hi, a.hi, k1);
    }
    return lanes_sum_avx2(a.lo, a.hi);
}

/* The sums of squares of two rows side by side: each is a chain bound by latency. */
static inline void sum_sq2(float s[2], const float *x0, const float *x1, int n)
{
    struct lanes a = {_mm256_setzero_ps(), _mm256_setzero_ps()}, b = a;
    int j = 0;
    for (; j + 16 <= n; j += 16) {
        a = sq_lanes(a, x0 + j);
        b = sq_lanes(b, x1 + j);
    }
    s[0] = sq_end(a, x0 + j, n - j);
    s[1] = sq_end(b, x1 + j, n - j);
}

static void scale_row(bf16 *y, const float *x, const float *gain, float rstd, int n)
{
    const __m256 s = _mm256_set1_ps(rstd);
    int j = 0;
    for (; j + 8 <= n; j += 8) {
        __m256 v = _mm256_mul_ps(_mm256_loadu_ps(x + j), s);
        bf16_store_avx2(y + j, _mm256_mul_ps(v, _mm256_loadu_ps(gain + j)));
    }
    for (; j < n; j++)
        y[j] = bf16_round((x[j] * rstd) * gain[j]);
}

void rmsnorm_fwd_f32_avx2(bf16 *y, ptrdiff_t ldy, float *rstd, const float *x, ptrdiff_t ldx,
                          const float *gain, int rows, int n, float eps)
{
    for (int r = 0; r < rows; r += 2) {
        /* With an odd count the last row is summed twice and written once. */
        const int r1 = r + 1 < rows ? r + 1 : r;
        float s[2];
        sum_sq2(s, x + r * ldx, x + r1 * ldx, n);
        rstd[r] = rstd_of(s[0], n, eps);
        scale_row(y + r * ldy, x + r * ldx, gain, rstd[r], n);
        if (r1 == r)
            break;
        rstd[r1] = rstd_of(s[1], n, eps);
        scale_row(y + r1 * ldy, x + r1 * ldx, gain, rstd[r1], n);
    }
}

static float mean_dot(const bf16 *dy, const float *x, const float *gain, float rstd, int n)
{
    const __m256 s = _mm256_set1_ps(rstd);
    struct lanes a = {_mm256_setzero_ps(), _mm256_setzero_ps()};
    int j = 0;
    for (; j + 16 <= n; j += 16) {
        __m256 t0 = _mm256_mul_ps(bf16_load_avx2(dy + j), _mm256_loadu_ps(gain + j));
        __m256 t1 = _mm256_mul_ps(bf16_load_avx2(dy + j + 8), _mm256_loadu_ps(gain + j + 8));
        a.lo = _mm256_fmadd_ps(t0, _mm256_mul_ps(_mm256_loadu_ps(x + j), s), a.lo);
        a.hi = _mm256_fmadd_ps(t1, _mm256_mul_ps(_mm256_loadu_ps(x + j + 8), s), a.hi);
    }
    for (int left = n - j, p = 0; left > 0 && p < 2; p++, j += 8, left -= 8) {
        __m256i k = tail_avx2(left);
        __m256 t = _mm256_mul_ps(bf16_tail_load_avx2(dy + j, left < 8 ? left : 8),
                                 _mm256_maskload_ps(gain + j, k));
        __m256 xh = _mm256_mul_ps(_mm256_maskload_ps(x + j, k), s);
        if (p == 0)
            a.lo = keep_fma_avx2(t, xh, a.lo, k);
        else
            a.hi = keep_fma_avx2(t, xh, a.hi, k);
    }
    return lanes_sum_avx2(a.lo, a.hi) / (float)n;
}

static void bwd_row(float *dx, float *dgain, const bf16 *dy, const float *x, const float *gain,
                    float rstd, float mean, int n)
{
    const __m256 s = _mm256_set1_ps(rstd), c = _mm256_set1_ps(mean);
    int j = 0;
    for (; j + 8 <= n; j += 8) {
        __m256 d = bf16_load_avx2(dy + j), xh = _mm256_mul_ps(_mm256_loadu_ps(x + j), s);
        __m256 e = _mm256_fnmadd_ps(xh, c, _mm256_mul_ps(d, _mm256_loadu_ps(gain + j)));
        _mm256_storeu_ps(dx + j, _mm256_fmadd_ps(s, e, _mm256_loadu_ps(dx + j)));
        _mm256_storeu_ps(dgain + j, _mm256_fmadd_ps(d, xh, _mm256_loadu_ps(dgain + j)));
    }
    for (; j < n; j++) {
        float d = bf16_expand(dy[j]), xh = x[j] * rstd;
        dx[j] = fmaf(rstd, fmaf(-xh, mean, d * gain[j]), dx[j]);
        dgain[j] = fmaf(d, xh, dgain[j]);
    }
}

void rmsnorm_bwd_f32_avx2(float *dx, ptrdiff_t lddx, float *dgain, const bf16 *dy, ptrdiff_t lddy,
                          const float *x, ptrdiff_t ldx, const float *rstd, const float *gain,
                          int rows, int n)
{
    for (int r = 0; r < rows; r++) {
        float c = mean_dot(dy + r * lddy, x + r * ldx, gain, rstd[r], n);
        bwd_row(dx + r * lddx, dgain, dy + r * lddy, x + r * ldx, gain, rstd[r], c, n);
    }
}

/* ---- heads: whole vectors in each half, so that a pair (i, i + h) is a pair of registers ---- */

enum { QK_MAX = 256 };

static bool qk_fits(int d_head) { return d_head % 16 == 0 && d_head <= QK_MAX; }

static inline float head_rstd(const bf16 *x, int d, float eps)
{
    struct lanes a = {_mm256_setzero_ps(), _mm256_setzero_ps()};
    for (int j = 0; j < d; j += 16) {
        __m256 lo = bf16_load_avx2(x + j), hi = bf16_load_avx2(x + j + 8);
        a.lo = _mm256_fmadd_ps(lo, lo, a.lo);
        a.hi = _mm256_fmadd_ps(hi, hi, a.hi);
    }
    return rstd_of(lanes_sum_avx2(a.lo, a.hi), d, eps);
}

static inline void head_fwd(bf16 *y, const bf16 *x, const float *gain, float rstd, const float *cosine,
                            const float *sine, int d)
{
    const int h = d / 2;
    const __m256 s = _mm256_set1_ps(rstd);
    for (int i = 0; i < h; i += 8) {
        __m256 a = bf16_load_avx2(x + i), b = bf16_load_avx2(x + i + h);
        if (gain) {
            a = _mm256_mul_ps(_mm256_mul_ps(a, s), _mm256_loadu_ps(gain + i));
            b = _mm256_mul_ps(_mm256_mul_ps(b, s), _mm256_loadu_ps(gain + i + h));
        }
        if (cosine) {
            __m256 c = _mm256_loadu_ps(cosine + i), sn = _mm256_loadu_ps(sine + i);
            __m256 ra = _mm256_fnmadd_ps(b, sn, _mm256_mul_ps(a, c));
            b = _mm256_fmadd_ps(a, sn, _mm256_mul_ps(b, c));
            a = ra;
        }
        bf16_store_avx2(y + i, a);
        bf16_store_avx2(y + i + h, b);
    }
}

void qk_fwd_bf16_avx2(bf16 *y, ptrdiff_t ldy, float *rstd, const bf16 *x, ptrdiff_t ldx,
                      const float *gain, struct rope_table rope, const int *pos, int rows, int n_head,
                      int d_head, float eps)
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
    for (int i = 0; i < h; i += 8) {
        __m256 a = _mm256_loadu_ps(dy + i), b = _mm256_loadu_ps(dy + i + h);
        if (cosine) {
            __m256 c = _mm256_loadu_ps(cosine + i), sn = _mm256_loadu_ps(sine + i);
            __m256 ra = _mm256_fmadd_ps(b, sn, _mm256_mul_ps(a, c));
            b = _mm256_fnmadd_ps(a, sn, _mm256_mul_ps(b, c));
            a = ra;
        }
        _mm256_store_ps(dz + i, a);
        _mm256_store_ps(dz + i + h, b);
    }
}

static inline __m256 xhat(const bf16 *x, __m256 s) { return _mm256_mul_ps(bf16_load_avx2(x), s); }

static inline void head_bwd(bf16 *dx, float *dgain, const float *dz, const bf16 *x, float rstd,
                            const float *gain, int d)
{
    const __m256 s = _mm256_set1_ps(rstd);
    struct lanes a = {_mm256_setzero_ps(), _mm256_setzero_ps()};
    for (int j = 0; j < d; j += 16) {
        __m256 t0 = _mm256_mul_ps(_mm256_load_ps(dz + j), _mm256_loadu_ps(gain + j));
        __m256 t1 = _mm256_mul_ps(_mm256_load_ps(dz + j + 8), _mm256_loadu_ps(gain + j + 8));
        a.lo = _mm256_fmadd_ps(t0, xhat(x + j, s), a.lo);
        a.hi = _mm256_fmadd_ps(t1, xhat(x + j + 8, s), a.hi);
    }
    const __m256 c = _mm256_set1_ps(lanes_sum_avx2(a.lo, a.hi) / (float)d);
    for (int j = 0; j < d; j += 8) {
        __m256 z = _mm256_load_ps(dz + j), xh = xhat(x + j, s);
        __m256 t = _mm256_mul_ps(z, _mm256_loadu_ps(gain + j));
        bf16_store_avx2(dx + j, _mm256_mul_ps(s, _mm256_fnmadd_ps(xh, c, t)));
        _mm256_storeu_ps(dgain + j, _mm256_fmadd_ps(z, xh, _mm256_loadu_ps(dgain + j)));
    }
}

void qk_bwd_bf16_avx2(bf16 *dx, ptrdiff_t lddx, float *dgain, const float *dy, ptrdiff_t lddy,
                      const bf16 *x, ptrdiff_t ldx, const float *rstd, const float *gain,
                      struct rope_table rope, const int *pos, int rows, int n_head, int d_head)
{
    if (!qk_fits(d_head)) {
        qk_bwd_bf16_ref(dx, lddx, dgain, dy, lddy, x, ldx, rstd, gain, rope, pos, rows, n_head,
                        d_head);
        return;
    }
    _Alignas(32) float dz[QK_MAX];
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
            for (int j = 0; j < d_head; j += 8)
                bf16_store_avx2(dx + r * lddx + o + j, _mm256_load_ps(dz + j));
        }
    }
}
