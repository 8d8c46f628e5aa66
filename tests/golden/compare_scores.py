#!/usr/bin/env python3
"""compare_scores.py OURS.json THEIRS.json: two files of per-token scores as qwen3_numpy.py prints them.

Prints the mean difference in log-probability and the share of equal most likely tokens; exit 1 when they differ by
more than 0.01 nats in the mean or agree on fewer than 98 % of the most likely tokens."""
import json
import sys


def flat(lists):
    return [x for one in lists for x in one]


ours, theirs = (json.load(open(p)) for p in sys.argv[1:3])
a, b = flat(ours["nll"]), flat(theirs["nll"])
if len(a) != len(b) or not a:
    sys.exit(f"{len(a)} scores against {len(b)}")
mean = sum(abs(x - y) for x, y in zip(a, b)) / len(a)
same = sum(x == y for x, y in zip(flat(ours["top"]), flat(theirs["top"]))) / len(a)
print(f"{len(a)} tokens: mean difference {mean:.5f} nats, same most likely token {100 * same:.2f} %")
sys.exit(not (mean <= 0.01 and same >= 0.98))
