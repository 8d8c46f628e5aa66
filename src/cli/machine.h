/* The kernels and threads that a command computes with. */
#ifndef DK_CLI_MACHINE_H
#define DK_CLI_MACHINE_H

#include <stdint.h>

#include "base/err.h"
#include "nn/nn.h"

/* The best kernels of this machine, or those of DOKJA_CPU; ERR_USAGE when that names none.  threads 0: all. */
int cli_machine(struct nn *x, int64_t threads, struct err *e) MUST_CHECK;

#endif
