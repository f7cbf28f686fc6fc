"""exo-um trace: what it writes of programs, beside what strace writes, and what it does to them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from sidebyside import Launcher

pytestmark = pytest.mark.any_user

CALLS = Path(__file__).resolve().parents[1] / "conformance" / "calls"
GROUPS = ("file", "process", "socket", "signal", "memory", "misc", "notify", "ipc", "time")
sys.path.insert(1, str(CALLS))

VARYING = {  # calls whose results are others each time
    "add_key", "clock_gettime", "fstatfs", "getcpu", "getitimer", "getrandom", "getrusage",
    "gettimeofday", "statfs", "sysinfo", "time", "timer_gettime", "times",
}  # fmt: skip
ADDRESS = re.compile(r"0x[0-9a-f]{6,}")
PLATFORMS = ([], ["--no-patch"], ["--platform", "ptrace"])


@pytest.fixture
def trace(launcher: Launcher) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run exo-um trace in a fresh directory, its output in the file `out` there."""
    exo = launcher.exo_command(["x"])[0]
    folder = launcher.fresh({})

    def run(*words: str, **given: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [exo, "trace", *words], cwd=folder, text=True, capture_output=True, timeout=60,
            check=False, **given,  # type: ignore[call-overload]
        )  # fmt: skip

    run.folder = folder  # type: ignore[attr-defined]
    return run


def lines_of(run: object, name: str = "out") -> list[str]:
    """The lines of a file that a trace has written."""
    text: str = (run.folder / name).read_text()  # type: ignore[attr-defined]
    return text.splitlines()


@pytest.mark.parametrize("flags", PLATFORMS, ids=["patched", "unpatched", "ptrace"])
def test_a_program_s_calls_are_strace_s(
    trace: Callable[..., subprocess.CompletedProcess[str]],
    require: Callable[[str], None],
    flags: list[str],
) -> None:
    """The same lines for the same program, but for addresses and random bytes."""
    require("strace")
    program = ["/bin/busybox", "sh", "-c", "cd /; umask 27; echo hi; read x </dev/null; exit 3"]
    ours = trace("-o", "out", *flags, *program)
    assert (ours.returncode, ours.stdout) == (3, "hi\n")
    theirs = trace.folder / "strace"  # type: ignore[attr-defined]
    subprocess.run(
        ["strace", "-o", theirs, *program],
        cwd=trace.folder,  # type: ignore[attr-defined]
        check=False,
        capture_output=True,
    )
    mine = [plain(line) for line in lines_of(trace)]
    expected = [plain(line) for line in theirs.read_text().splitlines()]
    for gone in ("getpid", "getppid", "set_tid_address", "getrandom", "newfstatat", "uname"):
        mine = [line for line in mine if not line.startswith(gone)]
        expected = [line for line in expected if not line.startswith(gone)]
    assert mine == expected


def plain(line: str) -> str:
    """A line without what differs from run to run."""
    line = re.sub(r"0x\w+ /\* \d+ vars \*/", "VARS", line)
    return re.sub(r" += ", " = ", ADDRESS.sub("ADDRESS", line))


def test_two_hundred_calls_are_decoded_as_strace_decodes_them(
    trace: Callable[..., subprocess.CompletedProcess[str]],
    require: Callable[[str], None],
    launcher: Launcher,
) -> None:
    """Of the calls of the conformance cases, on the host, over 200 have no line that differs."""
    require("gcc")
    require("strace")
    import language

    folder: Path = trace.folder  # type: ignore[attr-defined]
    binary = folder / "caller"
    sources = sorted(map(str, CALLS.glob("*.c")))
    subprocess.run(["gcc", "-O1", "-static", "-w", "-o", binary, *sources], check=True)
    exo = launcher.exo_command(["x"])[0]
    found: list[dict[str, set[str]]] = [{}, {}]
    for group in GROUPS:
        cases = list(language.written(CALLS / f"{group}.calls"))
        (folder / group).write_text("".join(f"{language.compiled(case)}\n" for case in cases))
        for place, tracer in enumerate((["strace"], [exo, "trace", "--platform", "ptrace"])):
            out = folder / f"{group}.{place}"
            work = folder / f"work.{group}"
            out.mkdir()
            work.mkdir()
            command = [
                *tracer,
                "-qq",
                "-ff",
                "-o",
                str(out / "o"),
                str(binary),
                str(folder / group),
            ]
            own = ["unshare", "--mount", "--ipc", "--uts"]
            own += [] if os.getuid() == 0 else ["--user", "--map-current-user"]
            subprocess.run(
                [*own, "setarch", "-R", *command], cwd=work, check=False, capture_output=True
            )
            subprocess.run(["rm", "-rf", work], check=True)
            gather(out, found[place])
    theirs, ours = found
    same = {name for name, lines in theirs.items() if lines == ours.get(name)}
    assert len(same) >= 200, sorted(theirs.keys() - same)


OBJECTS = """
import ctypes
c = ctypes.CDLL(None)
room = ctypes.create_string_buffer(128)
for get, control, at in ("shmget", "shmctl", 1), ("msgget", "msgctl", 1), ("semget", "semctl", 2):
    number = getattr(c, get)(0, *((5000, 0o600) if get != "msgget" else (0o600,)))
    for command in 2, 1, 0:
        getattr(c, control)(number, *([0] * (at - 1)), command, room)
for size in 48, 56:
    c.syscall(315, 0, room, size, 0)
"""


@pytest.mark.parametrize("flags", PLATFORMS[::2], ids=["patched", "ptrace"])
def test_what_objects_tell_is_shown(
    trace: Callable[..., subprocess.CompletedProcess[str]],
    require: Callable[[str], None],
    flags: list[str],
) -> None:
    """IPC_STAT and IPC_SET of all three kinds, sched_getattr(2)."""
    require("strace")
    words = ["-e", "trace=shmctl,msgctl,semctl,sched_getattr"]
    program = ["/usr/bin/python3", "-S", "-c", OBJECTS]
    folder = trace.folder  # type: ignore[attr-defined]
    subprocess.run(["strace", "-o", "theirs", *words, *program], cwd=folder, check=True)
    assert trace("-o", "out", *flags, *words, *program).returncode == 0
    shown = []
    for name in ("theirs", "out"):
        varies = re.compile(r"(?<=ctl\()\d+|(?<=pid=)\d+|(?<=ctime=)\d+")
        shown.append([varies.sub("N", plain(line)) for line in lines_of(trace, name)])
    assert shown[0] == shown[1]
    assert len(shown[0]) == 12


def gather(folder: Path, lines: dict[str, set[str]]) -> None:
    """Add the different lines of each call, of all processes; pids are all the same."""
    pids = re.compile(r"\b(" + "|".join(path.suffix[1:] for path in folder.iterdir()) + r")\b")
    for path in folder.iterdir():
        for line in path.read_text(errors="replace").splitlines():
            name = line.partition("(")[0]
            text = pids.sub("P", re.sub(r" += ", " = ", line))
            if name in VARYING:
                text = re.sub(r"\d+|\\x[0-9a-f]{2}", "N", text)
            lines.setdefault(name, set()).add(text)


@pytest.mark.parametrize("flags", PLATFORMS, ids=["patched", "unpatched", "ptrace"])
def test_no_call_is_lost_or_out_of_order(
    trace: Callable[..., subprocess.CompletedProcess[str]], flags: list[str]
) -> None:
    """Threads that seek to every place in turn: each thread's places come in their order."""
    count, threads = (20000, 3) if "--platform" not in flags else (500, 2)
    code = (
        "import os, threading\n"
        f"def go():\n fd = os.open('/dev/null', 0)\n for i in range({count}): os.lseek(fd, i, 0)\n"
        f"ts = [threading.Thread(target=go) for _ in range({threads})]\n"
        "[t.start() for t in ts]; [t.join() for t in ts]\n"
    )
    done = trace(
        "-f", "-o", "out", "-e", "trace=lseek", *flags, "/usr/bin/python3", "-S", "-c", code
    )
    assert done.returncode == 0, done.stderr
    places: dict[str, list[int]] = {}
    for line in lines_of(trace):
        match = re.match(r"(\d+) +lseek\(\d+, (\d+), SEEK_SET", line)
        if match:
            places.setdefault(match[1], []).append(int(match[2]))
    full = [seen for seen in places.values() if len(seen) >= count]
    assert len(full) == threads
    assert all(seen == list(range(count)) for seen in full)


def test_signals_and_ends_are_shown(
    trace: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    """Whoever is killed, by whatever; a parent's wait goes on after that."""
    script = (
        "trap : USR1; kill -USR1 $$ & wait; (kill -KILL $BASHPID); sh -c 'kill -TERM $$'; exit 5"
    )
    done = trace("-f", "-o", "out", "/bin/bash", "-c", script)
    assert done.returncode == 5
    text = "\n".join(lines_of(trace))
    assert "--- SIGUSR1 {si_signo=SIGUSR1, si_code=SI_USER" in text
    assert 0 < text.find("+++ killed by SIGKILL +++") < text.find("WTERMSIG(s) == SIGKILL")
    assert "+++ killed by SIGTERM +++" in text
    assert text.endswith("+++ exited with 5 +++")


def test_it_ends_as_the_program_does(
    trace: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    """By its signal; and a program that is not there gives 1, as strace."""
    assert trace("-o", "out", "/bin/sh", "-c", "kill -TERM $$").returncode == -15
    assert trace("/nowhere/x").returncode == 1


@pytest.mark.parametrize("flags", PLATFORMS, ids=["patched", "unpatched", "ptrace"])
def test_calls_are_tampered_with(
    trace: Callable[..., subprocess.CompletedProcess[str]], flags: list[str]
) -> None:
    """An errno for one call of a kind, counted from the first, and it is not made."""
    code = (
        "import os\n"
        "for i in range(4):\n"
        " try: os.mkdir(f'd{i}')\n"
        " except OSError as error: print(i, error.errno)\n"
        "print(sorted(os.listdir()))\n"
    )
    inject = "inject=mkdir:error=EDQUOT:when=2..3"
    done = trace(
        "-o", "out", "-e", "trace=mkdir", "-e", inject, *flags, "/usr/bin/python3", "-c", code
    )
    assert done.stdout == "1 122\n2 122\n['d0', 'd3', 'out']\n"
    injected = [line for line in lines_of(trace) if line.endswith("(INJECTED)")]
    assert len(injected) == 2
    assert injected[0].startswith('mkdir("d1", 0777)')


def test_calls_are_counted(trace: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    """-c: how often, and how many failed."""
    code = "import os\nfor i in range(1000): os.getppid()\nfor i in range(7): os.access('/no', 0)"
    trace("-c", "-o", "out", "/usr/bin/python3", "-c", code)
    rows = {line.split()[-1]: line.split() for line in lines_of(trace)[2:]}
    assert int(rows["getppid"][3]) == 1000
    assert int(rows["access"][4]) >= 7
    assert rows["execve"][3] == "1"


def test_counts_are_kept_of_whoever_is_killed(
    trace: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    """A thread has its own counters, if there are enough; nothing of either kind is lost."""
    code = (
        "import os, threading\n"
        "gate = threading.Barrier(81)\n"
        "def go():\n gate.wait()\n for i in range(50): os.getppid()\n gate.wait()\n"
        "ts = [threading.Thread(target=go, daemon=True) for _ in range(80)]\n"
        "[t.start() for t in ts]; gate.wait(); gate.wait(); os.kill(os.getpid(), 9)\n"
    )
    done = trace("-f", "-c", "-o", "out", "/usr/bin/python3", "-c", code)
    assert done.returncode == -9
    rows = {line.split()[-1]: line.split() for line in lines_of(trace)[2:]}
    assert rows["getppid"][3] == "4000"


def test_a_program_that_may_not_read_time_stamps(
    trace: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    """PR_SET_TSC is of the whole thread, and the runtime that tells of it needs time stamps."""
    code = (
        "import ctypes, os; p = ctypes.CDLL(None).prctl; "
        "print(p(26, 2), os.getppid() > 0, p(26, 1))"
    )
    for flags in ([], ["-c"]):
        done = trace(*flags, "-f", "-o", "out", "/usr/bin/python3", "-c", code)
        assert (done.returncode, done.stdout) == (0, "0 True 0\n")
        assert "getppid" in (trace.folder / "out").read_text()  # type: ignore[attr-defined]


def test_json_and_perfetto(trace: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    """Both are JSON, with each call's name, arguments and duration."""
    trace("--format", "json", "-o", "out", "/bin/busybox", "true")
    events = [json.loads(line) for line in lines_of(trace)]
    assert events[0]["call"] == "execve"
    assert events[-1]["exited"] == 0
    trace("--format", "perfetto", "-o", "view", "/bin/busybox", "true")
    shown = json.loads("\n".join(lines_of(trace, "view")))["traceEvents"]
    assert {"name", "ph", "ts", "dur", "pid", "tid"} <= shown[0].keys()


def test_a_tracer_that_dies_leaves_the_program_alone(
    trace: Callable[..., subprocess.CompletedProcess[str]], launcher: Launcher
) -> None:
    """With the rings full and nobody to empty them, the program runs to its end."""
    exo = launcher.exo_command(["x"])[0]
    code = "import os\nprint(os.getppid(), flush=True); input()\n"
    code += "for i in range(200000): os.getppid()\nprint('done')"
    tracer = subprocess.Popen(
        [exo, "trace", "-o", "out", "/usr/bin/python3", "-c", code],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        cwd=trace.folder,  # type: ignore[attr-defined]
    )  # fmt: skip
    assert tracer.stdin is not None
    assert tracer.stdout is not None
    tracer.stdout.readline()
    tracer.kill()
    tracer.wait()
    tracer.stdin.write("\n")
    tracer.stdin.flush()
    assert tracer.stdout.readline() == "done\n"
    tracer.stdin.close()
    tracer.stdout.close()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "must have PROGRAM"),
        (["-e", "trace=nonesuch", "true"], "invalid system call 'nonesuch'"),
        (["-e", "inject=read:error=ENONE", "true"], "invalid error 'ENONE'"),
        (["-p", "1", "--instance", "nonesuch"], "no such instance"),
    ],
)
def test_mistakes_take_a_line(
    trace: Callable[..., subprocess.CompletedProcess[str]], words: list[str], message: str
) -> None:
    """No traceback, and one line that says what."""
    done = trace(*words)
    assert done.returncode in (1, 2)
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_what_cannot_be_executed_is_said_and_not_traced(
    trace: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    """As exo-um run has it: one line, and a shell's exit status."""
    garbage = trace.folder / "garbage"  # type: ignore[attr-defined]
    garbage.write_bytes(b"garbage")
    garbage.chmod(0o700)
    for name, why in (("/tmp", "permission denied"), ("./garbage", "not an ELF file")):
        run = trace("-o", "out", name)
        assert (run.returncode, run.stdout) == (126, "")
        assert run.stderr.count("\n") == 1
        assert why in run.stderr
        assert lines_of(trace) == []
