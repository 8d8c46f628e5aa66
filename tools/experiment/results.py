"""What a sweep keeps: results.jsonl (everything) and results.tsv (a table of it), replaced atomically, and the
reading of one run's figures from its folder."""

import json
import os

from .table import Refused, counts, per_token

FIGURES = ("heldout_bits_per_byte", "heldout_bits_per_char", "loss", "params", "matmul_params", "tokens", "flops",
           "steps", "seconds", "state_root")
# One word for what run.json nests or names otherwise.
RUN_KEYS = {"lr": "lr_matrix", "weight_decay": "decay_matrix"}
SHAPE_KEYS = {"layers": "num_hidden_layers", "width": "hidden_size", "d_ff": "intermediate_size",
              "heads": "num_attention_heads", "kv_heads": "num_key_value_heads", "head_dim": "head_dim",
              "vocab": "vocab_size", "tied": "tie_word_embeddings", "window": "sliding_window"}


def replace(path, text):
    """Writes a whole file or nothing of it."""
    part = f"{path}.part"
    with open(part, "w", encoding="utf-8") as f:
        f.write(text)
        f.flush()
        os.fsync(f.fileno())
    os.replace(part, path)
    fd = os.open(os.path.dirname(path) or ".", os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)


def read_json(path):
    with open(path, encoding="utf-8") as f:
        return json.load(f)


def read_results(path):
    """name -> result, in the order they were finished; empty when there is no such file."""
    done = {}
    if not os.path.exists(path):
        return done
    for n, line in enumerate(open(path, encoding="utf-8"), 1):
        try:
            r = json.loads(line)
            done[r["name"]] = r
            float(r["heldout_bits_per_byte"]), dict(r["settings"])
        except (ValueError, KeyError, TypeError):
            raise Refused(f"{path}:{n}: is not a result line") from None
    return done


def metrics(path):
    """(step lines, the last held-out line) of metrics.jsonl."""
    steps, last = [], {}
    for line in open(path, encoding="utf-8"):
        m = json.loads(line)
        if "loss" in m:
            steps.append(m)
        else:
            last = m
    return steps, last


def collect(name, settings, folder, done, resumed):
    """One result from the run folder and the last line of `pretrain --json`.  `loss` is the training loss in nats a
    token, mean of the last tenth of the steps.  A run that was interrupted says only its last part's seconds: then
    they are added up from the speed of its steps."""
    run, config = read_json(os.path.join(folder, "run.json")), read_json(os.path.join(folder, "config.json"))
    steps, _ = metrics(os.path.join(folder, "metrics.jsonl"))
    params, matmul, _ = counts(config, run["seq"])
    last = [m["loss"] for m in steps[-max(1, len(steps) // 10):]]
    seconds = done["seconds"]
    if resumed:
        seconds = max(seconds, sum(run["batch_tokens"] / m["tokens_per_s"] for m in steps if m["tokens_per_s"] > 0))
    return {"name": name, "settings": settings, "heldout_bits_per_byte": done["heldout_bits_per_byte"],
            "heldout_bits_per_char": done["heldout_bits_per_char"], "loss": round(sum(last) / len(last), 6),
            "params": params, "matmul_params": matmul, "tokens": done["tokens"],
            "flops": done["tokens"] * per_token(config, run),
            "steps": done["steps"], "seconds": round(seconds, 2), "resumed": resumed,
            "state_root": done["state_root"], "shape": {k: config.get(v) for k, v in SHAPE_KEYS.items()}, "run": run}


def from_run(folder):
    """The same of a finished run's own folder, as pretrain leaves it."""
    steps, last = metrics(os.path.join(folder, "metrics.jsonl"))
    length = read_json(os.path.join(folder, "run.json"))["steps"]
    if not steps or steps[-1]["step"] != length or last.get("step") != length:
        raise Refused(f"{folder}: is not finished: {steps[-1]['step'] if steps else 0} of {length} steps")
    done = {**last, "tokens": steps[-1]["tokens"], "steps": length, "seconds": 0, "state_root": ""}
    return collect(os.path.basename(os.path.normpath(folder)), {}, folder, done, True)


def field(r, column, setting_first=False):
    """A figure, setting, fact of the shape or entry of run.json, as a number where it is one; None when absent.
    Figures go before settings of the same name (`flops` is what was spent), unless setting_first."""
    lined, dashed = column.lstrip("-").replace("-", "_"), column.lstrip("-").replace("_", "-")
    asked = r["settings"].get(dashed, r["settings"].get(lined))
    run = r.get("run", {})
    found = [r.get(lined) if lined in FIGURES or lined == "name" else None, asked, r.get("shape", {}).get(lined),
             run.get(lined), run.get("optimizer", {}).get(RUN_KEYS.get(lined, lined))
             if isinstance(run.get("optimizer"), dict) else None]
    if setting_first:
        found[0], found[1] = found[1], found[0]
    v = next((v for v in found if v is not None and not isinstance(v, dict)), None)
    if lined == "optimizer" and v is None and run:
        v = run["optimizer"]["kind"]
    if isinstance(v, str):
        try:
            v = float(v)
        except ValueError:
            pass
    return int(v) if isinstance(v, float) and v == int(v) and abs(v) < 1e6 else v


def text_of(v):
    return "" if v is None else str(int(v)) if isinstance(v, bool) else f"{v:.9g}" if isinstance(v, float) else str(v)


def columns(results):
    """Headings and rows of results.tsv: figures, the shape, the run, then the settings as they were asked."""
    asked = list(dict.fromkeys(k for r in results for k in r["settings"]))
    extra = list(SHAPE_KEYS) + ["seq", "batch_tokens", "seed"]
    head = ["name", *FIGURES, *extra, *("set." + k for k in asked)]
    body = []
    for r in results:
        facts = {**r.get("run", {}), **r["shape"]}
        body.append([r["name"], *(text_of(r[k]) for k in FIGURES), *(text_of(facts.get(k)) for k in extra),
                     *(r["settings"].get(k, "") for k in asked)])
    return head, body


def write_results(folder, results):
    """results: name -> result."""
    rows = list(results.values())
    replace(os.path.join(folder, "results.jsonl"), "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows))
    head, body = columns(rows)
    replace(os.path.join(folder, "results.tsv"), "".join("\t".join(line) + "\n" for line in [head, *body]))
