#include "kernels/fill.h"

void gemm_fill_avx512(struct kernels *k) { (void)k; }
