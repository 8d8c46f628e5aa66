#include "data/census.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/scan.h"

bool census_domain(char *out, size_t size, const char *source)
{
    const char *p = strstr(source, "://");
    if (!p || p == source)
        return false;
    p += 3;
    size_t n = strcspn(p, "/?#");
    const char *at = memchr(p, '@', n);
    if (at) {
        n -= (size_t)(at + 1 - p);
        p = at + 1;
    }
    const char *port = memchr(p, ':', n);
    if (port)
        n = (size_t)(port - p);
    if (n == 0 || n >= size)
        return false;
    for (size_t i = 0; i < n; i++)
        out[i] = p[i] >= 'A' && p[i] <= 'Z' ? (char)(p[i] + 32) : p[i];
    out[n] = 0;
    return true;
}

static int add_row(struct census_table *t, const char *name, size_t *i, struct err *e)
{
    if (t->n == t->cap) {
        size_t cap = t->cap ? 2 * t->cap : 64;
        struct census_row *p = mem_resize(t->row, cap, sizeof *p);
        if (!p)
            return err_set(e, ERR_NOMEM, "census: no memory for %zu rows", cap);
        t->row = p;
        t->cap = cap;
    }
    char *copy = mem_strdup(name);
    if (!copy || json_object_set_new(t->at, name, json_integer((json_int_t)t->n))) {
        mem_free(copy);
        return err_set(e, ERR_NOMEM, "census: no memory for \"%.80s\"", name);
    }
    *i = t->n++;
    t->row[*i] = (struct census_row){.name = copy};
    return 0;
}

static int count(struct census_table *t, const char *name, size_t bytes, struct err *e)
{
    size_t i = 0;
    int rc = 0;
    if (!t->at && !(t->at = json_object()))
        return err_set(e, ERR_NOMEM, "census: out of memory");
    const char *key = *name ? name : CENSUS_UNSTATED;
    const json_t *at = json_object_get(t->at, key);
    if (!at && t->n >= CENSUS_MAX_ROWS - 1)
        at = json_object_get(t->at, key = CENSUS_OTHERS);
    if (at)
        i = (size_t)json_integer_value(at);
    else
        rc = add_row(t, key, &i, e);
    if (rc == 0) {
        t->row[i].docs++;
        t->row[i].bytes += bytes;
    }
    return rc;
}

static int count_document(struct census *s, const struct corpus_doc *d, struct err *e)
{
    char domain[256];
    const char *name[N_CENSUS] = {d->source, census_domain(domain, sizeof domain, d->source) ? domain
                                                                                             : CENSUS_NO_DOMAIN,
                                  d->license, d->lang};
    int rc = 0;
    s->docs++;
    s->bytes += d->n;
    s->chars += scan_count_chars(d->text, d->n);
    for (int k = 0; k < N_CENSUS && rc == 0; k++)
        rc = count(&s->table[k], name[k], d->n, e);
    return rc;
}

static int by_size(const void *a, const void *b)
{
    const struct census_row *x = a, *y = b;
    return x->bytes != y->bytes ? (x->bytes < y->bytes) - (x->bytes > y->bytes) : strcmp(x->name, y->name);
}

int census_take(struct census *s, const struct corpus *c, struct err *e)
{
    struct corpus_reader *r = NULL;
    struct corpus_doc d;
    struct merkle m;
    struct corpus_salt salt;
    bool salted;
    int rc = corpus_salt_of(c, &salt, &salted, e), got = 0;
    *s = (struct census){0};
    if (rc == 0)
        rc = corpus_reader_new(&r, c, e);
    merkle_init(&m);
    while (rc == 0 && (got = corpus_reader_next(r, &d, e)) > 0) {
        struct digest meta = corpus_meta(d.id, d.source, d.license, d.lang);
        struct digest leaf = corpus_leaf_of(salted ? &salt : NULL, &d.hash, &meta);
        merkle_add_hash(&m, &leaf);
        rc = count_document(s, &d, e);
    }
    corpus_reader_free(r);
    struct digest root = merkle_root(&m), want = corpus_root(c);
    if (rc == 0 && got == 0 && memcmp(root.b, want.b, sizeof root.b) != 0)
        rc = err_set(e, ERR_FORMAT, "the corpus' documents do not have the root its manifest tells");
    for (int k = 0; k < N_CENSUS; k++) {
        json_decref(s->table[k].at);
        s->table[k].at = NULL;
        if (s->table[k].n > 0)
            qsort(s->table[k].row, s->table[k].n, sizeof *s->table[k].row, by_size);
    }
    return rc ? rc : got;
}

void census_release(struct census *s)
{
    for (int k = 0; k < N_CENSUS; k++) {
        for (size_t i = 0; i < s->table[k].n; i++)
            mem_free((char *)s->table[k].row[i].name);
        mem_free(s->table[k].row);
        json_decref(s->table[k].at);
    }
    *s = (struct census){0};
}
