#!/usr/bin/env python3
"""Times text work of dokja beside the tools people use for it, alternating in one run.

    python=$(bench/peers/setup.sh)
    $python bench/peers/text.py --korean FILE… --english FILE… --out bench/results.jsonl

FILE is .jsonl, .jsonl.zst or .jsonl.gz with a field "text".  Subjects (--only):
  train    a vocabulary from the first --train-mb of the Korean text, all threads, beside `tokenizers` with the same
           split pattern, normal form, specials and size; memory is the peak of each process.  `tokenizers` takes
           minutes, so it runs --train-rounds times
  encode   the first --encode-mb of each language on one thread, beside tiktoken with dokja's ranks and pattern, and
           `tokenizers` with dokja's file; the ids must be the same.  dokja's encoder and tiktoken's are new each time
  corpus   reading, NFC, exact dedup and shards of all files as they are: text per second of CPU on one thread, and of
           wall time on all; beside .zst what unpacking and packing alone take, with the tools as they come
One JSON object a line goes to --out (appended) and to stdout: a figure is the median over rounds."""
import argparse
import hashlib
import json
import os
import resource
import shlex
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import time
import unicodedata

from lines import figures, now, write

HERE = os.path.dirname(os.path.abspath(__file__))
SUBJECTS = ["train", "encode", "corpus"]
SPECIALS = 16


# ---- processes that are measured ----

def peer_trains(path, vocab, pattern, out):
    """`tokenizers` trains on a .jsonl; the parent reads the time and this process's peak memory."""
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
    t = Tokenizer(models.BPE())
    t.normalizer = normalizers.NFC()
    t.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(pattern), "isolated"),
                                               pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    t.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=vocab, min_frequency=2, show_progress=False,
                                  special_tokens=["<s%d>" % i for i in range(SPECIALS)],
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    with open(path, encoding="utf-8") as f:
        start = time.perf_counter()
        t.train_from_iterator((json.loads(line)["text"] for line in f), trainer)
        seconds = time.perf_counter() - start
    t.save(out)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"seconds": seconds, "peak_rss_bytes": peak}))


def run_json(*command, threads=None):
    env = dict(os.environ, **({"OMP_NUM_THREADS": str(threads)} if threads else {}))
    done = subprocess.run([str(c) for c in command], env=env, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit("text.py: `%s` failed" % shlex.join(str(c) for c in command))
    return json.loads(done.stdout.splitlines()[-1])


def run_usage(*command):
    """Wall and CPU seconds, and the peak memory, of one command."""
    start = time.perf_counter()
    p = subprocess.Popen([str(c) for c in command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, use = os.wait4(p.pid, 0)
    if status:
        sys.exit("text.py: `%s` failed" % shlex.join(str(c) for c in command))
    return time.perf_counter() - start, use.ru_utime + use.ru_stime, use.ru_maxrss * 1024


# ---- text ----

def lines_of(path):
    reader = {".zst": ["zstd", "-dcq"], ".gz": ["gzip", "-dc"]}.get(os.path.splitext(path)[1])
    if reader is None:
        with open(path, encoding="utf-8") as f:
            yield from f
        return
    with subprocess.Popen(reader + [path], stdout=subprocess.PIPE, encoding="utf-8") as p:
        yield from p.stdout
        p.stdout.close()


def sample(files, megabytes, out):
    """Documents in normal form C, a share of each file, until there are so many bytes; returns them."""
    texts, total = [], 0
    for k, path in enumerate(files):
        share = (megabytes * 1e6 - total) / (len(files) - k)
        start = total
        for line in lines_of(path):
            if total - start >= share:
                break
            text = unicodedata.normalize("NFC", json.loads(line)["text"])
            if text:
                texts.append(text)
                total += len(text.encode())
    with open(out, "w", encoding="utf-8") as f:
        for text in texts:
            f.write(json.dumps({"text": text}, ensure_ascii=False) + "\n")
    return texts


def ending(path):
    """.jsonl.zst of a/b.c.jsonl.zst"""
    return path[path.rindex(".jsonl"):]


def vocabulary(folder):
    """The contents of dokja's tokens by id, its split pattern."""
    with open(os.path.join(folder, "tokenizer.json"), encoding="utf-8") as f:
        t = json.load(f)
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    byte_of = {chr(b): b for b in plain}
    byte_of.update({chr(256 + i): b for i, b in enumerate(b for b in range(256) if b not in plain)})
    specials = {a["id"] for a in t["added_tokens"]}
    ranks = {bytes(byte_of[c] for c in s): i for s, i in t["model"]["vocab"].items() if i not in specials}
    splits = t["pre_tokenizer"]["pretokenizers"]
    return ranks, next(s["pattern"]["Regex"] for s in splits if s["type"] == "Split")


def same_tokens(a, b):
    def tokens(path):
        with open(path, encoding="utf-8") as f:
            v = json.load(f)["model"]["vocab"]
        return {s for s, i in v.items() if i >= SPECIALS}
    x, y = tokens(a), tokens(b)
    return len(x & y) / max(len(x), len(y))


def ids_hash(lists):
    h = hashlib.sha256()
    for ids in lists:
        h.update(struct.pack("<%dI" % len(ids), *ids))
    return h.hexdigest()


# ---- the run ----

class Run:
    def __init__(self, args):
        self.args = args
        self.folder = tempfile.TemporaryDirectory(prefix="dokja-bench-", dir=args.tmp)
        self.figures = {}
        self.started = now()
        self.machine = machine_name()

    def at(self, name):
        return os.path.join(self.folder.name, name)

    def note(self, what, who, value, unit, better):
        self.figures.setdefault((what, who, unit, better), []).append(value)

    def train_dokja(self, text, vocab):
        return run_json(self.args.dokja, "tokenizer", "train", "--in", text, "--vocab", vocab, "--out", self.at("tok"),
                        "--threads", self.args.threads, "--json")

    def train(self):
        text, a = self.at("train.jsonl"), self.args
        sample(a.korean, a.train_mb, text)
        what = "tokenizer train, vocabulary %d, %d MB of Korean, %d threads" % (a.vocab, a.train_mb, a.threads)
        peer = "tokenizers " + version("tokenizers")
        for i in range(max(a.rounds, a.train_rounds)):
            d = self.train_dokja(text, a.vocab)
            self.note(what, "dokja", d["seconds"], "s", "lower")
            self.note(what + ", memory", "dokja", d["peak_rss_bytes"] * 1e-6, "MB", "lower")
            if i >= a.train_rounds:
                continue
            _, pattern = vocabulary(self.at("tok"))
            with open(self.at("pattern"), "w", encoding="utf-8") as f:
                f.write(pattern)
            p = run_json(sys.executable, __file__, "--peer-trains", text, a.vocab, self.at("pattern"),
                         self.at("peer.json"))
            self.note(what, peer, p["seconds"], "s", "lower")
            self.note(what + ", memory", peer, p["peak_rss_bytes"] * 1e-6, "MB", "lower")
            shared = same_tokens(self.at("tok/tokenizer.json"), self.at("peer.json"))
            print("train: %.2f %% of the tokens are the same" % (100 * shared), file=sys.stderr)

    def encode(self):
        import tiktoken
        from tokenizers import Tokenizer
        a = self.args
        both = self.at("both.jsonl")
        sample(a.korean + a.english, a.train_mb, both)
        self.train_dokja(both, a.vocab)
        ranks, pattern = vocabulary(self.at("tok"))
        hf = Tokenizer.from_file(self.at("tok/tokenizer.json"))
        for name, files in (("Korean", a.korean), ("English", a.english)):
            text = self.at(name + ".jsonl")
            texts = sample(files, a.encode_mb, text)
            size = sum(len(t.encode()) for t in texts)
            few = texts[:max(1, len(texts) // 8)]
            few_size = sum(len(t.encode()) for t in few)
            what = "encode %s, vocabulary %d, one thread" % (name, a.vocab)
            for _ in range(a.rounds):
                d = run_json(a.dokja, "bench", "encode", "--tokenizer", self.at("tok"), "--in", text, "--runs", 1,
                             "--json")
                self.note(what, "dokja", d["mb_per_s"], "MB/s", "higher")
                t = tiktoken.Encoding("dokja", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
                start = time.perf_counter()
                ids = [t.encode_ordinary(x) for x in texts]
                self.note(what, "tiktoken " + version("tiktoken"), size * 1e-6 / (time.perf_counter() - start), "MB/s",
                          "higher")
                if ids_hash(ids) != d["ids_sha256"]:
                    sys.exit("text.py: tiktoken's ids of the %s text differ" % name)
                start = time.perf_counter()
                hf_ids = [hf.encode(x, add_special_tokens=False).ids for x in few]
                self.note(what, "tokenizers " + version("tokenizers"), few_size * 1e-6 / (time.perf_counter() - start),
                          "MB/s", "higher")
                if hf_ids != ids[:len(few)]:
                    sys.exit("text.py: the ids of `tokenizers` of the %s text differ" % name)
            print("encode: %s, %.1f MB, %d ids, all the same" % (name, size * 1e-6, sum(map(len, ids))),
                  file=sys.stderr)

    def corpus(self):
        for language, files in (("Korean", self.args.korean), ("English", self.args.english)):
            if files:
                self.corpus_of("%s %s" % (language, " ".join(sorted({ending(f) for f in files}))), files)

    def corpus_of(self, name, files):
        """Beside the tools that do part of it: no JSON, normal form, hashes or duplicates."""
        a, out = self.args, self.at("corpus")
        one = "corpus build, %s, one thread, of CPU time" % name
        all_of_them = "corpus build, %s, %d threads" % (name, a.threads)
        tools = ["sh", "-c", 'zstd -dcq "$@" | zstd -1 --single-thread -q >"$0"', self.at("tools"), *files]
        for _ in range(a.rounds):
            for threads in (1, a.threads):
                shutil.rmtree(out, ignore_errors=True)
                wall, cpu, _ = run_usage(a.dokja, "corpus", "build", "--threads", threads, "--out", out, *files)
                with open(os.path.join(out, "manifest.json"), encoding="utf-8") as f:
                    size = json.load(f)["counts"]["bytes_in"] * 1e-6
                if threads == 1:
                    self.note(one, "dokja", size / cpu, "MB/s", "higher")
                else:
                    self.note(all_of_them, "dokja", size / wall, "MB/s", "higher")
            if all(f.endswith(".zst") for f in files):
                _, cpu, _ = run_usage(*tools)
                self.note(one, "zstd -dc | zstd -1, a part of it", size / cpu, "MB/s", "higher")

    def write(self):
        command = "bench/peers/text.py --only " + " --only ".join(self.args.only)
        for (what, who, unit, better), v in self.figures.items():
            write({"bench": what.split()[0], "what": what, "who": who, "unit": unit, "better": better, **figures(v),
                   "machine": self.machine, "date": now(), "run": self.started, "command": command}, self.args.out)


def version(package):
    import importlib.metadata
    return importlib.metadata.version(package)


def machine_name():
    """As `dokja bench` writes it."""
    said = {}
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        for line in f:
            key, _, value = line.partition(":")
            said.setdefault(key.strip(), value.strip())
    gib = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2 ** 30
    return "%s (family %s, model %s), %d cores, %.0f GiB" % (
        said.get("model name", "unknown processor"), said.get("cpu family", "?"), said.get("model", "?"),
        len(os.sched_getaffinity(0)), gib)


def options():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--dokja", default=os.path.join(HERE, "../../build/release-gcc/dokja"), help="the program")
    p.add_argument("--korean", nargs="+", default=[], metavar="FILE")
    p.add_argument("--english", nargs="+", default=[], metavar="FILE")
    p.add_argument("--only", action="append", choices=SUBJECTS, help="one subject; may be repeated")
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--train-rounds", type=int, default=1, help="runs of `tokenizers` training")
    p.add_argument("--train-mb", type=int, default=200)
    p.add_argument("--encode-mb", type=int, default=20)
    p.add_argument("--vocab", type=int, default=16384)
    p.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    p.add_argument("--tmp", help="folder for copies of the text (default: the system's)")
    p.add_argument("--out", metavar="FILE.jsonl", help="append the lines to FILE")
    p.add_argument("--peer-trains", nargs=4, help=argparse.SUPPRESS)
    a = p.parse_args()
    a.only = a.only or SUBJECTS
    if not a.peer_trains and (not a.korean or ("encode" in a.only and not a.english)):
        p.error("give the text: --korean FILE… and, to encode, --english FILE…")
    return a


def main():
    a = options()
    if a.peer_trains:
        text, vocab, pattern, out = a.peer_trains
        with open(pattern, encoding="utf-8") as f:
            return peer_trains(text, int(vocab), f.read(), out)
    # Set before anything of `tokenizers` starts: its encoding is timed on one thread, its training on all.
    os.environ["RAYON_NUM_THREADS"] = str(a.threads)
    run = Run(a)
    for subject in a.only:
        getattr(run, subject)()
    run.write()


if __name__ == "__main__":
    main()
