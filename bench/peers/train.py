#!/usr/bin/env python3
"""Times training and matrix products of dokja and of PyTorch, alternating in one run.

    python=$(bench/peers/setup.sh) && $python bench/peers/train.py --out bench/results.jsonl

A round measures the machine's peak, dokja by both of its numeric profiles, every mode of PyTorch and the peak again,
one after the other; a figure is the median over rounds of what each round gave.  A round in which any measured peak
stays under 85 % of the best of the run had company on the machine and is measured again, at most as often as there are
rounds.  One JSON object a line goes to --out (appended) and to stdout.
PyTorch runs in processes of their own that live as long as the run, so that nothing is compiled while it is timed.

PyTorch is given what a careful user gives it: memory that stays mapped between steps (glibc), large pages, and on
AMD processors MKL's AVX-512 code, which MKL otherwise keeps for Intel's (mkl_vendor.c).  A mode named stock-… runs
without these.  --llmc FOLDER, a checkout of llm.c, adds the mode llmc (llmc.py), which takes
19 GB for d12.
"""
import argparse
import json
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time

from lines import figures, now, write
from llmc import LlmC

HERE = os.path.dirname(os.path.abspath(__file__))
SHAPES = {  # layers (width is 64 times that), vocabulary, sequence, sequences a step, steps a round
    "d12": (12, 32768, 1024, 4, 1),
    "d4": (4, 8192, 512, 16, 3),
}
MODES = ["eager-f32", "compile-f32", "eager-bf16", "compile-bf16"]
PRODUCTS = ["gemm-f32", "gemm-bf16"]
# By the unit that `dokja bench` names.
LIMIT = {"fma-f32": "FMA f32 peak", "dot-bf16": "VDPBF16PS peak", "amx-bf16": "AMX bf16 peak",
         "c-int8": "FMA f32 peak", "madd-int8": "VPMADDWD peak", "dot-int8": "VPDPBUSD peak",
         "amx-int8": "AMX int8 peak"}
# By its two numeric profiles: products of bf16 (T1), of 8-bit integers (T2).
OURS = {"dokja": [], "dokja int8": ["--int8"]}
QUIET = 0.85
TUNABLES = ("glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold=100000000000:glibc.malloc.top_pad=1073741824"
            ":glibc.malloc.hugetlb=1")


# ---- the process that holds PyTorch ----

def worker(threads):
    import warnings
    warnings.simplefilter("ignore")
    import torch
    import torch_model
    torch.set_num_threads(threads)
    trainers = {}

    def product(size, dtype, runs):
        a, b = (torch.randn(size, size).to(dtype) for _ in range(2))
        c = torch.mm(a, b.t())
        for _ in range(runs):
            t0 = time.perf_counter()
            torch.mm(a, b.t(), out=c)
            yield 2 * size ** 3 / (time.perf_counter() - t0) * 1e-9

    def steps(shape, mode, runs):
        if shape not in trainers:
            trainers.clear()
            depth, vocab, seq, batch = shape
            trainers[shape] = torch_model.Trainer(64 * depth, depth, vocab, seq, batch, threads)
        t = trainers[shape]
        for _ in range(runs):
            t0 = time.perf_counter()
            t.step(mode)
            yield t.model.flops_per_token * t.tokens.numel() / (time.perf_counter() - t0) * 1e-9

    print(json.dumps({"version": torch.__version__.split("+")[0]}), flush=True)
    for line in sys.stdin:
        q = json.loads(line)
        if q["mode"].startswith("gemm"):
            dtype = torch.bfloat16 if q["mode"].endswith("bf16") else torch.float32
            rates = product(q["size"], dtype, q["runs"])
        else:
            rates = steps(tuple(q["shape"]), q["mode"], q["runs"])
        print(json.dumps({"gflops": list(rates)}), flush=True)


class Worker:
    def __init__(self, stock, threads, folder):
        env = dict(os.environ, OMP_NUM_THREADS=str(threads))
        if not stock:
            env["GLIBC_TUNABLES"] = TUNABLES
            preload = vendor_library(folder)
            if preload:
                env["LD_PRELOAD"] = preload
        self.process = subprocess.Popen([sys.executable, os.path.abspath(__file__), "--worker", str(threads)], env=env,
                                        text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.version = self.answer()["version"]

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            sys.exit("train.py: the PyTorch process ended (status %s)" % self.process.wait())
        return json.loads(line)

    def ask(self, **question):
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        return self.answer()["gflops"]

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def vendor_library(folder):
    with open("/proc/cpuinfo") as f:
        if "AuthenticAMD" not in f.read():
            return None
    path = os.path.join(folder, "mkl_vendor.so")
    done = subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", path, os.path.join(HERE, "mkl_vendor.c")])
    if done.returncode:
        print("train.py: no C compiler; MKL stays on its AVX2 code", file=sys.stderr)
        return None
    return path


# ---- the run ----

class Alone:
    """Holds a command such as `flock FILE` around a block: it runs a shell that waits for our end of a pipe."""

    def __init__(self, command):
        self.command = shlex.split(command or "")

    def __enter__(self):
        if self.command:
            self.holder = subprocess.Popen(self.command + ["sh", "-c", "echo; read end"], text=True,
                                           stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            if not self.holder.stdout.readline():
                sys.exit("train.py: `%s` did not run" % " ".join(self.command))

    def __exit__(self, *_):
        if self.command:
            self.holder.stdin.close()
            self.holder.wait()


class Run:
    def __init__(self, args):
        self.args = args
        self.folder = tempfile.TemporaryDirectory(prefix="dokja-bench-")
        self.workers = {}
        self.round = []  # (bench, what, who), rate, (limit, its name) or None, further keys
        self.rates = {}  # (bench, what, who) → figures of the rounds that are kept
        self.limits = {}
        self.extra = {}
        self.machine = None
        all_of_them = args.threads == len(os.sched_getaffinity(0))
        self.threads = "" if all_of_them else ", %d thread%s" % (args.threads, "s" * (args.threads > 1))
        self.started = now()

    def dokja(self, *words):
        env = dict(os.environ, OMP_NUM_THREADS=str(self.args.threads))
        done = subprocess.run([self.args.dokja, "bench", *words, "--json"], env=env, stdout=subprocess.PIPE, text=True)
        if done.returncode:
            sys.exit("train.py: `dokja bench %s` failed" % " ".join(words))
        return json.loads(done.stdout)

    def worker(self, mode):
        if mode == "llmc":
            if mode not in self.workers:
                self.workers[mode] = LlmC(self.args.llmc, self.args.threads, self.folder.name)
            return self.workers[mode], "llm.c-f32"
        stock = mode.startswith("stock-")
        if stock not in self.workers:
            self.workers[stock] = Worker(stock, self.args.threads, self.folder.name)
        return self.workers[stock], mode.removeprefix("stock-")

    def peer_name(self, mode):
        w, kind = self.worker(mode)
        if mode == "llmc":
            return "llm.c f32"
        how, dtype = kind.split("-")
        how = {"eager": "eager ", "compile": "compiled ", "gemm": ""}[how]
        dtype = {"f32": "f32", "bf16": "bf16" if kind.startswith("gemm") else "bf16 autocast"}[dtype]
        return "PyTorch %s %s%s%s" % (".".join(w.version.split(".")[:2]), how, dtype,
                                      ", as installed" if mode.startswith("stock-") else "")

    def note(self, bench, what, who, rate, limit=None, **extra):
        self.round.append(((bench, what, who), rate, limit if limit and limit[0] else None, extra))

    def keep(self, notes):
        for key, rate, limit, extra in notes:
            self.rates.setdefault(key, []).append(rate)
            if limit:
                self.limits.setdefault(key, []).append(limit[0])
                extra["limit_name"] = limit[1]
            self.extra.setdefault(key, {}).update(extra)

    def peak(self):
        p = self.dokja("peak")
        self.machine = p["machine"]
        self.note("peak", "FMA f32", "machine", p["fma_f32_gflops"])
        for unit, what in (("amx-bf16", "AMX bf16"), ("dot-bf16", "VDPBF16PS")):
            rate = p[unit.replace("-", "_") + "_gflops"]
            if rate:
                self.note("peak", what, "machine", rate)
                return {"f32": (p["fma_f32_gflops"], LIMIT["fma-f32"]), "bf16": (rate, LIMIT[unit])}
        # Where neither is measured, PyTorch's bf16 stands without a limit.
        return {"f32": (p["fma_f32_gflops"], LIMIT["fma-f32"]), "bf16": (None, None)}

    def gemm_round(self, size, modes, _):
        what, limit = "%d³%s" % (size, self.threads), self.peak()
        for who, option in OURS.items():
            d = self.dokja("gemm", "--size", str(size), "--runs", "3", *option)
            self.note("gemm", what, who, d["gflops"], (d["limit"], LIMIT[d["unit"]]))
        for mode in modes:
            w, kind = self.worker(mode)
            rate = statistics.median(w.ask(mode=kind, size=size, runs=3))
            self.note("gemm", what, self.peer_name(mode), rate, limit[kind.split("-")[1]])

    def train_round(self, shape, modes, steps):
        depth, vocab, seq, batch = shape
        what = "%d × %d, vocabulary %d, sequence %d, %d tokens a step, AdamW%s" % (
            64 * depth, depth, vocab, seq, batch * seq, self.threads)
        limit = self.peak()
        for who, option in OURS.items():
            d = self.dokja("train", "--depth", str(depth), "--vocab", str(vocab), "--seq", str(seq), "--batch-tokens",
                           str(batch * seq), "--optimizer", "adamw", "--steps", str(steps), *option)
            self.note("train", what, who, d["gflops"], (d["limit"], LIMIT[d["unit"]]),
                      flops_per_token=d["flops_per_token"])
        for mode in modes:
            w, kind = self.worker(mode)
            rate = statistics.median(w.ask(mode=kind, shape=shape, runs=steps))
            if mode == "llmc":
                rate *= d["flops_per_token"] * 1e-9
            self.note("train", what, self.peer_name(mode), rate, limit[kind.split("-")[1]],
                      flops_per_token=d["flops_per_token"])

    def measure(self, name, rounds, one_round, subject, modes, steps, warm):
        if warm:
            with Alone(self.args.warm_under):
                for mode in modes:
                    w, kind = self.worker(mode)
                    w.ask(mode=kind, runs=2, **warm)
                    print("%s: %s is ready" % (name, mode), file=sys.stderr)
        done, quiet = [], []
        while len(quiet) < rounds and len(done) < 2 * rounds:
            self.round = []
            with Alone(self.args.under):
                one_round(subject, modes, steps)
                self.peak()
            done.append(self.round)
            best = max(peaks(r)[1] for r in done)
            quiet = [r for r in done if peaks(r)[0] >= QUIET * best]
            print("%s: round %d, %d of %d quiet" % (name, len(done), len(quiet), rounds), file=sys.stderr)
        if len(quiet) < rounds:
            print("%s: the machine was not quiet; all rounds count" % name, file=sys.stderr)
        for notes in quiet if len(quiet) >= rounds else done:
            self.keep(notes)

    def write(self):
        command = "bench/peers/train.py " + shlex.join(a for a in self.args.said)
        for (bench, what, who), v in self.rates.items():
            key = (bench, what, who)
            line = {"bench": bench, "what": what, "who": who, "unit": "GFLOP/s", "better": "higher", **figures(v)}
            if key in self.limits:
                line["limit"] = round(statistics.median(self.limits[key]), 2)
                line["limit_name"] = self.extra[key]["limit_name"]
                line["fraction"] = round(statistics.median(a / b for a, b in zip(v, self.limits[key])), 4)
            if "flops_per_token" in self.extra[key]:
                line["tokens_per_s"] = round(line["value"] * 1e9 / self.extra[key]["flops_per_token"], 1)
            line.update(machine=self.machine, date=now(), run=self.started, command=command.strip())
            write(line, self.args.out)
        self.rates.clear()
        self.limits.clear()

    def close(self):
        for w in self.workers.values():
            w.close()
        self.workers.clear()


def peaks(notes):
    """The lowest and the highest figure of a round for the unit that dokja is measured against."""
    name = next(limit[1] for (_, _, who), _, limit, _ in notes if who == "dokja")
    v = [rate for (_, what, who), rate, _, _ in notes if who == "machine" and what in name]
    v += [limit[0] for (_, _, who), _, limit, _ in notes if who == "dokja"]
    return min(v), max(v)


def shape_of(text):
    if text in SHAPES:
        return SHAPES[text]
    numbers = tuple(int(x) for x in text.split(","))
    if len(numbers) != 4:
        raise argparse.ArgumentTypeError("a shape is d12, d4 or DEPTH,VOCAB,SEQUENCE,BATCH, not " + text)
    return numbers + (2,)


def options():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--dokja", default=os.path.join(HERE, "../../build/release-gcc/dokja"), help="the program")
    p.add_argument("--only", action="append", choices=["gemm", "train"], help="one subject; may be repeated")
    p.add_argument("--shape", action="append", type=shape_of, metavar="d12|d4|DEPTH,VOCAB,SEQ,BATCH",
                   help="what is trained (default d12 and d4)")
    p.add_argument("--size", action="append", type=int, help="of matrix products (default 2048 and 4096)")
    p.add_argument("--modes", help="of PyTorch, comma between (default %s and %s)" % (",".join(MODES),
                                                                                       ",".join(PRODUCTS)))
    p.add_argument("--llmc", metavar="FOLDER", help="a checkout of llm.c, to train with it too")
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--steps", type=int, help="timed steps of each in a round (default 1 for d12, 3 for d4)")
    p.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    p.add_argument("--out", metavar="FILE.jsonl", help="append the lines to FILE")
    p.add_argument("--under", metavar="COMMAND", help="runs each round under COMMAND, such as `flock FILE`")
    p.add_argument("--warm-under", metavar="COMMAND", help="the same for compiling and warming up")
    p.add_argument("--worker", type=int, help=argparse.SUPPRESS)
    a = p.parse_args()
    a.said = said(sys.argv[1:])
    return a


def said(argv):
    """The options that say what was measured, for the record."""
    out, skip = [], False
    for word in argv:
        if skip:
            skip = False
        elif word == "--llmc" or word.startswith("--llmc="):
            out += ["--llmc", "FOLDER"]
            skip = word == "--llmc"
        elif word in ("--under", "--warm-under", "--dokja", "--out"):
            skip = True
        elif not word.startswith(("--under=", "--warm-under=", "--dokja=", "--out=")):
            out.append(word)
    return out


def main():
    a = options()
    if a.worker:
        return worker(a.worker)
    run = Run(a)
    subjects = a.only or ["gemm", "train"]
    chosen = a.modes.split(",") if a.modes else MODES + PRODUCTS
    products = [m for m in chosen if "gemm" in m]
    modes = [m for m in chosen if "gemm" not in m]
    if a.llmc and "llmc" not in modes:
        modes.append("llmc")
    for m in chosen:
        if m.removeprefix("stock-") not in MODES + PRODUCTS + ["llmc"] * bool(a.llmc):
            sys.exit("train.py: --modes has %s; there are %s, each also as stock-…" % (m, ", ".join(MODES + PRODUCTS)))
    if "gemm" in subjects:
        for size in a.size or [2048, 4096]:
            run.measure("gemm %d" % size, a.rounds, run.gemm_round, size, products, 0, {"size": size})
        run.write()
        run.close()
    if "train" in subjects:
        for *shape, steps in a.shape or [SHAPES["d12"], SHAPES["d4"]]:
            run.measure("train d%d" % shape[0], a.rounds, run.train_round, shape, modes, a.steps or steps,
                        {"shape": shape})
            run.write()
            run.close()


if __name__ == "__main__":
    main()
