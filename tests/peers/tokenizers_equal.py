#!/usr/bin/env python3
"""Ids of `dokja tokenizer` against Hugging Face `tokenizers`, in both directions.

  tokenizers_equal.py DOKJA [--data DIR] [--lines N] [--full] [--only CONFIGURATION]

1. A tokenizer trained by dokja, read by `tokenizers`.  2. Tokenizers of several configurations trained or
written by `tokenizers`, read by dokja.  Texts: everything under the data folder (pretrain, sft, eval, raw) and
adversarial lines.  Each text must give the same ids, and decode to its normal form byte for byte.  --full takes all
texts, every character and every configuration (an hour); without it a sample of each (a minute or two).
Exit 0: all identical."""

import argparse
import gzip
import io
import json
import os
import random
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time

try:
    from tokenizers import (
        AddedToken,
        Regex,
        Tokenizer,
        decoders,
        models,
        normalizers,
        pre_tokenizers,
        processors,
        trainers,
    )
except ImportError as why:
    print(f"skipped: {why}")
    sys.exit(77)
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import tokenizers_lines as adversary

CL100K = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN = CL100K.replace(r"\p{N}{1,3}", r"\p{N}")
O200K = "|".join(
    [
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
        r"\p{N}{1,3}",
        r" ?[^\s\p{L}\p{N}]+[\r\n/]*",
        r"\s*[\r\n]+",
        r"\s+(?!\S)",
        r"\s+",
    ]
)
POSSESSIVE = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+"
    r"| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s"
)
WORDY = r"\w+|\d+|\h+|[^\w\s]+|\s+"


def dec(path):
    if path.endswith(".zst"):
        return subprocess.run(["zstd", "-dc", path], stdout=subprocess.PIPE, check=True).stdout
    data = open(path, "rb").read()
    return gzip.decompress(data) if path.endswith(".gz") else data


def texts_of(path):
    name = path.removesuffix(".zst").removesuffix(".gz")
    data = dec(path)
    if name.endswith(".tar"):
        tar = tarfile.open(fileobj=io.BytesIO(data))
        for m in tar:
            if m.isfile():
                yield tar.extractfile(m).read().decode("utf-8", "ignore")
        return
    text = data.decode("utf-8", "ignore")
    if name.endswith(".jsonl"):
        for line in text.split("\n"):
            if not line:
                continue
            d = json.loads(line)
            if isinstance(d, dict) and isinstance(d.get("text"), str):
                yield d["text"]
            elif isinstance(d, dict) and "messages" in d:
                yield "\n".join(m["content"] for m in d["messages"])
            else:
                yield line
    else:
        yield text


def data_texts(root):
    for part in ("pretrain", "sft", "eval", "raw"):
        for folder, _, files in sorted(os.walk(os.path.join(root, part))):
            for f in sorted(files):
                yield part + "/" + f, texts_of(os.path.join(folder, f))


class Dokja:
    """Texts go as JSON strings, one a line, so that they may hold newlines."""

    def __init__(self, binary, folder):
        self.binary, self.folder = binary, folder

    def run(self, command, lines, special):
        with tempfile.NamedTemporaryFile("w", encoding="ascii") as f:
            for x in lines:
                f.write(json.dumps(x) + "\n")
            f.flush()
            cmd = [self.binary, "tokenizer", command, "--tokenizer", self.folder, "--in", f.name, "--json"]
            cmd += ["--strings"] if command == "encode" else []
            cmd += ["--special"] if special else []
            out = subprocess.run(cmd, stdout=subprocess.PIPE, check=True).stdout
        return [json.loads(x) for x in out.split(b"\n")[:-1]]

    def encode(self, texts, special=False):
        return self.run("encode", texts, special)

    def decode(self, ids, special=False):
        return self.run("decode", ids, special)


class Score:
    def __init__(self):
        self.texts = self.tokens = self.bytes = self.bad = 0

    def compare(self, name, hf, dk, texts, norm, roundtrip=True, special=False):
        for at in range(0, len(texts), 2000):
            part = texts[at : at + 2000]
            mine = dk.encode(part, special)
            hf.encode_special_tokens = not special
            theirs = [x.ids for x in hf.encode_batch_fast(part, add_special_tokens=False)]
            assert len(mine) == len(theirs) == len(part), (len(mine), len(theirs), len(part))
            back = dk.decode(mine, special) if roundtrip else None
            for i, t in enumerate(part):
                self.texts += 1
                self.tokens += len(theirs[i])
                self.bytes += len(t.encode())
                if mine[i] != theirs[i]:
                    self.fail(name, "ids", t, mine[i], theirs[i], hf)
                elif back is not None and back[i] != (norm.normalize_str(t) if norm else t):
                    self.fail(name, "round trip", t, back[i][:80], "", hf)

    def fail(self, name, what, text, mine, theirs, hf):
        self.bad += 1
        if self.bad > 12:
            return
        k = 0
        if what == "ids":
            while k < min(len(mine), len(theirs)) and mine[k] == theirs[k]:
                k += 1
            print(
                f"DIFFERENT {name} {what}: at token {k} of {len(theirs)}: here {mine[k:k+6]} there {theirs[k:k+6]} "
                f"{[hf.id_to_token(x) for x in theirs[k:k+4]]} text {ascii(text[:100])}"
            )
        else:
            print(f"DIFFERENT {name} {what}: {mine!r} text {ascii(text[:100])}")


def split(pattern, behavior="isolated", invert=False):
    return pre_tokenizers.Split(Regex(pattern), behavior, invert)


def byte_level(**k):
    return pre_tokenizers.ByteLevel(**{"add_prefix_space": False, "use_regex": False, **k})


def configurations():
    """name, normalizer, pre-tokenizer, options"""
    seq = pre_tokenizers.Sequence
    nfc = normalizers.NFC()
    yield "gpt2", None, pre_tokenizers.ByteLevel(add_prefix_space=False), {}
    yield "gpt2-prefix", nfc, pre_tokenizers.ByteLevel(add_prefix_space=True), {"roundtrip": False}
    yield "cl100k", None, seq([split(CL100K), byte_level()]), {"ignore_merges": True}
    yield "qwen", nfc, seq([split(QWEN), byte_level()]), {}
    yield "o200k", nfc, seq([split(O200K), byte_level()]), {}
    yield "possessive", None, seq([split(POSSESSIVE), byte_level()]), {}
    yield "wordy", normalizers.Sequence([nfc, nfc]), seq([split(WORDY), byte_level()]), {}
    yield "digits", nfc, seq(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    ), {}
    yield "digits-runs", nfc, seq(
        [pre_tokenizers.Digits(individual_digits=False), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    ), {}
    yield "deepseek", None, seq(
        [
            split(r"\p{N}{1,3}"),
            split(r"[一-龥぀-ゟ゠-ヿ]+"),
            split(
                r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|"
                r"[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*"
                r"|\s*[\r\n]+|\s+(?!\S)|\s+"
            ),
            byte_level(),
        ]
    ), {}
    yield "youtu", nfc, seq(
        [split(r"[가-힣ㄱ-ㆎ]+|[!…“”‘’—:;,.、-〿︰-﹏]+|[ㄅ-ㄯ]+|[一-龥぀-ゟ゠-ヿ]+"), split(O200K), byte_level()]
    ), {}
    yield "han-script", nfc, seq([split(r"\p{Han}+|[\p{Hiragana}\p{Katakana}]+"), split(CL100K), byte_level()]), {}
    yield "removed", nfc, seq([split(r"\s+", "removed"), byte_level()]), {"roundtrip": False}
    yield "merged", nfc, seq(
        [split(r"\s", "merged_with_next"), split(r"[.,!?]", "merged_with_previous"), byte_level()]
    ), {}
    yield "contiguous", nfc, seq(
        [split(r"\p{P}", "contiguous"), split(r"\p{L}+", "isolated", True), byte_level()]
    ), {}
    yield "string", nfc, seq([pre_tokenizers.Split(" ", "merged_with_next"), byte_level()]), {}
    yield "no-alphabet", nfc, seq([split(CL100K), byte_level()]), {"alphabet": False, "roundtrip": False}
    yield "unknown", nfc, seq([split(CL100K), byte_level()]), {
        "alphabet": False,
        "unk": "<unk>",
        "roundtrip": False,
    }
    yield "unknown-fused", nfc, seq([split(CL100K), byte_level()]), {
        "alphabet": False,
        "unk": "<unk>",
        "fuse": True,
        "roundtrip": False,
    }


ADDED = ("ㅋㅋ", "HTTP", "각", "e\u0301", "韓", "99", "<mask>", "[SEP]", "<|end")


def train_hf(norm, pre, opts, texts, vocab):
    model = models.BPE(
        unk_token=opts.get("unk"), fuse_unk=opts.get("fuse", False), ignore_merges=opts.get("ignore_merges", False)
    )
    t = Tokenizer(model)
    if norm:
        t.normalizer = norm
    t.pre_tokenizer = pre
    t.decoder = decoders.ByteLevel()
    t.post_processor = processors.ByteLevel(trim_offsets=False)
    special = ["<|endoftext|>", "<|end|>"] + ([opts["unk"]] if "unk" in opts else [])
    t.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=vocab,
            special_tokens=special,
            show_progress=False,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet() if opts.get("alphabet", True) else [],
        ),
    )
    t.add_tokens(
        [
            AddedToken("ㅋㅋ", normalized=True),
            AddedToken("HTTP", normalized=False, single_word=True),
            AddedToken("각", normalized=True),
            AddedToken("e\u0301", normalized=False),
            AddedToken("韓", lstrip=True, rstrip=True),
            AddedToken("韓글", rstrip=True),
            AddedToken("99", single_word=True),
        ]
    )
    t.add_special_tokens([AddedToken("<mask>", lstrip=True), AddedToken("[SEP]", rstrip=True)])
    return t


def pairs_tokenizer(norm, pre):
    """Every pair of bytes is a token, merged in a shuffled order: wherever two pieces part, the ids show it."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    pairs = [(x, y) for x in alphabet for y in alphabet]
    random.Random(5).shuffle(pairs)
    vocab = {c: i for i, c in enumerate(alphabet)}
    for x, y in pairs:
        vocab[x + y] = len(vocab)
    t = Tokenizer(models.BPE(vocab=vocab, merges=pairs))
    if norm:
        t.normalizer = norm
    t.pre_tokenizer = pre
    t.decoder = decoders.ByteLevel()
    return t


BRIEF = ("ours", "gpt2", "cl100k", "qwen", "deepseek", "unknown-fused")


class Run:
    def __init__(self, a):
        self.a, self.start, self.score = a, time.time(), Score()
        self.lines = list(adversary.lines(a.lines))
        self.some = self.lines if a.full else self.lines[:2000]
        chars = list(adversary.every_char())
        self.chars = chars if a.full else chars[::61]
        self.few_chars = chars[::7] if a.full else chars[::1009]
        self.long = list(adversary.long_lines())
        self.work = tempfile.mkdtemp(prefix="dokja-tok-")
        self.have_data = os.path.isdir(a.data)
        if not self.have_data:
            print(f"{a.data} is absent: adversarial lines only")
        self.sample = []
        if self.have_data:
            for name in ("ko_prose_misc", "en_docs_misc", "ko_docs_community"):
                self.sample += list(texts_of(os.path.join(a.data, "pretrain", name + ".jsonl.zst")))[::12]

    def thin(self, texts, step):
        return texts if self.a.full or len(texts) <= step else texts[::step]

    def wanted(self, name):
        return self.a.only in (name, "") and (self.a.full or self.a.only or name in BRIEF)

    def done(self, name, before):
        bad, texts = before
        seconds = time.time() - self.start
        print(
            f"{name}: {self.score.texts - texts} texts, {self.score.bad - bad} different, {seconds:.0f} s",
            flush=True,
        )

    def so_far(self):
        return self.score.bad, self.score.texts

    def folder(self, name):
        path = os.path.join(self.work, name)
        os.mkdir(path)
        return path

    def ours(self):
        train = os.path.join(self.work, "train.jsonl")
        with open(train, "w", encoding="ascii") as f:
            for t in self.sample + self.lines[:3000]:
                f.write(json.dumps({"text": t}) + "\n")
        folder = os.path.join(self.work, "ours")
        subprocess.run(
            [
                self.a.dokja,
                "tokenizer",
                "train",
                "--in",
                train,
                "--vocab",
                "12000" if self.have_data else "1500",
                "--out",
                folder,
            ],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        return Tokenizer.from_file(os.path.join(folder, "tokenizer.json")), Dokja(self.a.dokja, folder)

    def compare_ours(self, hf, dk):
        before, norm, s = self.so_far(), normalizers.NFC(), self.score
        s.compare("ours/lines", hf, dk, self.lines, norm)
        s.compare("ours/special", hf, dk, self.some, norm, special=True)
        s.compare("ours/long", hf, dk, self.long, norm)
        s.compare("ours/every-char", hf, dk, self.chars, norm)
        for name, texts in data_texts(self.a.data) if self.have_data else ():
            s.compare("ours/" + name, hf, dk, self.thin(list(texts), 60), norm)
        self.done("ours", before)

    def compare_theirs(self, name, norm, pre, opts):
        before, s = self.so_far(), self.score
        t = train_hf(norm, pre, opts, self.sample[::3] + self.lines[:1000], 6000 if self.have_data else 900)
        folder = self.folder(name)
        path = os.path.join(folder, "tokenizer.json")
        t.save(path)
        if name in ("gpt2", "qwen"):  # merges as strings, as older versions wrote them
            d = json.load(open(path))
            d["model"]["merges"] = [" ".join(m) for m in d["model"]["merges"]]
            json.dump(d, open(path, "w"))
        hf, dk = Tokenizer.from_file(path), Dokja(self.a.dokja, folder)
        back = opts.get("roundtrip", True)
        s.compare(name + "/lines", hf, dk, self.some, norm, False)
        s.compare(name + "/special", hf, dk, self.some[:4000], norm, False, special=True)
        s.compare(name + "/every-char", hf, dk, self.few_chars, norm, False)
        s.compare(name + "/long", hf, dk, self.long if self.a.full else self.long[:4], norm, False)
        # Added tokens decode as themselves, stripped space and all: only text without them comes back.
        plain = [t for t in self.sample[::40] if not any(x in t for x in ADDED)]
        s.compare(name + "/back", hf, dk, plain, norm, back)
        for n, texts in data_texts(self.a.data) if self.have_data and self.a.full else ():
            texts = list(texts)
            s.compare(name + "/" + n, hf, dk, texts[::11] if len(texts) > 11 else texts, norm, False)
        self.done(name, before)

    def compare_pairs(self, name, norm, pre):
        before, s = self.so_far(), self.score
        folder = self.folder("pairs-" + name)
        hf, dk = pairs_tokenizer(norm, pre), Dokja(self.a.dokja, folder)
        hf.save(os.path.join(folder, "tokenizer.json"))
        s.compare("pairs-" + name + "/lines", hf, dk, self.some, norm, False)
        s.compare(
            "pairs-" + name + "/every-char", hf, dk, self.chars if self.a.full else self.few_chars, norm, False
        )
        s.compare("pairs-" + name + "/long", hf, dk, self.long[:6], norm, False)
        s.compare("pairs-" + name + "/text", hf, dk, self.thin(self.sample, 40), norm, False)
        self.done("pairs-" + name, before)


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("dokja")
    ap.add_argument(
        "--data",
        default=os.environ.get("DOKJA_DATA")
        or os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../../shared/data"),
    )
    ap.add_argument("--lines", type=int, default=10000)
    ap.add_argument("--full", action="store_true")
    ap.add_argument("--only", default="")
    run = Run(ap.parse_args())
    hf, dk = run.ours()
    if run.wanted("ours"):
        run.compare_ours(hf, dk)
    for name, norm, pre, opts in configurations():
        if run.wanted(name):
            run.compare_theirs(name, norm, pre, opts)
    shapes = [("ours", normalizers.NFC(), hf.pre_tokenizer)]
    shapes += [(name, norm, pre) for name, norm, pre, opts in configurations() if opts.get("alphabet", True)]
    for shape in shapes:
        if run.wanted(shape[0]):
            run.compare_pairs(*shape)
    s = run.score
    print(f"{s.texts} texts, {s.bytes/1e6:.1f} MB, {s.tokens} tokens, {s.bad} different")
    shutil.rmtree(run.work)
    sys.exit(1 if s.bad else 0)


if __name__ == "__main__":
    main()
