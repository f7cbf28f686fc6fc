"""/proc/PID/maps without the runtime's mappings."""

from exo_um.kernel import procmaps

HOST = b"""\
00400000-00401000 r--p 00000000 fe:00 77                         /bin/tool
00401000-00402000 r-xp 20014000 00:01 5                          /memfd:exo-kr (deleted)
00402000-00403000 r--p 00002000 fe:00 77                         /bin/tool
004ac000-004c0000 r-xp 20000000 00:01 5                          /memfd:exo-kr (deleted)
01000000-01001000 rw-p 00000000 00:00 0                          [heap]
7e9000000000-7e9000019000 r-xp 00000000 fe:00 9                  /lib/exo-guest
7e9000180000-7e9020180000 rw-s 00000000 00:01 5                  /memfd:exo-kr (deleted)
7ffc00000000-7ffc00021000 rw-p 00000000 00:00 0                  [stack]
"""
GUEST = b"""\
00400000-00401000 r--p 00000000 fe:00 77                                 /bin/tool
00401000-00402000 r-xp 00001000 fe:00 77                                 /bin/tool
00402000-00403000 r--p 00002000 fe:00 77                                 /bin/tool
01000000-01001000 rw-p 00000000 00:00 0                                  [heap]
7ffc00000000-7ffc00021000 rw-p 00000000 00:00 0                          [stack]
"""


class FakeView:
    """One copy: stubs at 0x20000000, code of offset 0x1000 behind them."""

    def copies_id(self) -> tuple[bytes, bytes]:
        """Return what the host's text has for the file of copies."""
        return b"00:01", b"5"

    def code_offset(self, offset: int) -> int | None:
        """Return where in the file the code is."""
        return 0x1000 if offset == 0x20014000 else None


def test_maps_are_the_guests() -> None:
    assert procmaps.maps(HOST, FakeView(), 2) == GUEST  # type: ignore[arg-type]


def test_smaps_lose_whole_blocks() -> None:
    def with_sizes(text: bytes) -> bytes:
        return text.replace(b"\n", b"\nRss:       4 kB\nVmFlags: rd mr\n")

    assert procmaps.maps(with_sizes(HOST), FakeView(), 2) == with_sizes(GUEST)  # type: ignore[arg-type]


def test_lines_without_a_path() -> None:
    text = b"7f0000000000-7f0000001000 rw-p 00000000 00:00 0 \n"
    assert procmaps.maps(text, FakeView(), 2) == text  # type: ignore[arg-type]
