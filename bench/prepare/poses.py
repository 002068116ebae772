"""Step *poses*: camera-to-world matrices from a tracker's file, and the split, as ``transforms_{train,val}.json``.

Reads AD-NeRF's ``track_params.pt``, a ``transforms*.json``, or what the step *track* found. Convention: spec_talkinggaussian §2.4.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.errors import DataError
from bench.paths import write_text
from bench.prepare.steps import Job, Made, Options, Step
from bench.tables import read_json

Array = NDArray[np.float64]
TRACKED_AT = 450
"""Width in pixels at which AD-NeRF's tracker states its focal length."""
OWN = "tracked.json"
"""What the step *track* leaves in the work folder: a transforms file of all frames."""
_UNITS = 10
"""AD-NeRF's translations are this many times the unit of the transforms files."""


@dataclass(frozen=True)
class Poses:
    """Camera poses of frames 0 … T-1."""

    matrices: Array
    """[T,4,4] camera-to-world, OpenGL axes."""
    focal: float
    """Pixels, at a picture ``at`` pixels wide."""
    at: float


def rotations(euler: Array) -> Array:
    """[T,3,3] Rx·Ry·Rz of Euler angles [T,3] in radians (spec_talkinggaussian §2.4); the tracker's Rz turns the other way.

    >>> rotations(np.zeros((1, 3)))[0].tolist()
    [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """
    cos, sin = np.cos(euler), np.sin(euler * (1, 1, -1))
    axes = []
    for axis, (row, column) in enumerate(((1, 2), (2, 0), (0, 1))):
        matrix = np.tile(np.eye(3), (len(euler), 1, 1))
        matrix[:, row, row] = matrix[:, column, column] = cos[:, axis]
        matrix[:, row, column], matrix[:, column, row] = -sin[:, axis], sin[:, axis]
        axes.append(matrix)
    return axes[0] @ axes[1] @ axes[2]


def camera_to_world(euler: Array, trans: Array) -> Array:
    """[T,4,4] = [Rᵀ | −Rᵀ·trans/10] from the tracker's Euler angles and translations, [T,3] each."""
    turned = rotations(euler).transpose(0, 2, 1)
    matrices = np.tile(np.eye(4), (len(euler), 1, 1))
    matrices[:, :3, :3] = turned
    matrices[:, :3, 3] = -(turned @ trans[..., None])[..., 0] / _UNITS
    return matrices


def _read_tracked(path: Path) -> Poses:
    import torch

    try:
        data = torch.load(path, map_location="cpu", weights_only=True)
        euler, trans = (data[key].double().numpy() for key in ("euler", "trans"))
        focal = float(data["focal"].flatten()[0])
    except Exception as error:  # torch raises many kinds for a bad or unsafe file
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{path}: not a track_params.pt with euler, trans, focal ({reason}); give AD-NeRF's") from error
    if euler.ndim != 2 or euler.shape[1] != 3 or euler.shape != trans.shape:
        raise DataError(f"{path}: euler {euler.shape} and trans {trans.shape} must both be [T, 3]; give AD-NeRF's")
    return Poses(camera_to_world(euler, trans), focal, TRACKED_AT)


def _read_transforms(path: Path) -> Poses:
    data = read_json(path)
    try:
        focal, at = float(data["focal_len"]), 2 * float(data["cx"])
        frames = {int(f["img_id"]): np.array(f["transform_matrix"], np.float64) for f in data["frames"]}
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise DataError(f"{path}: lacks focal_len, cx or frames[].img_id/transform_matrix ({error!r})") from error
    ids = range(len(frames))
    lacking = [i for i in ids if i not in frames]
    if lacking or not frames:
        raise DataError(f"{path}: no frame {lacking[0] if lacking else 0}; it must hold frames 0, 1, 2 … of the video")
    if any(matrix.shape != (4, 4) for matrix in frames.values()):
        raise DataError(f"{path}: a transform_matrix is not 4×4")
    return Poses(np.stack([frames[i] for i in ids]), focal, at)


def read(path: Path, options: Options, frames: int) -> Poses:
    """Poses of the first ``frames`` frames; ``--focal`` and ``--focal-at`` win over the file.

    Raises:
        DataError: missing, broken, too few, not finite, not rotations.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such poses file; give --poses track_params.pt or transforms.json")
    found = _read_transforms(path) if path.suffix == ".json" else _read_tracked(path)
    focal, at = options.focal or found.focal, options.focal_at or found.at
    if len(found.matrices) < frames:
        raise DataError(f"{path}: poses of {len(found.matrices)} frames, the video has {frames}; track this very video")
    matrices = found.matrices[:frames]
    bad = np.flatnonzero(~np.isfinite(matrices).all((1, 2)))
    if len(bad) or not np.isfinite([focal, at]).all() or min(focal, at) <= 0:
        what = f"pose of frame {bad[0]}" if len(bad) else f"focal length {focal} at {at} px"
        raise DataError(f"{path}: {what} is not finite and positive; track the video again")
    turned = matrices[:, :3, :3]
    skew = np.abs(turned @ turned.transpose(0, 2, 1) - np.eye(3)).max((1, 2)) + np.abs(np.linalg.det(turned) - 1)
    if skew.max() > 1e-3:
        raise DataError(f"{path}: the pose of frame {skew.argmax()} is no rotation; track the video again")
    return Poses(matrices, focal, at)


def as_json(poses: Poses, ids: Sequence[int], size: tuple[int, int]) -> str:
    """A transforms file of the field for frames of ``size`` (width, height)."""
    frames = [{"img_id": i, "aud_id": i, "transform_matrix": poses.matrices[i].tolist()} for i in ids]
    width, height = size
    return json.dumps(
        {"focal_len": poses.focal * width / poses.at, "cx": width / 2, "cy": height / 2, "frames": frames}
    )


def run(job: Job) -> Made:
    """Read, scale the focal length to the frames, split."""
    options = job.options
    if options.poses:
        path, poses = options.poses, read(options.poses, options, job.frames)
    else:  # the step track has taken in --focal
        path = job.work / OWN
        poses = read(path, replace(options, focal=None, focal_at=None), job.frames)
    write_text(job.root / "transforms_train.json", as_json(poses, range(job.train), job.size))
    write_text(job.root / "transforms_val.json", as_json(poses, range(job.train, job.frames), job.size))
    focal = poses.focal * job.size[0] / poses.at
    source = path.name if options.poses else "own tracking"
    text = f"{source}, focal {focal:.1f} px, first {job.train} frames train, {job.frames - job.train} test"
    return Made(text, {"transforms_*.json": f"{text} ({poses.focal:g} px at {poses.at:g} px width)"})


def _inputs(options: Options) -> dict[str, object]:
    return {"poses": options.poses, "focal": options.focal, "focal_at": options.focal_at}


STEP = Step("poses", run, ("transforms_train.json", "transforms_val.json"), needs=("frames", "track"), inputs=_inputs)
