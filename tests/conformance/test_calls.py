"""Each system call, with ordinary and with bad arguments, does under exo-um what it does natively.

The cases are the lines of calls/*.calls and those that calls/systematic.py makes from the table of
calls; calls/caller.c makes them, in a world of known files and fds, and prints what came out. A
difference that is meant stands in calls/differs.toml with its cause; one that is listed and does
not happen fails the test too.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from sidebyside import Launcher, Outcome

CALLS = Path(__file__).with_name("calls")
sys.path.insert(1, str(CALLS))

import language  # noqa: E402
import systematic  # noqa: E402

GROUPS = ["systematic", *sorted(path.stem for path in CALLS.glob("*.calls"))]
SHOWN = 40


@dataclass
class Difference:
    """An entry of differs.toml: cases that begin as one of the patterns says may differ."""

    cause: str
    cases: list[str]
    user: str = ""  # "root" or "other": only when run as such
    unused: set[str] = field(default_factory=set)

    def allows(self, case: str) -> bool:
        """Whether this is the case's difference; its pattern then counts as used."""
        found = {pattern for pattern in self.cases if re.match(pattern, case)}
        self.unused -= found
        return bool(found)


def known_differences(cases: list[str], user: str) -> Iterator[Difference]:
    """Give the entries of differs.toml for cases and user: the patterns that fit some case."""
    for row in tomllib.loads((CALLS / "differs.toml").read_text())["differs"]:
        entry = Difference(row["cause"], row["cases"], row.get("user", ""))
        if entry.user in ("", user):
            fits = [p for p in entry.cases if any(re.match(p, case) for case in cases)]
            entry.cases, entry.unused = fits, set(fits)
            yield entry


def cases_of(group: str) -> list[str]:
    """The cases of a group, in the language of calls/language.py."""
    if group == "systematic":
        return list(systematic.cases())
    return list(language.written(CALLS / f"{group}.calls"))


@pytest.fixture(scope="session")
def caller(require: Callable[[str], None]) -> Path:
    """The program that makes the calls, from a cache that its sources are the key of."""
    require("gcc")
    sources = sorted(CALLS.glob("*.[ch]"))
    key = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / f"exo-guests-{os.getuid()}"
    folder.mkdir(mode=0o755, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        pytest.fail(f"{folder} belongs to somebody else", pytrace=False)
    binary = folder / f"caller-{key}"
    if not binary.exists():
        fresh = binary.with_suffix(f".{os.getpid()}")
        programs = [path for path in sources if path.suffix == ".c"]
        subprocess.run(["gcc", "-O1", "-static", "-w", "-o", fresh, *programs], check=True)
        fresh.rename(binary)
    return binary


def wrapped(argv: list[str], user: str | None) -> list[str]:
    """The command in namespaces of its own: the host's name, mounts and IPC objects stay.

    It is not the leader of its session, so that a session has the same name on both sides.
    """
    own = ["unshare", "--mount", "--ipc", "--uts"]
    if os.getuid() != 0:
        own += ["--user", "--map-current-user"]
    if user is not None:
        own += ["setpriv", "--reuid", user, "--regid", "65534", "--clear-groups"]
    return [*own, "sh", "-c", '"$@"; exit', "sh", *argv]


def run(launcher: Launcher, caller: Path, cases: list[str], *, exo: bool) -> list[str]:
    """The lines that the caller prints for cases, one each."""
    work = launcher.fresh({"cases": "".join(f"{language.compiled(case)}\n" for case in cases)})
    argv = [str(caller), str(work / "cases")]
    if exo:
        argv = launcher.exo_command(argv)
    user, launcher.user = launcher.user, None
    outcome: Outcome = launcher.command(wrapped(argv, user), timeout=300)
    launcher.user = user
    lines = outcome.stdout.decode("utf-8", "backslashreplace").splitlines()
    assert len(lines) == len(cases), f"status {outcome.status}: {outcome.stderr.decode()[-2000:]}"
    return lines


@pytest.mark.timeout(700)
@pytest.mark.parametrize("group", GROUPS)
def test_calls(
    group: str, caller: Path, launcher: Launcher, require: Callable[[str], None]
) -> None:
    """Results, errnos, memory and effects are the native ones, but for what differs.toml has."""
    require("unshare")
    require("setpriv")
    cases = cases_of(group)
    user = "root" if os.getuid() == 0 and launcher.user is None else "other"
    native = run(launcher, caller, cases, exo=False)
    exo = run(launcher, caller, cases, exo=True)
    known = list(known_differences(cases, user))
    surprises = [
        f"{case}\n    native {one}\n    exo-um {other}"
        for case, one, other in zip(cases, native, exo, strict=True)
        if one != other and not sum(entry.allows(case) for entry in known)
    ]
    surprises += [
        f"differs.toml: {pattern} does not differ" for entry in known for pattern in entry.unused
    ]
    assert not surprises, f"{len(surprises)}:\n" + "\n".join(surprises[:SHOWN])
