"""One running instance of exo-um: what handlers and the serve loop share. Made by exo_um.boot."""

from __future__ import annotations

import os

from exo_um import __version__
from exo_um.kernel.tasks import Tasks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from exo_um.bindings.region import Region


def numeric_release(release: str) -> str:
    """Return the leading major.minor.patch of a kernel release, what libraries parse."""
    end = 0
    while end < len(release) and (release[end].isdigit() or release[end] == "."):
        end += 1
    return release[:end].rstrip(".")


class Instance:
    """The state of an instance outside the kernel region."""

    __slots__ = (
        "argv",
        "domainname",
        "hostname",
        "name",
        "region",
        "release",
        "tasks",
        "verbose",
        "version",
    )

    def __init__(self, region: Region, verbose: bool = False) -> None:
        host = os.uname()
        self.region = region
        self.tasks = Tasks(region)
        self.verbose = verbose
        self.name = ""  # by which other commands find it
        self.argv: list[bytes] = []  # of the first guest
        self.hostname = os.fsencode(host.nodename)
        self.domainname = b"(none)"
        self.release = os.fsencode(numeric_release(host.release) + "-exo-um")
        self.version = os.fsencode(f"exo-um {__version__}")

    def say(self, line: str) -> None:
        """Write a line to stderr when the user asked for them."""
        if self.verbose:
            os.write(2, f"exo-um: {line}\n".encode(errors="surrogateescape"))
