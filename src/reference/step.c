/* A step: the gradient of the batch by the tree of workers (NUMERICS §8), loss, norm, update. */
#include "reference/reference_int.h"

enum { LEVELS = 17 }; /* of the tree over REF_MAX_WORKERS */

struct ref_trainer {
    struct ref_state *s;
    struct network *net;
    float *grad[LEVELS];     /* one a level of the tree */
    float *embed;            /* a tied table's gradient as embedding */
    float *loss, *space;     /* (batch_tokens); the update's */
    const int *tok, *pos, *target;
    float scale;             /* of each target's loss */
};

struct ref_trainer *ref_trainer_new(struct ref_state *s, void *(*take)(uint64_t n, size_t size))
{
    const struct ref_run *r = s->run;
    struct ref_trainer *t = take(1, sizeof *t);
    t->s = s;
    t->net = network_new(s, (int)r->seq, take);
    for (int64_t w = 1, i = 0; w <= r->workers; w *= 2)
        t->grad[i++] = take(s->total, sizeof(float));
    t->embed = take(s->t->n, sizeof(float));
    t->loss = take((uint64_t)r->batch_tokens, sizeof(float));
    t->space = take(update_space(s), sizeof(float));
    return t;
}

/* The gradient of workers [w, w + n) in grad[level]: each one's rows in order, then sums by a balanced tree. */
static void gradient(struct ref_trainer *t, int64_t w, int64_t n, int level)
{
    const struct ref_run *r = t->s->run;
    float *g = t->grad[level], *embed = r->tied ? t->embed : g;
    int64_t share = r->batch_tokens / r->workers;
    if (n > 1) {
        gradient(t, w, n / 2, level);
        gradient(t, w + n / 2, n / 2, level + 1);
        T1.add(g, t->grad[level + 1], t->s->total);
        return;
    }
    memset(g, 0, t->s->total * sizeof *g);
    memset(embed, 0, t->s->t->n * sizeof *embed);
    for (int64_t at = w * share; at < (w + 1) * share; at += r->seq)
        network_step(t->net, t->s->w, g, embed, t->tok + at, t->pos + at, t->target + at, t->loss + at, t->scale);
    if (r->tied)
        T1.add(g, embed, t->s->t->n);
}

bool ref_step(struct ref_trainer *t, const int *tok, const int *pos, const int *target, double *loss, double *norm)
{
    const struct ref_run *r = t->s->run;
    int64_t targets = 0;
    double sum = 0;
    for (int64_t i = 0; i < r->batch_tokens; i++)
        targets += target[i] >= 0;
    targets = targets > 0 ? targets : 1;
    t->tok = tok, t->pos = pos, t->target = target;
    t->scale = (float)(1.0 / (double)targets);
    gradient(t, 0, r->workers, 0);
    *loss = ref_sum(t->loss, (size_t)r->batch_tokens, false) / (double)targets;
    for (const struct ref_tensor *x = t->s->t; x < t->s->t_end; x++)
        sum += ref_sum(t->grad[0] + x->at, x->n, true);
    *norm = sqrt(sum);
    if (!isfinite(*loss) || !isfinite(*norm))
        return false;
    update(t->s, t->grad[0], *norm, t->space);
    return true;
}
