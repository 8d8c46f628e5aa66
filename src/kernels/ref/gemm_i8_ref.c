/* The matrix product of profile T2 in plain C: this file is the definition the other instruction sets are compared
 * with (NUMERICS §3a).  In the binary64 build nothing is rounded, and the product is that of T1. */
#include "kernels/fill.h"
#include "kernels/fp.h"
#include "kernels/int8.h"

#ifdef DK_DOUBLE

void gemm_i8_fill_ref(struct kernels *k) { k->gemm_i8 = k->gemm; }

#else

enum { MR = 4, NR = 16 };
static const struct i8_panels a_panels = {MR, 1, MR * (int)sizeof(float)}, b_panels = {NR, 1, NR * (int)sizeof(float)};

/* ---- an operand's elements ---- */

struct scale {
    float scale, inverse;
};

/* Of a group whose largest magnitude has these bits.  Not finite: NaN, whatever is multiplied. */
static struct scale scale_of(uint32_t most)
{
    float m;
    memcpy(&m, &most, sizeof m);
    if (most >= I8_INFINITE) {
        const uint32_t nan = 0x7fc00000;
        memcpy(&m, &nan, sizeof m);
        return (struct scale){m, 0};
    }
    return most < I8_LEAST ? (struct scale){0, 0} : (struct scale){m / 127, 127 / m};
}

static uint32_t magnitude(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return u & 0x7fffffff;
}

/* To nearest, ties to even: |x·inverse| is at most 127 and a little, and adding 1.5·2^23 leaves no bits behind the
 * point.  A product at the brim of being tiny (NUMERICS §1) may be 0 or 2^-126 here, and either rounds to 0.  Without
 * an inverse nothing is converted: x may be what no integer is. */
static int quantise(float x, struct scale s)
{
    const float shift = 0x1.8p23f;
    return s.inverse != 0 ? (int)((x * s.inverse + shift) - shift) : 0;
}

/* Element (row, kk) of a source: f32 as it is, bf16 exactly. */
static float element(const struct gemm_src *s, ptrdiff_t row, ptrdiff_t kk)
{
    ptrdiff_t i = s->trans ? kk * s->ld + row : row * s->ld + kk;
    return s->dtype == DT_BF16 ? bf16_expand(((const bf16 *)s->p)[i]) : ((const float *)s->p)[i];
}

/* The group of `n` elements of a row from k0 on.  Returns its scale. */
static float group(int8_t *q, const struct gemm_src *s, ptrdiff_t row, int k0, int n)
{
    uint32_t most = 0;
    for (int i = 0; i < n; i++) {
        uint32_t u = magnitude(element(s, row, k0 + i));
        most = u > most ? u : most;
    }
    struct scale sc = scale_of(most);
    for (int i = 0; i < n; i++)
        q[i] = (int8_t)quantise(element(s, row, k0 + i), sc);
    return sc.scale;
}

/* ---- panels: of each group first the scales, then the integers of one row after the other ---- */

static int group_len(int k, int k0) { return k - k0 < I8_GROUP ? k - k0 : I8_GROUP; }

static void pack(char *dst, const struct gemm_src *src, int rows, int k, struct i8_panels s)
{
    for (int r0 = 0; r0 < rows; r0 += s.wide, dst += i8_panel_at(s, i8_padded(k)))
        for (int k0 = 0; k0 < k; k0 += I8_GROUP) {
            int n = group_len(k, k0), padded = i8_padded(n);
            float *scale = (float *)(void *)(dst + i8_panel_at(s, k0));
            int8_t *q = (int8_t *)(scale + s.wide);
            memset(scale, 0, (size_t)s.head + (size_t)(s.wide * padded));
            for (int r = 0; r < s.wide && r0 + r < rows; r++)
                scale[r] = group(q + r * padded, src, r0 + r, k0, n);
        }
}

static void pack_a_ref(void *dst, struct gemm_src src, int m, int k) { pack(dst, &src, m, k, a_panels); }
static void pack_b_ref(void *dst, struct gemm_src src, int n, int k) { pack(dst, &src, n, k, b_panels); }

/* Row r of packed panels of padded depth k at the group from k0 on: its scale and integers. */
static const int8_t *row_at(const char *panels, struct i8_panels s, int r, int k, int k0, float *scale)
{
    const char *g = panels + r / s.wide * i8_panel_at(s, k) + i8_panel_at(s, k0);
    memcpy(scale, g + (size_t)(r % s.wide) * sizeof(float), sizeof *scale);
    return (const int8_t *)g + s.head + r % s.wide * group_len(k, k0);
}

/* ---- products ---- */

static float dot(float c, const char *a, int row, const char *b, int col, int k)
{
    for (int k0 = 0; k0 < k; k0 += I8_GROUP) {
        float sa, sb;
        const int8_t *x = row_at(a, a_panels, row, k, k0, &sa), *y = row_at(b, b_panels, col, k, k0, &sb);
        int sum = 0;
        for (int i = 0; i < group_len(k, k0); i++)
            sum += x[i] * y[i];
        c = real_fma((float)sum, real_mul(sa, sb), c);
    }
    return c;
}

static void block_ref(float *c, ptrdiff_t ldc, const void *a, const void *b, int m, int n, int k, bool zero)
{
    for (int i = 0; i < m; i++)
        for (int j = 0; j < n; j++)
            c[i * ldc + j] = dot(zero ? 0 : c[i * ldc + j], a, i, b, j, k);
}

void gemm_i8_fill_ref(struct kernels *k)
{
    struct gemm_unit *u = &k->gemm_i8;
    *u = i8_unit("c-int8", a_panels, b_panels);
    u->pack_a = pack_a_ref;
    u->pack_b = pack_b_ref;
    u->block = block_ref;
}

#endif
