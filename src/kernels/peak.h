/* Loops that measure what the machine itself can do, as the limit beside every figure of
 * `dokja bench`: registers only for arithmetic, one pass over memory for reading. */
#ifndef DK_KERNELS_PEAK_H
#define DK_KERNELS_PEAK_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/kernels.h"

/* run(n) performs n·ops arithmetic operations (a multiply-add counts two) on independent chains.
 * run == NULL: the machine lacks the unit. */
struct peak_loop {
    void (*run)(long n);
    double ops;
};

struct peak {
    struct peak_loop fma_f32, madd_int16, vnni_int8, dot_bf16, amx_bf16, amx_int8;
    uint64_t (*read)(const void *p, size_t bytes); /* bytes a multiple of 256 */
};

/* The loops for an instruction set this machine has (kernels_get is not NULL). */
struct peak peak_get(enum isa isa);

void peak_fill_ref(struct peak *p);
void peak_fill_avx2(struct peak *p);
void peak_fill_avx512(struct peak *p);
void peak_fill_avx512bf16(struct peak *p);
void peak_fill_amx(struct peak *p);

#endif
