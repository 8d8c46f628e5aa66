/* What a ledger's records say: lines "KEY VALUE\n" in a fixed order, so that a record has one text and one hash.
 *
 * Values are UTF-8 without control characters.  Counts are decimal, digests 64 lower-case hex digits, floating-point
 * values their bits: 0x and 16 hex digits for binary64, of several 16 digits each behind one another. */
#ifndef DK_LEDGER_LINES_H
#define DK_LEDGER_LINES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/digest.h"

/* ---- writing: each appends a line; ERR_VALUE where the value cannot stand in one ---- */
int lines_add(struct buf *b, const char *key, const char *value, struct err *e) MUST_CHECK;
int lines_add_count(struct buf *b, const char *key, uint64_t v, struct err *e) MUST_CHECK;
int lines_add_real(struct buf *b, const char *key, double v, struct err *e) MUST_CHECK;
int lines_add_reals(struct buf *b, const char *key, const double *v, size_t n, struct err *e) MUST_CHECK;
int lines_add_digest(struct buf *b, const char *key, const struct digest *d, struct err *e) MUST_CHECK;

/* ---- reading: the next line must have that key; sentences begin with `where` ---- */
struct lines {
    const char *p;
    size_t n;              /* what is left */
    const char *where;     /* "run/ledger.bin: record 3 (SEGMENT)" */
};
struct line_value {
    const char *p;         /* not NUL-terminated */
    size_t n;
};
bool lines_at(const struct lines *t, const char *key);   /* is the next line's key that? */
int lines_take(struct lines *t, const char *key, struct line_value *v, struct err *e) MUST_CHECK;
/* Into out, NUL-terminated; ERR_LIMIT when it is longer than size − 1 bytes. */
int lines_take_text(char *out, size_t size, struct lines *t, const char *key, struct err *e) MUST_CHECK;
int lines_take_count(struct lines *t, const char *key, uint64_t *v, struct err *e) MUST_CHECK;
int lines_take_real(struct lines *t, const char *key, double *v, struct err *e) MUST_CHECK;
int lines_take_reals(struct lines *t, const char *key, double *v, size_t n, struct err *e) MUST_CHECK;
int lines_take_digest(struct lines *t, const char *key, struct digest *d, struct err *e) MUST_CHECK;
int lines_end(const struct lines *t, struct err *e) MUST_CHECK;   /* nothing is left */

#endif
