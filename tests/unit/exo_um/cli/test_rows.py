"""How `exo-um ps` and `top` show numbers, and which signals `kill` knows."""

from __future__ import annotations

import signal

import click
import pytest

from exo_um.cli.kill import number_of
from exo_um.cli.rows import printable, show, shown_memory, shown_time


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00.00"), (1.234, "0:01.23"), (61, "1:01.00"), (3599.5, "59:59.50"), (7322, "2:02:02")],
)
def test_times(seconds: float, text: str) -> None:
    assert shown_time(seconds) == text


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0K"), (4096, "4K"), (11 << 20, "11M"), (11 << 30, "11G")]
)
def test_memory(size: int, text: str) -> None:
    assert shown_memory(size) == text


@pytest.mark.parametrize("text", ["TERM", "term", "SIGTERM", "15"])
def test_signals(text: str) -> None:
    assert number_of(text) == signal.SIGTERM


@pytest.mark.parametrize("text", ["", "NONE", "65", "-1", "1.5"])
def test_no_signals(text: str) -> None:
    with pytest.raises(click.BadParameter, match="no such signal"):
        number_of(text)


def test_commands_cannot_steer_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert printable("a\x1b[2Jb\n") == "a?[2Jb?"
    show(("PID", "COMMAND"), [["1", "[red]x[/]"], ["22", "y" * 300]])
    assert capsys.readouterr().out == f"PID  COMMAND\n  1  [red]x[/]\n 22  {'y' * 300}\n"
