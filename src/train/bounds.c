#include "train/bounds.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/mem.h"

/* Rates are rounded to binary32: far below this.  Weights are too, by half a last place a step: LAST_PLACE of them. */
static const double ROUNDING = 1.001, LAST_PLACE = 0x1p-23;
/* Largest singular value of what Muon's polynomials make, with their products of bf16 operands. */
static const double MUON_TOP = 1.2;
/* Among segments that leave a tensor still, what rounding may let through in one. */
static const double STILL = 1e-5;

static double sum_of_factors(const struct schedule *s, uint64_t from, uint64_t to)
{
    double sum = 0;
    for (uint64_t i = from; i < to; i++)
        sum += schedule_lr(s, (int64_t)i);
    return sum;
}

/* How far AdamW moves an element at most in steps (from, to], decay aside, per unit of the group's rate. */
static double adamw_reach(const struct run_config *c, uint64_t from, uint64_t to)
{
    double b1 = c->optim.beta1, b2 = c->optim.beta2, q = b1 * b1 / b2, sum = 0;
    for (uint64_t i = from; i < to; i++) {
        double t = (double)(i + 1);
        sum += schedule_lr(&c->schedule, (int64_t)i) * (1 - b1) / (1 - pow(b1, t)) *
               sqrt((1 - pow(b2, t)) / (1 - b2)) * sqrt((1 - pow(q, t)) / (1 - q));
    }
    return sum;
}

/* What a segment gives all tensors: Σ schedule factors, and AdamW's reach. */
struct span {
    double factors, adamw, steps;
};

static struct span *spans_new(const struct logbook *b)
{
    struct span *s = mem_new((size_t)b->n_segments + 1, sizeof *s);
    for (uint64_t k = 0; s && k < b->n_segments; k++) {
        uint64_t from = b->segment[k].from, to = b->segment[k].to;
        s[k] = (struct span){sum_of_factors(&b->config.schedule, from, to), adamw_reach(&b->config, from, to),
                             (double)(to - from)};
    }
    return s;
}

static double group_rate(const struct optim_config *o, enum param_group g)
{
    return g == GROUP_EMBED ? o->lr_embed : g == GROUP_HEAD ? o->lr_head : g == GROUP_GAIN ? o->lr_gain : o->lr_matrix;
}

static double group_decay(const struct optim_config *o, enum param_group g)
{
    return g == GROUP_MATRIX ? o->decay_matrix : g == GROUP_GAIN ? 0 : o->decay_embed;
}

/* The worse of two; a NaN is the worst and stays. */
static void note(struct worst *w, double figure, uint64_t segment, int tensor)
{
    if (!isnan(w->figure) && !(figure <= w->figure))
        *w = (struct worst){figure, segment, tensor};
}

static bool by_muon(const struct optim_config *o, const struct param *p)
{
    return o->kind != OPTIM_ADAMW && p->group == GROUP_MATRIX;
}

/* The bound on one tensor's movement: its rms for Muon, its largest element for AdamW.  size: the same measure of the
 * weights before. */
static double bound_of(const struct run_config *c, const struct param *p, struct span s, double size)
{
    const struct optim_config *o = &c->optim;
    double rate = group_rate(o, p->group), moved = rate * s.adamw;
    if (by_muon(o, p)) {
        double rows = p->rows, cols = p->cols, side = rows < cols ? rows : cols;
        moved = rate * s.factors * sqrt(rows > cols ? rows / cols : 1) * MUON_TOP * sqrt(side) / sqrt(rows * cols);
    }
    double decayed = rate * s.factors * group_decay(o, p->group) * (size + moved);
    return ROUNDING * (moved + decayed) + LAST_PLACE * s.steps * (size + moved);
}

static double rms_of(const real *w, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)w[i] * (double)w[i];
    return sqrt(sum / (double)n);
}

static double max_of(const real *w, size_t n)
{
    double most = 0;
    for (size_t i = 0; i < n; i++)
        most = fabs((double)w[i]) > most ? fabs((double)w[i]) : most;
    return most;
}

static void one_tensor(struct worst *out, const struct logbook *b, const struct param *p, int i,
                       const struct span *span, const real *w0)
{
    bool muon = by_muon(&b->config.optim, p);
    double size = muon ? rms_of(w0 + p->offset, p->n) : max_of(w0 + p->offset, p->n);
    for (uint64_t k = 0; k < b->n_segments; k++) {
        struct drift d = b->segment[k].drift[i];
        double moved = muon ? d.rms : d.max, bound = bound_of(&b->config, p, span[k], size);
        double share = moved == 0 ? 0 : moved / bound;
        note(out, share, k, i);
        size += moved;
    }
}

int bounds_steps(struct worst *out, const struct logbook *b, const struct param_table *t, const real *w0,
                 struct err *e)
{
    const struct optim_config *o = &b->config.optim;
    *out = (struct worst){0};
    if (!(o->beta1 * o->beta1 < o->beta2))
        return err_set(e, ERR_VALUE, "no bound is known for beta1 %g and beta2 %g", o->beta1, o->beta2);
    struct span *span = spans_new(b);
    if (!span)
        return err_set(e, ERR_NOMEM, "no memory for %" PRIu64 " segments", b->n_segments);
    for (int i = 0; i < t->n; i++)
        one_tensor(out, b, &t->p[i], i, span, w0);
    mem_free(span);
    return 0;
}

/* ---- against the neighbours ---- */

static double pace(const struct logbook *b, const struct span *span, uint64_t k, int i)
{
    return b->segment[k].drift[i].rms / span[k].factors;
}

static double median_around(const struct logbook *b, const struct span *span, uint64_t k, int i)
{
    double v[4];
    int n = 0;
    for (uint64_t j = k >= 2 ? k - 2 : 0; j <= k + 2 && j < b->n_segments; j++) {
        if (j == k)
            continue;
        double x = pace(b, span, j, i);
        int at = n++;
        for (; at > 0 && v[at - 1] > x; at--)
            v[at] = v[at - 1];
        v[at] = x;
    }
    return n == 0 ? 0 : n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

static struct worst of_segment(const struct logbook *b, const struct param_table *t, const struct span *span,
                               uint64_t k)
{
    struct worst w = {.segment = k};
    for (int i = 0; i < t->n; i++) {
        double around = median_around(b, span, k, i), own = pace(b, span, k, i);
        double still = b->segment[k].drift[i].rms > STILL ? INFINITY : 0;
        note(&w, around > 0 ? own / around : still, k, i);
    }
    return w;
}

int bounds_ratios(double *ratio, const struct logbook *b, const struct param_table *t, struct err *e)
{
    struct span *span = spans_new(b);
    if (!span)
        return err_set(e, ERR_NOMEM, "no memory for %" PRIu64 " segments", b->n_segments);
    for (uint64_t k = 0; k < b->n_segments; k++)
        ratio[k] = of_segment(b, t, span, k).figure;
    mem_free(span);
    return 0;
}

int bounds_continuity(struct worst *w, const struct logbook *b, const struct param_table *t, struct err *e)
{
    struct span *span = spans_new(b);
    *w = (struct worst){0};
    if (!span)
        return err_set(e, ERR_NOMEM, "no memory for %" PRIu64 " segments", b->n_segments);
    for (uint64_t k = 1; k < b->n_segments; k++) {
        struct worst s = of_segment(b, t, span, k);
        note(w, s.figure, s.segment, s.tensor);
    }
    mem_free(span);
    return 0;
}

/* ---- from the beginning to the end ---- */

struct worst bounds_travel(const struct logbook *b, const struct param_table *t, const real *w, const real *w0)
{
    struct worst worst = {0};
    for (int i = 0; i < t->n; i++) {
        const struct param *p = &t->p[i];
        double sum = 0, way = 0;
        for (size_t j = 0; j < p->n; j++) {
            double d = (double)w[p->offset + j] - (double)w0[p->offset + j];
            sum += d * d;
        }
        for (uint64_t k = 0; k < b->n_segments; k++)
            way += b->segment[k].drift[i].rms;
        note(&worst, sum > 0 ? sqrt(sum / (double)p->n) / (ROUNDING * way) : 0, b->n_segments, i);
    }
    return worst;
}

struct worst bounds_birth(const struct param_table *t, const real *w, const real *w0)
{
    struct worst worst = {INFINITY, 0, -1};
    for (int i = 0; i < t->n; i++) {
        const struct param *p = &t->p[i];
        double dot = 0, norm = 0;
        if (p->init != INIT_UNIFORM)
            continue;
        for (size_t j = 0; j < p->n; j++) {
            if (p->start != 0 && j % (size_t)p->cols == 0)
                continue;   /* begins at a constant */
            double a = (double)w[p->offset + j];
            dot += a * (double)w0[p->offset + j];
            norm += a * a;
        }
        double z = norm > 0 ? dot / (p->std * sqrt(norm)) : 0;
        if (!(z >= worst.figure))
            worst = (struct worst){z, 0, i};
    }
    return worst;
}
