"""Handlers of the legacy tier, by call number: HANDLERS is what the serve loop dispatches by.

A handler is a function sys_<name> in a module named after a man-page family. It is matched with
the table when this package is imported: a handler without a row, a handler of a call that never
gets here, or a legacy row without a handler is an error then, not a surprise later.
"""

from __future__ import annotations

from posix_x.syscalls import proc, trace
from posix_x.table.rows import ROWS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType

    from exo_um.kernel.call import Handler

PREFIX = "sys_"
MODULES = (proc, trace)
# Rows of these tiers end up here when the runtime meets a path below /proc.
TIERS = ("legacy", "hybrid")


class TableError(Exception):
    """Handlers and table disagree; says where."""


def collect(
    modules: tuple[ModuleType, ...], tiers: dict[str, tuple[int, str]]
) -> dict[int, Handler]:
    """Return the handlers of modules by number. Errors: TableError.

    tiers: number and tier of each call by name.
    """
    handlers: dict[int, Handler] = {}
    for module in modules:
        for attribute, function in vars(module).items():
            if not attribute.startswith(PREFIX):
                continue
            number, tier = tiers.get(attribute.removeprefix(PREFIX), (-1, "no"))
            if tier not in TIERS:
                raise TableError(f"{module.__name__}.{attribute}: the table has {tier} such row")
            handlers[number] = function
    missing = [
        name for name, (nr, tier) in tiers.items() if tier == "legacy" and nr not in handlers
    ]
    if missing:
        raise TableError(f"legacy calls without a handler: {', '.join(missing)}")
    return handlers


HANDLERS = collect(MODULES, {row[0]: (nr, row[1]) for nr, row in ROWS.items()})
