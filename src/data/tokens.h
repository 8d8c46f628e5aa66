/* A corpus under a tokenizer as two token streams, train and held-out, in mmapped shards.
 *
 *   tokens.json   what the shards are: corpus root, tokenizer digest, fraction, counts; written last
 *   train.tokens, heldout.tokens   formats/shard.h
 *
 * Each document is <|bos|> ids <|eos|>; streams are the documents in corpus order.  Row i of a stream
 * cut to `seq` is tokens [i·seq, i·seq + seq] (the last one is only a target).  Positions restart at each
 * <|bos|> and at the row's start; a target that would cross into the next document is −1.
 *
 * A document is held out by its hash (corpus_held_out).  Where that leaves one side empty, a small corpus,
 * the document with the lowest hash is held out, or the one with the highest trained on.  A corpus of one
 * document is cut: about its last tenth is held out.  With heldout = 0 nothing is. */
#ifndef DK_DATA_TOKENS_H
#define DK_DATA_TOKENS_H

#include <stdint.h>

#include "base/digest.h"
#include "base/err.h"
#include "data/corpus.h"
#include "text/tokenizer.h"

struct tokens_opts {
    double heldout;       /* fraction of documents, by hash; in [0, 1) */
    int threads;          /* the shards do not depend on it; 0: all */
};
/* Makes `dir` hold the shards of this corpus and tokenizer: kept when its manifest already names the same
 * corpus root, tokenizer digest and fraction, else built anew (interrupted builds leave nothing behind).
 * The tokenizer must have <|bos|> and <|eos|>. */
int tokens_prepare(const char *dir, const struct corpus *c, const struct tokenizer *t,
                   const struct tokens_opts *o, struct err *e) MUST_CHECK;

/* Takes the shards and their manifest away, and the folder where it is empty then. */
void tokens_drop(const char *dir);

enum tokens_split { TOKENS_TRAIN, TOKENS_HELDOUT };
struct tokens;
int tokens_open(struct tokens **t, const char *dir, struct err *e) MUST_CHECK;
void tokens_close(struct tokens *t);
uint64_t tokens_count(const struct tokens *t, enum tokens_split s);
uint64_t tokens_docs(const struct tokens *t, enum tokens_split s);
/* Document i of a split is tokens [*from, *to) of its stream; i < tokens_docs. */
void tokens_document(const struct tokens *t, enum tokens_split s, uint64_t i, uint64_t *from, uint64_t *to);
struct digest tokens_corpus(const struct tokens *t);   /* root of the corpus they are of */
/* An error unless they are of this corpus under this tokenizer, with this <|bos|>, every id below vocab: shards say
 * themselves what they are, and may be someone else's. */
int tokens_need_source(const struct tokens *t, const struct digest *corpus, const struct digest *tokenizer, int vocab,
                       int bos, struct err *e) MUST_CHECK;
/* Training rows are whole, so a corpus shorter than seq + 1 tokens has none.  Held-out rows cover the whole
 * stream, so that every token is predicted exactly once and bits per byte are of the whole split: the last
 * row is filled up with <|bos|> at positions 0, 1, … of their own, target −1. */
uint64_t tokens_rows(const struct tokens *t, enum tokens_split s, int seq);
/* An error with the numbers in it when there is no training row of `seq`. */
int tokens_need_row(const struct tokens *t, int seq, struct err *e) MUST_CHECK;
/* Text bytes and characters (code points) of the documents of a split. */
void tokens_text(const struct tokens *t, enum tokens_split s, uint64_t *bytes, uint64_t *chars);
/* Row `i`: seq entries each. tok, pos, target as in model/net.h's batch. */
void tokens_row(const struct tokens *t, enum tokens_split s, int seq, uint64_t i, int *tok, int *pos,
                int *target);
/* The row of training sample number `sample`: epoch = sample / rows, a keyed permutation inside it. */
uint64_t tokens_order(const struct tokens *t, int seq, uint64_t seed, uint64_t sample);

#endif
