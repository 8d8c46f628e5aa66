"""Runs the rows of a table through `dokja pretrain`, some at a time; one thread watches them all.

    OUT/sweep.lock           held by the sweep and, inherited, by its runs
    OUT/results.jsonl .tsv   one line a finished run          OUT/sweep.svg .ko.svg .html
    OUT/NAME/settings.json config.json log run/               run/ is the run folder of pretrain

A row is finished when results.jsonl has its name.  Killed anywhere, the same call goes on: finished rows stay, an
unfinished one goes on in its own run folder."""

import ctypes
import errno
import fcntl
import json
import os
import selectors
import shutil
import signal
import subprocess
import sys
import time

from . import page
from .results import collect, read_json, read_results, replace, write_results
from .table import Refused, command, has_shape, model_config, number, per_token, tokenizer_size

LEFT_AFTER = ("config.json", "run.json", "metrics.jsonl")
PR_SET_PDEATHSIG = 1


def human(seconds):
    s = int(seconds + 0.5)
    if s < 60:
        return f"{s}s"
    return f"{s // 60}m {s % 60:02d}s" if s < 3600 else f"{s // 3600}h {s % 3600 // 60:02d}m"


def die_with_parent(parent):
    """In the child: when the sweep is killed, the run saves and stops."""
    def setup():
        try:
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        except (OSError, AttributeError):
            return
        if os.getppid() != parent:
            os._exit(1)
    return setup


def lock(folder, say):
    """The folder's lock, held until the process ends.  A killed sweep's runs may hold it a little longer."""
    path = os.path.join(folder, "sweep.lock")
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    told = False
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except OSError as e:
            if e.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                raise
        holder = os.pread(fd, 32, 0).decode("ascii", "replace").strip()
        if not holder.isdigit() or alive(int(holder)):
            raise Refused(f"{path}: another sweep (process {holder or 'unknown'}) works in this folder")
        if not told:
            say(f"waiting: runs of the killed sweep (process {holder}) are still ending")
        told = True
        time.sleep(0.1)
    os.ftruncate(fd, 0)
    os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
    return fd


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def differing(old, new):
    for k in dict.fromkeys([*old, *new]):
        if old.get(k) != new.get(k):
            return k, old.get(k, "nothing"), new.get(k, "nothing")
    return None


class Run:
    """A row at work."""

    def __init__(self, name, settings, folder, slot):
        self.name, self.settings, self.folder, self.slot = name, settings, folder, slot
        self.run = os.path.join(folder, "run")
        self.resumed = os.path.exists(os.path.join(self.run, "state", "state.safetensors"))
        self.step = self.first = self.steps = 0
        self.cost, self.text, self.done, self.loss, self.quarter = None, b"", None, None, 0
        self.proc = None

    def plan(self):
        """Length and cost, once pretrain has written them down."""
        try:
            run, config = read_json(os.path.join(self.run, "run.json")), read_json(
                os.path.join(self.run, "config.json"))
            self.steps = run["steps"]
            self.cost = run["steps"] * run["batch_tokens"] * per_token(config, run)
        except (OSError, ValueError, KeyError):
            pass

    def take(self, data):
        """Lines of pretrain --json; returns the quarter of the run reached since the last call, or None."""
        *lines, self.text = (self.text + data).split(b"\n")
        for line in lines:
            try:
                m = json.loads(line)
            except ValueError:
                continue
            if m.get("done"):
                self.done = m
            elif "loss" in m:
                if not self.steps:
                    self.plan()
                    self.first, self.quarter = m["step"] - 1, 4 * m["step"] // max(1, self.steps)
                self.step, self.loss = m["step"], m["loss"]
        q = 4 * self.step // self.steps if self.steps else 0
        if q > self.quarter:
            self.quarter = q
            return q if q < 4 else None
        return None

    def why(self):
        """The last sentence it said."""
        try:
            with open(os.path.join(self.folder, "log"), "rb") as f:
                f.seek(max(0, os.fstat(f.fileno()).st_size - 4096))
                lines = f.read().decode("utf-8", "replace").replace("\r", "\n").split("\n")
            return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")
        except OSError as e:
            return str(e)


class Sweep:
    def __init__(self, rows, options, o, say):
        self.rows, self.options, self.o, self.say = rows, options, o, say
        self.failed, self.live, self.stopping, self.spent, self.began = {}, {}, 0, 0.0, time.time()
        os.makedirs(o.out, exist_ok=True)
        self.lock = lock(o.out, say)
        self.results = read_results(os.path.join(o.out, "results.jsonl"))
        self.select = selectors.DefaultSelector()
        self.check_old()

    def folder(self, name):
        return os.path.join(self.o.out, name)

    def check_old(self):
        """What is finished or begun was so with the settings the table has now."""
        for name, settings in self.rows:
            state, old = "finished", self.results.get(name, {}).get("settings")
            path = os.path.join(self.folder(name), "settings.json")
            if old is None and os.path.exists(path):
                state, old = "begun", read_json(path)
            d = differing(old, settings) if old is not None else None
            if d:
                raise Refused(f"run {name} is {state} with {d[0]} {d[1]}, and the table says {d[2]}; "
                              f"give the new run a new name")

    # ---- one run ----

    def start(self, name, settings, slot):
        r = Run(name, settings, self.folder(name), slot)
        os.makedirs(r.folder, exist_ok=True)
        config = os.path.join(r.folder, "config.json")
        if has_shape(settings):
            vocab = tokenizer_size(settings["tokenizer"])
            replace(config, json.dumps(model_config(settings, vocab, name), indent=2) + "\n")
        replace(os.path.join(r.folder, "settings.json"), json.dumps(settings, ensure_ascii=False, indent=2) + "\n")
        threads = max(1, self.o.threads // self.o.jobs + (slot < self.o.threads % self.o.jobs))
        args = command(self.o.dokja, settings, self.options, r.run, config, threads)
        if self.o.nice:
            args = ["nice", "-n", str(self.o.nice), *args]
        with open(os.path.join(r.folder, "log"), "ab") as log:
            log.write(("$ " + " ".join(args) + "\n").encode())
            log.flush()
            r.proc = subprocess.Popen(args, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log,
                                      pass_fds=(self.lock,), start_new_session=True,
                                      preexec_fn=die_with_parent(os.getpid()))
        os.set_blocking(r.proc.stdout.fileno(), False)
        self.select.register(r.proc.stdout, selectors.EVENT_READ, r)
        self.live[slot] = r
        if self.stopping:
            r.proc.send_signal(signal.SIGINT)
        self.say(f"{'going on' if r.resumed else 'start'} {name}, {threads} thread{'s' * (threads > 1)}")

    def ended(self, r):
        self.select.unregister(r.proc.stdout)
        r.proc.stdout.close()
        rc = r.proc.wait()
        del self.live[r.slot]
        if r.steps:
            self.spent += r.cost * (r.step - r.first) / r.steps
        if rc == 0 and r.done:
            try:
                self.finish(r)
                return
            except (OSError, ValueError, KeyError) as e:
                why = f"{r.run}: {e}"
        elif self.stopping:
            self.say(f"stopped {r.name} at step {r.step} of {r.steps or '?'}")
            return
        else:
            why = f"killed by signal {-rc}" if rc < 0 else r.why()
        self.failed[r.name] = why
        self.say(f"FAILED {r.name}: {why}")

    def finish(self, r):
        result = collect(r.name, r.settings, r.run, r.done, r.resumed)
        result["kept"] = self.o.keep
        self.results[r.name] = result
        write_results(self.o.out, self.results)
        self.tidy(r.name)
        self.draw()
        if self.o.json:
            print(json.dumps(result, ensure_ascii=False), flush=True)
        self.say(f"done {r.name}: {result['heldout_bits_per_byte']:.4f} bits per byte, {result['flops']:.3g} FLOPs, "
                 f"{human(result['seconds'])}{self.left()}")

    def tidy(self, name):
        """Of a run that is not kept, only its description and its curve remain."""
        folder = os.path.join(self.folder(name), "run")
        if self.results[name].get("kept") or not os.path.isdir(folder):
            return
        for f in os.listdir(folder):
            path = os.path.join(folder, f)
            if f in LEFT_AFTER:
                continue
            if os.path.isdir(path) and not os.path.islink(path):
                shutil.rmtree(path)
            else:
                os.unlink(path)

    def draw(self):
        try:
            page.write(self.o.out, list(self.results.values()), self.failed, self.o.x, self.o.by)
        except Refused as e:
            self.say(f"not drawn: {e}")

    # ---- all of them ----

    def left(self):
        """Time left, from the FLOPs to come and the speed so far; nothing while either is unknown."""
        cost = {n: number(s.get("flops")) for n, s in self.rows}
        cost.update({r["name"]: r["flops"] for r in self.results.values()})
        cost.update({r.name: r.cost for r in self.live.values() if r.cost})
        known = [c for c in cost.values() if c]
        if not known:
            return ""
        mean, todo, spent = sum(known) / len(known), 0.0, self.spent
        over = [*self.results, *self.failed]
        live = {r.name: r for r in self.live.values()}
        for n, _ in self.rows:
            if n not in over:
                r, c = live.get(n), cost[n] or mean
                todo += c * (1 - r.step / r.steps if r and r.steps else 1)
        for r in live.values():
            spent += r.cost * (r.step - r.first) / r.steps if r.steps and r.cost else 0
        if not spent or not todo:
            return ""
        return f"; {human(todo * (time.time() - self.began) / spent)} left"

    def stop(self, *_):
        self.stopping += 1
        for r in list(self.live.values()):
            r.proc.send_signal(signal.SIGINT if self.stopping == 1 else signal.SIGKILL)
        if self.stopping == 1:
            self.say("stopping: the runs save; once more ends them at once")

    def watch(self):
        for key, _ in self.select.select(timeout=0.5):
            r = key.data
            data = os.read(r.proc.stdout.fileno(), 1 << 16)
            if not data:
                self.ended(r)
                continue
            q = r.take(data)
            if q:
                self.say(f"{r.name}: {25 * q} %, step {r.step} of {r.steps}, loss {r.loss:.3f}{self.left()}")

    def go(self):
        todo = [row for row in self.rows if row[0] not in self.results]
        had = len(self.rows) - len(todo)
        self.say(f"{len(self.rows)} runs, {had} finished, {len(todo)} to do; {self.o.jobs} at a time")
        for name in self.results:
            self.tidy(name)
        for s in (signal.SIGINT, signal.SIGTERM):
            signal.signal(s, self.stop)
        while (todo and not self.stopping) or self.live:
            for slot in range(self.o.jobs):
                if slot not in self.live and todo and not self.stopping:
                    name, settings = todo.pop(0)
                    try:
                        self.start(name, settings, slot)
                    except (Refused, OSError) as e:
                        self.failed[name] = str(e)
                        self.say(f"FAILED {name}: {e}")
            if self.live:
                self.watch()
        self.draw()
        return self.report()

    def report(self):
        self.compare_corpora()
        best = min(self.results.values(), key=lambda r: r["heldout_bits_per_byte"], default=None)
        missing = sum(n not in self.results for n, _ in self.rows)
        if best:
            self.say(f"best: {best['name']}, {best['heldout_bits_per_byte']:.4f} bits per byte; all in "
                     f"{os.path.join(self.o.out, 'results.tsv')} and {os.path.join(self.o.out, 'sweep.html')}")
        if self.stopping and missing:
            self.say(f"stopped with {missing} runs to do; the same command goes on")
        elif self.failed:
            self.say(f"{len(self.failed)} runs failed: {', '.join(self.failed)}")
        return 1 if missing else 0

    def compare_corpora(self):
        """Bits per byte of different held-out texts say nothing about each other."""
        texts = {}
        for r in self.results.values():
            key = tuple(r["run"].get(k) for k in ("corpus_root", "heldout", "eval_tokens"))
            texts.setdefault(key, []).append(r["name"])
        if len(texts) > 1:
            odd = min(texts.values(), key=len)
            self.say(f"warning: {', '.join(odd[:5])} and the other runs are held to different texts (corpus, "
                     f"heldout or eval-tokens): their bits per byte do not quite compare")


def say_to(stream=sys.stderr):
    def say(text):
        print(f"{time.strftime('%H:%M:%S')} {text}", file=stream, flush=True)
    return say
