#!/usr/bin/env bash
# Bits of a training run: threads, instruction sets, virtual workers, memory budgets, kills and resumes.
set -u
here=$(cd "$(dirname "$0")" && pwd)
cd "$TMP"
ok() { echo "ok $1"; }
bad() { echo "FAIL $1: $2"; }
root() { sed -n 's/.*"state_root":"\([0-9a-f]*\)".*/\1/p' "$1" | tail -n 1; }
same() { # name, root file, expected
    local r; r=$(root "$2")
    if [ -n "$r" ] &&
    [ "$r" = "$3" ]; then ok "$1"; else bad "$1" "root ${r:-none}, expected $3; $(tail -n 1 "$2.err")"; fi
}

"$DOKJA" primer --bytes 600k --seed 3 --out p.jsonl 2>err.txt &&
"$DOKJA" corpus build --in p.jsonl --out corpus >/dev/null 2>>err.txt &&
"$DOKJA" tokenizer train --corpus corpus --vocab 1024 --out tok >/dev/null 2>>err.txt ||
    { bad "pretrain inputs" "$(tail -n 1 err.txt)"; exit 1; }

T="--corpus corpus --tokenizer tok --seq 64 --batch-tokens 1024 --heldout 0.02 --json"
train() { # out, then options
    local out=$1; shift
    "$DOKJA" pretrain $T --out "$out" "$@" >"$out.json" 2>"$out.json.err"
}

train base --depth 1 --steps 24
want=$(root base.json)
[ -n "$want" ] && ok "pretrain runs" || { bad "pretrain runs" "$(tail -n 1 base.json.err)"; exit 1; }
for n in 1 2 3 7; do
    train t$n --depth 1 --steps 24 --threads $n; same "same root with $n threads" t$n.json "$want"
done
for isa in ref avx2 avx512 avx512bf16 amx; do
    DOKJA_CPU=$isa train isa-$isa --depth 1 --steps 24; same "same root with DOKJA_CPU=$isa" isa-$isa.json "$want"
done
train small --depth 1 --steps 24 --threads 2 --memory 90M
same "same root with a small memory budget" small.json "$want"

# Little text for the length is told, and where the rows grow.
head -n 12 p.jsonl >few.jsonl
"$DOKJA" corpus build --in few.jsonl --out few >/dev/null 2>&1
"$DOKJA" pretrain --corpus few --tokenizer tok --seq 64 --seq-start 32 --batch-tokens 1024 --heldout 0.2 --depth 1 \
    --steps 40 --out often >often.out 2>often.err
times=$(sed -n 's/^advice: this reads the text \([0-9]*\) times; beyond about 4 .*/\1/p' often.err)
all=$(sed -n 's/.* \([0-9]*\) training tokens in .*/\1/p' often.err)
if [ "${times:-0}" -gt 4 ] && [ "$times" = $(((40 * 1024 + all / 2) / all)) ]; then ok "advice where text repeats"
else bad "advice where text repeats" "${times:-none} times, $all tokens"; fi
grep -q "sequence 32 (64 from step 29);" often.err && ok "where rows grow" ||
    bad "where rows grow" "$(grep sequence often.err)"
grep -q "advice: this reads" base.json.err && bad "no advice for one reading" "there is" ||
    ok "no advice for one reading"

# A figure of few held-out tokens is said to be rough, before and where it stands.
few=$(sed -n 's/^advice: held-out figures are of \([0-9]*\) tokens .* may be .* off by chance.*--heldout.*/\1/p' \
    often.err)
all=$(sed -n 's/.*"heldout":{[^}]*"tokens":\([0-9]*\).*/\1/p' <(tr -d ' \n' <often/tokens/tokens.json))
[ -n "$few" ] && [ "$few" = "$all" ] && ok "few held-out tokens are told" ||
    bad "few held-out tokens are told" "${few:-none} of $all"
grep -q "^often: 40 steps, held-out [0-9.]* ± [0-9.]* bits per byte" often.out &&
    grep -q "^[0-9]* held-out tokens are too few to compare runs by" often.out && ok "… beside the figure" ||
    bad "… beside the figure" "$(head -n 2 often.out)"
"$DOKJA" ledger show often | grep -q "^final .* on $all tokens, too few to compare" && ok "… in the ledger" ||
    bad "… in the ledger" "$("$DOKJA" ledger show often | grep ^final)"
grep -q "^advice: held-out" base.json.err && bad "… and enough are not" "$(grep advice base.json.err)" ||
    ok "… and enough are not"
# The error is what the definition gives: bits per byte times what √n of tokens leaves of their spread, here about 1.
of() { sed -n "s/.*\"done\":.*\"heldout_$1\":\([0-9.]*\).*/\1/p" base.json; }
echo "$(of bits_per_byte) $(of standard_error) $(of tokens)" |
    awk '{ r = $2 / $1 * sqrt($3); exit !($3 > 2500 && r > 0.5 && r < 2) }' &&
    ok "standard error of the figure" || bad "standard error of the figure" "$(tail -n 1 base.json)"

# One of a thing is in the singular, in what is said before, on the way and after.
head -n 1 p.jsonl >one.jsonl
"$DOKJA" corpus build --in one.jsonl --out one >single.out 2>single.err &&
"$DOKJA" pretrain --corpus one --tokenizer tok --seq 32 --batch-tokens 32 --depth 1 --steps 1 --threads 1 --out single \
    >>single.out 2>>single.err
plurals=$(grep -wE '1 (documents|files|characters|tokens|layers|steps|threads|sequences)' single.out single.err)
if [ -n "$plurals" ]; then bad "one of a thing" "$plurals"
elif grep -q "^single: 1 step, " single.out && grep -q "on 1 thread; 1 sequence at once" single.err &&
    grep -q "^1 step × 32 tokens .* in 1 document$" single.err; then ok "one of a thing"
else bad "one of a thing" "$(cat single.out single.err)"; fi

# On a terminal the plan fits it, and nothing of it is lost; in a pipe each line stays whole.
rm -rf often
TERM=dumb python3 "$here/terminal.py" 80 bash -c '"$@" 2>&1 >/dev/null' - "$DOKJA" pretrain --corpus few \
    --tokenizer tok --seq 64 --seq-start 32 --batch-tokens 1024 --heldout 0.2 --depth 1 --steps 40 --out often \
    >screen.txt 2>screen.err && ok "the plan fits 80 columns" ||
    bad "the plan fits 80 columns" "$(tail -n 1 screen.err)"
grep -q "^step 1/40 · [0-9a-z ]* left · loss [0-9.]*" screen.txt && ok "… and so does what comes on the way" ||
    bad "… and so does what comes on the way" "$(grep "^step" screen.txt | head -n 1)"
plan() { sed -n '/layers\? × /,/^profile/p' "$1" | tr -s ' \n' ' ' | sed 's/ *memory planned.*//; s/ *$//'; }
[ -n "$(plan screen.txt)" ] && [ "$(plan screen.txt)" = "$(plan often.err)" ] && ok "… and says all" ||
    bad "… and says all" "$(plan screen.txt)"
rm -rf often
TERM=dumb python3 "$here/terminal.py" 60 bash -c '"$@" 2>&1 >/dev/null' - "$DOKJA" pretrain --corpus few \
    --tokenizer tok --seq 64 --seq-start 32 --batch-tokens 1024 --heldout 0.2 --depth 1 --steps 40 --out often \
    >narrow.txt 2>narrow.err && ok "… and 60 columns" || bad "… and 60 columns" "$(tail -n 1 narrow.err)"
[ "$(plan narrow.txt)" = "$(plan often.err)" ] && ok "… with all of the plan" ||
    bad "… with all of the plan" "$(plan narrow.txt)"
grep -q "^  " screen.txt && ! grep -q "^  " often.err && ok "… and in a pipe lines are whole" ||
    bad "… and in a pipe lines are whole" "$(grep '^  ' often.err | head -n 1)"

# A program that is held while it measures its speed does not plan a run of a few steps.
planned() { # seconds held → steps of a run of a minute
    "$DOKJA" pretrain $T --out held$1 --depth 1 --minutes 1 >/dev/null 2>held.err & local pid=$! n=
    until grep -q "^measuring" held.err; do sleep 0.01; kill -0 $pid 2>/dev/null || break; done
    sleep 0.2; kill -STOP $pid; sleep "$1"; kill -CONT $pid
    for i in $(seq 600); do
        n=$(sed -n 's/^\([0-9]*\) steps × .*/\1/p' held.err); [ -n "$n" ] && break
        sleep 0.1
    done
    kill -9 $pid; wait $pid 2>/dev/null
    echo "${n:-0}"
}
held=$(planned 12); free=$(planned 0)
if [ "$free" -gt 0 ] && [ $((8 * held)) -gt "$free" ]; then ok "held while measuring"
else bad "held while measuring" "$held steps, otherwise $free"; fi

# Peak memory is what was planned.
train mem --depth 4 --seq 256 --batch-tokens 4096 --steps 3
said=$(sed -n 's/.*"peak_rss_bytes":\([0-9]*\),"planned_bytes":\([0-9]*\).*/\1 \2/p' mem.json)
if echo "$said" | awk '{ exit !($1 > 0.9 * $2 && $1 < 1.1 * $2) }'; then ok "peak memory as planned"
else bad "peak memory as planned" "$said"; fi

# V is part of the recipe: one V gives one root for every thread count.
train v4 --depth 1 --steps 12 --workers 4 --threads 1; v4=$(root v4.json)
for n in 2 3; do train v4-$n --depth 1 --steps 12 --workers 4 --threads $n;
    same "V=4, $n threads" v4-$n.json "$v4"; done

# Short rows first: the same bits with other threads, workers' slices and micro-batches, and other bits than without.
train grow --depth 1 --steps 24 --seq-start 32 --seq-switch 0.5; grow=$(root grow.json)
[ -n "$grow" ] && [ "$grow" != "$want" ] && ok "short rows first" || bad "short rows first" "root ${grow:-none}"
train grow-3 --depth 1 --steps 24 --seq-start 32 --seq-switch 0.5 --threads 3 --memory 90M
same "short rows first, 3 threads, small memory" grow-3.json "$grow"

# Products of 8-bit integers are a profile of their own: other bits, and those the same everywhere.
I="--depth 1 --seq 256 --batch-tokens 8192 --int8"
train i8 $I --steps 3 --threads 1; i8=$(root i8.json)
train i8-not --depth 1 --seq 256 --batch-tokens 8192 --steps 3
[ -n "$i8" ] && [ "$i8" != "$(root i8-not.json)" ] && ok "8-bit integers" || bad "8-bit integers" "root ${i8:-none}"
train i8-3 $I --steps 3 --threads 3 --memory 80M; same "8-bit integers, 3 threads, small memory" i8-3.json "$i8"
[ "$(grep -o "[0-9]* sequences at once" i8.json.err i8-3.json.err | cut -d : -f 2 | sort -u | wc -l)" = 2 ] &&
    ok "… in other micro-batches" || bad "… in other micro-batches" "$(grep -h "at once" i8.json.err i8-3.json.err)"
for isa in ref avx2 avx512; do
    DOKJA_CPU=$isa train i8-$isa $I --steps 3; same "8-bit integers with DOKJA_CPU=$isa" i8-$isa.json "$i8"
done
i8_long="$I --batch-tokens 2048 --seq 512 --seq-start 256 --seq-switch 0.6 --workers 2 --steps 60"
train i8-whole $i8_long --threads 1
"$DOKJA" pretrain $T --out i8-killed $i8_long --save-every 0 >i8-killed.json 2>i8-killed.json.err & pid=$!
while [ ! -f i8-killed/state/state.safetensors ] && kill -0 $pid 2>/dev/null; do sleep 0.02; done
kill -9 $pid 2>/dev/null; wait $pid 2>/dev/null
"$DOKJA" pretrain --corpus corpus --tokenizer tok --out i8-killed --json >i8-killed.json 2>i8-killed.json.err
same "8-bit integers, killed and resumed" i8-killed.json "$(root i8-whole.json)"

# kill -9 at random moments, before and after rows grow; the same command again goes on to the same bits.
kills=${DOKJA_KILLS:-20} struck=0
long="--depth 2 --steps 200 --seq-start 32 --seq-switch 0.5"
train whole $long --save-every 0; whole=$(root whole.json)
for i in $(seq 1 "$kills"); do
    while :; do
        "$DOKJA" pretrain $T --out killed $long --save-every 0.05 >killed.json 2>killed.json.err &
        pid=$!
        sleep "0.$(( (RANDOM % 8) + 1 ))"
        if kill -9 $pid 2>/dev/null; then struck=$((struck + 1)); wait $pid 2>/dev/null; break; fi
        wait $pid; break 2
    done
done
train killed $long
same "kill -9 at $struck random moments, then the same root" killed.json "$whole"
n=$(grep -c '"loss"' killed/metrics.jsonl)
[ "$n" = 200 ] && ok "metrics.jsonl has each step once" || bad "metrics.jsonl has each step once" "$n lines"
cmp -s whole/model.safetensors killed/model.safetensors && ok "same model file" || bad "same model file" "differs"
touch killed/state/state.safetensors.tmp-1-1
flock killed sleep 3 & sleep 0.5
"$DOKJA" pretrain $T --out killed $long >busy.json 2>busy.err; rc=$?
[ $rc = 1 ] && grep -q "killed: another program trains here" busy.err && ok "one program at a time trains a run" ||
    bad "one program at a time trains a run" "exit $rc: $(tail -n 1 busy.err)"
wait; train killed $long
ls killed/*.tmp-* killed/state/*.tmp-* >/dev/null 2>&1 && bad "no leftovers" "temporary files" || ok "no leftovers"
n=$(wc -l <killed/metrics.jsonl)
truncate -s -5 killed/metrics.jsonl; train killed $long
[ "$(wc -l <killed/metrics.jsonl)" = $((n - 1)) ] && [ -z "$(tail -c 1 killed/metrics.jsonl)" ] &&
    ok "metrics.jsonl ends in a whole line" ||
    bad "metrics.jsonl ends in a whole line" "$(tail -n 1 killed/metrics.jsonl)"

# Ctrl-C says at once where it will stop, and saves there; the same command says where it goes on.
start() { # out: begins or goes on with a run, until it has taken a step
    : >$1.err
    "$DOKJA" pretrain $T --out $1 --depth 2 --steps 2000 --save-every 1000 >$1.json 2>$1.err & pid=$!
    while ! grep -q "^step" $1.err && kill -0 $pid 2>/dev/null; do sleep 0.02; done
}
start stopped; kill -INT $pid; wait $pid; rc=$?
grep -q "run the same command again" stopped.err && [ $rc = 1 ] && ok "Ctrl-C saves and says how to go on" ||
    bad "Ctrl-C saves and says how to go on" "exit $rc, $(tail -n 1 stopped.err)"
to=$(sed -n 's/^stopping at the end of this segment, step \([0-9]*\); Ctrl-C again stops at once$/\1/p' stopped.err)
[ -n "$to" ] && tail -n 1 stopped.err | grep -q "stopped at step $to of 2000;" && ok "… after it said where" ||
    bad "… after it said where" "$(tail -n 2 stopped.err)"
start stopped; kill -INT $pid; wait $pid
grep -q "^goes on at step $((to + 1)) of 2000$" stopped.err && ok "a resume says where it goes on" ||
    bad "a resume says where it goes on" "$(grep -v '^step' stopped.err | tail -n 2)"
grep -v '^{' stopped.json >stray && bad "… on stderr" "$(head -n 1 stray)" || ok "… on stderr"
start again; kill -9 $pid; wait $pid 2>/dev/null
grep "goes on\|begins again" again.err >stray && bad "a new run says nothing of it" "$(cat stray)" ||
    ok "a new run says nothing of it"
start again; kill -INT $pid; wait $pid
grep -q "^nothing was saved yet: begins again at step 1 of 2000$" again.err && ok "a run that saved nothing says so" ||
    bad "a run that saved nothing says so" "$(grep -v '^step' again.err | tail -n 2)"

# The last line of progress has the last figure, and the time is of the whole run where it was resumed.
"$DOKJA" pretrain ${T/--json/} --out told --depth 1 --steps 60 --save-every 0 >told.out 2>told.err
at_end=$(sed -n 's/^told: .*held-out \([0-9.]*\) ± .*/\1/p' told.out)
shown=$(sed -n 's/^step .*held-out \([0-9.]*\) bits\/byte.*/\1/p' told.err | tail -n 1)
[ -n "$at_end" ] && [ "$shown" = "$(printf %.3f "$at_end")" ] && ok "the last figure in the last line of progress" ||
    bad "the last figure in the last line of progress" "${shown:-none}, at the end ${at_end:-none}"
grep -q "^told: .* per character, [0-9]*s$" told.out && ok "time of a run" ||
    bad "time of a run" "$(head -n 1 told.out)"
for i in 1 2 3; do   # killed after its first checkpoint
    rm -rf told; "$DOKJA" pretrain $T --out told --depth 2 --steps 400 --save-every 0 >told.json 2>told.err & pid=$!
    while [ ! -f told/state/state.safetensors ] && kill -0 $pid 2>/dev/null; do sleep 0.02; done
    kill -9 $pid 2>/dev/null && break
done
wait $pid 2>/dev/null
"$DOKJA" pretrain ${T/--json/} --out told >told.out 2>told.err
grep -q "^told: .* per character, [0-9ms ]* in all, [0-9ms ]* since resuming$" told.out &&
    ok "time of a resumed run" || bad "time of a resumed run" "$(head -n 1 told.out)"
train told
sed -n 's/.*"seconds":\([0-9.]*\),"seconds_in_all":\([0-9.]*\),.*/\1 \2/p' told.json | awk '{ ok = $2 >= 1 && $2 > $1 }
    END { exit !ok }' && ok "… as JSON" || bad "… as JSON" "$(tail -n 1 told.json)"

# A finished run is left as it is; a contradicting request is refused.
train base --depth 1 --steps 24; same "a finished run stays" base.json "$want"
refuse() { # name, pattern, exit, command…
    local name=$1 pattern=$2 code=$3; shift 3
    "$@" >refuse.out 2>refuse.err; local rc=$?
    if [ $rc = "$code" ] &&
    grep -q -- "$pattern" refuse.err; then ok "$name"; else bad "$name" "exit $rc, $(tail -n 1 refuse.err)"; fi
}
refuse "another depth on the same run" "depth" 1 "$DOKJA" pretrain $T --out base --depth 2 --steps 24
refuse "several lengths" "--steps" 2 "$DOKJA" pretrain $T --out x --steps 3 --tokens 1M
refuse "sequence not a multiple" "multiple of" 2 \
    "$DOKJA" pretrain --corpus corpus --tokenizer tok --out x2 --seq 100 --steps 1
refuse "first rows that do not divide" "seq-start 48" 2 "$DOKJA" pretrain $T --out x7 --seq-start 48 --steps 1
refuse "another switch on the same run" "seq-switch" 1 \
    "$DOKJA" pretrain $T --out grow --depth 1 --steps 24 --seq-start 32 --seq-switch 0.25
refuse "rows that are not whole groups of 8-bit integers" "--seq 320: .* multiple of 256, the tokens of a group" 2 \
    "$DOKJA" pretrain $T --out x8 --int8 --seq 320 --batch-tokens 1280 --steps 1
refuse "first rows that are not whole groups" "--seq-start 128: .* multiple of 256, the tokens of a group" 2 \
    "$DOKJA" pretrain $T --out x9 --int8 --seq 512 --seq-start 128 --steps 1
refuse "another profile on the same run" "profile is T1, you ask for T2" 1 \
    "$DOKJA" pretrain $T --out base --depth 1 --steps 24 --int8
cp -r i8 i8-edited && sed -i 's/"profile": "T2"/"profile": "T1"/' i8-edited/run.json
refuse "another profile written into run.json" "its profile is not that of i8-edited/run.json" 1 \
    "$DOKJA" pretrain $T --out i8-edited --seq 256 --batch-tokens 8192
sed -i 's/"profile": "T1"/"profile": "T9"/' i8-edited/run.json
refuse "an unknown profile in run.json" 'run.json: profile is "T9", expected T1 or T2' 1 \
    "$DOKJA" pretrain $T --out i8-edited --seq 256 --batch-tokens 8192
# What is refused before it has begun leaves nothing, and a folder that was there as it was.
refuse "rows longer than the text" "fewer than one sequence of 1048576" 1 \
    "$DOKJA" pretrain --corpus corpus --tokenizer tok --out x10/a --depth 1 --seq 1048576 --steps 1
mkdir x11; echo mine >x11/notes
refuse "too little memory" "needs .* even when activations are computed again" 1 \
    "$DOKJA" pretrain $T --out x11 --depth 1 --steps 1 --memory 1M
left=$(ls -d x2 x7 x8 x9 x10 x11/* 2>/dev/null | tr '\n' ' ')
[ "$left" = "x11/notes " ] && ok "refused runs leave nothing" || bad "refused runs leave nothing" "$left"

# A run keeps the settings it began with: the same again is fine, others are refused by name and change nothing.
kept() { # options of a run that stays as it is
    "$DOKJA" pretrain --corpus corpus --tokenizer tok --out kept "$@"
}
kept --depth 1 --seq 64 --batch-tokens 1024 --steps 3 --clip 2 --eval-every 2 --holder "시험 기관" >kept.out 2>kept.err
sum=$(cat kept/run.json kept/config.json kept/ledger.bin | sha256sum)
sed 's/"hidden_size": *64/"hidden_size": 128/' kept/config.json >other.json
while read -r option value part; do
    refuse "another $option on the same run" "$part" 1 kept "$option" $value
done <<'END'
--schedule cosine --schedule wsd and you ask for cosine
--weight-decay 0.3 --weight-decay 0.05 and you ask for 0.3
--clip 5 --clip 2 and you ask for 5
--warmup 0.2 --warmup 0.05 and you ask for 0.2
--decay 0.1 --decay 0.6 and you ask for 0.1
--eval-every 7 --eval-every 2 and you ask for 7
--eval-tokens 64 --eval-tokens .* and you ask for 64
--lr-embed 0.5 --lr-embed .* and you ask for 0.5
--optimizer adamw --optimizer normuon and you ask for adamw
--config other.json kept/config.json: this run has hidden_size 64 and --config other.json says 128
--tokens 1M 3 steps and --tokens 1000000 means 976
END
refuse "--untied on the same run" "--untied" 1 kept --untied
refuse "another holder than GENESIS'" 'holder is "시험 기관", .* --holder "다른 기관"' 1 kept --holder "다른 기관"
refuse "no holder any more" 'holder is "시험 기관"' 1 kept --holder ""
kept --steps 3 --seq 64 --batch-tokens 1024 --clip 2 --eval-every 2 --holder "시험 기관" --schedule wsd --lr 0.02 \
    --config kept/config.json --threads 1 --memory 1G --save-every 3 --keep-states 2 >kept.out 2>kept.err &&
    [ "$sum" = "$(cat kept/run.json kept/config.json kept/ledger.bin | sha256sum)" ] &&
    ok "the same settings again" || bad "the same settings again" "$(tail -n 1 kept.err)"
seed=$(sed -n 's/.*"seed": *"\(0x[0-9a-f]*\)".*/\1/p' kept/run.json)
for s in "$seed" "$(printf %u "$seed")"; do
    kept --seed "$s" >kept.out 2>kept.err && ok "its own seed again, $s" || bad "its own seed again, $s" \
        "$(tail -n 1 kept.err)"
done
grep -q "seed $seed\$" kept.err && "$DOKJA" ledger show kept | grep -q "^seed  *$seed, self-chosen" &&
    ok "seeds are shown as run.json has them" || bad "seeds are shown as run.json has them" "$(grep seed kept.err)"
refuse "another seed on the same run" "--seed $seed and you ask for 0x0000000000000005" 1 kept --seed 5
refuse "a seed beyond 64 bits" "--seed: 18446744073709551616 is out of range" 2 kept --seed 18446744073709551616
refuse "a batch of no whole sequences" "--batch-tokens 100 is not a multiple" 2 \
    "$DOKJA" pretrain $T --out x10 --batch-tokens 100 --steps 1
refuse "warmup and decay longer than the run" "together more" 2 "$DOKJA" pretrain $T --out x11 --warmup 0.9 --steps 1
refuse "workers not a power of two" "power of two" 2 "$DOKJA" pretrain $T --out x3 --workers 3 --steps 1
refuse "no memory" "--memory 1.00M: one sequence of 64 tokens needs [0-9.]*M even" 1 \
    "$DOKJA" pretrain $T --out x4 --memory 1M --steps 1
refuse "hardly any memory" "--memory 8 bytes: one" 1 "$DOKJA" pretrain $T --out x4 --memory 8 --steps 1
refuse "corpus missing" "nowhere" 1 "$DOKJA" pretrain --corpus nowhere --tokenizer tok --out x5
refuse "wrong instruction set name" "DOKJA_CPU" 2 env DOKJA_CPU=sse9 "$DOKJA" pretrain $T --out x6 --steps 1

# Damaged state: named, and nothing replaced.
cp -r base damaged && printf 'x' | dd of=damaged/state/state.safetensors bs=1 seek=200000 conv=notrunc 2>/dev/null
sum=$(sha256sum <damaged/state/state.safetensors)
refuse "damaged state is named" "state.safetensors" 1 "$DOKJA" pretrain $T --out damaged --depth 1 --steps 24
[ "$sum" = "$(sha256sum <damaged/state/state.safetensors)" ] && ok "damaged state left alone" ||
    bad "damaged state left alone" "changed"

# A full disk (a file size limit stands in for it) in the middle of a run: the last checkpoint survives.
train full --depth 1 --steps 24 --save-every 0; full=$(root full.json)
"$DOKJA" pretrain $T --out fulldisk --depth 1 --steps 24 --save-every 0 >fd.json 2>fd.err & pid=$!
while [ ! -f fulldisk/state/state.safetensors ] && kill -0 $pid 2>/dev/null; do sleep 0.02; done
kill -9 $pid 2>/dev/null; wait $pid 2>/dev/null
sum=$(sha256sum <fulldisk/state/state.safetensors)
( trap '' XFSZ; ulimit -f 64; exec \
    "$DOKJA" pretrain $T --out fulldisk --depth 1 --steps 24 --save-every 0 >fd.json 2>fd.err )
rc=$?
if [ "$(root fd.json)" = "$full" ]; then ok "full disk (run was complete)"
elif [ $rc = 1 ] && grep -q "fulldisk/" fd.err && [ "$sum" = "$(sha256sum <fulldisk/state/state.safetensors)" ]; then
    ok "full disk is named and the checkpoint survives"
else bad "full disk is named and the checkpoint survives" "exit $rc, $(tail -n 1 fd.err)"; fi
train fulldisk --depth 1 --steps 24; same "and the run goes on to the same bits" fulldisk.json "$full"

# A disk without room for the run is told before training; one with that room and no more is enough.
room="no room for a run is told before training"
mkdir -p disk
if mount -t tmpfs -o size=3100k tmpfs disk 2>/dev/null; then
    trap 'umount disk' EXIT
    refuse "$room" "disk/run: the run still takes 3.. MB there (model 0.5 MB, state 1.2 MB, .*, and 2.. MB are free" 1 \
        "$DOKJA" pretrain $T --out disk/run --depth 1 --steps 600 --save-every 0
    grep -q "^step\|layers" refuse.err && bad "… and nothing is trained" "$(tail -n 1 refuse.err)" ||
        ok "… and nothing is trained"
    said=$(grep -c "^advice: disk/run: the run takes about 3.. MB there (the text's token ids 0.. MB" refuse.err)
    [ "$said" = 1 ] && ok "… with what the text takes before it is tokenized" ||
        bad "… with what the text takes before it is tokenized" "$(head -n 1 refuse.err)"
    mount -o remount,size=4000k disk
    "$DOKJA" pretrain $T --out disk/run --depth 1 --steps 600 --save-every 0 --eval-every 200 >room.json 2>room.err
    [ -n "$(root room.json)" ] && ok "room enough" || bad "room enough" "$(tail -n 1 room.err)"
    mount -o remount,size=2400k disk   # a finished run takes nothing
    "$DOKJA" pretrain $T --out disk/run --depth 1 --steps 600 >room.json 2>room.err
    [ -n "$(root room.json)" ] && ok "a finished run needs no room" || bad "a finished run needs no room" \
        "$(tail -n 1 room.err)"
else
    echo "skip $room: no tmpfs can be mounted here"
fi
