"""The examples run, and say what is right."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

EXAMPLES = Path(__file__).parents[4] / "examples"


def run(name: str, *arguments: object) -> str:
    command = [sys.executable, "-P", str(EXAMPLES / name), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def test_ping_pong() -> None:
    assert run("ping_pong.py", 500).startswith("500 balls, ")


def test_video_pipeline() -> None:
    said = run("video_pipeline.py", 100)
    assert said == "100 frames, mean brightness 99.5, 0 bytes copied\n"


def test_word_count(tmp_path: Path) -> None:
    for i in range(40):
        (tmp_path / f"{i}.txt").write_text("one two two\n" * 10 + "three " * i)
    (tmp_path / "other").write_text("not this")
    assert run("word_count.py", tmp_path, 2) == "     800 two\n     780 three\n"
