/* Loaded before PyTorch on an AMD processor: MKL runs its AVX-512 code only where this answers yes, and half as fast
 * elsewhere.  Owners of such machines do the same; without it the comparison would flatter us. */
int mkl_serv_intel_cpu(void);
int mkl_serv_intel_cpu_true(void);

int mkl_serv_intel_cpu(void) { return 1; }
int mkl_serv_intel_cpu_true(void) { return 1; }
