/* The attention pieces of profile T1 in plain C: this file is the definition the other
 * instruction sets are compared with (NUMERICS §6). */
#include "kernels/fill.h"
#include "kernels/ref/elem_ref.h"

enum { KEYS = 64 };

static int clamp_keys(int j) { return j < 0 ? 0 : j > KEYS ? KEYS : j; }

static void softmax_row(real *p, real *m, real *l, real *corr, const real *s, int lo, int hi,
                        real scale)
{
    for (int j = 0; j < lo; j++)
        p[j] = 0;
    for (int j = hi; j < KEYS; j++)
        p[j] = 0;
    real top = *m;
    for (int j = lo; j < hi; j++) {
        p[j] = real_mul(scale, s[j]);
        top = p[j] > top ? p[j] : top;
    }
    top = top + (real)0;
    *corr = *m == -(real)INFINITY ? (real)0 : t1_exp(*m - top);
    *m = top;
    real lane[LANES] = {0};
    for (int j = lo; j < hi; j++) {
        p[j] = t1_exp(p[j] - top);
        lane[j % LANES] = lane[j % LANES] + p[j];
    }
    *l = real_mul(*l, *corr) + lanes_sum(lane);
}

static void attn_softmax_ref(real *p, ptrdiff_t ldp, real *m, real *l, real *corr, const real *s,
                             ptrdiff_t lds, const int *lo, const int *hi, int rows, real scale)
{
    for (int r = 0; r < rows; r++) {
        int a = clamp_keys(lo[r]), b = clamp_keys(hi[r]);
        if (a < b) {
            softmax_row(p + r * ldp, &m[r], &l[r], &corr[r], s + r * lds, a, b, scale);
            continue;
        }
        for (int j = 0; j < KEYS; j++)
            p[r * ldp + j] = 0;
        corr[r] = 1;
    }
}

static void attn_rescale_ref(real *o, ptrdiff_t ldo, const real *corr, int rows, int d)
{
    for (int r = 0; r < rows; r++)
        for (int c = 0; c < d; c++)
            o[r * ldo + c] = real_mul(o[r * ldo + c], corr[r]);
}

static void attn_finish_ref(bf16 *y, ptrdiff_t ldy, const real *o, ptrdiff_t ldo, const real *l,
                            int rows, int d)
{
    for (int r = 0; r < rows; r++)
        for (int c = 0; c < d; c++)
            y[r * ldy + c] = bf16_round(l[r] == 0 ? (real)0 : o[r * ldo + c] / l[r] + (real)0);
}

static void attn_softmax_bwd_ref(real *s_p, ptrdiff_t lds, real *dp_ds, ptrdiff_t lddp,
                                 const real *m, const real *l, const real *delta, const int *lo,
                                 const int *hi, int rows, real scale)
{
    for (int r = 0; r < rows; r++) {
        real *p = s_p + r * lds, *ds = dp_ds + r * lddp;
        real inv_l = (real)1 / l[r];
        for (int j = 0; j < KEYS; j++) {
            bool seen = lo[r] <= j && j < hi[r];
            p[j] = seen ? real_mul(t1_exp(real_mul(scale, p[j]) - m[r]), inv_l) : (real)0;
            ds[j] = seen ? real_mul(real_mul(p[j], ds[j] - delta[r]), scale) : (real)0;
        }
    }
}

static void attn_delta_ref(real *delta, const bf16 *o, ptrdiff_t ldo, const bf16 *d_o,
                           ptrdiff_t lddo, int rows, int d)
{
    for (int r = 0; r < rows; r++) {
        real lane[LANES] = {0};
        for (int c = 0; c < d; c++) {
            real t = real_mul(bf16_expand(o[r * ldo + c]), bf16_expand(d_o[r * lddo + c]));
            lane[c % LANES] = lane[c % LANES] + t;
        }
        delta[r] = lanes_sum(lane);
    }
}

static void attn_qk_ref(real *s, ptrdiff_t lds, const real *q, ptrdiff_t ldq, const bf16 *k,
                        ptrdiff_t ldk, int rows, int keys, int d)
{
    for (int r = 0; r < rows; r++)
        for (int j = 0; j < keys; j++) {
            const real *a = q + r * ldq;
            const bf16 *b = k + j * ldk;
            real acc = 0;
            for (int i0 = 0; i0 < d; i0 += 32) {
                real eo[2] = {0, 0};
                for (int i = i0; i < i0 + 32 && i < d; i++)
                    eo[i & 1] = real_fma(a[i], bf16_expand(b[i]), eo[i & 1]);
                acc = acc + (eo[0] + eo[1]);
            }
            s[r * lds + j] = acc;
        }
}

static void attn_pv_ref(real *o, ptrdiff_t ldo, const real *p, ptrdiff_t ldp, const bf16 *v,
                        ptrdiff_t ldv, int rows, int keys, int d)
{
    for (int r = 0; r < rows; r++)
        for (int c = 0; c < d; c++)
            for (int j0 = 0; j0 < keys; j0 += 32) {
                real eo[2] = {0, 0};
                for (int j = j0; j < j0 + 32 && j < keys; j++) {
                    real pj = bf16_expand(bf16_round(p[r * ldp + j]));
                    eo[j & 1] = real_fma(pj, bf16_expand(v[j * ldv + c]), eo[j & 1]);
                }
                o[r * ldo + c] = o[r * ldo + c] + (eo[0] + eo[1]);
            }
}

void attn_fill_ref(struct kernels *k)
{
    k->attn_softmax = attn_softmax_ref;
    k->attn_rescale = attn_rescale_ref;
    k->attn_finish = attn_finish_ref;
    k->attn_softmax_bwd = attn_softmax_bwd_ref;
    k->attn_delta = attn_delta_ref;
    k->attn_qk = attn_qk_ref;
    k->attn_pv = attn_pv_ref;
}
