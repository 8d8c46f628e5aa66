#include <math.h>

#include "kernels/peak.h"

enum { CHAINS = 16 };

/* What the portable product can reach: one scalar fma a call. */
static void fma_f32_ref(long n)
{
    real c[CHAINS] = {0};
    volatile real a = (real)1, b = (real)0.5;
    real x = a, y = b;
    for (long i = 0; i < n; i++)
        for (int j = 0; j < CHAINS; j++)
#ifdef DK_DOUBLE
            c[j] = fma(c[j], x, y);
#else
            c[j] = fmaf(c[j], x, y);
#endif
    real s = 0;
    for (int j = 0; j < CHAINS; j++)
        s += c[j];
    a = s;
}

static uint64_t read_ref(const void *p, size_t bytes)
{
    const uint64_t *q = p;
    uint64_t a = 0, b = 0, c = 0, d = 0;
    for (size_t i = 0; i + 4 <= bytes / 8; i += 4) {
        a ^= q[i];
        b ^= q[i + 1];
        c ^= q[i + 2];
        d ^= q[i + 3];
    }
    return a ^ b ^ c ^ d;
}

void peak_fill_ref(struct peak *p)
{
    p->fma_f32 = (struct peak_loop){fma_f32_ref, 2.0 * CHAINS};
    p->read = read_ref;
}
