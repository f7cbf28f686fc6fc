"""exo_std: channels, tasks and files by capability for Python programs. A tour: docs/exo_std.md.

Importing it imports neither numpy nor numba nor asyncio; what needs them imports them.
"""

from exo_um.std.channel import Block, Channel, ChannelClosed, PeerLost, channel

__all__ = ["Block", "Channel", "ChannelClosed", "PeerLost", "channel"]
