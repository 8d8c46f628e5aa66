#include "infer/generate.h"

#include <string.h>

#include "base/mem.h"
#include "infer/rows.h"

enum { REPEAT_LAST = 64, TEXT_AHEAD = 8 };

const char *gen_stop_name(enum gen_stop s)
{
    static const char *const name[] = {"length", "eos", "stop", "context", "caller"};
    return name[s];
}

void gen_result_release(struct gen_result *r)
{
    buf_release(&r->text);
    mem_free(r->tokens.v);
    *r = (struct gen_result){0};
}

struct gen {
    struct session *s;
    const struct gen_opts *o;
    struct gen_result *r;
    const struct tokenizer *tok; /* NULL: a model without one; no text then */
    struct tok_stream stream;
    size_t shown;                /* bytes of r->text handed to the caller */
    float *z;                    /* (vocab) space for the draw */
    int32_t eos, eos2;
};

/* Where the first stop string begins in text, or −1; *hold: length of a tail that may become one. */
static ptrdiff_t find_stop(const struct gen_opts *o, const char *text, size_t n, size_t from, size_t *hold)
{
    ptrdiff_t first = -1;
    *hold = 0;
    for (int i = 0; i < o->n_stop; i++) {
        size_t m = strlen(o->stop[i]), start = from >= m ? from - m + 1 : 0;
        if (m <= n && start + m <= n) {
            const char *at = memmem(text + start, n - start, o->stop[i], m);
            if (at && (first < 0 || at - text < first))
                first = at - text;
        }
        for (size_t k = m - 1 < n ? m - 1 : n; k > *hold; k--)
            if (memcmp(text + n - k, o->stop[i], k) == 0) {
                *hold = k;
                break;
            }
    }
    return first;
}

/* Shows what is certain. False: the caller wants no more. */
static bool show(struct gen *g, size_t upto)
{
    struct buf *t = &g->r->text;
    bool more = true;
    if (upto > g->shown && g->o->on_text)
        more = g->o->on_text(g->o->user, t->p + g->shown, upto - g->shown);
    if (upto > g->shown)
        g->shown = upto;
    return more;
}

/* The text of one token more.  1: go on; 0: stopped, r->stop says why. */
static int add_text(struct gen *g, int32_t id, struct err *e)
{
    struct buf *t = &g->r->text;
    size_t from = t->len, hold;
    if (!g->tok)
        return 1;
    int rc = tok_stream_next(g->tok, &g->stream, t, id, e);
    if (rc != 0)
        return rc;
    ptrdiff_t at = find_stop(g->o, t->p, t->len, from, &hold);
    if (at >= 0) {
        t->len = (size_t)at;
        t->p[t->len] = 0;
        g->stream.n_held = 0;
        g->r->stop = GEN_STOP_STRING;
        return 0;
    }
    if (show(g, t->len - hold))
        return 1;
    g->r->stop = GEN_CALLER;
    return 0;
}

/* A model may have more ids than its tokenizer (a table rounded up): they stand for nothing and are not drawn. */
static int32_t next_token(struct gen *g, const float *logits)
{
    const struct infer_model *m = session_model(g->s);
    int vocab = g->tok ? tokenizer_vocab(g->tok) : m->c.vocab;
    int len = session_len(g->s), last = g->o->repeat_last > 0 ? g->o->repeat_last : REPEAT_LAST;
    int n = last < len ? last : len;
    memcpy(g->z, logits, (size_t)vocab * sizeof *g->z);
    return sample_token(m->x->k, g->z, vocab, g->o, session_tokens(g->s) + len - n, n, (uint64_t)len);
}

static bool ends(const struct gen *g, int32_t id)
{
    return id >= 0 && (id == g->eos || id == g->eos2 || id == g->o->stop_token);
}

static int loop(struct gen *g, const float *logits, struct err *e)
{
    struct gen_result *r = g->r;
    for (;;) {
        int32_t id = next_token(g, logits);
        if (ends(g, id)) {
            r->stop = GEN_EOS;
            return 0;
        }
        r->tokens.v[r->tokens.n++] = id;
        int more = add_text(g, id, e);
        if (more <= 0)
            return more;
        if ((int)r->tokens.n == g->o->max_tokens) {
            r->stop = GEN_LENGTH;
            return 0;
        }
        if (session_len(g->s) == session_max_pos(g->s)) {
            r->stop = GEN_CONTEXT;
            return 0;
        }
        int rc = session_feed(g->s, &id, 1, &logits, e);
        if (rc != 0)
            return rc;
    }
}

/* All space is taken before the first token. */
static int prepare(struct gen *g, struct err *e)
{
    const struct infer_model *m = session_model(g->s);
    struct gen_result *r = g->r;
    size_t room = (size_t)(session_max_pos(g->s) - session_len(g->s)) + 1, n = (size_t)g->o->max_tokens;
    n = n < room ? n : room;
    r->tokens.v = mem_new(n, sizeof *r->tokens.v);
    r->tokens.cap = n;
    g->z = mem_new((size_t)m->c.vocab, sizeof *g->z);
    if (!r->tokens.v || !g->z)
        return err_set(e, ERR_NOMEM, "no memory for %zu new tokens", n);
    return buf_reserve(&r->text, n * TEXT_AHEAD + 64, e);
}

int generate(struct session *s, const int32_t *prompt, int n_prompt, const struct gen_opts *o, struct gen_result *r,
             struct err *e)
{
    struct infer_model *m = session_model(s);
    struct gen g = {.s = s, .o = o, .r = r, .tok = m->tok, .eos = m->c.eos, .eos2 = -1};
    const float *logits;
    *r = (struct gen_result){.prompt_tokens = n_prompt};
    if (g.tok)
        g.eos2 = tokenizer_special(g.tok).eos;
    int rc = gen_check(o, e);
    if (rc == 0)
        rc = prepare(&g, e);
    if (rc == 0)
        rc = session_feed(s, prompt, n_prompt, &logits, e);
    if (rc == 0)
        rc = loop(&g, logits, e);
    if (rc == 0 && g.tok && r->stop != GEN_STOP_STRING)
        rc = tok_stream_end(&g.stream, &r->text, e);
    if (rc == 0 && r->stop != GEN_CALLER && !show(&g, r->text.len))
        r->stop = GEN_CALLER;
    mem_free(g.z);
    return rc;
}
