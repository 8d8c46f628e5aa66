#!/bin/bash
# Measures everything of bench/report.html and draws it again: dokja alone, beside PyTorch and llama.cpp, with LLMC (a
# checkout of llm.c) beside that, and with KOREAN and ENGLISH (lists of .jsonl files, see peers/text.py) beside
# tokenizers.  Lines go to bench/results.jsonl; of the same work the last counts.  On a machine with other users UNDER
# (such as "flock FILE") runs each measurement, WARM what precedes it.
#   KOREAN="a.jsonl.zst b.jsonl" ENGLISH=c.jsonl bench/run.sh
set -eu
cd "$(dirname "$0")/.."
dokja=${DOKJA:-build/release-gcc/dokja} out=bench/results.jsonl
alone=${UNDER:-} warm=${WARM:-}
python=$(bench/peers/setup.sh)

# shellcheck disable=SC2086 -- a command with its arguments
$alone "$dokja" bench peak --record "$out"
# shellcheck disable=SC2086
$alone "$python" bench/peers/infer.py --dokja "$dokja" --out "$out"
peers=("$python" bench/peers/train.py --dokja "$dokja" --out "$out" --under "$alone" --warm-under "$warm")
# As installed first: the line of dokja that counts then comes from the run with the peers at their best.
"${peers[@]}" --only gemm --rounds 3 --modes stock-gemm-f32
"${peers[@]}" --only gemm --rounds 3
"${peers[@]}" --only train --shape d12 --rounds 3 # without llm.c: both at once need more than 24 GiB
"${peers[@]}" --only train --shape d4 --rounds 5 ${LLMC:+--llmc "$LLMC"}
if [ -n "${KOREAN:-}" ] && [ -n "${ENGLISH:-}" ]; then
    # shellcheck disable=SC2086
    $alone "$python" bench/peers/text.py --dokja "$dokja" --korean $KOREAN --english $ENGLISH --out "$out"
fi
"$dokja" bench report --in "$out" --out bench/report.html
