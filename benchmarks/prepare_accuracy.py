"""How exact the head tracking of ``bench data prepare`` is: against the truth of *ada* and *ben*, and against AD-NeRF's tracking.

``python benchmarks/prepare_accuracy.py [--subjects ada,ben] [--obama ../shared/data/obama_sample] [--clips a.mp4 b.mp4] [--json]``

Before two trackings are compared, what is only a convention is taken away: a constant turn, shift and scale of the head's frame.
FaceMesh sees JPEG frames as in the preparation. *jitter*: rms second difference of the rotation's error per frame², of the
rotation itself where there is no truth.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from PIL import Image
from scipy.spatial.transform import Rotation

from bench import catalogue
from bench.landmarks import MEDIAPIPE_TO_IBUG
from bench.prepare import fit, mesh, poses, track
from bench.prepare.steps import Options
from bench.prepare.track_model import Motion
from bench.subject import Camera, Subject
from bench.tables import read_json
from bench.video import read_video

Row = dict[str, Any]
COLUMNS = {
    "rotation_deg": "rotation °", "rotation_p95_deg": "95 %", "aside_mm": "aside mm", "depth_mm": "depth mm",
    "jitter_deg": "jitter °", "focal_percent": "focal %", "focal_given_percent": "± (own)", "focal_from": "focal from",
    "landmarks_px": "landmarks px", "tracking_px": "rigid px", "triangulated_px": "fit px", "triangulated_p95_px": "95 %",
    "theirs_px": "theirs, fit px", "correlation": "r of pitch, yaw, roll",
}  # fmt: skip


def seen(image: Callable[[int], Path], frames: int, size: tuple[int, int]) -> mesh.Mesh:
    """[T,478,3] FaceMesh of every frame."""
    job = SimpleNamespace(size=size, frames=frames, image=image, track=lambda items, *_: items)
    points = np.empty((frames, mesh.POINTS, 3), np.float32)
    found = mesh.detect(job, points)
    if not found.all():
        print(f"no face in {int((~found).sum())} frames", file=sys.stderr)
    mesh.bridge(points, found)
    return points


def inverse(camera_to_world: np.ndarray) -> Motion:
    """Head to camera, OpenCV axes."""
    flipped = camera_to_world.copy()
    flipped[:, :3, 1:3] *= -1
    view = np.linalg.inv(flipped)
    return Motion(view[:, :3, :3], view[:, :3, 3])


def aligned(found: Motion, true: Motion) -> np.ndarray:
    """[T,3,3] rotations of ``found`` with the constant turn between the two head frames removed."""
    turn = Rotation.from_matrix(true.rotation.transpose(0, 2, 1) @ found.rotation).mean().as_matrix()
    return found.rotation @ turn.T


def against(found: Motion, true: Motion) -> tuple[np.ndarray, np.ndarray]:
    """([T,3] rotation vectors of the error in degrees, [T,3] error of the shift in the truth's unit), conventions removed."""
    error = Rotation.from_matrix(aligned(found, true) @ true.rotation.transpose(0, 2, 1)).as_rotvec(degrees=True)
    # found.shift = scale · true.shift − found.rotation · origin
    columns = np.concatenate([true.shift[..., None], -found.rotation], 2).reshape(-1, 4)
    scale, *origin = np.linalg.lstsq(columns, found.shift.ravel(), rcond=None)[0]
    return error, (found.shift + found.rotation @ origin) / scale - true.shift


def jitter(rotation_vectors: np.ndarray) -> float:
    """Rms second difference, degrees per frame²."""
    return float(np.sqrt((np.diff(rotation_vectors, n=2, axis=0) ** 2).sum(1).mean()))


def own(points: mesh.Mesh, size: tuple[int, int]) -> tuple[track.Tracked, Row]:
    """The tracking and what it says about itself."""
    found = track.track(points, size)
    track.check(found, Path("clip"))
    distance = reprojected(found.motion.camera_to_world(), found.lens.focal, size, points)
    steps = found.motion.rotation[1:] @ found.motion.rotation[:-1].transpose(0, 2, 1)
    turning = np.diff(Rotation.from_matrix(steps).as_rotvec(degrees=True), axis=0)
    return found, {
        "frames": len(points),
        "width": size[0],
        "jitter_deg": float(np.sqrt((turning**2).sum(1).mean())),
        "focal_px": found.lens.focal,
        "focal_given_percent": 100 * found.focal.deviation,
        "focal_from": "prior" if found.focal.by_prior else "video",
        "tracking_px": found.reprojection["median"],
        "triangulated_px": float(np.median(distance)),
        "triangulated_p95_px": float(np.percentile(distance, 95)),
        "left_out": np.flatnonzero(found.left_out).tolist(),
    }


def reprojected(camera_to_world: np.ndarray, focal: float, size: tuple[int, int], points: mesh.Mesh) -> np.ndarray:
    """[T,P] the measure of the step *fit*."""
    views = [Camera.from_transform(matrix, focal, size) for matrix in camera_to_world]
    cameras = np.stack([view.K.astype(float) @ view.viewmat[:3] for view in views])
    return fit.errors(cameras, points[:, fit.RIGID, :2].astype(float))[0]


def compared(row: Row, found: Motion, true: Motion) -> Row:
    """The row with its distances from the truth."""
    error, shift = against(found, true)
    degrees = np.linalg.norm(error, axis=1)
    return row | {
        "rotation_deg": float(np.median(degrees)),
        "rotation_p95_deg": float(np.percentile(degrees, 95)),
        "aside_mm": 1000 * float(np.median(np.linalg.norm(shift[:, :2], axis=1))),
        "depth_mm": 1000 * float(np.median(np.abs(shift[:, 2]))),
        "jitter_deg": jitter(error),
        "correlation": [round(float(r), 3) for r in correlation(found, true)],
    }


def correlation(found: Motion, true: Motion) -> list[float]:
    """Of the Euler angles about x, y, z, in the tracker's order and axes."""
    from_opencv = np.diag([1.0, -1.0, -1.0])
    angles = [Rotation.from_matrix(from_opencv @ r).as_euler("XYZ") for r in (aligned(found, true), true.rotation)]
    return [np.corrcoef(angles[0][:, k], angles[1][:, k])[0, 1] for k in range(3)]


def embedded(name: str) -> Row:
    """Against the exact truth."""
    subject: Subject = catalogue.resolve(name)
    points = seen(lambda k: subject.root / f"ori_imgs/{k}.jpg", len(subject.ids), subject.size)
    found, row = own(points, subject.size)
    files = [read_json(subject.root / f"transforms_{part}.json") for part in ("train", "val")]
    rows = sorted((frame for file in files for frame in file["frames"]), key=lambda frame: frame["img_id"])
    true = np.array([frame["transform_matrix"] for frame in rows])
    focal = files[0]["focal_len"]
    exact = np.stack([subject.frame(k).landmarks for k in range(len(subject.ids))])
    row |= {
        "focal_percent": 100 * (found.lens.focal / focal - 1),
        "landmarks_px": float(np.median(np.linalg.norm(points[:, MEDIAPIPE_TO_IBUG, :2] - exact, axis=-1))),
        "theirs_px": float(np.median(reprojected(true, focal, subject.size, points))),
    }
    return compared(row, found.motion, inverse(true)) | {"clip": name}


def clip(path: Path, folder: Path) -> tuple[mesh.Mesh, tuple[int, int]]:
    """The mesh of a video, frame by frame as it is."""
    frames = 0
    for frames, picture in enumerate(read_video(path), 1):
        Image.fromarray(picture).save(folder / f"{frames - 1}.jpg", quality=95, subsampling=0)
    size = (picture.shape[1], picture.shape[0])
    return seen(lambda k: folder / f"{k}.jpg", frames, size), size


def obama(folder: Path) -> Row:
    """Against AD-NeRF's tracking, which is no truth."""
    with tempfile.TemporaryDirectory() as temporary:
        points, size = clip(folder / "obama_256.mp4", Path(temporary))
    found, row = own(points, size)
    theirs = poses.read(folder / "track_params.pt", Options(Path(), "obama", Path()), len(points))
    focal = theirs.focal * size[0] / theirs.at
    row |= {
        "focal_percent": 100 * (found.lens.focal / focal - 1),
        "theirs_px": float(np.median(reprojected(theirs.matrices, focal, size, points))),
    }
    return compared(row, found.motion, inverse(theirs.matrices)) | {"clip": "obama (AD-NeRF)"}


def measure(names: Iterable[str], sample: Path, clips: Iterable[Path]) -> list[Row]:
    """All rows."""
    rows = [embedded(name) for name in names]
    if (sample / "obama_256.mp4").exists():
        rows.append(obama(sample))
    else:
        print(f"no Obama sample: {sample} is absent", file=sys.stderr)
    for path in clips:
        with tempfile.TemporaryDirectory() as temporary:
            rows.append(own(*clip(path, Path(temporary)))[1] | {"clip": path.stem})
    return rows


def table(rows: list[Row]) -> str:
    """Markdown."""
    lines = ["| clip | frames | width | " + " | ".join(COLUMNS.values()) + " |", "|---" * (3 + len(COLUMNS)) + "|"]
    for row in rows:
        cells = [show(row.get(key)) for key in COLUMNS]
        lines.append(f"| {row['clip']} | {row['frames']} | {row['width']} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def show(value: Any) -> str:
    """A cell."""
    if isinstance(value, list):
        return ", ".join(map(show, value))
    return "–" if value is None else value if isinstance(value, str) else f"{value:.2f}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--subjects", default="ada,ben")
    parser.add_argument("--obama", type=Path, default=Path("../shared/data/obama_sample"))
    parser.add_argument("--clips", type=Path, nargs="*", default=[])
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    rows = measure([name for name in asked.subjects.split(",") if name], asked.obama, asked.clips)
    print(json.dumps(rows, indent=1) if asked.json else table(rows))


if __name__ == "__main__":
    main()
