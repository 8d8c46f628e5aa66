/* JSON through jansson, with errors that name file and field.
 *
 * json_t is jansson's own type; these helpers only read and write it. */
#ifndef DK_BASE_JSON_H
#define DK_BASE_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

/* Parses a file of at most `limit` bytes; duplicate keys are refused; depth is bounded.
 * *out is a new reference. `where` in messages is the path. */
int json_read(json_t **out, const char *path, size_t limit, struct err *e) MUST_CHECK;
int json_parse(json_t **out, const char *text, size_t n, const char *where, struct err *e) MUST_CHECK;
/* The same for a string that stands alone; it may hold NUL. */
int json_parse_string(json_t **out, const char *text, size_t n, const char *where, struct err *e) MUST_CHECK;
/* Writes pretty (2 spaces, keys in insertion order) and replaces atomically. */
int json_write(const char *path, const json_t *v, struct err *e) MUST_CHECK;

/* Field readers: a missing field takes the default when `opt` is true, else is an error;
 * a wrong type or a value out of [lo, hi] is an error naming where and key. */
int json_get_int(int64_t *out, const json_t *obj, const char *key, int64_t lo, int64_t hi, bool opt,
                 int64_t dflt, const char *where, struct err *e) MUST_CHECK;
int json_get_real(double *out, const json_t *obj, const char *key, double lo, double hi, bool opt,
                  double dflt, const char *where, struct err *e) MUST_CHECK;
int json_get_bool(bool *out, const json_t *obj, const char *key, bool opt, bool dflt,
                  const char *where, struct err *e) MUST_CHECK;
/* Borrowed pointer, valid while obj lives. */
int json_get_str(const char **out, const json_t *obj, const char *key, bool opt, const char *dflt,
                 const char *where, struct err *e) MUST_CHECK;

/* Building step by step: `v` becomes obj's member `key`, or array's last element, and what was built so far comes back;
 * NULL, with all of it released, where anything is missing: obj or v is NULL (no memory, or text that is not UTF-8) or
 * memory is short.  So one look at the end is enough. */
json_t *json_with(json_t *obj, const char *key, json_t *v) MUST_CHECK;
json_t *json_and(json_t *array, json_t *v) MUST_CHECK;

/* Appends `v` as text: indent > 0 pretty, 0 on one line; keys in insertion order, reals with the
 * fewest digits that read back to the same binary64 (never as an integer). */
int json_print(struct buf *b, const json_t *v, int indent, struct err *e) MUST_CHECK;
/* Appends `s` as a JSON string literal with quotes; invalid UTF-8 becomes U+FFFD. */
int json_quote(struct buf *b, const char *s, size_t n, struct err *e) MUST_CHECK;
/* The same of what is known to be valid UTF-8, without a look at it: for much text. */
int json_quote_valid(struct buf *b, const char *s, size_t n, struct err *e) MUST_CHECK;

#endif
