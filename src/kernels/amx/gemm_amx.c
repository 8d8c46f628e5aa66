/* Matrix product on AMX tiles: 2 × 2 tiles of 16 × 16 outputs, one TDPBF16PS per 32 k, which is
 * the step of NUMERICS §3.  Panels keep bf16: for every 32 k the A panel holds two tiles of 16 rows
 * × 32 k, the B panel two tiles of 16 pairs of k × 16 columns. */
#include "kernels/amx/tile.h"
#include "kernels/avx512/lanes_avx512.h"
#include "kernels/fill.h"

enum { MR = 32, NR = 32 };
enum { TILE_BYTES = 1024, STEP_BYTES = 2 * TILE_BYTES }; /* of one tile; of 32 k in a panel */

/* c (32 × 32 at stride bytes) from two panels. */
static void tile_2x2(float *c, ptrdiff_t stride, const char *a, const char *b, int k, bool zero)
{
    float *low = c + 16 * (stride / 4);
    tile_fence();
    if (zero) {
        TILE_ZERO(C00);
        TILE_ZERO(C01);
        TILE_ZERO(C10);
        TILE_ZERO(C11);
    } else {
        TILE_LOAD(C00, c, stride);
        TILE_LOAD(C01, c + 16, stride);
        TILE_LOAD(C10, low, stride);
        TILE_LOAD(C11, low + 16, stride);
    }
    for (; k > 0; k -= 32) {
        TILE_LOAD(A0, a, 64);
        TILE_LOAD(B0, b, 64);
        TILE_DOT(C00, A0, B0);
        TILE_LOAD(B1, b + TILE_BYTES, 64);
        TILE_DOT(C01, A0, B1);
        TILE_LOAD(A1, a + TILE_BYTES, 64);
        TILE_DOT(C10, A1, B0);
        TILE_DOT(C11, A1, B1);
        a += STEP_BYTES;
        b += STEP_BYTES;
    }
    TILE_STORE(C00, c, stride);
    TILE_STORE(C01, c + 16, stride);
    TILE_STORE(C10, low, stride);
    TILE_STORE(C11, low + 16, stride);
}

/* The upper half alone: panels with at most 16 rows. */
static void tile_1x2(float *c, ptrdiff_t stride, const char *a, const char *b, int k, bool zero)
{
    tile_fence();
    if (zero) {
        TILE_ZERO(C00);
        TILE_ZERO(C01);
    } else {
        TILE_LOAD(C00, c, stride);
        TILE_LOAD(C01, c + 16, stride);
    }
    for (; k > 0; k -= 32) {
        TILE_LOAD(A0, a, 64);
        TILE_LOAD(B0, b, 64);
        TILE_LOAD(B1, b + TILE_BYTES, 64);
        TILE_DOT(C00, A0, B0);
        TILE_DOT(C01, A0, B1);
        a += STEP_BYTES;
        b += STEP_BYTES;
    }
    TILE_STORE(C00, c, stride);
    TILE_STORE(C01, c + 16, stride);
}

/* A tile pair at the edge of c works on a copy, so that nothing outside is touched. */
static void tile_edge(float *c, ptrdiff_t ldc, const char *a, const char *b, int rows, int cols, int k,
                      bool zero)
{
    _Alignas(64) float t[MR * NR];
    __mmask16 m0 = mask16(cols), m1 = mask16(cols - 16);
    for (int i = 0; i < MR; i++) {
        bool real_row = !zero && i < rows;
        _mm512_store_ps(t + i * NR, _mm512_maskz_loadu_ps(real_row ? m0 : 0, c + i * ldc));
        _mm512_store_ps(t + i * NR + 16, _mm512_maskz_loadu_ps(real_row ? m1 : 0, c + i * ldc + 16));
    }
    if (rows > 16)
        tile_2x2(t, NR * 4, a, b, k, zero);
    else
        tile_1x2(t, NR * 4, a, b, k, zero);
    for (int i = 0; i < rows; i++) {
        _mm512_mask_storeu_ps(c + i * ldc, m0, _mm512_load_ps(t + i * NR));
        _mm512_mask_storeu_ps(c + i * ldc + 16, m1, _mm512_load_ps(t + i * NR + 16));
    }
}

static void block_amx(float *c, ptrdiff_t ldc, const void *a, const void *b, int m, int n, int k,
                      bool zero)
{
    if (k == 0 && !zero)
        return;
    for (int j = 0; j < n; j += NR)
        for (int i = 0; i < m; i += MR) {
            const char *ap = (const char *)a + (ptrdiff_t)i * k * 2;
            const char *bp = (const char *)b + (ptrdiff_t)j * k * 2;
            float *cp = c + i * ldc + j;
            if (m - i >= MR && n - j >= NR)
                tile_2x2(cp, ldc * 4, ap, bp, k, zero);
            else
                tile_edge(cp, ldc, ap, bp, m - i < MR ? m - i : MR, n - j, k, zero);
        }
}

/* Two tiles for every 32 k of every panel of 32 rows (of A) or columns (of B). */
static void pack_amx(void *dst, const struct gemm_src *src, int rows, int k, bool columns)
{
    int kp = gemm_kp(k);
    for (int row = 0; row < rows; row += MR)
        for (int kk = 0; kk < kp; kk += 32)
            for (int h = 0; h < MR; h += 16) {
                char *d = (char *)dst + ((ptrdiff_t)row * kp + (ptrdiff_t)kk * MR + h * 32) * 2;
                __m512i v[16];
                load_row_pairs(v, src, row + h, rows - row - h, kk, k - kk, columns);
                for (int j = 0; j < 16; j++)
                    _mm512_store_si512((__m512i *)(void *)(d + 64 * j), v[j]);
            }
}

static void pack_a_amx(void *dst, struct gemm_src src, int m, int k) { pack_amx(dst, &src, m, k, false); }
static void pack_b_amx(void *dst, struct gemm_src src, int n, int k) { pack_amx(dst, &src, n, k, true); }

/* A wp panel is a column of B tiles already; two neighbours interleave by tile. */
static void wp_to_b_amx(void *dst, const bf16 *wp, int n0, int n, int n_total, int k, int k0, int k1)
{
    int kp = gemm_kp(k), depth = gemm_kp(k1 - k0);
    for (int col = 0; col < n; col += WP_NR) {
        int at = n0 + col;
        char *d = (char *)dst + ((ptrdiff_t)(col / NR) * NR * depth) * 2 + col % NR / 16 * TILE_BYTES;
        const bf16 *s = wp + (ptrdiff_t)at * kp + (ptrdiff_t)k0 * WP_NR;
        __mmask16 cols = mask16(n - col < n_total - at ? n - col : n_total - at);
        for (int kk = 0; kk < depth; kk += 32, d += STEP_BYTES, s += 32 * WP_NR)
            for (int j = 0; j < 16; j++)
                _mm512_store_si512((__m512i *)(void *)(d + 64 * j),
                                   _mm512_maskz_loadu_epi32(cols, s + j * 2 * WP_NR));
    }
    if ((n + WP_NR - 1) / WP_NR % 2) { /* an odd panel at the end: the tiles beside it are +0 */
        char *d = (char *)dst + ((ptrdiff_t)(n / NR) * NR * depth) * 2 + TILE_BYTES;
        for (int kk = 0; kk < depth; kk += 32, d += STEP_BYTES)
            memset(d, 0, TILE_BYTES);
    }
}

static void enter_amx(void) { tile_config(); }
static void leave_amx(void) { tile_release(); }

void gemm_fill_amx(struct kernels *k)
{
    k->gemm = (struct gemm_unit){.name = "amx-bf16",
                                 .mr = MR,
                                 .nr = NR,
                                 .k_pad = 32,
                                 .k_cut = 32,
                                 .elem = sizeof(bf16),
                                 .pack_a = pack_a_amx,
                                 .pack_b = pack_b_amx,
                                 .block = block_amx,
                                 .enter = enter_amx,
                                 .leave = leave_amx};
    k->wp_to_b = wp_to_b_amx;
}

#ifndef DK_TILE_EMULATED

#include <sys/syscall.h>
#include <unistd.h>

/* Linux keeps tile state away from a process that has not asked for it. */
static bool ask_for_tiles(void)
{
    enum { ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_TILE_DATA = 18 };
    return syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_TILE_DATA) == 0;
}

/* bf16 bits of both signs over about 2^±40, with a denormal, a zero and a one here and there. */
static uint16_t answer_input(uint32_t i)
{
    static const uint16_t special[] = {0x0001, 0x8000, 0x3f80, 0x0080};
    uint32_t h = i * 2654435761u ^ i << 7;
    if (h % 29 == 0)
        return special[h >> 20 & 3];
    return (uint16_t)((h >> 31) << 15 | (87 + (h >> 8) % 80) << 7 | (h >> 20 & 127));
}

/* Left operand against right ones of 2^-63: first ±2^-126 in either chain, then crumbs that leave it at the brim of
 * being tiny (NUMERICS §1), or take it over. */
static uint16_t answer_brim(uint32_t i)
{
    static const uint16_t crumb[] = {0x1300, 0x1380, 0x13c0, 0x1340}; /* 2^-89·{1, 2, 3, 3/2} */
    uint32_t h = i * 2654435761u ^ i << 7, k = i % 32;
    return (uint16_t)((h >> 31) << 15 | (k < 2 ? 0x2000 : h % 5 ? 0 : crumb[h >> 20 & 3]));
}

static float answer_dot(const uint16_t *a, const uint16_t *b, float c)
{
    __m128 ch[2] = {_mm_setzero_ps(), _mm_setzero_ps()};
    for (int k = 0; k < 32; k++) {
        __m128 x = _mm_castsi128_ps(_mm_cvtsi32_si128((int)((uint32_t)a[k] << 16)));
        __m128 w = _mm_castsi128_ps(_mm_cvtsi32_si128((int)((uint32_t)b[k / 2 * 32 + k % 2] << 16)));
        ch[k % 2] = _mm_fmadd_ss(x, w, ch[k % 2]);
    }
    return _mm_cvtss_f32(_mm_add_ss(_mm_set_ss(c), _mm_add_ss(ch[0], ch[1])));
}

/* One step of four tiles against the profile, before anyone relies on them. */
static __attribute__((noinline)) bool known_answer(bool brim)
{
    static uint16_t a[2 * 16 * 32] __attribute__((aligned(64)));
    static uint16_t b[2 * 16 * 32] __attribute__((aligned(64)));
    static float c[MR * NR] __attribute__((aligned(64)));
    for (uint32_t i = 0; i < 1024; i++) {
        a[i] = brim ? answer_brim(i) : answer_input(i);
        b[i] = brim ? 0x2000 : answer_input(i + 4096);
        c[i] = brim ? 0 : (float)(int)i - 512.0f;
    }
    tile_config();
    tile_2x2(c, NR * 4, (const char *)a, (const char *)b, 32, false);
    tile_release();
    for (int i = 0; i < MR; i++)
        for (int j = 0; j < NR; j++) {
            float before = brim ? 0 : (float)(i * NR + j) - 512.0f;
            float want = answer_dot(a + i * 32, b + j / 16 * 512 + j % 16 * 2, before);
            if (memcmp(&want, &c[i * NR + j], sizeof want) != 0)
                return false;
        }
    return true;
}

bool gemm_amx_usable(void)
{
    if (!ask_for_tiles())
        return false;
    unsigned was = _mm_getcsr();
    kernels_fp_enter();
    bool ok = known_answer(false) && known_answer(true);
    _mm_setcsr(was);
    return ok;
}

#endif
