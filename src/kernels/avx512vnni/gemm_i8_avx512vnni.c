/* Products of 8-bit integers (NUMERICS §3a) on VPDPBUSD, four multiply-adds a lane: a tile is 14 rows × 2 vectors.
 *
 * The instruction wants unsigned bytes on one side: A's panels hold q + 128, and what that adds to a sum, 128·Σ q of
 * B's column, is where the sum starts from.  For every group an A panel has its rows' scales (a line), then for every
 * 64 k a line a row; a B panel has scales, starts, then for every 4 k a lane a column. */
#include "kernels/avx512/int8_avx512.h"
#include "kernels/avx512vnni/dot_bytes.h"
#include "kernels/fill.h"

enum { MR = 14, NR = 32 };
enum { KC = 512 }; /* depth of a B panel kept in L1 while the A panels pass: 16 KiB */
enum { A_HEAD = 64, B_HEAD = 2 * NR * 4 };
enum { LINE = 16, QUAD = NR }; /* 32-bit words: of a row of A for 64 k, of a panel of B for 4 k */

static int min_int(int a, int b) { return a < b ? a : b; }

static const struct i8_panels a_panels = {MR, 1, A_HEAD}, b_panels = {NR, 1, B_HEAD};

/* ---- the tile ---- */

/* What one tile brings nearer for later ones: `lines` cache lines from p on for every group. */
struct ahead {
    const char *p;
    int lines;
};

/* The type that the instruction works on: arrays of __m512i, which is another, gcc 12 keeps in memory. */
typedef int lanes32 __attribute__((vector_size(64)));

/* n k of one group. */
LANES_INLINE void sums(int rows, lanes32 *s0, lanes32 *s1, const int32_t *a, const int32_t *b, int n)
{
    for (int j = 1; j <= n / 4; j++, b += QUAD) {
        __m512i b0 = _mm512_load_si512(b), b1 = _mm512_load_si512(b + 16);
        UNROLL
        for (int i = 0; i < rows; i++) {
            __m512i x = _mm512_set1_epi32(a[i * LINE]);
            s0[i] = (lanes32)dot_bytes((__m512i)s0[i], x, b0);
            s1[i] = (lanes32)dot_bytes((__m512i)s1[i], x, b1);
        }
        a += j % LINE ? 1 : MR * LINE - LINE + 1;
    }
}

/* m0, m1: the columns that exist. */
LANES_INLINE void tile(int rows, float *c, ptrdiff_t ldc, const char *a, const char *b, int k, bool zero, __mmask16 m0,
                       __mmask16 m1, struct ahead next)
{
    for (int n; k > 0; k -= n, a += A_HEAD + MR * n, b += B_HEAD + NR * n, zero = false) {
        n = min_int(k, I8_GROUP);
        for (int i = 0; i < next.lines; i++, next.p += 64)
            _mm_prefetch(next.p, _MM_HINT_T1);
        const float *sa = (const float *)(const void *)a, *sb = (const float *)(const void *)b;
        lanes32 s0[MR], s1[MR];
        __m512i start0 = _mm512_load_si512(b + NR * 4), start1 = _mm512_load_si512(b + NR * 4 + 64);
        UNROLL
        for (int i = 0; i < rows; i++) {
            s0[i] = (lanes32)start0;
            s1[i] = (lanes32)start1;
        }
        sums(rows, s0, s1, (const int32_t *)(const void *)(a + A_HEAD), (const int32_t *)(const void *)(b + B_HEAD), n);
        __m512 sb0 = _mm512_load_ps(sb), sb1 = _mm512_load_ps(sb + 16);
        UNROLL
        for (int i = 0; i < rows; i++) {
            __m512 scale = _mm512_set1_ps(sa[i]);
            i8_fold(c + i * ldc, m0, zero, (__m512i)s0[i], scale, sb0);
            i8_fold(c + i * ldc + 16, m1, zero, (__m512i)s1[i], scale, sb1);
        }
    }
}

#define TILE_CASE(r) \
    case r: \
        tile(r, c, ldc, a, b, k, zero, m0, m1, next); \
        break;
static void tile_edge(int rows, float *c, ptrdiff_t ldc, const char *a, const char *b, int k, bool zero, int cols,
                      struct ahead next)
{
    __mmask16 m0 = mask16(cols), m1 = mask16(cols - 16);
    switch (rows) {
        TILE_CASE(1)
        TILE_CASE(2)
        TILE_CASE(3)
        TILE_CASE(4)
        TILE_CASE(5)
        TILE_CASE(6)
        TILE_CASE(7)
        TILE_CASE(8)
        TILE_CASE(9)
        TILE_CASE(10)
        TILE_CASE(11)
        TILE_CASE(12)
        TILE_CASE(13)
        TILE_CASE(14)
    }
}

static void block_avx512vnni(float *c, ptrdiff_t ldc, const void *a, const void *b, int m, int n, int k, bool zero)
{
    ptrdiff_t a_panel = i8_panel_at(a_panels, k), b_panel = i8_panel_at(b_panels, k);
    for (int i = 0; k == 0 && zero && i < m; i++)
        for (int j = 0; j < n; j++)
            c[i * ldc + j] = 0;
    for (int j = 0; j < n && m > 0; j += NR)
        for (int k0 = 0; k0 < k; k0 += KC) {
            int kc = min_int(k - k0, KC);
            const char *bp = (const char *)b + j / NR * b_panel + i8_panel_at(b_panels, k0);
            /* The depth after this one follows in memory (the next panel after the last); its lines are asked for over
             * the tiles of this one, so that no tile waits for all of them. */
            int lines = ((NR * I8_GROUP + B_HEAD) / 64 * MR + m - 1) / m;
            struct ahead next = {bp + i8_panel_at(b_panels, kc), min_int(lines, 32)};
            for (int i = 0; i < m; i += MR, next.p += (kc + I8_GROUP - 1) / I8_GROUP * next.lines * 64) {
                const char *ap = (const char *)a + i / MR * a_panel + i8_panel_at(a_panels, k0);
                float *cp = c + i * ldc + j;
                bool fresh = zero && k0 == 0;
                if (k0 == 0) /* c of the next tile comes from far the first time */
                    for (int r = MR; r < 2 * MR && i + r < m; r++) {
                        _mm_prefetch((const char *)(cp + r * ldc), _MM_HINT_T0);
                        _mm_prefetch((const char *)(cp + r * ldc + 16), _MM_HINT_T0);
                    }
                if (m - i >= MR && n - j >= NR)
                    tile(MR, cp, ldc, ap, bp, kc, fresh, 0xffff, 0xffff, next);
                else
                    tile_edge(min_int(m - i, MR), cp, ldc, ap, bp, kc, fresh, n - j, next);
            }
        }
}

/* ---- packing ---- */

/* One group of a panel of A. */
LANES_INLINE void group_a(char *dst, const struct i8_rows *s)
{
    const __m512i sign = _mm512_set1_epi8((char)0x80);
    float each[16];
    _mm512_store_ps(dst, i8_scales(each, s, MR));
    for (int kk = 0; kk < s->n; kk += 64) {
        __m512i v[16];
        i8_lines(v, s, kk, MR, each, false);
        UNROLL
        for (int r = 0; r < MR; r++)
            _mm512_store_si512(dst + A_HEAD + kk * MR + r * 64, _mm512_xor_si512(v[r], sign));
    }
}

/* 16 columns of one group of a panel of B. */
LANES_INLINE void group_b(char *dst, const struct i8_rows *s)
{
    const __m512i wrong = _mm512_set1_epi8((char)0x80);
    __m512i sum = _mm512_setzero_si512();
    float each[16];
    _mm512_store_ps(dst, i8_scales(each, s, 16));
    for (int kk = 0; kk < s->n; kk += 64) {
        __m512i v[16];
        i8_lines(v, s, kk, 16, each, true);
        UNROLL
        for (int j = 0; j < 16; j++) {
            sum = dot_bytes(sum, wrong, v[j]);
            _mm512_store_si512(dst + B_HEAD + (kk + 4 * j) * NR, v[j]);
        }
    }
    _mm512_store_si512(dst + NR * 4, _mm512_sub_epi32(_mm512_setzero_si512(), sum));
}

LANES_INLINE void pack(bool half, bool b_side, char *dst, const struct gemm_src *src, int rows, int k)
{
    struct i8_panels panels = b_side ? b_panels : a_panels;
    struct i8_rows s = {.half = half, .trans = src->trans, .ld = src->ld * size_of(half)};
    for (int i = 0; i < i8_parts(panels, rows, k); i++) {
        struct i8_part g = i8_part(panels, dst, src, rows, k, i);
        s.n = g.n;
        s.p = g.p;
        s.rows = g.rows;
        if (!b_side)
            group_a(g.dst, &s);
        for (int h = 0; b_side && h < NR; h += 16) {
            s.p = g.p + h * (src->trans ? size_of(half) : s.ld);
            s.rows = g.rows - h;
            group_b(g.dst + h * 4, &s);
        }
    }
}

static void pack_a_avx512vnni(void *dst, struct gemm_src src, int m, int k)
{
    if (src.dtype == DT_BF16)
        pack(true, false, dst, &src, m, k);
    else
        pack(false, false, dst, &src, m, k);
}

static void pack_b_avx512vnni(void *dst, struct gemm_src src, int n, int k)
{
    if (src.dtype == DT_BF16)
        pack(true, true, dst, &src, n, k);
    else
        pack(false, true, dst, &src, n, k);
}

void gemm_i8_fill_avx512vnni(struct kernels *k)
{
    struct gemm_unit *u = &k->gemm_i8;
    *u = i8_unit("dot-int8", a_panels, b_panels);
    u->pack_a = pack_a_avx512vnni;
    u->pack_b = pack_b_avx512vnni;
    u->block = block_avx512vnni;
}

#ifndef DK_VNNI_EMULATED

/* Four bytes of any value; here and there all at one end of their range. */
static uint32_t answer_input(uint32_t i)
{
    static const uint32_t ends[] = {0xffffffff, 0x80808080, 0x7f7f7f7f, 0};
    uint32_t h = i * 2654435761u ^ i << 7;
    return h % 5 ? h : ends[h >> 20 & 3];
}

/* Against 16-bit multiplications: plain C a compiler may make the same instruction of. */
bool gemm_i8_avx512vnni_usable(void)
{
    for (uint32_t i = 0; i < 64 * 16; i += 16) {
        uint32_t a[16], b[16], c[16], want[16];
        for (uint32_t j = 0; j < 16; j++) {
            a[j] = answer_input(i + j);
            b[j] = answer_input(i + j + 4096);
            c[j] = answer_input(i + j + 8192);
        }
        __m512i va = _mm512_loadu_si512(a), vb = _mm512_loadu_si512(b), vc = _mm512_loadu_si512(c);
        _mm512_storeu_si512(want, dot_words(vc, va, vb));
        _mm512_storeu_si512(c, dot_bytes(vc, va, vb));
        if (memcmp(want, c, sizeof c) != 0)
            return false;
    }
    return true;
}

#endif
