/* Hand-written cutters for the split patterns we know: the same pieces as the regular expression, without
 * running it.  The test suite compares each with PCRE2 on its pattern. */
#ifndef DK_TEXT_LEXER_H
#define DK_TEXT_LEXER_H

#include <stddef.h>

#include "text/unicode.h"

/* Bytes of the first piece of valid text p[0..n), n > 0. */
typedef size_t lexer_fn(const struct uc_table *t, const unsigned char *p, size_t n);

/* The cutter for a pattern, or NULL. */
lexer_fn *lexer_for(const char *pattern);

/* Our own pattern, written into every tokenizer trained here:
 *  - an eojeol, the run of Hangul between spaces, is a piece with its leading space;
 *  - other letters are pieces of their own, so that in "API를" the particle is the token it is elsewhere;
 *  - English contractions are cut off, with either apostrophe, only at a word's end;
 *  - digits come in threes at most and never with a space, so a number looks the same everywhere;
 *  - punctuation takes a leading space and the newlines after it; combining marks belong to the letter before
 *    them, and to the symbols otherwise (emoji with variation selectors stay whole);
 *  - white space up to its last newline is a piece; of other white space the last character is left to the
 *    next piece. */
extern const char lexer_pattern_dokja[];
extern const char lexer_pattern_gpt2[];

#endif
