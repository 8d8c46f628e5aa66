#include "train/optim.h"

#include <assert.h>
#include <math.h>
#include <omp.h>
#include <string.h>

#include "base/mem.h"
#include "kernels/fp.h"
#include "nn/gemm.h"
#include "nn/ops.h"

static const char *const names[] = {"adamw", "muon", "normuon"};

const char *optim_name(enum optim_kind k) { return names[k]; }

int optim_parse(enum optim_kind *k, const char *name)
{
    for (int i = 0; i < 3; i++)
        if (strcmp(name, names[i]) == 0) {
            *k = (enum optim_kind)i;
            return 0;
        }
    return -1;
}

static bool is_muon(const struct optim_config *c, const struct param *p)
{
    return c->kind != OPTIM_ADAMW && p->group == GROUP_MATRIX;
}

size_t optim_v_count(const struct optim_config *c, const struct param *p)
{
    if (!is_muon(c, p))
        return p->n;
    return c->kind == OPTIM_NORMUON ? (size_t)p->rows : 0;
}

static size_t v_room(const struct optim_config *c, const struct param *p)
{
    return (optim_v_count(c, p) + 15) & ~(size_t)15;
}

/* Sizes of the working matrices and of the compact second moments. */
struct sizes {
    size_t matrix, gram, v;
};

static struct sizes measure(const struct param_table *t, const struct optim_config *c)
{
    struct sizes s = {0};
    for (int i = 0; i < t->n; i++) {
        const struct param *p = &t->p[i];
        s.v += v_room(c, p);
        if (!is_muon(c, p))
            continue;
        size_t side = (size_t)(p->rows < p->cols ? p->rows : p->cols);
        if (p->n > s.matrix)
            s.matrix = p->n;
        if (side * side > s.gram)
            s.gram = side * side;
    }
    return s;
}

/* One thread's means for Newton–Schulz. */
struct optim_lane {
    struct nn x;             /* of one thread */
    real *u, *t, *a, *a2;    /* momentum's matrix, a product of its shape, two Gram matrices */
    size_t bytes;
};

static size_t lane_bytes(struct sizes s) { return 2 * (s.matrix + s.gram + 32) * sizeof(real); }

size_t optim_bytes(const struct nn *x, const struct param_table *t, const struct optim_config *c)
{
    struct sizes s = measure(t, c);
    enum { PACKING = 4 << 20 }; /* of a lane's products: two huge pages */
    size_t lanes = s.matrix ? (size_t)x->threads * (lane_bytes(s) + PACKING) : 0;
    return (t->total + s.v) * sizeof(real) + lanes;
}

static int lane_init(struct optim_lane *l, const struct nn *x, struct sizes s, struct err *e)
{
    size_t matrix = (s.matrix + 15) & ~(size_t)15, gram = (s.gram + 15) & ~(size_t)15;
    int rc = nn_init(&l->x, x->k, 1, e);
    if (rc)
        return rc;
    l->bytes = lane_bytes(s);
    l->u = mem_map(l->bytes);
    if (!l->u)
        return err_set(e, ERR_NOMEM, "optimizer: no memory for %zu bytes of working space", l->bytes);
    l->t = l->u + matrix;
    l->a = l->t + matrix;
    l->a2 = l->a + gram;
    return 0;
}

/* Multiply-adds of one Newton–Schulz step. */
static double cost_of(const struct param *p)
{
    double side = p->rows < p->cols ? p->rows : p->cols, n = (double)p->n;
    return side * n * 1.5 + side * side * side * 0.5;
}

/* Muon's tensors, the dearest first: whichever thread is free takes the next. */
static void put_in_order(struct optim *o)
{
    for (int i = 0; i < o->table->n; i++) {
        int at = o->n_muon;
        if (!is_muon(&o->config, &o->table->p[i]))
            continue;
        for (; at > 0 && cost_of(&o->table->p[o->muon[at - 1]]) < cost_of(&o->table->p[i]); at--)
            o->muon[at] = o->muon[at - 1];
        o->muon[at] = i;
        o->n_muon++;
    }
}

static int take_lanes(struct optim *o, const struct nn *x, struct sizes s, struct err *e)
{
    int rc = 0;
    o->lane = mem_new((size_t)x->threads, sizeof *o->lane);
    if (!o->lane)
        return err_set(e, ERR_NOMEM, "optimizer: out of memory");
    o->n_lane = x->threads;
    for (int i = 0; i < o->n_lane && rc == 0; i++)
        rc = lane_init(&o->lane[i], x, s, e);
    put_in_order(o);
    return rc;
}

int optim_init(struct optim *o, const struct nn *x, const struct param_table *t, const struct optim_config *c,
               struct err *e)
{
    struct sizes s = measure(t, c);
    int rc = 0;
    *o = (struct optim){.config = *c, .table = t, .m_total = t->total, .v_total = s.v};
    o->m = mem_map(o->m_total * sizeof(real) + 1);
    o->v = mem_map(o->v_total * sizeof(real) + 1);
    o->v_offset = mem_new((size_t)t->n, sizeof *o->v_offset);
    o->muon = mem_new((size_t)t->n, sizeof *o->muon);
    if (!o->m || !o->v || !o->v_offset || !o->muon)
        rc = err_set(e, ERR_NOMEM, "optimizer: no memory for %zu bytes of moments", optim_bytes(x, t, c));
    else if (s.matrix)
        rc = take_lanes(o, x, s, e);
    if (rc) {
        optim_release(o);
        return rc;
    }
    size_t at = 0;
    for (int i = 0; i < t->n; i++) {
        o->v_offset[i] = at;
        at += v_room(c, &t->p[i]);
    }
    return 0;
}

void optim_release(struct optim *o)
{
    for (int i = 0; i < o->n_lane; i++) {
        mem_unmap(o->lane[i].u, o->lane[i].bytes);
        nn_release(&o->lane[i].x);
    }
    mem_free(o->lane);
    mem_free(o->muon);
    mem_unmap(o->m, o->m_total * sizeof(real) + 1);
    mem_unmap(o->v, o->v_total * sizeof(real) + 1);
    mem_free(o->v_offset);
    *o = (struct optim){0};
}

double optim_grad_norm(const struct nn *x, const struct param_table *t, const real *g, const char **bad)
{
    enum { AT_ONCE = 64 };
    struct op_vec v[AT_ONCE];
    double sum[AT_ONCE], total = 0;
    *bad = NULL;
    for (int i0 = 0; i0 < t->n; i0 += AT_ONCE) {
        int n = t->n - i0 < AT_ONCE ? t->n - i0 : AT_ONCE;
        for (int i = 0; i < n; i++)
            v[i] = (struct op_vec){g + t->p[i0 + i].offset, t->p[i0 + i].n};
        op_sums_sq(x, sum, v, n);
        for (int i = 0; i < n; i++) {
            if (!(sum[i] < (double)INFINITY) && !*bad)
                *bad = t->p[i0 + i].name;
            total += sum[i];
        }
    }
    nn_mark(x, WATCH_GRAD_NORM);
    return sqrt(total);
}

/* Splits [0, n) into whole 16-element pieces for a thread. */
static void range_of(size_t n, int threads, int id, size_t *lo, size_t *hi)
{
    size_t blocks = (n + 15) / 16;
    *lo = blocks * (size_t)id / (size_t)threads * 16;
    *hi = blocks * (size_t)(id + 1) / (size_t)threads * 16;
    if (*lo > n)
        *lo = n;
    if (*hi > n)
        *hi = n;
}

/* One step of AdamW: what differs between tensors is found by group. */
struct adamw_step {
    const struct optim *o;
    real *w;
    const real *g;
    struct adamw_args args;
    double lr[4], decay[4];
};

static void adamw_all(const struct nn *x, const struct adamw_step *s)
{
    const struct optim *o = s->o;
    double n = 0;
#pragma omp parallel num_threads(x->threads)
    {
        nn_begin(x);
        for (int i = 0; i < o->table->n; i++) {
            const struct param *p = &o->table->p[i];
            struct adamw_args a = s->args;
            size_t lo, hi;
            if (is_muon(&o->config, p))
                continue;
            a.lr = real_narrow(s->lr[p->group]);
            a.weight_decay = real_narrow(s->decay[p->group]);
            range_of(p->n, omp_get_num_threads(), omp_get_thread_num(), &lo, &hi);
            x->k->adamw(s->w + p->offset + lo, o->m + p->offset + lo, o->v + o->v_offset[i] + lo,
                        s->g + p->offset + lo, hi - lo, &a);
        }
        nn_end(x);
    }
    for (int i = 0; x->watch && i < o->table->n; i++)
        n += is_muon(&o->config, &o->table->p[i]) ? 0 : (double)o->table->p[i].n;
    nn_count(x, 15 * n, 7 * n * sizeof(real));
    nn_mark(x, WATCH_ADAMW);
}

/* Polar Express, five steps (arXiv 2505.16932, as tabulated for safety .02, cushion 2). */
static const double polar[5][3] = {
    {8.156554524902461, -22.48329292557795, 15.878769915207462},
    {4.042929935166739, -2.808917465908714, 0.5000178451051316},
    {3.8916678022926607, -2.772484153217685, 0.5060648178503393},
    {3.285753657755655, -2.3681294933425376, 0.46449024233003106},
    {2.3465413258596377, -1.7097828382687081, 0.42323551169305323},
};

/* X ← a·X + (b·A + c·A·A)·X on the smaller side, A = X·Xᵀ (or Xᵀ·X when there are more rows).  A and A·A are
 * symmetric: half of each is computed, and fma(p, q, ·) = fma(q, p, ·) makes the mirrored half the same bits. */
/* u is used up; the result lies in it or in the lane's t. */
static real *orthogonalise(const struct optim_lane *l, real *u, int rows, int cols)
{
    const struct nn *x = &l->x;
    size_t n = (size_t)rows * (size_t)cols;
    bool tall = rows > cols;
    int side = tall ? cols : rows;
    real *t = l->t;
    struct mat A = mat_f32(l->a, side, side), B = mat_f32(l->a2, side, side);

    double norm = sqrt(op_sum_sq(x, u, n));
    x->k->scale(u, real_narrow(1.0 / (norm * 1.01 + 1e-6)), n);
    for (int i = 0; i < 5; i++) {
        struct mat X = mat_f32(u, rows, cols), T = mat_f32(t, rows, cols);
        const real a = (real)polar[i][0], b = (real)polar[i][1], c = (real)polar[i][2];
        gemm(x, &(struct gemm_args){.c = A, .a = X, .b = X, .a_trans = tall, .b_trans = !tall, .lower = true});
        gemm_mirror(x, A);
        gemm(x, &(struct gemm_args){.c = B, .a = A, .b = A, .b_trans = true, .lower = true,
                                    .post = A, .post_scale = b, .scale = c});
        gemm_mirror(x, B);
        gemm(x, &(struct gemm_args){.c = T, .a = tall ? X : B, .b = tall ? B : X,
                                    .post = X, .post_scale = a, .scale = 1});
        t = u;
        u = mat_f(T);
    }
    return u;
}

void optim_orthogonalise(const struct optim *o, real *u, int rows, int cols)
{
    real *result = orthogonalise(&o->lane[0], u, rows, cols);
    if (result != u)
        memcpy(u, result, (size_t)rows * (size_t)cols * sizeof *u);
}

/* Rows of mean square q_r, v_r = β·v_r + (1−β)·q_r, are divided by √v_r; Σ q_r/v_r is what that makes of the norm. */
static void even_rows(const struct kernels *k, real *u, real *v, int rows, int cols, double beta)
{
    double before = 0, after = 0;
    for (int r = 0; r < rows; r++) {
        double q = (double)k->sum_sq(u + (size_t)r * (size_t)cols, (size_t)cols) / cols;
        v[r] = real_narrow(beta * (double)v[r] + (1 - beta) * q);
        before += q;
        after += v[r] > 0 ? q / (double)v[r] : 0;
    }
    if (!(after > 0))
        return;   /* nothing moves: the first step of a matrix whose gradient is still zero */
    for (int r = 0; r < rows; r++)
        if (v[r] > 0)
            k->scale(u + (size_t)r * (size_t)cols, real_narrow(sqrt(before / after / (double)v[r])), (size_t)cols);
}

void optim_even_rows(const struct optim *o, real *u, real *v, int rows, int cols)
{
    even_rows(o->lane[0].x.k, u, v, rows, cols, o->config.beta2_row);
}

/* What one step does to every Muon tensor. */
struct muon_args {
    const real *g;
    double lr, mu, grad_scale;
};

static void muon_tensor(const struct optim *o, const struct optim_lane *l, int i, real *w, const struct muon_args *a)
{
    const struct param *p = &o->table->p[i];
    double shape = p->rows > p->cols ? sqrt((double)p->rows / (double)p->cols) : 1;
    const struct kernels *k = l->x.k;
    k->muon_momentum(l->u, o->m + p->offset, a->g + p->offset, p->n, real_narrow(a->mu), real_narrow(a->grad_scale));
    real *u = orthogonalise(l, l->u, p->rows, p->cols);
    if (o->config.kind == OPTIM_NORMUON)
        even_rows(k, u, o->v + o->v_offset[i], p->rows, p->cols, o->config.beta2_row);
    k->muon_apply(w + p->offset, u, p->n, real_narrow(a->lr * shape), real_narrow(o->config.decay_matrix), true);
}

static void muon_all(const struct nn *x, const struct optim *o, real *w, const struct muon_args *a)
{
#pragma omp parallel num_threads(x->threads)
    {
        nn_begin(x);
#pragma omp for schedule(dynamic, 1) nowait /* a tensor is one thread's, whoever it is */
        for (int i = 0; i < o->n_muon; i++)
            muon_tensor(o, &o->lane[omp_get_thread_num()], o->muon[i], w, a);
        nn_end(x);
    }
    for (int i = 0; x->watch && i < o->n_muon; i++) {
        const struct param *p = &o->table->p[o->muon[i]];
        double rows = o->config.kind == OPTIM_NORMUON ? 3 : 0;
        /* Momentum, norm, five steps in and out, the rows, the update. */
        nn_count(x, 2 * 5 * cost_of(p), (double)p->n * (4 + 3 + 5 * 3 + rows + 3) * sizeof(real));
    }
}

void optim_step(const struct nn *x, struct optim *o, real *w, const real *g, int64_t step, double lr_factor,
                double mu, double norm)
{
    const struct optim_config *c = &o->config;
    double scale = c->clip > 0 && norm > c->clip ? c->clip / norm : 1;
    double t = (double)(step + 1);
    const struct adamw_step a = {
        .o = o, .w = w, .g = g,
        .args = {.beta1 = real_narrow(c->beta1), .beta2 = real_narrow(c->beta2), .eps = real_narrow(c->eps),
                 .bias1 = real_narrow(1 - t1_pow_f64(c->beta1, t)),
                 .bias2 = real_narrow(1 - t1_pow_f64(c->beta2, t)),
                 .grad_scale = real_narrow(scale)},
        .lr = {[GROUP_EMBED] = c->lr_embed * lr_factor, [GROUP_HEAD] = c->lr_head * lr_factor,
               [GROUP_MATRIX] = c->lr_matrix * lr_factor, [GROUP_GAIN] = c->lr_gain * lr_factor},
        .decay = {[GROUP_EMBED] = c->decay_embed, [GROUP_HEAD] = c->decay_embed, [GROUP_MATRIX] = c->decay_matrix,
                  [GROUP_GAIN] = 0}};
    adamw_all(x, &a);
    if (c->kind != OPTIM_ADAMW)
        muon_all(x, o, w, &(struct muon_args){g, c->lr_matrix * lr_factor, mu, scale});
    nn_mark(x, WATCH_MUON);
}
