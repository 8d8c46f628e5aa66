/* Matrix product on AVX-512 FMA: a tile is 7 rows × 2 vectors, each output with its even and its odd
 * chain in registers (28 accumulators, 2 vectors of B, one broadcast of A).  Operands are bf16
 * expanded to f32 when packed, so the inner loop only loads and multiplies. */
#include "kernels/avx512/lanes_avx512.h"
#include "kernels/fill.h"
#include "kernels/unroll.h"

enum { MR = 7, NR = 32, KC = 256, ELEM = sizeof(float) };

LANES_INLINE __m512i *lanes_at(void *p) { return (__m512i *)p; }

LANES_INLINE void chains(int rows, __m512 *e0, __m512 *e1, __m512 *o0, __m512 *o1, const void *packed_a,
                         const void *packed_b)
{
    const float *a = packed_a, *b = packed_b;
    for (int j = 0; j < 16; j++, a += 2 * MR, b += 2 * NR) {
        __m512 b0 = _mm512_load_ps(b), b1 = _mm512_load_ps(b + 16);
        UNROLL
        for (int i = 0; i < rows; i++) {
            __m512 x = _mm512_set1_ps(a[i]);
            e0[i] = _mm512_fmadd_ps(x, b0, e0[i]);
            e1[i] = _mm512_fmadd_ps(x, b1, e1[i]);
        }
        b0 = _mm512_load_ps(b + 32);
        b1 = _mm512_load_ps(b + 48);
        UNROLL
        for (int i = 0; i < rows; i++) {
            __m512 x = _mm512_set1_ps(a[MR + i]);
            o0[i] = _mm512_fmadd_ps(x, b0, o0[i]);
            o1[i] = _mm512_fmadd_ps(x, b1, o1[i]);
        }
    }
}

#include "kernels/avx512/block_avx512.h"

/* 32 k × 32 columns: even and odd k of a pair are two rows of the panel. */
static void pack_b_square(float *d, const struct gemm_src *s, int col, int nc, int kk, int nk)
{
    for (int h = 0; h < NR; h += 16) {
        __m512i v[16];
        load_row_pairs(v, s, col + h, nc - h, kk, nk, true);
        for (int j = 0; j < 16; j++) {
            _mm512_store_ps(d + h + (ptrdiff_t)(2 * j) * NR, pair_even(v[j]));
            _mm512_store_ps(d + h + (ptrdiff_t)(2 * j + 1) * NR, pair_odd(v[j]));
        }
    }
}

/* The source is walked along its lines, down k in a panel, or over the panels where k is strided: 32 streams,
 * more than the hardware's prefetchers follow, so the next square of each is asked for. */
static void pack_b_avx512(void *dst, struct gemm_src src, int n, int k)
{
    int kp = gemm_kp(k), cols = n > 0 ? (n + NR - 1) / NR : 0, steps = kp / 32;
    ptrdiff_t size = src.dtype == DT_BF16 ? sizeof(bf16) : sizeof(float);
    for (int i = 0; i < cols * steps; i++) {
        int col = (src.trans ? i % cols : i / steps) * NR, kk = (src.trans ? i / cols : i % steps) * 32;
        float *d = (float *)dst + (ptrdiff_t)col * kp + (ptrdiff_t)kk * NR;
        int lines = src.trans ? k - kk : n - col;
        const char *next = (const char *)src.p + (src.trans ? kk * src.ld + col + NR : col * src.ld + kk + 32) * size;
        for (int r = 0; r < 32 && r < lines; r++)
            for (ptrdiff_t at = 0; at < 32 * size; at += 64)
                _mm_prefetch(next + r * src.ld * size + at, _MM_HINT_T0);
        pack_b_square(d, &src, col, n - col, kk, k - kk);
    }
}

/* The upper half in a register of its own: gcc would fuse the extraction with a masked store into
 * VEXTRACTF32X8, which faults on lanes that are masked off. */
LANES_INLINE __m256 upper_half(__m512 v)
{
    __m256 h = _mm512_extractf32x8_ps(v, 1);
    __asm__("" : "+v"(h));
    return h;
}

/* Both halves of v are 8 rows of a pair each: 7 of them go to the panel. */
LANES_INLINE void store_rows7(float *d, __m512i v)
{
    const __mmask8 seven = 0x7f;
    __m512 e = pair_even(v), o = pair_odd(v);
    _mm256_mask_storeu_ps(d, seven, _mm512_castps512_ps256(e));
    _mm256_mask_storeu_ps(d + MR, seven, _mm512_castps512_ps256(o));
    _mm256_mask_storeu_ps(d + 8 * MR, seven, upper_half(e));
    _mm256_mask_storeu_ps(d + 9 * MR, seven, upper_half(o));
}

static void pack_a_along(float *d, const struct gemm_src *s, int row, int nr, int kk, int nk)
{
    __m512i v[8], lo[4], hi[4];
    for (int r = 0; r < 8; r++)
        v[r] = r < nr && r < MR ? pairs_along_k(s, (row + r) * s->ld + kk, nk) : _mm512_setzero_si512();
    transpose4(lo, v[0], v[1], v[2], v[3]);
    transpose4(hi, v[4], v[5], v[6], v[7]);
    const __m512i first = _mm512_set_epi64(11, 10, 3, 2, 9, 8, 1, 0);
    const __m512i second = _mm512_set_epi64(15, 14, 7, 6, 13, 12, 5, 4);
    for (int q = 0; q < 4; q++) { /* pairs q and 4+q, then 8+q and 12+q */
        store_rows7(d + 2 * q * MR, _mm512_permutex2var_epi64(lo[q], first, hi[q]));
        store_rows7(d + (16 + 2 * q) * MR, _mm512_permutex2var_epi64(lo[q], second, hi[q]));
    }
}

/* 16 lines of the source at a time, up to 16 panels wide, pass through a buffer as f32: rounding then
 * works on whole vectors, and the 7 rows of a panel are one load and one store. */
enum { ACROSS_K = 16, ACROSS_ROWS = 16 * MR };

static void pack_a_across(float *dst, const struct gemm_src *s, int m, int k, int r0, int kk)
{
    float buf[ACROSS_K][ACROSS_ROWS + 16];
    const __mmask8 seven = 0x7f;
    int kp = gemm_kp(k), n = m - r0 < ACROSS_ROWS ? m - r0 : ACROSS_ROWS, panels = (n + MR - 1) / MR;
    /* The lines of the next 16 k: each is far from the last, and no prefetcher of the hardware sees them coming. */
    ptrdiff_t size = s->dtype == DT_BF16 ? sizeof(bf16) : sizeof(float);
    const char *next = (const char *)s->p + ((kk + ACROSS_K) * s->ld + r0) * size;
    for (int j = 0; j < ACROSS_K && kk + ACROSS_K + j < k; j++)
        for (ptrdiff_t at = 0; at < n * size; at += 64)
            _mm_prefetch(next + j * s->ld * size + at, _MM_HINT_T0);
    for (int j = 0; j < ACROSS_K; j++)
        for (int r = 0; r < panels * MR; r += 16) {
            __mmask16 some = kk + j < k ? mask16(n - r) : 0;
            ptrdiff_t at = (kk + j < k ? kk + j : 0) * s->ld + r0 + r;
            __m512i v;
            if (s->dtype == DT_BF16)
                v = _mm512_slli_epi32(
                    _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(some, (const bf16 *)s->p + at)), 16);
            else
                v = round_upper(_mm512_maskz_loadu_epi32(some, (const float *)s->p + at));
            _mm512_storeu_ps(buf[j] + r, pair_odd(v));
        }
    for (int p = 0; p < panels; p++) {
        float *d = dst + (ptrdiff_t)(r0 + p * MR) * kp + (ptrdiff_t)kk * MR;
        for (int j = 0; j < ACROSS_K; j++)
            _mm256_mask_storeu_ps(d + j * MR, seven, _mm256_loadu_ps(buf[j] + p * MR));
    }
}

static void pack_a_avx512(void *dst, struct gemm_src src, int m, int k)
{
    int kp = gemm_kp(k), rows = m > 0 ? (m + MR - 1) / MR : 0, steps = kp / 32;
    if (src.trans) {
        for (int kk = 0; kk < kp; kk += ACROSS_K)
            for (int row = 0; row < m; row += ACROSS_ROWS)
                pack_a_across(dst, &src, m, k, row, kk);
        return;
    }
    ptrdiff_t size = src.dtype == DT_BF16 ? sizeof(bf16) : sizeof(float);
    for (int i = 0; i < rows * steps; i++) {
        int row = i / steps * MR, kk = i % steps * 32;
        /* The same k of the next panel: each row is a stream too short for the hardware to follow. */
        const char *next = (const char *)src.p + ((row + MR) * src.ld + kk) * size;
        for (int r = 0; r < MR && row + MR + r < m; r++) {
            const char *line = next + r * src.ld * size;
            _mm_prefetch(line, _MM_HINT_T0);
            if (src.dtype == DT_F32)
                _mm_prefetch(line + 64, _MM_HINT_T0);
        }
        pack_a_along((float *)dst + (ptrdiff_t)row * kp + (ptrdiff_t)kk * MR, &src, row, m - row, kk, k - kk);
    }
}

static void nothing(void) {}

/* ---- weights packed as pairs ---- */

static void wp_pack_avx512(bf16 *wp, struct gemm_src src, int n0, int n1, int n, int k)
{
    int kp = gemm_kp(k), end = n1 < n ? n1 : n;
    for (int col = n0; col < end; col += WP_NR)
        for (int kk = 0; kk < kp; kk += 32) {
            bf16 *d = wp + (ptrdiff_t)col * kp + (ptrdiff_t)kk * WP_NR;
            __m512i v[16];
            load_row_pairs(v, &src, col, end - col, kk, k - kk, true);
            for (int j = 0; j < 16; j++)
                _mm512_storeu_si512(d + j * 2 * WP_NR, v[j]);
        }
}

static void wp_to_b_avx512(void *dst, const bf16 *wp, int n0, int n, int n_total, int k, int k0, int k1)
{
    int kp = gemm_kp(k), depth = gemm_kp(k1 - k0);
    for (int col = 0; col < n; col += NR)
        for (int h = 0; h < NR; h += WP_NR) {
            int at = n0 + col + h;
            float *d = (float *)dst + (ptrdiff_t)col * depth + h;
            const bf16 *s = wp + (ptrdiff_t)at * kp + (ptrdiff_t)k0 * WP_NR;
            __mmask16 cols = mask16(n - col - h < n_total - at ? n - col - h : n_total - at);
            for (int kk = 0; kk < depth; kk += 2) {
                __m512i w = cols ? _mm512_maskz_loadu_epi32(cols, s) : _mm512_setzero_si512();
                _mm512_store_ps(d, pair_even(w));
                _mm512_store_ps(d + NR, pair_odd(w));
                d += 2 * NR;
                s += 2 * WP_NR;
            }
        }
}

/* The rows of x as f32, k padded with +0: up to XS values, a part of k for many rows. */
enum { XS = 8192, GEMV_ROWS = 8 };

static void expand_rows(float *xs, const bf16 *x, ptrdiff_t ldx, int m, int k0, int depth, int k)
{
    for (int i = 0; i < m; i++)
        for (int kk = 0; kk < depth; kk += 16) {
            __m256i v = _mm256_maskz_loadu_epi16(mask16(k - k0 - kk), x + i * ldx + k0 + kk);
            __m512i f = _mm512_slli_epi32(_mm512_cvtepu16_epi32(v), 16);
            _mm512_store_si512(lanes_at(xs + i * depth + kk), f);
        }
}

/* One panel of 16 columns against `rows` rows; the weights stream through once. */
LANES_INLINE void gemv_panel(int rows, float *y, ptrdiff_t ldy, const float *xs, const bf16 *w,
                             int depth, bool zero, __mmask16 cols)
{
    __m512 c[GEMV_ROWS];
    UNROLL
    for (int i = 0; i < rows; i++)
        c[i] = zero ? _mm512_setzero_ps() : _mm512_maskz_loadu_ps(cols, y + i * ldy);
    for (int kk = 0; kk < depth; kk += 32) {
        __m512 e[GEMV_ROWS], o[GEMV_ROWS];
        UNROLL
        for (int i = 0; i < rows; i++)
            e[i] = o[i] = _mm512_setzero_ps();
        for (int j = 0; j < 32; j += 2) {
            __m512i v = _mm512_loadu_si512(w);
            __m512 even = pair_even(v), odd = pair_odd(v);
            _mm_prefetch((const char *)w + 4096, _MM_HINT_T0);
            UNROLL
            for (int i = 0; i < rows; i++) {
                e[i] = _mm512_fmadd_ps(_mm512_set1_ps(xs[i * depth + kk + j]), even, e[i]);
                o[i] = _mm512_fmadd_ps(_mm512_set1_ps(xs[i * depth + kk + j + 1]), odd, o[i]);
            }
            w += 2 * WP_NR;
        }
        UNROLL
        for (int i = 0; i < rows; i++)
            c[i] = _mm512_add_ps(c[i], _mm512_add_ps(e[i], o[i]));
    }
    UNROLL
    for (int i = 0; i < rows; i++)
        _mm512_mask_storeu_ps(y + i * ldy, cols, c[i]);
}

#define GEMV_CASE(r) \
    case r: \
        gemv_panel(r, y, ldy, xs, w, depth, zero, cols); \
        break;
static void gemv_rows(int rows, float *y, ptrdiff_t ldy, const float *xs, const bf16 *w, int depth,
                      bool zero, __mmask16 cols)
{
    switch (rows) {
        GEMV_CASE(1)
        GEMV_CASE(2)
        GEMV_CASE(3)
        GEMV_CASE(4)
        GEMV_CASE(5)
        GEMV_CASE(6)
        GEMV_CASE(7)
        GEMV_CASE(8)
    }
}

static void gemv_wp_avx512(float *y, ptrdiff_t ldy, const bf16 *x, ptrdiff_t ldx, const bf16 *wp,
                           int m, int n0, int n1, int k, bool zero)
{
    _Alignas(64) float xs[XS];
    int kp = gemm_kp(k), most = m > 0 ? XS / m / 32 * 32 : 32;
    for (int k0 = 0; k0 < kp || k0 == 0; k0 += most) {
        int depth = kp - k0 < most ? kp - k0 : most;
        expand_rows(xs, x, ldx, m, k0, depth, k);
        for (int col = n0; col < n1; col += WP_NR)
            gemv_rows(m, y + col, ldy, xs, wp + (ptrdiff_t)col * kp + (ptrdiff_t)k0 * WP_NR, depth,
                      zero && k0 == 0, mask16(n1 - col));
    }
}

void gemm_fill_avx512(struct kernels *k)
{
    k->gemm = (struct gemm_unit){.name = "fma-f32",
                                 .mr = MR,
                                 .nr = NR,
                                 .k_pad = 32,
                                 .k_cut = 32,
                                 .elem = sizeof(float),
                                 .pack_a = pack_a_avx512,
                                 .pack_b = pack_b_avx512,
                                 .block = walk_panels,
                                 .enter = nothing,
                                 .leave = nothing};
    k->gemv_wp = gemv_wp_avx512;
    k->wp_pack = wp_pack_avx512;
    k->wp_to_b = wp_to_b_avx512;
}
