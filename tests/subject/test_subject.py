"""The subject folder's reader."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench import audio
from bench.errors import DataError
from bench.subject import Camera, Subject


def test_what_is_in_a_frame(toy_subject):
    assert (toy_subject.name, toy_subject.size, toy_subject.fps, toy_subject.audio_kind) == (
        "toy",
        (64, 64),
        25.0,
        "mel",
    )
    assert (len(toy_subject.train_ids), toy_subject.test_ids) == (16, [16, 17, 18, 19, 20, 21])
    frame = toy_subject.frame(4)
    assert frame.image.shape == frame.hair_canvas.shape == frame.torso_canvas.shape == (64, 64, 3)
    assert frame.labels.shape == frame.teeth.shape == (64, 64)
    assert frame.landmarks.shape == (68, 2)
    assert frame.audio.shape == (8, 32, 16)
    assert (frame.expression.shape, frame.eyelid.shape, frame.jaw.shape) == ((4,), (2,), (3,))
    assert frame.action_units[5] == 2  # AU45 2.5, clipped
    assert frame.blink == 1
    assert 0 <= frame.lips_part <= 4


def test_training_sees_no_test_frame(toy_subject):
    view = toy_subject.for_training()
    assert view.test_ids == []
    assert view.ids == toy_subject.train_ids
    with pytest.raises(DataError, match="no frame 16"):
        view.frame(16)
    assert toy_subject.frame(16).id == 16


def test_a_camera_projects_the_head_to_where_it_is(toy_subject):
    """The toy's head moves sideways by what its cameras say."""
    for frame_id in (0, 5, 12):
        frame = toy_subject.frame(frame_id)
        point = frame.camera.K @ (frame.camera.viewmat @ np.array([0, 0, 0, 1], np.float32))[:3]
        assert point[0] / point[2] == pytest.approx(frame.landmarks[27, 0], abs=0.05)
        assert point[2] == pytest.approx(0.84)
        assert np.allclose(frame.camera.centre[2], 0.84)


def test_a_camera_at_half_size():
    camera = Camera.from_transform(np.eye(4).tolist(), 100.0, (64, 48)).scaled(0.5)
    assert (camera.width, camera.height, camera.fx, camera.cy) == (32, 24, 50, 12)


@pytest.mark.parametrize("kind", audio.KINDS, ids=lambda kind: kind.key)
def test_every_kind_of_audio_features_is_read(own_toy, kind):
    rows = np.arange(22, dtype=np.float64)
    np.save(own_toy / kind.file, np.broadcast_to(rows[:, None, None], (22, *kind.window)))
    subject = Subject(own_toy)
    assert subject.audio_kind == kind.key
    assert subject.audio_features.dtype == np.float32
    heard = subject.frame(6).audio
    assert heard.shape == (8, *kind.window[::-1])
    assert heard[:, 0, 0].tolist() == [2, 3, 4, 5, 6, 7, 8, 9]
    np.save(own_toy / kind.file, np.zeros((22, 3, 5)))
    with pytest.raises(DataError, match=rf"{kind.file} has shape \[22, 3, 5\], expected finite \[T, "):
        _ = Subject(own_toy).audio_features


def test_of_several_audio_features_the_first_kind_counts(own_toy):
    for kind in audio.KINDS[::-1]:
        np.save(own_toy / kind.file, np.zeros((22, *kind.window)))
        assert Subject(own_toy).audio_kind == kind.key


def test_a_folder_of_the_fields_scripts_opens(own_toy):
    """No subject.json, no teeth, RGB colour maps, DeepSpeech windows."""
    for path in (own_toy / "parsing").iterdir():
        Image.open(path).convert("RGB").save(path)
    for path in (own_toy / "teeth_mask").iterdir():
        path.unlink()
    (own_toy / "subject.json").unlink()
    (own_toy / "aud.wav").unlink()
    np.save(own_toy / "aud_ds.npy", np.zeros((22, 16, 29), np.float32))
    subject = Subject(own_toy)
    assert (subject.name, subject.fps, subject.audio_kind, subject.sound) == ("toy", 25.0, "ds", None)
    frame = subject.frame(3)
    assert set(np.unique(frame.labels)) == {0, 1, 11, 14, 16, 17}
    assert not frame.teeth.any()
    assert frame.audio.shape == (8, 29, 16)


def broken_json(folder: Path) -> None:
    (folder / "subject.json").write_text("{")


def other_schema(folder: Path) -> None:
    (folder / "subject.json").write_text('{"schema": 2}')


def odd_rate(folder: Path) -> None:
    (folder / "subject.json").write_text('{"schema": 1, "fps": "fast"}')


def frame_in_both(folder: Path) -> None:
    (folder / "transforms_val.json").write_text((folder / "transforms_train.json").read_text())


def no_frames(folder: Path) -> None:
    (folder / "transforms_val.json").write_text('{"focal_len": 170, "frames": []}')


def bad_matrix(folder: Path) -> None:
    content = json.loads((folder / "transforms_train.json").read_text())
    content["frames"][0]["transform_matrix"] = [[1, 2], [3, 4]]
    (folder / "transforms_train.json").write_text(json.dumps(content))


def no_plate(folder: Path) -> None:
    (folder / "bc.jpg").unlink()


def small_plate(folder: Path) -> None:
    Image.new("RGB", (32, 32)).save(folder / "bc.jpg")


def no_sound(folder: Path) -> None:
    (folder / "aud.wav").unlink()


def short_table(folder: Path) -> None:
    lines = (folder / "au.csv").read_text().splitlines()
    (folder / "au.csv").write_text("\n".join(lines[:10]))


def lost_column(folder: Path) -> None:
    (folder / "au.csv").write_text((folder / "au.csv").read_text().replace("AU45_r", "AU46_r"))


def words_in_table(folder: Path) -> None:
    (folder / "au.csv").write_text((folder / "au.csv").read_text().replace("2.5", "wide"))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (broken_json, "subject.json is not valid JSON"),
        (other_schema, 'expected an object with "schema": 1'),
        (odd_rate, "fps is 'fast'"),
        (frame_in_both, "frame 0 is in both"),
        (no_frames, "no frames or focal_len"),
        (bad_matrix, "not 4×4 finite numbers"),
        (no_plate, "bc.jpg is missing"),
        (small_plate, "bc.jpg is 32×32, frames are 64×64"),
        (no_sound, "neither aud_ds.npy, aud_hu.npy, aud_eo.npy, aud_ave.npy nor aud.wav"),
        (short_table, "has 9 rows, the transforms need 22"),
        (lost_column, "lacks column AU45_r"),
        (words_in_table, "something that is not a number"),
    ],
)
def test_damage_is_found_when_the_folder_is_opened(own_toy, damage, message):
    damage(own_toy)
    with pytest.raises(DataError, match=message.replace("(", r"\(")) as caught:
        Subject(own_toy)
    assert str(own_toy) in str(caught.value) or "transform_matrix" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("ori_imgs/3.jpg", lambda s: s.frame(3).image),
        ("ori_imgs/3.lms", lambda s: s.frame(3).landmarks),
        ("parsing/3.png", lambda s: s.frame(3).labels),
        ("teeth_mask/3.npy", lambda s: s.frame(3).teeth),
        ("coefficients.npz", lambda s: s.coefficients),
        ("aud.wav", lambda s: s.audio_features),
    ],
)
@pytest.mark.parametrize("keep", [0, 40])
@pytest.mark.filterwarnings("ignore:loadtxt")
def test_a_truncated_file_is_named(own_toy, name, read, keep):
    path = own_toy / name
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DataError, match=path.name.replace(".", r"\.")):
        read(Subject(own_toy))
