/* See tokenizer_docs.h. */
#include "cli/tokenizer_docs.h"

#include "base/file.h"
#include "formats/textsrc.h"
#include "text/unicode.h"

static const size_t document_limit = (size_t)2 << 30;

static int corpus_each(struct docs *d, docs_fn *fn, void *ctx, struct err *e)
{
    struct corpus *c = NULL;
    int rc = corpus_open(&c, d->corpus, e);
    if (rc == 0)
        rc = corpus_trained_each(c, d->heldout, fn, ctx, &d->left_out, e);
    corpus_close(c);
    return rc;
}

static int file_each(const char *path, docs_fn *fn, void *ctx, struct err *e)
{
    struct textsrc *s = NULL;
    struct textsrc_doc d;
    int rc = textsrc_open(&s, path, document_limit, e), more = 0;
    while (rc == 0 && (more = textsrc_next(s, &d, e)) > 0) {
        rc = uc_check(path, d.text, d.n, e);
        if (rc == 0)
            rc = fn(ctx, d.text, d.n, e);
    }
    textsrc_close(s);
    return rc ? rc : more;
}

static int path_each(struct docs *d, const char *path, docs_fn *fn, void *ctx, struct err *e)
{
    struct file_list l;
    int rc = sources_list(&l, &d->aside, path, d->out, e);
    if (rc == 0 && l.n == 0)
        rc = err_set(e, ERR_VALUE, "%s: holds no .txt, .md or .jsonl file", path);
    for (size_t i = 0; i < l.n && rc == 0; i++)
        rc = file_each(l.path[i], fn, ctx, e);
    file_list_release(&l);
    return rc;
}

int docs_each(struct docs *d, docs_fn *fn, void *ctx, struct err *e)
{
    d->left_out = (struct corpus_left_out){0};
    d->aside = (struct asides){0};
    int rc = d->corpus ? corpus_each(d, fn, ctx, e) : 0;
    for (int i = 0; i < d->in->n && rc == 0; i++)
        rc = path_each(d, d->in->v[i], fn, ctx, e);
    return rc;
}
