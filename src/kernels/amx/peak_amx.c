#include "kernels/amx/tile.h"
#include "kernels/peak.h"

#ifndef DK_TILE_EMULATED /* a limit exists on silicon only */

#include <cpuid.h>

/* Six accumulators hide the latency of one tile product behind the others. */
static void bf16_amx(long n)
{
    tile_config();
    TILE_ZERO(0);
    TILE_ZERO(1);
    TILE_ZERO(2);
    TILE_ZERO(3);
    TILE_ZERO(4);
    TILE_ZERO(5);
    TILE_ZERO(6);
    TILE_ZERO(7);
    for (long i = 0; i < n; i++) {
        TILE_DOT(0, 6, 7);
        TILE_DOT(1, 6, 7);
        TILE_DOT(2, 6, 7);
        TILE_DOT(3, 6, 7);
        TILE_DOT(4, 6, 7);
        TILE_DOT(5, 6, 7);
    }
    tile_release();
}

static void int8_amx(long n)
{
    tile_config();
    TILE_ZERO(0);
    TILE_ZERO(1);
    TILE_ZERO(2);
    TILE_ZERO(3);
    TILE_ZERO(4);
    TILE_ZERO(5);
    TILE_ZERO(6);
    TILE_ZERO(7);
    for (long i = 0; i < n; i++) {
        _tile_dpbssd(0, 6, 7);
        _tile_dpbssd(1, 6, 7);
        _tile_dpbssd(2, 6, 7);
        _tile_dpbssd(3, 6, 7);
        _tile_dpbssd(4, 6, 7);
        _tile_dpbssd(5, 6, 7);
    }
    tile_release();
}

void peak_fill_amx(struct peak *p)
{
    unsigned a, b, c, d;
    p->amx_bf16 = (struct peak_loop){bf16_amx, 6 * 2.0 * 16 * 16 * 32};
    if (__get_cpuid_count(7, 0, &a, &b, &c, &d) && (d & (1u << 25)))
        p->amx_int8 = (struct peak_loop){int8_amx, 6 * 2.0 * 16 * 16 * 64};
}

#endif
