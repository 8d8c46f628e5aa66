/* The matrix product of NUMERICS §3: for each output, in blocks of 32 k, an even and an odd chain of fma. */
#include "kernels/fill.h"
#include "reference/reference_int.h"

enum { TILE = 32, BLOCK = 32, DEPTH = 512 }; /* DEPTH: k that are expanded at once; whole blocks */
struct kernels T1;

void ref_begin(void)
{
    kernels_fp_enter();
    elem_fill_ref(&T1);
    attn_fill_ref(&T1);
}

/* Elements [k0, k0 + DEPTH) of a row as the product sees them, zeros behind k, out[(kk − k0)·step].  False where a
 * product of two such values can leave binary32's range; otherwise it is exact, as bf16 has 8 bits, and e + a·b rounds
 * once, as fma does. */
static bool expand(float *out, int step, struct gemm_src s, ptrdiff_t row, int k0, int k)
{
    bool exact = true;
    int end = k - k0 < DEPTH ? gemm_kp(k - k0) : DEPTH;
    for (ptrdiff_t i = 0; i < end; i++) {
        bf16 h = {0};
        ptrdiff_t at = s.trans ? (k0 + i) * s.ld + row : row * s.ld + k0 + i;
        if (k0 + i < k)
            h = s.dtype == DT_BF16 ? ((const bf16 *)s.p)[at] : bf16_round(((const float *)s.p)[at]);
        int magnitude = h.bits & 0x7fff; /* 2^-63 to 2^63, or 0 */
        exact &= (magnitude >= (127 - 63) << 7 && magnitude <= (127 + 63) << 7) || magnitude == 0;
        out[i * step] = bf16_expand(h);
    }
    return exact;
}

static inline __attribute__((always_inline)) void block(float *c, const float *a, const float *b, bool exact)
{
    float e[TILE] = {0}, o[TILE] = {0};
    for (int k = 0; k < BLOCK; k += 2, b += 2 * TILE)
        for (int j = 0; j < TILE; j++) {
            e[j] = exact ? e[j] + a[k] * b[j] : real_fma(a[k], b[j], e[j]);
            o[j] = exact ? o[j] + a[k + 1] * b[TILE + j] : real_fma(a[k + 1], b[TILE + j], o[j]);
        }
    for (int j = 0; j < TILE; j++)
        c[j] = c[j] + (e[j] + o[j]);
}

/* Columns [j0, j0 + w) of c, w ≤ TILE, over [k0, k0 + DEPTH). */
static void panel(float *c, ptrdiff_t ldc, struct gemm_src a, struct gemm_src b, int m, int j0, int w, int k0, int k,
                  bool zero)
{
    float wide[DEPTH * TILE], row[DEPTH];
    bool tame = true;
    int depth = k - k0 < DEPTH ? gemm_kp(k - k0) : DEPTH;
    if (w < TILE) /* what is computed beside c and thrown away */
        memset(wide, 0, (size_t)depth * TILE * sizeof *wide);
    for (int j = 0; j < w; j++)
        tame &= expand(wide + j, TILE, b, j0 + j, k0, k);
    for (int i = 0; i < m; i++) {
        float out[TILE] = {0}, *ci = c + i * ldc + j0;
        bool exact = expand(row, 1, a, i, k0, k) && tame;
        if (!zero)
            memcpy(out, ci, (size_t)w * sizeof *ci);
        for (int kk = 0; kk < depth; kk += BLOCK)
            if (exact)
                block(out, row + kk, wide + kk * TILE, true);
            else
                block(out, row + kk, wide + kk * TILE, false);
        memcpy(ci, out, (size_t)w * sizeof *ci);
    }
}

void ref_product(float *c, ptrdiff_t ldc, struct gemm_src a, struct gemm_src b, int m, int n, int k, bool zero)
{
    for (int j = 0; j < n; j += TILE)
        for (int k0 = 0; k0 < k || k0 == 0; k0 += DEPTH)
            panel(c, ldc, a, b, m, j, n - j < TILE ? n - j : TILE, k0, k, zero && k0 == 0);
}

/* ---- §3a: 8-bit integers ---- */

/* Group [k0, k0 + n) of a row as integers, out[(kk − k0)·step].  Returns its scale. */
static float quantise(float *out, int step, struct gemm_src s, ptrdiff_t row, int k0, int n)
{
    float v[I8_GROUP], most = 0;
    for (ptrdiff_t i = 0; i < n; i++) {
        ptrdiff_t at = s.trans ? (k0 + i) * s.ld + row : row * s.ld + k0 + i;
        v[i] = s.dtype == DT_BF16 ? bf16_expand(((const bf16 *)s.p)[at]) : ((const float *)s.p)[at];
        most = most >= fabsf(v[i]) || most != most ? most : fabsf(v[i]); /* a NaN stays */
    }
    bool some = most >= 0x1p-100f && most < INFINITY;
    float times = some ? 127 / most : 0;
    for (int i = 0; i < n; i++) /* to nearest, ties to even; a product at the brim of §1, 0 or 2^-126, gives 0 */
        out[i * step] = some ? (v[i] * times + 0x1.8p23f) - 0x1.8p23f : 0;
    return some ? most / 127 : most < 0x1p-100f ? 0 : NAN;
}

/* Sums of integers are below 2^24, so exact in any order. */
static void panel_i8(float *c, ptrdiff_t ldc, struct gemm_src a, struct gemm_src b, int m, int j0, int w, int k0, int n,
                     bool zero)
{
    float wide[I8_GROUP * TILE], row[I8_GROUP], sb[TILE] = {0};
    memset(wide, 0, sizeof wide);
    for (int j = 0; j < w; j++)
        sb[j] = quantise(wide + j, TILE, b, j0 + j, k0, n);
    for (int i = 0; i < m; i++) {
        float sum[TILE] = {0}, *ci = c + i * ldc + j0, sa = quantise(row, 1, a, i, k0, n);
        for (int k = 0; k < n; k++)
            for (int j = 0; j < TILE; j++)
                sum[j] += row[k] * wide[k * TILE + j];
        for (int j = 0; j < w; j++)
            ci[j] = real_fma(sum[j], real_mul(sa, sb[j]), zero ? 0 : ci[j]);
    }
}

void ref_product_i8(float *c, ptrdiff_t ldc, struct gemm_src a, struct gemm_src b, int m, int n, int k, bool zero)
{
    for (int i = 0; k == 0 && zero && i < m; i++)
        memset(c + i * ldc, 0, (size_t)n * sizeof *c);
    for (int j = 0; j < n; j += TILE)
        for (int k0 = 0; k0 < k; k0 += I8_GROUP)
            panel_i8(c, ldc, a, b, m, j, n - j < TILE ? n - j : TILE, k0, k - k0 < I8_GROUP ? k - k0 : I8_GROUP,
                     zero && k0 == 0);
}

double ref_sum(const float *v, size_t n, bool squares)
{
    enum { SUMMED = 4096, LANES = 16 };
    double sum = 0;
    for (size_t at = 0; at < n; at += SUMMED) {
        size_t k = n - at < SUMMED ? n - at : SUMMED;
        float lane[LANES] = {0};
        for (size_t i = 0; i < k && !squares; i++)
            lane[i % LANES] += v[at + i];
        for (int h = LANES / 2; h > 0 && !squares; h /= 2)
            for (int l = 0; l < h; l++)
                lane[l] += lane[l + h];
        sum += (double)(squares ? T1.sum_sq(v + at, k) : lane[0]);
    }
    return sum;
}
