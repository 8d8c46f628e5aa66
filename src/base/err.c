#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* vsnprintf cuts at bytes; drop a UTF-8 sequence whose tail was lost. */
static void cut_whole(char *s, size_t n)
{
    size_t i = n, back = 0;
    while (i > 0 && back < 3 && ((unsigned char)s[i - 1] & 0xC0) == 0x80) i--, back++;
    if (i == 0) return;
    unsigned char c = (unsigned char)s[i - 1];
    size_t need = c >= 0xF0 ? 3 : c >= 0xE0 ? 2 : c >= 0xC0 ? 1 : 0;
    if (back < need) s[i - 1] = 0;
}

static void put(char *out, size_t cap, const char *fmt, va_list ap) PRINTF_LIKE(3, 0);
static void put(char *out, size_t cap, const char *fmt, va_list ap)
{
    int n = vsnprintf(out, cap, fmt, ap);
    if (n < 0) out[0] = 0;
    else if ((size_t)n >= cap) cut_whole(out, cap - 1);
}

int err_set(struct err *e, int code, const char *fmt, ...)
{
    if (!e) return code;
    /* The arguments may point into e->msg. */
    char msg[sizeof e->msg];
    va_list ap;
    va_start(ap, fmt);
    put(msg, sizeof msg, fmt, ap);
    va_end(ap);
    memcpy(e->msg, msg, strlen(msg) + 1);
    e->code = code;
    return code;
}

int err_prefix(struct err *e, const char *fmt, ...)
{
    if (!e) return ERR_IO;
    char msg[sizeof e->msg];
    va_list ap;
    va_start(ap, fmt);
    put(msg, sizeof msg, fmt, ap);
    va_end(ap);
    size_t n = strlen(msg);
    int k = snprintf(msg + n, sizeof msg - n, ": %s", e->msg);
    if (k > 0 && (size_t)k >= sizeof msg - n) cut_whole(msg, sizeof msg - 1);
    memcpy(e->msg, msg, strlen(msg) + 1);
    return e->code;
}
