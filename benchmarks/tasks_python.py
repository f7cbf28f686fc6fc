"""KiB of memory for each of 100,000 greenlets, or asyncio tasks, that have begun and wait.

`python -P benchmarks/tasks_python.py greenlet|asyncio [COUNT]`: as benchmarks/native/tasks.c.
"""

import asyncio
import gc
import re
import sys
from pathlib import Path

SAMPLES = 3


def memory_kib() -> int:
    """Return what is resident, and page tables."""
    status = Path("/proc/self/status").read_text()
    return sum(int(found) for found in re.findall(r"^Vm(?:RSS|PTE):\s+(\d+)", status, re.MULTILINE))


def greenlets(count: int) -> float:
    """Start them all; each switches back once it runs."""
    import greenlet

    here = greenlet.getcurrent()
    before = memory_kib()
    tasks = [greenlet.greenlet(here.switch) for _ in range(count)]
    for task in tasks:
        task.switch()
    used = memory_kib() - before
    for task in tasks:
        task.switch()
    return used / count


async def tasks(count: int) -> float:
    """Start them all; each waits for one event."""
    event, arrived = asyncio.Event(), 0

    async def wait_here() -> None:
        nonlocal arrived
        arrived += 1
        await event.wait()

    before = memory_kib()
    started = [asyncio.create_task(wait_here()) for _ in range(count)]
    while arrived < count:
        await asyncio.sleep(0)
    used = memory_kib() - before
    event.set()
    await asyncio.gather(*started)
    return used / count


def main() -> int:
    """Print the samples."""
    what = sys.argv[1] if len(sys.argv) > 1 else "greenlet"
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 100_000
    for _ in range(SAMPLES):
        gc.collect()
        print(f"{greenlets(count) if what == 'greenlet' else asyncio.run(tasks(count)):.3f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
