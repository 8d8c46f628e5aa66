/* Forward attention of a few query rows (decoding), straight from the cached keys and values: the same
 * blocks and the same bits as the packed walk, without its packing. */
#include <math.h>
#include <string.h>

#include "nn/attention_walk.h"

/* Row (g, r, h) of kv head g, query row r and head h of the group at index ((g − g0)·rows + r)·group + h. */
struct few_space {
    real *q, *o, *m, *l;
    real *s, *corr; /* of one kv head */
    int *lo, *hi;
};

enum { BLOCK_BYTES = 256 << 10 }; /* keys and values of a block kept in the level-2 cache */

static struct few_space few_layout(struct arena *a, struct attn_shape s)
{
    struct few_space w;
    size_t all = (size_t)s.n_head * FEW_ROWS, rows = all / (size_t)s.n_kv;
    w.q = take_reals(a, all * (size_t)s.d_head);
    w.o = take_reals(a, all * (size_t)s.d_head);
    w.m = take_reals(a, all);
    w.l = take_reals(a, all);
    w.s = take_reals(a, rows * KEY_BLOCK);
    w.corr = take_reals(a, rows);
    w.lo = (int *)arena_take(a, rows, sizeof(int));
    w.hi = (int *)arena_take(a, rows, sizeof(int));
    return w;
}

size_t attention_few_bytes(struct attn_shape s)
{
    struct arena a = {0};
    few_layout(&a, s);
    return a.used;
}

static void few_begin(const struct fwd *f, struct few_space *w, const struct few *p)
{
    int d = f->s.d_head, n = (p->g1 - p->g0) * p->seg->n * f->group;
    real *q = w->q;
    for (int g = p->g0; g < p->g1; g++)
        for (int r = 0; r < p->seg->n; r++, q += (ptrdiff_t)f->group * d)
            f->k->f32_from_bf16(q, query_at(f, p->seg->row + r, g * f->group), (size_t)(f->group * d));
    for (int i = 0; i < n; i++) {
        w->m[i] = -(real)INFINITY;
        w->l[i] = 0;
    }
    memset(w->o, 0, (size_t)n * (size_t)d * sizeof(real));
}

static void read_rows(const bf16 *p, ptrdiff_t stride, int rows, int n)
{
    for (int r = 0; r < rows; r++)
        for (int i = 0; i < n; i += 64 / (int)sizeof *p)
            (void)*(const volatile char *)(p + r * stride + i);
}

/* Brings a block into the level-2 cache in the order of memory, all kv heads side by side, which is what
 * prefetchers follow.  Read head by head, in short rows far apart, memory answers a few lines at a
 * time, at a fraction of its speed; prefetch instructions are dropped when they are that many. */
static void read_block(const struct fwd *f, const struct few *p, int b)
{
    const struct kv *kv = &p->seg->kv;
    int keys = min_int(KEY_BLOCK, p->seg->pos0 + p->seg->n - b * KEY_BLOCK);
    int n = (p->g1 - p->g0) * f->s.d_head;
    ptrdiff_t at = kv_offset(kv, b, p->g0, f->s.d_head);
    read_rows(kv->k + at, kv->row_stride, keys, n);
    read_rows(kv->v + at, kv->row_stride, keys, n);
}

static void few_step(const struct fwd *f, struct few_space *w, const struct few *p, int g, int b)
{
    const struct kv *kv = &p->seg->kv;
    int n = p->seg->n * f->group, d = f->s.d_head;
    int keys = min_int(KEY_BLOCK, p->seg->pos0 + p->seg->n - b * KEY_BLOCK);
    ptrdiff_t at = kv_offset(kv, b, g, d), i = (ptrdiff_t)(g - p->g0) * n;
    real *o = w->o + i * d;
    f->k->attn_qk(w->s, KEY_BLOCK, w->q + i * d, d, kv->k + at, kv->row_stride, n, keys, d);
    f->k->attn_softmax(w->s, KEY_BLOCK, w->m + i, w->l + i, w->corr, w->s, KEY_BLOCK, w->lo, w->hi, n,
                       f->s.scale);
    f->k->attn_rescale(o, d, w->corr, n, d);
    f->k->attn_pv(o, d, w->s, KEY_BLOCK, kv->v + at, kv->row_stride, n, keys, d);
}

static void few_end(const struct fwd *f, const struct few_space *w, const struct few *p)
{
    int d = f->s.d_head;
    ptrdiff_t i = 0;
    for (int g = p->g0; g < p->g1; g++)
        for (int r = 0; r < p->seg->n; r++, i += f->group) {
            int row = p->seg->row + r, head = g * f->group;
            f->k->attn_finish(out_at(f, row, head), d, w->o + i * d, d, w->l + i, f->group, d);
            for (int h = 0; h < f->group; h++)
                keep_m_l(f, row, head + h, w->m[i + h], w->l[i + h]);
        }
}

/* Blocks outside, kv heads inside, so that memory is read in long runs. */
static void few_run(const struct fwd *f, struct arena space, const struct few *p)
{
    struct few_space w = few_layout(&space, f->s);
    int pos = p->seg->pos0, last = (pos + p->seg->n - 1) / KEY_BLOCK;
    few_begin(f, &w, p);
    for (int b = first_block(pos, f->s.window); b <= last; b++) {
        for (int r = 0; r < p->seg->n; r++)
            for (int h = 0; h < f->group; h++)
                visible_keys(w.lo + r * f->group + h, w.hi + r * f->group + h, 1, pos + r, b, f->s.window);
        read_block(f, p, b);
        for (int g = p->g0; g < p->g1; g++)
            few_step(f, &w, p, g, b);
    }
    few_end(f, &w, p);
}

void attention_few_run(const struct fwd *f, struct arena space, const struct few *p)
{
    int head_bytes = 2 * KEY_BLOCK * f->s.d_head * (int)sizeof(bf16), most = max_int(1, BLOCK_BYTES / head_bytes);
    for (int g = p->g0; g < p->g1; g += most)
        few_run(f, space, &(struct few){p->seg, g, min_int(p->g1, g + most)});
}
