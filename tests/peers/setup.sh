#!/bin/bash
# An environment with real peers for comparison tests, outside the tree ($DOKJA_PEERS, else
# $XDG_CACHE_HOME/dokja-peers): the small ones, or with --large also the heavy ones; with --attest, in a folder of
# its own within, those that read signatures and provenance (of npm too, in node/ beside the python's bin/).
# Prints the path of its python. Exit 3: packages cannot be had here; callers then skip.
set -u
here=$(dirname "$0")
pins() { sed 's/#.*//' "$1" | xargs; }
small=$(pins "$here/requirements.txt")
large=$(pins "$here/../../bench/peers/requirements.txt")

dir=${DOKJA_PEERS:-${XDG_CACHE_HOME:-$HOME/.cache}/dokja-peers}
want=$small
kind=small
[ "${1:-}" = --large ] && want="$small $large" kind=large
[ "${1:-}" = --attest ] && dir=$dir/attest want=$(pins "$here/attest.txt") kind=attest
python=$dir/bin/python3
stamp=$dir/installed-$kind

give_up() {
    echo "peers: $*" >&2
    exit 3
}

if [ "$(cat "$stamp" 2>/dev/null)" != "$want" ]; then
    mkdir -p "$dir" || give_up "cannot make $dir"
    # Two test runs at once share the folder.
    exec 9>"$dir/lock"
    flock 9
    [ -x "$python" ] || python3 -m venv "$dir" >"$dir/log" 2>&1 || give_up "python3 -m venv failed, see $dir/log"
    "$python" -m pip install --quiet --disable-pip-version-check --no-input --retries 1 --timeout 20 \
        $want >>"$dir/log" 2>&1 || give_up "cannot install $want (no package index?), see $dir/log"
    if [ $kind = attest ]; then
        mkdir -p "$dir/node" && cp "$here/package.json" "$here/package-lock.json" "$dir/node/" &&
            npm ci --prefix "$dir/node" --no-audit --no-fund --fetch-retries=1 >>"$dir/log" 2>&1 ||
            give_up "npm cannot install @sigstore/verify, see $dir/log"
    fi
    echo "$want" >"$stamp"
fi
echo "$python"
