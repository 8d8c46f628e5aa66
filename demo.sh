#!/usr/bin/env bash
# From nothing to an own language model: a textbook (or your own text), a tokenizer, a model trained from random
# weights, and its answers to questions it has never seen.
#
#   ./demo.sh                      the built-in bilingual textbook
#   ./demo.sh FILE…                your own text (.txt .md .jsonl, .gz or .zst, or folders)
#   ./demo.sh --minutes N [FILE…]  fits itself to N minutes
#   ./demo.sh --out DIR            where to put it (default ./demo)
set -eu
export LC_ALL=C.UTF-8
here=$(cd "$(dirname "$0")" && pwd)
minutes=8 out=demo own=()
while [ $# -gt 0 ]; do
    case $1 in
        --minutes) [ $# -ge 2 ] || { echo "demo.sh: --minutes needs a number" >&2; exit 2; }
                   minutes=$2; shift 2 ;;
        --minutes=*) minutes=${1#*=}; shift ;;
        --out) [ $# -ge 2 ] || { echo "demo.sh: --out needs a folder" >&2; exit 2; }; out=$2; shift 2 ;;
        -h|--help) sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 0 ;;
        --) shift; own+=("$@"); break ;;
        -*) echo "demo.sh: unknown option $1; see --help" >&2; exit 2 ;;
        *) own+=("$1"); shift ;;
    esac
done
case $minutes in ''|*[!0-9.]*|.|*.*.*) echo "demo.sh: --minutes $minutes: expected a number" >&2; exit 2 ;; esac
for f in ${own[@]+"${own[@]}"}; do
    [ -e "$f" ] || { echo "demo.sh: $f: no such file or folder" >&2; exit 1; }
done
start=$(date +%s)
"$here/setup.sh"
dokja=$here/build/release-gcc/dokja
[ -x "$dokja" ] || { echo "demo.sh: $dokja was not built; see build/setup.log" >&2; exit 1; }
step() { printf '\n\033[1m%s\033[0m\n' "$*" | if [ -t 1 ]; then cat; else sed 's/\x1b\[[0-9]*m//g'; fi; }
mkdir -p "$out"

# What is already there is kept: the demo can be stopped and run again.
if [ ${#own[@]} -gt 0 ]; then
    step "1  Your text: a corpus"
    "$dokja" corpus build --in "${own[@]}" --out "$out/corpus"
    bytes=$("$dokja" corpus stats "$out/corpus" --json | grep -o '"bytes":[0-9]*' | head -n 1 | cut -d: -f2)
    # About one merge for each 500 bytes of text; one that says little, or the same again and again, supports fewer.
    vocab=$((272 + bytes / 500)); [ "$vocab" -le 4096 ] || vocab=4096
    heldout=0.02
else
    step "1  The primer: a textbook in Korean and English, written by this program"
    [ -f "$out/primer.jsonl" ] || "$dokja" primer --bytes 40M --seed 1 --out "$out/primer.jsonl"
    "$dokja" corpus build --in "$out/primer.jsonl" --out "$out/corpus"
    vocab=2048 heldout=0.005
fi
step "2  A tokenizer from that text"
[ -f "$out/tokenizer/tokenizer.json" ] ||
    "$dokja" tokenizer train --corpus "$out/corpus" --vocab-at-most $vocab --heldout $heldout --out "$out/tokenizer"
step "3  A model from random weights"
# Questions and answers at the end take about half a minute.
left=$(awk -v m="$minutes" -v s="$start" -v n="$(date +%s)" \
    'BEGIN { l = m - (n - s) / 60 - 0.6; print (l < 0.2 ? 0.2 : l) }')
# A run that was begun keeps the length it was given then.
length="--minutes $left"; [ ! -f "$out/run/run.json" ] || length=
"$dokja" pretrain --corpus "$out/corpus" --tokenizer "$out/tokenizer" --out "$out/run" \
    --heldout $heldout $length
if [ ${#own[@]} -gt 0 ]; then
    step "4  It writes on from the beginning of your first document"
    line=$("$dokja" corpus show "$out/corpus" | awk 'NR > 1 && NF && !done { print; done = 1 }') || true
    "$dokja" generate -m "$out/run" -p "${line:0:12}" --max-tokens 80
else
    step "4  Questions about facts that the textbook does not contain"
    "$dokja" eval -m "$out/run" --tasks primer --items 50 --show 1
fi
step "5  The proof: what can be checked of this run, and its first segment trained again"
"$dokja" ledger verify "$out/run"
"$dokja" ledger replay "$out/run" --segments 0 --corpus "$out/corpus" --html "$out/ledger.html"
step "Yours"
cat <<MSG
  talk to it              $dokja chat -m $out/run
  let it write            $dokja generate -m $out/run -p "대한민국"
  train on your own text  ./demo.sh --out mine FILE…
  its ledger as a page    $out/ledger.html
  for real                see README.md, "Your own text"
MSG
