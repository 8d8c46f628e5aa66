#!/usr/bin/env bash
# generate, chat and score from the command line, on a tiny model that knows almost nothing.
set -u
here=$(cd "$(dirname "$0")" && pwd)
cd "$TMP"
ok() { echo "ok $1"; }
bad() { echo "FAIL $1: $2"; }
is() { if [ "$2" = "$3" ]; then ok "$1"; else bad "$1" "got \"$2\", expected \"$3\""; fi; }
has() { case "$2" in *"$3"*) ok "$1" ;; *) bad "$1" "got \"$2\", expected it to hold \"$3\"" ;; esac; }
key() { sed -n "s/.*\"$1\": *\"\{0,1\}\([^,}\"]*\).*/\1/p" | head -n 1; }
part() { sed 's/,"seconds".*//'; }
fails() { # name, status, part of the sentence, command…
    local name=$1 want=$2 sentence=$3 rc; shift 3
    "$@" >out.txt 2>err.txt </dev/null; rc=$?
    is "$name: status" $rc "$want"
    has "$name: sentence" "$(tail -n 1 err.txt)" "$sentence"
    is "$name: nothing on stdout" "$(wc -c <out.txt)" 0
}

"$DOKJA" primer --bytes 300k --seed 3 --out p.jsonl >/dev/null 2>err.txt &&
"$DOKJA" corpus build --in p.jsonl --out corpus >/dev/null 2>>err.txt &&
"$DOKJA" tokenizer train --corpus corpus --vocab 600 --out tok >/dev/null 2>>err.txt &&
"$DOKJA" pretrain --corpus corpus --tokenizer tok --depth 1 --seq 64 --batch-tokens 512 --steps 8 --out run \
    >/dev/null 2>>err.txt ||
    { bad "a tiny model" "$(tail -n 1 err.txt)"; exit 1; }

# generate
G="generate -m run -n 24 -p 오늘은"
out=$("$DOKJA" $G --json 2>err.txt); is "generate" $? 0
is "one JSON document" "$(printf '%s\n' "$out" | wc -l)" 1
for k in text tokens prompt_tokens stop state_root; do has "key $k" "$out" "\"$k\":"; done
is "root is a digest" "$(printf %s "$out" | key state_root | tr -d 0-9a-f | wc -c)" 0
want=$(printf %s "$out" | part)
for n in 1 2 3 7; do is "same with $n threads" "$("$DOKJA" $G --json --threads $n | part)" "$want"; done
for isa in ref avx2 avx512 avx512bf16 amx; do
    is "same with DOKJA_CPU=$isa" "$(DOKJA_CPU=$isa "$DOKJA" $G --json | part)" "$want"
done
[ "$("$DOKJA" $G --json --seed 2 | part)" != "$want" ] && ok "another seed, another text" ||
    bad "another seed, another text" same
[ "$("$DOKJA" $G --json -s 18446744073709551615 | part)" = "$("$DOKJA" $G --json -s 0xffffffffffffffff | part)" ] &&
    "$DOKJA" $G -s 18446744073709551615 >out.txt 2>err.txt && ok "the last seed of 64 bits" ||
    bad "the last seed of 64 bits" "$(tail -n 1 err.txt)"
fails "a seed beyond 64 bits" 2 "18446744073709551616 is out of range" "$DOKJA" $G -s 18446744073709551616
text=$("$DOKJA" $G)
printf %s "$text" | iconv -f UTF-8 -t UTF-8 >/dev/null 2>&1 && ok "streamed text is UTF-8" ||
    bad "streamed text is UTF-8" "$text"
is "standard input is a prompt too" "$(printf 오늘은 | "$DOKJA" generate -m run -n 24 --json | part)" "$want"
printf 오늘은 >prompt.txt
is "a file is a prompt too" "$("$DOKJA" generate -m run -n 24 --json --prompt-file prompt.txt | part)" "$want"
P="generate -m run -p 오늘은"
greedy=$("$DOKJA" $P --temp 0 -n 12 --json)
is "temperature 0 needs no seed" "$("$DOKJA" $P --temp 0 -n 12 --seed 9 --json | part)" "$(printf %s "$greedy" | part)"
is "top-k 1 is the most likely token" "$("$DOKJA" $P --temp 1 --top-k 1 -n 12 --json | part)" \
    "$(printf %s "$greedy" | part)"
is "length" "$(printf %s "$greedy" | key stop)" length
seen=$("$DOKJA" $P --temp 1 -n 60); stop=$(printf %s "$seen" | iconv -f UTF-8 -t UTF-32LE | head -c 20 |
    tail -c 4 | iconv -f UTF-32LE -t UTF-8)
is "a stop string" "$("$DOKJA" $P --temp 1 -n 60 --stop "$stop" --json | key stop)" stop
case "$("$DOKJA" $P --temp 1 -n 60 --stop "$stop")" in
    *"$stop"*) bad "nothing of a stop string is shown" "$stop" ;;
    *) ok "nothing of a stop string is shown" ;;
esac
is "the context ends it" "$("$DOKJA" $P --temp 1 -n 5000 --json | key stop | grep -cE 'context|eos')" 1
fails "empty prompt" 1 "empty" "$DOKJA" generate -m run -p ''
fails "a prompt of bytes" 1 "-p: byte 0 is not UTF-8" "$DOKJA" generate -m run -p $'\xff\xfe'
printf 'a\xb0\xa1' >bytes.txt
fails "a file of bytes" 1 "bytes.txt: byte 1 is not UTF-8" "$DOKJA" generate -m run --prompt-file bytes.txt
"$DOKJA" generate -m run <bytes.txt >out.txt 2>err.txt
has "a piped prompt of bytes" "$? $(tail -n 1 err.txt)" "standard input: byte 1 is not UTF-8"
fails "a stop string of bytes" 2 "--stop: byte 0 is not UTF-8" "$DOKJA" generate -m run -p a --stop $'\xb0\xa1'
fails "prompt longer than the model" 1 "context" "$DOKJA" generate -m run -p "$(seq 1 400)"
fails "contradictory options" 2 "temperature" "$DOKJA" generate -m run -p a --temp 0 --top-k 3
fails "two prompts" 2 "not both" "$DOKJA" generate -m run -p a --prompt-file prompt.txt
fails "no model" 2 "-m MODEL" "$DOKJA" generate -p a
fails "not a model" 1 "config.json" "$DOKJA" generate -m corpus -p a
fails "bad DOKJA_CPU for eval" 2 "DOKJA_CPU" env DOKJA_CPU=z80 "$DOKJA" eval -m run --tasks primer
fails "bad DOKJA_CPU for lineage" 2 "DOKJA_CPU" env DOKJA_CPU=z80 "$DOKJA" lineage run run
fails "bad DOKJA_CPU" 2 "DOKJA_CPU" env DOKJA_CPU=z80 "$DOKJA" generate -m run -p a
cp -r run cut && head -c 5000 run/model.safetensors >cut/model.safetensors
fails "damaged weights" 1 "safetensors" "$DOKJA" generate -m cut -p a

# eval
"$DOKJA" pretrain --corpus corpus --tokenizer tok --depth 1 --seq 256 --batch-tokens 512 --steps 1 --out long \
    >/dev/null 2>err.txt || bad "a model that reads a question" "$(tail -n 1 err.txt)"
has "eval on facts held out" "$("$DOKJA" eval -m long --items 1 2>err.txt | tail -n 1)" "facts the textbook never tells"
has "eval on facts of the textbook" "$("$DOKJA" eval -m long --items 1 --seen 2>err.txt | tail -n 1)" \
    "skills at 80 % or more, on facts the textbook tells"
python3 "$here/terminal.py" 80 "$DOKJA" eval -m long --items 1 >out.txt 2>err.txt && ok "eval fits 80 columns" ||
    bad "eval fits 80 columns" "$(tail -n 1 err.txt)"

# chat
C="chat -m run -n 6"
is "a line for a line" "$(printf '하나는?\n둘은?\n' | "$DOKJA" $C 2>err.txt | wc -l)" 2
a=$(printf '하나는?\n' | "$DOKJA" $C --json | part)
is "forgets after /reset" "$(printf '둘은?\n/reset\n하나는?\n' | "$DOKJA" $C --json | part | sed -n 2p)" "$a"
is "/quit" "$(printf '/quit\n하나는?\n' | "$DOKJA" $C | wc -c)" 0
is "template form" "$(printf '하나는?\n둘은?\n' | "$DOKJA" $C --form chat --json | wc -l)" 2
n=$(printf '하나는?\n' | "$DOKJA" $C --form chat --json | key prompt_tokens)
m=$(printf '하나는?\n' | "$DOKJA" $C --form plain --json | key prompt_tokens)
[ "$n" -gt "$m" ] && ok "forms differ" || bad "forms differ" "$n and $m tokens"
printf '하나는?\n둘은?\n셋은?\n넷은?\n다섯은?\n여섯은?\n' | "$DOKJA" $C --context 40 >out.txt 2>err.txt
is "goes on when the context is full" "$? $(grep -c forgotten err.txt | sed 's/[1-9][0-9]*/some/')" "0 some"
printf '하나는?\n\xb0\xa1\n셋은?\n' | "$DOKJA" $C >out.txt 2>err.txt
is "a line of bytes ends a pipe" "$? $(wc -l <out.txt)" "1 1"
has "a line of bytes is named" "$(tail -n 1 err.txt)" "standard input: line 2: byte 0 is not UTF-8"
printf '하나\0는?\n' | "$DOKJA" $C >out.txt 2>err.txt
has "a line with NUL" "$? $(tail -n 1 err.txt)" "line 1: byte 6 is NUL"
fails "instructions of bytes" 1 "--system: byte 0 is not UTF-8" \
    "$DOKJA" chat -m run --form chat --system $'\xb0\xa1'
# What is typed comes on standard input.  The line editor's library never frees the name of a function added to it.
keys() { ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0 python3 "$here/keys.py" "$DOKJA" $C; }
printf '> \t/rest\\r\nunknown command /rest; /help lists them\t\n> \t/quit\\r\n' | keys >out.txt 2>err.txt
is "a mistyped command is no question" "$? $(cat err.txt)" "0 "
printf '> \t가나다\n나다\t\\x03\n> \t\\x03\n(Ctrl-D leaves)\t둘은?\\r\n> \t/quit\\r\n' | keys >out.txt 2>err.txt
is "Ctrl-C at the prompt does not end it" "$? $(cat err.txt)" "0 "
is "Ctrl-C empties the line" "$(grep -c '가나다.*둘은' out.txt)" 0
fails "unknown form" 2 "--form" "$DOKJA" chat -m run --form poem

# score
printf '오늘은 날이 맑다.\n셋에 넷을 더하면 일곱이다.' >t.txt
s=$("$DOKJA" score -m run --in t.txt --json 2>err.txt); is "score" $? 0
for k in bits_per_byte bits_per_char bytes chars tokens; do has "key $k" "$s" "\"$k\":"; done
is "bytes" "$(printf %s "$s" | key bytes)" "$(wc -c <t.txt)"
is "characters" "$(printf %s "$s" | key chars)" 26
gzip -k t.txt; zstd -q t.txt; printf '{"text":"오늘은 날이 맑다.\\n셋에 넷을 더하면 일곱이다."}\n' >t.jsonl
for f in t.txt.gz t.txt.zst t.jsonl; do
    is "the same in $f" "$("$DOKJA" score -m run --in $f --json 2>/dev/null | part)" "$(printf %s "$s" | part)"
done
is "the same with 1 thread" "$("$DOKJA" score -m run --in t.txt --json --threads 1 2>/dev/null | part)" \
    "$(printf %s "$s" | part)"
bos=$(sed -n 's/.*"bos_token_id": *\([0-9]*\).*/\1/p' run/config.json)
tr '\n' ' ' <t.txt >one.txt
ids=$("$DOKJA" tokenizer encode --tokenizer run --json <one.txt | head -n 1 | tr -d '[]')
printf '[%s, %s]' "$bos" "$ids" >ids.json
per=$("$DOKJA" score -m run --tokens ids.json | sed 's/.*"nll":\[\([^]]*\)\].*/\1/' | tr , '\n' |
    awk '{s += $1} END {printf "%.4f", s}')
all=$("$DOKJA" score -m run --in one.txt --json 2>/dev/null | awk -F'[:,]' '{printf "%.4f", $2 * $6 * log(2)}')
awk -v a="$per" -v b="$all" 'BEGIN {exit !(a > 0 && (a - b) ^ 2 < 1e-4)}' &&
    ok "per-token figures sum to the whole" || bad "per-token figures sum to the whole" "$per and $all"
printf '[[1,2,3],[4,5]]' >ll.json
is "lists of lists" "$("$DOKJA" score -m run --tokens ll.json | tr -cd '[' | wc -c)" 6
: >e.txt; fails "no text" 1 "no text" "$DOKJA" score -m run --in e.txt
fails "absent file" 1 "absent.txt" "$DOKJA" score -m run --in absent.txt
fails "an absent file of no known kind" 1 "absent: cannot open: No such file" "$DOKJA" score -m run --in absent
fails "a folder" 1 "corpus: is a folder" "$DOKJA" score -m run --in corpus
printf '민원 신청서\n' | iconv -f UTF-8 -t CP949 >cp949.txt
fails "another encoding" 1 "cp949.txt: byte 0 is not UTF-8 text" "$DOKJA" score -m run --in t.txt --in cp949.txt
zstd -q cp949.txt
fails "another encoding, packed" 1 "cp949.txt.zst: byte 0 is not UTF-8 text" "$DOKJA" score -m run --in cp949.txt.zst
printf '{"text":"a"}\n{"text":"a\\u0000b"}\n' >nul.jsonl
fails "NUL in a record" 1 "nul.jsonl: line 2" "$DOKJA" score -m run --in nul.jsonl
fails "nothing to score" 2 "--in" "$DOKJA" score -m run
printf '[1, 99999]' >far.json; fails "an id beyond the vocabulary" 1 "99999" "$DOKJA" score -m run --tokens far.json
printf '[1, "a"]' >far.json; fails "not an id" 1 "far.json" "$DOKJA" score -m run --tokens far.json

# bench
b=$("$DOKJA" bench decode --depth 1 --vocab 512 --context 32 --tokens 4 --runs 1 --json 2>/dev/null)
for k in gb_s limit fraction_of_limit runs tokens_per_s; do has "bench decode: $k" "$b" "\"$k\":"; done
b=$("$DOKJA" bench prefill --depth 1 --vocab 512 --prompt 64 --runs 1 --json 2>/dev/null)
for k in gflops limit fraction_of_limit runs tokens_per_s; do has "bench prefill: $k" "$b" "\"$k\":"; done
b=$("$DOKJA" bench prefill -m run --prompt 64 --runs 1 --json 2>/dev/null)
has "bench prefill: a prompt of all positions" "$b" '"prompt_tokens":64'
fails "bench prefill: a longer one" 1 "the model has 64" "$DOKJA" bench prefill -m run --prompt 65 --runs 1
