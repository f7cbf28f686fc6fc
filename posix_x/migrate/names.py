"""Which declaration a name of C source means, as far as one file tells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from posix_x.migrate.tree import text, walk

if TYPE_CHECKING:
    from collections.abc import Iterator


class NotPossible(Exception):  # noqa: N818 - says so in the report
    """Why a pipe stays as it is."""


def scope(root: Any, functions: dict[str, Any], function: Any, name: str) -> Any:
    """Return the function that declares a variable once, or None: the file does, as static."""
    inside = _declared(function, name)
    outside = [
        one
        for child in root.children
        if child.type == "declaration"
        for one in _declarators(child)
        if text(one) == name
    ]
    if inside == 1:
        return function
    if inside == 0 and len(outside) == 1:
        if "static" not in text(_declaration(outside[0])).split():
            raise NotPossible(f"{name} may be used in other files, being no static variable")
        if any(_declared(other, name) for other in functions.values()):
            raise NotPossible(f"{name} is declared more than once")
        return None
    raise NotPossible(f"{name} is declared {'more than once' if inside else 'elsewhere'}")


def _declared(function: Any, name: str) -> int:
    return sum(
        1
        for node in walk(function)
        if node.type in ("declaration", "parameter_declaration")
        for one in _declarators(node)
        if text(one) == name
    )


def _declarators(declaration: Any) -> Iterator[Any]:
    """Yield the identifiers that a declaration declares."""
    for child in declaration.children_by_field_name("declarator"):
        inner: Any = child
        while inner is not None and inner.type != "identifier":
            named = inner.child_by_field_name("declarator")
            if named is None and inner.type == "parenthesized_declarator":
                named = inner.named_children[0]
            inner = named
        if inner is not None:
            yield inner


def _declaration(node: Any) -> Any:
    while node.type not in ("declaration", "parameter_declaration"):
        node = node.parent
    return node


def is_declared(node: Any) -> bool:
    """Whether an identifier stands where it is declared."""
    while node.parent is not None and node.parent.type.endswith("declarator"):
        if node.parent.child_by_field_name("declarator") != node:
            return False
        node = node.parent
    return node.parent is not None and node.parent.type in ("declaration", "parameter_declaration")


def parameters(function: Any) -> list[str]:
    """Return the names of a function's parameters; "" for one without."""
    node = function.child_by_field_name("declarator")
    while node is not None and node.type != "function_declarator":
        node = node.child_by_field_name("declarator")
    if node is None:
        return []
    found = node.child_by_field_name("parameters").named_children
    return [
        next((text(name) for name in _declarators(one)), "")
        for one in found
        if one.type == "parameter_declaration"
    ]


def name_of(function: Any) -> str:
    """Return a function's name; "" without."""
    node = function.child_by_field_name("declarator")
    while node is not None and node.type != "identifier":
        node = node.child_by_field_name("declarator")
    return text(node) if node is not None else ""


def function_above(node: Any) -> Any:
    """Return the function that a node stands in. Errors: NotPossible."""
    while node is not None and node.type != "function_definition":
        node = node.parent
    if node is None:
        raise NotPossible("it is made outside of any function")
    return node
