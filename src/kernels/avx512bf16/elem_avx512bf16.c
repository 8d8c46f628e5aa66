#include "kernels/avx512/lanes_avx512.h"
#include "kernels/fill.h"

static void bf16_from_f32_avx512bf16(bf16 *y, const float *x, size_t n)
{
    size_t i = 0;
    for (; i + 32 <= n; i += 32)
        _mm512_storeu_si512(y + i, round_both(_mm512_loadu_si512(x + i), _mm512_loadu_si512(x + i + 16)));
    if (i == n)
        return;
    int left = (int)(n - i);
    __m512i hi = left > 16 ? _mm512_maskz_loadu_epi32(mask16(left - 16), x + i + 16) : _mm512_setzero_si512();
    _mm512_mask_storeu_epi16(y + i, mask32(left), round_both(_mm512_maskz_loadu_epi32(mask16(left), x + i), hi));
}

void elem_fill_avx512bf16(struct kernels *k) { k->bf16_from_f32 = bf16_from_f32_avx512bf16; }
