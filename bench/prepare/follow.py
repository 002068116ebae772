"""Step *follow*: the whole video is looked at once, and either refused with the frame and the reason, or it is settled which
of its frames are taken for 25 a second and which square of them.

Every frame is seen as a thumbnail (cuts, still pictures, doubled frames), every fifth of a second faces are looked for.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from bench.errors import DataError
from bench.paths import atomic_file
from bench.prepare import crop, faces, rate, source
from bench.prepare.crop import Boxes, Crop
from bench.prepare.steps import Job, Made, Options, Step

FILE, PICTURE = "follow.npz", "follow.jpg"
_THUMB, _LOOK, _STRIP = 64, 480, 4
_EVERY = 0.2
_LONGEST_GAP = 1.0
"""Seconds: without a face, or without any new picture."""
_CUT, _CUT_RATIO = 6.0, 3.0
"""A cut changes the thumbnail by so many grey levels, and so many times more than any frame within a quarter of a second.
Real clips without cuts: at most 8.2 levels and 1.5 times; a jump cut in one scene: 8.3 and 5.9; other scene: 38 and 26."""
_STILL = 3.0
"""Grey levels: where no thumbnail pixel's deviation over time is more, nothing moves. Real clips: 54 … 78."""
_OUT = 0.1
"""Share of a face's box outside the picture: the head leaves it."""
_EDGE = 0.25
"""A face that vanishes nearer to the edge than so many of its widths has left the picture."""
_SECOND = 0.5
"""Width, as a share of the followed face's, from which another face disturbs."""


@dataclass(frozen=True)
class Seen:
    """What one pass over a video shows."""

    video: Path
    size: tuple[int, int]
    times: NDArray[np.float64]
    """[N] seconds of its frames, from the first."""
    change: NDArray[np.float64]
    """[N] mean difference of each thumbnail from the one before, grey levels; infinite for the first."""
    liveliest: float
    """Greatest deviation over time of a thumbnail's pixel, grey levels."""
    looks: NDArray[np.intp]
    """[L] the frames in which faces were looked for."""
    boxes: tuple[Boxes, ...]
    """L times [K,4] faces in pixels."""
    pictures: tuple[tuple[int, source.Picture], ...]
    """A few (look, picture) spread over the video, small."""

    def at(self, frame: int) -> str:
        """``frame 75 (3.00 s)``."""
        return f"frame {frame} ({self.times[frame]:.2f} s)"


def look(video: Path, stills: Iterable[source.Still]) -> Seen:
    """One pass; memory doesn't grow with the length but for a few numbers a frame."""
    times: list[float] = []
    change: list[float] = []
    looks: list[int] = []
    boxes: list[Boxes] = []
    pictures: list[tuple[int, source.Picture]] = []
    every, size, before = 1, (0, 0), None
    total = squares = np.zeros(())
    with faces.Finder() as find:
        for still in stills:
            thumb = still.rgb(_THUMB).astype(np.float64)
            change.append(np.inf if before is None else float(np.abs(thumb - before).mean()))
            before, size = thumb, still.size
            total, squares = total + thumb.mean(-1), squares + thumb.mean(-1) ** 2
            times.append(still.seconds)
            if looks and still.seconds - times[looks[-1]] < _EVERY - 1e-6:
                continue
            picture = still.rgb(min(_LOOK, size[0]))
            if len(looks) % every == 0:
                pictures.append((len(looks), picture))
            if len(pictures) > 4 * _STRIP:
                pictures, every = pictures[::2], 2 * every
            looks.append(still.index)
            boxes.append(find(picture) * (*size, *size))
    count = max(len(times), 1)
    spread = np.sqrt((squares / count - (total / count) ** 2).clip(0))
    return Seen(
        video,
        size,
        np.array(times),
        np.array(change),
        float(spread.max()),
        np.array(looks, np.intp),
        tuple(boxes),
        tuple(pictures),
    )


def cuts(change: NDArray[np.float64], times: NDArray[np.float64]) -> NDArray[np.intp]:
    """Frames that begin a new shot. A flash is none: the picture changes back at once."""
    found = []
    for i in np.flatnonzero((change > _CUT) & np.isfinite(change)):
        near = (np.abs(times - times[i]) <= 0.25 + 1e-6) & np.isfinite(change)
        near[i] = False
        if change[i] > _CUT_RATIO * change[near].max(initial=0.5):
            found.append(i)
    return np.array(found, np.intp)


def check(seen: Seen) -> None:
    """What speaks against a video before faces are looked at.

    Raises:
        DataError: too short, a still picture, a cut, a gap.
    """
    video = seen.video
    taken = len(rate.schedule(seen.times, seen.change))
    if taken < rate.LEAST:
        one = (
            "one picture, no video"
            if len(seen.times) == 1
            else f"{taken} frames at 25 fps, {seen.times[-1:].sum():.2f} s"
        )
        raise DataError(
            f"{video}: too short: {one}; a subject needs at least {rate.LEAST} frames, and minutes to be good"
        )
    if seen.liveliest < _STILL:
        raise DataError(
            f"{video}: a still picture: nothing moves from frame 0 to {len(seen.times) - 1}; give a video of someone who speaks"
        )
    gaps = np.diff(seen.times)
    if gaps.max() > _LONGEST_GAP:
        raise DataError(
            f"{video}: no new picture for {gaps.max():.1f} s after {seen.at(int(gaps.argmax()))}: cut the stretch out"
        )
    found = cuts(seen.change, seen.times)
    if len(found):
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        raise DataError(f"{video}: a cut at {seen.at(int(found[0]))}{more}: give one shot without cuts")


def followed(seen: Seen) -> tuple[NDArray[np.intp], Boxes]:
    """([M] looks in which the one face is seen, [M,4] its boxes).

    Raises:
        DataError: no face, a second one, or the head leaves the picture.
    """
    trails = faces.trails(seen.boxes)
    if not trails:
        raise DataError(
            f"{seen.video}: no face in {len(seen.looks)} pictures from frame 0 to {seen.looks[-1]}; give a video of a head from the front"
        )
    main, lasting = trails[0], _LONGEST_GAP / _EVERY
    for other in trails[1:]:
        both = sorted(main.boxes.keys() & other.boxes.keys())
        alike = other.width >= _SECOND * main.width
        if alike and len(both) >= lasting:
            raise DataError(
                f"{seen.video}: two faces from {seen.at(int(seen.looks[both[0]]))} on: give a video of one person, or cut the other away"
            )
        if alike and not both:
            main.boxes |= other.boxes
    order = np.array(sorted(main.boxes), np.intp)
    boxes = np.array([main.boxes[k] for k in order])
    _check_presence(seen, order, boxes)
    return order, boxes


def _check_presence(seen: Seen, order: NDArray[np.intp], boxes: Boxes) -> None:
    gone = crop.outside(boxes, seen.size)
    if gone.max() > _OUT:
        where = seen.at(int(seen.looks[order[int((gone > _OUT).argmax())]]))
        raise DataError(
            f"{seen.video}: the head leaves the picture at {where}: cut that out, or film it from farther away"
        )
    edges = np.concatenate([[-1], order, [len(seen.looks)]])
    missed = np.diff(edges) - 1
    longest = int(missed.argmax())
    if missed[longest] * _EVERY < _LONGEST_GAP and len(order) >= 0.5 * len(seen.looks):
        return
    first, last = int(edges[longest] + 1), int(edges[longest + 1] - 1)
    stretch = f"from {seen.at(int(seen.looks[first]))} to {seen.at(int(seen.looks[last]))}"
    beside = boxes[[k for k in (longest - 1, longest) if 0 <= k < len(boxes)]]
    margin = np.minimum(beside[:, :2], np.array(seen.size) - beside[:, :2] - beside[:, 2:])
    if (margin < _EDGE * beside[:, 2:]).any():
        raise DataError(f"{seen.video}: the head leaves the picture: no face {stretch}; cut that out")
    raise DataError(f"{seen.video}: no face {stretch}; cut that out")


def _kept(options: Options, seen: Seen, boxes: Boxes) -> Crop:
    """What is kept of the picture."""
    if options.crop == "none":
        return crop.whole(seen.size, "not cropped (--crop none)")
    if options.poses is not None:
        return crop.whole(seen.size, "not cropped: --poses belongs to the whole picture")
    return crop.choose(boxes, seen.size, seen.video)


def _drawn(seen: Seen, order: NDArray[np.intp], boxes: Boxes, kept: Crop) -> source.Picture:
    """A strip of the video's pictures with the followed face (green) and the square that is kept (white)."""
    at = dict(zip(order.tolist(), boxes, strict=True))
    chosen = np.linspace(0, len(seen.pictures) - 1, min(_STRIP, len(seen.pictures))).round().astype(int)
    out = []
    for look_, picture in (seen.pictures[k] for k in np.unique(chosen)):
        drawn = Image.fromarray(picture)
        draw, scale = ImageDraw.Draw(drawn), picture.shape[1] / seen.size[0]
        draw.rectangle([v * scale - (i > 1) for i, v in enumerate(kept.box)], outline="white", width=3)
        if look_ in at:
            x, y, w, h = at[look_] * scale
            draw.rectangle((x, y, x + w, y + h), outline=(0, 230, 0), width=2)
        out.append(np.asarray(drawn))
    return np.hstack(out)


def run(job: Job) -> Made:
    """Look, decide, note.

    Raises:
        DataError: the video is refused.
    """
    video = job.options.video
    seen = look(video, job.track(source.stills(video), "follow", None))
    check(seen)
    order, boxes = followed(seen)
    kept = _kept(job.options, seen, boxes)
    with atomic_file(job.work / FILE) as temporary:
        np.savez(temporary, chosen=rate.schedule(seen.times, seen.change), box=np.array(kept.box))
    with atomic_file(job.work / PICTURE) as temporary:
        Image.fromarray(_drawn(seen, order, boxes, kept)).save(temporary, quality=90)
    share = float(np.median(boxes[:, 2])) / kept.width
    text = f"one face in {len(order)} of {len(seen.looks)} pictures, {share:.0%} of the width; {kept.how}"
    facts: dict[str, Any] = {
        "video_size": seen.size,
        "video_frames": len(seen.times),
        "crop": kept.box,
        "face_share": round(share, 3),
    }
    return Made(text, {"crop": kept.how}, facts)


def plan(job: Job) -> tuple[NDArray[np.intp], tuple[int, int, int, int]]:
    """([T] rising indices of the video's frames to take, (left, top, right, bottom) of the part to keep)."""
    with np.load(job.work / FILE, allow_pickle=False) as noted:
        left, top, right, bottom = noted["box"].tolist()
        return noted["chosen"], (left, top, right, bottom)


def _inputs(options: Options) -> dict[str, object]:
    modules = (crop, faces, rate, source)
    sources = {module.__name__: Path(str(module.__file__)) for module in modules}
    given = {"video": options.video, "crop": options.crop, "poses": options.poses is not None}
    return given | sources


STEP = Step("follow", run, (f".prepare/{FILE}", f".prepare/{PICTURE}"), inputs=_inputs)
