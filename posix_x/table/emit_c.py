"""Writes the C table: exo_calls, exo_handlers and exo_call_limit of exo/syscall.h."""

import errno
from collections.abc import Sequence

from posix_x.table.schema import FIXED, Arg, Call

_HEAD = """\
/* Made by posix_x/table/generate.py from syscalls.toml and types.toml. */
/* clang-format off */
#include <exo/syscall.h>

#define FIXED EXO_LENGTH_FIXED
#define NO_CALL {{.tier = EXO_TIER_NONE, .cloexec_arg = -1, .error = {enosys}}}
"""
_HOT = '__attribute__((section(".rodata.hot")))'  # exo-guest.ld puts it near the code
_SERVERS = {"pass": "exo_pass", "legacy": "exo_legacy", "none": "exo_none"}
_RETURNS = {"fd": "EXO_RET_FD", "pid": "EXO_RET_PID"}


def c_source(calls: Sequence[Call]) -> str:
    """Return the whole file; numbers without a row get exo_none and ENOSYS."""
    rows = {call.nr: call for call in calls}
    numbers = range(max(rows) + 1)
    handlers = sorted({_handler(call) for call in calls} | {"exo_none"})
    parts = [
        _HEAD.format(enosys=errno.ENOSYS),
        *(f"long {name}(long, long, long, long, long, long);" for name in handlers),
        "\nconst struct exo_call exo_calls[] = {",
        *(_row(rows[nr]) if nr in rows else f"    [{nr}] = NO_CALL," for nr in numbers),
        "};\n\nconst exo_handler exo_handlers[] = {",
        *(f"    [{nr}] = {_handler(rows[nr]) if nr in rows else 'exo_none'}," for nr in numbers),
        "};\n",
        f"const uint32_t exo_call_limit {_HOT} = {len(numbers)};\n",
    ]
    return "\n".join(parts)


def _handler(call: Call) -> str:
    return _SERVERS.get(call.tier, f"sys_{call.name}")


def _row(call: Call) -> str:
    fields = [
        f".tier = EXO_TIER_{call.tier.upper()}",
        f".ret = {_RETURNS.get(call.ret, 'EXO_RET_RAW')}",
        f".argc = {len(call.args)}",
        f".cloexec_arg = {call.cloexec_arg}",
    ]
    if call.cloexec_flag:
        fields.append(f".cloexec_flag = {call.cloexec_flag:#x}")
    if call.error:
        fields.append(f".error = {call.error}")
    if call.args:
        fields.append(f".args = {{{', '.join(_arg(arg, call) for arg in call.args)}}}")
    return f"    [{call.nr}] = {{{', '.join(fields)}}}, /* {call.name} */"


def _arg(arg: Arg, call: Call) -> str:
    if arg.form and not arg.stageable:
        return "{EXO_ARG_RAW, FIXED, 0}"
    length = "FIXED" if arg.length == FIXED else str(arg.length)
    if arg.length != FIXED and call.args[arg.length].type in ("int", "uint"):
        length += " | EXO_LENGTH_INT"
    return f"{{EXO_ARG_{arg.kind.upper()}, {length}, {arg.size}}}"
