"""sweep.svg and sweep.html: held-out bits per byte against compute or any column, and the table beneath."""

import os
from html import escape

from .chart import Chart, short
from .results import field, replace, text_of
from .table import Refused

STYLE = """body{font:14px/1.5 sans-serif;margin:2em;color:#222;background:#fff}table{border-collapse:collapse}
td,th{padding:.2em .7em;border-bottom:1px solid #ddd;text-align:right;white-space:nowrap}th{background:#f4f4f4}
td:first-child,th:first-child{text-align:left}tr.best td{background:#e9f5ec}.scroll{overflow-x:auto}
.fail{color:#a3152c}svg{max-width:100%;height:auto;display:block;margin:1em 0}"""


def varied(results):
    """Settings that are not the same in every run, in their order."""
    keys = list(dict.fromkeys(k for r in results for k in r["settings"]))
    return [k for k in keys if len({r["settings"].get(k) for r in results}) > 1]


def hover(r):
    own = " ".join(f"{k} {v}" for k, v in r["settings"].items() if k not in ("corpus", "tokenizer"))
    return (f"{r['name']}: {r['heldout_bits_per_byte']:.4f} bits per byte\n{short(r['flops'])} FLOPs, "
            f"{short(r['matmul_params'])} parameters that multiply, {short(r['tokens'])} tokens, "
            f"{r['seconds']:.0f} s\n{own}")


def group_name(r, by):
    v = field(r, by, True)
    return "–" if v is None else f"{by} {short(v)}"


def chart(results, x, by, title=None):
    lined = x.replace("-", "_")
    rows = [(field(r, x), r) for r in results]
    rows = [(v, r) for v, r in rows if v is not None]
    for column in (x, by):
        if column and all(field(r, column) is None for r in results):
            raise Refused(f"no finished run has a value for {column}")
    words = any(isinstance(v, str) for v, _ in rows)
    values = [v for v, _ in rows]
    log = not words and bool(values) and min(values) > 0 and (lined == "flops" or max(values) / min(values) >= 8)
    names = {"flops": "FLOPs", "matmul_params": "parameters that multiply", "lr": "learning rate of the matrices"}
    c = Chart(title or f"held-out bits per byte against {names.get(lined, x)}", names.get(lined, x),
              "bits per byte, held out", x_log=log)
    groups = {}
    for v, r in rows:
        groups.setdefault(group_name(r, by) if by else "", []).append((str(v) if words else v, r))
    order = sorted(groups, key=lambda g: (field(groups[g][0][1], by, True) is None if by else False,
                                          *sort_key(field(groups[g][0][1], by, True) if by else 0)))
    for g in order:
        dots = [(v, r["heldout_bits_per_byte"], hover(r)) for v, r in groups[g]]
        c.points(g, dots, col=None if g else "#0b62a4", line=bool(by) and not words)
    return c.svg()


def sort_key(v):
    return (1, str(v)) if isinstance(v, str) or v is None else (0, v)


def html(results, failed, x, by):
    """One file that needs nothing else; results: a list, failed: name -> sentence."""
    rows = sorted(results, key=lambda r: r["heldout_bits_per_byte"])
    own = varied(results)
    same = [f"{k} {v}" for k, v in (results[0]["settings"].items() if results else ()) if k not in own]
    head = ["name", "bits per byte", *own, "per character", "loss", "parameters", "that multiply", "tokens", "FLOPs",
            "seconds", "state root"]
    body = ""
    for i, r in enumerate(rows):
        cells = [r["name"], f"{r['heldout_bits_per_byte']:.4f}", *(text_of(r["settings"].get(k)) for k in own),
                 f"{r['heldout_bits_per_char']:.4f}", f"{r['loss']:.4f}",
                 *(f"{r[k]:,}" for k in ("params", "matmul_params", "tokens")), short(r["flops"]),
                 f"{r['seconds']:.0f}", r["state_root"][:12]]
        body += f'<tr{" class=best" if i == 0 else ""}>' + "".join(f"<td>{escape(c)}</td>" for c in cells) + "</tr>\n"
    charts = chart(results, "flops", by) if results else ""
    if x != "flops" and results:
        charts = chart(results, x, by) + charts
    lost = "".join(f'<p class="fail">{escape(n)} failed: {escape(why)}</p>\n' for n, why in failed.items())
    return (f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>sweep: {len(rows)} runs</title>\n'
            f"<style>{STYLE}</style>\n<h1>{len(rows)} runs</h1>\n{charts}\n<p>The same in all: "
            f"{escape(', '.join(same)) or 'nothing'}. Parameters that multiply: matrices and head, without the input "
            f"table. Loss: training, nats a token, mean of the last tenth of the steps.</p>\n{lost}"
            f'<div class="scroll"><table><tr>{"".join(f"<th>{escape(h)}</th>" for h in head)}</tr>\n{body}'
            f"</table></div></html>\n")


def write(folder, results, failed, x, by):
    if results or failed:
        if results:
            replace(os.path.join(folder, "sweep.svg"), chart(results, x, by))
        replace(os.path.join(folder, "sweep.html"), html(results, failed, x, by))
