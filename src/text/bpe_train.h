/* Training a byte-level BPE vocabulary from documents.
 *
 * Documents are normalised (NFC), cut into pieces and the distinct pieces counted; then the most frequent pair of
 * neighbouring tokens is merged, the smaller id pair first among equals, until the vocabulary is full.  Counts
 * are 64 bits.  The result is a function of the multiset of documents and the options: neither their order nor
 * the number of threads enters it.  Ids: special tokens, the 256 bytes by code point of their printable form, then
 * merges in order: the same as Hugging Face `tokenizers` trains from the same pieces, as long as no two merges
 * give the same token. */
#ifndef DK_TEXT_BPE_TRAIN_H
#define DK_TEXT_BPE_TRAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "text/tokenizer.h"

struct bpe_train_progress {
    uint64_t bytes, documents, pieces; /* read so far; distinct pieces */
    int done, vocab;                   /* tokens made, tokens wanted; done 0 while counting */
};

struct bpe_train_opts {
    int vocab;                  /* all ids: special tokens and bytes included */
    bool at_most;               /* what the documents support, where that is less */
    const char *const *special; /* NULL: the default set of 16, <|bos|> … */
    int n_special;
    const char *pattern; /* NULL: ours (lexer.h) */
    uint64_t min_count;  /* rarer pairs are not merged; 0: 2 */
    int threads;         /* 0: as OpenMP has them */
    /* Called now and then by the calling thread; false stops with ERR_STOPPED. */
    bool (*progress)(void *ctx, const struct bpe_train_progress *p);
    void *ctx;
};

extern const char *const bpe_default_special[16];

struct bpe_trainer;
int bpe_trainer_new(struct bpe_trainer **tr, const struct bpe_train_opts *o, struct err *e) MUST_CHECK;
void bpe_trainer_free(struct bpe_trainer *tr); /* safe on NULL */
/* One document of any bytes.  Called by one thread; the counting inside is parallel. */
int bpe_trainer_add(struct bpe_trainer *tr, const char *text, size_t n, struct err *e) MUST_CHECK;
/* Tests: a piece as if it had been read `count` times. */
int bpe_trainer_add_piece(struct bpe_trainer *tr, const char *piece, size_t n, uint64_t count,
                          struct err *e) MUST_CHECK;
/* ERR_VALUE, naming the reachable size, when the documents do not hold enough pairs (and at_most is not set). */
int bpe_trainer_finish(struct bpe_trainer *tr, struct tokenizer **t, struct err *e) MUST_CHECK;

#endif
