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
                                  "all result bits, one for each numeric profile: T1, and T2 with products of "
                                  "8-bit integers.\nThey are the same on every machine, instruction set, compiler "
                                  "and thread count.",
                                  opts, 0, 0};
    int rc = opt_parse(&spec, argc, argv, &n_args, e);
    if (rc != 0)
        return rc > 0 ? 0 : rc;

    struct nn x;
    rc = cli_machine(&x, threads, e);
    if (rc != 0)
        return rc;
    const struct kernels *k = x.k;
    struct digest d[N_PROFILES];
    rc = selftest_digests(d, &x, e);
    nn_release(&x);
    if (rc != 0)
        return rc;
    char t1[65], t2[65];
    digest_hex(t1, &d[PROFILE_T1]);
    digest_hex(t2, &d[PROFILE_T2]);
    if (json)
        printf("{\"profile\":\"T1\",\"digest\":\"%s\",\"t2\":\"%s\",\"isa\":\"%s\"}\n", t1, t2, isa_name(k->isa));
    else
        printf("T1 %s (%s)\nT2 %s (%s)\n", t1, isa_name(k->isa), t2, isa_name(k->isa));
    return selftest_check(d, e);
}
