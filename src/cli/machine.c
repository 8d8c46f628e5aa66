#include "cli/machine.h"

int cli_machine(struct nn *x, int64_t threads, struct err *e)
{
    const char *bad;
    const struct kernels *k = kernels_best(&bad);
    if (bad)
        return err_set(e, ERR_USAGE, "DOKJA_CPU is \"%s\"; it takes " ISA_NAMES, bad);
    return nn_init(x, k, (int)threads, e);
}
