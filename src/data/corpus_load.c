#include "data/corpus_load.h"

#include "base/mem.h"

int load_init(struct load_batch *b, struct err *e)
{
    *b = (struct load_batch){.it = mem_new(LOAD_DOCS, sizeof *b->it)};
    return b->it ? 0 : err_set(e, ERR_NOMEM, "out of memory for a batch of documents");
}

void load_release(struct load_batch *b)
{
    mem_free(b->it);
    buf_release(&b->raw);
    buf_release(&b->meta);
    *b = (struct load_batch){0};
}

static int take(struct load_batch *b, const struct corpus_doc *d, struct err *e)
{
    struct load_item *it = &b->it[b->n++];
    *it = (struct load_item){.text = b->raw.len, .n = d->n};
    int rc = buf_add(&b->raw, d->text, d->n, e);
    if (rc == 0)
        rc = buf_addz(&b->meta, &it->id, d->id, e);
    if (rc == 0)
        rc = buf_addz(&b->meta, &it->source, d->source, e);
    if (rc == 0)
        rc = buf_addz(&b->meta, &it->license, d->license, e);
    return rc == 0 ? buf_addz(&b->meta, &it->lang, d->lang, e) : rc;
}

int load_fill(struct load_batch *b, struct corpus_reader *r, struct err *e)
{
    buf_clear(&b->raw);
    buf_clear(&b->meta);
    for (b->n = 0; b->n < LOAD_DOCS && b->raw.len < LOAD_BYTES;) {
        struct corpus_doc d;
        int rc = corpus_reader_next_text(r, &d, e);
        if (rc == 0)
            break;
        if (rc > 0)
            rc = take(b, &d, e);
        if (rc != 0)
            return rc;
    }
    return b->n > 0;
}
