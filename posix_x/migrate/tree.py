"""C source as a syntax tree: what the rules ask of it. It is read as written, macros too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

# What may be evaluated earlier or elsewhere: it calls nothing and changes nothing.
IMPURE = frozenset(
    {"call_expression", "assignment_expression", "update_expression", "gnu_asm_expression"}
)


class ParseError(Exception):
    """The source is no C that can be read; the text names the line."""


@dataclass(frozen=True)
class Edit:
    """New text for the bytes from start to end."""

    start: int
    end: int
    text: str


@dataclass(frozen=True)
class Finding:
    """What was rewritten (done), or why not."""

    line: int
    what: str
    done: bool
    reason: str = ""


def parse(source: bytes) -> Any:
    """Return the root of the tree. Errors: ParseError."""
    import tree_sitter
    import tree_sitter_c

    if b"\0" in source:
        raise ParseError("not C source, but binary data")
    parser = tree_sitter.Parser(tree_sitter.Language(tree_sitter_c.language()))
    root = parser.parse(source).root_node
    if root.has_error:
        bad = next(node for node in walk(root) if node.type == "ERROR" or node.is_missing)
        what = repr(text(bad)[:40]) if text(bad) else f"no {bad.type} where one should be"
        raise ParseError(f"line {line_of(bad)}: not understood as C: {what}")
    return root


def walk(node: Any) -> Iterator[Any]:
    """Yield a node and all below it, in the order of the source."""
    yield node
    for child in node.children:
        yield from walk(child)


def text(node: Any) -> str:
    """Return a node's source."""
    return str(node.text.decode(errors="surrogateescape"))


def line_of(node: Any) -> int:
    """Return the line that a node begins in, from 1."""
    return int(node.start_point[0]) + 1


def statements(block: Any) -> list[Any]:
    """Return the statements of a block, or the one statement itself; no comments."""
    if block.type != "compound_statement":
        return [block]
    return [child for child in block.named_children if child.type != "comment"]


def call_of(node: Any) -> tuple[str, list[Any]] | None:
    """Return name and arguments if node is a call of a named function, or a statement of one."""
    if node.type == "expression_statement" and node.named_child_count == 1:
        node = node.named_children[0]
    while node.type in ("cast_expression", "parenthesized_expression"):
        node = node.named_children[-1]
    if node.type != "call_expression":
        return None
    function = node.child_by_field_name("function")
    if function.type != "identifier":
        return None
    arguments = node.child_by_field_name("arguments").named_children
    return text(function), [one for one in arguments if one.type != "comment"]


def calls(node: Any) -> Iterator[tuple[Any, str, list[Any]]]:
    """Yield all calls of named functions below a node."""
    for one in walk(node):
        if one.type == "call_expression":
            found = call_of(one)
            yield (one, *(found or ("", [])))


def is_pure(node: Any) -> bool:
    """Whether evaluating an expression calls nothing and changes nothing."""
    return all(one.type not in IMPURE for one in walk(node))


def indent_of(source: bytes, node: Any) -> str:
    """Return the white space in front of a node's line."""
    start = source.rfind(b"\n", 0, node.start_byte) + 1
    line = source[start : node.start_byte]
    return line[: len(line) - len(line.lstrip())].decode()
