/* See bpe.h. */
#include "text/bpe.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { SHORT = 48 }; /* up to here a scan of all ranks beats the heap */

int32_t bpe_byte_to_char(unsigned char byte)
{
    if ((byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174)
        return byte;
    /* The other 68 bytes follow from U+0100 in their order: 0–32, 127–160, 173. */
    return byte <= 32 ? 0x100 + byte : byte <= 160 ? 0x100 + 33 + (byte - 127) : 0x100 + 67;
}

int bpe_char_to_byte(int32_t cp)
{
    if ((cp >= 33 && cp <= 126) || (cp >= 161 && cp <= 172) || (cp >= 174 && cp <= 255))
        return cp;
    int k = cp - 0x100;
    if (k < 0 || k > 67)
        return -1;
    return k <= 32 ? k : k <= 66 ? 127 + (k - 33) : 173;
}

int token_vec_reserve(struct token_vec *v, size_t more, struct err *e)
{
    if (v->cap - v->n >= more)
        return 0;
    size_t cap = v->cap < 64 ? 64 : v->cap * 2;
    if (cap < v->n + more)
        cap = v->n + more;
    int32_t *p = mem_resize(v->v, cap, sizeof *p);
    if (!p)
        return err_set(e, ERR_NOMEM, "out of memory for %zu tokens", cap);
    v->v = p;
    v->cap = cap;
    return 0;
}

void token_vec_release(struct token_vec *v)
{
    mem_free(v->v);
    *v = (struct token_vec){0};
}

static uint32_t table_size(size_t n)
{
    uint32_t size = 64;
    while (size < n * 2)
        size *= 2;
    return size;
}

int bpe_index(struct bpe *b, struct err *e)
{
    uint32_t size = table_size(b->n);
    int rc = hash_key_draw(&b->key, e);
    if (rc)
        return rc;
    b->lookup = mem_new(size, sizeof *b->lookup);
    if (!b->lookup)
        return err_set(e, ERR_NOMEM, "out of memory for a vocabulary of %u tokens", b->n);
    memset(b->lookup, 0xFF, size * sizeof *b->lookup);
    b->lookup_mask = size - 1;
    for (int i = 0; i < 256; i++)
        b->byte_id[i] = -1;
    for (uint32_t id = 0; id < b->n; id++) {
        const char *p = b->bytes.p + b->at[id];
        size_t n = b->at[id + 1] - b->at[id];
        if (!(b->flag[id] & BPE_TOKEN_TEXT) || n == 0)
            continue;
        uint32_t i = (uint32_t)hash_bytes(b->key, p, n) & b->lookup_mask;
        while (b->lookup[i] >= 0)
            i = (i + 1) & b->lookup_mask;
        b->lookup[i] = (int32_t)id;
        if (n == 1)
            b->byte_id[(unsigned char)*p] = (int32_t)id;
    }
    return 0;
}

int32_t bpe_find(const struct bpe *b, const void *p, size_t n)
{
    for (uint32_t i = (uint32_t)hash_bytes(b->key, p, n) & b->lookup_mask;; i = (i + 1) & b->lookup_mask) {
        int32_t id = b->lookup[i];
        if (id < 0)
            return -1;
        if (b->at[id + 1] - b->at[id] == n && memcmp(b->bytes.p + b->at[id], p, n) == 0)
            return id;
    }
}

int bpe_reserve_merges(struct bpe *b, size_t n, struct err *e)
{
    uint32_t size = table_size(n);
    b->merge = mem_new(size, sizeof *b->merge);
    if (!b->merge)
        return err_set(e, ERR_NOMEM, "out of memory for %zu merges", n);
    for (uint32_t i = 0; i < size; i++)
        b->merge[i].rank = UINT32_MAX;
    b->merge_mask = size - 1;
    return 0;
}

void bpe_add_merge(struct bpe *b, int32_t left, int32_t right, uint32_t rank, int32_t id)
{
    uint64_t pair = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
    uint32_t i = bpe_pair_slot(b, pair);
    while (b->merge[i].rank != UINT32_MAX && b->merge[i].pair != pair)
        i = (i + 1) & b->merge_mask;
    b->merge[i] = (struct bpe_slot){pair, rank, id};
}

void bpe_release(struct bpe *b)
{
    buf_release(&b->bytes);
    mem_free(b->at);
    mem_free(b->flag);
    mem_free(b->lookup);
    mem_free(b->merge);
    mem_free(b->syllable);
    *b = (struct bpe){0};
}

void bpe_work_release(struct bpe_work *w)
{
    mem_free(w->id);
    mem_free(w->prev);
    mem_free(w->next);
    mem_free(w->heap);
    *w = (struct bpe_work){0};
}

/* The syllable at p, or −1. */
static inline int32_t syllable_at(const unsigned char *p, size_t n)
{
    if (n < 3 || p[0] < 0xEA || p[0] > 0xED || (p[1] & 0xC0) != 0x80 || (p[2] & 0xC0) != 0x80)
        return -1;
    int32_t s = ((p[0] & 0x0F) << 12 | (p[1] & 0x3F) << 6 | (p[2] & 0x3F)) - 0xAC00;
    return s >= 0 && s < BPE_SYLLABLES ? s : -1;
}

/* Where nothing beside it can change it, a syllable (and the piece's first space with it) is its token at once. */
static size_t settled_symbols(const struct bpe *b, int32_t *id, const unsigned char *p, size_t n)
{
    size_t k = 0;
    for (size_t i = 0; i < n;) {
        size_t space = i == 0 && p[0] == ' ', end = i + space + 3;
        int32_t s = syllable_at(p + i + space, n - i - space), t = -1;
        if (s >= 0 && (i == 0 || p[i - 1] >= 0x80) && (end == n || p[end] >= 0xC0))
            t = b->syllable[s + (space ? BPE_SYLLABLES : 0)];
        id[k++] = t >= 0 ? t : b->byte_id[p[i]];
        i = t >= 0 ? end : i + 1;
    }
    return k;
}

/* Bytes to symbols; bytes the vocabulary lacks become the unknown token or nothing. */
static size_t symbols(const struct bpe *b, int32_t *id, const unsigned char *p, size_t n)
{
    if (b->syllable)
        return settled_symbols(b, id, p, n);
    size_t k = 0;
    bool unknown = false; /* the last symbol is an unknown that may be fused */
    for (size_t i = 0; i < n; i++) {
        int32_t s = b->byte_id[p[i]];
        if (s >= 0) {
            id[k++] = s;
            unknown = false;
        } else if (b->unk >= 0 && !(unknown && b->fuse_unk)) {
            id[k++] = b->unk;
            unknown = true;
        }
    }
    return k;
}

/* Merges in place by scanning; returns what is left. */
static size_t merge_short(const struct bpe *b, int32_t *id, size_t n)
{
    uint32_t rank[SHORT];
    int32_t into[SHORT];
    for (size_t i = 0; i + 1 < n; i++) {
        const struct bpe_slot *m = bpe_find_merge(b, id[i], id[i + 1]);
        rank[i] = m->rank;
        into[i] = m->id;
    }
    while (n > 1) {
        size_t best = 0;
        uint32_t least = rank[0];
        for (size_t i = 1; i + 1 < n; i++)
            if (rank[i] < least) {
                least = rank[i];
                best = i;
            }
        if (least == UINT32_MAX)
            break;
        id[best] = into[best];
        size_t tail = n - best - 2;
        memmove(id + best + 1, id + best + 2, tail * sizeof *id);
        memmove(rank + best, rank + best + 1, tail * sizeof *rank);
        memmove(into + best, into + best + 1, tail * sizeof *into);
        n--;
        if (best > 0) {
            const struct bpe_slot *m = bpe_find_merge(b, id[best - 1], id[best]);
            rank[best - 1] = m->rank;
            into[best - 1] = m->id;
        }
        if (best + 1 < n) {
            const struct bpe_slot *m = bpe_find_merge(b, id[best], id[best + 1]);
            rank[best] = m->rank;
            into[best] = m->id;
        }
    }
    return n;
}

static int work_reserve(struct bpe_work *w, size_t n, struct err *e)
{
    if (n <= w->cap)
        return 0;
    int32_t *id = mem_resize(w->id, n, sizeof *id);
    if (id)
        w->id = id;
    int32_t *prev = id ? mem_resize(w->prev, n, sizeof *prev) : NULL;
    if (prev)
        w->prev = prev;
    int32_t *next = prev ? mem_resize(w->next, n, sizeof *next) : NULL;
    if (next)
        w->next = next;
    /* Each symbol is pushed once at first and at most two pairs arise from each merge. */
    size_t need = 3 * n + 4;
    uint64_t *heap = next ? mem_resize(w->heap, need, sizeof *heap) : NULL;
    if (!heap)
        return err_set(e, ERR_NOMEM, "out of memory for a piece of %zu bytes", n);
    w->heap = heap;
    w->cap_heap = need;
    w->cap = n;
    return 0;
}

static void heap_push(struct bpe_work *w, uint64_t key)
{
    assert(w->n_heap < w->cap_heap);
    size_t i = w->n_heap++;
    while (i > 0 && w->heap[(i - 1) / 4] > key) {
        w->heap[i] = w->heap[(i - 1) / 4];
        i = (i - 1) / 4;
    }
    w->heap[i] = key;
}

static uint64_t heap_pop(struct bpe_work *w)
{
    uint64_t top = w->heap[0], key = w->heap[--w->n_heap];
    size_t i = 0, n = w->n_heap;
    for (;;) {
        size_t child = 4 * i + 1, least = child;
        if (child >= n)
            break;
        for (size_t c = child + 1; c < child + 4 && c < n; c++)
            if (w->heap[c] < w->heap[least])
                least = c;
        if (w->heap[least] >= key)
            break;
        w->heap[i] = w->heap[least];
        i = least;
    }
    w->heap[i] = key;
    return top;
}

static void consider(const struct bpe *b, struct bpe_work *w, int32_t at)
{
    int32_t next = w->next[at];
    if (next < 0)
        return;
    const struct bpe_slot *m = bpe_find_merge(b, w->id[at], w->id[next]);
    if (m->rank != UINT32_MAX)
        heap_push(w, (uint64_t)m->rank << 32 | (uint32_t)at);
}

/* The heap holds (rank, place); an entry is stale when the pair at its place has another rank by now. */
static size_t merge_long(const struct bpe *b, struct bpe_work *w, size_t n)
{
    w->n_heap = 0;
    for (size_t i = 0; i < n; i++) {
        w->prev[i] = (int32_t)i - 1;
        w->next[i] = i + 1 < n ? (int32_t)(i + 1) : -1;
    }
    for (size_t i = 0; i + 1 < n; i++)
        consider(b, w, (int32_t)i);
    while (w->n_heap) {
        uint64_t top = heap_pop(w);
        int32_t at = (int32_t)(top & 0xFFFFFFFFu), right = w->next[at];
        if (w->id[at] < 0 || right < 0)
            continue;
        const struct bpe_slot *m = bpe_find_merge(b, w->id[at], w->id[right]);
        if (m->rank != (uint32_t)(top >> 32))
            continue;
        w->id[at] = m->id;
        w->id[right] = -1;
        w->next[at] = w->next[right];
        if (w->next[at] >= 0)
            w->prev[w->next[at]] = at;
        if (w->prev[at] >= 0)
            consider(b, w, w->prev[at]);
        consider(b, w, at);
    }
    size_t k = 0;
    for (size_t i = 0; i < n; i++)
        if (w->id[i] >= 0)
            w->id[k++] = w->id[i];
    return k;
}

static int merge_piece(const struct bpe *b, struct bpe_work *w, struct token_vec *out, const unsigned char *p,
                       size_t n, struct err *e)
{
    int rc = token_vec_reserve(out, n, e);
    if (rc)
        return rc;
    if (n <= SHORT) {
        int32_t *id = out->v + out->n;
        out->n += merge_short(b, id, symbols(b, id, p, n));
        return 0;
    }
    if (n > INT32_MAX / 2)
        return err_set(e, ERR_LIMIT, "a piece of %zu bytes, limit %d", n, INT32_MAX / 2);
    rc = work_reserve(w, n, e);
    if (rc)
        return rc;
    size_t k = merge_long(b, w, symbols(b, w->id, p, n));
    memcpy(out->v + out->n, w->id, k * sizeof *w->id);
    out->n += k;
    return 0;
}

int bpe_piece(const struct bpe *b, struct bpe_work *w, struct token_vec *out, const unsigned char *p, size_t n,
              struct err *e)
{
    int32_t whole = bpe_find(b, p, n);
    if (whole >= 0 &&
        ((b->flag[whole] & BPE_TOKEN_WHOLE) || (b->ignore_merges && !(b->flag[whole] & BPE_TOKEN_SPECIAL)))) {
        int rc = token_vec_reserve(out, 1, e);
        if (rc == 0)
            out->v[out->n++] = whole;
        return rc;
    }
    return merge_piece(b, w, out, p, n, e);
}

int bpe_finish(struct bpe *b, struct err *e)
{
    struct bpe_work w = {0};
    struct token_vec v = {0};
    int rc = 0;
    for (uint32_t id = 0; id < b->n && rc == 0; id++) {
        size_t n = b->at[id + 1] - b->at[id];
        if (!(b->flag[id] & BPE_TOKEN_TEXT) || n == 0)
            continue;
        v.n = 0;
        rc = merge_piece(b, &w, &v, (const unsigned char *)b->bytes.p + b->at[id], n, e);
        if (rc == 0 && v.n == 1 && v.v[0] == (int32_t)id)
            b->flag[id] |= BPE_TOKEN_WHOLE;
    }
    token_vec_release(&v);
    bpe_work_release(&w);
    return rc == 0 ? bpe_settle_syllables(b, e) : rc;
}
