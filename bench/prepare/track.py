"""Step *track*: the head's pose in every frame, and the focal length, from the dense mesh; skipped where ``--poses`` gives them.

A rigid set of points, near the canonical face (:mod:`bench.prepare.canonical`), is fitted to 200 frames together with their
poses and the focal length (:mod:`bench.prepare.track_solve`), then every frame's pose is found (:mod:`bench.prepare.track_time`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import DataError
from bench.paths import write_text
from bench.prepare import canonical, mesh, poses, track_model, track_solve, track_time
from bench.prepare.steps import Job, Made, Options, Step
from bench.prepare.track_model import Array, Lens, Motion
from bench.prepare.track_solve import Focal

KEY_FRAMES = 200
_MOST_LEFT_OUT = 0.02


@dataclass(frozen=True)
class Tracked:
    """A clip's head."""

    motion: Motion
    shape: Array
    """[P,3] the points :data:`bench.prepare.canonical.TRACKED` of this person, in the head's frame."""
    lens: Lens
    focal: Focal
    distance: Array
    """[T,P] pixels between where the points are seen and where the poses put them."""
    left_out: NDArray[np.bool_]
    """[T] frames whose mesh jumped away; their poses come from their neighbours."""

    @property
    def reprojection(self) -> dict[str, float]:
        """Median and 95th percentile of the distance, pixels."""
        return {"median": float(np.median(self.distance)), "p95": float(np.percentile(self.distance, 95))}


def track(points: NDArray[np.floating[Any]], size: tuple[int, int], focal: float | None = None) -> Tracked:
    """Track a mesh [T,478,3] (pixels: x right, y down, z away) in frames of ``size`` (width, height).

    :param focal: pixels; None finds it
    """
    width, height = size
    seen = track_model.observe(points, canonical.TRACKED)
    prior = canonical.face()[list(canonical.TRACKED)]
    keys = np.unique(np.linspace(0, len(seen) - 1, KEY_FRAMES).round().astype(np.intp))
    centre = (width / 2, height / 2)
    head, known = track_solve.solve(seen[keys], prior, width, centre, focal and focal / width)
    lens = Lens(known.value * width, centre)
    motion, left_out = track_time.smooth(seen, track_model.start(seen, head.shape, lens), head.shape, lens)
    distance = track_model.misses(seen, motion, head.shape, lens, axes=2)
    return Tracked(motion, head.shape, lens, known, distance, left_out)


def check(found: Tracked, video: Path) -> None:
    """Whether to go on.

    Raises:
        DataError: the mesh jumps in too many frames, or no pose explains it.
    """
    broken = ~np.isfinite(found.motion.rotation).all((1, 2)) | ~(found.motion.shift[:, 2] > 0)
    jumped = np.flatnonzero(found.left_out)
    if broken.any():
        raise DataError(
            f"{video}: no head pose explains the face in frame {broken.argmax()}; cut it out, or give --poses"
        )
    if len(jumped) > _MOST_LEFT_OUT * len(found.left_out):
        some = ", ".join(map(str, jumped[:5])) + (" …" if len(jumped) > 5 else "")
        raise DataError(
            f"{video}: the face jumps in {len(jumped)} of {len(broken)} frames ({some}): a cut, or another face; cut them out"
        )


def wanted(options: Options, video_width: int, kept_width: int, width: int) -> float | None:
    """``--focal`` in pixels of the frames, of which ``width`` show what ``kept_width`` pixels of the video do.

    Raises:
        DataError: not positive.
    """
    if options.focal is None:
        return None
    at = options.focal_at or video_width
    focal = options.focal * video_width / at * width / kept_width
    if not np.isfinite(focal) or focal <= 0:
        raise DataError(f"--focal {options.focal:g} at {at:g} px: must be positive")
    return focal


def _given(job: Job) -> float | None:
    seen = job.facts("follow")
    left, _, right, _ = seen["crop"]
    return wanted(job.options, int(seen["video_size"][0]), int(right - left), job.size[0])


def run(job: Job) -> Made:
    """Track, write a transforms file of all frames for the step *poses*.

    Raises:
        DataError: see :func:`check`.
    """
    if job.options.poses is not None:
        return Made("not needed: --poses gives the head's poses")
    given = _given(job)
    found = track(mesh.load(job), job.size, given)
    check(found, job.options.video)
    tracked = poses.Poses(found.motion.camera_to_world(), found.lens.focal, job.size[0])
    write_text(job.work / poses.OWN, poses.as_json(tracked, range(job.frames), job.size))
    source = "given" if given is not None else "prior" if found.focal.by_prior else "video"
    jumped = np.flatnonzero(found.left_out).tolist()
    text = _summary(found, source)
    facts = {
        "focal_px": found.lens.focal,
        "focal_deviation": found.focal.deviation,
        "focal_from": source,
        "tracking_px": found.reprojection,
        "left_out": jumped,
    }
    return Made(
        text, {"transforms_*.json (tracking)": f"talkbench's own: FaceMesh, rigid bundle adjustment; {text}"}, facts
    )


def _summary(found: Tracked, source: str) -> str:
    spread = f" ± {found.focal.deviation:.0%}"
    focal = (
        f"focal {found.lens.focal:.0f} px"
        + {
            "given": " (--focal)",
            "prior": f"{spread}, mostly what is usual: the video hardly says; --focal is better if you know it",
            "video": f"{spread}",
        }[source]
    )
    jumped = np.flatnonzero(found.left_out)
    gaps = f"; {len(jumped)} frames bridged ({', '.join(map(str, jumped))})" if len(jumped) else ""
    pixels = found.reprojection
    return f"rigid points {pixels['median']:.2f} px (95%: {pixels['p95']:.2f}) from where they are seen; {focal}{gaps}"


def _inputs(options: Options) -> dict[str, object]:
    modules = (canonical, poses, track_model, track_solve, track_time)
    sources = {module.__name__: Path(str(module.__file__)) for module in modules}
    return {"given": options.poses is not None, "focal": options.focal, "focal_at": options.focal_at, **sources}


STEP = Step("track", run, (f".prepare/{poses.OWN}",), needs=("mesh",), inputs=_inputs)
