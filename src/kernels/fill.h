/* Each file of kernels fills its slots of the table; dispatch.c applies ref, then avx2, avx512 with avx512vnni, and
 * on these either avx512bf16 or amx, so that a faster set overrides what it measured faster and inherits the rest. */
#ifndef DK_KERNELS_FILL_H
#define DK_KERNELS_FILL_H

#include "kernels/kernels.h"

void gemm_fill_ref(struct kernels *k);
void gemm_i8_fill_ref(struct kernels *k); /* after gemm_fill_ref */
void elem_fill_ref(struct kernels *k);
void attn_fill_ref(struct kernels *k);

void gemm_fill_avx2(struct kernels *k);
void gemm_i8_fill_avx2(struct kernels *k);
void elem_fill_avx2(struct kernels *k);
void attn_fill_avx2(struct kernels *k);

void gemm_fill_avx512(struct kernels *k);
void elem_fill_avx512(struct kernels *k);
void attn_fill_avx512(struct kernels *k);

#ifdef DK_DOT_EMULATED
#define gemm_fill_avx512bf16 gemm_fill_avx512bf16_emulated
#endif
void gemm_fill_avx512bf16(struct kernels *k);
void elem_fill_avx512bf16(struct kernels *k);
/* The known-answer tests of VDPBF16PS and VCVTNE2PS2BF16, on a machine that has them. */
bool gemm_avx512bf16_usable(void);

#ifdef DK_VNNI_EMULATED
#define gemm_i8_fill_avx512vnni gemm_i8_fill_avx512vnni_emulated
#endif
void gemm_i8_fill_avx512vnni(struct kernels *k);
/* The known-answer test of VPDPBUSD, on a machine that has it. */
bool gemm_i8_avx512vnni_usable(void);

#ifdef DK_TILE_EMULATED
#define gemm_fill_amx gemm_fill_amx_emulated
#define gemm_i8_fill_amx gemm_i8_fill_amx_emulated
#endif
void gemm_fill_amx(struct kernels *k);
void gemm_i8_fill_amx(struct kernels *k);
/* Asks the kernel for tile state, once, before threads start; false where there is none or the
 * known-answer test fails. */
bool gemm_amx_usable(void);
/* The known-answer test of TDPBSSD, on a machine that has it, after gemm_amx_usable. */
bool gemm_i8_amx_usable(void);

#endif
