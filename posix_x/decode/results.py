"""Results that have names: personalities, policies, priorities, what prctl(2) tells."""

from __future__ import annotations

from posix_x.decode.others import ioprio_text, personality_text
from posix_x.decode.text import flags, hexadecimal
from posix_x.decode.view import RESULTS, View
from posix_x.table.rows import SETS

DUMPABLE = ("SUID_DUMP_DISABLE", "SUID_DUMP_USER", "SUID_DUMP_ROOT")


def _personality(view: View) -> str:
    assert view.result is not None
    return f"{hexadecimal(view.result)} ({personality_text(view.result)})"


def _ioprio_get(view: View) -> str:
    assert view.result is not None
    return f"{hexadecimal(view.result)} ({ioprio_text(view.result)})"


def _sched_getscheduler(view: View) -> str:
    assert view.result is not None
    return f"{hexadecimal(view.result)} ({flags('sched_policy', view.result)})"


def _membarrier(view: View) -> str | None:
    if view.i32(0) != 0 or not view.result:
        return None
    bits = SETS["membarrier_cmd"][2]
    names = [name for bit, name in sorted(bits.items()) if bit and view.result & bit]
    rest = view.result & ~sum(bits)
    return f"{view.result:#x} ({'|'.join([*names, *([f'{rest:#x}'] if rest else [])])})"


def _prctl(view: View) -> str | None:
    name = SETS["prctl_option"][2].get(view.i32(0))
    if name == "PR_GET_DUMPABLE" and view.result is not None and 0 <= view.result < 3:
        return f"{view.result} ({DUMPABLE[view.result]})"
    return None


def _unless_failed(show: object) -> object:
    return lambda view: None if view.failed else show(view)  # type: ignore[operator]


for _name, _show in {
    "personality": _personality, "ioprio_get": _ioprio_get, "membarrier": _membarrier,
    "sched_getscheduler": _sched_getscheduler, "prctl": _prctl,
}.items():  # fmt: skip
    RESULTS[_name] = _unless_failed(_show)  # type: ignore[assignment]
