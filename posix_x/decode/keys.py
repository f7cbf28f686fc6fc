"""Keys and keyrings: keyctl(2), add_key(2), request_key(2)."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from posix_x.decode.line import LATE, special
from posix_x.decode.sockets import iovecs
from posix_x.decode.text import address, hexadecimal, named, signed
from posix_x.table.rows import SETS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from posix_x.decode.view import View

RIGHTS = ("VIEW", "READ", "WRITE", "SEARCH", "LINK", "SETATTR")
OWNERS = ("OTH", "GRP", "USR", "POS")  # from the lowest byte on
# What follows the command: k a key, u and i numbers, s a string, b a buffer that is filled and its
# size, d data and their size, v vectors and their count, x hexadecimal.
FORMS = {
    "GET_KEYRING_ID": "ki", "JOIN_SESSION_KEYRING": "s", "UPDATE": "kd", "REVOKE": "k",
    "CHOWN": "koo", "SETPERM": "kp", "DESCRIBE": "kb", "CLEAR": "k", "LINK": "kk", "UNLINK": "kk",
    "SEARCH": "kssk", "READ": "kb", "INSTANTIATE": "kdk", "NEGATE": "kuk",
    "SET_REQKEY_KEYRING": "r", "SET_TIMEOUT": "ku", "ASSUME_AUTHORITY": "k", "GET_SECURITY": "kb",
    "SESSION_TO_PARENT": "", "REJECT": "kuek", "INSTANTIATE_IOV": "kvk", "INVALIDATE": "k",
    "GET_PERSISTENT": "ok", "RESTRICT_KEYRING": "kss", "MOVE": "kkkm", "CAPABILITIES": "b",
    "DH_COMPUTE": "Dbx", "PKEY_QUERY": "kxxx", "PKEY_ENCRYPT": "xsxx", "PKEY_DECRYPT": "xsxx",
    "PKEY_SIGN": "xsxx", "PKEY_VERIFY": "xsxx",
}  # fmt: skip
SIZED = "bdv"
REQKEY = ("NO_CHANGE", "DEFAULT", "THREAD_KEYRING", "PROCESS_KEYRING", "SESSION_KEYRING",
          "USER_KEYRING", "USER_SESSION_KEYRING", "GROUP_KEYRING", "REQUESTOR_KEYRING")  # fmt: skip


def key_text(value: int) -> str:
    """Return a key by its special name or its number."""
    number = signed(value, 4)
    return str(SETS["keyctl_id"][2].get(number, number))


def rights_text(mask: int) -> str:
    """Return who may do what with a key."""
    names = [
        f"KEY_{owner}_{right}"
        for i, owner in reversed(list(enumerate(OWNERS)))
        for bit, right in enumerate(RIGHTS)
        if mask >> (8 * i + bit) & 1
    ]
    rest = mask & ~0x3F3F3F3F
    return "|".join([*names, *([hexadecimal(rest)] if rest else [])]) or "0"


def _reqkey(value: int) -> str:
    number = signed(value, 4)
    if -1 <= number < len(REQKEY) - 1:
        return f"KEY_REQKEY_DEFL_{REQKEY[number + 1]}"
    return f"{number} /* KEY_REQKEY_DEFL_??? */"


def _move(value: int) -> str:
    rest = hexadecimal(value & 0xFFFFFFFE)
    if value & 1:
        return "KEYCTL_MOVE_EXCL" + (f"|{rest}" if rest != "0" else "")
    return f"{rest} /* KEYCTL_MOVE_??? */" if rest != "0" else "0"


def _rejection(value: int) -> str:
    import errno

    number = value & 0xFFFFFFFF
    return errno.errorcode.get(number, str(number))


def _params(view: View, at: int) -> str:
    data = view.before.peek(at, 12) if at else b""
    if len(data) < 12:
        return address(at)
    private, prime, base = struct.unpack("<iii", data)
    keys = ", ".join(
        f"{name}={key_text(key)}"
        for name, key in (("private", private), ("prime", prime), ("base", base))
    )
    return "{" + keys + "}"


def _buffer(view: View, i: int) -> str:
    size = min(view.args[i + 1], max(view.result or 0, 0))
    if view.failed or not view.args[i]:
        return address(view.args[i])
    return view.data(view.args[i], size, view.after)


def _one(view: View, form: str, i: int) -> str:
    value = view.args[i]
    plain = {
        "k": key_text, "p": lambda v: rights_text(v & 0xFFFFFFFF), "r": _reqkey, "m": _move,
        "e": _rejection, "u": lambda v: str(v & 0xFFFFFFFF), "i": lambda v: str(signed(v, 4)),
        "o": lambda v: str(signed(v, 4) if v & 0xFFFFFFFF == 0xFFFFFFFF else v & 0xFFFFFFFF),
        "x": hexadecimal,
    }  # fmt: skip
    if form in plain:
        return plain[form](value)
    if form == "s":
        return view.string(value)
    if form == "D":
        return _params(view, value)
    if form == "v":
        return iovecs(view, value, view.args[i + 1], view.before)
    return _buffer(view, i) if form == "b" else view.data(value, view.args[i + 1])


@special("keyctl")
def _keyctl(view: View) -> Iterator[str]:
    yield named("keyctl_cmd", view.i32(0) if view.i32(0) >= 0 else view.u32(0))
    name = SETS["keyctl_cmd"][2].get(view.i32(0), "").removeprefix("KEYCTL_")
    if name not in FORMS:
        yield from (hexadecimal(view.args[i]) for i in (1, 2, 3, 4))
        return
    i = 1
    for form in FORMS[name]:
        if form == "b":
            yield LATE
        yield _one(view, form, i)
        if form in SIZED:
            i += 1
            yield str(view.args[i])
        i += 1


@special("add_key", "request_key")
def _add_key(view: View) -> Iterator[str]:
    yield view.string(view.args[0])
    yield view.string(view.args[1])
    if view.name == "add_key":
        yield view.data(view.args[2], view.args[3])
        yield str(view.args[3])
    else:
        yield view.string(view.args[2])
    yield key_text(view.args[4 if view.name == "add_key" else 3])
