"""Debian packages and sources that the suites need: looked for, and as root installed.

Nothing here writes to /etc: the sources of a package are found with a private apt configuration,
made from the machine's own entries. Called by the suites.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

APT_ETC = Path("/etc/apt")


class MissingError(Exception):
    """A suite's component is not there and cannot be installed; str() says what to do."""


def run(argv: Sequence[str], cwd: Path | None = None) -> str:
    """Run a command quietly and give its stdout. Errors: MissingError, with its stderr."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    result = subprocess.run(
        argv,
        check=False,
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    if result.returncode != 0:
        raise MissingError(f"{' '.join(argv[:3])} ... failed: {result.stderr.strip()[-400:]}")
    return result.stdout


def version(package: str, field: str = "Version") -> str | None:
    """The installed version of a package (or another field of it), None where it is absent."""
    if shutil.which("dpkg-query") is None:
        return None
    form = "${db:Status-Status} ${%s}" % field  # noqa: UP031 (braces of dpkg's own)
    result = subprocess.run(
        ["dpkg-query", "-W", "-f", form, package], check=False, capture_output=True, text=True
    )
    state, _, found = result.stdout.partition(" ")
    return found if result.returncode == 0 and state == "installed" else None


def install(*names: str) -> None:
    """See to Debian packages, installing what is absent. Errors: MissingError, if it cannot."""
    absent = [name for name in names if version(name) is None]
    if not absent:
        return
    advice = f"apt-get install {' '.join(absent)}"
    if os.getuid() != 0 or shutil.which("apt-get") is None:
        raise MissingError(f"not installed: {' '.join(absent)} (Debian: {advice})")
    command = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *absent]
    try:
        run(command)
    except MissingError:  # the lists may be absent or older than the archive
        run(["apt-get", "update", "-qq"])
        run(command)


def source_entries(text: str) -> str:
    """An apt sources file with binary packages replaced by sources, both formats.

    >>> source_entries("deb [arch=amd64] URI stable main")
    'deb-src [arch=amd64] URI stable main'
    >>> source_entries("Types: deb")
    'Types: deb-src'
    """
    text = re.sub(r"^deb(?=\s)", "deb-src", text, flags=re.MULTILINE)
    return re.sub(r"^Types:.*", "Types: deb-src", text, flags=re.MULTILINE)


def private_apt(folder: Path) -> list[str]:
    """Options that make apt look for sources, with all its state in folder."""
    entries = folder / "entries"
    for path in (entries, folder / "lists" / "partial", folder / "cache" / "archives" / "partial"):
        path.mkdir(parents=True, exist_ok=True)
    present = [APT_ETC / "sources.list", *(APT_ETC / "sources.list.d").glob("*")]
    for path in present:
        if path.suffix in (".list", ".sources") and path.is_file():
            (entries / path.name).write_text(source_entries(path.read_text()))
    settings = {
        "Dir::Etc::sourcelist": "/dev/null",
        "Dir::Etc::sourceparts": str(entries),
        "Dir::State::lists": str(folder / "lists"),
        "Dir::Cache": str(folder / "cache"),
    }
    if os.getuid() == 0:  # apt's own user may not reach folder
        settings["APT::Sandbox::User"] = "root"
    return [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]


def fetch_source(package: str, wanted: str, folder: Path) -> Path:
    """The unpacked source of a package in that version, kept in folder. Errors: MissingError."""
    safe = re.sub(r"[^\w.+~-]", "_", wanted)
    tree = folder / f"{package}-{safe}"
    if tree.is_dir():
        return tree
    install("dpkg-dev", "patch")
    options = private_apt(folder / "apt")
    downloads = folder / f"{package}-{safe}.parts"
    shutil.rmtree(downloads, ignore_errors=True)
    downloads.mkdir(parents=True)
    run(["apt-get", *options, "update", "-qq"])
    run(
        ["apt-get", *options, "source", "-qq", "--download-only", f"{package}={wanted}"],
        downloads,
    )
    description = next(downloads.glob("*.dsc"))
    run(["dpkg-source", "--no-check", "-x", str(description), "tree"], downloads)
    (downloads / "tree").rename(tree)
    shutil.rmtree(downloads)
    return tree
