#!/bin/bash
# Data races in the sense of C11, by the thread sanitizer: builds V=tsan and runs what has threads under it. What OpenMP
# orders (barriers, tasks, ends of regions) the sanitizer must be told. gcc's library does not, so that every barrier
# looks like a race; LLVM's, which has gcc's entry points too and is loaded before it, does by libarcher. The compiler
# is gcc all the same: clang 14 instruments no access of more than 16 bytes, and kernels have little else. AVX2 is asked
# for, because masked loads and stores of AVX-512 are not instrumented. A probe shows first that a race is seen, in wide
# stores too, and that order is.  Prints ok, FAIL and skip lines.
set -u
cd "$(dirname "$0")/../.." || exit 1
root=$PWD build=build/tsan-gcc
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
ok() { echo "ok threads: $1"; }
bad() { echo "FAIL threads: $1: $2"; }
skip() { echo "skip threads: $1"; exit 0; }

probe=$work/probe wide=
echo 'int main(void) { return 0; }' >"$work/none.c"
clang -fopenmp "$work/none.c" -o "$work/none" 2>"$work/err" || skip "clang has no OpenMP here"
omp=$(readlink -f "$(ldd "$work/none" | awk '$1 ~ /omp/ { print $3 }')")
tool=$(dirname "${omp:-.}")/libarcher.so
[ -e "$tool" ] || skip "no libarcher.so beside LLVM's OpenMP library ${omp:-}"
grep -qw avx2 /proc/cpuinfo && wide=wide
gcc -std=c17 -O1 -g -fopenmp -fsanitize=thread ${wide:+-mavx2} tests/threads/threads_probe.c -o "$probe" \
    2>"$work/err" || skip "gcc builds nothing for the thread sanitizer here: $(tail -n 1 "$work/err")"
export OMP_TOOL_LIBRARIES=$tool TSAN_OPTIONS="ignore_noninstrumented_modules=1 exitcode=66 history_size=7"
seen() { LD_PRELOAD=$omp "$@"; }
seen "$probe" order >"$work/out" 2>"$work/err"
case $? in
0) grep -qx right "$work/out" || { bad "probe" "OpenMP gives a wrong result"; exit 1; } ;;
66) grep -q "WARNING: ThreadSanitizer" "$work/err" && { bad "probe" "a barrier is taken for a race"; exit 1; } ;&
*) skip "the thread sanitizer does not start on this kernel: $(grep -m 1 -v '^=*$' "$work/err")" ;;
esac
ok "order is seen"
for what in race $wide; do
    seen "$probe" $what >/dev/null 2>"$work/err"
    [ $? = 66 ] && grep -q "data race .*threads_probe\.c" "$work/err" && ok "a race is seen ($what)" ||
        { bad "a race is seen ($what)" "$(tail -n 1 "$work/err")"; exit 1; }
done

units="corpus tokens base_log train"
if make -k -j"$(nproc)" V=tsan CC=gcc $build/dokja $(printf "$build/tests/unit/test_%s " $units) >"$work/make" 2>&1
then ok "builds"
else
    bad "builds" "$(grep -m 1 -E ': (fatal )?error:|\*\*\* |undefined reference' "$work/make")"
    exit 1
fi

export OMP_NUM_THREADS=3 DOKJA_CPU=avx2
clean() { # name, command: it succeeds, without a report
    local name=$1 rc races; shift
    seen timeout 600 "$@" >"$work/out" 2>"$work/err" </dev/null
    rc=$?
    races=$(grep -c "WARNING: ThreadSanitizer" "$work/err")
    cat "$work/out" >>"$work/err" # cmocka tells there what failed
    if [ "$races" != 0 ]; then bad "$name" "$races reports, $(grep -m 1 ^SUMMARY "$work/err")"
    elif [ $rc != 0 ]; then bad "$name" "status $rc: $(tail -n 1 "$work/err")"
    else ok "$name"; fi
}
for u in $units; do clean "test_$u" $build/tests/unit/test_$u; done

dokja=$root/$build/dokja
cd "$work" && mkdir in || exit 1
"$dokja" primer --bytes 300k --seed 4 --out p.jsonl >err 2>&1 && split -n l/5 --additional-suffix=.jsonl p.jsonl in/ ||
    { bad "inputs" "$(tail -n 1 err)"; exit 1; }
clean "corpus build" "$dokja" corpus build --in in --in p.jsonl --out corpus --threads 3
clean "tokenizer train" "$dokja" tokenizer train --corpus corpus --vocab 1024 --out tok --threads 3
clean "tokenizer encode" "$dokja" tokenizer encode --tokenizer tok --in p.jsonl
T="--corpus corpus --tokenizer tok --heldout 0.02 --depth 1 --threads 3"
clean "pretrain" "$dokja" pretrain $T --seq 64 --batch-tokens 512 --steps 4 --out run
clean "pretrain --int8" "$dokja" pretrain $T --seq 256 --batch-tokens 512 --steps 2 --int8 --out int8
head -n 10 p.jsonl >few.jsonl
clean "generate" "$dokja" generate -m run --prompt "3 더하기" --max-tokens 16 --threads 3
clean "score" "$dokja" score -m run --in few.jsonl --threads 3
clean "ledger verify" "$dokja" ledger verify run
clean "ledger replay" "$dokja" ledger replay run --threads 3
clean "lineage" "$dokja" lineage run int8 --threads 3
