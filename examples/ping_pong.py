"""Two processes play ping-pong: channels of bytes, spawn(), and how long a ball is in the air.

Run it: python examples/ping_pong.py [ROUNDS]
"""

from __future__ import annotations

import sys
import time

from exo_um.std import Channel, channel, spawn


def player(balls: Channel[bytes], back: Channel[bytes]) -> int:
    """Return every ball until there are no more; return how many there were."""
    count = 0
    for ball in balls:
        back.send(ball)
        count += 1
    return count


def main() -> None:
    """Play."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    there, back = channel[bytes](), channel[bytes]()
    task = spawn(player, there, back)
    there.send(b"first")
    back.receive()  # the worker is up
    began = time.perf_counter()
    for number in range(rounds):
        there.send(number.to_bytes(8, "little"))
        assert back.receive() == number.to_bytes(8, "little")
    seconds = time.perf_counter() - began
    there.close()
    print(f"{task.join() - 1} balls, {seconds / rounds / 2 * 1e6:.2f} us each way")


if __name__ == "__main__":
    main()
