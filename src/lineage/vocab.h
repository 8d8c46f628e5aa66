/* The tokens of a model by their text: tokenizer.json beside the weights, or the metadata of a GGUF file. */
#ifndef DK_LINEAGE_VOCAB_H
#define DK_LINEAGE_VOCAB_H

#include "lineage/view.h"

struct vocab_entry {
    const char *text;    /* a leading U+2581 (SentencePiece's blank) reads as U+0120 (byte-level BPE's) */
    int id;
};
struct vocab {
    struct vocab_entry *v;   /* sorted by text, then id */
    int n;
    char *text;
};
/* Without a tokenizer n is 0. Ids at or beyond the embedding's rows are left out. */
int vocab_open(struct vocab *t, const struct view *v, struct err *e) MUST_CHECK;
void vocab_release(struct vocab *t);

struct token_pair {
    int a, b;
};
/* Tokens with the same text, in the order of their text; where neither model has a tokenizer and the embeddings have
 * equally many rows, equal ids instead (by_id).  jaccard: shared of all different tokens, −1 when by_id. */
struct token_pairs {
    struct token_pair *p;
    int n;
    bool by_id;
    double jaccard;
};
int vocab_shared(struct token_pairs *s, const struct vocab *a, const struct vocab *b, const struct view *va,
                 const struct view *vb, struct err *e) MUST_CHECK;
void token_pairs_release(struct token_pairs *s);

#endif
