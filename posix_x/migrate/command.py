"""The command line of `posix-x migrate`."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

import click

from exo_um.cli.output import line

EXAMPLES = """\b
Examples:
  posix-x migrate app.c -o app_native.c && exo-cc -O2 -o app app_native.c
  posix-x migrate app.c > app_native.c
  posix-x migrate --json app.c -o app_native.c | jq '.[] | select(.done | not)'
"""


@click.command(
    name="migrate",
    short_help="rewrite a C file to the native API",
    epilog=EXAMPLES,
)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("-o", "output", type=click.Path(path_type=Path), help="Where to write the new file.")
@click.option("--json", "as_json", is_flag=True, help="The findings as JSON; needs -o.")
def command(file: Path, output: Path | None, as_json: bool) -> int:
    """Rewrite FILE, C source, to exo's native API where only the speed changes.

    fork() and exec become exo_spawn(), with the fork behind it for what cannot be started. Pipes
    become exo_pipe(), where all is seen that is done with them. Anonymous shared memory becomes
    exo_shared_map(). Writes that follow each other
    become one, those that fill a loop batched ones, where the fd is a stream: what is batched is
    seen some 20 us later. What stays, shared memory with a name among it, is listed with the
    reason. The new file is compiled by exo-cc. Without -o it goes to standard output, and the list
    to standard error.
    """
    from posix_x.migrate.rewrite import rewrite
    from posix_x.migrate.tree import ParseError

    if as_json and output is None:
        raise click.UsageError("--json needs -o", click.get_current_context())
    at = file
    try:
        source, findings = rewrite(file.read_bytes())
        if output is not None:
            at = output
            output.write_bytes(source)
    except ParseError as error:
        raise click.ClickException(f"{file}: {error}") from error
    except OSError as error:
        raise click.ClickException(line(error, str(at))) from error
    if as_json:
        print(json.dumps([asdict(one) for one in findings], indent=2))
        return 0
    if output is None:
        sys.stdout.buffer.write(source)
    for one in findings:
        end = "rewritten" if one.done else f"stays: {one.reason}"
        print(
            f"{file}:{one.line}: {one.what}: {end}",
            file=sys.stderr if output is None else sys.stdout,
        )
    return 0
