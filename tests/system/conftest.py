"""Fixtures of the system tests."""

from __future__ import annotations

import shlex

import pytest
from sidebyside import Launcher
from terminals import Session, Shell, terminal


@pytest.fixture(params=["native", "exo-um"])
def shell(request: pytest.FixtureRequest) -> Shell:
    """Starts a shell command line at a terminal, on one of the sides."""
    side: Launcher = request.getfixturevalue("native" if request.param == "native" else "launcher")

    def start(command: str) -> Session:
        argv = shlex.split(command)
        return terminal(side, argv if request.param == "native" else side.exo_command(argv))

    return start
