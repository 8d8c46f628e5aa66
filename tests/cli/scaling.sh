#!/usr/bin/env bash
# tools/scaling against runs made from known constants.
set -u
here=$(cd "$(dirname "$0")" && pwd)
exec python3 "$here/scaling_law.py" "$here/../../tools" "$TMP"
