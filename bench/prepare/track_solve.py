"""Bundle adjustment of a rigid head, and how much the video says about the focal length.

Gauss-Newton with robust weights (Cauchy); each frame's pose is eliminated first (Schur complement), so a step costs one dense
system of 3·P unknowns.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import CubicSpline

from bench.prepare.shape import similarity
from bench.prepare.track_model import Array, Lens, Motion, derivatives, misses, predict, start

_TAIL = 3.0
"""Residuals above so many deviations count less and less."""
_SHAPE_SD = 0.002
"""How far a person's points may lie from the canonical face, in its units (≈ 2 mm)."""
_WITNESSES = 10
"""As many independent frames the shape is worth: FaceMesh's errors go with the pose, and more frames don't average them out."""
_ROUNDS, _WARM_ROUNDS = 12, 5

FOCAL_RANGE = (500 / 450, 1450 / 450)
"""Focal length over width: the range in which the field's trackers search."""
FOCAL_PRIOR = (1200 / 450, 0.2)
"""(centre, deviation of the logarithm). Published trackings: Obama 1200 at 450, May 1350 at 512."""
_EVIDENCE = 40.0
"""The residuals' weight about the focal length, as a number of independent ones. With exact focal lengths the fit is up to
5 % worse than with the best-fitting, too short ones (ada, ben): FaceMesh's error, which must not count as evidence."""
_GRID = 9


@dataclass(frozen=True)
class Head:
    """A tracked head."""

    motion: Motion
    shape: Array
    """[P,3]"""
    cost: float
    """Robust cost of what was seen, in squared deviations."""


@dataclass(frozen=True)
class Focal:
    """What is known about the focal length, in widths of the picture."""

    value: float
    deviation: float
    """Of the logarithm: 0.1 is about 10 %."""
    by_prior: bool
    """The video says less about it than the prior."""


def noise(distance: Array) -> float:
    """Typical deviation of one coordinate, from distances of points in the plane; robust."""
    return max(float(np.median(distance)) / 1.177, 1e-6)


def weights(distance: Array, sigma: float) -> Array:
    """Robust weight of each point."""
    return 1 / (sigma**2 * (1 + (distance / (_TAIL * sigma)) ** 2))


def robust_cost(distance: Array, sigma: float) -> float:
    """Sum of Cauchy's loss, in squared deviations."""
    return float(_TAIL**2 * np.log1p((distance / (_TAIL * sigma)) ** 2).sum())


def bundle(
    seen: Array, head: Head, prior: Array, lens: Lens, sigma: float | None = None, rounds: int = _ROUNDS
) -> Head:
    """Poses and points that explain observations [T,P,3] best; the points stay near ``prior`` [P,3].

    The gauge: the points are kept in the similarity that fits ``prior`` best. ``sigma``: noise in pixels, None estimates it.
    """
    motion, shape = head.motion, head.shape
    for _ in range(rounds):
        rest = seen - predict(motion, shape, lens)
        distance = np.linalg.norm(rest, axis=-1)
        weight = weights(distance, sigma or noise(distance))
        step, change = _step(rest, *derivatives(motion, shape, lens), weight, prior - shape)
        motion, shape = _gauge(motion.moved(step), shape + change, prior)
        if np.abs(step).max() < 1e-6:
            break
    distance = misses(seen, motion, shape, lens)
    return Head(motion, shape, robust_cost(distance, sigma or noise(distance)))


def _step(rest: Array, by_pose: Array, by_point: Array, weight: Array, pull: Array) -> tuple[Array, Array]:
    """([T,6] steps of the poses, [P,3] of the points)."""
    frames, points = weight.shape
    scaled = by_pose * weight[..., None, None]
    poses = by_pose.reshape(frames, -1, 6)
    own = scaled.reshape(frames, -1, 6).transpose(0, 2, 1) @ poses + 1e-9 * np.eye(6)
    slope = (scaled * rest[..., None]).sum((1, 2))
    mixed = (scaled.transpose(0, 1, 3, 2) @ by_point).transpose(0, 2, 1, 3).reshape(frames, 6, 3 * points)
    share = min(1.0, _WITNESSES / frames)
    heavy = by_point * weight[..., None, None]
    system = np.eye(3 * points) * (1 / _SHAPE_SD**2 / share)
    for p in range(points):
        block = slice(3 * p, 3 * p + 3)
        system[block, block] += heavy[:, p].reshape(-1, 3).T @ by_point[:, p].reshape(-1, 3)
    side = (heavy * rest[..., None]).sum((0, 2)).ravel() + pull.ravel() / _SHAPE_SD**2 / share
    solved = np.linalg.solve(own, np.concatenate([mixed, slope[..., None]], 2))
    reduced = mixed.reshape(-1, 3 * points).T @ solved.reshape(-1, 3 * points + 1)
    change = np.linalg.solve(system - reduced[:, :-1], side - reduced[:, -1])
    return solved[..., -1] - solved[..., :-1] @ change, change.reshape(points, 3)


def _gauge(motion: Motion, shape: Array, prior: Array) -> tuple[Motion, Array]:
    """The same view with the points moved onto the prior."""
    scale, turn, shift = (part[0] for part in similarity(shape[None], prior))
    rotation = motion.rotation @ turn.T
    return Motion(rotation, scale * motion.shift - rotation @ shift), scale * shape @ turn.T + shift


def solve(
    seen: Array, prior: Array, width: int, centre: tuple[float, float], focal: float | None
) -> tuple[Head, Focal]:
    """The head in key frames [T,P,3] and the focal length; ``focal`` (in widths) fixes it."""
    first = Lens(width * (focal or FOCAL_PRIOR[0]), centre)
    head = bundle(seen, Head(start(seen, prior, first), prior, 0.0), prior, first)
    if focal is not None:
        return head, Focal(focal, 0.0, by_prior=False)
    sigma = noise(misses(seen, head.motion, head.shape, first))
    ratios = np.geomspace(*FOCAL_RANGE, _GRID)
    costs = []
    for ratio in ratios:
        guess = Head(start(seen, prior, Lens(width * ratio, centre)), head.shape, 0.0)
        costs.append(bundle(seen, guess, prior, Lens(width * ratio, centre), sigma, _WARM_ROUNDS).cost)
    known = decide(ratios, np.array(costs))
    lens = Lens(width * known.value, centre)
    return bundle(seen, Head(start(seen, prior, lens), head.shape, 0.0), prior, lens), known


def decide(ratios: Array, costs: Array) -> Focal:
    """The focal length (in widths) from the costs at ``ratios``, and the prior."""
    logs = np.log(ratios)
    fine = np.linspace(logs[0], logs[-1], 400)
    score = _EVIDENCE / 2 * CubicSpline(logs, np.log(np.maximum(costs, 1e-12)))(fine)
    centre, spread = FOCAL_PRIOR
    belief = np.exp(-(score - score.min()) - ((fine - np.log(centre)) / spread) ** 2 / 2)
    belief /= belief.sum()
    value = float((belief * fine).sum())
    deviation = float(np.sqrt((belief * (fine - value) ** 2).sum()))
    return Focal(float(np.exp(value)), deviation, by_prior=deviation > spread / np.sqrt(2))
