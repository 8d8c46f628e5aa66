#!/usr/bin/env python3
"""forge_ledger.py RUN KEY.pem COMMAND …: rewrites RUN/ledger.bin as someone with the run's key could.

  set KIND KEY VALUE   another value of a line of the first record of that kind
  file NAME            FINAL's digest of that file is what the file in RUN gives
  unname NAME          FINAL without that file
  note BYTES           each checkpoint with that line behind its signature, \\xff for a byte: needs no key
  first N              the first N records
  move N HEX           the first tensor's movement in record N
  drop N               without record N
  swap N               records N and N + 1 the other way round
  sign                 nothing but new signatures, GENESIS naming another key with `key HEX`
  leave                with KEY's signatures, GENESIS left as it is
Chain and checkpoints are made again, so that only what the records say can give it away."""
import base64
import hashlib
import struct
import subprocess
import sys
import tempfile

KINDS = {"GENESIS": 1, "BEACON": 2, "INIT": 3, "SEGMENT": 4, "EVENT": 5, "FINAL": 6}


def public(key):
    return subprocess.run(["openssl", "pkey", "-in", key, "-pubout", "-outform", "DER"], check=True,
                          capture_output=True).stdout[-32:]


def sign(key, text):
    with tempfile.NamedTemporaryFile() as f:
        f.write(text)
        f.flush()
        return subprocess.run(["openssl", "pkeyutl", "-sign", "-rawin", "-inkey", key, "-in", f.name], check=True,
                              capture_output=True).stdout


def entries(data):
    at = 8
    while at < len(data):
        n = struct.unpack_from("<I", data, at)[0]
        yield data[at + 4], data[at + 4:at + 4 + n]
        at += 4 + n


def tree(leaves):
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\0" + leaves[0]).digest()
    k = 1
    while 2 * k < len(leaves):
        k *= 2
    return hashlib.sha256(b"\1" + tree(leaves[:k]) + tree(leaves[k:])).digest()


def write(path, records, key):
    out, prev, done = b"dokjaLG1", bytes(32), []
    for kind, text in records:
        body = bytes([kind]) + prev + text
        prev = hashlib.sha256(body).digest()
        done.append(body)
        name = "dokja-run/" + hashlib.sha256(done[0]).hexdigest()
        said = f"{name}\n{len(done)}\n{base64.b64encode(tree(done)).decode()}\n".encode()
        ident = hashlib.sha256(name.encode() + b"\n\1" + public(key)).digest()[:4]
        note = said + f"\n— {name} {base64.b64encode(ident + sign(key, said)).decode()}\n".encode()
        for entry in (body, bytes([16]) + note):
            out += struct.pack("<I", len(entry)) + entry
    open(path, "wb").write(out)


def main():
    run, key, command, *rest = sys.argv[1:]
    path = run + "/ledger.bin"
    records = [(kind, body[33:]) for kind, body in entries(open(path, "rb").read()) if kind != 16]
    if command == "note":
        more, data = rest[0].encode("latin-1").decode("unicode_escape").encode("latin-1") + b"\n", b"dokjaLG1"
        for kind, body in entries(open(path, "rb").read()):
            body += more if kind == 16 else b""
            data += struct.pack("<I", len(body)) + body
        return open(path, "wb").write(data)
    if command == "sign":
        rest, command = ["GENESIS", "key", public(key).hex()], "set"
    if command == "set":
        at = [kind for kind, _ in records].index(KINDS[rest[0]])
        lines = records[at][1].decode().split("\n")
        which = [line.split(" ")[0] for line in lines].index(rest[1])
        lines[which] = f"{rest[1]} {rest[2]}"
        records[at] = (records[at][0], "\n".join(lines).encode())
    elif command == "file":
        lines = records[-1][1].decode().split("\n")
        at = lines.index("file " + rest[0]) + 1
        lines[at] = "sha256 " + hashlib.sha256(open(f"{run}/{rest[0]}", "rb").read()).hexdigest()
        records[-1] = (records[-1][0], "\n".join(lines).encode())
    elif command == "unname":
        lines = records[-1][1].decode().split("\n")
        at, count = lines.index("file " + rest[0]), [line.split(" ")[0] for line in lines].index("files")
        del lines[at:at + 2]
        lines[count] = f"files {int(lines[count].split(' ')[1]) - 1}"
        records[-1] = (records[-1][0], "\n".join(lines).encode())
    elif command == "first":
        del records[int(rest[0]):]
    elif command == "move":
        kind, text = records[int(rest[0])]
        lines = text.decode().split("\n")
        lines[[line.split(" ")[0] for line in lines].index("moved")] = "moved " + rest[1]
        records[int(rest[0])] = (kind, "\n".join(lines).encode())
    elif command == "drop":
        del records[int(rest[0])]
    elif command == "swap":
        n = int(rest[0])
        records[n], records[n + 1] = records[n + 1], records[n]
    write(path, records, key)


main()
