#include "train/optim.h"

#include <assert.h>
#include <math.h>
#include <omp.h>
#include <string.h>

#include "base/mem.h"
#include "nn/gemm.h"
#include "nn/ops.h"

static const char *const names[] = {"adamw", "muon"};

const char *optim_name(enum optim_kind k) { return names[k]; }

int optim_parse(enum optim_kind *k, const char *name)
{
    for (int i = 0; i < 2; i++)
        if (strcmp(name, names[i]) == 0) {
            *k = (enum optim_kind)i;
            return 0;
        }
    return -1;
}

static bool is_muon(const struct optim_config *c, const struct param *p)
{
    return c->kind == OPTIM_MUON && p->group == GROUP_MATRIX;
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
        if (!is_muon(c, p)) {
            s.v += (p->n + 15) & ~(size_t)15;
            continue;
        }
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

/* Each tensor to the thread with the least work so far. */
static int share_out(struct optim *o, struct err *e)
{
    double *load = mem_new((size_t)o->n_lane, sizeof *load);
    if (!load)
        return err_set(e, ERR_NOMEM, "optimizer: out of memory");
    for (int i = 0; i < o->table->n; i++) {
        int least = 0;
        if (!is_muon(&o->config, &o->table->p[i]))
            continue;
        for (int k = 1; k < o->n_lane; k++)
            if (load[k] < load[least])
                least = k;
        o->owner[i] = least;
        load[least] += cost_of(&o->table->p[i]);
    }
    mem_free(load);
    return 0;
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
    return rc ? rc : share_out(o, e);
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
    o->owner = mem_new((size_t)t->n, sizeof *o->owner);
    if (!o->m || !o->v || !o->v_offset || !o->owner)
        rc = err_set(e, ERR_NOMEM, "optimizer: no memory for %zu bytes of moments", optim_bytes(x, t, c));
    else if (s.matrix)
        rc = take_lanes(o, x, s, e);
    if (rc) {
        optim_release(o);
        return rc;
    }
    size_t at = 0;
    for (int i = 0; i < t->n; i++) {
        bool muon = is_muon(c, &t->p[i]);
        o->v_offset[i] = muon ? SIZE_MAX : at;
        at += muon ? 0 : (t->p[i].n + 15) & ~(size_t)15;
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
    mem_free(o->owner);
    mem_unmap(o->m, o->m_total * sizeof(real) + 1);
    mem_unmap(o->v, o->v_total * sizeof(real) + 1);
    mem_free(o->v_offset);
    *o = (struct optim){0};
}

/* Tensors one after the other, block sums of all of them in one region. */
double optim_grad_norm(const struct nn *x, const struct param_table *t, const real *g, const char **bad)
{
    double sum = 0;
    *bad = NULL;
    for (int i = 0; i < t->n; i++) {
        double s = op_sum_sq(x, g + t->p[i].offset, t->p[i].n);
        if (!(s < (double)INFINITY) && !*bad)
            *bad = t->p[i].name;
        sum += s;
    }
    nn_mark(x, WATCH_GRAD_NORM);
    return sqrt(sum);
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

static void adamw_tensor(const struct nn *x, struct optim *o, int i, real *w, const real *g,
                         const struct adamw_args *a)
{
    const struct param *p = &o->table->p[i];
    real *m = o->m + p->offset, *v = o->v + o->v_offset[i];
#pragma omp parallel num_threads(x->threads)
    {
        nn_begin(x);
        size_t lo, hi;
        range_of(p->n, omp_get_num_threads(), omp_get_thread_num(), &lo, &hi);
        x->k->adamw(w + p->offset + lo, m + lo, v + lo, g + p->offset + lo, hi - lo, a);
        nn_end(x);
    }
    nn_count(x, 15 * (double)p->n, 7 * (double)p->n * sizeof(real));
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
static void orthogonalise(const struct optim_lane *l, real *u, int rows, int cols)
{
    const struct nn *x = &l->x;
    size_t n = (size_t)rows * (size_t)cols;
    bool tall = rows > cols;
    int side = tall ? cols : rows;
    size_t gram_n = (size_t)side * (size_t)side;
    struct mat X = mat_f32(u, rows, cols), T = mat_f32(l->t, rows, cols);
    struct mat A = mat_f32(l->a, side, side), A2 = mat_f32(l->a2, side, side);

    double norm = sqrt(op_sum_sq(x, u, n));
    x->k->scale(u, (real)(1.0 / (norm * 1.01 + 1e-6)), n);
    for (int i = 0; i < 5; i++) {
        gemm(x, &(struct gemm_args){.c = A, .a = X, .b = X, .a_trans = tall, .b_trans = !tall, .lower = true});
        gemm_mirror(x, A);
        gemm(x, &(struct gemm_args){.c = A2, .a = A, .b = A, .b_trans = true, .lower = true});
        gemm_mirror(x, A2);
        x->k->axpby(l->a, (real)polar[i][1], l->a, (real)polar[i][2], l->a2, gram_n);
        gemm(x, &(struct gemm_args){.c = T, .a = tall ? X : A, .b = tall ? A : X});
        x->k->axpby(u, (real)polar[i][0], u, 1, l->t, n);
    }
}

void optim_orthogonalise(const struct optim *o, real *u, int rows, int cols)
{
    orthogonalise(&o->lane[0], u, rows, cols);
}

/* What one step does to every Muon tensor. */
struct muon_args {
    const real *g;
    double lr, mu, grad_scale;
};

static void muon_tensor(const struct optim *o, const struct optim_lane *l, const struct param *p, real *w,
                        const struct muon_args *a)
{
    double shape = p->rows > p->cols ? sqrt((double)p->rows / (double)p->cols) : 1;
    const struct kernels *k = l->x.k;
    k->muon_momentum(l->u, o->m + p->offset, a->g + p->offset, p->n, (real)a->mu, (real)a->grad_scale);
    orthogonalise(l, l->u, p->rows, p->cols);
    k->muon_apply(w + p->offset, l->u, p->n, (real)(a->lr * shape), (real)o->config.decay_matrix, true);
}

static void muon_all(const struct nn *x, const struct optim *o, real *w, const struct muon_args *a)
{
#pragma omp parallel num_threads(x->threads)
    {
        nn_begin(x);
#pragma omp for schedule(static, 1) nowait
        for (int lane = 0; lane < o->n_lane; lane++)
            for (int i = 0; i < o->table->n; i++)
                if (is_muon(&o->config, &o->table->p[i]) && o->owner[i] == lane)
                    muon_tensor(o, &o->lane[lane], &o->table->p[i], w, a);
        nn_end(x);
    }
    for (int i = 0; x->watch && i < o->table->n; i++)
        if (is_muon(&o->config, &o->table->p[i])) /* momentum, 2 passes of a step in and out, the update */
            nn_count(x, 2 * 5 * cost_of(&o->table->p[i]), (double)o->table->p[i].n * (4 + 5 * 2 + 3) * sizeof(real));
}

void optim_step(const struct nn *x, struct optim *o, real *w, const real *g, int64_t step, double lr_factor,
                double mu, double norm)
{
    const struct optim_config *c = &o->config;
    const double lr_of[] = {[GROUP_EMBED] = c->lr_embed, [GROUP_HEAD] = c->lr_head,
                            [GROUP_MATRIX] = c->lr_matrix, [GROUP_GAIN] = c->lr_gain};
    const double decay_of[] = {[GROUP_EMBED] = c->decay_embed, [GROUP_HEAD] = c->decay_embed,
                               [GROUP_MATRIX] = c->decay_matrix, [GROUP_GAIN] = 0};
    double scale = c->clip > 0 && norm > c->clip ? c->clip / norm : 1;
    double t = (double)(step + 1);
    struct adamw_args a = {.beta1 = (real)c->beta1, .beta2 = (real)c->beta2, .eps = (real)c->eps,
                           .bias1 = (real)(1 - t1_pow_f64(c->beta1, t)),
                           .bias2 = (real)(1 - t1_pow_f64(c->beta2, t)), .grad_scale = (real)scale};
    for (int i = 0; i < o->table->n; i++) {
        const struct param *p = &o->table->p[i];
        if (is_muon(c, p))
            continue;
        a.lr = (real)(lr_of[p->group] * lr_factor);
        a.weight_decay = (real)decay_of[p->group];
        adamw_tensor(x, o, i, w, g, &a);
    }
    nn_mark(x, WATCH_ADAMW);
    if (c->kind == OPTIM_MUON)
        muon_all(x, o, w, &(struct muon_args){g, c->lr_matrix * lr_factor, mu, scale});
    nn_mark(x, WATCH_MUON);
}
