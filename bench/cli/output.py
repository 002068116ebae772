"""What the verbs share in printing."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console

if TYPE_CHECKING:
    from rich.console import RenderableType

JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout and nothing else.")


class CommaList(click.ParamType):  # type: ignore[type-arg]  # generic only in newer clicks
    """``a,b,c`` → the parts, each converted by ``item``."""

    name = "a,b,…"

    def __init__(self, item: type[str] | type[int] = str) -> None:
        self.item = item

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[Any]:
        """Split and convert; click's usage error where a part doesn't fit."""
        if isinstance(value, list):
            return value
        try:
            return [self.item(part.strip()) for part in value.split(",") if part.strip()]
        except ValueError:
            self.fail(f"{value!r} is not a list of whole numbers", param, ctx)


def emit(document: Any) -> None:
    """Print a JSON document on stdout."""
    click.echo(json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False))


def together(documents: Sequence[Any]) -> Any:
    """One document for the command: the only one as it is, several as ``{"runs": […]}``."""
    return documents[0] if len(documents) == 1 else {"runs": list(documents)}


def console() -> Console:
    """Stdout for tables: as wide as the terminal, never cutting lines where there is none."""
    plain = Console(highlight=False)
    return plain if plain.is_terminal else Console(highlight=False, width=200)


def print_parts(parts: Iterable[RenderableType]) -> None:
    """Print tables and lines of text; these are never broken, so that a command in them can be copied."""
    from rich.text import Text

    out = console()
    for part in parts:
        out.print(part, soft_wrap=isinstance(part, Text))
