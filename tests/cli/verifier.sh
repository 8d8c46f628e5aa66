#!/usr/bin/env bash
# The second verifier: honest runs pass and replay to the bit, forged ones fail by the check that claims them.
set -u
here=$(cd "$(dirname "$0")/../.." && pwd)
V=$(cd "$(dirname "$DOKJA")" && pwd)/dokja-verify
cd "$TMP"
ok() { echo "ok $1"; }
bad() { echo "FAIL $1: $2"; }

lines=$(cat "$here"/verify/*.[ch] | wc -l)
[ "$lines" -lt 1500 ] && ok "can be read in an afternoon" || bad "can be read in an afternoon" "$lines lines"
lines=$(cat "$here"/src/reference/*.[ch] | wc -l)
[ "$lines" -lt 1000 ] && ok "and what it computes with" || bad "and what it computes with" "$lines lines"
other=$(ldd "$V" | grep -vE 'linux-vdso|ld-linux|lib(crypto|m|c|asan|ubsan|gcc_s|stdc\+\+|dl|pthread)\.so')
[ -z "$other" ] && ok "needs libcrypto and the C library only" || bad "needs libcrypto and the C library only" "$other"

cat >tiny.json <<'END'
{"model_type": "qwen3", "vocab_size": 320, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
 "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 12, "max_position_embeddings": 128,
 "rope_theta": 5000, "tie_word_embeddings": true, "use_sliding_window": true, "sliding_window": 70,
 "max_window_layers": 1}
END
"$DOKJA" primer --bytes 200k --seed 3 --out p.jsonl 2>err.txt &&
head -n 100 p.jsonl >p1.jsonl && tail -n +101 p.jsonl >p2.jsonl && # the manifest counts each file too
"$DOKJA" corpus build --in p1.jsonl p2.jsonl --out corpus >/dev/null 2>>err.txt &&
"$DOKJA" tokenizer train --corpus corpus --vocab 320 --out tok >/dev/null 2>>err.txt ||
    { bad "verifier inputs" "$(tail -n 1 err.txt)"; exit 1; }
train() { # out, then options
    local out=$1; shift
    "$DOKJA" pretrain --corpus corpus --tokenizer tok --config tiny.json --heldout 0.02 --out "$out" --json "$@" \
        >"$out.json" 2>"$out.err" || bad "train $out" "$(tail -n 1 "$out.err")"
}
field() { # the result of a check in the verdict on stdin
    python3 -c 'import json, sys
print({c["name"]: c["result"] for c in json.load(sys.stdin)["checks"]}.get(sys.argv[1]))' "$1"
}
honest() { # run: all that can be decided passes, and every segment is what training gives
    "$V" "$1" --corpus corpus --json >v.out 2>v.err; local rc=$?
    if [ $rc = 0 ] && ! grep -q '"fail"' v.out; then ok "$1 verifies"
    else bad "$1 verifies" "exit $rc: $(cat v.out v.err)"; fi
    "$V" "$1" --replay all --json >v.out 2>v.err; rc=$?
    if [ $rc = 0 ] && grep -q '"first_difference":null' v.out; then ok "$1 replays to the bit"
    else bad "$1 replays to the bit" "exit $rc: $(cat v.out v.err)"; fi
}
caught() { # name, check, options: a copy at forged/ fails that check, and the verdict is fail
    local name=$1 check=$2; shift 2
    "$V" forged --json "$@" >v.out 2>v.err; local rc=$?
    if [ $rc = 1 ] && [ "$(field "$check" <v.out)" = fail ]; then ok "$name: $check fails"
    else bad "$name: $check fails" "exit $rc: $(cat v.out v.err)"; fi
}
not_replayed() { # name, run, what differs
    "$V" "$2" --replay 0 --json >v.out 2>v.err; local rc=$?
    if [ $rc = 1 ] && grep -q "$3" v.out v.err; then ok "$1: replay fails"
    else bad "$1: replay fails" "exit $rc: $(cat v.out v.err)"; fi
}
flip() { python3 "$here/tests/cli/flip.py" "$1"; }
copy() { rm -rf forged; cp -r base forged; }
forge() { python3 "$here/tests/cli/forge_ledger.py" "$@"; }

# What pretraining can be told: short rows, workers, windows, grouped heads; other optimizers and schedules.
B="--seq 64 --batch-tokens 4096 --steps 14 --workers 2 --seq-start 32 --seq-switch 0.3"
train base $B
train adamw --seq 128 --batch-tokens 512 --steps 6 --untied --optimizer adamw --schedule cosine --clip 0.5
train muon --seq 96 --batch-tokens 384 --steps 6 --workers 4 --optimizer muon --clip 0 --threads 3
DOKJA_CPU=ref train slow --seq 64 --batch-tokens 512 --steps 8 --threads 1
train fast --seq 64 --batch-tokens 512 --steps 8 --threads 3
sed 's/"max_position_embeddings": 128/"max_position_embeddings": 512/' tiny.json >long.json
train eight --config long.json --seq 512 --seq-start 256 --seq-switch 0.5 --batch-tokens 1024 --steps 4 --int8
train ordinary --config long.json --seq 256 --batch-tokens 1024 --steps 4
for r in base adamw muon slow fast eight ordinary; do honest $r; done
root() { sed -n 's/.*"state_root":"\([0-9a-f]*\)".*/\1/p' "$1" | tail -n 1; }
a=$(root slow.json) b=$(root fast.json)
[ -n "$a" ] && [ "$a" = "$b" ] && ok "one root on all instruction sets" ||
    bad "one root on all instruction sets" "$a $b"
# Killed before a state was saved and begun again: the ledger tells of it, and all else is as if it had not been.
for _ in 1 2 3; do   # a fast machine may have ended before it is struck
    rm -rf again
    "$DOKJA" pretrain --corpus corpus --tokenizer tok --config tiny.json --heldout 0.02 --out again $B >k.out 2>k.err &
    pid=$!
    until [ -s again/metrics.jsonl ] || ! kill -0 $pid 2>/dev/null; do sleep 0.01; done
    kill -9 $pid 2>/dev/null; wait $pid 2>/dev/null
    [ -e again/state/state.safetensors ] || break
done
train again $B
grep -q "nothing was saved yet: begins again at step 1 of 14" again.err && ok "killed before anything was saved" ||
    bad "killed before anything was saved" "$(tail -n 1 again.err)"
honest again
cmp -s base/model.safetensors again/model.safetensors && ok "… the same end" || bad "… the same end" "differs"
[ "$("$DOKJA" ledger show again | grep -c "^event .*Z: begun again at step 0, ")" = 1 ] &&
    "$DOKJA" ledger show again --json | grep -q '"events":\[{"what":"begun again","step":0,"at":"[^"]*"}\]' &&
    ok "… of which the ledger tells" || bad "… of which the ledger tells" "$("$DOKJA" ledger show again | grep event)"
"$DOKJA" ledger verify again --html again.html >v.out 2>v.err && grep -q "Z: begun again<" again.html &&
    grep -q "Z: 처음부터 다시 시작함<" again.html && ok "… and its page" || bad "… and its page" "$(tail -n 1 v.out v.err)"
"$DOKJA" ledger replay again --segments random:1 --nonce 7 >v.out 2>v.err && ok "… and whose segments are replayed" ||
    bad "… and whose segments are replayed" "$(tail -n 1 v.err)"
marks() { sed -n 's/^\([a-z-]*\)  *\(pass\|FAIL\|not decidable\)  .*/\1 \2/p'; }
"$V" base | marks >v.out; "$DOKJA" ledger verify base | marks >d.out
[ "$(wc -l <v.out)" = 16 ] && cmp -s v.out d.out && ok "both say it in the same words" ||
    bad "both say it in the same words" "$(diff v.out d.out)"
genesis=$("$V" base --json | sed -n 's/.*GENESIS is \([0-9a-f]\{64\}\).*/\1/p')
"$V" base --genesis "$genesis" --json | field lodged | grep -qx pass && ok "lodged" || bad "lodged" "$genesis"
python3 - <<'END'
import struct
d, at, notes = open("base/ledger.bin", "rb").read(), 8, []
while at < len(d):
    n = struct.unpack_from("<I", d, at)[0]
    if d[at + 4] == 16:
        notes.append(d[at + 5:at + 4 + n])
    at += 4 + n
open("kept", "wb").write(notes[2])
open("slow-ledger-cut", "wb").write(d[:at - 400])
END
"$V" base >/dev/full 2>v.err; rc=$?
[ $rc = 1 ] && grep -q "not everything could be written" v.err && ok "a verdict that cannot be written" ||
    bad "a verdict that cannot be written" "exit $rc: $(cat v.err)"
"$V" base --checkpoint kept --json | field witnessed | grep -qx pass && ok "witnessed" || bad "witnessed" "not"

# A beacon.
train lot --seq 64 --batch-tokens 512 --steps 4 --lodge lottery
echo "{}" >lot/tokenizer.json   # FINAL will name what lies there
train lot --seq 64 --batch-tokens 512 --steps 4 --beacon "4 8 15 16"
cmp -s tok/tokenizer.json lot/tokenizer.json && ok "a run that goes on has its tokenizer back" ||
    bad "a run that goes on has its tokenizer back" "$(wc -c lot/tokenizer.json)"
"$V" lot --json >v.out; hash=$(sed -n 's/.*GENESIS is \([0-9a-f]\{64\}\).*/\1/p' v.out)
[ "$(field seed <v.out)" = not-decidable ] && grep -q "without the hash of a GENESIS lodged before the draw" v.out &&
    ok "a seed from a beacon, nothing lodged" || bad "a seed from a beacon, nothing lodged" "$(cat v.out)"
"$V" lot --genesis "$hash" --json >v.out; [ "$(field seed <v.out)" = pass ] && ok "a seed from a beacon" ||
    bad "a seed from a beacon" "$(cat v.out)"
"$V" lot --genesis "${hash%?????}00000" --json >v.out; [ "$(field seed <v.out)" = not-decidable ] &&
    ok "a seed from a beacon, another one lodged" || bad "a seed from a beacon, another one lodged" "$(cat v.out)"
train none --seq 64 --batch-tokens 512 --steps 4 --beacon "4 8 15 16@not named"
hash=$("$V" none --json | sed -n 's/.*GENESIS is \([0-9a-f]\{64\}\).*/\1/p')
"$V" none --genesis "$hash" --json >v.out; [ "$(field seed <v.out)" = not-decidable ] && ok "a value of nobody" ||
    bad "a value of nobody" "$(cat v.out)"

rm -rf forged; cp -r lot forged; forge forged lot/state/key.pem set BEACON source self; caught "a beacon passed by" seed
rm -rf forged; cp -r lot forged; forge forged lot/state/key.pem set BEACON value 15; caught "a value of no draw" seed
grep -q '"seed 0x[0-9a-f]\{16\} does not follow from GENESIS' v.out && ok "… the seed in hexadecimal" ||
    bad "… the seed in hexadecimal" "$(cat v.out)"

# Text that is soon known by heart: one segment moves out of proportion, and that is no fault.
python3 -c 'import json
print(json.dumps({"text": "민원 접수증입니다. 접수한 민원은 7일 안에 처리하여 알려 드립니다. " * 40}, ensure_ascii=False))' >heart.jsonl
cat >small.json <<'END'
{"model_type": "qwen3", "vocab_size": 280, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
 "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 12, "max_position_embeddings": 128,
 "rope_theta": 5000, "tie_word_embeddings": true}
END
"$DOKJA" corpus build --in heart.jsonl --out heart-corpus >err.txt 2>&1 &&
"$DOKJA" tokenizer train --corpus heart-corpus --vocab 280 --out heart-tok >err.txt 2>&1 &&
"$DOKJA" pretrain --corpus heart-corpus --tokenizer heart-tok --config small.json --seq 64 --batch-tokens 1024 \
    --steps 400 --warmup 0.1 --heldout 0.02 --out heart >err.txt 2>&1 || bad "train heart" "$(tail -n 1 err.txt)"
"$V" heart --json >v.out 2>v.err; rc=$?
[ $rc = 0 ] && [ "$(field continuity <v.out) $(field step-bound <v.out)" = "not-decidable pass" ] &&
    ok "text known by heart is no fault" || bad "text known by heart is no fault" "exit $rc: $(cat v.out v.err)"
rm -rf forged; cp -r heart forged; forge forged heart/state/key.pem move 7 3fa999999999999a3fb999999999999a
"$V" forged --json >v.out 2>v.err; rc=$?
[ $rc = 0 ] && [ "$(field continuity <v.out) $(field step-bound <v.out)" = "not-decidable pass" ] &&
    ok "a leap within reach is not decided" || bad "a leap within reach is not decided" "exit $rc: $(cat v.out v.err)"
"$V" forged --replay 4 --json >v.out 2>v.err; rc=$?
[ $rc = 1 ] && grep -q '"what":"movement of ' v.out && ok "… and replay finds it" ||
    bad "… and replay finds it" "exit $rc: $(cat v.out v.err)"
forge forged heart/state/key.pem move 7 3ff80000000000004000000000000000; caught "a leap beyond reach" step-bound

train along --seq 64 --batch-tokens 8192 --steps 12 --keep-states 1
"$V" along --replay last >v.out 2>v.err
grep -q '^segments: 1, what training gives: 1; first difference: none$' v.out && ok "a replay in words" ||
    bad "a replay in words" "$(cat v.out)"
"$V" along --replay last --json >v.out 2>v.err; n=$(wc -l <v.err)
grep -q '"matched":1,"first_difference":null' v.out && [ "$n" -lt 3 ] && ok "replay from a kept state" ||
    bad "replay from a kept state" "$n segments: $(cat v.out v.err)"

# Forgeries without the key.
for at in 300 1500 -60; do
    copy; python3 -c "f = open('forged/ledger.bin', 'r+b'); d = bytearray(f.read()); d[$at] ^= 1; f.seek(0); f.write(d)"
    "$V" forged --json >v.out 2>v.err && bad "a changed byte at $at" "$(cat v.out)" || ok "a changed byte at $at"
done
copy; flip forged/model.safetensors
caught "another model file" files
caught "another model file" weights
copy; flip forged/state/state.safetensors
caught "another state" weights
copy; rm forged/model.safetensors; "$V" forged --json >v.out 2>v.err
[ "$(field initial <v.out) $(field step-bound <v.out) $(field weights <v.out)" = "pass pass fail" ] &&
    ok "a ledger without its model" || bad "a ledger without its model" "$(cat v.out v.err)"
copy; sed -i 's/"lr_gain": 0.003/"lr_gain": 0.004/' forged/run.json; caught "another run.json" files
rm -rf forged; cp -r eight forged; sed -i 's/"profile": "T2"/"profile": "T1"/' forged/run.json
caught "another profile in run.json" files
forge forged eight/state/key.pem set GENESIS profile T1; caught "another profile in GENESIS" profile
not_replayed "another profile in GENESIS" forged '"step":1,"what":"loss"'
forge forged eight/state/key.pem set GENESIS profile T9; caught "a profile that is not known" chain
rm -rf forged; cp -r ordinary forged; sed -i 's/"profile": "T1"/"profile": "T2"/' forged/run.json
forge forged ordinary/state/key.pem set GENESIS profile T2
t2=$("$DOKJA" selftest | sed -n 's/^T2 \([0-9a-f]*\).*/\1/p')
forge forged ordinary/state/key.pem set GENESIS selftest "$t2"
forge forged ordinary/state/key.pem file run.json
"$V" forged --json >v.out 2>v.err
[ "$(field profile <v.out)$(field files <v.out)" = passpass ] && ok "T1 called T2, self-test and all, passes" ||
    bad "T1 called T2, self-test and all, passes" "$(cat v.out v.err)"
not_replayed "T1 called T2" forged '"step":1,"what":"loss"'
copy; forge forged base/state/key.pem set GENESIS profile T2; caught "rows that are not whole groups" chain
copy; cp slow-ledger-cut forged/ledger.bin
"$V" forged --json >v.out
grep -q '"verdict":"incomplete"' v.out && ok "a cut ledger is incomplete" ||
    bad "a cut ledger is incomplete" "$(cat v.out)"
mkdir -p other; cp corpus/docs* other; sed 's/"root": "./"root": "x/' corpus/manifest.json >other/manifest.json
copy; caught "another corpus" corpus --corpus other
copy; cp fast/ledger.bin forged; caught "another run's ledger" weights
copy; caught "another lodged hash" lodged --genesis "${genesis%?????}00000"
copy; cp fast/ledger.bin forged; caught "a kept checkpoint of another run" witnessed --checkpoint kept

# Forgeries with the key, or another one.
openssl genpkey -algorithm ED25519 -out new.pem 2>/dev/null
key=base/state/key.pem
copy; forge forged new.pem leave; caught "another key" signatures
for p in "$V forged --replay 0" "$DOKJA ledger replay forged --segments 0"; do
    $p >v.out 2>v.err; rc=$?
    [ $rc = 1 ] && [ ! -s v.out ] && grep -q "a note is not signed by" v.err && ok "… and is not replayed" ||
        bad "… and is not replayed" "exit $rc: $(cat v.out v.err)"
done
copy; forge forged new.pem sign; caught "another key in GENESIS" lodged --genesis "$genesis"
copy; forge forged $key drop 3; caught "a segment left out" segments
copy; forge forged $key swap 3; caught "segments swapped" segments
copy; forge forged $key swap 1; caught "records out of order" chain
begins() { # run, what both programs say of its initial weights
    "$V" "$1" --json >v.out 2>v.err
    "$DOKJA" ledger verify "$1" --json >d.out 2>d.err
    grep -qF "\"$2\"" v.out && grep -qF "\"$2\"" d.out && ok "$1: both name the seed as show does" ||
        bad "$1: both name the seed as show does" "$(grep -ho '"[^"]* seed [^"]*INIT[^"]*"\|"INIT[^"]*"' v.out d.out)"
}
begins base "weights made again from seed $("$DOKJA" ledger show base | sed -n 's/^seed *\(0x[0-9a-f]*\), .*/\1/p') \
give INIT's root"
copy; forge forged $key set BEACON seed 7; caught "another seed" initial
begins forged "INIT's root is not that of the random weights of seed 0x0000000000000007"
not_replayed "another seed" forged "state root"
copy; forge forged $key set BEACON value 42; caught "a value that made no seed" seed
copy; forge forged $key set INIT root "$(printf '0%.0s' $(seq 64))"; caught "another beginning" initial
copy; forge forged $key set GENESIS selftest "$(printf '0%.0s' $(seq 64))"; caught "another profile" profile
copy; forge forged $key set SEGMENT tokens 5; caught "another token count" segments
for m in 7ff80000000000000000000000000000 3f500000000000000000000000000000 3f500000000000007ff0000000000000; do
    copy; forge forged $key set SEGMENT moved $m; caught "a movement that cannot be, $m" segments
done
copy; forge forged $key set GENESIS vocab 4194304; forge forged $key set GENESIS d_model 65536
for run in "" --replay; do
    (ulimit -v 4000000; "$V" forged ${run:+--replay 0} --json >v.out 2>v.err); rc=$?
    grep -q "model.safetensors:* has not the [0-9]* weights of GENESIS' shape" v.out v.err && [ $rc = 1 ] &&
        ok "a GENESIS of terabytes $run" || bad "a GENESIS of terabytes $run" "exit $rc: $(cat v.out v.err)"
done
"$V" forged --json >v.out 2>v.err
[ "$(field initial <v.out) $(field weights <v.out)" = "not-decidable fail" ] && ok "… not made again" ||
    bad "… not made again" "$(cat v.out v.err)"
# Files that FINAL names as they are, but that make another model of the run's weights.
for said in '"hidden_act": "silu"="hidden_act": "gelu"' '"attention_bias": false="attention_bias": true' \
    '"rope_scaling": null="rope_scaling": {"type": "linear", "factor": 2}' '{={"partial_rotary_factor": 0.5,' \
    '"use_sliding_window": true="use_sliding_window": false' '"rope_type": "default"="rope_type": "yarn"' \
    '{={"quantization_config": {},' '{={"vocab\u005fsize": 999,'; do
    copy; python3 - "$said" <<'END'
import sys
a, b = sys.argv[1].split("=")
text = open("forged/config.json").read()
assert a in text
open("forged/config.json", "w").write(text.replace(a, b, 1))
END
    forge forged $key file config.json; caught "config.json with $(echo "$said" | sed 's/.*=//')" files
    "$DOKJA" ledger verify forged --json 2>/dev/null | field files | grep -qx fail && ok "… both say so" ||
        bad "… both say so" "$("$DOKJA" ledger verify forged --json 2>/dev/null)"
done
for way in deeper twice more blank; do
    copy; python3 - $way <<'END'
import json, struct, sys
d = open("forged/model.safetensors", "rb").read()
n = struct.unpack_from("<Q", d)[0]
head, data = d[8:8 + n].decode().rstrip(), d[8 + n:]
of = {k: v for k, v in json.loads(head).items() if k != "__metadata__"}
dense = lambda o: json.dumps(o, separators=(",", ":"))
a, b = [k for k in of if "q_norm" in k][:2]
swapped = dict(of, **{a: of[b], b: of[a]})
head = {"deeper": '{"__metadata__":{"format":"pt","x":' + dense(of) + "}," + dense(swapped)[1:],
        "twice": head[:-1] + "," + dense({a: of[b], b: of[a]})[1:],
        "more": head[:-1] + ',"bias":{"dtype":"F32","shape":[0],"data_offsets":[%d,%d]}}' % (len(data), len(data)),
        "blank": head + "\0" + dense(swapped)}[sys.argv[1]]
open("forged/model.safetensors", "wb").write(struct.pack("<Q", len(head)) + head.encode() + data)
END
    forge forged $key file model.safetensors; caught "tensors named $way" weights
    "$DOKJA" ledger verify forged --json 2>/dev/null | field weights | grep -qx fail && ok "… both say so" ||
        bad "… both say so" "$("$DOKJA" ledger verify forged --json 2>/dev/null)"
done
copy; forge forged $key set FINAL steps 15; caught "another end" complete
alike() { # name, check, result: what both programs must say of forged/
    local said="$("$V" forged --json 2>v.err | tee v.out | field "$2")"
    local again="$("$DOKJA" ledger verify forged --json 2>d.err | tee d.out | field "$2")"
    [ "$said $again" = "$3 $3" ] && ok "$1: both say $3" || bad "$1: both say $3" "$said, $again: $(cat v.out v.err)"
}
copy; forge forged $key set FINAL heldout_bits_per_byte 0x7ff8000000000000; alike "a figure that is none" complete fail
"$DOKJA" ledger show forged --json | grep -q '"heldout_bits_per_byte":null' && ok "… which show still shows" ||
    bad "… which show still shows" "$("$DOKJA" ledger show forged --json 2>&1 | tail -n 1)"
for f in model.safetensors config.json run.json tokenizer.json; do
    copy; forge forged $key unname $f; alike "a FINAL without $f" files fail
    grep -q "FINAL does not name $f" v.out && grep -q "FINAL does not name $f" d.out && ok "… and why" ||
        bad "… and why" "$(cat v.out d.out)"
done
copy; sed -i '1s/^/ /' forged/tokenizer.json; forge forged $key file tokenizer.json
alike "another tokenizer than GENESIS'" files fail
copy; forge forged - note '\xe2\x80\x94 someone aGVsbG8gd29ybGQ='; alike "a signature of someone else's" signatures pass
copy; forge forged - note "$(printf '\\xe2\\x80\\x94 dokja-run/%s aGVsbG8gd29ybGQ=' "$genesis")"
alike "a short one of the same name by another key" signatures pass
copy; forge forged - note '\xe2\x80\x94 someone !!!'; alike "a signature that is no base64" signatures fail
copy; forge forged - note '\xff\xe2\x80 \xf0'; alike "a signature line of any bytes" signatures fail

# Stopped before training began: no fault, wherever it was; but a seed has a BEACON.
copy; forge forged $key first 1; alike "a seed without its BEACON" files fail
rm forged/run.json forged/config.json; alike "stopped before run.json" files not-decidable
copy; forge forged $key first 2; sed -i 's/"seed": ".*"/"seed": "beacon"/' forged/run.json
alike "stopped before run.json had the seed" files pass
copy; sed -i 's/"seed": ".*"/"seed": "beacon"/' forged/run.json; forge forged $key file run.json
alike "trained, and run.json still waits" files fail
copy; rm forged/run.json; alike "trained, and no run.json" files fail

# What goes with a replay, and what it would not look at.
for o in "--replay=all --genesis=$genesis" "--replay=all --corpus=corpus" "--replay=0 --checkpoint=kept" "--replay="; do
    IFS=' =' read -r a b c d <<<"$o"
    "$V" base "$a" "$b" ${c:+"$c" "$d"} >v.out 2>v.err; rc=$?
    [ $rc = 2 ] && [ ! -s v.out ] && grep -q "^Usage" v.err && ok "refused: ${o%%[0-9a-f][0-9a-f][0-9a-f]*}" ||
        bad "refused: $o" "exit $rc: $(cat v.out)"
done
copy; forge forged $key set GENESIS lr_embed 0x3f50000000000000; caught "a lower rate" step-bound
not_replayed "a lower rate" forged '"step":2,"what":"'
copy; forge forged $key set GENESIS clip 0x3fb0000000000000; not_replayed "another clip" forged '"what":"'
python3 - base/tokens/train.tokens <<'END'
import sys
d = bytearray(open(sys.argv[1], "rb").read())
for i in range(128, 128 + 2 * 20000, 2):
    d[i] ^= 1
open("train.tokens", "wb").write(d)
END
copy; rm -r forged/state
flip forged/model.safetensors
"$V" forged --replay last --json >v.out 2>v.err; rc=$?
[ $rc = 1 ] && grep -q '"what":"model.safetensors: ' v.out &&
    ok "a model file that training did not give, its state gone: replay fails" ||
    bad "a model file that training did not give, its state gone: replay fails" "exit $rc: $(cat v.out v.err)"
copy; forge forged $key set SEGMENT segment 1; not_replayed "another index" forged "SEGMENT 0 has other steps"
copy; forge forged $key set GENESIS vocab 4194303; forge forged $key set GENESIS d_model 65536
rm forged/model.safetensors
"$V" forged --replay 0 >v.out 2>v.err; rc=$?
[ $rc = 2 ] && grep -q "no memory" v.err && ok "a model too large for the machine is no verdict" ||
    bad "a model too large for the machine is no verdict" "exit $rc: $(tail -n 2 v.out v.err)"
copy; cp train.tokens forged/tokens; not_replayed "another text" forged '"step":1,"what":"loss"'

# A signed verdict.
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out ec.pem 2>/dev/null
openssl pkey -in ec.pem -pubout -out pub.pem
"$V" base --attest ec.pem --out verdict.json >/dev/null && python3 - verdict.json pub.pem <<'END' &&
import base64, hashlib, json, sys
b = json.load(open(sys.argv[1]))
e = b["dsseEnvelope"]
body = base64.b64decode(e["payload"])
s = json.loads(body)
assert s["predicateType"] == "https://in-toto.io/attestation/svr/v0.2"
assert s["predicate"]["verifier"]["policies"] == []
assert s["subject"][0]["digest"]["sha256"] == hashlib.sha256(open("base/ledger.bin", "rb").read()).hexdigest()
assert b["verificationMaterial"]["publicKey"]["hint"] == hashlib.sha256(open(sys.argv[2], "rb").read()).hexdigest()
assert "VERDICT_pass" in s["predicate"]["properties"], s
open("sig", "wb").write(base64.b64decode(e["signatures"][0]["sig"]))
open("pae", "wb").write(b"DSSEv1 %d %s %d " % (len(e["payloadType"]), e["payloadType"].encode(), len(body)) + body)
END
openssl dgst -sha256 -verify pub.pem -signature sig pae >/dev/null && ok "a signed verdict" ||
    bad "a signed verdict" "not good"
"$V" base --attest ec.pem --out verdict.json >v.out 2>v.err && ok "a verdict over a verdict" ||
    bad "a verdict over a verdict" "$(cat v.err)"
cp base/model.safetensors own.json
"$V" base --attest ec.pem --out own.json >v.out 2>v.err && bad "not over a model" "it was" ||
    { cmp -s base/model.safetensors own.json && grep -q "own.json: exists and is no attestation" v.err &&
      ok "not over a model"; } || bad "not over a model" "$(cat v.err)"

# Paths that are not what they should be: a sentence, no verdict, and nothing is signed.
no_verdict() { # name, words of the sentence, then arguments
    local name=$1 words=$2; shift 2
    "$V" "$@" --attest ec.pem --out att.json >v.out 2>v.err; local rc=$?
    if [ $rc = 1 ] && [ ! -s v.out ] && [ ! -e att.json ] && [ "$(wc -l <v.err)" = 1 ] && grep -q -- "$words" v.err
    then ok "$name: no verdict"; else bad "$name: no verdict" "exit $rc: $(cat v.out v.err)"; fi
}
mkdir -p empty notcorpus; echo '{"format": "else"}' >notcorpus/manifest.json
cp -r corpus halfcorpus; rm halfcorpus/docs-*
no_verdict "no run" "nowhere/ledger.bin: cannot be read" nowhere
no_verdict "no run to replay" "nowhere/ledger.bin: cannot be read" nowhere --replay 0
no_verdict "a folder that is no run" empty/ledger.bin empty
no_verdict "no corpus" "nope/manifest.json: cannot be read" base --corpus nope
no_verdict "a manifest of something else" notcorpus/manifest.json base --corpus notcorpus
no_verdict "a corpus without its text" "halfcorpus/docs-.*: cannot be read" base --corpus halfcorpus
no_verdict "no checkpoint" "nope: cannot be read" base --checkpoint nope
no_verdict "a file that is no checkpoint" "p.jsonl: is not a signed checkpoint" base --checkpoint p.jsonl
for key in nope.pem pub.pem base/state/key.pem; do
    "$V" base --attest $key --out att.json >v.out 2>v.err; rc=$?
    [ $rc = 1 ] && [ ! -s v.out ] && [ ! -e att.json ] && grep -q "$key: expected a P-256 private key" v.err &&
        ok "a key that cannot sign: $key" || bad "a key that cannot sign: $key" "exit $rc: $(cat v.out v.err)"
done
"$V" base --attest ec.pem --out nowhere/att.json >v.out 2>v.err; rc=$?
[ $rc = 1 ] && [ ! -s v.out ] && grep -q "nowhere/att.json: cannot be written" v.err && ok "no place for the verdict" ||
    bad "no place for the verdict" "exit $rc: $(cat v.out v.err)"

# Hostile files: one sentence, never a crash.
python3 - "$V" <<'END'
import os, random, shutil, subprocess, sys
random.seed(5)
names = ["ledger.bin", "state/state.safetensors", "model.safetensors", "tokens/train.tokens", "run.json", "config.json"]
said = "ok damaged files are refused in a sentence"
for i in range(120):
    name = names[i % len(names)]
    data = bytearray(open("fast/" + name, "rb").read())
    if i % 3 == 0:
        data = data[:random.randrange(len(data) if i % 2 else min(len(data), 3000))]
    else:
        for _ in range(random.randrange(1, 4)):
            data[random.randrange(len(data) if i % 2 else min(len(data), 3000))] = random.randrange(256)
    shutil.rmtree("hostile", ignore_errors=True)
    shutil.copytree("fast", "hostile")
    open("hostile/" + name, "wb").write(data)
    extra = ["--replay", "0"] if "tokens" in name and i % 4 == 1 else []
    p = subprocess.run([sys.argv[1], "hostile", *extra], capture_output=True,
                       env={**os.environ, "ASAN_OPTIONS": "exitcode=99"})
    if p.returncode not in (0, 1, 2) or (p.returncode and not p.stdout + p.stderr):
        said = f"FAIL damaged files are refused in a sentence: {name}, case {i}: exit {p.returncode} {p.stderr[-300:]}"
print(said)
END
for args in "" "base base" "base --out x" "base --genesis" "base --genesis 12ab"; do
    "$V" $args >v.out 2>v.err
    [ $? = 2 ] && grep -q Usage v.err && ok "usage: ${args:-none}" || bad "usage: ${args:-none}" "$(cat v.out v.err)"
done
