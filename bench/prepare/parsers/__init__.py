"""Face parsers behind one interface, and which of them is used: the best that is here, always named.

In order: BiSeNet with ResNet-18 (``79999_iter.pth``, what the field's scripts use), a ``.tflite`` parser, and the offline
one, which needs nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bench import weights
from bench.errors import AbsentError, DataError
from bench.prepare.contours import Points

Labels = NDArray[np.uint8]
Sample = tuple[Image.Image, Points]
"""A frame and its mesh."""
AUTO, MESH = "auto", "mesh"
_KINDS: dict[str, Literal["bisenet", "tflite"]] = {".pth": "bisenet", ".pt": "bisenet", ".tflite": "tflite"}
_PREFERRED = ("bisenet-celebamask", "face-parser")
_HAIR = ("selfie-multiclass", "hair-segmenter")


@dataclass(frozen=True)
class Choice:
    """Which parser, and the model files it needs."""

    kind: Literal["bisenet", "tflite", "mesh"]
    licence: str
    model: Path | None = None
    """None for the offline parser."""
    hair: Path | None = None
    """The offline parser's segmentation model, if there is one."""

    @property
    def file(self) -> Path:
        """The model of a parser that has one."""
        if self.model is None:
            raise ValueError("the offline parser has no file")
        return self.model

    @property
    def name(self) -> str:
        """For the provenance: what it is, and its file where there is one."""
        if self.model is not None:
            return f"BiSeNet (ResNet-18) {self.model.name}" if self.kind == "bisenet" else self.model.name
        helped = f"with {self.hair.name}" if self.hair else "by place and colour"
        return f"offline parser (face mesh, MediaPipe selfie segmentation; hair, neck and cloth {helped})"

    @property
    def code(self) -> tuple[Path, ...]:
        """The files of code that decide what this parser says."""
        here = Path(__file__)
        names = {"mesh": ("offline", "geometry", "evidence"), "tflite": ("tflite", "tail"), "bisenet": ("bisenet",)}[
            self.kind
        ]
        return (here, *(here.with_name(f"{name}.py") for name in names))


class FaceParser(Protocol):
    """Says of each pixel of a face picture what it shows."""

    choice: Choice
    """Names it, with the licence of its weights."""

    def __call__(self, picture: Image.Image, points: Points) -> Labels:
        """[H,W] CelebAMask-HQ classes of an RGB picture of any size; ``points``: its mesh [478,2+] in pixels."""


def choose(wanted: Path | None) -> Choice:
    """``auto`` (or None), ``mesh``, or a model file.

    Raises:
        DataError: the file is not there, or of no known kind.
        AbsentError: a model file in the cache is broken.
    """
    if wanted is None or str(wanted) == AUTO:
        for name in _PREFERRED:
            if (model := _here(name)) is not None:
                return Choice(_KINDS[model.suffix], weights.get(name).licence, model)
        wanted = Path(MESH)
    if str(wanted) == MESH:
        hair = next((found for name in _HAIR if (found := _here(name)) is not None), None)
        return Choice("mesh", "Apache-2.0", hair=hair)
    if not wanted.is_file():
        raise DataError(f"{wanted}: no such parser; --parser takes auto, mesh, or a .pth or .tflite file")
    if wanted.suffix not in _KINDS:
        raise DataError(f"{wanted}: a parser is BiSeNet's .pth or a .tflite; --parser mesh needs no file")
    return Choice(_KINDS[wanted.suffix], _licence(wanted), wanted)


def _here(name: str) -> Path | None:
    entry = weights.get(name)
    if entry.state() == "broken":
        raise AbsentError(f"{entry.path} is not {name} (wrong hash): delete it, then {entry.remedy()}")
    return None if entry.state() == "absent" else entry.path


def _licence(model: Path) -> str:
    digest = weights.sha256_of(model)
    return next((w.licence for w in weights.REGISTRY.values() if w.sha256 == digest), "not known")


def load(choice: Choice, samples: Iterable[Sample], device: str = "cpu") -> FaceParser:
    """The parser. ``samples``: frames spread over the clip, from which the offline one learns the colours.

    Raises:
        AbsentError: its runtime is not installed.
        DataError: the file is no such model.
    """
    if choice.kind == "bisenet":
        from bench.prepare.parsers.bisenet import BiSeNetParser

        return BiSeNetParser(choice, device)
    if choice.kind == "tflite":
        from bench.prepare.parsers.tflite import TfliteParser

        return TfliteParser(choice)
    from bench.prepare.parsers.offline import OfflineParser

    return OfflineParser(choice, samples)


def check(wanted: Path | None) -> Choice:
    """What will be used, its model file opened: said before any work is done. Raises as :func:`choose` and :func:`load`."""
    choice = choose(wanted)
    if choice.model is not None:
        load(choice, [])
    elif choice.hair is not None:
        from bench.prepare.parsers import evidence

        evidence.load(choice.hair)
    return choice


def resized(labels: Labels, size: tuple[int, int]) -> Labels:
    """Class map at (width, height): per pixel the class with the largest share, so that thin parts keep their form."""
    if labels.shape == size[::-1]:
        return labels
    enlarged = size[0] >= labels.shape[1] and size[1] >= labels.shape[0]
    how = cv2.INTER_LINEAR if enlarged else cv2.INTER_AREA
    largest, out = np.zeros(size[::-1], np.float32), np.zeros(size[::-1], np.uint8)
    for k in np.flatnonzero(np.bincount(labels.ravel())).tolist():
        share = cv2.resize((labels == k).astype(np.float32), size, interpolation=how)
        out[share > largest] = k
        np.maximum(largest, share, out=largest)
    return out
