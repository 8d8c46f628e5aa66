#!/usr/bin/env python3
"""An independent view of a model: the forward pass of the Qwen3 and Llama shapes in binary64 with numpy.

    qwen3_numpy.py MODEL_DIR IDS.json > scores.json

IDS.json holds one array of token ids, or an array of such arrays (sequences on their own).  Prints
{"nll": [...], "top": [...]}: nll[i] is -log p(ids[i+1] | ids[:i+1]), top[i] the most likely token after
ids[:i+1]; for an array of arrays, arrays of these.  Written from the papers (RMSNorm, RoPE, SwiGLU, grouped
queries) and the published configuration keys; shares no code with the program it checks.
"""
import json
import struct
import sys
from pathlib import Path

import numpy as np


def read_safetensors(path):
    """name -> float64 array, of a file with F32, F16, BF16 or F64 tensors."""
    raw = np.fromfile(path, dtype=np.uint8)
    (size,) = struct.unpack("<Q", raw[:8].tobytes())
    header = json.loads(raw[8 : 8 + size].tobytes())
    data = raw[8 + size :]
    out = {}
    for name, t in header.items():
        if name == "__metadata__":
            continue
        begin, end = t["data_offsets"]
        piece = data[begin:end].tobytes()
        if t["dtype"] == "BF16":
            wide = np.frombuffer(piece, dtype="<u2").astype(np.uint32) << 16
            values = wide.view(np.float32)
        else:
            values = np.frombuffer(piece, dtype={"F32": "<f4", "F16": "<f2", "F64": "<f8"}[t["dtype"]])
        out[name] = values.astype(np.float64).reshape(t["shape"])
    return out


def read_weights(folder):
    index = folder / "model.safetensors.index.json"
    files = ["model.safetensors"]
    if index.exists():
        files = sorted(set(json.loads(index.read_text())["weight_map"].values()))
    weights = {}
    for f in files:
        weights.update(read_safetensors(folder / f))
    return weights


def rms_norm(x, gain, eps):
    return x / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + eps) * gain


def rotate(x, cos, sin):
    """x: (n, heads, d); the pair of dimension i is i + d/2."""
    half = x.shape[-1] // 2
    a, b = x[..., :half], x[..., half:]
    c, s = cos[:, None, :], sin[:, None, :]
    return np.concatenate([a * c - b * s, b * c + a * s], axis=-1)


class Model:
    def __init__(self, folder):
        folder = Path(folder)
        c = json.loads((folder / "config.json").read_text())
        if c["model_type"] not in ("qwen3", "llama"):
            sys.exit(f"{folder}: model_type {c['model_type']} is not covered here")
        self.w = read_weights(folder)
        self.qk_norm = c["model_type"] == "qwen3"
        self.layers = c["num_hidden_layers"]
        self.heads = c["num_attention_heads"]
        self.kv_heads = c.get("num_key_value_heads") or self.heads
        self.d_head = c.get("head_dim") or (128 if self.qk_norm else c["hidden_size"] // self.heads)
        self.eps = c["rms_norm_eps"]
        rope = c.get("rope_parameters") or {}
        if (rope.get("rope_type", "default") != "default") or c.get("rope_scaling"):
            sys.exit(f"{folder}: rope scaling is not covered here")
        self.theta = rope.get("rope_theta") or c.get("rope_theta") or 10000.0
        window = c.get("sliding_window") if c.get("use_sliding_window") else None
        kinds = c.get("layer_types") or [
            "sliding_attention" if window and i >= c.get("max_window_layers", 0) else "full_attention"
            for i in range(self.layers)
        ]
        self.window = [window if k == "sliding_attention" else None for k in kinds]
        self.embed = self.w["model.embed_tokens.weight"]
        self.head = self.embed if c.get("tie_word_embeddings") else self.w["lm_head.weight"]

    def attention(self, i, h):
        n = len(h)
        w = lambda name: self.w[f"model.layers.{i}.self_attn.{name}.weight"]
        q = (h @ w("q_proj").T).reshape(n, self.heads, self.d_head)
        k = (h @ w("k_proj").T).reshape(n, self.kv_heads, self.d_head)
        v = (h @ w("v_proj").T).reshape(n, self.kv_heads, self.d_head)
        if self.qk_norm:
            q = rms_norm(q, w("q_norm"), self.eps)
            k = rms_norm(k, w("k_norm"), self.eps)
        angle = np.arange(n)[:, None] * self.theta ** (-np.arange(0, self.d_head, 2) / self.d_head)
        q, k = rotate(q, np.cos(angle), np.sin(angle)), rotate(k, np.cos(angle), np.sin(angle))
        at = np.arange(n)
        visible = at[None, :] <= at[:, None]
        if self.window[i]:
            visible &= at[None, :] > at[:, None] - self.window[i]
        out = np.empty((n, self.heads, self.d_head))
        for head in range(self.heads):
            g = head * self.kv_heads // self.heads
            s = q[:, head] @ k[:, g].T / np.sqrt(self.d_head)
            s = np.where(visible, s, -np.inf)
            p = np.exp(s - s.max(axis=1, keepdims=True))
            out[:, head] = (p / p.sum(axis=1, keepdims=True)) @ v[:, g]
        return out.reshape(n, -1) @ w("o_proj").T

    def feed_forward(self, i, h):
        w = lambda name: self.w[f"model.layers.{i}.mlp.{name}.weight"]
        gate, up = h @ w("gate_proj").T, h @ w("up_proj").T
        return (gate / (1 + np.exp(-gate)) * up) @ w("down_proj").T

    def log_probs(self, ids):
        """Rows of log-probabilities of the next token, in pieces of at most 256 positions."""
        x = self.embed[ids]
        for i in range(self.layers):
            gain = lambda name: self.w[f"model.layers.{i}.{name}.weight"]
            x = x + self.attention(i, rms_norm(x, gain("input_layernorm"), self.eps))
            x = x + self.feed_forward(i, rms_norm(x, gain("post_attention_layernorm"), self.eps))
        x = rms_norm(x, self.w["model.norm.weight"], self.eps)
        for at in range(0, len(ids), 256):
            z = x[at : at + 256] @ self.head.T
            z -= z.max(axis=1, keepdims=True)
            yield at, z - np.log(np.exp(z).sum(axis=1, keepdims=True))

    def score(self, ids):
        ids = np.asarray(ids, dtype=np.int64)
        nll, top = [], []
        for at, rows in self.log_probs(ids):
            for r, row in enumerate(rows):
                top.append(int(np.argmax(row)))
                if at + r + 1 < len(ids):
                    nll.append(float(-row[ids[at + r + 1]]))
        return nll, top[: len(nll)]


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    model = Model(sys.argv[1])
    ids = json.loads(Path(sys.argv[2]).read_text())
    if ids and isinstance(ids[0], list):
        scores = [model.score(one) for one in ids]
        json.dump({"nll": [s[0] for s in scores], "top": [s[1] for s in scores]}, sys.stdout)
    else:
        nll, top = model.score(ids)
        json.dump({"nll": nll, "top": top}, sys.stdout)
    print()


if __name__ == "__main__":
    main()
