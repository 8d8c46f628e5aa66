/* IEEE binary16 to binary32 by bits alone, so that denormals pass whatever the rounding mode flushes. */
#ifndef DK_FORMATS_HALF_H
#define DK_FORMATS_HALF_H

#include <stdint.h>
#include <string.h>

static inline uint32_t half_bits(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, exp = h >> 10 & 31, man = h & 1023;
    if (exp == 31) return sign | 0x7F800000 | man << 13;
    if (exp) return sign | (exp + 112) << 23 | man << 13;
    if (!man) return sign;
    int up = __builtin_clz(man) - 21; /* bring the leading one to bit 10 */
    return sign | (uint32_t)(113 - up) << 23 | (man << up & 1023) << 13;
}

static inline float half_f32(uint16_t h)
{
    uint32_t bits = half_bits(h);
    float f;
    memcpy(&f, &bits, 4);
    return f;
}

#endif
