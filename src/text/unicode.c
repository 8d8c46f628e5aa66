/* Character classes and normal form C; see unicode.h for the Unicode versions. */
#include "text/unicode.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "base/mem.h"
#include "base/scan.h"
#include "text/unicode_new.h"

#define N_NEW (sizeof uc_new / sizeof uc_new[0])

/* Characters newer than Unicode 9.0 with a combining class or a canonical decomposition. */
static const int32_t nfc_unknown[][2] = {
    {0x7FD, 0x7FD},     {0x898, 0x89F},     {0x8CA, 0x8D3},     {0x9FE, 0x9FE},     {0xC3C, 0xC3C},
    {0xD3B, 0xD3C},     {0xEBA, 0xEBA},     {0xECE, 0xECE},     {0x1715, 0x1715},   {0x1ABF, 0x1ACE},
    {0x1DF6, 0x1DFA},   {0xA82C, 0xA82C},   {0x10D24, 0x10D27}, {0x10EAB, 0x10EAC}, {0x10EFD, 0x10EFF},
    {0x10F46, 0x10F50}, {0x10F82, 0x10F85}, {0x11070, 0x11070}, {0x1133B, 0x1133B}, {0x1145E, 0x1145E},
    {0x11839, 0x1183A}, {0x11938, 0x11938}, {0x1193D, 0x1193E}, {0x11943, 0x11943}, {0x119E0, 0x119E0},
    {0x11A34, 0x11A34}, {0x11A47, 0x11A47}, {0x11A99, 0x11A99}, {0x11D42, 0x11D42}, {0x11D44, 0x11D45},
    {0x11D97, 0x11D97}, {0x11F41, 0x11F42}, {0x16FF0, 0x16FF1}, {0x1E08F, 0x1E08F}, {0x1E130, 0x1E136},
    {0x1E2AE, 0x1E2AE}, {0x1E2EC, 0x1E2EF}, {0x1E4EC, 0x1E4EF},
};

enum {
    S_BASE = 0xAC00,
    L_BASE = 0x1100,
    V_BASE = 0x1161,
    T_BASE = 0x11A7,
    L_COUNT = 19,
    V_COUNT = 21,
    T_COUNT = 28,
    S_COUNT = L_COUNT * V_COUNT * T_COUNT
};

/* Primary composites, sorted by (a, b). */
struct composite {
    int32_t a, b, c;
};

static struct uc_table table;
static struct composite composite[1100];
static int n_composite;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static bool nfc_known(int32_t cp)
{
    size_t lo = 0, hi = sizeof nfc_unknown / sizeof nfc_unknown[0];
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (cp > nfc_unknown[mid][1])
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo == sizeof nfc_unknown / sizeof nfc_unknown[0] || cp < nfc_unknown[lo][0];
}

static int combining_class(int32_t cp)
{
    return cp < 0x300 || !nfc_known(cp) ? 0 : utf8proc_get_property(cp)->combining_class;
}

bool uc_new_range(int32_t *lo, int32_t *hi, const char *cat, size_t i)
{
    size_t len = strlen(cat);
    for (size_t k = 0; k < N_NEW; k++) {
        if (strncmp(uc_new[k].cat, cat, len) != 0 || i-- > 0)
            continue;
        *lo = uc_new[k].lo;
        *hi = uc_new[k].hi;
        return true;
    }
    return false;
}

static bool is_space(int32_t cp)
{
    return (cp >= 9 && cp <= 13) || cp == 0x20 || cp == 0x85 || cp == 0xA0 || cp == 0x1680 ||
           (cp >= 0x2000 && cp <= 0x200A) || cp == 0x2028 || cp == 0x2029 || cp == 0x202F || cp == 0x205F ||
           cp == 0x3000;
}

static bool is_hangul(int32_t cp)
{
    return (cp >= 0x1100 && cp <= 0x11FF) || (cp >= 0x3131 && cp <= 0x318E) || (cp >= 0xA960 && cp <= 0xA97C) ||
           (cp >= 0xAC00 && cp <= 0xD7A3) || (cp >= 0xD7B0 && cp <= 0xD7C6) || (cp >= 0xD7CB && cp <= 0xD7FB);
}

/* Symbols that are Alphabetic: circled and squared Latin letters. */
static bool is_letter_symbol(int32_t cp)
{
    return (cp >= 0x24B6 && cp <= 0x24E9) || (cp >= 0x1F130 && cp <= 0x1F149) || (cp >= 0x1F150 && cp <= 0x1F169) ||
           (cp >= 0x1F170 && cp <= 0x1F189);
}

/* What a general category alone says. */
static uint8_t category_flags(const char *cat)
{
    uint8_t f = cat[0] == 'L' ? UC_L : cat[0] == 'N' ? UC_N : cat[0] == 'M' ? UC_M : 0;
    if ((f & (UC_L | UC_M)) || strcmp(cat, "Nd") == 0 || strcmp(cat, "Nl") == 0 || strcmp(cat, "Pc") == 0)
        f |= UC_WORD;
    return f;
}

static uint8_t flags_of(int32_t cp, uint8_t of_category, int combining)
{
    uint8_t f = of_category;
    if (is_space(cp))
        f |= UC_SPACE;
    if (is_hangul(cp))
        f |= UC_HANGUL;
    if (cp == 0x200C || cp == 0x200D || is_letter_symbol(cp))
        f |= UC_WORD;
    /* Conjoining vowels and final consonants compose with what stands before them. */
    if (combining || (cp >= V_BASE && cp < V_BASE + V_COUNT) || (cp > T_BASE && cp < T_BASE + T_COUNT))
        f |= UC_NFC;
    return f;
}

static uint8_t *flag_slot(int32_t cp)
{
    return &table.flag[table.block[cp >> 8]][cp & 255];
}

/* utf8proc's normal form C of a few characters, or 0 when it is not a single one.  In our own memory: utf8proc_NFC asks
 * for some, and a composite lost where there is none would change texts in silence. */
static int32_t single_nfc(const int32_t *cp, int n)
{
    enum { MOST = 32 };
    const utf8proc_option_t how = UTF8PROC_STABLE | UTF8PROC_COMPOSE;
    uint8_t text[4 * 8];
    int32_t c[MOST];
    utf8proc_ssize_t len = 0;
    assert(n <= 8);
    for (int i = 0; i < n; i++)
        len += utf8proc_encode_char(cp[i], text + len);
    utf8proc_ssize_t k = utf8proc_decompose(text, len, c, MOST, how);
    assert(k > 0 && k <= MOST);
    return utf8proc_normalize_utf32(c, k, how) == 1 ? c[0] : 0;
}

/* The two characters that compose to cp: 2, 1 when cp never results from composition, 0 when it does not decompose.
 */
static int composed_of(int32_t cp, int32_t out[2])
{
    if (!nfc_known(cp) || (cp >= S_BASE && cp < S_BASE + S_COUNT))
        return 0;
    const utf8proc_property_t *p = utf8proc_get_property(cp);
    if (p->decomp_seqindex == UINT16_MAX || p->decomp_type != 0)
        return 0;
    if (single_nfc(&cp, 1) != cp)
        return 1;
    /* utf8proc gives the full decomposition; composing all but the last character again gives the first. */
    int32_t full[8];
    int n = (int)utf8proc_decompose_char(cp, full, 8, UTF8PROC_DECOMPOSE, NULL);
    assert(n >= 2 && n <= 8);
    out[0] = n == 2 ? full[0] : single_nfc(full, n - 1);
    out[1] = full[n - 1];
    return out[0] ? 2 : 1;
}

static int by_pair(const void *x, const void *y)
{
    const struct composite *a = x, *b = y;
    if (a->a != b->a)
        return a->a < b->a ? -1 : 1;
    return a->b < b->b ? -1 : a->b > b->b;
}

static void note_composites(int32_t cp)
{
    int32_t d[2];
    int n = composed_of(cp, d);
    if (n == 1)
        *flag_slot(cp) |= UC_NFC;
    if (n < 2)
        return;
    assert(n_composite < (int)(sizeof composite / sizeof composite[0]));
    composite[n_composite++] = (struct composite){d[0], d[1], cp};
    *flag_slot(d[1]) |= UC_NFC;
}

/* Planes 4 to 13 have no characters, 15 and 16 private ones, which are of no class: 12 of 17 need not be asked for. */
static bool no_flags(int32_t cp)
{
    int plane = cp >> 16;
    return (plane > 3 && plane < 14) || plane > 14;
}

/* The flags of every character as utf8proc knows it, and where those stand that decompose: a start of the program
 * waits for this, so that a character's properties are looked up once. */
static int fill_blocks(int32_t decomposing[], int cap, int *n_decomposing)
{
    uint8_t of_category[32];
    bool known[32] = {false};
    int n_block = 0, n = 0;
    for (int32_t hi = 0; hi < 0x1100; hi++) {
        assert(n_block < 512);
        uint8_t *f = table.flag[n_block];
        for (int32_t lo = 0; lo < 256; lo++) {
            int32_t cp = hi << 8 | lo;
            if (no_flags(cp)) {
                f[lo] = 0;
                continue;
            }
            const utf8proc_property_t *p = utf8proc_get_property(cp);
            int c = p->category & 31;
            if (!known[c])
                of_category[c] = category_flags(utf8proc_category_string(cp));
            known[c] = true;
            f[lo] = flags_of(cp, of_category[c], p->combining_class && cp >= 0x300 && nfc_known(cp));
            if (p->decomp_seqindex != UINT16_MAX && p->decomp_type == 0 && n < cap)
                decomposing[n++] = cp;
        }
        /* Whole empty blocks (unassigned or without any property) share one. */
        int same = n_block;
        if (n_block > 0 && memcmp(f, table.flag[n_block - 1], 256) == 0)
            same = n_block - 1;
        table.block[hi] = (uint16_t)same;
        if (same == n_block)
            n_block++;
    }
    *n_decomposing = n;
    return n_block;
}

static void build(void)
{
    enum { CAP = 4096 };
    int32_t decomposing[CAP];
    int n, n_block = fill_blocks(decomposing, CAP, &n);
    assert(n < CAP);
    /* Blocks that are about to differ get storage of their own. */
    for (size_t i = 0; i < N_NEW; i++)
        for (int32_t cp = uc_new[i].lo; cp <= uc_new[i].hi; cp++) {
            int hi = cp >> 8, b = table.block[hi];
            if ((hi > 0 && table.block[hi - 1] == b) || table.block[hi + 1] == b) {
                assert(n_block < 512);
                memcpy(table.flag[n_block], table.flag[b], 256);
                table.block[hi] = (uint16_t)n_block++;
            }
            if (strcmp(utf8proc_category_string(cp), "Cn") == 0)
                *flag_slot(cp) |= flags_of(cp, category_flags(uc_new[i].cat), combining_class(cp));
        }
    for (int i = 0; i < n; i++)
        note_composites(decomposing[i]);
    qsort(composite, (size_t)n_composite, sizeof composite[0], by_pair);
}

const struct uc_table *uc_table(void)
{
    pthread_once(&once, build);
    return &table;
}

int uc_put(unsigned char out[4], int32_t cp)
{
    if (cp < 0x80) {
        out[0] = (unsigned char)cp;
        return 1;
    }
    if (cp < 0x800) {
        out[0] = (unsigned char)(0xC0 | cp >> 6);
        out[1] = (unsigned char)(0x80 | (cp & 0x3F));
        return 2;
    }
    if (cp < 0x10000) {
        out[0] = (unsigned char)(0xE0 | cp >> 12);
        out[1] = (unsigned char)(0x80 | (cp >> 6 & 0x3F));
        out[2] = (unsigned char)(0x80 | (cp & 0x3F));
        return 3;
    }
    out[0] = (unsigned char)(0xF0 | cp >> 18);
    out[1] = (unsigned char)(0x80 | (cp >> 12 & 0x3F));
    out[2] = (unsigned char)(0x80 | (cp >> 6 & 0x3F));
    out[3] = (unsigned char)(0x80 | (cp & 0x3F));
    return 4;
}

size_t uc_last(const unsigned char *start, const unsigned char *end)
{
    const unsigned char *p = end - 1;
    while (p > start && (*p & 0xC0) == 0x80)
        p--;
    return (size_t)(end - p);
}

/* Length of the valid character at p, 0 when there is none (Unicode §3.9, table 3-7). */
static int char_length(const unsigned char *p, size_t n)
{
    unsigned c = p[0];
    if (c < 0x80)
        return 1;
    if (c < 0xC2)
        return 0;
    if (c < 0xE0)
        return n >= 2 && (p[1] & 0xC0) == 0x80 ? 2 : 0;
    if (c < 0xF0) {
        unsigned lo = c == 0xE0 ? 0xA0 : 0x80, hi = c == 0xED ? 0x9F : 0xBF;
        return n >= 3 && p[1] >= lo && p[1] <= hi && (p[2] & 0xC0) == 0x80 ? 3 : 0;
    }
    if (c < 0xF5) {
        unsigned lo = c == 0xF0 ? 0x90 : 0x80, hi = c == 0xF4 ? 0x8F : 0xBF;
        return n >= 4 && p[1] >= lo && p[1] <= hi && (p[2] & 0xC0) == 0x80 && (p[3] & 0xC0) == 0x80 ? 4 : 0;
    }
    return 0;
}

size_t uc_valid(const unsigned char *p, size_t n, bool *nfc_maybe)
{
    const struct uc_table *t = uc_table();
    uint8_t seen = 0;
    size_t i = scan_easy_utf8(p, 0, n);
    for (int len; i < n && (len = char_length(p + i, n - i)) > 0;) {
        int32_t cp;
        uc_next(&cp, p + i);
        seen |= uc_flags(t, cp);
        i += (size_t)len;
        if (i < n && scan_pays(p[i], n - i))
            i = scan_easy_utf8(p, i, n);
    }
    if (seen & UC_NFC)
        *nfc_maybe = true;
    return i;
}

int uc_check(const char *name, const char *text, size_t n, struct err *e)
{
    if (n == 0)
        return 0;
    bool maybe = false;
    const char *nul = memchr(text, 0, n);
    size_t end = nul ? (size_t)(nul - text) : n, good = uc_valid((const unsigned char *)text, end, &maybe);
    if (good < end)
        return err_set(e, ERR_FORMAT, "%s: byte %zu is not UTF-8 text; convert another encoding to UTF-8 first", name,
                       good);
    return nul ? err_set(e, ERR_FORMAT, "%s: byte %zu is NUL, which text does not hold", name, end) : 0;
}

size_t uc_invalid(const unsigned char *p, size_t n)
{
    size_t i = 0;
    while (i < n && char_length(p + i, n - i) == 0)
        i++;
    return i;
}

static int32_t compose(int32_t a, int32_t b)
{
    if (a >= L_BASE && a < L_BASE + L_COUNT && b >= V_BASE && b < V_BASE + V_COUNT)
        return S_BASE + ((a - L_BASE) * V_COUNT + (b - V_BASE)) * T_COUNT;
    if (a >= S_BASE && a < S_BASE + S_COUNT && (a - S_BASE) % T_COUNT == 0 && b > T_BASE && b < T_BASE + T_COUNT)
        return a + (b - T_BASE);
    struct composite key = {a, b, 0};
    const struct composite *c = bsearch(&key, composite, (size_t)n_composite, sizeof composite[0], by_pair);
    return c ? c->c : -1;
}

/* Full canonical decomposition of one character; at most 8 of them. */
static int decompose(int32_t cp, int32_t out[8])
{
    if (cp < 0xC0 || !nfc_known(cp)) {
        out[0] = cp;
        return 1;
    }
    int last = 0;
    int n = (int)utf8proc_decompose_char(cp, out, 8, UTF8PROC_DECOMPOSE, &last);
    assert(n >= 1 && n <= 8);
    return n;
}

struct mark {
    int32_t cp;
    uint32_t order; /* combining class, then place in the text */
};

static int by_order(const void *x, const void *y)
{
    const struct mark *a = x, *b = y;
    return a->order < b->order ? -1 : a->order > b->order;
}

/* The last starter and the marks after it, not yet written. */
struct composer {
    struct buf *out;
    int32_t starter; /* −1: none */
    struct mark *mark;
    size_t n_mark, cap;
};

static int put_char(struct buf *out, int32_t cp, struct err *e)
{
    unsigned char b[4];
    int n = uc_put(b, cp);
    return buf_add(out, b, (size_t)n, e);
}

/* Sorts the marks by combining class, keeping equals in place, and composes what can be composed. */
static void settle(struct composer *c)
{
    enum { RUN = 0xFFFFFF }; /* longer runs of marks are put in order piece by piece */
    struct mark *m = c->mark;
    for (size_t i = 0; i < c->n_mark; i++)
        m[i].order = (uint32_t)combining_class(m[i].cp) << 24 | (uint32_t)(i % RUN);
    for (size_t i = 0; c->n_mark > 1 && i < c->n_mark; i += RUN)
        qsort(m + i, c->n_mark - i < RUN ? c->n_mark - i : RUN, sizeof *m, by_order);
    size_t kept = 0;
    int last = 0;
    for (size_t i = 0; i < c->n_mark; i++) {
        int cc = (int)(m[i].order >> 24);
        int32_t both = c->starter >= 0 && last < cc ? compose(c->starter, m[i].cp) : -1;
        if (both >= 0) {
            c->starter = both;
            continue;
        }
        last = cc;
        m[kept++] = m[i];
    }
    c->n_mark = kept;
}

static int emit(struct composer *c, struct err *e)
{
    int rc = c->starter >= 0 ? put_char(c->out, c->starter, e) : 0;
    for (size_t i = 0; i < c->n_mark && rc == 0; i++)
        rc = put_char(c->out, c->mark[i].cp, e);
    c->starter = -1;
    c->n_mark = 0;
    return rc;
}

static int feed(struct composer *c, int32_t cp, struct err *e)
{
    if (combining_class(cp)) {
        if (c->n_mark == c->cap) {
            size_t cap = c->cap ? c->cap * 2 : 16;
            struct mark *m = mem_resize(c->mark, cap, sizeof *m);
            if (!m)
                return err_set(e, ERR_NOMEM, "out of memory for %zu combining marks", cap);
            c->mark = m;
            c->cap = cap;
        }
        c->mark[c->n_mark++].cp = cp;
        return 0;
    }
    if (c->n_mark)
        settle(c);
    int32_t both = c->starter >= 0 && c->n_mark == 0 ? compose(c->starter, cp) : -1;
    if (both >= 0) {
        c->starter = both;
        return 0;
    }
    int rc = emit(c, e);
    c->starter = cp;
    return rc;
}

int uc_nfc(struct buf *out, const unsigned char *p, size_t n, struct err *e)
{
    uc_table();
    struct composer c = {.out = out, .starter = -1};
    int rc = buf_reserve(out, n, e);
    for (size_t i = 0; i < n && rc == 0;) {
        int32_t cp, d[8];
        i += (size_t)uc_next(&cp, p + i);
        int k = decompose(cp, d);
        for (int j = 0; j < k && rc == 0; j++)
            rc = feed(&c, d[j], e);
    }
    settle(&c);
    if (rc == 0)
        rc = emit(&c, e);
    mem_free(c.mark);
    return rc;
}
