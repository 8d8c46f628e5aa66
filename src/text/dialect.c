/* A single walk over the pattern; see dialect.h. */
#include "text/dialect.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "text/unicode.h"

enum { MAX_DEPTH = 200 };

struct walk {
    const char *p; /* what is left of the pattern */
    struct buf *out;
    struct err *e;
    size_t atom; /* where the last atom begins in out; SIZE_MAX: none */
    size_t open[MAX_DEPTH];
    int depth;
};

static int refuse(struct walk *w, const char *what)
{
    return err_set(w->e, ERR_FORMAT, "%s is not supported (at \"%.24s\")", what, w->p);
}

/* The ranges that newer Unicode versions add to a category. */
static int put_new(struct buf *out, const char *cat, struct err *e)
{
    int32_t lo, hi;
    int rc = 0;
    for (size_t i = 0; rc == 0 && uc_new_range(&lo, &hi, cat, i); i++)
        rc = buf_printf(out, e, "\\x{%X}-\\x{%X}", (unsigned)lo, (unsigned)hi);
    return rc;
}

static const char *const category[] = {"L",  "Lu", "Ll", "Lt", "Lm", "Lo", "M",  "Mn", "Mc", "Me", "N", "Nd",
                                       "Nl", "No", "P",  "Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po", "S", "Sm",
                                       "Sc", "Sk", "So", "Z",  "Zs", "Zl", "Zp", "Cc", "Cf", "Co", "Cs"};
static const char *const script[] = {"Han",   "Hiragana", "Katakana", "Hangul", "Latin",      "Cyrillic",
                                     "Greek", "Arabic",   "Hebrew",   "Thai",   "Devanagari", "Bopomofo"};

/* Appends the members of a property, for use inside a class.  `negated` has no room for new characters. */
static int put_property(struct walk *w, const char *name, size_t n, bool negated)
{
    for (size_t i = 0; i < sizeof category / sizeof category[0]; i++)
        if (strlen(category[i]) == n && memcmp(category[i], name, n) == 0) {
            int rc = buf_printf(w->out, w->e, "\\%c{%s}", negated ? 'P' : 'p', category[i]);
            return rc || negated ? rc : put_new(w->out, category[i], w->e);
        }
    for (size_t i = 0; i < sizeof script / sizeof script[0]; i++)
        if (strlen(script[i]) == n && strncasecmp(script[i], name, n) == 0) {
            int rc = buf_printf(w->out, w->e, "\\%c{sc:%s}", negated ? 'P' : 'p', script[i]);
            if (rc || negated || strcmp(script[i], "Han") != 0)
                return rc;
            return buf_adds(w->out, "\\x{2B739}\\x{2EBF0}-\\x{2EE5D}\\x{31350}-\\x{323AF}", w->e);
        }
    return refuse(w, "this property");
}

/* Oniguruma counts ² ³ ¹ ¼ ½ ¾ as word characters, but only where \w stands alone. */
static int put_word(struct walk *w, bool in_class)
{
    int rc = buf_adds(w->out, "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}", w->e);
    if (rc == 0 && !in_class)
        rc = buf_adds(w->out, "\\xb2\\xb3\\xb9\\xbc-\\xbe", w->e);
    static const char *const cats[] = {"L", "M", "Nd"};
    for (int i = 0; i < 3 && rc == 0; i++)
        rc = put_new(w->out, cats[i], w->e);
    return rc;
}

/* \p{..}, \P{..}, \p{^..}; p stands on the letter after the backslash. */
static int property(struct walk *w, bool in_class)
{
    const char *at = w->p - 1, *close = strchr(w->p, '}');
    bool negated = *w->p == 'P';
    if (w->p[1] != '{' || !close)
        return refuse(w, "\\p without {name}");
    const char *name = w->p + 2;
    if (*name == '^') {
        negated = !negated;
        name++;
    }
    size_t n = (size_t)(close - name);
    int rc;
    if (in_class) {
        rc = put_property(w, name, n, negated);
    } else {
        rc = buf_adds(w->out, negated ? "[^" : "[", w->e);
        if (rc == 0)
            rc = put_property(w, name, n, false);
        if (rc == 0)
            rc = buf_adds(w->out, "]", w->e);
    }
    if (rc)
        w->p = at;
    else
        w->p = close + 1;
    return rc;
}

/* \x{..}, \xHH, \uHHHH; p stands on the letter. */
static int code_point(struct walk *w)
{
    const char *digits = w->p + 1;
    int most = *w->p == 'u' ? 4 : 2;
    bool brace = *w->p == 'x' && *digits == '{';
    if (brace) {
        digits++;
        most = 6;
    }
    int n = 0;
    while (n < most && isxdigit((unsigned char)digits[n]))
        n++;
    unsigned long cp = strtoul(digits, NULL, 16);
    if (n == 0 || (*w->p == 'u' && n != 4) || (brace && digits[n] != '}') || (!brace && most == 2 && n != 2))
        return refuse(w, "this code point");
    /* \x80..\xFF are single bytes of the encoding in Oniguruma, not characters. */
    if (!brace && most == 2 && strtoul((char[]){digits[0], digits[1], 0}, NULL, 16) > 0x7F)
        return refuse(w, "a raw byte");
    if (!brace) {
        char text[5] = {0};
        memcpy(text, digits, (size_t)n);
        cp = strtoul(text, NULL, 16);
    }
    w->p = digits + n + (brace ? 1 : 0);
    return buf_printf(w->out, w->e, "\\x{%lX}", cp);
}

static int put(struct walk *w, size_t used, const char *text)
{
    w->p += used;
    return buf_adds(w->out, text, w->e);
}

/* Escapes that mean the same inside and outside a class; 1: not one of them. */
static int common_escape(struct walk *w, bool in_class)
{
    char c = *w->p;
    switch (c) {
    case 'p':
    case 'P': return property(w, in_class);
    case 'x':
    case 'u': return code_point(w);
    case 's': return put(w, 1, "\\p{White_Space}");
    case 'S': return put(w, 1, "\\P{White_Space}");
    case 'v': return put(w, 1, "\\x0b");
    case 'n':
    case 'r':
    case 't':
    case 'f':
    case 'a':
    case 'e': return put(w, 1, (char[]){'\\', c, 0});
    default: break;
    }
    if (ispunct((unsigned char)c))
        return put(w, 1, (char[]){'\\', c, 0});
    if ((unsigned char)c >= 0x80 || c == ' ')
        return 0; /* an escaped letter of another script stands for itself: the backslash is dropped */
    return 1;
}

static int class_escape(struct walk *w)
{
    int rc = common_escape(w, true);
    if (rc != 1)
        return rc;
    switch (*w->p) {
    case 'd': w->p++; return put_property(w, "Nd", 2, false);
    case 'D': return put(w, 1, "\\P{Nd}");
    case 'h': return put(w, 1, "0-9A-Fa-f");
    case 'w': w->p++; return put_word(w, true);
    default: return refuse(w, "this escape in a class");
    }
}

/* [...]: nested unions are flattened, intersections and nested complements refused.  p is after '['. */
static int class_members(struct walk *w, int depth)
{
    if (depth > 8)
        return refuse(w, "a class this deep");
    bool first = true;
    while (*w->p && (*w->p != ']' || first)) {
        int rc;
        if (w->p[0] == '&' && w->p[1] == '&')
            return refuse(w, "intersection of classes");
        if (w->p[0] == '[' && w->p[1] == ':')
            return refuse(w, "a POSIX bracket");
        if (*w->p == '[') {
            if (w->p[1] == '^')
                return refuse(w, "a complement inside a class");
            w->p++;
            rc = class_members(w, depth + 1);
            if (rc == 0)
                w->p++;
        } else if (*w->p == '\\') {
            w->p++;
            rc = class_escape(w);
        } else {
            /* "[]abc]": Oniguruma too takes a first bracket as a member; said with a backslash. */
            char lit[3] = {*w->p == ']' ? '\\' : *w->p, *w->p == ']' ? ']' : 0, 0};
            rc = put(w, 1, lit);
        }
        if (rc)
            return rc;
        first = false;
    }
    return *w->p ? 0 : refuse(w, "a class without its end");
}

static int char_class(struct walk *w)
{
    w->atom = w->out->len;
    w->p++;
    int rc = buf_addc(w->out, '[', w->e);
    if (rc == 0 && *w->p == '^')
        rc = put(w, 1, "^");
    if (rc == 0)
        rc = class_members(w, 0);
    return rc ? rc : put(w, 1, "]");
}

static int word_boundary(struct walk *w, bool boundary)
{
    size_t start = w->out->len;
    struct buf cls = {0}, *out = w->out;
    w->out = &cls;
    int rc = put_word(w, false);
    w->out = out;
    if (rc == 0)
        rc = buf_printf(out, w->e,
                        boundary ? "(?:(?<=[%s])(?![%s])|(?<![%s])(?=[%s]))"
                                 : "(?:(?<=[%s])(?=[%s])|(?<![%s])(?![%s]))",
                        cls.p, cls.p, cls.p, cls.p);
    buf_release(&cls);
    w->atom = start;
    w->p++;
    return rc;
}

/* p after the backslash, outside a class. */
static int escape(struct walk *w)
{
    w->atom = w->out->len;
    int rc = common_escape(w, false);
    if (rc != 1)
        return rc;
    switch (*w->p) {
    case 'd':
    case 'D':
        rc = buf_adds(w->out, *w->p++ == 'd' ? "[" : "[^", w->e);
        if (rc == 0)
            rc = put_property(w, "Nd", 2, false);
        return rc ? rc : buf_addc(w->out, ']', w->e);
    case 'w':
    case 'W':
        rc = buf_adds(w->out, *w->p++ == 'w' ? "[" : "[^", w->e);
        if (rc == 0)
            rc = put_word(w, false);
        return rc ? rc : buf_addc(w->out, ']', w->e);
    case 'h': return put(w, 1, "[0-9A-Fa-f]");
    case 'H': return put(w, 1, "[^0-9A-Fa-f]");
    case 'b': return word_boundary(w, true);
    case 'B': return word_boundary(w, false);
    case 'A':
    case 'z':
    case 'Z': return put(w, 1, (char[]){'\\', *w->p, 0});
    default: break;
    }
    if (*w->p >= '1' && *w->p <= '9' && !isdigit((unsigned char)w->p[1]))
        return put(w, 1, (char[]){'\\', *w->p, 0});
    return *w->p ? refuse(w, "this escape") : refuse(w, "a backslash at the end");
}

static int group(struct walk *w)
{
    static const char *const same[] = {"(?:", "(?=", "(?!", "(?>", "(?<=", "(?<!"};
    if (w->depth == MAX_DEPTH)
        return refuse(w, "nesting this deep");
    w->open[w->depth++] = w->out->len;
    w->atom = SIZE_MAX;
    if (w->p[1] != '?')
        return put(w, 1, "(");
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++)
        if (strncmp(w->p, same[i], strlen(same[i])) == 0)
            return put(w, strlen(same[i]), same[i]);
    if (strncmp(w->p, "(?i:", 4) == 0)
        return put(w, 4, "(?i:");
    if (strncmp(w->p, "(?m:", 4) == 0) /* Ruby's m lets the dot match a newline */
        return put(w, 4, "(?s:");
    if (strncmp(w->p, "(?i)", 4) == 0 && w->depth == 1) {
        w->depth--;
        return put(w, 4, "(?i)");
    }
    w->depth--;
    return refuse(w, "this group");
}

/* {n,m} and what follows it; p on '{'.  Not a quantifier: a literal brace. */
static int interval(struct walk *w)
{
    char *end;
    const char *p = w->p + 1;
    unsigned long lo = 0, hi = 0;
    bool has_lo = isdigit((unsigned char)*p), comma, has_hi;
    if (has_lo) {
        lo = strtoul(p, &end, 10);
        p = end;
    }
    comma = *p == ',';
    p += comma;
    has_hi = comma && isdigit((unsigned char)*p);
    if (has_hi) {
        hi = strtoul(p, &end, 10);
        p = end;
    }
    if (*p != '}' || (!has_lo && !has_hi)) {
        w->atom = w->out->len;
        return put(w, 1, "\\{");
    }
    if (w->atom == SIZE_MAX)
        return refuse(w, "a repetition of nothing");
    if (lo > 65535 || hi > 65535 || (has_hi && hi < lo))
        return refuse(w, "this repetition");
    bool again = p[1] == '+' || p[1] == '*' || (p[1] == '{' && isdigit((unsigned char)p[2]));
    bool lazy = p[1] == '?';
    if (lazy && !comma)
        return refuse(w, "{n}?");
    int rc = 0;
    if (again) { /* the repetition is repeated: as a group, because PCRE2 would read {n,m}+ as possessive */
        rc = buf_reserve(w->out, 8, w->e);
        if (rc == 0) {
            memmove(w->out->p + w->atom + 3, w->out->p + w->atom, w->out->len - w->atom);
            memcpy(w->out->p + w->atom, "(?:", 3);
            w->out->len += 3;
        }
    }
    if (rc == 0)
        rc = !comma   ? buf_printf(w->out, w->e, "{%lu}", lo)
             : has_hi ? buf_printf(w->out, w->e, "{%lu,%lu}", lo, hi)
                      : buf_printf(w->out, w->e, "{%lu,}", lo);
    if (rc == 0 && again)
        rc = buf_addc(w->out, ')', w->e);
    w->p = p + 1;
    if (rc == 0 && lazy)
        rc = put(w, 1, "?");
    if (!again)
        w->atom = SIZE_MAX;
    return rc;
}

/* * + ? with a lazy or possessive suffix; p on the first. */
static int repeat(struct walk *w)
{
    if (w->atom == SIZE_MAX)
        return refuse(w, "a repetition of nothing");
    int rc = put(w, 1, (char[]){*w->p, 0});
    if (rc == 0 && (*w->p == '?' || *w->p == '+'))
        rc = put(w, 1, (char[]){*w->p, 0});
    if (rc == 0 && (*w->p == '*' || *w->p == '+' || *w->p == '?'))
        return refuse(w, "a repeated repetition");
    w->atom = SIZE_MAX;
    return rc;
}

static int step(struct walk *w)
{
    switch (*w->p) {
    case '\\': w->p++; return escape(w);
    case '[': return char_class(w);
    case '(': return group(w);
    case ')':
        if (w->depth == 0)
            return refuse(w, "an unmatched )");
        w->atom = w->open[--w->depth];
        return put(w, 1, ")");
    case '{': return interval(w);
    case '*':
    case '+':
    case '?': return repeat(w);
    case '|': w->atom = SIZE_MAX; return put(w, 1, "|");
    case '^': w->atom = SIZE_MAX; return put(w, 1, "(?m:^)");
    case '$': w->atom = SIZE_MAX; return put(w, 1, "(?m:$)");
    default: {
        size_t len = 1;
        w->atom = w->out->len;
        while (((unsigned char)w->p[len] & 0xC0) == 0x80)
            len++;
        int rc = buf_add(w->out, w->p, len, w->e);
        w->p += len;
        return rc;
    }
    }
}

int dialect_to_pcre2(struct buf *out, const char *pattern, struct err *e)
{
    struct walk w = {.p = pattern, .out = out, .e = e, .atom = SIZE_MAX};
    int rc = 0;
    while (rc == 0 && *w.p)
        rc = step(&w);
    if (rc == 0 && w.depth)
        rc = refuse(&w, "an unmatched (");
    return rc;
}
