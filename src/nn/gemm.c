/* Cache blocking around a gemm_unit, after BLIS (Van Zee and van de Geijn 2015).
 *
 *   for each slab of nc columns                 B of the slab is packed once, by all threads
 *     for each group of rows                    only a bf16 result of a deep product needs several
 *       for each depth kb                       c rests in f32 between them
 *         pack B (kb × nc) into shared space    ── L3
 *         for each mc of the thread's own rows
 *           pack A (mc × kb) into its scratch   ── half of L2
 *           for each strip of ns columns        unit.block: B panel in L1, tile in registers
 *
 * Every thread owns a rectangle of c, so no sum is ever shared. */
#include "nn/gemm.h"

#include <assert.h>
#include <omp.h>
#include <string.h>

/* Depth of one packed block: c costs one load and one store per this many steps of k. */
enum { KB_BYTES = 4096 };
enum { STRIP_BYTES = 32 << 10 }; /* of c, f32: what stays near while a strip is computed */

/* Where the B operand comes from. */
struct b_source {
    struct gemm_src src;
    const struct wpack *wp; /* not NULL: packed weights */
};

struct plan {
    const struct nn *x;
    const struct gemm_unit *u;
    struct mat c, init;
    struct gemm_src a;
    struct b_source b;
    int m, n, k;
    int kb, mc, nc, ns;
    int group;      /* rows of c per thread that are computed together */
    int threads, row_threads, col_threads;
    bool keep_c;    /* bf16 result of several depths: c of the group rests in scratch */
    bool lower;     /* blocks above the diagonal of c are left out */
    bool own_b;     /* threads differ in columns only: each packs what it reads, and never waits */
};

struct range {
    int lo, hi;
};

static int min_int(int a, int b) { return a < b ? a : b; }
static int round_up(int a, int b) { return (a + b - 1) / b * b; }
static int parts(int total, int most) { return total > most ? (total + most - 1) / most : 1; }

/* Share i of `of` of [0, total), cut at multiples of `unit`. */
static struct range share(int total, int unit, int i, int of)
{
    int64_t units = (total + unit - 1) / unit;
    return (struct range){min_int((int)(units * i / of) * unit, total),
                          min_int((int)(units * (i + 1) / of) * unit, total)};
}

static int longest_share(int total, int unit, int of)
{
    return ((total + unit - 1) / unit + of - 1) / of * unit;
}

static struct gemm_src src_at(struct gemm_src s, int row, int kk)
{
    ptrdiff_t i = s.trans ? kk * s.ld + row : row * s.ld + kk;
    s.p = (const char *)s.p + i * (ptrdiff_t)dtype_size(s.dtype);
    return s;
}

/* Threads as a grid over c: least work for the slowest, then least packing around it. */
static void choose_grid(struct plan *p)
{
    double best = 0;
    for (int rt = 1; rt <= p->threads; rt++) {
        if (p->threads % rt)
            continue;
        int ct = p->threads / rt;
        double rows = longest_share(p->m, p->u->mr, rt);
        double cols = longest_share(p->n, p->u->nr, ct);
        double cost = rows * cols * (1 + 32 / rows + 32 / cols);
        if (best == 0 || cost < best) {
            best = cost;
            p->row_threads = rt;
            p->col_threads = ct;
        }
    }
}

static void choose_blocks(struct plan *p)
{
    const struct gemm_unit *u = p->u;
    int kp = gemm_kp(p->k);
    choose_grid(p);
    p->kb = gemm_kp(kp / parts(kp, (int)(KB_BYTES / u->elem)));
    if (p->kb == 0)
        p->kb = 32;
    size_t row = (size_t)p->kb * u->elem;
    size_t a_space = p->x->l2 / 2;
    if (a_space > p->x->scratch_bytes / 4)
        a_space = p->x->scratch_bytes / 4;
    p->mc = (int)(a_space / (row * (size_t)u->mr)) * u->mr;
    if (p->mc < u->mr)
        p->mc = u->mr;
    p->ns = (int)((size_t)STRIP_BYTES / sizeof(float) / (size_t)p->mc) / u->nr * u->nr;
    if (p->ns < u->nr)
        p->ns = u->nr;

    size_t b_space = p->x->l3 / 2;
    if (b_space > p->x->shared_bytes || b_space < p->x->shared_bytes / 8)
        b_space = p->x->shared_bytes;
    int most = (int)(b_space / (row * (size_t)u->nr)) * u->nr;
    p->own_b = p->col_threads == p->threads && most >= u->nr * p->threads;
    if (p->own_b) /* equal parts of the shared space */
        most = most / (u->nr * p->threads) * (u->nr * p->threads);
    int rows = longest_share(p->m, u->mr, p->row_threads);
    p->group = rows;
    p->keep_c = p->c.dtype == DT_BF16 && p->kb < kp;
    if (p->keep_c) {
        size_t c_space = p->x->scratch_bytes - a_space - p->x->scratch_bytes / 8;
        most = min_int(most, round_up(1024, p->own_b ? u->nr * p->threads : u->nr));
        p->group = (int)(c_space / sizeof(real) / (size_t)most) / u->mr * u->mr;
        p->group = min_int(p->group, rows);
        assert(p->group > 0);
    }
    p->nc = round_up((p->n + parts(p->n, most) - 1) / parts(p->n, most), u->nr);
    p->mc = min_int(p->mc, p->group);
    /* Equal blocks rather than a thin last one. */
    p->mc = round_up((p->group + parts(p->group, p->mc) - 1) / parts(p->group, p->mc), u->mr);
}

/* Packed B of column j of the slab, where cols are the thread's own when own_b. */
static char *b_at(const struct plan *p, struct range cols, int j, int depth, int t)
{
    size_t panel = gemm_b_bytes(p->u, p->u->nr, depth);
    if (!p->own_b)
        return (char *)p->x->shared + (size_t)(j / p->u->nr) * panel;
    size_t part = gemm_b_bytes(p->u, longest_share(p->nc, p->u->nr, p->threads), p->kb);
    return (char *)p->x->shared + (size_t)t * part + (size_t)((j - cols.lo) / p->u->nr) * panel;
}

/* One thread packs its share of B [k0, k0+depth) × [n0, n0+width). */
static void pack_b(const struct plan *p, int n0, int width, int k0, int depth, int t)
{
    const struct gemm_unit *u = p->u;
    struct range r = share(width, u->nr, t, p->threads);
    char *dst = b_at(p, r, r.lo, depth, t);
    if (r.lo >= r.hi)
        return;
    if (p->b.wp)
        p->x->k->wp_to_b(dst, p->b.wp->p, n0 + r.lo, r.hi - r.lo, p->n, p->k, k0, k0 + depth);
    else
        u->pack_b(dst, src_at(p->b.src, n0 + r.lo, k0), r.hi - r.lo, depth);
}

/* c block: where block() works, and the way in and out of it. */
struct tile {
    real *p;
    ptrdiff_t ld;
    int row, col, rows, cols;
};

static void tile_load(const struct plan *p, const struct tile *t)
{
    const real *from = mat_f(p->init) + t->row * p->init.stride + t->col;
    for (int i = 0; i < t->rows; i++)
        memcpy(t->p + i * t->ld, from + i * p->init.stride, (size_t)t->cols * sizeof(real));
}

static void tile_store(const struct plan *p, const struct tile *t)
{
    for (int i = 0; i < t->rows; i++) {
        ptrdiff_t at = (t->row + i) * p->c.stride + t->col;
        p->x->k->bf16_from_f32(mat_b(p->c) + at, t->p + i * t->ld, (size_t)t->cols);
    }
}

/* One strip of one A block at depth k0. */
static void strip(const struct plan *p, const struct tile *t, const void *a, const void *b, int k0,
                  int depth)
{
    bool first = k0 == 0, last = k0 + depth >= p->k;
    bool init = p->init.p != NULL;
    if (first && init && t->p != mat_f(p->init) + t->row * p->init.stride + t->col)
        tile_load(p, t);
    p->u->block(t->p, t->ld, a, b, t->rows, t->cols, gemm_kp(depth), first && !init);
    if (last && p->c.dtype == DT_BF16)
        tile_store(p, t);
}

/* A thread's rectangle rows × cols of the group at depth [k0, k0+depth). */
static void rectangle(const struct plan *p, struct range rows, struct range cols, int n0, int k0,
                      int depth, int thread)
{
    const struct gemm_unit *u = p->u;
    size_t a_bytes = gemm_a_bytes(u, p->mc, p->kb);
    char *space = nn_scratch(p->x, thread);
    real *own = (real *)(space + a_bytes);
    for (int i = rows.lo; i < rows.hi; i += p->mc) {
        struct tile t = {.row = i, .rows = min_int(p->mc, rows.hi - i)};
        u->pack_a(space, src_at(p->a, i, k0), t.rows, depth);
        for (int j = cols.lo; j < cols.hi; j += p->ns) {
            t.col = n0 + j;
            t.cols = min_int(p->ns, cols.hi - j);
            if (p->lower && t.col >= t.row + t.rows)
                break;
            if (p->c.dtype == DT_F32) {
                t.p = mat_f(p->c) + t.row * p->c.stride + t.col;
                t.ld = p->c.stride;
            } else if (p->keep_c) {
                t.ld = p->nc;
                t.p = own + (i - rows.lo) * t.ld + j;
            } else {
                t.ld = p->ns;
                t.p = own;
            }
            strip(p, &t, space, b_at(p, cols, j, depth, thread), k0, depth);
        }
    }
}

static void work(const struct plan *p, int t)
{
    const struct gemm_unit *u = p->u;
    struct range rows = share(p->m, u->mr, t / p->col_threads, p->row_threads);
    int longest = longest_share(p->m, u->mr, p->row_threads);
    bool first = true;
    nn_begin(p->x);
    u->enter();
    for (int n0 = 0; n0 < p->n; n0 += p->nc) {
        int width = min_int(p->nc, p->n - n0);
        struct range cols = share(width, u->nr, t % p->col_threads, p->col_threads);
        for (int g = 0; g < longest; g += p->group) {
            struct range part = {min_int(rows.lo + g, rows.hi), min_int(rows.lo + g + p->group, rows.hi)};
            int k0 = 0;
            do {
                int depth = min_int(p->kb, p->k - k0);
                if (!first && !p->own_b) /* others may still read */
                    nn_barrier(p->x);
                first = false;
                pack_b(p, n0, width, k0, depth, t);
                if (!p->own_b)
                    nn_barrier(p->x);
                rectangle(p, part, cols, n0, k0, depth, t);
                k0 += p->kb;
            } while (k0 < p->k);
        }
    }
    u->leave();
    nn_end(p->x);
}

static void run(struct plan *p)
{
    if (p->m == 0 || p->n == 0)
        return;
    assert(!p->init.p || (p->init.dtype == DT_F32 && p->init.rows == p->m && p->init.cols == p->n));
    p->u = &p->x->k->gemm;
#pragma omp parallel num_threads(p->x->threads)
    {
        struct plan own = *p; /* each thread finds the same plan: cheaper than waiting for one */
        own.threads = omp_get_num_threads();
        choose_blocks(&own);
        work(&own, omp_get_thread_num());
    }
}

static struct gemm_src src_of(struct mat a, bool trans)
{
    return (struct gemm_src){.p = a.p, .dtype = a.dtype, .trans = trans, .ld = a.stride};
}

static void count(const struct plan *p, const struct gemm_args *g)
{
    double m = p->m, n = p->n, k = p->k, half = p->lower ? 0.5 : 1;
    double c = half * m * n * (double)((p->init.p ? sizeof(real) : 0) + dtype_size(p->c.dtype));
    nn_count(p->x, 2 * half * m * n * k, m * k * (double)dtype_size(g->a.dtype) +
             k * n * (double)dtype_size(g->b.dtype) + c);
}

void gemm(const struct nn *x, const struct gemm_args *g)
{
    int k = g->a_trans ? g->a.rows : g->a.cols;
    assert((g->a_trans ? g->a.cols : g->a.rows) == g->c.rows);
    assert((g->b_trans ? g->b.rows : g->b.cols) == g->c.cols);
    assert((g->b_trans ? g->b.cols : g->b.rows) == k);
    struct plan p = {.x = x,
                     .c = g->c,
                     .init = g->init,
                     .a = src_of(g->a, g->a_trans),
                     .b = {.src = src_of(g->b, !g->b_trans)},
                     .m = g->c.rows,
                     .n = g->c.cols,
                     .k = k,
                     .lower = g->lower};
    run(&p);
    count(&p, g);
}

void gemm_mirror(const struct nn *x, struct mat c)
{
    enum { B = 32 }; /* squares that stay in L1 on both sides */
    real *p = mat_f(c);
    assert(c.rows == c.cols && c.dtype == DT_F32);
#pragma omp parallel for schedule(static) num_threads(x->threads)
    for (int i0 = 0; i0 < c.rows; i0 += B)
        for (int j0 = i0; j0 < c.cols; j0 += B)
            for (int i = i0; i < min_int(i0 + B, c.rows); i++)
                for (int j = j0 > i ? j0 : i + 1; j < min_int(j0 + B, c.cols); j++)
                    p[i * c.stride + j] = p[j * c.stride + i];
}

/* ---- weights packed once ---- */

/* Rows the weights stream past at once, and up to how many rows in all that is faster than unpacking the
 * weights to B panels (measured on FMA; tiles are faster as soon as one is filled). */
enum { GEMV_ROWS = 8, GEMV_MOST_FMA = 64, GEMV_MOST_TILES = 8, GEMV_COLS = 1024 };

size_t wpack_elems(int n, int k)
{
    return (size_t)round_up(n, WP_NR) * (size_t)gemm_kp(k);
}

void wpack_fill(const struct nn *x, struct wpack *dst, int row0, struct mat w)
{
    assert(row0 % WP_NR == 0 && row0 + w.rows <= dst->n && w.cols == dst->k);
    bf16 *p = dst->p + wpack_elems(row0, dst->k);
#pragma omp parallel num_threads(x->threads)
    {
        kernels_fp_enter();
        struct range r = share(w.rows, WP_NR, omp_get_thread_num(), omp_get_num_threads());
        if (r.lo < r.hi)
            x->k->wp_pack(p, src_of(w, false), r.lo, r.hi, w.rows, w.cols);
    }
}

/* c[0..8)[j .. j+n) for a group of rows; a bf16 result passes through the thread's scratch. */
static void gemv_part(const struct nn *x, struct mat c, struct mat init, struct mat a,
                      const struct wpack *w, int j, int n, real *own)
{
    bool direct = c.dtype == DT_F32;
    real *y = direct ? mat_f(c) + j : own;
    ptrdiff_t ld = direct ? c.stride : GEMV_COLS;
    for (int i = 0; init.p && init.p != c.p && i < c.rows; i++)
        memcpy(y + i * ld, mat_f(init) + i * init.stride + j, (size_t)n * sizeof(real));
    x->k->gemv_wp(y, ld, mat_b(a), a.stride, w->p + wpack_elems(j, w->k), c.rows, 0, n, w->k, !init.p);
    for (int i = 0; !direct && i < c.rows; i++)
        x->k->bf16_from_f32(mat_b(c) + i * c.stride + j, y + i * ld, (size_t)n);
}

/* Columns [r.lo, r.hi) of c, as many at a time as keep their weights in L2 for the next rows. */
static void gemv_columns(const struct nn *x, struct mat c, struct mat init, struct mat a,
                         const struct wpack *w, struct range r, int t)
{
    size_t fit = x->l2 / 2 / sizeof(bf16) / ((size_t)gemm_kp(w->k) + 1) / WP_NR * WP_NR;
    int cols = fit > GEMV_COLS || c.rows <= GEMV_ROWS ? GEMV_COLS : fit < WP_NR ? WP_NR : (int)fit;
    for (int j = r.lo; j < r.hi; j += cols)
        for (int i = 0; i < c.rows; i += GEMV_ROWS) {
            int rows = min_int(GEMV_ROWS, c.rows - i);
            gemv_part(x, mat_rows(c, i, rows), init.p ? mat_rows(init, i, rows) : init, mat_rows(a, i, rows),
                      w, j, min_int(cols, r.hi - j), nn_scratch(x, t));
        }
}

static void gemv(const struct nn *x, struct mat c, struct mat init, struct mat a,
                 const struct wpack *w)
{
    if (a.dtype == DT_F32) { /* few rows: rounded into the space nobody packs into here */
        bf16 *p = x->shared;
        for (int i = 0; i < a.rows; i++)
            x->k->bf16_from_f32(p + (ptrdiff_t)i * a.cols, mat_f(a) + i * a.stride, (size_t)a.cols);
        a = mat_bf16(p, a.rows, a.cols);
    }
#pragma omp parallel num_threads(x->threads)
    {
        kernels_fp_enter();
        int t = omp_get_thread_num();
        struct range r = share(w->n, WP_NR, t, omp_get_num_threads());
        gemv_columns(x, c, init, a, w, r, t);
    }
}

void gemm_wp(const struct nn *x, struct mat c, struct mat init, struct mat a, const struct wpack *w)
{
    assert(c.rows == a.rows && c.cols == w->n && a.cols == w->k);
    if (c.rows == 0 || c.cols == 0)
        return;
    int most = x->k->gemm.elem == sizeof(bf16) ? GEMV_MOST_TILES : GEMV_MOST_FMA;
    size_t a_bytes = (size_t)a.rows * (size_t)a.cols * sizeof(bf16);
    if (c.rows <= most && a_bytes <= x->shared_bytes) {
        gemv(x, c, init, a, w);
        return;
    }
    struct plan p = {.x = x,
                     .c = c,
                     .init = init,
                     .a = src_of(a, false),
                     .b = {.wp = w},
                     .m = c.rows,
                     .n = c.cols,
                     .k = w->k};
    run(&p);
}
