/* See bpe_merge.h. */
#include "text/bpe_merge.h"

#include <assert.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"

/* Pieces longer than one byte, one after the other: the count in two halves, how many ids are left, and the ids.
 * A piece is named by where it begins, so that a look at it touches its own memory alone. */
enum { HEAD = 3, AHEAD = 12 /* pieces that are fetched before their turn */ };
struct words {
    uint32_t *v;
    uint32_t n; /* of v */
};

static inline uint64_t word_count(const uint32_t *w)
{
    return (uint64_t)w[1] << 32 | w[0];
}

struct pair {
    uint64_t key, count; /* left << 32 | right */
    uint32_t *word;      /* ascending; may name words the pair has left */
    uint32_t n_word;
    bool own;    /* word is an allocation of its own */
    bool merged; /* recorded; can come back when its token is made a second time */
};

struct entry {
    uint64_t count, key;
    uint32_t pair;
};

/* Changes by one side's neighbour during a merge: the new pair gains what the old one loses. */
struct change {
    uint64_t count;
    uint32_t n_word, last, at; /* words of the new pair; the last one noted; where they go */
};

struct place {
    uint32_t slot, word; /* slot = neighbour * 2 + side */
};

enum { LEFT = 0, RIGHT = 1 };

/* Small blocks of word lists that live until the end. */
struct block {
    struct block *next;
    size_t used, cap;
    uint32_t v[];
};

struct run {
    const struct bpe_merge_opts *o;
    struct bpe_merges *m;
    struct words w;
    struct hash_key key; /* of both tables: the text cannot choose what collides */
    struct pair *pair;
    uint32_t n_pair, cap_pair;
    uint32_t *table; /* open addressing: pair + 1, 0 empty */
    uint32_t mask;
    struct entry *heap;
    size_t n_heap, cap_heap;
    struct change *change; /* [vocab * 2] */
    uint32_t *touched, n_touched;
    struct place *place;
    size_t n_place, cap_place;
    struct block *block;
    int32_t *lookup; /* tokens by content: id + 1 */
    uint32_t lookup_mask;
    struct err *e;
};

static int nomem(struct run *r, const char *what)
{
    return err_set(r->e, ERR_NOMEM, "out of memory for %s while merging", what);
}

/* ---- words ---- */

static int make_words(struct run *r, struct piece_counter *c)
{
    uint64_t total = 0;
    for (int k = 0; k < PIECE_SHARDS; k++) {
        const struct piece_shard *s = piece_counter_shard(c, k);
        for (size_t i = 0; s->mask && i <= s->mask; i++)
            if (s->slot[i].count && s->slot[i].n > 1)
                total += s->slot[i].n + HEAD;
    }
    if (total >= UINT32_MAX)
        return err_set(r->e, ERR_LIMIT, "the distinct pieces take %llu places, limit %u", (unsigned long long)total,
                       UINT32_MAX - 1);
    struct words *w = &r->w;
    w->v = mem_new(total, sizeof *w->v);
    if (!w->v)
        return nomem(r, "the pieces");
    for (int k = 0; k < PIECE_SHARDS; k++) {
        struct piece_shard *s = piece_counter_shard(c, k);
        for (size_t i = 0; s->mask && i <= s->mask; i++) {
            const struct piece_entry *p = &s->slot[i];
            if (!p->count || p->n < 2)
                continue;
            const unsigned char *key = (const unsigned char *)s->keys.p + p->at;
            uint32_t *to = w->v + w->n;
            to[0] = (uint32_t)p->count;
            to[1] = (uint32_t)(p->count >> 32);
            to[2] = p->n;
            for (uint32_t j = 0; j < p->n; j++)
                to[HEAD + j] = (uint32_t)r->o->byte_id[key[j]];
            w->n += HEAD + p->n;
        }
        piece_shard_release(s);
    }
    return 0;
}

/* ---- pairs ---- */

static inline uint64_t make_key(int32_t left, int32_t right)
{
    return (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
}

static inline uint32_t key_slot(const struct run *r, uint64_t key)
{
    return (uint32_t)hash_word(r->key, key) & r->mask;
}

static struct pair *find_pair(const struct run *r, uint64_t key)
{
    for (uint32_t i = key_slot(r, key); r->table[i]; i = (i + 1) & r->mask)
        if (r->pair[r->table[i] - 1].key == key)
            return &r->pair[r->table[i] - 1];
    return NULL;
}

static int grow_table(struct run *r)
{
    uint32_t size = r->mask ? (r->mask + 1) * 2 : 1 << 17;
    uint32_t *t = mem_new(size, sizeof *t);
    if (!t)
        return nomem(r, "the table of pairs");
    mem_free(r->table);
    r->table = t;
    r->mask = size - 1;
    for (uint32_t p = 0; p < r->n_pair; p++) {
        uint32_t i = key_slot(r, r->pair[p].key);
        while (t[i])
            i = (i + 1) & r->mask;
        t[i] = p + 1;
    }
    return 0;
}

static int new_pair(struct run *r, uint64_t key, struct pair **out)
{
    if (r->n_pair == r->cap_pair) {
        uint32_t cap = r->cap_pair ? r->cap_pair * 2 : 1 << 15;
        struct pair *p = mem_resize(r->pair, cap, sizeof *p);
        if (!p)
            return nomem(r, "the pairs");
        r->pair = p;
        r->cap_pair = cap;
    }
    if ((uint64_t)r->n_pair * 4 >= (uint64_t)r->mask * 3) {
        int rc = grow_table(r);
        if (rc)
            return rc;
    }
    uint32_t i = key_slot(r, key);
    while (r->table[i])
        i = (i + 1) & r->mask;
    r->pair[r->n_pair] = (struct pair){.key = key};
    *out = &r->pair[r->n_pair++];
    r->table[i] = r->n_pair;
    return 0;
}

/* Room for n word numbers: large lists are freed when their pair is merged, small ones share blocks. */
static int take_words(struct run *r, struct pair *p, uint32_t n)
{
    enum { LARGE = 4096, BLOCK = 1 << 20 };
    p->own = n >= LARGE;
    if (p->own) {
        p->word = mem_new(n, sizeof *p->word);
        return p->word ? 0 : nomem(r, "a list of pieces");
    }
    if (!r->block || r->block->cap - r->block->used < n) {
        struct block *b = mem_new(1, sizeof *b + BLOCK * sizeof(uint32_t));
        if (!b)
            return nomem(r, "lists of pieces");
        b->next = r->block;
        b->cap = BLOCK;
        r->block = b;
    }
    p->word = r->block->v + r->block->used;
    r->block->used += n;
    return 0;
}

/* ---- the heap: greatest count first, then the smaller pair ---- */

static inline bool before(const struct entry *a, const struct entry *b)
{
    return a->count != b->count ? a->count > b->count : a->key < b->key;
}

static int heap_push(struct run *r, struct entry x)
{
    if (r->n_heap == r->cap_heap) {
        size_t cap = r->cap_heap ? r->cap_heap * 2 : 1 << 15;
        struct entry *h = mem_resize(r->heap, cap, sizeof *h);
        if (!h)
            return nomem(r, "the heap");
        r->heap = h;
        r->cap_heap = cap;
    }
    size_t i = r->n_heap++;
    while (i > 0 && before(&x, &r->heap[(i - 1) / 4])) {
        r->heap[i] = r->heap[(i - 1) / 4];
        i = (i - 1) / 4;
    }
    r->heap[i] = x;
    return 0;
}

static struct entry heap_pop(struct run *r)
{
    struct entry top = r->heap[0], x = r->heap[--r->n_heap];
    size_t i = 0;
    for (;;) {
        size_t child = 4 * i + 1, best = child;
        if (child >= r->n_heap)
            break;
        for (size_t c = child + 1; c < child + 4 && c < r->n_heap; c++)
            if (before(&r->heap[c], &r->heap[best]))
                best = c;
        if (!before(&r->heap[best], &x))
            break;
        r->heap[i] = r->heap[best];
        i = best;
    }
    r->heap[i] = x;
    return top;
}

/* ---- the first count, over pairs of bytes ---- */

struct first_count {
    uint64_t count[65536];
    uint32_t n[65536], last[65536], pair[65536];
};

static inline int byte_pair(const uint32_t *s, int32_t first)
{
    return ((int32_t)s[0] - first) << 8 | ((int32_t)s[1] - first);
}

static int first_pairs(struct run *r)
{
    struct words *w = &r->w;
    int32_t first = r->o->byte_id[0], rc = 0;
    for (int b = 0; b < 256; b++)
        if (r->o->byte_id[b] < first)
            first = r->o->byte_id[b];
    struct first_count *f = mem_new(1, sizeof *f);
    if (!f)
        return nomem(r, "the first count");
    memset(f->last, 0xFF, sizeof f->last);
    for (uint32_t i = 0; i < w->n; i += HEAD + w->v[i + 2])
        for (uint32_t j = 0; j + 1 < w->v[i + 2]; j++) {
            int k = byte_pair(w->v + i + HEAD + j, first);
            f->count[k] += word_count(w->v + i);
            f->n[k] += f->last[k] != i;
            f->last[k] = i;
        }
    for (int k = 0; k < 65536 && rc == 0; k++) {
        struct pair *p;
        if (f->count[k] < r->o->min_count)
            continue;
        rc = new_pair(r, make_key((k >> 8) + first, (k & 255) + first), &p);
        if (rc == 0)
            rc = take_words(r, p, f->n[k]);
        if (rc)
            break;
        p->count = f->count[k];
        f->pair[k] = r->n_pair;
        rc = heap_push(r, (struct entry){p->count, p->key, r->n_pair - 1});
    }
    memset(f->last, 0xFF, sizeof f->last);
    for (uint32_t i = 0; i < w->n && rc == 0; i += HEAD + w->v[i + 2])
        for (uint32_t j = 0; j + 1 < w->v[i + 2]; j++) {
            int k = byte_pair(w->v + i + HEAD + j, first);
            if (!f->pair[k] || f->last[k] == i)
                continue;
            struct pair *p = &r->pair[f->pair[k] - 1];
            p->word[p->n_word++] = i;
            f->last[k] = i;
        }
    mem_free(f);
    return rc;
}

/* ---- tokens by content: two merges may give the same one ---- */

static uint32_t content_slot(const struct run *r, const char *p, size_t n)
{
    uint32_t i = (uint32_t)hash_bytes(r->key, p, n) & r->lookup_mask;
    for (; r->lookup[i]; i = (i + 1) & r->lookup_mask) {
        uint32_t id = (uint32_t)r->lookup[i] - 1;
        if (r->o->at[id + 1] - r->o->at[id] == n && memcmp(r->o->bytes->p + r->o->at[id], p, n) == 0)
            break;
    }
    return i;
}

static int index_contents(struct run *r)
{
    uint32_t size = 1024;
    while (size < 2 * r->o->vocab)
        size *= 2;
    r->lookup = mem_new(size, sizeof *r->lookup);
    if (!r->lookup)
        return nomem(r, "the vocabulary");
    r->lookup_mask = size - 1;
    for (uint32_t id = 0; id < r->o->first; id++)
        r->lookup[content_slot(r, r->o->bytes->p + r->o->at[id], r->o->at[id + 1] - r->o->at[id])] = (int32_t)id + 1;
    return 0;
}

/* The id of left + right: an existing token, or the next new one. */
static int result_token(struct run *r, int32_t left, int32_t right, int32_t *id, bool *existed)
{
    const struct bpe_merge_opts *o = r->o;
    struct buf *b = o->bytes;
    uint32_t n[2] = {o->at[left + 1] - o->at[left], o->at[right + 1] - o->at[right]}, start = (uint32_t)b->len;
    if (b->len > UINT32_MAX / 2)
        return err_set(r->e, ERR_LIMIT, "the vocabulary's tokens are longer than 2 GB together");
    int rc = buf_reserve(b, (size_t)n[0] + n[1], r->e);
    if (rc)
        return rc;
    memcpy(b->p + start, b->p + o->at[left], n[0]);
    memcpy(b->p + start + n[0], b->p + o->at[right], n[1]);
    uint32_t slot = content_slot(r, b->p + start, n[0] + n[1]);
    *existed = r->lookup[slot] != 0;
    if (*existed) {
        *id = r->lookup[slot] - 1;
        return 0;
    }
    *id = (int32_t)r->m->n_token++;
    b->len += n[0] + n[1];
    o->at[*id + 1] = (uint32_t)b->len;
    r->lookup[slot] = *id + 1;
    return 0;
}

/* ---- one merge ---- */

static inline struct change *touch(struct run *r, int32_t neighbour, int side)
{
    uint32_t slot = (uint32_t)neighbour * 2 + (uint32_t)side;
    struct change *c = &r->change[slot];
    if (!c->count) {
        c->last = UINT32_MAX;
        r->touched[r->n_touched++] = slot;
    }
    return c;
}

static inline void note(struct run *r, int32_t neighbour, int side, uint64_t count, uint32_t word)
{
    struct change *c = touch(r, neighbour, side);
    c->count += count;
    if (c->last != word) {
        c->last = word;
        c->n_word++;
        r->place[r->n_place++] = (struct place){(uint32_t)neighbour * 2 + (uint32_t)side, word};
    }
}

static int merge_in_words(struct run *r, const struct pair *p, int32_t left, int32_t right, int32_t id)
{
    uint32_t *v = r->w.v;
    for (uint32_t k = 0; k < p->n_word; k++) {
        if (k + AHEAD < p->n_word)
            __builtin_prefetch(v + p->word[k + AHEAD]);
        uint32_t i = p->word[k], n = v[i + 2], kept = 0;
        int32_t *s = (int32_t *)v + i + HEAD;
        if (r->cap_place - r->n_place < (size_t)n + 2) {
            size_t cap = r->cap_place * 2 + n + 1024;
            struct place *q = mem_resize(r->place, cap, sizeof *q);
            if (!q)
                return nomem(r, "changes");
            r->place = q;
            r->cap_place = cap;
        }
        uint64_t count = word_count(v + i);
        for (uint32_t j = 0; j < n;) {
            if (s[j] != left || j + 1 == n || s[j + 1] != right) {
                s[kept++] = s[j++];
                continue;
            }
            if (kept)
                note(r, s[kept - 1], LEFT, count, i);
            if (j + 2 < n)
                note(r, s[j + 2], RIGHT, count, i);
            s[kept++] = id;
            j += 2;
        }
        v[i + 2] = kept;
    }
    return 0;
}

/* Pairs that arose: (x, id) and (id, y). */
static int add_pair(struct run *r, uint32_t slot, int32_t left, int32_t id, bool existed)
{
    struct change *c = &r->change[slot];
    int32_t other = (int32_t)(slot / 2);
    uint64_t key = slot % 2 == LEFT ? make_key(other, id) : make_key(id, other);
    uint64_t net = c->count;
    /* (id, left) may have been taken apart again by the next occurrence in the same piece. */
    if (slot % 2 == RIGHT && other == left) {
        uint64_t gone = r->change[(uint32_t)id * 2 + LEFT].count;
        net -= gone < net ? gone : net;
    }
    /* Counts only fall from here on, so a pair too rare now stays so (but for tokens made a second time). */
    c->at = UINT32_MAX;
    struct pair *p = existed ? find_pair(r, key) : NULL;
    if (!p && net < r->o->min_count && !existed)
        return 0;
    if (p) { /* words old and new, in one list */
        struct pair old = *p;
        int rc = take_words(r, p, old.n_word + c->n_word);
        if (rc) {
            *p = old;
            return rc;
        }
        if (old.n_word) /* a pair merged before has none */
            memcpy(p->word, old.word, old.n_word * sizeof *p->word);
        if (old.own)
            mem_free(old.word);
    } else {
        int rc = new_pair(r, key, &p);
        if (rc == 0)
            rc = take_words(r, p, c->n_word);
        if (rc)
            return rc;
    }
    p->count += c->count;
    c->at = (uint32_t)(p - r->pair);
    return 0;
}

static void lessen(struct run *r, uint32_t slot, int32_t left, int32_t right)
{
    int32_t other = (int32_t)(slot / 2);
    struct pair *p = find_pair(r, slot % 2 == LEFT ? make_key(other, left) : make_key(right, other));
    if (p)
        p->count -= r->change[slot].count < p->count ? r->change[slot].count : p->count;
}

static int apply_changes(struct run *r, int32_t left, int32_t right, int32_t id, bool existed)
{
    int rc = 0;
    for (uint32_t k = 0; k < r->n_touched && rc == 0; k++)
        rc = add_pair(r, r->touched[k], left, id, existed);
    for (size_t k = 0; k < r->n_place && rc == 0; k++) {
        uint32_t at = r->change[r->place[k].slot].at;
        if (at != UINT32_MAX)
            r->pair[at].word[r->pair[at].n_word++] = r->place[k].word;
    }
    for (uint32_t k = 0; k < r->n_touched && rc == 0; k++)
        lessen(r, r->touched[k], left, right);
    for (uint32_t k = 0; k < r->n_touched; k++) {
        struct change *c = &r->change[r->touched[k]];
        if (rc == 0 && c->at != UINT32_MAX && r->pair[c->at].count >= r->o->min_count)
            rc = heap_push(r, (struct entry){r->pair[c->at].count, r->pair[c->at].key, c->at});
        *c = (struct change){0};
    }
    r->n_touched = 0;
    r->n_place = 0;
    return rc;
}

static int record(struct run *r, int32_t left, int32_t right)
{
    struct bpe_merges *m = r->m;
    if (m->n_merge == m->cap_merge) {
        uint32_t cap = m->cap_merge ? m->cap_merge * 2 : 1024;
        int32_t *v = mem_resize(m->merge, (size_t)cap * 2, sizeof *v);
        if (!v)
            return nomem(r, "merges");
        m->merge = v;
        m->cap_merge = cap;
    }
    m->merge[2 * m->n_merge] = left;
    m->merge[2 * m->n_merge++ + 1] = right;
    return 0;
}

/* Taken by value: making pairs moves their array. */
static int merge(struct run *r, uint32_t index)
{
    struct pair p = r->pair[index];
    int32_t left = (int32_t)(p.key >> 32), right = (int32_t)(p.key & 0xFFFFFFFFu), id = 0;
    bool existed = false;
    int rc = result_token(r, left, right, &id, &existed);
    if (rc == 0 && !p.merged)
        rc = record(r, left, right);
    r->pair[index].merged = true;
    r->pair[index].count = 0;
    r->pair[index].word = NULL;
    r->pair[index].n_word = 0;
    r->pair[index].own = false;
    if (rc == 0)
        rc = merge_in_words(r, &p, left, right, id);
    if (rc == 0)
        rc = apply_changes(r, left, right, id, existed);
    if (p.own)
        mem_free(p.word);
    return rc;
}

static int merge_all(struct run *r)
{
    const struct bpe_merge_opts *o = r->o;
    while (r->m->n_token < o->vocab) {
        if (r->n_heap == 0 && o->at_most)
            return 0;
        if (r->n_heap == 0)
            return err_set(r->e, ERR_VALUE,
                           "the text supports a vocabulary of %u at most, %u were asked for: give a smaller --vocab, "
                           "--vocab-at-most instead, or more text",
                           r->m->n_token, o->vocab);
        struct entry top = heap_pop(r);
        uint64_t count = r->pair[top.pair].count;
        int rc = 0;
        if (count == top.count)
            rc = merge(r, top.pair);
        else if (count >= o->min_count)
            rc = heap_push(r, (struct entry){count, top.key, top.pair});
        if (rc == 0 && count == top.count && r->m->n_merge % 64 == 0 && o->progress &&
            !o->progress(o->ctx, (int)r->m->n_token))
            rc = err_set(r->e, ERR_STOPPED, "tokenizer training was stopped");
        if (rc)
            return rc;
    }
    return 0;
}

void bpe_merges_release(struct bpe_merges *m)
{
    mem_free(m->merge);
    *m = (struct bpe_merges){0};
}

static void run_release(struct run *r)
{
    mem_free(r->w.v);
    for (uint32_t i = 0; i < r->n_pair; i++)
        if (r->pair[i].own)
            mem_free(r->pair[i].word);
    mem_free(r->pair);
    mem_free(r->table);
    mem_free(r->heap);
    mem_free(r->change);
    mem_free(r->touched);
    mem_free(r->place);
    mem_free(r->lookup);
    while (r->block) {
        struct block *next = r->block->next;
        mem_free(r->block);
        r->block = next;
    }
}

int bpe_merge_run(struct bpe_merges *m, struct piece_counter *c, const struct bpe_merge_opts *o, struct err *e)
{
    struct run r = {.o = o, .m = m, .e = e};
    m->n_token = o->first;
    r.change = mem_new((size_t)o->vocab * 2, sizeof *r.change);
    r.touched = mem_new((size_t)o->vocab * 2, sizeof *r.touched);
    int rc = r.change && r.touched ? hash_key_draw(&r.key, e) : nomem(&r, "changes");
    if (rc == 0)
        rc = grow_table(&r);
    if (rc == 0)
        rc = index_contents(&r);
    if (rc == 0)
        rc = make_words(&r, c);
    if (rc == 0)
        rc = first_pairs(&r);
    if (rc == 0)
        rc = merge_all(&r);
    run_release(&r);
    return rc;
}
