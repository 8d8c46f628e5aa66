#!/bin/bash
# The pinned environment of the scripts beside this file (requirements.txt), outside the tree. Prints the path of its
# python; exit 3 where the packages cannot be had.
exec bash "$(dirname "$0")/../../tests/peers/setup.sh" --large
