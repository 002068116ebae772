"""The lossy files that official scripts score, made bit for bit as those scripts make them."""

from __future__ import annotations

import io
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import numpy as np

from bench.errors import DataError
from bench.paths import atomic_file
from bench.video import Frame

OFFICIAL_FPS = 25
"""What every official script writes, whatever the source's rate; x264's rate control looks at it."""
_CRF = "10"


def write_h264(path: Path, frames: Iterable[Frame]) -> int:
    """Write frames to an ``.mp4`` as ``imageio.mimwrite(path, frames, fps=25, quality=8, macro_block_size=1)`` does.

    That is libx264 with its own defaults, CRF 10, yuv420p (FFmpeg's bicubic chroma), 25 frames a second. One thread: with several,
    x264's output depends on their number. Returns how many frames were written; the file appears whole or not at all.

    :param frames: uint8 RGB [H, W, 3], all of one size with even sides
    :raises bench.errors.DataError: no frames, frames of different sizes, or an odd side, which yuv420p can't hold

    Source: synthesize_fuse.py of TalkingGaussian and DEGSTalk (spec_degstalk §5.5); decoded, equal to imageio-ffmpeg's file.
    """
    import av

    count = 0
    with atomic_file(path) as temporary, av.open(str(temporary), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=Fraction(OFFICIAL_FPS), options={"crf": _CRF})
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 1
        for count, frame in enumerate(frames, start=1):
            if count == 1:
                stream.height, stream.width = _even(frame)
            if frame.shape != (stream.height, stream.width, 3):
                raise DataError(f"frame {count - 1} is {frame.shape}, the first {stream.height, stream.width, 3}")
            planes = av.VideoFrame.from_ndarray(frame, format="rgb24").reformat(
                format="yuv420p", interpolation="BICUBIC"
            )
            container.mux(stream.encode(planes))
        if not count:
            raise DataError(f"{path}: no frames to write")
        container.mux(stream.encode())
    return count


def _even(frame: Frame) -> tuple[int, int]:
    height, width = frame.shape[:2]
    if height % 2 or width % 2:
        raise DataError(
            f"frames are {width}×{height}: H.264 as the official scripts write it needs even sides; crop or pad the frames"
        )
    return height, width


def jpeg(frame: Frame, quality: int) -> Frame:
    """The frame [H, W, 3], uint8 RGB, after JPEG at ``quality`` (1–95) with halved chroma, libjpeg's default.

    At 95 this equals ``cv2.imwrite``, which wrote the official ``gt_imgs`` and ``com_imgs``; at 75 ``imageio.imwrite``, which
    writes AD-NeRF's renders (run_nerf.py of TorsoNeRF).

    >>> grey = np.full((16, 16, 3), 120, np.uint8)
    >>> np.array_equal(jpeg(grey, 75), grey)
    True
    """
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(frame).save(buffer, "JPEG", quality=quality)
    with Image.open(buffer) as image:
        return np.asarray(image)
