"""The steps' arithmetic on made-up arrays."""

import tracemalloc
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from bench.errors import DataError
from bench.prepare import coefficients, fit, masks, mesh, parsers, plate, shape, sound, steps, track, units


def faces(count: int = 60) -> np.ndarray:
    """[T,478,3] a random face that turns, moves and grows; from frame 40 its chin and the skin below its lips drop."""
    rng = np.random.default_rng(1)
    face = rng.normal(0, 30, (mesh.POINTS, 3))
    face[17] = face[2] + [0, 40, 0]
    for _, upper, lower in shape.EYES.values():
        face[list(upper)] = face[list(lower)] + [0, -8, 0]
    out = []
    for t in range(count):
        turned = face.copy()
        turned[[152, 17], 1] += 10 if t >= 40 else 0
        angle = 0.2 * np.sin(t)
        turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
        out.append((1 + 0.1 * np.cos(t)) * turned @ turn.T + [100 + t, 90, 0])
    return np.array(out, np.float32)


def unturned(points: np.ndarray) -> shape.PoseFree:
    """Points [T,478,3] that count as free of pose as they are."""
    count = len(points)
    return shape.PoseFree(points, np.ones(count), np.tile(np.eye(3), (count, 1, 1)), np.zeros((count, 3)))


def test_pose_free_takes_out_turn_size_and_place():
    points = shape.pose_free(faces(), 50).at(*range(mesh.POINTS))
    assert np.ptp(points[:40], axis=0).max() < 1e-3
    left, right = (points[:50, list(shape.EYES[s][0])].mean((0, 1)) for s in ("left", "right"))
    assert np.linalg.norm(left - right) == pytest.approx(1, abs=1e-6)


def test_jaw_sees_the_chin_drop():
    jaw = coefficients.jaw(shape.pose_free(faces(), 50), 50)
    assert jaw.shape == (60, 3)
    assert jaw[:40, 0].max() < 1e-3 < 0.05 < jaw[40:, 0].min()


def test_eyelids_are_scaled_by_the_clip():
    opening = np.full((100, 2), 0.3)
    opening[50:53] = 0.05
    closure = coefficients.eyelids(opening, 90)
    assert closure.dtype == np.float32
    assert (closure[50:53] == 1).all()
    assert (closure[:50] == 0).all()


def test_a_clip_without_a_blink_closes_nothing():
    opening = 0.3 + np.random.default_rng(0).normal(0, 0.003, (100, 2))
    assert coefficients.eyelids(opening, 90).max() < 0.1


def test_expression_is_fitted_on_training_frames_only():
    rng = np.random.default_rng(2)
    points = rng.normal(size=(50, 1, 1)) * rng.normal(size=(1, mesh.POINTS, 3)) + rng.normal(
        0, 1e-4, (50, mesh.POINTS, 3)
    )
    changed = points.copy()
    changed[45:] += 3
    scores, carried = coefficients.expression(unturned(points), 45)
    again, _ = coefficients.expression(unturned(changed), 45)
    assert scores.shape == (50, coefficients.COMPONENTS)
    assert carried > 0.99
    assert np.allclose(scores[:45], again[:45])
    rows = points[:45, : mesh.SKIN_POINTS].reshape(45, -1)
    left, spread, _ = np.linalg.svd(rows - rows.mean(0), full_matrices=False)
    wanted = left * spread / spread[0] * np.sqrt(45)
    assert np.abs(scores[:45]) == pytest.approx(np.abs(wanted[:, : coefficients.COMPONENTS]), abs=1e-3)
    assert scores[:45, 0].std() == pytest.approx(1, rel=0.01)
    assert coefficients.expression(unturned(points[:12]), 10)[0].shape == (12, 9)


def test_measured_units_have_the_columns_and_range():
    table = units.measured(shape.pose_free(faces(), 50), 50)
    assert list(table) == ["AU01_r", "AU04_r", "AU05_r", "AU06_r", "AU07_r", "AU25_r", "AU26_r", "AU45_r"]
    assert table.to_numpy().min() >= 0
    assert table.to_numpy().max() <= 5


def test_plate_takes_each_pixel_where_it_is_clear():
    first, second = np.full((40, 60, 3), 10, np.uint8), np.full((40, 60, 3), 20, np.uint8)
    left, right = np.zeros((40, 60), bool), np.zeros((40, 60), bool)
    left[:, :40] = True  # background on the left in the first frame, on the right in the second
    right[:, 20:] = True
    made, hidden = plate.estimate([(first, left), (second, right)])
    assert (made[:, :25] == 10).all()
    assert (made[:, 35:] == 20).all()
    assert hidden == 0


def test_plate_fills_what_no_frame_shows():
    picture, background = np.full((40, 60, 3), 7, np.uint8), np.zeros((40, 60), bool)
    background[:, :20] = True
    made, hidden = plate.estimate([(picture, background)])
    assert (made == 7).all()
    assert 0.6 < hidden < 0.8
    with pytest.raises(DataError, match="--background"):
        plate.estimate([(picture, np.zeros((40, 60), bool))])


def test_plate_is_filled_smoothly_from_all_sides():
    ramp = np.repeat(np.arange(0, 200, 2, dtype=np.uint8)[None, :, None], 80, 0).repeat(3, 2)
    hidden = np.zeros((80, 100), bool)
    hidden[20:60, 30:70] = True
    spoiled = np.where(hidden[..., None], 255, ramp).astype(np.uint8)
    made = plate.filled(spoiled, hidden).astype(int)
    assert (made[~hidden] == ramp[~hidden]).all()
    assert np.abs(made - ramp)[hidden].mean() < 6  # the nearest pixel: 7.2
    assert np.abs(np.diff(made, axis=1)).max() < 10  # the nearest pixel: 42, in the middle


def test_background_within_the_person_is_none():
    labels = np.zeros((60, 60), np.uint8)
    labels[10:, 10:50] = 17
    labels[30:40, 25:35] = 0  # an earring
    seen = plate.behind(labels)
    assert not seen[30:40, 25:35].any()
    assert (seen == (labels == 0))[:, :25].all()


def test_islands_go_and_parts_stay():
    labels = np.zeros((200, 200), np.uint8)
    labels[50:150, 50:150] = 1
    labels[80:84, 70:80] = 4
    labels[10:13, 10:13] = 17
    labels[20:22, 100:102] = 1
    clean = masks.without_islands(labels)
    assert set(np.unique(clean)) == {0, 1, 4, 17}  # hair has but one component, so it stays
    assert (clean[20:22, 100:102] == 0).all()
    assert (clean == 4).sum() == 40


def test_vote_is_over_coarse_parts_only():
    still, flicker = np.array([[0, 17, 11]], np.uint8), np.array([[16, 17, 12]], np.uint8)
    assert masks.vote(still, flicker, still).tolist() == [[0, 17, 12]]


def test_left_is_the_subjects():
    labels = np.zeros((100, 100), np.uint8)
    labels[40:44, 20:30], labels[40:44, 70:80] = 4, 4
    points = np.zeros((478, 2), np.float32)
    points[10], points[152] = (50, 10), (50, 90)
    sided = masks.sided(labels, points)
    assert (sided[40:44, 20:30] == 5).all()
    assert (sided[40:44, 70:80] == 4).all()


@pytest.mark.parametrize(
    ("skin", "lips", "teeth"),
    [((150, 90, 70), (120, 85, 85), (160, 140, 135)), ((235, 200, 160), (220, 130, 120), (225, 210, 185))],
)
def test_teeth_are_bright_and_not_red(skin, lips, teeth):
    picture = np.full((20, 20, 3), lips, np.uint8)
    picture[:4] = skin
    picture[5:8, 5:15] = teeth
    picture[10:12] = (30, 20, 20)  # the dark of the mouth
    labels = np.full((20, 20), 12, np.uint8)
    labels[:4] = 1
    assert masks.teeth(picture, labels, labels == 12).nonzero()[0].tolist() == [5] * 10 + [6] * 10 + [7] * 10


def test_resizing_labels_keeps_ids():
    labels = np.zeros((448, 448), np.uint8)
    labels[100:300, 200:] = 17
    small = parsers.resized(labels, (256, 128))
    assert small.shape == (128, 256)
    assert set(np.unique(small)) == {0, 17}
    large = parsers.resized(labels, (896, 896))
    assert (large == labels.repeat(2, 0).repeat(2, 1)).all()


def test_what_a_kill_or_a_power_cut_left_is_swept_away(tmp_path: Path):
    (tmp_path / ".prepare").mkdir()
    for name in ("1.png", ".prepare/done.json", ".2.abc.png"):
        (tmp_path / name).write_text("something")
    for name in ("3.png", f".prepare/{steps.LOCK}"):
        (tmp_path / name).touch()
    steps.sweep(tmp_path)
    left = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {"1.png", "done.json", steps.LOCK}


def test_gaps_are_bridged():
    known = np.zeros((5, mesh.POINTS, 3), np.float32)
    known[4] = 4
    found = np.array([True, False, False, False, True])
    mesh.bridge(known, found)
    assert known[:, 0, 0].tolist() == [0, 1, 2, 3, 4]
    mesh.bridge(known, np.arange(5) == 3)
    assert known[:, 0, 0].tolist() == [3, 3, 3, 3, 3]


def test_sound_is_cut_and_filled_to_the_frames():
    samples = np.arange(1, 101, dtype=np.int16)
    assert sound.fit(samples, 10 / 16000, 50)[:12].tolist() == [0] * 10 + [1, 2]
    assert sound.fit(samples, -10 / 16000, 50)[0] == 11
    assert sound.fit(samples, 0, 120)[[99, 100, 119]].tolist() == [100, 0, 0]


def peak(folder: Path, frames: int, work: Callable[[mesh.Mesh], object]) -> int:
    """Bytes held at most while ``work`` looks at a mesh of so many frames."""
    np.save(folder / mesh.FILE, faces()[np.arange(frames) % 60])
    rows = mesh.load(SimpleNamespace(work=folder))  # type: ignore[arg-type]
    tracemalloc.start()
    try:
        work(rows)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def coefficients_and_units(rows: mesh.Mesh) -> None:
    face = shape.pose_free(rows, len(rows) - 100)
    coefficients.from_mesh(face, len(rows) - 100)
    units.measured(face, len(rows) - 100)


def reprojection(rows: mesh.Mesh) -> None:
    cameras = np.tile([[600, 0, 128, 0], [0, 600, 128, 0], [0, 0, 1, 5.0]], (len(rows), 1, 1))
    cameras[:, :, 3] += np.random.default_rng(0).normal(0, 0.1, (len(rows), 3))
    fit.errors(cameras, rows[:, fit.RIGID, :2].astype(np.float64))


def tracking(rows: mesh.Mesh) -> None:
    track.track(rows, (256, 256), 600)


@pytest.mark.parametrize("work", [coefficients_and_units, reprojection, pytest.param(tracking, marks=pytest.mark.slow)])
def test_a_long_clips_mesh_stays_on_disk(tmp_path: Path, work: Callable[[mesh.Mesh], object]) -> None:
    """An hour has 90 000 frames; at 3 KB each it needs 270 MB, whereas its mesh has 516."""
    short, long = peak(tmp_path, 1000, work), peak(tmp_path, 4000, work)
    assert (long - short) / 3000 < 3000
