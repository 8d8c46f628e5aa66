#!/usr/bin/env bash
# corpus build, stats, show, verify from the command line.
set -u
cd "$TMP"
ok() { echo "ok $1"; }
bad() { echo "FAIL $1: $2"; }
is() { if [ "$2" = "$3" ]; then ok "$1"; else bad "$1" "got \"$2\", expected \"$3\""; fi; }
has() { case "$2" in *"$3"*) ok "$1" ;; *) bad "$1" "got \"$2\", expected it to hold \"$3\"" ;; esac; }
key() { sed -n "s/.*\"$1\": *\"\{0,1\}\([^,}\"]*\).*/\1/p" | head -n 1; }

mkdir -p in/sub
printf '가나다 첫 문서\n' >in/a.txt
printf '{"id":"x","text":"둘째","source":"s"}\nbroken\n{"text":"둘째"}\n' | zstd -q -c >in/sub/b.jsonl.zst
printf '\0\1\2' >in/c.md

out=$("$DOKJA" corpus build --in in --out c --json 2>err.txt); is "build succeeds" $? 0
is "one JSON document" "$(printf '%s\n' "$out" | wc -l)" 1
is "documents" "$(printf %s "$out" | key docs)" 2
is "duplicates" "$(printf %s "$out" | key duplicate)" 1
is "binary" "$(printf %s "$out" | key not-utf8)" 1
is "bad records" "$(printf %s "$out" | key bad-record)" 1
root=$(printf %s "$out" | key root)
is "root is a digest" "$(printf %s "$root" | tr -d 0-9a-f | wc -c) ${#root}" "0 64"

# what a folder holds besides is told, and how to get in what was left out
cp -r in mixed
printf '%%PDF' >mixed/b.pdf; printf 'HWP' >mixed/a.hwp; ln -s a.txt mixed/link.txt
printf '제목' | iconv -f UTF-8 -t CP949 >mixed/cp949.txt
is "other kinds are counted" "$("$DOKJA" corpus build --in mixed --out cmix --json 2>err.txt | key not_read)" 3
is "an ordinary folder has none" "$(printf %s "$out" | key not_read)" 0
has "other kinds are named" "$(cat err.txt)" "no .txt, .md or .jsonl (plain, .gz, .zst): 2, the first mixed/a.hwp"
has "links are named" "$(cat err.txt)" "links or special files: 1, the first mixed/link.txt"
"$DOKJA" corpus build --in mixed --out cmix2 >/dev/null 2>err.txt
has "how to convert" "$(cat err.txt)" "iconv -f CP949"
has "what a line has to be" "$(cat err.txt)" 'JSON object with a string "text"'
has "the list of removals" "$(zstd -dc cmix2/removed-*)" '"source": "cp949.txt", "reason": "not-utf8"'

has "the first bad record" "$(cat err.txt)" "the first bad record: sub/b.jsonl.zst: line 2 is not a JSON record: column"
has "and in the list of removals" "$(zstd -dc cmix2/removed-*)" '"reason": "bad-record", "why": "line 2 is not'
has "and for programs" "$out" '"first_bad_record":"sub/b.jsonl.zst: line 2 is not'
"$DOKJA" corpus verify cmix2 >/dev/null 2>&1; is "a corpus with causes is verified" $? 0

# what is hidden and what the build writes are no inputs of a folder
cp -r in hid; mkdir -p hid/.git hid/sub/.ipynb_checkpoints
printf '숨긴 글' | tee hid/.git/a.txt hid/sub/.ipynb_checkpoints/b.txt >hid/.c.txt
is "hidden ones are counted" "$("$DOKJA" corpus build hid --out hid/c --json 2>err.txt | key not_read)" 3
has "hidden ones are named" "$(cat err.txt)" "hidden, their names begin with a dot: 3, the first hid/"
is "and not read" "$("$DOKJA" corpus stats hid/c --json | key root)" "$root"
out=$("$DOKJA" corpus build hid --out hid/c --json 2>err.txt)
is "a corpus inside its folder is kept" "$(printf %s "$out" | key reused) $(printf %s "$out" | key not_read)" "true 4"
has "and told" "$(cat err.txt)" "what this command writes: 1, the first hid/c"
is "what is named is read" "$("$DOKJA" corpus build hid/.git hid/.c.txt --out named --json 2>err.txt | key docs_in)" 2
mkdir cp949; printf '제목' | iconv -f UTF-8 -t CP949 | tee cp949/a.txt >cp949/b.txt; printf HWP >cp949/a.hwp
"$DOKJA" corpus build cp949 --out none >out.txt 2>err.txt; is "no document is left: status" $? 1
has "no document is left: advice" "$(cat err.txt)" "iconv -f CP949"
has "no document is left: other kinds" "$(cat err.txt)" "the first cp949/a.hwp"
has "no document is left: sentence" "$(tail -n 1 err.txt)" "no document is left of 2"

# names are foreign text: no control character of them reaches a screen
mkdir names; printf '가' >names/$'a\e[2J\nb'.txt
printf '{"id":"\\u001b]0;x\\u0007","text":"나","source":"s\\ns","license":"l\\u007f"}\n' >names/b.jsonl
"$DOKJA" corpus build names --out cnames >/dev/null 2>&1
out=$("$DOKJA" corpus stats cnames; "$DOKJA" corpus show cnames)
is "names stay on their lines" "$(printf %s "$out" | tr -cd '\033\007\177' | wc -c)" 0
has "a name in the table" "$out" "  a?[2J?b.txt
"
has "a name above a document" "$out" "=== 1  ?]0;x?  (s?s, l?, 3 bytes)
"
"$DOKJA" corpus verify $'no\e[2J\nsuch' >/dev/null 2>err.txt
is "a name in an error" "$(cat err.txt)" "dokja corpus: no?[2J?such: not a corpus: it has no manifest.json"

mkdir single; printf '가' >single/a.txt
out=$("$DOKJA" corpus build single --out csingle 2>&1)
has "one of each is in the singular" "$out" "1 document from 1 file: 0.00 MB of text, 1 character
left out: 0 of 1 document
"
has "and in stats and in a refusal" "$("$DOKJA" corpus show csingle --from 1 2>&1)" "but it has 1 document"
mkdir hwp; printf HWP >hwp/a.hwp
"$DOKJA" corpus build hwp --out none >out.txt 2>err.txt
has "no source is found: other kinds" "$(cat err.txt)" "the first hwp/a.hwp"

is "again: kept" "$("$DOKJA" corpus build --in in --out c --json 2>/dev/null | key reused)" true
for n in 1 3; do
    is "same root with $n threads" \
        "$(OMP_NUM_THREADS=$n "$DOKJA" corpus build --in in --out c$n --json 2>/dev/null | key root)" "$root"
    cmp -s c/manifest.json c$n/manifest.json && ok "same manifest with $n threads" ||
        bad "same manifest with $n threads" differs
done
cp -r in moved
is "same root from another place" "$("$DOKJA" corpus build moved --out cm --json 2>/dev/null | key root)" "$root"

is "stats" "$("$DOKJA" corpus stats c --json | key root)" "$root"
has "stats for people" "$("$DOKJA" corpus stats c)" "sub/b.jsonl.zst"
has "show" "$("$DOKJA" corpus show c --id x)" "둘째"
is "show --json" "$("$DOKJA" corpus show c --json -n 1 | key id)" a.txt
has "verify" "$("$DOKJA" corpus verify c)" verified
first=$(zstd -q -dc c/docs-00000.jsonl.zst | head -n 1)
is "other programs read the documents" "$first" '{"id": "a.txt", "text": "가나다 첫 문서\n", "source": "a.txt"}'

fails() { # name, status, part of the sentence, command…
    local name=$1 want=$2 part=$3 rc; shift 3
    "$@" >out.txt 2>err.txt; rc=$?
    is "$name: status" $rc "$want"
    has "$name: sentence" "$(tail -n 1 err.txt)" "$part"
    is "$name: nothing on stdout" "$(wc -c <out.txt)" 0
}
printf 'neu' >in/d.txt
fails "other inputs" 1 "--force" "$DOKJA" corpus build --in in --out c
is "the old corpus stays" "$("$DOKJA" corpus verify c --json 2>/dev/null | key root)" "$root"
"$DOKJA" corpus build --in in --out c --force >/dev/null 2>&1; is "replaced with --force" $? 0
mkdir empty; fails "empty folder" 1 "empty" "$DOKJA" corpus build --in empty --out e
: >empty/e.txt; fails "empty corpus" 1 "no document" "$DOKJA" corpus build --in empty --out e
fails "absent input" 1 "absent" "$DOKJA" corpus build --in absent --out e
head -c 40 in/sub/b.jsonl.zst >empty/t.jsonl.zst
fails "truncated input" 1 "t.jsonl.zst" "$DOKJA" corpus build --in empty --out e
fails "salted, truncated input" 1 "t.jsonl.zst" "$DOKJA" corpus build --in empty --out e/f --salted
[ -e e ] && bad "builds that fail leave no folder" "$(ls -A e)" || ok "builds that fail leave no folder"
fails "no --out" 2 "--out" "$DOKJA" corpus build --in in
fails "unknown subcommand" 2 "expected build, stats, show or verify; got frob" "$DOKJA" corpus frob
fails "no subcommand" 2 "expected build, stats, show or verify; got nothing" "$DOKJA" corpus
fails "not a corpus" 1 "manifest.json" "$DOKJA" corpus stats in
f=$(ls c/docs-*.zst | head -n 1); printf 'x' | dd of="$f" bs=1 seek=20 conv=notrunc 2>/dev/null
fails "damaged file" 1 "docs-00000" "$DOKJA" corpus verify c

# stopped half way and run again: the same bytes
for i in 1 2 3 4; do
    seq 1 100000 | sed "s/.*/{\"text\":\"문서 $i & 번호\"}/" >big$i.jsonl
done
"$DOKJA" corpus build --in big1.jsonl big2.jsonl big3.jsonl big4.jsonl --out k1 >/dev/null 2>&1
for i in 1 2 3; do
    "$DOKJA" corpus build --in big1.jsonl big2.jsonl big3.jsonl big4.jsonl --out k2 >/dev/null 2>&1 & pid=$!
    sleep 0.$((2 * i)); kill -9 $pid 2>/dev/null; wait $pid 2>/dev/null
done
"$DOKJA" corpus build --in big1.jsonl big2.jsonl big3.jsonl big4.jsonl --out k2 >/dev/null 2>&1
is "kill -9, then again: status" $? 0
is "kill -9, then again: same files" "$(cd k1 && sha256sum *)" "$(cd k2 && sha256sum *)"
[ -e k2/.building ] && bad "no leftovers" ".building" || ok "no leftovers"

# A user's own files in the folder stay, whatever they are called; what only describes a text has a limit.
mkdir own; cp in/sub/b.jsonl.zst own/docs-ko.jsonl.zst
"$DOKJA" corpus build --in in --out own >/dev/null 2>&1; is "a build beside own files: status" $? 0
cmp -s in/sub/b.jsonl.zst own/docs-ko.jsonl.zst && ok "own files stay" || bad "own files stay" "gone"
printf '{"id":"%s","text":"길다"}\n{"text":"짧다"}\n' "$(head -c 70000 /dev/zero | tr '\0' i)" >ids.jsonl
out=$("$DOKJA" corpus build --in ids.jsonl --out ids --json 2>/dev/null)
is "a record with an id of 70 kB is left out" "$(printf %s "$out" | key docs) $(printf %s "$out" | key too-long)" "1 1"
is "and named by its line" "$(zstd -dqc ids/removed-*.zst | key id)" "ids.jsonl#1"
# A text as long as a piece is one document, with a byte order mark too.
{ printf '\357\273\277'; head -c 65536 /dev/zero | tr '\0' a; } >bom.txt
"$DOKJA" corpus build --in bom.txt --out bom >/dev/null 2>&1
is "a byte order mark does not cut" "$(zstd -dqc bom/docs-*.zst | key id)" "bom.txt"

# A line longer than 2^31 bytes is left out and counted, in bounded memory.
if [ "${DOKJA_QUICK:-0}" = 1 ]; then echo "skip a line of 2.2 GB: not with --quick"
else
    head -c 2200000000 /dev/zero | tr '\0' 'a' | zstd -q -1 -c >long.jsonl.zst
    printf '{"text":"작은 문서"}\n' >short.jsonl
    out=$(ulimit -v 4000000; "$DOKJA" corpus build --in long.jsonl.zst short.jsonl --out l --json 2>err.txt)
    is "a line of 2.2 GB: status" $? 0
    is "a line of 2.2 GB is left out" "$(printf %s "$out" | key docs)" 1
    is "and counted" "$(printf %s "$out" | key too-long)" 1
fi
