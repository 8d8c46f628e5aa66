#!/usr/bin/env python3
"""Ids of `dokja tokenizer` against Hugging Face `tokenizers`, in both directions.

  tokenizers_equal.py DOKJA [--data DIR] [--lines N] [--quick]

1. A tokenizer trained by dokja, read by `tokenizers`.  2. Tokenizers of several configurations trained or written by
`tokenizers`, read by dokja.  Texts: everything under the data folder (pretrain, sft, eval, raw) and adversarial lines.
Each text must give the same ids, and decode to its normal form byte for byte.  Exit 0: all identical."""
import argparse
import gzip
import io
import json
import os
import random
import subprocess
import sys
import tarfile
import tempfile
import time

try:
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
except ImportError as why:
    print(f"skipped: {why}")
    sys.exit(77)
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import tokenizers_lines as adversary

CL100K = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN = CL100K.replace(r"\p{N}{1,3}", r"\p{N}")
O200K = "|".join([
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"\p{N}{1,3}", r" ?[^\s\p{L}\p{N}]+[\r\n/]*", r"\s*[\r\n]+", r"\s+(?!\S)", r"\s+"])
POSSESSIVE = r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s"
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
            part = texts[at:at + 2000]
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
            print(f"DIFFERENT {name} {what}: at token {k} of {len(theirs)}: here {mine[k:k+6]} there {theirs[k:k+6]} "
                  f"{[hf.id_to_token(x) for x in theirs[k:k+4]]} text {ascii(text[:100])}")
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
    yield "digits", nfc, seq([pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]), {}
    yield "digits-runs", nfc, seq([pre_tokenizers.Digits(individual_digits=False), pre_tokenizers.ByteLevel(add_prefix_space=False)]), {}
    yield "deepseek", None, seq([split(r"\p{N}{1,3}"), split(r"[一-龥぀-ゟ゠-ヿ]+"), split(
        r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*"
        r"|\s*[\r\n]+|\s+(?!\S)|\s+"), byte_level()]), {}
    yield "youtu", nfc, seq([split(r"[가-힣ㄱ-ㆎ]+|[!…“”‘’—:;,.、-〿︰-﹏]+|[ㄅ-ㄯ]+|[一-龥぀-ゟ゠-ヿ]+"), split(O200K), byte_level()]), {}
    yield "han-script", nfc, seq([split(r"\p{Han}+|[\p{Hiragana}\p{Katakana}]+"), split(CL100K), byte_level()]), {}
    yield "removed", nfc, seq([split(r"\s+", "removed"), byte_level()]), {"roundtrip": False}
    yield "merged", nfc, seq([split(r"\s", "merged_with_next"), split(r"[.,!?]", "merged_with_previous"), byte_level()]), {}
    yield "contiguous", nfc, seq([split(r"\p{P}", "contiguous"), split(r"\p{L}+", "isolated", True), byte_level()]), {}
    yield "string", nfc, seq([pre_tokenizers.Split(" ", "merged_with_next"), byte_level()]), {}
    yield "no-alphabet", nfc, seq([split(CL100K), byte_level()]), {"alphabet": False, "roundtrip": False}
    yield "unknown", nfc, seq([split(CL100K), byte_level()]), {"alphabet": False, "unk": "<unk>", "roundtrip": False}
    yield "unknown-fused", nfc, seq([split(CL100K), byte_level()]), {"alphabet": False, "unk": "<unk>", "fuse": True, "roundtrip": False}


def train_hf(norm, pre, opts, texts, vocab):
    model = models.BPE(unk_token=opts.get("unk"), fuse_unk=opts.get("fuse", False), ignore_merges=opts.get("ignore_merges", False))
    t = Tokenizer(model)
    if norm:
        t.normalizer = norm
    t.pre_tokenizer = pre
    t.decoder = decoders.ByteLevel()
    t.post_processor = processors.ByteLevel(trim_offsets=False)
    special = ["<|endoftext|>", "<|end|>"] + ([opts["unk"]] if "unk" in opts else [])
    t.train_from_iterator(texts, trainers.BpeTrainer(
        vocab_size=vocab, special_tokens=special, show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet() if opts.get("alphabet", True) else []))
    t.add_tokens([AddedToken("ㅋㅋ", normalized=True), AddedToken("HTTP", normalized=False, single_word=True),
                  AddedToken("각", normalized=True), AddedToken("e\u0301", normalized=False), AddedToken("韓", lstrip=True, rstrip=True),
                  AddedToken("韓글", rstrip=True), AddedToken("99", single_word=True)])
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


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("dokja")
    ap.add_argument("--data", default=os.environ.get("DOKJA_DATA", ""))
    ap.add_argument("--lines", type=int, default=12000)
    ap.add_argument("--quick", action="store_true", help="a sample of the data")
    ap.add_argument("--only", default="")
    a = ap.parse_args()
    if not a.data:
        here = os.path.dirname(os.path.abspath(__file__))
        a.data = os.path.join(here, "../../../shared/data")
    have_data = os.path.isdir(a.data)
    if not have_data:
        print(f"{a.data} is absent: adversarial lines only")
    start = time.time()
    lines = list(adversary.lines(a.lines))
    work = tempfile.mkdtemp(prefix="dokja-tok-")
    sample = []
    if have_data:
        for name in ("pretrain/ko_prose_misc.jsonl.zst", "pretrain/en_docs_misc.jsonl.zst", "pretrain/ko_docs_community.jsonl.zst"):
            sample += [t for i, t in enumerate(texts_of(os.path.join(a.data, name))) if i % 12 == 0]
    sample += lines[:3000]
    with open(os.path.join(work, "train.jsonl"), "w") as f:
        for t in sample:
            f.write(json.dumps({"text": t}) + "\n")
    score = Score()

    ours = os.path.join(work, "ours")
    subprocess.run([a.dokja, "tokenizer", "train", "--in", os.path.join(work, "train.jsonl"), "--vocab", "12000" if have_data else "1500", "--out", ours],
                   check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    hf = Tokenizer.from_file(os.path.join(ours, "tokenizer.json"))
    hf_ours, dk = hf, Dokja(a.dokja, ours)
    norm = normalizers.NFC()
    if not a.only or a.only == "ours":
        score.compare("ours/lines", hf, dk, lines, norm)
        score.compare("ours/special", hf, dk, lines, norm, special=True)
        score.compare("ours/long", hf, dk, list(adversary.long_lines()), norm)
        chars = list(adversary.every_char())
        score.compare("ours/every-char", hf, dk, chars[::37] if a.quick else chars, norm)
        if have_data:
            for name, texts in data_texts(a.data):
                texts = list(texts)
                score.compare("ours/" + name, hf, dk, texts[::20] if a.quick and len(texts) > 20 else texts, norm)
        print(f"ours read there: {score.texts} texts, {score.bytes/1e6:.1f} MB, {score.tokens} tokens, {score.bad} different, {time.time()-start:.0f} s", flush=True)
    for name, norm, pre, opts in configurations():
        if a.only and a.only != name:
            continue
        before = score.bad, score.texts
        t = train_hf(norm, pre, opts, sample[::3], 6000 if have_data else 900)
        folder = os.path.join(work, name)
        os.mkdir(folder)
        path = os.path.join(folder, "tokenizer.json")
        t.save(path)
        if name in ("gpt2", "qwen"): # merges as strings, as older versions wrote them
            d = json.load(open(path))
            d["model"]["merges"] = [" ".join(m) for m in d["model"]["merges"]]
            json.dump(d, open(path, "w"))
        hf, dk = Tokenizer.from_file(path), Dokja(a.dokja, folder)
        rt = opts.get("roundtrip", True)
        score.compare(name + "/lines", hf, dk, lines, norm, False)
        score.compare(name + "/special", hf, dk, lines[:4000], norm, False, special=True)
        chars = list(adversary.every_char())
        score.compare(name + "/every-char", hf, dk, chars[::173] if a.quick else chars[::7], norm, False)
        score.compare(name + "/long", hf, dk, list(adversary.long_lines())[:6] if a.quick else list(adversary.long_lines()), norm, False)
        if have_data:
            score.compare(name + "/text", hf, dk, sample[:-3000], norm, False)
            for k, (n, texts) in enumerate(data_texts(a.data)):
                if n.startswith("eval") or n.startswith("raw") or not a.quick:
                    texts = list(texts)
                    score.compare(name + "/" + n, hf, dk, texts[::11] if len(texts) > 11 else texts, norm, False)
        print(f"{name}: {score.texts - before[1]} texts, {score.bad - before[0]} different, {time.time()-start:.0f} s", flush=True)
    shapes = [("ours", normalizers.NFC(), hf_ours.pre_tokenizer)]
    shapes += [(name, norm, pre) for name, norm, pre, opts in configurations() if opts.get("alphabet", True)]
    for name, norm, pre in shapes:
        if a.only and a.only not in (name, "pairs"):
            continue
        before = score.bad, score.texts
        folder = os.path.join(work, "pairs-" + name)
        os.mkdir(folder)
        hf, dk = pairs_tokenizer(norm, pre), Dokja(a.dokja, folder)
        hf.save(os.path.join(folder, "tokenizer.json"))
        score.compare("pairs-" + name + "/lines", hf, dk, lines, norm, False)
        chars = list(adversary.every_char())
        score.compare("pairs-" + name + "/every-char", hf, dk, chars[::7] if a.quick else chars, norm, False)
        score.compare("pairs-" + name + "/long", hf, dk, list(adversary.long_lines())[:6], norm, False)
        score.compare("pairs-" + name + "/text", hf, dk, sample[:-3000][::3], norm, False)
        print(f"pairs-{name}: {score.texts - before[1]} texts, {score.bad - before[0]} different, {time.time()-start:.0f} s", flush=True)
    print(f"{score.texts} texts, {score.bytes/1e6:.1f} MB, {score.tokens} tokens, {score.bad} different")
    sys.exit(1 if score.bad else 0)


if __name__ == "__main__":
    main()
