"""The `posix-x` command: analyze, profile, migrate, benchmark; not built yet."""

from exo_um.cli.planned import refuse


def main(argv: list[str] | None = None) -> int:
    """Answer argv (by default sys.argv's); return the exit status."""
    return refuse(
        "posix-x",
        "Tells how a program uses Linux's interface and what moving it to exo-um takes.",
        argv,
    )
