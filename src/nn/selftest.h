/* The numeric self-test (docs/numerics.md §9): a fixed battery through every kernel and op, and one
 * SHA-256 over the bits of all results.
 *
 * The digest is the profile's name: it is the same for every instruction set, compiler, optimisation
 * level and thread count, and changes exactly when some result does.  Inputs come from Philox with
 * fixed counters and from a list of edge values; a NaN counts as one value whatever its payload. */
#ifndef DK_NN_SELFTEST_H
#define DK_NN_SELFTEST_H

#include "base/digest.h"
#include "nn/nn.h"

#define SELFTEST_PROFILE "T1"
/* What every conforming build gives.  A change that moves it changes results: that is a new profile,
 * never a speed-up. */
#define SELFTEST_T1 "5e906e106cc2e7c07d78fb85145d300ceb747370c756409742706a67c19088ae"

/* Uses x's kernels, threads and scratch; allocates its own data, about 64 MiB at most. */
int selftest_digest(struct digest *out, const struct nn *x, struct err *e) MUST_CHECK;

#endif
