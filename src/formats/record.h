/* The ordinary record of a .jsonl file, read in one pass without building a tree.
 *
 * A line is accepted only when a full JSON parser (jansson with JSON_REJECT_DUPLICATES, which is what json_parse
 * is, behind formats/longint.h) accepts it too and finds the same strings in it.  Whatever is rare or wrong is left to
 * that parser: escapes in keys, exponents, nesting deeper than 8, more than 64 keys, any error. */
#ifndef DK_FORMATS_RECORD_H
#define DK_FORMATS_RECORD_H

#include <stdbool.h>
#include <stddef.h>

struct record {
    char *text; /* in the line, as are the others; each followed by NUL */
    size_t n;
    const char *id, *source, *license, *lang; /* "" when absent or no string; an id may be an integer's digits */
};

/* True: an object with a string "text", decoded in place in line[0..n), which loses its contents.  False: the line
 * is unusual or wrong, and untouched. */
bool record_scan(struct record *r, char *line, size_t n);

#endif
