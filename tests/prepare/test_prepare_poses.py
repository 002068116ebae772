"""Poses: the tracker's convention, scaling, and what is refused."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from bench.errors import DataError
from bench.prepare import fit, poses
from bench.prepare.steps import Options
from bench.subject import Camera


def options(**more) -> Options:
    return Options(Path("v.mp4"), "x", Path("out"), **more)


def tracked(path: Path, frames: int = 5, **change) -> Path:
    data = {
        "euler": torch.rand(frames, 3) * 0.1 + torch.pi,
        "trans": torch.rand(frames, 3),
        "focal": torch.tensor([1200.0]),
    }
    torch.save(data | change, path)
    return path


@pytest.mark.parametrize(("name", "tolerance"), [("transforms_val", 1.3e-7), ("derived_transforms_0_499_at256", 1e-12)])
def test_real_track_params_give_the_published_matrices(obama, name, tolerance):
    found = poses.read(obama / "track_params.pt", options(), 8000)
    published = json.loads((obama / f"{name}.json").read_text())
    ids = [f["img_id"] for f in published["frames"]]
    matrices = np.array([f["transform_matrix"] for f in published["frames"]])
    assert np.abs(found.matrices[ids] - matrices).max() < tolerance
    assert found.focal / found.at == pytest.approx(published["focal_len"] / (2 * published["cx"]))


def test_rz_turns_against_rx_and_ry():
    x, y, z = poses.rotations(np.eye(3) * np.pi / 2).round(12)
    assert (x @ [0, 1, 0]).tolist() == [0, 0, 1]
    assert (y @ [0, 0, 1]).tolist() == [1, 0, 0]
    assert (z @ [0, 1, 0]).tolist() == [1, 0, 0]


def test_json_round_trip_scales_the_focal_length(tmp_path):
    found = poses.read(tracked(tmp_path / "t.pt"), options(), 4)
    path = tmp_path / "transforms.json"
    path.write_text(poses.as_json(found, range(4), (256, 320)))
    again = poses.read(path, options(), 4)
    assert again.focal == pytest.approx(1200 * 256 / 450)
    assert again.at == 256
    assert np.array_equal(again.matrices, found.matrices)
    assert poses.read(path, options(focal=700.0, focal_at=512.0), 4).focal == 700


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"euler": torch.zeros(3, 3), "trans": torch.zeros(3, 3)}, "poses of 3 frames, the video has 5"),
        ({"euler": torch.full((5, 3), torch.nan)}, "pose of frame 0 is not finite"),
        ({"focal": torch.tensor([0.0])}, "focal length 0.0"),
        ({"trans": torch.zeros(5, 2)}, "must both be"),
        ({"euler": "words"}, "not a track_params.pt"),
    ],
)
def test_bad_tracking_is_refused_in_one_line(tmp_path, change, message):
    with pytest.raises(DataError, match=message) as caught:
        poses.read(tracked(tmp_path / "t.pt", **change), options(), 5)
    assert "\n" not in str(caught.value)


def test_files_that_are_no_poses(tmp_path):
    (tmp_path / "t.pt").write_bytes(b"not a pickle")
    (tmp_path / "t.json").write_text('{"focal_len": 1, "cx": 1, "frames": [{"img_id": 1, "transform_matrix": []}]}')
    (tmp_path / "scaled.json").write_text(
        json.dumps({"focal_len": 9, "cx": 4, "frames": [{"img_id": 0, "transform_matrix": (2 * np.eye(4)).tolist()}]})
    )
    for name, message in (("t.pt", "not a track_params"), ("t.json", "no frame 0"), ("scaled.json", "no rotation")):
        with pytest.raises(DataError, match=message):
            poses.read(tmp_path / name, options(), 1)


def test_fit_tells_right_poses_from_turned_ones():
    """A random rigid cloud seen through known cameras: exact with them, far off with mirrored rotations."""
    rng = np.random.default_rng(0)
    points = rng.normal(0, 0.07, (12, 3))
    matrices = poses.camera_to_world(np.pi + rng.normal(0, 0.1, (40, 3)), np.tile([0.0, 0, -8], (40, 1)))

    def cameras(c2w):
        views = [Camera.from_transform(m, 680, (256, 256)) for m in c2w]
        return np.stack([c.K.astype(float) @ c.viewmat[:3] for c in views])

    seen, depth = fit.project(cameras(matrices), points)
    assert depth.min() > 0
    assert fit.errors(cameras(matrices), seen)[0].max() < 1e-3
    turned = matrices.copy()
    turned[:, :3, :3] = turned[:, :3, :3].transpose(0, 2, 1)
    assert np.percentile(fit.errors(cameras(turned), seen)[0], 95) > 0.025 * 256
