"""From functions to the system calls they lead to, through all images of a program.

Two kinds of ways: sure ones (calls, jumps, calls by the linker's slots) and possible ones (a
function's address is taken, or stands in data that a function names). Numbers that a function is
given by its callers are looked for there, as often as it takes.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from posix_x.analyze.code import Function, body, stub_slot, survey
from posix_x.analyze.flow import argument, values_at
from posix_x.analyze.own import Own

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from posix_x.analyze.flow import Value, Where
    from posix_x.analyze.image import Image
    from posix_x.analyze.program import Program

Node = tuple[int, int]  # which image, and where in it
WHOLE = 4096  # bytes of data without a symbol that are taken for one object, at most
GAP = 64  # bytes without a pointer that end it
# The loader's tables of everything: who reads one field must not be said to use them all.
BY_FIELD = ("_rtld_global", "_rtld_global_ro")


@dataclass(slots=True)
class Facts:
    """What is known of one function; numbers: calls that it makes itself."""

    sure: set[Node] = field(default_factory=set)
    possible: set[Node] = field(default_factory=set)
    numbers: set[int] = field(default_factory=set)
    sites: list[int] = field(default_factory=list)
    unknown: set[int] = field(default_factory=set)  # sites, and calls, whose number is not known


class Reach:
    """The functions of a program that have been looked at; grows as others are asked for."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.images = program.images
        self.number = {id(image): index for index, image in enumerate(self.images)}
        self.facts: dict[Node, Facts] = {}
        self.takers: dict[Node, set[Where]] = {}  # functions that are given a number, and where
        self.callers: dict[Node, set[tuple[Node, int]]] = {}
        self.site_numbers: dict[tuple[Node, int], set[int]] = {}
        self.own = Own(self.images[0])

    @cached_property
    def slot_places(self) -> list[list[int]]:
        """Each image's slots, in order."""
        return [sorted(image.slots) for image in self.images]

    # --- Who calls whom.

    def look(self, roots: Iterable[Node]) -> None:
        """Look at all functions that roots lead to, by whatever way."""
        todo = [root for root in roots if root not in self.facts]
        while todo:
            node = todo.pop()
            if node in self.facts:
                continue
            facts = self.facts[node] = self._facts(node)
            todo += [one for one in facts.sure | facts.possible if one not in self.facts]

    def _facts(self, node: Node) -> Facts:
        index, start = node
        image = self.images[index]
        if not image.is_code(start):  # an object
            return Facts(possible=self._object(index, start))
        function = survey(image, start)
        facts = Facts(sites=function.sites)
        called = self._note_callers(node, function)
        if index == 0:  # the program's own: all of its sites and imports are roots anyhow
            return facts
        facts.sure = called
        for address in function.refs:
            facts.possible |= self._named(index, address, function.fields)
        return facts

    def _note_callers(self, node: Node, function: Function) -> set[Node]:
        """Return what a function calls, and note from where."""
        index, found = node[0], set()
        for place, target in function.calls:
            for called in self._called(index, target):
                found.add(called)
                self.callers.setdefault(called, set()).add((node, place))
        for place, slot in function.slots:
            for called in self._in_slot(index, slot):
                found.add(called)
                self.callers.setdefault(called, set()).add((node, place))
        return found

    def _called(self, index: int, target: int) -> Iterator[Node]:
        image = self.images[index]
        if not image.is_code(target):
            return
        slot = None if target in image.names else stub_slot(image, target)
        if slot is not None and slot in image.slots:
            yield from self._in_slot(index, slot)
        else:
            yield index, target

    def _in_slot(self, index: int, slot: int) -> Iterator[Node]:
        """Yield the function whose address the linker writes to a slot."""
        found = self._meant(index, self.images[index].slots.get(slot))
        if found and self.images[found[0]].is_code(found[1]):
            yield found

    def _meant(self, index: int, what: str | int | None) -> Node | None:
        """Return the place that a slot's contents mean: a name, or an address in the same image."""
        if isinstance(what, int):
            return index, what
        found = self.program.find(what) if what else None
        return (self.number[id(found[0])], found[1]) if found else None

    def _named(self, index: int, address: int, fields: list[int]) -> set[Node]:
        """Return the functions that naming an address may lead to."""
        image = self.images[index]
        if image.is_code(address):
            return {(index, address)} if self._is_start(image, address) else set()
        if address in image.slots:
            found = self._meant(index, image.slots[address])
            if found is None:
                return set()
            index, address = found
            image = self.images[index]
            if image.is_code(address):
                return {found}
        name = image.names.get(address, "")
        if name in BY_FIELD:
            return self._fields(index, address, fields)
        return {(index, address)}

    def _is_start(self, image: Image, address: int) -> bool:
        """Whether a function begins at address, as far as can be known."""
        place = bisect_left(image.starts, address)
        if place < len(image.starts) and image.starts[place] == address:
            return True
        before = image.starts[place - 1] if place else 0
        return before not in image.ends or image.ends[before] <= address

    def _fields(self, index: int, address: int, fields: list[int]) -> set[Node]:
        found = (self._meant(index, self.images[index].slots.get(address + one)) for one in fields)
        return {node for node in found if node and self.images[node[0]].is_code(node[1])}

    def _object(self, index: int, address: int) -> set[Node]:
        """Return what an object in data points to: functions, and other objects."""
        image = self.images[index]
        places = self.slot_places[index]
        known = address in image.sizes
        found: set[Node] = set()
        last = address
        for place in places[bisect_left(places, address) :]:
            if place >= address + image.sizes.get(address, WHOLE):
                break
            if not known and (place - last > GAP or (place != address and place in image.sizes)):
                break  # another object begins
            last = place
            meant = self._meant(index, image.slots[place])
            if meant and self.images[meant[0]].names.get(meant[1], "") not in BY_FIELD:
                found.add(meant)
        return found

    # --- Which numbers.

    def settle(self) -> None:
        """Find the numbers of all sites looked at so far, and of calls that pass one on."""
        for node, facts in self.facts.items():
            if facts.sites:
                self._resolve(node, dict.fromkeys(facts.sites, ("rax",)), at_call=False)
        todo = list(self.takers)
        if self.takers:
            self._look_for_callers()
        done: set[tuple[Node, Node, int]] = set()
        while todo:
            taker = todo.pop()
            for caller, place in sorted(self.callers.get(taker, ())):
                if (taker, caller, place) not in done:
                    done.add((taker, caller, place))
                    known = set(self.takers.get(caller, ()))
                    self._resolve(caller, {place: tuple(self.takers[taker])}, at_call=True)
                    if self.takers.get(caller, set()) - known:
                        self._look_for_callers()
                        todo.append(caller)
                        done = {one for one in done if one[0] != caller}

    def _look_for_callers(self) -> None:
        """Look at those of the program's functions that call what takes a number."""
        slots = {
            place
            for place, what in self.images[0].slots.items()
            if self._meant(0, what) in self.takers
        }
        targets = {start for index, start in self.takers if index == 0}
        for start in self.own.callers(targets, slots):
            if (0, start) not in self.facts:
                self.facts[0, start] = self._facts((0, start))

    def _resolve(self, node: Node, wanted: dict[int, tuple[Where, ...]], *, at_call: bool) -> None:
        """Take the numbers at some places of a function; those it is given make it a taker."""
        code = body(self.images[node[0]], node[1])
        calls = {one.address for one in code if one.name.endswith("call")}
        states = values_at(code, wanted)
        for place, arguments in wanted.items():
            if place not in states:
                self.facts[node].unknown.add(place)
                continue
            for where in arguments:
                value = (
                    argument(states[place], where, at_call=place in calls)
                    if at_call
                    else states[place]["rax"]
                )
                self._take(node, place, value)

    def _take(self, node: Node, place: int, value: Value) -> None:
        facts = self.facts[node]
        for atom in value:
            if isinstance(atom, int):
                facts.numbers.add(atom & 0xFFFFFFFF)
                self.site_numbers.setdefault((node, place), set()).add(atom & 0xFFFFFFFF)
            elif isinstance(atom, tuple) and atom[0] in ("arg", "at"):
                where = atom[1] if len(atom) == 2 else atom[1:]
                self.takers.setdefault(node, set()).add(where)
            else:
                facts.unknown.add(place)

    # --- What follows from it.

    def closure(self, roots: Iterable[Node], *, possible: bool) -> set[Node]:
        """Return all functions that roots lead to by sure ways, or by possible ones as well."""
        seen: set[Node] = set()
        todo = list(roots)
        while todo:
            node = todo.pop()
            if node in seen or node not in self.facts:
                continue
            seen.add(node)
            facts = self.facts[node]
            todo += facts.sure
            if possible:
                todo += facts.possible
        return seen

    def numbers(self, nodes: Iterable[Node]) -> set[int]:
        """Return the calls that functions make themselves."""
        return {number for node in nodes for number in self.facts[node].numbers}
