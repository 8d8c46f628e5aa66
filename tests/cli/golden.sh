#!/usr/bin/env bash
# An independent view of a model trained here: our own numpy forward in float64 and, with large peers, Transformers and
# llama.cpp.
set -u
golden=$(cd "$(dirname "$0")/../golden" && pwd)
cd "$TMP"
if [ -z "${PEERS_PYTHON:-}" ]; then echo "skip golden: numpy is not installed here"; exit 0; fi
"$DOKJA" primer --bytes 2M --seed 5 --out p.jsonl 2>err.txt &&
"$DOKJA" primer --bytes 20k --seed 6 --out q.jsonl 2>>err.txt &&
"$DOKJA" corpus build --in p.jsonl --out corpus >/dev/null 2>>err.txt &&
"$DOKJA" tokenizer train --corpus corpus --vocab 1024 --out tok >/dev/null 2>>err.txt &&
"$DOKJA" pretrain --corpus corpus --tokenizer tok --out run --depth 2 --seq 128 --steps 150 --batch-tokens 2048 \
    >/dev/null 2>>err.txt || { echo "FAIL golden inputs: $(tail -n 1 err.txt)"; exit 1; }
"$PEERS_PYTHON" -c '
import json
for line in open("q.jsonl"):
    print(json.dumps(json.loads(line)["text"], ensure_ascii=False))' >strings.txt
"$DOKJA" tokenizer encode --tokenizer tok --in strings.txt --strings --json >lines.json
"$PEERS_PYTHON" -c '
import json
bos = [t["id"] for t in json.load(open("tok/tokenizer.json"))["added_tokens"] if t["content"] == "<|bos|>"]
json.dump([bos + json.loads(line)[:127] for line in open("lines.json")], open("ids.json", "w"))'
"$DOKJA" score -m run --tokens ids.json --json >ours.json 2>err.txt ||
    { echo "FAIL score: $(tail -n 1 err.txt)"; exit 1; }
view() { # name, script
    if ! "$PEERS_PYTHON" "$golden/$2" run ids.json >theirs.json 2>err.txt; then echo "FAIL $1: $(tail -n 1 err.txt)"
    elif said=$("$PEERS_PYTHON" "$golden/compare_scores.py" ours.json theirs.json); then echo "ok $1: $said"
    else echo "FAIL $1: $said"; fi
}
view "our float64 numpy forward" qwen3_numpy.py
if [ "${DOKJA_PEERS_LARGE:-0}" = 1 ]; then
    view "Transformers' Qwen3ForCausalLM" compare_transformers.py
    view "llama.cpp" compare_llamacpp.py
else echo "skip Transformers and llama.cpp: only with ./test.sh --peers"; fi
