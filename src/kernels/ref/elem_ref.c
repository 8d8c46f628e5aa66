/* Reference: conversions, simple vectors, embedding, optimizers, and the table entries of all
 * element-wise kernels. */
#include <string.h>

#include "kernels/fill.h"
#include "kernels/ref/elem_ref.h"

void bf16_from_f32_ref(bf16 *y, const real *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = bf16_round(x[i]);
}

void f32_from_bf16_ref(real *y, const bf16 *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = bf16_expand(x[i]);
}

void add_f32_ref(real *y, const real *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = y[i] + x[i];
}

void scale_f32_ref(real *y, real a, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = real_mul(y[i], a);
}

bool finite_f32_ref(const real *x, size_t n)
{
    int bad = 0;
    for (size_t i = 0; i < n; i++)
        bad |= !isfinite(x[i]);
    return !bad;
}

real sum_sq_f32_ref(const real *x, size_t n)
{
    real v[LANES] = {0};
    for (size_t i = 0; i < n; i++)
        v[i % LANES] = real_fma(x[i], x[i], v[i % LANES]);
    return lanes_sum(v);
}

void embed_fwd_f32_ref(real *x, ptrdiff_t ldx, const real *table, const int *tok, int rows, int d)
{
    for (int r = 0; r < rows; r++)
        memcpy(x + r * ldx, table + (ptrdiff_t)tok[r] * d, (size_t)d * sizeof *x);
}

void embed_bwd_f32_ref(real *dtable, const real *dx, ptrdiff_t lddx, const int *tok, int rows, int d,
                       int c0, int c1)
{
    for (int r = 0; r < rows; r++) {
        real *t = dtable + (ptrdiff_t)tok[r] * d;
        const real *s = dx + r * lddx;
        for (int c = c0; c < c1; c++)
            t[c] = t[c] + s[c];
    }
}

void adamw_f32_ref(real *w, real *m, real *v, const real *g, size_t n, const struct adamw_args *a)
{
    const real one_b1 = 1 - a->beta1, one_b2 = 1 - a->beta2;
    const real decay = real_mul(a->lr, a->weight_decay), step = a->lr / a->bias1, inv2 = 1 / a->bias2;
    for (size_t i = 0; i < n; i++) {
        real gi = real_mul(g[i], a->grad_scale);
        m[i] = real_fma(a->beta1, m[i], real_mul(one_b1, gi));
        v[i] = real_fma(a->beta2, v[i], real_mul(one_b2, real_mul(gi, gi)));
        real u = m[i] / (real_sqrt(real_mul(v[i], inv2)) + a->eps);
        w[i] = real_fma(-step, u, real_fma(-decay, w[i], w[i]));
    }
}

void muon_momentum_f32_ref(real *u, real *m, const real *g, size_t n, real mu, real grad_scale)
{
    const real one_mu = 1 - mu;
    for (size_t i = 0; i < n; i++) {
        real t = real_mul(one_mu, real_mul(g[i], grad_scale));
        m[i] = real_fma(mu, m[i], t);
        u[i] = real_fma(mu, m[i], t);
    }
}

void axpby_f32_ref(real *y, real a, const real *x, real b, const real *z, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = real_fma(a, x[i], real_mul(b, z[i]));
}

void muon_apply_f32_ref(real *w, const real *x, size_t n, real lr, real weight_decay, bool cautious)
{
    const real decay = real_mul(lr, weight_decay);
    for (size_t i = 0; i < n; i++) {
        bool shrink = !cautious || real_mul(x[i], w[i]) >= 0;
        real kept = shrink ? real_fma(-decay, w[i], w[i]) : w[i];
        w[i] = real_fma(-lr, x[i], kept);
    }
}

void elem_fill_ref(struct kernels *k)
{
    k->bf16_from_f32 = bf16_from_f32_ref;
    k->f32_from_bf16 = f32_from_bf16_ref;
    k->add = add_f32_ref;
    k->scale = scale_f32_ref;
    k->finite = finite_f32_ref;
    k->sum_sq = sum_sq_f32_ref;
    k->rmsnorm_fwd = rmsnorm_fwd_f32_ref;
    k->rmsnorm_bwd = rmsnorm_bwd_f32_ref;
    k->qk_fwd = qk_fwd_bf16_ref;
    k->qk_bwd = qk_bwd_bf16_ref;
    k->swiglu_fwd = swiglu_fwd_bf16_ref;
    k->swiglu_bwd = swiglu_bwd_bf16_ref;
    k->embed_fwd = embed_fwd_f32_ref;
    k->embed_bwd = embed_bwd_f32_ref;
    k->cross_entropy = cross_entropy_f32_ref;
    k->softmax = softmax_f32_ref;
    k->adamw = adamw_f32_ref;
    k->muon_momentum = muon_momentum_f32_ref;
    k->axpby = axpby_f32_ref;
    k->muon_apply = muon_apply_f32_ref;
    k->exp = exp_f32_ref;
    k->sigmoid = sigmoid_f32_ref;
}
