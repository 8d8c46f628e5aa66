#!/bin/bash
# What the AArch64 build needs on another machine: Debian's cross compiler, qemu's user emulation, and the arm64
# libraries in a folder of their own, $DOKJA_PEERS/aarch64 (the system's own packages stay as they are).
# Prints that folder, or nothing where the libraries are installed (multiarch). Exit 3: cannot be had here.
#   aarch64.sh             what is there already        aarch64.sh --install   installs what is missing
set -u
libraries="libjansson-dev libjansson4 libpcre2-dev libpcre2-8-0 libutf8proc-dev libutf8proc2 libzstd-dev libzstd1
zlib1g-dev zlib1g libssl-dev libssl3 libedit-dev libedit2 libbsd0 libmd0 libtinfo6 libcmocka-dev libcmocka0"
dir=${DOKJA_PEERS:-${XDG_CACHE_HOME:-$HOME/.cache}/dokja-peers}/aarch64

give_up() {
    echo "aarch64: $*" >&2
    exit 3
}

have_tools() { command -v aarch64-linux-gnu-gcc >/dev/null && command -v qemu-aarch64 >/dev/null; }

install_tools() {
    local as_root= packages="gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user"
    [ "$(id -u)" = 0 ] || as_root="sudo -n"
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get -y -q --no-install-recommends install $packages \
        >"$dir/log" 2>&1 </dev/null || give_up "cannot install $packages, see $dir/log"
}

# apt with a state of its own, in which this machine is an arm64 without any package.
get_libraries() {
    local apt=$dir/apt
    mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$dir/debs" || give_up "cannot make $apt"
    : >"$apt/status"
    cat >"$apt/apt.conf" <<EOF
APT::Architecture "arm64";
APT::Architectures { "arm64"; };
Dir::State "$apt";
Dir::State::Lists "$apt/lists";
Dir::State::status "$apt/status";
Dir::Cache "$apt/cache";
EOF
    export APT_CONFIG=$apt/apt.conf
    apt-get -q update >"$dir/log" 2>&1 || give_up "no lists of arm64 packages, see $dir/log"
    (cd "$dir/debs" && rm -f ./*.deb && apt-get -q download $libraries) >>"$dir/log" 2>&1 ||
        give_up "cannot download the arm64 libraries, see $dir/log"
    for deb in "$dir"/debs/*.deb; do
        dpkg-deb -x "$deb" "$dir/root" || give_up "cannot unpack $deb"
    done
    rm -rf "$apt" "$dir/debs"
    echo "$libraries" >"$dir/installed"
}

install=0
[ "${1:-}" = --install ] && install=1
if ! have_tools; then
    [ $install = 1 ] || give_up "no aarch64-linux-gnu-gcc or no qemu-aarch64"
    mkdir -p "$dir" || give_up "cannot make $dir"
    install_tools
fi
for name in jansson libpcre2-8 libutf8proc libzstd zlib libcrypto libedit; do
    [ -e "/usr/lib/aarch64-linux-gnu/pkgconfig/$name.pc" ] && continue
    if [ "$(cat "$dir/installed" 2>/dev/null)" != "$libraries" ]; then
        [ $install = 1 ] || give_up "no arm64 libraries"
        mkdir -p "$dir" || give_up "cannot make $dir"
        exec 9>"$dir/lock"
        flock 9
        [ "$(cat "$dir/installed" 2>/dev/null)" = "$libraries" ] || get_libraries
    fi
    echo "$dir/root"
    break
done
