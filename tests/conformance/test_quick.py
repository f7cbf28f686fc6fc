"""A representative part of each third-party suite comes out under exo-um as it does natively."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

RUN = Path(__file__).with_name("run.py")


@pytest.mark.timeout(600)
@pytest.mark.parametrize("suite", ["busybox", "cpython", "stress-ng", "redis"])
def test_quick(suite: str, exo_um: Path, tmp_path: Path) -> None:
    """Nothing that passes natively fails under exo-um, except for the differences with a cause."""
    result = tmp_path / "result.json"
    command = [sys.executable, str(RUN), "--quick", "--suite", suite, "--json", str(result)]
    command += ["--jobs", "3"]  # most of them sleep most of the time
    environment = {**os.environ, "EXO_UM": str(exo_um)}
    ended = subprocess.run(command, check=False, env=environment, capture_output=True, text=True)
    assert result.exists(), ended.stderr
    outcome = json.loads(result.read_text())
    if outcome["missing"] and os.environ.get("CI") != "true":
        pytest.skip(ended.stderr.strip())
    assert not outcome["missing"], ended.stderr
    assert not outcome["unexplained"], "\n".join(outcome["unexplained"])
