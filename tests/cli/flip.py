"""flip.py FILE: another value of one bit of its last number."""
import sys

f = open(sys.argv[1], "r+b")
f.seek(-4, 2)
b = f.read(1)[0]
f.seek(-4, 2)
f.write(bytes([b ^ 1]))
