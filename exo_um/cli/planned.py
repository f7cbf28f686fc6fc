"""What a command says that is announced but not built yet: one line, and exit status 2."""

import sys

from exo_um.cli.output import answered


def refuse(program: str, purpose: str, argv: list[str] | None = None) -> int:
    """Answer argv (by default sys.argv's) for program: help on --help, else a refusal."""
    words = sys.argv[1:] if argv is None else argv
    return answered(program, lambda: _answer(program, purpose, words))


def _answer(program: str, purpose: str, argv: list[str]) -> int:
    if argv in (["-h"], ["--help"]):
        print(f"Usage: {program} [OPTIONS] ...\n\n{purpose}\n\nNot built yet.")
        return 0
    print(f"{program}: not built yet", file=sys.stderr)
    return 2
