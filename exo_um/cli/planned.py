"""What a command says that is announced but not built yet: one line, and exit status 2."""

import sys


def refuse(program: str, purpose: str, argv: list[str] | None = None) -> int:
    """Answer argv (by default sys.argv's) for program: help on --help, else a refusal."""
    if argv is None:
        argv = sys.argv[1:]
    if argv in (["-h"], ["--help"]):
        print(f"Usage: {program} [OPTIONS] ...\n\n{purpose}\n\nNot built yet.")
        return 0
    print(f"{program}: not built yet", file=sys.stderr)
    return 2
