/* How far tensors moved, and how far the optimizer can move them (docs/ledger.md: step-bound to birth). */
#include "verify/verify.h"

static const double SLACK = 1.001;      /* rates are rounded to binary32; so are weights, twice a step: 2^-23 of them */
static const double MUON_TOP = 1.2;     /* singular values of Muon's polynomials */
static const double STILL = 1e-5;       /* what rounding lets through where the segments around do not move */
static const double MOST_RATIO = 10;    /* of a segment's movement to that around it */
static const double LEAST_Z = 6;        /* chance: 10^-9 */

struct worst { double figure; uint64_t segment; const char *name; };
static void note(struct worst *w, double figure, uint64_t segment, const char *name)
{
    if (!isnan(w->figure) && !(figure <= w->figure)) *w = (struct worst){figure, segment, name}; /* a NaN stays */
}

/* Σ of the schedule's factors over a segment; with `reach` each times what AdamW can move by at that step. */
static double factors(const struct ref_run *r, const struct segment *g, bool reach)
{
    double b1 = r->beta1, b2 = r->beta2, q = b1 * b1 / b2, sum = 0;
    for (uint64_t i = g->from; i < g->to; i++) {
        double t = (double)(i + 1), f = ref_factor(r, (int64_t)i);
        sum += !reach ? f : f * (1 - b1) / (1 - t1_pow_f64(b1, t)) * sqrt((1 - t1_pow_f64(b2, t)) / (1 - b2)) *
                            sqrt((1 - t1_pow_f64(q, t)) / (1 - q));
    }
    return sum;
}

/* rms (Muon) or largest magnitude (AdamW) of w. */
static double size_of(const float *w, size_t n, bool rms)
{
    double sum = 0, most = 0;
    for (size_t i = 0; i < n; i++) {
        sum += (double)w[i] * (double)w[i];
        most = fmax(most, fabs((double)w[i]));
    }
    return rms ? sqrt(sum / (double)n) : most;
}
void step_bound(struct audit *a)
{
    const struct ref_run *r = &a->s->r.train;
    struct worst worst = {0, 0, "no tensor"};
    say(a, UNDECIDED, (double)NAN, !a->joined ? "no segments to judge" : a->first.w ?
        "no bound is known for these betas" : "no initial weights to judge by");
    if (!a->joined || !a->first.w || !(r->beta1 * r->beta1 < r->beta2)) return;
    double *size = take((uint64_t)(a->first.t_end - a->first.t), sizeof *size);
    for (uint64_t k = 0; k < a->s->n_segments; k++) {
        const struct segment *g = &a->s->segment[k];
        double plain = factors(r, g, false), reach = factors(r, g, true), rounds = (double)(g->to - g->from) * 0x1p-23;
        for (const struct ref_tensor *t = a->first.t; t < a->first.t_end; t++) {
            ptrdiff_t i = t - a->first.t;
            bool muon = ref_by_muon(r, t);
            double rows = t->rows, cols = t->cols, rate = ref_rate(r, t), moved = g->moved[2 * i + !muon];
            double can = rate * reach; /* ‖Δw‖/√n for Muon: √min(rows, cols)/√n = 1/√max */
            if (muon) can = rate * plain * sqrt(fmax(1, rows / cols)) * MUON_TOP / sqrt(fmax(rows, cols));
            if (k == 0) size[i] = size_of(a->first.w + t->at, t->n, muon);
            can += (rate * plain * ref_weight_decay(r, t) + rounds) * (size[i] + can);
            note(&worst, moved == 0 ? 0 : moved / (SLACK * can), k, t->name);
            size[i] += moved;
        }
    }
    say(a, worst.figure <= 1 ? PASS : FAIL, worst.figure, "%s moved %.0f %% of what %s allows in segment %llu",
        worst.name, 100 * worst.figure, optimizer_names[r->optimizer], N(worst.segment));
}
static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}
void continuity(struct audit *a)
{
    uint64_t n = a->joined ? a->s->n_segments : 0;
    struct worst worst = {0, 0, "no tensor"};
    double *sum = take(n + 1, sizeof *sum);
    for (uint64_t k = 0; k < n; k++) sum[k] = factors(&a->s->r.train, &a->s->segment[k], false);
    for (uint64_t k = 1; k < n; k++) /* at the beginning everything moves fast */
        for (ptrdiff_t i = 0, m = 0; i < a->first.t_end - a->first.t; i++, m = 0) {
            double v[5];
            for (uint64_t j = k >= 2 ? k - 2 : 0; j <= k + 2 && j < n; j++)
                if (j != k) v[m++] = a->s->segment[j].moved[2 * i] / sum[j];
            qsort(v, (size_t)m, sizeof *v, by_size);
            double around = m ? (v[(m - 1) / 2] + v[m / 2]) / 2 : 0;
            double own = a->s->segment[k].moved[2 * i], still = own > STILL ? INFINITY : 0;
            note(&worst, around > 0 ? own / sum[k] / around : still, k, a->first.t[i].name);
        }
    bool even = worst.figure <= MOST_RATIO; /* else a state from elsewhere, or text soon known by heart */
    say(a, n >= 5 && even ? PASS : UNDECIDED, worst.figure, "%s moved %.1f times as fast in segment %llu of %llu as "
        "around it; %s", worst.name, worst.figure, N(worst.segment), N(n),
        even ? "below 5 are too few" : "a replay of that segment tells why");
}
void travel(struct audit *a)
{
    struct worst worst = {0, 0, "no tensor"};
    say(a, UNDECIDED, (double)NAN, "no final weights to judge");
    if (!a->joined || !a->w) return;
    for (const struct ref_tensor *t = a->first.t; t < a->first.t_end; t++) {
        double sum = 0, way = 0;
        for (size_t j = t->at; j < t->at + t->n; j++) {
            double d = (double)a->w[j] - (double)a->first.w[j];
            sum += d * d;
        }
        for (uint64_t k = 0; k < a->s->n_segments; k++) way += a->s->segment[k].moved[2 * (t - a->first.t)];
        note(&worst, sum > 0 ? sqrt(sum / (double)t->n) / (SLACK * way) : 0, 0, t->name);
    }
    say(a, worst.figure <= 1 ? PASS : FAIL, worst.figure, "%s lies %.0f %% as far from its beginning as segments "
        "moved it", worst.name, 100 * worst.figure);
}
void birth(struct audit *a)
{
    struct worst worst = {-INFINITY, 0, "no tensor"}; /* of −z */
    say(a, UNDECIDED, (double)NAN, "no final weights to judge");
    if (!a->joined || !a->w) return;
    for (const struct ref_tensor *t = a->first.t; t < a->first.t_end; t++) {
        double dot = 0, norm = 0;
        for (size_t j = 0; j < t->n && t->std > 0; j++) {
            double w = (double)a->w[t->at + j];
            if (t->start != 0 && j % (size_t)t->cols == 0) continue; /* begins at a constant */
            dot += w * (double)a->first.w[t->at + j];
            norm += w * w;
        }
        if (t->std > 0) note(&worst, norm > 0 ? -dot / (t->std * sqrt(norm)) : 0, 0, t->name);
    }
    say(a, -worst.figure >= LEAST_Z ? PASS : UNDECIDED, -worst.figure, "%s correlates least with its beginning, "
        "z = %.1f; below %g could be chance, above it alone proves nothing", worst.name, -worst.figure, LEAST_Z);
}
