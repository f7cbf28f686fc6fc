"""Tables of `exo-um ps` and `top`: how numbers look, and how rows are printed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Sequence

LINE_LIMIT = 1 << 14  # columns of a line that goes to no terminal
TEXTS = ("INSTANCE", "STATE", "STARTED", "COMMAND", "OPERATION")


def table_of(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """Return a table; where there is no room for all, the last column is cut."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:
        last = name == columns[-1]
        table.add_column(
            name,
            justify="left" if name in TEXTS else "right",
            no_wrap=True,
            overflow="ellipsis" if last else "crop",
            min_width=None if last else len(name),
        )
    for row in rows:
        table.add_row(*(Text(printable(field)) for field in row))
    return table


def show(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table; at a terminal no wider than that."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(width=LINE_LIMIT, highlight=False)
    with console.capture() as text:
        console.print(table_of(columns, rows))
    for line in text.get().splitlines():
        print(line.rstrip())


def printable(text: str) -> str:
    """Return text without what a guest could do to a terminal."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def shown_memory(size: int) -> str:
    """Return bytes as ps has them: a number and a unit."""
    if size < 10 << 20:
        return f"{size >> 10}K"
    return f"{size >> 20}M" if size < 10 << 30 else f"{size >> 30}G"


def shown_time(seconds: float) -> str:
    """Return processor time as minutes:seconds.hundredths, with hours where there are some."""
    minutes, rest = divmod(seconds, 60)
    if minutes < 60:
        return f"{int(minutes)}:{rest:05.2f}"
    return f"{int(minutes) // 60}:{int(minutes) % 60:02}:{int(rest):02}"
