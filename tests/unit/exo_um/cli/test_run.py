"""`exo-um run`: its option parser, the environment, and finding the program."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from exo_um.cli import run
from exo_um.cli.run import UsageError, find_program, initial_environment, parse


def test_options_end_at_the_program() -> None:
    options = parse(["-v", "--env", "A=b=c", "--cwd=/tmp", "ls", "-v", "--env"])
    assert options.verbose
    assert options.env == {b"A": b"b=c"}
    assert options.cwd == "/tmp"
    assert options.argv == ["ls", "-v", "--env"]


def test_double_dash_ends_options() -> None:
    assert parse(["--no-patch", "--", "-odd"]).argv == ["-odd"]
    assert not parse(["--no-patch", "--", "-odd"]).patch


def test_defaults() -> None:
    options = parse(["true"])
    assert (options.intercept, options.patch, options.stats) == ("dispatch", True, None)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "which program"),
        (["--"], "which program"),
        (["--env", "A", "true"], "NAME=VALUE"),
        (["--env", "=b", "true"], "NAME=VALUE"),
        (["--env"], "needs a value"),
        (["--intercept=magic", "true"], "not one of dispatch, seccomp"),
        (["--placement", "best", "true"], "not one of none, advice"),
        (["--net", "mine", "true"], "not one of exo, host"),
        (["--patch", "true"], "no such option"),
        (["--verbose=1", "true"], "no such option"),
    ],
)
def test_usage_errors(argv: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse(argv)


def test_usage_error_is_one_line_and_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main(["--nonsense"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_help_has_examples(capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main(["--help"]) == 0
    assert "exo-um run /bin/busybox sh" in capsys.readouterr().out


def test_program_with_slash_is_left_alone() -> None:
    assert find_program("./no/such", b"/bin") == b"./no/such"


def test_program_is_searched(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
    (first / "tool").write_text("not executable")
    (first / "other").mkdir()
    for name in ("tool", "other"):
        (second / name).write_text("")
        (second / name).chmod(0o755)
    search = f"{first}:{second}".encode()
    assert find_program("tool", search) == bytes(second / "tool")
    assert find_program("other", search) == bytes(second / "other")
    assert find_program("absent", search) is None
    assert find_program("", search) is None


def test_empty_search_entry_is_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("tool").write_text("")
    Path("tool").chmod(0o755)
    assert find_program("tool", b"") == b"./tool"


def test_environment_is_the_one_given() -> None:
    environment = initial_environment()
    assert environment[b"PATH"] == os.environb[b"PATH"]
