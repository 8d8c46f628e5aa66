/* Passes over a list of pieces; see split.h. */
#include "text/split.h"

#include <string.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/mem.h"
#include "text/dialect.h"

enum { MAX_PASS = 16, STACK_START = 64 << 10 };
static const size_t stack_limit = (size_t)1 << 30; /* reserved, used only as deep as a match goes */

enum pass_kind { PASS_REGEX, PASS_STRING, PASS_PREFIX_SPACE };

struct pass {
    enum pass_kind kind;
    enum split_behavior behavior;
    bool invert;
    pcre2_code *code;
    lexer_fn *lexer; /* NULL: none known */
    char *literal;
    size_t n_literal;
};

struct splitter {
    struct pass pass[MAX_PASS];
    int n;
    bool pcre2_only;
};

int splitter_new(struct splitter **s, struct err *e)
{
    *s = mem_new(1, sizeof **s);
    return *s ? 0 : err_set(e, ERR_NOMEM, "out of memory for a splitter");
}

void splitter_free(struct splitter *s)
{
    if (!s)
        return;
    for (int i = 0; i < s->n; i++) {
        pcre2_code_free(s->pass[i].code);
        mem_free(s->pass[i].literal);
    }
    mem_free(s);
}

void splitter_use_pcre2(struct splitter *s)
{
    s->pcre2_only = true;
}

lexer_fn *splitter_lexer(const struct splitter *s)
{
    return s->n == 1 && !s->pcre2_only && s->pass[0].kind == PASS_REGEX && s->pass[0].behavior == SPLIT_ISOLATED
               ? s->pass[0].lexer
               : NULL;
}

static int add_pass(struct splitter *s, struct pass p, struct err *e)
{
    if (s->n == MAX_PASS)
        return err_set(e, ERR_LIMIT, "more than %d pre-tokenizers in a sequence", MAX_PASS);
    s->pass[s->n++] = p;
    return 0;
}

static int compile(pcre2_code **code, const char *pattern, struct err *e)
{
    struct buf b = {0};
    struct err why = {0};
    int rc = dialect_to_pcre2(&b, pattern, &why);
    if (rc) {
        buf_release(&b);
        return err_set(e, rc, "pattern \"%.120s\": %.200s", pattern, why.msg);
    }
    int num = 0;
    PCRE2_SIZE at = 0;
    pcre2_compile_context *cc = pcre2_compile_context_create(NULL);
    if (cc)
        pcre2_set_newline(cc, PCRE2_NEWLINE_LF);
    *code = cc ? pcre2_compile((PCRE2_SPTR)(b.p ? b.p : ""), b.len,
                               PCRE2_UTF | PCRE2_UCP | PCRE2_NO_UTF_CHECK | PCRE2_NEVER_BACKSLASH_C, &num, &at, cc)
               : NULL;
    pcre2_compile_context_free(cc);
    buf_release(&b);
    if (!*code) {
        char text[160] = "out of memory";
        if (num)
            pcre2_get_error_message(num, (PCRE2_UCHAR *)text, sizeof text);
        bool memory = num == 0 || num == PCRE2_ERROR_HEAP_FAILED;
        return err_set(e, memory ? ERR_NOMEM : ERR_FORMAT, "pattern \"%.200s\" cannot be compiled: %s", pattern, text);
    }
    /* Without JIT support the interpreter gives the same matches. */
    (void)!pcre2_jit_compile(*code, PCRE2_JIT_COMPLETE);
    return 0;
}

int splitter_add_regex(struct splitter *s, const char *pattern, enum split_behavior b, bool invert, struct err *e)
{
    struct pass p = {.kind = PASS_REGEX, .behavior = b, .invert = invert, .lexer = lexer_for(pattern)};
    if (strlen(pattern) > 65536)
        return err_set(e, ERR_LIMIT, "a split pattern of %zu bytes, limit 65536", strlen(pattern));
    int rc = compile(&p.code, pattern, e);
    if (rc == 0 && (rc = add_pass(s, p, e)) != 0)
        pcre2_code_free(p.code);
    return rc;
}

int splitter_add_string(struct splitter *s, const char *text, enum split_behavior b, bool invert, struct err *e)
{
    struct pass p = {.kind = PASS_STRING, .behavior = b, .invert = invert, .n_literal = strlen(text)};
    if (p.n_literal == 0)
        return err_set(e, ERR_FORMAT, "a Split with an empty String pattern");
    p.literal = mem_strdup(text);
    if (!p.literal)
        return err_set(e, ERR_NOMEM, "out of memory for a pattern");
    int rc = add_pass(s, p, e);
    if (rc)
        mem_free(p.literal);
    return rc;
}

int splitter_add_prefix_space(struct splitter *s, struct err *e)
{
    return add_pass(s, (struct pass){.kind = PASS_PREFIX_SPACE}, e);
}

static void match_release(struct split_work *w)
{
    pcre2_match_data_free(w->match);
    pcre2_match_context_free(w->context);
    pcre2_jit_stack_free(w->stack);
    w->match = NULL;
    w->context = NULL;
    w->stack = NULL;
}

void split_work_release(struct split_work *w)
{
    mem_free(w->piece);
    mem_free(w->next);
    buf_release(&w->text);
    match_release(w);
    *w = (struct split_work){0};
}

static int push(struct split_piece **v, size_t *n, size_t *cap, size_t at, size_t len, struct err *e)
{
    if (*n == *cap) {
        size_t want = *cap ? *cap * 2 : 256;
        struct split_piece *p = mem_resize(*v, want, sizeof *p);
        if (!p)
            return err_set(e, ERR_NOMEM, "out of memory for %zu pieces", want);
        *v = p;
        *cap = want;
    }
    (*v)[(*n)++] = (struct split_piece){at, len};
    return 0;
}

/* Applies a behaviour while matches arrive: `first` opens a piece whose end is not known yet. */
struct joiner {
    struct split_work *w;
    enum split_behavior behavior;
    bool invert;
    bool have, have_match; /* an open piece, and whether its last part was a match */
    size_t at, n;
};

static int close_piece(struct joiner *j, struct err *e)
{
    struct split_work *w = j->w;
    int rc = j->have && j->n ? push(&w->next, &w->n_next, &w->cap_next, j->at, j->n, e) : 0;
    j->have = false;
    return rc;
}

static int part(struct joiner *j, size_t at, size_t n, bool match, struct err *e)
{
    match ^= j->invert;
    bool join = false;
    switch (j->behavior) {
    case SPLIT_ISOLATED: break;
    case SPLIT_REMOVED:
        if (match)
            return close_piece(j, e);
        break;
    case SPLIT_MERGED_PREVIOUS: join = match && !j->have_match; break;
    case SPLIT_MERGED_NEXT: join = j->have_match && !match; break;
    case SPLIT_CONTIGUOUS: join = match == j->have_match; break;
    }
    if (j->have && join) {
        j->n += n;
        j->have_match = match;
        return 0;
    }
    int rc = close_piece(j, e);
    j->have = true;
    j->have_match = match;
    j->at = at;
    j->n = n;
    return rc;
}

/* Not every PCRE2 is built with it. */
static bool has_jit(void)
{
    uint32_t jit = 0;
    return pcre2_config(PCRE2_CONFIG_JIT, &jit) >= 0 && jit;
}

static int match_setup(struct split_work *w, struct err *e)
{
    if (w->match)
        return 0;
    w->match = pcre2_match_data_create(32, NULL);
    w->context = pcre2_match_context_create(NULL);
    w->stack = has_jit() ? pcre2_jit_stack_create(STACK_START, stack_limit, NULL) : NULL;
    if (!w->match || !w->context || (!w->stack && has_jit())) {
        match_release(w); /* or the next text would be matched without its limits */
        return err_set(e, ERR_NOMEM, "out of memory for matching");
    }
    if (w->stack)
        pcre2_jit_stack_assign(w->context, NULL, w->stack);
    pcre2_set_match_limit(w->context, 1u << 28); /* a hostile pattern ends in an error, not in years */
    pcre2_set_depth_limit(w->context, UINT32_MAX);
    pcre2_set_heap_limit(w->context, (uint32_t)(stack_limit >> 10));
    return 0;
}

static int regex_pieces(const struct pass *p, struct split_work *w, struct joiner *j, const char *text, size_t at,
                        size_t n, struct err *e)
{
    int rc = match_setup(w, e);
    size_t pos = 0, prev = 0, last_end = SIZE_MAX;
    const PCRE2_SIZE *ov = rc == 0 ? pcre2_get_ovector_pointer(w->match) : NULL;
    while (rc == 0 && pos <= n) {
        int m = pcre2_match(p->code, (PCRE2_SPTR)text + at, n, pos, PCRE2_NO_UTF_CHECK, w->match, w->context);
        if (m == PCRE2_ERROR_NOMATCH)
            break;
        if (m < 0 && m != PCRE2_ERROR_NOMATCH)
            return err_set(e, ERR_LIMIT, "the split pattern ran out of room on a piece of %zu bytes (PCRE2 code %d)",
                           n, m);
        size_t from = ov[0], to = ov[1];
        if (from == to) { /* an empty match cuts, except right behind the match before it */
            if (from == last_end) {
                if (pos >= n)
                    break;
                int32_t cp;
                pos += (size_t)uc_next(&cp, (const unsigned char *)text + at + pos);
                last_end = SIZE_MAX;
                continue;
            }
        }
        if (from > prev)
            rc = part(j, at + prev, from - prev, false, e);
        if (rc == 0)
            rc = part(j, at + from, to - from, true, e);
        prev = last_end = to;
        pos = to;
    }
    if (rc == 0 && prev < n)
        rc = part(j, at + prev, n - prev, false, e);
    return rc;
}

static int lexer_pieces(const struct pass *p, struct joiner *j, const char *text, size_t at, size_t n, struct err *e)
{
    const struct uc_table *t = uc_table();
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0;) {
        size_t len = p->lexer(t, (const unsigned char *)text + at + i, n - i);
        rc = part(j, at + i, len, true, e);
        i += len;
    }
    return rc;
}

static int string_pieces(const struct pass *p, struct joiner *j, const char *text, size_t at, size_t n, struct err *e)
{
    size_t prev = 0;
    int rc = 0;
    while (rc == 0) {
        const char *hit = prev < n ? memmem(text + at + prev, n - prev, p->literal, p->n_literal) : NULL;
        if (!hit)
            break;
        size_t from = (size_t)(hit - text) - at;
        if (from > prev)
            rc = part(j, at + prev, from - prev, false, e);
        if (rc == 0)
            rc = part(j, at + from, p->n_literal, true, e);
        prev = from + p->n_literal;
    }
    return rc == 0 && prev < n ? part(j, at + prev, n - prev, false, e) : rc;
}

/* Writes the text again with the spaces in it. */
static int prefix_space(struct split_work *w, struct err *e)
{
    struct buf b = {0};
    int rc = 0;
    for (size_t i = 0; i < w->n && rc == 0; i++) {
        const char *p = w->base + w->piece[i].at;
        size_t at = b.len;
        if (*p != ' ')
            rc = buf_addc(&b, ' ', e);
        if (rc == 0)
            rc = buf_add(&b, p, w->piece[i].n, e);
        if (rc == 0)
            rc = push(&w->next, &w->n_next, &w->cap_next, at, b.len - at, e);
    }
    buf_release(&w->text);
    w->text = b;
    w->base = b.p;
    return rc;
}

static int run_pass(const struct splitter *s, const struct pass *p, struct split_work *w, struct err *e)
{
    if (p->kind == PASS_PREFIX_SPACE)
        return prefix_space(w, e);
    int rc = 0;
    for (size_t i = 0; i < w->n && rc == 0; i++) {
        struct joiner j = {.w = w, .behavior = p->behavior, .invert = p->invert};
        size_t at = w->piece[i].at, n = w->piece[i].n;
        if (p->kind == PASS_STRING)
            rc = string_pieces(p, &j, w->base, at, n, e);
        else if (p->lexer && !s->pcre2_only)
            rc = lexer_pieces(p, &j, w->base, at, n, e);
        else
            rc = regex_pieces(p, w, &j, w->base, at, n, e);
        if (rc == 0)
            rc = close_piece(&j, e);
    }
    return rc;
}

int splitter_run(const struct splitter *s, struct split_work *w, const char *text, size_t n, struct err *e)
{
    w->n = 0;
    w->base = text;
    int rc = n ? push(&w->piece, &w->n, &w->cap, 0, n, e) : 0;
    for (int i = 0; i < s->n && rc == 0; i++) {
        w->n_next = 0;
        rc = run_pass(s, &s->pass[i], w, e);
        struct split_piece *v = w->piece;
        size_t cap = w->cap;
        w->piece = w->next;
        w->cap = w->cap_next;
        w->n = w->n_next;
        w->next = v;
        w->cap_next = cap;
    }
    return rc;
}
