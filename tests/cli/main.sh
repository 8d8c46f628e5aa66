#!/bin/bash
# The table of commands: help, version, exit statuses, and output that cannot be written.
set -u
out=$TMP/out err=$TMP/err

# expect NAME STATUS TEXT-ON-STDOUT TEXT-ON-STDERR ARGUMENTS...: an empty text means the stream must be empty.
expect() {
    local name=$1 want=$2 on_out=$3 on_err=$4 status
    shift 4
    "$DOKJA" "$@" >"$out" 2>"$err" </dev/null
    status=$?
    if [ $status != "$want" ]; then echo "FAIL $name: status $status, expected $want"
    elif ! holds "$out" "$on_out"; then echo "FAIL $name: stdout is \"$(head -c 200 "$out" | tr '\n' ' ')\""
    elif ! holds "$err" "$on_err"; then echo "FAIL $name: stderr is \"$(head -c 200 "$err" | tr '\n' ' ')\""
    else echo "ok $name"; fi
}
holds() { if [ -z "$2" ]; then [ ! -s "$1" ]; else grep -qF -- "$2" "$1"; fi; }

expect "help" 0 "Usage: dokja COMMAND" "" --help
expect "help by letter" 0 "Usage: dokja COMMAND" "" -h
expect "version" 0 "dokja 0." "" --version
expect "no command" 2 "" "Usage: dokja COMMAND"
expect "a slip in a command" 2 "" "dokja: unknown command \"pretrian\"; did you mean pretrain?" pretrian
expect "unknown command" 2 "" "dokja: unknown command \"frob\"; dokja --help lists the commands" frob
expect "a measurement is missing" 2 "" "dokja bench: which measurement? " bench
expect "unknown measurement" 2 "" "dokja bench: unknown measurement frob; " bench frob
expect "primer without --out" 2 "" "dokja primer: --out FILE.jsonl is missing" primer
expect "eval without a model" 2 "" "dokja eval: -m MODEL is missing" eval
expect "tokenizer without a command" 2 "" \
    "dokja tokenizer: expected train, encode, decode or report; got nothing" tokenizer
for c in primer corpus tokenizer pretrain generate chat score eval bench selftest; do
    expect "$c --help" 0 "dokja $c" "" "$c" --help
    expect "$c: unknown option" 2 "" "dokja $c: " "$c" --nonsense
done

# A number of threads that is none is refused in one sentence, and the OpenMP library's own line comes once at most.
for v in abc 0 -1 "" 2x 2, 99999 1,abc; do
    OMP_NUM_THREADS=$v expect "OMP_NUM_THREADS=\"$v\"" 2 "" \
        "dokja: the variable OMP_NUM_THREADS is \"$v\"; it takes a number of threads, 1 to 4096" selftest
    [ "$(grep -c '^libgomp: .*OMP_NUM_THREADS' "$err")" -le 1 ] && echo "ok … said once" ||
        echo "FAIL … said once: $(grep -c '^libgomp: ' "$err") lines of libgomp"
done
for v in 1 2 " 2 " 2,1; do OMP_NUM_THREADS=$v expect "OMP_NUM_THREADS=\"$v\"" 0 "dokja 0." "" --version; done

# The textbook takes the place of another one, but of nothing else unless told to.
echo '{"text":"내 글"}' >"$TMP/mine.jsonl"
expect "primer over own text" 1 "" "mine.jsonl: exists and is nothing that this command wrote; use --force" \
    primer --bytes 2k --out "$TMP/mine.jsonl"
holds "$TMP/mine.jsonl" "내 글" && echo "ok own text stays" || echo "FAIL own text stays: it is gone"
expect "primer --force" 0 "mine.jsonl: " "" primer --bytes 2k --force --out "$TMP/mine.jsonl"
expect "primer over a primer" 0 "seed 2" "" primer --bytes 2k --seed 2 --out "$TMP/mine.jsonl"

# Lists of commands fit a terminal of 80 columns.
for c in "" corpus tokenizer ledger bench; do
    wide=$("$DOKJA" $c --help | sed 's/…/./g' | awk 'length > 80' | head -n 1)
    [ -z "$wide" ] && echo "ok ${c:-dokja} --help fits 80 columns" ||
        echo "FAIL ${c:-dokja} --help fits 80 columns: $wide"
done

# Commands and options that documents name are known, but for those that a document says are planned.
here=$(cd "$(dirname "$0")" && pwd)
for file in README.md README.ko.md docs/design.md docs/ledger.md docs/experiments.md docs/lineage.md docs/log.md \
    docs/numerics.md docs/conventions.md include/dokja.h; do
    python3 "$here/named_commands.py" "$here/../../$file" >"$out" || echo "FAIL commands of $file: cannot be read"
    strange= n=0
    while read -r words options; do
        x=${words%,*} y=${words#*,} n=$((n + 1))
        case $x in corpus | tokenizer | ledger | bench) ;; *) y= ;; esac
        "$DOKJA" $x $y --help >"$TMP/help" 2>"$err" </dev/null || { strange="$strange, dokja $x $y"; continue; }
        for o in $options; do
            grep -q -- "$o\b" "$TMP/help" || [ $o = --help ] || [ $x$y = bench ] || strange="$strange, dokja $x $y $o"
        done
    done < <(grep . "$out")
    case $file in README*) [ $n -ge 10 ] || strange=", only $n commands found" ;; esac
    [ -z "$strange" ] && echo "ok commands of $file" || echo "FAIL commands of $file: unknown are ${strange#, }"
done

# "…" is three bytes and one column.
"$DOKJA" bench --help >"$out"
columns=$(sed -n 's/^\(  [a-z]*  *[-[].*[])N….A-Z]  *\)[a-z].*/\1/p' "$out" | LC_ALL=C sed 's/\xe2\x80\xa6/./g' |
    awk '{ print length }' | sort -u)
if [ "$(sed -n '3,$p' "$out" | wc -l)" = 7 ] && [ "$columns" = 43 ]; then echo "ok columns of bench --help"
else echo "FAIL columns of bench --help: they begin at" $columns; fi

"$DOKJA" --help >/dev/full 2>"$err"
status=$?
if [ $status = 1 ] && grep -q "standard output" "$err"; then echo "ok full disk on stdout"
else echo "FAIL full disk on stdout: status $status, $(head -n 1 "$err")"; fi

# A reader that leaves must end the program with an error, not a signal.
{ "$DOKJA" --help; echo $? >"$TMP/status"; } 2>"$err" | sleep 0
status=$(cat "$TMP/status")
if [ "$status" = 0 ] || [ "$status" = 1 ]; then echo "ok closed pipe on stdout"
else echo "FAIL closed pipe on stdout: status $status"; fi
