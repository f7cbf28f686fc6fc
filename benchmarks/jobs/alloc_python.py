"""A Python run whose objects all come from malloc(3)."""

import sys

from benchmarks.allocators import by_the_best, with_each

PROGRAM = """
import json, re
rows = [{"id": i, "name": f"n{i}", "tags": [str(i + j) for j in range(8)]} for i in range(20000)]
text = json.dumps(rows)
again = json.loads(text)
words = {}
for word in re.findall(r"[a-z0-9]+", text):
    words[word] = words.get(word, 0) + 1
assert again == rows and sorted(words)
"""


def contenders() -> dict[str, list[str]]:
    """Return the interpreter with each allocator, its own switched off."""
    sides = with_each("PYTHONMALLOC=malloc", sys.executable, "-S", "-c", PROGRAM)
    return {name: ["taskset", "-c", "0", *command] for name, command in sides.items()}


JOB = by_the_best(
    "a python run with PYTHONMALLOC=malloc", contenders, "ms", source="wall", rounds=7
)
