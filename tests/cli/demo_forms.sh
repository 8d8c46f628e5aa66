#!/usr/bin/env bash
# demo.sh on what a small office has: few short forms, all but the same.  They support fewer tokens than their bytes
# would, and training has to end well none the less.  It runs the program of this tree, as whoever tries it does.
set -u
demo=$(cd "$(dirname "$0")/../.." && pwd)/demo.sh
cd "$TMP"
ok() { echo "ok $1"; }
bad() { echo "FAIL $1: $2"; }
refused() { # name, exit status, words, arguments
    local name=$1 want=$2 words=$3; shift 3
    "$demo" "$@" --out refused >out.txt 2>err.txt; local rc=$?
    [ $rc = "$want" ] && grep -q -- "$words" err.txt && [ ! -e refused ] && ok "$name" ||
        bad "$name" "exit $rc: $(tail -n 1 err.txt)"
}
refused "minutes that are no number" 2 "--minutes soon: expected a number" --minutes soon
refused "an option it does not have" 2 "unknown option --hours" --hours 1
refused "a file that is not there" 1 "nowhere.txt: no such file" nowhere.txt

if [ "${DOKJA_QUICK:-0}" = 1 ]; then echo "skip the demo on a few hundred forms: not with --quick"; exit 0; fi
python3 - >forms.jsonl <<'END'
import json
for i in range(400):
    print(json.dumps({"text": f"민원 접수증 제{i + 1}호. 접수일 2025년 {i % 12 + 1}월 {i % 28 + 1}일. "
                              "접수한 민원은 7일 안에 처리하여 알려 드립니다."}))
END
# The shortest there is: a fifth of a minute for training.
timeout 300 "$demo" --minutes 0.1 forms.jsonl >out.txt 2>err.txt; rc=$?
[ $rc = 0 ] && ok "the demo on a few hundred forms" ||
    bad "the demo on a few hundred forms" "exit $rc: $(tail -n 1 err.txt)"
bytes=$("$DOKJA" corpus stats demo/corpus --json | grep -o '"bytes":[0-9]*' | head -n 1 | cut -d: -f2)
asked=$((272 + ${bytes:-0} / 500))
got=$(sed -n 's/^vocabulary \([0-9]*\);.*/\1/p' out.txt)
[ "${got:-0}" -gt 272 ] && [ "$got" -lt $asked ] && ok "… with the tokens that they support" ||
    bad "… with the tokens that they support" "${got:-none}, where $asked were asked for"
[ "$(grep -c "^verdict: pass$" out.txt)" = 1 ] && ok "… its verdict" || bad "… its verdict" "$(grep ^verdict out.txt)"
grep -q "^1 of 1 trained segment matches" out.txt && ok "… its replay" || bad "… its replay" "$(tail -n 1 err.txt)"
[ -s demo/ledger.html ] && ok "… its page" || bad "… its page" "none"
