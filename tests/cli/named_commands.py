"""Commands of dokja that documents name in code, with their options: "X,Y --a --b" a line.  named_commands.py FILE…

A line that says "planned" is of what there is not yet."""
import re
import sys

SPAN = re.compile(r"`([^`]*)`")
CALL = re.compile(r"(?:^|[\s/(=\"$])dokja((?: [a-z][a-z-]*(?:\\?\|[a-z-]+)*)+)([^|;&#]*)")
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]*")


def code(text):
    """Fenced lines, continued ones joined, and spans; of lines that speak of what there is."""
    fenced = False
    for line in re.sub(r"\\\n\s*", "", text).split("\n"):
        if line.startswith("```"):
            fenced = not fenced
        elif "planned" in line:
            continue
        elif fenced:
            yield line
        else:
            yield from SPAN.findall(line)


found = set()
for name in sys.argv[1:]:
    for part in code(open(name, encoding="utf-8").read()):
        for words, rest in CALL.findall(part):
            words = [re.split(r"\\?\|", w) for w in words.split()]
            options = " ".join(sorted(set(OPTION.findall(rest))))
            for x in words[0]:
                for y in words[1] if len(words) > 1 else [""]:
                    found.add(f"{x},{y} {options}")
print("\n".join(sorted(found)))
