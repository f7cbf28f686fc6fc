"""What the shell is offered: programs on PATH, running instances, `exo-um run`'s options."""

from __future__ import annotations

import os

import click
from click.shell_completion import CompletionItem

OWN = ("--help", "--no-patch", "--verbose")  # of `exo-um run`, beside those with a value


class Program(click.ParamType[str]):
    """A program with its arguments: by name on PATH, or by its path; then any files."""

    name = "program"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Return what a word may become."""
        files = [CompletionItem(incomplete, type="file")]
        words = ctx.params.get(param.name or "") or ()
        return files if words or "/" in incomplete else files + programs(incomplete)


class Running(click.ParamType[str]):
    """The name or number of a running instance."""

    name = "instance"

    def shell_complete(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's
        param: click.Parameter,  # noqa: ARG002
        incomplete: str,
    ) -> list[CompletionItem]:
        """Return the instances whose names begin so."""
        from exo_um.cli.instances import running

        names = (one.name for one in running())
        return [CompletionItem(name) for name in names if name.startswith(incomplete)]


class RunWord(click.ParamType[str]):
    """A word of `exo-um run`, which parses its options itself."""

    name = "word"

    def shell_complete(
        self,
        ctx: click.Context,
        param: click.Parameter | None,  # noqa: ARG002 - click's
        incomplete: str,
    ) -> list[CompletionItem]:
        """Return what a word may become."""
        from exo_um.cli.run import CHOICES, WITH_VALUE

        words: list[str] = list(ctx.params.get("argv") or ())
        before = words[-1] if words else ""
        options = sum(word.startswith("-") + (word in WITH_VALUE) for word in words)
        if before in CHOICES:
            return [CompletionItem(one) for one in CHOICES[before] if one.startswith(incomplete)]
        if before in WITH_VALUE:
            return [CompletionItem(incomplete, type="dir" if before == "--cwd" else "file")]
        if len(words) > options:  # the program's
            return [CompletionItem(incomplete, type="file")]
        if incomplete.startswith("-"):
            names = sorted((*WITH_VALUE, *OWN))
            return [CompletionItem(name) for name in names if name.startswith(incomplete)]
        files = [CompletionItem(incomplete, type="file")]
        return files if "/" in incomplete else files + programs(incomplete)


class Run(click.Command):
    """`exo-um run` for completion."""

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return what an option may become."""
        return RunWord().shell_complete(ctx, None, incomplete)


def programs(start: str) -> list[CompletionItem]:
    """Return the programs on PATH whose names begin so; none for nothing, as all would be many."""
    found: set[str] = set()
    for folder in os.environ.get("PATH", "").split(":") if start else ():
        try:
            found |= {name for name in os.listdir(folder or ".") if name.startswith(start)}  # noqa: PTH208 - names
        except OSError:
            continue
    return [CompletionItem(name) for name in sorted(found)]
