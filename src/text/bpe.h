/* The byte-level BPE model: tokens as byte strings, merges by rank, and the encoding of one piece.
 *
 * Encoding applies, again and again, the merge of lowest rank, leftmost first, until none applies: the
 * definition of Sennrich et al., "Neural Machine Translation of Rare Words with Subword Units" (2016), over
 * bytes.  Short pieces are scanned, long ones use a heap over a linked list: O(n log n) whatever the text. */
#ifndef DK_TEXT_BPE_H
#define DK_TEXT_BPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/hash.h"
#include "text/tokenizer.h"

enum { BPE_MAX_VOCAB = 1 << 22, BPE_SYLLABLES = 11172 };

enum bpe_token_flag {
    BPE_TOKEN_USED = 1,   /* the id exists */
    BPE_TOKEN_TEXT = 2,   /* made of mapped bytes: stands for text and may be looked up */
    BPE_TOKEN_WHOLE = 4,  /* a piece equal to it encodes to it alone */
    BPE_TOKEN_SPECIAL = 8 /* a special token: ordinary text never becomes it by look-up */
};

struct bpe_slot {
    uint64_t pair; /* left << 32 | right */
    uint32_t rank; /* UINT32_MAX: empty */
    int32_t id;
};

struct bpe {
    uint32_t n;           /* ids are [0, n) */
    struct buf bytes;     /* all tokens' bytes */
    uint32_t *at;         /* n + 1 offsets into bytes */
    uint8_t *flag;        /* enum bpe_token_flag */
    int32_t byte_id[256]; /* −1: the vocabulary lacks this byte */
    int32_t unk;          /* −1: bytes without a token are dropped, as `tokenizers` does */
    bool fuse_unk, ignore_merges;
    struct hash_key key; /* of both tables: a file cannot choose what collides */
    int32_t *lookup; /* open addressing over the bytes; −1: empty */
    uint32_t lookup_mask;
    struct bpe_slot *merge;
    uint32_t merge_mask;
    int32_t *syllable; /* tokens of U+AC00 …, then of each after the space a piece begins with; −1: not settled */
};

/* `at`, `flag`, `bytes` are filled by the caller for n tokens; this builds the look-up by content and draws the key,
 * before bpe_reserve_merges. */
int bpe_index(struct bpe *b, struct err *e) MUST_CHECK;
int bpe_reserve_merges(struct bpe *b, size_t n, struct err *e) MUST_CHECK;
/* A later merge of the same pair replaces the earlier one, as `tokenizers` reads it. */
void bpe_add_merge(struct bpe *b, int32_t left, int32_t right, uint32_t rank, int32_t id);
/* After all merges: which tokens are reached from their own bytes; which syllables need no look at their bytes. */
int bpe_finish(struct bpe *b, struct err *e) MUST_CHECK;
int bpe_settle_syllables(struct bpe *b, struct err *e) MUST_CHECK; /* part of bpe_finish */
void bpe_release(struct bpe *b);

static inline uint32_t bpe_pair_slot(const struct bpe *b, uint64_t pair)
{
    return (uint32_t)hash_word(b->key, pair) & b->merge_mask;
}

/* The slot of a pair; its rank is UINT32_MAX when there is no such merge. */
static inline const struct bpe_slot *bpe_find_merge(const struct bpe *b, int32_t left, int32_t right)
{
    uint64_t pair = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
    uint32_t i = bpe_pair_slot(b, pair);
    while (b->merge[i].rank != UINT32_MAX && b->merge[i].pair != pair)
        i = (i + 1) & b->merge_mask;
    return &b->merge[i];
}

/* The token with exactly these bytes, or −1. */
int32_t bpe_find(const struct bpe *b, const void *p, size_t n);

/* Working space for pieces; zero is empty. */
struct bpe_work {
    int32_t *id, *prev, *next;
    size_t cap;
    uint64_t *heap;
    size_t n_heap, cap_heap;
};
void bpe_work_release(struct bpe_work *w);

/* Appends the tokens of one piece of n > 0 bytes. */
int bpe_piece(const struct bpe *b, struct bpe_work *w, struct token_vec *out, const unsigned char *p, size_t n,
              struct err *e) MUST_CHECK;

int token_vec_reserve(struct token_vec *v, size_t more, struct err *e) MUST_CHECK;

/* The printable alphabet: byte ↔ code point. */
int32_t bpe_byte_to_char(unsigned char byte);
int bpe_char_to_byte(int32_t cp); /* −1: not in the alphabet */

#endif
