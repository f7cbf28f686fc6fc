"""The windowed switch called by jitted code, and exo tasks whose functions are jitted."""

from __future__ import annotations

import numba
import numpy as np
import pytest

from exo_um.bindings import check, ffi, lib
from exo_um.bindings.atomic_jit import jit
from exo_um.bindings.context import Context
from exo_um.sched.switch_jit import ENTRY, switch

ROUNDS = 1000


@numba.cfunc(ENTRY)
def accumulate(words: int) -> None:
    """Add what the other side hands over; values in registers must survive the switches."""
    own = numba.carray(words, 5)
    total, product = 0, 1.0
    while True:
        total += own[3]
        product = product * 0.5 + own[3]
        own[4] = total * 1000 + int(product)
        switch(own[0], own[2], own[1])


@jit
def drive(function: int, mine: int, its: int, words: np.ndarray) -> int:
    wrong, total, product = 0, 0, 1.0
    for i in range(ROUNDS):
        words[3] = i
        switch(function, mine, its)
        total += i
        product = product * 0.5 + i
        wrong += words[4] != total * 1000 + int(product)
    return wrong


def test_jitted_switch() -> None:
    words = np.zeros(5, np.int64)
    with Context(accumulate.address, words.ctypes.data) as its, Context() as mine:
        words[:3] = Context.switch_address(), mine.address, its.address
        assert drive(int(words[0]), mine.address, its.address, words) == 0


def test_stack_size_is_checked() -> None:
    with pytest.raises(OSError, match="Invalid argument"):
        Context(accumulate.address, 0, 1000)


@numba.cfunc("int64(int64)")
def triple(value: int) -> int:
    return value * 3


def test_jitted_tasks() -> None:
    function = ffi.cast("int64_t (*)(int64_t)", triple.address)
    workers, options = ffi.new("struct exo_workers **"), ffi.new("struct exo_workers_options *")
    fiber, result = ffi.new("struct exo_fiber **"), ffi.new("int64_t *")
    check(lib.exo_workers_create(workers, options))
    try:
        for value in range(100):
            check(lib.exo_workers_spawn(workers[0], function, value, -1, fiber))
            check(lib.exo_fiber_join(fiber[0], lib.EXO_FOREVER, result))
            assert result[0] == 3 * value
    finally:
        check(lib.exo_workers_destroy(workers[0]))
