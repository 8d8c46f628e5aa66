#include "nn/attention.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include <omp.h>

#include "nn/attention_walk.h"

enum {
    TILE_ROWS = 64,         /* query rows of one product, rounded down to whole panels */
    SUPER_ROWS = 256,       /* query rows (of all heads of a group) that share a packed key block */
    HALF = KEY_BLOCK / 2,   /* keys of one step of the products over keys (NUMERICS §3) */
    CACHE_BYTES = 512 << 10 /* packed keys and values kept at once: about half of a level-2 cache */
};

/* ---- space of one thread ---- */

struct fwd_space {
    int tile, n_tile;  /* rows of a tile, tiles of a superblock */
    int slots;         /* key blocks kept packed: block b in slot b % slots */
    int *tag;          /* (slots) the block in a slot, −1: none */
    char *kpack, *vpack; /* values in two halves of 32 keys */
    size_t k_bytes, v_bytes, q_bytes; /* of one packed block, half or tile */
    char *qpack;       /* (group, n_tile) packed query tiles */
    char *ppack;
    real *o;           /* (group, n_tile·tile, d_head) */
    real *m, *l;       /* (group, n_tile·tile) */
    real *s, *corr;
    int *lo, *hi;
};

static struct fwd_space fwd_layout(struct arena *a, const struct kernels *k, struct attn_shape s,
                                   int max_len)
{
    const struct gemm_unit *u = &k->gemm;
    struct fwd_space f = {0};
    int group = s.n_head / s.n_kv;
    f.tile = u->mr < TILE_ROWS ? TILE_ROWS / u->mr * u->mr : u->mr;
    f.n_tile = max_int(1, SUPER_ROWS / (TILE_ROWS * group));
    f.k_bytes = gemm_b_bytes(u, KEY_BLOCK, s.d_head);
    f.v_bytes = gemm_b_bytes(u, s.d_head, HALF);
    f.q_bytes = gemm_a_bytes(u, f.tile, s.d_head);
    int blocks = max_int(1, (max_len + KEY_BLOCK - 1) / KEY_BLOCK);
    f.slots = min_int(blocks, max_int(4, (int)(CACHE_BYTES / (f.k_bytes + 2 * f.v_bytes))));
    size_t rows = (size_t)group * (size_t)f.n_tile * (size_t)f.tile;
    f.tag = (int *)arena_take(a, (size_t)f.slots, sizeof(int));
    f.kpack = (char *)arena_take(a, (size_t)f.slots, f.k_bytes);
    f.vpack = (char *)arena_take(a, 2 * (size_t)f.slots, f.v_bytes);
    f.qpack = (char *)arena_take(a, (size_t)group * (size_t)f.n_tile, f.q_bytes);
    f.ppack = (char *)arena_take(a, 1, gemm_a_bytes(u, f.tile, HALF));
    f.o = take_reals(a, rows * (size_t)s.d_head);
    f.m = take_reals(a, rows);
    f.l = take_reals(a, rows);
    f.s = take_reals(a, (size_t)f.tile * KEY_BLOCK);
    f.corr = take_reals(a, (size_t)f.tile);
    f.lo = (int *)arena_take(a, (size_t)f.tile, sizeof(int));
    f.hi = (int *)arena_take(a, (size_t)f.tile, sizeof(int));
    return f;
}

static size_t attention_fwd_bytes(const struct kernels *k, struct attn_shape s, int max_len)
{
    struct arena tiles = {0};
    fwd_layout(&tiles, k, s, max_len);
    size_t few = attention_few_bytes(s);
    return tiles.used > few ? tiles.used : few;
}

size_t attention_scratch_bytes(const struct kernels *k, struct attn_shape s, int max_len,
                               bool backward)
{
    size_t fwd = attention_fwd_bytes(k, s, max_len);
    size_t bwd = backward ? attention_bwd_bytes(k, s, max_len) : 0;
    return (fwd > bwd ? fwd : bwd) + 64;
}

/* ---- many rows: packed tiles ---- */

/* Rows [r0, r0 + rows) of a segment under kv head g. */
struct part {
    const struct attn_seg *seg;
    int g, r0, rows;
};

static char *values_of(const struct fwd_space *w, int slot, int half)
{
    return w->vpack + (size_t)(2 * slot + half) * w->v_bytes;
}

/* Packs key block b unless its slot holds it; keys from the segment's end on are absent. */
static int slot_of_block(const struct fwd *f, struct fwd_space *w, const struct part *p, int b)
{
    int slot = b % w->slots;
    if (w->tag[slot] == b)
        return slot;
    const struct kv *kv = &p->seg->kv;
    int keys = min_int(KEY_BLOCK, p->seg->pos0 + p->seg->n - b * KEY_BLOCK);
    ptrdiff_t at = kv_offset(kv, b, p->g, f->s.d_head);
    struct gemm_src k = {kv->k + at, DT_BF16, false, kv->row_stride};
    struct gemm_src v = {kv->v + at, DT_BF16, true, kv->row_stride};
    f->k->gemm.pack_b(w->kpack + (size_t)slot * w->k_bytes, k, keys, f->s.d_head);
    for (int h = 0; h * HALF < keys; h++, v.p = (const bf16 *)v.p + HALF * kv->row_stride)
        f->k->gemm.pack_b(values_of(w, slot, h), v, f->s.d_head, min_int(HALF, keys - h * HALF));
    w->tag[slot] = b;
    return slot;
}

/* Rows of a query tile against those keys of one key block that the last of them sees. */
struct step {
    int slot;
    int r0, rows; /* r0: a multiple of a panel */
    int keys;
    bool first;
};

/* qpack: the tile; state: its first row in the superblock's arrays.  A half whose keys no row sees would add +0. */
static void tile_step(const struct fwd *f, struct fwd_space *w, const struct step *t, const char *qpack,
                      ptrdiff_t state)
{
    const struct kernels *k = f->k;
    int d = f->s.d_head;
    state += t->r0;
    real *o = w->o + state * d;
    k->gemm.block(w->s, KEY_BLOCK, qpack + gemm_a_bytes(&k->gemm, t->r0, d), w->kpack + (size_t)t->slot * w->k_bytes,
                  t->rows, t->keys, gemm_kp(d), true);
    k->attn_softmax(w->s, KEY_BLOCK, w->m + state, w->l + state, w->corr, w->s, KEY_BLOCK, w->lo + t->r0,
                    w->hi + t->r0, t->rows, f->s.scale);
    if (!t->first)
        k->attn_rescale(o, d, w->corr, t->rows, d);
    for (int h = 0; h * HALF < t->keys; h++) {
        struct gemm_src p = {w->s + h * HALF, DT_F32, false, KEY_BLOCK};
        k->gemm.pack_a(w->ppack, p, t->rows, HALF);
        k->gemm.block(o, d, w->ppack, values_of(w, t->slot, h), t->rows, d, HALF, t->first && h == 0);
    }
}

/* All tiles of a superblock against key block b.  Where a tile crosses the diagonal, its rows before the block are left
 * out, and those before the block's second half see the first alone. */
static void super_step(const struct fwd *f, struct fwd_space *w, const struct part *p, int b)
{
    int stride = w->n_tile * w->tile, mr = f->k->gemm.mr, slot = -1;
    for (int i = 0; i * w->tile < p->rows; i++) {
        int at = i * w->tile, rows = min_int(w->tile, p->rows - at);
        int pos = p->seg->pos0 + p->r0 + at, last = pos + rows - 1;
        int b0 = first_block(pos, f->s.window), before = b * KEY_BLOCK - pos;
        if (b < b0 || b > last / KEY_BLOCK)
            continue;
        if (slot < 0)
            slot = slot_of_block(f, w, p, b);
        visible_keys(w->lo, w->hi, rows, pos, b, f->s.window);
        int r0 = max_int(0, before) / mr * mr, r1 = min_int(rows, max_int(0, before + HALF) / mr * mr);
        int keys = min_int(KEY_BLOCK, last + 1 - b * KEY_BLOCK);
        struct step half = {slot, r0, r1 - r0, min_int(HALF, keys), b == b0};
        struct step full = {slot, r1, rows - r1, keys, b == b0};
        for (int h = 0; h < f->group; h++) {
            const char *qpack = w->qpack + (size_t)(h * w->n_tile + i) * w->q_bytes;
            ptrdiff_t state = (ptrdiff_t)h * stride + at;
            if (half.rows > 0)
                tile_step(f, w, &half, qpack, state);
            if (full.rows > 0)
                tile_step(f, w, &full, qpack, state);
        }
    }
}

static void super_begin(const struct fwd *f, struct fwd_space *w, const struct part *p)
{
    int stride = w->n_tile * w->tile;
    for (int h = 0; h < f->group; h++)
        for (int i = 0; i * w->tile < p->rows; i++) {
            int at = i * w->tile;
            const bf16 *q = query_at(f, p->seg->row + p->r0 + at, p->g * f->group + h);
            struct gemm_src src = {q, DT_BF16, false, f->q.stride};
            f->k->gemm.pack_a(w->qpack + (size_t)(h * w->n_tile + i) * w->q_bytes, src,
                              min_int(w->tile, p->rows - at), f->s.d_head);
        }
    for (int i = 0; i < f->group * stride; i++) {
        w->m[i] = -(real)INFINITY;
        w->l[i] = 0;
    }
}

static void super_end(const struct fwd *f, struct fwd_space *w, const struct part *p)
{
    int stride = w->n_tile * w->tile, row = p->seg->row + p->r0, d = f->s.d_head;
    for (int h = 0; h < f->group; h++) {
        ptrdiff_t state = (ptrdiff_t)h * stride;
        int head = p->g * f->group + h;
        f->k->attn_finish(out_at(f, row, head), f->o.stride, w->o + state * d, d, w->l + state,
                          p->rows, d);
        for (int r = 0; r < p->rows; r++)
            keep_m_l(f, row + r, head, w->m[state + r], w->l[state + r]);
    }
}

static void super_run(const struct fwd *f, struct fwd_space *w, const struct part *p)
{
    int pos = p->seg->pos0 + p->r0;
    super_begin(f, w, p);
    for (int b = first_block(pos, f->s.window); b <= (pos + p->rows - 1) / KEY_BLOCK; b++)
        super_step(f, w, p, b);
    super_end(f, w, p);
}

/* ---- division among threads ---- */

/* Key blocks times rows of a part: the measure by which work is divided. */
static int64_t part_cost(const struct part *p, int window)
{
    int pos = p->seg->pos0 + p->r0;
    int blocks = (pos + p->rows - 1) / KEY_BLOCK - first_block(pos, window) + 1;
    return (int64_t)blocks * p->rows;
}

/* The part after p in the fixed order segment, kv head, superblock; false after the last. */
static bool next_part(struct part *p, const struct attn_seg *end, int n_kv, int super_rows)
{
    p->r0 += super_rows;
    while (p->r0 >= p->seg->n) {
        p->r0 = 0;
        if (++p->g < n_kv)
            continue;
        p->g = 0;
        if (++p->seg == end)
            return false;
    }
    p->rows = min_int(super_rows, p->seg->n - p->r0);
    return true;
}

/* Packed blocks belong to one (segment, kv head). */
static void super_part(const struct fwd *f, struct fwd_space *w, const struct part *p, struct part *held)
{
    if (held->seg != p->seg || held->g != p->g)
        for (int i = 0; i < w->slots; i++)
            w->tag[i] = -1;
    *held = *p;
    super_run(f, w, p);
}

/* Every thread walks all parts in the same order and runs those that start in its share of the
 * total cost; a part writes rows of its own, so the division cannot change a result.  Parts of few
 * rows are held back until the run of neighbouring kv heads is complete. */
static void fwd_share(const struct fwd *f, struct arena space, const struct attn_seg *seg,
                      int n_seg, int max_len, int thread, int threads)
{
    const struct arena few_space = space;
    struct fwd_space w = fwd_layout(&space, f->k, f->s, max_len);
    int super_rows = w.n_tile * w.tile;
    const struct part start = {seg, -1, seg->n, 0};
    struct part held = {0};
    struct few few = {0};
    int64_t total = 0, done = 0;
    for (struct part p = start; next_part(&p, seg + n_seg, f->s.n_kv, super_rows);)
        total += part_cost(&p, f->s.window);
    for (struct part p = start; next_part(&p, seg + n_seg, f->s.n_kv, super_rows);) {
        int owner = (int)(done * threads / total);
        done += part_cost(&p, f->s.window);
        if (owner != thread)
            continue;
        if (few.seg == p.seg && few.g1 == p.g) {
            few.g1++;
            continue;
        }
        attention_few_run(f, few_space, &few);
        few = (struct few){0};
        if (p.seg->n <= FEW_ROWS) {
            few = (struct few){p.seg, p.g, p.g + 1};
            held = (struct part){0}; /* its space is used for other things */
        } else {
            super_part(f, &w, &p, &held);
        }
    }
    attention_few_run(f, few_space, &few);
}

static void count(const struct nn *x, const struct attn_seg *seg, int n_seg, struct attn_shape s)
{
    double pairs = 0, values = 0;
    for (int i = 0; x->watch && i < n_seg; i++) {
        pairs += visible_pairs(&seg[i], s);
        values += 2.0 * s.d_head * ((double)seg[i].n * s.n_head + ((double)seg[i].pos0 + seg[i].n) * s.n_kv);
    }
    nn_count(x, 4 * s.d_head * pairs, values * sizeof(bf16));
}

void attention_fwd(const struct nn *x, struct mat o, real *m, real *l, struct mat q,
                   const struct attn_seg *seg, int n_seg, struct attn_shape s)
{
    struct fwd f = {x->k, s, s.n_head / s.n_kv, o, q, m, l};
    int max_len = 0;
    for (int i = 0; i < n_seg; i++)
        max_len = max_int(max_len, seg[i].pos0 + seg[i].n);
    if (max_len == 0)
        return;
    assert(attention_scratch_bytes(x->k, s, max_len, false) <= x->scratch_bytes);
#pragma omp parallel num_threads(x->threads)
    {
        nn_begin(x);
        x->k->gemm.enter();
        fwd_share(&f, arena_of_thread(x, omp_get_thread_num()), seg, n_seg, max_len,
                  omp_get_thread_num(), omp_get_num_threads());
        x->k->gemm.leave();
        nn_end(x);
    }
    count(x, seg, n_seg, s);
}
