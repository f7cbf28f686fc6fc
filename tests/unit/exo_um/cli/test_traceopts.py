"""The command line of exo-um trace: what the quick parser takes, click takes in the same way."""

from __future__ import annotations

import pytest

from exo_um.cli.trace import command
from exo_um.cli.traceopts import OPTIONS, parse

LINES = [
    "ls -l /",
    "-f ls",
    "-ffttt -yy -o out -s100 ls",
    "-c -S calls -e trace=open -e inject=read:error=EIO ls -c",
    "--string-limit=5 --columns 20 --format json -- ls",
    "-p 12 -p13 -tT",
    "-fo out ls",
    "--instance x --summary-only",
    "-E A=1 -EB -q -q -z -Z -v -C -r -k --no-patch --platform ptrace ls",
    "-e -x ls",
    "- x",
    "",
]
MISTAKES = [
    "--bogus ls",
    "-Q ls",
    "-s",
    "-s five ls",
    "--format xml ls",
    "-f=1 ls",
    "--quiet=1",
    "-h",
]


@pytest.mark.parametrize("line", LINES)
def test_both_parsers_agree(line: str) -> None:
    """On the program with its arguments, and on every option."""
    words = line.split()
    parsed = parse(words)
    assert parsed is not None
    given = command.make_context("trace", list(words)).params
    assert parsed[0] == given.pop("argv")
    assert parsed[1] == given


@pytest.mark.parametrize("line", MISTAKES)
def test_mistakes_and_help_are_left_to_click(line: str) -> None:
    """Only there they have messages."""
    assert parse(line.split()) is None


def test_names_are_given_once() -> None:
    """No two options share a name."""
    names = [name for option in OPTIONS for name in (option.short, option.long) if name]
    assert len(names) == len(set(names))
