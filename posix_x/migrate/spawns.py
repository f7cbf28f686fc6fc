"""fork() with an exec in the child becomes exo_spawn(), with the fork behind it for what fails.

The child's dup2() and close() become the spawn's list, in their order. Where exo_spawn() fails, the
program's own fork and child are run, so every message and exit status of a failed exec stays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from posix_x.migrate.tree import (
    Edit,
    Finding,
    call_of,
    calls,
    indent_of,
    is_pure,
    line_of,
    statements,
    text,
    walk,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

LISTED = ("execl", "execlp")
VECTOR = ("execv", "execvp", "execve", "execvpe")
SEARCHED = ("execlp", "execvp", "execvpe")
LEAVES = ("_exit", "exit", "_Exit", "abort")
NULLS = ("NULL", "0", "(char *)0", "(char *)NULL", "(char*)0", "(char*)NULL", "nullptr")


class NotPossible(Exception):  # noqa: N818 - says so in the report
    """Why a fork stays as it is."""


@dataclass(frozen=True)
class Fork:
    """A fork() and its child: where both stand, what takes the pid, and what the parent does."""

    begin: Any
    test: Any
    target: str
    declared: str
    child: Any
    parent: Any


def find(root: Any, source: bytes) -> Iterator[tuple[Edit | None, Finding]]:
    """Yield an edit, or None and the reason, for each fork of a file."""
    for number, (node, name, _) in enumerate(list(calls(root))):
        if name not in ("fork", "vfork"):
            continue
        try:
            fork = _shape(node)
            yield _edit(fork, source, number), Finding(line_of(node), f"{name} + exec", done=True)
        except NotPossible as reason:
            yield None, Finding(line_of(node), name, done=False, reason=str(reason))


def _shape(call: Any) -> Fork:
    """Recognize `pid = fork(); if (pid == 0) ...` and `if ((pid = fork()) == 0) ...`."""
    above = call.parent
    if above.type == "init_declarator":
        declaration, target = above.parent, text(above.child_by_field_name("declarator"))
        if len([one for one in declaration.named_children if one.type == "init_declarator"]) != 1:
            raise NotPossible("declared together with others")
        declared = text(declaration.child_by_field_name("type")) + " "
        return _following(declaration, target, declared)
    if above.type == "assignment_expression":
        target = text(above.child_by_field_name("left"))
        if above.parent.type == "expression_statement":
            return _following(above.parent, target, "")
        test = _if_above(above)
        if test is not None and _is_child(test, f"({text(above)})"):
            return Fork(
                test,
                test,
                target,
                "",
                test.child_by_field_name("consequence"),
                test.child_by_field_name("alternative"),
            )
    raise NotPossible("its pid is not kept in a variable and compared with 0 in an if")


def _if_above(node: Any) -> Any:
    while node is not None and node.type not in ("if_statement", "function_definition"):
        node = node.parent
    return node if node is not None and node.type == "if_statement" else None


def _following(statement: Any, target: str, declared: str) -> Fork:
    test = statement.next_named_sibling
    while test is not None and test.type == "comment":
        test = test.next_named_sibling
    if test is None or test.type != "if_statement" or not _is_child(test, target):
        raise NotPossible("the child is not what follows at once")
    return Fork(
        statement,
        test,
        target,
        declared,
        test.child_by_field_name("consequence"),
        test.child_by_field_name("alternative"),
    )


def _is_child(test: Any, pid: str) -> bool:
    condition = "".join(text(test.child_by_field_name("condition")).split())
    pid = "".join(pid.split())
    return condition in (f"({pid}==0)", f"(0=={pid})", f"(!{pid})")


def _edit(fork: Fork, source: bytes, number: int) -> Edit:
    if not fork.target.isidentifier():
        raise NotPossible("its pid is kept in no plain variable")
    files, run = _child(statements(fork.child))
    file, argv, envp, extra = run
    name, pad = f"exo_fds_{number}", indent_of(source, fork.begin)
    lines = [f"{fork.declared}{fork.target};"] if fork.declared else []
    lines += ["{"]
    lines += [f"    char *exo_argv_{number}[] = {{{extra}}};"] if extra else []
    argv = argv or f"exo_argv_{number}"
    if files:
        rows = ", ".join(f"{{{ours}, {theirs}}}" for ours, theirs in files)
        lines += [f"    struct exo_spawn_fd {name}[] = {{{rows}}};"]
    fds = f"{name}, {len(files)}" if files else "NULL, 0"
    arguments = f"{file}, (char *const *){argv}, (char *const *){envp}, {fds}"
    lines += [f"    {fork.target} = exo_spawn({arguments});", "}"]
    # What could not be started is forked as before, for the child to say so.
    lines += [
        f"if ({fork.target} < 0) {{",
        f"    {fork.target} = fork();",
        f"    if ({fork.target} == 0) {text(fork.child)}",
        "}",
    ]
    if fork.parent is not None:
        lines += [_body_of(fork.parent)]
    return Edit(fork.begin.start_byte, fork.test.end_byte, f"\n{pad}".join(lines))


def _body_of(alternative: Any) -> str:
    """Return what stands behind else."""
    rest = [one for one in alternative.named_children if one.type != "comment"]
    return text(rest[0]) if rest else ";"


def _child(body: list[Any]) -> tuple[list[tuple[str, str]], tuple[str, str, str, str]]:
    """Return the child's list of fds, and what it executes."""
    files: list[tuple[str, str]] = []
    for place, statement in enumerate(body):
        found = call_of(statement)
        if found is None:
            raise NotPossible(f"the child does more, in line {line_of(statement)}")
        name, arguments = found
        if name not in (*LISTED, *VECTOR) and not all(map(is_pure, arguments)):
            raise NotPossible(f"an argument does more, in line {line_of(statement)}")
        if name == "dup2" and len(arguments) == 2:
            files.append((text(arguments[0]), text(arguments[1])))
        elif name in ("close", "exo_close") and len(arguments) == 1:
            files.append(("-1", text(arguments[0])))
        elif name in (*LISTED, *VECTOR):
            _check_end(body[place + 1 :])
            return files, _executed(name, arguments)
        else:
            raise NotPossible(f"the child calls {name or 'a pointer'} first")
    raise NotPossible("the child goes on without exec")


def _check_end(rest: list[Any]) -> None:
    """Refuse a child that goes on where exec has failed: the parent's code would see it."""
    last = call_of(rest[-1]) if rest else None
    leaves = last is not None and last[0] in LEAVES
    if not leaves and not (rest and rest[-1].type == "return_statement"):
        raise NotPossible("the child goes on if exec fails")
    if any(
        one.type in ("goto_statement", "break_statement") for node in rest for one in walk(node)
    ):
        raise NotPossible("the child goes on if exec fails")


def _executed(name: str, arguments: list[Any]) -> tuple[str, str, str, str]:
    """Return file, argv, envp, and the words of an argv that is yet to be made."""
    if not all(map(is_pure, arguments)):
        raise NotPossible("an argument of exec does more")
    file = text(arguments[0])
    if name not in SEARCHED and not (file.startswith('"') and "/" in file):
        raise NotPossible(f"{name} does not search, and the path may have no slash")
    if name in LISTED:
        words = [text(one) for one in arguments[1:]]
        if not words or words[-1] not in NULLS:
            raise NotPossible("its arguments do not end with NULL")
        return file, "", "NULL", ", ".join([*(f"(char *){word}" for word in words[:-1]), "NULL"])
    envp = text(arguments[2]) if name in ("execve", "execvpe") else "NULL"
    return file, text(arguments[1]), envp, ""
