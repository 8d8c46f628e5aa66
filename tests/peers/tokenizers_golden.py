#!/usr/bin/env python3
"""Writes tests/golden/tokenizer_*.json: small tokenizers made by Hugging Face `tokenizers` and the ids it gives, so
that the plain test suite compares with an independent source without installing it."""

import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import tokenizers_equal as equal
import tokenizers_lines as adversary
from tokenizers import Tokenizer

folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "golden")
lines = list(adversary.lines(1500, seed=11))
for name, norm, pre, opts in equal.configurations():
    if name not in ("gpt2", "qwen", "o200k", "wordy", "merged", "unknown"):
        continue
    t = equal.train_hf(norm, pre, opts, lines, 520)
    texts = [x for x in adversary.lines(400, seed=12) if len(x) < 100][:150]
    texts += [
        "<|end|>a<|endoftext|> <mask> 韓글 99 a99 ㅋㅋㅋ HTTP xHTTP 각\u1100\u1161\u11a8 e\u0301 [SEP]  b",
        "",
    ]
    doc = json.loads(t.to_str())
    if name == "gpt2":
        doc["model"]["merges"] = [" ".join(m) for m in doc["model"]["merges"]]
    t = Tokenizer.from_str(json.dumps(doc))
    rows = []
    for x in texts:
        t.encode_special_tokens = True
        ids = t.encode(x, add_special_tokens=False).ids
        t.encode_special_tokens = False
        rows.append({"text": x, "ids": ids, "special": t.encode(x, add_special_tokens=False).ids})
    with open(os.path.join(folder, f"tokenizer_{name}.json"), "w", encoding="ascii") as f:
        f.write('{"tokenizer": ' + json.dumps(doc, separators=(",", ":")) + ',\n"rows": [\n')
        f.write(",\n".join(json.dumps(r, separators=(",", ":")) for r in rows) + "\n]}\n")
