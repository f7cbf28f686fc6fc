"""Every command line of commands.toml does the same natively and under exo-um."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from command_table import CASES, FOLDER, TABLE, command_line, parameter
from platforms import check_command
from sidebyside import Pair

KEYS = {
    "name",
    "run",
    "shell",
    "argv",
    "stdin",
    "files",
    "needs",
    "setup",
    "normalise",
    "timeout",
    "status",
}


def limited(case: dict[str, Any]) -> Any:
    """A parameter set whose limit lets both runs reach their own timeouts."""
    seconds = 2 * case.get("timeout", 120) + 300
    return parameter(case, pytest.mark.timeout(seconds))


@pytest.mark.parametrize("case", [limited(case) for case in CASES])
def test_command(
    case: dict[str, Any], require: Callable[[str], None], both: Callable[..., Pair]
) -> None:
    """Same stdout, stderr and exit status; the native run must end with the status of the table."""
    check_command(case, require, both)


def test_table_is_sound() -> None:
    """Names are unique, keys known, and every program that a case needs has a Debian package."""
    names = [case["name"] for case in CASES]
    assert len(names) == len(set(names))
    for case in CASES:
        assert set(case) <= KEYS, case["name"]
        assert ("run" in case) != ("argv" in case), case["name"]
    needed = {
        program for case in CASES for program in [command_line(case)[0], *case.get("needs", [])]
    }
    assert not (unknown := needed - set(TABLE["packages"])), f"no package known for {unknown}"
    lines = (FOLDER / "packages.txt").read_text().splitlines()
    listed = {line.strip() for line in lines if line.strip() and not line.startswith("#")}
    assert set(TABLE["packages"].values()) <= listed
