#include "train/exposure.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"

struct finder {
    struct exposure *x;
    const struct run_config *c;
    const struct exposure_span *s;
    int64_t steps;
    size_t cap;
};

static int add(struct finder *f, uint64_t step, struct err *e)
{
    struct exposure *x = f->x;
    if (step >= (uint64_t)f->steps)
        return 0;
    if (x->n == f->cap) {
        size_t cap = f->cap ? 2 * f->cap : 64;
        int64_t *p = mem_resize(x->step, cap, sizeof *p);
        if (!p)
            return err_set(e, ERR_NOMEM, "no memory for %zu steps", cap);
        x->step = p;
        f->cap = cap;
    }
    x->step[x->n++] = (int64_t)step + 1;
    return 0;
}

/* Does row `i` of `seq` tokens predict one of the document's?  Its first one is never predicted. */
static bool predicts(const struct exposure_span *s, uint64_t i, uint64_t seq)
{
    uint64_t first = i * seq + 1, last = first + seq - 1;   /* the tokens it predicts */
    return first < s->to && last > s->from;
}

/* The steps that train on row `row` as training sample `sample`: the inverse of run_row_at. */
static int add_sample(struct finder *f, uint64_t sample, uint64_t row, struct err *e)
{
    const struct run_config *c = f->c;
    uint64_t batch = (uint64_t)run_batch_rows(c), lap = (uint64_t)c->start_steps * batch;
    uint64_t pieces = (uint64_t)(c->seq / c->seq_start);
    int rc = 0;
    if (sample >= lap)
        return add(f, sample / batch, e);
    for (uint64_t p = 0; p < pieces && rc == 0; p++)
        if (predicts(f->s, row * pieces + p, (uint64_t)c->seq_start))
            rc = add(f, (p * lap + sample) / (batch * pieces), e);
    return rc;
}

static int by_number(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void sort(struct exposure *x)
{
    size_t n = 0;
    if (x->n > 0)
        qsort(x->step, x->n, sizeof *x->step, by_number);
    for (size_t i = 0; i < x->n; i++)
        if (n == 0 || x->step[i] != x->step[n - 1])
            x->step[n++] = x->step[i];
    x->n = n;
}

int exposure_find(struct exposure *x, const struct run_config *c, const struct exposure_span *s, int64_t steps,
                  struct err *e)
{
    struct finder f = {.x = x, .c = c, .s = s, .steps = steps};
    uint64_t seq = (uint64_t)c->seq, samples = (uint64_t)steps * (uint64_t)run_batch_rows(c);
    int rc = 0;
    *x = (struct exposure){0};
    assert(s->from < s->to && s->rows > 0);
    for (uint64_t row = s->from / seq; row < s->rows && row * seq < s->to && rc == 0; row++) {
        if (!predicts(s, row, seq))
            continue;
        x->rows++;
        for (uint64_t epoch = 0; epoch * s->rows < samples && rc == 0; epoch++) {
            uint64_t at = rng_permute_inverse(c->seed, (uint32_t)epoch, s->rows, row);
            rc = add_sample(&f, epoch * s->rows + at, row, e);
        }
    }
    sort(x);
    return rc;
}

void exposure_release(struct exposure *x)
{
    mem_free(x->step);
    *x = (struct exposure){0};
}
