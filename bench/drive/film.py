"""From a checkpoint and a sound to a video."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench import video
from bench.checkpoints import Opened
from bench.contract import Conditioning, checked_frames
from bench.drive.frames import Driven, Poses, order
from bench.drive.speech import FPS, Speech, listen
from bench.errors import BenchWarning, DataError, MethodError, UsageError
from bench.pixels import quantised

_MOUTH_IN: Mapping[str, str] = {
    "expression": "the frame's expression coefficients, which hold mouth shapes",
    "hair_canvas": "the canvas, which holds a rim of the frame's face",
    "ground_truth": "the frame itself",
}
"""What of ``sees`` tells a method of the driving frames' own mouth."""


@dataclass(frozen=True)
class Order:
    """What is to be made."""

    audio: Path
    out: Path
    """An ``.mp4``."""
    poses: Poses = "loop"
    start: float = 0.0
    """Seconds of the sound to leave out."""
    features: Path | None = None
    force: bool = False
    """``out`` may be replaced."""


def check(order: Order) -> None:
    """Find out whether ``out`` may be written.

    Raises:
        UsageError: it may not, or isn't an ``.mp4``.
    """
    out = order.out
    if out.suffix.lower() != ".mp4":
        raise UsageError(f"--out {out}: the video is an .mp4; name it so")
    if out.is_dir():
        raise UsageError(f"--out {out} is a folder: name a file")
    for given in (order.audio, order.features):
        if given is not None and out.resolve() == given.resolve():
            raise UsageError(f"--out {out} is what is read: name another file")
    if out.exists() and not order.force:
        raise UsageError(f"--out {out} exists: name another file, or give --force to replace it")


def drive(
    opened: Opened, wanted: Order, device: str, progress: Callable[[int, int], None] | None = None
) -> dict[str, Any]:
    """Render the method with another sound and write the video with it; all is checked before the model is loaded.

    Args:
        device: ``cpu`` or ``cuda``.
        progress: told (frames done, frames in all).

    Returns:
        JSON values: ``out``, ``audio``, ``start`` and ``seconds`` (s), ``frames``, ``fps``, ``size``, ``poses``, ``audio_kind``,
        ``subject``, ``sees``, ``device``.

    Raises:
        UsageError: ``out`` can't be written, the method doesn't hear, or ``start`` is out of the sound.
        DataError: sound, features or a frame of the subject can't be used.
        AbsentError: features must be given.
        MethodError: the renderer breaks its contract.
    """
    check(wanted)
    info, subject = opened.method.info, opened.subject
    if "audio" not in info.sees:
        raise UsageError(f"{opened.label} doesn't hear (its MethodInfo.sees has no audio): no sound can drive it")
    if subject.fps != FPS:
        raise DataError(f"{subject.root}: {subject.fps:g} frames a second; audio features are made for {FPS}")
    speech = listen(wanted.audio, opened.audio_kind, start=wanted.start, features=wanted.features)
    given = driven(opened, speech, wanted.poses)
    _tell(info.sees)
    tell = progress or (lambda done, total: None)

    def frames() -> Iterator[NDArray[np.uint8]]:
        tell(0, len(given))
        for done, frame in enumerate(rendered(opened, given, device), start=1):
            tell(done, len(given))
            yield frame

    with speech.heard() as sound:
        video.write_preview(wanted.out, frames(), subject.fps, sound)
    return {
        "out": str(wanted.out),
        "audio": str(wanted.audio),
        "start": speech.first / FPS,
        "seconds": len(given) / FPS,
        "frames": len(given),
        "fps": subject.fps,
        "size": list(subject.size),
        "poses": wanted.poses,
        "audio_kind": speech.kind,
        "subject": subject.name,
        "sees": sorted(info.sees),
        "device": device,
    }


def driven(opened: Opened, speech: Speech, poses: Poses) -> Driven:
    """What the method is given, frame by frame; warns where the poses end before the sound."""
    ids = order(opened.subject, poses, speech.frames)
    if len(ids) < speech.frames:
        warnings.warn(
            f"the {poses} split has {len(ids)} frames ({len(ids) / FPS:.2f} s) and the sound lasts {speech.frames / FPS:.2f} s: the "
            "video ends with the frames; --poses loop never ends",
            BenchWarning,
            stacklevel=2,
        )
    places = list(zip(ids, range(speech.first, speech.first + len(ids)), strict=True))
    return Driven(opened.subject, opened.method.info.sees, speech.features, places)


def rendered(opened: Opened, given: Sequence[Conditioning], device: str) -> Iterator[NDArray[np.uint8]]:
    """The frames [H,W,3] as ``bench run`` keeps them under the neutral protocol, rounded to 8 bits."""
    try:
        renderer = opened.method.load(opened.checkpoint, device)
        for frame in checked_frames(opened.method.info, given, iter(renderer.render(given))):
            yield quantised(frame, "u8-round")
    except SystemExit as error:  # a plugin's, not the user's: it would end us without a video and without a word
        raise MethodError(
            f"{opened.label} called sys.exit({error.code!r}); it should raise an error instead"
        ) from error


def _tell(sees: frozenset[str]) -> None:
    told = [words for key, words in _MOUTH_IN.items() if key in sees]
    if told:
        warnings.warn(
            f"the mouth follows the driving frames as well as the sound: the method sees {', and '.join(told)}",
            BenchWarning,
            stacklevel=3,
        )
