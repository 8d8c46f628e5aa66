/* Pre-tokenisation: cutting normalised text into the pieces that BPE works on.
 *
 * A splitter is a list of passes, each cutting further inside the pieces the earlier ones left, with the
 * meaning of Hugging Face's pre_tokenizers Split, Digits and ByteLevel.  A single pass with a known pattern
 * runs as a hand-written cutter (lexer.h), anything else through PCRE2 with JIT. */
#ifndef DK_TEXT_SPLIT_H
#define DK_TEXT_SPLIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "text/lexer.h"

/* What becomes of the matches. */
enum split_behavior { SPLIT_ISOLATED, SPLIT_REMOVED, SPLIT_MERGED_PREVIOUS, SPLIT_MERGED_NEXT, SPLIT_CONTIGUOUS };

struct splitter; /* immutable once built: shared between threads */

int splitter_new(struct splitter **s, struct err *e) MUST_CHECK;
void splitter_free(struct splitter *s); /* safe on NULL */
/* Passes are added in order.  `pattern` is a regular expression in Oniguruma's dialect. */
int splitter_add_regex(struct splitter *s, const char *pattern, enum split_behavior b, bool invert,
                       struct err *e) MUST_CHECK;
int splitter_add_string(struct splitter *s, const char *text, enum split_behavior b, bool invert,
                        struct err *e) MUST_CHECK;
/* A space before every piece that does not begin with one (ByteLevel's add_prefix_space). */
int splitter_add_prefix_space(struct splitter *s, struct err *e) MUST_CHECK;
/* Tests and benchmarks: never use the hand-written cutters. */
void splitter_use_pcre2(struct splitter *s);

/* The cutter when the whole splitter is one known pattern, else NULL. */
lexer_fn *splitter_lexer(const struct splitter *s);

struct split_piece {
    size_t at, n;
};
/* Working space of one thread. */
struct split_work {
    struct split_piece *piece, *next;
    size_t n, cap, n_next, cap_next;
    struct buf text; /* the text when a pass has changed it */
    void *match, *context, *stack;
    const char *base; /* what `piece` counts from: the caller's text, or text.p */
};
void split_work_release(struct split_work *w);

/* Cuts n bytes of valid UTF-8: w->piece[0..w->n), in order, none empty. */
int splitter_run(const struct splitter *s, struct split_work *w, const char *text, size_t n,
                 struct err *e) MUST_CHECK;

#endif
