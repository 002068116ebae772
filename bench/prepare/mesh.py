"""Step *mesh*: MediaPipe's dense face mesh of every frame, and the 68 landmarks taken from it.

FaceMesh with iris refinement, as the ``mediapipe`` 0.10.21 wheel carries it (Apache-2.0): 478 points.
"""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bench.errors import DataError
from bench.landmarks import MEDIAPIPE_TO_IBUG, silent_stderr
from bench.paths import atomic_file
from bench.prepare.steps import Job, Made, Step
from bench.prepare.workers import each

Mesh = NDArray[np.float32]
POINTS = 478
SKIN_POINTS = 468
"""The rest are the irises: gaze, not expression."""
FILE = "mesh.npy"
MOST_MISSED = 0.02
"""Share of frames without a face that is bridged from their neighbours; above it the video is refused."""

_OPENINGS = ((13, 14), (159, 145), (386, 374))
"""Points above and below: mouth, right eye, left eye."""
_EYES = (33, 263)
_STIRS = 0.02
"""Way of an opening (5th to 95th percentile) over the eyes' distance, below which it doesn't move. Two photos, zoomed and
shifted: at most 0.013; a real clip: mouth 0.17, and in no 1.2 s of it less than 0.042 for mouth and eyes together."""


def detect(job: Job, into: Mesh) -> NDArray[np.bool_]:
    """[T] whether a face was found; ``into`` [T,478,3] is filled with pixels: x right, y down, z away from the camera."""
    from mediapipe.python.solutions.face_mesh import FaceMesh

    side, seen = max(job.size), np.zeros(job.frames, bool)
    with silent_stderr():
        model = FaceMesh(static_image_mode=False, max_num_faces=1, refine_landmarks=True)
        model.process(np.zeros((side, side, 3), np.uint8))  # its threads chatter while they start
    with model:
        quiet = True  # it chatters until it has seen a face
        pictures = each(lambda i: _square(job.image(i), side), range(job.frames))
        for i, picture in enumerate(job.track(pictures, "mesh", job.frames)):
            with silent_stderr() if quiet else nullcontext():
                found = model.process(picture).multi_face_landmarks
            quiet = quiet and not found
            if found:
                into[i] = [(p.x, p.y, p.z) for p in found[0].landmark]
                into[i] *= side
                seen[i] = np.isfinite(into[i]).all()
    return seen


def _square(path: Path, side: int) -> NDArray[np.uint8]:
    """Padded on the right and below: FaceMesh's projection of a tilted face is exact for square pictures only."""
    canvas = Image.new("RGB", (side, side))
    with Image.open(path) as picture:
        canvas.paste(picture)
    return np.asarray(canvas)


def bridge(rows: NDArray[np.float32], found: NDArray[np.bool_]) -> None:
    """Rows [T, …] of frames without a face become the line between their neighbours (at the ends: the nearest)."""
    known = np.flatnonzero(found)
    for i in np.flatnonzero(~found):
        after = int(np.searchsorted(known, i))
        a, b = known[max(after - 1, 0)], known[min(after, len(known) - 1)]
        share = 0.0 if a == b else min(max((i - a) / (b - a), 0.0), 1.0)
        rows[i] = (1 - share) * rows[a] + share * rows[b]


def stir(mesh: Mesh) -> NDArray[np.float64]:
    """[3] how far mouth and eyes open and close over time, in eye distances."""
    apart = np.linalg.norm(mesh[:, _EYES[0]] - mesh[:, _EYES[1]], axis=-1)
    ways = [np.linalg.norm(mesh[:, above] - mesh[:, below], axis=-1) / apart for above, below in _OPENINGS]
    return np.array([np.ptp(np.percentile(way, (5, 95))) for way in ways])


def load(job: Job) -> Mesh:
    """[T,478,3] mesh of every frame, pixels. It stays on disk: a row or a few columns are read when they are asked for."""
    return np.load(job.work / FILE, mmap_mode="r", allow_pickle=False)


def write_points(path: Path, points: NDArray[np.float32]) -> None:
    """68 lines ``x y``."""
    with atomic_file(path, flush=False) as temporary:
        np.savetxt(temporary, points, fmt="%.4f")


def _blank(path: Path, frames: int) -> Mesh:
    """[T,478,3] zeros in a .npy file, to be filled there."""
    create: Any = np.lib.format.open_memmap  # numpy has no types for it
    rows: Mesh = create(path, mode="w+", dtype=np.float32, shape=(frames, POINTS, 3))
    return rows


def _check(job: Job, rows: Mesh, found: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Frames without a face, few enough to be bridged; bridges them in ``rows``. Raises as :func:`run`."""
    missed = np.flatnonzero(~found)
    if len(missed) > MOST_MISSED * len(rows):
        some = ", ".join(map(str, missed[:5])) + (" …" if len(missed) > 5 else "")
        raise DataError(
            f"{job.options.video}: no face in {len(missed)} of {len(rows)} frames ({some}); cut them out of the video"
        )
    bridge(rows, found)
    if (stir(rows) < _STIRS).all():
        raise DataError(
            f"{job.options.video}: a picture that is only moved: neither mouth nor eyes open or close in {len(rows)} frames"
        )
    return missed


def run(job: Job) -> Made:
    """Detect, bridge a few gaps, write the mesh and the landmarks.

    Raises:
        DataError: no face in too many frames, or one that doesn't move by itself.
    """
    with atomic_file(job.work / FILE) as temporary:
        rows = _blank(temporary, job.frames)
        missed = _check(job, rows, detect(job, rows))
    for i, points in enumerate(rows):
        write_points(job.root / f"ori_imgs/{i}.lms", points[MEDIAPIPE_TO_IBUG, :2])
    gaps = f", {len(missed)} frames bridged ({', '.join(map(str, missed))})" if len(missed) else ""
    text = f"face in {len(rows) - len(missed)} of {len(rows)} frames{gaps}"
    return Made(text, {"ori_imgs/*.lms": f"MediaPipe FaceMesh 0.10.21, 68 of its 478 points; {text}"})


STEP = Step("mesh", run, (f".prepare/{FILE}", "ori_imgs/*.lms"), needs=("frames",))
