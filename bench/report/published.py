"""Published numbers, to be shown beside a run and never ranked with it."""

from __future__ import annotations

import tomllib

from pydantic import BaseModel, ConfigDict

from bench.paths import content


class PublishedRow(BaseModel):
    """What a paper states of one method."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: str
    title: str
    psnr: float
    ssim: float
    lpips: float
    lmd: float
    fps: float
    train_hours: float


class Published(BaseModel):
    """A table of a paper."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str
    setting: str
    caveat: str
    row: list[PublishedRow]


def load_published() -> Published:
    """``reports/published.toml``."""
    return Published.model_validate(tomllib.loads(content("reports", "published.toml").read_text(encoding="utf-8")))
