"""Markdown that no text can break out of."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_SPECIAL = re.compile(r"([\\|<>\[\]`*_~&#])")


def escape(text: str) -> str:
    """``text`` as it is, on one line: no markup, no HTML, no end of a table's cell."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def code(text: str) -> str:
    """``text`` as code on one line; the fence is longer than any run of backticks in it."""
    flat = " ".join(text.split())
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", flat)), default=0))
    pad = " " if flat.startswith("`") or flat.endswith("`") else ""
    return f"{fence}{pad}{flat}{pad}{fence}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]], align: str) -> str:
    """A table of cells that are Markdown already.

    :param align: ``l`` or ``r`` for each column
    """
    rule = ["---" if side == "l" else "---:" for side in align]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in (head, rule, *rows))
