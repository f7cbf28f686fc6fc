"""A Python program with threads, a pool of processes, and programs that it starts."""

import concurrent.futures
import hashlib
import json
import queue
import random
import subprocess
import threading
import zlib


def work(count: int) -> int:
    """Make a text of some numbers and sum it up."""
    return zlib.crc32(json.dumps([random.random() for _ in range(count)]).encode())


def produce(blocks: "queue.Queue[bytes | None]") -> None:
    """Put blocks of growing size into a queue."""
    for i in range(1000):
        blocks.put(bytes(i * 100))
    blocks.put(None)


def main() -> None:
    """Do all of it, one after the other."""
    blocks: queue.Queue[bytes | None] = queue.Queue(8)
    producer = threading.Thread(target=produce, args=[blocks])  # noqa: TID251
    producer.start()
    while (block := blocks.get()) is not None:
        hashlib.sha256(block).digest()
    producer.join()
    with concurrent.futures.ThreadPoolExecutor(3) as threads:
        list(threads.map(work, [10, 5000, 100, 20000, 50, 1000] * 30))
    for _ in range(20):
        subprocess.run(["ls"], check=True, stdout=subprocess.DEVNULL)
    with concurrent.futures.ProcessPoolExecutor(2) as processes:
        list(processes.map(work, [100, 20000, 1000, 60000] * 30))


if __name__ == "__main__":
    main()
