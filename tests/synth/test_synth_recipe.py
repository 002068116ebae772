"""The recipe of the embedded subjects: deterministic, and exact where it says so."""

from __future__ import annotations

import importlib.util
import json

import numpy as np
import pytest

ABSENT = [name for name in ("numba", "anny", "espeakng_loader") if importlib.util.find_spec(name) is None]
pytestmark = pytest.mark.skipif(bool(ABSENT), reason=f"needs {', '.join(ABSENT)} (pip install 'talkbench[synth]')")

SIZE = 64


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """The same two frames made twice."""
    from bench import synth

    root = tmp_path_factory.mktemp("synth")
    seen = []
    for turn in ("first", "second"):
        synth.make("ada", root / turn, size=SIZE, seconds=0.08, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 2), (2, 2)] * 2
    return root / "first", root / "second"


@pytest.fixture(scope="module")
def renderer():
    from bench.synth.head import Head
    from bench.synth.identity import NAMED
    from bench.synth.render import Renderer

    return Renderer(Head(NAMED["ben"]), 96)


@pytest.fixture(scope="module")
def performance():
    """Speech and animation of ``ada``, not rendered: (speech, performance)."""
    from bench.synth.identity import NAMED
    from bench.synth.motion import perform
    from bench.synth.phrases import script
    from bench.synth.speech import speak

    who = NAMED["ada"]
    speech = speak(script("ada", who.seed), who.voice, who.rate, 16.0)
    return speech, perform(speech, 400, 25, who.seed)


def _coefficients(**units):
    from bench.synth.head import UNITS, head_unit

    row = np.zeros(len(UNITS))
    for name, value in units.items():
        row[head_unit(name)] = value
    return row


def _files(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def _project(points, matrix, focal, size):
    """The loader's formula: OpenGL camera-to-world, principal point in the middle of the picture."""
    inverse = np.linalg.inv(np.array(matrix) @ np.diag([1.0, -1.0, -1.0, 1.0]))
    seen = points @ inverse[:3, :3].T + inverse[:3, 3]
    return focal * seen[:, :2] / seen[:, 2:] + size / 2


def test_two_runs_give_the_same_bytes(folders, tmp_path):
    from bench import synth

    first, second = map(_files, folders)
    assert first == second
    for k, folder in enumerate(folders):
        synth.pack(folder, tmp_path / f"{k}.zip")
    assert (tmp_path / "0.zip").read_bytes() == (tmp_path / "1.zip").read_bytes()


def test_folder_opens_as_a_subject(folders):
    subject = pytest.importorskip("bench.subject").open_subject(folders[0])
    assert (subject.train_ids, subject.test_ids) == ([0], [1])
    assert subject.coefficients.expression.shape == (2, 50)
    assert subject.coefficients.kind == "arkit"


def test_written_pose_projects_the_truth_onto_the_landmarks(folders):
    folder = folders[0]
    truth = np.load(folder / "truth.npz")
    for name in ("train", "val"):
        data = json.loads((folder / f"transforms_{name}.json").read_text())
        for frame in data["frames"]:
            k = frame["img_id"]
            found = _project(truth["landmarks_3d"][k], frame["transform_matrix"], data["focal_len"], SIZE)
            written = np.loadtxt(folder / f"ori_imgs/{k}.lms")
            assert written.shape == (68, 2)
            assert np.abs(found - written).max() < 0.01


def test_pose_is_exact_for_the_head_and_inside_its_bounds(renderer):
    from bench.synth.head import Pose

    head, camera = renderer.head, renderer.camera
    pose = Pose(np.radians([8.0, -4.0, 2.0]), np.radians([5.0, -4.0, 2.0]), np.array([0.1, -0.04, 0.05]), np.zeros(3))
    rigid = np.flatnonzero(head.follow > 1 - 1e-9)
    assert len(rigid) > 10_000
    points = 0.1 * (head.rest[rigid] - head.centre)
    assert np.abs(points).max() < 0.15
    matrix = camera.to_world(head, pose)
    assert 0.6 < np.linalg.norm(matrix[:3, 3]) < 1.0
    drawn, _ = camera.project(head.place(head.rest, head.follow, pose.table())[rigid])
    assert np.abs(_project(points, matrix, camera.focal, camera.size) - drawn).max() < 1e-6


def test_every_class_is_present_and_masks_agree(renderer):
    from bench.synth.head import Pose

    picture = renderer.draw(_coefficients(jawOpen=0.5, mouthLowerDownLeft=0.4, mouthLowerDownRight=0.4), Pose.rest())
    present = set(np.unique(picture.classes).tolist())
    assert present == {0, 1, 2, 3, 4, 5, 7, 8, 10, 11, 12, 13, 14, 16, 17}
    assert picture.teeth.any()
    assert (picture.classes[picture.teeth] == 11).all()
    assert picture.hair[picture.classes == 17].mean() > 200
    assert ((picture.hair > 0) & (picture.hair < 255)).any()
    # The subject's left is on the right of the picture.
    columns = {c: np.nonzero(picture.classes == c)[1].mean() for c in (2, 3, 4, 5, 7, 8)}
    assert columns[2] > columns[3]
    assert columns[4] > columns[5]
    assert columns[7] > columns[8]


def test_background_is_the_plate(renderer):
    from bench.synth.head import Pose

    picture = renderer.draw(_coefficients(), Pose.rest())
    corner = np.s_[:12, :12]
    assert (picture.classes[corner] == 0).all()
    np.testing.assert_array_equal(picture.rgb[corner], renderer.plate[corner])


def test_landmarks_lie_inside_the_picture_and_on_their_parts(renderer):
    from bench.synth.head import Pose

    coefficients = _coefficients(jawOpen=0.4)
    marks = renderer.landmarks(coefficients, Pose.rest())
    assert ((marks > 0) & (marks < renderer.size)).all()
    classes = renderer.draw(coefficients, Pose.rest()).classes
    brow = marks[17:22].mean(axis=0).astype(int)
    assert classes[brow[1], brow[0]] in (1, 3)
    between = ((marks[62] + marks[66]) / 2).astype(int)
    assert classes[between[1], between[0]] == 11


def test_phonemes_are_in_order_and_inside_the_sound(performance):
    speech, _ = performance
    times = np.array([(p.start, p.end) for p in speech.phonemes])
    assert len(times) > 100
    assert (times[:, 1] > times[:, 0]).all()
    assert (times[1:, 0] >= times[:-1, 1] - 1e-6).all()
    assert times[0, 0] > 0
    assert times[-1, 1] < 16.0
    assert len(speech.sound) == 256_000
    assert all(p.word for p in speech.phonemes)


def test_speech_is_the_same_every_time():
    from bench.synth.speech import speak

    said = [speak(["Hello there."], "en-us+f3", 150, 2.0) for _ in range(2)]
    np.testing.assert_array_equal(said[0].sound, said[1].sound)
    assert said[0].phonemes == said[1].phonemes


def test_an_unknown_voice_is_named():
    from bench.errors import AbsentError
    from bench.synth.speech import speak

    with pytest.raises(AbsentError, match="nobody"):
        speak(["Hello."], "nobody", 150, 2.0)


def test_mouth_follows_the_sound(renderer, performance):
    speech, done = performance
    rows = done.coefficients
    assert rows.min() >= 0
    assert rows.max() <= 1
    from bench.synth.head import head_unit

    gap = np.array([renderer.marks.lip_gap(row) for row in rows])
    assert np.corrcoef(gap, rows[:, head_unit("jawOpen")])[0, 1] > 0.85
    times = (np.arange(len(rows)) + 0.5) / 25
    closed = [np.abs(times - (p.start + p.end) / 2).argmin() for p in speech.phonemes if p.phoneme in "pbm"]
    wide = [np.abs(times - (p.start + p.end) / 2).argmin() for p in speech.phonemes if p.phoneme in ("æ", "ɑː", "aɪ")]
    assert gap[closed].mean() < 0.35 * gap[wide].mean()


def test_head_moves_a_little_and_eyes_blink(performance):
    from bench.synth.head import head_unit

    _, done = performance
    angles = np.degrees([pose.angles for pose in done.poses])
    assert (np.abs(angles).max(axis=0) <= [9.01, 7.0, 3.01]).all()
    assert angles[:, 0].std() > 1
    assert np.abs(np.diff(angles, axis=0)).max() < 1.5
    blink = done.coefficients[:, head_unit("eyeBlinkLeft")]
    assert ((blink[1:] > 0.5) & (blink[:-1] <= 0.5)).sum() >= 3


def test_another_seed_is_another_person():
    from bench.errors import UsageError
    from bench.synth.head import Head
    from bench.synth.identity import identity

    seven, again, eight = identity("seed-7", 7), identity("seed-7", 7), identity("seed-8", 8)
    assert seven == again
    assert (seven.shape, seven.skin) != (eight.shape, eight.skin)
    assert np.abs(Head(seven).rest - Head(eight).rest).max() > 0.05
    with pytest.raises(UsageError, match="seed"):
        identity("nobody", None)


@pytest.mark.parametrize(("size", "seconds"), [(16, 2.0), (64, 0.04)])
def test_senseless_sizes_are_refused(tmp_path, size, seconds):
    from bench import synth
    from bench.errors import UsageError

    with pytest.raises(UsageError, match="two frames"):
        synth.make("tiny", tmp_path / "x", size=size, seconds=seconds)
    assert not (tmp_path / "x").exists()
