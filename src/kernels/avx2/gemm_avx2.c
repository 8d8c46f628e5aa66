#include "kernels/fill.h"

void gemm_fill_avx2(struct kernels *k) { (void)k; }
