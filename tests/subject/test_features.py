"""Audio windows, classes, plates, tables."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from bench import audio, classes, plates, tables
from bench.errors import DataError


def test_windows_are_laid_out_like_the_official_ones():
    rows = np.arange(1, 41, dtype=np.float32)[:, None]  # 0.8 s
    found = audio.windows(rows)[..., 0]
    assert found.shape == (20, 16)
    assert list(found[0]) == [0] * 8 + list(range(1, 9))
    assert list(found[4]) == list(range(1, 17))
    assert list(found[-1][-6:]) == [0] * 6


@given(st.integers(-6, 30))
def test_the_neighbourhood_is_centred_and_zero_outside(index):
    features = np.arange(1, 21, dtype=np.float32)[:, None, None] * np.ones((1, 16, 2), np.float32)
    found = audio.neighbourhood(features, index)
    assert found.shape == (8, 2, 16)
    expected = [k + 1 if 0 <= k < 20 else 0 for k in range(index - 4, index + 4)]
    assert list(found[:, 0, 0]) == expected


def test_mel_is_standardised_and_silent_bands_are_zero():
    time = np.arange(16000) / 16000
    loud = np.sin(2 * np.pi * 440 * time).astype(np.float32) * (time > 0.5)
    rows = audio.log_mel(loud)
    assert rows.shape == (50, 32)
    assert np.allclose(rows.mean(0), 0, atol=1e-4)
    assert rows[30:, 5].mean() > rows[:20, 5].mean()
    assert (audio.log_mel(np.zeros(1600, np.float32)) == 0).all()


def test_a_long_sound_is_the_same_some_rows_at_a_time(monkeypatch):
    sound = np.random.default_rng(0).normal(0, 0.1, 16000).astype(np.float32)
    whole = audio.log_mel(sound)
    monkeypatch.setattr(audio, "_CHUNK", 7)
    assert audio.log_mel(sound) == pytest.approx(whole, abs=1e-6)


def test_a_wav_of_another_form_is_refused(tmp_path):
    import wave

    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(44100)
        file.writeframes(b"\0" * 400)
    with pytest.raises(DataError, match="44100 Hz, 2 channels"):
        audio.read_wav(tmp_path / "a.wav")


def test_classes_come_back_and_the_palette_shows_the_fields_colours(tmp_path):
    labels = np.arange(19, dtype=np.uint8).repeat(4).reshape(19, 4)
    classes.save(tmp_path / "a.png", labels)
    assert (classes.load(tmp_path / "a.png") == labels).all()
    Image.open(tmp_path / "a.png").convert("RGB").save(tmp_path / "b.png")
    seen = classes.load(tmp_path / "b.png")
    assert list(seen[:, 0]) == [0, *[1] * 10, 11, 1, 1, 14, 14, 16, 17, 1]


def test_a_colour_that_is_no_class(tmp_path):
    Image.new("RGB", (4, 4), (1, 2, 3)).save(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"colour \(1, 2, 3\)"):
        classes.load(tmp_path / "a.png")
    image = Image.fromarray(np.full((4, 4), 19, np.uint8), "L").convert("P")
    image.save(tmp_path / "b.png")
    with pytest.raises(DataError, match="classes are 0–18"):
        classes.load(tmp_path / "b.png")


def test_ears_are_face_for_one_method_and_hair_for_the_other():
    labels = np.array([[1, 7, 8, 17, 14, 16, 11]], np.uint8)
    assert classes.face(labels, ears=True).tolist() == [[True, True, True, False, False, False, False]]
    assert classes.hair(labels, ears=True).tolist() == [[False, True, True, True, False, False, False]]
    assert not (classes.face(labels, ears=False) & classes.hair(labels, ears=True)).any()


def test_the_torso_canvas_holds_torso_and_nothing_of_the_face(toy_subject):
    frame = toy_subject.frame(2)
    rgb, opaque = plates.torso(frame.image, frame.labels, toy_subject.background, "darken")
    assert (rgb[~opaque] == 0).all()
    assert (frame.torso_canvas[~opaque] == toy_subject.background[~opaque]).all()
    cloth = frame.labels == classes.CLOTH
    cloth[:60] = False  # clear of the neck's smoothed rim
    assert (frame.torso_canvas[cloth] == frame.image[cloth]).all()
    inner = classes.is_in(frame.labels, (2, 3, *classes.EYES, 10, classes.INNER_MOUTH, *classes.LIPS))
    disturbed = np.where(inner[..., None], 255 - frame.image, frame.image)
    again = plates.torso_canvas(disturbed, frame.labels, toy_subject.background)
    assert (again == frame.torso_canvas).all()


def test_the_hair_canvas_holds_hair_but_no_inner_face(toy_subject):
    frame = toy_subject.frame(2)
    canvas = frame.hair_canvas
    face = classes.face(frame.labels, ears=False)
    held = {
        name: (getattr(frame, name) == frame.image).all(-1)[face].mean() for name in ("hair_canvas", "bare_hair_canvas")
    }
    assert held["hair_canvas"] > 0.2  # the rim
    assert held["bare_hair_canvas"] < 0.02
    outside = ~face & ~classes.mouth(frame.labels, frame.teeth)
    assert (frame.bare_hair_canvas == canvas)[outside].all()
    _, opaque = plates.torso(frame.image, frame.labels, toy_subject.background, "mean")
    hair = (frame.labels == classes.HAIR) & ~opaque
    assert hair.sum() > 100
    assert (canvas[hair] == frame.image[hair]).all()
    mouth = frame.labels == classes.INNER_MOUTH
    changed = np.where(mouth[..., None], 255 - frame.image, frame.image)
    again = plates.hair_canvas(changed, frame.labels, frame.teeth, toy_subject.background)
    assert (again == canvas).all()


def test_the_background_is_replaced_only_where_it_is(toy_subject):
    frame = toy_subject.frame(0)
    scene = frame.labels == classes.BACKGROUND
    assert (frame.background_pasted[scene] == toy_subject.background[scene]).all()
    assert (frame.background_pasted[~scene] == frame.image[~scene]).all()


def test_coefficients_of_a_wrong_width(own_toy):
    np.savez(
        own_toy / "coefficients.npz",
        expression=np.zeros((22, 4)),
        eyelid=np.zeros((22, 3)),
        jaw=np.zeros((22, 3)),
        kind="arkit",
    )
    with pytest.raises(DataError, match=r"eyelid has shape \(22, 3\)"):
        tables.read_coefficients(own_toy, 22)


def test_coefficients_in_smirks_form(own_toy):
    import torch

    (own_toy / "coefficients.npz").unlink()
    tensors = {
        "expression_params": torch.zeros(22, 50),
        "eyelid_params": torch.zeros(22, 2),
        "jaw_params": torch.zeros(22, 3),
    }
    torch.save(tensors, own_toy / "3dmm.pt")
    found = tables.read_coefficients(own_toy, 22)
    assert (found.kind, found.expression.shape) == ("smirk", (22, 50))
    torch.save({"expression_params": torch.zeros(22, 50)}, own_toy / "3dmm.pt")
    with pytest.raises(DataError, match=r"3dmm\.pt can't be read"):
        tables.read_coefficients(own_toy, 22)
    (own_toy / "3dmm.pt").write_bytes(b"no pickle")
    with pytest.raises(DataError, match="can't be read safely"):
        tables.read_coefficients(own_toy, 22)


def test_the_upper_face_comes_from_the_best_there_is(own_toy):
    units = tables.read_action_units(own_toy / "au.csv", 22).upper
    made = tables.read_upper_face(own_toy, 22)  # the toy's four coefficients are no ARKit units
    assert made.shape == (22, 7)
    assert (made[:, 5] == units[:, 5] / 2).all()
    assert (made[:, 3:5] == 0).all()
    arkit = np.random.default_rng(0).random((22, 50)).astype(np.float32)
    with np.load(own_toy / "coefficients.npz") as stored:
        arrays = dict(stored)
    np.savez(own_toy / "coefficients.npz", **(arrays | {"expression": arkit}))
    made = tables.read_upper_face(own_toy, 22)
    assert (made[:, :5] == arkit[:, :5]).all()
    assert (made[:, 5:] == arrays["eyelid"]).all()
    shapes = np.random.default_rng(1).random((22, 52))
    np.save(own_toy / "bs.npy", shapes)
    assert np.allclose(tables.read_upper_face(own_toy, 22), shapes[:, [0, 1, 2, 3, 4, 8, 9]])
    np.save(own_toy / "bs.npy", shapes[:20])
    with pytest.raises(DataError, match=r"expected finite \[22, 52\]"):
        tables.read_upper_face(own_toy, 22)


def test_the_portrait_canvas_is_the_frame_outside_the_face(toy_subject):
    frame = toy_subject.frame(2)
    weights, canvas = frame.portrait_weights, frame.portrait_canvas
    assert {0, 255} < set(np.unique(weights))
    assert (canvas[weights == 0] == frame.image[weights == 0]).all()
    assert (canvas[weights == 255] == 0).all()
