/* The matrix product of profile T1 in plain C: this file is the definition the other
 * instruction sets are compared with (NUMERICS §3). */
#include "kernels/fill.h"
#include "kernels/fp.h"

enum { MR = 4, NR = 16 };

/* Element (row, kk) of a source as the bf16 value the product sees. */
static bf16 element(const struct gemm_src *s, int row, int kk)
{
    ptrdiff_t i = s->trans ? kk * s->ld + row : row * s->ld + kk;
    return s->dtype == DT_BF16 ? ((const bf16 *)s->p)[i] : bf16_round(((const real *)s->p)[i]);
}

/* Panels of `wide` rows, one k after the other: element (row, kk) of a panel at kk*wide + row. */
static void pack(real *dst, struct gemm_src src, int rows, int k, int wide)
{
    int kp = gemm_kp(k);
    for (int r0 = 0; r0 < rows; r0 += wide)
        for (int kk = 0; kk < kp; kk++)
            for (int r = 0; r < wide; r++)
                *dst++ = r0 + r < rows && kk < k ? bf16_expand(element(&src, r0 + r, kk)) : (real)0;
}

static void pack_a_ref(void *dst, struct gemm_src src, int m, int k) { pack(dst, src, m, k, MR); }
static void pack_b_ref(void *dst, struct gemm_src src, int n, int k) { pack(dst, src, n, k, NR); }

/* One output: c + the blocks of 32, each as an even and an odd chain. */
static real dot(real c, const real *a, ptrdiff_t sa, const real *b, ptrdiff_t sb, int k)
{
    for (int k0 = 0; k0 < k; k0 += 32) {
        real e = 0, o = 0;
        for (int j = 0; j < 32; j += 2) {
            e = real_fma(a[(k0 + j) * sa], b[(k0 + j) * sb], e);
            o = real_fma(a[(k0 + j + 1) * sa], b[(k0 + j + 1) * sb], o);
        }
        c = c + (e + o);
    }
    return c;
}

static void block_ref(real *c, ptrdiff_t ldc, const void *a, const void *b, int m, int n, int k,
                      bool zero)
{
    for (int i = 0; i < m; i++) {
        const real *ai = (const real *)a + (ptrdiff_t)(i / MR) * MR * k + i % MR;
        for (int j = 0; j < n; j++) {
            const real *bj = (const real *)b + (ptrdiff_t)(j / NR) * NR * k + j % NR;
            real *cij = c + i * ldc + j;
            *cij = dot(zero ? (real)0 : *cij, ai, MR, bj, NR, k);
        }
    }
}

static void nothing(void) {}

static ptrdiff_t wp_at(int col, int kk, int kp)
{
    return (((ptrdiff_t)(col / WP_NR) * (kp / 2) + kk / 2) * WP_NR + col % WP_NR) * 2 + kk % 2;
}

static void wp_pack_ref(bf16 *wp, struct gemm_src src, int n0, int n1, int n, int k)
{
    int kp = gemm_kp(k);
    int end = n1 >= n ? (n1 + WP_NR - 1) / WP_NR * WP_NR : n1;
    for (int col = n0; col < end; col++)
        for (int kk = 0; kk < kp; kk++)
            wp[wp_at(col, kk, kp)] =
                col < n && kk < k ? element(&src, col, kk) : bf16_round((real)0);
}

static void wp_to_b_ref(void *dst, const bf16 *wp, int n0, int n, int n_total, int k, int k0, int k1)
{
    real *d = dst;
    int kp = gemm_kp(k), k_end = k0 + gemm_kp(k1 - k0);
    for (int c0 = 0; c0 < n; c0 += NR)
        for (int kk = k0; kk < k_end; kk++)
            for (int c = n0 + c0; c < n0 + c0 + NR; c++)
                *d++ = c < n0 + n && c < n_total ? bf16_expand(wp[wp_at(c, kk, kp)]) : (real)0;
}

static void gemv_wp_ref(real *y, ptrdiff_t ldy, const bf16 *x, ptrdiff_t ldx, const bf16 *wp, int m,
                        int n0, int n1, int k, bool zero)
{
    int kp = gemm_kp(k);
    for (int i = 0; i < m; i++)
        for (int col = n0; col < n1; col++) {
            real c = zero ? (real)0 : y[i * ldy + col];
            for (int k0 = 0; k0 < kp; k0 += 32) {
                real xs[32], ws[32];
                for (int j = 0; j < 32; j++) {
                    xs[j] = k0 + j < k ? bf16_expand(x[i * ldx + k0 + j]) : (real)0;
                    ws[j] = bf16_expand(wp[wp_at(col, k0 + j, kp)]);
                }
                c = dot(c, xs, 1, ws, 1, 32);
            }
            y[i * ldy + col] = c;
        }
}

void gemm_fill_ref(struct kernels *k)
{
    k->gemm = (struct gemm_unit){.name = "fma-f32",
                                 .mr = MR,
                                 .nr = NR,
                                 .k_pad = 32,
                                 .k_cut = 32,
                                 .elem = sizeof(real),
                                 .pack_a = pack_a_ref,
                                 .pack_b = pack_b_ref,
                                 .block = block_ref,
                                 .enter = nothing,
                                 .leave = nothing};
    k->gemv_wp = gemv_wp_ref;
    k->wp_pack = wp_pack_ref;
    k->wp_to_b = wp_to_b_ref;
}
