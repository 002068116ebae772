"""Command groups that load their verbs lazily, and the one place where errors become a line and an exit code."""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import click

from bench.errors import BenchError, unknown

INTERRUPTED = 130


@dataclass(frozen=True)
class Verb:
    """A verb that isn't loaded yet."""

    module: str
    """It has the click command as ``command``."""
    summary: str
    section: str = "Commands"


class LazyGroup(click.Group):
    """A group whose verbs are modules; help shows their summaries without importing them."""

    def __init__(self, *args: Any, verbs: Mapping[str, Verb], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.verbs = verbs

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of all verbs, those defined in place first."""
        return [*super().list_commands(ctx), *self.verbs]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the verb."""
        if cmd_name not in self.verbs:
            return super().get_command(ctx, cmd_name)
        command: click.Command = import_module(self.verbs[cmd_name].module).command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Like click's, but an unknown verb is answered with the nearest ones."""
        if args and not args[0].startswith("-") and args[0] not in self.list_commands(ctx):
            raise unknown("command", args[0], self.list_commands(ctx))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The verbs by section."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for name, command in self.commands.items():
            sections.setdefault("Commands", []).append((name, command.get_short_help_str(100)))
        for name, verb in self.verbs.items():
            sections.setdefault(verb.section, []).append((name, verb.summary))
        for title, rows in sections.items():
            with formatter.section(title):
                formatter.write_dl(rows)


class Main(LazyGroup):
    """The top group: turns what is raised into ``error: …`` on stderr and the exit code of design.md §8."""

    def main(self, args: Sequence[str] | None = None, *rest: Any, **extra: Any) -> Any:
        """Run the command line and exit."""
        arguments = list(sys.argv[1:] if args is None else args)
        debug = "--debug" in arguments
        arguments = [argument for argument in arguments if argument != "--debug"]
        try:
            # The group gets the flag back so that its help and parsing know it.
            status = super().main(["--debug"] * debug + arguments, *rest, **extra | {"standalone_mode": False})
            sys.stdout.flush()
        except (KeyboardInterrupt, click.Abort):
            self._fail("interrupted", INTERRUPTED, arguments)
        except BrokenPipeError:
            # Whoever read our output has left; Python would complain once more when it flushes at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(1)
        except click.exceptions.NoArgsIsHelpError as error:
            error.show()
            sys.exit(error.exit_code)
        except (BenchError, click.ClickException, OSError) as error:
            if debug:
                raise
            self._fail(_line(error), getattr(error, "exit_code", 1), arguments)
        else:
            sys.exit(status if isinstance(status, int) else 0)

    def _fail(self, line: str, code: int, arguments: Sequence[str]) -> None:
        click.echo(f"error: {line}", err=True)
        if "--json" in arguments:
            click.echo(json.dumps({"error": line}))
        sys.exit(code)


def _line(error: Exception) -> str:
    if isinstance(error, click.UsageError) and error.ctx:
        return f"{error.format_message()} (see `{error.ctx.command_path} --help`)"
    if isinstance(error, click.ClickException):
        return error.format_message()
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return (
            f"no space left on the device ({error.filename or 'writing'}): free some, then run the same command again"
        )
    return " ".join(str(error).split())
