"""Atomic operations by address, compiled and as plain Python: no update of another's is lost."""

from __future__ import annotations

import os

import pytest
from plainpython import IS_PLAIN, run_plain

from exo_um.bindings.atomic_jit import (
    compare_exchange_u64,
    exchange_u64,
    fetch_add_u32,
    fetch_add_u64,
    fetch_or_u32,
    jit,
    load_relaxed_u32,
    load_relaxed_u64,
    store_relaxed_u64,
)
from exo_um.bindings.shared import Shared

COUNT = 20_000


@jit
def change(at: int, count: int) -> None:
    """Add count to three words, in different ways."""
    for _ in range(count):
        fetch_add_u64(at, 1)
        fetch_add_u32(at + 8, 1)
        while True:
            seen = load_relaxed_u64(at + 16)
            if compare_exchange_u64(at + 16, seen, seen + 1):
                break


@jit
def read(at: int) -> tuple[int, int, int]:
    """Return the words of change()."""
    return load_relaxed_u64(at), load_relaxed_u64(at + 8), load_relaxed_u64(at + 16)


@jit
def steps(at: int) -> list[int]:
    """Return what each operation gives, with words below 0 and beyond 32 bits."""
    store_relaxed_u64(at, 5)
    return [
        exchange_u64(at, -2),
        fetch_add_u64(at, 4),
        int(compare_exchange_u64(at, -2, 9)),
        int(compare_exchange_u64(at, 2, -1)),
        load_relaxed_u64(at),
        fetch_add_u32(at, 1),
        fetch_or_u32(at, 6),
        load_relaxed_u32(at),
        load_relaxed_u32(at + 4),
    ]


def test_two_processes() -> None:
    shared = Shared.create(4096)
    change(shared.address, 1)  # compiled before there are two
    child = os.fork()
    change(shared.address, COUNT)
    if child == 0:
        os._exit(0)
    assert os.waitpid(child, 0) == (child, 0)
    assert read(shared.address) == (2 * COUNT + 1,) * 3
    shared.close()


def test_values() -> None:
    shared = Shared.create(4096)
    assert steps(shared.address) == [5, -2, 0, 1, -1, 0xFFFFFFFF, 0, 6, 0xFFFFFFFF]
    shared.close()


@pytest.mark.skipif(IS_PLAIN, reason="this is that run")
def test_plain_python() -> None:
    run_plain(__file__)
