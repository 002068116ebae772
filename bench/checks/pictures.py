"""Checks of sizes, counts and masks."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from bench import classes
from bench.checks.finding import Finding, State, some, worst
from bench.checks.survey import Survey

_FACE = (0.01, 0.75)
"""Least and greatest share of a frame that may be face."""
_JUMP = 0.25
"""Change of the face's area from one frame to the next, as a share, that no head makes in 1/25 s."""
_INSIDE = 0.85
"""Share of inner landmarks on the face's mask below which mask and landmarks are of different frames, or one is wrong."""


def frames(survey: Survey) -> Finding:
    """Counts and sizes against ``subject.json``."""
    subject = survey.subject
    count, size = len(survey.ids), list(subject.size)
    found: list[tuple[State, str]] = []
    if (told := subject.meta.get("frames", count)) != count:
        found.append(("fail", f"subject.json says {told} frames, the transforms have {count}"))
    if (told := list(subject.meta.get("size", size))) != size:
        found.append(("fail", f"subject.json says {told[0]}×{told[1]}, the frames are {size[0]}×{size[1]}"))
    gaps = np.flatnonzero(np.diff(survey.ids) != 1)
    if len(gaps) or survey.ids[0] != 0:
        where = some([int(survey.ids[k]) + 1 for k in gaps]) or "0"
        found.append(("warn", f"frame ids have gaps (missing from {where}): sound and tables still go by id"))
    return worst("frames", found, f"{count} frames of {size[0]}×{size[1]} at {subject.fps:g} fps, all files open")


def card(survey: Survey, known: Mapping[str, object]) -> Finding:
    """A prepared subject against the card of its name."""
    subject, found = survey.subject, list[tuple[State, str]]()
    size, count = list(subject.size), len(survey.ids)
    wanted = [int(side) for side in known["size"]]  # type: ignore[attr-defined]  # two numbers, checked by bench.cards
    if size != wanted:
        found.append(("warn", f"{size[0]}×{size[1]}, the card says {wanted[0]}×{wanted[1]}"))
    if isinstance(known["frames"], int) and known["frames"] != count:
        found.append(("warn", f"{count} frames, the card says {known['frames']}"))
    if found:
        found.append(("warn", f"so this is not the benchmark's {subject.name}: don't compare its numbers with papers'"))
    return worst("card", found, f"size and frames are those of the card ({known['title']})")


def face(survey: Survey) -> Finding:
    """A face in every frame, of steady size, where the landmarks are."""
    found: list[tuple[State, str]] = []
    low, high = _FACE
    none = survey.ids[survey.face < low]
    if len(none):
        found.append(("fail", f"no face in {len(none)} masks (frames {some(none)}): make parsing again"))
    if len(full := survey.ids[survey.face > high]):
        found.append(("warn", f"{len(full)} masks are nearly all face (frames {some(full)})"))
    change = np.abs(np.diff(survey.face)) / np.maximum(survey.face[1:], low)
    if len(jumps := survey.ids[1:][change > _JUMP]):
        found.append(("warn", f"face area jumps at {len(jumps)} frames ({some(jumps)}): a cut, or a failed mask"))
    if len(off := survey.ids[(survey.inside < _INSIDE) & (survey.face >= low)]):
        state: State = "fail" if len(off) > len(survey.ids) / 2 else "warn"
        found.append((state, f"landmarks lie off the face's mask in {len(off)} frames ({some(off)})"))
    good = f"a face in every frame, {survey.face.min():.0%} to {survey.face.max():.0%} of it, landmarks on it"
    return worst("face masks", found, good)


def parts(survey: Survey) -> Finding:
    """Mouth, hair, neck, clothes, background: is each told apart at all?"""
    share = survey.counts.sum(0) / (survey.pixels * len(survey.ids))
    found: list[tuple[State, str]] = []
    empty = float((survey.mouth == 0).mean())
    if empty == 1:
        found.append(("warn", "no inner mouth in any frame: a mouth branch learns nothing"))
    for what, index, use in (
        ("hair", classes.HAIR, "hair is learnt as face or background"),
        ("clothes", classes.CLOTH, "there is no torso canvas"),
        ("neck", classes.NECK, "there is no neck under the chin"),
        ("background", classes.BACKGROUND, "the plate is never seen"),
    ):
        if share[index] == 0:
            found.append(("warn", f"no {what} in any frame: {use}"))
    texts = [f"{name} {share[index]:.1%}" for name, index in (("hair", 17), ("neck", 14), ("clothes", 16))]
    return worst("parts", found, f"{', '.join(texts)} of all pixels; inner mouth in {1 - empty:.0%} of frames")
