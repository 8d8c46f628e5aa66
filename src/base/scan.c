#include "base/scan.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* The compiler's vectors of sixteen bytes: plain SSE2 on x86-64. */
typedef uint8_t bytes16 __attribute__((vector_size(16)));
typedef int8_t signed16 __attribute__((vector_size(16)));
typedef uint64_t words2 __attribute__((vector_size(16)));

static inline bytes16 load(const void *p) {
    bytes16 v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline bool any(bytes16 mask) {
    words2 w = (words2)mask;
    return (w[0] | w[1]) != 0;
}

/* Index of the first byte that is set; there is one. */
static inline size_t first(bytes16 mask) {
    words2 w = (words2)mask;
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    return (size_t)(w[0] ? __builtin_ctzll(w[0]) : 64 + __builtin_ctzll(w[1])) / 8;
#else
    return (size_t)(w[0] ? __builtin_clzll(w[0]) : 64 + __builtin_clzll(w[1])) / 8;
#endif
}

size_t scan_json_plain(const char *p, size_t n) {
    size_t i = 0;
    for (; i + 16 <= n; i += 16) {
        bytes16 v = load(p + i), stop = (bytes16)(v == '"') | (bytes16)(v == '\\') | (bytes16)(v < 0x20);
        if (any(stop)) return i + first(stop);
    }
    while (i < n && (unsigned char)p[i] >= 0x20 && p[i] != '"' && p[i] != '\\') i++;
    return i;
}

/* E4 … ED; signed comparisons, which SSE2 has, after a shift to the end of the range. */
static inline bytes16 leads_three(bytes16 v) { return (bytes16)((signed16)(v + (0x7F - 0xED)) > (0x7F - 0xED + 0xE3)); }

/* Set where the byte v is not easy, one and two standing before it. */
static inline bytes16 hard(bytes16 v, bytes16 one, bytes16 two) {
    bytes16 cont = (bytes16)((signed16)v < -0x40), ascii = (bytes16)((signed16)v >= 0);
    bytes16 wrong = cont ^ (leads_three(one) | leads_three(two));
    wrong |= ~(ascii | cont | leads_three(v));
    wrong |= (bytes16)(one == 0xEA) & (bytes16)((signed16)v < 0xB0 - 256);
    wrong |= (bytes16)(one == 0xED) & (bytes16)((signed16)v > 0x9D - 256);
    return wrong;
}

size_t scan_easy_utf8(const unsigned char *p, size_t from, size_t n) {
    size_t i = from;
    if (n - from < 16) return from;
    if (i < 2) { /* nothing to look back at */
        unsigned char start[18] = {0};
        memcpy(start + 2, p + i, 16);
        if (any(hard(load(start + 2), load(start + 1), load(start)))) return from;
        i += 16;
    }
    while (i + 16 <= n && !any(hard(load(p + i), load(p + i - 1), load(p + i - 2)))) i += 16;
    if (i == from) return i;
    /* The last character may reach beyond: back to its lead. */
    if (p[i - 1] >= 0xC0) return i - 1;
    if (p[i - 2] >= 0xC0) return i - 2;
    return i;
}

size_t scan_count_chars(const char *p, size_t n) {
    size_t i = 0, chars = 0;
    while (i + 16 <= n) {
        /* A lane counts up to 255; a mask is −1. */
        bytes16 sum = {0};
        size_t stop = n - i > 255 * 16 ? i + 255 * 16 : n;
        for (; i + 16 <= stop; i += 16) sum -= (bytes16)((load(p + i) & 0xC0) != 0x80);
        for (int k = 0; k < 16; k++) chars += sum[k];
    }
    for (; i < n; i++) chars += ((unsigned char)p[i] & 0xC0) != 0x80;
    return chars;
}
