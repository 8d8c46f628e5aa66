/* Cache blocking around a gemm_unit, after BLIS (Van Zee and van de Geijn 2015), of each thread for itself:
 *
 *   for each slab of nc of the thread's columns
 *     for each group of its rows                only a bf16 result of a deep product needs several
 *       for each depth kb                       c rests in f32 between them
 *         pack B (kb × nc)                      ── L2 or L3
 *         for each mc of the rows
 *           pack A (mc × kb)                    ── half of L2
 *           for each strip of ns columns        unit.block: B panel in L1, tile in registers
 *
 * Threads own rectangles of c and pack what they read.  Where several share columns the same B is packed several
 * times: at 128 rows a thread that is 5 % of the work, at 512 one percent, and no thread ever waits at a barrier. */
#include "nn/gemm.h"

#include <assert.h>
#include <omp.h>
#include <string.h>

/* Depth of one packed block: c costs one load and one store per this many bytes of a row (in tiles of 8-bit integers
 * one per group). */
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
    bool i8;
    bool keep_c;    /* bf16 result of several depths: c of the group rests in scratch */
    bool lower;     /* blocks above the diagonal of c are left out */
    struct mat post; /* see gemm_args */
    real post_scale, scale;
    size_t b_part;  /* bytes of a thread's packed B */
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

/* Half of the last cache in all, and no less than a level-2 cache would hold of it. */
static size_t b_part(const struct nn *x, int threads)
{
    enum { LEAST = 1 << 20 };
    size_t all = x->l3 / 2 < x->shared_bytes / 8 ? x->shared_bytes : x->l3 / 2;
    size_t part = all / (size_t)threads > LEAST ? all / (size_t)threads : LEAST;
    size_t most = x->shared_bytes / (size_t)threads;
    return (part < most ? part : most) & ~(size_t)4095;
}

static void choose_blocks(struct plan *p)
{
    const struct gemm_unit *u = p->u;
    int kp = gemm_depth(u, p->k);
    choose_grid(p);
    p->b_part = b_part(p->x, p->threads);
    int deepest = (int)(p->b_part / gemm_b_bytes(u, u->nr, u->k_cut)) * u->k_cut;
    assert(deepest > 0);
    p->kb = round_up(kp / parts(kp, min_int(deepest, (int)(KB_BYTES / u->elem))), u->k_cut);
    if (p->kb == 0)
        p->kb = u->k_cut;
    size_t row = (gemm_a_bytes(u, u->mr, p->kb) + (size_t)u->mr - 1) / (size_t)u->mr;
    size_t a_space = p->x->l2 / 2;
    if (a_space > p->x->scratch_bytes / 4)
        a_space = p->x->scratch_bytes / 4;
    p->mc = (int)(a_space / (row * (size_t)u->mr)) * u->mr;
    if (p->mc < u->mr)
        p->mc = u->mr;
    p->ns = (int)((size_t)STRIP_BYTES / sizeof(float) / (size_t)p->mc) / u->nr * u->nr;
    if (p->ns < u->nr)
        p->ns = u->nr;

    int most = (int)(p->b_part / gemm_b_bytes(u, u->nr, p->kb)) * u->nr;
    int rows = longest_share(p->m, u->mr, p->row_threads);
    p->group = rows;
    p->keep_c = p->c.dtype == DT_BF16 && p->kb < kp;
    if (p->keep_c) {
        size_t c_space = p->x->scratch_bytes - gemm_a_bytes(u, p->mc, p->kb);
        most = min_int(most, round_up(1024, u->nr));
        p->group = (int)(c_space / sizeof(real) / (size_t)most) / u->mr * u->mr;
        p->group = min_int(p->group, rows);
        assert(p->group > 0);
    }
    int cols = longest_share(p->n, u->nr, p->col_threads);
    p->nc = round_up((cols + parts(cols, most) - 1) / parts(cols, most), u->nr);
    p->mc = min_int(p->mc, p->group);
    /* Equal blocks rather than a thin last one. */
    p->mc = round_up((p->group + parts(p->group, p->mc) - 1) / parts(p->group, p->mc), u->mr);
}

static char *b_space(const struct plan *p, int thread) { return (char *)p->x->shared + (size_t)thread * p->b_part; }

/* B [k0, k0+depth) × [n0, n0+width) for the thread. */
static void pack_b(const struct plan *p, int n0, int width, int k0, int depth, int thread)
{
    char *dst = b_space(p, thread);
    if (p->b.wp)
        p->x->k->wp_to_b(dst, p->b.wp->p, n0, width, p->n, p->k, k0, k0 + depth);
    else
        p->u->pack_b(dst, src_at(p->b.src, n0, k0), width, depth);
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

static void tile_post(const struct plan *p, const struct tile *t)
{
    for (int i = 0; i < t->rows; i++) {
        const real *y = mat_f(p->post) + (t->row + i) * p->post.stride + t->col;
        p->x->k->axpby(t->p + i * t->ld, p->post_scale, y, p->scale, t->p + i * t->ld, (size_t)t->cols);
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
    p->u->block(t->p, t->ld, a, b, t->rows, t->cols, gemm_depth(p->u, depth), first && !init);
    if (last && p->post.p)
        tile_post(p, t);
    if (last && p->c.dtype == DT_BF16)
        tile_store(p, t);
}

/* Rows × [n0, n0+width) of the thread at depth [k0, k0+depth). */
static void rectangle(const struct plan *p, struct range rows, int n0, int width, int k0, int depth, int thread)
{
    const struct gemm_unit *u = p->u;
    size_t a_bytes = gemm_a_bytes(u, p->mc, p->kb), panel = gemm_b_bytes(u, u->nr, depth);
    char *space = nn_scratch(p->x, thread);
    real *own = (real *)(space + a_bytes);
    for (int i = rows.lo; i < rows.hi; i += p->mc) {
        int end = min_int(i + p->mc, rows.hi);
        if (p->lower && n0 >= end)
            continue;
        u->pack_a(space, src_at(p->a, i, k0), end - i, depth);
        for (int j = 0; j < width; j += p->ns) {
            struct tile t = {.row = i, .col = n0 + j, .cols = min_int(p->ns, width - j)};
            if (p->lower && t.col >= end)
                break;
            if (p->lower && t.col > i) /* whole panels of rows above the diagonal */
                t.row += (t.col - i) / u->mr * u->mr;
            t.rows = end - t.row;
            if (p->c.dtype == DT_F32) {
                t.p = mat_f(p->c) + t.row * p->c.stride + t.col;
                t.ld = p->c.stride;
            } else if (p->keep_c) {
                t.ld = p->nc;
                t.p = own + (t.row - rows.lo) * t.ld + j;
            } else {
                t.ld = p->ns;
                t.p = own;
            }
            strip(p, &t, space + gemm_a_bytes(u, t.row - i, depth), b_space(p, thread) + (size_t)(j / u->nr) * panel,
                  k0, depth);
        }
    }
}

static void work(const struct plan *p, int t)
{
    const struct gemm_unit *u = p->u;
    struct range rows = share(p->m, u->mr, t / p->col_threads, p->row_threads);
    struct range cols = share(p->n, u->nr, t % p->col_threads, p->col_threads);
    nn_begin(p->x);
    u->enter();
    for (int n0 = cols.lo; n0 < cols.hi; n0 += p->nc) {
        int width = min_int(p->nc, cols.hi - n0);
        for (int g = rows.lo; g < rows.hi; g += p->group) {
            struct range part = {g, min_int(g + p->group, rows.hi)};
            int k0 = 0;
            do {
                int depth = min_int(p->kb, p->k - k0);
                pack_b(p, n0, width, k0, depth, t);
                rectangle(p, part, n0, width, k0, depth, t);
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
    p->u = p->i8 ? &p->x->k->gemm_i8 : &p->x->k->gemm;
    if (p->x->threads == 1) { /* within a thread of an optimizer, say: a region of its own costs a microsecond */
        p->threads = 1;
        choose_blocks(p);
        work(p, 0);
        return;
    }
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
    assert(!g->post.p || g->post.dtype == DT_F32);
    struct plan p = {.x = x,
                     .c = g->c,
                     .init = g->init,
                     .a = src_of(g->a, g->a_trans),
                     .b = {.src = src_of(g->b, !g->b_trans)},
                     .m = g->c.rows,
                     .n = g->c.cols,
                     .k = k,
                     .i8 = g->i8,
                     .lower = g->lower,
                     .post = g->post,
                     .post_scale = g->post_scale,
                     .scale = g->scale};
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
 * weights to B panels (measured on FMA; tiles and dot products are faster from the first full panel on). */
enum { GEMV_ROWS = 8, GEMV_MOST_FMA = 64, GEMV_MOST_BF16 = 8, GEMV_COLS = 1024 };

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
    int most = x->k->gemm.elem == sizeof(bf16) ? GEMV_MOST_BF16 : GEMV_MOST_FMA;
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
