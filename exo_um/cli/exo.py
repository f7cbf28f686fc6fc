"""The `exo` command, for programs written against exo_std; not built yet."""

from exo_um.cli.planned import refuse


def main(argv: list[str] | None = None) -> int:
    """Answer argv (by default sys.argv's); return the exit status."""
    return refuse("exo", "Runs and manages native programs: Python with exo_std.", argv)
