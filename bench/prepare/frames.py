"""Step *frames*: the video's pictures at 25 a second, as ``ori_imgs/<id>.jpg``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bench.errors import DataError
from bench.paths import atomic_file
from bench.prepare.steps import Job, Made, Options, Step

FPS = 25
QUALITY = 95
_LOST = 2
"""Frames a container may announce and not deliver (edit lists) before the video counts as cut off."""

Picture = NDArray[np.uint8]


def broken(path: Path, error: Exception) -> DataError:
    """The error for a video that libav can't read."""
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return DataError(f"{path}: not a readable video ({reason}); it may be cut off: copy or export it again")


def at_25(times: Iterator[tuple[float, Picture]]) -> Iterator[Picture]:
    """Frames at 0, 1/25, 2/25 … s: for each instant the frame nearest in time. ``times``: ascending (seconds, frame)."""
    emitted, previous = 0, None
    last = 0.0
    for second, picture in times:
        while previous is not None and abs(emitted / FPS - last) <= abs(second - emitted / FPS):
            yield previous
            emitted += 1
        previous, last = picture, second
    while previous is not None and emitted / FPS < last + 0.5 / FPS:
        yield previous
        emitted += 1


def target_size(width: int, height: int, wanted: int | None) -> tuple[int, int]:
    """(width, height) of the frames to write.

    Raises:
        DataError: a side is odd (H.264 previews need even sides) or tiny.
    """
    if wanted is not None:
        width, height = wanted, 2 * round(height * wanted / width / 2)
    if width % 2 or height % 2 or min(width, height) < 64:
        even = max(64, width + width % 2)
        raise DataError(f"frames of {width}×{height}: both sides must be even and at least 64; give --size {even}")
    return width, height


def _decode(path: Path, wanted: int | None, counter: list[int]) -> Iterator[tuple[float, Picture]]:
    """(seconds from the first frame, RGB) of each frame; ``counter[0]`` counts them."""
    with av.open(str(path)) as container:
        if not container.streams.video:
            raise DataError(f"{path}: no pictures in it; give a video file")
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        width, height = target_size(stream.width, stream.height, wanted)
        first: float | None = None
        for frame in container.decode(stream):
            if frame.time is None:
                raise DataError(f"{path}: a frame without a time; write the video anew (ffmpeg -i {path.name} out.mp4)")
            first = frame.time if first is None else first
            counter[0] += 1
            picture = frame.to_ndarray(format="rgb24", width=width, height=height, interpolation="BICUBIC")
            yield frame.time - first, picture.astype(np.uint8, copy=False)
        if counter[0] < stream.frames - _LOST:
            raise DataError(f"{path}: cut off: {counter[0]} of {stream.frames} frames decode; copy or export it again")


def save(path: Path, picture: Picture) -> None:
    """Write an RGB picture as JPEG, quality 95, colour at full resolution, atomically."""
    with atomic_file(path) as temporary:
        Image.fromarray(picture).save(temporary, quality=QUALITY, subsampling=0)


def run(job: Job) -> Made:
    """Decode, bring to 25 fps by nearest time, write.

    Raises:
        DataError: unreadable, cut off, without frames, of an odd size.
    """
    path, counter = job.options.video, [0]
    written, size = 0, (0, 0)
    try:
        pictures = at_25(_decode(path, job.options.size, counter))
        for picture in job.track(pictures, "frames", None):
            save(job.image(written), picture)
            written, size = written + 1, (picture.shape[1], picture.shape[0])
    except av.FFmpegError as error:
        raise broken(path, error) from error
    if written < 11:  # fewer leave no test frame
        raise DataError(f"{path}: {written} frames at 25 fps; a subject needs at least 11")
    rate = "25 fps as is" if written == counter[0] else f"{counter[0]} frames brought to 25 fps by nearest time"
    return Made(
        f"{written} frames {size[0]}×{size[1]}, {rate}",
        {"ori_imgs/*.jpg": f"{path.name}, {rate}, {size[0]}×{size[1]}, JPEG quality {QUALITY} 4:4:4"},
        {"frames": written, "size": size},
    )


def _inputs(options: Options) -> dict[str, object]:
    return {"video": options.video, "size": options.size}


STEP = Step("frames", run, ("ori_imgs/*.jpg",), inputs=_inputs)
