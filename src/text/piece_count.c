/* See piece_count.h. */
#include "text/piece_count.h"

#include <omp.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"

enum { RECENT_BITS = 13 };

/* A piece seen `count` times, on its way to its shard. */
struct seen {
    const char *p;
    uint32_t n, count;
    uint64_t hash;
};
struct seen_list {
    struct seen *v;
    size_t n, cap;
};

struct worker {
    struct hash_key key; /* the counter's */
    struct seen *recent; /* 1 << RECENT_BITS: common pieces add up here first */
    struct seen_list to[PIECE_SHARDS];
    struct split_work split;
    struct err err;
};

struct piece_counter {
    const struct splitter *split;
    struct worker *worker;
    int threads;
    struct hash_key key;
    struct piece_shard shard[PIECE_SHARDS];
};

int piece_counter_new(struct piece_counter **c, const struct splitter *s, int threads, struct err *e)
{
    struct hash_key key;
    *c = NULL;
    int rc = hash_key_draw(&key, e);
    if (rc)
        return rc;
    *c = mem_new(1, sizeof **c);
    if (!*c)
        return err_set(e, ERR_NOMEM, "out of memory for counting");
    (*c)->split = s;
    (*c)->key = key;
    (*c)->worker = mem_new((size_t)threads, sizeof *(*c)->worker);
    (*c)->threads = (*c)->worker ? threads : 0;
    bool ok = (*c)->worker;
    for (int i = 0; i < threads && ok; i++) {
        (*c)->worker[i].recent = mem_new((size_t)1 << RECENT_BITS, sizeof(struct seen));
        (*c)->worker[i].key = key;
        ok = (*c)->worker[i].recent;
    }
    if (ok)
        return 0;
    piece_counter_free(*c);
    *c = NULL;
    return err_set(e, ERR_NOMEM, "out of memory for counting with %d threads", threads);
}

void piece_shard_release(struct piece_shard *s)
{
    mem_free(s->slot);
    buf_release(&s->keys);
    *s = (struct piece_shard){0};
}

void piece_counter_free(struct piece_counter *c)
{
    if (!c)
        return;
    for (int i = 0; i < c->threads; i++) {
        struct worker *w = &c->worker[i];
        for (int k = 0; k < PIECE_SHARDS; k++)
            mem_free(w->to[k].v);
        mem_free(w->recent);
        split_work_release(&w->split);
    }
    mem_free(c->worker);
    for (int k = 0; k < PIECE_SHARDS; k++)
        piece_shard_release(&c->shard[k]);
    mem_free(c);
}

struct piece_shard *piece_counter_shard(struct piece_counter *c, int i)
{
    return &c->shard[i];
}

size_t piece_counter_distinct(const struct piece_counter *c)
{
    size_t n = 0;
    for (int k = 0; k < PIECE_SHARDS; k++)
        n += c->shard[k].n;
    return n;
}

static int send(struct worker *w, const struct seen *s, struct err *e)
{
    struct seen_list *l = &w->to[s->hash >> 58];
    if (l->n == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 1024;
        struct seen *v = mem_resize(l->v, cap, sizeof *v);
        if (!v)
            return err_set(e, ERR_NOMEM, "out of memory for counting pieces");
        l->v = v;
        l->cap = cap;
    }
    l->v[l->n++] = *s;
    return 0;
}

static inline int note(struct worker *w, const char *p, size_t n, struct err *e)
{
    uint64_t hash = hash_bytes(w->key, p, n);
    struct seen *s = &w->recent[hash & ((1 << RECENT_BITS) - 1)];
    if (s->hash == hash && s->n == n && s->count && s->count < UINT32_MAX && memcmp(s->p, p, n) == 0) {
        s->count++;
        return 0;
    }
    int rc = s->count ? send(w, s, e) : 0;
    *s = (struct seen){p, (uint32_t)n, 1, hash};
    return rc;
}

static int cut_valid(const struct splitter *split, struct worker *w, const char *text, size_t n, struct err *e)
{
    lexer_fn *cut = splitter_lexer(split);
    int rc = 0;
    if (cut) {
        const struct uc_table *uc = uc_table();
        for (size_t i = 0; i < n && rc == 0;) {
            size_t len = cut(uc, (const unsigned char *)text + i, n - i);
            rc = note(w, text + i, len, e);
            i += len;
        }
        return rc;
    }
    rc = splitter_run(split, &w->split, text, n, e);
    if (rc == 0 && w->split.base != text)
        return err_set(e, ERR_VALUE, "training with a prefix space is not supported");
    for (size_t i = 0; i < w->split.n && rc == 0; i++)
        rc = note(w, text + w->split.piece[i].at, w->split.piece[i].n, e);
    return rc;
}

static int cut_text(const struct splitter *split, struct worker *w, const char *text, size_t n, struct err *e)
{
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0;) {
        bool nfc = false;
        size_t good = uc_valid((const unsigned char *)text + i, n - i, &nfc);
        if (good)
            rc = cut_valid(split, w, text + i, good, e);
        i += good;
        size_t bytes = i < n ? uc_invalid((const unsigned char *)text + i, n - i) : 0;
        if (rc == 0 && bytes)
            rc = note(w, text + i, bytes, e);
        i += bytes;
    }
    return rc;
}

static int flush_recent(struct worker *w, struct err *e)
{
    int rc = 0;
    for (size_t i = 0; i < (size_t)1 << RECENT_BITS && rc == 0; i++) {
        if (w->recent[i].count)
            rc = send(w, &w->recent[i], e);
        w->recent[i] = (struct seen){0};
    }
    return rc;
}

static int grow(struct piece_shard *s, struct err *e)
{
    size_t size = s->mask ? (s->mask + 1) * 2 : 1024;
    struct piece_entry *v = mem_new(size, sizeof *v);
    if (!v)
        return err_set(e, ERR_NOMEM, "out of memory for %zu distinct pieces", s->n);
    for (size_t k = 0; s->mask && k <= s->mask; k++) {
        if (!s->slot[k].count)
            continue;
        size_t i = s->slot[k].hash & (size - 1);
        while (v[i].count)
            i = (i + 1) & (size - 1);
        v[i] = s->slot[k];
    }
    mem_free(s->slot);
    s->slot = v;
    s->mask = size - 1;
    return 0;
}

static int add(struct piece_shard *s, const char *p, size_t n, uint64_t hash, uint64_t count, struct err *e)
{
    if (s->n * 4 >= s->mask * 3) {
        int rc = grow(s, e);
        if (rc)
            return rc;
    }
    size_t i = hash & s->mask;
    for (; s->slot[i].count; i = (i + 1) & s->mask)
        if (s->slot[i].hash == hash && s->slot[i].n == n && memcmp(s->keys.p + s->slot[i].at, p, n) == 0) {
            s->slot[i].count += count;
            return 0;
        }
    uint64_t at = s->keys.len;
    int rc = buf_add(&s->keys, p, n, e);
    if (rc)
        return rc;
    s->slot[i] = (struct piece_entry){hash, count, (uint32_t)n, at};
    s->n++;
    return 0;
}

int piece_counter_one(struct piece_counter *c, const char *piece, size_t n, uint64_t count, struct err *e)
{
    uint64_t hash = hash_bytes(c->key, piece, n);
    return count && n ? add(&c->shard[hash >> 58], piece, n, hash, count, e) : 0;
}

int piece_counter_batch(struct piece_counter *c, const char *text, const size_t *at, size_t n, struct err *e)
{
    int failed = 0;
#pragma omp parallel num_threads(c->threads)
    {
        struct worker *w = &c->worker[omp_get_thread_num()];
        int rc = 0;
#pragma omp for schedule(dynamic, 1)
        for (size_t i = 0; i < n; i++)
            if (rc == 0)
                rc = cut_text(c->split, w, text + at[i], at[i + 1] - at[i], &w->err);
        if (rc == 0)
            rc = flush_recent(w, &w->err);
        if (rc) {
#pragma omp atomic write
            failed = rc;
        }
#pragma omp barrier
#pragma omp for schedule(dynamic, 1)
        for (int k = 0; k < PIECE_SHARDS; k++)
            for (int t = 0; t < c->threads; t++) {
                struct seen_list *l = &c->worker[t].to[k];
                for (size_t i = 0; i < l->n && rc == 0; i++)
                    rc = add(&c->shard[k], l->v[i].p, l->v[i].n, l->v[i].hash, l->v[i].count, &w->err);
                l->n = 0;
            }
        if (rc) {
#pragma omp atomic write
            failed = rc;
        }
    }
    for (int t = 0; failed && t < c->threads; t++)
        if (c->worker[t].err.code)
            return err_set(e, c->worker[t].err.code, "%s", c->worker[t].err.msg);
    return failed;
}
