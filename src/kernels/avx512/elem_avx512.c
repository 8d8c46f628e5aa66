/* AVX-512: conversions, simple vectors, embedding and optimizers; these are bound by memory.
 *
 * An empty tail is skipped: a masked access with no lane set is harmless but takes a microcode assist of
 * hundreds of cycles when it points into an unmapped page, which is where arrays end. */
#include "kernels/avx512/elem_avx512.h"
#include "kernels/fill.h"

static void bf16_from_f32_avx512(bf16 *y, const float *x, size_t n)
{
    size_t i = 0;
    for (; i + 16 <= n; i += 16)
        bf16_store_avx512(y + i, _mm512_loadu_ps(x + i));
    if (i == n)
        return;
    __mmask16 k = tail_avx512((ptrdiff_t)(n - i));
    bf16_mask_store_avx512(y + i, k, _mm512_maskz_loadu_ps(k, x + i));
}

static void f32_from_bf16_avx512(float *y, const bf16 *x, size_t n)
{
    size_t i = 0;
    for (; i + 16 <= n; i += 16)
        _mm512_storeu_ps(y + i, bf16_load_avx512(x + i));
    if (i == n)
        return;
    __mmask16 k = tail_avx512((ptrdiff_t)(n - i));
    _mm512_mask_storeu_ps(y + i, k, bf16_mask_load_avx512(x + i, k));
}

static inline void add_lanes(float *y, const float *x, __mmask16 k)
{
    __m512 s = _mm512_add_ps(_mm512_maskz_loadu_ps(k, y), _mm512_maskz_loadu_ps(k, x));
    _mm512_mask_storeu_ps(y, k, s);
}

static void add_f32_avx512(float *y, const float *x, size_t n)
{
    size_t i = 0;
    for (; i + 16 <= n; i += 16)
        add_lanes(y + i, x + i, ALL_LANES);
    if (i < n)
        add_lanes(y + i, x + i, tail_avx512((ptrdiff_t)(n - i)));
}

static void scale_f32_avx512(float *y, float a, size_t n)
{
    size_t i = 0;
    __m512 va = _mm512_set1_ps(a);
    for (; i + 16 <= n; i += 16)
        _mm512_storeu_ps(y + i, _mm512_mul_ps(_mm512_loadu_ps(y + i), va));
    if (i == n)
        return;
    __mmask16 k = tail_avx512((ptrdiff_t)(n - i));
    _mm512_mask_storeu_ps(y + i, k, _mm512_mul_ps(_mm512_maskz_loadu_ps(k, y + i), va));
}

/* An exponent of all ones anywhere. */
static bool finite_f32_avx512(const float *x, size_t n)
{
    const __m512i e = _mm512_set1_epi32(0x7f800000);
    __mmask16 bad = 0;
    size_t i = 0;
    for (; i + 16 <= n; i += 16) {
        __m512i u = _mm512_castps_si512(_mm512_loadu_ps(x + i));
        bad |= _mm512_cmpeq_epi32_mask(_mm512_and_si512(u, e), e);
    }
    if (i < n) {
        __mmask16 k = tail_avx512((ptrdiff_t)(n - i));
        __m512i u = _mm512_castps_si512(_mm512_maskz_loadu_ps(k, x + i));
        bad |= _mm512_cmpeq_epi32_mask(_mm512_and_si512(u, e), e);
    }
    return bad == 0;
}

static float sum_sq_f32_avx512(const float *x, size_t n)
{
    __m512 acc = _mm512_setzero_ps();
    size_t i = 0;
    for (; i + 16 <= n; i += 16) {
        __m512 v = _mm512_loadu_ps(x + i);
        acc = _mm512_fmadd_ps(v, v, acc);
    }
    if (i < n) {
        __mmask16 k = tail_avx512((ptrdiff_t)(n - i));
        __m512 v = _mm512_maskz_loadu_ps(k, x + i);
        acc = _mm512_mask3_fmadd_ps(v, v, acc, k);
    }
    return lanes_sum_avx512(acc);
}

static void embed_bwd_f32_avx512(float *dtable, const float *dx, ptrdiff_t lddx, const int *tok,
                                 int rows, int d, int c0, int c1)
{
    for (int r = 0; r < rows; r++)
        add_f32_avx512(dtable + (ptrdiff_t)tok[r] * d + c0, dx + r * lddx + c0, (size_t)(c1 - c0));
}

struct adamw_lanes {
    __m512 beta1, beta2, one_b1, one_b2, decay, step, inv2, eps, grad_scale;
};

static inline void adamw_lanes(float *w, float *m, float *v, const float *g,
                               const struct adamw_lanes *a, __mmask16 k)
{
    __m512 gi = _mm512_mul_ps(_mm512_maskz_loadu_ps(k, g), a->grad_scale);
    __m512 mi = _mm512_fmadd_ps(a->beta1, _mm512_maskz_loadu_ps(k, m), _mm512_mul_ps(a->one_b1, gi));
    __m512 g2 = _mm512_mul_ps(a->one_b2, _mm512_mul_ps(gi, gi));
    __m512 vi = _mm512_fmadd_ps(a->beta2, _mm512_maskz_loadu_ps(k, v), g2);
    __m512 den = _mm512_add_ps(_mm512_sqrt_ps(_mm512_mul_ps(vi, a->inv2)), a->eps);
    __m512 u = _mm512_div_ps(mi, den);
    __m512 wi = _mm512_maskz_loadu_ps(k, w);
    wi = _mm512_fnmadd_ps(a->decay, wi, wi);
    _mm512_mask_storeu_ps(m, k, mi);
    _mm512_mask_storeu_ps(v, k, vi);
    _mm512_mask_storeu_ps(w, k, _mm512_fnmadd_ps(a->step, u, wi));
}

static void adamw_f32_avx512(float *w, float *m, float *v, const float *g, size_t n,
                             const struct adamw_args *a)
{
    const struct adamw_lanes l = {
        .beta1 = _mm512_set1_ps(a->beta1),
        .beta2 = _mm512_set1_ps(a->beta2),
        .one_b1 = _mm512_set1_ps(1 - a->beta1),
        .one_b2 = _mm512_set1_ps(1 - a->beta2),
        .decay = _mm512_set1_ps(a->lr * a->weight_decay),
        .step = _mm512_set1_ps(a->lr / a->bias1),
        .inv2 = _mm512_set1_ps(1 / a->bias2),
        .eps = _mm512_set1_ps(a->eps),
        .grad_scale = _mm512_set1_ps(a->grad_scale),
    };
    size_t i = 0;
    for (; i + 16 <= n; i += 16)
        adamw_lanes(w + i, m + i, v + i, g + i, &l, ALL_LANES);
    if (i < n)
        adamw_lanes(w + i, m + i, v + i, g + i, &l, tail_avx512((ptrdiff_t)(n - i)));
}

static void muon_momentum_f32_avx512(float *u, float *m, const float *g, size_t n, float mu,
                                     float grad_scale)
{
    __m512 vmu = _mm512_set1_ps(mu), one_mu = _mm512_set1_ps(1 - mu), gs = _mm512_set1_ps(grad_scale);
    for (size_t i = 0; i < n; i += 16) {
        __mmask16 k = tail_avx512((ptrdiff_t)(n - i));
        __m512 t = _mm512_mul_ps(one_mu, _mm512_mul_ps(_mm512_maskz_loadu_ps(k, g + i), gs));
        __m512 mi = _mm512_fmadd_ps(vmu, _mm512_maskz_loadu_ps(k, m + i), t);
        _mm512_mask_storeu_ps(m + i, k, mi);
        _mm512_mask_storeu_ps(u + i, k, _mm512_fmadd_ps(vmu, mi, t));
    }
}

static void axpby_f32_avx512(float *y, float a, const float *x, float b, const float *z, size_t n)
{
    __m512 va = _mm512_set1_ps(a), vb = _mm512_set1_ps(b);
    for (size_t i = 0; i < n; i += 16) {
        __mmask16 k = tail_avx512((ptrdiff_t)(n - i));
        __m512 t = _mm512_mul_ps(vb, _mm512_maskz_loadu_ps(k, z + i));
        t = _mm512_fmadd_ps(va, _mm512_maskz_loadu_ps(k, x + i), t);
        _mm512_mask_storeu_ps(y + i, k, t);
    }
}

static void muon_apply_f32_avx512(float *w, const float *x, size_t n, float lr, float weight_decay,
                                  bool cautious)
{
    __m512 vlr = _mm512_set1_ps(lr), decay = _mm512_set1_ps(lr * weight_decay);
    __mmask16 always = cautious ? 0 : ALL_LANES;
    for (size_t i = 0; i < n; i += 16) {
        __mmask16 k = tail_avx512((ptrdiff_t)(n - i));
        __m512 xi = _mm512_maskz_loadu_ps(k, x + i), wi = _mm512_maskz_loadu_ps(k, w + i);
        __mmask16 agree =
            _mm512_cmp_ps_mask(_mm512_mul_ps(xi, wi), _mm512_setzero_ps(), _CMP_GE_OQ);
        wi = _mm512_mask3_fnmadd_ps(decay, wi, wi, (__mmask16)(agree | always));
        _mm512_mask_storeu_ps(w + i, k, _mm512_fnmadd_ps(vlr, xi, wi));
    }
}

void elem_fill_avx512(struct kernels *k)
{
    k->bf16_from_f32 = bf16_from_f32_avx512;
    k->f32_from_bf16 = f32_from_bf16_avx512;
    k->add = add_f32_avx512;
    k->scale = scale_f32_avx512;
    k->finite = finite_f32_avx512;
    k->sum_sq = sum_sq_f32_avx512;
    k->rmsnorm_fwd = rmsnorm_fwd_f32_avx512;
    k->rmsnorm_bwd = rmsnorm_bwd_f32_avx512;
    k->qk_fwd = qk_fwd_bf16_avx512;
    k->qk_bwd = qk_bwd_bf16_avx512;
    k->swiglu_fwd = swiglu_fwd_bf16_avx512;
    k->swiglu_bwd = swiglu_bwd_bf16_avx512;
    k->embed_bwd = embed_bwd_f32_avx512;
    k->cross_entropy = cross_entropy_f32_avx512;
    k->softmax = softmax_f32_avx512;
    k->adamw = adamw_f32_avx512;
    k->muon_momentum = muon_momentum_f32_avx512;
    k->axpby = axpby_f32_avx512;
    k->muon_apply = muon_apply_f32_avx512;
    k->exp = exp_n_avx512;
    k->sigmoid = sigmoid_n_avx512;
}
