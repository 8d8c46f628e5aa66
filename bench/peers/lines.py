"""The lines of bench/results.jsonl, for the scripts beside this file."""
import datetime
import json
import statistics


def now():
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def figures(v):
    """What a line says of the figures of all rounds."""
    return {"value": round(statistics.median(v), 2), "min": round(min(v), 2), "max": round(max(v), 2), "n": len(v)}


def write(line, out):
    """To stdout and, appended, to the file `out` (or None)."""
    text = json.dumps(line, ensure_ascii=False)
    print(text, flush=True)
    if out:
        with open(out, "a", encoding="utf-8") as f:
            f.write(text + "\n")
