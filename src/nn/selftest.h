/* The numeric self-test (docs/numerics.md §9): a fixed battery through every kernel and op, and one
 * SHA-256 over the bits of all results.
 *
 * The digest is the profile's name: it is the same for every instruction set, compiler, optimisation
 * level and thread count, and changes exactly when some result does.  Inputs come from Philox with
 * fixed counters and from a list of edge values; a NaN counts as one value whatever its payload.
 *
 * T2 is T1 but for products of 8-bit integers: its digest is over T1's and a battery of those. */
#ifndef DK_NN_SELFTEST_H
#define DK_NN_SELFTEST_H

#include "base/digest.h"
#include "nn/nn.h"

enum profile { PROFILE_T1, PROFILE_T2, N_PROFILES };
/* What every conforming build gives.  A change that moves it changes results: that is a new profile,
 * never a speed-up. */
#define SELFTEST_T1 "5e906e106cc2e7c07d78fb85145d300ceb747370c756409742706a67c19088ae"
#define SELFTEST_T2 "2f04841674e3baa6f0bc02782cc83d762d867f1319121f61811a47087ac72c72"

const char *profile_name(enum profile p);                /* "T1", "T2" */
int profile_parse(enum profile *p, const char *name);    /* −1: there is none of that name */
const char *profile_digest(enum profile p);              /* SELFTEST_… */

/* Of this build and machine.  Uses x's kernels, threads and scratch; allocates its own data, about 64 MiB at most. */
int selftest_digests(struct digest out[N_PROFILES], const struct nn *x, struct err *e) MUST_CHECK;
/* ERR_NUMERIC where one of them is not its profile's. */
int selftest_check(const struct digest d[N_PROFILES], struct err *e) MUST_CHECK;
/* … where that of profile p is not. */
int selftest_check_profile(const struct digest d[N_PROFILES], enum profile p, struct err *e) MUST_CHECK;

#endif
