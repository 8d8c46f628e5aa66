/* Runs of easy bytes, sixteen at a time: what most text consists of is passed over at the speed of memory, the
 * rest is left to those who know better.  No byte beyond p[0..n) is read. */
#ifndef DK_BASE_SCAN_H
#define DK_BASE_SCAN_H

#include <stddef.h>

/* Length of the prefix that stands for itself in a JSON string: no '"', no '\\', nothing below U+0020.  UTF-8 is
 * not looked at. */
size_t scan_json_plain(const char *p, size_t n);

/* The end of a run from p[from] on, where a character begins, of whole characters in ASCII, U+4000–U+9FFF and
 * U+AC00–U+D77F: valid UTF-8 that normal form C leaves alone.  It may end before such a character.  What stands
 * before p[from] in p is valid UTF-8. */
size_t scan_easy_utf8(const unsigned char *p, size_t from, size_t n);

/* Bytes that begin a character: the number of characters in valid UTF-8. */
size_t scan_count_chars(const char *p, size_t n);

#endif
