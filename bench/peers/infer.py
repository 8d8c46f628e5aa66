#!/usr/bin/env python3
"""Times reading a prompt and writing one token after the other, dokja and llama.cpp alternating in one run.

    python=$(bench/peers/setup.sh) && $python bench/peers/infer.py --out bench/results.jsonl

Both hold bf16 weights of one shape: random ones, or those of --model.  `decode` has 256 tokens in the context,
`prefill` reads a prompt of 1024 in pieces of 512.  llama.cpp's cache holds f16, as it comes: as many bytes as dokja's
bf16.  That both compute the same is another check (tests/golden/compare_llamacpp.py).

A round is `dokja bench` and llama.cpp, one after the other; a figure is the median over rounds.  One JSON object a
line goes to --out (appended) and to stdout.
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

import numpy as np

from lines import figures, now, write

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.append(os.path.join(HERE, "../../tests/golden"))
from compare_llamacpp import PIECE, Llama, gguf_of_run, write_gguf

CONTEXT, TOKENS = 256, 16
RUNS = {"decode": 9, "prefill": 5}  # as `dokja bench` takes them
PROMPT = 1024  # at most: a model may have fewer positions


def config_of_depth(path, depth, vocab):
    """Writes a config.json of the shape of `--depth N`, and returns it."""
    width = 64 * depth
    c = {"architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "hidden_size": width, "head_dim": 64,
         "num_hidden_layers": depth, "vocab_size": vocab, "intermediate_size": (8 * width // 3 + 63) // 64 * 64,
         "num_attention_heads": depth, "num_key_value_heads": depth, "hidden_act": "silu", "rms_norm_eps": 1e-6,
         "rope_theta": 1e4, "max_position_embeddings": PROMPT, "attention_bias": False, "tie_word_embeddings": True}
    with open(path, "w", encoding="utf-8") as f:
        json.dump(c, f)
    return c


def gguf_of_config(path, c):
    r = np.random.default_rng(1)
    write_gguf(path, c, lambda name, shape: r.normal(0, 0.02, shape).astype(np.float32) if len(shape) > 1
               else np.ones(shape, np.float32))


# ---- llama.cpp ----

class Timed(Llama):
    def __init__(self, path, threads, prompt):
        super().__init__(path, threads, max(prompt, CONTEXT + TOKENS))
        self.prompt = prompt

    def prefill(self, tokens):
        self.forget(0)
        start = time.perf_counter()
        self.feed(tokens, 0)
        self.logits(-1)
        return len(tokens) / (time.perf_counter() - start)

    def decode(self, tokens):
        self.forget(CONTEXT)
        start = time.perf_counter()
        for i in range(CONTEXT, CONTEXT + TOKENS):
            self.feed(tokens[i:i + 1], i)
            self.logits(-1)
        return TOKENS / (time.perf_counter() - start)

    def rate(self, what):
        """Tokens a second, the median of as many measurements as `dokja bench` makes."""
        tokens = np.random.default_rng(2).integers(0, self.vocab, self.prompt).tolist()
        self.forget(0)
        self.feed(tokens[:CONTEXT], 0)
        return statistics.median(getattr(self, what)(tokens) for _ in range(RUNS[what]))


# ---- the run ----

def ours(a, what, prompt, folder):
    """The line that `dokja bench` records."""
    record = os.path.join(folder, "line.jsonl")
    open(record, "w").close()
    model = ["-m", a.model] if a.model else ["--config", os.path.join(folder, "config.json")]
    length = ["--context", str(CONTEXT), "--tokens", str(TOKENS)] if what == "decode" else \
        ["--prompt", str(prompt), "--chunk", str(PIECE)]
    words = ["bench", what, *model, *length, "--runs", str(RUNS[what]), "--threads", str(a.threads), "--record", record]
    if subprocess.run([a.dokja, *words], stdout=subprocess.DEVNULL).returncode:
        sys.exit("infer.py: `dokja %s` failed" % shlex.join(words))
    with open(record, encoding="utf-8") as f:
        return json.load(f)


def measure(a, llama, folder, said):
    started, peer = now(), "llama.cpp bf16 (llama-cpp-python %s)" % llama.l.__version__
    for what in ("prefill", "decode"):
        lines, rates = [], {"dokja": [], peer: []}
        for i in range(a.rounds):
            lines.append(ours(a, what, llama.prompt, folder))
            rates["dokja"].append(lines[-1]["value"])
            rates[peer].append(llama.rate(what))
            print("%s: round %d, %s" % (what, i + 1, ", ".join("%s %.1f tokens/s" % (who, v[-1])
                                                               for who, v in rates.items())), file=sys.stderr)
        limits = [x["limit"] for x in lines]
        for who, v in rates.items():
            fraction = statistics.median(rate / limit for rate, limit in zip(v, limits))
            write({**lines[0], "who": who, **figures(v), "limit": round(statistics.median(limits), 2),
                   "fraction": round(fraction, 4), "date": now(), "run": started, "command": said}, a.out)


def options():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--dokja", default=os.path.join(HERE, "../../build/release-gcc/dokja"), help="the program")
    p.add_argument("--depth", type=int, default=12, help="layers of random weights (default 12)")
    p.add_argument("--vocab", type=int, default=32768)
    p.add_argument("--model", metavar="RUN", help="a run's folder instead")
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    p.add_argument("--out", metavar="FILE.jsonl", help="append the lines to FILE")
    return p.parse_args()


def main():
    a = options()
    shown = {"--depth": a.depth, "--vocab": a.vocab} if not a.model else {"--model": os.path.basename(a.model)}
    shown["--rounds"] = a.rounds
    said = "bench/peers/infer.py " + shlex.join(str(x) for pair in shown.items() for x in pair)
    with tempfile.TemporaryDirectory(prefix="dokja-bench-") as folder:
        path = os.path.join(folder, "model.gguf")
        if a.model:
            c = gguf_of_run(path, a.model)
        else:
            c = config_of_depth(os.path.join(folder, "config.json"), a.depth, a.vocab)
            gguf_of_config(path, c)
        measure(a, Timed(path, a.threads, min(PROMPT, c["max_position_embeddings"])), folder, said)


if __name__ == "__main__":
    main()
