"""Disk quotas: quotactl(2), quotactl_fd(2), with the structs of each command."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from posix_x.decode.line import LATE, special
from posix_x.decode.text import address, flags, hexadecimal, named, signed
from posix_x.table.rows import SETS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from posix_x.decode.view import View

TYPE_BITS, TYPE_MASK = 8, 0xFF
WITH_ID = {"Q_GETQUOTA", "Q_SETQUOTA", "Q_GETNEXTQUOTA", "Q_XGETQUOTA", "Q_XSETQLIM",
           "Q_XGETNEXTQUOTA"}  # fmt: skip
READS = {"Q_GETQUOTA", "Q_GETNEXTQUOTA", "Q_GETINFO", "Q_GETFMT", "Q_XGETQUOTA", "Q_XGETNEXTQUOTA",
         "Q_XGETQSTAT", "Q_XGETQSTATV"}  # fmt: skip
NEXT = struct.Struct("<8QII")  # struct nextdqblk
INFO = struct.Struct("<QQII")  # struct dqinfo


def command_text(value: int) -> str:
    """Return a command and whose quota it is about."""
    command, kind = value >> TYPE_BITS, value & TYPE_MASK
    type_ = SETS["quota_type"][2].get(kind)
    shown = type_ if type_ is not None else f"{kind:#x} /* ???QUOTA */"
    return f"QCMD({_name(command) or _unknown(command)}, {shown})"


def _name(command: int) -> str:
    found = SETS["quotactl_cmd"][2].get(command) or SETS["xfs_quota_cmd"][2].get(command)
    return str(found or {0x800009: "Q_GETNEXTQUOTA"}.get(command, ""))


def _unknown(command: int) -> str:
    return f"{hexadecimal(command)} /* Q_??? */"


def _block(view: View, data: bytes) -> str:
    names = ("bhardlimit", "bsoftlimit", "curspace", "ihardlimit", "isoftlimit", "curinodes")
    words = struct.unpack_from("<8QI", data)
    shown = [f"dqb_{name}={word}" for name, word in zip(names, words, strict=False)]
    if not view.options.verbose:
        return "{" + ", ".join([*shown, "..."]) + "}"
    shown += [f"dqb_btime={words[6]}", f"dqb_itime={words[7]}"]
    shown.append(f"dqb_valid={flags('quota_valid', words[8])}")
    if len(data) == NEXT.size and _name(view.args[0] >> TYPE_BITS) == "Q_GETNEXTQUOTA":
        shown.append(f"dqb_id={int.from_bytes(data[68:72], 'little')}")
    return "{" + ", ".join(shown) + "}"


def _info(data: bytes) -> str:
    block, inode, bits, valid = INFO.unpack(data)
    return (
        f"{{dqi_bgrace={block}, dqi_igrace={inode}, dqi_flags={_info_flags(bits)}, "
        f"dqi_valid={flags('quota_info_valid', valid)}}}"
    )


def _info_flags(bits: int) -> str:
    names = [
        name for bit, name in ((1, "DQF_ROOT_SQUASH"), (1 << 16, "DQF_SYS_FILE")) if bits & bit
    ]
    rest = bits & ~0x10001
    if not names and rest:
        return f"{rest:#x} /* DQF_??? */"
    return "|".join([*names, *([f"{rest:#x}"] if rest else [])]) or "0"


def _disk(view: View, data: bytes) -> str:
    version, kind = struct.unpack_from("<bb", data)
    mask, ident = struct.unpack_from("<HI", data, 2)
    words = struct.unpack_from("<6Q", data, 8)
    timers = struct.unpack_from("<2i2H", data, 56)
    names = ("blk_hardlimit", "blk_softlimit", "ino_hardlimit", "ino_softlimit", "bcount", "icount")
    shown = [f"d_version={version}"]
    if view.options.verbose:
        shown += [f"d_flags={_disk_flags(kind & 0xFF)}", f"d_fieldmask={hexadecimal(mask)}"]
        shown.append(f"d_id={ident}")
    else:
        shown += [f"d_flags={_disk_flags(kind & 0xFF)}", f"d_fieldmask={hexadecimal(mask)}",
                  f"d_id={ident}"]  # fmt: skip
    shown += [f"d_{name}={word}" for name, word in zip(names, words, strict=True)]
    if not view.options.verbose:
        return "{" + ", ".join([*shown, "..."]) + "}"
    shown += [f"d_itimer={timers[0]}", f"d_btimer={timers[1]}", f"d_iwarns={timers[2]}",
              f"d_bwarns={timers[3]}"]  # fmt: skip
    more = struct.unpack_from("<3QiH", data, 72)
    tails = ("rtb_hardlimit", "rtb_softlimit", "rtbcount", "rtbtimer", "rtbwarns")
    shown += [f"d_{name}={word}" for name, word in zip(tails, more, strict=True)]
    return "{" + ", ".join(shown) + "}"


def _disk_flags(bits: int) -> str:
    known = ((1, "FS_USER_QUOTA"), (2, "FS_PROJ_QUOTA"), (4, "FS_GROUP_QUOTA"))
    names = [name for bit, name in known if bits & bit]
    rest = bits & ~7
    if not names and rest:
        return f"{rest:#x} /* FS_{{USER,PROJ,GROUP}}_QUOTA_??? */"
    return "|".join([*names, *([f"{rest:#x}"] if rest else [])]) or "0"


def _struct(view: View, name: str, at: int) -> str:
    """Return what a command takes or gives."""
    memory = view.after if name in READS else view.before
    sizes = {"Q_GETQUOTA": 72, "Q_SETQUOTA": 72, "Q_GETNEXTQUOTA": 72, "Q_GETINFO": 24,
             "Q_SETINFO": 24, "Q_GETFMT": 4, "Q_XGETQUOTA": 112, "Q_XSETQLIM": 112,
             "Q_XGETNEXTQUOTA": 112, "Q_XQUOTAON": 4, "Q_XQUOTAOFF": 4,
             "Q_XQUOTARM": 4}  # fmt: skip
    size = sizes.get(name, 0)
    data = memory.peek(at, size) if at and size else b""
    if not size or len(data) < size or (view.failed and name in READS):
        return address(at)
    if size == 72:
        return _block(view, data)
    if size == 24:
        return _info(data)
    if size == 112:
        return _disk(view, data)
    word = int.from_bytes(data, "little")
    if name == "Q_XQUOTARM":
        return f"[{_disk_flags(word)}]"
    return (
        f"[{named('quota_format', word) if name == 'Q_GETFMT' else flags('xfs_quota_flags', word)}]"
    )


def _rest(view: View, command: int) -> Iterator[str]:
    name = _name(command)
    ident, at = view.u32(2), view.args[3]
    if name == "Q_QUOTAON":
        yield named("quota_format", ident)
        yield view.path(at)
        return
    if name in ("Q_QUOTAOFF", "Q_SYNC", "Q_XQUOTASYNC"):
        return
    if name in WITH_ID or not name:
        yield str(signed(ident, 4) if ident == 0xFFFFFFFF else ident)
    if name in READS:
        yield LATE
    yield _struct(view, name, at)


@special("quotactl")
def _quotactl(view: View) -> Iterator[str]:
    yield command_text(view.u32(0))
    yield view.path(view.args[1])
    yield from _rest(view, view.u32(0) >> TYPE_BITS)


@special("quotactl_fd")
def _quotactl_fd(view: View) -> Iterator[str]:
    yield view.fd(view.i32(0))
    yield command_text(view.u32(1))
    yield from _rest(view, view.u32(1) >> TYPE_BITS)
