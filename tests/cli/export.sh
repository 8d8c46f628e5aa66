#!/usr/bin/env bash
# A run's ledger for other people's tools, and one thing of it shown: figures and proofs are computed again in python,
# the documents validated by the libraries of those who made the formats, where these can be had.
set -u
peers=$(cd "$(dirname "$0")/../peers" && pwd)
cd "$TMP"
ok() { echo "ok $1"; }
bad() { echo "FAIL $1: $2"; }
good() { # name, command: it succeeds
    local name=$1; shift
    if "$@" >out.txt 2>err.txt; then ok "$name"; else bad "$name" "$(tail -qn 1 err.txt out.txt | head -n 1)"; fi
}
fails() { # name, words of its sentence, command
    local name=$1 words=$2; shift 2
    if "$@" >out.txt 2>err.txt; then bad "$name" "it was accepted"
    elif grep -q -- "$words" err.txt; then ok "$name"; else bad "$name" "$(tail -n 1 err.txt)"; fi
}

"$DOKJA" primer --bytes 60k --seed 3 --out p.jsonl 2>err.txt && python3 - >web.jsonl <<'END' || exit 1
import json
for i in range(30):
    host = f"https://{'WWW.' if i % 2 else 'm.'}site{i % 12}.example{':8443' if i % 3 else ''}/a/{i}?q=1"
    print(json.dumps({"id": f"web-{i}", "text": f"문서 {i}. " + "가나다라 abc e\u0301 " * (i + 3), "source": host,
                      "license": ["CC-BY-4.0", "KOGL-1", ""][i % 3], "lang": "ko"}, ensure_ascii=False))
END
"$DOKJA" corpus build --in p.jsonl --in web.jsonl --out corpus >/dev/null 2>>err.txt &&
"$DOKJA" tokenizer train --corpus corpus --vocab 400 --out tok >/dev/null 2>>err.txt &&
"$DOKJA" pretrain --corpus corpus --tokenizer tok --out run --depth 1 --seq 64 --batch-tokens 1024 --steps 50 \
    --heldout 0.2 --holder "시험 | 기관" --threads 1 >/dev/null 2>>err.txt ||
    { bad "export inputs" "$(tail -n 1 err.txt)"; exit 1; }
openssl ecparam -name prime256v1 -genkey -noout -out ec.pem 2>/dev/null
openssl ec -in ec.pem -pubout -out ec.pub 2>/dev/null
genesis=$("$DOKJA" ledger show run --json | python3 -c 'import json,sys; print(json.load(sys.stdin)["genesis"])')

# ---- export ----
export_run() { "$DOKJA" ledger export run --corpus corpus --key ec.pem --license Apache-2.0 \
    --url https://example.org/model "$@"; }
good "exports a run" export_run --out out
cp -r out before
good "exports it again" export_run --out out
diff -r out before >diff.txt && ok "the same bytes" || bad "the same bytes" "$(head -n 1 diff.txt)"
good "without corpus and key" "$DOKJA" ledger export run --out bare --json
[ ! -e bare/croissant.json ] && [ ! -e bare/run.intoto.jsonl ] && grep -q "corpus was not given" bare/README.md &&
    ok "… and says what is missing" || bad "… and says what is missing" "$(ls bare)"
"$DOKJA" ledger verify run --checkpoint out/checkpoint --json >verify.json 2>err.txt
good "its checkpoint is accepted" python3 -c 'import json
assert {c["name"]: c["result"] for c in json.load(open("verify.json"))["checks"]}["witnessed"] == "pass"'
good "its figures are those of the text" python3 - <<'END'
import collections, json, unicodedata, urllib.parse
n = {k: collections.Counter() for k in ("lang", "license", "domain")}
total = 0
for name in ("p.jsonl", "web.jsonl"):
    for line in open(name):
        d = json.loads(line)
        size = len(unicodedata.normalize("NFC", d["text"]).encode())
        total += size
        for k in ("lang", "license"):
            n[k][d.get(k) or "(not stated)"] += size
        host = urllib.parse.urlsplit(d.get("source") or "").hostname
        if host:
            n["domain"][host] += size
s = json.load(open("out/eu-summary.json"))
table = lambda t: {r["name"]: r["bytes"] for r in t}
assert table(s["general"]["text"]["languages_by_bytes"]) == n["lang"], "languages"
assert table(s["sources"]["by_licence"]) == n["license"], "licences"
assert s["sources"]["bytes"] == total, "bytes"
web = s["sources"]["web"]
assert web["domains"] == len(n["domain"]) and len(web["largest"]) == 10
assert [r["bytes"] for r in web["largest"]] == sorted(n["domain"].values(), reverse=True)[:10], "domains"
assert all(n["domain"][r["name"]] == r["bytes"] for r in web["largest"])
END
good "subjects, signature and numbers of the provenance" python3 - <<'END'
import base64, hashlib, json, subprocess
s = json.load(open("out/slsa.json"))
for f in s["subject"]:
    assert hashlib.sha256(open("run/" + f["name"], "rb").read()).hexdigest() == f["digest"]["sha256"], f["name"]
e = json.loads(open("out/run.intoto.jsonl").readline())["dsseEnvelope"]
body = base64.b64decode(e["payload"], validate=True)
assert body == open("out/slsa.json", "rb").read()
kind = e["payloadType"]
open("pae", "wb").write(b"DSSEv1 %d %s %d " % (len(kind), kind.encode(), len(body)) + body)
open("sig", "wb").write(base64.b64decode(e["signatures"][0]["sig"]))
subprocess.run("openssl dgst -sha256 -verify ec.pub -signature sig pae".split(), check=True, stdout=subprocess.PIPE)
by = {b["name"]: b for b in s["predicate"]["runDetails"]["byproducts"]}
assert base64.b64decode(by["checkpoint"]["content"]) == open("out/checkpoint", "rb").read()
assert by["ledger.bin"]["digest"]["sha256"] == hashlib.sha256(open("run/ledger.bin", "rb").read()).hexdigest()
END
grep -q '기준 미만' out/korea-ai-act.md && grep -q 'below the threshold' out/korea-ai-act.md &&
    ok "computation against the threshold, in both languages" || bad "korea-ai-act.md" "no ratio in both languages"
grep -q '^| 매개변수 | [0-9]* |$' out/korea-ai-act.md && ! grep -qE '모형|모수|뿌리' out/korea-ai-act.md &&
    grep -q '마지막 상태 해시 `[0-9a-f]\{64\}`$' out/korea-ai-act.md &&
    ok "its Korean uses the words of the page" || bad "its Korean uses the words of the page" "other words"
cp -r run touched; echo >>touched/tokenizer_config.json
fails "files that are not FINAL's" "not the file that FINAL names" "$DOKJA" ledger export touched --out t
"$DOKJA" corpus build --in web.jsonl --out other >/dev/null 2>&1
fails "another corpus" "another corpus" "$DOKJA" ledger export run --corpus other --out t

# ---- what a name that slipped must not cost ----
model=$(sha256sum <run/model.safetensors)
keeps() { # name, command without the file: with the model's name it is refused, and the model stays
    local name=$1; shift
    fails "$name: not over a model" "run/model.safetensors: exists and " "$DOKJA" "$@" run/model.safetensors
    [ ! -s out.txt ] && [ "$(sha256sum <run/model.safetensors)" = "$model" ] && ok "… before anything is done" ||
        { bad "… before anything is done" "$(head -n 1 out.txt)"; cp touched/model.safetensors run/; }
}
keeps "show --html" ledger show run --html
keeps "verify --html" ledger verify run --html
keeps "replay --html" ledger replay run --segments 0 --html
keeps "sign --out" ledger sign --key ec.pem run --out
keeps "disclose --out" ledger disclose run --segment 0 --out
keeps "bench report" bench report --in nothing.jsonl --out
keeps "tokenizer report" tokenizer report --tokenizer tok --in p.jsonl --out
"$DOKJA" bench gemm --size 64 --runs 1 --record run/model.safetensors >out.txt 2>err.txt
[ "$(sha256sum <run/model.safetensors)" = "$model" ] && ok "--record: not into a model" ||
    { bad "--record: not into a model" "$(tail -n 1 err.txt)"; cp touched/model.safetensors run/; }
mkdir home; echo "my own" >home/README.md
fails "an export: not over somebody's own file" "home/README.md: exists and " "$DOKJA" ledger export run --out home
[ "$(ls home) $(cat home/README.md)" = "README.md my own" ] && ok "… before the first is written" ||
    bad "… before the first is written" "$(ls home)"
good "… but with --force" "$DOKJA" ledger export run --out home --force
grep -q "my own" home/README.md && bad "… it is replaced" "it is not" || ok "… it is replaced"
cp touched/model.safetensors page.html
good "a page with --force" "$DOKJA" ledger show run --html page.html --force
good "a page over a page" "$DOKJA" ledger verify run --html page.html
good "a report" "$DOKJA" tokenizer report --tokenizer tok --in p.jsonl --out report.json
good "a report over a report" "$DOKJA" tokenizer report --tokenizer tok --in p.jsonl --out report.json
good "a signature" "$DOKJA" ledger sign --key ec.pem touched
good "a signature over a signature" "$DOKJA" ledger sign --key ec.pem touched
: >nothing.json
good "a disclosure over an empty file" "$DOKJA" ledger disclose run --segment 0 --out nothing.json
good "a disclosure over a disclosure" "$DOKJA" ledger disclose run --segment 0 --out nothing.json

# ---- one thing and nothing else ----
good "shows a document" "$DOKJA" ledger disclose run --document web-7 --corpus corpus --out d.json
good "… which is checked alone" "$DOKJA" ledger check d.json --genesis "$genesis"
grep -q '문서 7' d.json && bad "the text stays hidden" "it is in the file" || ok "the text stays hidden"
good "its proof, computed again" python3 - "$genesis" <<'END'
import base64, hashlib, json, struct, sys
sha = lambda b: hashlib.sha256(b).digest()
o = json.load(open("d.json"))
record = base64.b64decode(o["genesis"])
assert sha(record).hex() == sys.argv[1], "GENESIS"
says = dict(line.split(" ", 1) for line in record[33:].decode().splitlines() if " " in line)
d = o["document"]
text = next(json.loads(line)["text"] for line in open("web.jsonl") if json.loads(line)["id"] == "web-7")
import unicodedata
assert sha(unicodedata.normalize("NFC", text).encode()).hex() == d["text_sha256"], "text"
fields = [d[k].encode() for k in ("id", "source", "license", "lang")]
meta = b"".join(struct.pack("<Q", len(v)) + v for v in fields)
h = sha(b"\0" + bytes.fromhex(d["text_sha256"]) + sha(meta))
i, last = d["index"], int(says["corpus_docs"]) - 1
for p in map(bytes.fromhex, d["proof"]):  # RFC 9162, 2.1.3.2
    assert last > 0
    if i & 1 or i == last:
        h = sha(b"\1" + p + h)
        while not i & 1 and i:
            i, last = i >> 1, last >> 1
    else:
        h = sha(b"\1" + h + p)
    i, last = i >> 1, last >> 1
assert last == 0 and h.hex() == says["corpus_root"], "root"
END
good "shows its text too" "$DOKJA" ledger disclose run --document web-7 --corpus corpus --with-text --out dt.json
grep -q '문서 7' dt.json && good "… which is checked" "$DOKJA" ledger check dt.json --json
sed 's/문서 7/문서 8/' dt.json >bad.json
fails "another text" "not the one whose SHA-256" "$DOKJA" ledger check bad.json
sed 's/"index": \([0-9]*\)/"index": 1/' d.json >bad.json
fails "another place" "not in the corpus" "$DOKJA" ledger check bad.json
head -c 1000 d.json >bad.json
fails "half a file" "not valid JSON" "$DOKJA" ledger check bad.json
fails "another GENESIS than the one lodged" "not the one that was given" "$DOKJA" ledger check d.json --genesis \
    "$(printf '%064d' 0)"
good "shows a segment" "$DOKJA" ledger disclose run --segment 0 --out s.json
good "… which is checked" "$DOKJA" ledger check s.json --genesis "$genesis"
good "shows a tensor" "$DOKJA" ledger disclose run --tensor model.norm.weight --out t.json
good "… which is checked" "$DOKJA" ledger check t.json --genesis "$genesis" --json
mv out.txt tensor.json
good "its values are the model file's" python3 - <<'END'
import hashlib, json, struct
b = open("run/model.safetensors", "rb").read()
n = struct.unpack("<Q", b[:8])[0]
t = json.loads(b[8:8 + n])["model.norm.weight"]
assert t["dtype"] == "F32", t
lo, hi = t["data_offsets"]
assert json.load(open("tensor.json"))["tensor"]["values_sha256"] == \
    hashlib.sha256(b[8 + n + lo:8 + n + hi]).hexdigest()
END
fails "no such document" "no document" "$DOKJA" ledger disclose run --document nowhere --corpus corpus --out n.json
fails "two things at once" "expected one of" "$DOKJA" ledger disclose run --segment 0 --tensor x --out n.json

# ---- a salted corpus ----
"$DOKJA" corpus build --in web.jsonl --salted --out secret >/dev/null 2>err.txt &&
"$DOKJA" pretrain --corpus secret --tokenizer tok --out hidden --depth 1 --seq 32 --batch-tokens 64 --steps 2 \
    --heldout 0.2 >/dev/null 2>>err.txt || bad "a salted run" "$(tail -n 1 err.txt)"
good "shows a document of a salted corpus" "$DOKJA" ledger disclose hidden --document web-7 --corpus secret --out h.json
good "… which is checked alone" "$DOKJA" ledger check h.json
python3 -c 'import json; v = json.load(open("h.json")); del v["document"]["salt"]; json.dump(v, open("bad.json", "w"))'
fails "without its salt" "not in the corpus" "$DOKJA" ledger check bad.json
mv secret/salt.key away; fails "without the secret" salt.key "$DOKJA" ledger disclose hidden --document web-7 \
    --corpus secret --out h2.json; mv away secret/salt.key

# ---- where a document was used ----
python3 -c '
import json, unicodedata
for line in open("web.jsonl"):
    print(json.dumps(unicodedata.normalize("NFC", json.loads(line)["text"]), ensure_ascii=False))' >strings.txt
"$DOKJA" tokenizer encode --tokenizer tok --in strings.txt --strings --json >ids.txt 2>err.txt
for i in $(seq 0 29); do "$DOKJA" ledger used run --document "web-$i" --corpus corpus --json; done >used.txt 2>err.txt
good "held-out documents were never used, others were" python3 - <<'END'
import json, struct
text, at, list_ = open("used.txt").read(), 0, []
while text[at:].strip():
    v, end = json.JSONDecoder().raw_decode(text[at:].lstrip())
    at = len(text) - len(text[at:].lstrip()) + end
    list_.append(v)
assert len(list_) == 30
held = [v for v in list_ if v["held_out"]]
by_hash = [v for v in list_ if int(v["text_sha256"][:16], 16) / 2**64 < 0.2]
assert [v["id"] for v in held] == [v["id"] for v in by_hash] and held, "held-out documents"
assert all(v["steps"] == [] and v["never"] == "it is held out" for v in held)
assert all(v["of_steps"] == 50 and v["steps"] == sorted(set(v["steps"])) for v in list_)
assert sum(bool(v["steps"]) for v in list_) > 10
shard = open("run/tokens/train.tokens", "rb").read()
assert struct.unpack("<I", shard[12:16])[0] == 2
for v, line in zip(list_, open("ids.txt")):
    lo, hi = v["stream"]
    if v["steps"]:
        assert list(struct.unpack(f"<{hi - lo}H", shard[128 + 2 * lo:128 + 2 * hi]))[1:-1] == json.loads(line), v["id"]
END

# A fraction so small that no hash falls below it, or texts whose hashes all do: one document changes sides even so.
python3 - >few.jsonl <<'END'
import hashlib, json
texts = [f"{i} " + "라마바사 abc " * 40 for i in range(40)]
low = [t for t in texts if hashlib.sha256(t.encode()).digest()[0] < 0x80][:3]
for i, t in enumerate(low):
    print(json.dumps({"id": f"web-{i}", "text": t}, ensure_ascii=False))
END
sides() { # documents, their number, fraction, how many are held out
    rm -rf edge edged
    "$DOKJA" corpus build --in "$1.jsonl" --out edged >/dev/null 2>err.txt &&
    "$DOKJA" pretrain --corpus edged --tokenizer tok --out edge --depth 1 --seq 32 --batch-tokens 128 --steps 4 \
        --heldout "$3" --threads 1 >/dev/null 2>err.txt || { bad "a split of $1" "$(tail -n 1 err.txt)"; return; }
    for i in $(seq 0 $(($2 - 1))); do
        "$DOKJA" ledger used edge --document "web-$i" --corpus edged --json
    done >used.txt 2>err.txt
    python3 -c 'import json, sys, unicodedata
for line in open(sys.argv[1]):
    print(json.dumps(unicodedata.normalize("NFC", json.loads(line)["text"]), ensure_ascii=False))' \
        "$1.jsonl" >strings.txt
    "$DOKJA" tokenizer encode --tokenizer tok --in strings.txt --strings --json >ids.txt 2>err.txt
    good "of $2 documents $4 held out, the others where they lie" python3 - "$4" <<'END'
import json, struct, sys
rows = [json.loads(t + "}") for t in open("used.txt").read().split("\n}\n")[:-1]]
shard = open("edge/tokens/train.tokens", "rb").read()
for v, line in zip(rows, open("ids.txt"), strict=True):
    lo, hi = v["stream"]
    if not v["held_out"]:
        assert list(struct.unpack(f"<{hi - lo}H", shard[128 + 2 * lo:128 + 2 * hi]))[1:-1] == json.loads(line), v["id"]
assert sum(v["held_out"] for v in rows) == int(sys.argv[1]), rows
END
}
sides web 30 1e-6 1
sides few 3 0.5 2

# ---- read by others ----
good "signs the model" "$DOKJA" ledger sign --key ec.pem run
if [ -z "${PEERS_ATTEST:-}" ]; then
    echo "skip peers of export: not installed (tests/peers/setup.sh --attest)"
    exit 0
fi
node=$(dirname "$PEERS_ATTEST")/../node
model_signing() {
    "$(dirname "$PEERS_ATTEST")/model_signing" verify key --signature "$1/model.sig" --public_key ec.pub "$1"
}
bundles() { node "$peers/attest_bundles.cjs" "$1" ec.pub "$node"; }
good "CycloneDX 1.6's schema" "$PEERS_ATTEST" "$peers/attest_documents.py" out cyclonedx
good "… of a bare export" "$PEERS_ATTEST" "$peers/attest_documents.py" bare cyclonedx
good "mlcroissant" "$PEERS_ATTEST" "$peers/attest_documents.py" out croissant
good "in-toto's statement and SLSA's provenance" "$PEERS_ATTEST" "$peers/attest_documents.py" out statement
good "Sigstore's library verifies run.intoto.jsonl" bundles out/run.intoto.jsonl
good "Sigstore's library verifies model.sig" bundles run/model.sig
good "model-signing verifies the model" model_signing run
cp -r run flipped; printf '\1' | dd of=flipped/model.safetensors bs=1 seek=9000 conv=notrunc 2>/dev/null
fails "model-signing rejects a flipped byte" "mismatch" model_signing flipped
fails "and so does verify" "" "$DOKJA" ledger verify flipped --model-key ec.pub
python3 - <<'END'
import base64, json
for name in ("run/model.sig", "out/run.intoto.jsonl"):
    b = json.loads(open(name).read())
    p = bytearray(base64.b64decode(b["dsseEnvelope"]["payload"]))
    p[len(p) // 2] ^= 1
    b["dsseEnvelope"]["payload"] = base64.b64encode(p).decode()
    open("flipped-" + name.split("/")[1], "w").write(json.dumps(b))
END
cp flipped-model.sig flipped/model.sig; cp run/model.safetensors flipped/
fails "Sigstore's library rejects a flipped byte" "" bundles flipped-model.sig
fails "… in run.intoto.jsonl" "" bundles flipped-run.intoto.jsonl
fails "model-signing rejects a flipped signature file" "" model_signing flipped
