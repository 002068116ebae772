"""Checks of poses, their fit to the landmarks, and blinks."""

from __future__ import annotations

import numpy as np

from bench.checks.finding import Finding, State, some, worst
from bench.checks.survey import Array, Survey

RIGID = (27, 28, 29, 30, 31, 33, 35, 36, 39, 42, 45)
"""Of the 68 landmarks those that don't move with expression: nose and eye corners."""
_TURN, _MOVE = 12.0, 0.08
"""Degrees, and share of the camera's distance, that a head doesn't make in 1/25 s."""
_FOCAL = (0.8, 8.0)
"""Focal length over the frame's width: wider or narrower lenses aren't used for portraits."""
_MISS = (0.012, 0.025)
"""Reprojection error of the worst twentieth, as a share of the width: warn, fail. See :mod:`bench.prepare.fit` for the latter."""
_BLINKS = (2.0, 70.0)
"""Blinks a minute that a speaker may have."""
_LONG = 8.0
"""Seconds from which on a clip without a blink is odd."""


def poses(survey: Survey) -> Finding:
    """Finite rotations, a plausible lens, no leaps."""
    turned = survey.views[:, :3, :3]
    skew = np.abs(turned @ turned.transpose(0, 2, 1) - np.eye(3)).max((1, 2)) + np.abs(np.linalg.det(turned) - 1)
    found: list[tuple[State, str]] = []
    if len(bad := survey.ids[skew > 1e-3]):
        found.append(("fail", f"{len(bad)} poses are no rotations (frames {some(bad)})"))
    depth = survey.views[:, 2, 3]
    if len(behind := survey.ids[depth <= 0]):
        found.append(("fail", f"the head is behind the camera in {len(behind)} frames ({some(behind)})"))
    degrees, shift = steps(survey.views)
    leaps = survey.ids[1:][(degrees > _TURN) | (shift > _MOVE * np.median(np.abs(depth)))]
    if len(leaps):
        found.append(("warn", f"the pose leaps at {len(leaps)} frames ({some(leaps)})"))
    lens = float(np.median(survey.intrinsics[:, 0, 0]) / survey.subject.size[0])
    if not _FOCAL[0] <= lens <= _FOCAL[1]:
        found.append(("warn", f"the focal length is {lens:.2f} of the frame's width"))
    largest = f"{degrees.max(initial=0):.1f}° and {100 * shift.max(initial=0) / np.median(np.abs(depth)):.1f} % of the distance"
    return worst("poses", found, f"finite rotations, focal length {lens:.2f} widths, steps up to {largest}")


def steps(views: Array) -> tuple[Array, Array]:
    """([T-1] degrees, [T-1] units) by which the head turns and moves from frame to frame, of views [T,4,4]."""
    turn = views[1:, :3, :3] @ views[:-1, :3, :3].transpose(0, 2, 1)
    cosine = (np.trace(turn, axis1=1, axis2=2) - 1) / 2
    return np.degrees(np.arccos(cosine.clip(-1, 1))), np.linalg.norm(np.diff(views[:, :3, 3], axis=0), axis=1)


def reprojection(survey: Survey) -> Finding:
    """Do the poses put the rigid landmarks where they are seen?"""
    from bench.prepare import fit

    cameras = survey.intrinsics @ survey.views[:, :3]
    distance, depth = fit.errors(cameras, survey.landmarks[:, RIGID])
    width = survey.subject.size[0]
    typical, bad = float(np.median(distance)), float(np.percentile(distance, 95))
    nose, eyes = np.median(depth[:, RIGID.index(30)]), np.median(depth[:, [RIGID.index(36), RIGID.index(45)]])
    text = f"rigid landmarks land {typical:.2f} px (median; 95%: {bad:.2f} px = {bad / width:.1%} of the width) from where they are seen"
    if depth.min() <= 0 or nose > 1.01 * eyes:
        return Finding("reprojection", "fail", "the poses turn the face inside out: an axis is flipped")
    state: State = "fail" if bad > _MISS[1] * width else "warn" if bad > _MISS[0] * width else "ok"
    hint = "" if state == "ok" else ": are poses, landmarks and frames of the same video at the same rate?"
    return Finding("reprojection", state, text + hint)


def count_blinks(blink: Array) -> int:
    """How often clip(AU45, 0, 2)/2 [T] rises above a half after having been below a quarter."""
    count, ready = 0, True
    for value in blink:
        if ready and value > 0.5:
            count, ready = count + 1, False
        elif value < 0.25:
            ready = True
    return count


def blinks(survey: Survey) -> Finding:
    """As many blinks as a speaker has."""
    seconds = len(survey.ids) / survey.subject.fps
    count = count_blinks(survey.blink)
    rate = 60 * count / seconds
    text = f"{count} blinks in {seconds:.1f} s ({rate:.0f} a minute)"
    closed = float((survey.blink > 0.5).mean())
    if closed > 0.5:
        return Finding("blinks", "warn", f"{text}, eyes closed in {closed:.0%} of frames: is AU45 of this video?")
    if seconds >= _LONG and not _BLINKS[0] <= rate <= _BLINKS[1]:
        return Finding("blinks", "warn", f"{text}: a speaker has {_BLINKS[0]:g} to {_BLINKS[1]:g} a minute")
    return Finding("blinks", "ok", text + (", too short to judge" if seconds < _LONG else ""))
