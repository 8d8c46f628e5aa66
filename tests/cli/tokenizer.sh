#!/usr/bin/env bash
# tokenizer train, encode, decode, report from the command line; then ids beside Hugging Face tokenizers.
set -u
root=$PWD
cd "$TMP"
ok() { echo "ok $1"; }
bad() { echo "FAIL $1: $2"; }
is() { if [ "$2" = "$3" ]; then ok "$1"; else bad "$1" "got \"$2\", expected \"$3\""; fi; }
has() { case "$2" in *"$3"*) ok "$1" ;; *) bad "$1" "got \"$2\", expected it to hold \"$3\"" ;; esac; }
same() { if cmp -s "$2" "$3"; then ok "$1"; else bad "$1" "$2 and $3 differ"; fi; }
# refuses NAME STATUS PART COMMAND...: ends with STATUS and, after any progress, one sentence that holds PART.
refuses() {
    local name=$1 status=$2 part=$3 err
    shift 3
    err=$("$@" 2>&1 >/dev/null </dev/null)
    is "$name: status" $? "$status"
    has "$name: says why" "$(printf '%s\n' "$err" | tail -n 1)" "$part"
    is "$name: one sentence" "$(printf '%s\n' "$err" | grep -c '^dokja')" 1
}

mkdir -p in
for i in 1 2 3; do
    printf '독자는 자기 힘으로 읽고 쓴다. API를 2026년에 배웠다.\n' >in/$i.txt
    printf 'The reader does not trust; the reader checks what is claimed.\n\n' >>in/$i.txt
done
printf '{"text":"대한민국의 주권은 국민에게 있고, 모든 권력은 국민으로부터 나온다."}\n' | zstd -q -c >in/b.jsonl.zst

"$DOKJA" tokenizer train --in in --vocab 330 --out t --json >train.json 2>err.txt
is "train succeeds" $? 0
is "one JSON document" "$(wc -l <train.json)" 1
has "report by language" "$(cat train.json)" '"ko"'
for f in tokenizer.json tokenizer_config.json report.json; do
    [ -s t/$f ] && ok "$f is there" || bad "$f is there" missing
done
for n in 1 3 7; do
    "$DOKJA" tokenizer train --in in --vocab 330 --out t$n --threads $n >/dev/null 2>&1
    same "same tokenizer with $n threads" t/tokenizer.json t$n/tokenizer.json
done
# a PCRE2 that is built without JIT cuts the same pieces
cat >nojit.c <<'C'
#include <stddef.h>
#include <stdint.h>
void *pcre2_jit_stack_create_8(size_t least, size_t most, void *context) { return NULL; }
int pcre2_jit_compile_8(void *code, uint32_t options) { return -45; }
int pcre2_config_8(uint32_t what, void *where) { *(uint32_t *)where = 0; return 0; }
C
"$DOKJA" tokenizer train --in in --vocab 280 --pattern '\w+|\W' --out tp >/dev/null 2>&1
gcc -shared -fPIC nojit.c -o nojit.so && "$DOKJA" tokenizer encode -t tp --in in/1.txt >ids.txt 2>/dev/null &&
    LD_PRELOAD=$PWD/nojit.so OMP_WAIT_POLICY=passive "$DOKJA" tokenizer encode -t tp --in in/1.txt >nojit.txt 2>err.txt
is "encode without JIT" "$? $(cat err.txt)" "0 "
same "the same ids without JIT" ids.txt nojit.txt
"$DOKJA" corpus build --in in --out c >/dev/null 2>&1
"$DOKJA" tokenizer train --corpus c --vocab 280 --out tc >/dev/null 2>err.txt
is "train on a corpus" $? 0
is "the tokenizer of a corpus leaves documents out" "$(grep -c '^left out: 1 document (' err.txt)" 1
"$DOKJA" tokenizer train --corpus c --vocab 300 --heldout 0 --out tc0 --json 2>err.txt >tc0.json
is "or none" "$(grep -c 'left out' err.txt)" 0
has "a report says so" "$(cat tc0.json)" '"left_out_documents":0'
"$DOKJA" tokenizer train --in in/1.txt --in in/b.jsonl.zst --vocab 300 --out tc1 >/dev/null 2>&1
same "all of a corpus is all of its documents" tc0/tokenizer.json tc1/tokenizer.json
mkdir -p one && cp in/1.txt one
"$DOKJA" corpus build --in one --out c1 >/dev/null 2>&1
"$DOKJA" tokenizer train --corpus c1 --vocab 280 --out tc2 --json 2>/dev/null >tc2.json
has "nothing of a single document" "$(cat tc2.json)" '"left_out_documents":0'

# Of a folder the same is passed over as by a corpus build, and told; what is named is read.
cp -r in hid; mkdir -p hid/.git hid/t; ln -s 1.txt hid/link.txt; printf HWP >hid/a.hwp
printf '숨긴 글 숨긴 글 숨긴 글' | tee hid/.git/a.txt hid/.b.txt >hid/t/old.txt
"$DOKJA" tokenizer train --in hid --vocab 330 --out hid/t --json >hid.json 2>err.txt
same "hidden files and what --out holds are not read" t/tokenizer.json hid/t/tokenizer.json
has "hidden ones are told" "$(cat err.txt)" "hidden, their names begin with a dot: 2, the first hid/."
has "the folder of --out is told" "$(cat err.txt)" "what this command writes: 1, the first hid/t"
has "links are told" "$(cat err.txt)" "links or special files: 1, the first hid/link.txt"
is "once" "$(grep -c '^not read' err.txt)" 4
has "and counted" "$(cat hid.json)" '"not_read":5'
report() { "$DOKJA" tokenizer report -t t --in hid --out hid/new.md 2>&1 >/dev/null; }
has "a report tells too" "$(report)" "a dot: 2, the first hid/."
has "and is no text of its own" "$(report)" "what this command writes: 1, the first hid/new.md"
rm hid/new.md
has "a corpus build says the same" "$("$DOKJA" corpus build hid --out hid/t 2>&1)" "$(grep '^not read' err.txt)"
is "what is named is read" "$("$DOKJA" tokenizer train --in hid/.git --in hid/.b.txt --vocab 272 --out named --json \
    2>err.txt | grep -c '"train_bytes":64,')" 1
is "and nothing is told" "$(grep -c '^not read' err.txt)" 0
mkdir hwp; printf HWP >hwp/a.hwp
refuses "no text in the folder" 1 "hwp: holds no .txt, .md or .jsonl" \
    "$DOKJA" tokenizer train --in hwp --vocab 300 --out x
has "it says what there is" "$("$DOKJA" tokenizer train --in hwp --vocab 300 --out x 2>&1)" "the first hwp/a.hwp"

printf '안녕, 독자! <|end|>\n\nplain text\n\xff\xfe bytes\n' >text
"$DOKJA" tokenizer encode --tokenizer t --json <text >ids
is "one array a line" "$(grep -c '^\[[0-9,]*\]$' ids)" 4
"$DOKJA" tokenizer encode --tokenizer t --json --in text >ids2
same "from a file" ids ids2
"$DOKJA" tokenizer decode --tokenizer t <ids >back
same "decode gives the text back" text back
"$DOKJA" tokenizer encode --tokenizer t <text | "$DOKJA" tokenizer decode --tokenizer t >back
same "ids without brackets" text back
encode() { "$DOKJA" tokenizer encode --tokenizer t --json "$@"; }
is "special text is ordinary" "$(printf '<|end|>' | encode | grep -c '^\[4\]$')" 0
is "special on request" "$(printf '<|end|>' | encode --special)" "[4]"
is "JSON strings" "$(printf '"a\\nb"\n' | encode --strings | "$DOKJA" tokenizer decode --tokenizer t --json)" '"a\nb"'
has "report" "$("$DOKJA" tokenizer report --tokenizer t --in in)" "bytes/token"
has "report --json" "$("$DOKJA" tokenizer report --tokenizer t --in in --json)" '"tokens_per_word"'

refuses "vocabulary beyond the text" 1 "smaller --vocab" "$DOKJA" tokenizer train --in in --vocab 60000 --out x
"$DOKJA" tokenizer train --in in --vocab-at-most 60000 --out most --json 2>err.txt >most.json
is "at most so many: what the text supports" $? 0
size=$(grep -o '"vocab":[0-9]*' most.json | head -n 1 | cut -d: -f2)
has "and it says so" "$(cat err.txt)" "60000 tokens were asked for: this text supports no more than $size"
"$DOKJA" tokenizer train --in in --vocab "$size" --out exact >/dev/null 2>&1
same "the same as of exactly that size" most/tokenizer.json exact/tokenizer.json
refuses "one more is beyond the text" 1 "vocabulary of $size at most" \
    "$DOKJA" tokenizer train --in in --vocab $((size + 1)) --out x
"$DOKJA" tokenizer train --in in --vocab-at-most 330 --out t330 >/dev/null 2>err.txt
same "where the text supports them, all" t/tokenizer.json t330/tokenizer.json
is "and nothing to say" "$(grep -c 'asked for' err.txt)" 0
refuses "two sizes" 2 "--vocab-at-most" "$DOKJA" tokenizer train --in in --vocab 300 --vocab-at-most 300 --out x
refuses "vocabulary below the bytes" 1 "272" "$DOKJA" tokenizer train --in in --vocab 10 --out x
[ -e x ] && bad "nothing is left behind" "x exists" || ok "nothing is left behind"
: >empty.txt
refuses "empty text" 1 "" "$DOKJA" tokenizer train --in empty.txt --vocab 300 --out x
refuses "held out of files" 2 "--corpus" "$DOKJA" tokenizer train --in in --heldout 0.1 --vocab 300 --out x
refuses "no input" 2 "--in" "$DOKJA" tokenizer train --vocab 300 --out x
refuses "no such file" 1 "nothere.txt" "$DOKJA" tokenizer train --in nothere.txt --vocab 300 --out x
printf '민원 신청서\n' | iconv -f UTF-8 -t CP949 >cp949.txt
mkdir -p agency && cp in/1.txt agency/a.txt && cp cp949.txt agency/b.txt
refuses "files beside a corpus" 2 "--corpus and --in" "$DOKJA" tokenizer train --corpus c --in in --vocab 280 --out x

cp -r t kept
refuses "another tokenizer in its place" 1 "kept: holds another tokenizer; use --force" \
    "$DOKJA" tokenizer train --in in --vocab 320 --out kept
is "what was there stays" "$(diff -r t kept)" ""
"$DOKJA" tokenizer train --in in --vocab 330 --out kept >/dev/null 2>err.txt
is "the same one again" "$? $(cmp t/tokenizer.json kept/tokenizer.json)" "0 "
"$DOKJA" tokenizer train --in in --vocab 320 --out kept --force >/dev/null 2>err.txt
is "another one by force" "$? $(cmp -s t/tokenizer.json kept/tokenizer.json; echo $?)" "0 1"
head -c 2000 t/tokenizer.json >kept/tokenizer.json
refuses "a damaged one is not the same" 1 "kept: holds another" "$DOKJA" tokenizer train --in in --vocab 330 --out kept

refuses "another encoding" 1 "agency/b.txt: byte 0 is not UTF-8 text" \
    "$DOKJA" tokenizer train --in agency --vocab 300 --out x
refuses "a report on another encoding" 1 "cp949.txt: byte 0 is not UTF-8 text" \
    "$DOKJA" tokenizer report --tokenizer t --in cp949.txt
refuses "no such file of no known kind" 1 "nothere: cannot open" \
    "$DOKJA" tokenizer train --in nothere --vocab 300 --out x
refuses "no such tokenizer" 1 "nothere" "$DOKJA" tokenizer encode --tokenizer nothere
refuses "no such command" 2 "train, encode" "$DOKJA" tokenizer bake
mkdir -p broken foreign
head -c 2000 t/tokenizer.json >broken/tokenizer.json
refuses "cut file" 1 "broken/tokenizer.json" "$DOKJA" tokenizer encode --tokenizer broken
printf '{"version":"1.0","pre_tokenizer":{"type":"Metaspace"},"model":{"type":"Unigram"}}' >foreign/tokenizer.json
refuses "foreign file" 1 "Metaspace" "$DOKJA" tokenizer encode --tokenizer foreign
printf '[999999]\n' >wrong
refuses "id outside" 1 "999999" "$DOKJA" tokenizer decode --tokenizer t --in wrong
printf '[1, x]\n' >wrong
refuses "not a list" 1 "line 1" "$DOKJA" tokenizer decode --tokenizer t --in wrong

head -c 1000000 /dev/zero | tr '\0' a >long
timeout 20 "$DOKJA" tokenizer encode --tokenizer t --in long | "$DOKJA" tokenizer decode --tokenizer t |
    head -c 1000000 >back
same "a megabyte without a space" long back

if [ -z "${PEERS_PYTHON:-}" ]; then
    echo "skip ids beside tokenizers: no peers environment"
else
    [ "${DOKJA_PEERS_LARGE:-0}" = 1 ] && full=--full || full=
    if out=$("$PEERS_PYTHON" "$root/tests/peers/tokenizers_equal.py" "$DOKJA" $full 2>&1); then
        ok "ids beside tokenizers: $(printf '%s\n' "$out" | tail -n 1)"
    elif [ $? = 77 ]; then
        echo "skip ids beside tokenizers: $out"
    else
        bad "ids beside tokenizers" "$(printf '%s' "$out" | tail -n 3 | tr '\n' ' ')"
    fi
fi
