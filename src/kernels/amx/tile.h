/* The tile operations the AMX kernels use, on silicon or emulated on plain memory
 * (-DDK_TILE_EMULATED) so that blocking, packing and edges are proven on machines without it.
 *
 * Eight tiles of 16 rows × 64 bytes.  Tile numbers must be integer constants.
 *   tile_config(), tile_release()   per thread
 *   TILE_ZERO(t)  TILE_LOAD(t, p, stride_bytes)  TILE_STORE(t, p, stride_bytes)
 *   tile_fence()                    before the first load: gcc 12 does not know that loads read memory
 *   TILE_DOT(c, a, b)               c += a·b of bf16 pairs, NUMERICS §3 for 32 k: one step of c
 *   TILE_DOT_I8(c, a, b)            c += a·b of signed bytes in fours, 64 k, modulo 2^32
 */
#ifndef DK_KERNELS_AMX_TILE_H
#define DK_KERNELS_AMX_TILE_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Eight tiles as 2 × 2 of C, of 16 × 16 each, and what they are made from.  Numbers, not an enum: gcc 12 pastes them
 * into the instruction. */
#define C00 0
#define C01 1
#define C10 2
#define C11 3
#define A0 4
#define A1 5
#define B0 6
#define B1 7

static inline void tile_fence(void) { __asm__ volatile("" ::: "memory"); }

#ifndef DK_TILE_EMULATED

struct tile_shape {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
};

/* A constant object: gcc 12 drops stores to a local one, since it believes that the instruction
 * reads eight bytes. */
static const struct tile_shape tile_shape_all __attribute__((aligned(64))) = {
    .palette = 1,
    .row_bytes = {64, 64, 64, 64, 64, 64, 64, 64},
    .rows = {16, 16, 16, 16, 16, 16, 16, 16}};

static inline void tile_config(void) { _tile_loadconfig(&tile_shape_all); }
static inline void tile_release(void) { _tile_release(); }
#define TILE_ZERO(t) _tile_zero(t)
#define TILE_LOAD(t, p, stride) _tile_loadd(t, p, (long)(stride))
#define TILE_STORE(t, p, stride) _tile_stored(t, p, (long)(stride))
#define TILE_DOT(c, a, b) _tile_dpbf16ps(c, a, b)
#define TILE_DOT_I8(c, a, b) _tile_dpbssd(c, a, b)

#else

static _Thread_local uint32_t tile_emulated[8][16][16];

static inline void tile_config(void) { memset(tile_emulated, 0, sizeof tile_emulated); }
static inline void tile_release(void) { memset(tile_emulated, 0xff, sizeof tile_emulated); }

static inline void tile_load_emulated(int t, const void *p, ptrdiff_t stride)
{
    for (int r = 0; r < 16; r++)
        memcpy(tile_emulated[t][r], (const char *)p + r * stride, 64);
}

static inline void tile_store_emulated(int t, void *p, ptrdiff_t stride)
{
    for (int r = 0; r < 16; r++)
        memcpy((char *)p + r * stride, tile_emulated[t][r], 64);
}

/* Kept out of line, so that no arithmetic moves across the changes of MXCSR below. */
static __attribute__((noinline)) void tile_dot_rows(int c, int a, int b)
{
    const __m512i upper = _mm512_set1_epi32((int)0xffff0000u);
    for (int r = 0; r < 16; r++) {
        __m512 e = _mm512_setzero_ps(), o = e;
        for (int j = 0; j < 16; j++) {
            __m512i x = _mm512_set1_epi32((int)tile_emulated[a][r][j]);
            __m512i w = _mm512_loadu_si512(tile_emulated[b][j]);
            e = _mm512_fmadd_ps(_mm512_castsi512_ps(_mm512_slli_epi32(x, 16)),
                                _mm512_castsi512_ps(_mm512_slli_epi32(w, 16)), e);
            o = _mm512_fmadd_ps(_mm512_castsi512_ps(_mm512_and_si512(x, upper)),
                                _mm512_castsi512_ps(_mm512_and_si512(w, upper)), o);
        }
        __m512 was = _mm512_loadu_ps(tile_emulated[c][r]);
        _mm512_storeu_ps(tile_emulated[c][r], _mm512_add_ps(was, _mm512_add_ps(e, o)));
    }
}

/* As silicon: denormals flushed in and out, round to nearest, whatever MXCSR says. */
static inline void tile_dot_emulated(int c, int a, int b)
{
    unsigned was = _mm_getcsr();
    _mm_setcsr(0x9fc0u);
    tile_dot_rows(c, a, b);
    _mm_setcsr(was);
}

/* Bytes as 16-bit integers of the even and the odd places: their products' sums fit 32 bits. */
static inline void tile_dot_i8_emulated(int c, int a, int b)
{
    for (int r = 0; r < 16; r++) {
        __m512i sum = _mm512_loadu_si512(tile_emulated[c][r]);
        for (int j = 0; j < 16; j++) {
            __m512i x = _mm512_set1_epi32((int)tile_emulated[a][r][j]), w = _mm512_loadu_si512(tile_emulated[b][j]);
            __m512i even = _mm512_madd_epi16(_mm512_srai_epi16(_mm512_slli_epi16(x, 8), 8),
                                             _mm512_srai_epi16(_mm512_slli_epi16(w, 8), 8));
            __m512i odd = _mm512_madd_epi16(_mm512_srai_epi16(x, 8), _mm512_srai_epi16(w, 8));
            sum = _mm512_add_epi32(sum, _mm512_add_epi32(even, odd));
        }
        _mm512_storeu_si512(tile_emulated[c][r], sum);
    }
}

#define TILE_ZERO(t) memset(tile_emulated[t], 0, sizeof tile_emulated[t])
#define TILE_LOAD(t, p, stride) tile_load_emulated(t, p, stride)
#define TILE_STORE(t, p, stride) tile_store_emulated(t, p, stride)
#define TILE_DOT(c, a, b) tile_dot_emulated(c, a, b)
#define TILE_DOT_I8(c, a, b) tile_dot_i8_emulated(c, a, b)

#endif
#endif
