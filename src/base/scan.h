/* Runs of easy bytes, sixteen at a time: what most text consists of is passed over at the speed of memory, the
 * rest is left to those who know better.  No byte beyond p[0..n) is read. */
#ifndef DK_BASE_SCAN_H
#define DK_BASE_SCAN_H

#include <stdbool.h>
#include <stddef.h>

/* Length of the prefix that stands for itself in a JSON string: no '"', no '\\', nothing below U+0020.  UTF-8 is
 * not looked at. */
size_t scan_json_plain(const char *p, size_t n);

enum { SCAN_LEAST = 18 };

/* The end of a run from p[from] on, where a character begins, of whole characters in ASCII, U+2002–U+203F,
 * U+4000–U+9FFF and U+AC00–U+D77F: valid UTF-8 that normal form C leaves alone.  What stands before p[from] in p is
 * valid UTF-8.  The run ends before a character of another kind, or what is none; fewer than SCAN_LEAST bytes are not
 * looked at. */
size_t scan_easy_utf8(const unsigned char *p, size_t from, size_t n);
/* The same within a JSON string: the run ends before '"' and anything below U+0020 too.  It passes over escapes of
 * two characters, or ends before them, and sets *escaped when it passed one; it may leave the last SCAN_LEAST bytes. */
size_t scan_json_easy(const unsigned char *p, size_t from, size_t n, bool *escaped);

/* Whether another look for a run pays where c begins a character, left bytes before the end. */
static inline bool scan_pays(unsigned char c, size_t left)
{
    return (c < 0x80 || (c >= 0xE4 && c <= 0xED)) && left >= SCAN_LEAST;
}

/* Bytes that begin a character: the number of characters in valid UTF-8. */
size_t scan_count_chars(const char *p, size_t n);

#endif
