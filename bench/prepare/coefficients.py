"""Step *coefficients*: expression, eyelids and jaw from the pose-free mesh, as ``coefficients.npz``."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.paths import atomic_file
from bench.prepare import mesh, shape
from bench.prepare.shape import Array
from bench.prepare.steps import Job, Made, Step

COMPONENTS = 32
_CHIN = 152
_OPEN, _CLOSED = 75, 0.5
"""Percentiles of the training frames' eye openings that count as open and closed."""
_BLINKED = 0.5
"""An eye that never narrowed to this share of its open height has not blinked in the clip: this is closed then."""


def eyelids(opening: Array, train: int) -> NDArray[np.float32]:
    """[T,2] closure, 0 open … 1 closed, of eye openings [T,2] (height over width)."""
    opened = np.percentile(opening[:train], _OPEN, axis=0)
    closed = np.minimum(np.percentile(opening[:train], _CLOSED, axis=0), _BLINKED * opened)
    return ((opened - opening) / (opened - closed)).clip(0, 1).astype(np.float32)


def jaw(points: Array, train: int) -> NDArray[np.float32]:
    """[T,3] opening, sideways (to the picture's right) and forward: the chin's way from rest, in eye distances.

    Rest is a closed mouth (2nd percentile) for the opening, the median for the others; bounds as SMIRK's: opening ≥ 0,
    the others within ±0.2 (spec_degstalk §2.7).
    """
    chin = points[:, _CHIN]
    drop = chin[:, 1] - np.percentile(chin[:train, 1], 2)
    aside, forward = (chin[:, (0, 2)] - np.median(chin[:train, (0, 2)], axis=0)).T
    return np.stack([drop.clip(0), aside.clip(-0.2, 0.2), (-forward).clip(-0.2, 0.2)], 1).astype(np.float32)


def expression(points: Array, train: int) -> tuple[NDArray[np.float32], float]:
    """([T,E] scores on the principal components of the training frames' skin points, share of variance they carry).

    Divided by the first component's deviation, so that it has deviation 1 and the rest keep their relative size.
    """
    flat = points[:, : mesh.SKIN_POINTS].reshape(len(points), -1)
    centred = flat - flat[:train].mean(0)
    _, deviations, basis = np.linalg.svd(centred[:train], full_matrices=False)
    kept = min(COMPONENTS, train - 1)
    carried = float((deviations[:kept] ** 2).sum() / max((deviations**2).sum(), 1e-12))
    first = max(deviations[0] / np.sqrt(train), 1e-9)
    return (centred @ basis[:kept].T / first).astype(np.float32), carried


def run(job: Job) -> Made:
    """Measure and write."""
    points = shape.pose_free(mesh.load(job), job.train)
    scores, carried = expression(points, job.train)
    closure = eyelids(shape.eye_opening(points), job.train)
    with atomic_file(job.root / "coefficients.npz") as temporary:
        np.savez(temporary, expression=scores, eyelid=closure, jaw=jaw(points, job.train), kind=np.array("mesh-pca"))
    blinks = int((np.diff((closure.mean(1) > 0.6).astype(int)) == 1).sum())
    text = f"{scores.shape[1]} mesh components ({carried:.1%} of the variance), {blinks} blinks"
    return Made(
        text,
        {
            "coefficients.npz": f"mesh-pca: FaceMesh without pose, PCA of the training frames; {text}; eyelids, chin geometric"
        },
    )


STEP = Step("coefficients", run, ("coefficients.npz",), needs=("mesh",))
