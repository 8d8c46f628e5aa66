/* Charts as inline SVG; colours come from the style sheet of ui/html. */
#ifndef DK_UI_CHART_H
#define DK_UI_CHART_H

#include <stdbool.h>

#include "ui/html.h"

struct chart_bar {
    struct two label;
    const char *figure;   /* printed beside the bar */
    double value, lo, hi; /* 0 <= lo <= value <= hi; whiskers from lo to hi where they differ */
    double limit;         /* a mark across the bar; 0: none */
    bool ours;
};

struct chart {
    const char *id;           /* unique on the page, letters and digits */
    struct two title;         /* with desc what a reader who cannot see it is told, in both languages at once */
    const char *desc;
    struct two unit;
    const struct chart_bar *bar;
    int n;
};

/* Horizontal bars from zero over an axis of round numbers: <svg role="img"> with title and desc. */
void chart_bars(struct html *h, const struct chart *c);

struct chart_curve {
    const char *id;                  /* as above */
    struct two title, desc, x_unit, y_unit;
    const double *x, *y;             /* x ascending, from 0 */
    size_t n;                        /* at least 2; drawn with at most some hundred points, each the mean of its part */
};

/* A line over an axis of round numbers, y from the last of these below the smallest to the largest. */
void chart_line(struct html *h, const struct chart_curve *c);

/* The distance of an axis' ticks: 1, 2 or 5 times a power of ten, the smallest that reaches `max` in at most
 * `most` ticks after 0; max > 0, most >= 1. */
double chart_step(double max, int most);

#endif
