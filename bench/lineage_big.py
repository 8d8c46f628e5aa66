#!/usr/bin/env python3
"""lineage_big.py FOLDER SEED [PARENT_SEED]: writes a Llama-shaped model of 1.24B random bf16 parameters (16 layers of
2048, feed-forward 8192, 128256 tokens), to time `dokja lineage`; with a parent's seed that model plus a tenth of
noise.  To be run it needs a tokenizer.json, any of this program's."""
import json
import os
import sys

import numpy as np

D, FF, LAYERS, VOCAB, KV = 2048, 8192, 16, 128256, 512
out, seeds = sys.argv[1], [int(s) for s in sys.argv[2:]]
shapes = {"model.embed_tokens.weight": (VOCAB, D), "model.norm.weight": (D,)}
for i in range(LAYERS):
    for part, shape in (("input_layernorm", (D,)), ("self_attn.q_proj", (D, D)), ("self_attn.k_proj", (KV, D)),
                        ("self_attn.v_proj", (KV, D)), ("self_attn.o_proj", (D, D)),
                        ("post_attention_layernorm", (D,)), ("mlp.gate_proj", (FF, D)), ("mlp.up_proj", (FF, D)),
                        ("mlp.down_proj", (D, FF))):
        shapes[f"model.layers.{i}.{part}.weight"] = shape
header, at = {}, 0
for name, shape in shapes.items():
    n = 2 * int(np.prod(shape))
    header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [at, at + n]}
    at += n
os.makedirs(out, exist_ok=True)
text = json.dumps(header).encode()
text += b" " * (-len(text) % 8)
with open(os.path.join(out, "model.safetensors"), "wb") as f:
    f.write(len(text).to_bytes(8, "little") + text)
    for k, (name, shape) in enumerate(shapes.items()):
        rngs = [np.random.default_rng(s * 100003 + k) for s in reversed(seeds)]
        for row in range(0, shape[0], 4096):
            part = (min(4096, shape[0] - row),) + shape[1:]
            w = rngs[0].standard_normal(part, np.float32)
            w = 1 + 0.1 * w if len(shape) == 1 else 0.02 * w
            if len(rngs) > 1:
                w = w + 0.1 * w.std() * rngs[1].standard_normal(part, np.float32)
            bits = np.ascontiguousarray(w, np.float32).view(np.uint32)
            f.write(((bits + 0x8000) >> 16).astype(np.uint16).tobytes())
with open(os.path.join(out, "config.json"), "w") as f:
    json.dump({"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": D,
               "num_attention_heads": 32, "num_key_value_heads": 8, "num_hidden_layers": LAYERS,
               "intermediate_size": FF, "vocab_size": VOCAB, "tie_word_embeddings": True,
               "max_position_embeddings": 2048, "rms_norm_eps": 1e-5, "rope_theta": 500000.0}, f)
