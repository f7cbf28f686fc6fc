"""The `exo-um` command: hands `run` and `trace` on at once, the other commands to click.

They are on the way to a guest's first instruction, so nothing is imported before it.
"""

import sys


def finished() -> int:
    """Run the command line, and write what it has printed; for native/launcher/main.c."""
    try:
        status = main()
        for file in (sys.stdout, sys.stderr):
            if file is not None:
                file.flush()
    except OSError as error:
        from exo_um.cli.output import failed

        return failed("exo-um", error)
    return status


def main(argv: list[str] | None = None) -> int:
    """Run the command line argv (without the program's name; by default sys.argv's)."""
    if argv is None:
        argv = sys.argv[1:]
    if argv and argv[0] == "run":
        from exo_um.cli.run import main as run

        return run(argv[1:])
    if argv and argv[0] == "trace":
        from exo_um.cli.tracing import main as trace

        return trace(argv[1:])
    if argv == ["companion"]:  # from native/runtime/companion.c
        from exo_um.companion import main as companion

        return companion()
    from exo_um.cli.commands import main as commands

    return commands(argv)
