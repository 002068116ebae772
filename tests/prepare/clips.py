"""Videos for the tests: made in a second with PyAV, of noise or of the embedded subjects' frames."""

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image

from bench import catalogue
from bench.prepare import STEPS
from bench.prepare.steps import Job, Options, fingerprint, run_step


def write_video(path: Path, pictures, sound: bool | float = True, times=None, rate: int = 25, **options) -> Path:
    """An mp4 (or what the name says) of RGB pictures. ``sound``: a tone, or its amplitude. ``times``: milliseconds, rising."""
    options = {"movflags": "+faststart"} if path.suffix == ".mp4" and not options else options
    with av.open(str(path), "w", options=options) as out:
        video = out.add_stream("libx264", rate=rate, options={"crf": "8", "preset": "ultrafast"})
        height, width = pictures[0].shape[:2]
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        if times is not None:
            video.codec_context.time_base = video.time_base = Fraction(1, 1000)
        if sound is not False:
            seconds = len(pictures) / rate if times is None else times[-1] / 1000 + 0.04
            audio = out.add_stream("aac", rate=16000)
            audio.layout = "mono"
            tone = (np.sin(np.arange(round(16000 * seconds)) / 20) * float(sound) * 8000).astype(np.int16)[None]
            frame = av.AudioFrame.from_ndarray(tone, "s16", "mono")
            frame.sample_rate, frame.time_base, frame.pts = 16000, Fraction(1, 16000), 0
            out.mux(audio.encode(frame) + audio.encode(None))
        for k, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), "rgb24")
            if times is not None:
                frame.pts, frame.time_base = int(times[k]), Fraction(1, 1000)
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
    return path


def tagged(path: Path, matrix: tuple[int, int, int, int]) -> Path:
    """The mp4 with signs a, b, c, d as its display matrix."""
    data = bytearray(path.read_bytes())
    start = data.find(b"tkhd") + 4
    at = start + 4 + (20 if data[start] == 0 else 32) + 16
    a, b, c, d = (65536 * v for v in matrix)
    data[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return path


def noise(count: int, width: int = 64, height: int = 64):
    rng = np.random.default_rng(0)
    return [rng.integers(0, 255, (height, width, 3), np.uint8) for _ in range(count)]


def heads(name: str, count: int, first: int = 0) -> list[np.ndarray]:
    """Frames 256×256 of an embedded subject."""
    subject = catalogue.resolve(name)
    return [subject.frame(i).image for i in range(first, first + count)]


def placed(picture: np.ndarray, size: tuple[int, int], x: int, y: int, side: int | None = None) -> np.ndarray:
    """The picture, ``side`` wide, in a larger one of ``size`` (width, height); what is outside is cut."""
    side = side or picture.shape[1]
    canvas = Image.new("RGB", size, tuple(picture[2, 2].tolist()))
    canvas.paste(Image.fromarray(picture).resize((side, side)), (x, y))
    return np.asarray(canvas)


def made(options: Options, *names: str) -> Job:
    """Run only these steps."""
    job, marks = Job(options, lambda items, what, total: items), {}
    for step in STEPS:
        if step.name in names:
            marks[step.name] = fingerprint(step, options, marks)
            run_step(step, job, marks[step.name])
    return job
