"""sweep.svg, in Korean sweep.ko.svg, and sweep.html: held-out bits per byte against compute or any column, and the
table beneath."""

import os
from html import escape

from .chart import Chart, short
from .results import field, replace, text_of
from .table import Refused

# One of the two languages is shown, one of the two sizes of each chart.
STYLE = """body{font:16px/1.5 system-ui,"Noto Sans KR","Noto Sans CJK KR",sans-serif;margin:2em;color:#222;
background:#fff;word-break:keep-all;overflow-wrap:anywhere}h1{margin:.3em 0}h2{font-size:1.15rem;margin:1.5em 0 .3em}
p{max-width:46rem}table{border-collapse:collapse;font-size:.85rem}
td,th{padding:.2em .7em;border-bottom:1px solid #ddd;text-align:right;white-space:nowrap}th{background:#f4f4f4}
td:first-child,th:first-child{text-align:left}tr.best td{background:#e9f5ec}.scroll{overflow-x:auto}
.fail{color:#a3152c}svg{max-width:100%;height:auto;display:block}.narrow{display:none}
.switch{display:flex;gap:1rem;justify-content:flex-end;font-size:.9rem}.switch label{cursor:pointer}
body:has(#ko:checked) [lang=en]{display:none}body:not(:has(#ko:checked)) [lang=ko]{display:none}
@media(max-width:40rem){body{margin:1em}.wide{display:none}.narrow{display:block}}@media print{.switch{display:none}}"""
# English until the reader picks Korean or has a browser that asks for it, as on the other pages.
SWITCH = """<div class="switch" role="radiogroup" aria-label="Language · 언어"><label><input type="radio" name="language"
id="en" checked> English</label><label><input type="radio" name="language" id="ko"> 한국어</label></div>
<script>
(function(){var ko=document.getElementById('ko'),en=document.getElementById('en'),key='dokja-language',was;
function show(){document.documentElement.lang=ko.checked?'ko':'en'}
function pick(){show();try{localStorage.setItem(key,ko.checked?'ko':'en')}catch(e){}}
try{was=localStorage.getItem(key)}catch(e){}
(was?was==='ko':/^ko\\b/i.test(navigator.language))?ko.checked=true:en.checked=true;
en.onchange=ko.onchange=pick;addEventListener('pageshow',show);show()})()
</script>
"""
NAMES = {"flops": "FLOPs", "matmul_params": "parameters that multiply", "lr": "learning rate of the matrices"}
KO = {"parameters that multiply": "곱하는 파라미터", "learning rate of the matrices": "행렬의 학습률",
      "bits per byte, held out": "남겨 둔 글의 바이트당 비트", "name": "이름", "bits per byte": "바이트당 비트",
      "per character": "글자당 비트", "loss": "손실", "parameters": "파라미터", "that multiply": "그중 곱하는 것",
      "tokens": "토큰", "seconds": "초", "state root": "상태 루트"}
NARROW = {"width": 380, "height": 360, "font": 13}   # pixels: a phone shows it about as it is


def both(tag, en, ko=None):
    """An element in each language, or one where they are the same."""
    ko = KO.get(en, en) if ko is None else ko
    if en == ko:
        return f"<{tag}>{escape(en)}</{tag}>"
    return f'<{tag} lang="en">{escape(en)}</{tag}><{tag} lang="ko">{escape(ko)}</{tag}>'


def varied(results):
    """Settings that are not the same in every run, in their order."""
    keys = list(dict.fromkeys(k for r in results for k in r["settings"]))
    return [k for k in keys if len({r["settings"].get(k) for r in results}) > 1]


def hover(r, korean=False):
    own = " ".join(f"{k} {v}" for k, v in r["settings"].items() if k not in ("corpus", "tokenizer"))
    if korean:
        return (f"{r['name']}: 바이트당 {r['heldout_bits_per_byte']:.4f}비트\n{short(r['flops'])} FLOPs, 곱하는 파라미터 "
                f"{short(r['matmul_params'])}개, {short(r['tokens'])}토큰, {r['seconds']:.0f}초\n{own}")
    return (f"{r['name']}: {r['heldout_bits_per_byte']:.4f} bits per byte\n{short(r['flops'])} FLOPs, "
            f"{short(r['matmul_params'])} parameters that multiply, {short(r['tokens'])} tokens, "
            f"{r['seconds']:.0f} s\n{own}")


def group_name(r, by):
    v = field(r, by, True)
    return "–" if v is None else f"{by} {short(v)}"


def axis_name(x):
    return NAMES.get(x.replace("-", "_"), x)


def heading(x, korean=False):
    name = axis_name(x)
    return (f"{KO.get(name, name)}에 따른 남겨 둔 글의 바이트당 비트" if korean
            else f"held-out bits per byte against {name}")


def chart(results, x, by, title=None, korean=False, **size):
    """title: None for its own, "" for none.  korean: all of it, for a file of its own."""
    lined = x.replace("-", "_")
    rows = [(field(r, x), r) for r in results]
    rows = [(v, r) for v, r in rows if v is not None]
    for column in (x, by):
        if column and all(field(r, column) is None for r in results):
            raise Refused(f"no finished run has a value for {column}")
    words = any(isinstance(v, str) for v, _ in rows)
    values = [v for v, _ in rows]
    log = not words and bool(values) and min(values) > 0 and (lined == "flops" or max(values) / min(values) >= 8)
    title = heading(x, korean) if title is None else title
    names = axis_name(x), "bits per byte, held out"
    c = Chart(title, *(KO.get(n, n) if korean else n for n in names), x_log=log, **size)
    groups = {}
    for v, r in rows:
        groups.setdefault(group_name(r, by) if by else "", []).append((str(v) if words else v, r))
    order = sorted(groups, key=lambda g: (field(groups[g][0][1], by, True) is None if by else False,
                                          *sort_key(field(groups[g][0][1], by, True) if by else 0)))
    for g in order:
        dots = [(v, r["heldout_bits_per_byte"], hover(r, korean)) for v, r in groups[g]]
        c.points(g, dots, col=None if g else "#0b62a4", line=bool(by) and not words)
    return c.svg()


def sort_key(v):
    return (1, str(v)) if isinstance(v, str) or v is None else (0, v)


def drawn(results, x, by):
    """The chart for a page, wide and narrow."""
    return (both("h2", heading(x), heading(x, True))
            + f'\n<div class="wide">\n{chart(results, x, by, "", ko=KO)}</div>\n'
            f'<div class="narrow">\n{chart(results, x, by, "", ko=KO, **NARROW)}</div>\n')


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
    charts = drawn(results, "flops", by) if results else ""
    if x != "flops" and results:
        charts = drawn(results, x, by) + charts
    lost = "".join('<div class="fail">' + both("p", f"{n} failed: {why}", f"{n} 실패: {why}") + "</div>\n"
                   for n, why in failed.items())
    about = both("p", f"The same in all: {', '.join(same) or 'nothing'}. Parameters that multiply: matrices and head, "
                 "without the input table. Loss: training, nats a token, mean of the last tenth of the steps.",
                 f"모든 실행에서 같은 설정: {', '.join(same) or '없음'}. 곱하는 파라미터는 행렬과 헤드이며 입력 임베딩 표는 세지 않는다. "
                 "손실은 학습 손실(토큰당 내트)로, 마지막 10분의 1 스텝의 평균이다.")
    head = "".join("<th>" + both("span", h) + "</th>" for h in head)
    return (f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n<meta name="viewport" '
            f'content="width=device-width,initial-scale=1">\n<title>sweep: {len(rows)} runs · 스윕: 실행 {len(rows)}개'
            f"</title>\n<style>{STYLE}</style></head>\n<body>\n{SWITCH}"
            f"{both('h1', f'{len(rows)} runs', f'실행 {len(rows)}개')}\n"
            f'{charts}{about}\n{lost}<div class="scroll"><table><tr>{head}</tr>\n{body}</table></div>\n'
            f"</body></html>\n")


def write(folder, results, failed, x, by):
    if results or failed:
        if results:
            for name, korean in (("sweep.svg", False), ("sweep.ko.svg", True)):
                replace(os.path.join(folder, name), chart(results, x, by, korean=korean))
        replace(os.path.join(folder, "sweep.html"), html(results, failed, x, by))
