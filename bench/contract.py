"""What a talking-face method is: its description, how it is trained and loaded, and what it may see of a test frame.

A plugin is an object with an ``info`` and two methods::

    class MyMethod:
        info = MethodInfo(name="my-method", ..., sees=frozenset({"pose", "audio"}))
        def train(self, task: TrainTask) -> None: ...        # writes task.out, a checkpoint folder
        def load(self, checkpoint: Path, device: str) -> Renderer: ...

registered under the entry-point group ``bench.methods``. It may also have variants (:class:`Varied`), say which libraries
compute (:class:`NamesLibraries`), and name the parts of its training step (:func:`bench.parts.part`). Everything a method gets
comes through a :class:`TrainTask` or a :class:`Conditioning`; it never opens the subject folder itself, so that the harness knows
what was seen (design §3).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from bench.errors import MethodError
from bench.records import Backend
from bench.seeable import SEEABLE
from bench.subject import Camera, Frame, Subject
from bench.variants import Variant, check_keys

Preset = Literal["quick", "standard", "paper"]
PRESETS: tuple[Preset, ...] = ("quick", "standard", "paper")


@dataclass(frozen=True)
class MethodInfo:
    """A method's identity card, readable without importing torch."""

    name: str
    title: str
    summary: str
    kind: Literal["3DGS", "NeRF", "reference"]
    sees: frozenset[str]
    """Keys of :data:`bench.seeable.SEEABLE`; the harness hands over just these."""
    canvas: str = "own"
    """What the method draws over, in words, for the signature and the report."""
    paper: str = ""
    year: int | None = None
    licence: str = "Apache-2.0"
    original_licence: str = ""
    backend: Backend = "native"
    presets: tuple[Preset, ...] = PRESETS
    published: Mapping[str, float] = field(default_factory=dict)
    """Published head-reconstruction numbers: ``psnr``, ``lpips``, ``lmd``, ``ssim``, ``fps``, ``train_hours``."""
    shrinks: frozenset[Preset] = frozenset()
    """Presets that may be trained with a smaller batch where memory runs out (:attr:`TrainTask.halvings`); the record says so."""
    trains: bool = True
    """False for a method that has nothing to learn."""
    factors: Mapping[str, str] = field(default_factory=dict)
    """Parts that an ablation can leave out (``degstalk[-E]``), by key, each with what it is and what takes its place."""
    readings: Mapping[str, str] = field(default_factory=dict)
    """Other ways to read the method's paper (``degstalk[paper]``), by key, each with what it changes."""

    def __post_init__(self) -> None:
        extra = self.sees - SEEABLE.keys()
        if extra:
            raise MethodError(f"method {self.name!r} wants to see unknown things: {', '.join(sorted(extra))}")
        check_keys(f"factor of {self.name}", self.factors)
        check_keys(f"reading of {self.name}", self.readings)


class Conditioning:
    """What a method is given of one test frame: just what its ``sees`` names, the rest raises.

    Arrays are read-only views. Shapes: see :class:`bench.subject.Frame`.
    """

    def __init__(self, frame: Frame, subject: Subject, sees: frozenset[str]) -> None:
        self._frame, self._subject, self._sees = frame, subject, sees
        self.id = frame.id

    def _allow(self, key: str) -> None:
        if key not in self._sees:
            raise MethodError(
                f"the method asked for {key!r} of test frame {self.id}, which its MethodInfo.sees doesn't declare: add it there"
            )

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self._subject.size

    @property
    def camera(self) -> Camera:
        """The frame's camera (``pose``)."""
        self._allow("pose")
        return self._frame.camera

    @property
    def audio(self) -> NDArray[np.float32]:
        """[8, C, L] audio windows (``audio``)."""
        self._allow("audio")
        return self._frame.audio

    @property
    def expression(self) -> NDArray[np.float32]:
        """[E] expression coefficients (``expression``)."""
        self._allow("expression")
        return self._frame.expression

    @property
    def eyelid(self) -> NDArray[np.float32]:
        """[2] eyelid closure in [0, 1] (``expression``)."""
        self._allow("expression")
        return self._frame.eyelid

    @property
    def shape(self) -> NDArray[np.float32]:
        """[S] shape coefficients of the head, S = 0 where the subject has none (``expression``)."""
        self._allow("expression")
        return self._frame.shape

    @property
    def action_units(self) -> NDArray[np.float32]:
        """[6] AU01, 04, 05, 06, 07, 45 (``action_units``)."""
        self._allow("action_units")
        return self._frame.action_units

    @property
    def upper_face(self) -> NDArray[np.float32]:
        """[7] brow and blink blendshapes in [0, 1] (``upper_face``)."""
        self._allow("upper_face")
        return self._frame.upper_face

    @property
    def background(self) -> NDArray[np.uint8]:
        """[H,W,3] static plate of the subject; holds nothing of this frame, so every method may have it."""
        return self._subject.background

    @property
    def torso_canvas(self) -> NDArray[np.uint8]:
        """[H,W,3] torso over the static plate (``torso_canvas``; TalkingGaussian's B_t)."""
        self._allow("torso_canvas")
        return self._frame.torso_canvas

    @property
    def hair_canvas(self) -> NDArray[np.uint8]:
        """[H,W,3] the frame without face, mouth, neck and cloth, torso put back (``hair_canvas``; DEGSTalk's B_t)."""
        self._allow("hair_canvas")
        return self._frame.hair_canvas

    @property
    def bare_hair_canvas(self) -> NDArray[np.uint8]:
        """[H,W,3] ``hair_canvas`` without the rim inside the face's contour (``bare_hair_canvas``)."""
        self._allow("bare_hair_canvas")
        return self._frame.bare_hair_canvas

    @property
    def portrait_canvas(self) -> NDArray[np.uint8]:
        """[H,W,3] the frame, dimmed to black by ``portrait_weights`` (``portrait_canvas``)."""
        self._allow("portrait_canvas")
        return self._frame.portrait_canvas

    @property
    def portrait_weights(self) -> NDArray[np.uint8]:
        """[H,W] how much of a method's picture shows: 255 inside the face, 0 outside (``portrait_canvas``)."""
        self._allow("portrait_canvas")
        return self._frame.portrait_weights

    @property
    def ground_truth(self) -> NDArray[np.uint8]:
        """[H,W,3] the frame itself (``ground_truth``)."""
        self._allow("ground_truth")
        return self._frame.image

    @property
    def landmarks(self) -> NDArray[np.float32]:
        """[68,2] the frame's own landmarks in pixels (``ground_truth``)."""
        self._allow("ground_truth")
        return self._frame.landmarks

    @property
    def subject(self) -> Subject:
        """All of the frame's subject (``subject``)."""
        self._allow("subject")
        return self._subject


Picture = NDArray[np.uint8] | NDArray[np.float32]
"""RGB [H,W,3]: uint8, or float32 in 0…1."""


class Progress(Protocol):
    """Where a method reports how far it is; the harness turns this into bars, logs and an ETA."""

    def stage(self, name: str, total: int) -> None:
        """A new stage of ``total`` steps begins; the one before is over. Training time is kept per stage."""

    def step(self, done: int, scalars: Mapping[str, float] | None = None) -> None:
        """``done`` steps of the stage are finished; ``scalars`` (loss, number of Gaussians, …) are logged."""

    def image(self, name: str, picture: NDArray[np.uint8]) -> None:
        """Keep a training picture [H,W,3] for the report (small; a few a stage)."""


@dataclass(frozen=True)
class TrainTask:
    """One training job."""

    subject: Subject
    """Only its training frames can be read: ``subject.test_ids`` is empty here."""
    out: Path
    """Checkpoint folder. What an earlier, interrupted ``train`` left there is to be resumed from."""
    preset: Preset
    seed: int
    device: str
    progress: Progress
    halvings: int = 0
    """How often the batch is to be halved, because memory ran out; 0 unless ``MethodInfo.shrinks`` has the preset."""


@runtime_checkable
class Renderer(Protocol):
    """A trained method, ready to render."""

    def render(self, conditioning: Sequence[Conditioning]) -> Iterator[Picture]:
        """One RGB [H,W,3] frame per conditioning, in order, nothing missing.

        float32 in 0…1, which the harness makes 8 bits of as the protocol says, or uint8, rounded to the nearest.
        """


@runtime_checkable
class Adopts(Protocol):
    """What a method has that writes files of its own into a checkpoint that somebody else trained (``bench run --load``)."""

    def adopt(self, checkpoint: Path, preset: str, seed: int) -> None:
        """``checkpoint`` is a copy that won't be trained."""


@runtime_checkable
class NamesSource(Protocol):
    """What a renderer has whose frames may come from lossy files; a renderer needn't have it."""

    source: str
    """``lossless`` or the codec, for the signatures; right once the first frame is out."""


@runtime_checkable
class Method(Protocol):
    """A talking-face method (see the module's docstring)."""

    info: MethodInfo

    def train(self, task: TrainTask) -> None:
        """Write a checkpoint folder to ``task.out``; resumable; deterministic for a seed on the CPU."""

    def load(self, checkpoint: Path, device: str) -> Renderer:
        """Open a checkpoint folder for rendering."""


@runtime_checkable
class Varied(Protocol):
    """What a method has whose ``info`` declares factors or readings."""

    def variant(self, variant: Variant) -> Method:
        """The method so changed, with an ``info`` of its own: what it sees, its canvas and summary may be others; its name not.

        Raises:
            UsageError: these changes exclude each other.
        """


@runtime_checkable
class NamesLibraries(Protocol):
    """What a method has that says which libraries compute; a method needn't have it."""

    def libraries(self, device: str) -> Mapping[str, str]:
        """Which library computes what on ``device`` here, with its version: ``{"rasteriser": "gsplat 1.5.3"}``.

        For the record and the report; asked for before training, so it must not be slow. Packages whose version the
        record holds anyway (:func:`bench.system.versions`) matter here where there is a choice between several.
        """


def named_libraries(method: Method, device: str) -> dict[str, str]:
    """What ``method`` says of its libraries on ``device``, empty if it says nothing.

    Raises:
        MethodError: it says something else than text by text.
    """
    if not isinstance(method, NamesLibraries):
        return {}
    said: object = method.libraries(device)
    if not isinstance(said, Mapping) or not all(isinstance(text, str) for item in said.items() for text in item):
        raise MethodError(f"libraries() of {method.info.name} gave {said!r}, expected a mapping of text to text")
    return dict(said)


def checked_frames(
    info: MethodInfo, conditioning: Sequence[Conditioning], frames: Iterator[Picture]
) -> Iterator[Picture]:
    """Pass a renderer's frames on, making sure that there is one per conditioning and each has the right form.

    Raises:
        MethodError: a frame is missing, extra, not uint8 or float32 [H,W,3] of the subject's size, or not finite.
    """
    count = 0
    for count, frame in enumerate(frames, start=1):
        if count > len(conditioning):
            raise MethodError(f"{info.name} rendered more frames than the {len(conditioning)} asked for")
        width, height = conditioning[count - 1].size
        name = f"{info.name} rendered frame {conditioning[count - 1].id}"
        known = isinstance(frame, np.ndarray) and frame.dtype in (np.uint8, np.float32)
        if not known or frame.shape != (height, width, 3):
            form = f"{frame.dtype} {frame.shape}" if isinstance(frame, np.ndarray) else type(frame).__name__
            raise MethodError(f"{name} as {form}, expected uint8 or float32 {(height, width, 3)}")
        if not np.isfinite(frame).all():
            raise MethodError(f"{name} with values that aren't finite: the model has diverged")
        yield frame
    if count < len(conditioning):
        raise MethodError(
            f"{info.name} rendered {count} of {len(conditioning)} frames: frame {conditioning[count].id} is missing"
        )
