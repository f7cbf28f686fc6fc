"""What the ptrace platform's tracer does at stops that are not system calls."""

from __future__ import annotations

import errno
import signal

import pytest
from ptrace import PtraceError

from exo_um.kernel import tracing
from exo_um.kernel.tracing import (
    OPTIONS,
    PTRACE_EVENT_STOP,
    PTRACE_INTERRUPT,
    PTRACE_LISTEN,
    PTRACE_SEIZE,
    PTRACE_SYSEMU,
    Tracing,
)

Requests = list[tuple[int, ...]]


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> Requests:
    made: Requests = []
    monkeypatch.setattr(tracing.binding, "ptrace", lambda *words: made.append(words))
    return made


def stop(number: int, event: int = 0) -> int:
    return event << 16 | number << 8 | 0x7F


def failing(number: int) -> object:
    def ptrace(*_: int) -> None:
        raise PtraceError("ptrace", errno=number)

    return ptrace


def test_signals_are_passed_on(requests: Requests) -> None:
    for number in (signal.SIGTERM, signal.SIGTRAP, signal.SIGSTOP, 64):
        assert Tracing().stopped(5, stop(number)) is None
        assert requests.pop() == (PTRACE_SYSEMU, 5, 0, number)


@pytest.mark.parametrize("event", [1, 2, 3, 4])
def test_births_and_execs_go_on(requests: Requests, event: int) -> None:
    Tracing().stopped(5, stop(signal.SIGTRAP, event))
    assert requests == [(PTRACE_SYSEMU, 5, 0, 0)]


@pytest.mark.parametrize("name", ["SIGSTOP", "SIGTSTP", "SIGTTIN", "SIGTTOU"])
def test_group_stops_last(requests: Requests, name: str) -> None:
    Tracing().stopped(5, stop(signal.Signals[name], PTRACE_EVENT_STOP))
    assert requests == [(PTRACE_LISTEN, 5)]


def test_continued_and_new_threads_go_on(requests: Requests) -> None:
    Tracing().stopped(5, stop(signal.SIGTRAP, PTRACE_EVENT_STOP))
    assert requests == [(PTRACE_SYSEMU, 5, 0, 0)]


def test_seized_task_is_let_go_once(requests: Requests) -> None:
    mine = Tracing()
    mine.seize(5, 17)
    assert requests == [(PTRACE_SEIZE, 5, 0, OPTIONS), (PTRACE_INTERRUPT, 5)]
    assert mine.stopped(6, stop(signal.SIGTRAP, PTRACE_EVENT_STOP)) is None
    assert mine.stopped(5, stop(signal.SIGTRAP, PTRACE_EVENT_STOP)) == 17
    assert mine.stopped(5, stop(signal.SIGTRAP, PTRACE_EVENT_STOP)) is None


def test_ended_task_is_forgotten(requests: Requests) -> None:
    mine = Tracing()
    mine.seize(5, 17)
    mine.ended(5)
    assert mine.stopped(5, stop(signal.SIGTRAP, PTRACE_EVENT_STOP)) is None


def test_killed_in_a_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing.binding, "ptrace", failing(errno.ESRCH))
    Tracing().seize(5, 1)
    Tracing().stopped(5, stop(signal.SIGTERM))
    monkeypatch.setattr(tracing.binding, "ptrace", failing(errno.EIO))
    with pytest.raises(PtraceError):
        Tracing().stopped(5, stop(signal.SIGTERM))


def test_refused_tracing_ends_the_instance(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []

    def give_up(why: str) -> None:
        said.append(why)
        raise SystemExit(1)

    monkeypatch.setattr(tracing.binding, "ptrace", failing(errno.EPERM))
    monkeypatch.setattr(tracing, "give_up", give_up)
    with pytest.raises(SystemExit):
        Tracing().seize(5, 1)
    assert said == ["the host lets nobody trace: Operation not permitted"]
