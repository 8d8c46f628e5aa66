#include "ui/chart.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* Units of the drawing; a label stands over its bar, so that long names fit a narrow screen. */
enum { WIDTH = 520, PLOT = 420, ROW = 42, BAR_TOP = 20, BAR = 16, AXIS = 24, TICKS = 5 };

double chart_step(double max, int most)
{
    double ten = 1;
    assert(max > 0 && most >= 1);
    while (ten * most < max)
        ten *= 10;
    while (ten / 10 * most >= max)
        ten /= 10;
    /* ten is enough and a tenth of it is not; between them stand two and five tenths. */
    for (int part = 2; part <= 5; part += 3)
        if (ten / 10 * part * most >= max)
            return ten / 10 * part;
    return ten;
}

/* What is not drawn cannot be hidden in one language: both stand there, as in the page's own title. */
static void both(struct html *h, struct two t)
{
    html_text(h, t.en);
    if (strcmp(t.en, t.ko) != 0) {
        html_add(h, " · ");
        html_text(h, t.ko);
    }
}

/* Grid lines and numbers; the axis ends where the longest bar does, the unit at the right edge. */
static void axis(struct html *h, double max, int bottom, struct two unit)
{
    double step = chart_step(max, TICKS);
    for (int i = 0; step * i <= max; i++) {
        double x = PLOT * step * i / max;
        html_addf(h, "<line class=\"%s\" x1=\"%.1f\" y1=\"2\" x2=\"%.1f\" y2=\"%d\"/><text class=\"tick\" x=\"%.1f\" "
                  "y=\"%d\" text-anchor=\"%s\">%.10g</text>\n", i ? "grid" : "base", x, x, bottom, x, bottom + 15,
                  i ? "middle" : "start", step * i);
    }
    char tag[80];
    snprintf(tag, sizeof tag, "text class=\"tick\" x=\"%d\" y=\"%d\" text-anchor=\"end\"", WIDTH, bottom + 15);
    html_two(h, tag, unit);
    html_add(h, "\n");
}

static void row(struct html *h, const struct chart_bar *r, double max, int top)
{
    const char *ours = r->ours ? " ours" : "";
    int y = top + BAR_TOP, mid = y + BAR / 2;
    char tag[80];
    snprintf(tag, sizeof tag, "text class=\"label%s\" x=\"4\" y=\"%d\"", ours, y - 5);
    html_two(h, tag, r->label);
    html_addf(h, "<rect class=\"bar%s\" x=\"0\" y=\"%d\" width=\"%.1f\" height=\"%d\"/>", ours, y,
              PLOT * r->value / max, BAR);
    if (r->limit > 0) {
        double x = PLOT * r->limit / max;
        html_addf(h, "<line class=\"limit\" x1=\"%.1f\" y1=\"%d\" x2=\"%.1f\" y2=\"%d\"/>", x, y - 3, x, y + BAR + 3);
    }
    if (r->hi > r->lo) {
        double x0 = PLOT * r->lo / max, x1 = PLOT * r->hi / max;
        html_addf(h, "<path class=\"whisker\" d=\"M%.1f %dV%dM%.1f %dH%.1fM%.1f %dV%d\"/>", x0, mid - 4, mid + 4,
                  x0, mid, x1, x1, mid - 4, mid + 4);
    }
    html_addf(h, "<text class=\"figure%s\" x=\"%d\" y=\"%d\" text-anchor=\"end\">", ours, WIDTH, mid + 5);
    html_text(h, r->figure);
    html_add(h, "</text>\n");
}

void chart_bars(struct html *h, const struct chart *c)
{
    double max = 0;
    for (int i = 0; i < c->n; i++) {
        max = c->bar[i].hi > max ? c->bar[i].hi : max;
        max = c->bar[i].limit > max ? c->bar[i].limit : max;
    }
    max = max > 0 ? max : 1;
    int bottom = ROW * c->n + 4;
    html_addf(h, "<svg role=\"img\" aria-labelledby=\"%s-t %s-d\" viewBox=\"0 0 %d %d\">\n<title id=\"%s-t\">",
              c->id, c->id, WIDTH, bottom + AXIS, c->id);
    both(h, c->title);
    html_addf(h, "</title><desc id=\"%s-d\">", c->id);
    html_text(h, c->desc);
    html_add(h, "</desc>\n");
    axis(h, max, bottom, c->unit);
    for (int i = 0; i < c->n; i++)
        row(h, &c->bar[i], max, ROW * i);
    html_add(h, "</svg>\n");
}

/* ---- curves ---- */

enum { CURVE_POINTS = 400, CURVE_LEFT = 40, CURVE_BOTTOM = 260, CURVE_TOP = 22 };

struct frame {
    double x1, y0, y1;   /* x from 0 */
};

static double at_x(const struct frame *f, double x) { return CURVE_LEFT + (WIDTH - CURVE_LEFT) * x / f->x1; }

static double at_y(const struct frame *f, double y)
{
    return CURVE_BOTTOM - (CURVE_BOTTOM - CURVE_TOP) * (y - f->y0) / (f->y1 - f->y0);
}

/* Point i of those that are drawn: the mean of its part.  False: no number to draw; a ledger may hold any. */
static bool point(const struct chart_curve *c, size_t points, size_t i, double *x, double *y)
{
    size_t lo = i * c->n / points, hi = (i + 1) * c->n / points;
    *x = *y = 0;
    for (size_t j = lo; j < hi; j++) {
        *x += c->x[j] / (double)(hi - lo);
        *y += c->y[j] / (double)(hi - lo);
    }
    return fabs(*y) < 1e100;
}

static void curve_axes(struct html *h, const struct chart_curve *c, const struct frame *f)
{
    double sx = chart_step(f->x1, TICKS), sy = chart_step(f->y1 - f->y0, TICKS);
    for (int i = 0; sx * i <= f->x1; i++)
        html_addf(h, "<text class=\"tick\" x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%.10g</text>\n",
                  at_x(f, sx * i), CURVE_BOTTOM + 16, sx * i);
    for (int i = 0; f->y0 + i * sy <= f->y1 + sy * 1e-6 && i < 4 * TICKS; i++) {   /* none above the drawing */
        double y = f->y0 + i * sy;
        html_addf(h, "<line class=\"grid\" x1=\"%d\" y1=\"%.1f\" x2=\"%d\" y2=\"%.1f\"/>"
                  "<text class=\"tick\" x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%.4g</text>\n", CURVE_LEFT, at_y(f, y),
                  WIDTH, at_y(f, y), CURVE_LEFT - 5, at_y(f, y) + 4, y);
    }
    char tag[80];
    snprintf(tag, sizeof tag, "text class=\"tick\" x=\"%d\" y=\"%d\" text-anchor=\"end\"", WIDTH, CURVE_BOTTOM + 32);
    html_two(h, tag, c->x_unit);
    snprintf(tag, sizeof tag, "text class=\"tick\" x=\"%d\" y=\"%d\"", CURVE_LEFT - 30, CURVE_TOP - 11);
    html_two(h, tag, c->y_unit);
    html_add(h, "\n");
}

static struct frame frame_of(const struct chart_curve *c, size_t points)
{
    double lo = INFINITY, hi = -INFINITY;
    for (size_t i = 0; i < points; i++) {
        double x, y;
        if (!point(c, points, i, &x, &y))
            continue;
        lo = fmin(lo, y);
        hi = fmax(hi, y);
    }
    if (!(lo <= hi))
        lo = hi = 0;
    /* A range that is nothing beside its values has no steps. */
    double least = fmax(fabs(lo), fabs(hi)) * 1e-9;
    if (!(hi - lo > least))
        hi = lo + fmax(1, least);
    double step = chart_step(hi - lo, TICKS);
    return (struct frame){c->x[c->n - 1], floor(lo / step) * step, hi};
}

void chart_line(struct html *h, const struct chart_curve *c)
{
    size_t points = c->n < CURVE_POINTS ? c->n : CURVE_POINTS;
    assert(c->n >= 2 && c->x[c->n - 1] > 0);
    struct frame f = frame_of(c, points);
    html_addf(h, "<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-labelledby=\"%s-t %s-d\">\n<title id=\"%s-t\">", WIDTH,
              CURVE_BOTTOM + 36, c->id, c->id, c->id);
    both(h, c->title);
    html_addf(h, "</title><desc id=\"%s-d\">", c->id);
    both(h, c->desc);
    html_add(h, "</desc>\n");
    curve_axes(h, c, &f);
    html_add(h, "<path class=\"curve\" d=\"");
    char move = 'M';
    for (size_t i = 0; i < points; i++) {
        double x, y;
        if (!point(c, points, i, &x, &y))
            continue;
        html_addf(h, "%c%.1f %.1f", move, at_x(&f, x), at_y(&f, y));
        move = 'L';
    }
    html_add(h, "\"/></svg>\n");
}
