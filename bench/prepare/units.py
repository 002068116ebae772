"""Step *units*: action units as ``au.csv``: OpenFace's where given, else measured (coarse, and said so).

Measured on the mesh, and on ARKit's blendshapes those units that follow OpenFace better there (docs/prepare.md).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.errors import DataError
from bench.paths import atomic_file
from bench.prepare import blendshapes, coefficients, mesh, shape
from bench.prepare.shape import Array, PoseFree
from bench.prepare.steps import Job, Made, Options, Step
from bench.tables import read_action_units, read_coefficients

# Unit → (points above, points below, +1: grows with their distance, way in eye distances that is intensity 5).
_DISTANCES = {
    "AU01_r": ((107, 336), (133, 362), 1, 0.20),
    "AU04_r": ((107, 336), (133, 362), -1, 0.12),
    "AU06_r": ((145, 374), (50, 280), -1, 0.15),
    "AU07_r": ((133, 362), (145, 374), -1, 0.10),
}
_LIDS_FULL = 2.5
"""AU05 and AU45 at an eye opened or closed as far as it goes."""
_LIPS, _LIPS_FULL, _JAW_FULL = (13, 14), 0.4, 0.5
_FROM_ARKIT = {"AU04_r": "browDown", "AU05_r": "eyeWide", "AU07_r": "eyeSquint"}
"""Units taken from blendshapes where there are any; rest is the training frames' median, 5 is a coefficient of 1."""


def measured(face: PoseFree, train: int) -> pd.DataFrame:
    """Intensities 0–5 from the pose-free mesh; rest is the training frames' median (lips: closed)."""
    table: dict[str, Array] = {}
    for unit, (above, below, sign, full) in _DISTANCES.items():
        way = (face.at(*below)[..., 1] - face.at(*above)[..., 1]).mean(1)
        table[unit] = sign * (way - np.median(way[:train])) / full * 5
    lids = shape.eye_opening(face)
    opening = lids.mean(1)
    rest = np.median(opening[:train])
    table["AU05_r"] = (opening / rest - 1) / 0.5 * _LIDS_FULL
    table["AU25_r"] = np.linalg.norm(np.diff(face.at(*_LIPS), axis=1)[:, 0], axis=-1) / _LIPS_FULL * 5
    table["AU26_r"] = coefficients.jaw(face, train)[:, 0] / _JAW_FULL * 5
    table["AU45_r"] = coefficients.eyelids(lids, train).mean(1) * _LIDS_FULL
    return pd.DataFrame({name: values.clip(0, 5) for name, values in sorted(table.items())})


def from_blendshapes(table: NDArray[np.float32], closure: NDArray[np.float32], train: int) -> pd.DataFrame:
    """Intensities 0–5 of AU04, 05, 07 and 45 from ARKit's coefficients but the blinks [T,50], and eyelids [T,2]."""
    names = [name for name in blendshapes.NAMES if not name.startswith("eyeBlink")]
    out = {"AU45_r": closure.mean(1) * _LIDS_FULL}
    for unit, name in _FROM_ARKIT.items():
        way = table[:, [names.index(name + side) for side in ("Left", "Right")]].mean(1)
        rest = np.median(way[:train])
        out[unit] = (way - rest) / max(1 - rest, 1e-3) * 5
    return pd.DataFrame({name: np.clip(values, 0, 5) for name, values in sorted(out.items())})


def copied(path: Path, frames: int) -> pd.DataFrame:
    """The first ``frames`` rows of an OpenFace csv, column names without blanks.

    Raises:
        DataError: missing, short, or without the columns that methods read.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such csv; give --au the file of OpenFace's FeatureExtraction, or leave it out")
    read_action_units(path, frames)
    return pd.read_csv(path, skipinitialspace=True).rename(columns=str.strip).iloc[:frames]


def run(job: Job) -> Made:
    """Copy or measure, then write."""
    given = job.options.au
    if given is not None:
        table, text = copied(given, job.frames), f"first {job.frames} rows of {given.name} (OpenFace)"
    else:
        table = measured(shape.pose_free(mesh.load(job), job.train), job.train)
        how, found = "distances on FaceMesh", read_coefficients(job.root, job.frames)
        if found.kind == "arkit":
            better = from_blendshapes(found.expression, found.eyelid, job.train)
            table = table.assign(**better)
            how = f"{', '.join(c.removesuffix('_r') for c in better)} from ARKit blendshapes, the others {how}"
        text = f"{how}, scaled to 0–5: coarse, not OpenFace (--au gives its csv)"
    with atomic_file(job.root / "au.csv") as temporary:
        table.to_csv(temporary, index=False, float_format="%.6g")
    return Made(text, {"au.csv": text})


def _inputs(options: Options) -> dict[str, object]:
    return {"au": options.au}


STEP = Step("units", run, ("au.csv",), needs=("mesh", "coefficients"), inputs=_inputs)
