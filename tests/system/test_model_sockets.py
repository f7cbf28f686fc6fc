"""Random calls on pipes, sockets, epoll sets, eventfds and timerfds: exo-um and the host agree.

Two actors (tests/system/model), one native and one a guest, get the same commands; results, errnos,
bytes, and what poll(2) then says of every fd must be the same. Hypothesis makes the sequences and
shortens one that differs. `--hypothesis-profile long` tries many more, other ones each time.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sidebyside import Launcher

HERE = Path(__file__).parent / "model"
ANSWER_S = 20.0
NONBLOCK, CLOEXEC, PACKETS = os.O_NONBLOCK, os.O_CLOEXEC, os.O_DIRECT
LINGER, PEERCRED, PASSCRED = socket.SO_LINGER, socket.SO_PEERCRED, socket.SO_PASSCRED
IN, OUT, RDHUP, EDGE, ONESHOT = 1, 4, 0x2000, 1 << 31, 1 << 30
IN_FLIGHT = 40_000  # no socket's buffers are ever full by that; `fill` fills them
PENDING = 3  # connections that a listener has not accepted
MAX_FDS = 40
MONOTONIC = time.CLOCK_MONOTONIC
CHILDREN = 2

size = st.sampled_from([0, 1, 10, 100, 511, 4000, 4096, 4097, 9000])
number = st.integers(0, 30)
nonblock = st.sampled_from([NONBLOCK, NONBLOCK, NONBLOCK, NONBLOCK | CLOEXEC, 0])
at = st.sampled_from([0, 0, 0, 0, 1, 2])  # who: 1 and 2 are the children, if there are


@dataclass
class File:
    """An open fd: of what kind, and of sockets the family and whether connections wait there."""

    kind: str
    family: int = 0
    pending: int = 0
    type: int = 1


@dataclass
class Reply:
    """What an actor has answered: the result or errno's name, and more."""

    line: str
    result: str = ""
    words: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.result, *self.words = self.line.split("|")[0].split() or [""]

    @property
    def value(self) -> int:
        """The result, -1 if there was an error."""
        return int(self.result) if self.result.isdecimal() else -1


class Actor:
    """A running actor."""

    def __init__(self, launcher: Launcher, argv: list[str], folder: Path) -> None:
        self.process = launcher.start(
            argv, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def do(self, line: str) -> Reply:
        """Have it run a command."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(f"{line}\n".encode())
        self.process.stdin.flush()
        ready, _, _ = select.select([self.process.stdout], [], [], ANSWER_S)
        assert ready, f"hangs in: {line}"
        return Reply(self.process.stdout.readline().decode().rstrip("\n"))

    def end(self) -> int:
        """Let it end; gives its status."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.close()
        try:
            return self.process.wait(ANSWER_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return -1
        finally:
            self.process.stdout.close()


class Calls(RuleBasedStateMachine):
    """The sequences; what is known of the fds is from the native side's answers."""

    def __init__(self, start: Callable[[], tuple[Actor, Actor]]) -> None:
        super().__init__()
        self.native, self.exo = start()
        self.files: list[dict[int, File]] = [{}]
        self.alive: dict[int, dict[int, File]] = {}
        self.bound: list[File] = []  # by the number of the name
        self.sent = 0
        self.log: list[str] = []

    def teardown(self) -> None:
        """Both end well."""
        statuses = self.native.end(), self.exo.end()
        assert statuses == (0, 0)

    # --- What rules are made of.

    def command(self, line: str) -> Reply:
        """Have both run a line; they must answer the same."""
        return self.compare(line, self.native.do(line), self.exo.do(line))

    def compare(self, line: str, native: Reply, exo: Reply) -> Reply:
        """Give what both have answered to a line."""
        self.log.append(f"{line:30} {native.line}")
        if native.line != exo.line:
            history = "\n".join(self.log[-60:])
            raise AssertionError(f"{history}\n\nnative {native.line}\nexo-um {exo.line}")
        return native

    def table(self, who: int) -> dict[int, File]:
        """The fds of the main actor or of a child; of the main one if there is no such child."""
        return self.alive.get(who, self.files[0])

    def call(self, who: int, line: str) -> Reply:
        """Have it run by a child or the main actor."""
        return self.command(f"@{who} {line}" if who in self.alive else line)

    def pick(self, who: int, which: int, *kinds: str) -> int:
        """An fd of these kinds; seldom, or where there is none, any number."""
        table = self.table(who)
        fitting = sorted(fd for fd, file in table.items() if file.kind in kinds)
        if not fitting or which == 30:
            fitting = [*sorted(table), 3 + which]
        return fitting[which % len(fitting)]

    def amount(self, wanted: int) -> int:
        """So much, or little where much is on its way."""
        chosen = wanted if self.sent + wanted < IN_FLIGHT else min(wanted, 5)
        self.sent += chosen
        return chosen

    def add(self, who: int, fd: int, file: File | None) -> None:
        """Note a new fd."""
        if fd >= 0:
            self.table(who)[fd] = file or File("file")

    def has_room(self) -> bool:
        """Whether there may be more fds."""
        return all(len(table) < MAX_FDS for table in (self.files[0], *self.alive.values()))

    # --- Making fds.

    @initialize(
        kind=st.sampled_from(["pipe", "pair", "unix", "tcp", "tcp6", "udp", "dgram", "seq", "none"])
    )
    def begin(self, kind: str) -> None:
        """What nearly everything needs is there from the start."""
        if kind == "pipe":
            self.pipe(0, NONBLOCK, packets=False)
        elif kind == "pair":
            self.socketpair(0, NONBLOCK, ("stream", 1))
        elif kind in ("udp", "dgram"):
            for _ in range(2):
                self.new_socket(0, NONBLOCK, 2 if kind == "udp" else 1, ("dgram", 2))
                self.bind(0, len(self.files[0]) - 1, 0, 0)
        elif kind != "none":
            family = {"tcp": socket.AF_INET, "tcp6": socket.AF_INET6}.get(kind, socket.AF_UNIX)
            self.new_socket(0, NONBLOCK, family, ("seq", 5) if kind == "seq" else ("stream", 1))
            self.bind(0, 0, 0, 0)
            self.listen(0, 0, 8)
            self.connection(0, 0, both=True)

    @precondition(has_room)
    @rule(who=at, flags=nonblock, packets=st.booleans())
    def pipe(self, who: int, flags: int, packets: bool) -> None:
        reply = self.call(who, f"pipe2 {flags | (PACKETS if packets and flags & CLOEXEC else 0)}")
        for word, kind in zip(reply.words, ("pipe", "pipe to"), strict=False):
            self.add(who, int(word), File(kind))

    @precondition(has_room)
    @rule(who=at, flags=nonblock, kind=st.sampled_from([("stream", 1), ("dgram", 2), ("seq", 5)]))
    def socketpair(self, who: int, flags: int, kind: tuple[str, int]) -> None:
        reply = self.call(who, f"socketpair {socket.AF_UNIX} {kind[1] | flags}")
        for word in reply.words:
            self.add(who, int(word), File(kind[0], socket.AF_UNIX))

    @precondition(has_room)
    @rule(
        who=at,
        flags=nonblock,
        family=st.sampled_from([socket.AF_UNIX, socket.AF_INET, socket.AF_INET6]),
        kind=st.sampled_from([("stream", 1), ("stream", 1), ("dgram", 2), ("seq", 5)]),
    )
    def new_socket(self, who: int, flags: int, family: int, kind: tuple[str, int]) -> None:
        reply = self.call(who, f"socket {family} {kind[1] | flags}")
        self.add(who, reply.value, File(kind[0], family, type=kind[1]))

    @precondition(has_room)
    @rule(who=at, which=number, flags=nonblock)
    def dup(self, who: int, which: int, flags: int) -> None:
        fd = self.pick(who, which)
        self.add(who, self.call(who, f"dup {fd}").value, self.table(who).get(fd))

    @precondition(has_room)
    @rule(who=at, which=number, to=number, flags=st.sampled_from([None, 0, CLOEXEC]))
    def dup2(self, who: int, which: int, to: int, flags: int | None) -> None:
        fd = self.pick(who, which)
        call = f"dup2 {fd} {3 + to}" if flags is None else f"dup3 {fd} {3 + to} {flags}"
        self.add(who, self.call(who, call).value, self.table(who).get(fd))

    @rule(who=at, which=number)
    def close(self, who: int, which: int) -> None:
        fd = self.pick(who, which)
        self.call(who, f"close {fd}")
        self.table(who).pop(fd, None)

    # --- Any file.

    @rule(who=at, which=number, wanted=size)
    def write(self, who: int, which: int, wanted: int) -> None:
        fd = self.pick(who, which, "pipe to", "stream", "dgram", "seq")
        self.call(who, f"write {fd} {self.amount(wanted)}")

    @rule(who=at, which=number, wanted=size)
    def write_pipe(self, who: int, which: int, wanted: int) -> None:
        fd = self.pick(who, which, "pipe to")
        kind = self.table(who).get(fd, File("")).kind
        self.call(who, f"write {fd} {8 * wanted if kind == 'pipe to' else self.amount(wanted)}")

    @rule(who=at, which=number, wanted=size)
    def read(self, who: int, which: int, wanted: int) -> None:
        fd = self.pick(who, which, "pipe", "stream", "dgram", "seq")
        self.call(who, f"read {fd} {wanted}")

    @rule(who=at, which=number, sizes=st.tuples(size, size, size), reads=st.booleans())
    def vectors(self, who: int, which: int, sizes: tuple[int, int, int], reads: bool) -> None:
        kinds = ("pipe", "stream") if reads else ("pipe to", "stream", "dgram")
        fd = self.pick(who, which, *kinds)
        parts = " ".join(str(part if reads else self.amount(part)) for part in sizes)
        self.call(who, f"{'readv' if reads else 'writev'} {fd} {parts}")

    @rule(who=at, which=number, on=st.booleans(), how=st.sampled_from(["fl", "ioctl", "fd", "get"]))
    def flags(self, who: int, which: int, on: bool, how: str) -> None:
        fd = self.pick(who, which)
        lines = {
            "fl": f"fcntl {fd} 4 {NONBLOCK if on else 0}",
            "ioctl": f"fionbio {fd} {int(on)}",
            "fd": f"fcntl {fd} 2 {int(on)}",
            "get": f"fcntl {fd} {1 if on else 3} 0",
        }
        self.call(who, lines[how])

    @rule(who=at, which=number, what=st.sampled_from(["fionread", "fstat", "lseek"]))
    def look(self, who: int, which: int, what: str) -> None:
        self.call(who, f"{what} {self.pick(who, which)}")

    @rule(who=at, fds=st.tuples(number, number, number))
    def ask_select(self, who: int, fds: tuple[int, ...]) -> None:
        chosen = " ".join(str(self.pick(who, which)) for which in fds)
        self.call(who, f"select {chosen} -1")

    @rule(who=at, one=number, other=number, wanted=size, tee=st.booleans())
    def splice(self, who: int, one: int, other: int, wanted: int, tee: bool) -> None:
        to = ("pipe to",) if tee else ("pipe to", "stream")
        fds = f"{self.pick(who, one, 'pipe')} {self.pick(who, other, *to)}"
        self.call(who, f"{'tee' if tee else 'splice'} {fds} {self.amount(wanted)}")

    # --- Sockets.

    @rule(who=at, which=number, how=st.integers(0, 7), name=number)
    def bind(self, who: int, which: int, how: int, name: int) -> None:
        fd = self.pick(0, which, "stream", "dgram", "seq")
        file = self.files[0].get(fd, File(""))
        right = {socket.AF_UNIX: how % 3, socket.AF_INET: 3 + how % 2, socket.AF_INET6: 5 + how % 2}
        kind = 7 if how == 7 and self.bound else right.get(file.family, how)
        reply = self.command(f"bind {fd} {kind} {name % max(1, len(self.bound))}")
        if reply.result == "0":
            self.bound.append(file)

    @rule(who=at, which=number, backlog=st.sampled_from([0, 1, 8]))
    def listen(self, who: int, which: int, backlog: int) -> None:
        bound = [fd for fd, file in self.files[0].items() if any(file is b for b in self.bound)]
        fd = sorted(bound)[which % len(bound)] if bound else self.pick(0, which, "stream", "seq")
        file = self.files[0].get(fd, File(""))
        # A full TCP backlog answers late; what a bound socket listens for otherwise is the same.
        many = backlog if file.family == socket.AF_UNIX else 8
        if file.kind in ("stream", "seq", "") and self.command(f"listen {fd} {many}").result == "0":
            file.kind = "listener"

    @rule(who=at, which=number, name=number, flags=nonblock)
    def connect(self, who: int, which: int, name: int, flags: int) -> None:
        fd = self.pick(who, which, "stream", "dgram", "seq")
        file = self.table(who).get(fd, File(""))
        if not self.bound:
            return
        fitting = [i for i, b in enumerate(self.bound) if b.family == file.family] or [0]
        target = fitting[name % len(fitting)]
        there = self.bound[target]
        if there is file and there.kind == "stream":
            return  # connected to itself, which exo-um refuses
        if there.kind == "listener" and there.family != socket.AF_UNIX and there.pending >= PENDING:
            return
        reply = self.call(who, f"connect {fd} {target}")
        if reply.result in ("0", errno.errorcode[errno.EINPROGRESS]):
            there.pending += 1

    @rule(who=at, which=number)
    def disconnect(self, who: int, which: int) -> None:
        fd = self.pick(who, which, "dgram")
        if self.table(who).get(fd, File("")).kind == "dgram":
            self.call(who, f"disconnect {fd}")

    @precondition(has_room)
    @rule(who=at, which=number, flags=nonblock)
    def accept(self, who: int, which: int, flags: int) -> None:
        fd = self.pick(who, which, "listener")
        file = self.table(who).get(fd, File(""))
        reply = self.call(who, f"accept {fd} {flags}")
        if reply.value >= 0:
            file.pending -= 1
            self.add(who, reply.value, File("stream", file.family))

    @precondition(has_room)
    @rule(which=number, name=number, both=st.booleans())
    def connection(self, which: int, name: int, both: bool) -> None:
        """A connection as servers and clients make it."""
        listeners = sorted(fd for fd, file in self.files[0].items() if file.kind == "listener")
        if not listeners:
            return
        fd = listeners[which % len(listeners)]
        file = self.files[0][fd]
        if file.pending >= PENDING:
            return
        names = [i for i, b in enumerate(self.bound) if b is file]
        kind = "seq" if file.type == 5 else "stream"
        made = self.command(f"socket {file.family} {file.type | NONBLOCK}").value
        self.add(0, made, File(kind, file.family, type=file.type))
        if not names or made < 0:
            return
        file.pending += self.command(f"connect {made} {names[0]}").result in ("0", "EINPROGRESS")
        if both:
            accepted = self.command(f"accept {fd} {NONBLOCK}").value
            file.pending -= accepted >= 0
            self.add(0, accepted, File(kind, file.family, type=file.type))

    @rule(
        who=at, which=number, wanted=size, flags=st.sampled_from([0, 0, 0x40, 0x4000, 0x4040, 0x80])
    )
    def send(self, who: int, which: int, wanted: int, flags: int) -> None:
        fd = self.pick(who, which, "stream", "dgram", "seq")
        self.call(who, f"send {fd} {self.amount(wanted)} {flags}")

    @rule(who=at, which=number, wanted=size, name=number)
    def sendto(self, who: int, which: int, wanted: int, name: int) -> None:
        fd = self.pick(who, which, "dgram")
        file = self.table(who).get(fd, File(""))
        fitting = [i for i, b in enumerate(self.bound) if b.family == file.family]
        if fitting:
            target = fitting[name % len(fitting)]
            self.call(who, f"sendto {fd} {self.amount(wanted)} 0x40 {target}")

    @rule(
        who=at,
        which=number,
        wanted=size,
        flags=st.sampled_from([0, 0x40, 2, 0x42, 0x140, 0x20, 0x22, 0x60]),
        how=st.sampled_from(["recv", "recv", "recvfrom"]),
    )
    def recv(self, who: int, which: int, wanted: int, flags: int, how: str) -> None:
        fd = self.pick(who, which, "stream", "dgram", "seq")
        self.call(who, f"{how} {fd} {wanted} {flags}")

    @rule(who=at, which=number, wanted=size, passed=st.lists(number, max_size=3))
    def sendmsg(self, who: int, which: int, wanted: int, passed: list[int]) -> None:
        table, fd = self.table(who), self.pick(who, which, "stream", "dgram", "seq")
        # One that is not open may be told of before or after what else is wrong.
        fds = [each for each in (self.pick(who, each) for each in passed) if each in table]
        line = f"sendmsg {fd} {self.amount(wanted)} 0x40 {len(fds)}"
        self.call(who, " ".join([line, *map(str, fds)]))

    @precondition(has_room)
    @rule(
        who=at,
        which=number,
        wanted=size,
        flags=st.sampled_from([0x40, 0x40, 0x42, 0x40000040, 0x60]),
        room=st.sampled_from([200, 200, 20, 0]),
    )
    def recvmsg(self, who: int, which: int, wanted: int, flags: int, room: int) -> None:
        fd = self.pick(who, which, "stream", "dgram", "seq")
        reply = self.call(who, f"recvmsg {fd} {wanted} {flags} {room}")
        if "control" in reply.words:
            after = reply.words[reply.words.index("control") + 1 :]
            for word in after[1:] if after[0] == "1" else []:
                self.add(who, int(word), None)

    @rule(who=at, which=number, how=st.sampled_from([0, 1, 2, 1, 3]))
    def shutdown(self, who: int, which: int, how: int) -> None:
        fd = self.pick(who, which, "stream", "seq", "dgram")
        self.call(who, f"shutdown {fd} {how}")

    @rule(
        who=at,
        which=number,
        option=st.sampled_from(
            [socket.SO_ERROR, socket.SO_TYPE, PEERCRED, 30, 38, 39, socket.SO_REUSEADDR, LINGER]
        ),
    )
    def getsockopt(self, who: int, which: int, option: int) -> None:
        fd = self.pick(who, which, "stream", "seq", "dgram", "listener")
        self.call(who, f"getsockopt {fd} {socket.SOL_SOCKET} {option}")

    @rule(
        who=at,
        which=number,
        option=st.sampled_from(
            [
                (socket.SOL_SOCKET, socket.SO_REUSEADDR, 1),
                (socket.SOL_SOCKET, socket.SO_REUSEPORT, 1),
                (socket.SOL_SOCKET, PASSCRED, 1),
                (socket.SOL_SOCKET, LINGER, 1),
                (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
            ]
        ),
    )
    def setsockopt(self, who: int, which: int, option: tuple[int, int, int]) -> None:
        fd = self.pick(who, which, "stream", "seq", "dgram", "listener")
        self.call(who, f"setsockopt {fd} {option[0]} {option[1]} {option[2]} 0")

    @rule(who=at, which=number)
    def names(self, who: int, which: int) -> None:
        fd = self.pick(who, which, "stream", "seq", "dgram", "listener")
        self.call(who, f"names {fd}")

    @precondition(has_room)
    @rule(kind=st.sampled_from(["pipe", "pair", "connection"]), which=number)
    def overflow(self, kind: str, which: int) -> None:
        """A new pipe or connection is filled until no more goes, and emptied: nothing is lost."""
        before = set(self.files[0])
        if any(file.kind == "listener" and file.pending for file in self.files[0].values()):
            return  # its next connection is another one
        if kind == "connection":
            self.connection(which, 0, both=True)
        elif kind == "pair":
            self.socketpair(0, NONBLOCK, ("stream", 1))
        else:
            self.pipe(0, NONBLOCK, packets=False)
        made = sorted(set(self.files[0]) - before)
        if len(made) != 2 or self.files[0][made[0]].kind == "seq":
            return
        to, reader = (made[1], made[0]) if kind == "pipe" else (made[0], made[1])
        replies = [actor.do(f"fill {to}") for actor in (self.native, self.exo)]
        amounts = [reply.words[1] for reply in replies]
        for reply, amount in zip(replies, amounts, strict=True):
            reply.line = reply.line.replace(amount, "much", 1)
        self.compare(f"fill {to}", *replies)
        drained = [
            actor.do(f"drain {reader} {amount}")
            for actor, amount in zip((self.native, self.exo), amounts, strict=True)
        ]
        self.compare(f"drain {reader} ...", *drained)

    # --- Readiness.

    @precondition(has_room)
    @rule(who=at, flags=st.sampled_from([0, CLOEXEC]))
    def epoll_create(self, who: int, flags: int) -> None:
        self.add(who, self.call(who, f"epoll_create {flags}").value, File("epoll"))

    @rule(
        who=at,
        which=number,
        other=number,
        change=st.sampled_from([1, 1, 1, 2, 3]),
        events=st.sampled_from([IN, OUT, IN | OUT, IN | OUT | RDHUP, 0]),
        how=st.sampled_from([0, EDGE, ONESHOT, EDGE | ONESHOT]),
    )
    def epoll_ctl(
        self, who: int, which: int, other: int, change: int, events: int, how: int
    ) -> None:
        if not any(file.kind == "epoll" for file in self.table(who).values()):
            self.epoll_create(who, 0)
        fd, there = self.pick(who, which, "epoll"), self.pick(who, other)
        self.call(who, f"epoll_ctl {fd} {change} {there} {events | how} {there}")

    @rule(who=at, which=number)
    def epoll_wait(self, who: int, which: int) -> None:
        self.call(who, f"epoll_wait {self.pick(who, which, 'epoll')}")

    @precondition(has_room)
    @rule(who=at, count=st.sampled_from([0, 1, 3]), flags=st.sampled_from([0, 1]))
    def eventfd(self, who: int, count: int, flags: int) -> None:
        self.add(who, self.call(who, f"eventfd {count} {flags | NONBLOCK}").value, File("event"))

    @rule(who=at, which=number, count=st.sampled_from([0, 1, 2, -1, -2]))
    def use_eventfd(self, who: int, which: int, count: int) -> None:
        fd = self.pick(who, which, "event")
        if self.table(who).get(fd, File("")).kind == "event":
            self.call(who, f"add {fd} {count}" if count else f"read {fd} 8")

    @precondition(has_room)
    @rule(who=at)
    def timerfd(self, who: int) -> None:
        self.add(who, self.call(who, f"timerfd {MONOTONIC} {NONBLOCK}").value, File("timer"))

    @rule(who=at, which=number, how=st.sampled_from([None, None, 0, 1, 2, 3]), asks=st.booleans())
    def use_timerfd(self, who: int, which: int, how: int | None, asks: bool) -> None:
        fd = self.pick(who, which, "timer")
        if self.table(who).get(fd, File("")).kind == "timer":
            self.call(who, f"read {fd} 8" if how is None else f"settime {fd} {how}")
            if asks:
                self.call(who, f"gettime {fd}")

    # --- Processes.

    @rule(which=st.integers(1, CHILDREN))
    def fork(self, which: int) -> None:
        if which not in self.alive:
            self.command(f"fork {which}")
            self.alive[which] = dict(self.files[0])

    @rule(which=st.integers(1, CHILDREN), signal=st.sampled_from([0, 9]))
    def end_child(self, which: int, signal: int) -> None:
        if which in self.alive:
            self.command(f"end {which} {signal}")
            del self.alive[which]

    @rule(which=st.integers(1, CHILDREN))
    def execute(self, which: int) -> None:
        """What is to be closed then is gone."""
        if which in self.alive:
            self.command(f"@{which} exec")
            for fd in sorted(self.alive[which]):
                if self.command(f"@{which} fcntl {fd} 1 0").value < 0:
                    del self.alive[which][fd]


@pytest.fixture(scope="session")
def actor(programs_folder: Path, require: Callable[[str], None]) -> Path:
    """The actor, compiled."""
    require("gcc")
    program = programs_folder / "actor"
    sources = sorted(map(str, HERE.glob("*.c")))
    subprocess.run(["gcc", "-O1", "-static", "-Wall", "-o", program, *sources], check=True)
    return program


@pytest.mark.timeout(36000)
def test_calls_as_the_host_serves_them(launcher: Launcher, actor: Path) -> None:
    """No sequence of calls comes out differently."""
    count = 0

    def start() -> tuple[Actor, Actor]:
        nonlocal count
        count += 1
        base = launcher.fresh()
        folders = [base / "native", base / "exo"]
        for folder in folders:
            folder.mkdir()
        launcher.hand_over(base)
        tags = [f"{os.getpid()}-{count}-{folder.name}" for folder in folders]
        argv = [str(actor), tags[0]]
        exo = launcher.exo_command([str(actor), tags[1]])
        return Actor(launcher, argv, folders[0]), Actor(launcher, exo, folders[1])

    run_state_machine_as_test(lambda: Calls(start))
