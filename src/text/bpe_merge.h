/* The merging half of BPE training: from counted pieces to a list of merges.
 *
 * Every piece is a short array of token ids, edited in place.  A pair knows its count and the pieces it is in.  The
 * best pair is taken from a heap whose counts may be too high by now: a stale entry goes back with its true count.
 * Within one merge all changes concern pairs with one of the two parts or the new token, so they add up in plain
 * arrays indexed by the other token, and the table of pairs is touched once for each. */
#ifndef DK_TEXT_BPE_MERGE_H
#define DK_TEXT_BPE_MERGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "text/piece_count.h"

struct bpe_merge_opts {
    uint32_t vocab, first; /* tokens wanted; tokens that exist at first */
    bool at_most; /* fewer tokens when no pair is left, not an error */
    uint64_t min_count;
    const int32_t *byte_id; /* [256] */
    struct buf *bytes;      /* contents of the tokens, grows */
    uint32_t *at;           /* vocab + 1 offsets, the first `first` + 1 given */
    bool (*progress)(void *ctx, int n_token);
    void *ctx;
};
struct bpe_merges {
    int32_t *merge; /* pairs of ids */
    uint32_t n_merge, cap_merge, n_token;
};
/* Empties the counter's shards as it goes. */
int bpe_merge_run(struct bpe_merges *m, struct piece_counter *c, const struct bpe_merge_opts *o,
                  struct err *e) MUST_CHECK;
void bpe_merges_release(struct bpe_merges *m);

#endif
