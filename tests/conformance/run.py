"""make conformance: third-party suites natively and under exo-um, compared in docs/conformance.md.

Outcomes are kept in build/conformance/results.json and the output of each unit in
build/conformance/logs, so a part can be run again: --suite cpython --only 'test_signal'.
"""

from __future__ import annotations

import argparse
import ctypes
import fcntl
import json
import os
import resource
import shlex
import shutil
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

sys.path.insert(1, str(Path(__file__).resolve().parent.parent))  # for sidebyside

import packages
import report
from busybox import Busybox
from cpython import CPython
from redis import Redis
from sides import Side, sides, stopping, sweep
from stress_ng import StressNg
from suite import Job, Suite, matches

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / "build" / "conformance"
RESULTS = CACHE / "results.json"
PAGE = ROOT / "docs" / "conformance.md"
PR_SET_CHILD_SUBREAPER = 36

Units = Mapping[str, tuple[str, ...]]  # units to run, and patterns of their tests


def say(text: str) -> None:
    """A line for the user."""
    print(f"conformance: {text}", file=sys.stderr, flush=True)


def arguments(argv: Sequence[str]) -> argparse.Namespace:
    """The parsed command line."""
    parser = argparse.ArgumentParser(prog="conformance", description=__doc__.split("\n")[0])
    parser.add_argument("--suite", choices=[suite.name for suite in all_suites()])
    parser.add_argument(
        "--only", metavar="PATTERN", help="units that match, or UNIT/TEST, which leaves the page"
    )
    parser.add_argument("--quick", action="store_true", help="a part that takes under a minute")
    parser.add_argument(
        "--exo-flags", default="", help="more flags for `exo-um run`; leaves the page"
    )
    parser.add_argument("--jobs", type=int, default=1, help="units at a time (default 1)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the differences to FILE")
    return parser.parse_args(argv)


def all_suites() -> list[Suite]:
    """The suites, in the order of the page."""
    return [Busybox(), CPython(), StressNg(), Redis()]


def chosen(suite: Suite, options: argparse.Namespace) -> Units:
    """The units of a suite that the options ask for."""
    units: Units = suite.quick if options.quick else dict.fromkeys(suite.units(), ())
    if options.only is None:
        return units
    unit_pattern, _, test_pattern = options.only.partition("/")
    tests = (test_pattern,) if test_pattern else ()
    return {unit: tests or own for unit, own in units.items() if matches(unit, unit_pattern)}


def run_unit(suite: Suite, unit: str, patterns: tuple[str, ...], pair: Sequence[Side]) -> Any:
    """Run a unit on both sides, and once more on both where they differ; gives its record."""
    record: report.Record = {side.name: [] for side in pair}
    for attempt in (1, 2):
        for side in pair:
            logs = CACHE / "logs" / suite.name
            logs.mkdir(parents=True, exist_ok=True)
            log = logs / f"{unit}.{side.name}.{attempt}.log"
            job = Job(unit, side, CACHE / "work" / suite.name / unit, log, patterns)
            record[side.name].append(suite.run(job))
        if not list(report.compare(unit, record)):
            break
    shutil.rmtree(CACHE / "work" / suite.name / unit, ignore_errors=True)
    passed = [f"{name} {report.passed(record, name)}" for name in record]
    say(f"{suite.name} {unit}: {', '.join(passed)} of {len(report.tests(record))}")
    for found in report.compare(unit, record):
        say(f"  {found.name}: native {found.native}, exo-um {found.exo_um}")
    return record


def run_suite(
    suite: Suite, units: Units, pair: tuple[Side, Side], jobs: int
) -> Iterator[tuple[str, Any]]:
    """Run the units of a suite; gives each with its record."""
    with ThreadPoolExecutor(jobs) as pool:
        records = pool.map(lambda item: run_unit(suite, item[0], item[1], pair), units.items())
        yield from zip(units, records, strict=True)
    if left := sweep():
        say(f"{suite.name} left running: {', '.join(left)}")


def stored() -> dict[str, Any]:
    """The results of earlier runs."""
    results: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    return results


def keep(suite: Suite, version: str, units: Mapping[str, Any], whole: bool) -> None:
    """Store the records of units, dropping those that a whole run did not see, write the page."""
    results = stored()
    older = results.get(suite.name, {"units": {}})["units"]
    order = suite.units()
    merged = dict(units) if whole else {**older, **units}
    merged = {unit: merged[unit] for unit in sorted(merged, key=order.index)}
    results[suite.name] = {"version": version, "units": merged}
    RESULTS.write_text(json.dumps(results, indent=1))
    titles = {each.name: each.title for each in all_suites()}
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(report.page(results, titles, report.Causes()))


def unexplained(suite: Suite, units: Mapping[str, Any]) -> list[str]:
    """Tests that pass natively, never under exo-um, and have no known cause."""
    causes = report.Causes()
    worse = [found for found in report.differences(units) if found.worse]
    return [
        f"{suite.name} {found.name}: {', '.join(found.exo_um)}"
        for found in worse
        if causes.find(suite.name, found.name) is None
    ]


def prepared(suite: Suite) -> str:
    """Have a suite ready, one at a time, as dpkg works; gives its version. Errors: MissingError."""
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return suite.prepare(CACHE)


def run_all(suite: Suite, options: argparse.Namespace, exo_um: Path) -> list[str]:
    """Run what is chosen of a suite, keep it, give what is unexplained. Errors: MissingError."""
    version = prepared(suite)
    units = chosen(suite, options)
    records: dict[str, Any] = {}
    try:
        pair = sides(exo_um, shlex.split(options.exo_flags))
        records.update(run_suite(suite, units, pair, max(1, options.jobs)))
    finally:  # what there is took long to make
        whole_units = options.only is None or "/" not in options.only
        if whole_units and not options.quick and not options.exo_flags:
            keep(suite, version, records, len(records) == len(suite.units()))
    return unexplained(suite, records)


def stop(number: int, _frame: object) -> None:
    """End on a signal, without leaving the present run behind."""
    stopping.set()
    sys.exit(128 + number)


def prepare_process() -> None:
    """Make what the suites inherit the same everywhere: no core files, no ignored signals."""
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    # Orphans of a test become children of this process, where sweep() finds them.
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def main(argv: Sequence[str]) -> int:
    """Run what the command line asks for; 1 where a difference has no known cause, 2 in trouble."""
    options = arguments(argv)
    exo_um = Path(os.environ.get("EXO_UM") or Path(sys.executable).with_name("exo-um")).absolute()
    if not os.access(exo_um, os.X_OK):
        say(f"no exo-um at {exo_um}: run `make build`")
        return 2
    prepare_process()
    CACHE.mkdir(parents=True, exist_ok=True)
    bad: list[str] = []
    missing = []
    for suite in all_suites():
        if options.suite not in (None, suite.name):
            continue
        try:
            bad += run_all(suite, options, exo_um)
        except packages.MissingError as error:
            say(f"{suite.name} cannot run: {error}")
            missing.append(suite.name)
    if options.json:
        options.json.write_text(json.dumps({"missing": missing, "unexplained": bad}))
    for line in bad:
        say(f"not explained: {line}")
    if missing and os.environ.get("CI") == "true":
        return 2
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
