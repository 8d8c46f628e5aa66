#include "data/corpus_load.h"

#include <string.h>

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

static int keep_string(size_t *at, struct buf *meta, const char *s, struct err *e)
{
    *at = meta->len;
    return buf_add(meta, s, strlen(s) + 1, e);
}

static int take(struct load_batch *b, const struct corpus_doc *d, struct err *e)
{
    struct load_item *it = &b->it[b->n++];
    *it = (struct load_item){.text = b->raw.len, .n = d->n};
    int rc = buf_add(&b->raw, d->text, d->n, e);
    if (rc == 0)
        rc = keep_string(&it->id, &b->meta, d->id, e);
    if (rc == 0)
        rc = keep_string(&it->source, &b->meta, d->source, e);
    if (rc == 0)
        rc = keep_string(&it->license, &b->meta, d->license, e);
    return rc == 0 ? keep_string(&it->lang, &b->meta, d->lang, e) : rc;
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
