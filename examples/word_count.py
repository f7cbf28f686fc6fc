"""Counts words on all CPUs: files by capability, names to workers, counts back, with asyncio.

Run it: python examples/word_count.py DIRECTORY [HOW MANY]
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter

from exo_um.std import Channel, Directory, Rights, channel, spawn, workers

READS = Rights.LIST | Rights.LOOKUP | Rights.READ


def count(below: Directory, names: Channel[str]) -> dict[str, int]:
    """Count the words of the files that come; nothing outside the directory can be opened."""
    counter: Counter[str] = Counter()
    for name in names:
        with below.file(name) as file:
            counter.update(file.read().decode(errors="replace").split())
    return dict(counter)


async def total(below: Directory) -> Counter[str]:
    """Have all workers count, and add up."""
    names = channel[str]()
    tasks = [spawn(count, below, names) for _ in workers().cpus]
    for name in below.names():
        if name.endswith(".txt"):
            await names.asend(name)
    names.close()
    counter: Counter[str] = Counter()
    for one in await asyncio.gather(*tasks):
        counter.update(one)
    return counter


def main() -> None:
    """Print the most frequent words."""
    if len(sys.argv) < 2:
        raise SystemExit(__doc__)
    most = int(sys.argv[2]) if len(sys.argv) > 2 else 10
    with Directory.open(sys.argv[1], READS) as below:
        counter = asyncio.run(total(below))
    for word, times in sorted(counter.items(), key=lambda pair: (-pair[1], pair[0]))[:most]:
        print(f"{times:8} {word}")


if __name__ == "__main__":
    main()
