"""The two sequences of frames that a protocol compares: which ground truth, over which canvas, through which codec."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Protocol as Interface

from bench import portrait
from bench.errors import DataError, UsageError
from bench.protocol import Protocol, codec
from bench.subject import Subject
from bench.video import Frame, open_frames, read_video


class Stream(Interface):
    """Frames in order; iterating decodes them one by one."""

    @property
    def path(self) -> Path:
        """Where they come from, for messages."""

    @property
    def source(self) -> str:
        """What they went through: ``lossless``, ``h264`` (delivered so), ``h264-crf10`` or ``jpeg95`` (made so here), …"""

    def __iter__(self) -> Iterator[Frame]: ...


@dataclass(frozen=True)
class Truth:
    """A subject's ground truth. The frame as filmed is lossless by definition: there is nothing better to compare with."""

    subject: Subject
    ids: tuple[int, ...]
    kind: str
    """``frame`` or ``background_pasted``, as :attr:`bench.protocol.Protocol.truth`."""

    @property
    def path(self) -> Path:
        """The subject's folder."""
        return self.subject.root

    @property
    def source(self) -> str:
        """The pasted frame is ``jpeg95``: process.py of every official repository stores it so."""
        return "lossless" if self.kind == "frame" else "jpeg95"

    def __iter__(self) -> Iterator[Frame]:
        for number in self.ids:
            frame = self.subject.frame(number)
            yield frame.image if self.kind == "frame" else codec.jpeg(frame.background_pasted, 95)


@dataclass(frozen=True)
class _Passed:
    """Frames on their way: named after where they came from."""

    frames: Stream

    @property
    def path(self) -> Path:
        """Of the frames before."""
        return self.frames.path

    @property
    def source(self) -> str:
        """Of the frames before."""
        return self.frames.source

    def _after(self, step: str) -> str:
        return step if self.frames.source == "lossless" else f"{self.frames.source}+{step}"


@dataclass(frozen=True)
class H264(_Passed):
    """Frames as an official mp4 shows them; the file is made when they are first asked for."""

    file: Path

    @property
    def source(self) -> str:
        """With what they went through before."""
        return self._after("h264-crf10")

    def __iter__(self) -> Iterator[Frame]:
        if not self.file.exists():
            codec.write_h264(self.file, self.frames)
        return read_video(self.file)


@dataclass(frozen=True)
class Jpeg(_Passed):
    """Frames as JPEG files of a quality show them."""

    quality: int

    @property
    def source(self) -> str:
        """With what they went through before."""
        return self._after(f"jpeg{self.quality}")

    def __iter__(self) -> Iterator[Frame]:
        return (codec.jpeg(frame, self.quality) for frame in self.frames)


@dataclass(frozen=True)
class Portrait(_Passed):
    """The faces of a prediction, blended onto a subject's frames."""

    subject: Subject
    ids: tuple[int, ...]

    def __iter__(self) -> Iterator[Frame]:
        for number, pred in zip(self.ids, self.frames, strict=True):
            frame = self.subject.frame(number)
            if pred.shape != frame.image.shape:
                found, wanted = (f"{shape[1]}×{shape[0]}" for shape in (pred.shape, frame.image.shape))
                raise DataError(f"{self.path}: frame {number} is {found}, {self.subject.name}'s are {wanted}")
            try:
                yield portrait.blend(pred, frame.image, portrait.face_weights(frame.labels))
            except DataError as error:
                raise DataError(f"subject {self.subject.name}, frame {number}: {error}") from error


@dataclass(frozen=True)
class Head(_Passed):
    """The first frames of a sequence that may be longer."""

    count: int

    def __iter__(self) -> Iterator[Frame]:
        return islice(iter(self.frames), self.count)


@dataclass(frozen=True)
class Pair:
    """What is compared, frame by frame."""

    ids: tuple[int, ...]
    pred: Stream
    gt: Stream
    expected: int
    """Frames there should be. More than ``ids`` only under a protocol that stops at the shorter video's end."""

    @property
    def source(self) -> str:
        """``src`` of the signature: one word if both went through the same, else ``pred/gt``."""
        pred, gt = self.pred.source, self.gt.source
        return pred if pred == gt else f"{pred}/{gt}"


@contextmanager
def open_pair(
    pred: Path, gt: Path | None, protocol: Protocol, subject: Subject | None, ids: Sequence[int] | None
) -> Iterator[Pair]:
    """The pair under ``protocol``: counted, nothing decoded yet. Temporary files live as long as the context.

    :param gt: a video or folder; None: the ground truth that the protocol takes from ``subject``
    :param ids: the frames there must be, in order; None: the subject's test frames, or those of ``gt``
    :raises bench.errors.DataError: a file is broken, a frame is missing or one too many
    :raises bench.errors.UsageError: the protocol needs a subject, or there is no ground truth
    """
    if gt is None and subject is None:
        raise UsageError("there is no ground truth: give GT, or --subject")
    if protocol.canvas == "portrait" and subject is None:
        raise UsageError(f"protocol {protocol.name} blends along a subject's parsing: give --subject")
    made, truth = open_frames(pred), open_frames(gt) if gt else None
    if ids is None:
        ids = subject.test_ids if subject else truth.ids  # type: ignore[union-attr]  # one of them is there
    ids = tuple(ids)
    videos = [side for side in (made, truth) if side and not side.numbered and protocol.length == "shorter"]
    # A folder has no end to stop at: it must hold its frames even where a video may have any length.
    truth = truth if truth is None or truth in videos else truth.aligned(ids, exactly=False)
    made = made if made in videos else made.aligned(ids, exactly=True)
    lengths = [len(ids), *(len(side.ids) for side in videos)]
    if not (count := min(lengths)):
        raise DataError(f"{pred}: there are no frames to compare")
    shown: Stream = Portrait(made, subject, ids) if protocol.canvas == "portrait" and subject else made
    known: Stream = truth or Truth(subject, ids, protocol.truth)  # type: ignore[arg-type]  # no gt: there is a subject
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        shown, known = _through(protocol.codec, shown, known, Path(folder))
        if count < max(lengths):
            shown, known = Head(shown, count), Head(known, count)
        yield Pair(ids[:count], shown, known, max(lengths))


def _through(kind: str, pred: Stream, gt: Stream, folder: Path) -> tuple[Stream, Stream]:
    """Both sides after the protocol's codec; whatever comes in that form is taken as delivered."""
    if kind == "h264-crf10":
        pred, gt = (
            side if side.source == "h264" else H264(side, folder / f"{name}.mp4")
            for name, side in (("pred", pred), ("gt", gt))
        )
    elif kind == "jpeg75" and pred.source != "jpeg":
        pred = Jpeg(pred, 75)
    return pred, gt
