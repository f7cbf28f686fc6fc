"""Time: sleeping, time(2), adjtimex(2)."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from posix_x.decode.line import LATE, special
from posix_x.decode.structs import date_text, plain_date
from posix_x.decode.text import address, flags
from posix_x.decode.values import number, pointed
from posix_x.table.rows import ROWS, SETS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from posix_x.decode.view import View


@special("nanosleep", "clock_nanosleep")
def _nanosleep(view: View) -> Iterator[str]:
    first = 0
    if view.name == "clock_nanosleep":
        yield number(view, "clockid", view.args[0])
        yield flags("timer_abstime", view.u32(1))
        first = 2
    yield pointed(view, "timespec", view.args[first], view.before)
    yield LATE
    interrupted = view.result in (-4, -514, -516)
    at = view.args[first + 1]
    yield pointed(view, "timespec", at, view.after) if interrupted else address(at)


@special("time")
def _time(view: View) -> Iterator[str]:
    yield LATE
    data = view.after.peek(view.args[0], 8) if view.args[0] and not view.failed else b""
    seconds = int.from_bytes(data, "little", signed=True)
    yield f"[{seconds}{date_text(seconds, 0)}]" if len(data) == 8 else address(view.args[0])
    if view.result is not None and not view.failed:
        view.note = plain_date(view.result)


@special("adjtimex", "clock_adjtime")
def _adjtimex(view: View) -> Iterator[str]:
    if view.name == "clock_adjtime":
        yield number(view, "clockid", view.args[0])
    yield LATE
    at = view.args[len(ROWS[view.nr][3]) - 1]
    data = view.after.peek(at, 208)
    if len(data) < 208 or view.failed:
        yield address(at)
        return
    (
        modes,
        offset,
        freq,
        most,
        estimated,
        status,
        constant,
        precision,
        tolerance,
        sec,
        usec,
        tick,
    ) = struct.unpack_from("<Ixxxx4qixxxx6q", data)
    rest = struct.unpack_from("<2qixxxx5qi", data, 96)
    names = ("ppsfreq", "jitter", "shift", "stabil", "jitcnt", "calcnt", "errcnt", "stbcnt", "tai")
    shown = [
        f"modes={flags('adjtimex_modes', modes)}", f"offset={offset}", f"freq={freq}",
        f"maxerror={most}", f"esterror={estimated}", f"status={flags('adjtimex_status', status)}",
        f"constant={constant}", f"precision={precision}", f"tolerance={tolerance}",
        f"time={{tv_sec={sec}, tv_usec={usec}}}", f"tick={tick}",
    ]  # fmt: skip
    shown += [f"{name}={value}" for name, value in zip(names, rest, strict=False)]
    yield "{" + ", ".join(shown) + "}"
    if view.result is not None and not view.failed:
        view.note = SETS["clock_state"][2].get(view.result, "")
