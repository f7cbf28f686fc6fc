"""Unmodified programs on libexo_malloc.so: all calls, redis, gcc, Python, shells."""

from __future__ import annotations

import re
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest
from sidebyside import Launcher, Outcome

pytestmark = pytest.mark.any_user

LIBRARY = Path(sysconfig.get_path("platlib")) / "exo_um" / "_native" / "libexo_malloc.so"
SOURCE = Path(__file__).with_name("malloc_calls.c")

PYTHON = """
import json, re, threading
rows = [{"id": i, "tags": [str(i + j) for j in range(6)], "text": "x" * (i % 700)}
        for i in range(3000)]
def work():
    text = json.dumps(rows)
    assert json.loads(text) == rows
    words = {}
    for word in re.findall(r"[a-z0-9]+", text):
        words[word] = words.get(word, 0) + 1
    assert sum(len(k) * n for k, n in words.items()) > 0
threads = [threading.Thread(target=work) for _ in range(3)]
for thread in threads: thread.start()
for thread in threads: thread.join()
big = bytearray()
for i in range(200): big += bytes([i]) * 50000
assert all(big[i * 50000] == i for i in range(200))
print("fine", len(big))
"""

REDIS = """
redis-server --port 0 --unixsocket ./socket --save '' --daemonize no >log 2>&1 &
while ! redis-cli -s ./socket ping 2>/dev/null | grep -q PONG; do
    kill -0 $! || exit 1
done
redis-benchmark -s ./socket -n 3000 -P 8 -c 4 -r 500 -q -t set,lpush,hset,sadd,zadd >/dev/null
seq 2000 | sed 's/.*/SET own:& value&/' | redis-cli -s ./socket | sort | uniq -c
seq 2000 | sed 's/.*/GET own:&/' | redis-cli -s ./socket | tr -d '"' | md5sum
seq 1 2 2000 | sed 's/.*/DEL own:&/' | redis-cli -s ./socket | sort | uniq -c
redis-cli -s ./socket eval 'return #redis.call("keys", "own:*")' 0
redis-cli -s ./socket shutdown nosave
wait
"""


@pytest.fixture(scope="session")
def calls(programs_folder: Path, require: Callable[[str], None]) -> str:
    """malloc_calls.c, compiled."""
    require("gcc")
    program = programs_folder / "malloc_calls"
    options = ["-O1", "-w", "-pthread"]
    subprocess.run(["gcc", *options, "-o", program, SOURCE], check=True)
    return str(program)


def preloaded(side: Launcher, *argv: str, options: str = "", exo: bool = False) -> Outcome:
    """Run argv on the library."""
    command = ["env", f"LD_PRELOAD={LIBRARY}", f"EXO_MALLOC={options}", *argv]
    return side.command(side.exo_command(command) if exo else command)


def checked(outcome: Outcome) -> str:
    """Return what a program printed, which must have ended well."""
    assert outcome.status == 0, outcome
    return outcome.stdout.decode()


@pytest.mark.parametrize("options", ["", "arenas=3", "poison"])
def test_calls(native: Launcher, calls: str, options: str) -> None:
    assert checked(preloaded(native, calls, options=options)) == "all right\n"


def test_calls_in_guest(launcher: Launcher, calls: str) -> None:
    assert checked(preloaded(launcher, calls, exo=True)) == "all right\n"


@pytest.mark.parametrize(
    ("mistake", "complaint"),
    [
        ("double", "double free"),
        ("wild", "free of what is no object"),
        ("stack", "free of what is no object"),
        ("overrun", "written beyond an object's end"),
        ("late", "written to after free"),
    ],
)
def test_mistakes(native: Launcher, calls: str, mistake: str, complaint: str) -> None:
    outcome = preloaded(native, calls, mistake, options="poison")
    assert outcome.status == 128 + 6
    assert re.fullmatch(rf"libexo_malloc: {complaint}: 0x[0-9a-f]+\n", outcome.stderr.decode())


def test_sums(native: Launcher) -> None:
    outcome = preloaded(native, sys.executable, "-S", "-c", PYTHON, options="stats")
    assert checked(outcome).startswith("fine")
    line = outcome.stderr.decode()
    rates = [float(rate) for rate in re.findall(r"([0-9.]+) %", line)]
    assert 80 < rates[0] <= rates[1] <= 100, line


@pytest.mark.parametrize("options", ["", "poison"])
def test_python(native: Launcher, options: str) -> None:
    argv = ["env", "PYTHONMALLOC=malloc", sys.executable, "-S", "-c", PYTHON]
    assert checked(preloaded(native, *argv, options=options)).startswith("fine")


def test_gcc(native: Launcher, require: Callable[[str], None]) -> None:
    """The same object file, whatever the allocator."""
    require("gcc")
    outputs = []
    for options in ("", "guard"):
        argv = ["gcc", "-O2", "-w", "-pthread", "-S", "-o", "-", str(SOURCE)]
        outputs.append(checked(preloaded(native, *argv, options=options)))
    assert outputs == [checked(native.command(argv))] * 2


def test_redis(native: Launcher, require: Callable[[str], None]) -> None:
    """What redis answers with the library is what it answers without."""
    require("redis-server")
    with_it = checked(preloaded(native, "bash", "-c", REDIS))
    native.fresh()
    assert with_it == checked(native.command(["bash", "-c", REDIS]))


def test_shell(native: Launcher) -> None:
    """Forks, pipes and a sort of a few megabytes."""
    script = (
        "for i in $(seq 30); do echo $i | cat; done | sort -n | tail -1; seq 300000 | sort | md5sum"
    )
    assert checked(preloaded(native, "bash", "-c", script)) == checked(
        native.command(["bash", "-c", script])
    )
