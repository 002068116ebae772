"""The per-frame tables of a subject folder: metadata, action units, face coefficients."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench import arrays
from bench.errors import DataError

_UPPER = ("AU01_r", "AU04_r", "AU05_r", "AU06_r", "AU07_r", "AU45_r")
_LIPS_PART = "AU25_r"


@dataclass(frozen=True)
class ActionUnits:
    """OpenFace intensities."""

    upper: NDArray[np.float32]
    """[T,6] AU01, 04, 05, 06, 07, 45; the last clipped to [0, 2]."""
    lips_part: NDArray[np.float32]
    """[T] AU25, 0–5."""


@dataclass(frozen=True)
class Coefficients:
    """Expression coefficients; their number depends on what made them."""

    expression: NDArray[np.float32]
    """[T,E]"""
    eyelid: NDArray[np.float32]
    """[T,2] in [0, 1]"""
    jaw: NDArray[np.float32]
    """[T,3]"""
    kind: str
    """``arkit``, ``smirk`` or ``mesh-pca``."""
    shape: NDArray[np.float32]
    """[T,S] of the head; S is 0 where there are none (SMIRK gives 300 a frame)"""


def read_json(path: Path) -> Any:
    """Parse a JSON file, naming it in the error."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing; make it with `bench data prepare`") from error
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is not valid JSON ({error})") from error


def read_meta(path: Path) -> dict[str, Any]:
    """``subject.json``."""
    meta = read_json(path)
    if not isinstance(meta, dict) or meta.get("schema") != 1:
        raise DataError(f'{path}: expected an object with "schema": 1')
    return meta


def read_action_units(path: Path, rows: int) -> ActionUnits:
    """``au.csv``; blanks before column names (OpenFace 2.2) don't matter.

    Raises:
        DataError: a column is missing, the table is shorter than ``rows``, or a value is not a number.
    """
    try:
        table = pd.read_csv(path, skipinitialspace=True)
    except FileNotFoundError as error:
        raise DataError(
            f"{path} is missing; make it with `bench data prepare` or OpenFace FeatureExtraction"
        ) from error
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is not a readable csv ({error})") from error
    table.columns = [str(c).strip() for c in table.columns]
    missing = [c for c in (*_UPPER, _LIPS_PART) if c not in table]
    if missing:
        raise DataError(f"{path} lacks column {missing[0]}; OpenFace FeatureExtraction writes it with -aus")
    if len(table) < rows:
        raise DataError(f"{path} has {len(table)} rows, the transforms need {rows}; make it again from the same video")
    try:
        upper = table[list(_UPPER)].to_numpy(np.float32)
        lips = table[_LIPS_PART].to_numpy(np.float32)
    except ValueError as error:
        raise DataError(f"{path} holds something that is not a number ({error})") from error
    if not (np.isfinite(upper).all() and np.isfinite(lips).all()):
        raise DataError(f"{path} holds empty or infinite values")
    upper[:, 5] = upper[:, 5].clip(0, 2)
    return ActionUnits(upper, lips)


def read_smirk(path: Path) -> Coefficients:
    """SMIRK's ``3dmm.pt`` (spec_degstalk §2.7), shapes unchecked.

    Raises:
        DataError: not readable as plain tensors.
        KeyError: a part is missing.
    """
    import torch

    try:
        data = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a bad or unsafe file
        raise DataError(
            f"{path} can't be read safely ({str(error).splitlines()[0]}); save plain tensors in it"
        ) from error
    expression, eyelid, jaw = (data[f"{name}_params"].numpy() for name in ("expression", "eyelid", "jaw"))
    shape = data["shape_params"].numpy() if "shape_params" in data else np.zeros((len(jaw), 0), np.float32)
    return Coefficients(expression, eyelid, jaw, "smirk", shape)


def read_upper_face(root: Path, rows: int) -> NDArray[np.float32]:
    """[T,7] brow and blink blendshapes in [0, 1], as SyncTalk is driven by (spec_synctalk §2.7).

    From ``bs.npy`` (52 columns as SyncTalk's script writes them), else from ARKit coefficients, else from action units: 4 for
    browDown, 1 for browInnerUp, 45 for the blinks, and 0 for browOuterUp, which they don't tell.

    Raises:
        DataError: a file is broken or too short.
    """
    path = root / "bs.npy"
    if path.exists():
        try:
            found = arrays.array(path)
        except (OSError, ValueError) as error:
            raise DataError(f"{path} can't be read ({error})") from error
        if found.ndim != 2 or len(found) < rows or found.shape[1] < 10 or not np.isfinite(found).all():
            raise DataError(f"{path} has shape {found.shape}, expected finite [{rows}, 52]")
        return found[:, [0, 1, 2, 3, 4, 8, 9]].astype(np.float32)
    if any((root / name).exists() for name in ("coefficients.npz", "3dmm.pt")):
        coefficients = read_coefficients(root, rows)
        if coefficients.kind == "arkit" and coefficients.expression.shape[1] == 50:
            return np.concatenate([coefficients.expression[:, :5], coefficients.eyelid], 1)
    units = read_action_units(root / "au.csv", rows).upper
    brow, down, blink = units[:, 0] / 5, units[:, 1] / 5, units[:, 5] / 2
    nothing = np.zeros_like(brow)
    return np.stack([down, down, brow, nothing, nothing, blink, blink], 1).clip(0, 1)


def read_coefficients(root: Path, rows: int) -> Coefficients:
    """``coefficients.npz``, else SMIRK's ``3dmm.pt``.

    Raises:
        DataError: neither is there, or one has the wrong shape.
    """
    path = root / "coefficients.npz"
    try:
        if path.exists():
            data = arrays.arrays(path)
            expression, eyelid, jaw = (data[k].astype(np.float32) for k in ("expression", "eyelid", "jaw"))
            shape = data["shape"].astype(np.float32) if "shape" in data else np.zeros((len(jaw), 0), np.float32)
            found = Coefficients(expression, eyelid, jaw, str(data["kind"]), shape)
        elif (root / "3dmm.pt").exists():
            path = root / "3dmm.pt"
            found = read_smirk(path)
        else:
            raise DataError(f"{path} is missing (nor is 3dmm.pt there); make it with `bench data prepare`")
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{path} can't be read ({error!r})") from error
    for name, array, width in (
        ("expression", found.expression, None),
        ("eyelid", found.eyelid, 2),
        ("jaw", found.jaw, 3),
        ("shape", found.shape, None),
    ):
        if array.ndim != 2 or len(array) < rows or (width and array.shape[1] != width) or not np.isfinite(array).all():
            raise DataError(f"{path}: {name} has shape {array.shape}, expected finite [{rows}, {width or 'E'}]")
    return found
