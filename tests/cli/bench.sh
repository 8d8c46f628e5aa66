#!/bin/bash
# bench --record appends lines that bench report draws; damaged lines are refused by file, line and field.
set -u
here=$(cd "$(dirname "$0")" && pwd)
cd "$TMP" || exit 1
ok() { echo "ok $1"; }
fail() { echo "FAIL $1: $2"; }
has() { if grep -qF -- "$3" <<<"$2"; then ok "$1"; else fail "$1" "no \"$3\" in: $(head -c 200 <<<"$2")"; fi; }

machine='"machine":"a machine, 2 cores"'
line() { # line BENCH WHAT WHO VALUE UNIT BETTER [MORE]
    printf '{"bench":"%s","what":"%s","who":"%s","value":%s,"unit":"%s","min":%s,"max":%s,"n":3,"better":"%s",%s}\n' \
        "$1" "$2" "$3" "$4" "$5" "$4" "$4" "$6" "$machine${7:-}"
}
{
    line gemm "512³" dokja 100 GFLOP/s higher
    line gemm "512³" dokja 480 GFLOP/s higher ',"limit":600,"limit_name":"a peak","run":"r","date":"2026-01-02T03:04Z"'
    echo
    line gemm "512³" "peer <b>&\\\"\u0001" 240 GFLOP/s higher ',"limit":600,"run":"r","unknown":[1,{"x":null}]'
    line tokenizer "200 MB of Korean" dokja 12.5 s lower ',"command":"a & b <c>"'
    line tokenizer "200 MB of Korean" peer 50 s lower
    line other "more" dokja 0 h lower
} >lines.jsonl

# ---- the page ----
out=$("$DOKJA" bench report --in lines.jsonl --out page.html 2>err) || fail "report" "$(cat err)"
has "report: what was done" "$out" "page.html: 3 charts from 6 measurements"
out=$("$DOKJA" bench report --in lines.jsonl --out again.html --json 2>err)
has "report --json" "$out" '{"lines":6,"charts":3}'
same() { if cmp -s "$2" "$3"; then ok "$1"; else fail "$1" "$2 and $3 differ"; fi; }
same "report: the same page again" page.html again.html
page=$(cat page.html)
has "report: ratio" "$page" "<strong>dokja = 2.00 ×</strong>"
has "report: ratio where less is better" "$page" "<strong>dokja = 4.00 ×</strong>"
has "report: share of the limit" "$page" "480 · 80 %"
has "report: escapes" "$page" "peer &lt;b&gt;&amp;&quot;"
has "report: commands" "$page" "a &amp; b &lt;c&gt;"
has "report: Korean" "$page" '<h2 lang="ko">행렬곱</h2>'
has "report: English" "$page" '<h2 lang="en">Matrix product</h2>'
has "report: says when runs differ" "$page" "Not all measured in one run."
has "report: what was measured, in Korean" "$page" '<h3 lang="ko">한국어 200 MB</h3>'
has "report: … and in English" "$page" '<h3 lang="en">200 MB of Korean</h3>'
has "report: a name without Korean stands once" "$page" '<h3>512³</h3>'
if grep -qE 'https?:|<script[^>]|src=|<link|@import|url\(|fetch|XMLHttp' page.html
then fail "report: stands alone" "it points outside"
else ok "report: stands alone"; fi
if grep -qF '>100<' page.html; then fail "report: the last line counts" "100 is on the page"
else ok "report: the last line counts"; fi

# Without a script a page opens in English; with one, in the browser's language.
has "report: English without a script" "$page" '<html lang="en">'
opens() { # browser's language, the page's
    chromium --headless --no-sandbox --disable-gpu --user-data-dir="$PWD/profile-$1" --lang="$1" --accept-lang="$1" \
        --dump-dom "file://$PWD/page.html" >dom.html 2>dom.err
    has "report: opens in $2 for a reader of $1" "$(head -n 2 dom.html)" "<html lang=\"$2\">"
}
if command -v chromium >/dev/null; then opens ko ko; opens ko-KR ko; opens en-US en; opens kok en
else echo "skip report: opens in the browser's language: no chromium"; fi

# Two machines: the table says which figure is whose, as the captions do.
{ cat lines.jsonl; machine='"machine":"another"'; line gemm "512³" dokja 70 GFLOP/s higher; } >two.jsonl
"$DOKJA" bench report --in two.jsonl --out two.html >out 2>err || fail "report: two machines" "$(cat err)"
has "report: the second machine in the table" "$(cat two.html)" "<br><small>another</small></th>"
has "report: the first one too" "$(cat two.html)" '<small lang="en">a machine, 2 cores</small>'
has "report: … and in Korean" "$(cat two.html)" '<small lang="ko">a machine, 코어 2개</small>'
if grep -q '<small' page.html; then fail "report: one machine is named once" "it is in the table"
else ok "report: one machine is named once"; fi

if command -v python3 >/dev/null; then
    if why=$(python3 - page.html <<'PY'
import html.parser, re, sys
VOID = {"meta", "input", "br"}
class Check(html.parser.HTMLParser):
    stack, ids, refs, svgs, named = [], [], [], 0, 0
    def handle_starttag(self, tag, attrs):
        a = dict(attrs)
        if "id" in a: self.ids.append(a["id"])
        self.refs += a.get("aria-labelledby", "").split()
        self.svgs += tag == "svg"
        self.named += tag in ("title", "desc") and "svg" in self.stack
        if tag not in VOID: self.stack.append(tag)
    def handle_startendtag(self, tag, attrs): self.handle_starttag(tag, attrs); self.handle_endtag(tag)
    def handle_endtag(self, tag):
        if not self.stack or self.stack.pop() != tag: sys.exit("</%s> closes nothing at %s" % (tag, self.getpos()))
text = open(sys.argv[1], encoding="utf-8").read()
c = Check(); c.feed(text); c.close()
if c.stack: sys.exit("open: %s" % c.stack)
if len(set(c.ids)) != len(c.ids): sys.exit("an id twice")
if not c.refs or set(c.refs) - set(c.ids): sys.exit("labels that are nowhere")
if c.svgs != 3 or c.named != 6: sys.exit("%d drawings, %d titles and descriptions" % (c.svgs, c.named))
if re.search(r"[\x00-\x08\x0b-\x1f\x7f]", text): sys.exit("control characters")
PY
    ); then ok "report: well formed"; else fail "report: well formed" "$why"; fi 2>&1
else echo "skip report: well formed: no python3"; fi

# ---- what is refused ----
refused() { # refused NAME WANT-ON-STDERR ARGUMENTS...
    local name=$1 want=$2 status
    shift 2
    "$DOKJA" bench report "$@" >out 2>err
    status=$?
    if [ $status != 1 ]; then fail "$name" "status $status"
    elif [ "$(wc -l <err)" != 1 ]; then fail "$name" "not one sentence: $(cat err)"
    else has "$name" "$(cat err)" "$want"; fi
}
cp page.html before.html
damaged() { # damaged NAME WANT SED: the third line of a good file, changed
    { line a b c 1 s lower; echo; line gemm "512³" dokja 480 GFLOP/s higher | sed "$3"; } >bad.jsonl
    refused "$1" "bad.jsonl line 3: $2" --in lines.jsonl --in bad.jsonl --out page.html
}
damaged "not JSON" "" 's/}$//'
damaged "not an object" "not a JSON object" 's/.*/[1]/'
damaged "no unit" '"unit"' 's/"unit":"GFLOP.s",//'
damaged "a word for a number" '"value"' 's/"value":480/"value":"fast"/'
damaged "below nothing" '"value" is -480' 's/"value":480/"value":-480/'
damaged "a minimum above the median" '"min" is 481' 's/"min":480/"min":481/'
damaged "a maximum below the median" '"max" is 479' 's/"max":480/"max":479/'
damaged "no runs" '"n" is 0' 's/"n":3/"n":0/'
damaged "neither higher nor lower" '"better" is "wider"' 's/higher/wider/'
damaged "an empty name" '"who" is empty' 's/"dokja"/""/'
damaged "a key twice" "" 's/"n":3/"n":3,"n":3/'
same "a refused line leaves the page" page.html before.html
: >empty.jsonl
refused "no measurements" "empty.jsonl: no measurements" --in empty.jsonl --out page.html
refused "no such file" "absent.jsonl" --in absent.jsonl
refused "the default file" "bench/results.jsonl"
refused "no such folder" "no/such/page.html" --in lines.jsonl --out no/such/page.html
head -c 3000 /dev/zero | tr '\0' x >long
line gemm "$(cat long)" dokja 480 GFLOP/s higher >bad.jsonl
refused "a text without end" 'bad.jsonl line 1: "what" has 3000 bytes' --in bad.jsonl
for i in $(seq 25); do line gemm "512³" "peer $i" 480 GFLOP/s higher; done >bad.jsonl
refused "more programs than a chart holds" "more than 24 programs" --in bad.jsonl

# ---- recording ----
"$DOKJA" bench gemm --size 64 --runs 1 --record rec.jsonl --json >out 2>err || fail "gemm --record" "$(cat err)"
has "gemm --record: the old keys" "$(cat out)" '"fraction_of_limit":'
"$DOKJA" bench train --depth 1 --vocab 256 --seq 64 --batch-tokens 64 --steps 1 --record=rec.jsonl >out 2>err ||
    fail "train --record" "$(cat err)"
"$DOKJA" bench prefill --depth 1 --vocab 512 --prompt 64 --runs 1 --record rec.jsonl >out 2>err ||
    fail "prefill --record" "$(cat err)"
"$DOKJA" bench decode --depth 1 --vocab 512 --context 32 --tokens 4 --runs 1 --record rec.jsonl >out 2>err ||
    fail "decode --record" "$(cat err)"
"$DOKJA" primer --bytes 100k --seed 1 --out text.jsonl >out 2>err
"$DOKJA" tokenizer train --in text.jsonl --vocab 400 --out tok >out 2>err
"$DOKJA" bench encode --tokenizer tok --in text.jsonl --runs 1 --record rec.jsonl >out 2>err ||
    fail "encode --record" "$(cat err)"
has "train --record: the command, without the option" "$(cat rec.jsonl)" \
    '"command":"dokja bench train --depth 1 --vocab 256 --seq 64 --batch-tokens 64 --steps 1"'
DOKJA_CPU=ref "$DOKJA" bench gemm --size 64 --runs 1 --threads 1 --record rec.jsonl >out 2>err
has "gemm --record: an instruction set that is not the best" "$(tail -n 1 rec.jsonl)" '"what":"64³, ref'
out=$("$DOKJA" bench peak --record rec.jsonl --json)
has "peak: the machine" "$out" '"machine":"'
out=$("$DOKJA" bench report --in rec.jsonl --out rec.html 2>err) || fail "report of records" "$(cat err)"
# Every name that the program itself records has its Korean.
if command -v python3 >/dev/null; then
    python3 "$here/page_view.py" rec.html ko | grep -v 'dokja bench' >ko
    if grep -E 'vocabulary|sequence|token|thread|peak$|parameters|cores|memory|encode' ko >left || [ ! -s ko ]
    then fail "report: records in Korean" "$(head -n 1 left)"
    else ok "report: records in Korean"; fi
fi
has "report of records" "$out" "measurements"
"$DOKJA" bench gemm --size 64 --runs 1 --record no/such/rec.jsonl >out 2>err
status=$?
if [ $status = 1 ]; then has "a record that cannot be written" "$(cat err)" "no/such/rec.jsonl"
else fail "a record that cannot be written" "status $status"; fi
