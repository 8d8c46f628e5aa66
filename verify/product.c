/* The matrix product of NUMERICS §3: for each output, in blocks of 32 k, an even and an odd chain of fma. */
#include "kernels/fill.h"
#include "verify/verify.h"

enum { TILE = 32, DEPTH = 32 };
struct kernels T1;

void product_begin(void) {
    kernels_fp_enter();
    elem_fill_ref(&T1);
    attn_fill_ref(&T1);
}

/* A row as the product sees it, out[kk·step], zeros behind k.  False where a product of two such values can leave
 * binary32's range; otherwise it is exact, as bf16 has 8 bits, and e + a·b rounds once, as fma does. */
static bool expand(float *out, int step, struct gemm_src s, ptrdiff_t row, int k) {
    ptrdiff_t at = s.trans ? row : row * s.ld, next = s.trans ? s.ld : 1;
    bool exact = true;
    for (int kk = 0, kp = gemm_kp(k); kk < kp; kk++, at += next) {
        bf16 h = {0};
        if (kk < k) h = s.dtype == DT_BF16 ? ((const bf16 *)s.p)[at] : bf16_round(((const float *)s.p)[at]);
        int magnitude = h.bits & 0x7fff; /* 2^-63 to 2^63, or 0 */
        exact &= (magnitude >= (127 - 63) << 7 && magnitude <= (127 + 63) << 7) || magnitude == 0;
        out[kk * step] = bf16_expand(h);
    }
    return exact;
}

static inline __attribute__((always_inline)) void block(float *c, const float *a, const float *b, bool exact) {
    float e[TILE] = {0}, o[TILE] = {0};
    for (int k = 0; k < DEPTH; k += 2, b += 2 * TILE)
        for (int j = 0; j < TILE; j++) {
            e[j] = exact ? e[j] + a[k] * b[j] : fmaf(a[k], b[j], e[j]);
            o[j] = exact ? o[j] + a[k + 1] * b[TILE + j] : fmaf(a[k + 1], b[TILE + j], o[j]);
        }
    for (int j = 0; j < TILE; j++) c[j] = c[j] + (e[j] + o[j]);
}
void product(float *c, ptrdiff_t ldc, struct gemm_src a, struct gemm_src b, int m, int n, int k, bool zero) {
    static float *wide, *row;
    static int room;
    int kp = gemm_kp(k);
    if (kp > room) {
        room = kp;
        wide = take((uint64_t)kp * TILE, sizeof *wide);
        row = take((uint64_t)kp, sizeof *row);
    }
    for (int j0 = 0; j0 < n; j0 += TILE) {
        int w = n - j0 < TILE ? n - j0 : TILE;
        bool tame = true;
        for (int j = 0; j < w; j++) tame &= expand(wide + j, TILE, b, j0 + j, k);
        for (int i = 0; i < m; i++) {
            float out[TILE] = {0}, *ci = c + i * ldc + j0;
            bool exact = expand(row, 1, a, i, k) && tame;
            if (!zero) memcpy(out, ci, (size_t)w * sizeof *ci);
            for (int k0 = 0; k0 < kp; k0 += DEPTH)
                if (exact) block(out, row + k0, wide + k0 * TILE, true);
                else block(out, row + k0, wide + k0 * TILE, false);
            memcpy(ci, out, (size_t)w * sizeof *ci);
        }
    }
}
