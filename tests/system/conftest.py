"""Fixtures of the system tests."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import HealthCheck, Phase, settings
from sidebyside import Launcher
from terminals import Session, Shell, terminal

# What hypothesis tries: the same each time, or with --hypothesis-profile long new things for long.
settings.register_profile(
    "long",
    max_examples=10000,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    stateful_step_count=50,
    report_multiple_bugs=False,
    print_blob=True,
)
settings.register_profile(
    "short",
    settings.get_profile("long"),
    max_examples=120,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
)
settings.load_profile("short")


@pytest.fixture(params=["native", "exo-um"])
def shell(request: pytest.FixtureRequest) -> Shell:
    """Starts a shell command line at a terminal, on one of the sides."""
    side: Launcher = request.getfixturevalue("native" if request.param == "native" else "launcher")

    def start(command: str) -> Session:
        argv = shlex.split(command)
        return terminal(side, argv if request.param == "native" else side.exo_command(argv))

    return start
