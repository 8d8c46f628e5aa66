#!/usr/bin/env python3
"""lineage_graft.py DONOR HOST OUT: the host's model with the donor's attention in it, its residual dimensions in
another order and with other signs, norm gains folded away and heads in reverse.  F32 safetensors, one file; both of
one shape."""
import array
import json
import os
import shutil
import struct
import sys


def read(folder):
    with open(os.path.join(folder, "model.safetensors"), "rb") as f:
        head = json.loads(f.read(struct.unpack("<Q", f.read(8))[0]))
        data = f.read()
    head.pop("__metadata__", None)
    tensors = {}
    for name, t in head.items():
        assert t["dtype"] == "F32", name
        tensors[name] = (t["shape"], array.array("f", data[t["data_offsets"][0]:t["data_offsets"][1]]))
    return tensors


def write(folder, tensors):
    head, data = {}, b""
    for name, (shape, v) in tensors.items():
        head[name] = {"dtype": "F32", "shape": shape, "data_offsets": [len(data), len(data) + 4 * len(v)]}
        data += v.tobytes()
    text = json.dumps(head).encode()
    text += b" " * (-len(text) % 8)
    with open(os.path.join(folder, "model.safetensors"), "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + data)


donor, host, out = sys.argv[1:4]
a, b = read(donor), read(host)
with open(os.path.join(donor, "config.json")) as f:
    config = json.load(f)
d, size, n = config["hidden_size"], config["head_dim"], config["num_hidden_layers"]
order = [(7 * i + 3) % d for i in range(d)]
sign = [-1 if i % 3 else 1 for i in range(d)]
assert sorted(order) == list(range(d))


def reversed_heads(units):
    """The rows of the last head first."""
    return [u for h in range(units - size, -1, -size) for u in range(h, h + size)]


for layer in range(n):
    name = lambda part: f"model.layers.{layer}.{part}.weight"
    gain = a[name("input_layernorm")][1]
    for part in "qkv":
        shape, w = a[name(f"self_attn.{part}_proj")]
        b[name(f"self_attn.{part}_proj")] = (shape, array.array("f", (
            w[u * d + r] * gain[r] * s for u in reversed_heads(shape[0]) for r, s in zip(order, sign))))
    shape, w = a[name("self_attn.o_proj")]
    b[name("self_attn.o_proj")] = (shape, array.array("f", (
        w[r * shape[1] + u] * s for r, s in zip(order, sign) for u in reversed_heads(shape[1]))))
    b[name("input_layernorm")] = ([d], array.array("f", [1] * d))
os.mkdir(out)
write(out, b)
for f in ("config.json", "tokenizer.json"):
    shutil.copy(os.path.join(host, f), out)
