"""What the analysis of one program comes to, as plain data: the JSON, and what is printed."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from posix_x.analyze.program import gather
from posix_x.analyze.reach import Node, Reach
from posix_x.table.rows import ROWS

if TYPE_CHECKING:
    from posix_x.analyze.program import Program

VERSION = 1  # of the cached results
MOST = 0x1000  # a higher number is none of a system call's
POSSIBLE_WEIGHT = 0.25
STAGES = ("__dls2b", "__dls3")  # musl's loader looks its own later stages up by name
LOADS_CODE = ("dlopen", "dlmopen", "__libc_dlopen_mode")


def analyze(path: str) -> dict[str, Any]:
    """Return what is known of a program. Errors: ImageError, OSError."""
    program = gather(path)
    cache = _cache_of(program)
    try:
        found: dict[str, Any] = json.loads(cache.read_text())
    except (OSError, ValueError):
        found = _analyze(program)
        _keep(cache, found)
    return with_tiers(found)


def _cache_of(program: Program) -> Path:
    """Return where the result is kept: under a name made of all files that it depends on."""
    text = "\n".join(
        [str(VERSION), *(f"{image.path} {image.identity}" for image in program.images)]
    )
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return folder / "exo-um" / f"analyze-{hashlib.sha256(os.fsencode(text)).hexdigest()[:24]}.json"


def _keep(cache: Path, found: dict[str, Any]) -> None:
    """Keep a result for the next time, where that is possible."""
    try:
        cache.parent.mkdir(parents=True, exist_ok=True)
        own = cache.with_suffix(f".{os.getpid()}")
        own.write_text(json.dumps(found))
        own.replace(cache)
    except OSError:
        return


def _analyze(program: Program) -> dict[str, Any]:
    reach = Reach(program)
    main = program.images[0]
    imports = _imports(program, reach)
    own, lost = reach.own.functions()
    own_nodes: list[Node] = [(0, start) for start in sorted(own)]
    start = [(index, one) for index, image in enumerate(program.images) for one in image.starters]
    if program.loader:
        loader = reach.number[id(program.loader)]
        places = [place for name, place in program.loader.exports.items() if name in STAGES]
        start += [(loader, place) for place in (program.loader.entry, *places)]
    reach.look([*own_nodes, *imports.values(), *start])
    reach.settle()
    own_nodes = [node for node in reach.facts if node[0] == 0 and main.is_code(node[1])]
    by_import = {
        name: reach.numbers(reach.closure([node], possible=False))
        for name, node in sorted(imports.items())
    }
    groups = {
        "own": reach.numbers(own_nodes),
        "start": reach.numbers(reach.closure(start, possible=False)),
        "possible": reach.numbers(reach.closure(reach.facts, possible=True)),
    }
    return {
        "program": main.path,
        "linked": "dynamic" if main.interp else "shared" if main.needed else "static",
        "interpreter": main.interp,
        "libraries": [image.path for image in program.images[1:]],
        "missing": program.missing,
        "functions": {name: _names(numbers) for name, numbers in by_import.items()},
        "calls": _calls(by_import, groups),
        "sites": _sites(reach),
        "sites_lost": lost,
        "unresolved": _unresolved(program, reach),
        "loads_code": sorted(main.imports.intersection(LOADS_CODE)),
    }


def _imports(program: Program, reach: Reach) -> dict[str, Node]:
    """Return the functions of libraries that the program names, by their names."""
    found: dict[str, Node] = {}
    for name in program.images[0].imports:
        place = program.find(name)
        if place and place[0].is_code(place[1]) and place[0] is not program.images[0]:
            found[name] = (reach.number[id(place[0])], place[1])
    return found


def _names(numbers: set[int]) -> list[str]:
    return [
        ROWS[number][0] if number in ROWS else f"#{number}"
        for number in sorted(numbers)
        if number < MOST
    ]


def _calls(by_import: dict[str, set[int]], groups: dict[str, set[int]]) -> list[dict[str, Any]]:
    """Return a row for each call: sure if the program leads to it by calls alone."""
    calls = []
    everything = set().union(*groups.values(), *by_import.values())
    for number in sorted(everything):
        by = [name for name, numbers in by_import.items() if number in numbers]
        how = (
            "sure"
            if by or number in groups["own"]
            else "start"
            if number in groups["start"]
            else "possible"
        )
        if number < MOST:
            calls.append({"nr": number, "how": how, "own": number in groups["own"], "by": by})
    return calls


def _sites(reach: Reach) -> list[dict[str, Any]]:
    """Return the sites in the program's own code."""
    image = reach.images[0]
    return [
        {
            "address": site,
            "function": image.name_of(node[1]),
            "numbers": sorted(reach.site_numbers.get((node, site), ())),
        }
        for node, facts in sorted(reach.facts.items())
        if node[0] == 0
        for site in facts.sites
    ]


def _unresolved(program: Program, reach: Reach) -> list[dict[str, Any]]:
    """Return the places that make a call whose number is not known, or not always."""
    return [
        {
            "file": program.images[node[0]].path,
            "address": place,
            "function": program.images[node[0]].name_of(node[1]),
            "of": node[0],
        }
        for node, facts in sorted(reach.facts.items())
        for place in sorted(facts.unknown)
    ]


def with_tiers(found: dict[str, Any]) -> dict[str, Any]:
    """Add what the table says of each call, and the score."""
    for call in found["calls"]:
        row = ROWS.get(call["nr"])
        call["name"] = row[0] if row else f"#{call['nr']}"
        call["tier"] = row[1] if row else "none"
    found["unsupported"] = [call["name"] for call in found["calls"] if call["tier"] == "none"]
    found["tiers"] = {
        tier: sum(call["tier"] == tier for call in found["calls"])
        for tier in ("fast", "hybrid", "pass", "legacy", "none")
    }
    found["score"] = score(found)
    return found


def score(found: dict[str, Any]) -> dict[str, Any]:
    """Return the share of calls that are served, in %, possible ones counting for a quarter.

    Sites of the program's own whose number is not known count as possible calls that are not.
    """
    unknown = found["sites_lost"] + sum(place["of"] == 0 for place in found["unresolved"])
    served, total = 0.0, POSSIBLE_WEIGHT * unknown
    for call in found["calls"]:
        weight = POSSIBLE_WEIGHT if call["how"] == "possible" else 1.0
        total += weight
        served += weight if call["tier"] != "none" else 0.0
    return {"percent": round(100 * served / total, 1) if total else None, "unknown_sites": unknown}
