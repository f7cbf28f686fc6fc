"""What click's commands say about a user's mistakes: a line, and an exit status."""

from __future__ import annotations

import io
import sys

import click


def answer(group: click.Group, program: str, argv: list[str]) -> int:
    """Run argv; return the exit status. Errors: OSError."""
    try:
        result = group.main(argv, prog_name=program, standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        print(error.format_message(), file=sys.stderr)
        return error.exit_code
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else program
        text = error.format_message().rstrip(".")
        print(f"{command}: {text}; try {command} --help", file=sys.stderr)
        return error.exit_code
    except click.ClickException as error:
        print(f"{program}: {error.format_message()}", file=sys.stderr)
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return 130
    except SystemExit as end:  # of completion; or click's answer to EPIPE
        if not isinstance(sys.stdout, io.TextIOBase):  # it has been replaced
            raise BrokenPipeError from end
        return end.code if isinstance(end.code, int) else 0
    return result if isinstance(result, int) else 0
