#!/bin/bash
# Matrix products on an emulated processor with AMX, for machines that have none: the kernels that the build has, not
# the same sources on emulated tiles, and an emulator that others wrote after Intel's manual.  It wants Bochs, built
# with --enable-x86-64 --enable-avx --enable-evex --enable-amx, as $BOCHS or on the path, and its folder of firmware as
# $BXSHARE.  DOKJA_LONG=1: 300 products of each unit instead of 40.
set -u
here=$(cd "$(dirname "$0")/../.." && pwd)
build=$here/build/release-gcc/kernels
cd "$TMP" || exit 1
skip() { echo "skip bare: $1"; exit 0; }
bad() { echo "FAIL bare: $1"; exit 0; }

bochs=${BOCHS:-$(command -v bochs || command -v bochs-bin)} || skip "no Bochs here; \$BOCHS names one"
share=${BXSHARE:-/usr/share/bochs}
[ -e "$build/amx/gemm_amx.o" ] || skip "no build of gcc for x86-64"
bios=$share/BIOS-bochs-latest vga=
for v in VGABIOS-lgpl-latest VGABIOS-lgpl-latest.bin VGABIOS-lgpl/VGABIOS-lgpl-latest.bin; do
    [ -e "$share/$v" ] && vga=$share/$v
done
[ -e "$bios" ] && [ -n "$vga" ] || skip "no firmware of Bochs in $share; \$BXSHARE names its folder"

rounds=40
[ "${DOKJA_LONG:-0}" = 1 ] && rounds=300
objects=$(ls "$build"/{amx,avx2,avx512bf16}/{gemm,peak}*.o "$build"/avx512/{gemm,peak}*.o "$build"/avx512vnni/*.o \
    "$build"/ref/{gemm,peak}*.o "$build"/{cpu,peak,fp_enter}.o)
gcc -c "$here/tests/bare/boot.S" -o boot.o 2>err.txt &&
    gcc -std=c17 -O2 -ffreestanding -fno-pic -fno-stack-protector -DROUNDS=$rounds -I"$here/src" \
        -c "$here/tests/bare/products.c" -o products.o 2>>err.txt &&
    ld -m elf_x86_64 -static -z noexecstack -z max-page-size=4096 --no-warn-rwx-segments -T "$here/tests/bare/disk.ld" \
        boot.o products.o $objects -o disk.elf 2>>err.txt &&
    objcopy -O binary disk.elf disk.img 2>>err.txt || bad "cannot be built: $(head -n 1 err.txt)"
truncate -s $((2 * 16 * 63 * 512)) disk.img
cat >bochsrc <<END
cpu: model=sapphire_rapids, ips=60000000, reset_on_triple_fault=0
memory: guest=64, host=64
romimage: file=$bios
vgaromimage: file=$vga
ata0-master: type=disk, path=disk.img, mode=flat, cylinders=2, heads=16, spt=63
boot: disk
port_e9_hack: enabled=1
display_library: nogui
log: bochs.log
panic: action=fatal
error: action=report
info: action=ignore
debug: action=ignore
clock: sync=none
END
timeout 1800 "$bochs" -q -f bochsrc >said.txt 2>err.txt
grep -a -E '^(ok|FAIL|skip) bare: ' said.txt
grep -aq '^end' said.txt && exit 0
grep -aq 'sapphire_rapids' err.txt && skip "this Bochs knows no processor with AMX"
bad "it did not end: $(grep -a -E 'PANIC|exception' bochs.log | tail -n 1)"
