/* Products of 8-bit integers (NUMERICS §3a) without AVX512_VNNI: panels hold 16-bit integers in pairs of k, and
 * VPMADDWD adds the two products of a lane, exactly.  It and the addition after it make 16 multiply-adds, as two FMAs
 * on integers held as f32 would; by this count of instructions, never fewer a cycle than FMA.  A tile is 6 rows × 2
 * vectors.
 *
 * For every group a panel has its rows' scales, then for every pair of k one 32-bit lane a row. */
#include <immintrin.h>
#include <string.h>

#include "kernels/fill.h"
#include "kernels/int8.h"
#include "kernels/unroll.h"

enum { MR = 6, NR = 16 };
enum { KC = 512 }; /* depth of a B panel kept in L1 while the A panels pass: 16 KiB */

static const struct i8_panels a_panels = {MR, sizeof(int16_t), 8 * sizeof(float)};
static const struct i8_panels b_panels = {NR, sizeof(int16_t), NR * sizeof(float)};

#define INLINE static inline __attribute__((always_inline))

static int min_int(int a, int b) { return a < b ? a : b; }

/* ---- the tile ---- */

/* Arrays of __m256i gcc 12 keeps in memory.  Unsigned, since sums of groups that are not finite wrap around. */
typedef uint32_t lanes32 __attribute__((vector_size(32)));

/* n k of one group: pairs of rows of a, of columns of b. */
INLINE void sums(int rows, lanes32 *s0, lanes32 *s1, const int32_t *a, const int32_t *b, int n)
{
    for (int j = 0; j < n / 2; j++, a += MR, b += NR) {
        __m256i b0 = _mm256_load_si256((const __m256i *)(const void *)b);
        __m256i b1 = _mm256_load_si256((const __m256i *)(const void *)(b + 8));
        UNROLL
        for (int i = 0; i < rows; i++) {
            __m256i x = _mm256_set1_epi32(a[i]);
            s0[i] += (lanes32)_mm256_madd_epi16(x, b0);
            s1[i] += (lanes32)_mm256_madd_epi16(x, b1);
        }
    }
}

/* c + sum·(sa·sb) of 8 columns. */
INLINE void fold(float *c, bool zero, lanes32 sum, __m256 sa, __m256 sb)
{
    __m256 was = zero ? _mm256_setzero_ps() : _mm256_loadu_ps(c);
    _mm256_storeu_ps(c, _mm256_fmadd_ps(_mm256_cvtepi32_ps((__m256i)sum), _mm256_mul_ps(sa, sb), was));
}

INLINE void tile(int rows, float *c, ptrdiff_t ldc, const char *a, const char *b, int k, bool zero)
{
    for (int n; k > 0; k -= n, zero = false) {
        n = min_int(k, I8_GROUP);
        const float *sa = (const float *)(const void *)a, *sb = (const float *)(const void *)b;
        lanes32 s0[MR], s1[MR];
        UNROLL
        for (int i = 0; i < rows; i++)
            s0[i] = s1[i] = (lanes32){0};
        sums(rows, s0, s1, (const int32_t *)(const void *)(a + a_panels.head),
             (const int32_t *)(const void *)(b + b_panels.head), n);
        __m256 sb0 = _mm256_load_ps(sb), sb1 = _mm256_load_ps(sb + 8);
        UNROLL
        for (int i = 0; i < rows; i++) {
            __m256 scale = _mm256_broadcast_ss(sa + i);
            fold(c + i * ldc, zero, s0[i], scale, sb0);
            fold(c + i * ldc + 8, zero, s1[i], scale, sb1);
        }
        a += i8_panel_at(a_panels, n);
        b += i8_panel_at(b_panels, n);
    }
}

#define TILE_CASE(r) \
    case r: \
        tile(r, t, ld, a, b, k, zero); \
        break;
/* At the right edge of c the tile works on a copy, so that nothing outside is touched. */
static void tile_edge(int rows, float *c, ptrdiff_t ldc, const char *a, const char *b, int k, bool zero, int cols)
{
    float copy[MR * NR], *t = cols < NR ? copy : c;
    ptrdiff_t ld = cols < NR ? NR : ldc;
    size_t bytes = (size_t)min_int(cols, NR) * sizeof *c;
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

static void block_i8_avx2(float *c, ptrdiff_t ldc, const void *a, const void *b, int m, int n, int k, bool zero)
{
    ptrdiff_t a_panel = i8_panel_at(a_panels, k), b_panel = i8_panel_at(b_panels, k);
    for (int i = 0; k == 0 && zero && i < m; i++)
        for (int j = 0; j < n; j++)
            c[i * ldc + j] = 0;
    for (int j = 0; j < n; j += NR)
        for (int k0 = 0; k0 < k; k0 += KC) {
            int kc = min_int(k - k0, KC);
            const char *bp = (const char *)b + j / NR * b_panel + i8_panel_at(b_panels, k0);
            for (int i = 0; i < m; i += MR) {
                const char *ap = (const char *)a + i / MR * a_panel + i8_panel_at(a_panels, k0);
                float *cp = c + i * ldc + j;
                bool fresh = zero && k0 == 0;
                if (m - i >= MR && n - j >= NR)
                    tile(MR, cp, ldc, ap, bp, kc, fresh);
                else
                    tile_edge(min_int(m - i, MR), cp, ldc, ap, bp, kc, fresh, n - j);
            }
        }
}

/* ---- packing, eight rows at a time: `half` is a constant in each instance: bf16, else f32 ---- */

INLINE ptrdiff_t size_of(bool half) { return half ? sizeof(bf16) : sizeof(float); }

INLINE __m256 expand(const void *p)
{
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128(p)), 16));
}

/* 8 neighbouring values at p, the first n of which are there, as f32. */
INLINE __m256 values(bool half, const char *p, int n)
{
    if (n >= 8)
        return half ? expand(p) : _mm256_loadu_ps((const float *)(const void *)p);
    _Alignas(32) char copy[8 * sizeof(float)] = {0};
    if (n > 0)
        memcpy(copy, p, (size_t)n * (size_t)size_of(half));
    return half ? expand(copy) : _mm256_load_ps((const float *)(const void *)copy);
}

INLINE __m256i larger(__m256i most, __m256 x)
{
    return _mm256_max_epu32(most, _mm256_and_si256(_mm256_castps_si256(x), _mm256_set1_epi32(INT32_MAX)));
}

INLINE __m256i rounded(__m256 x, __m256 inverse) { return _mm256_cvtps_epi32(_mm256_mul_ps(x, inverse)); }

INLINE void transpose8(__m256i v[8])
{
    __m256i t[8], u[8];
    UNROLL
    for (int i = 0; i < 8; i += 2) {
        t[i] = _mm256_unpacklo_epi32(v[i], v[i + 1]);
        t[i + 1] = _mm256_unpackhi_epi32(v[i], v[i + 1]);
    }
    UNROLL
    for (int i = 0; i < 8; i += 4) {
        u[i] = _mm256_unpacklo_epi64(t[i], t[i + 2]);
        u[i + 1] = _mm256_unpackhi_epi64(t[i], t[i + 2]);
        u[i + 2] = _mm256_unpacklo_epi64(t[i + 1], t[i + 3]);
        u[i + 3] = _mm256_unpackhi_epi64(t[i + 1], t[i + 3]);
    }
    UNROLL
    for (int i = 0; i < 4; i++) {
        v[i] = _mm256_permute2x128_si256(u[i], u[4 + i], 0x20);
        v[4 + i] = _mm256_permute2x128_si256(u[i], u[4 + i], 0x31);
    }
}

/* The largest magnitudes of the group of 8 rows. */
INLINE __m256i most_of(bool half, const char *p, ptrdiff_t ld, bool trans, int rows, int n)
{
    __m256i most = _mm256_setzero_si256(), v[8];
    if (trans) {
        for (int kk = 0; kk < n; kk++)
            most = larger(most, values(half, p + kk * ld, rows));
        return most;
    }
    for (int r = 0; r < 8; r++) {
        v[r] = _mm256_setzero_si256();
        for (int kk = 0; r < rows && kk < n; kk += 8)
            v[r] = larger(v[r], values(half, p + r * ld + kk * size_of(half), n - kk));
    }
    transpose8(v);
    for (int r = 0; r < 8; r++)
        most = _mm256_max_epu32(most, v[r]);
    return most;
}

/* scale_of (ref/gemm_i8_ref.c) of 8 rows. */
INLINE void scales(__m256 *scale, __m256 *inverse, __m256i most)
{
    const __m256 steps = _mm256_set1_ps(127);
    __m256i small = _mm256_cmpgt_epi32(_mm256_set1_epi32(I8_LEAST), most);
    __m256i bad = _mm256_cmpgt_epi32(most, _mm256_set1_epi32(I8_INFINITE - 1));
    __m256 none = _mm256_castsi256_ps(_mm256_or_si256(small, bad)), m = _mm256_castsi256_ps(most);
    __m256i nan = _mm256_and_si256(bad, _mm256_set1_epi32(0x7fc00000));
    *inverse = _mm256_andnot_ps(none, _mm256_div_ps(steps, m));
    *scale = _mm256_or_ps(_mm256_andnot_ps(none, _mm256_div_ps(m, steps)), _mm256_castsi256_ps(nan));
}

/* 16 k of a row, n of which are there, as pairs. */
INLINE __m256i pairs_along(bool half, const char *p, int n, __m256 inverse)
{
    __m256i lo = rounded(values(half, p, n), inverse);
    __m256i hi = rounded(values(half, p + 8 * size_of(half), n - 8), inverse);
    return _mm256_permute4x64_epi64(_mm256_packs_epi32(lo, hi), 0xd8);
}

/* Two k of 8 neighbouring rows. */
INLINE __m256i pairs_across(bool half, const char *p, ptrdiff_t ld, int rows, int n, __m256 inverse)
{
    __m256i even = rounded(values(half, p, n > 0 ? rows : 0), inverse);
    __m256i odd = rounded(values(half, p + ld, n > 1 ? rows : 0), inverse);
    return _mm256_blend_epi16(even, _mm256_slli_epi32(odd, 16), 0xaa);
}

/* Pair j of 8 rows at pairs + j·wide: six of them in panels of A. */
INLINE void store_pairs(bool b_side, int32_t *pairs, __m256i v)
{
    if (b_side) {
        _mm256_store_si256((__m256i *)(void *)pairs, v);
        return;
    }
    _mm_storeu_si128((__m128i *)(void *)pairs, _mm256_castsi256_si128(v));
    _mm_storel_epi64((__m128i *)(void *)(pairs + 4), _mm256_extracti128_si256(v, 1));
}

/* 8 rows of a group of a panel (of A: 6), `rows` of which are there. */
INLINE void group(bool half, bool b_side, float *scale, int32_t *pairs, const char *p, ptrdiff_t ld, bool trans,
                  int rows, int n)
{
    int wide = b_side ? NR : MR;
    _Alignas(32) float each[8];
    __m256 s, inverse;
    scales(&s, &inverse, most_of(half, p, ld, trans, rows, n));
    _mm256_store_ps(scale, s);
    _mm256_store_ps(each, inverse);
    for (int kk = 0; kk < i8_padded(n); kk += 16, pairs += 8 * wide) {
        __m256i v[8];
        UNROLL
        for (int j = 0; j < 8; j++) {
            if (trans)
                v[j] = pairs_across(half, p + (kk + 2 * j) * ld, ld, rows, n - kk - 2 * j, inverse);
            else
                v[j] = j < rows ? pairs_along(half, p + j * ld + kk * size_of(half), n - kk, _mm256_set1_ps(each[j]))
                                : _mm256_setzero_si256();
        }
        if (!trans)
            transpose8(v);
        UNROLL
        for (int j = 0; j < 8; j++)
            store_pairs(b_side, pairs + j * wide, v[j]);
    }
}

INLINE void pack(bool half, bool b_side, char *dst, const struct gemm_src *src, int rows, int k)
{
    struct i8_panels s = b_side ? b_panels : a_panels;
    ptrdiff_t ld = src->ld * size_of(half), down = src->trans ? size_of(half) : ld;
    for (int i = 0; i < i8_parts(s, rows, k); i++) {
        struct i8_part g = i8_part(s, dst, src, rows, k, i);
        float *scale = (float *)(void *)g.dst;
        int32_t *pairs = (int32_t *)(void *)(g.dst + s.head);
        int there = src->trans ? g.rows : min_int(g.rows, s.wide); /* loading two rows more is no cost across */
        for (int h = 0; h < s.wide; h += 8)
            group(half, b_side, scale + h, pairs + h, g.p + h * down, ld, src->trans, there - h, g.n);
    }
}

static void pack_a_i8_avx2(void *dst, struct gemm_src src, int m, int k)
{
    if (src.dtype == DT_BF16)
        pack(true, false, dst, &src, m, k);
    else
        pack(false, false, dst, &src, m, k);
}

static void pack_b_i8_avx2(void *dst, struct gemm_src src, int n, int k)
{
    if (src.dtype == DT_BF16)
        pack(true, true, dst, &src, n, k);
    else
        pack(false, true, dst, &src, n, k);
}

void gemm_i8_fill_avx2(struct kernels *k)
{
    struct gemm_unit *u = &k->gemm_i8;
    *u = i8_unit("madd-int8", a_panels, b_panels);
    u->pack_a = pack_a_i8_avx2;
    u->pack_b = pack_b_i8_avx2;
    u->block = block_i8_avx2;
}
