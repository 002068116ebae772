"""Published tables, to be shown beside a run and never ranked with it."""

from __future__ import annotations

import tomllib
from decimal import Decimal

from pydantic import BaseModel, ConfigDict

from bench.paths import content

TABLE_1 = "table-1"
"""The comparison of methods that ``bench run`` prints."""


class PublishedRow(BaseModel):
    """What a paper states of one method or variant; None where it states nothing. Decimals keep the digits that are printed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: str
    variant: str = ""
    """As in :class:`bench.records.CellKey`: ``-E``."""
    title: str
    """The row's name in the paper."""
    psnr: Decimal | None = None
    lpips: Decimal | None = None
    lmd: Decimal | None = None
    ssim: Decimal | None = None
    train_hours: Decimal | None = None
    fps: Decimal | None = None
    note: str = ""
    """What a reader of this row must know."""


class Published(BaseModel):
    """A table of a paper, its rows in the paper's order."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    title: str
    ablates: str = ""
    """The method whose variants are the rows; empty: the rows are different methods."""
    source: str
    setting: str
    caveat: str
    row: tuple[PublishedRow, ...]


def load_published(name: str = TABLE_1) -> Published:
    """``reports/published/<name>.toml``."""
    path = content("reports", "published", f"{name}.toml")
    return Published.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))


def published_ablation(method: str) -> Published | None:
    """The published ablation of ``method``, or None: no paper that we know has one."""
    tables = (load_published(path.stem) for path in sorted(content("reports", "published").glob("*.toml")))
    return next((table for table in tables if table.ablates == method), None)
