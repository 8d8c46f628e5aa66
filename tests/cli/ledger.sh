#!/usr/bin/env bash
# The proof of a run: honest ones pass, on any machine's terms; each forgery is caught by the check that claims it.
set -u
here=$(cd "$(dirname "$0")" && pwd)
cd "$TMP"
ok() { echo "ok $1"; }
bad() { echo "FAIL $1: $2"; }

lib=$(dirname "$DOKJA")/libdokja.a
gcc -std=c17 -D_GNU_SOURCE -Wall -Wextra -Werror -I"$here/../../src" "$here/ledger_forge.c" "$lib" -fopenmp -o forge \
    ${LEDGER_CFLAGS:-} $(pkg-config --libs jansson libpcre2-8 libutf8proc libzstd zlib libcrypto) -lm 2>gcc.err ||
    { bad "the forger builds" "$(head -n 3 gcc.err)"; exit 1; }

"$DOKJA" primer --bytes 300k --seed 3 --out p.jsonl 2>err.txt &&
"$DOKJA" primer --bytes 300k --seed 4 --out q.jsonl 2>>err.txt &&
"$DOKJA" corpus build --in p.jsonl --out corpus >/dev/null 2>>err.txt &&
"$DOKJA" corpus build --in q.jsonl --out other >/dev/null 2>>err.txt &&
"$DOKJA" tokenizer train --corpus corpus --vocab 512 --out tok >/dev/null 2>>err.txt ||
    { bad "ledger inputs" "$(tail -n 1 err.txt)"; exit 1; }
openssl genpkey -algorithm ed25519 -out key.pem 2>/dev/null
openssl genpkey -algorithm ed25519 -out thief.pem 2>/dev/null

T="--tokenizer tok --depth 1 --seq 64 --batch-tokens 4096 --heldout 0.02 --steps 50"
train() { # out, then options
    local out=$1; shift
    "$DOKJA" pretrain $T --out "$out" "$@" >"$out.out" 2>"$out.err" || bad "train $out" "$(tail -n 1 "$out.err")"
}
result() { # run check: its result
    python3 -c 'import json,sys
v=json.load(open(sys.argv[1]))
print(next((c["result"] for c in v["checks"] if c["name"]==sys.argv[2]),"none") if sys.argv[2] else v["verdict"])' \
        "$1" "$2" 2>/dev/null
}
verify() { # its arguments; what its page has no Korean for is kept for the end
    local rc
    "$DOKJA" ledger verify "$@" --json --html verify.html >verify.json 2>verify.err; rc=$?
    sed -n 's/.*class="quoted">\([^<]*\)<.*/\1/p' verify.html >>quoted.txt
    return $rc
}
view() { python3 "$here/page_view.py" "$@"; }
HANGUL=$'[\xea-\xed][\x80-\xbf]'   # grep -P in the C locale
expect() { # name, check, result it must have after verify
    local got; got=$(result verify.json "$2")
    [ "$got" = "$3" ] && ok "$1" || bad "$1" "$2 says ${got:-nothing}, expected $3; $(tail -n 1 verify.err)"
}
says() { # name, words, file that must hold them
    grep -q -- "$2" "$3" && ok "$1" || bad "$1" "$(tail -n 1 "$3")"
}
differs() { # name, run, segment that a replay must find other than told
    if "$DOKJA" ledger replay "$2" --segments "$3" >replay.txt 2>replay.err; then bad "$1" "it matched"
    else ok "$1"; fi
}
forged() { # name of the copy, then edits: the honest run, forged
    local to=$1 key=$2; shift 2
    rm -rf "$to"; cp -r honest "$to"
    ./forge records "$to" "$key" "$@" || bad "forging $to" "$*"
}

flip() { python3 "$here/flip.py" "$1"; }

# ---- honest ----
train honest --corpus corpus --key key.pem --holder "시험 기관" --threads 1 --keep-states 1
verify honest --corpus corpus && ok "an honest run passes" || bad "an honest run passes" "$(tail -n 1 verify.err)"
for c in chain signatures profile initial segments complete files weights corpus step-bound continuity travel birth; do
    expect "honest: $c" $c pass
done
expect "a self-chosen seed is said to be one" seed not-decidable
"$DOKJA" pretrain $T --out nobody --corpus corpus >nobody.out 2>nobody.err
verify nobody --corpus corpus && view verify.html ko >ko.txt && view verify.html en >en.txt &&
    ! LC_ALL=C grep -qP "$HANGUL" en.txt && ok "the page's English view is English" ||
    bad "the page's English view is English" "$(LC_ALL=C grep -P "$HANGUL" en.txt | head -n 3)"
[ -s ko.txt ] && ! grep -qE "[0-9] [a-z]{3}|random|chosen|not named|segment |/ token|recorded" ko.txt &&
    grep -q "^밝히지 않음$" ko.txt && grep -q "^구간 5개가 설정의 계획대로 이어진다$" ko.txt &&
    ok "the Korean view is Korean" ||
    bad "the Korean view is Korean" "$(grep -E "[a-z]{3} [a-z]|[0-9] [a-z]" ko.txt | head -n 3)"
grep -qE "^한도에 가장 가까운 것: 구간 [0-9]의 [a-z0-9_.]+, normuon의 한도의 [0-9]+ %만큼 움직였다$" ko.txt &&
    ok "… also where its words come in another order" ||
    bad "… also where its words come in another order" "$(grep "한도" ko.txt)"
[ -s quoted.txt ] && bad "… with a Korean reason for each check" "$(head -n 1 quoted.txt)" ||
    ok "… with a Korean reason for each check"
# Few held-out tokens make the last figure rough: the page says so where it stands, in both languages.
"$DOKJA" pretrain --tokenizer tok --depth 1 --seq 64 --batch-tokens 512 --heldout 0.005 --steps 6 --corpus corpus \
    --out rough >rough.out 2>rough.err || bad "train rough" "$(tail -n 1 rough.err)"
few=$("$DOKJA" ledger show rough | sed -n 's/^final .* on \([0-9]*\) tokens, too few to compare$/\1/p')
verify rough && view verify.html ko >rough.ko && view verify.html en >rough.en && [ -n "$few" ] &&
    grep -qE "^rough: $few held-out tokens are too few .* may be [0-9]+ % off by chance$" rough.en &&
    grep -qE "^거침: 남겨 둔 글이 ${few}토큰뿐이어서 .* 우연만으로 [0-9]+ %까지 틀릴 수 있다$" rough.ko &&
    ok "the page says that a figure is rough" || bad "the page says that a figure is rough" "$few tokens"
grep -q "^rough" en.txt && bad "… and no other" "$(grep "^rough" en.txt)" || ok "… and no other"
"$DOKJA" pretrain --tokenizer tok --depth 1 --seq 64 --batch-tokens 512 --heldout 0.005 --steps 1 --corpus corpus \
    --out one-step >one.out 2>one.err || bad "train one-step" "$(tail -n 1 one.err)"
verify one-step && view verify.html en >one.en && grep -q "^Segments$" one.en && ! grep -q "^Loss$" one.en &&
    grep -q "^Loss$" en.txt && ok "a single step has no curve" || bad "a single step has no curve" "$(head -n 3 one.en)"
"$DOKJA" ledger show honest >show.txt && grep -q "시험 기관" show.txt && grep -q "self-chosen" show.txt &&
    ok "show names holder and seed" || bad "show names holder and seed" "$(head -n 3 show.txt)"
"$DOKJA" pretrain --tokenizer tok --depth 1 --seq 64 --batch-tokens 512 --heldout 0.02 --steps 6 --corpus corpus \
    --out short >short.out 2>short.err || bad "train short" "$(tail -n 1 short.err)"
says "show tells how many documents have how many tokens" \
    "^ *[0-9]* documents with [0-9]* tokens to train on, [0-9]* with [0-9]* held out$" show.txt
says "show tells the length of a sequence" "^plan .* tokens, sequences of 64, " show.txt
"$DOKJA" pretrain --tokenizer tok --depth 1 --seq 64 --seq-start 32 --seq-switch 0.5 --batch-tokens 512 --heldout 0.02 \
    --steps 6 --corpus corpus --out grown >grown.out 2>grown.err || bad "train grown" "$(tail -n 1 grown.err)"
says "… and of the first ones" "^plan .* tokens, sequences of 64 (32 in the first 3 steps), " \
    <("$DOKJA" ledger show grown)
# On a terminal no line is wider than it, and none is cut within a word; in a pipe each stays whole.
for columns in 80 97 200; do
    for what in show verify "replay --segments 0"; do
        python3 "$here/terminal.py" $columns "$DOKJA" ledger $what honest >screen.txt 2>screen.err &&
            [ -s screen.txt ] && ok "$columns columns: ledger $what" ||
            bad "$columns columns: ledger $what" "$(tail -n 1 screen.err)"
    done
done
python3 "$here/terminal.py" 80 "$DOKJA" ledger show honest >screen.txt 2>screen.err
says "a narrow segment's row keeps step, loss, when and where" \
    "^ *4 *50 *[0-9.]*  ▪*  *20[0-9T:-]*Z  [a-z0-9]* × 1$" screen.txt
python3 "$here/terminal.py" 200 "$DOKJA" ledger show honest >screen.txt 2>screen.err
says "a wide one has tokens besides" "^ *4 *50 *204800 *[0-9.]*  ▪*  *20[0-9T:-]*Z  [a-z0-9]*, 1 thread$" screen.txt
says "in a pipe it is narrow" "^ *4 *50 *[0-9.]*  ▪*  *20[0-9T:-]*Z  [a-z0-9]* × 1$" show.txt
wide=$(grep "20[0-9T:-]*Z  [a-z0-9]* × " show.txt | sed 's/[▪×]/x/g' | awk 'length > 80')
[ -z "$wide" ] && ok "… and fits 80 columns" || bad "… and fits 80 columns" "$wide"
for how in "DOKJA_CPU=avx2 OMP_NUM_THREADS=2 honest" "OMP_NUM_THREADS=3 honest" "DOKJA_CPU=ref OMP_NUM_THREADS=1 short"
do
    run=${how##* } how=${how% *} want=2; [ "$run" = short ] && want=1
    env $how "$DOKJA" ledger replay "$run" --segments 0,last --json >replay.json 2>replay.err &&
        grep -q "\"segments\": *$want, *\"matched\": *$want" <(sed 's/:/: /g;s/,/, /g' replay.json) &&
        ok "replayed with $how" || bad "replayed with $how" "$(tail -n 1 replay.err)"
done
"$DOKJA" ledger replay honest --all --corpus corpus --html page.html >replay.txt 2>replay.err && [ -s page.html ] &&
    ok "replayed whole from the corpus" || bad "replayed whole from the corpus" "$(tail -n 1 replay.err)"
says "… which is said beforehand" "replay: trains all 5 segments, 50 steps$" replay.err
# One state was kept, after segment 2: the last one takes two segments, both of which are counted.
"$DOKJA" ledger replay honest --segments 0,last >replay.txt 2>replay.err
says "what lies on the way to a chosen segment is said beforehand" \
    "no kept state .*: trains 3 of 5 segments, 30 steps, to reach the 2 chosen" replay.err
[ "$(grep -n "trains 3 of 5" replay.err | cut -d: -f1)" = 1 ] && ok "… before anything else" ||
    bad "… before anything else" "$(head -n 1 replay.err)"
says "… and counted" "^3 of 3 trained segments match, of 5 in all" replay.txt
says "… in the chance too" "chance that 3 of 5 segments" replay.txt
rm -rf bare; cp -r honest bare; rm -r bare/states
"$DOKJA" ledger replay bare --segments 0,last --html page.html >replay.txt 2>replay.err
says "a replay without kept states says that it trains all" \
    "no states were kept (pretrain --keep-states N): trains all 5 segments" replay.err
says "… counts all" "^5 of 5 trained segments match" replay.txt
grep -q "chance" replay.txt && bad "… and leaves nothing to chance" "$(grep chance replay.txt)" ||
    ok "… and leaves nothing to chance"
[ "$(grep -o "replayed: same root" page.html | wc -l)" = 5 ] && ok "… on the page as well" ||
    bad "… on the page as well" "$(grep -c "replayed: same root" page.html) rows"
"$DOKJA" ledger replay bare --segments last --json >replay.json 2>replay.err
says "… and in JSON" '{"segments":1,"matched":1,"trained":5,"trained_matched":5,' replay.json
# Ten segments, of which the first, the last, three outliers and one drawn are six at most; every state was kept.
train kept --corpus corpus --steps 100 --keep-states 9
"$DOKJA" ledger replay kept --segments random:1 --nonce 7 >replay.txt 2>&1 &&
    grep -q "chance that 1 of 10 segments, drawn at random" replay.txt && ! grep -q "on the way" replay.txt &&
    ok "random segments, with what they would have shown" || bad "random segments" "$(tail -n 1 replay.txt)"

# Kills and resumes: nothing is forgotten, nothing told twice, and it is told that it happened.
for i in 1 2 3; do
    "$DOKJA" pretrain $T --out killed --corpus corpus --key key.pem --save-every 0 >killed.out 2>killed.err & pid=$!
    while [ ! -f killed/state/state.safetensors ] && kill -0 $pid 2>/dev/null; do sleep 0.02; done
    [ $i = 1 ] || sleep "0.$((RANDOM % 9))"   # the first one is sure to strike before the end
    kill -9 $pid 2>/dev/null; wait $pid 2>/dev/null
done
train killed --corpus corpus --key key.pem --save-every 0
verify killed && grep -q resumed <("$DOKJA" ledger show killed) && ok "killed and resumed: passes and says so" ||
    bad "killed and resumed" "$(tail -n 1 verify.err)"
[ "$("$DOKJA" ledger show killed | grep -c '^root')" = 1 ] &&
    cmp -s honest/model.safetensors killed/model.safetensors && ok "the same end" || bad "the same end" "differs"
train four --corpus corpus --workers 4 --threads 2; verify four && ok "four workers pass" ||
    bad "four workers pass" "$(tail -n 1 verify.err)"
train adamw --corpus corpus --optimizer adamw --untied --schedule cosine
verify adamw && ok "AdamW, untied, cosine pass" ||
    bad "AdamW, untied, cosine pass" "$(tail -n 1 verify.err)"
train eight --corpus corpus --seq 256 --steps 12 --int8; verify eight && ok "8-bit integers pass" ||
    bad "8-bit integers pass" "$(tail -n 1 verify.err)"
expect "… by their own profile" profile pass
says "… which show names" "numeric profile T2" <("$DOKJA" ledger show eight)
"$DOKJA" ledger replay eight --all --threads 3 >replay.txt 2>replay.err && ok "8-bit integers replayed" ||
    bad "8-bit integers replayed" "$(tail -n 1 replay.err)"

# Text that is soon known by heart: training all but stops, and what moved before is out of proportion.  No fault.
cat >tiny.json <<'END'
{"model_type": "qwen3", "vocab_size": 280, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
 "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 12, "max_position_embeddings": 128,
 "rope_theta": 5000, "tie_word_embeddings": true}
END
python3 -c 'import json
print(json.dumps({"text": "민원 접수증입니다. 접수한 민원은 7일 안에 처리하여 알려 드립니다. " * 40}, ensure_ascii=False))' >heart.jsonl
"$DOKJA" corpus build --in heart.jsonl --out heart-corpus >err.txt 2>&1 &&
"$DOKJA" tokenizer train --corpus heart-corpus --vocab 280 --out heart-tok >err.txt 2>&1 &&
"$DOKJA" pretrain --corpus heart-corpus --tokenizer heart-tok --config tiny.json --seq 64 --batch-tokens 1024 \
    --steps 400 --warmup 0.1 --heldout 0.02 --out heart --key key.pem >err.txt 2>&1 ||
    bad "train heart" "$(tail -n 1 err.txt)"
verify heart && ok "a run on text known by heart passes" ||
    bad "a run on text known by heart passes" "$(tail -n 1 verify.err)"
expect "… its steps are the optimizer's" step-bound pass
expect "… and that one segment moved much faster is no verdict" continuity not-decidable
says "… but said, with the segment" "in segment 1 as around it.*a replay of that segment tells" verify.json
"$DOKJA" ledger replay heart --segments outliers >replay.txt 2>replay.err && ok "… and replay clears it" ||
    bad "… and replay clears it" "$(tail -n 1 replay.err)"

# A seed from a beacon.
lodged=$("$DOKJA" pretrain $T --corpus corpus --out beacon --lodge "drand 77" 2>/dev/null | sed -n 's/^genesis //p')
"$DOKJA" pretrain $T --corpus corpus --out beacon >beacon.out 2>beacon.err && bad "waits for its beacon" "trained" ||
    says "waits for its beacon" --beacon beacon.err
verify beacon; expect "lodged alone is incomplete" "" incomplete
says "one is counted as one" '"1 checkpoint by the key of GENESIS"' verify.json
"$DOKJA" pretrain $T --corpus corpus --out beacon --beacon 8c1f04a2@lottery >beacon.out 2>beacon.err &&
    bad "another beacon than GENESIS names" "trained" || says "another beacon than GENESIS names" "drand 77" beacon.err
"$DOKJA" pretrain $T --corpus corpus --out beacon --lodge "drand 78" >beacon.out 2>beacon.err &&
    bad "another beacon lodged than GENESIS names" "$(cat beacon.out)" ||
    says "another beacon lodged than GENESIS names" 'awaits the value of "drand 77"' beacon.err
"$DOKJA" pretrain $T --corpus corpus --out beacon --lodge "drand 77" >beacon.out 2>beacon.err
[ "$(head -n 1 beacon.out)" = "genesis $lodged" ] &&
    ok "the same lodged again" || bad "the same lodged again" "another genesis"
train beacon --corpus corpus --beacon 8c1f04a2
grep "begins again" beacon.err >stray && bad "a lodged run begins for the first time" "$(cat stray)" ||
    ok "a lodged run begins for the first time"
verify beacon --genesis "$lodged" && ok "a beacon's run passes" || bad "a beacon's run passes" "$(tail -n 1 verify.err)"
expect "its seed is decided" seed pass
expect "its GENESIS is the one lodged" lodged pass
verify beacon && ok "… passes without its hash" || bad "… passes without its hash" "$(tail -n 1 verify.err)"
expect "… but whether the seed was chosen is open" seed not-decidable
says "… and what is missing said" "without the hash of a GENESIS lodged before the draw" verify.json
rm -rf bare; "$DOKJA" pretrain $T --corpus corpus --out bare --beacon abc >bare.out 2>bare.err
[ $? = 2 ] && [ ! -e bare/ledger.bin ] && [ ! -e bare/tokens ] && ok "a value without a source is refused" ||
    bad "a value without a source is refused" "$(tail -n 1 bare.err)"
says "… and what is expected said" "--beacon abc: names no source, expected VALUE@SOURCE" bare.err
"$DOKJA" pretrain $T --corpus corpus --out four --workers 4 --beacon abc >bare.out 2>bare.err
[ $? = 1 ] && grep -q -- "--beacon abc: the run's GENESIS names no beacon, its seed is its own" bare.err &&
    ok "a value for a run of its own seed is refused" ||
    bad "a value for a run of its own seed is refused" "$(tail -n 1 bare.err)"
# Nothing lodged: key and date can be tried until a seed suits.
train unlodged --corpus corpus --steps 5 --beacon "8c1f04a2@drand 77"
verify unlodged && expect "a source that was never lodged" seed not-decidable ||
    bad "a source that was never lodged" "$(tail -n 1 verify.err)"
train unnamed --corpus corpus --steps 5 --beacon "8c1f04a2@not named"
verify unnamed --genesis "$("$DOKJA" ledger show unnamed | sed -n 's/^genesis *\([0-9a-f]*\).*/\1/p')"
expect "a value of nobody" lodged pass
expect "… decides nothing" seed not-decidable

# ---- forged ----
forged foreign key.pem '1:seed=12345'
verify foreign; expect "foreign initial weights" initial fail
rm -rf ground; cp -r beacon ground; ./forge records ground beacon/state/key.pem '1:value=00000000'
verify ground --genesis "$lodged"; expect "seed grinding" seed fail
says "… the seed in hexadecimal" '"seed 0x[0-9a-f]\{16\} does not follow from GENESIS' verify.json
rm -rf selfish; cp -r beacon selfish; ./forge records selfish beacon/state/key.pem 1:source=self 1:value=-
verify selfish; expect "a beacon exchanged for a seed of one's own" seed fail
forged key2 thief.pem key
verify key2 --genesis "$("$DOKJA" ledger show honest | sed -n 's/^genesis *\([0-9a-f]*\).*/\1/p')"
expect "a ledger signed again, GENESIS lodged" lodged fail
verify key2; expect "a ledger signed again, nothing lodged: nobody can tell" lodged not-decidable
forged key3 thief.pem; verify key3; expect "signed by another key than GENESIS'" signatures fail

train twin --corpus other --key key.pem --seed 5
root() { "$DOKJA" ledger show "$1" --json | python3 -c 'import json,sys
print(json.load(sys.stdin)["segments"][int(sys.argv[1])]["state_root"])' "$2"; }
# From segment 2 on another run's states, signed by the same hand; its files go with it.
forged splice key.pem take:5:twin take:6:twin take:7:twin "5:before=$(root honest 1)"
cp twin/state/state.safetensors splice/state/; cp twin/model.safetensors splice/
./forge records splice key.pem file:model.safetensors "8:root=$(root twin 4)"
verify splice; for c in chain signatures segments complete files weights step-bound; do
    expect "a careful splice passes: $c" $c pass
done
expect "… and is caught by how far the end lies from the beginning" travel fail
differs "a splice is caught by replay" splice 2
# Movements made larger.  Beyond what the optimizer can do is a contradiction; within it, a replay has to tell.
forged leap key.pem 6:moved=3ff80000000000004000000000000000; verify leap
expect "a leap beyond the optimizer" step-bound fail
rm -rf hop; cp -r heart hop; ./forge records hop key.pem 7:moved=3fa999999999999a3fb999999999999a; verify hop
expect "a leap within its reach passes" step-bound pass
expect "… is out of proportion" continuity not-decidable
"$DOKJA" ledger replay hop --segments outliers >replay.txt 2>replay.err && bad "… and an outlier" "it matched" ||
    says "… and an outlier that a replay finds" "segment 4 is not what training gives" replay.err
# One chunk of a state altered between two segments; no state lies there, only its chunks' hashes.
"$DOKJA" pretrain --tokenizer tok --depth 2 --seq 64 --batch-tokens 4096 --heldout 0.02 --steps 20 --corpus corpus \
    --key key.pem --out nudged >nudged.out 2>nudged.err || bad "train nudged" "$(tail -n 1 nudged.err)"
./forge records nudged key.pem leaf:0:1
verify nudged; expect "a state altered between segments passes" segments pass
differs "… and is caught by replay" nudged 0
says "… which names the chunk" "at step 10 the state root is another; its state differs first in chunk 1 of" replay.err
says "… and its tensors" "from [a-z0-9]*\.model\..*\.weight to [a-z0-9]*\..*\.weight" replay.err
printf x | dd of=nudged/ledger.leaves bs=1 seek=60 conv=notrunc 2>dd.err
differs "a state altered, the hashes damaged" nudged 0
says "… says no chunk" "the state root is another$" replay.err
rm nudged/ledger.leaves
differs "a state altered, no hashes there" nudged 0
# Another rate from segment 2 on, same seed, same text: what is told of steps fits, but it is not what training gives.
train slow --corpus other --key key.pem --seed 5 --lr 0.015
rm -rf midway; cp -r twin midway
./forge records midway key.pem take:5:slow take:6:slow take:7:slow "5:before=$(root twin 1)"
cp slow/state/state.safetensors midway/state/; cp slow/model.safetensors midway/
./forge records midway key.pem file:model.safetensors "8:root=$(root slow 4)"
verify midway
for c in segments files weights step-bound; do expect "a rate changed midway passes: $c" $c pass; done
expect "… and is seen by how far the end lies, in so short a run" travel fail
differs "a rate changed midway is caught by replay" midway 2
forged dropped key.pem drop:5; verify dropped; expect "a dropped segment" segments fail
forged faster key.pem 0:lr_matrix=0x3fa47ae147ae147b
verify faster; expect "another rate than run.json's" files fail
differs "a changed rate is caught by replay" faster 0
rm -rf lighter; cp -r eight lighter; sed -i 's/"profile": "T2"/"profile": "T1"/' lighter/run.json
verify lighter; expect "another profile than GENESIS'" files fail
./forge records lighter eight/state/key.pem 0:profile=T1
verify lighter; expect "another profile, its self-test left" profile fail
differs "another profile is caught by replay" lighter 0
# The other way round, with the self-test that belongs to it: nothing but the arithmetic itself can tell.
train ordinary --corpus corpus --seq 256 --steps 12
rm -rf relabelled; cp -r ordinary relabelled; sed -i 's/"profile": "T1"/"profile": "T2"/' relabelled/run.json
t2=$("$DOKJA" selftest | sed -n 's/^T2 \([0-9a-f]*\).*/\1/p')
./forge records relabelled ordinary/state/key.pem 0:profile=T2 "0:selftest=$t2" file:run.json
verify relabelled; for c in files profile segments complete weights; do expect "T1 called T2 passes: $c" $c pass; done
differs "… and is caught by replay" relabelled 0
says "… by its first step" "at step 1 the loss or the gradient's norm is another" replay.err
verify honest --corpus other; expect "another corpus" corpus fail
cp -r honest moretext; cp -r twin/tokens/. moretext/tokens/
differs "other text than declared is caught by replay" moretext 0
says "… and says which" "is of another corpus" replay.err
cp -r honest tuned; rm -r tuned/state
flip tuned/model.safetensors
differs "a model file that training did not give, its state gone, is caught by replay" tuned last
says "… which names it" "model.safetensors has another" replay.err
for m in 7ff80000000000000000000000000000 3f500000000000000000000000000000 3f500000000000007ff0000000000000; do
    forged still key.pem "3:moved=$m"; verify still; expect "a movement that cannot be: $m" segments fail
done
cp -r honest swapped; cp twin/model.safetensors swapped/; verify swapped; expect "swapped weights" files fail
forged swapped2 key.pem; cp twin/model.safetensors swapped2/
./forge records swapped2 key.pem file:model.safetensors
verify swapped2; expect "swapped weights, FINAL made to fit" weights fail
rm -rf swapped2/state; verify swapped2; expect "… and the state withheld" travel fail
# A model of terabytes: seen by the model file's header, before memory is taken for it.
forged vast key.pem 0:vocab=4194304 0:d_model=65536
(ulimit -v 8000000; "$DOKJA" ledger verify vast --threads 2 --json >verify.json 2>verify.err)
expect "a GENESIS of terabytes gets a verdict" "" fail
expect "… whose weights are not the files'" weights fail
expect "… and are not made again" initial not-decidable
expect "… nor judged by" step-bound not-decidable
(ulimit -v 8000000; "$DOKJA" ledger replay vast --threads 2 --segments 0 >replay.txt 2>replay.err) &&
    bad "… and is not replayed" "it was" || says "… and is not replayed" "tensor .* has shape" replay.err
rm vast/model.safetensors
(ulimit -v 8000000; "$DOKJA" ledger verify vast --threads 2 --json >verify.json 2>verify.err)
expect "… without a model file either" initial not-decidable
(ulimit -v 8000000; "$DOKJA" ledger replay vast --threads 2 --segments 0 >replay.txt 2>replay.err) &&
    bad "… and not replayed" "it was" || says "… and not replayed, which tells both figures" \
    "^dokja ledger: vast/ledger.bin: the model of GENESIS: this machine has [0-9.]*G of memory, .* needs [0-9.]*G " \
    replay.err
"$DOKJA" ledger replay honest --segments 0 --threads 2 --memory 1M >replay.txt 2>replay.err &&
    bad "a budget that was given is named" "it was replayed" || says "a budget that was given is named" \
    "^dokja ledger: honest/ledger.bin: the model of GENESIS: --memory 1.00M: one sequence" replay.err
rm -rf alone; cp -r honest alone; rm alone/model.safetensors; verify alone
expect "a ledger without its model tells of its beginning" initial pass
expect "… and of its steps" step-bound pass
expect "… not of its end" weights fail
forged mixed key.pem; ./forge mix mixed 99 0.5; ./forge records mixed key.pem file:model.safetensors
rm -rf mixed/state; verify mixed
expect "initial weights mixed into foreign ones pass for a birth" birth pass
expect "… and are caught by how far they lie" travel fail
cp -r honest torn; truncate -s -70 torn/ledger.bin; verify torn; expect "a torn tail" "" incomplete
cp -r honest flipped; printf '\377' | dd of=flipped/ledger.bin bs=1 seek=5000 conv=notrunc 2>/dev/null
verify flipped; expect "a flipped bit" "" fail

# ---- paths that are not what they should be: a sentence, and no verdict about the run ----
no_verdict() { # name, words of the sentence, then arguments of verify
    local name=$1 words=$2; shift 2
    "$DOKJA" ledger verify "$@" --html v.html >v.txt 2>v.err; local rc=$?
    if [ $rc = 1 ] && [ ! -s v.txt ] && [ ! -e v.html ] && [ "$(wc -l <v.err)" = 1 ] && grep -q -- "$words" v.err
    then ok "$name: no verdict"; else bad "$name: no verdict" "exit $rc: $(cat v.txt v.err)"; fi
}
mkdir -p empty notcorpus; echo '{"format": "else"}' >notcorpus/manifest.json
openssl ecparam -name prime256v1 -genkey -noout -out other.pem 2>/dev/null
openssl ec -in other.pem -pubout -out other.pub 2>/dev/null
cp -r corpus halfcorpus; rm halfcorpus/docs-*
no_verdict "no run" nowhere/ledger.bin nowhere
no_verdict "a folder that is no run" empty/ledger.bin empty
no_verdict "no corpus" "nope: not a corpus" honest --corpus nope
no_verdict "a folder that is no corpus" "tok: not a corpus" honest --corpus tok
no_verdict "a manifest of something else" notcorpus/manifest.json honest --corpus notcorpus
no_verdict "a corpus without its text" "halfcorpus/docs-.*: missing" honest --corpus halfcorpus
no_verdict "no checkpoint" "nope: cannot open" honest --checkpoint nope
no_verdict "a file that is no checkpoint" "p.jsonl: is not a signed checkpoint" honest --checkpoint p.jsonl
no_verdict "no model key" "nope.pem: cannot open" honest --model-key nope.pem
no_verdict "a file that is no public key" "key.pem: expected a public key" honest --model-key key.pem
# What is of the kind asked for and contradicts the run is a finding.
python3 - twin honest <<'END'
import struct, sys
for run in sys.argv[1:]:
    d, at = open(run + "/ledger.bin", "rb").read(), 8
    while at < len(d):
        n = struct.unpack_from("<I", d, at)[0]
        if d[at + 4] == 16:
            open(run + ".kept", "wb").write(d[at + 5:at + 4 + n])
        at += 4 + n
END
verify honest --checkpoint honest.kept; expect "its own checkpoint" witnessed pass
verify honest --checkpoint twin.kept; expect "another run's checkpoint" witnessed fail

# ---- model.sig ----
openssl ecparam -name prime256v1 -genkey -noout -out ec.pem 2>/dev/null
openssl ec -in ec.pem -pubout -out ec.pub 2>/dev/null
"$DOKJA" ledger sign --key ec.pem honest >sign.txt 2>sign.err && verify honest --model-key ec.pub &&
    ok "a signed model verifies" || bad "a signed model verifies" "$(tail -n 1 sign.err verify.err)"
expect "its signature" model-sig pass
verify honest --model-key other.pub; expect "another's key" model-sig fail
ln -s ../twin/model.safetensors honest/model.safetensors.index.json
verify honest --model-key ec.pub; expect "a link beside signed files is not signed" model-sig fail
"$DOKJA" ledger sign --key ec.pem honest >sign.txt 2>sign.err && bad "a folder with a link is not signed" "it was" ||
    says "a folder with a link is not signed" "index.json: is a link or no file" sign.err
rm honest/model.safetensors.index.json
cp -r honest touched; echo >>touched/tokenizer_config.json; verify touched --model-key ec.pub
expect "one byte more" model-sig fail

# ---- what the pages had no Korean for ----
[ -s quoted.txt ] && ! grep -vE "[.](json|bin|safetensors)|^other: " quoted.txt >own.txt &&
    ok "a page quotes in English only what a file's reader said" ||
    bad "a page quotes in English only what a file's reader said" "$(head -n 1 own.txt)"
view verify.html ko >ko.txt
[ "$(grep -n -A1 "^통과하지 못한 까닭(영어):$" ko.txt | tail -n 1 | grep -c "its SHA-256 is not")" = 1 ] &&
    ok "… below a Korean line that says so" || bad "… below a Korean line that says so" "$(tail -n 3 ko.txt)"
