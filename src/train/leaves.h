/* RUN/ledger.leaves: of each segment's end, the hashes of the state's chunks (docs/numerics.md §9), so that a replay
 * which comes to another root can say where in the state it is another.
 *
 * "dokjaLV1", then for each segment in order 32 bytes a chunk.  Nobody has to trust it: a segment's hashes count only
 * where they give the root of its record.  What is missing, short or damaged takes that answer away, nothing else. */
#ifndef DK_TRAIN_LEAVES_H
#define DK_TRAIN_LEAVES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/digest.h"

/* Those of a segment, leaf (n), into their place. */
int leaves_put(const char *path, uint64_t segment, const struct digest *leaf, uint64_t n, struct err *e) MUST_CHECK;
/* leaf (n); false: they are not there, or give another root. */
bool leaves_get(struct digest *leaf, uint64_t n, const char *path, uint64_t segment, const struct digest *root);
struct digest leaves_root(const struct digest *leaf, uint64_t n);

#endif
