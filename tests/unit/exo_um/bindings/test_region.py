"""The region as cffi sees it has the layout that the C compiler gives it."""

from __future__ import annotations

import errno
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from exo_um.bindings import check, ffi, lib
from exo_um.bindings.jobs import Collect
from exo_um.bindings.region import Region

INCLUDE = Path(__file__).parents[4] / "native" / "include"
ABI = INCLUDE / "exo" / "abi.h"
STRUCTS = re.findall(r"^struct (exo_\w+) \{", ABI.read_text(), re.MULTILINE)


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    """Sizes and field offsets as a compiled C program prints them."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler")
    lines = []
    for name in STRUCTS:
        lines.append(f'printf("{name} %zu\\n", sizeof(struct {name}));')
        for field, _ in ffi.typeof(f"struct {name}").fields:
            lines.append(f'printf("{name}.{field} %zu\\n", offsetof(struct {name}, {field}));')
    folder = tmp_path_factory.mktemp("layout")
    source = folder / "layout.c"
    head = "#include <stddef.h>\n#include <stdio.h>\n#include <exo/abi.h>\n"
    source.write_text(f"{head}int main(void) {{ {' '.join(lines)} return 0; }}\n")
    subprocess.run([compiler, f"-I{INCLUDE}", "-o", folder / "layout", source], check=True)
    output = subprocess.run([folder / "layout"], check=True, capture_output=True, text=True).stdout
    return {name: int(number) for name, number in (line.split() for line in output.splitlines())}


def test_layout(compiled: dict[str, int]) -> None:
    seen = {}
    for name in STRUCTS:
        struct = ffi.typeof(f"struct {name}")
        seen[name] = ffi.sizeof(struct)
        seen |= {f"{name}.{field}": kind.offset for field, kind in struct.fields}
    assert len(STRUCTS) >= 9
    assert seen == compiled


def test_a_task_fills_three_cache_lines() -> None:
    assert ffi.sizeof("struct exo_task") == 192


def test_a_new_region() -> None:
    region = Region()
    try:
        assert region.kr.magic == lib.EXO_ABI_MAGIC
        assert region.kr.version == lib.EXO_ABI_VERSION
        assert os.fstat(region.fd).st_size == region.kr.size + lib.EXO_COPIES_SIZE
        assert os.fstat(region.fd).st_blocks * 512 < 1 << 20  # sparse
        assert not os.get_inheritable(region.fd)
        assert region.kr.tasks[0].tid == 1
    finally:
        os.close(region.fd)


def test_frame_data_stays_in_bounds() -> None:
    region = Region()
    try:
        limit = lib.EXO_FRAME_DATA_SIZE
        region.frame_data(3, limit - 2, 2)[:] = b"ab"
        assert bytes(region.kr.frames[3].data[limit - 2 : limit]) == b"ab"
        for offset, size in ((limit - 1, 2), (-1, 1), (0, -1)):
            with pytest.raises(ValueError, match="frame data"):
                region.frame_data(3, offset, size)
    finally:
        os.close(region.fd)


def test_check() -> None:
    assert check(5) == 5
    with pytest.raises(FileNotFoundError):
        check(-2)


def test_what_a_killed_task_held_is_collected() -> None:
    region = Region()
    try:
        kept, lost = region.table_create(), region.table_create()
        slot = lib.exo_task_create(region.kr, 0, False)
        lib.exo_fd_table_give(region.kr, slot, kept)
        before = region.kr.heap_next
        assert Collect(region).do() == before - lost, "the second table and its array"
        assert Collect(region).do() == 0
        assert [region.table_create() for _ in range(1)] == [lost]
        assert region.kr.heap_next == before
        region.kr.free_tables = 12345
        assert Collect(region).do() == -errno.EINVAL, "and nothing is freed"
    finally:
        os.close(region.fd)


def test_a_table_with_too_many_users_is_corrected() -> None:
    region = Region()
    try:
        first, second = (lib.exo_task_create(region.kr, 0, False) for _ in range(2))
        lib.exo_fd_table_give(region.kr, first, region.table_create())
        table = region.kr.tasks[first].fd_table
        lib.exo_fd_table_share(region.kr, second, table)
        struct = ffi.cast("struct exo_fd_table *", ffi.cast("char *", region.kr) + table)
        assert struct.users == 2
        struct.users = 3
        assert Collect(region).do() == 0
        assert struct.users == 2
    finally:
        os.close(region.fd)
