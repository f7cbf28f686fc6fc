"""What could be saved, with the numbers that it rests on.

The basis of every figure is this run: what the calls took that would be gone, less what those would
take that stay, at the median of the calls seen, as means tell of who else used the CPU; and what
copying a byte costs, measured here.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from posix_x.profile.report import name_of, tier_of
from posix_x.table.rows import ROWS

if TYPE_CHECKING:
    from posix_x.profile.files import Thing
    from posix_x.profile.spaces import Place
    from posix_x.profile.tally import Copy, CopyKey, Run, Site, SiteKey, Tally

    Medians = dict[tuple[str, Place], int]

BLOCK = 65536  # what a program had better move at once
BATCH = 4096  # bytes that a batch of small writes may hold
FEW = 16  # calls: fewer are not worth a word
SMALL_READ = 512
LOOKUPS = {row[0] for row in ROWS.values() if any(one[1] == "path" for one in row[3])}
TINY = 0.002  # of the time in calls, by medians: less is not worth a word


def suggestions(found: Tally) -> list[dict[str, Any]]:
    """Return suggestions, those that save most first; times in cycles."""
    byte = cycles_per_byte(found.hz)
    medians = medians_of(found)
    copied = {key.read for key in found.copies} | {key.write for key in found.copies}
    given = [
        *(_copy(key, copy, byte, medians) for key, copy in found.copies.items()),
        *(_run(key.name, key.place, run, byte, medians) for key, run in found.runs.items()),
        *_by_site(found, copied, byte),
        *_paths(found),
    ]
    spent = sum(site.cycles for site in found.sites.values())
    least = TINY * sum(site.quantile(0.5) * site.calls for site in found.sites.values())
    kept = [one for one in given if one is not None and one["saves_cycles"] > least]
    for one in kept:
        one["saves_us"] = round(one["saves_cycles"] / found.hz * 1e6, 1)
        one["share"] = round(one["saves_cycles"] / spent, 4)
    return sorted(kept, key=lambda one: -one["saves_cycles"])


def cycles_per_byte(hz: float) -> float:
    """Measure what copying a byte costs on this machine, from memory to memory, in cycles."""
    source, target = bytes(1 << 20), bytearray(1 << 20)
    best = 1 << 62
    for _ in range(8):
        began = time.perf_counter_ns()
        target[:] = source
        best = min(best, time.perf_counter_ns() - began)
    return best * hz / 1e9 / len(source)


def _made(
    kind: str, place: Place, title: str, why: str, saves: float, basis: str
) -> dict[str, Any]:
    return {
        "kind": kind,
        "place": place.text,
        "title": title,
        "why": why,
        "saves_cycles": round(max(0.0, saves)),
        "basis": basis,
    }


def medians_of(found: Tally) -> Medians:
    """Return the median cycles of each call from each place."""
    sums: dict[tuple[str, Place], Site] = {}
    for key, site in found.sites.items():
        place = name_of(key), key.own
        if place not in sums:
            sums[place] = type(site)()
        sums[place].add(site)
    return {place: site.quantile(0.5) for place, site in sums.items()}


def _copy(key: CopyKey, copy: Copy, byte: float, medians: Medians) -> dict[str, Any] | None:
    """Suggest a larger buffer, or that the data need not come to the program at all."""
    if copy.writes < FEW and copy.bytes < BLOCK:
        return None
    reading = medians.get((key.reads, key.read), copy.read_cycles / max(copy.reads, 1))
    writing = medians.get((key.writes, key.write), copy.write_cycles / copy.writes)
    spent = reading * copy.reads + writing * copy.writes
    each = spent / max(copy.reads, 1)  # a read and its writes
    fixed = max(0.0, each - 2 * byte * copy.bytes / max(copy.reads, 1))
    blocks = -(-copy.bytes // BLOCK)
    what = way_of(copy)
    why = (
        f"{copy.reads:,} {key.reads} and {copy.writes:,} {key.writes} at {key.write.text} moved "
        f"{copy.bytes:,} bytes {what}, at most {copy.largest:,} at a time"
    )
    why += f"; {copy.same:,} writes began with what was read" if copy.same else ""
    why += f", {copy.changed:,} did not" if copy.changed else ""
    basis = f"{each:,.0f} cycles for each read and its write, medians; {byte:.3f} for a byte copied"
    by = hand_over(copy)
    if copy.changed == 0 and by and copy.largest >= SMALL_READ:
        saves = spent - blocks * fixed
        title = (
            f"{by} where the program does not look at the data; else {BLOCK >> 10} KiB at a time"
        )
        why += f"; {blocks:,} calls of {BLOCK >> 10} KiB would do"
    elif copy.bytes / max(copy.reads, 1) < BLOCK / 4:
        saves = spent - blocks * (fixed + 2 * byte * BLOCK)
        title = f"read and write {BLOCK >> 10} KiB at a time" + (f", or {by}" if by else "")
        why += f"; {blocks:,} pairs would do"
    else:
        return None
    return _made("copy", key.read, title, why, saves, basis)


def way_of(copy: Copy) -> str:
    """Return from what to what data went."""
    if not copy.ways:
        return ""
    start, end = copy.ways[0]
    text = f"from {start.name or 'an fd'} to {end.name or 'an fd'}"
    return text + (f" and {len(copy.ways) - 1} more ways" if len(copy.ways) > 1 else "")


def hand_over(copy: Copy) -> str:
    """Return the call that moves such data in the kernel, empty if there is none."""
    if not copy.ways:
        return ""
    kinds = {(start.kind, end.kind) for start, end in copy.ways}
    if any("packets" in pair or "other" in pair or "device" in pair for pair in kinds):
        return ""
    if kinds == {("file", "file")}:
        return "copy_file_range(2)"
    if all(start == "file" for start, _ in kinds):
        return "sendfile(2)"
    if all("pipe" in pair for pair in kinds):
        return "splice(2)"
    return "splice(2), by way of a pipe"


def _run(name: str, place: Place, run: Run, byte: float, medians: Medians) -> dict[str, Any] | None:
    """Suggest a batch, unless somebody waits for the writes."""
    if run.writes < FEW or any(thing.kind == "packets" for thing in run.to):
        return None
    if is_awaited(run.to, run):
        return None
    batches = max(run.runs, -(-run.bytes // BATCH))
    each = medians.get((name, place), run.cycles / run.writes)
    fixed = max(0.0, each - byte * run.bytes / run.writes)
    to = ", ".join(dict.fromkeys(thing.name or "an fd" for thing in run.to)) or "an fd"
    why = (
        f"{run.writes:,} {name} of {run.bytes / run.writes:,.1f} bytes to {to}, in {run.runs:,} "
        f"runs of up to {run.longest:,}; {batches:,} of up to {BATCH:,} bytes would do"
    )
    basis = f"{each:,.0f} cycles for each, the median; {byte:.3f} for a byte copied"
    title = "gather small writes: a buffer (stdio), writev(2), or posix-x migrate"
    saves = run.writes * each - batches * fixed - byte * run.bytes
    return _made("batch", place, title, why, saves, basis)


def is_awaited(to: list[Thing], run: Run) -> bool:
    """Whether writes to exo's pipes and sockets mostly woke somebody: that takes the host."""
    own = bool(to) and all(thing.kind in ("pipe", "socket") for thing in to)
    return own and run.asked * 4 > run.writes


def _by_site(found: Tally, copied: set[Place], byte: float) -> list[dict[str, Any] | None]:
    sums: dict[tuple[str, Place, str], Site] = {}
    from posix_x.profile.tally import Site

    for key, site in found.sites.items():
        sums.setdefault((name_of(key), key.own, kind_of(key)), Site()).add(site)
    given: list[dict[str, Any] | None] = []
    for (name, place, kind), site in sums.items():
        if site.calls < FEW:
            continue
        if kind == "legacy":
            given.append(_legacy(name, place, site))
        elif name in ("read", "pread64", "recvfrom") and place not in copied:
            given.append(_small_reads(name, place, site, byte))
        if site.errors * 2 > site.calls and name not in LOOKUPS:
            given.append(_failing(name, place, site))
    return given


def kind_of(key: SiteKey) -> str:
    """Return "legacy" for what Python served, which is slow, else nothing."""
    return "legacy" if tier_of(key) == "legacy" else ""


def _legacy(name: str, place: Place, site: Site) -> dict[str, Any]:
    return _made(
        "legacy", place, f"ask {name} once, and keep the answer",
        f"{site.calls:,} calls went to the kernel process, which serves {name} in Python",
        site.quantile(0.5) * (site.calls - 1),
        f"{site.quantile(0.5):,} cycles for each, the median",
    )  # fmt: skip


def _small_reads(name: str, place: Place, site: Site, byte: float) -> dict[str, Any] | None:
    good = site.calls - site.errors
    if not good or not site.bytes or site.bytes / good >= SMALL_READ:
        return None
    blocks = -(-site.bytes // BLOCK)
    each = site.quantile(0.5)
    return _made(
        "reads", place, f"read {BLOCK >> 10} KiB at a time into a buffer (stdio)",
        f"{site.calls:,} {name} brought {site.bytes:,} bytes, {site.bytes / good:,.1f} each; "
        f"{blocks:,} would do where that much is there",
        (site.calls - blocks) * each - byte * site.bytes,
        f"{each:,} cycles for each, the median, waiting included; {byte:.3f} for a byte copied",
    )  # fmt: skip


def _failing(name: str, place: Place, site: Site) -> dict[str, Any]:
    each = site.quantile(0.5)
    return _made(
        "failing", place, f"do without {name} that fails",
        f"{site.errors:,} of {site.calls:,} failed", site.errors * each,
        f"{each:,} cycles for each, the median",
    )  # fmt: skip


def _paths(found: Tally) -> list[dict[str, Any]]:
    """Suggest to remember what was looked up again, each path for itself."""
    from posix_x.profile.spaces import NOWHERE

    given = []
    for path, one in found.paths.lookups.items():
        if one.count < FEW:
            continue
        each = one.cycles / one.count
        failed = f", {one.failed:,} times not to be had" if one.failed else ""
        saves = (one.count - 1) * each
        given.append(
            _made(
                "path", NOWHERE, f"keep what is known of {path}, or an fd",
                f"{', '.join(sorted(one.calls))} looked {one.count:,} times{failed}",
                saves, f"{each:,.0f} cycles for each, on average",
            ) | {"place": path}
        )  # fmt: skip
    return given
