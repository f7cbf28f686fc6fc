"""exo_std: channels, tasks and files by capability for Python programs. A tour: docs/exo_std.md.

Importing it imports neither numpy nor numba nor asyncio; what needs them imports them.
"""

from exo_um.std.channel import Block, Channel, ChannelClosed, PeerLost, channel
from exo_um.std.errors import RemoteError, WorkerDiedError
from exo_um.std.file import Directory, File, Rights
from exo_um.std.native import Fiber, Function
from exo_um.std.spawn import spawn, workers
from exo_um.std.workers import Task, Workers

__all__ = [
    "Block",
    "Channel",
    "ChannelClosed",
    "Directory",
    "Fiber",
    "File",
    "Function",
    "PeerLost",
    "RemoteError",
    "Rights",
    "Task",
    "WorkerDiedError",
    "Workers",
    "channel",
    "spawn",
    "workers",
]
