"""A process that holds llm.c, for train.py: train_gpt2.c of a checkout, compiled as its Makefile does.

llm.c trains a GPT-2 (learned positions, GELU of four times the width) where dokja trains its own shape.  With the same
layers, width and vocabulary both have the same multiply-adds in products and attention; norms and the like differ."""
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
FLAGS = ["-Ofast", "-march=native", "-fopenmp", "-DOMP", "-Wno-unused-result"]


class LlmC:
    version = ""

    def __init__(self, checkout, threads, folder):
        self.threads, self.folder = threads, folder
        self.program = os.path.join(folder, "llmc")
        self.shape = self.process = None
        if subprocess.run(["cc", *FLAGS, "-I", checkout, os.path.join(HERE, "llmc.c"), "-o", self.program,
                           "-lm"]).returncode:
            sys.exit("train.py: --llmc %s: train_gpt2.c does not compile" % checkout)

    def start(self, shape):
        self.close()
        depth, vocab, seq, batch = self.shape = shape
        words = [depth, 64 * depth, vocab, seq, batch, os.path.join(self.folder, "llmc.weights")]
        self.process = subprocess.Popen([self.program, *map(str, words)], text=True, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, env=dict(os.environ, OMP_NUM_THREADS=str(self.threads)))
        while self.answer() != "ready":
            pass

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            sys.exit("train.py: llm.c ended (status %s)" % self.process.wait())
        return line.strip()

    def ask(self, mode, shape, runs):
        """Tokens a second of each of the steps.  A new shape takes one to warm up instead."""
        if tuple(shape) != self.shape:
            self.start(tuple(shape))
            return []
        rates = []
        for _ in range(runs):
            self.process.stdin.write("step\n")
            self.process.stdin.flush()
            rates.append(shape[2] * shape[3] / float(self.answer()))
        return rates

    def close(self):
        if self.process:
            self.process.stdin.close()
            self.process.wait()
