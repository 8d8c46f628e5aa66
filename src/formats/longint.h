/* Integers of a line of JSON that a parser with 64 bits refuses, though JSON has no limit: hashes, mostly.
 *
 * Each integer of LONGINT_DIGITS digits or more becomes LONGINT_FIRST + its number among them, in the same place and
 * under the same sign, spaces behind it: no shorter one has such a value, columns stay, and its digits are found
 * again.  What is no JSON stays none. */
#ifndef DK_FORMATS_LONGINT_H
#define DK_FORMATS_LONGINT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"

#define LONGINT_FIRST 1000000000000000000LL
enum { LONGINT_DIGITS = 19 };

/* Puts the line, with its long integers replaced, into *out (cleared first), which stays empty where there is none. */
int longint_hide(struct buf *out, const char *line, size_t n, struct err *e) MUST_CHECK;
/* The digits, with their sign, that `value` stands for; NULL: it stands for itself. */
const char *longint_find(const char *line, size_t n, long long value, size_t *len);

#endif
