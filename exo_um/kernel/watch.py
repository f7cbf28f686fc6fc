"""exo-watch, the process that ends the guests should the kernel process die: kept running here.

What it does stands in native/watch/main.c.
"""

from __future__ import annotations

import os

from exo_um.bindings.process import start_watch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from exo_um.bindings.region import Region

SIGKILL = 9


class Watch:
    """One running exo-watch. Errors: OSError, if the first cannot be started."""

    __slots__ = ("_path", "_region", "pid")

    def __init__(self, path: str, region: Region) -> None:
        self._path = path
        self._region = region
        self.pid = start_watch(path, region)

    def restart(self) -> None:
        """Start another one; when the host refuses, the caller tries again later."""
        try:
            self.pid = start_watch(self._path, self._region)
        except OSError:
            self.pid = 0

    def stop(self) -> None:
        """End it: no guest is left."""
        if self.pid:
            os.kill(self.pid, SIGKILL)
            os.waitpid(self.pid, 0)
            self.pid = 0
