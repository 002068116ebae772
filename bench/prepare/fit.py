"""Step *fit*: do the poses belong to this video? Measured, because a turned axis would ruin the training silently.

Points of the face that don't move with expression are triangulated from all frames with the given cameras, then
projected back. With the right poses they land within a pixel or two of where they were seen.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.errors import DataError
from bench.prepare import mesh
from bench.prepare.steps import Job, Made, Step
from bench.subject import Camera
from bench.tables import read_json

Array = NDArray[np.float64]
RIGID = (33, 133, 362, 263, 168, 6, 197, 195, 5, 4, 98, 327, 234, 454, 127, 356, 10, 151)
"""Mesh points at eye corners, nose, temples and forehead."""
_NOSE, _SIDES = 4, (234, 454)
_WORST = 0.025
"""Error of the worst twentieth, as a share of the frame's width, above which the poses are refused. On the Obama sample
the right poses give 0.006, wrong ones at least 0.027 (three frames late) and 0.04 to 0.11 (a turned axis)."""


def projections(job: Job) -> Array:
    """[T,3,4] world to pixels, from the transforms files."""
    matrices = []
    for name in ("transforms_train.json", "transforms_val.json"):
        data = read_json(job.root / name)
        for frame in data["frames"]:
            camera = Camera.from_transform(frame["transform_matrix"], data["focal_len"], job.size)
            matrices.append(camera.K.astype(np.float64) @ camera.viewmat[:3].astype(np.float64))
    return np.stack(matrices)


def triangulate(cameras: Array, seen: Array) -> Array:
    """[P,3] points nearest (linear least squares) to what the cameras [T,3,4] saw of them, [T,P,2] pixels."""
    found = []
    for pixels in seen.transpose(1, 0, 2):
        rows = pixels[..., None] * cameras[:, 2:3] - cameras[:, :2]
        system = (rows / np.linalg.norm(rows[..., :3], axis=-1, keepdims=True)).reshape(-1, 4)
        found.append(np.linalg.lstsq(system[:, :3], -system[:, 3], rcond=None)[0])
    return np.stack(found)


def project(cameras: Array, points: Array) -> tuple[Array, Array]:
    """([T,P,2] pixels, [T,P] depth) of points [P,3]."""
    homogeneous = np.concatenate([points, np.ones((len(points), 1))], 1)
    image = np.einsum("tij,pj->tpi", cameras, homogeneous)
    return image[..., :2] / image[..., 2:], image[..., 2]


def errors(cameras: Array, seen: Array) -> tuple[Array, Array]:
    """([T,P] distance in pixels of each rigid point from where it was seen, [T,P] its depth)."""
    pixels, depth = project(cameras, triangulate(cameras, seen))
    return np.linalg.norm(pixels - seen, axis=-1), depth


def run(job: Job) -> Made:
    """Measure; refuse poses that don't fit.

    Raises:
        DataError: the error is too large, or the face is seen from behind (an axis is flipped).
    """
    seen = mesh.load(job)[:, RIGID, :2].astype(np.float64)
    distance, depth = errors(projections(job), seen)
    nose, sides = RIGID.index(_NOSE), [RIGID.index(i) for i in _SIDES]
    behind = depth.min() <= 0 or np.median(depth[:, nose]) >= np.median(depth[:, sides])
    typical, worst = float(np.median(distance)), float(np.percentile(distance, 95))
    if behind or worst > _WORST * job.size[0]:
        what = "turn the face inside out (an axis is flipped)" if behind else f"miss the face by up to {worst:.1f} px"
        frame = int(np.median(distance, axis=1).argmax())
        if job.options.poses is None:
            raise DataError(
                f"{job.options.video}: the tracked poses {what}, most in frame {frame}; cut it there, or give --poses"
            )
        raise DataError(
            f"{job.options.poses}: these poses {what}, most in frame {frame}; is it the tracking of this very video at 25 fps?"
        )
    text = f"poses put rigid face points {typical:.2f} px (median; 95%: {worst:.2f} px) from where they are seen"
    return Made(text, {}, {"reprojection_px": {"median": typical, "p95": worst}})


STEP = Step("fit", run, (), needs=("poses", "mesh"))
