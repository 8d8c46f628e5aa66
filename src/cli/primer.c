/* dokja primer: write the built-in textbook. */
#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/opt.h"
#include "cli/cli.h"
#include "data/primer.h"

int cmd_primer(int argc, char **argv, struct err *e)
{
    double bytes = 24e6;
    uint64_t seed = 1;
    const char *out = NULL;
    bool json = false, force = false;
    const struct opt opts[] = {
        {.name = "bytes", .letter = 'b', .type = OPT_COUNT, .dst = &bytes, .arg = "N",
            .help = "length of the text (24M); ends with a whole document", .lo = 1, .hi = 1e12},
        {.name = "seed", .letter = 's', .type = OPT_SEED, .dst = &seed, .arg = "N",
            .help = "another seed, another book (1)"},
        {.name = "out", .letter = 'o', .type = OPT_STR, .dst = &out, .arg = "FILE.jsonl", .help = "where to write it"},
        CLI_FORCE(&force),
        {.name = "json", .type = OPT_FLAG, .dst = &json, .help = "machine-readable result"},
        {0}};
    const struct opt_spec spec = {"dokja primer --out FILE.jsonl [--bytes 24M] [--seed 1]",
        "Writes a bilingual (Korean and English) textbook with checkable content, one document a line.", opts, 0, 0};
    int n_args = 0, rc = opt_parse(&spec, argc, argv, &n_args, e);

    if (rc)
        return rc > 0 ? 0 : rc;
    if (!out)
        return err_set(e, ERR_USAGE, "--out FILE.jsonl is missing");
    rc = cli_may_write(out, "{\"id\":\"primer-", force, e);   /* of another length or seed */
    if (rc)
        return rc;
    log_catch_stop();
    double start = clock_seconds();
    rc = primer_write(out, (uint64_t)bytes, seed, e);
    if (rc)
        return rc;
    double seconds = clock_seconds() - start;
    struct file_map m;
    rc = file_map_open(&m, out, e);
    if (rc)
        return rc;
    size_t size = m.len;
    file_map_close(&m);
    if (json)
        printf("{\"bytes\":%.0f,\"file_bytes\":%zu,\"seed\":%" PRIu64 ",\"skills\":%d,\"seconds\":%.3f}\n", bytes,
               size, seed, primer_skills(), seconds);
    else
        printf("%s: %.1f MB, %d skills, seed %" PRIu64 ", %.1f s\n", out, (double)size / 1e6, primer_skills(), seed,
               seconds);
    return 0;
}
