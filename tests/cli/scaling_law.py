"""Checks tools/experiment/law.py and tools/scaling on runs made from known constants.  Prints ok and FAIL lines.

Usage: scaling_law.py TOOLS FOLDER"""

import json
import math
import os
import random
import subprocess
import sys
import xml.dom.minidom

sys.dont_write_bytecode = True
tools, folder = os.path.abspath(sys.argv[1]), sys.argv[2]
sys.path.insert(0, tools)
os.chdir(folder)
from experiment.law import Bootstrap, Law, choose, cost, largest_left_out, leave_one_out   # noqa: E402

TRUE = {"E": 0.75, "A": 400.0, "alpha": 0.38, "B": 900.0, "beta": 0.40}


def check(name, good, found=""):
    print(f"ok {name}" if good else f"FAIL {name}: {found}", flush=True)


def true_loss(n, d, c=TRUE):
    return c["E"] + c["A"] / n ** c["alpha"] + c["B"] / d ** c["beta"]


def ladder(noise, seed=0, ratios=(6, 20, 60), n=12, c=TRUE, lo=1e12, hi=2e14):
    """Runs from lo to hi FLOPs, tokens per parameter in turn from `ratios`."""
    rng, runs = random.Random(seed), []
    for i in range(n):
        flops, ratio = lo * (hi / lo) ** (i / (n - 1)), ratios[i % len(ratios)]
        size = math.sqrt(flops / 6 / ratio)
        runs.append({"name": f"r{i}", "N": size, "D": flops / 6 / size, "C": flops,
                     "loss": true_loss(size, flops / 6 / size, c) * math.exp(rng.gauss(0, noise))})
    return runs


def larger(ratio=20, flops=1e15):
    n = math.sqrt(flops / 6 / ratio)
    return {"N": n, "D": flops / 6 / n, "C": flops}


def worst(law, true):
    return max(abs(law.constants()[k] / true[k] - 1) for k in true)


def test_exact():
    law = Law("nd", ladder(0))
    check("constants without noise", worst(law, TRUE) < 1e-4, law.constants())
    runs = [{**r, "loss": 0.8 + 900 / r["C"] ** 0.17} for r in ladder(0)]
    law = Law("compute", runs)
    check("constants of the compute form without noise", worst(law, {"E": .8, "K": 900, "gamma": .17}) < 1e-4,
          law.constants())
    runs = [{**r, "loss": 0.8 + 900 / (r["C"] + 2.5e12) ** 0.17} for r in ladder(0)]
    law, plain = Law("shifted", runs), Law("compute", runs)
    far = {"C": 1e15}
    check("the shifted form finds the start", law.cost < 0.02 * plain.cost and
          abs(law.constants()["C0"] / 2.5e12 - 1) < 0.2 and
          abs(law.loss(**far) / (0.8 + 900 / (1e15 + 2.5e12) ** 0.17) - 1) < 0.002, (law.constants(), law.loss(**far)))
    runs = [{**r, "loss": 0.8 + 900 / r["C"] ** 0.17} for r in ladder(0)]
    law = Law("shifted", runs)
    check("and none where there is none", law.constants()["C0"] < 0.02 * 1e12, law.constants())
    joint = {"E": 0.7, "A": 40.0, "alpha": 0.45, "B": 2e5, "beta": 0.6}
    runs = [{**r, "loss": 0.7 + (40 / r["N"] ** 0.45 + 2e5 / r["D"]) ** 0.6} for r in ladder(0)]
    law = Law("joint", runs)
    n, d = law.best_split(1e15, 6)
    check("constants of the joint form without noise", worst(law, joint) < 1e-3, law.constants())
    check("its best split is one", all(law.loss(N=n, D=d) <= law.loss(N=n * f, D=d / f) for f in (0.9, 1.1)), (n, d))
    for form, rule, true in (("joint", lambda r: 0.7 + (40 / r["N"] ** 0.45 + 2e5 / r["D"]) ** 0.6, joint),
                             ("nd", lambda r: true_loss(r["N"], r["D"]), TRUE),
                             ("compute", lambda r: 0.8 + 900 / r["C"] ** 0.17, {"E": .8, "K": 900, "gamma": .17}),
                             ("compute", lambda r: 900 / r["C"] ** 0.17, {"K": 900, "gamma": .17})):
        law = Law(form, [{**r, "loss": rule(r)} for r in ladder(0)], true.get("E", 0))
        check(f"{form} with its E given: {true.get('E', 0)}", worst(law, true) < 1e-4, law.constants())
    # Published constants, and the published optimum for 1.25e24 FLOPs.
    epoch = {"E": 1.8172, "A": 482.01, "alpha": 0.3478, "B": 2085.43, "beta": 0.3658}
    law = Law("nd", ladder(0, c=epoch, ratios=(4, 20, 100), lo=1e18, hi=1e22))
    n, d = law.best_split(1.25e24, 6)
    check("best split of published constants", abs(n / 107.5e9 - 1) < 2e-3 and abs(d / 1.938e12 - 1) < 2e-3 and
          abs(law.loss(N=n, D=d) - 1.9542) < 5e-4, (n, d, law.loss(N=n, D=d)))


def test_noise():
    """0.1 % of noise: runs 5 times larger are predicted within 1 %, and the fit is as good as the truth."""
    errors, better = [], True
    for seed in range(8):
        runs, to = ladder(0.001, seed), larger()
        law = Law("nd", runs)
        errors.append(law.loss(**to) / true_loss(to["N"], to["D"]) - 1)
        q = [math.log(TRUE["E"])]
        for a, p, m in (("A", "alpha", law.mean[0]), ("B", "beta", law.mean[1])):
            q += [math.log(TRUE[a]) - TRUE[p] * m, TRUE[p]]
        xs = [law.centred((math.log(r["N"]), math.log(r["D"]))) for r in runs]
        better = better and law.cost <= cost("nd", q, xs, [math.log(r["loss"]) for r in runs])
    check("a run 5 times larger within 1 %", max(map(abs, errors)) < 0.01, errors)
    check("no fit is worse than the truth", better)
    # With noise of a tenth of a percent and one run that went wrong, Huber's loss still finds the law.
    runs = ladder(0.0005, 3)
    runs[5] = {**runs[5], "loss": 1.3 * runs[5]["loss"]}
    to = larger()
    error = Law("nd", runs).loss(**to) / true_loss(to["N"], to["D"]) - 1
    check("one wild run changes little", abs(error) < 0.02, error)
    left = leave_one_out("nd", runs)
    i = max(range(12), key=lambda k: abs(left[k]))
    check("and is found by leaving it out", i == 5, i)


def test_local():
    """The fit is a minimum: no constant alone, moved either way, lowers the sum."""
    runs = ladder(0.004, 7)
    law = Law("nd", runs)
    xs, logs = [law.centred((math.log(r["N"]), math.log(r["D"]))) for r in runs], [math.log(r["loss"]) for r in runs]
    least = min(cost("nd", law.q[:i] + [law.q[i] + s] + law.q[i + 1:], xs, logs) for i in range(5) for s in
                (-1e-2, -1e-4, 1e-4, 1e-2))
    check("a minimum", least >= law.cost * (1 - 1e-9), (least, law.cost))


def test_intervals():
    """95 % intervals hold about that often; far fewer or intervals of nothing would be a defect."""
    held, wide, n = 0, [], 16
    for seed in range(n):
        runs, to = ladder(0.003, 500 + seed, ratios=(20,), n=10), larger()
        boot = Bootstrap("compute", runs, Law("compute", runs), leave_one_out("compute", runs), 50)
        lo, hi = boot.interval(0.95, to)
        actual = true_loss(to["N"], to["D"]) * math.exp(random.Random(seed).gauss(0, 0.003))
        held, wide = held + (lo <= actual <= hi), wide + [(hi - lo) / actual]
    check("intervals hold", held >= n - 3 and max(wide) < 0.2, (held, max(wide)))


def test_choice():
    dial = ladder(0, ratios=(20,))
    check("runs along the dial take the compute form", (choose(dial), choose(ladder(0))) == ("compute", "nd"))
    name, error = largest_left_out("compute", dial)
    check("the largest from the smaller ones", name == "r11" and abs(error) < 0.005, (name, error))


def tool(*args):
    return subprocess.run([sys.executable, os.path.join(tools, "scaling"), *args], capture_output=True, text=True)


def test_tool():
    runs = ladder(0.001, 1)
    with open("runs.tsv", "w") as f:
        f.write("name\tmatmul_params\ttokens\tflops\theldout_bits_per_byte\tset.lr\n")
        for i, r in enumerate(runs):
            f.write(f"{r['name']}\t{r['N']:.0f}\t{r['D']:.0f}\t{r['C']:.8g}\t{r['loss']:.8f}\t{0.02 * (1 + i % 2)}\n")
    with open("runs.jsonl", "w") as f:
        for r in runs:
            f.write(json.dumps({"name": r["name"], "settings": {"lr": "0.02"}, "matmul_params": round(r["N"]),
                                "tokens": round(r["D"]), "flops": r["C"], "heldout_bits_per_byte": r["loss"]}) + "\n")
    to = larger()
    ask = ("--predict", f"{to['N']:.8g},{to['D']:.8g}", "--actual", f"{true_loss(to['N'], to['D']):.6f}",
           "--bootstrap", "40", "--json")
    a = json.loads(tool("runs.tsv", *ask, "--svg", "fit.svg").stdout)
    p = a["predictions"][0]
    check("the tool predicts", abs(p["error"]) < 0.01 and p["low"] < p["actual"] < p["high"], p)
    check("same call, same words", tool("runs.tsv", *ask).stdout == tool("runs.tsv", *ask).stdout)
    b = json.loads(tool("runs.jsonl", *ask).stdout)["predictions"][0]
    check("a sweep's results say the same", abs(b["loss"] / p["loss"] - 1) < 1e-4, (b, p))
    dots = [e for e in xml.dom.minidom.parse("fit.svg").getElementsByTagName("circle")
            if e.getElementsByTagName("title")]
    check("the drawing has runs, fits, prediction and actual", len(dots) == 12 + 12 + 1 + 1, len(dots))
    out = tool("runs.tsv", "--without", "r11", "--predict", "1e15", "--bootstrap", "20").stdout
    check("a run left out is predicted and compared", "predicted r11 (" in out and "  actual " in out and
          "11 runs" in out and "predicted 1e15 FLOPs (" in out, out)
    half = json.loads(tool("runs.tsv", "--where", "lr=0.02", "--form", "compute", "--json", "--bootstrap", "20").stdout)
    check("only some runs", [r["name"] for r in half["runs"]] == ["r0", "r2", "r4", "r6", "r8", "r10"], half["runs"])
    some = json.loads(tool("runs.tsv", "--where", "flops>=1e13", "--where", "flops<=1e14", "--form", "compute",
                           "--json", "--bootstrap", "20").stdout)["runs"]
    check("only runs between two bounds", some and all(1e13 <= r["C"] <= 1e14 for r in some) and len(some) < 12, some)
    given = {k: json.loads(tool("runs.tsv", "--floor", k, "--json", "--bootstrap", "20").stdout)
             for k in ("0.9", "50%")}
    least = min(r["loss"] for r in given["50%"]["runs"])
    check("a floor that is given stays", all(abs(given[k]["constants"]["E"] / e - 1) < 1e-9 and
          given[k]["intervals"]["E"] == [given[k]["constants"]["E"]] * 2
          for k, e in (("0.9", 0.9), ("50%", least / 2))),
          [(g["constants"], g["intervals"]) for g in given.values()])
    out = tool("runs.tsv", "--floor", "50%", "--bootstrap", "20").stdout
    check("and is said to be given", any(line.split()[0] == "E" and line.endswith("   given")
                                         for line in out.split("\n") if line.strip()), out)
    with open("flat.txt", "w") as f:
        f.write("name N D bits_per_byte\n" +
                "".join(f"f{i} {i + 2}e6 {6e7 / (i + 2):.0f} {2 - i / 10}\n" for i in range(5)))
    with open("steep.txt", "w") as f:
        f.write("name N D bits_per_byte\n" + "".join(f"s{i} {i + 2}e6 {i + 2}e7 {0.01 ** i}\n" for i in range(5)))
    out = tool("steep.txt", "--bootstrap", "4").stdout
    check("an exponent at its bound is said", "an exponent stands at its bound" in out, out)
    with open("steeper.txt", "w") as f:
        f.write("name N D bits_per_byte\n" + "".join(f"s{i} {i + 2}e6 {i + 2}e7 {1e-6 ** i}\n" for i in range(7)))
    r = tool("steeper.txt", "--form", "joint", "--bootstrap", "2")
    check("losses that no law holds end in words", r.returncode == 0 and not r.stderr, r.stderr)
    for name, status, part, args in (
            ("runs of one compute", 1, "needs 3 at least", ("flat.txt",)),
            ("too few runs", 1, "too few", ("runs.tsv", "--where", "name=r1")),
            ("a file that is not there", 1, "absent.tsv", ("absent.tsv",)),
            ("a condition that compares with no number", 2, "D>=many", ("runs.tsv", "--where", "D>=many")),
            ("a floor above the runs", 1, "--floor 5: expected", ("runs.tsv", "--floor", "5")),
            ("a floor of nothing", 1, "--floor low%: expected", ("runs.tsv", "--floor", "low%")),
            ("an unknown run", 1, "r99", ("runs.tsv", "--without", "r99")),
            ("a prediction of nothing", 1, "expected FLOPS or N,D", ("runs.tsv", "--predict", "many")),
            ("--actual without --predict", 2, "--actual", ("runs.tsv", "--actual", "1.2"))):
        r = tool(*args)
        check(name, r.returncode == status and part in r.stderr.strip().split("\n")[-1] and not r.stdout, r.stderr)


for test in (test_exact, test_noise, test_local, test_intervals, test_choice, test_tool):
    test()
