#include "base/scan.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* The compiler's vectors of sixteen bytes: plain SSE2 on x86-64. */
typedef uint8_t bytes16 __attribute__((vector_size(16)));
typedef int8_t signed16 __attribute__((vector_size(16)));
#ifdef __SSE2__
typedef char char16 __attribute__((vector_size(16)));
#else
typedef uint64_t words2 __attribute__((vector_size(16)));
#endif

static inline bytes16 load(const void *p)
{
    bytes16 v;
    memcpy(&v, p, sizeof v);
    return v;
}

/* Bit k for byte k of a mask. */
static inline unsigned bits_of(bytes16 mask)
{
#ifdef __SSE2__
    return (unsigned)__builtin_ia32_pmovmskb128((char16)mask);
#else
    words2 w = (words2)(mask & 1);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    w[0] = __builtin_bswap64(w[0]), w[1] = __builtin_bswap64(w[1]);
#endif
    const uint64_t gather = 0x0102040810204080; /* brings bit 8k to 56 + k */
    return (unsigned)(w[0] * gather >> 56 | (w[1] * gather >> 56) << 8);
#endif
}

static inline bytes16 json_stops(bytes16 v) { return (bytes16)(v == '"') | (bytes16)(v == '\\') | (bytes16)(v < 0x20); }

size_t scan_json_plain(const char *p, size_t n)
{
    size_t i = 0;
    for (; i + 16 <= n; i += 16) {
        unsigned stop = bits_of(json_stops(load(p + i)));
        if (stop) return i + (size_t)__builtin_ctz(stop);
    }
    while (i < n && (unsigned char)p[i] >= 0x20 && p[i] != '"' && p[i] != '\\') i++;
    return i;
}

/* Many times in the program, each with its own constants. */
#define ALWAYS_INLINE inline __attribute__((always_inline))

/* from … ED; signed comparisons, which SSE2 has, after a shift to the end of the range. */
static ALWAYS_INLINE bytes16 leads(int from, bytes16 v)
{
    return (bytes16)((signed16)(v + (0x7F - 0xED)) > (signed char)(0x7F - 0xED + from - 1));
}

/* Set where the byte v is not easy, one and two standing before it.  Dashes and quotation marks, E2 80 82 … BF, are
 * easy only where `marks`: Korean has few, and they cost all else a fifth. */
static ALWAYS_INLINE bytes16 hard(bytes16 v, bytes16 one, bytes16 two, bool marks)
{
    bytes16 cont = (bytes16)((signed16)v < -0x40), ascii = (bytes16)((signed16)v >= 0);
    bytes16 lead = leads(0xE4, v), wanted = leads(0xE2, one) | leads(0xE2, two);
    if (marks) lead |= (bytes16)(v == 0xE2);
    bytes16 wrong = (cont ^ wanted) | ~(ascii | cont | lead);
    wrong |= (bytes16)(one == 0xEA) & (bytes16)((signed16)v < 0xB0 - 256);
    wrong |= (bytes16)(one == 0xED) & (bytes16)((signed16)v > 0x9D - 256);
    if (marks) {
        wrong |= (bytes16)(one == 0xE2) & (bytes16)(v != 0x80);
        wrong |= (bytes16)(two == 0xE2) & (bytes16)((signed16)v < 0x82 - 256);
    }
    return wrong;
}

/* Bits of the bytes of p[0..16) that are not easy: without marks, unless one begins here or just before.  Nothing is to
 * be asked where all is ASCII, as most of English is. */
static ALWAYS_INLINE unsigned hard_bits(const unsigned char *p)
{
    bytes16 v = load(p), one = load(p - 1), two = load(p - 2);
    if (!bits_of(v | two)) return 0;
    unsigned wrong = bits_of(hard(v, one, two, false)), before = p[-1] == 0xE2 || p[-2] == 0xE2;
    if (before || (wrong && bits_of((bytes16)(v == 0xE2)))) return bits_of(hard(v, one, two, true));
    return wrong;
}

/* Bits of the bytes of p[0..16) that end a run; not those of short escapes that lie in there. */
static ALWAYS_INLINE unsigned stops(const unsigned char *p, bool json, bool *escaped)
{
    static const bool short_escape[256] = {['"'] = true, ['\\'] = true, ['/'] = true, ['b'] = true,
                                           ['f'] = true, ['n'] = true,  ['r'] = true, ['t'] = true};
    unsigned wrong = hard_bits(p), stop = json ? bits_of(json_stops(load(p))) : 0;
    while (json && stop) {
        int at = __builtin_ctz(stop);
        if ((wrong & ((2u << at) - 1)) || p[at] != '\\' || at == 15 || !short_escape[p[at + 1]]) break;
        stop &= ~(3u << at);
        *escaped = true;
    }
    return wrong | stop;
}

static ALWAYS_INLINE size_t run(const unsigned char *p, size_t from, size_t n, bool json, bool *escaped)
{
    if (n - from < SCAN_LEAST) return from;
    size_t i = from;
    unsigned stop;
    if (i < 2) { /* nothing to look back at */
        unsigned char start[18] = {0};
        memcpy(start + 2, p + i, 16);
        stop = stops(start + 2, json, escaped);
    } else {
        stop = stops(p + i, json, escaped);
    }
    for (;;) {
        if (stop) {
            i += (size_t)__builtin_ctz(stop);
            break;
        }
        i += 16;
        if (i + 16 > n) {
            if (json || i == n) break;
            i = n - 16; /* the last block looks at some bytes again; of JSON it might begin within an escape */
        }
        stop = stops(p + i, json, escaped);
    }
    /* What stopped the run may stand within a character, or its end beyond the last block: back to its lead. */
    if (i > from && p[i - 1] >= 0xC0) return i - 1;
    return i > from + 1 && p[i - 2] >= 0xC0 ? i - 2 : i;
}

size_t scan_easy_utf8(const unsigned char *p, size_t from, size_t n) { return run(p, from, n, false, NULL); }

size_t scan_json_easy(const unsigned char *p, size_t from, size_t n, bool *escaped)
{
    return run(p, from, n, true, escaped);
}

size_t scan_count_chars(const char *p, size_t n)
{
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
