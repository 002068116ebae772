"""Step *units*: action units as ``au.csv``: OpenFace's where given, else measured on the mesh (coarse, and said so)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from bench.errors import DataError
from bench.paths import atomic_file
from bench.prepare import coefficients, mesh, shape
from bench.prepare.shape import Array
from bench.prepare.steps import Job, Made, Options, Step
from bench.tables import read_action_units

# Unit → (points above, points below, +1: grows with their distance, way in eye distances that is intensity 5).
_DISTANCES = {
    "AU01_r": ((107, 336), (133, 362), 1, 0.20),
    "AU04_r": ((107, 336), (133, 362), -1, 0.12),
    "AU06_r": ((145, 374), (50, 280), -1, 0.15),
    "AU07_r": ((133, 362), (145, 374), -1, 0.10),
}
_LIDS_FULL = 2.5
"""AU05 and AU45 at an eye opened or closed as far as it goes."""
_LIPS, _LIPS_FULL = (13, 14), 0.4


def measured(points: Array, train: int) -> pd.DataFrame:
    """Intensities 0–5 from the pose-free mesh [T,478,3]; rest is the training frames' median (lips: closed)."""
    table: dict[str, Array] = {}
    for unit, (above, below, sign, full) in _DISTANCES.items():
        way = (points[:, below, 1] - points[:, above, 1]).mean(1)
        table[unit] = sign * (way - np.median(way[:train])) / full * 5
    opening = shape.eye_opening(points).mean(1)
    rest = np.median(opening[:train])
    table["AU05_r"] = (opening / rest - 1) / 0.5 * _LIDS_FULL
    table["AU25_r"] = np.linalg.norm(points[:, _LIPS[0]] - points[:, _LIPS[1]], axis=-1) / _LIPS_FULL * 5
    table["AU45_r"] = coefficients.eyelids(shape.eye_opening(points), train).mean(1) * _LIDS_FULL
    return pd.DataFrame({name: values.clip(0, 5) for name, values in sorted(table.items())})


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
        text = "distances on FaceMesh, scaled to 0–5: coarse, not OpenFace (--au gives its csv)"
    with atomic_file(job.root / "au.csv") as temporary:
        table.to_csv(temporary, index=False, float_format="%.6g")
    return Made(text, {"au.csv": text})


def _inputs(options: Options) -> dict[str, object]:
    return {"au": options.au}


STEP = Step("units", run, ("au.csv",), needs=("mesh",), inputs=_inputs)
