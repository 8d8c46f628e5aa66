/* AVX2: conversions, simple vectors, embedding and optimizers; these are bound by memory. */
#include "kernels/avx2/elem_avx2.h"
#include "kernels/fill.h"

static void bf16_from_f32_avx2(bf16 *y, const float *x, size_t n)
{
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        bf16_store_avx2(y + i, _mm256_loadu_ps(x + i));
    bf16_from_f32_ref(y + i, x + i, n - i);
}

static void f32_from_bf16_avx2(float *y, const bf16 *x, size_t n)
{
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(y + i, bf16_load_avx2(x + i));
    f32_from_bf16_ref(y + i, x + i, n - i);
}

static void add_f32_avx2(float *y, const float *x, size_t n)
{
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(y + i, _mm256_add_ps(_mm256_loadu_ps(y + i), _mm256_loadu_ps(x + i)));
    add_f32_ref(y + i, x + i, n - i);
}

static void scale_f32_avx2(float *y, float a, size_t n)
{
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(y + i, _mm256_mul_ps(_mm256_loadu_ps(y + i), _mm256_set1_ps(a)));
    scale_f32_ref(y + i, a, n - i);
}

static bool finite_f32_avx2(const float *x, size_t n)
{
    const __m256i e = _mm256_set1_epi32(0x7f800000);
    __m256i bad = _mm256_setzero_si256();
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m256i u = _mm256_castps_si256(_mm256_loadu_ps(x + i));
        bad = _mm256_or_si256(bad, _mm256_cmpeq_epi32(_mm256_and_si256(u, e), e));
    }
    return _mm256_testz_si256(bad, bad) && finite_f32_ref(x + i, n - i);
}

static float sum_sq_f32_avx2(const float *x, size_t n)
{
    struct lanes a = {_mm256_setzero_ps(), _mm256_setzero_ps()};
    size_t i = 0;
    for (; i + 16 <= n; i += 16) {
        __m256 lo = _mm256_loadu_ps(x + i), hi = _mm256_loadu_ps(x + i + 8);
        a.lo = _mm256_fmadd_ps(lo, lo, a.lo);
        a.hi = _mm256_fmadd_ps(hi, hi, a.hi);
    }
    ptrdiff_t left = (ptrdiff_t)(n - i);
    if (left > 0) {
        __m256i k0 = tail_avx2(left), k1 = tail_avx2(left - 8);
        __m256 lo = _mm256_maskload_ps(x + i, k0), hi = _mm256_maskload_ps(x + i + 8, k1);
        a.lo = keep_fma_avx2(lo, lo, a.lo, k0);
        a.hi = keep_fma_avx2(hi, hi, a.hi, k1);
    }
    return lanes_sum_avx2(a.lo, a.hi);
}

static void embed_bwd_f32_avx2(float *dtable, const float *dx, ptrdiff_t lddx, const int *tok,
                               int rows, int d, int c0, int c1)
{
    for (int r = 0; r < rows; r++)
        add_f32_avx2(dtable + (ptrdiff_t)tok[r] * d + c0, dx + r * lddx + c0, (size_t)(c1 - c0));
}

static void adamw_f32_avx2(float *w, float *m, float *v, const float *g, size_t n,
                           const struct adamw_args *a)
{
    const __m256 beta1 = _mm256_set1_ps(a->beta1), beta2 = _mm256_set1_ps(a->beta2);
    const __m256 one_b1 = _mm256_set1_ps(1 - a->beta1), one_b2 = _mm256_set1_ps(1 - a->beta2);
    const __m256 decay = _mm256_set1_ps(a->lr * a->weight_decay);
    const __m256 step = _mm256_set1_ps(a->lr / a->bias1), inv2 = _mm256_set1_ps(1 / a->bias2);
    const __m256 eps = _mm256_set1_ps(a->eps), grad_scale = _mm256_set1_ps(a->grad_scale);
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m256 gi = _mm256_mul_ps(_mm256_loadu_ps(g + i), grad_scale);
        __m256 mi = _mm256_fmadd_ps(beta1, _mm256_loadu_ps(m + i), _mm256_mul_ps(one_b1, gi));
        __m256 g2 = _mm256_mul_ps(one_b2, _mm256_mul_ps(gi, gi));
        __m256 vi = _mm256_fmadd_ps(beta2, _mm256_loadu_ps(v + i), g2);
        __m256 u = _mm256_div_ps(mi, _mm256_add_ps(_mm256_sqrt_ps(_mm256_mul_ps(vi, inv2)), eps));
        __m256 wi = _mm256_loadu_ps(w + i);
        wi = _mm256_fnmadd_ps(decay, wi, wi);
        _mm256_storeu_ps(m + i, mi);
        _mm256_storeu_ps(v + i, vi);
        _mm256_storeu_ps(w + i, _mm256_fnmadd_ps(step, u, wi));
    }
    adamw_f32_ref(w + i, m + i, v + i, g + i, n - i, a);
}

static void muon_momentum_f32_avx2(float *u, float *m, const float *g, size_t n, float mu,
                                   float grad_scale)
{
    const __m256 vmu = _mm256_set1_ps(mu), one_mu = _mm256_set1_ps(1 - mu);
    const __m256 gs = _mm256_set1_ps(grad_scale);
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m256 t = _mm256_mul_ps(one_mu, _mm256_mul_ps(_mm256_loadu_ps(g + i), gs));
        __m256 mi = _mm256_fmadd_ps(vmu, _mm256_loadu_ps(m + i), t);
        _mm256_storeu_ps(m + i, mi);
        _mm256_storeu_ps(u + i, _mm256_fmadd_ps(vmu, mi, t));
    }
    muon_momentum_f32_ref(u + i, m + i, g + i, n - i, mu, grad_scale);
}

static void axpby_f32_avx2(float *y, float a, const float *x, float b, const float *z, size_t n)
{
    const __m256 va = _mm256_set1_ps(a), vb = _mm256_set1_ps(b);
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m256 t = _mm256_mul_ps(vb, _mm256_loadu_ps(z + i));
        _mm256_storeu_ps(y + i, _mm256_fmadd_ps(va, _mm256_loadu_ps(x + i), t));
    }
    axpby_f32_ref(y + i, a, x + i, b, z + i, n - i);
}

static void muon_apply_f32_avx2(float *w, const float *x, size_t n, float lr, float weight_decay,
                                bool cautious)
{
    const __m256 vlr = _mm256_set1_ps(lr), decay = _mm256_set1_ps(lr * weight_decay);
    const __m256 always = _mm256_castsi256_ps(_mm256_set1_epi32(cautious ? 0 : -1));
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m256 xi = _mm256_loadu_ps(x + i), wi = _mm256_loadu_ps(w + i);
        __m256 agree = _mm256_cmp_ps(_mm256_mul_ps(xi, wi), _mm256_setzero_ps(), _CMP_GE_OQ);
        wi = _mm256_blendv_ps(wi, _mm256_fnmadd_ps(decay, wi, wi), _mm256_or_ps(agree, always));
        _mm256_storeu_ps(w + i, _mm256_fnmadd_ps(vlr, xi, wi));
    }
    muon_apply_f32_ref(w + i, x + i, n - i, lr, weight_decay, cautious);
}

void elem_fill_avx2(struct kernels *k)
{
    k->bf16_from_f32 = bf16_from_f32_avx2;
    k->f32_from_bf16 = f32_from_bf16_avx2;
    k->add = add_f32_avx2;
    k->scale = scale_f32_avx2;
    k->finite = finite_f32_avx2;
    k->sum_sq = sum_sq_f32_avx2;
    k->rmsnorm_fwd = rmsnorm_fwd_f32_avx2;
    k->rmsnorm_bwd = rmsnorm_bwd_f32_avx2;
    k->qk_fwd = qk_fwd_bf16_avx2;
    k->qk_bwd = qk_bwd_bf16_avx2;
    k->swiglu_fwd = swiglu_fwd_bf16_avx2;
    k->swiglu_bwd = swiglu_bwd_bf16_avx2;
    k->embed_bwd = embed_bwd_f32_avx2;
    k->cross_entropy = cross_entropy_f32_avx2;
    k->softmax = softmax_f32_avx2;
    k->adamw = adamw_f32_avx2;
    k->muon_momentum = muon_momentum_f32_avx2;
    k->axpby = axpby_f32_avx2;
    k->muon_apply = muon_apply_f32_avx2;
    k->exp = exp_n_avx2;
    k->sigmoid = sigmoid_n_avx2;
}
