/* AVX2: SwiGLU, softmax and softmax cross-entropy; bound by the exponential. */
#include "kernels/avx2/elem_avx2.h"

static inline __m256 swiglu_fwd_lanes(__m256 g, __m256 u)
{
    return _mm256_mul_ps(_mm256_mul_ps(g, sigmoid_f32_avx2(g)), u);
}

void swiglu_fwd_bf16_avx2(bf16 *y, ptrdiff_t ldy, const bf16 *gu, ptrdiff_t ldgu, int rows, int ff)
{
    for (int r = 0; r < rows; r++) {
        const bf16 *g = gu + r * ldgu, *u = g + ff;
        bf16 *yr = y + r * ldy;
        int j = 0;
        for (; j + 8 <= ff; j += 8)
            bf16_store_avx2(yr + j, swiglu_fwd_lanes(bf16_load_avx2(g + j), bf16_load_avx2(u + j)));
        if (j < ff) {
            __m256 vg = bf16_tail_load_avx2(g + j, ff - j), vu = bf16_tail_load_avx2(u + j, ff - j);
            bf16_tail_store_avx2(yr + j, ff - j, swiglu_fwd_lanes(vg, vu));
        }
    }
}

struct swiglu_grads {
    __m256 g, u;
};

static inline struct swiglu_grads swiglu_bwd_lanes(__m256 d, __m256 g, __m256 u)
{
    const __m256 one = _mm256_set1_ps(1.0f);
    __m256 s = sigmoid_f32_avx2(g);
    __m256 t = _mm256_fmadd_ps(g, _mm256_sub_ps(one, s), one);
    return (struct swiglu_grads){_mm256_mul_ps(_mm256_mul_ps(_mm256_mul_ps(d, u), s), t),
                                 _mm256_mul_ps(d, _mm256_mul_ps(g, s))};
}

void swiglu_bwd_bf16_avx2(bf16 *dgu, ptrdiff_t lddgu, const bf16 *dy, ptrdiff_t lddy, const bf16 *gu,
                          ptrdiff_t ldgu, int rows, int ff)
{
    for (int r = 0; r < rows; r++) {
        const bf16 *g = gu + r * ldgu, *u = g + ff, *d = dy + r * lddy;
        bf16 *dg = dgu + r * lddgu, *du = dg + ff;
        int j = 0;
        for (; j + 8 <= ff; j += 8) {
            struct swiglu_grads o = swiglu_bwd_lanes(bf16_load_avx2(d + j), bf16_load_avx2(g + j),
                                                     bf16_load_avx2(u + j));
            bf16_store_avx2(dg + j, o.g);
            bf16_store_avx2(du + j, o.u);
        }
        if (j < ff) {
            ptrdiff_t left = ff - j;
            struct swiglu_grads o =
                swiglu_bwd_lanes(bf16_tail_load_avx2(d + j, left), bf16_tail_load_avx2(g + j, left),
                                 bf16_tail_load_avx2(u + j, left));
            bf16_tail_store_avx2(dg + j, left, o.g);
            bf16_tail_store_avx2(du + j, left, o.u);
        }
    }
}

/* Maxima may be taken in any order: the value is the same, and the sign of a zero shows nowhere. */
static float max_of(const float *x, int n)
{
    const __m256 low = _mm256_set1_ps(-__builtin_inff());
    __m256 a = low, b = low, c = low, d = low;
    int j = 0;
    for (; j + 32 <= n; j += 32) {
        a = _mm256_max_ps(_mm256_loadu_ps(x + j), a);
        b = _mm256_max_ps(_mm256_loadu_ps(x + j + 8), b);
        c = _mm256_max_ps(_mm256_loadu_ps(x + j + 16), c);
        d = _mm256_max_ps(_mm256_loadu_ps(x + j + 24), d);
    }
    float m = lanes_max_avx2(_mm256_max_ps(b, a), _mm256_max_ps(d, c));
    for (; j < n; j++)
        m = x[j] > m ? x[j] : m;
    return m;
}

/* Adds exp(x − m) of the last `left` < 16 elements to the lanes and sums them; the sum of numbers
 * that are never negative holds no −0, so that adding +0 skips a lane. */
static float exp_sum_end(struct lanes a, const float *x, __m256 vm, int left)
{
    __m256i k0 = tail_avx2(left), k1 = tail_avx2(left - 8);
    __m256 e0 = exp_neg_f32_avx2(_mm256_sub_ps(_mm256_maskload_ps(x, k0), vm));
    __m256 e1 = exp_neg_f32_avx2(_mm256_sub_ps(_mm256_maskload_ps(x + 8, k1), vm));
    a.lo = _mm256_add_ps(a.lo, _mm256_and_ps(e0, _mm256_castsi256_ps(k0)));
    a.hi = _mm256_add_ps(a.hi, _mm256_and_ps(e1, _mm256_castsi256_ps(k1)));
    return lanes_sum_avx2(a.lo, a.hi);
}

void cross_entropy_f32_avx2(bf16 *dlogits, float *loss, const float *logits, int n, int target,
                            float scale)
{
    if (target < 0) {
        *loss = 0;
        if (dlogits)
            memset(dlogits, 0, (size_t)n * sizeof *dlogits);
        return;
    }
    const float m = max_of(logits, n);
    const __m256 vm = _mm256_set1_ps(m);
    struct lanes a = {_mm256_setzero_ps(), _mm256_setzero_ps()};
    int j = 0;
    for (; j + 16 <= n; j += 16) {
        __m256 z0 = _mm256_sub_ps(_mm256_loadu_ps(logits + j), vm);
        __m256 z1 = _mm256_sub_ps(_mm256_loadu_ps(logits + j + 8), vm);
        a.lo = _mm256_add_ps(a.lo, exp_neg_f32_avx2(z0));
        a.hi = _mm256_add_ps(a.hi, exp_neg_f32_avx2(z1));
    }
    const float l = exp_sum_end(a, logits + j, vm, n - j), inv = 1.0f / l;
    *loss = (t1_log(l) + m) - logits[target];
    if (!dlogits)
        return;
    const __m256 vi = _mm256_set1_ps(inv), vs = _mm256_set1_ps(scale);
    for (j = 0; j + 8 <= n; j += 8) {
        __m256 e = exp_neg_f32_avx2(_mm256_sub_ps(_mm256_loadu_ps(logits + j), vm));
        bf16_store_avx2(dlogits + j, _mm256_mul_ps(_mm256_mul_ps(e, vi), vs));
    }
    for (; j < n; j++)
        dlogits[j] = bf16_round((t1_exp(logits[j] - m) * inv) * scale);
    dlogits[target] = bf16_round((t1_exp(logits[target] - m) * inv - 1) * scale);
}

void softmax_f32_avx2(float *y, const float *x, int n)
{
    const float m = max_of(x, n);
    const __m256 vm = _mm256_set1_ps(m);
    struct lanes a = {_mm256_setzero_ps(), _mm256_setzero_ps()};
    int j = 0;
    for (; j + 16 <= n; j += 16) {
        __m256 e0 = exp_neg_f32_avx2(_mm256_sub_ps(_mm256_loadu_ps(x + j), vm));
        __m256 e1 = exp_neg_f32_avx2(_mm256_sub_ps(_mm256_loadu_ps(x + j + 8), vm));
        a.lo = _mm256_add_ps(a.lo, e0);
        a.hi = _mm256_add_ps(a.hi, e1);
        _mm256_storeu_ps(y + j, e0);
        _mm256_storeu_ps(y + j + 8, e1);
    }
    const float inv = 1.0f / exp_sum_end(a, x + j, vm, n - j);
    for (; j < n; j++)
        y[j] = t1_exp(x[j] - m) * inv;
    for (j = 0; j + 16 <= n; j += 16) {
        __m256 v = _mm256_set1_ps(inv);
        _mm256_storeu_ps(y + j, _mm256_mul_ps(_mm256_loadu_ps(y + j), v));
        _mm256_storeu_ps(y + j + 8, _mm256_mul_ps(_mm256_loadu_ps(y + j + 8), v));
    }
}

void exp_n_avx2(float *y, const float *x, size_t n)
{
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(y + i, exp_f32_avx2(_mm256_loadu_ps(x + i)));
    exp_f32_ref(y + i, x + i, n - i);
}

void sigmoid_n_avx2(float *y, const float *x, size_t n)
{
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(y + i, sigmoid_f32_avx2(_mm256_loadu_ps(x + i)));
    sigmoid_f32_ref(y + i, x + i, n - i);
}
