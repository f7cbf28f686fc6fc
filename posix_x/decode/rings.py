"""Asynchronous input and output: io_submit(2) and kin, io_uring_setup(2) and kin."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from posix_x.decode.line import LATE, special
from posix_x.decode.text import address, flags, hexadecimal, named
from posix_x.decode.values import array, shower
from posix_x.table.rows import SETS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from posix_x.decode.memory import Memory
    from posix_x.decode.view import View

IOCB = struct.Struct("<QIIHhIQQqQII")
COMMANDS = {0: "IOCB_CMD_PREAD", 1: "IOCB_CMD_PWRITE", 2: "IOCB_CMD_FSYNC", 3: "IOCB_CMD_FDSYNC",
            5: "IOCB_CMD_POLL", 6: "IOCB_CMD_NOOP", 7: "IOCB_CMD_PREADV",
            8: "IOCB_CMD_PWRITEV"}  # fmt: skip
RESFD, IOPRIO = 1, 2
SETUP_SQPOLL, SETUP_ATTACH_WQ = 2, 32
SQ_OFFSETS = ("head", "tail", "ring_mask", "ring_entries", "flags", "dropped", "array")
CQ_OFFSETS = ("head", "tail", "ring_mask", "ring_entries", "overflow", "cqes", "flags")
FD_LISTS = {"IORING_REGISTER_FILES", "IORING_REGISTER_EVENTFD", "IORING_REGISTER_EVENTFD_ASYNC"}


def _iocb_head(data: bytes) -> str:
    word, key, _, operation, priority, fd, *_ = IOCB.unpack(data)
    shown = []
    if word:
        shown.append(f"aio_data={word:#x}")
    if key:
        shown.append(f"aio_key={key}")
    name = COMMANDS.get(operation)
    shown.append(f"aio_lio_opcode={name or f'{operation} /* IOCB_CMD_??? */'}")
    if priority:
        shown.append(f"aio_reqprio={priority}")
    shown.append(f"aio_fildes={fd - (1 << 32) if fd >> 31 else fd}")
    return ", ".join(shown)


def _iocb(view: View, data: bytes) -> str:
    _, _, _, operation, _, _, base, size, place, _, bits, other = IOCB.unpack(data)
    shown = [_iocb_head(data)]
    name = COMMANDS.get(operation, "")
    if name == "IOCB_CMD_PWRITE":
        shown.append(f"aio_buf={view.data(base, size)}")
    elif name.endswith("V") and name:
        from posix_x.decode.files import iovecs_bare
        from posix_x.decode.sockets import iovecs

        show = iovecs_bare if name == "IOCB_CMD_PREADV" else None
        shown.append(
            f"aio_buf={show(view, base, size) if show else iovecs(view, base, size, view.before)}"
        )
    elif name == "IOCB_CMD_PREAD":
        shown.append(f"aio_buf={address(base)}")
    elif name == "IOCB_CMD_POLL":
        shown.append(f"aio_buf={flags('poll_events', base & 0xFFFF)}")
    if name in ("IOCB_CMD_PREAD", "IOCB_CMD_PWRITE", "IOCB_CMD_PREADV", "IOCB_CMD_PWRITEV"):
        shown += [f"aio_nbytes={size}", f"aio_offset={place}"]
    if bits:
        names = [
            n for bit, n in ((RESFD, "IOCB_FLAG_RESFD"), (IOPRIO, "IOCB_FLAG_IOPRIO")) if bits & bit
        ]
        rest = bits & ~3
        text = "|".join([*names, *([f"{rest:#x}"] if rest else [])])
        shown.append(f"aio_flags={text if names else f'{bits:#x} /* IOCB_FLAG_??? */'}")
        if bits & RESFD:
            shown.append(f"aio_resfd={other}")
    return "{" + ", ".join(shown) + "}"


def _pointed_iocb(view: View, at: int) -> str:
    data = view.before.peek(at, IOCB.size) if at else b""
    return _iocb(view, data) if len(data) == IOCB.size else address(at)


@special("io_submit")
def _io_submit(view: View) -> Iterator[str]:
    yield hexadecimal(view.args[0])
    count = view.i64(1)
    yield str(count)
    at = view.args[2]
    limit = min(max(count, 0), view.options.string_limit)
    data = view.before.peek(at, 8 * limit) if at and count > 0 else b""
    if count == 0 and at:
        yield "[]"
    elif not data:
        yield address(at)
    else:
        pointers = [p for (p,) in struct.iter_unpack("<Q", data[: len(data) // 8 * 8])]
        shown = [_pointed_iocb(view, pointer) for pointer in pointers]
        shown += ["..."] if limit < count else []
        yield "[" + ", ".join(shown) + "]"


@special("io_cancel")
def _io_cancel(view: View) -> Iterator[str]:
    yield hexadecimal(view.args[0])
    data = view.before.peek(view.args[1], IOCB.size) if view.args[1] else b""
    whole = len(data) == IOCB.size
    yield "{" + _iocb_head(data) + "}" if whole else address(view.args[1])
    yield LATE
    yield address(view.args[2])


@shower("io_event")
def _io_event(_view: View, data: bytes, _at: int, _memory: Memory) -> str:
    word, obj, result, more = struct.unpack("<QQqq", data)
    return f"{{data={hexadecimal(word)}, obj={address(obj)}, res={result}, res2={more}}}"


def _offsets(data: bytes, names: tuple[str, ...]) -> str:
    words = struct.unpack("<8IQ", data)
    shown = [f"{name}={word}" for name, word in zip(names, words, strict=False)]
    if words[7]:
        shown.append(f"resv1={words[7]:#x}")
    if words[8]:
        shown.append(f"resv2={words[8]:#x}")
    return "{" + ", ".join(shown) + "}"


@special("io_uring_setup")
def _io_uring_setup(view: View) -> Iterator[str]:
    yield str(view.u32(0))
    data = view.before.peek(view.args[1], 120) if view.args[1] else b""
    if len(data) < 120:
        yield address(view.args[1])
        return
    how, cpu, idle, _, queue, *rest = struct.unpack_from("<IIIIi3I", data, 8)
    shown = f"{{flags={flags('io_uring_setup_flags', how)}, sq_thread_cpu={hexadecimal(cpu)}"
    shown += f", sq_thread_idle={idle}"
    if how & SETUP_ATTACH_WQ:
        shown += f", wq_fd={view.fd(queue)}"
    if any(rest):
        shown += f", resv=[{', '.join(hexadecimal(word) for word in rest)}]"
    yield LATE
    after = view.after.peek(view.args[1], 120) if not view.failed else b""
    if len(after) == 120:
        sq, cq = struct.unpack_from("<II", after)
        features = int.from_bytes(after[20:24], "little")
        shown += f", sq_entries={sq}, cq_entries={cq}"
        shown += f", features={flags('io_uring_features', features)}"
        shown += f", sq_off={_offsets(after[40:80], SQ_OFFSETS)}"
        shown += f", cq_off={_offsets(after[80:120], CQ_OFFSETS)}"
    yield shown + "}"


@special("io_uring_enter")
def _io_uring_enter(view: View) -> Iterator[str]:
    yield view.fd(view.i32(0))
    yield str(view.u32(1))
    yield str(view.u32(2))
    yield flags("io_uring_enter_flags", view.u32(3))
    if view.u32(3) & 8:  # IORING_ENTER_EXT_ARG: struct io_uring_getevents_arg
        yield address(view.args[4])
    else:
        from posix_x.decode.signals import set_at

        yield set_at(view, 4, 5, view.before)
    yield str(view.args[5])


@special("io_uring_register")
def _io_uring_register(view: View) -> Iterator[str]:
    yield view.fd(view.i32(0))
    yield named("io_uring_register_op", view.u32(1))
    name = SETS["io_uring_register_op"][2].get(view.u32(1), "")
    if name in FD_LISTS:
        yield array(view, "fd", view.args[2], view.u32(3), view.before)
    elif name == "IORING_REGISTER_BUFFERS":
        yield array(view, "iovec", view.args[2], view.u32(3), view.before)
    else:
        yield address(view.args[2])
    yield str(view.u32(3))
