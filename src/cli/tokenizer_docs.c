/* See tokenizer_docs.h. */
#include "cli/tokenizer_docs.h"

#include "base/file.h"
#include "formats/textsrc.h"
#include "text/unicode.h"

static const size_t document_limit = (size_t)2 << 30;

static int corpus_each(const char *dir, double heldout, docs_fn *fn, void *ctx, struct corpus_left_out *left_out,
                       struct err *e)
{
    struct corpus *c = NULL;
    int rc = corpus_open(&c, dir, e);
    if (rc == 0)
        rc = corpus_trained_each(c, heldout, fn, ctx, left_out, e);
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

static int path_each(const char *path, docs_fn *fn, void *ctx, struct err *e)
{
    if (!file_is_dir(path))
        return file_each(path, fn, ctx, e);
    struct file_list l = {0};
    size_t used = 0;
    int rc = file_list_open(&l, NULL, path, e);
    for (size_t i = 0; i < l.n && rc == 0; i++)
        if (textsrc_kind(l.path[i]) != TEXTSRC_NONE) {
            used++;
            rc = file_each(l.path[i], fn, ctx, e);
        }
    file_list_release(&l);
    return rc == 0 && used == 0 ? err_set(e, ERR_VALUE, "%s: holds no .txt, .md or .jsonl file", path) : rc;
}

int docs_each_trained(const char *corpus, double heldout, const struct opt_list *in, docs_fn *fn, void *ctx,
                      struct corpus_left_out *left_out, struct err *e)
{
    *left_out = (struct corpus_left_out){0};
    int rc = corpus ? corpus_each(corpus, heldout, fn, ctx, left_out, e) : 0;
    for (int i = 0; i < in->n && rc == 0; i++)
        rc = path_each(in->v[i], fn, ctx, e);
    return rc;
}

int docs_each(const char *corpus, const struct opt_list *in, docs_fn *fn, void *ctx, struct err *e)
{
    struct corpus_left_out none;
    return docs_each_trained(corpus, 0, in, fn, ctx, &none, e);
}
