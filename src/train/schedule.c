#include "train/schedule.h"

#include <string.h>

#include "kernels/kernels.h"

static const char *const names[] = {"wsd", "cosine"};

const char *schedule_name(enum schedule_kind k) { return names[k]; }

int schedule_parse(enum schedule_kind *k, const char *name)
{
    for (int i = 0; i < 2; i++)
        if (strcmp(name, names[i]) == 0) {
            *k = (enum schedule_kind)i;
            return 0;
        }
    return -1;
}

/* Whole steps of a fraction, rounded down. */
static int64_t part(const struct schedule *s, double fraction)
{
    return (int64_t)((double)s->steps * fraction);
}

double schedule_lr(const struct schedule *s, int64_t step)
{
    int64_t warm = part(s, s->warmup);
    if (step < warm)
        return (double)(step + 1) / (double)(warm + 1);
    if (s->kind == SCHEDULE_COSINE) {
        const double pi = 0x1.921fb54442d18p+1;
        double x = (double)(step - warm) / (double)(s->steps - warm);
        return s->floor + (1 - s->floor) * 0.5 * (1 + t1_cos_f64(pi * x));
    }
    int64_t decay = part(s, s->decay), start = s->steps - decay;
    if (step < start)
        return 1;
    return 1 + (s->floor - 1) * ((double)(step - start + 1) / (double)(decay + 1));
}

double schedule_momentum(const struct schedule *s, int64_t step, double top)
{
    int64_t ramp = s->steps / 4 < 200 ? s->steps / 4 : 200;
    if (step >= ramp)
        return top;
    return 0.85 + (top - 0.85) * ((double)step / (double)ramp);
}
