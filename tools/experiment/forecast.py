"""From runs to a law with its errors, predictions with their intervals, a drawing of both, and the words for them."""

import json
import math
import os
import re
import statistics

from .chart import Chart, short
from .law import (FORMS, HIGH, LOW, NAMES, Bootstrap, Law, choose, enough, largest_left_out, leave_one_out, spread,
                  trend, unknowns)
from .results import field, from_run, read_results
from .table import Refused, number

RULE = ("N: parameters that multiply (matrices and head, no input table); D: trained tokens; C: FLOPs of the run; "
        "loss: held-out bits per byte")
COLUMNS = {"N": ("N", "matmul_params"), "D": ("D", "tokens"), "C": ("C", "flops"),
           "loss": ("loss_bits_per_byte", "heldout_bits_per_byte", "bits_per_byte")}


# ---- runs ----

def from_table(path):
    """results.tsv of a sweep or any table with columns for N, D, C (6·N·D when absent) and bits per byte."""
    lines = [line.rstrip("\n") for line in open(path, encoding="utf-8") if line.strip() and line[0] != "#"]
    tabs = "\t" in lines[0] if lines else False
    head, *body = [line.split("\t") if tabs else line.split() for line in lines] or [[]]
    return [(row.get("name", f"row {i + 1}"), lambda c, row=row: next(
        (row[k] for k in (c, "set." + c, c.replace("_", "-"), "set." + c.replace("_", "-")) if row.get(k)), None))
        for i, row in enumerate(dict(zip(head, cells)) for cells in body)]


def read_runs(paths, where):
    runs, names = [], set()
    for path in paths:
        alone = os.path.exists(os.path.join(path, "run.json"))
        path = os.path.join(path, "results.jsonl") if os.path.isdir(path) and not alone else path
        if not os.path.exists(path):
            raise Refused(f"{path}: there is no such file")
        if alone or path.endswith(".jsonl"):
            found = [from_run(path)] if alone else read_results(path).values()
            rows = [(r["name"], lambda c, r=r: field(r, c)) for r in found]
        else:
            rows = from_table(path)
        for name, get in rows:
            if all(holds(get(k), op, v) for k, op, v in where):
                run = one_run(path, name, get)
                if run["name"] in names:
                    run["name"] = f"{os.path.basename(os.path.dirname(path)) or path}/{name}"
                names.add(run["name"])
                runs.append(run)
    if not runs:
        raise Refused(f"{', '.join(paths)}: no run" + (" with " + ", ".join(f"{k} {op} {v}" for k, op, v in where)
                                                      if where else ""))
    return runs


def condition(text):
    """COLUMN=VALUE, COLUMN>=VALUE or COLUMN<=VALUE; None: neither."""
    m = re.fullmatch(r"([^<>=]+)(=|>=|<=)(.*)", text)
    return m and (m[2] == "=" or number(m[3]) is not None) and m.groups() or None


def holds(got, op, want):
    a, b = number(str(got)), number(want)
    if op == "=":
        return got is not None and (str(got) == want if a is None or b is None else a == b)
    return a is not None and (a >= b if op == ">=" else a <= b)


def one_run(path, name, get):
    run = {"name": name}
    for key, names in COLUMNS.items():
        v = next((get(c) for c in names if get(c) is not None), None)
        if v is None and key == "C":
            v = 6 * run["N"] * run["D"]
            run["counted"] = "6ND"
        try:
            run[key] = float(v)
        except (TypeError, ValueError):
            run[key] = math.nan
        if not 0 < run[key] < math.inf:
            raise Refused(f"{path}: run {name} has no positive {' or '.join(names)} (found {v})") from None
        if key == "D":
            run["C"] = math.nan
    return run


def frontier(runs):
    """The best run of each compute, compute being the same within 10 %."""
    best = []
    for r in sorted(runs, key=lambda r: r["C"]):
        if best and r["C"] < 1.1 * best[-1][0]:
            if r["loss"] < best[-1][1]["loss"]:
                best[-1] = (best[-1][0], r)
        else:
            best.append((r["C"], r))
    return [r for _, r in best]


# ---- the study ----

class Study:
    """Law, errors and intervals of one set of runs."""

    def __init__(self, runs, form, count, level, seed, floor=None):
        self.runs, self.level = sorted(runs, key=lambda r: (r["C"], r["name"])), level
        self.form = choose(runs) if form == "auto" else form
        self.floor = self.parse_floor(floor) if floor else None
        if len(runs) < enough(self.form, self.floor):
            raise Refused(f"{len(runs)} runs are too few for {unknowns(self.form, self.floor)} constants; "
                          f"at least {enough(self.form, self.floor)} are needed")
        reach = self.runs[-1]["C"] / self.runs[0]["C"]
        if FORMS[self.form] == ("C",) and reach < 3:
            raise Refused(f"the runs' compute spans a factor of {reach:.2f} only; a law of compute needs 3 at least, "
                          f"and should have 100")
        self.law = Law(self.form, self.runs, self.floor)
        self.fitted = [self.law.loss(**self.at(r)) for r in self.runs]
        self.rest = [f / r["loss"] - 1 for f, r in zip(self.fitted, self.runs)]
        self.loo = leave_one_out(self.form, self.runs, self.floor)
        self.largest = largest_left_out(self.form, self.runs, self.floor)
        self.boot = Bootstrap(self.form, self.runs, self.law, self.loo, count, seed)
        self.per = statistics.median(r["C"] / (r["N"] * r["D"]) for r in self.runs)
        self.line = trend([(r["C"], r["N"]) for r in self.runs])

    def at(self, r):
        return {k: r[k] for k in FORMS[self.form]}

    def along(self, c):
        """A run of c FLOPs as these runs' own trend would shape it."""
        n = math.exp(self.line[0] + self.line[1] * math.log(c))
        return {"N": n, "D": c / (self.per * n), "C": c}

    def rms(self):
        return math.sqrt(sum(r * r for r in self.rest) / len(self.rest))

    def mean_loo(self):
        return sum(abs(e) for e in self.loo) / len(self.loo)

    def predict(self, run, actual=None):
        p = {**run, "loss": self.law.loss(**self.at(run))}
        p["low"], p["high"] = self.boot.interval(self.level, self.at(run))
        if actual is not None:
            p["actual"], p["error"] = actual, p["loss"] / actual - 1
        return p

    def parse_floor(self, text):
        """Bits per byte, or a share of the runs' least loss in %."""
        least = min(r["loss"] for r in self.runs)
        value = number(text.rstrip("%"))
        if value is not None and text.endswith("%"):
            value *= least / 100
        if value is None or not 0 <= value < least:
            raise Refused(f"--floor {text}: expected bits per byte below the runs' least loss of {least:.4f}, or a "
                          f"share of that such as 50%")
        return value

    def parse(self, text):
        """F, or N,D."""
        cells = [number(c.strip()) for c in text.split(",")]
        if None in cells or len(cells) not in (1, 2) or min(cells) <= 0:
            raise Refused(f"--predict {text}: expected FLOPS or N,D, such as 1e15 or 12M,400M")
        if len(cells) == 1:
            return {"name": f"{short(cells[0])} FLOPs", **self.along(cells[0])}
        n, d = cells
        return {"name": f"N {short(n)}, D {short(d)}", "N": n, "D": d, "C": self.per * n * d}


# ---- words ----

def formula(s):
    c = s.law.constants()
    if s.form == "nd":
        return f"loss = {c['E']:.4f} + {c['A']:.4g}/N^{c['alpha']:.4f} + {c['B']:.4g}/D^{c['beta']:.4f}"
    if s.form == "joint":
        return f"loss = {c['E']:.4f} + ({c['A']:.4g}/N^{c['alpha']:.4f} + {c['B']:.4g}/D)^{c['beta']:.4f}"
    if s.form == "shifted":
        return f"loss = {c['E']:.4f} + {c['K']:.4g}/(C + {c['C0']:.3g})^{c['gamma']:.4f}"
    return f"loss = {c['E']:.4f} + {c['K']:.4g}/C^{c['gamma']:.4f}"


def report(s, predictions):
    out = [RULE, f"{len(s.runs)} runs, {short(s.runs[0]['C'])} to {short(s.runs[-1]['C'])} FLOPs", formula(s)]
    for k in NAMES[s.form]:
        if k == "E" and s.floor is not None:
            out.append(f"  {k:6} {short(s.floor):>10}   given")
            continue
        lo, hi = s.boot.constant(k, s.level)
        out.append(f"  {k:6} {short(s.law.constants()[k]):>10}   {100 * s.level:.0f} % of refits: {short(lo)} to "
                   f"{short(hi)}")
    if FORMS[s.form] == ("N", "D") and spread(s.runs) < 0.25:
        out.append("tokens per parameter hardly vary beside the model's size: N and D cannot be told apart; "
                   "--form compute asks less of these runs")
    if any(v <= LOW or v >= HIGH for v in s.law.q[2::2]):
        out.append(f"an exponent stands at its bound ({LOW} or {HIGH}): these runs do not determine the law")
    wide = max([4] + [len(r["name"]) for r in s.runs])
    out.append(f"{'run':{wide}}  {'N':>9} {'D':>9} {'FLOPs':>9}  {'loss':>7} {'fitted':>7} {'off':>7} {'left out':>8}")
    for r, f, e, loo in zip(s.runs, s.fitted, s.rest, s.loo):
        out.append(f"{r['name']:{wide}}  {short(r['N']):>9} {short(r['D']):>9} {short(r['C']):>9}  {r['loss']:7.4f} "
                   f"{f:7.4f} {100 * e:+6.2f}% {100 * loo:+7.2f}%")
    out.append(f"off by {100 * s.rms():.2f} % (root mean square); a run left out is off by {100 * s.mean_loo():.2f} % "
               f"(mean)")
    if s.largest:
        out.append(f"{s.largest[0]} from the runs of at most half its compute: {100 * s.largest[1]:+.2f} %")
    for p in predictions:
        out.append(f"predicted {p['name']} (N {short(p['N'])}, D {short(p['D'])}, {short(p['C'])} FLOPs): "
                   f"{p['loss']:.4f} bits per byte, {100 * s.level:.0f} % interval {p['low']:.4f} to {p['high']:.4f}")
        if FORMS[s.form] == ("N", "D"):
            n, d = s.law.best_split(p["C"], s.per)
            out.append(f"  the law's best split of {short(p['C'])} FLOPs: N {short(n)}, D {short(d)}: "
                       f"{s.law.loss(N=n, D=d):.4f}")
        if "actual" in p:
            inside = "inside" if p["low"] <= p["actual"] <= p["high"] else "outside"
            out.append(f"  actual {p['actual']:.4f}: predicted {100 * p['error']:+.2f} %, {inside} the interval")
    return "\n".join(out)


def as_json(s, predictions):
    rows = [{**r, "fitted": f, "residual": e, "left_out": loo} for r, f, e, loo in
            zip(s.runs, s.fitted, s.rest, s.loo)]
    return json.dumps({
        "form": s.form, "constants": s.law.constants(), "level": s.level,
        "intervals": {k: s.boot.constant(k, s.level) for k in NAMES[s.form]}, "counting": RULE, "runs": rows,
        "rms": s.rms(), "left_out_mean": s.mean_loo(),
        "largest_left_out": s.largest and {"name": s.largest[0], "error": s.largest[1]},
        "predictions": predictions}, ensure_ascii=False)


# ---- drawing ----

def draw(s, predictions):
    """Runs, the law along the runs' trend with the interval of its curve, predictions and what became of them."""
    c = Chart(formula(s), "FLOPs", "bits per byte, held out", x_log=True)
    ends = [r["C"] for r in s.runs] + [p["C"] for p in predictions]
    lo, hi = math.log(min(ends)) - 0.1, math.log(max(ends)) + 0.1
    path = [s.along(math.exp(lo + (hi - lo) * i / 60)) for i in range(61)]
    c.band(f"{100 * s.level:.0f} % of refits", [(r["C"], *s.boot.interval(s.level, s.at(r), False)) for r in path],
           "#0b62a4")
    c.line("the law along the runs' trend", [(r["C"], s.law.loss(**s.at(r))) for r in path], "#0b62a4")
    if FORMS[s.form] == ("N", "D"):
        c.points("fitted", [(r["C"], f, f"{r['name']}: fitted {f:.4f}") for r, f in zip(s.runs, s.fitted)], "#5f6b76",
                 hollow=True)
    c.points("runs", [(r["C"], r["loss"], f"{r['name']}: {r['loss']:.4f} bits per byte, {100 * e:+.2f} % off\n"
                       f"N {short(r['N'])}, D {short(r['D'])}, {short(r['C'])} FLOPs")
                      for r, e in zip(s.runs, s.rest)], "#222222")
    if predictions:
        c.bars(None, [(p["C"], p["low"], p["high"]) for p in predictions], "#d98324")
        c.points("predicted", [(p["C"], p["loss"], f"{p['name']}: predicted {p['loss']:.4f} "
                                f"({p['low']:.4f} to {p['high']:.4f})") for p in predictions], "#d98324", hollow=True)
    known = [p for p in predictions if "actual" in p]
    if known:
        c.points("actual", [(p["C"], p["actual"], f"{p['name']}: actual {p['actual']:.4f}, predicted "
                             f"{100 * p['error']:+.2f} %") for p in known], "#d1495b")
    return c.svg()
