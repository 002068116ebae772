"""Step *sheet*: ``prepare.html``, what each step made, for the eye. One file, no script, no network; follows dark and light."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from bench import picture_sheet
from bench.paths import content, write_text
from bench.prepare import drawings
from bench.prepare.drawings import Figure, Shown
from bench.prepare.steps import Job, Made, Step
from bench.subject import Subject

FILE, TEMPLATE = "prepare.html", "prepare.html.j2"
_FRAMES = 6
_STEPS = (
    *("follow", "frames", "sound", "features", "mesh", "track", "poses", "fit"),
    *("coefficients", "units", "parsing", "masks", "plate"),
)


@dataclass(frozen=True)
class Section:
    """What the page says of a step."""

    name: str
    summary: str
    seconds: str
    made: tuple[tuple[str, str], ...]
    """(file, what made it)"""
    figures: tuple[Figure, ...]
    curves: Markup


def sections(shown: Shown, names: Iterable[str]) -> list[Section]:
    """The steps that were made, in order, and the canvases that methods draw over."""
    found = []
    for name in names:
        stamp = shown.job.stamp(name)
        figures, curves = drawings.DRAWINGS[name](shown) if name in drawings.DRAWINGS else ((), Markup())
        made = tuple(sorted(stamp["provenance"].items()))
        found.append(Section(name, stamp["summary"], f"{stamp['seconds']:.1f} s", made, figures, curves))
    figures, curves = drawings.DRAWINGS["canvases"](shown)
    return [*found, Section("canvases", "what methods draw over, made when it is needed", "", (), figures, curves)]


def render(shown: Shown, names: Iterable[str] = _STEPS) -> str:
    """The page; everything that comes from files is escaped."""
    environment = Environment(
        loader=FileSystemLoader(content("reports")), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    job, parts = shown.job, sections(shown, names)
    spent = sum(float(job.stamp(name)["seconds"]) for name in names)
    used = np.unique([frame.labels for frame in shown.frames])
    return environment.get_template(TEMPLATE).render(
        name=job.options.name,
        video=job.options.video.name,
        about=f"{job.frames} frames {job.size[0]}×{job.size[1]}, {job.frames / 25:.1f} s; "
        f"{job.train} train, {job.frames - job.train} test; prepared in {spent:.0f} s",
        train=job.train / job.frames,
        split=(job.train, job.frames),
        legend=[(picture_sheet.NAMES[k], "#" + bytes(picture_sheet.COLOURS[k]).hex()) for k in used if k],
        sections=parts,
        curves_css=Markup(picture_sheet.CURVES_CSS),
    )


def run(job: Job) -> Made:
    """Open the subject as a method would, and draw it."""
    subject = Subject(job.root)
    ids = np.unique(np.linspace(0, job.frames - 1, _FRAMES).round().astype(int))
    frames = [subject.frame(int(i)) for i in job.track(ids, "page", len(ids))]
    write_text(job.root / FILE, render(Shown(job, subject, tuple(frames))))
    return Made(f"{FILE}: what each step made; look at it")


def _inputs(_: object) -> dict[str, object]:
    modules = (drawings, picture_sheet)
    sources = [Path(str(module.__file__)) for module in modules] + [content("reports", TEMPLATE)]
    return {source.name: source for source in sources}


STEP = Step("sheet", run, (FILE,), needs=_STEPS, inputs=_inputs)
