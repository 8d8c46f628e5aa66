#!/usr/bin/env bash
# The C API against the command line: the same model says the same.
set -u
here=$(cd "$(dirname "$0")" && pwd)
lib=$(dirname "$DOKJA")/libdokja.a
cd "$TMP"
"$DOKJA" primer --bytes 200k --seed 8 --out p.jsonl 2>err.txt &&
"$DOKJA" corpus build --in p.jsonl --out corpus >/dev/null 2>>err.txt &&
"$DOKJA" tokenizer train --corpus corpus --vocab 512 --out tok >/dev/null 2>>err.txt &&
"$DOKJA" pretrain --corpus corpus --tokenizer tok --out run --depth 1 --seq 64 --steps 20 --heldout 0.02 \
    >/dev/null 2>>err.txt || { echo "FAIL api inputs: $(tail -n 1 err.txt)"; exit 1; }
gcc -std=c17 -Wall -Wextra -Werror -I"$here/../../include" "$here/api_client.c" "$lib" -fopenmp -o client \
    $(pkg-config --libs jansson libpcre2-8 libutf8proc libzstd zlib libcrypto) -lm 2>err.txt ||
    { echo "FAIL api: $(head -n 1 err.txt)"; exit 1; }
echo "ok api: a client builds from the header and the library"
./client run "오늘은 " >api.txt 2>err.txt || { echo "FAIL api: $(tail -n 1 err.txt)"; exit 1; }
"$DOKJA" generate -m run -p "오늘은 " --max-tokens 24 --temp 0 --json 2>err.txt |
    python3 -c 'import json, sys; sys.stdout.write(json.load(sys.stdin)["text"])' >cli.txt
if [ -s api.txt ] && cmp -s api.txt cli.txt; then echo "ok api: the same text as the command line"
else echo "FAIL api: $(head -c 60 api.txt) against $(head -c 60 cli.txt)"; fi
if ./client nowhere x >/dev/null 2>err.txt || ! grep -q nowhere err.txt; then echo "FAIL api: a missing model is named"
else echo "ok api: a missing model is named"; fi
