#include "base/opt.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/codepoint.h"

enum { HELP_WIDTH = 79, HELP_LEFT_MAX = 30 };

/* ---- --help ---- */

/* Prints s wrapped at blanks into columns [left, HELP_WIDTH); the cursor stands at `left`. */
static void print_wrapped(const char *s, size_t left)
{
    size_t at = left;
    while (*s) {
        size_t n = strcspn(s, " \n"), w = text_width(s, n);
        if (at > left && at + 1 + w > HELP_WIDTH) printf("\n%*s", (int)left, ""), at = left;
        if (at > left) putchar(' '), at++;
        printf("%.*s", (int)n, s);
        at += w;
        s += n;
        for (; *s == ' ' || *s == '\n'; s++)
            if (*s == '\n') printf("\n%*s", (int)left, ""), at = left;
    }
    putchar('\n');
}

static size_t option_text(char out[128], const struct opt *o)
{
    int n = snprintf(out, 128, o->letter ? "-%c, " : "    ", o->letter);
    snprintf(out + n, 128 - (size_t)n, "--%s%s%s", o->name, o->arg ? " " : "", o->arg ? o->arg : "");
    return text_width(out, strlen(out));
}

static void print_option(const struct opt *o, size_t column)
{
    char text[128];
    size_t w = option_text(text, o) + 2;
    printf("  %s", text);
    if (w + 2 > column) printf("\n"), w = 0;
    printf("%*s", (int)(column - w), "");
    print_wrapped(o->help ? o->help : "", column);
}

static const struct opt help_opt = {.name = "help", .letter = 'h', .help = "shows this text"};

static const struct opt *by_letter(const struct opt_spec *s, char c)
{
    for (const struct opt *o = s->opts; o && o->name; o++)
        if (o->letter && o->letter == c) return o;
    return NULL;
}

static void print_help(const struct opt_spec *s)
{
    char text[128];
    size_t column = 0;
    struct opt help = help_opt;
    if (by_letter(s, 'h')) help.letter = 0;
    printf("Usage: ");
    print_wrapped(s->usage, 7);
    if (s->about) putchar('\n'), print_wrapped(s->about, 0);
    printf("\nOptions:\n");
    for (const struct opt *o = s->opts; o && o->name; o++) {
        size_t w = option_text(text, o);
        if (w <= HELP_LEFT_MAX && w > column) column = w;
    }
    column = (column < 10 ? 10 : column) + 4;
    for (const struct opt *o = s->opts; o && o->name; o++) print_option(o, column);
    print_option(&help, column);
}

/* ---- names ---- */

/* Levenshtein distance; names are short. */
static int distance(const char *a, size_t na, const char *b)
{
    int row[64];
    size_t nb = strlen(b);
    if (na > 60 || nb > 60) return 99;
    for (size_t j = 0; j <= nb; j++) row[j] = (int)j;
    for (size_t i = 1; i <= na; i++) {
        int diag = row[0];
        row[0] = (int)i;
        for (size_t j = 1; j <= nb; j++) {
            int best = diag + (a[i - 1] != b[j - 1]);
            if (row[j] + 1 < best) best = row[j] + 1;
            if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
            diag = row[j];
            row[j] = best;
        }
    }
    return row[nb];
}

bool opt_nearer(const char *typed, size_t n, const char *name, int *least)
{
    int d = strncmp(name, typed, n) == 0 && n >= 3 ? 1 : distance(typed, n, name);
    if (d >= (n < 4 ? 2 : 3) || d >= *least) return false;
    *least = d;
    return true;
}

static const char *nearest(const struct opt_spec *s, const char *name, size_t n)
{
    const char *best = NULL;
    int least = INT_MAX;
    for (const struct opt *o = s->opts; o && o->name; o++)
        if (opt_nearer(name, n, o->name, &least)) best = o->name;
    return best;
}

static int unknown(const struct opt_spec *s, const char *name, size_t n, struct err *e)
{
    const char *near = nearest(s, name, n);
    if (near) return err_set(e, ERR_USAGE, "unknown option --%.*s; did you mean --%s?", (int)n, name, near);
    return err_set(e, ERR_USAGE, "unknown option --%.*s; --help lists them", (int)n, name);
}

/* ---- values ---- */

static int bad(const struct opt *o, const char *v, const char *want, struct err *e)
{
    return err_set(e, ERR_USAGE, "--%s: \"%s\" is not %s", o->name, v, want);
}

static int in_range(const struct opt *o, const char *v, double x, struct err *e)
{
    if ((o->lo == 0 && o->hi == 0) || (x >= o->lo && x <= o->hi)) return 0;
    return err_set(e, ERR_USAGE, "--%s: %s is out of range, expected %.15g to %.15g", o->name, v, o->lo, o->hi);
}

/* A finite decimal number; *rest is what follows it. strtod alone would take "nan" and "0x1p3". */
static bool number(double *x, const char *v, const char **rest)
{
    size_t sign = *v == '-' || *v == '+', n = sign + strspn(v + sign, "0123456789.");
    if (n == sign || !strpbrk(v + sign, "0123456789") || v[n] == 'x' || v[n] == 'X') return false;
    char *end;
    *x = strtod(v, &end);
    *rest = end;
    return end > v && isfinite(*x);
}

/* A letter of "kMGT" (K as well) as a power of `unit`; false when something else follows. */
static bool scaled(double *x, const char *rest, double unit)
{
    static const char letters[] = "kMGT";
    if (*rest) {
        const char *at = strchr(letters, *rest == 'K' ? 'k' : *rest);
        if (!at) return false;
        for (const char *c = letters; c <= at; c++) *x *= unit;
        rest++;
    }
    return *rest == 0 && isfinite(*x);
}

static int set_int(const struct opt *o, const char *v, struct err *e)
{
    char *end;
    errno = 0;
    long long x = strtoll(v, &end, 10);
    bool digits = strspn(v + (*v == '-' || *v == '+'), "0123456789") > 0;
    if (!digits || *end) return bad(o, v, "an integer", e);
    if (errno && o->lo == 0 && o->hi == 0)
        return err_set(e, ERR_USAGE, "--%s: %s is out of range, expected %lld to %lld", o->name, v,
                       (long long)INT64_MIN, (long long)INT64_MAX);
    *(int64_t *)o->dst = x;
    return in_range(o, v, (double)x, e);
}

/* As run.json writes it, 0x and 16 digits, or decimal.  strtoull alone would take "-1", " 1" and "010" as eight. */
static int set_seed(const struct opt *o, const char *v, struct err *e)
{
    const char *digit = v + (*v == '-');
    bool hex = digit[0] == '0' && (digit[1] == 'x' || digit[1] == 'X');
    digit += hex ? 2 : 0;
    size_t n = strspn(digit, hex ? "0123456789abcdefABCDEF" : "0123456789");
    if (n == 0 || digit[n]) return bad(o, v, "a seed such as 5 or 0xbdb6c7fcefeaadba", e);
    errno = 0;
    uint64_t x = strtoull(digit, NULL, hex ? 16 : 10);
    if (errno || (*v == '-' && x != 0))
        return err_set(e, ERR_USAGE, "--%s: %s is out of range, expected 0 to %" PRIu64, o->name, v, UINT64_MAX);
    *(uint64_t *)o->dst = x;
    return 0;
}

static int set_number(const struct opt *o, const char *v, struct err *e)
{
    double x, unit = o->type == OPT_SIZE ? 1024 : 1000;
    const char *rest, *want = o->type == OPT_REAL    ? "a number"
                              : o->type == OPT_COUNT ? "a count such as 5000, 24M or 2e12"
                                                     : "a size such as 4096, 24M or 8G";
    if (!number(&x, v, &rest) || (o->type == OPT_REAL && *rest)) return bad(o, v, want, e);
    if (o->type != OPT_REAL && (!scaled(&x, rest, unit) || x < 0)) return bad(o, v, want, e);
    if (o->type == OPT_SIZE && (x != floor(x) || x > 0x1p62)) return bad(o, v, "a whole number of bytes", e);
    if (o->type == OPT_SIZE) *(int64_t *)o->dst = (int64_t)x;
    else *(double *)o->dst = x;
    return in_range(o, v, x, e);
}

static int set_list(const struct opt *o, const char *v, struct err *e)
{
    struct opt_list *l = o->dst;
    const int max = (int)(sizeof l->v / sizeof *l->v);
    if (l->n == max) return err_set(e, ERR_USAGE, "--%s: given more than %d times", o->name, max);
    l->v[l->n++] = v;
    return 0;
}

static int set(const struct opt *o, const char *v, struct err *e)
{
    if (o->seen) *o->seen = true;
    switch (o->type) {
    case OPT_FLAG: *(bool *)o->dst = true; return 0;
    case OPT_INT: return set_int(o, v, e);
    case OPT_SEED: return set_seed(o, v, e);
    case OPT_REAL:
    case OPT_COUNT:
    case OPT_SIZE: return set_number(o, v, e);
    case OPT_STR: *(const char **)o->dst = v; return 0;
    case OPT_LIST: return set_list(o, v, e);
    }
    assert(!"option type");
    return ERR_USAGE;
}

/* ---- the loop ---- */

/* One argument that begins with '-': its option, and its value if it is attached. */
static int resolve(const struct opt_spec *s, const char *a, const struct opt **found, const char **value,
                   struct err *e)
{
    *value = NULL;
    if (a[1] != '-') {
        *found = by_letter(s, a[1]);
        if (!*found && !strcmp(a, "-h")) *found = &help_opt;
        if (!*found) return err_set(e, ERR_USAGE, "unknown option %s; --help lists them", a);
        if (a[2]) *value = a + 2 + (a[2] == '=');
        return 0;
    }
    const char *name = a + 2, *eq = strchr(name, '=');
    size_t n = eq ? (size_t)(eq - name) : strlen(name);
    if (eq) *value = eq + 1;
    for (const struct opt *o = s->opts; o && o->name; o++)
        if (strlen(o->name) == n && !memcmp(o->name, name, n)) {
            *found = o;
            return 0;
        }
    *found = &help_opt;
    return n == 4 && !memcmp(name, "help", 4) ? 0 : unknown(s, name, n, e);
}

static int check_count(const struct opt_spec *s, int n, char **argv, struct err *e)
{
    if (n < s->min_args)
        return err_set(e, ERR_USAGE, "needs %s%d argument%s, got %d; usage: %s",
                       s->max_args == s->min_args ? "" : "at least ", s->min_args, s->min_args == 1 ? "" : "s", n,
                       s->usage);
    if (s->max_args >= 0 && n > s->max_args)
        return err_set(e, ERR_USAGE, "unexpected argument \"%s\"; usage: %s", argv[s->max_args], s->usage);
    return 0;
}

int opt_parse(const struct opt_spec *s, int argc, char **argv, int *n_args, struct err *e)
{
    int n = 0, rc;
    bool only_args = false;
    for (int i = 1; i < argc; i++) {
        char *a = argv[i];
        if (only_args || a[0] != '-' || !a[1]) { /* "-" alone names a stream */
            argv[n++] = a;
            continue;
        }
        if (!strcmp(a, "--")) {
            only_args = true;
            continue;
        }
        const struct opt *o;
        const char *value;
        if ((rc = resolve(s, a, &o, &value, e))) return rc;
        if (o == &help_opt) {
            print_help(s);
            return 1;
        }
        if (o->type == OPT_FLAG && value) {
            return err_set(e, ERR_USAGE, "--%s takes no value, got \"%s\"", o->name, value);
        }
        if (o->type != OPT_FLAG && !value) {
            if (i + 1 >= argc)
                return err_set(e, ERR_USAGE, "--%s needs a value (%s)", o->name, o->arg ? o->arg : "VALUE");
            value = argv[++i];
        }
        if ((rc = set(o, value, e))) return rc;
    }
    *n_args = n;
    return check_count(s, n, argv, e);
}
