"""pipe() and what is done with its fds becomes exo_pipe(), exo_read(), exo_write(), exo_close().

Only where every use of them is seen: an fd may be kept in variables and handed to functions of the
file, and is read, written, closed and compared, nothing else. The new calls do with any other fd
what the old ones do, so a function that gets others, too, is rewritten all the same.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from posix_x.migrate.names import (
    NotPossible,
    function_above,
    is_declared,
    name_of,
    parameters,
    scope,
)
from posix_x.migrate.tree import Edit, Finding, calls, line_of, text, walk

if TYPE_CHECKING:
    from collections.abc import Iterator

MAKES = ("pipe", "pipe2")
RENAMED = ("read", "write", "close")
JUMPS = ("longjmp", "siglongjmp", "_longjmp")
COMPARES = ("<", ">", "<=", ">=", "==", "!=")
CONDITIONS = ("if_statement", "while_statement", "do_statement", "for_statement")
REASONS = {
    "dup": "a program may get it by another number: dup",
    "dup2": "a program may get it by another number: dup2",
    "dup3": "a program may get it by another number: dup3",
    "poll": "it is waited for among others: poll",
    "select": "it is waited for among others: select",
    "FD_SET": "it is waited for among others: select",
    "epoll_ctl": "it is waited for among others: epoll_ctl",
    "fdopen": "stdio reads and writes it: fdopen",
}


@dataclass(frozen=True)
class Place:
    """A variable that holds fds; function None: the whole file's. pair: both of them, an array."""

    function: Any
    name: str
    pair: bool


@dataclass
class Search:
    """One pipe's uses: the places still to be looked at, and the calls to be renamed."""

    root: Any
    functions: dict[str, Any]
    todo: list[Place] = field(default_factory=list)
    seen: set[tuple[int, str, bool]] = field(default_factory=set)
    renames: dict[int, Edit] = field(default_factory=dict)

    def add(self, function: Any, name: str, *, pair: bool) -> None:
        """Look at a place, too."""
        key = (function.start_byte if function is not None else -1, name, pair)
        if key not in self.seen:
            self.seen.add(key)
            self.todo.append(Place(function, name, pair))

    def rename(self, call: Any, name: str) -> None:
        """Note that a call becomes the API's."""
        callee = call.child_by_field_name("function")
        self.renames[callee.start_byte] = Edit(callee.start_byte, callee.end_byte, f"exo_{name}")


def find(root: Any) -> Iterator[tuple[list[Edit], Finding]]:
    """Yield the edits, or none and the reason, for each pipe of a file."""
    functions = {name_of(one): one for one in walk(root) if one.type == "function_definition"}
    for node, name, arguments in list(calls(root)):
        if name not in MAKES:
            continue
        search = Search(root, functions)
        try:
            _check_file(root, functions)
            _start(search, node, name, arguments)
            while search.todo:
                _follow(search, search.todo.pop())
            yield list(search.renames.values()), Finding(line_of(node), name, done=True)
        except NotPossible as reason:
            yield [], Finding(line_of(node), name, done=False, reason=str(reason))


def _check_file(root: Any, functions: dict[str, Any]) -> None:
    own = [name for name in (*MAKES, *RENAMED) if name in functions]
    if own:
        raise NotPossible(f"{own[0]} is a function of the file")
    for _, name, _ in calls(root):
        if name in JUMPS:
            raise NotPossible(f"{name}() may leave what is under way")


def _start(search: Search, call: Any, name: str, arguments: list[Any]) -> None:
    if not arguments or arguments[0].type != "identifier":
        raise NotPossible("its fds are kept in no plain array")
    if name == "pipe2" and text(arguments[1]) not in ("0", "O_CLOEXEC"):
        raise NotPossible(f"{text(arguments[1])}: what does not wait, or has boundaries, stays")
    function = function_above(call)
    array = text(arguments[0])
    search.add(scope(search.root, search.functions, function, array), array, pair=True)


def _follow(search: Search, place: Place) -> None:
    """Look at all uses of a variable."""
    _check_macros(search.root, place.name)
    for node in walk(place.function if place.function is not None else search.root):
        if node.type == "identifier" and text(node) == place.name and not is_declared(node):
            _use(search, place, node)


def _use(search: Search, place: Place, node: Any) -> None:
    above = node.parent
    if not place.pair:
        _use_fd(search, node)
    elif above.type == "subscript_expression" and above.child_by_field_name("argument") == node:
        _use_fd(search, above)
    elif above.type == "argument_list":
        call = above.parent
        name = text(call.child_by_field_name("function"))
        if name in MAKES:
            search.rename(call, name)
        else:
            _pass_on(search, call, node, pair=True)
    elif above.type != "sizeof_expression":
        raise NotPossible(f"the array is used otherwise in line {line_of(node)}")


def _use_fd(search: Search, node: Any) -> None:
    """Look at an expression that is an fd."""
    above = node.parent
    while above.type == "parenthesized_expression" and above.parent.type not in CONDITIONS:
        node, above = above, above.parent
    if above.type == "argument_list":
        call = above.parent
        name = text(call.child_by_field_name("function"))
        if name in RENAMED and _arguments(call)[0] == node:
            search.rename(call, name)
        else:
            _pass_on(search, call, node, pair=False)
    elif above.type in ("init_declarator", "assignment_expression"):
        _assign(search, above, node)
    elif not (above.type == "binary_expression" and _operator(above) in COMPARES):
        raise NotPossible(f"an fd is used otherwise in line {line_of(node)}")


def _assign(search: Search, above: Any, node: Any) -> None:
    """Follow an fd into another variable; what is kept in the fd's own does not matter."""
    if above.type == "init_declarator":
        target = above.child_by_field_name("declarator")
    else:
        target = above.child_by_field_name("left")
        if target == node:
            if above.parent.type != "expression_statement":
                raise NotPossible(f"an fd is used otherwise in line {line_of(node)}")
            return
    if target.type != "identifier" or _operator(above) not in ("=", ""):
        raise NotPossible(f"an fd is kept in {text(target)}, in line {line_of(node)}")
    if above.type == "assignment_expression" and above.parent.type != "expression_statement":
        raise NotPossible(f"an fd is used otherwise in line {line_of(node)}")
    function = function_above(node)
    search.add(
        scope(search.root, search.functions, function, text(target)), text(target), pair=False
    )


def _pass_on(search: Search, call: Any, node: Any, *, pair: bool) -> None:
    """Follow an fd, or both, into a function: its parameter is one more variable."""
    name = text(call.child_by_field_name("function"))
    function = search.functions.get(name)
    if function is None:
        raise NotPossible(
            REASONS.get(name, f"{name} gets {'both fds' if pair else 'an fd'}")
            + f", in line {line_of(call)}"
        )
    names = parameters(function)
    place = _arguments(call).index(node)
    if place >= len(names) or not names[place]:
        raise NotPossible(f"{name} gets an fd, and no parameter has it")
    search.add(
        scope(search.root, search.functions, function, names[place]), names[place], pair=pair
    )


def _check_macros(root: Any, name: str) -> None:
    for node in walk(root):
        if node.type == "preproc_arg" and re.search(rf"\b{re.escape(name)}\b", text(node)):
            raise NotPossible(f"a macro uses {name}, in line {line_of(node)}")


def _operator(node: Any) -> str:
    operator = node.child_by_field_name("operator")
    return text(operator) if operator is not None else ""


def _arguments(call: Any) -> list[Any]:
    found = call.child_by_field_name("arguments").named_children
    return [one for one in found if one.type != "comment"]
