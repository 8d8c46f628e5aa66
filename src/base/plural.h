/* "1 file", "2 files": counts in English sentences. */
#ifndef DK_BASE_PLURAL_H
#define DK_BASE_PLURAL_H

/* What stands behind a noun, and one of two formats that take the same arguments. */
#define PLURAL(n) ((n) == 1 ? "" : "s")
#define ONE_OR(n, one, more) ((n) == 1 ? (one) : (more))

#endif
