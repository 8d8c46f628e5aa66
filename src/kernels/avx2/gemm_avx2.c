/* Matrix product on AVX2 FMA: a tile is 6 rows × 2 vectors.  Sixteen registers do not hold both
 * chains of so many outputs, so for every 32 k the even steps run first, their sums wait in memory,
 * and the odd steps follow: 12 independent chains at any time. */
#include <immintrin.h>
#include <string.h>

#include "kernels/fill.h"
#include "kernels/unroll.h"

enum { MR = 6, NR = 16 };
enum { KC = 256 }; /* depth of a B panel kept in L1 while the A panels pass: 16 KiB */

#define INLINE static inline __attribute__((always_inline))

/* One chain of every output of the tile: k = 0, 2, … of this block of 32, from where a, b point. */
INLINE void chain(int rows, __m256 s0[MR], __m256 s1[MR], const float *a, const float *b)
{
    UNROLL
    for (int i = 0; i < rows; i++)
        s0[i] = s1[i] = _mm256_setzero_ps();
    for (int j = 0; j < 16; j++) {
        __m256 b0 = _mm256_load_ps(b), b1 = _mm256_load_ps(b + 8);
        UNROLL
        for (int i = 0; i < rows; i++) {
            __m256 x = _mm256_broadcast_ss(a + i);
            s0[i] = _mm256_fmadd_ps(x, b0, s0[i]);
            s1[i] = _mm256_fmadd_ps(x, b1, s1[i]);
        }
        a += 2 * MR;
        b += 2 * NR;
    }
}

INLINE void tile(int rows, float *c, ptrdiff_t ldc, const float *a, const float *b, int k, bool zero)
{
    for (; k > 0; k -= 32) {
        _Alignas(32) float even[MR * NR];
        __m256 s0[MR], s1[MR];
        chain(rows, s0, s1, a, b);
        UNROLL
        for (int i = 0; i < rows; i++) {
            _mm256_store_ps(even + i * NR, s0[i]);
            _mm256_store_ps(even + i * NR + 8, s1[i]);
        }
        /* They rest in memory, says this: clang would keep them live and spill what the loop needs. */
        __asm__ volatile("" : : "r"(even) : "memory");
        chain(rows, s0, s1, a + MR, b + NR);
        UNROLL
        for (int i = 0; i < rows; i++) {
            float *ci = c + i * ldc;
            __m256 c0 = zero ? _mm256_setzero_ps() : _mm256_loadu_ps(ci);
            __m256 c1 = zero ? _mm256_setzero_ps() : _mm256_loadu_ps(ci + 8);
            s0[i] = _mm256_add_ps(_mm256_load_ps(even + i * NR), s0[i]);
            s1[i] = _mm256_add_ps(_mm256_load_ps(even + i * NR + 8), s1[i]);
            _mm256_storeu_ps(ci, _mm256_add_ps(c0, s0[i]));
            _mm256_storeu_ps(ci + 8, _mm256_add_ps(c1, s1[i]));
        }
        a += 32 * MR;
        b += 32 * NR;
        zero = false;
    }
}

#define TILE_CASE(r) \
    case r: \
        tile(r, t, ld, a, b, k, zero); \
        break;
/* At the right edge of c the tile works on a copy, so that nothing outside is touched. */
static void tile_edge(int rows, float *c, ptrdiff_t ldc, const float *a, const float *b, int k,
                      bool zero, int cols)
{
    float copy[MR * NR], *t = cols < NR ? copy : c;
    ptrdiff_t ld = cols < NR ? NR : ldc;
    size_t bytes = (size_t)(cols < NR ? cols : NR) * sizeof *c;
    for (int i = 0; t == copy && !zero && i < rows; i++) {
        memset(copy + i * NR, 0, NR * sizeof *copy);
        memcpy(copy + i * NR, c + i * ldc, bytes);
    }
    switch (rows) {
        TILE_CASE(1)
        TILE_CASE(2)
        TILE_CASE(3)
        TILE_CASE(4)
        TILE_CASE(5)
        TILE_CASE(6)
    }
    for (int i = 0; t == copy && i < rows; i++)
        memcpy(c + i * ldc, copy + i * NR, bytes);
}

static void block_avx2(float *c, ptrdiff_t ldc, const void *a, const void *b, int m, int n, int k,
                       bool zero)
{
    for (int i = 0; k == 0 && zero && i < m; i++)
        for (int j = 0; j < n; j++)
            c[i * ldc + j] = 0;
    for (int j = 0; j < n; j += NR)
        for (int k0 = 0; k0 < k; k0 += KC) {
            int kc = k - k0 < KC ? k - k0 : KC;
            const float *bp = (const float *)b + (ptrdiff_t)j * k + (ptrdiff_t)k0 * NR;
            for (int i = 0; i < m; i += MR) {
                const float *ap = (const float *)a + (ptrdiff_t)i * k + (ptrdiff_t)k0 * MR;
                float *cp = c + i * ldc + j;
                bool fresh = zero && k0 == 0;
                if (m - i >= MR && n - j >= NR)
                    tile(MR, cp, ldc, ap, bp, kc, fresh);
                else
                    tile_edge(m - i < MR ? m - i : MR, cp, ldc, ap, bp, kc, fresh, n - j);
            }
        }
}

/* ---- packing ---- */

/* bf16_round of 8 lanes as f32 bits. */
INLINE __m256i round_lanes(__m256i u)
{
    const __m256i expo = _mm256_set1_epi32(0x7f800000), sign = _mm256_set1_epi32((int)0x80000000u);
    const __m256i upper = _mm256_set1_epi32((int)0xffff0000u);
    __m256i odd = _mm256_and_si256(_mm256_srli_epi32(u, 16), _mm256_set1_epi32(1));
    __m256i r = _mm256_add_epi32(_mm256_add_epi32(u, _mm256_set1_epi32(0x7fff)), odd);
    __m256i nan = _mm256_cmpgt_epi32(_mm256_andnot_si256(sign, u), expo);
    __m256i tiny = _mm256_cmpeq_epi32(_mm256_and_si256(u, expo), _mm256_setzero_si256());
    r = _mm256_blendv_epi8(r, _mm256_or_si256(u, _mm256_set1_epi32(0x00400000)), nan);
    r = _mm256_blendv_epi8(r, _mm256_and_si256(u, sign), tiny);
    return _mm256_and_si256(r, upper);
}

/* n ≤ 8 neighbouring elements as rounded f32 bits; the rest +0 and not read. */
INLINE __m256i load_lanes(const struct gemm_src *s, ptrdiff_t at, int n)
{
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    if (s->dtype == DT_BF16) {
        const bf16 *p = (const bf16 *)s->p + at;
        bf16 copy[8] = {{0}};
        if (n < 8) {
            memcpy(copy, p, (size_t)(n < 0 ? 0 : n) * sizeof *copy);
            p = copy;
        }
        __m128i w = _mm_loadu_si128((const __m128i *)(const void *)p);
        return _mm256_slli_epi32(_mm256_cvtepu16_epi32(w), 16);
    }
    const float *p = (const float *)s->p + at;
    if (n < 8)
        return round_lanes(_mm256_maskload_epi32((const int *)(const void *)p,
                                                 _mm256_cmpgt_epi32(_mm256_set1_epi32(n), lane)));
    return round_lanes(_mm256_loadu_si256((const __m256i *)(const void *)p));
}

INLINE void transpose8(__m256 v[8])
{
    __m256 t[8], u[8];
    for (int i = 0; i < 8; i += 2) {
        t[i] = _mm256_unpacklo_ps(v[i], v[i + 1]);
        t[i + 1] = _mm256_unpackhi_ps(v[i], v[i + 1]);
    }
    for (int i = 0; i < 8; i += 4) {
        u[i] = _mm256_shuffle_ps(t[i], t[i + 2], 0x44);
        u[i + 1] = _mm256_shuffle_ps(t[i], t[i + 2], 0xee);
        u[i + 2] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0x44);
        u[i + 3] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0xee);
    }
    for (int i = 0; i < 4; i++) {
        v[i] = _mm256_permute2f128_ps(u[i], u[4 + i], 0x20);
        v[4 + i] = _mm256_permute2f128_ps(u[i], u[4 + i], 0x31);
    }
}

/* v[j] = rows [row, row+nr), nr ≤ 8, at k = kk + j. */
INLINE void load_columns(__m256 v[8], const struct gemm_src *s, int row, int nr, int kk, int nk)
{
    for (int j = 0; j < 8; j++) {
        bool there = s->trans ? j < nk : j < nr;
        ptrdiff_t at = s->trans ? (kk + j) * s->ld + row : (row + j) * s->ld + kk;
        v[j] = there ? _mm256_castsi256_ps(load_lanes(s, at, s->trans ? nr : nk)) : _mm256_setzero_ps();
    }
    if (!s->trans)
        transpose8(v);
}

/* The source is walked along its lines, so that the prefetchers follow: down k in a panel, or over the
 * panels where k is strided. */
static void pack_b_avx2(void *dst, struct gemm_src src, int n, int k)
{
    int kp = gemm_kp(k), cols = (n + NR - 1) / NR, steps = kp / 8;
    for (int i = 0; i < cols * steps; i++) {
        int col = (src.trans ? i % cols : i / steps) * NR, kk = (src.trans ? i / cols : i % steps) * 8;
        float *d = (float *)dst + (ptrdiff_t)col * kp + (ptrdiff_t)kk * NR;
        for (int h = 0; h < NR; h += 8) {
            __m256 v[8];
            load_columns(v, &src, col + h, n - col - h, kk, k - kk);
            for (int j = 0; j < 8; j++)
                _mm256_store_ps(d + h + j * NR, v[j]);
        }
    }
}

static void pack_a_avx2(void *dst, struct gemm_src src, int m, int k)
{
    int kp = gemm_kp(k), rows = (m + MR - 1) / MR, steps = kp / 8;
    for (int i = 0; i < rows * steps; i++) {
        int row = (src.trans ? i % rows : i / steps) * MR, kk = (src.trans ? i / rows : i % steps) * 8;
        float *d = (float *)dst + (ptrdiff_t)row * kp + (ptrdiff_t)kk * MR;
        int nr = src.trans || m - row < MR ? m - row : MR; /* loading two rows more is no cost across */
        __m256 v[8];
        load_columns(v, &src, row, nr, kk, k - kk);
        for (int j = 0; j < 8; j++) {
            _mm_storeu_ps(d + j * MR, _mm256_castps256_ps128(v[j]));
            _mm_storel_pi((__m64 *)(void *)(d + j * MR + 4), _mm256_extractf128_ps(v[j], 1));
        }
    }
}

static void nothing(void) {}

/* ---- weights packed as pairs ---- */

static void wp_pack_avx2(bf16 *wp, struct gemm_src src, int n0, int n1, int n, int k)
{
    int kp = gemm_kp(k), end = n1 < n ? n1 : n;
    for (int col = n0; col < end; col += WP_NR)
        for (int kk = 0; kk < kp; kk += 8)
            for (int h = 0; h < WP_NR; h += 8) {
                bf16 *d = wp + (ptrdiff_t)col * kp + (ptrdiff_t)kk * WP_NR + h * 2;
                __m256 v[8];
                load_columns(v, &src, col + h, end - col - h, kk, k - kk);
                for (int j = 0; j < 8; j += 2) {
                    __m256i even = _mm256_srli_epi32(_mm256_castps_si256(v[j]), 16);
                    __m256i w = _mm256_or_si256(even, _mm256_castps_si256(v[j + 1]));
                    _mm256_storeu_si256((__m256i *)(void *)(d + j * WP_NR), w);
                }
            }
}

INLINE __m256 pair_even(__m256i w) { return _mm256_castsi256_ps(_mm256_slli_epi32(w, 16)); }
INLINE __m256 pair_odd(__m256i w)
{
    return _mm256_castsi256_ps(_mm256_and_si256(w, _mm256_set1_epi32((int)0xffff0000u)));
}

static void wp_to_b_avx2(void *dst, const bf16 *wp, int n0, int n, int n_total, int k, int k0, int k1)
{
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    int kp = gemm_kp(k), depth = gemm_kp(k1 - k0);
    for (int col = 0; col < n; col += NR) {
        int at = n0 + col, cols = n - col < n_total - at ? n - col : n_total - at;
        float *d = (float *)dst + (ptrdiff_t)col * depth;
        const bf16 *s = wp + (ptrdiff_t)at * kp + (ptrdiff_t)k0 * WP_NR;
        for (int kk = 0; kk < depth; kk += 2, d += 2 * NR, s += 2 * WP_NR)
            for (int h = 0; h < NR; h += 8) {
                __m256i there = _mm256_cmpgt_epi32(_mm256_set1_epi32(cols - h), lane);
                __m256i w = _mm256_loadu_si256((const __m256i *)(const void *)(s + 2 * h));
                w = _mm256_and_si256(w, there);
                _mm256_store_ps(d + h, pair_even(w));
                _mm256_store_ps(d + NR + h, pair_odd(w));
            }
    }
}

/* The rows of x as f32, k padded with +0: up to XS values, a part of k for many rows. */
enum { XS = 8192, GEMV_ROWS = 8 };

static void expand_rows(float *xs, const bf16 *x, ptrdiff_t ldx, int m, int k0, int depth, int k)
{
    struct gemm_src s = {.p = x, .dtype = DT_BF16, .ld = ldx};
    for (int i = 0; i < m; i++)
        for (int kk = 0; kk < depth; kk += 8) {
            int n = k - k0 - kk;
            __m256i v = n > 0 ? load_lanes(&s, i * ldx + k0 + kk, n) : _mm256_setzero_si256();
            _mm256_store_ps(xs + i * depth + kk, _mm256_castsi256_ps(v));
        }
}

/* One or two rows against 32 k of a panel of 16 columns: c (rows, 16). */
INLINE void gemv_step(int rows, float *c, const float *xs, ptrdiff_t ldxs, const bf16 *w)
{
    __m256 e0[2], e1[2], o0[2], o1[2];
    UNROLL
    for (int i = 0; i < rows; i++)
        e0[i] = e1[i] = o0[i] = o1[i] = _mm256_setzero_ps();
    for (int j = 0; j < 32; j += 2, w += 2 * WP_NR) {
        __m256i w0 = _mm256_loadu_si256((const __m256i *)(const void *)w);
        __m256i w1 = _mm256_loadu_si256((const __m256i *)(const void *)(w + 16));
        _mm_prefetch((const char *)w + 4096, _MM_HINT_T0);
        UNROLL
        for (int i = 0; i < rows; i++) {
            __m256 x = _mm256_broadcast_ss(xs + i * ldxs + j);
            e0[i] = _mm256_fmadd_ps(x, pair_even(w0), e0[i]);
            e1[i] = _mm256_fmadd_ps(x, pair_even(w1), e1[i]);
            x = _mm256_broadcast_ss(xs + i * ldxs + j + 1);
            o0[i] = _mm256_fmadd_ps(x, pair_odd(w0), o0[i]);
            o1[i] = _mm256_fmadd_ps(x, pair_odd(w1), o1[i]);
        }
    }
    UNROLL
    for (int i = 0; i < rows; i++) {
        float *ci = c + i * WP_NR;
        _mm256_store_ps(ci, _mm256_add_ps(_mm256_load_ps(ci), _mm256_add_ps(e0[i], o0[i])));
        _mm256_store_ps(ci + 8, _mm256_add_ps(_mm256_load_ps(ci + 8), _mm256_add_ps(e1[i], o1[i])));
    }
}

static void gemv_panel(int m, float *y, ptrdiff_t ldy, const float *xs, const bf16 *w, int depth,
                       bool zero, int cols)
{
    _Alignas(32) float c[GEMV_ROWS * WP_NR] = {0};
    size_t bytes = (size_t)(cols < WP_NR ? cols : WP_NR) * sizeof *y;
    for (int i = 0; !zero && i < m; i++)
        memcpy(c + i * WP_NR, y + i * ldy, bytes);
    for (int kk = 0; kk < depth; kk += 32, w += 32 * WP_NR)
        for (int i = 0; i < m; i += 2)
            if (m - i >= 2)
                gemv_step(2, c + i * WP_NR, xs + i * depth + kk, depth, w);
            else
                gemv_step(1, c + i * WP_NR, xs + i * depth + kk, depth, w);
    for (int i = 0; i < m; i++)
        memcpy(y + i * ldy, c + i * WP_NR, bytes);
}

static void gemv_wp_avx2(float *y, ptrdiff_t ldy, const bf16 *x, ptrdiff_t ldx, const bf16 *wp, int m,
                         int n0, int n1, int k, bool zero)
{
    _Alignas(64) float xs[XS];
    int kp = gemm_kp(k), most = m > 0 ? XS / m / 32 * 32 : 32;
    for (int k0 = 0; k0 < kp || k0 == 0; k0 += most) {
        int depth = kp - k0 < most ? kp - k0 : most;
        expand_rows(xs, x, ldx, m, k0, depth, k);
        for (int col = n0; col < n1; col += WP_NR)
            gemv_panel(m, y + col, ldy, xs, wp + (ptrdiff_t)col * kp + (ptrdiff_t)k0 * WP_NR, depth,
                       zero && k0 == 0, n1 - col);
    }
}

void gemm_fill_avx2(struct kernels *k)
{
    k->gemm = (struct gemm_unit){.name = "fma-f32",
                                 .mr = MR,
                                 .nr = NR,
                                 .k_pad = 32,
                                 .k_cut = 32,
                                 .elem = sizeof(float),
                                 .pack_a = pack_a_avx2,
                                 .pack_b = pack_b_avx2,
                                 .block = block_avx2,
                                 .enter = nothing,
                                 .leave = nothing};
    k->gemv_wp = gemv_wp_avx2;
    k->wp_pack = wp_pack_avx2;
    k->wp_to_b = wp_to_b_avx2;
}
