/* Proofs about RFC 6962 trees: that a leaf stands in one (§2.1.1), and that a tree is the beginning of a larger one
 * (§2.1.2); checked as RFC 9162 §2.1.3.2 and §2.1.4.2 do. */
#ifndef DK_LEDGER_PROOF_H
#define DK_LEDGER_PROOF_H

#include <stdbool.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/err.h"

enum { PROOF_MAX = 130 };   /* hashes: 64 levels, twice for a small tree in a large one */

struct proof {
    struct digest hash[PROOF_MAX];
    int n;
};

/* Of leaf `i` among the n leaf hashes; i < n. */
void proof_inclusion(struct proof *p, const struct digest *leaf, uint64_t n, uint64_t i);
/* That the tree of the first m leaves begins the tree of all n; 0 < m <= n. */
void proof_consistency(struct proof *p, const struct digest *leaf, uint64_t n, uint64_t m);

/* With leaf hash, its place, the tree's size and root, from whoever gave them. */
bool proof_included(const struct proof *p, const struct digest *leaf, uint64_t i, uint64_t n,
                    const struct digest *root);
bool proof_consistent(const struct proof *p, uint64_t m, const struct digest *root_m, uint64_t n,
                      const struct digest *root_n);

#endif
