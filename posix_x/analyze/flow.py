"""The numbers that reach a `syscall`: what is known at each place of one function."""

from __future__ import annotations

from typing import TYPE_CHECKING

from posix_x.analyze.state import State, entered, join, step

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from posix_x.analyze.code import Instruction

PATIENCE = 40  # times that one block is gone through


def values_at(code: list[Instruction], wanted: Iterable[int]) -> dict[int, State]:
    """Return what is known before each of the wanted addresses of a function's code."""
    return _Flow(code, frozenset(wanted)).run()


class _Flow:
    """One function, gone through until nothing new is learned."""

    def __init__(self, code: list[Instruction], wanted: frozenset[int]) -> None:
        self.code = code
        self.index = {one.address: number for number, one in enumerate(code)}
        self.wanted = wanted
        self.leaders = self._leaders()
        self.before: dict[int, State] = {}
        self.visits: dict[int, int] = {}
        self.found: dict[int, State] = {}
        self.by_table: State | None = None

    def _leaders(self) -> set[int]:
        leaders = {0}
        for number, one in enumerate(self.code):
            if one.name.startswith("j"):
                leaders.add(number + 1)
                if one.target in self.index:
                    leaders.add(self.index[one.target])
            elif one.name in ("ret", "ud2") or one.name.endswith("jmp"):
                leaders.add(number + 1)
        return leaders

    def run(self) -> dict[int, State]:
        """Go through all blocks, those that only a table leads to last."""
        if self.code:
            self._enter(0, entered())
        for leader in sorted(self.leaders):
            while leader < len(self.code) and self.code[leader].name == "nop":
                leader += 1  # noqa: PLW2901 - padding
            if self.by_table is not None and leader < len(self.code) and leader not in self.before:
                self._enter(leader, dict(self.by_table))
        return self.found

    def _enter(self, leader: int, state: State) -> None:
        self.before[leader] = state
        todo = [leader]
        while todo:
            for target, reached in list(self._block(todo.pop())):
                known = self.before.get(target)
                merged = reached if known is None else join(known, reached)
                if merged != known and self.visits.get(target, 0) < PATIENCE:
                    self.before[target] = merged
                    todo.append(target)

    def _block(self, number: int) -> Iterator[tuple[int, State]]:
        """Go through one block; yield what follows it, and what is known there."""
        self.visits[number] = self.visits.get(number, 0) + 1
        state = dict(self.before[number])
        while number < len(self.code):
            one = self.code[number]
            if one.address in self.wanted:
                known = self.found.get(one.address)
                self.found[one.address] = dict(state) if known is None else join(known, state)
            step(one, state)
            if one.name.startswith("j") and one.target in self.index:
                yield self.index[one.target], state
            if one.name.endswith("jmp") and one.target is None:
                self.by_table = state if self.by_table is None else join(self.by_table, state)
            if one.name in ("ret", "ud2") or one.name.endswith("jmp"):
                return
            number += 1
            if number in self.leaders:
                yield number, state
                return
