/* Added tokens: contents found in the text before it is cut, leftmost-longest, with the flags of Hugging Face
 * `tokenizers` (single_word, lstrip, rstrip, normalized, special). */
#ifndef DK_TEXT_ADDED_H
#define DK_TEXT_ADDED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct added_token {
    char *content; /* as matched: in normal form when `normalized` and the tokenizer normalises */
    size_t n;
    int32_t id;
    bool single_word, lstrip, rstrip, normalized, special;
};

/* One set of contents: those matched on the raw text or those matched on the normalised text. */
struct added_set {
    const struct added_token **token; /* sorted by bytes */
    size_t n;
    bool starts[256];
};

/* Takes the tokens whose `normalized` is as given, from an array that must live as long as the set. */
int added_set_init(struct added_set *s, const struct added_token *t, size_t n, bool normalized,
                   struct err *e) MUST_CHECK;
void added_set_release(struct added_set *s);

struct added_match {
    size_t from, to;
    const struct added_token *token;
};
/* Walks over text[0..n), valid UTF-8.  `at` is where to look next and `from` where the last token ended: both 0
 * at first.  False: no more.  special false: special tokens are passed over as ordinary text. */
struct added_walk {
    const struct added_set *set;
    const char *text;
    size_t n, at, from;
    bool special;
};
bool added_next(struct added_walk *w, struct added_match *m);

#endif
