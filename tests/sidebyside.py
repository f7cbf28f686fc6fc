"""Run one command natively and under exo-um in the same place, and compare what came out.

Not a test: conftest.py builds a Launcher for each test, and the system and guest tests use it.
Both runs happen one after the other in a fresh directory of the same path with the same
contents and the same small environment, so that even paths in the output are equal.
"""

from __future__ import annotations

import contextlib
import difflib
import os
import pwd
import re
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

MARK = "EXO_TEST_MARK"
SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Outcome:
    """What a command left behind; status is the shell's: 128 + N after signal N."""

    stdout: bytes
    stderr: bytes
    status: int
    timed_out: bool = False
    seconds: float = 0.0

    def normalised(self, rules: Iterable[tuple[str, str]]) -> list[str]:
        """The outcome as lines to compare, with the regular expressions in rules applied."""
        parts = []
        for name, raw in (("stdout", self.stdout), ("stderr", self.stderr)):
            text = raw.decode("utf-8", "backslashreplace")
            for pattern, replacement in rules:
                text = re.sub(pattern, replacement, text, flags=re.MULTILINE)
            parts += [f"{name}: {line}" for line in text.split("\n")]
        state = "timed out" if self.timed_out else f"status: {self.status}"
        return [*parts, state]


@dataclass(frozen=True)
class Pair:
    """The outcomes of one command line, natively and under exo-um."""

    native: Outcome
    exo: Outcome

    def difference(self, rules: Iterable[tuple[str, str]] = ()) -> str:
        """A unified diff, empty when both behaved the same."""
        rules = list(rules)
        return "\n".join(
            difflib.unified_diff(
                self.native.normalised(rules),
                self.exo.normalised(rules),
                "native",
                "exo-um",
                "",
                "",
                3,
                "",
            )
        )


def have(program: str) -> bool:
    """Whether the fixed search path (not the caller's) finds program."""
    return shutil.which(program, path=SEARCH_PATH) is not None


def marked_processes(mark: str) -> Iterator[psutil.Process]:
    """Live processes whose environment carries this test's mark."""
    entry = f"{MARK}={mark}".encode()
    for pid in [int(name) for name in os.listdir("/proc") if name.isdigit()]:  # noqa: PTH208
        with contextlib.suppress(psutil.Error, OSError):
            environment = Path(f"/proc/{pid}/environ").read_bytes()
            if pid != os.getpid() and entry in environment.split(b"\0"):
                yield psutil.Process(pid)


def descendants(pid: int) -> Iterator[int]:
    """Pids of a process's children, and of theirs; zombies among them."""
    with contextlib.suppress(OSError):
        for thread in list(Path(f"/proc/{pid}/task").iterdir()):
            for child in map(int, (thread / "children").read_text().split()):
                yield child
                yield from descendants(child)


def kill_everything(group: int, mark: str) -> None:
    """End a process group that a test started, and whatever else carries its mark."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)
    for process in marked_processes(mark):
        with contextlib.suppress(psutil.Error):
            process.kill()


@dataclass
class Launcher:
    """Runs commands in base/work; base belongs to the user that the commands run as."""

    base: Path
    mark: str
    exo_um: Path | None
    exo_flags: Sequence[str] = ()
    user: str | None = None
    cache: Path | None = None
    extra_env: dict[str, str] = field(default_factory=dict)

    @property
    def work(self) -> Path:
        """The directory in which every command starts."""
        return self.base / "work"

    def environment(self) -> dict[str, str]:
        """The fixed environment of both sides."""
        account = pwd.getpwnam(self.user) if self.user else pwd.getpwuid(os.getuid())
        environment = {
            "PATH": SEARCH_PATH,
            "HOME": str(self.work),
            "TMPDIR": str(self.work),
            "LANG": "C.UTF-8",
            "TZ": "UTC",
            "USER": account.pw_name,
            "LOGNAME": account.pw_name,
            "SHELL": "/bin/sh",
            MARK: self.mark,
        }
        if self.cache is not None:
            environment |= {
                "GOCACHE": str(self.cache / "go"),
                "GOFLAGS": "-mod=mod",
                "GOTOOLCHAIN": "local",
            }
        return environment | self.extra_env

    def fresh(self, files: Mapping[str, str | bytes] | None = None) -> Path:
        """Make an empty work directory holding files; names with a #! text become executable."""
        shutil.rmtree(self.work, ignore_errors=True)
        self.work.mkdir(mode=0o755)
        for name, content in (files or {}).items():
            path = self.work / name
            path.parent.mkdir(parents=True, exist_ok=True)
            data = content.encode() if isinstance(content, str) else content
            path.write_bytes(data)
            path.chmod(0o755 if data[:2] == b"#!" or data[:4] == b"\x7fELF" else 0o644)
        self.hand_over(self.work)
        return self.work

    def hand_over(self, top: Path) -> None:
        """Give top and all in it to the ordinary user, if there is one."""
        if self.user is None:
            return
        account = pwd.getpwnam(self.user)
        for path in [top, *top.rglob("*")]:
            os.chown(path, account.pw_uid, account.pw_gid, follow_symlinks=False)

    def identity(self) -> dict[str, object]:
        """The Popen arguments that turn root into the ordinary user."""
        if self.user is None:
            return {}
        account = pwd.getpwnam(self.user)
        return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}

    def exo_command(self, argv: Sequence[str], flags: Sequence[str] = ()) -> list[str]:
        """The command line that runs argv under exo-um."""
        assert self.exo_um is not None
        return [str(self.exo_um), "run", *self.exo_flags, *flags, "--", *argv]

    def start(self, argv: Sequence[str], **options: object) -> subprocess.Popen[bytes]:
        """Popen in the work directory, as the user, in a session of its own."""
        settings: dict[str, object] = {
            "cwd": self.work,
            "env": self.environment(),
            "start_new_session": True,
            "umask": 0o022,
            **self.identity(),
            **options,
        }
        process: subprocess.Popen[bytes] = subprocess.Popen(list(argv), **settings)  # type: ignore[call-overload]
        return process

    def command(self, argv: Sequence[str], stdin: bytes = b"", timeout: float = 120) -> Outcome:
        """Run argv as it is; past the timeout (seconds) its whole process group is killed."""
        began = time.monotonic()
        with self.start(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            late = False
            try:
                stdout, stderr = process.communicate(stdin, timeout)
            except subprocess.TimeoutExpired:
                late = True
                kill_everything(process.pid, self.mark)
                stdout, stderr = process.communicate()
            code = process.returncode
            return Outcome(
                stdout, stderr, code if code >= 0 else 128 - code, late, time.monotonic() - began
            )

    def exo(
        self,
        argv: Sequence[str],
        stdin: bytes = b"",
        timeout: float = 120,
        flags: Sequence[str] = (),
    ) -> Outcome:
        """Run argv under exo-um in the current work directory."""
        return self.command(self.exo_command(argv, flags), stdin, timeout)

    def both(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        files: Mapping[str, str | bytes] | None = None,
        setup: str = "",
        timeout: float = 120,
        flags: Sequence[str] = (),
    ) -> Pair:
        """Run argv on both sides; setup is a bash command that runs natively before each."""
        outcomes = []
        for command in (list(argv), self.exo_command(argv, flags)):
            self.fresh(files)
            if setup:
                ready = self.command(["bash", "-ec", setup], timeout=600)
                assert ready.status == 0, (
                    f"setup failed: {shlex.quote(setup)}\n{ready.stderr.decode()}"
                )
            outcomes.append(self.command(command, stdin, timeout))
        return Pair(*outcomes)
