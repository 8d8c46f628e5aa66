/* The matrix product of profile T2 in plain C: this file is the definition the other instruction sets are compared
 * with (NUMERICS §3a).  In the binary64 build nothing is rounded, and the product is that of T1. */
#include "kernels/fill.h"
#include "kernels/fp.h"
#include "kernels/int8.h"

#ifdef DK_DOUBLE

void gemm_i8_fill_ref(struct kernels *k) { k->gemm_i8 = k->gemm; }

#else

enum { MR = 4, NR = 16, LAYOUT = 101 };

/* Panels of `wide` rows; of each group first the scales, then the integers of one row after the other. */
static void pack(char *dst, const struct gemm_src *src, int rows, int k, int wide)
{
    for (int r0 = 0; r0 < rows; r0 += wide)
        for (int k0 = 0; k0 < k; k0 += I8_GROUP) {
            int n = k - k0 < I8_GROUP ? k - k0 : I8_GROUP, padded = i8_padded(n);
            float *scale = (float *)(void *)dst;
            int8_t *q = (int8_t *)(scale + wide);
            memset(dst, 0, sizeof(float) * (size_t)wide + (size_t)wide * (size_t)padded);
            for (int r = 0; r < wide && r0 + r < rows; r++)
                scale[r] = i8_group(q + r * padded, 1, src, r0 + r, k0, n);
            dst = (char *)(q + wide * padded);
        }
}

static void pack_a_ref(void *dst, struct gemm_src src, int m, int k) { pack(dst, &src, m, k, MR); }
static void pack_b_ref(void *dst, struct gemm_src src, int n, int k) { pack(dst, &src, n, k, NR); }

/* Row r of a panel at its group from k0 on: its scale and integers. */
static const int8_t *row_at(const char *panel, int wide, int r, int k0, int n, float *scale)
{
    const char *g = panel + (ptrdiff_t)wide * k0 + (ptrdiff_t)(k0 / I8_GROUP * wide) * (ptrdiff_t)sizeof(float);
    memcpy(scale, g + (size_t)r * sizeof(float), sizeof *scale);
    return (const int8_t *)g + wide * (ptrdiff_t)sizeof(float) + (ptrdiff_t)r * n;
}

static float dot(float c, const char *a, int ra, const char *b, int rb, int k)
{
    for (int k0 = 0; k0 < k; k0 += I8_GROUP) {
        int n = k - k0 < I8_GROUP ? k - k0 : I8_GROUP, sum = 0;
        float sa, sb;
        const int8_t *x = row_at(a, MR, ra, k0, n, &sa), *y = row_at(b, NR, rb, k0, n, &sb);
        for (int i = 0; i < n; i++)
            sum += x[i] * y[i];
        c = real_fma((float)sum, real_mul(sa, sb), c);
    }
    return c;
}

static void block_ref(float *c, ptrdiff_t ldc, const void *a, const void *b, int m, int n, int k, bool zero)
{
    size_t groups = (size_t)(k + I8_GROUP - 1) / I8_GROUP;
    size_t a_panel = MR * ((size_t)k + groups * sizeof(float)), b_panel = NR * ((size_t)k + groups * sizeof(float));
    for (int i = 0; i < m; i++)
        for (int j = 0; j < n; j++) {
            float *cij = c + i * ldc + j;
            *cij = dot(zero ? 0 : *cij, (const char *)a + (size_t)(i / MR) * a_panel, i % MR,
                       (const char *)b + (size_t)(j / NR) * b_panel, j % NR, k);
        }
}

static void nothing(void) {}

void gemm_i8_fill_ref(struct kernels *k)
{
    k->gemm_i8 = (struct gemm_unit){.name = "c-int8",
                                    .mr = MR,
                                    .nr = NR,
                                    .k_pad = I8_PAD,
                                    .k_cut = I8_GROUP,
                                    .elem = 1,
                                    .a_head = MR * sizeof(float),
                                    .b_head = NR * sizeof(float),
                                    .layout_id = LAYOUT,
                                    .pack_a = pack_a_ref,
                                    .pack_b = pack_b_ref,
                                    .block = block_ref,
                                    .enter = nothing,
                                    .leave = nothing};
}

#endif
