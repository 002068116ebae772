"""The user's video as upright RGB pictures with their times, one at a time: any container, rate, rotation tag, pixel shape."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from bench.errors import DataError

Picture = NDArray[np.uint8]
"""RGB [H,W,3]."""
_LOST = 2
"""Frames a container may announce and not deliver before the video counts as cut off."""
_LOST_SECONDS = 1.0
"""The same for containers that announce no number of frames but a length."""
_UPRIGHT = (1, 0, 0, 1)


def broken(path: Path, error: Exception) -> DataError:
    """The error for a video that libav can't read."""
    reason = getattr(error, "strerror", None) or str(error).partition("\n")[0] or type(error).__name__
    return DataError(f"{path}: not a readable video ({reason}); it may be cut off: copy or export it again")


@dataclass(frozen=True)
class Still:
    """One decoded frame."""

    index: int
    seconds: float
    """From the first frame."""
    frame: av.VideoFrame
    turn: tuple[int, int, int, int]
    """Signs a, b, c, d of the display matrix: x' = a·x + c·y, y' = b·x + d·y."""
    shape: float
    """Width of a pixel over its height."""

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) as it is to be shown: upright, square pixels."""
        width, height = round(self.frame.width * self.shape), self.frame.height
        return (height, width) if self.turn[0] == 0 else (width, height)

    def rgb(self, width: int | None = None) -> Picture:
        """Upright picture, scaled to ``width`` while it is converted (None: as large as it is)."""
        factor = 1.0 if width is None else width / self.size[0]
        raw = (max(1, round(self.frame.width * self.shape * factor)), max(1, round(self.frame.height * factor)))
        if raw == (self.frame.width, self.frame.height):
            picture = self.frame.to_ndarray(format="rgb24")
        else:
            how = "AREA" if factor < 1 else "BICUBIC"
            picture = self.frame.to_ndarray(format="rgb24", width=raw[0], height=raw[1], interpolation=how)
        return np.ascontiguousarray(upright(picture.astype(np.uint8, copy=False), self.turn))


def upright(picture: Picture, turn: tuple[int, int, int, int]) -> Picture:
    """Turned and mirrored as the signs of a display matrix say (quarter turns only)."""
    a, b, c, d = turn
    if a == 0:
        picture, a, d = picture.swapaxes(0, 1), c, b
    return picture[:: 1 if d > 0 else -1, :: 1 if a > 0 else -1]


def _turn(frame: av.VideoFrame, path: Path) -> tuple[int, int, int, int]:
    side_data: Any = frame.side_data
    for data in side_data:
        if data.type.name == "DISPLAYMATRIX":
            a, b, _, c, d = np.frombuffer(bytes(data), np.int32)[:5].tolist()
            signs = (int(np.sign(a)), int(np.sign(b)), int(np.sign(c)), int(np.sign(d)))
            if signs not in {(s, 0, 0, t) for s in (1, -1) for t in (1, -1)} | {
                (0, s, t, 0) for s in (1, -1) for t in (1, -1)
            }:
                raise DataError(
                    f"{path}: its rotation tag is no quarter turn; turn the pictures themselves and export it"
                )
            return signs
    return _UPRIGHT


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Any, Any]]:
    """(container, its first stream of moving pictures).

    Raises:
        DataError: not readable, or without one.
    """
    try:
        with av.open(str(path)) as container:
            cover = av.stream.Disposition.attached_pic
            moving = [s for s in container.streams.video if not s.disposition & cover]
            if not moving:
                what = "sound only" if container.streams.audio else "no video stream"
                raise DataError(f"{path}: no pictures in it ({what}); give a video file")
            moving[0].thread_type = "AUTO"
            try:
                yield container, moving[0]
            finally:
                # Decoding threads that log want Python's lock, and closing a decoder waits for them while it holds that
                # lock; flushing waits without it.
                if moving[0].codec_context.is_open:
                    moving[0].codec_context.flush_buffers()
    except (av.FFmpegError, OSError) as error:
        raise broken(path, error) from error


def probe(path: Path) -> None:
    """What the container says without decoding.

    Raises:
        DataError: unreadable, without pictures or without sound.
    """
    with _opened(path) as (container, _):
        if not container.streams.audio:
            raise DataError(f"{path}: no sound in it; sound drives the faces, so give a video that has it")


def start(path: Path) -> float:
    """Seconds at which the first picture is shown, on the container's clock."""
    with _opened(path) as (_, stream):
        return float((stream.start_time or 0) * (stream.time_base or 0))


def stills(path: Path) -> Iterator[Still]:
    """Every frame in the order in which it is shown.

    Raises:
        DataError: unreadable, cut off, without times, or of changing size.
    """
    with _opened(path) as (container, stream):
        announced, count, end = int(stream.frames), 0, 0.0
        clock: tuple[float, float] | None = None  # (first, last)
        size = turn = None
        shape = float(stream.sample_aspect_ratio or 1)
        for packet in container.demux([stream, *container.streams.audio]):
            end = max(end, _end(packet))
            if packet.stream.index != stream.index:
                continue
            announced -= packet.is_discard  # cut by an edit list
            for frame in packet.decode():
                first, last = _clock(frame, count, clock, path)
                turn = turn or _turn(frame, path)
                size = size or (frame.width, frame.height)
                if size != (frame.width, frame.height):
                    raise DataError(f"{path}: the picture's size changes at frame {count}; export it at one size")
                yield Still(count, last - first, frame, turn, shape)
                clock, count = (first, last), count + 1
        if count < announced - _LOST:
            raise DataError(f"{path}: cut off: {count} of {announced} frames decode; copy or export it again")
        length = (container.duration or 0) / av.time_base
        if not announced and end - (container.start_time or 0) / av.time_base < length - _LOST_SECONDS:
            raise DataError(f"{path}: cut off: {end:.1f} of {length:.1f} s can be read; copy or export it again")


def _end(packet: Any) -> float:
    """Seconds at which what it holds ends; 0 for the flush at the end."""
    return 0.0 if packet.pts is None else float((packet.pts + (packet.duration or 0)) * packet.time_base)


def _clock(frame: Any, index: int, before: tuple[float, float] | None, path: Path) -> tuple[float, float]:
    """(time of the first frame, of this one)."""
    if frame.time is None:
        raise DataError(f"{path}: frame {index} has no time; write the video anew (ffmpeg -i {path.name} out.mp4)")
    if before is None:
        return frame.time, frame.time
    if frame.time < before[1]:
        raise DataError(
            f"{path}: time runs backwards at frame {index}; write the video anew (ffmpeg -i {path.name} out.mp4)"
        )
    return before[0], frame.time
