#!/bin/bash
# Another architecture, the same bits: the program for AArch64, run under qemu, gives this build's self-test digest,
# replays what was trained here, and trains to the same root.  It is built with ./test.sh --peers, and kept up to
# date once it is there.
set -u
here=$(cd "$(dirname "$0")/../.." && pwd)
build=build/release-gcc-aarch64
cd "$TMP" || exit 1
ok() { echo "ok $1"; }
bad() { echo "FAIL $1: $2"; }
skip() { echo "skip aarch64: $1"; exit 0; }

[ "$(uname -m)" = x86_64 ] || skip "this machine is no x86-64"
install=
[ "${DOKJA_PEERS_LARGE:-0}" = 1 ] && install=--install
[ -n "$install" ] || [ -x "$here/$build/dokja" ] || skip "built only with --peers"
root=$("$here/tests/peers/aarch64.sh" $install 2>err.txt) || skip "$(sed -n '$s/^aarch64: //p' err.txt)"

tests="test_tiny test_elem"
[ -n "$install" ] && tests="$tests test_math test_gemm test_gemm_i8" # half a minute more
nice -n 15 make -C "$here" -j"$(nproc)" CC=aarch64-linux-gnu-gcc SYSROOT="$root" B=$build \
    $build/dokja $build/dokja-verify \
    $(printf "$build/tests/kernels/%s " $tests) >make.txt 2>&1 && ok "aarch64 builds" ||
    { bad "aarch64 builds" "$(grep -E 'error:|\*\*\* |undefined' make.txt | head -n 1)"; exit 1; }

libs=$root/usr/lib/aarch64-linux-gnu:$root/lib/aarch64-linux-gnu
arm() {
    nice -n 15 qemu-aarch64 -L /usr/aarch64-linux-gnu -E LD_LIBRARY_PATH="$libs" -E OMP_WAIT_POLICY=passive \
        "$here/$build/$1" "${@:2}"
}

want=$("$DOKJA" selftest 2>err.txt | cut -d ' ' -f 1,2)
got=$(arm dokja selftest 2>>err.txt | cut -d ' ' -f 1,2)
[ -n "$want" ] && [ "$got" = "$want" ] && ok "aarch64: self-test" ||
    bad "aarch64: self-test" "${got:-nothing}, expected $want; $(tail -n 1 err.txt)"
for t in $tests; do
    arm "tests/kernels/$t" >"$t.txt" 2>&1 && ok "aarch64: $t" ||
        bad "aarch64: $t" "$(grep -m 1 -E 'ERROR|Failure' "$t.txt")"
done

"$DOKJA" primer --bytes 300k --seed 3 --out p.jsonl >/dev/null 2>err.txt &&
"$DOKJA" corpus build --in p.jsonl --out corpus >/dev/null 2>>err.txt &&
"$DOKJA" tokenizer train --corpus corpus --vocab 512 --out tok >/dev/null 2>>err.txt ||
    { bad "aarch64 inputs" "$(tail -n 1 err.txt)"; exit 1; }
T="--corpus corpus --tokenizer tok --depth 1 --seq 64 --batch-tokens 512 --heldout 0.02 --json"
root_of() { sed -n 's/.*"state_root":"\([0-9a-f]*\)".*/\1/p' "$1"; }

"$DOKJA" pretrain $T --steps 4 --out muon >muon.txt 2>err.txt
arm dokja ledger replay muon --segments 0 --json >replay.txt 2>err.txt &&
    grep -q '"segments": *1, *"matched": *1' replay.txt && ok "aarch64: replays what was trained here" ||
    bad "aarch64: replays what was trained here" "$(tail -n 1 err.txt)"
arm dokja-verify muon --replay all --json >again.txt 2>err.txt && ok "aarch64: so does the second program" ||
    bad "aarch64: so does the second program" "$(tail -n 1 err.txt again.txt)"
alike() { # name, options: the same root here and there
    local what=$1; shift
    rm -rf here there
    "$DOKJA" pretrain $T "$@" --out here >here.txt 2>err.txt
    arm dokja pretrain $T "$@" --out there >there.txt 2>err.txt
    [ -n "$(root_of here.txt)" ] && [ "$(root_of here.txt)" = "$(root_of there.txt)" ] &&
        ok "aarch64: trains to the same root$what" ||
        bad "aarch64: trains to the same root$what" \
            "$(root_of there.txt), expected $(root_of here.txt); $(tail -n 1 err.txt)"
}
alike "" --optimizer adamw --untied --schedule cosine --steps 3
alike " by 8-bit integers" --int8 --seq 256 --steps 2
