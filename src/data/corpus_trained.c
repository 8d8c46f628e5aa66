#include "data/corpus_trained.h"

#include <string.h>

#include "base/buf.h"

/* One document kept back: the lowest hash while none is held out, or the highest while none is trained on. */
struct walk {
    double heldout;
    corpus_text_fn *fn;
    void *ctx;
    struct corpus_left_out *left_out;
    uint64_t n[2];         /* documents seen: trained on, held out by their hash */
    bool kept;
    struct buf text;
    struct digest hash;
};

static int give(struct walk *w, const char *text, size_t n, struct err *e)
{
    return w->fn(w->ctx, text, n, e);
}

static void leave_out(struct walk *w, size_t n)
{
    w->left_out->docs++;
    w->left_out->bytes += n;
}

/* What was kept back goes to its side; `held` is that side. */
static int settle(struct walk *w, bool held, struct err *e)
{
    int rc = 0;
    if (w->kept && held)
        leave_out(w, w->text.len);
    else if (w->kept)
        rc = give(w, w->text.p, w->text.len, e);
    w->kept = false;
    return rc;
}

static int keep(struct walk *w, const struct corpus_doc *d, struct err *e)
{
    w->kept = true;
    w->hash = d->hash;
    buf_clear(&w->text);
    return buf_add(&w->text, d->text, d->n, e);
}

static int take(struct walk *w, const struct corpus_doc *d, struct err *e)
{
    bool held = corpus_held_out(&d->hash, w->heldout), first_of_side = w->n[held]++ == 0;
    int rc = 0;
    if (w->n[!held] > 0) {
        /* Both sides have one: nothing is an exception any more. */
        if (first_of_side)
            rc = settle(w, !held, e);
        if (held)
            leave_out(w, d->n);
        else if (rc == 0)
            rc = give(w, d->text, d->n, e);
        return rc;
    }
    int order = w->kept ? memcmp(&d->hash, &w->hash, sizeof d->hash) : 0;
    if (!w->kept || (held ? order > 0 : order < 0)) {
        rc = settle(w, held, e);
        return rc == 0 ? keep(w, d, e) : rc;
    }
    if (held)
        leave_out(w, d->n);
    return held ? 0 : give(w, d->text, d->n, e);
}

int corpus_trained_each(const struct corpus *c, double heldout, corpus_text_fn *fn, void *ctx,
                        struct corpus_left_out *left_out, struct err *e)
{
    struct walk w = {.heldout = heldout, .fn = fn, .ctx = ctx, .left_out = left_out};
    struct corpus_reader *r = NULL;
    struct corpus_doc d;
    *left_out = (struct corpus_left_out){0};
    int rc = corpus_reader_new(&r, c, e), more = 0;
    while (rc == 0 && heldout > 0 && (more = corpus_reader_next(r, &d, e)) > 0)
        rc = take(&w, &d, e);
    while (rc == 0 && heldout <= 0 && (more = corpus_reader_next_text(r, &d, e)) > 0)
        rc = fn(ctx, d.text, d.n, e);
    /* One side stayed empty: the document kept back is its only one, unless there is no other. */
    if (rc == 0 && more == 0)
        rc = settle(&w, w.n[0] > 1, e);
    corpus_reader_free(r);
    buf_release(&w.text);
    return rc ? rc : more;
}
