#!/usr/bin/env python3
"""Writes net_golden.json: what qwen3_numpy.py says about small models whose weights anyone can make again.

    make_net_golden.py > net_golden.json

Element i of the t-th tensor (in the order listed below) is a hash of (i, t) mapped to [-1, 1) and scaled;
tests/grad/test_net_golden.c makes the same weights and compares the network in binary64.
"""
import json

import numpy as np
from qwen3_numpy import Model

CASES = [
    dict(name="qwen3, tied, window", qk_norm=1, tied=1, vocab=53, d_model=32, n_layer=3, n_head=6, n_kv=2, d_head=12,
         d_ff=40, window=[0, 20, 0], theta=10000, eps=0.001),
    dict(name="llama, separate head", qk_norm=0, tied=0, vocab=61, d_model=48, n_layer=2, n_head=4, n_kv=4, d_head=16,
         d_ff=72, window=[0, 0], theta=500000, eps=0.00001),
]
N_TOKENS = 96


def unit(n, stream):
    h = (np.arange(1, n + 1, dtype=np.uint64) * 2654435761) & 0xFFFFFFFF
    h ^= np.uint64((stream * 0x9E3779B9) & 0xFFFFFFFF)
    h = (h * 0x85EBCA6B) & 0xFFFFFFFF
    h ^= h >> np.uint64(13)
    h = (h * 0xC2B2AE35) & 0xFFFFFFFF
    h ^= h >> np.uint64(16)
    return (h >> np.uint64(8)).astype(np.float64) / 2**23 - 1


def tensors(c):
    """(name, shape, base, scale) in table order."""
    d, hq, hk, ff = c["d_model"], c["n_head"] * c["d_head"], c["n_kv"] * c["d_head"], c["d_ff"]
    yield "model.embed_tokens", (c["vocab"], d), 0, 0.5
    for i in range(c["n_layer"]):
        at = f"model.layers.{i}."
        yield at + "input_layernorm", (d,), 1, 0.5
        for name, rows in (("q", hq), ("k", hk), ("v", hk)):
            yield at + f"self_attn.{name}_proj", (rows, d), 0, 0.25
        if c["qk_norm"]:
            yield at + "self_attn.q_norm", (c["d_head"],), 1, 0.5
            yield at + "self_attn.k_norm", (c["d_head"],), 1, 0.5
        yield at + "self_attn.o_proj", (d, hq), 0, 0.25
        yield at + "post_attention_layernorm", (d,), 1, 0.5
        yield at + "mlp.gate_proj", (ff, d), 0, 0.25
        yield at + "mlp.up_proj", (ff, d), 0, 0.25
        yield at + "mlp.down_proj", (d, ff), 0, 0.25
    yield "model.norm", (d,), 1, 0.5
    if not c["tied"]:
        yield "lm_head", (c["vocab"], d), 0, 0.5


def build(c):
    m = Model.__new__(Model)
    m.w = {}
    for t, (name, shape, base, scale) in enumerate(tensors(c)):
        m.w[name + ".weight"] = (base + scale * unit(int(np.prod(shape)), t)).reshape(shape)
    m.qk_norm, m.layers, m.heads, m.kv_heads = bool(c["qk_norm"]), c["n_layer"], c["n_head"], c["n_kv"]
    m.d_head, m.eps, m.theta = c["d_head"], c["eps"], c["theta"]
    m.window = [w or None for w in c["window"]]
    m.embed = m.w["model.embed_tokens.weight"]
    m.head = m.embed if c["tied"] else m.w["lm_head.weight"]
    return m


out = []
for c in CASES:
    ids = [(i * i * 7 + 3 * i) % c["vocab"] for i in range(N_TOKENS)]
    nll, top = build(c).score(ids)
    out.append({**c, "ids": ids, "nll": nll, "top": top})
cases = [",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in c.items()) for c in out]
print("[\n" + ",\n".join("{\n" + c + "\n}" for c in cases) + "\n]")
