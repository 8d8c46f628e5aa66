#include "infer/session.h"

#include <assert.h>
#include <omp.h>
#include <string.h>

#include "base/mem.h"
#include "infer/rows.h"

struct session {
    struct infer_model *m;
    struct infer_space w;
    struct kv_pool pool;
    int *page;          /* of position p: page[p/64] */
    int n_pages;
    int32_t *tok;       /* what was fed */
    real *last;         /* (vocab) logits of the last token fed */
    int len, max_pos;
};

static int take_pages(struct session *s, struct err *e)
{
    s->n_pages = (s->max_pos + KV_PAGE - 1) / KV_PAGE;
    s->page = mem_new((size_t)s->n_pages, sizeof *s->page);
    if (!s->page)
        return err_set(e, ERR_NOMEM, "no memory for a session of %d positions", s->max_pos);
    int rc = kv_pool_init(&s->pool, &s->m->c, s->n_pages, e);
    for (int i = 0; i < s->n_pages && rc == 0; i++)
        s->page[i] = kv_pool_take(&s->pool);
    return rc;
}

int session_new(struct session **out, struct infer_model *m, int max_pos, int max_rows, struct err *e)
{
    *out = NULL;
    if (max_pos < 1 || max_pos > m->c.max_pos)
        return err_set(e, ERR_LIMIT, "a session of %d positions, the model has %d", max_pos, m->c.max_pos);
    struct session *s = mem_new(1, sizeof *s);
    if (!s)
        return err_set(e, ERR_NOMEM, "no memory for a session");
    s->m = m;
    s->max_pos = max_pos;
    max_rows = max_rows < 1 ? 1 : max_rows > max_pos ? max_pos : max_rows;
    s->tok = mem_new((size_t)max_pos, sizeof *s->tok);
    s->last = mem_new((size_t)m->c.vocab, sizeof *s->last);
    int rc = s->tok && s->last ? 0 : err_set(e, ERR_NOMEM, "no memory for a session of %d positions", max_pos);
    if (rc == 0)
        rc = infer_space_init(&s->w, m, max_rows, max_pos, e);
    if (rc == 0)
        rc = take_pages(s, e);
    if (rc != 0)
        session_free(s);
    else
        *out = s;
    return rc;
}

void session_free(struct session *s)
{
    if (!s)
        return;
    infer_space_release(&s->w);
    kv_pool_release(&s->pool);
    mem_free(s->page);
    mem_free(s->tok);
    mem_free(s->last);
    mem_free(s);
}

void session_reset(struct session *s, int keep)
{
    assert(keep >= 0 && keep <= s->len);
    s->len = keep;
}

int session_len(const struct session *s) { return s->len; }
int session_max_pos(const struct session *s) { return s->max_pos; }
const int32_t *session_tokens(const struct session *s) { return s->tok; }
struct infer_model *session_model(const struct session *s) { return s->m; }

uint64_t session_kv_bytes(const struct session *s, int len)
{
    uint64_t n = 0;
    for (int i = 0; i < s->m->c.n_layer; i++) {
        const struct layer_facts *f = &s->m->c.layer[i];
        int seen = f->window > 0 && f->window < len ? f->window : len;
        n += 2 * (uint64_t)seen * (uint64_t)(f->n_kv * f->d_head) * sizeof(bf16);
    }
    return n;
}

static int check(const struct session *s, const int32_t *tok, int n, struct err *e)
{
    if (n < 1)
        return err_set(e, ERR_VALUE, "no tokens to read: the text is empty");
    if (n > s->max_pos - s->len)
        return err_set(e, ERR_LIMIT, "the text has %lld tokens, the context holds %d", (long long)s->len + n,
                       s->max_pos);
    for (int i = 0; i < n; i++)
        if (tok[i] < 0 || tok[i] >= s->m->c.vocab)
            return err_set(e, ERR_VALUE, "token %d is %d, the model's vocabulary has %d", i, tok[i], s->m->c.vocab);
    return 0;
}

/* The next n ≤ max_rows tokens; w.h holds their rows afterwards. */
static void step(struct session *s, const int32_t *tok, int n)
{
    struct infer_seg seg = {.n = n, .pos0 = s->len, .pool = &s->pool, .page = s->page};
    infer_rows(s->m, &s->w, tok, &seg, 1);
    memcpy(s->tok + s->len, tok, (size_t)n * sizeof *tok);
    s->len += n;
}

static int chunk(const struct session *s, int left) { return left < s->w.max_rows ? left : s->w.max_rows; }

int session_feed(struct session *s, const int32_t *tok, int n, const float **logits, struct err *e)
{
    int rc = check(s, tok, n, e), last = 0, from = s->len;
    if (rc != 0)
        return rc;
    for (int at = 0; at < n; at += last) {
        last = chunk(s, n - at);
        step(s, tok + at, last);
    }
    infer_logits(s->m, &s->w, last - 1, 1, s->last);
    if (!s->m->x->k->finite(s->last, (size_t)s->m->c.vocab)) {
        s->len = from;
        return err_set(e, ERR_NUMERIC, "the logits after token %d are not finite", from + n - 1);
    }
    if (logits)
        *logits = s->last;
    return 0;
}

/* Losses (and top tokens) of rows [row, row + n) of the present chunk. */
static void score_rows(struct session *s, int row, int n, float *nll, int32_t *top)
{
    const struct kernels *k = s->m->x->k;
    int vocab = s->m->c.vocab;
    infer_logits(s->m, &s->w, row, n, s->w.logits);
#pragma omp parallel num_threads(s->m->x->threads)
    {
        kernels_fp_enter();
#pragma omp for schedule(static)
        for (int r = 0; r < n; r++) {
            const real *z = s->w.logits + (size_t)r * (size_t)vocab;
            k->cross_entropy(NULL, &nll[r], z, vocab, s->w.target[row + r], 1);
            if (top)
                top[r] = infer_argmax(z, vocab);
        }
    }
}

/* next −1: nothing follows the last token. */
static int score(struct session *s, const int32_t *tok, int n, int32_t next, float *nll, int32_t *top, struct err *e)
{
    int rc = check(s, tok, n, e), from = s->len;
    for (int at = 0, rows; at < n && rc == 0; at += rows) {
        rows = chunk(s, n - at);
        step(s, tok + at, rows);
        for (int r = 0; r < rows; r++)
            s->w.target[r] = at + r + 1 < n ? tok[at + r + 1] : next;
        for (int r = 0; r < rows; r += s->w.head_rows) {
            int here = rows - r < s->w.head_rows ? rows - r : s->w.head_rows;
            score_rows(s, r, here, s->w.loss + r, top ? top + at + r : NULL);
        }
        int keep = at + rows < n || next >= 0 ? rows : rows - 1;
        if (keep > 0)
            memcpy(nll + at, s->w.loss, (size_t)keep * sizeof *nll);
        if (!s->m->x->k->finite(s->w.loss, (size_t)rows))
            rc = err_set(e, ERR_NUMERIC, "a log-probability of tokens %d to %d is not finite", at, at + rows - 1);
    }
    if (rc != 0)
        s->len = from;
    return rc;
}

int session_score(struct session *s, const int32_t *tok, int n, float *nll, int32_t *top, struct err *e)
{
    return score(s, tok, n, -1, nll, top, e);
}

int session_score_next(struct session *s, const int32_t *tok, int n, int32_t next, float *nll, int32_t *top,
                       struct err *e)
{
    if (next < 0 || next >= s->m->c.vocab)
        return err_set(e, ERR_VALUE, "the next token is %d, the model's vocabulary has %d", next, s->m->c.vocab);
    return score(s, tok, n, next, nll, top, e);
}
