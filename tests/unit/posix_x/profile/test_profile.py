"""posix-x profile's parts: files, descriptors, percentiles, suggestions, plots."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

from posix_x.decode.memory import Snippets
from posix_x.decode.view import View
from posix_x.profile import advise, plots
from posix_x.profile.binary import Binary
from posix_x.profile.callers import Rule
from posix_x.profile.files import Files, Thing
from posix_x.profile.spaces import Place, Spaces
from posix_x.profile.tally import Copy, CopyKey, Run, RunKey, Site, SiteKey, Tally

SOURCE = """\
__attribute__((noinline)) int leaf(int n) { return n + 1; }
__attribute__((noinline)) int framed(int n)
{
    volatile char room[100];
    room[n] = 1;
    return leaf(n) + room[0];
}
static inline __attribute__((always_inline)) int inner(int n)
{
    return n * leaf(n);
}
int main(int argc, char **argv) { return framed(argc) + inner(argc); }
"""
PLACE = Place("app", 0x1000, "work", "app.c", 7)


@pytest.fixture(scope="module")
def binary(tmp_path_factory: pytest.TempPathFactory) -> Binary:
    folder = tmp_path_factory.mktemp("binary")
    (folder / "app.c").write_text(SOURCE)
    options = ["-g", "-O1", "-fno-omit-frame-pointer", "-fcf-protection=none"]
    subprocess.run(["gcc", *options, "-o", folder / "app", folder / "app.c"], check=True)
    return Binary(str(folder / "app"))


def address_of(binary: Binary, name: str) -> int:
    with Path(binary.path).open("rb") as file:
        (symbol,) = ELFFile(file).get_section_by_name(".symtab").get_symbol_by_name(name)
        return int(symbol["st_value"])


def test_functions_and_lines(binary: Binary) -> None:
    leaf = address_of(binary, "leaf")
    assert (binary.function(leaf), binary.line(leaf)) == ("leaf", ("app.c", 1))
    main = address_of(binary, "main")
    assert binary.line(main) == ("app.c", 12)
    inside = {binary.function(main + i) for i in range(60)}
    assert {"main", "inner"} <= inside
    assert (binary.function(0), binary.line(0)) == ("", None)
    assert binary.is_own(leaf)


def test_callers_are_found_by_either_register(binary: Binary) -> None:
    """At the first instruction by rsp; behind the frame's making by rbp, which is saved."""
    framed = address_of(binary, "framed")
    assert binary.rule(framed + 1) == Rule(1, 8, 0)
    assert binary.rule(framed + 12) == Rule(2, 16, -16)
    assert binary.rule(1) == Rule()


def test_what_is_no_elf_file_says_nothing(tmp_path: Path) -> None:
    for content in (b"", b"\x7fELF", b"\x7fELF" + bytes(200)):
        (tmp_path / "broken").write_bytes(content)
        broken = Binary(str(tmp_path / "broken"))
        assert (broken.function(5), broken.line(5), broken.rule(5)) == ("", None, Rule())
        assert broken.is_own(5)
    assert Binary("/nowhere/x").segments == []


def test_a_child_s_space_is_its_parent_s_when_it_is_needed(binary: Binary) -> None:
    spaces = Spaces()
    child = spaces.new(lambda: parent)
    parent = spaces.new()  # it has executed a program, of which we have heard later
    spaces.load(parent, binary.path, 0x10000)
    leaf = address_of(binary, "leaf")
    place = spaces.place(child, 0x10000 + leaf + 1)
    assert (place.text, place.address) == ("leaf (app.c:1)", leaf)
    assert spaces.place(child, 0x99999999).function == ""
    spaces.map(parent, 0x500000, 0x1000, binary.path, leaf & ~0xFFF)
    assert spaces.place(parent, 0x500000 + (leaf & 0xFFF) + 1).function == "leaf"


def call(nr: int, *args: int, result: int = 0, before: bytes = b"", after: bytes = b"") -> View:
    """A call with memory at 0x1000."""
    whole = (*args, 0, 0, 0, 0, 0, 0)[:6]
    return View(nr, whole, result, Snippets([(0x1000, before)]), Snippets([(0x1000, after)]))


def test_descriptors_are_followed() -> None:
    files = Files({}, "/home")
    files.take(call(2, 0x1000, result=3, before=b"notes/a\0"))
    files.take(call(32, 3, result=4))
    files.take(call(3, 3))
    files.take(call(22, 0x1000, after=(5).to_bytes(4, "little") + (6).to_bytes(4, "little")))
    files.take(call(41, 1, 2, result=7))
    files.take(call(41, 2, 0x80001, result=8))
    files.take(call(2, 0x1000, result=-2, before=b"/no\0"))
    child = files.copy()
    child.take(call(80, 0x1000, before=b"../tmp\0"))
    assert files.things == {
        4: Thing("file", "/home/notes/a"),
        5: Thing("pipe", "a pipe"),
        6: Thing("pipe", "a pipe"),
        7: Thing("packets", "an AF_UNIX socket of packets"),
        8: Thing("socket", "a TCP socket"),
    }
    assert (files.directory, child.directory) == ("/home", "/tmp")


def test_quantiles_are_those_of_the_samples() -> None:
    """To an eighth, which is a bucket's width."""
    from exo_um.bindings import lib

    bounds = [int(lib.exo_profile_bound(i)) for i in range(200)]
    samples = [100 + 7 * i for i in range(1000)]
    buckets = Counter(max(i for i in range(199) if bounds[i] <= one) for one in samples)
    site = Site(calls=1000, most=max(samples), buckets=buckets)
    for share in (0.5, 0.9, 0.99):
        assert site.quantile(share) == pytest.approx(samples[int(share * 1000) - 1], rel=0.13)


def tally(**given: object) -> Tally:
    """What was counted, with a site that has taken 1,000,000 cycles."""
    site = Site(1000, 0, 1_000_000, 10_000, 5000, Counter({60: 1000}))
    return Tally({SiteKey(1, PLACE, None, True, False): site}, hz=1e9, **given)  # type: ignore[arg-type]


def test_a_copy_is_handed_over_unless_it_changes() -> None:
    key = CopyKey("read", PLACE, "write", PLACE)
    ways = [(Thing("file", "/a"), Thing("socket", "a TCP socket"))]
    copy = Copy(100, 100, 102400, 200_000, 300_000, 100, 0, 1024, ways)
    (one,) = advise.suggestions(tally(copies={key: copy}))
    assert "sendfile(2)" in one["title"]
    assert 260_000 < one["saves_cycles"] < 290_000  # the median of the writes is 800, not 3,000
    copy.changed, copy.same = 100, 0
    (one,) = advise.suggestions(tally(copies={key: copy}))
    assert one["title"].startswith("read and write 64 KiB")
    copy.reads = copy.writes = 3
    copy.bytes = 3072
    assert advise.suggestions(tally(copies={key: copy})) == []


def test_writes_that_somebody_waits_for_are_left_alone() -> None:
    key = RunKey("write", PLACE)
    run = Run(1, 1000, 10_000, 1_000_000, 1000, 0, [Thing("pipe", "a pipe")])
    (one,) = advise.suggestions(tally(runs={key: run}))
    assert (one["kind"], one["share"] > 0.7) == ("batch", True)
    run.asked = 900
    assert advise.suggestions(tally(runs={key: run})) == []
    run.to = [Thing("file", "/a")]  # whose every write asks the host
    assert len(advise.suggestions(tally(runs={key: run}))) == 1
    run.to = [Thing("packets", "a UDP socket of packets")]
    assert advise.suggestions(tally(runs={key: run})) == []


def test_plots_escape_what_programs_are_called() -> None:
    text = plots.bars([("<b>", 3.0, "&", 0)]) + plots.histogram([(100, 5)], [("<p99>", 100)])
    assert "<b>" not in text
    assert "&lt;b&gt;" in text
    assert "<p99>" not in text
    assert plots.histogram([], []) == ""
    assert [plots.short(one) for one in (5, 1500, 2e6, 3e9)] == ["5", "1.5 k", "2 M", "3 G"]


def test_importing_the_command_imports_nothing_slow() -> None:
    slow = "{'elftools', 'numba', 'rich'}"
    code = f"import sys, posix_x.profile.command; print({slow} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
