#!/bin/bash
# Installs what the build needs and is missing (Debian 12), then builds. A line per stage, how far the
# build is, details in build/setup.log.
set -u
[ $# = 0 ] || {
    echo "usage: ./setup.sh   installs what the build needs (apt) and builds; takes no options" >&2
    exit 2
}
cd "$(dirname "$0")" || exit 1
mkdir -p build
log=build/setup.log
: >"$log"

packages="gcc clang make pkg-config binutils libjansson-dev libpcre2-dev libutf8proc-dev libzstd-dev zlib1g-dev
libssl-dev libedit-dev libcmocka-dev libomp-dev libclang-rt-14-dev openssl python3 python3-venv zstd"

die() {
    echo "setup: $*" >&2
    exit 1
}

installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

missing=
if command -v dpkg-query >/dev/null; then
    for p in $packages; do installed "$p" || missing="$missing $p"; done
    # Another clang than Debian 12's brings its own runtime.
    if command -v clang >/dev/null && ! clang --version | grep -q 'version 14'; then
        missing=${missing// libclang-rt-14-dev/}
    fi
else
    pkg-config --exists jansson libpcre2-8 libutf8proc libzstd zlib libcrypto libedit cmocka 2>>"$log" ||
        die "not a Debian system; install the equivalents of:" $packages
fi

if [ -n "$missing" ]; then
    echo "setup: installing$missing"
    as_root=
    if [ "$(id -u)" != 0 ]; then
        as_root="sudo -n"
        sudo -n true 2>/dev/null || die "no right to install; run as root: apt-get install$missing"
    fi
    export DEBIAN_FRONTEND=noninteractive
    apt="$as_root env DEBIAN_FRONTEND=noninteractive apt-get -y -q --no-install-recommends"
    $apt install $missing >>"$log" 2>&1 </dev/null ||
        { $apt update >>"$log" 2>&1 </dev/null; $apt install $missing >>"$log" 2>&1 </dev/null; } ||
        die "apt-get install failed, see $log; needed:$missing"
fi

# Says how far make is, from its own lines: in place on a terminal, else a line every ten seconds.
show_progress() { # how many files there are to compile
    local total=$1 n=0 line file text last=$SECONDS columns
    { columns=$(stty size <&3 2>/dev/null); } 3>&1
    columns=${columns#* }
    [ "${columns:-0}" -gt 1 ] || columns=80
    while IFS= read -r line; do
        case $line in *" -c "*" -o "*) ;; *) continue ;; esac
        file=${line##* -c } n=$((n + 1))
        text="setup: compiling $n of $total, ${file%% *}"
        if [ -t 1 ]; then
            printf '\r%s\033[K' "${text:0:columns-1}"
        elif [ $((SECONDS - last)) -ge 10 ]; then
            echo "$text"
            last=$SECONDS
        fi
    done
    [ -t 1 ] && printf '\r\033[K'
}

total=$(make -n 2>/dev/null | grep -c -- ' -c .* -o ')
if [ "$total" -gt 20 ]; then echo "setup: building, $total files to compile (some minutes; all of it in $log)"
else echo "setup: building"; fi
make -j"$(nproc)" 2>&1 | tee -a "$log" | show_progress "$total"
[ "${PIPESTATUS[0]}" = 0 ] || {
    grep -E ': (fatal )?error:|\*\*\* |undefined reference' "$log" | head -20 >&2
    die "the build failed, see $log"
}
echo "setup: done, the program is build/release-gcc/dokja"
