"""A legacy call as its handler sees it: a typed view of a call frame, and the kinds of answers.

A handler takes a Call and returns an int, a NewFd or a Pass, or raises OSError with the errno. One
that needs the guest's own process to make a host call is a generator:

    result = yield HostCall(nr, args)      # -errno like any result
    result = yield Work(job, long=True)    # what C code of the kernel process's does

Nothing here blocks: between the yield and its result other guests are served.
"""

from __future__ import annotations

import errno

from exo_um.bindings import lib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping
    from typing import Any, TypeAlias

    from exo_um.bindings.jobs import Job
    from exo_um.kernel.instance import Instance

    Answer: TypeAlias = "int | NewFd | Pass"
    IntSteps: TypeAlias = "Generator[HostCall | Work, int, int]"
    Steps: TypeAlias = "IntSteps | Generator[HostCall | Work, int, Answer]"
    Handler: TypeAlias = "Callable[[Call], Answer | Steps]"
    Handlers: TypeAlias = Mapping[int, Handler]


class NewFd:
    """Answers with a new fd: the host fd is handed over, and closed here."""

    __slots__ = ("cloexec", "directory", "fd")

    def __init__(self, fd: int, *, cloexec: bool = False, directory: bool = False) -> None:
        """Hold fd; what is no directory is text, which readers may ask for again."""
        self.fd = fd
        self.cloexec = cloexec
        self.directory = directory

    @property
    def flags(self) -> int:
        """The enum exo_reply_flags of such a reply."""
        flags: int = lib.EXO_REPLY_FD
        if self.cloexec:
            flags |= lib.EXO_REPLY_CLOEXEC
        kind: int = lib.EXO_REPLY_DIRECTORY if self.directory else lib.EXO_REPLY_TEXT
        return flags | kind


class Pass:
    """Answers that the runtime is to make the call on the host itself, with another path."""

    __slots__ = ("path",)

    def __init__(self, path: bytes) -> None:
        self.path = path


class Data:
    """An argument of a HostCall that is a staged argument's memory in the frame."""

    __slots__ = ("offset",)

    def __init__(self, offset: int) -> None:
        self.offset = offset


class HostCall:
    """Asks the calling task to make a host call on its own behalf."""

    __slots__ = ("args", "nr")

    def __init__(self, nr: int, *args: int | Data) -> None:
        self.nr = nr
        self.args = args


class Work:
    """Asks for a job to be done: by a worker if it may take long or be held up, else at once."""

    __slots__ = ("job", "long")

    def __init__(self, job: Job, *, long: bool) -> None:
        self.job = job
        self.long = long


class Call:
    """One legacy call: who calls, with what, and where outs go."""

    __slots__ = ("_frame", "args", "instance", "nr", "sequence", "slot", "tid")

    def __init__(self, instance: Instance, slot: int) -> None:
        self.instance = instance
        self.slot = slot
        self._frame: Any = instance.region.kr.frames[slot]
        self.nr: int = self._frame.nr
        self.sequence: int = self._frame.sequence
        self.args: list[int] = list(self._frame.args)
        self.tid: int = instance.tasks[slot].tid
        for i in range(6):
            self._frame.out_size[i] = 0

    def is_awaited(self) -> bool:
        """Whether the caller still waits for the answer; else it was killed."""
        tasks = self.instance.tasks
        same = tasks[self.slot].tid == self.tid and self._frame.sequence == self.sequence
        return same and tasks.alive(self.slot)

    @property
    def leader(self) -> int:
        """The slot of the caller's process."""
        return int(self.instance.tasks[self.slot].leader_slot)

    def read(self, i: int) -> bytes:
        """Return the staged bytes of argument i."""
        frame = self._frame
        return bytes(
            self.instance.region.frame_data(self.slot, frame.arg_offset[i], frame.arg_size[i])
        )

    def path(self, i: int) -> bytes:
        """Return argument i, a string, without its NUL."""
        return self.read(i).partition(b"\0")[0]

    def write(self, i: int, data: bytes) -> None:
        """Answer with data in out argument i. Errors: EFAULT, it has no room for data."""
        self.wrote(i, len(data))
        region = self.instance.region
        region.frame_data(self.slot, self._frame.arg_offset[i], len(data))[:] = data

    def wrote(self, i: int, size: int) -> None:
        """Say that out argument i has size bytes, which a host call may have filled.

        Errors: EFAULT, it has no room for them; a null pointer has none.
        """
        if size > self._frame.arg_size[i]:
            raise OSError(errno.EFAULT, f"out argument {i} of call {self.nr}")
        self._frame.out_size[i] = size

    def write_path(self, path: bytes) -> bool:
        """Put the path of a Pass at the data's start, where the runtime looks; False: too long."""
        data = path + b"\0"
        if len(data) > lib.EXO_PATH_SIZE:
            return False
        self.instance.region.frame_data(self.slot, 0, len(data))[:] = data
        self._frame.data_size = len(data)
        return True

    def data(self, i: int) -> Data:
        """Return staged argument i as an argument of a HostCall."""
        return Data(self._frame.arg_offset[i])

    def write_host_call(self, host_call: HostCall) -> None:
        """Put a host call into the frame, for the runtime to make."""
        frame = self._frame
        frame.host_nr = host_call.nr
        mask = 0
        for i, arg in enumerate(host_call.args):
            if isinstance(arg, Data):
                mask |= 1 << i
                frame.host_args[i] = arg.offset
            else:
                frame.host_args[i] = arg
        frame.host_data = mask

    def host_result(self) -> int:
        """Return what the host call gave."""
        return int(self._frame.host_result)
