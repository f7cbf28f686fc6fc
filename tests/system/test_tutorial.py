"""docs/tutorial.md: its commands work, and what they print is still what stands there."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.any_user

ROOT = Path(__file__).resolve().parents[2]
TUTORIAL = ROOT / "docs" / "tutorial.md"
PROGRAMS = ("archive.c", "archive_mended.c")
MARK = "--- status "
CONSTANT = 0.7  # of a command's lines: the others differ with the machine's speed


def commands() -> list[tuple[str, list[str]]]:
    """The commands and what they have printed."""
    found: list[tuple[str, list[str]]] = []
    for block in re.findall(
        r"^```console\n(.*?)^```$", TUTORIAL.read_text(), re.MULTILINE | re.DOTALL
    ):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            elif line and line != "...":
                found[-1][1].append(line)
    return found


def plain(line: str) -> str:
    """A line without numbers, addresses and the like."""
    line = re.sub(r"0x[0-9a-f]+", "#", line)
    return re.sub(r"[\s.,-]+", " ", re.sub(r"\d[\d.,]*( k| M)?", "#", line)).strip()


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[int, list[str]]]:
    """Status and output of each command, all run in one shell as a reader would."""
    folder = tmp_path_factory.mktemp("archive")
    for name in PROGRAMS:
        shutil.copy(ROOT / "examples" / name, folder)
    path = f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin"
    env = {"PATH": path, "HOME": str(folder), "LC_ALL": "C.UTF-8"}
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    script = "".join(
        f"echo {shlex.quote('$ ' + command)}\n{command}\necho '{MARK}'$?\n"
        for command, _ in commands()
    )
    done = subprocess.run(
        ["bash"], input=script, cwd=folder, text=True, timeout=110, check=True,
        env=env | ({"XDG_RUNTIME_DIR": runtime} if runtime else {}),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    found = {}
    for part in re.split(r"^\$ ", done.stdout, flags=re.MULTILINE)[1:]:
        first, _, rest = part.partition("\n")
        output, _, status = rest.rpartition(MARK)
        found[first] = (int(status), output.splitlines())
    return found


def test_there_is_a_story() -> None:
    """Each of the tools has its place in it."""
    words = " ".join(command for command, _ in commands())
    for tool in ("exo-um trace -c", "posix-x analyze", "posix-x profile --html", "exo-cc"):
        assert tool in words


@pytest.mark.xdist_group("tutorial")
@pytest.mark.parametrize("command", [command for command, _ in commands()])
def test_a_command_prints_what_the_tutorial_shows(
    played: dict[str, tuple[int, list[str]]], command: str
) -> None:
    """It succeeds (diff: finds differences), and most lines are those shown but for numbers."""
    status, output = played[command]
    assert status == (1 if command.startswith("diff ") else 0), output
    shown = [plain(line) for line in dict(commands())[command]]
    real = {plain(line) for line in output}
    missing = [line for line in shown if line not in real]
    assert len(missing) <= (1 - CONSTANT) * len(shown), (missing, output)
