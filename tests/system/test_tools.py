"""Every command line of the tools: help, mistakes, what cannot be written, odd names."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

pytestmark = pytest.mark.any_user

BIN = Path(sys.executable).parent
COMMANDS = (
    *("exo-um", "exo-um run", "exo-um exec", "exo-um kill", "exo-um ps", "exo-um top"),
    *("exo-um trace", "posix-x", "posix-x analyze", "posix-x benchmark", "posix-x migrate"),
    *("posix-x profile", "exo-cc"),
)
ODD = b"\xff\xfe"  # no UTF-8
COMPLETED = {
    "exo-um tr": {"trace"},
    "exo-um run --pl": {"--placement", "--platform"},
    "exo-um run --platform pr": {"preload"},
    "exo-um run --name x busyb": {"busybox"},
    "exo-um trace --de": {"--decode-fds"},
    "exo-um exec nonesuch": set(),
    "posix-x pro": {"profile"},
    "posix-x profile --ht": {"--html"},
}


def run(
    argv: list[str | bytes], stdout: int = subprocess.PIPE, **env: str
) -> subprocess.CompletedProcess[bytes]:
    """Run a command of ours, without any variable but those given."""
    words = [os.fsencode(word) for word in argv]
    words[0] = os.fsencode(BIN / argv[0])  # type: ignore[operator]
    return subprocess.run(
        words,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        env=env,
        timeout=60,
        check=False,
    )


def told(done: subprocess.CompletedProcess[bytes]) -> str:
    """Return the one line that was said."""
    text = done.stderr.decode(errors="surrogateescape")
    assert text.count("\n") == 1, text
    return text


@pytest.mark.parametrize("name", COMMANDS)
def test_help(name: str) -> None:
    done = run([*name.split(), "--help"], PATH="", COLUMNS="20")
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"Examples:" in done.stdout
    assert b"\x1b" not in done.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_help_that_nobody_reads_or_that_cannot_be_written(name: str) -> None:
    reads, writes = os.pipe()
    os.close(reads)
    done = run([*name.split(), "--help"], writes)
    os.close(writes)
    assert (done.returncode, done.stderr) == (141, b"")
    with open("/dev/full", "wb", buffering=0) as full:  # noqa: PTH123 - its fd is wanted
        done = run([*name.split(), "--help"], full.fileno())
    assert done.returncode == 1
    assert told(done) == f"{name.split(maxsplit=1)[0]}: no space left on device\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with files that are not what they should be."""
    monkeypatch.chdir(tmp_path)
    Path("dir").mkdir()
    files = {"garbage": b"garbage here", "short": b"\x7fELF\x02\x01\x01", "nothing": b""}
    for name, content in files.items():
        Path(name).write_bytes(content)
        Path(name).chmod(0o755)
    Path("plain").write_bytes(Path("/bin/true").read_bytes())
    Path("plain").chmod(0o644)
    Path("a.c").write_text("int main(void) { return 0; }\n")
    return tmp_path


@pytest.mark.parametrize("tool", ["exo-um run", "exo-um trace", "posix-x profile"])
def test_what_cannot_be_started(tool: str, folder: Path) -> None:
    absent = {"exo-um trace": 1}.get(tool, 127)
    for name, status in (
        *(("./none", absent), ("./dir", 126), ("./plain", 126)),
        *(("./garbage", 126), ("./short", 126), ("./nothing", 126)),
    ):
        done = run([*tool.split(), name])
        assert (done.returncode, done.stdout) == (status, b""), name
        assert name in told(done)


MISTAKES = {
    "exo-um nonesuch": (2, "No such command"),
    "exo-um run --nonesuch": (2, "no such option"),
    "exo-um run --stats dir true": (125, "is a directory"),
    "exo-um run --stats no/x true": (125, "not there"),
    "exo-um exec nonesuch true": (1, "no such instance"),
    "exo-um trace -o dir true": (1, "directory"),
    "exo-um trace -p 99999999": (1, "attach: ptrace(PTRACE_SEIZE, 99999999): No such process"),
    "posix-x analyze": (2, "Missing argument 'BINARY'; try"),
    "posix-x analyze ./none": (1, "no such file"),
    "posix-x analyze ./dir": (1, "is a directory"),
    "posix-x analyze ./garbage": (1, "not an ELF file"),
    "posix-x analyze ./short": (1, "damaged"),
    "posix-x profile -o no/x true": (1, "no such file"),
    "posix-x profile -o /dev/full true": (1, "/dev/full: no space left"),
    "posix-x migrate none.c": (1, "no such file"),
    "posix-x migrate dir": (1, "is a directory"),
    "posix-x migrate plain": (1, "binary"),
    "posix-x migrate garbage": (1, "not understood as C: no ;"),
    "posix-x migrate a.c -o no/x": (1, "no/x: no such file"),
    "exo-cc --exo-libc=x a.c": (2, "glibc or musl"),
    "exo-cc --exo-cc=nonesuch a.c": (127, "not found"),
}


@pytest.mark.parametrize("words", MISTAKES)
def test_mistakes_get_a_line(words: str, folder: Path) -> None:
    done = run([*words.split()], PATH=os.environ["PATH"])
    status, text = MISTAKES[words]
    assert (done.returncode, done.stdout) == (status, b"")
    assert text in told(done)


def test_names_that_are_no_text(folder: Path) -> None:
    for name, content in ((ODD, Path("/bin/true").read_bytes()), (ODD + b".c", b"int a;\n")):
        Path(os.fsdecode(name)).write_bytes(content)
        Path(os.fsdecode(name)).chmod(0o755)
    path = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
    found = run(["posix-x", "analyze", b"./" + ODD], **path)
    assert (found.returncode, found.stderr) == (0, b"")
    assert ODD in found.stdout
    out = ["--html", "out.html", "--json", "out.json", "-o", "out.txt"]
    done = run(["posix-x", "profile", *out, b"./" + ODD], **path)
    assert (done.returncode, done.stderr) == (0, b"")
    assert json.loads(Path("out.json").read_text())["calls"]
    assert run(["exo-um", "trace", b"./" + ODD], **path).returncode == 0
    done = run(["posix-x", "migrate", ODD + b".c", "-o", b"new" + ODD], **path)
    assert (done.returncode, done.stderr) == (0, b"")
    assert "exo-um: ./" in told(run(["exo-um", "run", b"./none" + ODD], **path))


def test_a_killed_program_that_made_no_call(folder: Path) -> None:
    Path("a.c").write_text('__asm__(".globl _start; _start: hlt");\n')
    subprocess.run(["gcc", "-nostdlib", "-static", "-o", "stops", "a.c"], check=True)
    done = run(["posix-x", "profile", "./stops"])
    assert done.returncode == -11
    assert told(done) == "posix-x profile: ./stops: SIGSEGV before any call\n"


def test_stats_into_what_is_no_file(folder: Path) -> None:
    """A FIFO, as a device, is written to, and not replaced."""
    os.mkfifo("fifo")
    got: list[str] = []
    reader = threading.Thread(target=lambda: got.append((folder / "fifo").read_text()))
    reader.start()
    assert run(["exo-um", "run", "--stats", "fifo", "/bin/true"]).returncode == 0
    reader.join(20)
    assert json.loads(got[0])["exit_status"] == 0
    assert Path("fifo").is_fifo()


@pytest.mark.parametrize("words", COMPLETED)
def test_completion(words: str) -> None:
    program, *_ = words.split()
    variable = f"_{program.upper().replace('-', '_')}_COMPLETE"
    count = str(len(words.split(" ")) - 1)
    env = {"PATH": os.environ["PATH"], "COMP_WORDS": words, "COMP_CWORD": count}
    done = run([program], **{variable: "bash_complete", **env})
    assert (done.returncode, done.stderr) == (0, b"")
    lines = done.stdout.decode().splitlines()
    found = {line.removeprefix("plain,") for line in lines if line.startswith("plain,")}
    assert found == COMPLETED[words]


def test_completion_of_exo_cc() -> None:
    script = run(["exo-cc"], _EXO_CC_COMPLETE="bash_source").stdout.decode()
    code = "COMP_WORDS=(exo-cc --exo-l); COMP_CWORD=1; _exo_cc_completion; echo ${COMPREPLY[@]}"
    argv = ["bash", "-c", f"{script}\n{code}"]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert done.stdout == "--exo-libc=glibc --exo-libc=musl\n"
    for shell in ("zsh", "fish"):
        assert b"exo-cc" in run(["exo-cc"], _EXO_CC_COMPLETE=f"{shell}_source").stdout
