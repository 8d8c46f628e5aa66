#include "kernels/peak.h"

void peak_fill_amx(struct peak *p) { (void)p; }
