/* dokja selftest: the digest of the numeric profile on this build and machine. */
#include <stdio.h>
#include <string.h>

#include "base/opt.h"
#include "cli/cli.h"
#include "cli/machine.h"
#include "nn/selftest.h"

int cmd_selftest(int argc, char **argv, struct err *e)
{
    int64_t threads = 0;
    bool json = false;
    int n_args;
    const struct opt opts[] = {
        {"threads", 't', OPT_INT, &threads, "N", "threads (OMP_NUM_THREADS, or all cores)", 1,
         1024, NULL},
        {"json", 0, OPT_FLAG, &json, NULL, "one JSON document", 0, 0, NULL},
        {0}};
    const struct opt_spec spec = {"dokja selftest [--threads N] [--json]",
                                  "Runs a fixed battery through every kernel and op and prints the digest of "
                                  "all result bits.\nIt is the same on every machine, instruction set, "
                                  "compiler and thread count.",
                                  opts, 0, 0};
    int rc = opt_parse(&spec, argc, argv, &n_args, e);
    if (rc != 0)
        return rc > 0 ? 0 : rc;

    struct nn x;
    rc = cli_machine(&x, threads, e);
    if (rc != 0)
        return rc;
    const struct kernels *k = x.k;
    struct digest d;
    rc = selftest_digest(&d, &x, e);
    nn_release(&x);
    if (rc != 0)
        return rc;
    char hex[65];
    digest_hex(hex, &d);
    printf(json ? "{\"profile\":\"%s\",\"digest\":\"%s\",\"isa\":\"%s\"}\n" : "%s %s (%s)\n", SELFTEST_PROFILE, hex,
           isa_name(k->isa));
    if (strcmp(hex, SELFTEST_T1) != 0)
        return err_set(e, ERR_NUMERIC, "this build does not compute by profile %s, whose digest is %s",
                       SELFTEST_PROFILE, SELFTEST_T1);
    return 0;
}
