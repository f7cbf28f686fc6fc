"""One running instance of exo-um: what handlers and the serve loop share. Made by exo_um.boot."""

from __future__ import annotations

import os

from exo_um.kernel.tasks import Tasks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from exo_um.bindings.region import Region


class Instance:
    """The state of an instance outside the kernel region."""

    __slots__ = (
        "argv",
        "name",
        "region",
        "tasks",
        "verbose",
    )

    def __init__(self, region: Region, verbose: bool = False) -> None:
        self.region = region
        self.tasks = Tasks(region)
        self.verbose = verbose
        self.name = ""  # by which other commands find it
        self.argv: list[bytes] = []  # of the first guest

    def say(self, line: str) -> None:
        """Write a line to stderr when the user asked for them."""
        if self.verbose:
            os.write(2, f"exo-um: {line}\n".encode(errors="surrogateescape"))
