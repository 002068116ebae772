"""Step *coefficients*: expression, eyelids and jaw of every frame, as ``coefficients.npz``.

From the best source that is here: SMIRK's file (``--coefficients 3dmm.pt``), ARKit blendshapes by MediaPipe's face landmarker
(``face_landmarker.task`` in the cache), the pose-free mesh. ``kind`` in the file says which.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.sparse.linalg import eigsh

from bench import weights
from bench.errors import AbsentError, DataError
from bench.paths import atomic_file
from bench.prepare import blendshapes, mesh, shape
from bench.prepare.shape import Array, PoseFree
from bench.prepare.steps import Job, Made, Options, Step
from bench.tables import Coefficients, read_smirk

COMPONENTS = 32
LANDMARKER = "face-landmarker"
_CHIN = 152
_NOSE_BASE, _BELOW_LIP = 2, 17
_OPEN, _CLOSED = 75, 0.5
"""Percentiles of the training frames' eye openings that count as open and closed."""
_BLINKED = 0.5
"""An eye that never narrowed to this share of its open height has not blinked in the clip: this is closed then."""
_SPARE_ROWS = 2
"""Rows that SMIRK's file may have beyond the frames: decoders differ at a video's end."""
_EYES = ("eyeBlinkLeft", "eyeBlinkRight")


@dataclass(frozen=True)
class Source:
    """Where coefficients come from."""

    kind: Literal["smirk", "arkit", "mesh-pca"]
    file: Path | None = None


def choose(options: Options) -> Source:
    """The best source that is here.

    Raises:
        DataError: the given file is not there.
        AbsentError: the landmarker in the cache is broken.
    """
    given = options.coefficients
    if given is not None:
        if not given.is_file():
            raise DataError(f"{given}: no such file; --coefficients takes SMIRK's 3dmm.pt, or leave it out")
        return Source("smirk", given)
    entry = weights.get(LANDMARKER)
    if entry.state() == "broken":
        raise AbsentError(f"{entry.path} is not {LANDMARKER} (wrong hash): delete it, then {entry.remedy()}")
    return Source("mesh-pca") if entry.state() == "absent" else Source("arkit", entry.path)


def eyelids(opening: Array, train: int) -> NDArray[np.float32]:
    """[T,2] closure, 0 open … 1 closed, of eye openings [T,2] (any measure that grows with the opening)."""
    opened = np.percentile(opening[:train], _OPEN, axis=0)
    closed = np.minimum(np.percentile(opening[:train], _CLOSED, axis=0), _BLINKED * opened)
    return ((opened - opening) / (opened - closed)).clip(0, 1).astype(np.float32)


def jaw(face: PoseFree, train: int) -> NDArray[np.float32]:
    """[T,3] opening, sideways (to the picture's right) and forward, in eye distances.

    Opening: how far the skin below the lower lip is from the nose, less a closed mouth's (2nd percentile): it follows
    ARKit's jawOpen better than the chin does (docs/prepare.md). The others: the chin's way from its median. Bounds as
    SMIRK's: opening ≥ 0, the others within ±0.2 (spec_degstalk §2.7).
    """
    nose, lip, chin = np.moveaxis(face.at(_NOSE_BASE, _BELOW_LIP, _CHIN), 1, 0)
    gap = np.linalg.norm(lip - nose, axis=-1)
    aside, forward = (chin[:, (0, 2)] - np.median(chin[:train, (0, 2)], axis=0)).T
    drop = (gap - np.percentile(gap[:train], 2)).clip(0)
    return np.stack([drop, aside.clip(-0.2, 0.2), (-forward).clip(-0.2, 0.2)], 1).astype(np.float32)


def _skin(face: PoseFree, frames: int) -> Iterator[tuple[slice, Array]]:
    """(which frames, skin points as rows [≤500,D]) of the first ``frames`` frames."""
    for part, points in face.chunks(frames):
        yield part, points[:, : mesh.SKIN_POINTS].reshape(len(points), -1)


def expression(face: PoseFree, train: int) -> tuple[NDArray[np.float32], float]:
    """([T,E] scores on the principal components of the training frames' skin points, share of variance they carry).

    Divided by the first component's deviation, so that it has deviation 1 and the rest keep their relative size. Rows are
    summed to their D×D products, so that memory doesn't grow with the clip.
    """
    mean = sum(rows.sum(0) for _, rows in _skin(face, train)) / train
    products = sum((rows - mean).T @ (rows - mean) for _, rows in _skin(face, train))
    kept = min(COMPONENTS, train - 1)
    rising, vectors = eigsh(products, kept, v0=np.ones(len(mean)))  # a start of its own would be random
    squares, basis = rising[::-1].clip(0), vectors[:, ::-1]
    first = max(np.sqrt(squares[0] / train), 1e-9)
    scores = np.empty((len(face), kept), np.float32)
    for part, rows in _skin(face, len(face)):
        scores[part] = (rows - mean) @ basis / first
    return scores, float(squares.sum() / max(np.trace(products), 1e-12))


def from_mesh(face: PoseFree, train: int) -> tuple[Coefficients, str]:
    """(coefficients, what made them) of the pose-free mesh."""
    scores, carried = expression(face, train)
    closure = eyelids(shape.eye_opening(face), train)
    found = Coefficients(scores, closure, jaw(face, train), "mesh-pca", _no_shape(len(scores)))
    return found, f"{scores.shape[1]} components of the pose-free FaceMesh ({carried:.1%} of the variance)"


def from_blendshapes(table: NDArray[np.float32], train: int) -> tuple[Coefficients, str]:
    """(coefficients, what made them) of ARKit's coefficients [T,52] (:data:`bench.prepare.blendshapes.NAMES`).

    ``expression`` is all but the blinks, as in the embedded subjects; eyelids are the blinks, scaled by the clip.
    """
    one = blendshapes.column
    others = [k for k, name in enumerate(blendshapes.NAMES) if name not in _EYES]
    blinks = np.stack([one(table, name) for name in _EYES], 1).astype(np.float64)
    aside = one(table, "jawLeft") - one(table, "jawRight")
    chin = np.stack([one(table, "jawOpen"), aside, one(table, "jawForward")], 1)
    found = Coefficients(table[:, others], eyelids(1 - blinks, train), chin, "arkit", _no_shape(len(table)))
    return found, "ARKit blendshapes by MediaPipe's face landmarker, eyelids scaled by the clip"


def from_smirk(path: Path, frames: int) -> tuple[Coefficients, str]:
    """(coefficients, what made them) of SMIRK's ``3dmm.pt``.

    Raises:
        DataError: unsafe, incomplete, ill-shaped, or of another number of frames.
    """
    try:
        found = read_smirk(path)
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: not SMIRK's 3dmm.pt (lacks {error}); see docs/subject-folder.md") from error
    rows = len(found.expression)
    if not frames <= rows <= frames + _SPARE_ROWS:
        raise DataError(
            f"{path}: {rows} rows, the video has {frames} frames at 25 fps; run SMIRK on a 25-fps copy of this very video"
        )
    parts = {"expression": 50, "eyelid": 2, "jaw": 3, "shape": None}
    for name, width in parts.items():
        array = getattr(found, name)
        if array.ndim != 2 or len(array) != rows or (width or array.shape[1]) != array.shape[1]:
            raise DataError(f"{path}: {name}_params has shape {array.shape}, expected [{rows}, {width or 'S'}]")
        if not np.isfinite(array).all():
            raise DataError(f"{path}: {name}_params holds infinite or missing values; run SMIRK again")
    scores, lids, chin, head = (getattr(found, name)[:frames].astype(np.float32) for name in parts)
    return Coefficients(scores, lids, chin, "smirk", head), f"{path.name} (SMIRK)"


def _no_shape(rows: int) -> NDArray[np.float32]:
    return np.zeros((rows, 0), np.float32)


def _pictures(job: Job) -> Iterator[NDArray[np.uint8]]:
    for i in job.track(range(job.frames), "coefficients", job.frames):
        with Image.open(job.image(i)) as picture:
            yield np.asarray(picture.convert("RGB"))


def _measured(job: Job, source: Source) -> tuple[Coefficients, str]:
    if source.kind == "smirk" and source.file:
        return from_smirk(source.file, job.frames)
    if source.kind == "arkit" and source.file:
        table, found = blendshapes.detect(source.file, _pictures(job))
        missed = np.flatnonzero(~found)
        if len(missed) > mesh.MOST_MISSED * len(table):
            raise DataError(
                f"{job.options.video}: the face landmarker finds no face in {len(missed)} of {len(table)} frames; "
                f"cut them out, or move {source.file} away to use the mesh"
            )
        mesh.bridge(table, found)
        coefficients, text = from_blendshapes(table, job.train)
        return coefficients, f"{text}{f', {len(missed)} frames bridged' if len(missed) else ''}"
    return from_mesh(shape.pose_free(mesh.load(job), job.train), job.train)


def run(job: Job) -> Made:
    """Measure and write."""
    found, text = _measured(job, choose(job.options))
    extra = {"shape": found.shape} if found.shape.shape[1] else {}
    with atomic_file(job.root / "coefficients.npz") as temporary:
        np.savez(
            temporary,
            expression=found.expression,
            eyelid=found.eyelid,
            jaw=found.jaw,
            kind=np.array(found.kind),
            **extra,
        )
    blinks = int((np.diff((found.eyelid.mean(1) > 0.6).astype(int)) == 1).sum())
    text = f"{text}, {blinks} blinks"
    return Made(text, {"coefficients.npz": f"{found.kind}: {text}"}, {"coefficients": found.kind, "blinks": blinks})


def _inputs(options: Options) -> dict[str, object]:
    source = choose(options)
    return {"kind": source.kind, "file": source.file}


STEP = Step("coefficients", run, ("coefficients.npz",), needs=("frames", "mesh"), inputs=_inputs)
