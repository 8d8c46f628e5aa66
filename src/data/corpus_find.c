#include "data/corpus_find.h"

#include <inttypes.h>
#include <string.h>

#include "base/mem.h"

/* What a pass over the corpus gathers. */
struct pass {
    struct corpus_found *f;
    const char *wanted;
    bool by_hash;              /* `wanted` is the hash of a text */
    struct digest hash;
    uint64_t matches;
    double heldout;
    uint64_t n_held, held_before;            /* by their hash: in all, and before the document found */
    uint64_t lowest_at, highest_at;          /* documents with the lowest and the highest hash */
    struct digest lowest, highest;
};

static bool is_wanted(const struct pass *p, const struct corpus_doc *d)
{
    return p->by_hash ? memcmp(d->hash.b, p->hash.b, sizeof d->hash.b) == 0 : strcmp(d->id, p->wanted) == 0;
}

static int keep(struct pass *p, const struct corpus_doc *d, uint64_t i, struct err *e)
{
    struct corpus_found *f = p->f;
    if (p->matches++ > 0)
        return 0;
    f->index = i;
    f->hash = d->hash;
    f->n = d->n;
    p->held_before = p->n_held;
    if (!(f->text = mem_strndup(d->text, d->n)) || !(f->id = mem_strdup(d->id)) ||
        !(f->source = mem_strdup(d->source)) || !(f->license = mem_strdup(d->license)) ||
        !(f->lang = mem_strdup(d->lang)))
        return err_set(e, ERR_NOMEM, "no memory for a document of %zu bytes", d->n);
    return 0;
}

static void note_split(struct pass *p, const struct corpus_doc *d, uint64_t i)
{
    if (i == 0 || memcmp(&d->hash, &p->lowest, sizeof d->hash) < 0) {
        p->lowest = d->hash;
        p->lowest_at = i;
    }
    if (i == 0 || memcmp(&d->hash, &p->highest, sizeof d->hash) > 0) {
        p->highest = d->hash;
        p->highest_at = i;
    }
    p->n_held += corpus_held_out(&d->hash, p->heldout);
}

static int walk(struct pass *p, const struct corpus *c, struct err *e)
{
    struct corpus_reader *r = NULL;
    struct corpus_doc d;
    struct corpus_salt salt;
    uint64_t i = 0, docs = corpus_count(c).docs;
    int rc = corpus_salt_of(c, &salt, &p->f->salted, e), got = 0;
    if (rc == 0)
        rc = corpus_reader_new(&r, c, e);
    while (rc == 0 && (got = corpus_reader_next(r, &d, e)) > 0) {
        if (i >= docs)
            rc = err_set(e, ERR_FORMAT, "the corpus has more than the %" PRIu64 " documents of its manifest", docs);
        else if (is_wanted(p, &d))
            rc = keep(p, &d, i, e);
        if (rc)
            break;
        struct digest meta = corpus_meta(d.id, d.source, d.license, d.lang);
        p->f->leaf[i] = corpus_leaf_of(p->f->salted ? &salt : NULL, &d.hash, &meta);
        if (p->f->salted && p->matches && p->f->index == i)
            p->f->part = corpus_salt_part(&salt, &d.hash, &meta);
        note_split(p, &d, i++);
    }
    corpus_reader_free(r);
    return rc ? rc : got;
}

/* The rules of data/tokens.h: by hash; a side that this leaves empty gets one document; one document is cut. */
static void place(const struct pass *p)
{
    struct corpus_found *f = p->f;
    uint64_t i = f->index, n = f->docs;
    if (p->heldout <= 0 || n == 1) {
        f->trained = true;
        f->held = p->heldout > 0;
        f->rank = n == 1 ? 0 : i;
    } else if (p->n_held == 0) {
        f->held = i == p->lowest_at;
        f->rank = f->held ? 0 : i - (p->lowest_at < i);
    } else if (p->n_held == n) {
        f->held = i != p->highest_at;
        f->rank = f->held ? i - (p->highest_at < i) : 0;
    } else {
        f->held = corpus_held_out(&f->hash, p->heldout);
        f->rank = f->held ? p->held_before : i - p->held_before;
    }
    if (n > 1)
        f->trained = !f->held;
}

static int root_check(const struct corpus_found *f, const struct corpus *c, struct err *e)
{
    struct merkle m;
    merkle_init(&m);
    for (uint64_t i = 0; i < f->docs; i++)
        merkle_add_hash(&m, &f->leaf[i]);
    struct digest got = merkle_root(&m), want = corpus_root(c);
    return memcmp(got.b, want.b, sizeof got.b) == 0
               ? 0 : err_set(e, ERR_FORMAT, "the corpus' documents do not have the root its manifest tells");
}

int corpus_find(struct corpus_found *f, const struct corpus *c, const char *wanted, double heldout, struct err *e)
{
    static const char prefix[] = "sha256:";
    struct pass p = {.f = f, .wanted = wanted, .heldout = heldout};
    *f = (struct corpus_found){.docs = corpus_count(c).docs};
    p.by_hash = strncmp(wanted, prefix, sizeof prefix - 1) == 0 &&
                digest_parse(&p.hash, wanted + sizeof prefix - 1) == 0;
    f->leaf = mem_new((size_t)f->docs, sizeof *f->leaf);
    if (!f->leaf)
        return err_set(e, ERR_NOMEM, "no memory for the leaves of %" PRIu64 " documents", f->docs);
    int rc = walk(&p, c, e);
    if (rc == 0)
        rc = root_check(f, c, e);
    if (rc == 0 && p.matches == 0)
        rc = err_set(e, ERR_VALUE, "the corpus has no document %.100s", wanted);
    if (rc == 0 && p.matches > 1)
        rc = err_set(e, ERR_VALUE, "%" PRIu64 " documents have the id %.100s: name one by sha256: and the 64 digits of "
                     "its text's SHA-256", p.matches, wanted);
    if (rc == 0)
        place(&p);
    return rc;
}

void corpus_found_release(struct corpus_found *f)
{
    mem_free(f->text);
    mem_free(f->id);
    mem_free(f->source);
    mem_free(f->license);
    mem_free(f->lang);
    mem_free(f->leaf);
    *f = (struct corpus_found){0};
}
