/* AVX-512: SwiGLU, softmax and softmax cross-entropy; bound by the exponential. */
#include <string.h>

#include "kernels/avx512/elem_avx512.h"

static inline void swiglu_fwd_lanes(bf16 *y, const bf16 *g, const bf16 *u, __mmask16 k)
{
    __m512 vg = bf16_mask_load_avx512(g, k), vu = bf16_mask_load_avx512(u, k);
    __m512 a = _mm512_mul_ps(vg, sigmoid_f32_avx512(vg));
    bf16_mask_store_avx512(y, k, _mm512_mul_ps(a, vu));
}

void swiglu_fwd_bf16_avx512(bf16 *y, ptrdiff_t ldy, const bf16 *gu, ptrdiff_t ldgu, int rows, int ff)
{
    for (int r = 0; r < rows; r++) {
        const bf16 *g = gu + r * ldgu, *u = g + ff;
        bf16 *yr = y + r * ldy;
        int j = 0;
        for (; j + 16 <= ff; j += 16)
            swiglu_fwd_lanes(yr + j, g + j, u + j, ALL_LANES);
        if (j < ff)
            swiglu_fwd_lanes(yr + j, g + j, u + j, tail_avx512(ff - j));
    }
}

static inline void swiglu_bwd_lanes(bf16 *dg, bf16 *du, const bf16 *dy, const bf16 *g, const bf16 *u,
                                    __mmask16 k)
{
    const __m512 one = _mm512_set1_ps(1.0f);
    __m512 vg = bf16_mask_load_avx512(g, k), vu = bf16_mask_load_avx512(u, k);
    __m512 d = bf16_mask_load_avx512(dy, k), s = sigmoid_f32_avx512(vg);
    __m512 t = _mm512_fmadd_ps(vg, _mm512_sub_ps(one, s), one);
    bf16_mask_store_avx512(dg, k, _mm512_mul_ps(_mm512_mul_ps(_mm512_mul_ps(d, vu), s), t));
    bf16_mask_store_avx512(du, k, _mm512_mul_ps(d, _mm512_mul_ps(vg, s)));
}

void swiglu_bwd_bf16_avx512(bf16 *dgu, ptrdiff_t lddgu, const bf16 *dy, ptrdiff_t lddy,
                            const bf16 *gu, ptrdiff_t ldgu, int rows, int ff)
{
    for (int r = 0; r < rows; r++) {
        const bf16 *g = gu + r * ldgu, *u = g + ff, *d = dy + r * lddy;
        bf16 *dg = dgu + r * lddgu, *du = dg + ff;
        int j = 0;
        for (; j + 16 <= ff; j += 16)
            swiglu_bwd_lanes(dg + j, du + j, d + j, g + j, u + j, ALL_LANES);
        if (j < ff)
            swiglu_bwd_lanes(dg + j, du + j, d + j, g + j, u + j, tail_avx512(ff - j));
    }
}

/* Maxima may be taken in any order: the value is the same, and the sign of a zero shows nowhere. */
static float max_of(const float *x, int n)
{
    const __m512 low = _mm512_set1_ps(-__builtin_inff());
    __m512 a = low, b = low, c = low, d = low;
    int j = 0;
    for (; j + 64 <= n; j += 64) {
        a = _mm512_max_ps(_mm512_loadu_ps(x + j), a);
        b = _mm512_max_ps(_mm512_loadu_ps(x + j + 16), b);
        c = _mm512_max_ps(_mm512_loadu_ps(x + j + 32), c);
        d = _mm512_max_ps(_mm512_loadu_ps(x + j + 48), d);
    }
    for (; j < n; j += 16) {
        __mmask16 k = tail_avx512(n - j);
        a = _mm512_mask_max_ps(a, k, _mm512_maskz_loadu_ps(k, x + j), a);
    }
    return lanes_max_avx512(_mm512_max_ps(_mm512_max_ps(d, c), _mm512_max_ps(b, a)));
}

void cross_entropy_f32_avx512(bf16 *dlogits, float *loss, const float *logits, int n, int target,
                              float scale)
{
    if (target < 0) {
        *loss = 0;
        if (dlogits)
            memset(dlogits, 0, (size_t)n * sizeof *dlogits);
        return;
    }
    const float m = max_of(logits, n);
    const __m512 vm = _mm512_set1_ps(m);
    __m512 acc = _mm512_setzero_ps();
    int j = 0;
    for (; j + 16 <= n; j += 16)
        acc = _mm512_add_ps(acc, exp_neg_f32_avx512(_mm512_sub_ps(_mm512_loadu_ps(logits + j), vm)));
    if (j < n) {
        __mmask16 k = tail_avx512(n - j);
        __m512 e = exp_neg_f32_avx512(_mm512_sub_ps(_mm512_maskz_loadu_ps(k, logits + j), vm));
        acc = _mm512_mask_add_ps(acc, k, acc, e);
    }
    const float l = lanes_sum_avx512(acc), inv = 1.0f / l;
    *loss = (t1_log(l) + m) - logits[target];
    if (!dlogits)
        return;
    const __m512 vi = _mm512_set1_ps(inv), vs = _mm512_set1_ps(scale);
    for (j = 0; j + 16 <= n; j += 16) {
        __m512 e = exp_neg_f32_avx512(_mm512_sub_ps(_mm512_loadu_ps(logits + j), vm));
        bf16_store_avx512(dlogits + j, _mm512_mul_ps(_mm512_mul_ps(e, vi), vs));
    }
    if (j < n) {
        __mmask16 k = tail_avx512(n - j);
        __m512 e = exp_neg_f32_avx512(_mm512_sub_ps(_mm512_maskz_loadu_ps(k, logits + j), vm));
        bf16_mask_store_avx512(dlogits + j, k, _mm512_mul_ps(_mm512_mul_ps(e, vi), vs));
    }
    dlogits[target] = bf16_round((t1_exp(logits[target] - m) * inv - 1) * scale);
}

void softmax_f32_avx512(float *y, const float *x, int n)
{
    const __m512 vm = _mm512_set1_ps(max_of(x, n));
    __m512 acc = _mm512_setzero_ps();
    for (int j = 0; j < n; j += 16) {
        __mmask16 k = tail_avx512(n - j);
        __m512 e = exp_neg_f32_avx512(_mm512_sub_ps(_mm512_maskz_loadu_ps(k, x + j), vm));
        _mm512_mask_storeu_ps(y + j, k, e);
        acc = _mm512_mask_add_ps(acc, k, acc, e);
    }
    const __m512 inv = _mm512_set1_ps(1.0f / lanes_sum_avx512(acc));
    for (int j = 0; j < n; j += 16) {
        __mmask16 k = tail_avx512(n - j);
        _mm512_mask_storeu_ps(y + j, k, _mm512_mul_ps(_mm512_maskz_loadu_ps(k, y + j), inv));
    }
}

void exp_n_avx512(float *y, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i += 16) {
        __mmask16 k = tail_avx512((ptrdiff_t)(n - i));
        _mm512_mask_storeu_ps(y + i, k, exp_f32_avx512(_mm512_maskz_loadu_ps(k, x + i)));
    }
}

void sigmoid_n_avx512(float *y, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i += 16) {
        __mmask16 k = tail_avx512((ptrdiff_t)(n - i));
        _mm512_mask_storeu_ps(y + i, k, sigmoid_f32_avx512(_mm512_maskz_loadu_ps(k, x + i)));
    }
}
