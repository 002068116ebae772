"""The page of ``bench data view``: one file, no script, no network. Frames with masks, landmarks and axes; curves; checks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from numpy.typing import NDArray

from bench import classes
from bench import picture_sheet as sheet
from bench.checks import Finding, Survey
from bench.formats.records import euler_angles
from bench.paths import content
from bench.subject import Frame

Lines: TypeAlias = tuple[tuple[str, NDArray[Any]], ...]
_WIDTH = 300
"""Of each picture, in pixels; smaller frames stay as they are, but for those that are drawn on."""
_EVENLY = 6


@dataclass(frozen=True)
class Shown:
    """A row of pictures of one frame."""

    frame: int
    why: str
    pictures: tuple[tuple[str, str], ...]
    """(caption, data URI)"""


def render(survey: Survey, findings: Sequence[Finding]) -> str:
    """The page's HTML; everything that comes from files is escaped."""
    subject = survey.subject
    environment = Environment(
        loader=FileSystemLoader(content("reports")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    used = survey.counts.sum(0) / (survey.pixels * len(survey.ids))
    legend = [
        (name, "#" + bytes(sheet.COLOURS[index]).hex(), f"{used[index]:.1%}")
        for index, name in enumerate(sheet.NAMES)
        if used[index] > 0 and index != classes.BACKGROUND
    ]
    return environment.get_template("subject.html.j2").render(
        name=subject.name,
        facts=_facts(survey),
        findings=findings,
        rows=[_shown(subject.frame(index), why) for index, why in chosen(survey)],
        plate=sheet.data_uri(subject.background, _WIDTH),
        legend=legend,
        curves=Markup(sheet.curves(strips(survey), _border(survey))),
        curves_css=Markup(sheet.CURVES_CSS),
        provenance=sorted((str(k), str(v)) for k, v in dict(subject.meta.get("provenance", {})).items()),
    )


def chosen(survey: Survey) -> list[tuple[int, str]]:
    """(frame id, why): some evenly spread, the widest mouth, the closest eyes, the farthest turn."""
    turn = np.abs(_angles(survey) - np.median(_angles(survey), axis=0)).max(1)
    picks = [(int(k), "evenly spread") for k in np.linspace(0, len(survey.ids) - 1, _EVENLY)]
    for series, why in (
        (survey.mouth_opening, "widest mouth"),
        (survey.blink, "eyes most closed"),
        (turn, "farthest turn"),
    ):
        picks.append((int(np.argmax(series)), why))
    first: dict[int, str] = {}
    for row, why in picks:
        first[row] = f"{first[row]}, {why}" if row in first else why
    return [(int(survey.ids[row]), why) for row, why in first.items()]


def _shown(frame: Frame, why: str) -> Shown:
    parts = (
        ("frame", frame.image),
        ("classes and teeth", sheet.with_classes(frame)),
        ("68 landmarks", sheet.with_landmarks(frame, _WIDTH)),
        ("head's axes: x red, y green, z blue", sheet.with_axes(frame, _WIDTH)),
        ("torso canvas", frame.torso_canvas),
        ("hair canvas", frame.hair_canvas),
    )
    return Shown(frame.id, why, tuple((caption, sheet.data_uri(picture, _WIDTH)) for caption, picture in parts))


def _angles(survey: Survey) -> NDArray[np.float64]:
    """[T,3] pitch, yaw, roll in degrees, in the tracker's convention."""
    poses = np.linalg.inv(survey.views)
    poses[:, :3, 1:3] *= -1
    return np.asarray(np.degrees(np.unwrap(euler_angles(poses)[0], axis=0)))


def strips(survey: Survey) -> list[sheet.Strip]:
    """Pose, blink, jaw and sound over the frames."""
    subject, angles = survey.subject, _angles(survey)
    poses = np.linalg.inv(survey.views)[:, :3, 3]
    lids: Lines = ()
    jaws: Lines = ()
    if any((subject.root / name).exists() for name in ("coefficients.npz", "3dmm.pt")):
        found = subject.coefficients
        lids = (("left lid", found.eyelid[survey.ids, 0]), ("right lid", found.eyelid[survey.ids, 1]))
        jaws = (("jaw", found.jaw[survey.ids, 0]),)
    rows = [
        sheet.Strip("head turn", "degrees", tuple(zip(("pitch", "yaw", "roll"), angles.T, strict=True))),
        sheet.Strip("camera", "units", tuple(zip("xyz", (poses - poses.mean(0)).T, strict=True))),
        sheet.Strip("blink", "0 open, 1 closed", (("AU45 / 2", survey.blink), *lids)),
        sheet.Strip("mouth", "gap over eye distance", (("inner lips", survey.mouth_opening),)),
    ]
    rows += [sheet.Strip("jaw", "coefficient", jaws)] if jaws else []
    if survey.loudness is not None:
        known = np.full(len(survey.ids), np.nan)
        heard = survey.ids < len(survey.loudness)
        known[heard] = survey.loudness[survey.ids[heard]]
        rows.append(sheet.Strip("loudness", "dB of full scale", (("sound", known),)))
    return rows


def _border(survey: Survey) -> int | None:
    """Row of the first test frame, where training and test are two stretches."""
    train, test = survey.subject.train_ids, survey.subject.test_ids
    return int(np.searchsorted(survey.ids, test[0])) if test and train and min(test) > max(train) else None


def _facts(survey: Survey) -> list[tuple[str, str]]:
    subject, meta = survey.subject, survey.subject.meta
    has = any((subject.root / name).exists() for name in ("coefficients.npz", "3dmm.pt"))
    facts = {
        "title": meta.get("title", ""),
        "frames": f"{len(survey.ids)} ({len(subject.train_ids)} train, {len(subject.test_ids)} test)",
        "size": f"{subject.size[0]}×{subject.size[1]} at {subject.fps:g} fps",
        "audio features": subject.audio_kind,
        "coefficients": f"{subject.coefficients.kind}, {subject.coefficients.expression.shape[1]} wide"
        if has
        else "none",
        **{key: meta.get(key, "") for key in ("source", "licence", "language", "sex", "hair")},
    }
    return [(key, str(value)) for key, value in facts.items() if value]
