#!/usr/bin/env python3
"""Relatives of a parent model, for bench/lineage-zoo: `lineage_derive.py ZOO PARENT OTHER [NAME…]` writes
ZOO/m/NAME-PARENT.  By numpy: permutations, rescaling, rotation, dropped layers, merging, upcycling.  By PyTorch
(Transformers' Qwen3): continued pretraining, tuning, LoRA, another tokenizer, pruning and deepening with training
after it, a rotated copy with new embeddings, frozen components, attention alone in a turned copy, distillation; and six
more controls from Transformers' own initial weights.  What is there is not made again."""
import json
import os
import shutil
import sys

import numpy as np
import torch
import torch.nn.utils.parametrize
from safetensors.numpy import load_file, save_file
from tokenizers import Tokenizer
from transformers import Qwen3Config, Qwen3ForCausalLM

torch.set_num_threads(1)
PARTS = ("input_layernorm", "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
         "self_attn.q_norm", "self_attn.k_norm", "post_attention_layernorm", "mlp.gate_proj", "mlp.up_proj",
         "mlp.down_proj")


def key(layer, part):
    return f"model.layers.{layer}.{part}.weight"


def read(path):
    w = load_file(os.path.join(path, "model.safetensors"))
    with open(os.path.join(path, "config.json")) as f:
        return {k: v.astype(np.float32) for k, v in w.items()}, json.load(f)


def write(path, w, config, tokenizer):
    tmp = path + ".part"
    shutil.rmtree(tmp, ignore_errors=True)
    os.makedirs(tmp)
    save_file({k: np.ascontiguousarray(v) for k, v in w.items()}, os.path.join(tmp, "model.safetensors"))
    with open(os.path.join(tmp, "config.json"), "w") as f:
        json.dump(config, f, indent=1)
    shutil.copy(os.path.join(tokenizer, "tokenizer.json"), tmp)
    os.rename(tmp, path)


# ---- by numpy: functions of (weights, config, rng) ----

def neurons(w, c, rng):
    for i in range(c["num_hidden_layers"]):
        p = rng.permutation(c["intermediate_size"])
        for part in ("gate", "up"):
            w[key(i, f"mlp.{part}_proj")] = w[key(i, f"mlp.{part}_proj")][p]
        w[key(i, "mlp.down_proj")] = w[key(i, "mlp.down_proj")][:, p]
    return w, c


def heads(w, c, rng):
    hd, kv = c["head_dim"], c["num_key_value_heads"]
    group = c["num_attention_heads"] // kv
    for i in range(c["num_hidden_layers"]):
        p = rng.permutation(kv)
        q = np.concatenate([k * group + rng.permutation(group) for k in p])
        rows = lambda heads: np.concatenate([np.arange(h * hd, h * hd + hd) for h in heads])
        w[key(i, "self_attn.q_proj")] = w[key(i, "self_attn.q_proj")][rows(q)]
        for part in ("k", "v"):
            w[key(i, f"self_attn.{part}_proj")] = w[key(i, f"self_attn.{part}_proj")][rows(p)]
        w[key(i, "self_attn.o_proj")] = w[key(i, "self_attn.o_proj")][:, rows(q)]
    return w, c


def rescale(w, c, rng):
    hd, kv = c["head_dim"], c["num_key_value_heads"]
    group = c["num_attention_heads"] // kv
    scale = lambda n: np.exp(rng.normal(0, 1, n)).astype(np.float32)
    for i in range(c["num_hidden_layers"]):
        for norm, users in (("input_layernorm", ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")),
                            ("post_attention_layernorm", ("mlp.gate_proj", "mlp.up_proj"))):
            s = scale(c["hidden_size"])
            w[key(i, norm)] = w[key(i, norm)] * s
            for part in users:
                w[key(i, part)] = w[key(i, part)] / s
        s = scale(c["intermediate_size"])
        w[key(i, "mlp.up_proj")] = w[key(i, "mlp.up_proj")] * s[:, None]
        w[key(i, "mlp.down_proj")] = w[key(i, "mlp.down_proj")] / s
        s = scale(kv * hd)
        w[key(i, "self_attn.v_proj")] = w[key(i, "self_attn.v_proj")] * s[:, None]
        w[key(i, "self_attn.o_proj")] = w[key(i, "self_attn.o_proj")] / np.repeat(s.reshape(kv, hd), group, 0).ravel()
    return w, c


def turn(w, c, q):
    """The residual stream times q, gains folded away."""
    d = c["hidden_size"]
    w["lm_head.weight"] = (w.get("lm_head.weight", w["model.embed_tokens.weight"]) * w["model.norm.weight"]) @ q
    w["model.embed_tokens.weight"] = w["model.embed_tokens.weight"] @ q
    w["model.norm.weight"] = np.ones(d, np.float32)
    for i in range(c["num_hidden_layers"]):
        for norm, users in (("input_layernorm", ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")),
                            ("post_attention_layernorm", ("mlp.gate_proj", "mlp.up_proj"))):
            for part in users:
                w[key(i, part)] = (w[key(i, part)] * w[key(i, norm)]) @ q
            w[key(i, norm)] = np.ones(d, np.float32)
        for part in ("self_attn.o_proj", "mlp.down_proj"):
            w[key(i, part)] = q.T @ w[key(i, part)]
    return w, {**c, "tie_word_embeddings": False}


def rotate(w, c, rng):
    q = np.linalg.qr(rng.normal(size=(c["hidden_size"],) * 2))[0].astype(np.float32)
    return turn(w, c, q)


def shuffle(w, c, rng):
    d = c["hidden_size"]
    q = (np.eye(d)[rng.permutation(d)] * rng.choice([-1, 1], d)).astype(np.float32)
    return turn(w, c, q)


def turnheads(w, c, rng):
    """A turned copy whose heads are permuted, and turned where nothing forbids it: v with o."""
    w, c = rotate(*heads(w, c, rng), rng)
    hd, kv = c["head_dim"], c["num_key_value_heads"]
    group = c["num_attention_heads"] // kv
    for i in range(c["num_hidden_layers"]):
        v, o = w[key(i, "self_attn.v_proj")], w[key(i, "self_attn.o_proj")]
        for k in range(kv):
            r = np.linalg.qr(rng.normal(size=(hd, hd)))[0].astype(np.float32)
            v[k * hd:(k + 1) * hd] = r @ v[k * hd:(k + 1) * hd]
            for h in range(k * group, (k + 1) * group):
                o[:, h * hd:(h + 1) * hd] = o[:, h * hd:(h + 1) * hd] @ r.T
    return w, c


def layers(w, c, order):
    out = {k: v for k, v in w.items() if ".layers." not in k}
    for to, i in enumerate(order):
        for part in PARTS:
            out[key(to, part)] = w[key(i, part)]
    return out, {**c, "num_hidden_layers": len(order), "layer_types": ["full_attention"] * len(order),
                 "max_window_layers": len(order)}


def drop(w, c, rng):
    n = c["num_hidden_layers"]
    return layers(w, c, [i for i in range(n) if i != n // 2])


def deepen(w, c, rng):
    n = c["num_hidden_layers"]
    return layers(w, c, list(range(n - 1)) + list(range(1, n)))


def prune(w, c, rng):
    """Fewer residual dimensions (three quarters) and neurons (two thirds); the heads keep their size."""
    d, ff = c["hidden_size"], c["intermediate_size"]
    keep, unit = np.sort(rng.choice(d, d * 3 // 4, False)), ff * 2 // 3
    out = {}
    for k, v in w.items():
        if "embed_tokens" in k or k == "lm_head.weight":
            v = v[:, keep]
        elif k.endswith("norm.weight") and "self_attn" not in k or "layernorm" in k:
            v = v[keep]
        elif any(p in k for p in ("q_proj", "k_proj", "v_proj", "gate_proj", "up_proj")):
            v = v[:, keep]
        elif "o_proj" in k or "down_proj" in k:
            v = v[keep]
        out[k] = v
    for i in range(c["num_hidden_layers"]):
        n = np.sort(rng.choice(ff, unit, False))
        for part in ("gate", "up"):
            out[key(i, f"mlp.{part}_proj")] = out[key(i, f"mlp.{part}_proj")][n]
        out[key(i, "mlp.down_proj")] = out[key(i, "mlp.down_proj")][:, n]
    return out, {**c, "hidden_size": len(keep), "intermediate_size": unit}


def upcycle(w, c, rng):
    out = dict(w)
    for i in range(c["num_hidden_layers"]):
        for part in ("gate", "up", "down"):
            m = out.pop(key(i, f"mlp.{part}_proj"))
            for x in range(4):
                noise = rng.normal(0, 0.3 * m.std(), m.shape).astype(np.float32)
                out[f"model.layers.{i}.mlp.experts.{x}.{part}_proj.weight"] = m + noise
        out[f"model.layers.{i}.mlp.gate.weight"] = rng.normal(0, 0.02, (4, c["hidden_size"])).astype(np.float32)
    return out, {**c, "architectures": ["Qwen3MoeForCausalLM"], "model_type": "qwen3_moe", "num_experts": 4,
                 "num_experts_per_tok": 2, "moe_intermediate_size": c["intermediate_size"]}


# ---- by PyTorch ----

class Text:
    def __init__(self, zoo, corpus, tokenizer, seed):
        tok = Tokenizer.from_file(os.path.join(tokenizer, "tokenizer.json"))
        with open(os.path.join(zoo, f"p{corpus}.jsonl"), encoding="utf-8") as f:
            lines = [json.loads(line)["text"] for _, line in zip(range(1500), f)]
        self.ids = torch.tensor([i for e in tok.encode_batch(lines) for i in e.ids])
        self.rng = torch.Generator().manual_seed(seed)

    def batch(self, rows=8, n=128):
        at = torch.randint(0, len(self.ids) - n - 1, (rows,), generator=self.rng)
        return torch.stack([self.ids[a:a + n] for a in at])


def model_of(w, c):
    m = Qwen3ForCausalLM(Qwen3Config(**{k: v for k, v in c.items() if k not in ("architectures", "model_type")}))
    if w is not None:
        state = {k: torch.tensor(v) for k, v in w.items()}
        missing, extra = m.load_state_dict(state, strict=False)
        assert not extra and set(missing) <= {"lm_head.weight"}, (missing, extra)
    return m


def weights_of(m, c):
    return {k: v.detach().numpy().astype(np.float32) for k, v in m.state_dict().items()
            if not (c.get("tie_word_embeddings") and k == "lm_head.weight")}


def fit(m, text, steps, lr, params=None, teacher=None):
    params = [p for p in (params or m.parameters()) if p.requires_grad]
    opt = torch.optim.AdamW(params, lr=lr, betas=(0.9, 0.95), weight_decay=0.1)
    for step in range(steps):
        for g in opt.param_groups:
            g["lr"] = lr * min(1, (step + 1) / 20) * (1 - 0.9 * step / steps)
        x = text.batch()
        if teacher is None:
            loss = m(input_ids=x, labels=x).loss
        else:
            with torch.no_grad():
                t = teacher(input_ids=x).logits.log_softmax(-1)
            loss = (t.exp() * (t - m(input_ids=x).logits.log_softmax(-1))).sum(-1).mean()
        opt.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(params, 1.0)
        opt.step()
    print(f"  loss {loss.item():.3f} after {steps} steps", flush=True)
    return m


def lora(w, c, text, rng):
    """Rank 8 on q and v, merged."""
    m = model_of(w, c)
    for p in m.parameters():
        p.requires_grad_(False)
    train = []
    for name, mod in list(m.named_modules()):
        if name.endswith(("q_proj", "v_proj", "gate_proj")):
            a = torch.nn.Parameter(torch.randn(8, mod.in_features) / mod.in_features ** 0.5)
            b = torch.nn.Parameter(torch.zeros(mod.out_features, 8))
            torch.nn.utils.parametrize.register_parametrization(mod, "weight", Low(a, b))
            train += [a, b]
    fit(m, text, 150, 3e-3, train)
    for name, mod in list(m.named_modules()):
        if name.endswith(("q_proj", "v_proj", "gate_proj")) and torch.nn.utils.parametrize.is_parametrized(mod):
            torch.nn.utils.parametrize.remove_parametrizations(mod, "weight")
    return weights_of(m, c), c


class Low(torch.nn.Module):
    def __init__(self, a, b):
        super().__init__()
        self.a, self.b = a, b

    def forward(self, w):
        return w + self.b @ self.a


def swap_tokenizer(w, c, old, new, rng):
    """Rows of shared tokens move with them; the others start at the mean plus noise."""
    a, b = (Tokenizer.from_file(os.path.join(t, "tokenizer.json")) for t in (old, new))
    va, e = a.get_vocab(), w["model.embed_tokens.weight"]
    out = rng.normal(0, e.std(), (b.get_vocab_size(), e.shape[1])).astype(np.float32) + e.mean(0)
    for t, i in b.get_vocab().items():
        if t in va:
            out[i] = e[va[t]]
    return {**w, "model.embed_tokens.weight": out}, {**c, "vocab_size": len(out)}


def transplant(w, c, old, new, rng):
    """Rotated, and every row of embedding and head new: the mean over the pieces the old tokenizer makes of a token."""
    a, b = (Tokenizer.from_file(os.path.join(t, "tokenizer.json")) for t in (old, new))
    w, c = rotate(w, c, rng)
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        e, n = w[name], b.get_vocab_size()
        out = rng.normal(0, e.std(), (n, e.shape[1])).astype(np.float32)
        for i in range(n):
            text = b.decode([i])
            ids = a.encode(text).ids if "\ufffd" not in text else []
            out[i] += e[ids].mean(0) if ids else 0
        w[name] = out
    return w, {**c, "vocab_size": n}


def main():
    zoo, parent, other = sys.argv[1:4]
    only = sys.argv[4:]
    tok0, tok1 = (os.path.join(zoo, f"tokenizer{i}") for i in (0, 1))
    home = lambda name: os.path.join(zoo, "m", name)
    seed = sum(parent.encode())
    torch.manual_seed(seed)

    def make(name, build, tokenizer=tok0):
        path = home(f"{name}-{parent}")
        if os.path.exists(path) or only and name not in only:
            return
        print(f"{name}-{parent}", flush=True)
        w, c = read(home(parent))
        out, config = build(w, c, np.random.default_rng(seed + sum(name.encode())))
        write(path, out, config, tokenizer)

    def trained(change, corpus, steps, lr, tokenizer=tok0):
        def build(w, c, rng):
            w, c = change(w, c, rng) if change else (w, c)
            return weights_of(fit(model_of(w, c), Text(zoo, corpus, tokenizer, seed), steps, lr), c), c
        return build

    def frozen(w, c, names):
        m = model_of(None, c)
        with torch.no_grad():
            for k, p in m.named_parameters():
                if any(n in k for n in names):
                    p.copy_(torch.tensor(w[k]))
                    p.requires_grad_(False)
        return weights_of(fit(m, Text(zoo, 1, tok0, seed), 400, 2e-3), c), c

    def grafted(freeze):
        """The parent's attention in turned residual dimensions with its heads permuted, all else new, another
        vocabulary."""
        def build(w, c, rng):
            w, _ = rotate(*heads(w, c, rng), rng)
            c = {**c, "vocab_size": Tokenizer.from_file(os.path.join(tok1, "tokenizer.json")).get_vocab_size()}
            m = model_of(None, c)
            with torch.no_grad():
                for k, p in m.named_parameters():
                    if "self_attn" in k:
                        p.copy_(torch.tensor(w[k]))
                        p.requires_grad_(not freeze)
            return weights_of(fit(m, Text(zoo, 1, tok1, seed), 400, 2e-3 if freeze else 1e-3), c), c
        return build

    def distil(w, c, rng):
        return weights_of(fit(model_of(None, c), Text(zoo, 1, tok0, seed), 300, 2e-3, teacher=model_of(w, c)), c), c

    def merged(w, c, rng):
        v, _ = read(home(other))
        return {k: 0.5 * w[k] + 0.5 * v[k] for k in w}, c

    for i in range(6):
        if parent == "same00" and not os.path.exists(home(f"adam{i:02d}")) and (not only or "adam" in only):
            torch.manual_seed(900 + i)
            _, c = read(home(parent))
            m = fit(model_of(None, c), Text(zoo, i % 3, tok0, 900 + i), 400, (1e-3, 2e-3)[i % 2])
            write(home(f"adam{i:02d}"), weights_of(m, c), c, tok0)
    for change in (neurons, heads, rescale, rotate, turnheads, shuffle, drop, deepen, upcycle):
        make(change.__name__, change)
    make("merge", merged)
    make("prune", prune)
    make("cpt", trained(None, 2, 300, 1e-3))
    make("sft", trained(None, 1, 150, 2e-4))
    make("lora", lambda w, c, rng: lora(w, c, Text(zoo, 1, tok0, seed), rng))
    make("swap", trained(lambda w, c, rng: swap_tokenizer(w, c, tok0, tok1, rng), 1, 300, 1e-3, tok1), tok1)
    make("pruned", trained(prune, 1, 200, 5e-4))
    make("deepened", trained(deepen, 1, 200, 5e-4))
    make("rotated", trained(rotate, 1, 200, 5e-4))
    make("frozenembed", lambda w, c, rng: frozen(w, c, ["embed_tokens"]))
    make("frozenlayers", lambda w, c, rng: frozen(w, c, ["layers.0.", "layers.1."]))
    make("grafted", grafted(True), tok1)
    make("graftedtuned", grafted(False), tok1)
    make("distilled", distil)
    make("transplant", trained(lambda w, c, rng: transplant(w, c, tok0, tok1, rng), 1, 300, 1e-3, tok1), tok1)
    make("long", trained(None, 2, 1000, 2e-3))


if __name__ == "__main__":
    main()
