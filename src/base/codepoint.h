/* UTF-8 one code point at a time, and its width on a screen. */
#ifndef DK_BASE_CODEPOINT_H
#define DK_BASE_CODEPOINT_H

#include <stddef.h>
#include <stdint.h>

/* Decodes the code point at s[0..n), n > 0; returns the bytes consumed.  At bytes that are not UTF-8
 * *cp = −1 and the maximal ill-formed part (Unicode §3.9: 1 to 3 bytes) is consumed. */
size_t codepoint_next(int32_t *cp, const char *s, size_t n);

/* Columns of a terminal: East Asian wide 2, combining marks 0, control and bad bytes 1. */
int codepoint_width(int32_t cp);
size_t text_width(const char *s, size_t n);
/* The longest whole-character prefix not wider than `columns`, in bytes. */
size_t text_cut(const char *s, size_t n, size_t columns);

#endif
