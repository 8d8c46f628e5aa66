#!/usr/bin/env bash
# lineage from the command line: runs of our own, from other seeds and from one seed, and copies of them.
set -u
here=$(cd "$(dirname "$0")" && pwd)
cd "$TMP"
ok() { echo "ok $1"; }
bad() { echo "FAIL $1: $2"; }
is() { if [ "$2" = "$3" ]; then ok "$1"; else bad "$1" "got \"$2\", expected \"$3\""; fi; }
has() { case "$2" in *"$3"*) ok "$1" ;; *) bad "$1" "got \"$2\", expected it to hold \"$3\"" ;; esac; }
fails() { # name, status, part of the sentence, command…
    local name=$1 want=$2 sentence=$3 rc; shift 3
    "$@" >out.txt 2>err.txt </dev/null; rc=$?
    is "$name: status" $rc "$want"
    has "$name: sentence" "$(tail -n 1 err.txt)" "$sentence"
    is "$name: nothing on stdout" "$(wc -c <out.txt)" 0
}
verdicts() { grep -o '"verdict":"[a-z-]*"' | cut -d'"' -f4 | tr '\n' ' ' | sed 's/ $//'; }

for i in 1 2; do
    "$DOKJA" primer --bytes 300k --seed $i --out p$i.jsonl >/dev/null 2>err.txt &&
    "$DOKJA" corpus build --in p$i.jsonl --out corpus$i >/dev/null 2>>err.txt ||
        { bad "texts" "$(tail -n 1 err.txt)"; exit 1; }
done
"$DOKJA" tokenizer train --corpus corpus1 --vocab 600 --out tok >/dev/null 2>>err.txt
train() { # run, corpus, seed, tokenizer, shape…
    local run=$1 corpus=$2 seed=$3 tok=$4; shift 4
    "$DOKJA" pretrain --corpus "$corpus" --tokenizer "$tok" "$@" --seq 64 --batch-tokens 512 --steps 60 --seed "$seed" \
        --eval-every 0 --out "$run" >/dev/null 2>>err.txt || { bad "run $run" "$(tail -n 1 err.txt)"; exit 1; }
}
train a corpus1 1 tok --depth 2
train b corpus1 2 tok --depth 2
train c corpus2 1 tok --depth 2    # the same initial weights as a
"$DOKJA" tokenizer train --corpus corpus2 --vocab 400 --out tok2 >/dev/null 2>>err.txt
train d corpus2 4 tok2 --depth 2
cp -r a copy

L="lineage --permutations 1199"
out=$("$DOKJA" $L a b --json 2>err.txt); is "two models" $? 0
is "one JSON document" "$(printf '%s\n' "$out" | wc -l)" 1
for k in pairs a b verdict p_value effect percentile tests; do has "key $k" "$out" "\"$k\":"; done
is "other seeds" "$(printf %s "$out" | verdicts)" no-evidence
is "a copy" "$("$DOKJA" $L a copy --json 2>err.txt | verdicts)" derived
is "one seed, other data" "$("$DOKJA" $L a c --json 2>err.txt | verdicts)" not-decidable
mkdir bare && cp c/model.safetensors c/config.json c/tokenizer.json bare
out1=$("$DOKJA" $L a c 2>err.txt)
has "one seed: a test that decides nothing says so" "$(printf '%s\n' "$out1" | grep '^  activations ')" \
    "decides nothing between runs of one seed"
is "one seed: no threshold beyond a whole" "$(printf '%s\n' "$out1" | grep -c ' 2\.0000 ')" 0
out1=$("$DOKJA" $L a c --json 2>err.txt | grep -o '"test":"activations",[^}]*}')
has "one seed: nor in JSON" "$out1" '"needed":null'
has "one seed: nothing found there" "$out1" '"found":false'
is "one seed that nobody tells" "$("$DOKJA" $L a bare --json 2>err.txt | verdicts)" not-decidable
is "a file alone" "$("$DOKJA" $L a/model.safetensors copy --json 2>err.txt | verdicts)" derived
is "three models, every pair" "$("$DOKJA" lineage --permutations 3999 a b copy --json 2>err.txt | verdicts)" \
    "no-evidence derived no-evidence"

# Attention alone, in other residual dimensions, of a model with another vocabulary.
cat >heads.json <<'END'
{"architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "vocab_size": 600, "hidden_size": 64,
 "intermediate_size": 160, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16,
 "hidden_act": "silu", "max_position_embeddings": 512, "rms_norm_eps": 1e-6, "rope_theta": 10000.0,
 "attention_bias": false, "tie_word_embeddings": true, "bos_token_id": 0, "eos_token_id": 1, "torch_dtype": "float32"}
END
sed 's/"vocab_size": 600/"vocab_size": 700/' heads.json >heads2.json
"$DOKJA" tokenizer train --corpus corpus2 --vocab 700 --out tok3 >/dev/null 2>>err.txt
train heads corpus1 3 tok --config heads.json
train heads2 corpus2 4 tok3 --config heads2.json
python3 "$here/lineage_graft.py" heads heads2 graft 2>err.txt || bad "a graft" "$(tail -n 1 err.txt)"
out2=$("$DOKJA" lineage --permutations 1999 heads graft --json 2>err.txt)
is "attention alone" "$(printf %s "$out2" | verdicts)" shares-components
has "attention alone: named" "$out2" '"in common: attention; attention in 100 %, feed-forward in 0 % of the layers"'
has "attention alone: by every head" "$out2" '"heads_found_twice":1.0'
controls() { grep -o "\"test\":\"$1\",[^}]*}" | grep -o '"control_pairs":[0-9]*' | tail -n 1; }
is "controls of heads" "$(printf %s "$out2" | controls heads)" '"control_pairs":172'
is "controls of all others" "$(printf %s "$out2" | controls stream)" '"control_pairs":496'
is "attention alone, not the other way" "$("$DOKJA" $L heads heads2 --json 2>err.txt | verdicts)" no-evidence

part() { sed 's/,"peak_rss_bytes".*//'; }
for n in 1 3; do is "same with $n threads" "$("$DOKJA" $L a b --json --threads $n 2>err.txt | part)" \
    "$(printf %s "$out" | part)"; done
is "same with DOKJA_CPU=ref" "$(DOKJA_CPU=ref "$DOKJA" $L a b --json 2>err.txt | part)" "$(printf %s "$out" | part)"
# As many threads as were asked for, whatever the machine has: the most that were seen while it ran.
OMP_NUM_THREADS=3 "$DOKJA" $L a b --threads 1 >/dev/null 2>&1 &
pid=$! most=0
while n=$(sed -n 's/^Threads:[[:space:]]*//p' /proc/$pid/status 2>/dev/null) && [ -n "$n" ]; do
    [ "$n" -gt "$most" ] && most=$n
done
wait $pid
is "one thread" "$most" 1
text=$("$DOKJA" $L a b 2>err.txt)
has "text: verdict" "$text" "no-evidence"
has "text: not proof" "$text" "not proof of training from scratch"
has "text: the misleading cosine" "$text" "means nothing"

# Activation tests.
state() { # of a test: its done and found, or why it was not done
    grep -o "\"test\":\"$1\",[^}]*}" |
        sed 's/.*"done":false,"why_not":"\([^"]*\)".*/\1/; t; s/.*"found":\([a-z]*\).*/\1/'
}
is "answers of other seeds" "$(printf %s "$out" | state activations)" false
is "the stream supports" "$(printf %s "$out" | state stream)" false
is "answers of a copy" "$("$DOKJA" $L a copy --json 2>err.txt | state activations)" false
rm copy/run.json
is "answers of a copy that tells no seed" "$("$DOKJA" $L a copy --json 2>err.txt | state activations)" true
out=$("$DOKJA" $L a d --json 2>err.txt)
is "another tokenizer: verdict" "$(printf %s "$out" | verdicts)" no-evidence
is "another tokenizer: answers" "$(printf %s "$out" | state activations)" false
has "another tokenizer: places" "$out" '"activation_places":'
has "a file alone" "$("$DOKJA" $L a/model.safetensors b --json 2>err.txt | state activations)" \
    "a/model.safetensors: not a folder"
rm bare/tokenizer.json
has "no tokenizer" "$("$DOKJA" $L a bare --json 2>err.txt | state activations)" "bare: has no tokenizer.json"
has "too large" "$("$DOKJA" $L a b --run-limit 1000 --json 2>err.txt | state stream)" "limit 1e-06 (--run-limit)"
is "run none" "$("$DOKJA" $L a b --run-limit 0 --json 2>err.txt | state activations)" "the models were not run"
seq 1 400 >numbers.txt
out=$("$DOKJA" $L a b --text numbers.txt --json 2>err.txt)
is "a text of one's own" "$(printf %s "$out" | state activations)" false
printf 'short\n' >short.txt
has "too short a text" "$("$DOKJA" $L a b --text short.txt --json 2>err.txt | state activations)" "too few places"
printf ' \n' >empty.txt
fails "an empty text" 1 "empty.txt: holds no text" "$DOKJA" lineage a b --text empty.txt
printf 'x\377' >bytes.txt
fails "no text" 1 "bytes.txt: byte 1 is not UTF-8" "$DOKJA" lineage a b --text bytes.txt
fails "a text that is not there" 1 "nowhere.txt" "$DOKJA" lineage a b --text nowhere.txt
fails "draws that can find nothing" 2 "--permutations 1198: with 1 pair expected at least 1199" \
    "$DOKJA" lineage --permutations 1198 a b
fails "nor of three pairs" 2 "--permutations 3598: with 3 pairs expected at least 3599" \
    "$DOKJA" lineage --permutations 3598 a b copy
fails "one model" 2 "usage" "$DOKJA" lineage a
fails "no such model" 1 "nowhere" "$DOKJA" lineage a nowhere
printf 'GGUF????????????????????????' >x.gguf
fails "a broken file" 1 "x.gguf" "$DOKJA" lineage a x.gguf
printf x >y.safetensors
fails "another broken file" 1 "y.safetensors" "$DOKJA" lineage a y.safetensors
is "help" "$("$DOKJA" lineage --help | grep -c 'not-decidable\|ledger shows')" 2

# Models that others wrote.
if [ "${DOKJA_PEERS_LARGE:-0}" = 1 ]; then
    "$PEERS_PYTHON" "$here/../peers/lineage_models.py" "$DOKJA" models 2>err.txt ||
        bad "models of Transformers" "$(tail -n 1 err.txt)"
    "$PEERS_PYTHON" "$here/../peers/lineage_gguf.py" "$DOKJA" gguf 2>err.txt ||
        bad "copies written by gguf" "$(tail -n 1 err.txt)"
else
    echo "skip lineage of models written by Transformers and gguf: only with ./test.sh --peers"
fi
