/* dokja primer: write the built-in textbook. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/opt.h"
#include "cli/cli.h"
#include "data/primer.h"

/* A book of other length or seed may be replaced; somebody's own text must not be lost to a slip in a name. */
static int check_old(const char *out, struct err *e)
{
    static const char begin[] = "{\"id\":\"primer-";
    char have[sizeof begin] = "";
    FILE *f = fopen(out, "rb");
    if (!f)
        return 0;
    size_t n = fread(have, 1, sizeof begin - 1, f);
    fclose(f);
    return n == 0 || strcmp(have, begin) == 0
               ? 0
               : err_set(e, ERR_VALUE, "%s: exists and is no primer; use --force to replace it, or another --out", out);
}

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
        {.name = "force", .type = OPT_FLAG, .dst = &force, .help = "replace a file that is no primer"},
        {.name = "json", .type = OPT_FLAG, .dst = &json, .help = "machine-readable result"},
        {0}};
    const struct opt_spec spec = {"dokja primer --out FILE.jsonl [--bytes 24M] [--seed 1]",
        "Writes a bilingual (Korean and English) textbook with checkable content, one document a line.", opts, 0, 0};
    int n_args = 0, rc = opt_parse(&spec, argc, argv, &n_args, e);

    if (rc)
        return rc > 0 ? 0 : rc;
    if (!out)
        return err_set(e, ERR_USAGE, "--out FILE.jsonl is missing");
    rc = force ? 0 : check_old(out, e);
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
