#include "base/buf.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

int buf_reserve(struct buf *b, size_t more, struct err *e)
{
    size_t need;
    if (__builtin_add_overflow(b->len, more, &need) || need >= PTRDIFF_MAX)
        return err_set(e, ERR_NOMEM, "out of memory: a buffer of %zu + %zu bytes", b->len, more);
    need++; /* the NUL */
    if (need <= b->cap) return 0;
    size_t cap = b->cap < 64 ? 64 : b->cap;
    while (cap < need) cap = cap > PTRDIFF_MAX / 2 ? need : cap * 2;
    char *p = mem_resize(b->p, cap, 1);
    if (!p) return err_set(e, ERR_NOMEM, "out of memory: a buffer of %zu bytes", cap);
    if (!b->p) p[0] = 0;
    b->p = p;
    b->cap = cap;
    return 0;
}

int buf_add(struct buf *b, const void *p, size_t n, struct err *e)
{
    if (buf_reserve(b, n, e)) return ERR_NOMEM;
    if (n) memcpy(b->p + b->len, p, n);
    b->len += n;
    b->p[b->len] = 0;
    return 0;
}

int buf_addc(struct buf *b, char c, struct err *e) { return buf_add(b, &c, 1, e); }

int buf_adds(struct buf *b, const char *s, struct err *e) { return buf_add(b, s, strlen(s), e); }

int buf_addz(struct buf *b, size_t *at, const char *s, struct err *e)
{
    *at = b->len;
    return buf_add(b, s, strlen(s) + 1, e);
}

int buf_printf(struct buf *b, struct err *e, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    size_t room = b->p ? b->cap - b->len : 0;
    int n = vsnprintf(room ? b->p + b->len : NULL, room, fmt, ap), rc = 0;
    va_end(ap);
    assert(n >= 0); /* only a malformed format or wide characters fail */
    if ((size_t)n >= room) {
        if (room) b->p[b->len] = 0;
        rc = buf_reserve(b, (size_t)n, e);
        if (!rc) vsnprintf(b->p + b->len, (size_t)n + 1, fmt, again);
    }
    va_end(again);
    if (!rc) b->len += (size_t)n;
    return rc;
}

void buf_clear(struct buf *b)
{
    b->len = 0;
    if (b->p) b->p[0] = 0;
}

void buf_release(struct buf *b)
{
    mem_free(b->p);
    *b = (struct buf){0};
}
