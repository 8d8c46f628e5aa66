/* Learning-rate and momentum schedules: functions of the step alone, in binary64 with the profile's own
 * elementary functions, so that they are part of the committed recipe. */
#ifndef DK_TRAIN_SCHEDULE_H
#define DK_TRAIN_SCHEDULE_H

#include <stdint.h>

enum schedule_kind {
    SCHEDULE_WSD,    /* warm-up, constant, linear decay (Hu et al. 2024, "MiniCPM") */
    SCHEDULE_COSINE  /* warm-up, half cosine (Loshchilov and Hutter 2017) */
};

struct schedule {
    enum schedule_kind kind;
    int64_t steps;        /* of the whole run */
    double warmup;        /* fraction of steps, linear from 1/(n+1) */
    double decay;         /* WSD: fraction of steps at the end */
    double floor;         /* final factor */
};

/* The factor that multiplies every learning rate at step in [0, steps). */
double schedule_lr(const struct schedule *s, int64_t step);
/* Muon momentum: linear from 0.85 to `top` over the first 200 steps (or a quarter of a shorter run). */
double schedule_momentum(const struct schedule *s, int64_t step, double top);

const char *schedule_name(enum schedule_kind k);
int schedule_parse(enum schedule_kind *k, const char *name); /* 0 or -1 */

#endif
