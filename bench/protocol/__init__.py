"""Protocols: under which rules numbers are taken. Named, versioned, and data: one TOML each beside this file."""

from __future__ import annotations

import functools
import tomllib
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from bench import metrics
from bench.errors import UsageError, unknown
from bench.regions import REGIONS, SYNTHESISED

DEFAULT = "neutral"
FOLDER = Path(__file__).parent


class Protocol(BaseModel):
    """One protocol: split + ground truth + canvas + pixels + regions + metrics + coverage, with their source."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    version: int = Field(ge=1)
    """Raised whenever the same frames would give another number."""
    title: str
    summary: str
    source: str
    """Paper or script, with commit, and the spec section."""
    split: str = "test"
    """Which frames count, in words; every protocol here takes the subject's own test split, whole."""
    truth: Literal["frame", "background_pasted"] = "frame"
    """The ground truth: the frame as filmed (``ori_imgs``), or with its background replaced by the static plate and stored as
    JPEG at quality 95, as the official scripts do (``gt_imgs``, AD-NeRF's ``com_imgs``). A GT that the user names is taken as it is."""
    canvas: Literal["own", "portrait"] = "own"
    """``own``: frames as the method delivers them; ``portrait``: their face blended onto the ground truth (SyncTalk)."""
    expects: str = ""
    """What the official pipeline draws over, where ``canvas`` is own: a method with another canvas isn't like for like."""
    quantise: Literal["u8-round", "u8-floor"] = "u8-round"
    """How a method's float frames become 8 bits."""
    codec: Literal["none", "h264-crf10", "jpeg75"] = "none"
    """What frames go through before they are compared (:mod:`bench.protocol.codec`), unless they come as H.264 or JPEG already.
    ``h264-crf10``: both sides; ``jpeg75``: the prediction, whose ground truth is JPEG anyway."""
    length: Literal["exact", "shorter"] = "exact"
    """``shorter``: two videos of different length are compared up to the shorter one's end, as scripts with ``zip`` do."""
    regions: tuple[str, ...] = ()
    """Parts of the frame that are scored beside the whole."""
    metrics: dict[str, dict[str, str]]
    """Metrics by name, with the options each is opened with."""
    aggregation: Literal["frame-mean"] = "frame-mean"
    """How frames become one number: the mean of their values (PSNR: of decibels); metrics over time have their own statistic."""
    detector: str = "mediapipe"
    """Landmark detector, unless the user names another."""
    min_coverage: float = Field(default=0.95, ge=0, le=1)
    """A metric that could score a smaller share of the compared frames is invalid. 0: frames without a face drop out, however
    many, as in DEGSTalk's script; 1: one such frame is enough, as in scripts that stop there."""
    audit: int = Field(default=32, ge=0)
    """Test frames rendered again by the ground-truth audit, evenly spread; 0: none."""
    differs: tuple[str, ...] = ()
    """Where this can't be, or on purpose isn't, what the official script does."""

    @property
    def id(self) -> str:
        """Name and version, as records keep it: ``neutral:1``."""
        return f"{self.name}:{self.version}"

    @field_validator("metrics")
    @classmethod
    def _known_metrics(cls, value: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
        for name in value:
            metrics.get(name)
        return value

    @field_validator("regions")
    @classmethod
    def _known_regions(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if name not in REGIONS and name != SYNTHESISED:
                raise unknown("region", name, [*REGIONS, SYNTHESISED])
        return value


def names() -> list[str]:
    """Every protocol's name, the default first."""
    found = sorted(file.stem for file in FOLDER.glob("*.toml"))
    return [DEFAULT, *(name for name in found if name != DEFAULT)]


@functools.cache
def get(name: str) -> Protocol:
    """The protocol called ``name``.

    :raises bench.errors.UsageError: there is none; the nearest names are in the message
    """
    if name not in names():
        raise unknown("protocol", name, names())
    path = FOLDER / f"{name}.toml"
    try:
        return Protocol.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (ValidationError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{path} is not a protocol ({str(error).splitlines()[0]})") from error
