#!/usr/bin/env python3
"""lineage_models.py DOKJA FOLDER: models written by Transformers (random weights of several architectures) and copies
of them permuted, rescaled, pruned, deepened and fine-tuned in PyTorch, through `dokja lineage`.  Prints ok and FAIL
lines."""
import json
import os
import subprocess
import sys

import numpy as np
import torch
from safetensors.numpy import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM, logging

logging.set_verbosity_error()
logging.disable_progress_bar()
torch.set_num_threads(1)
DOKJA, OUT = sys.argv[1:3]
BASE = dict(vocab_size=512, hidden_size=128, num_hidden_layers=3, num_attention_heads=4, intermediate_size=320,
            max_position_embeddings=256, bos_token_id=0, eos_token_id=1, pad_token_id=0, head_dim=32)
MODELS = {
    "llama": dict(num_key_value_heads=2), "qwen2": dict(num_key_value_heads=2), "mistral": dict(num_key_value_heads=2),
    "gemma": dict(num_key_value_heads=1), "phi3": dict(num_key_value_heads=2), "gpt_neox": {},
    "gpt2": dict(n_embd=128, n_layer=3, n_head=4, n_positions=256),
    "qwen3_moe": dict(num_key_value_heads=2, num_experts=4, num_experts_per_tok=2, moe_intermediate_size=96),
}


def build(kind, seed, **more):
    torch.manual_seed(seed)
    return AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **{**BASE, **MODELS[kind], **more}))


def save(model, name):
    model.save_pretrained(os.path.join(OUT, name))
    return name


def tune(model, steps, lr=5e-4):
    """On sequences of a small random grammar: every token has four successors."""
    rng = torch.Generator().manual_seed(3)
    after = torch.randint(2, 512, (512, 4), generator=rng)
    opt = torch.optim.AdamW(model.parameters(), lr=lr)
    for _ in range(steps):
        x = torch.randint(2, 512, (8, 1), generator=rng)
        for _ in range(47):
            pick = torch.randint(0, 4, (8, 1), generator=rng)
            x = torch.cat([x, after[x[:, -1:], :].gather(2, pick[:, :, None]).squeeze(2)], 1)
        loss = model(input_ids=x, labels=x).loss
        opt.zero_grad()
        loss.backward()
        opt.step()
    return model


def edited(source, name, edit):
    """A copy of a saved model with its tensors changed; edit(weights, config, rng) returns both."""
    w = load_file(os.path.join(OUT, source, "model.safetensors"))
    with open(os.path.join(OUT, source, "config.json")) as f:
        config = json.load(f)
    w, config = edit(dict(w), config, np.random.default_rng(4))
    os.makedirs(os.path.join(OUT, name), exist_ok=True)
    save_file({k: np.ascontiguousarray(v) for k, v in w.items()}, os.path.join(OUT, name, "model.safetensors"))
    with open(os.path.join(OUT, name, "config.json"), "w") as f:
        json.dump(config, f)
    return name


def neurons(w, config, rng):
    """Every layer's neurons in another order, and scaled where nothing but the product counts."""
    for k in list(w):
        if k.endswith(("up_proj.weight", "mlp.dense_h_to_4h.weight", "mlp.c_fc.weight")):
            n = w[k].shape[1] if "c_fc" in k else w[k].shape[0]
            n //= 2 if "gate_up" in k else 1
            p = rng.permutation(n)
            s = np.exp(rng.normal(0, 0.5, n)).astype(np.float32)
            if "c_fc" in k:
                down = k.replace("c_fc", "c_proj")
                w[k], w[down] = w[k][:, p], w[down][p]
                w[k.replace("weight", "bias")] = w[k.replace("weight", "bias")][p]
            elif "dense" in k:
                down = k.replace("dense_h_to_4h", "dense_4h_to_h")
                w[k], w[down] = w[k][p], w[down][:, p]
                w[k.replace("weight", "bias")] = w[k.replace("weight", "bias")][p]
            elif "gate_up" in k:
                down = k.replace("gate_up_proj", "down_proj")
                w[k] = np.concatenate([w[k][:n][p], w[k][n:][p] * s[:, None]])
                w[down] = w[down][:, p] / s
            else:
                gate, down = k.replace("up_proj", "gate_proj"), k.replace("up_proj", "down_proj")
                w[gate], w[k], w[down] = w[gate][p], w[k][p] * s[:, None], w[down][:, p] / s
    return w, config


def pruned(w, config, rng):
    """Three quarters of the residual dimensions and of the neurons."""
    d, ff = config["hidden_size"], config["intermediate_size"]
    keep, unit = np.sort(rng.choice(d, d * 3 // 4, False)), np.sort(rng.choice(ff, ff * 3 // 4, False))
    for k, v in w.items():
        if "down_proj" in k:
            v = v[keep][:, unit]
        elif "o_proj" in k or v.ndim == 1 and v.shape[0] == d and "norm" in k:
            v = v[keep]
        elif v.ndim == 2:
            v = v[:, keep]
            v = v[unit] if "gate_proj" in k or "up_proj" in k else v
        w[k] = v
    return w, {**config, "hidden_size": len(keep), "intermediate_size": len(unit)}


def deepened(w, config, rng):
    """Layers 0 1 2 become 0 1 1 2, with a little noise."""
    out = {}
    for k, v in w.items():
        parts = k.split(".")
        at = next((i for i, p in enumerate(parts) if p.isdigit()), None)
        layer = int(parts[at]) if at is not None else None
        for to in [layer] if layer is None or layer == 0 else [1, 2] if layer == 1 else [3]:
            if at is not None:
                parts[at] = str(to)
            noise = rng.normal(0, 0.05 * (v.std() + 1e-9), v.shape).astype(v.dtype)
            out[".".join(parts)] = v + noise
    return out, config


def verdict(a, b):
    cmd = [DOKJA, "lineage", os.path.join(OUT, a), os.path.join(OUT, b), "--json", "--permutations", "1999"]
    r = subprocess.run(cmd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if r.returncode:
        return r.stderr.strip().splitlines()[-1], ""
    pair = json.loads(r.stdout)["pairs"][0]
    effects = ", ".join(f"{t['test']} {t['effect']:.2f}" for t in pair["tests"] if t["done"])
    return pair["verdict"], effects


def check(name, a, b, want):
    got, effects = verdict(a, b)
    said = "ok" if got == want else "FAIL"
    why = "" if got == want else f": {got}, expected {want} ({effects})"
    print(f"{said} lineage {name}{why}", flush=True)


for kind in MODELS:
    a = save(build(kind, 1), f"{kind}-a")
    b = save(build(kind, 2), f"{kind}-b")
    check(f"{kind}: independent", a, b, "no-evidence")
    if kind != "qwen3_moe":
        check(f"{kind}: neurons permuted", a, edited(a, f"{kind}-neurons", neurons), "derived")
    check(f"{kind}: deepened", a, edited(a, f"{kind}-deepened", deepened), "derived")
    if kind in ("llama", "mistral", "qwen2", "gemma"):
        check(f"{kind}: pruned", a, edited(a, f"{kind}-pruned", pruned), "derived")
    if kind in ("llama", "gpt2", "gpt_neox", "qwen3_moe"):
        check(f"{kind}: fine-tuned", a, save(tune(build(kind, 1), 200), f"{kind}-tuned"), "derived")
        check(f"{kind}: tuned, unrelated", b, f"{kind}-tuned", "no-evidence")
