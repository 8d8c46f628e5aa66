"""Scaling laws fitted to finished runs: loss = E + Σ exp(a_k - p_k · x_k), and one that joins the terms.

Forms: x = (ln N, ln D) is E + A/N^alpha + B/D^beta, x = (ln C) is E + K/C^gamma, x = (ln (C + C0)) is the same for
runs so short that it would have them worse than they begin: C0 is what the start is worth.  joint is
E + (A/N^alpha + B/D)^beta, Kaplan et al. 2020 (arXiv 2001.08361, eq. 1.5; its alpha_N is alpha · beta) with a floor E:
more text helps a small model less.  As in Hoffmann et al. 2022 (arXiv 2203.15556, approach 3) the fit minimises the
sum of Huber losses (delta 0.001) of ln(predicted) - ln(loss).

Given the exponents (and E in the joint form) the law is linear in the rest: a grid of them, each with its least-squares
factors >= 0, gives the starting points; the best of them are refined by damped Gauss-Newton steps on Huber's weights
(Levenberg-Marquardt over all constants at once), and the best result is the fit.  C0 is searched around that.  No
random numbers: same runs, same constants."""

import math
import random

DELTA = 1e-3
LOW, HIGH = 0.02, 2.0        # of an exponent
FLOOR = -14.0                # ln of a constant that may as well be zero
FORMS = {"nd": ("N", "D"), "joint": ("N", "D"), "compute": ("C",), "shifted": ("C",)}
NAMES = {"nd": ("E", "A", "alpha", "B", "beta"), "joint": ("E", "A", "alpha", "B", "beta"),
         "compute": ("E", "K", "gamma"), "shifted": ("E", "K", "gamma", "C0")}


def inputs(form, run, offset=0.0):
    """run: a dict with N, D, C and loss."""
    return tuple(math.log(run[k] + offset) for k in FORMS[form])


# ---- the law: q = (ln E, a_1, p_1, a_2, p_2 ...), with a_k at the runs' mean of x_k; joint: p_2 is beta ----

def parts(form, q, x):
    """The loss and its slopes along q."""
    e = math.exp(q[0])
    if form == "joint":
        n, d = math.exp(q[1] - q[2] * x[0]), math.exp(q[3] - x[1])
        term = (n + d) ** q[4]
        one = q[4] * term / (n + d)
        return e + term, [e, one * n, -x[0] * one * n, one * d, term * math.log(n + d)]
    f, slopes = e, [e]
    for k, v in enumerate(x):
        term = math.exp(q[2 * k + 1] - q[2 * k + 2] * v)
        f += term
        slopes += [term, -v * term]
    return f, slopes


def value(form, q, x):
    return parts(form, q, x)[0]


def huber(r):
    a = abs(r)
    return 0.5 * r * r if a <= DELTA else DELTA * (a - 0.5 * DELTA)


def cost(form, q, xs, logs):
    return sum(huber(math.log(value(form, q, x)) - y) for x, y in zip(xs, logs))


def solve(m, v):
    """m · s = v by elimination with pivoting; None when singular."""
    n = len(v)
    a = [row[:] + [v[i]] for i, row in enumerate(m)]
    for c in range(n):
        p = max(range(c, n), key=lambda i: abs(a[i][c]))
        if abs(a[p][c]) < 1e-300:
            return None
        a[c], a[p] = a[p], a[c]
        for i in range(c + 1, n):
            f = a[i][c] / a[c][c]
            for j in range(c, n + 1):
                a[i][j] -= f * a[c][j]
    s = [0.0] * n
    for c in range(n - 1, -1, -1):
        s[c] = (a[c][n] - sum(a[c][j] * s[j] for j in range(c + 1, n))) / a[c][c]
    return s


def clamp(q):
    out = [max(FLOOR, min(50.0, v)) for v in q]
    for k in range(2, len(q), 2):
        out[k] = max(LOW, min(HIGH, q[k]))
    return out


def refine(form, q, xs, logs, fixed=False, rounds=200):
    """Damped Gauss-Newton from q; returns (cost, q).  fixed: E stays."""
    now, damp, n = cost(form, q, xs, logs), 1e-3, len(q)
    for _ in range(rounds):
        grad, hess = [0.0] * n, [[0.0] * n for _ in range(n)]
        for x, y in zip(xs, logs):
            f, slopes = parts(form, q, x)
            r = math.log(f) - y
            w = 1.0 if abs(r) <= DELTA else DELTA / abs(r)
            d = [v / f for v in slopes]
            if fixed:
                d[0] = 0.0
            for i in range(n):
                grad[i] += w * r * d[i]
                for j in range(i + 1):
                    hess[i][j] += w * d[i] * d[j]
        for i in range(n):
            for j in range(i):
                hess[j][i] = hess[i][j]
        better = False
        while damp < 1e12 and not better:
            m = [[hess[i][j] + (damp * (hess[i][i] + 1e-9) if i == j else 0.0) for j in range(n)] for i in range(n)]
            step = solve(m, grad)
            if step is not None:
                to = clamp([a - max(-2.0, min(2.0, b)) for a, b in zip(q, step)])
                c = cost(form, to, xs, logs)
                better = c < now
            damp = damp * 0.3 if better else damp * 4
        if not better:
            break
        gain, now, q = now - c, c, to
        damp = max(damp, 1e-12)
        if gain < 1e-13 * (now + 1e-15):
            break
    return now, q


def factors(cols, targets, weights):
    """Weighted least squares of targets by columns, no factor below zero; None when the columns do not tell."""
    active = list(range(len(cols)))
    while active:
        m = [[sum(w * w * a * b for a, b, w in zip(cols[i], cols[j], weights)) for j in active] for i in active]
        s = solve(m, [sum(w * w * a * t for a, t, w in zip(cols[i], targets, weights)) for i in active])
        if s is None:
            return None
        if min(s) > 0:
            break
        del active[s.index(min(s))]
    factor = dict(zip(active, s)) if active else {}
    return [math.log(max(factor.get(i, 0.0), 1e-6)) for i in range(len(cols))]


ONE = [0.06 * 1.38 ** i for i in range(10)]
GRID = {"compute": [(0.03 * 1.22 ** i,) for i in range(20)], "nd": [(a, b) for a in ONE for b in ONE],
        "joint": [(a, b, e) for a in ONE for b in ONE for e in (0.05, 0.5, 0.75, 0.9)]}
GRID["shifted"] = GRID["compute"]


def start(form, xs, losses, point, floor=None):
    """The law through a point of the grid: exponents, for the joint form with E as a share of the least loss; a given
    floor is E instead."""
    if form == "joint":
        alpha, beta, share = point
        e = share * min(losses) if floor is None else floor
        above = [loss - e for loss in losses]
        if min(above) <= 0:   # a redrawn loss may fall under a given floor
            return None
        scale = sum(map(math.log, above)) / len(above)
        logs = [(math.log(v) - scale) / beta for v in above]
        if max(map(abs, logs)) > 150:   # their squares leave binary64
            return None
        inner = [math.exp(v) for v in logs]
        weights = [beta * v / i / loss for v, i, loss in zip(above, inner, losses)]   # relative errors of the loss
        ln = factors([[math.exp(-alpha * x[0]) for x in xs], [math.exp(-x[1]) for x in xs]], inner, weights)
        return ln and clamp([log_floor(e), ln[0] + scale / beta, alpha, ln[1] + scale / beta, beta])
    cols = [[math.exp(-p * x[k]) for x in xs] for k, p in enumerate(point)]
    weights = [1 / loss for loss in losses]
    if floor is None:
        ln = factors([[1.0] * len(xs)] + cols, losses, weights)
    else:
        ln = factors(cols, [loss - floor for loss in losses], weights)
        ln = ln and [log_floor(floor)] + ln
    return ln and clamp(ln[:1] + [v for pair in zip(ln[1:], point) for v in pair])


def starts(form, xs, logs, keep, floor=None):
    """The best points of the grid, in order."""
    losses = [math.exp(y) for y in logs]
    grid = GRID[form] if floor is None or form != "joint" else [p for p in GRID[form] if p[2] == GRID[form][0][2]]
    found = [(cost(form, q, xs, logs), q) for q in (start(form, xs, losses, p, floor) for p in grid) if q]
    return [q for _, q in sorted(found)[:keep]]


def log_floor(e):
    return math.log(e) if e > 0 else FLOOR


class Law:
    """A fitted law.  `loss(N=…, D=…)` or `loss(C=…)`.  floor: E, when it is known and not fitted."""

    def __init__(self, form, runs, floor=None, first=None, keep=8):
        self.form, self.runs, self.floor, self.first, self.keep = form, runs, floor, first, keep
        if form == "shifted":
            self.search(first.offset if first else min(r["C"] for r in runs))
        else:
            self.fit(0.0)

    def fit(self, offset):
        """The best law with that C0."""
        self.offset = offset
        xs = [inputs(self.form, r, offset) for r in self.runs]
        self.mean = tuple(sum(x[k] for x in xs) / len(xs) for k in range(len(FORMS[self.form])))
        xs = [self.centred(x) for x in xs]
        logs = [math.log(r["loss"]) for r in self.runs]
        firsts = [list(self.first.q)] if self.first else []
        self.cost, self.q = min(refine(self.form, q, xs, logs, self.floor is not None) for q in
                                firsts + starts(self.form, xs, logs, self.keep, self.floor))
        return self.cost

    def search(self, about):
        """C0: the best of a coarse grid about a size, then smaller and smaller steps from there; or none at all."""
        best = min((self.fit(about * 4.0 ** k), about * 4.0 ** k) for k in range(-4, 3))
        for step in (2.0, 2 ** 0.5, 2 ** 0.25, 2 ** 0.125, 2 ** 0.0625):
            best = min(best, *((self.fit(c), c) for c in (best[1] / step, best[1] * step)))
        best = min(best, (self.fit(0.0), 0.0))
        self.fit(best[1])

    def centred(self, x):
        return tuple(v - m for v, m in zip(x, self.mean))

    def loss(self, **at):
        return value(self.form, self.q, self.centred(inputs(self.form, at, self.offset)))

    def constants(self):
        """By the names of the form: E, A, alpha, B, beta or E, K, gamma, C0."""
        out = [math.exp(self.q[0])]
        for k, m in enumerate(self.mean):
            p = self.q[2 * k + 2]
            out += [math.exp(self.q[2 * k + 1] + (1 if self.form == "joint" and k == 1 else p) * m), p]
        return dict(zip(NAMES[self.form], out + [self.offset]))

    def best_split(self, c, k):
        """N and D of least loss with C = k · N · D; the forms in N and D."""
        f = self.constants()
        beta = 1 if self.form == "joint" else f["beta"]   # of D; joint: the sum's exponent moves no minimum
        g = (f["alpha"] * f["A"] / (beta * f["B"])) ** (1 / (f["alpha"] + beta))
        n = g * (c / k) ** (beta / (f["alpha"] + beta))
        return n, c / (k * n)


def unknowns(form, floor=None):
    return len(NAMES[form]) - (floor is not None)


def enough(form, floor=None):
    return unknowns(form, floor) + 1


def spread(runs):
    """How far tokens per parameter leave their own trend, as a standard deviation of ln D about a line in ln N: near
    zero for runs along one dial, whose N and D no fit can tell apart."""
    a, b, s = trend([(r["N"], r["D"]) for r in runs])
    return s


def trend(pairs):
    """ln y = a + b · ln x by least squares: (a, b, standard deviation of the rest)."""
    xs, ys = [math.log(x) for x, _ in pairs], [math.log(y) for _, y in pairs]
    n = len(xs)
    mx, my = sum(xs) / n, sum(ys) / n
    sxx = sum((x - mx) ** 2 for x in xs)
    b = sum((x - mx) * (y - my) for x, y in zip(xs, ys)) / sxx if sxx > 1e-12 else 0.0
    a = my - b * mx
    return a, b, math.sqrt(sum((y - a - b * x) ** 2 for x, y in zip(xs, ys)) / n)


def choose(runs):
    """The form that these runs can carry."""
    return "nd" if len(runs) >= enough("nd") + 1 and spread(runs) >= 0.25 else "compute"


# ---- how far to trust it ----

def leave_one_out(form, runs, floor=None):
    """Relative error of each run as predicted from the others."""
    out = []
    for i, r in enumerate(runs):
        rest = runs[:i] + runs[i + 1:]
        out.append(Law(form, rest, floor, keep=3).loss(**{k: r[k] for k in FORMS[form]}) / r["loss"] - 1)
    return out


def largest_left_out(form, runs, floor=None):
    """(name, relative error) of the largest run as predicted from the runs of at most half its compute."""
    big = max(runs, key=lambda r: r["C"])
    rest = [r for r in runs if r["C"] <= 0.5 * big["C"]]
    if len(rest) < enough(form, floor):
        return None
    return big["name"], Law(form, rest, floor).loss(**{k: big[k] for k in FORMS[form]}) / big["loss"] - 1


class Bootstrap:
    """Laws fitted to runs whose losses are redrawn: fitted value times an error drawn from `left_out`, how far each
    run lies from a law that never saw it (a law's own residuals are too small: it was bent towards its runs, and
    intervals from them held 85 to 88 of 100 new runs where 95 were promised), widened for the few runs it is known
    from as Student's distribution is against the normal, to first order.  The draws come from `seed`."""

    def __init__(self, form, runs, law, left_out, count, seed=1):
        rng = random.Random(seed)
        n = len(runs)
        fitted = [law.loss(**{k: r[k] for k in FORMS[form]}) for r in runs]
        wide = 1 + (1.96 ** 2 + 1) / 4 / max(1, n - unknowns(form, law.floor))
        errors = [-wide * math.log(1 + e) for e in left_out]
        self.laws, self.noise = [], []
        for _ in range(count):
            drawn = [{**r, "loss": f * math.exp(errors[int(rng.random() * n)])} for r, f in zip(runs, fitted)]
            self.laws.append(Law(form, drawn, law.floor, first=law, keep=2))
            self.noise.append(errors[int(rng.random() * n)])

    def interval(self, level, at, noise=True):
        """Of the loss of a run at N, D or C; with noise, of one new run, else of the curve."""
        drawn = sorted(law.loss(**at) * (math.exp(e) if noise else 1.0) for law, e in zip(self.laws, self.noise))
        return quantiles(drawn, level)

    def constant(self, name, level):
        return quantiles(sorted(law.constants()[name] for law in self.laws), level)


def quantiles(drawn, level):
    def at(p):
        k = p * (len(drawn) - 1)
        i = min(int(k), len(drawn) - 2) if len(drawn) > 1 else 0
        j = min(i + 1, len(drawn) - 1)
        return drawn[i] + (k - i) * (drawn[j] - drawn[i])
    return at((1 - level) / 2), at((1 + level) / 2)
