"""sweep.svg and sweep.html: held-out bits per byte against compute or any column, and the table beneath.

The page has both languages and shows one, as those of src/ui/html.h do; the drawing alone is English."""

import os
from html import escape

from .chart import Chart, short
from .results import field, replace, text_of
from .table import Refused

STYLE = """body{font:14px/1.5 sans-serif;margin:2em;color:#222;background:#fff}table{border-collapse:collapse}
td,th{padding:.2em .7em;border-bottom:1px solid #ddd;text-align:right;white-space:nowrap}th{background:#f4f4f4}
td:first-child,th:first-child{text-align:left}tr.best td{background:#e9f5ec}.scroll{overflow-x:auto}
.fail{color:#a3152c}svg{max-width:100%;height:auto;display:block;margin:1em 0}.switch{text-align:right}
body:has(#ko:checked) [lang=en]{display:none}body:not(:has(#ko:checked)) [lang=ko]{display:none}"""

SWITCH = """<div class="switch" role="radiogroup" aria-label="Language · 언어"><label><input type="radio" name="language"
id="en" checked> English</label> <label><input type="radio" name="language" id="ko"> 한국어</label></div>
<script>
(function(){var ko=document.getElementById('ko'),en=document.getElementById('en'),key='dokja-language',was;
function show(){document.documentElement.lang=ko.checked?'ko':'en'}
function pick(){show();try{localStorage.setItem(key,ko.checked?'ko':'en')}catch(e){}}
try{was=localStorage.getItem(key)}catch(e){}
(was?was==='ko':/^ko\\b/i.test(navigator.language))?ko.checked=true:en.checked=true;
en.onchange=ko.onchange=pick;addEventListener('pageshow',show);show()})()
</script>
"""

KOREAN = {"name": "이름", "bits per byte": "바이트당 비트", "per character": "글자당 비트", "loss": "손실",
          "parameters": "매개변수", "that multiply": "곱하는 매개변수", "tokens": "토큰", "seconds": "초",
          "state root": "상태 해시", "parameters that multiply": "곱하는 매개변수",
          "learning rate of the matrices": "행렬의 학습률", "bits per byte, held out": "남겨 둔 글의 바이트당 비트"}


def two(tag, en, ko):
    """An element once in each language, of plain text; tag may carry attributes."""
    return "".join(f'<{tag} lang="{lang}">{escape(t)}</{tag.split()[0]}>' for lang, t in (("en", en), ("ko", ko)))


def varied(results):
    """Settings that are not the same in every run, in their order."""
    keys = list(dict.fromkeys(k for r in results for k in r["settings"]))
    return [k for k in keys if len({r["settings"].get(k) for r in results}) > 1]


def hover(r, ko):
    own = " ".join(f"{k} {v}" for k, v in r["settings"].items() if k not in ("corpus", "tokenizer"))
    if ko:
        return (f"{r['name']}: 바이트당 {r['heldout_bits_per_byte']:.4f}비트\n{short(r['flops'])} FLOPs, "
                f"곱하는 매개변수 {short(r['matmul_params'])}개, {short(r['tokens'])}토큰, {r['seconds']:.0f}초\n{own}")
    return (f"{r['name']}: {r['heldout_bits_per_byte']:.4f} bits per byte\n{short(r['flops'])} FLOPs, "
            f"{short(r['matmul_params'])} parameters that multiply, {short(r['tokens'])} tokens, "
            f"{r['seconds']:.0f} s\n{own}")


def group_name(r, by):
    v = field(r, by, True)
    return "–" if v is None else f"{by} {short(v)}"


def chart(results, x, by, title=None, ko=False):
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
    named, y_name = names.get(lined, x), "bits per byte, held out"
    title = title or f"held-out bits per byte against {named}"
    if ko:
        named, y_name = KOREAN.get(named, named), KOREAN[y_name]
        title = f"{y_name}: {named}에 따라"
    c = Chart(title, named, y_name, x_log=log)
    groups = {}
    for v, r in rows:
        groups.setdefault(group_name(r, by) if by else "", []).append((str(v) if words else v, r))
    order = sorted(groups, key=lambda g: (field(groups[g][0][1], by, True) is None if by else False,
                                          *sort_key(field(groups[g][0][1], by, True) if by else 0)))
    for g in order:
        dots = [(v, r["heldout_bits_per_byte"], hover(r, ko)) for v, r in groups[g]]
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
    charts = "".join(f'<div lang="{lang}">{chart(results, column, by, ko=lang == "ko")}</div>\n'
                     for column in dict.fromkeys((x, "flops")) for lang in ("en", "ko")) if results else ""
    lost = "".join(two('p class="fail"', f"{n} failed: {why}", f"{n} 실패: {why}") for n, why in failed.items())
    runs = f"{len(rows)} run{'' if len(rows) == 1 else 's'}"
    about = two("p", f"The same in all: {', '.join(same) or 'nothing'}. Parameters that multiply: matrices and head, "
                "without the input table. Loss: training, nats a token, mean of the last tenth of the steps.",
                f"모두 같은 것: {', '.join(same) or '없음'}. 곱하는 매개변수: 입력 표를 뺀 행렬과 출력층. 손실: 학습 손실, "
                "토큰당 나트, 마지막 10분의 1 단계의 평균.")
    heads = "".join(f"<th>{two('span', h, KOREAN[h]) if h in KOREAN and h not in own else escape(h)}</th>"
                    for h in head)
    return (f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><meta name="viewport" '
            f'content="width=device-width,initial-scale=1"><title>sweep: {runs}</title>\n<style>{STYLE}</style>\n'
            f'{SWITCH}{two("h1", runs, f"학습 {len(rows)}번")}\n{charts}\n{about}\n{lost}'
            f'<div class="scroll"><table><tr>{heads}</tr>\n{body}</table></div></html>\n')


def write(folder, results, failed, x, by):
    if results or failed:
        if results:
            replace(os.path.join(folder, "sweep.svg"), chart(results, x, by))
        replace(os.path.join(folder, "sweep.html"), html(results, failed, x, by))
