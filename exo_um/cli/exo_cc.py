"""The `exo-cc` command, a compiler driver for native C programs; not built yet."""

from exo_um.cli.planned import refuse


def main(argv: list[str] | None = None) -> int:
    """Answer argv (by default sys.argv's); return the exit status."""
    return refuse("exo-cc", "Compiles C programs against exo-um's native API.", argv)
