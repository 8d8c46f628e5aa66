/* Products of 8-bit integers (NUMERICS §3a) on AMX tiles: 2 × 2 tiles of 16 × 16 sums, one TDPBSSD per 64 k.
 *
 * For every group a panel of 32 rows or columns has their scales, then for every 64 k two tiles: of A 16 rows × 64 k,
 * of B 16 quads of k × 16 columns.  A group is four steps at most, and its sums have to come out of the tiles before
 * they can join c; they wait in memory, and the core adds them while the tiles are busy with the next group. */
#include "kernels/amx/tile.h"
#include "kernels/avx512/int8_avx512.h"
#include "kernels/fill.h"

enum { MR = 32, NR = 32, KC = 512 }; /* KC: depth of a B panel kept in L1 while the A panels pass */
enum { HEAD = 32 * sizeof(float), TILE_BYTES = 1024, STEP_BYTES = 2 * TILE_BYTES }; /* a step: 64 k of a panel */

static const struct i8_panels panels = {MR, 1, HEAD};

static int min_int(int a, int b) { return a < b ? a : b; }

/* ---- the tiles ---- */

/* n k of one group into the tiles of C. */
static void dots_2x2(const char *a, const char *b, int n)
{
    tile_fence();
    TILE_ZERO(C00);
    TILE_ZERO(C01);
    TILE_ZERO(C10);
    TILE_ZERO(C11);
    for (; n > 0; n -= 64, a += STEP_BYTES, b += STEP_BYTES) {
        TILE_LOAD(A0, a, 64);
        TILE_LOAD(B0, b, 64);
        TILE_DOT_I8(C00, A0, B0);
        TILE_LOAD(B1, b + TILE_BYTES, 64);
        TILE_DOT_I8(C01, A0, B1);
        TILE_LOAD(A1, a + TILE_BYTES, 64);
        TILE_DOT_I8(C10, A1, B0);
        TILE_DOT_I8(C11, A1, B1);
    }
}

/* The upper half alone: panels with at most 16 rows. */
static void dots_1x2(const char *a, const char *b, int n)
{
    tile_fence();
    TILE_ZERO(C00);
    TILE_ZERO(C01);
    for (; n > 0; n -= 64, a += STEP_BYTES, b += STEP_BYTES) {
        TILE_LOAD(A0, a, 64);
        TILE_LOAD(B0, b, 64);
        TILE_LOAD(B1, b + TILE_BYTES, 64);
        TILE_DOT_I8(C00, A0, B0);
        TILE_DOT_I8(C01, A0, B1);
    }
}

/* Where the sums of a group (32, 32) go, and their scales; c == NULL: there are none. */
struct target {
    float *c;
    ptrdiff_t ldc;
    int rows, cols; /* of c that exist; may be more than 32 */
    bool zero;
    const float *sa, *sb;
};

static void fold(const struct target *t, const int32_t *sums)
{
    if (!t->c)
        return;
    __mmask16 m0 = mask16(t->cols), m1 = mask16(t->cols - 16);
    __m512 sb0 = _mm512_load_ps(t->sb), sb1 = _mm512_load_ps(t->sb + 16);
    for (int i = 0; i < t->rows && i < MR; i++, sums += NR) {
        float *c = t->c + i * t->ldc;
        __m512 sa = _mm512_set1_ps(t->sa[i]);
        i8_fold(c, m0, t->zero, _mm512_load_si512(sums), sa, sb0);
        i8_fold(c + 16, m1, t->zero, _mm512_load_si512(sums + 16), sa, sb1);
    }
}

static void store_sums(int32_t *sums, bool lower)
{
    TILE_STORE(C00, sums, NR * 4);
    TILE_STORE(C01, sums + 16, NR * 4);
    if (lower) {
        TILE_STORE(C10, sums + 16 * NR, NR * 4);
        TILE_STORE(C11, sums + 16 * NR + 16, NR * 4);
    }
}

/* k of one pair of panels.  What waits in sums, *w, is folded after the tiles have been given the next group; the last
 * group's waits when this returns. */
static void panel_pair(struct target *w, int32_t *sums, struct target t, const char *a, const char *b, int k)
{
    for (int n; k > 0; k -= n, t.zero = false) {
        n = min_int(k, I8_GROUP);
        if (t.rows > 16)
            dots_2x2(a + HEAD, b + HEAD, n);
        else
            dots_1x2(a + HEAD, b + HEAD, n);
        fold(w, sums);
        store_sums(sums, t.rows > 16);
        t.sa = (const float *)(const void *)a;
        t.sb = (const float *)(const void *)b;
        *w = t;
        a += i8_panel_at(panels, n);
        b += i8_panel_at(panels, n);
    }
}

static void block_i8_amx(float *c, ptrdiff_t ldc, const void *a, const void *b, int m, int n, int k, bool zero)
{
    _Alignas(64) int32_t sums[MR * NR];
    struct target w = {0};
    ptrdiff_t panel = i8_panel_at(panels, k);
    for (int i = 0; k == 0 && zero && i < m; i++)
        for (int j = 0; j < n; j++)
            c[i * ldc + j] = 0;
    for (int j = 0; j < n; j += NR)
        for (int k0 = 0; k0 < k; k0 += KC)
            for (int i = 0; i < m; i += MR) {
                const char *ap = (const char *)a + i / MR * panel + i8_panel_at(panels, k0);
                const char *bp = (const char *)b + j / NR * panel + i8_panel_at(panels, k0);
                struct target t = {c + i * ldc + j, ldc, m - i, n - j, zero && k0 == 0, NULL, NULL};
                panel_pair(&w, sums, t, ap, bp, min_int(k - k0, KC));
            }
    fold(&w, sums);
}

/* ---- packing: A's tiles hold rows, B's quads of k ---- */

/* 16 of the 32 rows or columns of one group: its scales, and a tile for every 64 k. */
LANES_INLINE void group(float *scale, char *tile, const struct i8_rows *s, bool quads)
{
    float each[16];
    _mm512_store_ps(scale, i8_scales(each, s, 16));
    for (int kk = 0; kk < s->n; kk += 64, tile += STEP_BYTES) {
        __m512i v[16];
        i8_lines(v, s, kk, 16, each, quads);
        UNROLL
        for (int j = 0; j < 16; j++)
            _mm512_store_si512(tile + 64 * j, v[j]);
    }
}

LANES_INLINE void pack(bool half, bool quads, char *dst, const struct gemm_src *src, int rows, int k)
{
    struct i8_rows s = {.half = half, .trans = src->trans, .ld = src->ld * size_of(half)};
    for (int i = 0; i < i8_parts(panels, rows, k); i++) {
        struct i8_part g = i8_part(panels, dst, src, rows, k, i);
        s.n = g.n;
        for (int h = 0; h < 32; h += 16) {
            s.p = g.p + h * (src->trans ? size_of(half) : s.ld);
            s.rows = g.rows - h;
            group((float *)(void *)g.dst + h, g.dst + HEAD + h / 16 * TILE_BYTES, &s, quads);
        }
    }
}

static void pack_a_i8_amx(void *dst, struct gemm_src src, int m, int k)
{
    if (src.dtype == DT_BF16)
        pack(true, false, dst, &src, m, k);
    else
        pack(false, false, dst, &src, m, k);
}

static void pack_b_i8_amx(void *dst, struct gemm_src src, int n, int k)
{
    if (src.dtype == DT_BF16)
        pack(true, true, dst, &src, n, k);
    else
        pack(false, true, dst, &src, n, k);
}

static void enter_amx(void) { tile_config(); }
static void leave_amx(void) { tile_release(); }

void gemm_i8_fill_amx(struct kernels *k)
{
    struct gemm_unit *u = &k->gemm_i8;
    *u = i8_unit("amx-int8", panels, panels);
    u->pack_a = pack_a_i8_amx;
    u->pack_b = pack_b_i8_amx;
    u->block = block_i8_amx;
    u->enter = enter_amx;
    u->leave = leave_amx;
}

#ifndef DK_TILE_EMULATED

/* A byte of any value; here and there one end of their range. */
static int8_t answer_input(uint32_t i)
{
    uint32_t h = i * 2654435761u ^ i << 7;
    return (int8_t)(h % 5 ? (int)(h >> 24) - 128 : h >> 31 ? 127 : -128);
}

static int answer_sum(const int8_t *a, const int8_t *b, int row, int col, int n)
{
    int sum = 0;
    a += row / 16 * TILE_BYTES + row % 16 * 64;
    b += col / 16 * TILE_BYTES + col % 16 * 4;
    for (int k = 0; k < n; k++) {
        int step = k / 64 * STEP_BYTES;
        sum += a[step + k % 64] * b[step + k % 64 / 4 * 64 + k % 4];
    }
    return sum;
}

/* Two steps of four tiles against plain integers, before anyone relies on them. */
bool gemm_i8_amx_usable(void)
{
    enum { STEPS = 2 };
    static int8_t a[STEPS * STEP_BYTES] __attribute__((aligned(64)));
    static int8_t b[STEPS * STEP_BYTES] __attribute__((aligned(64)));
    static int32_t sums[MR * NR] __attribute__((aligned(64)));
    for (uint32_t i = 0; i < STEPS * STEP_BYTES; i++) {
        a[i] = answer_input(i);
        b[i] = answer_input(i + STEPS * STEP_BYTES);
    }
    tile_config();
    dots_2x2((const char *)a, (const char *)b, STEPS * 64);
    store_sums(sums, true);
    tile_release();
    for (int i = 0; i < MR; i++)
        for (int j = 0; j < NR; j++)
            if (sums[i * NR + j] != answer_sum(a, b, i, j, STEPS * 64))
                return false;
    return true;
}

#endif
