"""Tracking: a head whose pose, shape and lens are known is found again; real motion stays, jumps go."""

import json
from dataclasses import replace
from itertools import islice
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from scipy.spatial.transform import Rotation

from bench.errors import DataError
from bench.prepare import canonical, fit, mesh, poses, track, track_model, track_solve, track_time
from bench.prepare.steps import Job, Options
from bench.prepare.track_model import Lens, Motion
from bench.subject import Camera
from bench.video import read_video

SIZE = (256, 256)
LOOKS = np.diag([1.0, -1.0, -1.0])
"""A head that looks straight into the camera."""


def head(rng, spread=0.0015):
    """[468,3] a person: the canonical face with points moved by ``spread``."""
    return canonical.face() + rng.normal(0, spread, (468, 3))


def motion(turns, depth=0.85):
    """Poses of Euler angles [T,3] (pitch, yaw, roll in degrees), with a little sway."""
    time = np.arange(len(turns))[:, None]
    sway = np.sin(time / (17.0, 23.0, 31.0)) * (0.01, 0.006, 0.01) + (0, 0, depth)
    return Motion(Rotation.from_euler("XYZ", turns, degrees=True).as_matrix() @ LOOKS, sway)


def lively(frames):
    """[T,3] turning to all sides."""
    time = np.arange(frames)[:, None]
    return np.sin(time / (9.0, 13.0, 21.0) + (0, 1, 2)) * (9, 16, 6)


def film(points, poses_, lens, rng, noise=0.2):
    """[T,478,3] the mesh as FaceMesh would give it."""
    seen = track_model.predict(poses_, points, lens) / (1, 1, track_model.DEPTH_WEIGHT)
    seen = seen + rng.normal(0, noise, seen.shape)
    return np.concatenate([seen, np.zeros((len(seen), 10, 3))], 1)


def lens(ratio):
    return Lens(ratio * SIZE[0], (SIZE[0] / 2, SIZE[1] / 2))


def turned_away(found, true):
    """[T] degrees between two motions, after the constant turn between their head frames."""
    gauge = Rotation.from_matrix(true.rotation.transpose(0, 2, 1) @ found.rotation).mean().as_matrix()
    return np.degrees(Rotation.from_matrix(found.rotation @ gauge.T @ true.rotation.transpose(0, 2, 1)).magnitude())


def test_derivatives_are_those_of_the_projection():
    rng = np.random.default_rng(0)
    points, at, view = head(rng)[:20], motion(lively(4)), lens(2.5)
    by_pose, by_point = track_model.derivatives(at, points, view)
    tiny = 1e-6
    for k in range(6):
        step = np.zeros((4, 6))
        step[:, k] = tiny
        change = track_model.predict(at.moved(step), points, view) - track_model.predict(at.moved(-step), points, view)
        assert np.allclose(by_pose[..., k], change / (2 * tiny), atol=1e-3)
    for k in range(3):
        step = np.zeros_like(points)
        step[7, k] = tiny
        change = track_model.predict(at, points + step, view) - track_model.predict(at, points - step, view)
        assert np.allclose(by_point[:, 7, :2, k], change[:, 7, :2] / (2 * tiny), atol=1e-3)


def test_poses_and_shape_of_a_known_head_come_back():
    rng = np.random.default_rng(1)
    points, true = head(rng), motion(lively(150))
    found = track.track(film(points, true, lens(2.4), rng), SIZE, focal=2.4 * SIZE[0])
    away = turned_away(found.motion, true)
    assert np.median(away) < 0.25
    assert away.max() < 0.8
    assert found.reprojection["median"] < 0.3
    assert not found.left_out.any()
    scale, turn, shift = (part[0] for part in track_solve.similarity(points[None, canonical.TRACKED], found.shape))
    person = scale * points[list(canonical.TRACKED)] @ turn.T + shift
    mine = np.linalg.norm(found.shape - person, axis=1).mean()
    average = np.linalg.norm(canonical.face()[list(canonical.TRACKED)] - person, axis=1).mean()
    assert mine < 0.6 * average


@pytest.mark.parametrize("ratio", [1.5, 3.0])
def test_a_lively_clear_video_overrules_the_prior_about_the_focal_length(ratio):
    rng = np.random.default_rng(2)
    true = motion(lively(120) * 1.5, depth=0.85 * ratio / 2.5)
    found = track.track(film(head(rng, 0.0005), true, lens(ratio), rng, noise=0.03), SIZE)
    assert found.focal.value == pytest.approx(ratio, rel=0.05)
    assert not found.focal.by_prior
    assert found.focal.deviation < 0.1


def test_a_still_head_stays_still_and_leaves_the_focal_length_to_the_prior():
    rng = np.random.default_rng(3)
    true = motion(np.zeros((100, 3)))
    true = Motion(true.rotation, np.tile(true.shift[:1], (100, 1)))
    found = track.track(film(head(rng), true, lens(1.5), rng, noise=0.4), SIZE)
    assert turned_away(found.motion, true).max() < 0.6
    assert found.focal.by_prior
    assert found.focal.value == pytest.approx(track_solve.FOCAL_PRIOR[0], rel=0.1)
    assert found.focal.deviation == pytest.approx(track_solve.FOCAL_PRIOR[1], rel=0.3)


def test_evidence_and_prior_meet_in_between():
    ratios = np.geomspace(*track_solve.FOCAL_RANGE, 9)
    flat = track_solve.decide(ratios, np.ones(9))
    assert flat.by_prior
    sharp = track_solve.decide(ratios, np.exp(20 * np.log(ratios / 1.6) ** 2))
    assert not sharp.by_prior
    assert sharp.value == pytest.approx(1.6, rel=0.05)
    some = track_solve.decide(ratios, np.exp(np.log(ratios / 1.6) ** 2))
    assert sharp.value < some.value < flat.value


def test_smoothing_takes_jitter_and_keeps_a_fast_nod():
    rng = np.random.default_rng(4)
    time = np.arange(200)
    turns = np.zeros((200, 3))
    turns[100:, 0] = 8 * np.sin(2 * np.pi * 2 * time[:100] / 25)  # ±8°, twice a second
    points, true, view = head(rng), motion(turns), lens(2.5)
    seen = track_model.observe(film(points, true, view, rng, noise=0.25), canonical.TRACKED)
    shape = points[list(canonical.TRACKED)]
    guess = track_model.start(seen, shape, view)
    free, _ = track_time.smooth(seen, guess, shape, view, stiff=False)
    calm, left_out = track_time.smooth(seen, guess, shape, view)
    assert not left_out.any()

    def jitter(found):
        return np.linalg.norm(track_time.bends(found)[:90, :3], axis=1).mean()

    assert jitter(calm) < jitter(free) / 3
    pitch = Rotation.from_matrix(calm.rotation[105:195] @ LOOKS).as_euler("XYZ", degrees=True)[:, 0]
    height = (pitch @ turns[105:195, 0]) / (turns[105:195, 0] @ turns[105:195, 0])
    assert 0.94 < height < 1.02


def jumping(frames, rng):
    """A lively head whose mesh jumps in ``frames``: turned by 25° and elsewhere."""
    true = motion(lively(300) / 2)
    jumped = Motion(true.rotation.copy(), true.shift.copy())
    jumped.rotation[frames] = Rotation.from_euler("y", 25, degrees=True).as_matrix() @ true.rotation[frames]
    jumped.shift[frames] += (0.05, 0.02, 0.1)
    return true, film(head(rng), jumped, lens(2.5), rng)


def test_jumps_of_the_detector_are_left_out_and_bridged():
    frames = [0, 70, 150, 151, 152]
    true, seen = jumping(frames, np.random.default_rng(5))
    found = track.track(seen, SIZE, focal=2.5 * SIZE[0])
    assert np.flatnonzero(found.left_out).tolist() == frames
    away = turned_away(found.motion, true)
    assert away[frames].max() < 1.5
    assert np.median(away) < 0.3
    track.check(found, Path("v.mp4"))


def test_too_many_jumps_are_refused_with_their_frames():
    _, seen = jumping(list(range(20, 300, 40)), np.random.default_rng(6))
    found = track.track(seen, SIZE, focal=2.5 * SIZE[0])
    with pytest.raises(DataError, match=r"v.mp4: the face jumps in 7 of 300 frames \(20, 60, 100, 140, 180 …\)"):
        track.check(found, Path("v.mp4"))


def test_a_face_behind_the_camera_is_refused_with_its_frame():
    true, seen = jumping([], np.random.default_rng(7))
    found = track.track(seen[:60], SIZE, focal=2.5 * SIZE[0])
    shift = found.motion.shift.copy()
    shift[33, 2] = -0.5
    with pytest.raises(DataError, match="frame 33"):
        track.check(replace(found, motion=Motion(found.motion.rotation, shift)), Path("v.mp4"))


def test_poses_agree_with_the_camera_that_methods_use():
    rng = np.random.default_rng(8)
    points, true, view = head(rng), motion(lively(3)), lens(2.3)
    for matrix, seen in zip(true.camera_to_world(), track_model.predict(true, points, view), strict=True):
        camera = Camera.from_transform(matrix, view.focal, SIZE)
        placed = points @ camera.viewmat[:3, :3].T + camera.viewmat[:3, 3]
        pixels = (placed @ camera.K.T)[:, :2] / placed[:, 2:]
        assert np.allclose(pixels, seen[:, :2], atol=1e-3)


def test_the_canonical_face_lies_where_the_fields_heads_lie():
    face = canonical.face()
    assert np.abs(face).max() < 0.1  # Gaussians start within ±0.1
    left, right, nose, chin = face[263], face[33], face[4], face[152]
    assert left[0] > 0 > right[0]
    assert nose[2] > left[2]
    assert chin[1] < nose[1] < left[1]
    assert len(set(canonical.TRACKED)) == 52


def prepared(folder, points, size=SIZE, **options):
    """A job whose frames and mesh are made."""
    work = folder / "s/.prepare"
    work.mkdir(parents=True)
    (work / "frames.json").write_text(json.dumps({"facts": {"frames": len(points), "size": size}}))
    (work / "follow.json").write_text(
        json.dumps({"facts": {"video_size": (2 * size[0], size[1]), "crop": (9, 0, 137, 128)}})
    )
    np.save(work / mesh.FILE, points.astype(np.float32))
    return Job(Options(Path("v.mp4"), "x", folder / "s", **options), lambda items, *_: items)


def test_the_steps_write_the_fields_files_and_say_what_decided_the_focal_length(tmp_path):
    rng = np.random.default_rng(9)
    true = motion(lively(66))
    job = prepared(tmp_path, film(head(rng), true, lens(2.4), rng))
    made = track.run(job)
    assert made.facts["focal_from"] in ("prior", "video")
    assert made.facts["left_out"] == []
    assert "focal" in poses.run(job).summary
    assert fit.run(job).facts["reprojection_px"]["median"] < 0.5
    train, val = (json.loads((job.root / f"transforms_{part}.json").read_text()) for part in ("train", "val"))
    assert [f["img_id"] for f in val["frames"]] == list(range(60, 66))
    assert len(train["frames"]) == 60
    assert train["focal_len"] == pytest.approx(made.facts["focal_px"])


def test_a_given_focal_length_wins(tmp_path):
    rng = np.random.default_rng(10)
    points = film(head(rng), motion(lively(40)), lens(2.4), rng)
    job = prepared(tmp_path, points, focal=1200.0, focal_at=1024)  # the video is 512 wide, 128 of it become 256
    made = track.run(job)
    poses.run(job)
    assert made.facts["focal_from"] == "given"
    assert "(--focal)" in made.summary
    written = json.loads((job.root / "transforms_train.json").read_text())["focal_len"]
    assert written == pytest.approx(1200 * (512 / 1024) * (256 / 128))
    assert made.facts["focal_px"] == pytest.approx(written)


def test_a_focal_length_that_is_none_is_refused(tmp_path):
    job = prepared(tmp_path, np.zeros((3, 478, 3)), focal=-4.0)
    with pytest.raises(DataError, match="--focal -4"):
        track.run(job)


def test_given_poses_need_no_tracking(tmp_path):
    job = prepared(tmp_path, np.zeros((3, 478, 3)), poses=Path("t.pt"))
    assert "not needed" in track.run(job).summary
    assert not (job.work / poses.OWN).exists()


def test_a_face_that_no_rigid_head_explains_is_refused_with_the_frame(tmp_path):
    rng = np.random.default_rng(11)
    points = film(head(rng), motion(lively(60)), lens(2.4), rng)
    points[:, :, :2] += rng.normal(0, 9, (60, 478, 2))
    points[41, :, :2] += rng.normal(0, 40, (478, 2))
    job = prepared(tmp_path, points)
    track.run(job)
    poses.run(job)
    with pytest.raises(DataError, match=r"v.mp4: the tracked poses miss the face .* in frame 41"):
        fit.run(job)


def test_our_poses_of_obama_turn_as_the_fields_tracking_does(obama, tmp_path):
    frames = list(islice(read_video(obama / "obama_256.mp4"), 200))
    for k, picture in enumerate(frames):
        Image.fromarray(picture).save(tmp_path / f"{k}.jpg", quality=95, subsampling=0)
    job = SimpleNamespace(
        size=SIZE, frames=len(frames), image=lambda k: tmp_path / f"{k}.jpg", track=lambda items, *_: items
    )
    points = np.empty((len(frames), mesh.POINTS, 3), np.float32)
    mesh.detect(job, points)
    found = track.track(points, SIZE, focal=1200 / 450 * SIZE[0])
    theirs = poses.read(obama / "track_params.pt", Options(Path("v"), "x", Path("o")), len(frames)).matrices
    ours = found.motion.camera_to_world()
    angles = [Rotation.from_matrix(m[:, :3, :3].transpose(0, 2, 1)).as_euler("XYZ") for m in (ours, theirs)]
    for axis in range(3):
        assert np.corrcoef(angles[0][:, axis], angles[1][:, axis])[0, 1] > 0.95
    assert found.reprojection["median"] < 0.5
