#!/usr/bin/env python3
"""The same scores as qwen3_numpy.py from transformers' own model class (needs torch and transformers).

    compare_transformers.py MODEL_DIR IDS.json > scores.json

The class is the one config.json names (Qwen3ForCausalLM, LlamaForCausalLM), in float32 on the CPU with
plain attention.  Input and output as described there; fails when loading reports missing or unexpected tensors.
"""
import json
import sys
from pathlib import Path

import torch
import transformers


def load(folder):
    (name,) = json.loads((Path(folder) / "config.json").read_text())["architectures"]
    model, info = getattr(transformers, name).from_pretrained(
        folder, attn_implementation="eager", output_loading_info=True
    )
    for what in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if info.get(what):
            sys.exit(f"{folder}: {what}: {sorted(map(str, info[what]))}")
    return model.float().eval()


@torch.inference_mode()
def score(model, ids):
    logits = model(torch.tensor([ids])).logits[0, :-1].double()
    logp = torch.log_softmax(logits, dim=-1)
    nll = -logp.gather(1, torch.tensor(ids[1:])[:, None])[:, 0]
    return nll.tolist(), logits.argmax(dim=-1).tolist()


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    transformers.logging.set_verbosity_error()
    model = load(sys.argv[1])
    ids = json.loads(Path(sys.argv[2]).read_text())
    if ids and isinstance(ids[0], list):
        scores = [score(model, one) for one in ids]
        json.dump({"nll": [s[0] for s in scores], "top": [s[1] for s in scores]}, sys.stdout)
    else:
        nll, top = score(model, ids)
        json.dump({"nll": nll, "top": top}, sys.stdout)
    print()


if __name__ == "__main__":
    main()
