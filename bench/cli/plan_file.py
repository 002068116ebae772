"""``--plan bench.toml``: a run's options from a file, under the flags' own names. The command line goes before the file."""

from __future__ import annotations

import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from bench.cli.output import CommaList
from bench.errors import UsageError, unknown

_OF_NOW = frozenset({"plan", "force", "dry_run", "as_json"})
"""Options that say what to do this time, not what the run is: a file can't give them."""


def _take(ctx: click.Context, param: click.Parameter, path: Path | None) -> None:
    if path is not None:
        ctx.default_map = read(path, ctx.command)


PLAN = click.option(
    "--plan",
    type=click.Path(path_type=Path),
    metavar="TOML",
    is_eager=True,  # before the options whose values it gives
    expose_value=False,
    callback=_take,
    help="Take the options from this file (bench.toml), where the command line doesn't give them.",
)


def read(path: Path, command: click.Command) -> dict[str, Any]:
    """Values for ``command``'s options, by the name of its parameters.

    Raises:
        UsageError: the file can't be read, has an unknown key, or a value of another type than the option's.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"--plan {path} can't be read: {' '.join(str(error).split())}") from error
    options = {option.opts[0].removeprefix("--"): option for option in _settable(command)}
    found: dict[str, Any] = {}
    for key, value in table.items():
        if key not in options:
            raise unknown(f"key of {path}", key, options)
        if words := _expected(options[key], value):
            raise UsageError(f"{path}: {key} = {_shown(value)}: expected {words}")
        found[str(options[key].name)] = [value] if isinstance(value, int) and _is_list(options[key]) else value
    return found


def spelt(ctx: click.Context) -> str:
    """The command line that asks for the same without a file: every option that it or the command line gave."""
    words = ["bench", *ctx.command_path.split()[1:]]
    for param in ctx.command.params:
        name = str(param.name)
        given = ctx.get_parameter_source(name) in (ParameterSource.COMMANDLINE, ParameterSource.DEFAULT_MAP)
        if given and name in ctx.params:
            words += _words(param, ctx.params[name])
    return shlex.join(words)


def _settable(command: click.Command) -> Iterator[click.Option]:
    for param in command.params:
        if isinstance(param, click.Option) and param.name not in _OF_NOW:
            yield param


def _is_list(option: click.Option) -> bool:
    return isinstance(option.type, CommaList)


def _expected(option: click.Option, value: Any) -> str:
    """What the option wants instead of ``value``, in words; empty where it fits. Ranges and choices are click's to check."""
    kind = option.type
    if isinstance(kind, CommaList):
        values = value if isinstance(value, list) else [value]
        if kind.item is int:
            return "" if all(type(one) is int for one in values) else "a list of whole numbers, such as [0, 1]"
        return "" if all(isinstance(one, str) for one in values) else 'a list of texts, such as ["a", "b"]'
    if isinstance(kind, click.types.BoolParamType):
        return "" if isinstance(value, bool) else "true or false"
    if isinstance(kind, click.types.IntParamType):
        return "" if type(value) is int else "a whole number"
    if isinstance(kind, click.types.FloatParamType):
        return "" if type(value) in (int, float) else "a number"
    return "" if isinstance(value, str) else "a text"


def _shown(value: Any) -> str:
    """A TOML value as it may have been written, cut short."""
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"


def _words(param: click.Parameter, value: Any) -> list[str]:
    if value is None:
        return []
    if isinstance(value, bool):
        return [param.opts[0]] if value else list(param.secondary_opts[:1])
    text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
    if isinstance(param, click.Argument):
        return [text]
    return [f"{param.opts[0]}={text}"] if text.startswith("-") else [param.opts[0], text]
