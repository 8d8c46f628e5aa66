#include "lineage/vocab.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"

enum { MAX_TOKENIZER = 256 << 20 };

/* Entries whose text is an offset into `text` until all are there. */
struct builder {
    struct buf text;
    size_t *at;
    int *id;
    int n, cap, rows;
};

static int add(struct builder *b, const char *s, size_t n, int64_t id, struct err *e)
{
    static const char blank[] = "\xE2\x96\x81", ours[] = "\xC4\xA0";
    if (id < 0 || id >= b->rows || b->n >= b->cap || memchr(s, 0, n))
        return 0;
    b->at[b->n] = b->text.len;
    b->id[b->n++] = (int)id;
    int rc = 0;
    if (n >= 3 && memcmp(s, blank, 3) == 0) {
        rc = buf_add(&b->text, ours, 2, e);
        s += 3;
        n -= 3;
    }
    if (rc == 0)
        rc = buf_add(&b->text, s, n, e);
    return rc ? rc : buf_addc(&b->text, '\0', e);
}

static int reserve(struct builder *b, size_t n, struct err *e)
{
    if (n > 1 << 24)
        return err_set(e, ERR_LIMIT, "a vocabulary of %zu tokens, limit %d", n, 1 << 24);
    b->at = mem_new(n, sizeof *b->at);
    b->id = mem_new(n, sizeof *b->id);
    b->cap = (int)n;
    return b->at && b->id ? 0 : err_set(e, ERR_NOMEM, "no memory for a vocabulary of %zu tokens", n);
}

/* {"token": id}, or Unigram's [["token", score]]. */
static int add_json(struct builder *b, const json_t *root, struct err *e)
{
    json_t *vocab = json_object_get(json_object_get(root, "model"), "vocab"), *v;
    json_t *added = json_object_get(root, "added_tokens");
    const char *key;
    size_t i;
    int rc = reserve(b, json_object_size(vocab) + json_array_size(vocab) + json_array_size(added), e);
    json_object_foreach(vocab, key, v)
        if (rc == 0 && json_is_integer(v))
            rc = add(b, key, strlen(key), json_integer_value(v), e);
    json_array_foreach(vocab, i, v)
        if (rc == 0 && json_is_string(json_array_get(v, 0)))
            rc = add(b, json_string_value(json_array_get(v, 0)), json_string_length(json_array_get(v, 0)), (int64_t)i,
                     e);
    json_array_foreach(added, i, v) {
        const json_t *s = json_object_get(v, "content"), *id = json_object_get(v, "id");
        if (rc == 0 && json_is_string(s) && json_is_integer(id))
            rc = add(b, json_string_value(s), json_string_length(s), json_integer_value(id), e);
    }
    return rc;
}

static int add_gguf(struct builder *b, const struct gguf *g, struct err *e)
{
    struct gguf_strings s;
    const char *p;
    size_t n;
    if (!gguf_get_strings(g, "tokenizer.ggml.tokens", &s))
        return 0;
    int rc = reserve(b, (size_t)s.left, e);
    for (int64_t id = 0; rc == 0 && gguf_next_string(&s, &p, &n); id++)
        rc = add(b, p, n, id, e);
    return rc;
}

static int by_text(const void *a, const void *b)
{
    const struct vocab_entry *x = a, *y = b;
    int d = strcmp(x->text, y->text);
    return d ? d : (x->id > y->id) - (x->id < y->id);
}

/* Sorted, each text once. */
static int finish(struct vocab *t, struct builder *b, struct err *e)
{
    t->v = mem_new((size_t)b->n, sizeof *t->v);
    if (!t->v)
        return err_set(e, ERR_NOMEM, "no memory for a vocabulary of %d tokens", b->n);
    t->text = b->text.p;
    b->text = (struct buf){0};
    for (int i = 0; i < b->n; i++)
        t->v[i] = (struct vocab_entry){t->text + b->at[i], b->id[i]};
    if (b->n)
        qsort(t->v, (size_t)b->n, sizeof *t->v, by_text);
    for (int i = 0; i < b->n; i++)
        if (i == 0 || strcmp(t->v[i].text, t->v[t->n - 1].text) != 0)
            t->v[t->n++] = t->v[i];
    return 0;
}

int vocab_open(struct vocab *t, const struct view *v, struct err *e)
{
    struct builder b = {.rows = v->vocab};
    struct buf path = {0};
    json_t *root = NULL;
    int rc = 0;
    *t = (struct vocab){0};
    if (v->w.gguf) {
        rc = add_gguf(&b, v->w.gguf, e);
    } else if (file_is_dir(v->path)) {
        rc = file_join(&path, v->path, "tokenizer.json", e);
        if (rc == 0 && file_exists(path.p))
            rc = json_read(&root, path.p, MAX_TOKENIZER, e);
        if (rc == 0 && root)
            rc = add_json(&b, root, e);
    }
    if (rc == 0 && b.n)
        rc = finish(t, &b, e);
    json_decref(root);
    buf_release(&path);
    buf_release(&b.text);
    mem_free(b.at);
    mem_free(b.id);
    if (rc)
        vocab_release(t);
    return rc;
}

void vocab_release(struct vocab *t)
{
    mem_free(t->v);
    mem_free(t->text);
    *t = (struct vocab){0};
}

int vocab_shared(struct token_pairs *s, const struct vocab *a, const struct vocab *b, const struct view *va,
                 const struct view *vb, struct err *e)
{
    /* By text: texts are distinct, but a file may give many of them one id, so rows are no limit. */
    int rows = va->vocab < vb->vocab ? va->vocab : vb->vocab, texts = a->n < b->n ? a->n : b->n;
    int most = rows > texts ? rows : texts;
    *s = (struct token_pairs){.jaccard = -1};
    s->p = mem_new((size_t)most, sizeof *s->p);
    if (!s->p)
        return err_set(e, ERR_NOMEM, "no memory for %d shared tokens", most);
    if (!a->n && !b->n && va->vocab == vb->vocab) {
        s->by_id = true;
        for (; s->n < rows; s->n++)
            s->p[s->n] = (struct token_pair){s->n, s->n};
        return 0;
    }
    for (int i = 0, k = 0; i < a->n && k < b->n;) {
        int d = strcmp(a->v[i].text, b->v[k].text);
        if (d == 0)
            s->p[s->n++] = (struct token_pair){a->v[i].id, b->v[k].id};
        i += d <= 0;
        k += d >= 0;
    }
    s->jaccard = a->n + b->n > s->n ? (double)s->n / (a->n + b->n - s->n) : 0;
    return 0;
}

void token_pairs_release(struct token_pairs *s)
{
    mem_free(s->p);
    *s = (struct token_pairs){0};
}
