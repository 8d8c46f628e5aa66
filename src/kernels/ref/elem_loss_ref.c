/* Reference: SwiGLU, softmax and softmax cross-entropy. */
#include "kernels/ref/elem_ref.h"

void swiglu_fwd_bf16_ref(bf16 *y, ptrdiff_t ldy, const bf16 *gu, ptrdiff_t ldgu, int rows, int ff)
{
    for (int r = 0; r < rows; r++) {
        const bf16 *gr = gu + r * ldgu, *ur = gr + ff;
        bf16 *yr = y + r * ldy;
        for (int j = 0; j < ff; j++) {
            real g = bf16_expand(gr[j]);
            yr[j] = bf16_round(real_mul(real_mul(g, t1_sigmoid(g)), bf16_expand(ur[j])));
        }
    }
}

/* y = g·s·u with s = sigmoid(g), s' = s·(1 − s): dg = dy·u·s·(1 + g·(1 − s)), du = dy·(g·s). */
void swiglu_bwd_bf16_ref(bf16 *dgu, ptrdiff_t lddgu, const bf16 *dy, ptrdiff_t lddy, const bf16 *gu,
                         ptrdiff_t ldgu, int rows, int ff)
{
    for (int r = 0; r < rows; r++) {
        const bf16 *gr = gu + r * ldgu, *ur = gr + ff, *dyr = dy + r * lddy;
        bf16 *dgr = dgu + r * lddgu, *dur = dgr + ff;
        for (int j = 0; j < ff; j++) {
            real g = bf16_expand(gr[j]), u = bf16_expand(ur[j]), d = bf16_expand(dyr[j]);
            real s = t1_sigmoid(g);
            dgr[j] = bf16_round(real_mul(real_mul(real_mul(d, u), s), real_fma(g, 1 - s, 1)));
            dur[j] = bf16_round(real_mul(d, real_mul(g, s)));
        }
    }
}

static real max_of(const real *x, int n)
{
    real v[LANES];
    for (int l = 0; l < LANES; l++)
        v[l] = -INFINITY;
    for (int j = 0; j < n; j++)
        v[j % LANES] = x[j] > v[j % LANES] ? x[j] : v[j % LANES];
    return lanes_max(v);
}

void cross_entropy_f32_ref(bf16 *dlogits, real *loss, const real *logits, int n, int target,
                           real scale)
{
    if (target < 0) {
        *loss = 0;
        for (int j = 0; j < n && dlogits; j++)
            dlogits[j] = bf16_round(0);
        return;
    }
    real m = max_of(logits, n), v[LANES] = {0};
    for (int j = 0; j < n; j++)
        v[j % LANES] = v[j % LANES] + t1_exp(logits[j] - m);
    real l = lanes_sum(v), inv = 1 / l;
    *loss = (t1_log(l) + m) - logits[target];
    for (int j = 0; j < n && dlogits; j++) {
        real p = real_mul(t1_exp(logits[j] - m), inv);
        dlogits[j] = bf16_round(real_mul(j == target ? p - 1 : p, scale));
    }
}

void softmax_f32_ref(real *y, const real *x, int n)
{
    real m = max_of(x, n), v[LANES] = {0};
    for (int j = 0; j < n; j++) {
        y[j] = t1_exp(x[j] - m);
        v[j % LANES] = v[j % LANES] + y[j];
    }
    real inv = 1 / lanes_sum(v);
    for (int j = 0; j < n; j++)
        y[j] = real_mul(y[j], inv);
}

void exp_f32_ref(real *y, const real *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = t1_exp(x[i]);
}

void sigmoid_f32_ref(real *y, const real *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = t1_sigmoid(x[i]);
}
