"""Charts as SVG text: one set of axes, points with hover titles, lines, bands, marks and a legend.

    c = Chart("held-out bits per byte", x_name="FLOPs", y_name="bits per byte", x_log=True)
    c.points("lr 0.02", [(1e12, 2.1, "run a: 2.1")], line=True)
    text = c.svg()

The same calls give the same bytes.  x may be words instead of numbers: then every word has a place of its own.  With
`ko`, text -> Korean, those texts stand there twice, as lang="en" and lang="ko": for a page that shows one of them."""

import math
from html import escape

COLOURS = ("#0b62a4", "#d1495b", "#2a9d5c", "#8e5bb5", "#d98324", "#3aa6b9", "#7a5c3e", "#c0508f", "#5f6b76", "#9aa11f")
LEFT, RIGHT, TOP, BOTTOM, LEGEND_LINE = 74, 24, 46, 54, 18


def colour(i):
    return COLOURS[i % len(COLOURS)]


def short(v):
    """A number as people write it: 4 significant digits, powers of ten where they help."""
    if isinstance(v, str) or v is None:
        return v or ""
    if isinstance(v, bool) or v == int(v) and abs(v) < 1e5:
        return str(int(v))
    s = f"{v:.4g}"
    if "e" in s:
        digits, power = s.split("e")
        s = f"{digits}e{int(power)}"
    return s


def nice_ticks(lo, hi, n=6):
    """Round steps of 1, 2, 2.5 or 5 that lie within [lo, hi]."""
    raw = (hi - lo) / n
    unit = 10.0 ** math.floor(math.log10(raw))
    step = next(m * unit for m in (1, 2, 2.5, 5, 10) if m * unit >= raw * 0.999)
    first = math.ceil(lo / step - 1e-9)
    return [round(k * step, 12) for k in range(first, math.floor(hi / step + 1e-9) + 1)]


def log_ticks(lo, hi):
    """Powers of ten; with 2 and 5 between when the range is short."""
    per = (1,) if hi / lo > 3e3 else (1, 2, 5) if hi / lo > 3 else (1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9)
    decades = range(math.floor(math.log10(lo)), math.ceil(math.log10(hi)) + 1)
    return [m * 10.0 ** k for k in decades for m in per if lo * 0.999 <= m * 10.0 ** k <= hi * 1.001]


class Axis:
    """Values to places between two ends of the drawing: linear, logarithmic, or one place a word."""

    def __init__(self, values, log, start, end):
        self.words = None
        if any(isinstance(v, str) for v in values):
            self.words = list(dict.fromkeys(str(v) for v in values))
            lo, hi, log = -0.6, len(self.words) - 0.4, False
        else:
            lo, hi = (min(values), max(values)) if values else (0.0, 1.0)
            log = log and lo > 0
            if log:
                pad = max(1.12, (hi / lo) ** 0.05)
                lo, hi = lo / pad, hi * pad
            else:
                pad = (hi - lo) * 0.06 or abs(hi) * 0.06 or 1.0
                lo, hi = lo - pad, hi + pad
        self.lo, self.hi, self.log, self.start, self.end = lo, hi, log, start, end

    def at(self, v):
        if self.words is not None:
            v = self.words.index(str(v))
        if self.log:
            part = math.log(v / self.lo) / math.log(self.hi / self.lo)
        else:
            part = (v - self.lo) / (self.hi - self.lo)
        return self.start + part * (self.end - self.start)

    def ticks(self):
        if self.words is not None:
            return [(self.at(w), w) for w in self.words]
        at = log_ticks(self.lo, self.hi) if self.log else nice_ticks(self.lo, self.hi)
        return [(self.at(v), short(v)) for v in at]


class Chart:
    def __init__(self, title, x_name, y_name, x_log=False, width=860, height=500, font=12, ko=None):
        """title: "" where the page says it."""
        self.title, self.x_name, self.y_name, self.x_log = title, x_name, y_name, x_log
        self.width, self.height, self.font, self.ko = width, height, font, ko or {}
        self.top = TOP if title else 16
        self.items, self.legend = [], []

    def _add(self, kind, name, data, col, **more):
        if name and name not in (n for n, _, _ in self.legend):
            self.legend.append((name, col, kind))
        self.items.append((kind, data, col, more))

    def points(self, name, points, col=None, line=False, hollow=False):
        """points: (x, y, hover text); line joins the mean of each x from left to right."""
        col = col or colour(len(self.legend))
        if line:
            self._add("join", None, points, col)
        self._add("ring" if hollow else "dot", name, points, col)

    def line(self, name, xy, col, dashed=False):
        self._add("dashes" if dashed else "line", name, xy, col)

    def band(self, name, xlh, col):
        """xlh: (x, low, high) from left to right."""
        self._add("band", name, xlh, col)

    def bars(self, name, xlh, col):
        """An interval at single places: (x, low, high)."""
        self._add("bar", name, xlh, col)

    # ---- drawing ----

    def _text(self, where, text):
        if text not in self.ko:
            return f"<text {where}>{escape(text)}</text>\n"
        return (f'<text lang="en" {where}>{escape(text)}</text>\n'
                f'<text lang="ko" {where}>{escape(self.ko[text])}</text>\n')

    def _spans(self):
        xs, ys = [], []
        for kind, data, _, _ in self.items:
            for p in data:
                xs.append(p[0])
                ys += p[1:3] if kind in ("band", "bar") else p[1:2]
        return xs, ys

    def _draw(self, kind, data, col, x, y):
        place = [(x.at(p[0]), y.at(p[1])) for p in data]
        path = " ".join(f"{a:.1f},{b:.1f}" for a, b in place)
        if kind in ("dot", "ring"):
            fill = col if kind == "dot" else "#fff"
            return "".join(f'<circle cx="{a:.1f}" cy="{b:.1f}" r="4.5" fill="{fill}" stroke="{col}" stroke-width="1.6" '
                           f'fill-opacity="0.85"><title>{escape(p[2])}</title></circle>\n'
                           for (a, b), p in zip(place, data))
        if kind == "join":
            means = {}
            for (a, b), _ in zip(place, data):
                means.setdefault(a, []).append(b)
            path = " ".join(f"{a:.1f},{sum(b) / len(b):.1f}" for a, b in sorted(means.items()))
            return f'<polyline points="{path}" fill="none" stroke="{col}" stroke-width="1.2" opacity="0.55"/>\n'
        if kind == "band":
            back = " ".join(f"{x.at(p[0]):.1f},{y.at(p[2]):.1f}" for p in reversed(data))
            return f'<polygon points="{path} {back}" fill="{col}" opacity="0.16"/>\n'
        if kind == "bar":
            out = ""
            for p in data:
                a, lo, hi = x.at(p[0]), y.at(p[1]), y.at(p[2])
                out += (f'<path d="M{a:.1f} {lo:.1f}V{hi:.1f}M{a - 5:.1f} {lo:.1f}h10M{a - 5:.1f} {hi:.1f}h10" '
                        f'stroke="{col}" stroke-width="1.6" fill="none"/>\n')
            return out
        dash = ' stroke-dasharray="6 4"' if kind == "dashes" else ""
        return f'<polyline points="{path}" fill="none" stroke="{col}" stroke-width="1.8"{dash}/>\n'

    def _axes(self, x, y):
        out, base, top, letter = "", self.height - BOTTOM, self.top, 7.0 * self.font / 12
        last = -1e9
        for at, text in x.ticks():
            out += f'<path d="M{at:.1f} {top}V{base}" stroke="#e6e6e6"/>'
            if at - last > letter * len(text) + 4:
                out += self._text(f'x="{at:.1f}" y="{base + 18}" text-anchor="middle"', text)
                last = at
        for at, text in y.ticks():
            out += (f'<path d="M{LEFT} {at:.1f}H{self.width - RIGHT}" stroke="#e6e6e6"/>'
                    + self._text(f'x="{LEFT - 8}" y="{at + 4:.1f}" text-anchor="end"', text))
        out += (f'<rect x="{LEFT}" y="{top}" width="{self.width - LEFT - RIGHT}" height="{base - top}" fill="none" '
                f'stroke="#888"/>\n')
        out += self._text(f'x="{(LEFT + self.width - RIGHT) / 2}" y="{self.height - 14}" text-anchor="middle"',
                          self.x_name)
        return out + self._text(f'transform="translate(18 {(top + base) / 2}) rotate(-90)" text-anchor="middle"',
                                self.y_name)

    def _legend(self):
        """Below the drawing, as many entries a line as fit; returns its text and height."""
        out, at, row = "", LEFT, 0
        for name, col, kind in self.legend:
            w = 28 + round(sum(12 if ord(c) > 0x1100 else 7 for c in name) * self.font / 12)
            if at > LEFT and at + w > self.width - RIGHT:
                at, row = LEFT, row + 1
            b = self.height + row * LEGEND_LINE + 4
            if kind in ("dot", "ring"):
                out += (f'<circle cx="{at + 6}" cy="{b}" r="4.5" fill="{col if kind == "dot" else "#fff"}" '
                        f'stroke="{col}" stroke-width="1.6"/>')
            elif kind == "band":
                out += f'<rect x="{at}" y="{b - 5}" width="14" height="10" fill="{col}" opacity="0.2"/>'
            else:
                dash = ' stroke-dasharray="4 3"' if kind == "dashes" else ""
                out += f'<path d="M{at} {b}h14" stroke="{col}" stroke-width="2"{dash}/>'
            out += self._text(f'x="{at + 19}" y="{b + 4}"', name)
            at += w
        return out, (row + 1) * LEGEND_LINE if self.legend else 0

    def svg(self):
        xs, ys = self._spans()
        x = Axis(xs, self.x_log, LEFT, self.width - RIGHT)
        y = Axis(ys, False, self.height - BOTTOM, self.top)
        legend, more = self._legend()
        height = self.height + more
        body = "".join(self._draw(kind, data, col, x, y) for kind, data, col, _ in self.items)
        head = f"<title>{escape(self.title)}</title>\n" if self.title else ""
        head += '<rect width="100%" height="100%" fill="#fff"/>\n'
        if self.title:
            head += self._text(f'x="{LEFT}" y="26" font-size="15" font-weight="bold"', self.title)
        return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{self.width}" height="{height}" '
                f'viewBox="0 0 {self.width} {height}" font-family="sans-serif" font-size="{self.font}">\n'
                f"{head}{self._axes(x, y)}{body}{legend}</svg>\n")
