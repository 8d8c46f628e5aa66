/* Reference: RMSNorm, and per-head RMSNorm with rotary embedding. */
#include "kernels/ref/elem_ref.h"

static real rstd_of(real sum_sq, int n, real eps) { return 1 / real_sqrt(sum_sq / (real)n + eps); }

void rmsnorm_fwd_f32_ref(bf16 *y, ptrdiff_t ldy, real *rstd, const real *x, ptrdiff_t ldx,
                         const real *gain, int rows, int n, real eps)
{
    for (int r = 0; r < rows; r++) {
        const real *xr = x + r * ldx;
        bf16 *yr = y + r * ldy;
        real s = rstd_of(sum_sq_f32_ref(xr, (size_t)n), n, eps);
        rstd[r] = s;
        for (int j = 0; j < n; j++)
            yr[j] = bf16_round(real_mul(real_mul(xr[j], s), gain[j]));
    }
}

/* y = xh·gain with xh = x·rstd(x).  With t = dy·gain and c = mean(t·xh):
 * d xh_j/d x_i = rstd·([i = j] − xh_i·xh_j/n), hence dx = rstd·(t − xh·c). */
void rmsnorm_bwd_f32_ref(real *dx, ptrdiff_t lddx, real *dgain, const bf16 *dy, ptrdiff_t lddy,
                         const real *x, ptrdiff_t ldx, const real *rstd, const real *gain, int rows,
                         int n)
{
    for (int r = 0; r < rows; r++) {
        const real *xr = x + r * ldx;
        const bf16 *dyr = dy + r * lddy;
        real *dxr = dx + r * lddx;
        real v[LANES] = {0}, s = rstd[r];
        for (int j = 0; j < n; j++)
            v[j % LANES] = real_fma(real_mul(bf16_expand(dyr[j]), gain[j]), real_mul(xr[j], s), v[j % LANES]);
        real c = lanes_sum(v) / (real)n;
        for (int j = 0; j < n; j++) {
            real d = bf16_expand(dyr[j]), xh = real_mul(xr[j], s);
            dxr[j] = real_fma(s, real_fma(-xh, c, real_mul(d, gain[j])), dxr[j]);
            dgain[j] = real_fma(d, xh, dgain[j]);
        }
    }
}

static void qk_head_fwd(bf16 *y, const bf16 *x, const real *gain, real s, const real *cosine,
                        const real *sine, int d)
{
    int h = d / 2;
    for (int i = 0; i < h; i++) {
        real a = bf16_expand(x[i]), b = bf16_expand(x[i + h]);
        if (gain) {
            a = real_mul(real_mul(a, s), gain[i]);
            b = real_mul(real_mul(b, s), gain[i + h]);
        }
        if (cosine) {
            real ra = real_fma(-b, sine[i], real_mul(a, cosine[i]));
            b = real_fma(a, sine[i], real_mul(b, cosine[i]));
            a = ra;
        }
        y[i] = bf16_round(a);
        y[i + h] = bf16_round(b);
    }
}

void qk_fwd_bf16_ref(bf16 *y, ptrdiff_t ldy, real *rstd, const bf16 *x, ptrdiff_t ldx,
                     const real *gain, struct rope_table rope, const int *pos, int rows, int n_head,
                     int d_head, real eps)
{
    for (int r = 0; r < rows; r++) {
        ptrdiff_t at = rope.cos ? (ptrdiff_t)pos[r] * (d_head / 2) : 0;
        const real *cosine = rope.cos ? rope.cos + at : NULL, *sine = rope.cos ? rope.sin + at : NULL;
        for (int h = 0; h < n_head; h++) {
            const bf16 *xh = x + r * ldx + (ptrdiff_t)h * d_head;
            real s = 0;
            if (gain) {
                real v[LANES] = {0};
                for (int j = 0; j < d_head; j++)
                    v[j % LANES] = real_fma(bf16_expand(xh[j]), bf16_expand(xh[j]), v[j % LANES]);
                s = rstd_of(lanes_sum(v), d_head, eps);
                if (rstd)
                    rstd[(ptrdiff_t)r * n_head + h] = s;
            }
            qk_head_fwd(y + r * ldy + (ptrdiff_t)h * d_head, xh, gain, s, cosine, sine, d_head);
        }
    }
}

/* Element j of the gradient before the rotation: the rotation's transpose of dy. */
static real unrotate(const real *dy, const real *cosine, const real *sine, int j, int h)
{
    if (!cosine)
        return dy[j];
    if (j < h)
        return real_fma(dy[j + h], sine[j], real_mul(dy[j], cosine[j]));
    return real_fma(-dy[j - h], sine[j - h], real_mul(dy[j], cosine[j - h]));
}

static void qk_head_bwd(bf16 *dx, real *dgain, const real *dy, const bf16 *x, real s,
                        const real *gain, const real *cosine, const real *sine, int d)
{
    int h = d / 2;
    real v[LANES] = {0};
    for (int j = 0; j < d && gain; j++) {
        real t = real_mul(unrotate(dy, cosine, sine, j, h), gain[j]);
        v[j % LANES] = real_fma(t, real_mul(bf16_expand(x[j]), s), v[j % LANES]);
    }
    real c = lanes_sum(v) / (real)d;
    for (int j = 0; j < d; j++) {
        real dz = unrotate(dy, cosine, sine, j, h);
        if (gain) {
            real xh = real_mul(bf16_expand(x[j]), s);
            dx[j] = bf16_round(real_mul(s, real_fma(-xh, c, real_mul(dz, gain[j]))));
            dgain[j] = real_fma(dz, xh, dgain[j]);
        } else {
            dx[j] = bf16_round(dz);
        }
    }
}

void qk_bwd_bf16_ref(bf16 *dx, ptrdiff_t lddx, real *dgain, const real *dy, ptrdiff_t lddy,
                     const bf16 *x, ptrdiff_t ldx, const real *rstd, const real *gain,
                     struct rope_table rope, const int *pos, int rows, int n_head, int d_head)
{
    for (int r = 0; r < rows; r++) {
        ptrdiff_t at = rope.cos ? (ptrdiff_t)pos[r] * (d_head / 2) : 0;
        const real *cosine = rope.cos ? rope.cos + at : NULL, *sine = rope.cos ? rope.sin + at : NULL;
        for (int h = 0; h < n_head; h++) {
            ptrdiff_t o = (ptrdiff_t)h * d_head;
            real s = gain ? rstd[(ptrdiff_t)r * n_head + h] : 0;
            qk_head_bwd(dx + r * lddx + o, dgain, dy + r * lddy + o, x + r * ldx + o, s, gain, cosine,
                        sine, d_head);
        }
    }
}
