"""The field's folders: what is exported comes back the same, with names, colours and spellings as the official code wants them."""

from __future__ import annotations

import hashlib
import json
import shutil
import wave
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from bench import audio, classes, plates, tables
from bench.errors import AbsentError, DataError, UsageError
from bench.formats import FORMATS, colours, detect, get, pictures, records
from bench.formats.bring import bring
from bench.formats.export import export, lacks
from bench.prepare.poses import camera_to_world
from bench.subject import Subject

WINDOWS = np.random.default_rng(0).normal(size=(22, 16, 29))
ARKIT = np.random.default_rng(1).random((22, 50)).astype(np.float32)
SMIRK = {"expression": 50, "eyelid": 2, "jaw": 3, "shape": 300}


def subject_for(layout: str, toy: Path) -> Subject:
    """The toy with the features that the layout's nets take."""
    np.save(toy / "aud_ds.npy", WINDOWS)
    old = np.load(toy / "coefficients.npz")
    if layout == "synctalk":
        np.savez(toy / "coefficients.npz", expression=ARKIT, eyelid=ARKIT[:, :2], jaw=old["jaw"], kind="arkit")
    if layout == "degstalk":
        (toy / "coefficients.npz").unlink()
        torch.save({f"{name}_params": torch.rand(22, width) for name, width in SMIRK.items()}, toy / "3dmm.pt")
    return Subject(toy)


def seen_as(labels: np.ndarray, layout: str) -> np.ndarray:
    """The classes that survive the layout's colours, as :func:`bench.classes.load` names them."""
    table = {index: classes._COLOURS[colour] for index, colour in FORMATS[layout].colours.items()}
    return np.vectorize(table.__getitem__, otypes=[np.uint8])(labels)


def digest(folder: Path) -> dict[str, str]:
    return {str(p): hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("name", list(FORMATS))
def test_out_and_in_again(name, own_toy, tmp_path):
    before = subject_for(name, own_toy)
    there = tmp_path / "there"
    made = export(before, get(name), there)
    assert not [lack for lack in made.lacks if lack.needed]
    assert detect(there).name == ("er-nerf" if name == "rad-nerf" else name)
    if name in ("ad-nerf", "rad-nerf"):  # theirs have no au.csv
        with pytest.raises(AbsentError, match=r"lacks au.csv: OpenFace's FeatureExtraction"):
            bring(there, get(name), "again", tmp_path / "again")
        shutil.copyfile(own_toy / "au.csv", there / "au.csv")
    source = digest(there)
    assert bring(there, get(name), "again", tmp_path / "again").frames == 22
    assert digest(there) == source
    after = Subject(tmp_path / "again")
    assert (after.train_ids, after.test_ids, after.size) == (before.train_ids, before.test_ids, before.size)
    for i in before.ids:
        a, b = before.frame(i), after.frame(i)
        assert np.array_equal(a.image, b.image)
        assert np.array_equal(seen_as(a.labels, name), b.labels)
        assert np.array_equal(a.landmarks, b.landmarks)
        assert np.array_equal(a.camera.viewmat, b.camera.viewmat)
        assert a.camera.fx == b.camera.fx
        assert np.array_equal(a.teeth, b.teeth) or name not in ("talkinggaussian", "degstalk")
    assert np.array_equal(before.background, after.background)
    assert np.array_equal(before.action_units.upper, after.action_units.upper)
    assert np.array_equal(before.audio_features, after.audio_features)
    assert after.audio_kind == "ds"
    if name in ("synctalk", "degstalk"):
        assert np.allclose(before.coefficients.eyelid, after.coefficients.eyelid, atol=1e-7)
        width = 49 if name == "synctalk" else 50  # MediaPipe has no tongueOut
        assert np.allclose(before.coefficients.expression[:, :width], after.coefficients.expression[:, :width])
    assert after.meta["provenance"]["bc.jpg"] == "bc.jpg of there, unchanged"


def test_only_the_unit_in_the_last_place_differs_from_the_published_poses(obama):
    """The derived tracker's file gives the transforms back; the published pair of files agrees to 1.2e-7."""
    published = json.loads((obama / "transforms_val.json").read_text())
    matrices = np.array([f["transform_matrix"] for f in published["frames"]])
    euler, trans = records.euler_angles(matrices)
    assert np.abs(camera_to_world(euler, trans * 10) - matrices).max() < 1.3e-7
    tracked = torch.load(obama / "track_params.pt", weights_only=True)
    ids = [f["img_id"] for f in published["frames"]]
    theirs = tracked["euler"].double().numpy()[ids]
    plain = (
        np.abs((theirs[:, 1] + np.pi) % (2 * np.pi) - np.pi) < np.pi / 2
    )  # others: the same turn, told by other angles
    assert plain.mean() > 0.5
    assert np.abs(np.exp(1j * euler[plain]) - np.exp(1j * theirs[plain])).max() < 1e-6
    assert np.abs(trans * 10 - tracked["trans"].double().numpy()[ids]).max() < 1e-5


def test_any_rotation_survives_the_angles():
    rng = np.random.default_rng(2)
    matrices = camera_to_world(rng.uniform(-1.5, 1.5, (50, 3)) + [np.pi, 0, 0], rng.normal(0, 5, (50, 3)))
    euler, trans = records.euler_angles(matrices)
    assert np.abs(camera_to_world(euler, 10 * trans) - matrices).max() < 1e-12


@pytest.mark.parametrize(
    ("name", "file", "unit"), [("er-nerf", "track_params.pt", 10), ("degstalk", "bundle_adjustment.pt", 1)]
)
def test_transforms_can_come_from_the_trackers_file(name, file, unit, own_toy, tmp_path):
    before = subject_for(name, own_toy)
    export(before, get(name), tmp_path / "there")
    tracked = torch.load(tmp_path / "there" / file, weights_only=True)
    assert tracked["trans"][0, 2].item() == pytest.approx(-0.84 * unit, rel=1e-6)
    for split in records.SPLITS:
        (tmp_path / "there" / split).unlink()
    bring(tmp_path / "there", get(name), "again", tmp_path / "again")
    after = Subject(tmp_path / "again")
    assert after.train_ids == list(range(20))  # the field's split, not the toy's
    assert after.frame(3).camera.fx == pytest.approx(before.frame(3).camera.fx)
    for i in after.ids:
        assert np.abs(after.camera(i).viewmat - before.camera(i).viewmat).max() < 1e-6


def test_names_and_spellings_are_the_official_ones(own_toy, tmp_path):
    before = subject_for("degstalk", own_toy)
    for name, blank in (("talkinggaussian", True), ("degstalk", False), ("er-nerf", True)):
        there = tmp_path / name
        export(before, get(name), there)
        columns = list(pd.read_csv(there / "au.csv").columns)
        assert (" AU45_r" in columns) == blank
        assert ("AU45_r" in columns) != blank
        assert (there / "aud_ds.npy").exists()
    assert {p.name for p in (tmp_path / "degstalk").iterdir()} >= {
        "bg",
        "3dmm.pt",
        "torso_imgs",
        "gt_imgs",
        "teeth_mask",
    }
    smirk = torch.load(tmp_path / "degstalk/3dmm.pt", weights_only=True)
    assert smirk["expression_params"].shape == (22, 50)
    export(before, get("ad-nerf"), tmp_path / "ad")
    assert np.array_equal(np.load(tmp_path / "ad/aud.npy"), WINDOWS)
    rect = json.loads((tmp_path / "ad/transforms_train.json").read_text())["frames"][0]["face_rect"]
    assert rect == [13, 2, 38, 50]  # centre (32, 27), half sizes int(13 · 1.5) and int(22 · 1.15)
    config = dict(line.split(" = ") for line in (tmp_path / "ad/HeadNeRF_config.txt").read_text().splitlines())
    assert config["datadir"] == str(tmp_path / "ad")
    assert float(config["near"]) == pytest.approx(0.84 - 0.2)


def test_pictures_are_what_the_scripts_make(own_toy, tmp_path):
    before = subject_for("degstalk", own_toy)
    export(before, get("talkinggaussian"), tmp_path / "tg")
    export(before, get("er-nerf"), tmp_path / "er")
    export(before, get("degstalk"), tmp_path / "dt")
    frame = before.frame(5)

    def read(path: str) -> np.ndarray:
        return np.asarray(Image.open(tmp_path / path))

    # over the plate, the cut-out is the canvas that TalkingGaussian draws on
    torso = read("tg/torso_imgs/5.png")
    canvas = np.where(torso[..., 3:] > 0, torso[..., :3], before.background)
    assert set(np.unique(torso[..., 3])) == {0, 255}
    assert np.array_equal(canvas, frame.torso_canvas)
    assert np.array_equal(read("dt/bg/5.png"), frame.hair_canvas)
    assert np.abs(read("er/gt_imgs/5.jpg").astype(int) - frame.background_pasted).mean() < 4
    # colours: hair and mouth apart, together, with the ears
    at = {index: tuple(np.argwhere(frame.labels == index)[0]) for index in (classes.HAIR, classes.INNER_MOUTH, 7, 16)}
    expected = {
        "tg": ((0, 0, 0), (100, 100, 100), (0, 0, 255), (255, 0, 0)),
        "er": ((0, 0, 255), (0, 0, 255), (0, 0, 255), (255, 0, 0)),
        "dt": ((0, 0, 0), (100, 100, 100), (0, 0, 0), (255, 0, 0)),
    }
    for name, wanted in expected.items():
        assert tuple(tuple(read(f"{name}/parsing/5.png")[where]) for where in at.values()) == wanted


def test_hair_hides_the_torso_where_hair_is_head():
    image = np.full((40, 40, 3), 200, np.uint8)
    labels = np.zeros((40, 40), np.uint8)
    labels[25:], labels[10:25, 10:30] = classes.CLOTH, classes.HAIR
    plate = np.zeros_like(image)
    merged = np.where(labels == classes.HAIR, classes.SKIN, labels).astype(np.uint8)
    assert plates.torso(image, labels, plate, "darken")[1].sum() == 15 * 40
    assert plates.torso(image, merged, plate, "darken")[1].sum() == 15 * 40 + 8 * 20


def test_inner_face_is_soft_at_its_edge_and_grows_below_the_chin():
    labels = np.zeros((512, 512), np.uint8)
    labels[100:300, 150:350] = classes.SKIN
    mask = (255 - pictures.inner_face(labels)[..., 1].astype(float)) / 255
    assert mask[200, 250] == 1
    assert mask[50, 250] == 0
    assert mask[200, 144:156].tolist() == sorted(mask[200, 144:156])
    assert mask[200, 149:151] == pytest.approx([0.435, 0.565], abs=0.01)  # spec_synctalk §2.3
    assert mask[302, 250] > 0.9
    assert mask[305, 160] < 0.01
    assert pictures.inner_face(np.zeros((64, 48), np.uint8)).tolist() == np.full((64, 48, 3), 255).tolist()


def test_what_cannot_be_made_is_named_and_nothing_is_written(own_toy, tmp_path):
    toy = Subject(own_toy)  # mel only, coefficients of a kind of its own
    found = {lack.files: lack for lack in lacks(toy, get("degstalk"))}
    assert "arkit, which DEGSTalk's nets don't take; data_utils/smirk/process_video.py" in found["3dmm.pt"].why
    assert "extract_ds_features.py" in found["aud_ds.npy or aud_hu.npy"].why
    with pytest.raises(
        AbsentError, match=r"lacks 3dmm.pt: .* \(also: aud_ds.npy or aud_hu.npy\); --partial writes the rest"
    ):
        export(toy, get("degstalk"), tmp_path / "dt")
    assert list(tmp_path.glob("*dt*")) == []
    made = export(toy, get("degstalk"), tmp_path / "dt", partial=True)
    assert "3dmm.pt" not in made.files
    assert not (tmp_path / "dt/3dmm.pt").exists()
    signed = json.loads((tmp_path / "dt/exported.json").read_text())
    assert set(signed["missing"]) == {"3dmm.pt", "aud_ds.npy or aud_hu.npy"}
    with pytest.raises(DataError, match="is there already"):
        export(toy, get("er-nerf"), tmp_path / "dt", partial=True)


def test_an_incomplete_folder_says_which_command_makes_the_rest(own_toy, tmp_path):
    export(subject_for("er-nerf", own_toy), get("er-nerf"), tmp_path / "there")
    for name in ("au.csv", "ori_imgs/7.lms", "parsing/3.png"):
        (tmp_path / "there" / name).unlink()
    with pytest.raises(
        AbsentError, match=r"ori_imgs/<id>.lms: missing \(1 of 22, first 7\); `.*--task 7` makes them \(also: "
    ):
        bring(tmp_path / "there", get("er-nerf"), "x", tmp_path / "x")
    assert not (tmp_path / "x").exists()
    made = bring(tmp_path / "there", get("er-nerf"), "x", tmp_path / "x", partial=True)
    assert {lack.files for lack in made.lacks if lack.needed} == {"ori_imgs/<id>.lms", "parsing/<id>.png", "au.csv"}
    assert (tmp_path / "x/bc.jpg").exists()


def test_gt_imgs_stand_in_for_frames_and_it_is_said(own_toy, tmp_path):
    export(subject_for("talkinggaussian", own_toy), get("talkinggaussian"), tmp_path / "there")
    for path in (tmp_path / "there/ori_imgs").glob("*.jpg"):
        path.unlink()
    made = bring(tmp_path / "there", get("talkinggaussian"), "x", tmp_path / "x")
    assert any("plate stands behind" in note for note in made.notes)
    assert Subject(tmp_path / "x").meta["provenance"]["ori_imgs/*.jpg"] == "gt_imgs/ of there, unchanged"


def test_sound_is_made_mono_or_refused(own_toy, tmp_path):
    before = subject_for("er-nerf", own_toy)
    export(before, get("er-nerf"), tmp_path / "there")
    (tmp_path / "there/aud_ds.npy").unlink()
    left = np.arange(1000, dtype="<i2")
    with wave.open(str(tmp_path / "there/aud.wav"), "wb") as out:
        out.setparams((2, 2, 16000, 0, "NONE", ""))
        out.writeframes(np.stack([left, -left], 1).tobytes())
    bring(tmp_path / "there", get("er-nerf"), "x", tmp_path / "x")
    with wave.open(str(tmp_path / "x/aud.wav")) as sound:
        assert sound.getnchannels() == 1
        assert np.array_equal(np.frombuffer(sound.readframes(1000), "<i2"), left)
    with wave.open(str(tmp_path / "there/aud.wav"), "wb") as out:
        out.setparams((1, 2, 44100, 0, "NONE", ""))
        out.writeframes(left.tobytes())
    with pytest.raises(AbsentError, match="44100 Hz and 16 bit, not 16000 Hz"):
        bring(tmp_path / "there", get("er-nerf"), "y", tmp_path / "y")


@pytest.mark.parametrize(
    ("key", "layout"),
    [
        ("eo", "rad-nerf"),
        ("eo", "er-nerf"),
        ("eo", "talkinggaussian"),
        ("eo", "synctalk"),
        ("ave", "synctalk"),
        ("hu", "degstalk"),
    ],
)
def test_other_audio_features_go_out_and_come_in(own_toy, tmp_path, key, layout):
    subject_for(layout, own_toy)
    (own_toy / "aud_ds.npy").unlink()
    kind = next(kind for kind in audio.KINDS if kind.key == key)
    rows = np.random.default_rng(2).normal(size=(22, *kind.window)).astype(np.float32)
    np.save(own_toy / kind.file, rows)
    there = tmp_path / "there"
    export(Subject(own_toy), get(layout), there)
    assert np.array_equal(np.load(there / kind.file), rows)
    shutil.copyfile(own_toy / "au.csv", there / "au.csv")  # RAD-NeRF's has none
    bring(there, get(layout), "again", tmp_path / "again")
    after = Subject(tmp_path / "again")
    assert after.audio_kind == key
    assert np.array_equal(after.audio_features, rows)


def test_features_of_any_kind_stand_in_for_sound(own_toy, tmp_path):
    export(subject_for("er-nerf", own_toy), get("er-nerf"), tmp_path / "there")
    for name in ("aud_ds.npy", "aud.wav"):
        (tmp_path / "there" / name).unlink()
    np.save(tmp_path / "there/aud_ave.npy", np.zeros((22, 1, 512)))
    bring(tmp_path / "there", get("er-nerf"), "again", tmp_path / "again")
    assert Subject(tmp_path / "again").audio_kind == "ave"


def test_links_share_bytes_and_copies_do_not(own_toy, tmp_path):
    before = subject_for("talkinggaussian", own_toy)
    export(before, get("talkinggaussian"), tmp_path / "there")
    bring(tmp_path / "there", get("talkinggaussian"), "l", tmp_path / "l", link=True)
    bring(tmp_path / "there", get("talkinggaussian"), "c", tmp_path / "c")
    there = tmp_path / "there/ori_imgs/0.jpg"
    assert (tmp_path / "l/ori_imgs/0.jpg").samefile(there)
    assert not (tmp_path / "c/ori_imgs/0.jpg").samefile(there)


def test_unknown_and_strange_folders(own_toy, tmp_path):
    with pytest.raises(UsageError, match="unknown format 'ernerf': did you mean 'er-nerf'"):
        get("ernerf")
    (tmp_path / "photos").mkdir()
    with pytest.raises(DataError, match="layout of none of ad-nerf"):
        detect(tmp_path / "photos")
    with pytest.raises(DataError, match="is a subject folder already"):
        bring(own_toy, get("er-nerf"), "x", tmp_path / "x")
    export(subject_for("er-nerf", own_toy), get("er-nerf"), tmp_path / "there")
    (tmp_path / "there/transforms_val.json").unlink()
    (tmp_path / "there/track_params.pt").write_bytes(b"no tensors")
    with pytest.raises(DataError, match="not a tracker's file"):
        bring(tmp_path / "there", get("er-nerf"), "x", tmp_path / "x")


def test_every_colour_is_read_back_by_our_reader(tmp_path):
    for table in (colours.HEADS, colours.TALKINGGAUSSIAN, colours.DEGSTALK):
        path = tmp_path / "p.png"
        Image.fromarray(colours.paint(np.arange(19, dtype=np.uint8)[None], table)).save(path)
        assert classes.load(path).max() <= classes.HAIR


def test_blendshapes_keep_their_places():
    values = np.arange(52, dtype=np.float32)[None] / 52
    expression, eyelid = np.delete(values, [8, 9], 1), values[:, 8:10]
    again = records.to_blendshapes(expression, eyelid)
    assert np.array_equal(again[0, :51], values[0, :51])
    assert again[0, 51] == 0


def test_action_units_without_a_frame_column(own_toy, tmp_path):
    """pandas, as the official loaders use it, finds the blank before the first column, too."""
    export(subject_for("er-nerf", own_toy), get("er-nerf"), tmp_path / "there")
    assert " AU01_r" in pd.read_csv(tmp_path / "there/au.csv").columns
    assert tables.read_action_units(tmp_path / "there/au.csv", 22).lips_part.shape == (22,)
