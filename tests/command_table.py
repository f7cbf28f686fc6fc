"""The table of real command lines, tests/system/commands.toml. Not a test: tests import it."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parent / "system"
TABLE: dict[str, Any] = tomllib.loads((FOLDER / "commands.toml").read_text())
CASES: list[dict[str, Any]] = TABLE["case"]


def parameter(case: dict[str, Any], *marks: pytest.MarkDecorator) -> Any:
    """A parameter set for a case; those that compile Go are one worker's, which has the cache."""
    group = [pytest.mark.xdist_group("go")] if "go" in case.get("needs", []) else []
    return pytest.param(case, id=case["name"], marks=[*group, *marks])


def command_line(case: dict[str, Any]) -> list[str]:
    """The argv of a case: its own, or its text given to its shell (bash)."""
    if "argv" in case:
        return list(case["argv"])
    return [*case.get("shell", ["bash"]), "-c", case["run"]]
