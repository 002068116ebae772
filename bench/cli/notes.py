"""Our own warnings as lines for the user."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click


@contextmanager
def noted() -> Iterator[list[str]]:
    """:class:`bench.errors.BenchWarning`\\ s as lines on stderr, each once, and collected; others as Python shows them."""
    from bench.errors import BenchWarning

    notes: list[str] = []
    with warnings.catch_warnings():
        usual = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *rest: Any, **named: Any) -> None:
            if not issubclass(category, BenchWarning):
                usual(message, category, *rest, **named)
            elif str(message) not in notes:
                notes.append(str(message))
                click.echo(f"warning: {message}", err=True)

        warnings.simplefilter("always", BenchWarning)
        warnings.showwarning = show
        yield notes
