"""Handlers of the legacy tier are matched with the table when they are imported."""

from __future__ import annotations

from types import ModuleType

import pytest
from posix_x.table.rows import ROWS

from posix_x.syscalls import HANDLERS, TableError, collect

TIERS = {"uname": (63, "legacy"), "open": (2, "hybrid"), "read": (0, "pass")}


def module(*names: str) -> ModuleType:
    made = ModuleType("family")
    for name in names:
        setattr(made, f"sys_{name}", lambda call: 0)
    return made


def test_every_legacy_row_has_its_handler() -> None:
    for nr, row in ROWS.items():
        if row[1] == "legacy":
            assert HANDLERS[nr].__name__ == f"sys_{row[0]}"


def test_handlers_go_by_number() -> None:
    assert set(collect((module("uname", "open"),), TIERS)) == {2, 63}


def test_a_row_without_a_handler() -> None:
    with pytest.raises(TableError, match="without a handler: uname"):
        collect((module("open"),), TIERS)


@pytest.mark.parametrize("name", ["unheard_of", "read"])
def test_a_handler_that_is_never_called(name: str) -> None:
    with pytest.raises(TableError, match=f"family.sys_{name}"):
        collect((module("uname", name),), TIERS)
