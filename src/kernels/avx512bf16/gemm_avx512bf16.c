/* Matrix product on VDPBF16PS, for machines where it makes more multiply-adds than FMA does (AMD since Zen 4): a tile
 * is 7 rows × 2 vectors, each output with its even and its odd chain in registers, as in gemm_avx512.c.  Panels keep
 * bf16.  For every 4 k the B panel has 32 lanes of the even chain, then 32 of the odd one; for every 32 k the A panel
 * has a line of 64 bytes a row, 8 lanes of the even chain, then 8 of the odd one. */
#include <string.h>

#include "kernels/avx512bf16/dot.h"
#include "kernels/fill.h"
#include "kernels/unroll.h"

enum { MR = 7, NR = 32, KC = 512, ELEM = sizeof(bf16) };
enum { LINE = 16, QUAD = 64 }; /* 32-bit words: of a row of A for 32 k, of a panel of B for 4 k */

LANES_INLINE void chains(int rows, __m512 *e0, __m512 *e1, __m512 *o0, __m512 *o1, const void *packed_a,
                         const void *packed_b)
{
    const int32_t *a = packed_a, *b = packed_b;
    for (int j = 0; j < 8; j++, b += QUAD) {
        __m512i b0 = _mm512_load_si512(b), b1 = _mm512_load_si512(b + 16);
        UNROLL
        for (int i = 0; i < rows; i++) {
            __m512i x = _mm512_set1_epi32(a[i * LINE + j]);
            e0[i] = dot(e0[i], x, b0);
            e1[i] = dot(e1[i], x, b1);
        }
        b0 = _mm512_load_si512(b + 32);
        b1 = _mm512_load_si512(b + 48);
        UNROLL
        for (int i = 0; i < rows; i++) {
            __m512i x = _mm512_set1_epi32(a[i * LINE + 8 + j]);
            o0[i] = dot(o0[i], x, b0);
            o1[i] = dot(o1[i], x, b1);
        }
    }
}

#include "kernels/avx512/block_avx512.h"

/* 32 k of a row in order, as its line of the panel. */
LANES_INLINE __m512i line_of(__m512i v)
{
    const __m512i order = _mm512_set_epi16(29, 31, 25, 27, 21, 23, 17, 19, 13, 15, 9, 11, 5, 7, 1, 3, /* odd chain */
                                           28, 30, 24, 26, 20, 22, 16, 18, 12, 14, 8, 10, 4, 6, 0, 2);
    return _mm512_permutexvar_epi16(order, v);
}

/* The k that are there of 32 values of a row at p.  `half` is a constant in each instance: bf16, else f32. */
LANES_INLINE __m512i row_of_32(bool half, const char *p, __mmask32 some)
{
    if (half)
        return _mm512_maskz_loadu_epi16(some, p);
    return round_both(_mm512_maskz_loadu_epi32((__mmask16)some, p),
                      _mm512_maskz_loadu_epi32((__mmask16)(some >> 16), p + 64));
}

/* k and k + 2 of 16 neighbouring rows of a source whose k is strided, as a lane of a chain. */
LANES_INLINE __m512i chain_across(bool half, const char *p, ptrdiff_t ld, __mmask16 rows, int nk)
{
    const char *p2 = nk > 2 ? p + 2 * ld : p;
    __mmask16 rows2 = nk > 2 ? rows : 0;
    if (!half)
        return round_pairs(_mm512_maskz_loadu_epi32(rows2, p2), _mm512_maskz_loadu_epi32(rows, p));
    __m512i hi = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(rows, p));
    __m512i lo = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(rows2, p2));
    return _mm512_or_si512(lo, _mm512_slli_epi32(hi, 16));
}

/* 16 rows × 32 k at p, of which the first nr and nk are there: v[j] = the lanes of even chain j of all rows, v[8 + j]
 * those of odd chain j.  A load with an empty mask is slow where no memory is: what is not there is not looked for. */
LANES_INLINE void some_chains(__m512i v[16], bool half, const char *p, ptrdiff_t ld, bool trans, int nr, int nk)
{
    if (trans) {
        UNROLL
        for (int j = 0; j < 16; j++) {
            int at = 4 * (j & 7) + (j >> 3);
            v[j] = at < nk ? chain_across(half, p + at * ld, ld, mask16(nr), nk - at) : _mm512_setzero_si512();
        }
        return;
    }
    UNROLL
    for (int r = 0; r < 16; r++)
        v[r] = r < nr ? line_of(row_of_32(half, p + r * ld, mask32(nk))) : _mm512_setzero_si512();
    transpose16(v);
}

LANES_INLINE void chains_of_16(__m512i v[16], bool half, const char *p, ptrdiff_t ld, bool trans, int nr, int nk)
{
    if (nr >= 16 && nk >= 32)
        some_chains(v, half, p, ld, trans, 16, 32);
    else
        some_chains(v, half, p, ld, trans, nr, nk);
}

/* The source is walked along its lines, down k in a panel, or over the panels where k is strided: 32 streams, more
 * than the hardware's prefetchers follow, so the next square of each is asked for. */
LANES_INLINE void pack_b(bool half, int32_t *dst, const struct gemm_src *src, int n, int k)
{
    int kp = gemm_kp(k), cols = n > 0 ? (n + NR - 1) / NR : 0, steps = kp / 32;
    ptrdiff_t size = half ? sizeof(bf16) : sizeof(float), ld = src->ld * size;
    ptrdiff_t down = src->trans ? size : ld, along = src->trans ? ld : size; /* bytes from column to column, k to k */
    for (int i = 0; i < cols * steps; i++) {
        int col = (src->trans ? i % cols : i / steps) * NR, kk = (src->trans ? i / cols : i % steps) * 32;
        int32_t *d = dst + ((ptrdiff_t)col * kp + (ptrdiff_t)kk * NR) / 2;
        const char *p = (const char *)src->p + col * down + kk * along;
        int lines = src->trans ? k - kk : n - col;
        for (int r = 0; r < 32 && r < lines; r++)
            for (ptrdiff_t at = 32 * size; at < 64 * size; at += 64)
                _mm_prefetch(p + r * ld + at, _MM_HINT_T0);
        for (int h = 0; h < NR; h += 16) {
            __m512i v[16];
            chains_of_16(v, half, p + h * down, ld, src->trans, n - col - h, k - kk);
            UNROLL
            for (int q = 0; q < 8; q++) {
                _mm512_store_si512(d + q * QUAD + h, v[q]);
                _mm512_store_si512(d + q * QUAD + NR + h, v[8 + q]);
            }
        }
    }
}

static void pack_b_avx512bf16(void *dst, struct gemm_src src, int n, int k)
{
    if (src.dtype == DT_BF16)
        pack_b(true, dst, &src, n, k);
    else
        pack_b(false, dst, &src, n, k);
}

/* Rows whose k lie side by side: line after line in the order of the panels. */
LANES_INLINE void pack_rows(bool half, int32_t *d, const struct gemm_src *src, int m, int k, bool far)
{
    ptrdiff_t size = half ? sizeof(bf16) : sizeof(float), ld = src->ld * size;
    for (int row = 0; row < m; row += MR) {
        int n = m - row < MR ? m - row : MR;
        for (int kk = 0; kk < gemm_kp(k); kk += 32) {
            const char *p = (const char *)src->p + row * ld + kk * size;
            __mmask32 some = mask32(k - kk);
            for (int r = 0; r < n; r++, p += ld, d += LINE) {
                _mm512_store_si512(d, line_of(row_of_32(half, p, some)));
                if (far)
                    _mm_prefetch(p + 32 * size, _MM_HINT_T0);
            }
            for (int r = n; r < MR; r++, d += LINE)
                _mm512_store_si512(d, _mm512_setzero_si512());
        }
    }
}

/* Rows that lie side by side, k strided: 16 rows × 32 k at a time, turned in registers. */
LANES_INLINE void pack_columns(bool half, int32_t *dst, const struct gemm_src *src, int m, int k, bool far)
{
    int kp = gemm_kp(k), padded = (m + MR - 1) / MR * MR;
    ptrdiff_t size = half ? sizeof(bf16) : sizeof(float), ld = src->ld * size;
    for (int kk = 0; kk < kp; kk += 32)
        for (int row = 0; row < padded; row += 16) {
            const char *p = (const char *)src->p + kk * ld + row * size;
            for (int r = 32; far && r < 64 && r < k - kk; r++)
                _mm_prefetch(p + r * ld, _MM_HINT_T0);
            __m512i v[16];
            chains_of_16(v, half, p, ld, true, m - row, k - kk);
            transpose16(v);
            int32_t *d = dst + ((ptrdiff_t)(row / MR) * MR * kp + (ptrdiff_t)kk * MR) / 2 + row % MR * LINE;
            int left = MR - row % MR;
            UNROLL
            for (int r = 0; r < 16; r++) {
                if (row + r < padded)
                    _mm512_store_si512(d, v[r]);
                d += LINE;
                if (--left == 0) {
                    d += (ptrdiff_t)MR * kp / 2 - MR * LINE;
                    left = MR;
                }
            }
        }
}

/* A source of short lines (scores of attention) has just been written and lies near. */
static void pack_a_avx512bf16(void *dst, struct gemm_src src, int m, int k)
{
    bool far = src.ld > 128;
    if (src.trans && src.dtype == DT_BF16)
        pack_columns(true, dst, &src, m, k, far);
    else if (src.trans)
        pack_columns(false, dst, &src, m, k, far);
    else if (src.dtype == DT_BF16)
        pack_rows(true, dst, &src, m, k, far);
    else
        pack_rows(false, dst, &src, m, k, far);
}

static void wp_to_b_avx512bf16(void *dst, const bf16 *wp, int n0, int n, int n_total, int k, int k0, int k1)
{
    int kp = gemm_kp(k), depth = gemm_kp(k1 - k0);
    for (int col = 0; col < n; col += NR)
        for (int h = 0; h < NR; h += WP_NR) {
            int at = n0 + col + h;
            int32_t *d = (int32_t *)dst + (ptrdiff_t)col * depth / 2 + h;
            const bf16 *s = wp + (ptrdiff_t)at * kp + (ptrdiff_t)k0 * WP_NR;
            __mmask16 cols = mask16(n - col - h < n_total - at ? n - col - h : n_total - at);
            for (int kk = 0; kk < depth; kk += 4, d += QUAD, s += 4 * WP_NR) {
                __m512i first = cols ? _mm512_maskz_loadu_epi32(cols, s) : _mm512_setzero_si512();
                __m512i second = cols ? _mm512_maskz_loadu_epi32(cols, s + 2 * WP_NR) : _mm512_setzero_si512();
                _mm512_store_si512(d, chain_even(first, second));
                _mm512_store_si512(d + NR, chain_odd(first, second));
            }
        }
}

static void nothing(void) {}

void gemm_fill_avx512bf16(struct kernels *k)
{
    k->gemm = (struct gemm_unit){.name = "dot-bf16",
                                 .mr = MR,
                                 .nr = NR,
                                 .k_pad = 32,
                                 .k_cut = 32,
                                 .elem = sizeof(bf16),
                                 .pack_a = pack_a_avx512bf16,
                                 .pack_b = pack_b_avx512bf16,
                                 .block = walk_panels,
                                 .enter = nothing,
                                 .leave = nothing};
    k->wp_to_b = wp_to_b_avx512bf16;
}

#ifndef DK_DOT_EMULATED

/* bf16 bits of both signs over about 2^±40, with a denormal, a zero and a one here and there. */
static uint32_t answer_input(uint32_t i)
{
    static const uint16_t special[] = {0x0001, 0x8000, 0x3f80, 0x0080};
    uint32_t h = i * 2654435761u ^ i << 7;
    if (h % 29 == 0)
        return special[h >> 20 & 3];
    return (h >> 31) << 15 | (87 + (h >> 8) % 80) << 7 | (h >> 20 & 127);
}

/* For products with 2^-63: ±2^-126, or crumbs that leave a sum at the brim of being tiny (NUMERICS §1). */
static uint32_t answer_brim(uint32_t i)
{
    static const uint16_t some[] = {0x1300, 0x1380, 0x13c0, 0x1340, 0x2000}; /* 2^-89·{1, 2, 3, 3/2}, 2^-63 */
    uint32_t h = i * 2654435761u ^ i << 7;
    return (h >> 31) << 15 | some[(h >> 20) % 5];
}

static __attribute__((noinline)) bool known_answer(bool brim)
{
    for (uint32_t i = 0; i < 64 * 32; i += 32) {
        uint32_t a[16], b[16], c[16], was[16];
        for (uint32_t j = 0; j < 16; j++) {
            uint32_t at = i + 2 * j;
            a[j] = brim ? answer_brim(at) << 16 | answer_brim(at + 1) : answer_input(at) << 16 | answer_input(at + 1);
            b[j] = brim ? 0x20002000 : answer_input(at + 8192) << 16 | answer_input(at + 8193);
            was[j] = answer_input(at) << 15;
            if (brim) /* ±2^-126 and its neighbours */
                was[j] = (answer_brim(at + 4096) & 0x8000) << 16 | (0x00800000 + (at >> 3) % 3);
        }
        __m512i va = _mm512_loadu_si512(a), vb = _mm512_loadu_si512(b);
        __m512 vc = _mm512_loadu_ps(was);
        _mm512_storeu_ps(c, dot(vc, va, vb));
        vc = _mm512_fmadd_ps(pair_odd(va), pair_odd(vb), vc);
        vc = _mm512_fmadd_ps(pair_even(va), pair_even(vb), vc);
        _mm512_storeu_ps(was, vc);
        if (memcmp(was, c, sizeof c) != 0)
            return false;
    }
    return true;
}

/* Ties, the last bit before one, overflow, denormals, infinities, NaN; and ordinary values between them. */
static __attribute__((noinline)) bool known_rounding(void)
{
    static const uint32_t edge[] = {0x3f808000, 0x3f818000, 0x3f807fff, 0xbf808001, 0x7f7fffff, 0x7f7f8000, 0x7f800000,
                                    0xff800000, 0x7f800001, 0xffc12345, 0x00000001, 0x807fffff, 0x00800000, 0x80000000};
    enum { N_EDGE = sizeof edge / sizeof *edge };
    for (uint32_t i = 0; i < 64; i++) {
        float x[32];
        uint32_t in[32];
        bf16 y[32];
        for (uint32_t j = 0; j < 32; j++)
            in[j] = answer_input(32 * i + j) << 16 | (i * j * 2654435761u) >> 16;
        for (uint32_t j = i % 3; j < 32; j += 3)
            in[j] = edge[(i + j) / 3 % N_EDGE];
        memcpy(x, in, sizeof x);
        _mm512_storeu_si512(y, round_both(_mm512_loadu_si512(in), _mm512_loadu_si512(in + 16)));
        for (int j = 0; j < 32; j++)
            if (y[j].bits != bf16_round(x[j]).bits)
                return false;
    }
    return true;
}

bool gemm_avx512bf16_usable(void)
{
    unsigned csr = _mm_getcsr();
    kernels_fp_enter();
    bool ok = known_answer(false) && known_answer(true) && known_rounding();
    _mm_setcsr(csr);
    return ok;
}

#endif
