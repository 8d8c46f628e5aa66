#include "data/corpus_seen.h"

#include <string.h>

#include "base/buf.h"
#include "base/mem.h"

struct entry {
    struct digest hash;
    uint64_t id; /* offset + 1 into ids; 0: free */
};
struct seen {
    struct entry *slot; /* open addressing, a power of two, at most half full */
    size_t cap, n;
    struct buf ids;     /* NUL-terminated, one after the other */
};

int seen_new(struct seen **out, struct err *e)
{
    struct seen *s = mem_new(1, sizeof *s);
    if (s) {
        s->cap = 1024;
        s->slot = mem_new(s->cap, sizeof *s->slot);
    }
    if (!s || !s->slot) {
        mem_free(s);
        return err_set(e, ERR_NOMEM, "out of memory for the table of documents");
    }
    *out = s;
    return 0;
}

void seen_free(struct seen *s)
{
    if (!s)
        return;
    mem_free(s->slot);
    buf_release(&s->ids);
    mem_free(s);
}

static struct entry *find(struct entry *slot, size_t cap, const struct digest *h)
{
    uint64_t k;
    memcpy(&k, h->b, sizeof k);
    size_t i = (size_t)k & (cap - 1);
    while (slot[i].id && memcmp(&slot[i].hash, h, sizeof *h) != 0)
        i = (i + 1) & (cap - 1);
    return &slot[i];
}

static int grow(struct seen *s, struct err *e)
{
    size_t cap = s->cap * 2;
    struct entry *slot = mem_new(cap, sizeof *slot);
    if (!slot)
        return err_set(e, ERR_NOMEM, "out of memory for a table of %zu documents", s->n);
    for (size_t i = 0; i < s->cap; i++)
        if (s->slot[i].id)
            *find(slot, cap, &s->slot[i].hash) = s->slot[i];
    mem_free(s->slot);
    s->slot = slot;
    s->cap = cap;
    return 0;
}

int seen_add(struct seen *s, const struct digest *hash, const char *id, const char **first, struct err *e)
{
    *first = NULL;
    if (2 * (s->n + 1) > s->cap) {
        int rc = grow(s, e);
        if (rc != 0)
            return rc;
    }
    struct entry *at = find(s->slot, s->cap, hash);
    if (at->id) {
        *first = s->ids.p + at->id - 1;
        return 0;
    }
    size_t off;
    int rc = buf_addz(&s->ids, &off, id, e);
    if (rc != 0)
        return rc;
    *at = (struct entry){*hash, off + 1};
    s->n++;
    return 0;
}
