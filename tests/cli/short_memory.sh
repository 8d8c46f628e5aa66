#!/usr/bin/env bash
# Short memory, wherever it happens, in libraries too: a command says so, or prints what it always does.
set -u
here=$(cd "$(dirname "$0")" && pwd)
cd "$TMP"
if grep -q __asan_init "$DOKJA" || ! gcc -O1 -shared -fPIC "$here/short_memory.c" -o short.so 2>err.txt; then
    echo "skip short memory: only with the allocator of the C library"
    exit 0
fi
most=$([ "${DOKJA_QUICK:-0}" = 1 ] && echo 60 || echo 250)
# Characters that normal form C composes, each of another pair.
python3 - <<'PY'
import unicodedata
pairs = [unicodedata.normalize("NFD", chr(c)) for c in [*range(0xC0, 0x250), *range(0x1E00, 0x2000)]]
with open("nfd.txt", "w", encoding="utf-8") as f:
    f.write("\n".join(s for s in pairs if len(s) > 1) + "\n각 한국어\n")
with open("strings.txt", "w", encoding="utf-8") as f:
    f.write('"a\\u00e9 \\u1112\\u1161\\u11ab \\ud83d\\ude00 end"\n"\\u0000 next"\n')
PY
printf '{"text":"하나","id":"a"}\n{"text":"둘","id":"b","license":"CC0"}\n{"text":"셋","lang":"ko"}\n' >docs.jsonl
"$DOKJA" corpus build --in docs.jsonl --in nfd.txt --out corpus >/dev/null 2>err.txt &&
"$DOKJA" tokenizer train --corpus corpus --vocab 280 --out tok >/dev/null 2>err.txt ||
    { echo "FAIL short memory inputs: $(tail -n 1 err.txt)"; exit 1; }

# one N COMMAND...: the same with its N-th allocation failing (0: none), and without the start that only sets OpenMP's
# policy.
one() {
    local n=$1
    shift
    FAIL_MALLOC=$n OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive LD_PRELOAD=$PWD/short.so "$@" 2>err.txt |
        sed 's/"seconds":[0-9.e-]*//; s/"peak_rss_bytes":[0-9]*//'
    return "${PIPESTATUS[0]}"
}

# each NAME COMMAND...: up to $most of its allocations fail, one a run, spread over all of them.
each() {
    local name=$1 n=1 all wrong= refused=0 status
    shift
    rm -rf out
    COUNT_MALLOC=count one 0 "$@" >want.txt </dev/null || { echo "FAIL $name: $(tail -n 1 err.txt)"; return; }
    all=$(cat count)
    for (( ; n <= all && ${#wrong} == 0; n += 1 + all / most)); do
        rm -rf out
        one "$n" "$@" >got.txt </dev/null
        status=$?
        if [ $status = 0 ]; then cmp -s got.txt want.txt || wrong="allocation $n of $all: other output and status 0"
        elif [ $status != 1 ] || ! [ -s err.txt ]; then wrong="allocation $n of $all: status $status"
        else refused=$((refused + 1))
        fi
    done
    if [ -n "$wrong" ]; then echo "FAIL short memory, $name: $wrong"
    elif [ $refused -lt 10 ]; then echo "FAIL short memory, $name: only $refused of $all allocations were missed"
    else echo "ok short memory, $name: says so or prints what it should"
    fi
}

each "corpus build" "$DOKJA" corpus build --in nfd.txt --out out --json --threads 1
each "corpus show" "$DOKJA" corpus show corpus --json
each "corpus stats" "$DOKJA" corpus stats corpus --json
each "corpus verify" "$DOKJA" corpus verify corpus --json
each "tokenizer train" "$DOKJA" tokenizer train --in nfd.txt --vocab 280 --out out --json
each "tokenizer encode" "$DOKJA" tokenizer encode --tokenizer tok --in nfd.txt
each "tokenizer encode of strings" "$DOKJA" tokenizer encode --tokenizer tok --in strings.txt --strings
