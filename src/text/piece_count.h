/* Counting distinct pieces in parallel: threads cut their share of a batch and sort the pieces by hash into shards,
 * then each shard's table is filled by one thread.  Sums do not depend on who added first. */
#ifndef DK_TEXT_PIECE_COUNT_H
#define DK_TEXT_PIECE_COUNT_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "text/split.h"

enum { PIECE_SHARDS = 64 };

struct piece_entry {
    uint64_t hash, count; /* count 0: empty */
    uint32_t n;
    uint64_t at; /* in the shard's keys */
};
struct piece_shard {
    struct piece_entry *slot;
    size_t n, mask; /* mask 0: no table yet */
    struct buf keys;
};

struct piece_counter;
int piece_counter_new(struct piece_counter **c, const struct splitter *s, int threads, struct err *e) MUST_CHECK;
void piece_counter_free(struct piece_counter *c);
/* Counts the pieces of text[at[i]..at[i + 1]) for i < n: each a stretch of any bytes, already in normal form. */
int piece_counter_batch(struct piece_counter *c, const char *text, const size_t *at, size_t n,
                        struct err *e) MUST_CHECK;
int piece_counter_one(struct piece_counter *c, const char *piece, size_t n, uint64_t count, struct err *e) MUST_CHECK;
size_t piece_counter_distinct(const struct piece_counter *c);
struct piece_shard *piece_counter_shard(struct piece_counter *c, int i);
void piece_shard_release(struct piece_shard *s);

#endif
