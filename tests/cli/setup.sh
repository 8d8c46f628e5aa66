#!/usr/bin/env bash
# setup.sh tells how far the build is: in place on a terminal, in plain lines elsewhere; a build that fails is said.
set -u
here=$(cd "$(dirname "$0")" && pwd)
cd "$TMP"
ok() { echo "ok $1"; }
bad() { echo "FAIL $1: $2"; }

# A build of its own that compiles nothing: 25 files, the last one after a wait.
mkdir tree && cp "$here/../../setup.sh" tree/
cat >tree/Makefile <<'END'
.PHONY: all wait
all: last.o
%.o: ; : -c src/$*.c -o $@
last.o: wait ; : -c src/last.c -o $@
wait: $(addsuffix .o,a b c d e f g h i j k l m n o p q r s t u v w x) ; sleep $(WAIT)
END
WAIT=0 python3 "$here/terminal.py" 80 tree/setup.sh 2>err.txt | tr '\r' '\n' >out.txt
if grep -q "needed:\|no right to install" err.txt; then echo "skip setup.sh: packages are missing here"; exit 0; fi
grep -q "^setup: building, 25 files to compile" out.txt && grep -q "^setup: compiling 1 of 25, src/[a-x]\.c" out.txt &&
    grep -q "^setup: compiling 25 of 25, src/last\.c" out.txt && ok "setup.sh on a terminal" ||
    bad "setup.sh on a terminal" "$(tail -n 2 out.txt)"
tail -n 1 out.txt | grep -q "setup: done, the program is " && ok "… leaves the last line" ||
    bad "… leaves the last line" "$(tail -n 1 out.txt)"
WAIT=0 python3 "$here/terminal.py" 30 tree/setup.sh 2>err.txt | tr '\r' '\n' >out.txt
[ "$(grep "compiling 25" out.txt | tr -d '\033' | cut -d'[' -f1)" = "setup: compiling 25 of 25, sr" ] &&
    ok "… within its width" || bad "… within its width" "$(grep "compiling 25" out.txt)"
wait=10; [ "${DOKJA_QUICK:-0}" = 1 ] && wait=0
WAIT=$wait tree/setup.sh >out.txt 2>err.txt; rc=$?
grep -q $'[\r\e]' out.txt && bad "setup.sh in a pipe has plain lines" "there are others" ||
    ok "setup.sh in a pipe has plain lines"
if [ $wait = 0 ]; then echo "skip setup.sh tells in a pipe how far it is: takes ten seconds"
elif [ $rc = 0 ] && [ "$(grep -c "^setup: compiling 25 of 25, src/last.c$" out.txt)" = 1 ]; then
    ok "setup.sh tells in a pipe how far it is"
else bad "setup.sh tells in a pipe how far it is" "exit $rc, $(tail -n 2 out.txt)"; fi
grep -q -- "-c src/a.c -o a.o" tree/build/setup.log && ok "setup.log has all of it" || bad "setup.log has all of it" \
    "$(tail -n 1 tree/build/setup.log)"
echo 'last.o: ; @echo "x.c:1: error: lost"; false' >>tree/Makefile
WAIT=0 tree/setup.sh >out.txt 2>err.txt; rc=$?
[ $rc = 1 ] && grep -q "x.c:1: error: lost" err.txt && grep -q "setup: the build failed, see build/setup.log" err.txt &&
    ok "a build that fails" || bad "a build that fails" "exit $rc, $(tail -n 1 err.txt)"
