/* Oniguruma's regular expressions, as Hugging Face `tokenizers` runs them, said in PCRE2's.
 *
 * The two agree on most of the syntax and disagree quietly on the rest: \h is a hexadecimal digit, \s and \w
 * are Unicode properties of another version, ^ and $ are line anchors, {1,3}+ repeats the group instead of
 * being possessive, \p{Han} is the script and not its extensions.  What cannot be said faithfully is refused. */
#ifndef DK_TEXT_DIALECT_H
#define DK_TEXT_DIALECT_H

#include "base/buf.h"
#include "base/err.h"

/* Appends the PCRE2 form of `pattern` to out.  The sentence in e names the construct, not the pattern. */
int dialect_to_pcre2(struct buf *out, const char *pattern, struct err *e) MUST_CHECK;

#endif
