"""Ten thousand damaged ELF files: exo-um must refuse or run each of them, and survive them all.

A tiny static program that exits with 42 is truncated and mutated in its headers; the guest
program fuzz_exec.c executes every mutant and prints how it ended. Natively it gives the
reference. A mutant may end otherwise under exo-um (a loader in user space cannot kill half-way
through execve as Linux does), but only a few percent of them, and none may hang.
EXO_FUZZ_COUNT and EXO_FUZZ_SEED choose other mutants.
"""

from __future__ import annotations

import os
import random
import struct
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from sidebyside import Launcher, Outcome

pytestmark = pytest.mark.any_user

GUEST = Path(__file__).parent.parent / "guest" / "fuzz_exec.c"
COUNT = int(os.environ.get("EXO_FUZZ_COUNT", "10000"))
SEED = int(os.environ.get("EXO_FUZZ_SEED", "1"))
BATCH = 1000
ALLOWED_DIFFERENT_KIND = 0.05
TINY = """
__asm__(".globl _start\\n_start: mov $60, %eax\\nmov $42, %edi\\nsyscall\\nhlt\\n");
char data[64] = "some data"; char zeros[8192];
"""
INTERESTING = [0, 1, 2, 3, 4, 6, 7, 0x10, 0x38, 0x40, 0xFF, 0xFFF, 0x1000, 0x7FFF, 0x8000, 0xFFFF]
INTERESTING += [0x10000, 0x400000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 1 << 32, 1 << 40]
INTERESTING += [
    0x7FFFFFFFF000,
    0x800000000000,
    (1 << 63) - 1,
    1 << 63,
    (1 << 64) - 4096,
    (1 << 64) - 1,
]
# offset and size of the fields of Elf64_Ehdr and Elf64_Phdr
HEADER = [(4, 1), (5, 1), (6, 1), (7, 1), (16, 2), (18, 2), (20, 4), (24, 8), (32, 8), (40, 8)]
HEADER += [(48, 4), (52, 2), (54, 2), (56, 2), (58, 2), (60, 2), (62, 2)]
SEGMENT = [(0, 4), (4, 4), (8, 8), (16, 8), (24, 8), (32, 8), (40, 8), (48, 8)]


def tiny_programs(folder: Path) -> list[bytes]:
    """The undamaged program, at a fixed address and position-independent."""
    source = folder / "tiny.c"
    source.write_text(TINY)
    programs = []
    for flags in (["-no-pie", "-static"], ["-static-pie", "-fPIE"]):
        binary = folder / "tiny"
        command: list[str | Path] = [
            "gcc",
            "-O1",
            "-nostdlib",
            "-s",
            "-w",
            *flags,
            "-Wl,--build-id=none",
            "-o",
            binary,
        ]
        subprocess.run([*command, source], check=True)
        programs.append(binary.read_bytes())
    return programs


def mutate(program: bytes, dice: random.Random) -> bytes:
    """One damaged copy."""
    data = bytearray(program)
    table, entries = struct.unpack_from("<Q", data, 32)[0], struct.unpack_from("<H", data, 56)[0]
    how = dice.random()
    if how < 0.10:
        end = dice.randrange(300) if dice.random() < 0.6 else dice.randrange(len(data))
        return bytes(data[:end])
    for _ in range(dice.choice((1, 1, 1, 2, 3, 8))):
        if how < 0.25:
            data[dice.randrange(table + 56 * entries)] ^= 1 << dice.randrange(8)
            continue
        base, fields = (0, HEADER) if how < 0.5 else (table + 56 * dice.randrange(entries), SEGMENT)
        offset, size = dice.choice(fields)
        old = int.from_bytes(data[base + offset : base + offset + size], "little")
        value = dice.choice(
            (
                dice.choice(INTERESTING),
                old + dice.choice((-4096, -1, 1, 4096)),
                dice.getrandbits(64),
            )
        )
        data[base + offset : base + offset + size] = (value % (1 << 8 * size)).to_bytes(
            size, "little"
        )
    return bytes(data)


def outcomes(ran: Outcome, count: int) -> list[str]:
    """How each mutant ended, after the checks that fuzz_exec went through all of them."""
    lines = ran.stdout.decode(errors="replace").splitlines()
    ended = f"{ran.stderr!r}, after {lines[-3:]}"
    assert not ran.timed_out, f"hung: {ended}"
    assert ran.status == 0, f"status {ran.status}: {ended}"
    assert lines[-1] == f"done {count}", ended
    found = [line.partition(" ")[2] for line in lines[:-1]]
    assert len(found) == count
    return found


@pytest.fixture(scope="module")
def material(
    tmp_path_factory: pytest.TempPathFactory, require: Callable[[str], None]
) -> tuple[bytes, list[bytes]]:
    """fuzz_exec as bytes, and the undamaged programs."""
    require("gcc")
    folder = tmp_path_factory.mktemp("fuzz")
    binary = folder / "fuzz_exec"
    subprocess.run(["gcc", "-O2", "-static", "-w", "-o", binary, GUEST], check=True)
    return binary.read_bytes(), tiny_programs(folder)


def batch_files(material: tuple[bytes, list[bytes]], batch: int) -> tuple[dict[str, bytes], int]:
    """The files of one batch, the undamaged programs first, and how many programs it holds."""
    fuzz_exec, tiny = material
    dice = random.Random(SEED * 1_000_003 + batch)
    size = min(BATCH, COUNT - batch * BATCH)
    mutants = [*tiny, *(mutate(dice.choice(tiny), dice) for _ in range(size))]
    stored = b"".join(struct.pack("<I", len(mutant)) + mutant for mutant in mutants)
    return {"fuzz_exec": fuzz_exec, "mutants": stored}, len(mutants)


@pytest.mark.timeout(1500)
@pytest.mark.parametrize("batch", range((COUNT + BATCH - 1) // BATCH))
def test_damaged_programs(
    batch: int,
    material: tuple[bytes, list[bytes]],
    launcher: Launcher,
    record_property: Callable[[str, object], None],
) -> None:
    """All mutants end, and nearly all end in the same way as natively."""
    files, count = batch_files(material, batch)
    pair = launcher.both(["./fuzz_exec", "mutants"], files=files, timeout=600)
    native, exo = outcomes(pair.native, count), outcomes(pair.exo, count)
    assert native[:2] == exo[:2] == ["exit 42"] * 2
    pairs = Counter((left, right) for left, right in zip(native, exo, strict=True) if left != right)
    kinds = sum(n for (left, right), n in pairs.items() if left.split()[0] != right.split()[0])
    report = f"batch {batch}: {pairs.total()} of {count} differ, {kinds} in kind"
    record_property("differ", pairs.total())
    record_property("differ_in_kind", kinds)
    print(report, Counter(native).most_common(6))
    assert kinds <= ALLOWED_DIFFERENT_KIND * count, f"{report}\n{pairs.most_common(12)}"
