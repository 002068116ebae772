"""Step *frames*: the pictures that *follow* chose, 25 a second, cropped and resized, as ``ori_imgs/<id>.jpg``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bench.paths import atomic_file
from bench.prepare import crop, follow, source
from bench.prepare.source import Picture
from bench.prepare.steps import Job, Made, Options, Step
from bench.prepare.workers import each

QUALITY = 95


def save(path: Path, picture: Picture) -> None:
    """Write an RGB picture as JPEG, quality 95, colour at full resolution, atomically."""
    with atomic_file(path, flush=False) as temporary:
        Image.fromarray(picture).save(temporary, quality=QUALITY, subsampling=0)


def taken(stills: Iterator[source.Still], chosen: NDArray[np.intp]) -> Iterator[tuple[range, source.Still]]:
    """(ids, frame) for each frame that ``chosen``, which rises, holds; a frame may be taken several times."""
    ends = np.searchsorted(chosen, np.arange(int(chosen[-1]) + 2)).tolist()
    for still in stills:
        if still.index > chosen[-1]:
            return
        if ids := range(ends[still.index], ends[still.index + 1]):
            yield ids, still


def cut(picture: Picture, box: tuple[int, int, int, int], size: tuple[int, int]) -> Picture:
    """The part ``box`` (left, top, right, bottom) at ``size`` (width, height); untouched where that changes nothing."""
    left, top, right, bottom = box
    part = picture[top:bottom, left:right]
    if (right - left, bottom - top) == size:
        return part
    return np.asarray(Image.fromarray(part).resize(size, Image.Resampling.LANCZOS))


def run(job: Job) -> Made:
    """Decode again, crop, resize, write.

    Raises:
        DataError: unreadable, cut off.
    """
    chosen, box = follow.plan(job)
    part = (box[2] - box[0], box[3] - box[1])
    size = crop.target_size(*part, job.options.size, None if job.options.crop == "none" else crop.LARGEST)
    video, shown = job.options.video, int(job.facts("follow")["video_frames"])

    def write(
        item: tuple[range, source.Still],
    ) -> None:  # a frame is in one thread only: PyAV converts it with one state
        missing = [job.image(i) for i in item[0] if not job.image(i).exists()]
        if missing:
            picture = cut(item[1].rgb(), box, size)
            for path in missing:
                save(path, picture)

    for _ in job.track(each(write, taken(source.stills(video), chosen)), "frames", len(np.unique(chosen))):
        pass
    as_is = len(chosen) == shown and (chosen == np.arange(shown)).all()
    rate = "25 fps as is" if as_is else f"{shown} frames brought to 25 fps"
    scaled = "" if size == part else f", from {part[0]}×{part[1]}"
    return Made(
        f"{len(chosen)} frames {size[0]}×{size[1]}{scaled}, {rate}",
        {"ori_imgs/*.jpg": f"{video.name}, {rate}, {size[0]}×{size[1]}{scaled}, JPEG quality {QUALITY} 4:4:4"},
        {"frames": len(chosen), "size": size},
    )


def _inputs(options: Options) -> dict[str, object]:
    return {"size": options.size, "crop": options.crop, "decoding": Path(source.__file__), "sizes": Path(crop.__file__)}


STEP = Step("frames", run, ("ori_imgs/*.jpg",), needs=("follow",), inputs=_inputs)
