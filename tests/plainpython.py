"""Runs a test file once more, with numba's functions as plain Python. Not a test."""

import os
import subprocess
import sys
from pathlib import Path

IS_PLAIN = "NUMBA_DISABLE_JIT" in os.environ


def run_plain(file: str) -> None:
    """Run all tests of a file in a pytest of its own, which is to succeed."""
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    program = Path(sys.executable).with_name("pytest")
    done = subprocess.run(
        [program, "-q", file], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
