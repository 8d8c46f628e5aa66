"""The table of a sweep: which runs, with which settings.

Text; the first line names the columns, every further line is one run.  Columns are separated by tabs when the first
line holds a tab, else by blanks; an empty cell or "-" says nothing; "#" begins a comment.  `name` is the run's name,
every other column an option of `dokja pretrain` or a fact of the model's shape."""

import json
import os
import re

SHAPE = ("layers", "width", "d_ff", "heads", "kv_heads", "head_dim", "vocab", "tied", "window", "window_every",
         "rope_theta", "max_pos")
RESERVED = ("out", "json", "help", "threads")
PATHS = ("corpus", "tokenizer", "config")
YES, NO = ("1", "yes", "true"), ("0", "no", "false")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,99}\Z")


class Refused(Exception):
    """One sentence for the user."""


def read_options(text):
    """From `dokja pretrain --help`: option name -> True when it takes a value."""
    found = re.findall(r"^ {2}(?:-\w, | {4})--([a-z][a-z0-9-]*)(?: ([A-Z]\S*))?(?: {2}|$)", text, re.M)
    return {name: bool(arg) for name, arg in found}


def canonical(column, options):
    """The column's one spelling: options with "-", facts of the shape with "_"; None when unknown."""
    dashed, lined = column.lstrip("-").replace("_", "-"), column.lstrip("-").replace("-", "_")
    if lined in SHAPE and dashed not in options:
        return lined
    if dashed in options and dashed not in RESERVED:
        return dashed
    return lined if lined in SHAPE else None


def check_column(column, options, where):
    key = canonical(column, options)
    if key:
        return key
    if column.lstrip("-").replace("_", "-") in RESERVED:
        raise Refused(f"{where}: column {column} is the sweep's own to set")
    raise Refused(f"{where}: column {column} is neither an option of dokja pretrain nor one of {', '.join(SHAPE)}")


def split(line, tabs):
    return [c.strip() for c in line.split("\t")] if tabs else line.split()


def read_table(path, constants, options):
    """[(name, settings)] in the table's order; settings: canonical key -> text."""
    rows, seen, head, tabs = [], {}, None, False
    for n, line in enumerate(open(path, encoding="utf-8"), 1):
        line = re.sub(r"(^|\s)#.*", "", line.rstrip("\n"))
        if not line.strip():
            continue
        where = f"{path}:{n}"
        if head is None:
            tabs = "\t" in line
            head = [c if c == "name" else check_column(c, options, where) for c in split(line, tabs)]
            if "name" not in head:
                raise Refused(f"{where}: the first line names the columns, and one of them must be name")
            twice = [c for c in head if head.count(c) > 1]
            if twice:
                raise Refused(f"{where}: column {twice[0]} occurs twice")
            continue
        cells = split(line, tabs)
        if len(cells) > len(head) or (len(cells) < len(head) and not tabs):
            raise Refused(f"{where}: {len(cells)} cells, the first line names {len(head)} columns "
                          f'("-" stands for an empty one)')
        row = {c: v for c, v in zip(head, cells) if v not in ("", "-")}
        name = row.pop("name", "")
        if not NAME.match(name):
            raise Refused(f'{where}: the name "{name}" is not one of letters, digits and . _ + - (100 at most)')
        if name in seen:
            raise Refused(f"{where}: the name {name} stands in line {seen[name]} already")
        seen[name] = n
        rows.append((name, {**constants, **row}))
        check_row(rows[-1][1], options, f"{where}: {name}")
    if head is None:
        raise Refused(f"{path}: is empty; its first line names the columns")
    if not rows:
        raise Refused(f"{path}: names columns, but no run")
    return rows


def flag(settings, key, where, default=False):
    v = settings.get(key)
    if v is None:
        return default
    if v.lower() not in YES + NO:
        raise Refused(f'{where}: {key} is "{v}", expected 1 or 0')
    return v.lower() in YES


def check_row(s, options, where):
    for need in ("corpus", "tokenizer"):
        if need not in s:
            raise Refused(f"{where}: no {need}; give a column or --set {need}=DIR")
    for key in s:
        if key not in SHAPE and not options[key]:
            flag(s, key, where)
    model_config(s, 1 << 16, where)


# ---- the model's shape ----

def whole(s, key, default, where, lo=1):
    v = s.get(key)
    if v is None:
        return default
    if not v.isdigit() or int(v) < lo:
        raise Refused(f'{where}: {key} is "{v}", expected a whole number from {lo}')
    return int(v)


def has_shape(s):
    return any(k in s for k in SHAPE) and not ("layers" not in s and "width" not in s and "depth" not in s
                                               and set(SHAPE) & set(s) <= {"tied"})


def tokenizer_size(folder):
    """Ids of a tokenizer: the largest of vocabulary and added tokens, and one."""
    path = os.path.join(folder, "tokenizer.json") if os.path.isdir(folder) else folder
    try:
        t = json.load(open(path, encoding="utf-8"))
        ids = list(t["model"]["vocab"].values()) + [a["id"] for a in t.get("added_tokens", [])]
        return max(ids) + 1
    except (OSError, ValueError, KeyError, TypeError) as e:
        raise Refused(f"{path}: not readable as a tokenizer: {e}") from None


def model_config(s, vocab, where):
    """config.json as dokja writes it for the Qwen3 shape; None when the row says nothing of its shape."""
    if not has_shape(s):
        return None
    if "config" in s:
        raise Refused(f"{where}: config and {next(k for k in SHAPE if k in s)} contradict each other")
    depth = whole(s, "depth", None, where)
    layers = whole(s, "layers", depth, where)
    width = whole(s, "width", depth and 64 * depth, where)
    if not layers or not width:
        given = next(k for k in SHAPE if k in s)
        raise Refused(f"{where}: {given} needs layers and width, or depth")
    dim = whole(s, "head_dim", 64, where)
    if "heads" not in s and width % dim:
        raise Refused(f"{where}: width {width} is not a multiple of head_dim {dim}; give heads")
    heads = whole(s, "heads", max(1, width // dim), where)
    kv = whole(s, "kv_heads", heads, where)
    if heads % kv:
        raise Refused(f"{where}: {heads} heads are not a multiple of kv_heads {kv}")
    vocab = whole(s, "vocab", vocab, where)
    window, every = whole(s, "window", 0, where, 0), whole(s, "window_every", 4, where)
    seq = whole(s, "seq", 0, where)
    theta = number(s.get("rope_theta", "1e4"))
    if not theta or theta < 1:
        raise Refused(f'{where}: rope_theta is "{s["rope_theta"]}", expected a number from 1')
    full = [not window or (i + 1) % every == 0 or i == layers - 1 for i in range(layers)]
    return {
        "architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "vocab_size": vocab, "hidden_size": width,
        "intermediate_size": whole(s, "d_ff", -(-((8 * width + 2) // 3) // 64) * 64, where),
        "num_hidden_layers": layers, "num_attention_heads": heads, "num_key_value_heads": kv, "head_dim": dim,
        "hidden_act": "silu", "max_position_embeddings": whole(s, "max_pos", seq or 2048, where),
        "rms_norm_eps": 1e-6, "rope_theta": theta, "rope_scaling": None,
        "rope_parameters": {"rope_type": "default", "rope_theta": theta}, "attention_bias": False,
        "attention_dropout": 0.0, "tie_word_embeddings": flag(s, "tied", where, True), "bos_token_id": None,
        "eos_token_id": None, "initializer_range": 0.02, "use_cache": True, "torch_dtype": "float32",
        "use_sliding_window": bool(window), "sliding_window": window or None, "max_window_layers": layers,
        "layer_types": ["full_attention" if f else "sliding_attention" for f in full]}


def counts(config, seq):
    """Parameters (all, and those that multiply: without the input table, a tied table once as the head) and
    FLOPs a token, by the project's rule: 6 · matmul + 6 · Σ heads · head_dim · twice the mean visible span."""
    c = config
    d, dh, h, kv = c["hidden_size"], c["head_dim"], c["num_attention_heads"], c["num_key_value_heads"]
    table = c["vocab_size"] * d
    layer = d * dh * 2 * (h + kv) + 3 * d * c["intermediate_size"] + 2 * d
    layer += 2 * dh if c["model_type"] == "qwen3" else 0
    matmul = table + d + c["num_hidden_layers"] * layer
    flops = 6.0 * matmul
    for kind in c.get("layer_types") or ["full_attention"] * c["num_hidden_layers"]:
        w = min(c.get("sliding_window") or seq, seq) if kind == "sliding_attention" else seq
        flops += 6.0 * h * dh * (2 * w - w * w / seq)
    return matmul + (0 if c["tie_word_embeddings"] else table), matmul, flops


def per_token(config, run):
    """FLOPs a token of a whole run: its first steps may have shorter rows."""
    share = run.get("start_steps", 0) / run["steps"]
    return share * counts(config, run.get("seq_start", run["seq"]))[2] + (1 - share) * counts(config, run["seq"])[2]


def number(text):
    """A count as dokja reads it (24M, 2e12), or None."""
    m = re.match(r"([0-9.]+(?:e[+-]?[0-9]+)?)([kKMGT]?)\Z", text or "")
    try:
        return float(m.group(1)) * 1e3 ** " kMGT".index(m.group(2).replace("K", "k") or " ") if m else None
    except ValueError:
        return None


def command(dokja, settings, options, out, config, threads):
    """The arguments of one run."""
    args = [dokja, "pretrain", "--out", out, "--threads", str(threads), "--json"]
    shaped = has_shape(settings)
    for key, value in settings.items():
        if key in SHAPE:
            if key == "tied" and not shaped and value.lower() in NO and settings.get("untied", "0") in NO:
                args.append("--untied")
        elif key == "depth" and shaped:
            continue
        elif not options[key]:
            args += ["--" + key] if value.lower() in YES else []
        else:
            args += ["--" + key, value]
    return args + (["--config", config] if shaped else [])
