/* `dokja bench`: every figure beside the limit of the machine, measured in the same process. */
#ifndef DK_CLI_BENCH_H
#define DK_CLI_BENCH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "cli/bench_lines.h"
#include "kernels/peak.h"
#include "nn/nn.h"

/* The machine under measurement: kernels (DOKJA_CPU respected), threads, limits. */
struct bench_machine {
    struct nn nn;
    struct peak peak;
    const char *unit;  /* a gemm_unit's name: the limit of training and prefill */
    struct peak_loop unit_loop;
    const char *limit_name;  /* of that unit */
    char *memory;      /* for reading; mapped by the first measurement that needs it */
    size_t memory_bytes;
};
int bench_machine_open(struct bench_machine *m, int threads, struct err *e) MUST_CHECK;
void bench_machine_close(struct bench_machine *m);

/* Rates in GFLOP/s (or GOP/s) and GB/s of all threads together, over about `seconds`; < 0 where
 * the machine lacks the unit. */
double bench_loop_rate(const struct bench_machine *m, struct peak_loop loop, double seconds);
/* From here on m->unit is the one of 8-bit integers. */
void bench_use_i8(struct bench_machine *m);
double bench_unit_rate(const struct bench_machine *m, double seconds); /* of m->unit */
double bench_read_rate(struct bench_machine *m, double seconds);
double bench_update_rate(struct bench_machine *m, double seconds); /* read and written in place, both counted */

/* A measurement of work beside its limit: rate functions are called alternately, limit first,
 * `runs` times (and once unmeasured, to warm caches and pages). */
struct bench_work {
    double (*work)(void *ctx);  /* a rate; < 0: failed, with the sentence in e of ctx */
    double (*limit)(void *ctx); /* a rate in the same unit */
    void *ctx;
};
struct bench_result {
    double figure, limit, fraction; /* medians; fraction of the pairwise ratios */
    double lo, hi;                  /* of the figures */
    int runs;
};
int bench_alternate(struct bench_result *r, const struct bench_work *w, int runs, struct err *e) MUST_CHECK;

double bench_median(double *v, int n); /* sorts v */

/* The per-op table of `steps` watched steps beside the machine's limits, GFLOP/s and GB/s: an op is bound by
 * whichever of the two would take it longer.  Text on stderr, or members of a JSON object on stdout. */
struct bench_limits {
    double unit, read, update;
};
void bench_print_profile(const struct nn_watch *w, int steps, const struct bench_limits *limit, bool json);

/* The processor as /proc/cpuinfo names it, cores, memory. */
void bench_machine_name(char out[200]);
/* A result's numbers into a line, `scale` in the line's unit for one of the result's. */
void bench_line_set(struct bench_line *l, const struct bench_result *r, double scale);
/* Appends the line to a file; bench, what, unit and the numbers are the caller's, machine, date and command are added,
 * and to `what` the instruction set and threads where they are not the machine's all (m may be NULL). */
int bench_record(const char *path, const struct bench_machine *m, const struct bench_line *l, int argc, char **argv,
                 struct err *e) MUST_CHECK;

int bench_peak(int argc, char **argv, struct err *e);
int bench_gemm(int argc, char **argv, struct err *e);
int bench_train(int argc, char **argv, struct err *e);
int bench_prefill(int argc, char **argv, struct err *e);
int bench_decode(int argc, char **argv, struct err *e);
int bench_encode(int argc, char **argv, struct err *e);
int bench_report(int argc, char **argv, struct err *e);

#endif
