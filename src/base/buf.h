/* A growable byte buffer; always NUL-terminated one past `len` when non-empty. */
#ifndef DK_BASE_BUF_H
#define DK_BASE_BUF_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct buf {
    char *p;
    size_t len, cap;
};

/* All return 0 or ERR_NOMEM; on failure the old contents are untouched. */
int buf_reserve(struct buf *b, size_t more, struct err *e) MUST_CHECK;
int buf_add(struct buf *b, const void *p, size_t n, struct err *e) MUST_CHECK;
int buf_addc(struct buf *b, char c, struct err *e) MUST_CHECK;
int buf_adds(struct buf *b, const char *s, struct err *e) MUST_CHECK;
/* A string with its NUL, for tables that name their strings by offset: it stands at p + *at. */
int buf_addz(struct buf *b, size_t *at, const char *s, struct err *e) MUST_CHECK;
int buf_printf(struct buf *b, struct err *e, const char *fmt, ...) MUST_CHECK PRINTF_LIKE(3, 4);
void buf_clear(struct buf *b);     /* len = 0, keeps the storage */
void buf_release(struct buf *b);   /* safe on zero */

#endif
