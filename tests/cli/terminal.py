"""Runs a command with stdout a terminal of so many columns and prints what it shows: terminal.py COLUMNS COMMAND…

Fails, and names the first such line, where one is wider than the terminal and would be cut within a word."""
import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
import unicodedata

columns = int(sys.argv[1])
master, slave = pty.openpty()
fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
child = subprocess.Popen(sys.argv[2:], stdin=subprocess.DEVNULL, stdout=slave)
os.close(slave)
shown = b""
while True:
    try:
        part = os.read(master, 65536)
    except OSError:  # the other end is closed
        break
    if not part:
        break
    shown += part
lines = shown.decode().replace("\r\n", "\n").split("\n")
print("\n".join(lines), end="")
wide = [s for s in lines if sum(1 + (unicodedata.east_asian_width(c) in "WF") for c in s) > columns]
if wide:
    sys.exit("wider than %d columns: %s" % (columns, wide[0]))
sys.exit(child.wait())
