"""posix-x profile: what it tells of a program whose calls are known, however that ends."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.any_user

POSIX_X = str(Path(sys.executable).parent / "posix-x")
SOURCE = Path(__file__).with_name("profiled.c")
SIZE = 100_000  # bytes that are copied

Run = Callable[..., tuple[subprocess.CompletedProcess[str], dict[str, Any]]]


def line_of(comment: str) -> int:
    """The number of the line of the program that has a comment."""
    lines = SOURCE.read_text().splitlines()
    return next(i for i, line in enumerate(lines, 1) if f"/* {comment} */" in line)


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program, built with lines, and without symbols beside it."""
    folder = tmp_path_factory.mktemp("profiled")
    path = folder / "profiled"
    subprocess.run(["gcc", "-O1", "-g", "-pthread", "-o", path, SOURCE], check=True)
    subprocess.run(["strip", "-o", folder / "stripped", path], check=True)
    static = ["gcc", "-O1", "-g", "-static", "-pthread", "-o", folder / "static", SOURCE]
    subprocess.run(static, check=True)
    (folder / "input").write_bytes(os.urandom(SIZE))
    return path


@pytest.fixture
def profile(program: Path, tmp_path: Path) -> Run:
    """Profile a program of that folder; return how it ended and the report."""

    def run(what: str, *options: str, name: str = "profiled") -> Any:
        words = [str(program.with_name(name)), what, str(program.with_name("input")), "copied"]
        done = subprocess.run(
            [POSIX_X, "profile", "--json", "report", *options, *words], cwd=tmp_path,
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        return done, json.loads((tmp_path / "report").read_text())

    return run


def site(report: dict[str, Any], call: str, line: int) -> dict[str, Any]:
    """The row of a call at a line of the program."""
    rows = [
        row
        for row in report["sites"]
        if row["name"] == call
        and (row["place"]["file"], row["place"]["line"]) == (SOURCE.name, line)
    ]
    assert len(rows) == 1, [row["place"]["text"] for row in report["sites"]]
    return rows[0]


@pytest.mark.parametrize("name", ["profiled", "static"])
def test_sites_are_named_by_symbol_and_line(profile: Run, name: str) -> None:
    """The program's own place, though libc makes the call, and all calls of it."""
    done, report = profile("all", name=name)
    assert done.returncode == 7, done.stderr
    reads = -(-SIZE // 512)
    expected = (
        ("read", "copy reads", "copy", reads + 1),
        ("write", "copy writes", "copy", reads),
        ("write", "talk writes", "talk", 1000),
        ("write", "print flushes", "print", 40),
        ("openat", "ask asks", "ask", 20),
    )
    for call, comment, function, count in expected:
        row = site(report, call, line_of(comment))
        assert (row["place"]["function"], row["calls"]) == (function, count)
        assert 0 < row["median"] <= row["p99"] <= row["most"]
        assert row["cycles"] >= row["calls"] * 10
    written = site(report, "write", line_of("copy writes"))
    assert written["bytes"] == SIZE
    if name == "profiled":
        assert (written["by"]["function"], written["by"]["module"]) == ("write", "libc.so.6")


def test_patterns_are_counted(profile: Run) -> None:
    """Copies, with whether the data stayed the same; rows of small writes; paths."""
    _, report = profile("all")
    copies = {row["write_place"]["line"]: row for row in report["copies"]}
    same = copies[line_of("copy writes")]
    reads = -(-SIZE // 512)
    assert [same[key] for key in ("reads", "writes", "bytes", "largest")] == [
        reads, reads, SIZE, 512,
    ]  # fmt: skip
    assert (same["same"], same["changed"]) == (reads, 0)
    assert same["ways"][0][0]["name"].endswith("/input")
    assert same["ways"][0][1]["name"].endswith("/copied")
    changed = copies[line_of("change writes")]
    assert (changed["reads"], changed["same"], changed["changed"]) == (20, 0, 20)
    runs = {row["place"]["line"]: row for row in report["runs"]}
    talk = runs[line_of("talk writes")]
    assert [talk[key] for key in ("runs", "writes", "bytes", "longest")] == [1, 1000, 13000, 1000]
    assert runs[line_of("print flushes")]["writes"] == 40
    paths = {row["path"]: row for row in report["paths"]["top"]}
    assert (paths["/etc/passwd"]["count"], paths["/etc/passwd"]["failed"]) == (100, 0)
    assert (paths["/nowhere/at/all"]["count"], paths["/nowhere/at/all"]["failed"]) == (30, 30)
    found = report["paths"]
    assert found["again"] == found["lookups"] - found["different"] >= 128
    assert found["hit_rate"] == found["again"] / found["lookups"]


def test_tiers_and_calls_add_up(profile: Run) -> None:
    """Each call is in one tier, one row of names, one place; /proc/self/stat is Python's."""
    _, report = profile("all")
    for rows in ("tiers", "names", "sites"):
        assert sum(row["calls"] for row in report[rows]) == report["calls"]
        assert sum(row["cycles"] for row in report[rows]) == report["call_cycles"]
    tiers = {row["tier"]: row for row in report["tiers"]}
    assert tiers["legacy"]["calls"] >= 20
    names = {row["name"]: row for row in report["names"]}
    assert names["openat"]["legacy"] == 20
    assert names["getppid"]["calls"] == 2
    assert report["lost_records"] == 0


def test_suggestions_have_their_numbers(profile: Run) -> None:
    """For each pattern one, at its place, with what it rests on; what save most come first."""
    done, report = profile("all")
    given = {(one["kind"], one["place"]): one for one in report["suggestions"]}
    for kind, function, comment, number in (
        ("copy", "copy", "copy reads", "100,000 bytes"),
        ("batch", "talk", "talk writes", "1,000 write of 13.0 bytes"),
        ("legacy", "ask", "ask asks", "20 calls"),
    ):
        one = given[kind, f"{function} ({SOURCE.name}:{line_of(comment)})"]
        assert number in one["why"]
        assert 0 < one["saves_cycles"] <= report["call_cycles"]
        assert "median" in one["basis"]
        assert one["title"] in done.stderr
    assert (
        "copy_file_range" in given["copy", f"copy ({SOURCE.name}:{line_of('copy reads')})"]["title"]
    )
    saved = [one["saves_cycles"] for one in report["suggestions"]]
    assert saved == sorted(saved, reverse=True)


def test_without_symbols_and_without_callers(profile: Run) -> None:
    """A stripped program's places are addresses; without callers, libc's functions."""
    _, report = profile("all", name="stripped")
    text = [row["place"]["text"] for row in report["sites"] if row["calls"] == 1000]
    assert len(text) == 1
    assert re.fullmatch(r"0x[0-9a-f]+ \(stripped\)", text[0])
    _, report = profile("all", "--no-callers")
    assert all(row["by"] is None for row in report["sites"])
    assert max(report["sites"], key=lambda row: row["calls"])["place"]["function"] == "write"


def report_of(source: Path, build: list[str], folder: Path) -> Any:
    """Compile a program and return its report."""
    subprocess.run([*build, "-o", "made", source.name], cwd=folder, check=True, timeout=120)
    argv = [POSIX_X, "profile", "--json", "report", "./made"]
    subprocess.run(argv, cwd=folder, capture_output=True, timeout=60, check=True)
    return json.loads((folder / "report").read_text())


def test_callers_in_go(tmp_path: Path) -> None:
    """By Go's own table, through its library, up to the program's package."""
    source = tmp_path / "talk.go"
    source.write_text(
        'package main\n\nimport (\n\t"fmt"\n\t"os"\n)\n\n'
        'func talk(f *os.File) {\n\tfor i := 0; i < 2000; i++ {\n\t\tfmt.Fprintln(f, "line")\n'
        '\t}\n}\n\nfunc main() {\n\tf, _ := os.Create("lines")\n\ttalk(f)\n}\n'
    )
    report = report_of(source, ["go", "build"], tmp_path)
    rows = [row for row in report["sites"] if row["calls"] == 2000]
    assert [(row["name"], row["place"]["function"], row["place"]["line"]) for row in rows] == [
        ("write", "main.talk", 10)
    ]


def test_copies_by_messages(tmp_path: Path) -> None:
    source = tmp_path / "messages.c"
    source.write_text(
        """#include <sys/socket.h>
#include <unistd.h>
int main(void)
{
    int from[2], to[2];
    char sent[500], got[500], there[500];
    socketpair(AF_UNIX, SOCK_STREAM, 0, from);
    socketpair(AF_UNIX, SOCK_STREAM, 0, to);
    for (int i = 0; i < 100; i++) {
        for (int k = 0; k < 500; k++)
            sent[k] = (char)(i + k);
        struct iovec list = {got, 500};
        struct msghdr message = {.msg_iov = &list, .msg_iovlen = 1};
        if (write(from[1], sent, 500) != 500 || recvmsg(from[0], &message, 0) != 500 ||
            sendmsg(to[1], &message, 0) != 500 || read(to[0], there, 500) != 500)
            return 1;
    }
    return 0;
}
"""
    )
    report = report_of(source, ["gcc", "-O1", "-g"], tmp_path)
    rows = [row for row in report["copies"] if row["write"] == "sendmsg"]
    assert [(row["bytes"], row["writes"], row["same"]) for row in rows] == [(50000, 100, 100)]


def test_threads_and_forks(profile: Run) -> None:
    """Threads are the program; children are, with -f."""
    line = line_of("talk writes")
    _, report = profile("threads")
    assert site(report, "write", line)["calls"] == 3000
    _, report = profile("forks")
    assert report["processes"] == 1
    talk = (SOURCE.name, line)
    places = [(row["place"]["file"], row["place"]["line"]) for row in report["sites"]]
    assert talk not in places
    _, report = profile("forks", "-f")
    assert report["processes"] == 4
    assert site(report, "write", line)["calls"] == 3000
    runs = [row for row in report["runs"] if row["place"]["line"] == line]
    assert [(row["runs"], row["writes"]) for row in runs] == [(3, 3000)]


def test_a_killed_program_has_its_report(profile: Run) -> None:
    """All that it did until then; and profile ends as it did."""
    done, report = profile("killed")
    assert done.returncode == -signal.SIGKILL
    assert report["status"] == -signal.SIGKILL
    assert site(report, "write", line_of("talk writes"))["calls"] == 1000


def test_interrupted_it_reports_what_was_seen(program: Path, tmp_path: Path) -> None:
    """^C ends the program, and the report comes."""
    words = [str(program), "waits", "x", "y"]
    with subprocess.Popen(
        [POSIX_X, "profile", "--json", "report", "-o", "text", *words], cwd=tmp_path,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, process_group=0,
    ) as started:  # fmt: skip
        assert started.stdout is not None
        assert started.stdout.readline() == "ready\n"
        os.killpg(started.pid, signal.SIGINT)
        assert started.wait(60) == -signal.SIGINT
    report = json.loads((tmp_path / "report").read_text())
    assert report["status"] == -signal.SIGINT
    assert site(report, "write", line_of("talk writes"))["calls"] == 1000
    assert "killed by signal 2" in (tmp_path / "text").read_text()


class Page(HTMLParser):
    """Collects a page's text and tags; all that is opened must be closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: dict[str, int] = {}
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] = self.tags.get(tag, 0) + 1
        assert not {"src", "href"} & {name for name, _ in attrs}
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] = self.tags.get(tag, 0) + 1

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_is_whole_and_needs_nothing_else(profile: Run, tmp_path: Path) -> None:
    """Plots and all tables in one file, which loads nothing."""
    profile("all", "--html", "page.html")
    page = Page()
    text = (tmp_path / "page.html").read_text()
    page.feed(text)
    assert page.open == []
    assert page.tags["svg"] >= 5
    assert page.tags["rect"] >= 20
    assert "script" not in page.tags
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")
    for words in (f"copy ({SOURCE.name}:{line_of('copy reads')})", "/etc/passwd", "hybrid", "p99"):
        assert words in page.text


def test_the_text_is_plain_when_piped(profile: Run) -> None:
    """No colours, and the program's own output apart."""
    done, _ = profile("all")
    assert "\x1b" not in done.stderr
    assert done.stdout == ""
    for title in ("Calls by tier", "Hot places", "could be zero-copy", "could be batched", "Paths"):
        assert title in done.stderr


def test_a_reader_who_leaves_is_no_error(program: Path, tmp_path: Path) -> None:
    """EPIPE is quiet, and the exit status still the program's."""
    reading, writing = os.pipe()
    os.close(reading)
    words = [POSIX_X, "profile", str(program), "killed", "x", "y"]
    done = subprocess.run(words, stderr=writing, stdout=writing, timeout=60, check=False)
    os.close(writing)
    assert done.returncode == -signal.SIGKILL


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        ([], 2, "Missing argument"),
        (["--nonesuch", "true"], 2, "No such option"),
        (["nonesuch"], 127, "nonesuch: no such file or directory"),
        (["--html", "/nowhere/x", "true"], 1, "/nowhere/x: no such file or directory"),
        (["/etc/passwd"], 126, "permission denied"),
    ],
)
def test_mistakes_take_a_line(words: list[str], status: int, message: str) -> None:
    done = subprocess.run(
        [POSIX_X, "profile", *words], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (status, "")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1, done.stderr


def test_help_has_examples_and_completion_knows_it() -> None:
    done = subprocess.run(
        [POSIX_X, "profile", "--help"], capture_output=True, text=True, check=True
    )
    assert "Examples:" in done.stdout
    assert "posix-x profile -f --html" in done.stdout
    env = {**os.environ, "_POSIX_X_COMPLETE": "bash_complete", "COMP_WORDS": "posix-x profile --h",
           "COMP_CWORD": "2"}  # fmt: skip
    shown = subprocess.run([POSIX_X], env=env, capture_output=True, text=True, check=True)
    assert "plain,--html" in shown.stdout
