"""The table of real command lines, tests/system/commands.toml. Not a test: tests import it."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "system"
TABLE: dict[str, Any] = tomllib.loads((FOLDER / "commands.toml").read_text())
CASES: list[dict[str, Any]] = TABLE["case"]


def command_line(case: dict[str, Any]) -> list[str]:
    """The argv of a case: its own, or its text given to its shell (bash)."""
    if "argv" in case:
        return list(case["argv"])
    return [*case.get("shell", ["bash"]), "-c", case["run"]]
