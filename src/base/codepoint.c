#include "base/codepoint.h"

#include <utf8proc.h>

size_t codepoint_next(int32_t *cp, const char *s, size_t n)
{
    const unsigned char *u = (const unsigned char *)s;
    unsigned char c = u[0];
    *cp = c;
    if (c < 0x80) return 1;
    *cp = -1;
    size_t len = c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : 2;
    if (c < 0xC2 || c > 0xF4) return 1;
    /* The second byte's range rules out overlong forms, surrogates and beyond U+10FFFF. */
    unsigned char lo = c == 0xE0 ? 0xA0 : c == 0xF0 ? 0x90 : 0x80, hi = c == 0xED ? 0x9F : c == 0xF4 ? 0x8F : 0xBF;
    int32_t v = c & (0x7F >> len);
    for (size_t i = 1; i < len; i++, lo = 0x80, hi = 0xBF) {
        if (i >= n || u[i] < lo || u[i] > hi) return i;
        v = v << 6 | (u[i] & 0x3F);
    }
    *cp = v;
    return len;
}

int codepoint_width(int32_t cp)
{
    if (cp < 32 || (cp >= 0x7F && cp < 0xA0)) return 1;
    return utf8proc_charwidth(cp);
}

size_t text_cut(const char *s, size_t n, size_t columns)
{
    size_t i = 0, w = 0;
    while (i < n) {
        int32_t cp;
        size_t k = codepoint_next(&cp, s + i, n - i);
        w += (size_t)codepoint_width(cp);
        if (w > columns) break;
        i += k;
    }
    return i;
}

size_t text_width(const char *s, size_t n)
{
    size_t w = 0;
    for (size_t i = 0; i < n;) {
        int32_t cp;
        i += codepoint_next(&cp, s + i, n - i);
        w += (size_t)codepoint_width(cp);
    }
    return w;
}
