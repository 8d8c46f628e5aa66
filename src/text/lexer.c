/* One cutter with compile-time rules; each known pattern is an instance of it. */
#include "text/lexer.h"

#include <string.h>

#define HG                                                                                                           \
    "\xe1\x84\x80-\xe1\x87\xbf\xe3\x84\xb1-\xe3\x86\x8e\xea\xa5\xa0-\xea\xa5\xbc\xea\xb0\x80-\xed\x9e\xa3"           \
    "\xed\x9e\xb0-\xed\x9f\x86\xed\x9f\x8b-\xed\x9f\xbb" /* ᄀ-ᇿㄱ-ㆎꥠ-ꥼ가-힣ힰ-ퟆퟋ-ퟻ */

const char lexer_pattern_dokja[] = "['\xe2\x80\x99](?:[sdmtSDMT]|[lL][lL]|[vV][eE]|[rR][eE])(?![\\p{L}\\p{M}])"
                                   "| ?[" HG "][" HG "\\p{M}]*"
                                   "| ?(?:(?![" HG "])\\p{L})(?:(?![" HG "])[\\p{L}\\p{M}])*"
                                   "|\\p{N}{1,3}"
                                   "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*"
                                   "|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

const char lexer_pattern_gpt2[] =
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

static const char cl100k[] = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}"
                             "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
static const char qwen2[] = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}"
                            "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

struct rules {
    bool dokja;    /* Hangul apart, marks in words, own contractions */
    bool any_lead; /* a word may take any one character before it, not only a space */
    bool newlines; /* newline tails and the newline alternative */
    int digits;    /* longest run of digits; 0: any, with a leading space */
};

/* Is the character at p[0..n) one of the flags?  Gives its length; 0 at the end. */
static inline int is(const struct uc_table *t, const unsigned char *p, const unsigned char *end, uint8_t *flag)
{
    if (p >= end)
        return 0;
    int32_t cp;
    int len = uc_next(&cp, p);
    *flag = uc_flags(t, cp);
    return len;
}

static inline const unsigned char *run(const struct uc_table *t, const unsigned char *p, const unsigned char *end,
                                       uint8_t want, uint8_t not_these)
{
    uint8_t f = 0;
    for (int len; (len = is(t, p, end, &f)) != 0 && (f & want) && !(f & not_these);)
        p += len;
    return p;
}

static inline const unsigned char *others(const struct uc_table *t, const unsigned char *p, const unsigned char *end)
{
    uint8_t f = 0;
    for (int len; (len = is(t, p, end, &f)) != 0 && !(f & (UC_L | UC_N | UC_SPACE));)
        p += len;
    return p;
}

static inline int lower(int c)
{
    return c >= 'A' && c <= 'Z' ? c + 32 : c;
}

/* Length of an English ending after the apostrophe: s d m t ll ve re. */
static inline int ending(const unsigned char *p, const unsigned char *end, bool fold)
{
    if (p >= end)
        return 0;
    int a = fold ? lower(p[0]) : p[0], b = end - p > 1 ? (fold ? lower(p[1]) : p[1]) : 0;
    if (a == 's' || a == 'd' || a == 'm' || a == 't')
        return 1;
    if (fold && a == 0xC5 && end - p > 1 && p[1] == 0xBF)
        return 2; /* U+017F folds to s */
    return (a == 'l' && b == 'l') || (a == 'v' && b == 'e') || (a == 'r' && b == 'e') ? 2 : 0;
}

static inline size_t contraction(const struct uc_table *t, const unsigned char *p, const unsigned char *end,
                                 const struct rules *r)
{
    if (r->dokja) {
        int mark = p[0] == '\'' ? 1 : end - p > 3 && p[0] == 0xE2 && p[1] == 0x80 && p[2] == 0x99 ? 3 : 0;
        if (!mark || p + mark >= end || p[mark] >= 0x80)
            return 0;
        int len = ending(p + mark, end, true);
        uint8_t f = 0;
        bool more = len && is(t, p + mark + len, end, &f) && (f & (UC_L | UC_M));
        return len && !more ? (size_t)(mark + len) : 0;
    }
    int len = p[0] == '\'' ? ending(p + 1, end, r->any_lead) : 0;
    return len ? (size_t)(1 + len) : 0;
}

static inline size_t space(const struct uc_table *t, const unsigned char *p, const unsigned char *end, bool newlines)
{
    const unsigned char *q = p, *newline = NULL;
    uint8_t f = 0;
    for (int len; (len = is(t, q, end, &f)) != 0 && (f & UC_SPACE); q += len)
        if (*q == '\n' || *q == '\r')
            newline = q + 1;
    if (newlines && newline)
        return (size_t)(newline - p);
    if (q == end)
        return (size_t)(q - p);
    size_t last = uc_last(p, q);
    return (size_t)(q - p) > last ? (size_t)(q - p) - last : (size_t)(q - p);
}

static inline size_t word(const struct uc_table *t, const unsigned char *p, const unsigned char *end, uint8_t f,
                          const struct rules *r)
{
    if (r->dokja && (f & UC_HANGUL))
        return (size_t)(run(t, p, end, UC_HANGUL | UC_M, 0) - p);
    return (size_t)(run(t, p, end, r->dokja ? UC_L | UC_M : UC_L, r->dokja ? UC_HANGUL : 0) - p);
}

static inline size_t punctuation(const struct uc_table *t, const unsigned char *p, const unsigned char *end,
                                 const struct rules *r)
{
    const unsigned char *q = others(t, p, end);
    while (r->newlines && q < end && (*q == '\r' || *q == '\n'))
        q++;
    return (size_t)(q - p);
}

static inline size_t cut(const struct uc_table *t, const unsigned char *p, size_t n, const struct rules r)
{
    const unsigned char *end = p + n;
    uint8_t f = 0, g = 0;
    int len = is(t, p, end, &f);
    if (*p == '\'' || (r.dokja && *p == 0xE2)) {
        size_t c = contraction(t, p, end, &r);
        if (c)
            return c;
    }
    if (f & UC_L)
        return word(t, p, end, f, &r);
    if (f & UC_N) {
        const unsigned char *q = p;
        for (int k = 0; (r.digits == 0 || k < r.digits) && (len = is(t, q, end, &f)) != 0 && (f & UC_N); k++)
            q += len;
        return (size_t)(q - p);
    }
    int next = is(t, p + len, end, &g);
    bool leads = r.any_lead ? *p != '\r' && *p != '\n' : *p == ' ';
    if (leads && next && (g & UC_L))
        return (size_t)len + word(t, p + len, end, g, &r);
    if (*p == ' ' && next && r.digits == 0 && (g & UC_N))
        return 1 + (size_t)(run(t, p + 1, end, UC_N, 0) - (p + 1));
    if (*p == ' ' && next && !(g & (UC_L | UC_N | UC_SPACE)))
        return 1 + punctuation(t, p + 1, end, &r);
    if (f & UC_SPACE)
        return space(t, p, end, r.newlines);
    return punctuation(t, p, end, &r);
}

static size_t cut_dokja(const struct uc_table *t, const unsigned char *p, size_t n)
{
    return cut(t, p, n, (struct rules){.dokja = true, .newlines = true, .digits = 3});
}

static size_t cut_gpt2(const struct uc_table *t, const unsigned char *p, size_t n)
{
    return cut(t, p, n, (struct rules){.digits = 0});
}

static size_t cut_cl100k(const struct uc_table *t, const unsigned char *p, size_t n)
{
    return cut(t, p, n, (struct rules){.any_lead = true, .newlines = true, .digits = 3});
}

static size_t cut_qwen2(const struct uc_table *t, const unsigned char *p, size_t n)
{
    return cut(t, p, n, (struct rules){.any_lead = true, .newlines = true, .digits = 1});
}

lexer_fn *lexer_for(const char *pattern)
{
    static const struct {
        const char *pattern;
        lexer_fn *fn;
    } known[] = {
        {lexer_pattern_dokja, cut_dokja}, {lexer_pattern_gpt2, cut_gpt2}, {cl100k, cut_cl100k}, {qwen2, cut_qwen2}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strcmp(pattern, known[i].pattern) == 0)
            return known[i].fn;
    return NULL;
}
