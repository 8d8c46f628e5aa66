#!/usr/bin/env python3
"""lineage_gguf.py DOKJA FOLDER [MODEL OTHER]: GGUF copies (BF16, Q8_0, Q4_0, written by the `gguf` package) of a model
through `dokja lineage`, against the model and against another.  MODEL and OTHER are folders with config.json and
model.safetensors of the architectures below, such as runs; without them, two of each architecture are made by
Transformers from random weights.  Prints ok and FAIL lines, and on stderr what the tests showed."""
import json
import os
import subprocess
import sys

import gguf
import numpy as np
from safetensors.numpy import load_file

DOKJA, OUT = sys.argv[1:3]
ARCHS = {"llama": gguf.MODEL_ARCH.LLAMA, "qwen3": gguf.MODEL_ARCH.QWEN3}
TYPES = [gguf.GGMLQuantizationType[t] for t in ("BF16", "Q8_0", "Q4_0")]


def interleaved(w, heads):
    """The rows of a Llama's q or k as GGUF has them: the halves of a head's rotary pairs beside each other."""
    return w.reshape(heads, 2, len(w) // heads // 2, -1).swapaxes(1, 2).reshape(w.shape)


def convert(source, path, kind):
    with open(os.path.join(source, "config.json")) as f:
        c = json.load(f)
    arch, heads, kv = c["model_type"], c["num_attention_heads"], c["num_key_value_heads"]
    names = gguf.get_tensor_name_map(ARCHS[arch], c["num_hidden_layers"])
    out = gguf.GGUFWriter(path, arch)
    out.add_block_count(c["num_hidden_layers"])
    out.add_embedding_length(c["hidden_size"])
    out.add_head_count(heads)
    out.add_head_count_kv(kv)
    tokenizer = os.path.join(source, "tokenizer.json")
    if os.path.exists(tokenizer):
        with open(tokenizer, encoding="utf-8") as f:
            t = json.load(f)
        vocab = {**t["model"]["vocab"], **{x["content"]: x["id"] for x in t.get("added_tokens", [])}}
        out.add_tokenizer_model("gpt2")
        out.add_token_list(sorted(vocab, key=vocab.get))
    for name, w in load_file(os.path.join(source, "model.safetensors")).items():
        w = w.astype(np.float32)
        if arch == "llama" and name.endswith(("q_proj.weight", "k_proj.weight")):
            w = interleaved(w, heads if "q_proj" in name else kv)
        to = names.get_name(name, try_suffixes=(".weight",))
        if w.ndim == 1:
            out.add_tensor(to, w)
        else:
            out.add_tensor(to, gguf.quants.quantize(w, kind), raw_dtype=kind)
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()
    return path


def check(name, a, b, want):
    cmd = [DOKJA, "lineage", a, b, "--json", "--permutations", "1999"]
    r = subprocess.run(cmd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if r.returncode:
        print(f"FAIL lineage of GGUF, {name}: {r.stderr.strip().splitlines()[-1]}")
        return
    pair = json.loads(r.stdout)["pairs"][0]
    print(name, ", ".join(f"{t['test']} {t['effect']:.3f}" for t in pair["tests"] if t["done"]), file=sys.stderr)
    if pair["verdict"] == want:
        print(f"ok lineage of GGUF, {name}", flush=True)
    else:
        print(f"FAIL lineage of GGUF, {name}: {pair['verdict']}, expected {want}", flush=True)


def made(arch, seed):
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, logging
    logging.disable_progress_bar()
    torch.manual_seed(seed)
    shape = dict(vocab_size=512, hidden_size=128, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2,
                 intermediate_size=320, head_dim=32, max_position_embeddings=256, pad_token_id=0)
    path = os.path.join(OUT, f"{arch}{seed}")
    AutoModelForCausalLM.from_config(AutoConfig.for_model(arch, **shape)).save_pretrained(path)
    return path


def compare(title, model, other):
    for kind in TYPES:
        copy = convert(model, os.path.join(OUT, f"{title}-{kind.name}.gguf"), kind)
        check(f"{title}, {kind.name}", model, copy, "derived")
    check(f"{title}, {kind.name} of another", other, copy, "no-evidence")


os.makedirs(OUT, exist_ok=True)
if len(sys.argv) > 3:
    compare("run", *sys.argv[3:5])
else:
    for architecture in ARCHS:
        compare(architecture, made(architecture, 1), made(architecture, 2))
