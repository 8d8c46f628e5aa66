#include "lineage/activation.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "lineage/chance.h"
#include "nn/gemm.h"

static const double CUT = 4;   /* standard deviations: a rare token must not stand for all */

int activation_places(int *pa, int *pb, const struct trace *a, const struct trace *b)
{
    int n = 0;
    for (int i = 0, k = 0; i < a->n && k < b->n;) {
        if (a->end[i] == b->end[k]) {
            pa[n] = i;
            pb[n++] = k;
        }
        int forth = a->end[i] <= b->end[k], back = b->end[k] <= a->end[i];
        i += forth;
        k += back;
    }
    return n;
}

/* ---- neurons ---- */

/* A model's neurons at the places: rows of mean 0 and length 1, gates first. */
struct side {
    const struct trace *t;
    const int *place;
    int n;
    float *v;    /* (n_layer, 2, n_neuron, n) */
};

static float *part_of(const struct side *s, int layer, int part)
{
    return s->v + ((size_t)layer * 2 + (size_t)part) * (size_t)s->t->n_neuron * (size_t)s->n;
}

static void centre(float *v, int n)
{
    double mean = 0, square = 0;
    for (int i = 0; i < n; i++)
        mean += (double)v[i];
    mean /= n;
    for (int i = 0; i < n; i++) {
        double d = (double)v[i] - mean;
        square += d * d;
        v[i] = (float)d;
    }
    double scale = square > 0 ? 1 / sqrt(square) : 0;
    for (int i = 0; i < n; i++)
        v[i] = (float)((double)v[i] * scale);
}

static void level(float *v, int n)
{
    float most = (float)(CUT / sqrt((double)n));
    centre(v, n);
    for (int i = 0; i < n; i++)
        v[i] = v[i] > most ? most : v[i] < -most ? -most : v[i];
    centre(v, n);
}

static int side_new(struct side *s, const struct trace *t, const int *place, int n, struct err *e)
{
    *s = (struct side){.t = t, .place = place, .n = n};
    s->v = mem_new((size_t)t->n_layer * 2 * (size_t)t->n_neuron, (size_t)n * sizeof *s->v);
    if (!s->v)
        return err_set(e, ERR_NOMEM, "no memory for activations at %d places", n);
    for (int l = 0; l < t->n_layer; l++)
        for (int part = 0; part < 2; part++)
            for (int u = 0; u < t->n_neuron; u++) {
                const bf16 *from = trace_neuron(t, part ? t->up : t->gate, l, u);
                float *to = part_of(s, l, part) + (size_t)u * (size_t)n;
                for (int i = 0; i < n; i++)
                    to[i] = bf16_expand(from[place[i]]);
                level(to, n);
            }
    return 0;
}

/* One question: every second neuron of the asking model's layer, from `half` on, to one layer of the other. */
struct question {
    const struct side *from, *to;
    int layer, other, half;
    float *cos;               /* (asked, n_neuron of `to`) */
};

static int asked(const struct question *q)
{
    int n = q->from->t->n_neuron < ACTIVATION_ASKED ? q->from->t->n_neuron : ACTIVATION_ASKED;
    return (n - q->half + 1) / 2;
}

/* answer[u] = the neuron that correlates most, −1 − part where none does. */
static void answers(int *answer, const struct question *q, const struct nn *x, int part)
{
    int m = asked(q), other = q->to->t->n_neuron, n = q->from->n;
    struct mat a = mat_f32(part_of(q->from, q->layer, part) + (ptrdiff_t)q->half * n, m, n);
    a.stride = 2 * (ptrdiff_t)n;
    gemm(x, &(struct gemm_args){.c = mat_f32(q->cos, m, other), .a = a,
                                .b = mat_f32(part_of(q->to, q->other, part), other, n), .b_trans = true});
    for (int u = 0; u < m; u++) {
        const float *c = q->cos + (size_t)u * (size_t)other;
        float best = 0;
        answer[u] = -1 - part;
        for (int i = 0; i < other; i++) {
            float v = part == 0 ? c[i] : fabsf(c[i]);
            if (v > best) {
                best = v;
                answer[u] = i;
            }
        }
    }
}

static int agreements(const int *by_gate, const int *by_up, const int *order, int n)
{
    int agree = 0;
    for (int u = 0; u < n; u++)
        agree += by_gate[u] == by_up[order ? order[u] : u];
    return agree;
}

/* The layer of the other model that most neurons of the first half agree on; the first of equal ones. */
static int search(struct question *q, const struct nn *x, int *found)
{
    int by_gate[ACTIVATION_ASKED], by_up[ACTIVATION_ASKED], best = 0;
    *found = -1;
    q->half = 0;
    for (q->other = 0; q->other < q->to->t->n_layer; q->other++) {
        answers(by_gate, q, x, 0);
        answers(by_up, q, x, 1);
        int agree = agreements(by_gate, by_up, NULL, asked(q));
        if (agree > *found) {
            *found = agree;
            best = q->other;
        }
    }
    return best;
}

struct tested {
    int layer, other, found, n, agree, drawn_agree;
};

static void test(struct tested *t, struct question *q, const struct nn *x, uint64_t seed)
{
    int by_gate[ACTIVATION_ASKED], by_up[ACTIVATION_ASKED], order[ACTIVATION_ASKED];
    t->other = q->other = search(q, x, &t->found);
    q->half = 1;
    t->n = asked(q);
    answers(by_gate, q, x, 0);
    answers(by_up, q, x, 1);
    t->agree = agreements(by_gate, by_up, NULL, t->n);
    for (int d = 0; d < ACTIVATION_DRAWS; d++) {
        chance_permutation(order, t->n, seed, CHANCE_ANSWERS, (uint64_t)d);
        t->drawn_agree += agreements(by_gate, by_up, order, t->n);
    }
}

static int by_found(const void *a, const void *b)
{
    const struct tested *x = a, *y = b;
    return x->found != y->found ? y->found - x->found : x->layer - y->layer;
}

static void sum_up(struct activations *r, struct tested *t, int n, bool a_asks)
{
    for (int i = 0; i < n; i++)
        r->m[i] = (struct activation_match){.a = a_asks ? t[i].layer : t[i].other,
                                            .b = a_asks ? t[i].other : t[i].layer, .found = t[i].found,
                                            .tested = t[i].n, .agree = t[i].agree};
    r->n = n;
    qsort(t, (size_t)n, sizeof *t, by_found);
    for (int i = 0; i < (n + 1) / 2; i++) {
        r->count.n += t[i].n;
        r->count.agree += t[i].agree;
        r->count.drawn += ACTIVATION_DRAWS * t[i].n;
        r->count.drawn_agree += t[i].drawn_agree;
    }
    r->effect = (double)r->count.agree / r->count.n;
}

static int match_neurons(struct activations *r, const struct side *from, const struct side *to, bool a_asks,
                         const struct nn *x, uint64_t seed, struct err *e)
{
    struct tested t[TRACE_MAX_LAYERS];
    struct question q = {.from = from, .to = to};
    q.cos = mem_new(ACTIVATION_ASKED / 2, (size_t)to->t->n_neuron * sizeof *q.cos);
    if (!q.cos)
        return err_set(e, ERR_NOMEM, "no memory for correlations");
    for (q.layer = 0; q.layer < from->t->n_layer; q.layer++) {
        t[q.layer] = (struct tested){.layer = q.layer};
        test(&t[q.layer], &q, x, seed + (uint64_t)q.layer);
    }
    sum_up(r, t, from->t->n_layer, a_asks);
    mem_free(q.cos);
    return 0;
}

/* ---- the residual stream ---- */

static double hsic(const float *k, const float *l, int n)
{
    double trace = 0, all_k = 0, all_l = 0, both = 0;
    for (int i = 0; i < n; i++) {
        double row_k = 0, row_l = 0;
        for (int j = 0; j < n; j++) {
            if (j == i)
                continue;
            double a = (double)k[(size_t)i * (size_t)n + (size_t)j], b = (double)l[(size_t)i * (size_t)n + (size_t)j];
            trace += a * b;
            row_k += a;
            row_l += b;
        }
        all_k += row_k;
        all_l += row_l;
        both += row_k * row_l;
    }
    double m = n;
    return (trace + all_k * all_l / ((m - 1) * (m - 2)) - 2 / (m - 2) * both) / (m * (m - 3));
}

double activation_cka(const float *k, const float *l, int n)
{
    double kk = hsic(k, k, n), ll = hsic(l, l, n);
    return kk > 0 && ll > 0 ? hsic(k, l, n) / sqrt(kk * ll) : NAN;
}

/* gram at every second place from `half` on: (h, h), h places. */
static void gram_of(float *out, const struct side *s, int layer, int half, int h)
{
    const float *g = s->t->gram + (size_t)layer * (size_t)s->t->n * (size_t)s->t->n;
    for (int i = 0; i < h; i++)
        for (int k = 0; k < h; k++)
            out[(size_t)i * (size_t)h + (size_t)k] =
                g[(size_t)s->place[2 * i + half] * (size_t)s->t->n + (size_t)s->place[2 * k + half]];
}

/* The layer of `to` that is most alike in the first half; its likeness in the second. */
static double stream_of(const struct side *from, const struct side *to, int layer, float *k, float *l)
{
    int h = from->n / 2, best = 0;
    double most = -2;
    gram_of(k, from, layer, 0, h);
    for (int o = 0; o < to->t->n_layer; o++) {
        gram_of(l, to, o, 0, h);
        double r = activation_cka(k, l, h);
        if (r > most) {
            most = r;
            best = o;
        }
    }
    gram_of(k, from, layer, 1, h);
    gram_of(l, to, best, 1, h);
    return activation_cka(k, l, h);
}

static int match_streams(struct activations *r, const struct side *from, const struct side *to, struct err *e)
{
    size_t h = (size_t)(from->n / 2);
    float *k = mem_new(h * h, 2 * sizeof *k);
    if (!k)
        return err_set(e, ERR_NOMEM, "no memory for the streams at %d places", from->n);
    double sum = 0;
    for (int l = 0; l < from->t->n_layer; l++)
        sum += stream_of(from, to, l, k, k + h * h);
    r->cka = sum / from->t->n_layer;
    mem_free(k);
    return 0;
}

int activations_compare(struct activations *r, const struct trace *a, const struct trace *b, const struct nn *x,
                        uint64_t seed, struct err *e)
{
    int pa[TRACE_MAX_TOKENS], pb[TRACE_MAX_TOKENS], rc;
    struct side sa = {0}, sb = {0};
    *r = (struct activations){.places = activation_places(pa, pb, a, b), .cka = NAN};
    if (r->places < ACTIVATION_LEAST_PLACES || a->n_neuron < 16 || b->n_neuron < 16)
        return 0;
    rc = side_new(&sa, a, pa, r->places, e);
    if (rc == 0)
        rc = side_new(&sb, b, pb, r->places, e);
    bool a_asks = a->n_layer < b->n_layer;
    if (rc == 0)
        rc = match_neurons(r, a_asks ? &sa : &sb, a_asks ? &sb : &sa, a_asks, x, seed, e);
    if (rc == 0)
        rc = match_streams(r, a_asks ? &sa : &sb, a_asks ? &sb : &sa, e);
    mem_free(sa.v);
    mem_free(sb.v);
    return rc;
}
