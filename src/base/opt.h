/* Command-line options as a table.
 *
 *   static const struct opt opts[] = {
 *       {"depth", 'd', OPT_INT, &o.depth, "N", "layers; width is 64·N", .lo = 1, .hi = 128},
 *       {"json", 0, OPT_FLAG, &o.json, NULL, "machine-readable output"},
 *       {0}};
 *
 * --name VALUE, --name=VALUE, -n VALUE; "--" ends options; what is left is positional.
 * Sizes accept K, M, G (2^10 …) with OPT_SIZE and decimal k, M, G, T or 1e12 with
 * OPT_COUNT. */
#ifndef DK_BASE_OPT_H
#define DK_BASE_OPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum opt_type {
    OPT_FLAG,   /* bool */
    OPT_INT,    /* int64_t, lo..hi */
    OPT_SEED,   /* uint64_t, all of them: "5", "0xbdb6c7fcefeaadba" */
    OPT_REAL,   /* double, lo..hi */
    OPT_COUNT,  /* double; "24M" = 24e6, "2e14" */
    OPT_SIZE,   /* int64_t bytes; "8G" = 8·2^30, "24M" = 24·2^20 */
    OPT_STR,    /* const char * */
    OPT_LIST    /* struct opt_list: repeatable */
};

struct opt_list {
    const char *v[64];
    int n;
};

struct opt {
    const char *name;
    char letter;
    enum opt_type type;
    void *dst;
    const char *arg;  /* placeholder in --help */
    const char *help;
    double lo, hi;    /* both 0: not checked */
    bool *seen;       /* set when given; may be NULL */
};

struct opt_spec {
    const char *usage;      /* "dokja pretrain --corpus DIR …" */
    const char *about;      /* paragraph for --help */
    const struct opt *opts; /* ends with a zero name */
    int min_args, max_args; /* positional; max -1: any number */
};

/* 0: go on, positional arguments moved to argv[0..*n_args); 1: --help was printed to
 * stdout; ERR_USAGE with a sentence otherwise. */
int opt_parse(const struct opt_spec *s, int argc, char **argv, int *n_args, struct err *e) MUST_CHECK;

/* Whether the n bytes typed may be a slip for `name` (a letter or two away, or its beginning) and lie nearer to it than
 * *least, which then becomes their distance; it begins at INT_MAX. */
bool opt_nearer(const char *typed, size_t n, const char *name, int *least);

#endif
