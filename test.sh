#!/bin/bash
# Builds and runs every test.  Ends with the line "N passed, N failed, N skipped"; exit 1 when anything failed.
#   ./test.sh           all of it        ./test.sh --quick    gcc release only
#   ./test.sh --peers   also the comparisons with large peers (downloads gigabytes once; an hour more)
set -u
export LC_ALL=C.UTF-8   # tests count columns and match Korean, whatever the user's language
cd "$(dirname "$0")" || exit 1

quick=0 peers=0
for a in "$@"; do
    case $a in
    --quick) quick=1 ;;
    --peers) peers=1 ;;
    *) echo "usage: ./test.sh [--quick] [--peers]" >&2; exit 2 ;;
    esac
done

jobs=$(nproc)
limit=900 # seconds that one script may take; all texts through every tokenizer of the peers take an hour
[ $peers = 1 ] && limit=10800
logs=build/test-logs
passed=0 failed=0 skipped=0
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

stage() { echo "== $* (${SECONDS}s)"; }
pass() { passed=$((passed + 1)); }
fail() { failed=$((failed + 1)); echo "FAIL $*"; }
skip() { skipped=$((skipped + 1)); echo "skip $*"; }

# check NAME COMMAND...: one test that passes when the command does; its output is shown when it does not.
check() {
    local name=$1 log
    shift
    log=$logs/$(echo "$name" | tr ' /' '--').log
    if "$@" >"$log" 2>&1; then pass; else fail "$name:"; tail -n 25 "$log" | sed 's/^/    /'; fi
}

build() { # build NAME MAKE-ARGUMENTS...
    local name=$1 log=$logs/build-$1.log
    shift
    # -k: what does build is tested even when something else does not.
    if make -k -j"$jobs" "$@" >"$log" 2>&1; then pass; return 0; fi
    fail "build $name:"
    grep -E ': (fatal )?error:|\*\*\* |undefined reference' "$log" | head -n 15 | sed 's/^/    /'
    return 1
}

# Sums up a cmocka program's own summary lines: "passed failed skipped".
tally() {
    awk '/^\[  PASSED  \] [0-9]+ test/ { p += $4 }
         /^\[  FAILED  \] .*[0-9]+ test\(s\), listed below/ { for (i = 1; i <= NF; i++) if ($i ~ /^test/) f += $(i-1) }
         /^\[  SKIPPED \] .*[0-9]+ test\(s\), listed below/ { for (i = 1; i <= NF; i++) if ($i ~ /^test/) s += $(i-1) }
         END { print p + 0, f + 0, s + 0 }' "$1"
}

# run_units TITLE BUILD DIRS...: every cmocka program built there. One that crashes is one more failure.
run_units() {
    local title=$1 b=$2 src name prog log rc p f s began
    shift 2
    for src in $(for d in "$@"; do ls tests/"$d"/test_*.c 2>/dev/null; done); do
        name=${src#tests/}
        name=${name%.c}
        prog=$b/tests/$name
        log=$logs/$title-$(basename "$name").log
        if [ ! -x "$prog" ] || [ "$prog" -ot "$src" ]; then
            fail "$title $name: was not built"
            continue
        fi
        began=$SECONDS
        timeout 600 "$prog" >"$log" 2>&1
        rc=$?
        [ $((SECONDS - began)) -gt 20 ] && echo "    $name: $((SECONDS - began))s"
        read -r p f s <<<"$(tally "$log")"
        passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
        if [ "$f" != 0 ]; then
            echo "FAIL $title $name: $f of its tests"
            grep -E '^\[  FAILED  \] |^\[  ERROR   \]|: error: Failure' "$log" | sort -u | head -n 20 | sed 's/^/    /'
        elif [ $rc != 0 ] || [ $((p + f + s)) = 0 ]; then
            fail "$title $name: ended with status $rc"
            tail -n 20 "$log" | sed 's/^/    /'
        elif [ "$s" != 0 ]; then
            grep -E '^skip|^\[  SKIPPED \] [a-z_0-9]+$' "$log" | sort -u | sed "s|^|    $name: |"
        fi
    done
}

# run_lines TITLE COMMAND...: a program that prints "ok NAME", "FAIL NAME: why" or "skip NAME: why" lines.
run_lines() {
    local title=$1 log rc p f s
    shift
    log=$logs/$(echo "$title" | tr ' /' '--').log
    timeout "$limit" "$@" >"$log" 2>"$log.err" </dev/null
    rc=$?
    p=$(grep -c '^ok ' "$log") f=$(grep -c '^FAIL ' "$log") s=$(grep -c '^skip ' "$log")
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
    grep -E '^(FAIL|skip) ' "$log"
    if [ "$f" = 0 ] && { [ $rc != 0 ] || [ $((p + s)) = 0 ]; }; then
        fail "$title: ended with status $rc"
        tail -n 10 "$log.err" | sed 's/^/    /'
    fi
}

run_fuzz_corpus() { # TITLE BUILD
    local src name
    for src in tests/fuzz/fuzz_*.c; do
        [ -e "$src" ] || continue
        name=$(basename "$src" .c)
        if [ -x "$2/tests/fuzz/$name" ]; then run_lines "$1 $name" "$2/tests/fuzz/$name"
        else fail "$1 $name: was not built"; fi
    done
}

run_cli() {
    local script name
    export DOKJA=$PWD/build/release-gcc/dokja DOKJA_QUICK=$quick
    if [ ! -x "$DOKJA" ]; then
        fail "command line: the program was not built"
        return
    fi
    for script in tests/cli/*.sh; do
        [ -e "$script" ] || continue
        name=$(basename "$script" .sh)
        mkdir -p "$work/$name"
        TMP=$work/$name run_lines "cli $name" bash "$script"
        rm -rf "${work:?}/$name"
    done
}

digest() { # digest BUILD CPU THREADS → "DIGESTS ISA", one of each profile
    DOKJA_CPU=$2 OMP_NUM_THREADS=$3 timeout 300 "$1/dokja" selftest --json 2>"$work/selftest.err" |
        python3 -c 'import json,sys; d=json.load(sys.stdin); print(d["digest"] + "+" + d["t2"], d["isa"])' 2>/dev/null
}

# Every build, instruction set and thread count must give the same digests: those are the numeric profiles.
run_digests() { # run_digests WANT BUILD CPUS THREADS
    local b=$2 cpu n got isa
    for cpu in $3; do
        for n in $4; do
            read -r got isa <<<"$(digest "$b" "$cpu" "$n")"
            if [ -z "$got" ]; then fail "digest $b cpu $cpu threads $n: $(head -n 1 "$work/selftest.err")"
            elif [ "$got" != "$1" ]; then fail "digest $b cpu $cpu threads $n: $got, expected $1"
            elif [ "$isa" != "$cpu" ]; then skip "digest $b cpu $cpu threads $n: this machine has $isa at most"; break
            else pass; fi
        done
    done
}

# A short training run by every build: compilers and optimisation levels must give one state root.
run_roots() { # run_roots BUILD...
    local b root want= dir=$work/roots
    mkdir -p "$dir"
    if ! { "$1/dokja" primer --bytes 300k --seed 4 --out "$dir/p.jsonl" &&
           "$1/dokja" corpus build --in "$dir/p.jsonl" --out "$dir/corpus" &&
           "$1/dokja" tokenizer train --corpus "$dir/corpus" --vocab 512 --out "$dir/tok"; } >"$dir/log" 2>&1; then
        fail "state roots: $(tail -n 1 "$dir/log")"
        return
    fi
    for b in "$@"; do
        root=$("$b/dokja" pretrain --corpus "$dir/corpus" --tokenizer "$dir/tok" --out "$dir/$(basename "$b")" \
            --depth 1 --seq 64 --batch-tokens 512 --steps 12 --heldout 0.02 --json 2>"$dir/log" |
            sed -n 's/.*"state_root":"\([0-9a-f]*\)".*/\1/p')
        want=${want:-$root}
        if [ -z "$root" ]; then fail "state root of $b: $(tail -n 1 "$dir/log")"
        elif [ "$root" != "$want" ]; then fail "state root of $b: $root, expected $want"
        else pass; fi
    done
}

rm -rf "$logs"
./setup.sh
setup_rc=$?
mkdir -p "$logs"
if [ $setup_rc = 0 ]; then pass; else fail "setup.sh"; fi

if [ -z "${DOKJA_DATA:-}" ] && [ -d ../shared/data ]; then DOKJA_DATA=$(cd ../shared/data && pwd); fi
[ -n "${DOKJA_DATA:-}" ] && export DOKJA_DATA

stage "peers"
large=
[ $peers = 1 ] && large=--large
PEERS_PYTHON=$(tests/peers/setup.sh $large 2>"$work/peers.err") || PEERS_PYTHON=
export PEERS_PYTHON DOKJA_PEERS_LARGE=$peers
PEERS_ATTEST=$(tests/peers/setup.sh --attest 2>"$work/attest.err") || PEERS_ATTEST=
export PEERS_ATTEST
if [ -z "$PEERS_ATTEST" ]; then skip "peers: $(head -n 1 "$work/attest.err")"; fi
if [ -n "$PEERS_PYTHON" ]; then pass; else skip "peers: $(head -n 1 "$work/peers.err")"; fi

stage "house rules"
check "layers" tools/check-layers
check "format" tools/check-format
check "instruction sets" tools/check-isa build/release-gcc

stage "gcc"
build gcc tests
run_units gcc build/release-gcc unit kernels grad fault
run_fuzz_corpus "fuzz corpus" build/release-gcc

stage "command line"
run_cli

if [ $quick = 0 ]; then
    stage "clang"
    build clang CC=clang tests
    run_units clang build/release-clang unit kernels grad
    check "instruction sets clang" tools/check-isa build/release-clang

    stage "digests"
    build o0 V=o0
    read -r want isa <<<"$(digest build/release-gcc "" 1)"
    if [ -z "$want" ]; then fail "selftest: $(head -n 1 "$work/selftest.err")"
    else
        echo "   $want ($isa)"
        run_digests "$want" build/release-gcc "ref avx2 avx512 avx512bf16 amx" "1 2 3 7"
        run_digests "$want" build/release-clang "ref avx2 avx512 avx512bf16 amx" "2"
        run_digests "$want" build/o0-gcc "ref avx2 avx512 avx512bf16 amx" "3"
    fi
    run_roots build/release-gcc build/release-clang build/o0-gcc

    stage "sanitizers"
    build asan V=asan tests
    # Injected faults and read-only maps are meant to fail; a leak is not.
    export ASAN_OPTIONS=allocator_may_return_null=1:detect_leaks=1 UBSAN_OPTIONS=print_stacktrace=1
    run_units asan build/asan-gcc unit kernels fault
    run_fuzz_corpus "asan fuzz corpus" build/asan-gcc

    stage "threads"
    run_lines "threads" tests/threads/run.sh
fi

echo "== ${SECONDS}s, logs in $logs"
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed = 0 ]
