"""Types at a command on a terminal and prints what it shows: keys.py COMMAND… with lines WAIT<TAB>KEYS on standard
input.

Each line waits until WAIT is shown after what was shown before and the terminal hands over keys one by one, not a
line at a time; then it types KEYS, in which \\r, \\x03 and the like stand
for themselves; a line without keys only waits.  Exits with the command's status, or with 99 and a sentence where
something was not shown within a minute."""
import codecs
import os
import pty
import select
import sys
import termios
import time

steps = [line.rstrip("\n").partition("\t") for line in sys.stdin]
pid, master = pty.fork()
if pid == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
shown, at, missing = b"", 0, ""


def read_some(seconds):
    global shown
    if not select.select([master], [], [], seconds)[0]:
        return True
    try:
        part = os.read(master, 65536)
    except OSError:  # the other end is closed
        return False
    shown += part
    return bool(part)


for wait, _, keys in steps:
    end = time.monotonic() + 60
    while shown.find(wait.encode(), at) < 0 and time.monotonic() < end and read_some(0.1):
        pass
    while termios.tcgetattr(master)[3] & termios.ICANON and time.monotonic() < end and read_some(0.01):
        pass
    if shown.find(wait.encode(), at) < 0:
        missing = wait
        break
    at = shown.find(wait.encode(), at) + len(wait.encode())
    os.write(master, codecs.escape_decode(keys.encode())[0])
end = time.monotonic() + 60
while not missing and time.monotonic() < end and read_some(0.1):
    pass
print(shown.decode(errors="replace").replace("\r\n", "\n"), end="")
if missing:
    os.kill(pid, 9)
status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
if missing:
    print("not shown: %s" % missing, file=sys.stderr)
    sys.exit(99)
sys.exit(status if status >= 0 else 128 - status)
