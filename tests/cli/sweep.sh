#!/usr/bin/env bash
# tools/sweep: rows are run once, killed sweeps go on, what is finished stays, what is refused is named.
set -u
sweep=$(cd "$(dirname "$0")/../.." && pwd)/tools/sweep
cd "$TMP"
export OMP_NUM_THREADS=1
ok() { echo "ok $1"; }
bad() { echo "FAIL $1: $2"; }
is() { if [ "$2" = "$3" ]; then ok "$1"; else bad "$1" "got \"$2\", expected \"$3\""; fi; }
has() { case "$2" in *"$3"*) ok "$1" ;; *) bad "$1" "got \"$2\", expected it to hold \"$3\"" ;; esac; }
# get FOLDER NAME EXPRESSION: of a result r
get() { python3 -c 'import json, sys
r = {r["name"]: r for r in map(json.loads, open(sys.argv[1] + "/results.jsonl"))}[sys.argv[2]]
print(eval(sys.argv[3]))' "$1" "$2" "$3" 2>&1 | tail -n 1; }
until_true() { local i; for i in $(seq 200); do eval "$1" && return 0; sleep 0.05; done; return 1; }

"$DOKJA" primer --bytes 200k --seed 8 --out p.jsonl >err.txt 2>&1 &&
"$DOKJA" corpus build --in p.jsonl --out corpus >/dev/null 2>>err.txt &&
"$DOKJA" tokenizer train --corpus corpus --vocab 512 --out tok >/dev/null 2>>err.txt ||
    { bad "sweep inputs" "$(tail -n 1 err.txt)"; exit 1; }

# Counts how often each run is begun.
real=$DOKJA
cat >counted <<END
#!/bin/sh
[ "\$2" = --help ] || echo "\$3" >>"$PWD/begun"
exec "$real" "\$@"
END
chmod +x counted
S="--set corpus=corpus --set tokenizer=tok --set seq=64 --set batch-tokens=512 --set heldout=0.02"
run() { local out=$1 table=$2; shift 2; DOKJA=./counted "$sweep" "$table" --out "$out" $S "$@" >out.txt 2>err.txt; }

cat >t.txt <<'END'
# three shapes
name   depth layers width steps lr    tied save-every
deep   1     -      -     12    0.02  -    -      # by the dial
shape  -     1      64    12    0.02  1    -
long   -     1      64    800  0.01  0    0.05
END

# Killed in the middle of the last run: its pretrain ends too, and the same call goes on.
DOKJA=./counted "$sweep" t.txt --out s $S >out.txt 2>err.txt & pid=$!
until_true '[ -f s/long/run/state/state.safetensors ]' || bad "the last run begins" "$(tail -n 1 err.txt)"
"$sweep" t.txt --out s $S >out2.txt 2>err2.txt
is "a second sweep on the folder: status" $? 1
has "a second sweep on the folder: sentence" "$(tail -n 1 err2.txt)" "another sweep (process $pid)"
kill -9 $pid; wait $pid 2>/dev/null
is "two finished before the kill" "$(grep -c . s/results.jsonl)" 2
run s t.txt; is "goes on after kill -9: status" $? 0
has "goes on after kill -9" "$(cat err.txt)" "going on long"
is "nothing is begun twice but the killed run" "$(sort begun | uniq -c | tr -s ' \n' ' ')" \
    " 1 s/deep/run 2 s/long/run 1 s/shape/run "
run s t.txt; is "again: nothing to do" "$? $(grep -c . begun)" "0 4"
"$real" pretrain --corpus corpus --tokenizer tok --seq 64 --batch-tokens 512 --heldout 0.02 --steps 800 --lr 0.01 \
    --depth 1 --untied --out whole --json >whole.json 2>err.txt
is "the killed run has the bits of an unbroken one" "$(get s long 'r["state_root"]')" \
    "$(sed -n 's/.*"state_root":"\([0-9a-f]*\)".*/\1/p' whole.json)"
is "the written shape is the one of --depth" "$(get s shape 'r["state_root"]')" "$(get s deep 'r["state_root"]')"
is "of a finished run remain" "$(ls s/long/run | tr '\n' ' ')" "config.json metrics.jsonl run.json "
is "results.tsv has every run and as many columns in each line" \
    "$(awk -F'\t' '{ print NF == n || !n; n = NF }' s/results.tsv | uniq -c | tr -s ' ')" " 4 1"

# Another row is picked up; a changed setting is refused by name, and so is one of a run that was begun.
cp t.txt t2.txt; echo "more - 2 64 10 0.03 - -" >>t2.txt
rm begun; run s t2.txt; is "a row added later" "$? $(cat begun)" "0 s/more/run"
sed 's/12    0.02  1/12    0.04  1/' t2.txt >t3.txt
run s t3.txt; is "a changed setting: status" $? 1
has "a changed setting: sentence" "$(tail -n 1 err.txt)" "run shape is finished with lr 0.02, and the table says 0.04"
is "a changed setting: nothing begun" "$(grep -c . begun)" 1

# Bits per byte of different held-out texts: said.
printf 'name steps depth eval-tokens\na 3 1 16384\nb 3 1 2048\nc 3 1 16384\n' >w.txt
run w w.txt; has "different held-out texts are said" "$?$(cat err.txt)" "warning: b and the other runs are held to"
run s t.txt; is "the same text is not" "$(grep -c warning err.txt)" 0

# Failures: named, the others go on, status 1, tried again next time.
printf 'name\tsteps\tseq\tdepth\nodd\t5\t100\t1\nfine\t5\t\t1\nlate\t6\t\t1\n' >f.tsv
rm begun; run f f.tsv --jobs 2; is "a run that fails: status" $? 1
has "a run that fails is named" "$(cat err.txt)" "FAILED odd: "
has "why it fails" "$(grep 'FAILED odd' err.txt)" "multiple of"
is "the others go on" "$(grep -c . f/results.jsonl)" 2
has "the page names it" "$(cat f/sweep.html)" "odd failed"
run f f.tsv; is "tried again, the others not" "$? $(sort begun | uniq -c | tr -s ' \n' ' ')" \
    "1  1 f/fine/run 1 f/late/run 2 f/odd/run "

head -n 2 f.tsv >g.tsv; run g g.tsv; is "all runs fail: status" $? 1
has "all runs fail: there is a page" "$(cat g/sweep.html 2>&1)" "odd failed"

# Ctrl-C: the run saves, the same command goes on.
printf 'name steps depth\nx 400 1\ny 5 1\n' >c.txt
DOKJA=./counted "$sweep" c.txt --out c $S >out.txt 2>err.txt & pid=$!
until_true '[ -s c/x/run/metrics.jsonl ]'
kill -TERM $pid; wait $pid; is "stopped: status" $? 1
has "stopped: sentence" "$(tail -n 1 err.txt)" "the same command goes on"
[ -f c/x/run/state/state.safetensors ] && ok "stopped: saved" || bad "stopped: saved" "no state"
run c c.txt; is "and goes on" "$? $(get c x 'r["resumed"], r["steps"]') $(get c y 'r["resumed"]')" \
    "0 (True, 400) False"

# Counting, against the model file; windows and grouped heads; --keep.
cat >k.txt <<'END'
name layers width head_dim kv_heads d_ff tied window window_every steps
a    3      64    16       2        128  0    16     2            4
END
run k k.txt --keep --by width; is "grouped heads and windows run" $? 0
is "parameters, as the model file has them" "$(python3 -c 'import json, math, struct
f = open("k/a/run/model.safetensors", "rb"); h = json.loads(f.read(struct.unpack("<Q", f.read(8))[0]))
n = {k: math.prod(v["shape"]) for k, v in h.items() if k != "__metadata__"}
print(sum(n.values()), sum(n.values()) - n["model.embed_tokens.weight"])')" \
    "$(get k a '"%d %d" % (r["params"], r["matmul_params"])')"
is "FLOPs, as pretrain counts them" "$(grep -o '[0-9.e+]* FLOPs' k/a/log)" \
    "$(get k a '"%.3g" % r["flops"]') FLOPs"
is "the shape reaches the run" \
    "$(get k a '[r["shape"][k] for k in ("layers", "heads", "kv_heads", "window", "tied")]')" \
    "[3, 4, 2, 16, False]"
is "a run's own folder says what the sweep says" "$(PYTHONPATH=${sweep%/sweep} python3 -B -c '
from experiment.results import from_run
r = from_run("k/a/run"); print(r["heldout_bits_per_byte"], r["loss"], r["matmul_params"], r["tokens"], r["flops"])')" \
    "$(get k a '" ".join(str(r[k]) for k in ("heldout_bits_per_byte", "loss", "matmul_params", "tokens", "flops"))')"
run k k.txt; [ -f k/a/run/model.safetensors ] && ok "a kept model stays" || bad "a kept model stays" "it is gone"

# Drawings.
"$sweep" --draw --out s --x lr --by width >out.txt 2>err.txt; is "draws without running" $? 0
python3 -c 'import sys, xml.dom.minidom as d
x = d.parse("s/sweep.svg"); c = x.getElementsByTagName("circle")
dots = [e for e in c if e.getElementsByTagName("title")]
page = open("s/sweep.html").read()
page = page.replace("http://www.w3.org/", "")
bad = [w for w in ("http://", "https://", "<script src", "<img", "<link") if w in page]
sys.exit(f"{len(dots)} points" if len(dots) != 4 else str(bad) if bad else page.count("<tr") != 5)' 2>err.txt &&
    ok "one point a run, a page of its own" || bad "one point a run, a page of its own" "$(tail -n 1 err.txt)"
# Each text of the page once in each language, charts for wide and narrow screens, and that of the file in English.
python3 - <<'END' 2>err.txt && ok "the page in both languages" ||
import re
page, alone = open("s/sweep.html").read().replace('<html lang="en">', ""), open("s/sweep.svg").read()
en, ko = (re.findall(rf'lang="{l}"[^>]*>([^<]*)', page) for l in ("en", "ko"))
assert len(en) == len(ko) > 15, (len(en), len(ko))
assert all(re.search("[가-힣]", s) for s in ko), [s for s in ko if not re.search("[가-힣]", s)]
assert not any(re.search("[가-힣]", s) for s in en), "Korean in the English view"
assert 'id="ko"' in page and "lang=" not in alone and not re.search("[가-힣]", alone), "languages of sweep.svg"
korean = open("s/sweep.ko.svg").read()
words = [t for t in re.findall(r"<(?:text|title)[^>]*>([^<]*)", korean) if re.search("[a-z]{3}", t)]
assert "<title>행렬의 학습률에 따른 남겨 둔 글의 바이트당 비트</title>" in korean and "lang=" not in korean
assert not any(re.search("bits|byte|param|against|rate|tokens", t.split("초\n")[0]) for t in words), words
assert korean.count("<circle") == alone.count("<circle") and "바이트당" in korean.split("<circle", 1)[1]
wide, narrow = page.count('<div class="wide">'), page.count('<div class="narrow">')
assert wide == narrow == 2 and page.count("<svg") == 4, (wide, narrow)
sizes = {(int(w), int(f)) for w, f in re.findall(r'<svg[^>]* width="(\d+)"[^>]* font-size="(\d+)"', page)}
assert sizes == {(860, 12), (380, 13)}, sizes   # 358 px of a screen of 390 are the chart's: letters of 12 px
assert "viewport" in page
END
    bad "the page in both languages" "$(tail -n 1 err.txt)"
"$sweep" --draw --out s --x nothing >out.txt 2>err.txt
has "a column nobody has" "$?$(cat err.txt)" "1sweep: no finished"

# Tables that say something impossible.
refuse() { # name, part of the sentence, table line...
    local name=$1 part=$2; shift 2
    printf '%s\n' "$@" >r.txt; run r r.txt; local rc=$?
    has "$name" "$rc $(tail -n 1 err.txt)" "$part"
}
refuse "unknown column" "1 sweep: r.txt:1: column speed is neither" "name speed" "a 1"
refuse "reserved column" "column out is the sweep's own" "name out" "a b"
refuse "no name" "one of them must be name" "depth steps" "1 2"
refuse "a name twice" "the name a stands in line 2" "name steps" "a 1" "a 2"
refuse "a name that leaves the folder" 'the name "../a"' "name steps" "../a 1"
refuse "a missing cell" "2 cells, the first line names 3" "name steps depth" "a 1"
refuse "half a shape" "d_ff needs layers and width, or depth" "name steps d_ff" "a 1 128"
refuse "a flag that is neither" 'tied is "maybe"' "name layers width tied" "a 1 64 maybe"
is "refused tables begin nothing" "$(ls r 2>/dev/null | grep -v sweep.lock)" ""
