#include <string.h>

#include "base/buf.h"
#include "base/json.h"
#include "data/corpus_batch.h"

struct digest corpus_leaf(const struct digest *part, const struct digest *text, const struct digest *meta)
{
    uint8_t leaf[96];
    memcpy(leaf, text->b, 32);
    memcpy(leaf + 32, meta->b, 32);
    if (!part)
        return merkle_leaf(leaf, 64);
    memcpy(leaf + 64, part->b, 32);
    return merkle_leaf(leaf, sizeof leaf);
}

struct digest corpus_leaf_of(const struct corpus_salt *s, const struct digest *text, const struct digest *meta)
{
    if (!s)
        return corpus_leaf(NULL, text, meta);
    struct digest part = corpus_salt_part(s, text, meta);
    return corpus_leaf(&part, text, meta);
}

struct digest corpus_meta(const char *id, const char *source, const char *license, const char *lang)
{
    const char *s[4] = {id, source, license, lang};
    struct hash_part part[8];
    uint8_t length[4][8];
    for (int i = 0; i < 4; i++) {
        size_t n = strlen(s[i]);
        for (int k = 0; k < 8; k++)
            length[i][k] = (uint8_t)((uint64_t)n >> (8 * k));
        part[2 * i] = (struct hash_part){length[i], 8};
        part[2 * i + 1] = (struct hash_part){s[i], n};
    }
    return sha256_parts(part, 8);
}

int corpus_line(struct buf *b, const struct corpus_doc *d, struct err *e)
{
    const struct {
        const char *key, *s;
        size_t n;
        bool always;
    } f[] = {{"{\"id\": ", d->id, strlen(d->id), true},
             {", \"text\": ", d->text, d->n, true},
             {", \"source\": ", d->source, strlen(d->source), true},
             {", \"license\": ", d->license, strlen(d->license), false},
             {", \"lang\": ", d->lang, strlen(d->lang), false}};
    for (size_t i = 0; i < sizeof f / sizeof f[0]; i++) {
        if (!f[i].always && f[i].n == 0)
            continue;
        int rc = buf_adds(b, f[i].key, e);
        if (rc == 0)
            rc = json_quote_valid(b, f[i].s, f[i].n, e);
        if (rc != 0)
            return rc;
    }
    return buf_add(b, "}\n", 2, e);
}
