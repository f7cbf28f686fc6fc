"""The command line of `posix-x analyze`, and what it prints."""

from __future__ import annotations

import json
import shutil
import textwrap
from typing import TYPE_CHECKING, Any

import click

from exo_um.cli.complete import Program
from exo_um.cli.output import line

if TYPE_CHECKING:
    from collections.abc import Iterable

EXAMPLES = """\b
Examples:
  posix-x analyze /usr/bin/redis-server
  posix-x analyze --functions ./server
  posix-x analyze --json ls | jq '.calls[] | select(.tier == "legacy")'
"""
TIERS = {
    "fast": "answered in the process, at once",
    "hybrid": "served in the process; may block or call the host",
    "pass": "the host's, translated",
    "legacy": "Python, in the kernel process",
    "none": "not served",
}
NOTHING = 3  # exit status where calls are not served


@click.command(
    name="analyze",
    short_help="tell which system calls a program can make",
    epilog=EXAMPLES,
)
@click.argument("binary", type=Program())
@click.option("--json", "as_json", is_flag=True, help="Everything, as JSON.")
@click.option("--functions", is_flag=True, help="The library functions it uses, and their calls.")
@click.option("--sites", is_flag=True, help="The system-call sites in the program itself.")
def command(binary: str, as_json: bool, functions: bool, sites: bool) -> int:
    """Tell without running it which system calls BINARY can make, and who serves them.

    BINARY is an x86-64 program or library, by its path or by its name on PATH. What it finds:
    `syscall` instructions and the numbers reaching them, in the program and in those functions of
    its libraries that it uses. Calls are "sure" if calls and jumps alone lead to them, "start" if
    only the loader makes them, and "possible" if function pointers might lead there. What a program
    loads at run time (dlopen, scripts, code made on the fly) is not seen.

    Exit status: 0, or 3 if it can make calls that exo-um does not serve, or 1 if it can't be read.
    """
    from posix_x.analyze.estimate import estimate
    from posix_x.analyze.image import ImageError
    from posix_x.analyze.result import analyze

    path = binary if "/" in binary else shutil.which(binary) or binary
    try:
        found = analyze(path)
    except ImageError as error:
        raise click.ClickException(str(error)) from error
    except OSError as error:
        raise click.ClickException(line(error, path)) from error
    found["estimate"] = estimate(found)
    if as_json:
        print(json.dumps(found, indent=2))
    else:
        _show(found, functions=functions, sites=sites)
    return NOTHING if found["unsupported"] else 0


def _show(found: dict[str, Any], *, functions: bool, sites: bool) -> None:
    print(
        f"{found['program']}: {found['linked']}"
        + (f", loaded by {found['interpreter']}" if found["interpreter"] else "")
    )
    _list("libraries", found["libraries"])
    _list("not found", found["missing"])
    print(
        f"  library functions used: {len(found['functions'])}; "
        f"system-call sites of its own: {len(found['sites'])}\n"
    )
    for tier, what in TIERS.items():
        _show_tier(tier, what, found["calls"])
    _show_unknown(found)
    _show_score(found)
    if functions:
        print()
        for name, calls in found["functions"].items():
            _list(name, calls or ["-"], indent=2)
    if sites:
        print()
        for site in found["sites"]:
            numbers = ", ".join(map(str, site["numbers"])) or "?"
            print(f"  {site['address']:#x} {site['function']}: {numbers}")


def _list(title: str, words: Iterable[str], indent: int = 2) -> None:
    if text := " ".join(words):
        first = f"{' ' * indent}{title}: "
        width = max(40, min(100, shutil.get_terminal_size((100, 24)).columns))
        print(
            textwrap.fill(
                text,
                width,
                initial_indent=first,
                subsequent_indent=" " * (indent + 4),
                break_long_words=False,
                break_on_hyphens=False,
            )
        )


def _show_tier(tier: str, what: str, calls: list[dict[str, Any]]) -> None:
    of_tier = [call for call in calls if call["tier"] == tier]
    if not of_tier:
        return
    print(f"{tier} ({len(of_tier)}): {what}")
    for how in ("sure", "start", "possible"):
        _list(how, (call["name"] for call in of_tier if call["how"] == how))


def _show_unknown(found: dict[str, Any]) -> None:
    own = [place for place in found["unresolved"] if place["of"] == 0]
    others = len(found["unresolved"]) - len(own)
    if own or found["sites_lost"]:
        places = [f"{place['address']:#x} ({place['function']})" for place in own]
        places += [f"{found['sites_lost']} in no known function"] if found["sites_lost"] else []
        _list("number not known at", places, indent=0)
    if others:
        print(
            f"number not known at {others} places in libraries, which pass on what they are given"
        )
    _list("loads further code by", found["loads_code"], indent=0)


def _show_score(found: dict[str, Any]) -> None:
    score, guess = found["score"], found["estimate"]
    if score["percent"] is None:
        print("\nscore: none, as it makes no system call")
        return
    print(
        f"\nscore: {score['percent']:g} % of its calls are served (possible ones, and own sites "
        "with an unknown number, count a quarter)"
    )
    if guess["mean_ratio"] is None:
        print("estimate: none, as none of its calls has been measured")
        return
    print(
        f"estimate: its calls take {guess['mean_ratio']:.2f} times what they take on Linux, each "
        f"counted once ({guess['covered']} of {guess['of']} sure calls)"
    )
    for kind, row in guess["kinds"].items():
        _list(f"{row['ratio']:.2f} {kind}", row["calls"])
    print(f"  by {guess['basis']}; how often it makes which decides: posix-x profile")
