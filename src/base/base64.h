/* Base64 of RFC 4648 §4: the standard alphabet, padded, canonical. */
#ifndef DK_BASE_BASE64_H
#define DK_BASE_BASE64_H

#include "base/buf.h"

/* Appends the text of p[0..n). */
int base64_add(struct buf *b, const void *p, size_t n, struct err *e) MUST_CHECK;

/* Bytes of a text, at most `cap`; -1 where it is not base64, does not fit, or where another text has the same bytes
 * (set bits behind the last one, missing padding, line ends). */
ptrdiff_t base64_read(unsigned char *out, size_t cap, const char *text, size_t n);

#endif
