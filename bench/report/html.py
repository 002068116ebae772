"""What all pages of ours share: templates that escape, one look, one script that the page's own policy names."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from bench.paths import content
from bench.report.rows import Row

TABLES = ("tables.js",)
"""Scripts of ``reports/`` for a page with tables: sorting, filtering and the theme."""
PLAYERS = (*TABLES, "sync.js", "players.js")
"""For a page with synchronised players, too."""


@dataclass(frozen=True)
class Links:
    """Where names in a table lead; without pages of their own, to what the page itself tells of a cell."""

    methods: Mapping[str, str] = field(default_factory=dict)
    subjects: Mapping[str, str] = field(default_factory=dict)

    def cell(self, row: Row) -> str:
        """Log and provenance of a row's first cell."""
        key = row.key or row.children[0].key
        return f"{self.methods.get(row.method, '')}#cell-{key.name if key else ''}"


def render_page(template: str, scripts: Sequence[str], **values: Any) -> str:
    """A page from a template of ``reports/`` that extends ``base.html.j2``. Whatever is no ``Markup`` is escaped.

    :param scripts: parts of the page's one script, in order
    """
    script = "\n".join(_read(name) for name in scripts)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    page = _environment().get_template(template)
    return page.render(css=Markup(_read("report.css")), script=Markup(script), script_hash=digest, **values)


def script_json(value: Any) -> Markup:
    """Strict JSON that can stand in a ``<script>``: no character in it can end the element, open a comment or end a line.

    >>> script_json({"name": "</script>"})
    Markup('{"name":"\\\\u003c/script\\\\u003e"}')
    """
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))  # ASCII only, so no U+2028 either
    return Markup(text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))


def _read(name: str) -> str:
    return content("reports", name).read_text(encoding="utf-8")


def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(content("reports")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
