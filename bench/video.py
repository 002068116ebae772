"""Frames and sound on disk: read them, count them, write them losslessly or for watching.

Every frame in Python is ``uint8 [H, W, 3]``, RGB, 0–255. Decoding goes through FFmpeg (PyAV); its conversion of yuv420p
to RGB equals OpenCV's ``VideoCapture`` bit for bit, so official scripts and ours see the same pixels.
Whatever can't be read whole is a :class:`bench.errors.DataError`: a cut-off video must not be scored on its first half.
"""

from __future__ import annotations

import functools
import logging
import re
import wave
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import DataError
from bench.paths import atomic_file

Frame = NDArray[np.uint8]

LOSSLESS_CODECS = frozenset({"ffv1", "rawvideo", "png", "huffyuv", "ffvhuff", "utvideo"})
LOSSLESS_IMAGES = frozenset({".png", ".bmp"})
IMAGES = LOSSLESS_IMAGES | {".jpg", ".jpeg"}
PREVIEW_SAMPLE_RATE = 44100
_SOURCE = "TALKBENCH_SOURCE"
"""A file's own word for what its frames went through before."""


@dataclass(frozen=True)
class VideoInfo:
    """What a video file holds, counted from its packets without decoding them."""

    fps: Fraction
    frames: int
    width: int
    height: int
    codec: str
    has_audio: bool
    source: str
    """``lossless`` or a codec's name: what its frames went through, in this file or, if it says so, before (:func:`write_lossless`)."""


@dataclass(frozen=True)
class Frames:
    """A sequence of frames on disk, counted before any of them is decoded.

    ``numbered`` says where ``ids`` come from: an image's id is the last number in its name; a video's frames have no
    names and count from 0. ``source`` is ``lossless`` or the name of the lossy codec.
    """

    path: Path
    ids: tuple[int, ...]
    numbered: bool
    source: str

    def __iter__(self) -> Iterator[Frame]:
        """The frames in the order of ``ids``; raises DataError at the first that can't be decoded."""
        if self.numbered:
            images = _numbered_images(self.path)
            return (read_image(images[number]) for number in self.ids)
        return read_video(self.path)

    def aligned(self, ids: Sequence[int], *, exactly: bool) -> Frames:
        """These frames as the frames ``ids``: by name for images, in order for a video.

        DataError if one is missing, or, for a video and wherever ``exactly`` is set, if there is one too many.
        """
        if self.numbered:
            missing = [number for number in ids if number not in set(self.ids)]
            extra = sorted(set(self.ids) - set(ids)) if exactly else []
        else:
            missing, extra = list(ids[len(self.ids) :]), list(self.ids[len(ids) :])
        for fault, numbers in (("missing", missing), ("too many", extra)):
            if numbers:
                noun = "frame" if len(numbers) == 1 else "frames"
                some = ", ".join(map(str, numbers[:5])) + (", …" if len(numbers) > 5 else "")
                raise DataError(f"{self.path}: {len(numbers)} {noun} {fault} (ids {some}); {len(ids)} are expected")
        return replace(self, ids=tuple(ids))


def open_frames(path: Path) -> Frames:
    """A video file or a folder of images as :class:`Frames`; DataError if it is neither or holds nothing."""
    if path.is_dir():
        images = _numbered_images(path)
        lossless = all(file.suffix.lower() in LOSSLESS_IMAGES for file in images.values())
        return Frames(path, tuple(images), True, "lossless" if lossless else "jpeg")
    info = probe(path)
    return Frames(path, tuple(range(info.frames)), False, info.source)


def read_frames(path: Path) -> Iterator[tuple[int, Frame]]:
    """(id, frame) of a video file or a folder of images, lazily and by rising id."""
    frames = open_frames(path)
    return zip(frames.ids, frames, strict=True)


def read_image(path: Path) -> Frame:
    """One image as uint8 RGB [H, W, 3]; DataError if it is unreadable, 16-bit, or has see-through pixels."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            if image.mode.startswith(("I", "F")):
                raise DataError(f"{path}: has more than 8 bits a channel; save it as 8-bit RGB")
            if image.has_transparency_data and np.asarray(image.convert("RGBA"))[..., 3].min() < 255:
                raise DataError(f"{path}: has transparent pixels, so its colours aren't defined; composite it first")
            return np.asarray(image.convert("RGB"))
    except (OSError, SyntaxError) as error:  # PIL reports a broken PNG as a SyntaxError
        raise DataError(f"{path}: can't be read as an image ({error})") from error


def _numbered_images(folder: Path) -> dict[int, Path]:
    """The folder's images by rising id (natural order: 2 before 10)."""
    images: dict[int, Path] = {}
    for file in folder.iterdir():
        if file.suffix.lower() not in IMAGES or file.name.startswith("."):
            continue
        if not (numbers := re.findall(r"[0-9]+", file.stem)):
            raise DataError(f"{file}: has no number in its name; frames are named by their id, such as 12.png")
        if (other := images.setdefault(int(numbers[-1]), file)) != file:
            raise DataError(f"{folder}: {other.name} and {file.name} are both frame {int(numbers[-1])}; remove one")
    if not images:
        raise DataError(f"{folder}: holds no images ({', '.join(sorted(IMAGES))})")
    return dict(sorted(images.items()))


@functools.cache
def _count_ffmpeg_errors() -> None:
    """Make FFmpeg's error log countable: damage that it conceals is reported nowhere else."""
    import av.logging

    logging.getLogger("libav").addHandler(logging.NullHandler())
    av.logging.set_level(av.logging.ERROR)


def _ffmpeg_errors() -> tuple[int, str]:
    """How many errors FFmpeg has logged so far, and the last one's text."""
    import av.logging

    count, last = av.logging.get_last_error()
    return count, last[2].strip() if last else ""


@contextmanager
def _opened(path: Path, kind: str = "video") -> Iterator[tuple[Any, Any]]:
    """The open container and its first stream of ``kind``; FFmpeg's errors become one-line DataErrors."""
    import av

    _count_ffmpeg_errors()
    try:
        with av.open(str(path)) as container:
            if not (streams := getattr(container.streams, kind)):
                raise DataError(f"{path}: holds no {kind}")
            if streams[0].codec_context is None:
                raise DataError(f"{path}: its {kind} has no codec that is known here")
            yield container, streams[0]
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file") from error
    except (av.FFmpegError, OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", "its text is no UTF-8")
        raise DataError(f"{path}: can't be decoded: truncated, damaged or no {kind} file ({reason})") from error


def _packets(container: Any, stream: Any, path: Path) -> Iterator[Any]:
    """The stream's packets; DataError where the container breaks off, which FFmpeg itself only logs."""
    packets = container.demux(stream)
    while True:
        before, _ = _ffmpeg_errors()
        packet = next(packets, None)
        after, message = _ffmpeg_errors()
        if after != before:
            raise DataError(f"{path}: is truncated or damaged ({message}); fetch or render it again")
        if packet is None:
            return
        yield packet


def _shown(packet: Any) -> bool:
    """True for a packet that becomes a frame: not the flush at the end, not one that an edit list cuts."""
    return bool(packet.size) and not packet.is_discard


def probe(path: Path) -> VideoInfo:
    """Rate, frame count, size, codec and whether there is sound; DataError if ``path`` isn't a whole video."""
    with _opened(path) as (container, stream):
        if not stream.average_rate:
            raise DataError(f"{path}: states no frame rate")
        frames = sum(map(_shown, _packets(container, stream, path)))
        codec = stream.codec_context
        has_audio = bool(container.streams.audio)
        before = container.metadata.get(_SOURCE, "lossless")
        source = before if codec.name in LOSSLESS_CODECS else codec.name
        return VideoInfo(
            Fraction(stream.average_rate), frames, codec.width, codec.height, codec.name, has_audio, source
        )


def read_video(path: Path) -> Iterator[Frame]:
    """Every frame in showing order as uint8 RGB [H, W, 3], one at a time.

    Raises DataError if the file is truncated, a frame of it can't be decoded, or, in a lossless file, fails its checksum.
    """
    with _opened(path) as (container, stream):
        lossless = stream.codec_context.name in LOSSLESS_CODECS
        expected = decoded = 0
        for packet in _packets(container, stream, path):
            before, _ = _ffmpeg_errors()
            frames = packet.decode()
            after, message = _ffmpeg_errors()
            if lossless and after != before:
                raise DataError(f"{path}: is damaged near frame {decoded} ({message}); render it again")
            expected += _shown(packet)
            for frame in frames:
                decoded += 1
                yield np.ascontiguousarray(frame.to_ndarray(format="rgb24"))
        if decoded != expected:
            raise DataError(
                f"{path}: only {decoded} of its {expected} frames can be decoded; re-encode or fetch it again"
            )


def _as_rate(fps: float | Fraction) -> Fraction:
    """29.97 → 2997/100, 29.97002997 → 30000/1001: what containers can hold."""
    rate = Fraction(fps).limit_denominator(1001)
    if rate <= 0:
        raise DataError(f"frame rate {fps} is not positive")
    return rate


def _checked(frames: Iterable[Frame], path: Path) -> Iterator[Frame]:
    """The frames, each proved to be uint8 RGB of the first one's size; DataError otherwise or if there are none."""
    shape: tuple[int, ...] | None = None
    for index, frame in enumerate(frames):
        shape = shape or frame.shape
        if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3 or frame.shape != shape:
            raise DataError(f"{path}: frame {index} is {frame.dtype} {frame.shape}, expected uint8 {shape[:2]} RGB")
        yield frame
    if shape is None:
        raise DataError(f"{path}: no frames to write")


def write_lossless(
    path: Path, frames: Iterable[Frame], fps: float | Fraction, source: Callable[[], str] = lambda: "lossless"
) -> int:
    """Write frames as FFV1 (8-bit RGB, a checksum in every slice) to a ``.mkv``, atomically; returns how many.

    The round trip is bit exact, and equal frames give an equal file: it can be hashed. Where the frames went through a lossy
    codec before, ``source`` names it (asked once the first frame is there), and so does the file from then on.
    """
    import av

    if path.suffix != ".mkv":
        raise DataError(f"{path}: lossless video is written as .mkv")
    count = 0
    with atomic_file(path) as temporary, av.open(str(temporary), "w", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("ffv1", rate=_as_rate(fps))
        stream.pix_fmt = "bgr0"  # FFV1's 8-bit RGB: its own reversible colour transform, no rounding
        stream.options = {"level": "3", "slices": "4", "slicecrc": "1", "g": "1", "flags": "+bitexact"}
        for count, frame in enumerate(_checked(frames, path), start=1):
            if count == 1:
                stream.height, stream.width = frame.shape[:2]
                if (before := source()) != "lossless":
                    container.metadata[_SOURCE] = before
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return count


def write_preview(path: Path, frames: Iterable[Frame], fps: float | Fraction, audio: Path | None = None) -> int:
    """Write frames as H.264 (CRF 18, yuv420p) with the sound of ``audio``, if given, as mono AAC; returns how many.

    For watching only: it plays in every browser. An odd width or height is padded by repeating the last column or row.
    Sound stops with the picture. Written atomically to an ``.mp4``.
    """
    import av

    rate = _as_rate(fps)
    samples = None if audio is None else read_audio(audio, PREVIEW_SAMPLE_RATE)
    count = 0
    options = {"movflags": "+faststart"}
    with atomic_file(path) as temporary, av.open(str(temporary), "w", format="mp4", options=options) as container:
        video = container.add_stream("libx264", rate=rate, options={"crf": "18", "preset": "veryfast"})
        video.pix_fmt = "yuv420p"
        sound = None if samples is None else container.add_stream("aac", rate=PREVIEW_SAMPLE_RATE, layout="mono")
        for count, frame in enumerate(_checked(frames, path), start=1):
            even = np.pad(frame, ((0, frame.shape[0] % 2), (0, frame.shape[1] % 2), (0, 0)), mode="edge")
            if count == 1:
                video.height, video.width = even.shape[:2]
            container.mux(video.encode(av.VideoFrame.from_ndarray(even, format="rgb24")))
            if sound is not None and samples is not None:
                # In step with the picture, so that the file can be played while it loads.
                begin, end = (int(n / rate * PREVIEW_SAMPLE_RATE) for n in (count - 1, count))
                container.mux(_encode_sound(sound, samples[begin:end], begin))
        container.mux(video.encode())
        if sound is not None:
            container.mux(sound.encode())
    return count


def _encode_sound(stream: Any, samples: NDArray[np.float32], begin: int) -> list[Any]:
    """Packets for mono samples that start at sample number ``begin``."""
    import av

    if not samples.size:
        return []
    frame = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = PREVIEW_SAMPLE_RATE, begin, Fraction(1, PREVIEW_SAMPLE_RATE)
    packets: list[Any] = stream.encode(frame)
    return packets


def read_audio(path: Path, rate: int = 16000) -> NDArray[np.float32]:
    """The sound of an audio or video file: float32 [T], mono, -1…1, resampled to ``rate`` Hz.

    Sample 0 is the moment of a video's first frame: sound that starts later is led by silence, earlier sound is cut. In a file
    without pictures it is the first sample: an MP3's clock is ahead by its encoder's delay, which FFmpeg cuts off.
    """
    import av

    blocks: list[NDArray[np.float32]] = []
    with _opened(path, "audio") as (container, stream):
        resampler = av.AudioResampler(format="flt", layout="mono", rate=rate)
        start: float | None = None
        for packet in _packets(container, stream, path):
            for frame in packet.decode():
                start = frame.time if start is None else start
                blocks += [block.to_ndarray()[0] for block in resampler.resample(frame)]
        blocks += [block.to_ndarray()[0] for block in resampler.resample(None)]
        if start is None or not blocks:
            raise DataError(f"{path}: its sound is empty")
        video = container.streams.video
        zero = float((video[0].start_time or 0) * video[0].time_base) if video else start
    samples = np.concatenate(blocks)
    offset = round((start - zero) * rate)
    return np.pad(samples, (offset, 0)) if offset > 0 else samples[-offset:]


def write_audio(path: Path, samples: NDArray[np.float32], rate: int) -> None:
    """Write mono samples (float, -1…1, clipped) as 16-bit PCM ``.wav``, atomically."""
    pcm = np.clip(np.round(samples * 32768.0), -32768, 32767).astype("<i2")
    with atomic_file(path) as temporary, wave.open(str(temporary), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(pcm.tobytes())
