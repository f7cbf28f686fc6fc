"""Messages between two Python processes: nanoseconds one way, or per message.

`python -P benchmarks/channel.py CONTENDER ping|stream|frame CPU CPU`: 56 bytes to and fro, 56 bytes
in a stream, or arrays of 1 MiB to and fro, whose first and last byte both sides change. The other
process is this program once more, on the second CPU.
"""

import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

DATA = b"x" * 56
FRAME = 1 << 20
SAMPLES = 60


class Ends(NamedTuple):
    """How one process sends and receives; frame() gives what a frame is sent from."""

    send: Callable[[Any], object]
    receive: Callable[[], Any]
    frame: Callable[[], Any]


def plain_frame() -> Any:
    """Return a frame that was made once."""
    return MADE


MADE = np.zeros(FRAME, np.uint8)
keep: list[Any] = []  # ends of the other process, which must not be closed by us


def of_channel(what: str, first: bool, fds: list[int]) -> tuple[Ends, list[int]]:
    """Two channels, one for each way."""
    from exo_um.std import channel

    maker = channel[np.ndarray] if what == "frame" else channel[bytes]
    ends = [maker.join(fd) for fd in fds] if fds else [maker(largest=FRAME), maker(largest=FRAME)]
    out, back = ends if first else ends[::-1]
    return Ends(out.send, back.receive, lambda: out.allocate(FRAME)), [e.fileno() for e in ends]


def of_pipe(what: str, _first: bool, fds: list[int]) -> tuple[Ends, list[int]]:
    """multiprocessing.Pipe; frames as their bytes, received into an array."""
    from multiprocessing.connection import Connection

    if fds:
        mine, theirs = Connection(fds[0]), None
    else:
        mine, theirs = multiprocessing.Pipe()
    keep.append(theirs)
    if what != "frame":
        return Ends(mine.send_bytes, mine.recv_bytes, bytes), [theirs.fileno()] if theirs else []
    into = np.zeros(FRAME, np.uint8)

    def receive() -> Any:
        mine.recv_bytes_into(into)
        return into

    return Ends(mine.send_bytes, receive, plain_frame), [theirs.fileno()] if theirs else []


def of_zmq(what: str, first: bool, _fds: list[int]) -> tuple[Ends, list[int]]:
    """Connect a pair of ZeroMQ sockets over ipc://, frames without copies in Python."""
    import zmq

    pair: Any = zmq.Context().socket(zmq.PAIR)
    address = os.environ.setdefault("CHANNEL_ZMQ", f"ipc://{tempfile.mkdtemp()}/pair")
    (pair.bind if first else pair.connect)(address)
    if what != "frame":
        return Ends(pair.send, pair.recv, bytes), []

    def receive() -> Any:
        return np.frombuffer(bytearray(pair.recv(copy=False)), np.uint8)

    return Ends(lambda array: pair.send(array, copy=False), receive, plain_frame), []


def touch(array: Any) -> Any:
    """Change a frame's first and last byte, as somebody would who fills it."""
    array[0] ^= 1
    array[-1] ^= 1
    return array


def answer(ends: Ends, what: str) -> None:
    """Be the other process."""
    if what == "stream":
        while True:
            for _ in range(int(ends.receive())):
                ends.receive()
            ends.send(b"done")
    while True:
        message = ends.receive()
        if what == "frame":
            touch(message)
            message = touch(ends.frame())
        ends.send(message)


def sample(ends: Ends, what: str, count: int) -> float:
    """Send count messages; nanoseconds each."""
    if what == "stream":
        ends.send(b"%d" % count)
        began = time.perf_counter_ns()
        for _ in range(count):
            ends.send(DATA)
        ends.receive()
        return (time.perf_counter_ns() - began) / count
    began = time.perf_counter_ns()
    for _ in range(count):
        ends.send(touch(ends.frame()) if what == "frame" else DATA)
        message = ends.receive()
        if what == "frame":
            touch(message)
    return (time.perf_counter_ns() - began) / count / 2


def of_queue(what: str, cpus: tuple[int, int]) -> tuple[Ends, Any]:
    """Two multiprocessing.Queue; their process is multiprocessing's own."""
    there: Any = multiprocessing.Queue()
    back: Any = multiprocessing.Queue()
    process = multiprocessing.Process(
        target=answer_queue, args=(there, back, what, cpus[1]), daemon=True
    )
    process.start()
    return Ends(there.put, back.get, plain_frame), process


def answer_queue(there: Any, back: Any, what: str, cpu: int) -> None:
    """Be the other process of two queues."""
    os.sched_setaffinity(0, {cpu})
    answer(Ends(back.put, there.get, plain_frame), what)


def of_mq(what: str, first: bool, _fds: list[int]) -> tuple[Ends, list[int]]:
    """Open two POSIX message queues; frames are too large for them."""
    import posix_ipc

    if what == "frame":
        raise SystemExit("message queues have no room for a frame")
    name = os.environ.setdefault("CHANNEL_MQ", f"/exo-um-{os.getpid()}")
    options = {"flags": posix_ipc.O_CREAT, "max_messages": 10, "max_message_size": 64}
    ends = [posix_ipc.MessageQueue(name + way, **options) for way in "ab"]
    if not first:
        for queue in ends:
            queue.unlink()
    out, back = ends if first else ends[::-1]
    return Ends(out.send, lambda: back.receive()[0], bytes), []


CONTENDERS = {"mq": of_mq, "channel": of_channel, "pipe": of_pipe, "zmq": of_zmq}


def start(name: str, what: str, cpus: tuple[int, int]) -> tuple[Ends, Any]:
    """Start the other process; return our ends, and it."""
    if name == "queue":
        return of_queue(what, cpus)
    ends, fds = CONTENDERS[name](what, True, [])
    command = [sys.executable, "-P", __file__, name, what, *map(str, cpus), *map(str, fds)]
    return ends, subprocess.Popen([*command, "other"], pass_fds=fds)


def main() -> None:
    """Print the samples."""
    name, what = sys.argv[1:3]
    cpus = (int(sys.argv[3]), int(sys.argv[4]))
    if sys.argv[-1] == "other":
        os.sched_setaffinity(0, {cpus[1]})
        ends, _ = CONTENDERS[name](what, False, [int(fd) for fd in sys.argv[5:-1]])
        answer(ends, what)
    os.sched_setaffinity(0, {cpus[0]})
    ends, other = start(name, what, cpus)
    count = {"ping": 100, "stream": 1000, "frame": 20}[what]
    for _ in range(5):
        sample(ends, what, count)
    for _ in range(SAMPLES):
        print(sample(ends, what, count))
    other.kill()
    sys.stdout.flush()
    os._exit(0)  # queues' threads would wait for the other process


if __name__ == "__main__":
    main()
