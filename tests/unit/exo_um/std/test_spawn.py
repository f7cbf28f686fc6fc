"""spawn(): functions and coroutines on worker processes, native code as fibers."""

from __future__ import annotations

import asyncio
import errno
import importlib.util
import itertools
import os
import sys
from collections.abc import Iterator
from concurrent.futures import CancelledError
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from exo_um.bindings.fiber import FOREVER, address
from exo_um.std import (
    Directory,
    Function,
    RemoteError,
    Rights,
    WorkerDiedError,
    Workers,
    channel,
    spawn,
)
from exo_um.std.spawn import workers as default_workers

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def work() -> Iterator[ModuleType]:
    """The module beside this one, under a name that workers find, too."""
    sys.path.insert(0, str(HERE))
    spec = importlib.util.find_spec("work")
    assert spec is not None
    yield importlib.import_module("work")
    sys.path.remove(str(HERE))


@pytest.fixture
def pool(work: ModuleType) -> Iterator[Workers]:
    with Workers() as made:
        yield made


def test_values(pool: Workers, work: ModuleType) -> None:
    item = work.Item("a", [1, 2])
    values = (None, True, -(2**70), 1.5, "ä\udc80", b"\0", [1, (2, {3})], {"k": {4: 5}}, item)
    got, names = pool.spawn(work.give_back, *values, name=frozenset([b"x"])).join(20)
    assert got == values
    assert names == {"name": frozenset([b"x"])}
    array = np.arange(24.0).reshape(2, 3, 4)
    odd = np.zeros(2, [("a", "i2"), ("b", "f8")])
    (one, two, same), _ = pool.spawn(work.give_back, array, odd, work.fail).join(20)
    assert (one == array).all()
    assert (two == odd).all()
    assert same is work.fail


def test_refused(pool: Workers, work: ModuleType) -> None:
    with pytest.raises(TypeError, match="cannot be found by a name"):
        pool.spawn(lambda: 1)
    with pytest.raises(TypeError, match="cannot be given"):
        pool.spawn(work.give_back, object())
    with pytest.raises(TypeError, match="cannot be given"):
        pool.spawn(work.unfit).join(20)


def test_placement(pool: Workers, work: ModuleType) -> None:
    for cpu in pool.cpus:
        pid, cpus, _ = pool.spawn_on(cpu, work.where).join(20)
        assert cpus == {cpu}
        assert pool.pids()[cpu] == pid
    with pytest.raises(ValueError, match="no worker"):
        pool.spawn_on(4096, work.where)


def test_errors(pool: Workers, work: ModuleType) -> None:
    with pytest.raises(work.OwnError) as raised:
        pool.spawn(work.fail, "text").join(20)
    assert raised.value.args == ("text", 5)
    assert "in fail" in raised.value.__notes__[0]
    with pytest.raises(RemoteError, match="RuntimeError: <object"):
        pool.spawn(work.fail_oddly).join(20)


def test_coroutines(pool: Workers, work: ModuleType) -> None:
    async def main() -> None:
        ch = channel[bytes]()
        waiting = pool.spawn(work.wait_for, ch)
        assert await asyncio.gather(*(pool.spawn(work.add, i, i) for i in range(50))) == [
            2 * i for i in range(50)
        ]
        assert not waiting.done
        await ch.asend(b"now")
        assert await waiting == b"now"

    asyncio.run(main())


def test_channels(pool: Workers, work: ModuleType) -> None:
    """More functions than CPUs wait for each other, on as many workers as there are."""
    chain = [channel[int](16) for _ in range(5)]
    tasks = [pool.spawn(work.double, a, b) for a, b in itertools.pairwise(chain)]
    for i in range(10):
        chain[0].send(i)
        assert chain[-1].receive(20) == 16 * i
    chain[0].close()
    assert tasks[0].join(20) == 10
    for ch, task in zip(chain[1:], tasks[1:], strict=False):
        ch.close()
        assert task.join(20) == 10
    made = pool.spawn(work.make_channel).join(20)
    assert made.receive(20) == "from the worker"


def test_frames(pool: Workers, work: ModuleType) -> None:
    frames, out = channel[np.ndarray](), channel[np.ndarray]()
    task = pool.spawn(work.scale, frames, out)
    for i in range(20):
        frame = frames.allocate((100, 100), "u2")
        frame[:] = i
        frames.send(frame)
        assert (out.receive(20) == 2 * i).all()
    frames.close()
    task.join(20)
    assert frames.memory.copied == out.memory.copied == 0


def test_cancel(pool: Workers, work: ModuleType) -> None:
    ch, said = channel[bytes](), channel[str]()
    for function, arguments in (
        (work.receive_or_say, (ch, said)),
        (work.sleep_for_ever, (said,)),
    ):
        task = pool.spawn(function, *arguments)
        assert said.receive(20) == "waits"
        with pytest.raises(TimeoutError):
            task.join(0.01)
        task.cancel()
        with pytest.raises(CancelledError):
            task.join(20)
        assert said.receive(20) == "ends"


def test_death(pool: Workers, work: ModuleType) -> None:
    """A worker that dies raises wherever somebody waits for it, and another one takes its place."""
    cpu, ch = pool.cpus[0], channel[bytes]()
    other = pool.spawn_on(cpu, work.receive, ch)
    with pytest.raises(WorkerDiedError, match="signal 9"):
        pool.spawn_on(cpu, work.die).join(20)
    with pytest.raises(WorkerDiedError):
        other.join(20)

    async def main() -> None:
        with pytest.raises(WorkerDiedError):
            await pool.spawn_on(cpu, work.die)

    asyncio.run(main())
    assert pool.spawn_on(cpu, work.add, 1, 2).join(20) == 3


def test_closed(work: ModuleType) -> None:
    ch = channel[bytes]()
    with Workers() as pool:
        task = pool.spawn(work.receive, ch)
        pids = list(pool.pids().values())
    with pytest.raises(WorkerDiedError):
        task.join(20)
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_default(work: ModuleType) -> None:
    assert spawn(work.add, 1, b=2).join(20) == 3
    default_workers().close()


def test_files(pool: Workers, work: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "there").write_text("text")
    with Directory.open(tmp_path) as whole:
        below = whole.narrow(Rights.LIST | Rights.LOOKUP | Rights.READ)
        got = pool.spawn(work.use_files, below, below.file("there")).join(20)
    assert got == [["there"], b"text", errno.EACCES]


def test_fibers() -> None:
    import numba

    @numba.cfunc("int64(int64)")
    def cube(number: int) -> int:
        return number**3

    tasks = [spawn(cube, i) for i in range(100)]
    assert [task.join(20) for task in tasks] == [i**3 for i in range(100)]
    assert all(task.done for task in tasks)

    async def main() -> list[int]:
        return await asyncio.gather(*(spawn(cube, i) for i in range(20)))

    assert asyncio.run(main()) == [i**3 for i in range(20)]
    assert spawn(Function(cube.address), 3).join(20) == 27


def test_fiber_and_channel() -> None:
    """Native code takes from a channel that Python sends to, parked while there is nothing."""
    import numba

    from exo_um.bindings.atomic_jit import call_native

    ch = channel[int]()
    ring, owner, pop = ch.memory.ring_address, ch.memory.owner, address("exo_fiber_pop")

    @numba.cfunc("int64(int64)")
    def total(count: int) -> int:
        message = np.zeros(8, np.int64)
        done = 0
        for _ in range(count):
            if call_native(pop, ring, owner, message.ctypes.data, FOREVER) != 0:
                return -1
            done += message[1]
        return done

    task = spawn(total, 1000)
    for i in range(1000):
        ch.send(i)
    assert task.join(20) == sum(range(1000))
