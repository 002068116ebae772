"""Where coefficients, action units and audio features come from, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from bench import catalogue, weights
from bench.errors import AbsentError, DataError
from bench.prepare import blendshapes, coefficients, features, units
from bench.prepare.steps import Job, Options
from bench.tables import read_coefficients

FRAMES = 33


def options(tmp_path: Path, **given: Path) -> Options:
    return Options(tmp_path / "v.mp4", "x", tmp_path, **given)


def job(tmp_path: Path, frames: int = FRAMES, **given: Path) -> Job:
    """A job whose frames step says it has made so many frames."""
    (tmp_path / ".prepare").mkdir(exist_ok=True)
    (tmp_path / ".prepare/frames.json").write_text(f'{{"facts": {{"frames": {frames}, "size": [64, 64]}}}}')
    return Job(options(tmp_path, **given), lambda items, what, total: items)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))


def smirk(path: Path, rows: int = FRAMES, **change: Any) -> Path:
    """A file as SMIRK's script writes it."""
    torch.manual_seed(0)
    widths = {"pose": 3, "cam": 3, "shape": 300, "expression": 50, "jaw": 3}
    data = {f"{name}_params" if name != "cam" else name: torch.randn(rows, width) for name, width in widths.items()}
    data["eyelid_params"] = torch.rand(rows, 2)
    torch.save({k: v for k, v in (data | change).items() if v is not None}, path)
    return path


def test_smirks_file_is_taken_in(tmp_path: Path) -> None:
    file = smirk(tmp_path / "3dmm.pt", FRAMES + 1)
    made = coefficients.run(job(tmp_path, coefficients=file))
    found = read_coefficients(tmp_path, FRAMES)
    data = torch.load(file, weights_only=True)
    assert found.kind == made.facts["coefficients"] == "smirk"
    assert found.expression.shape == (FRAMES, 50)
    assert np.array_equal(found.shape, data["shape_params"][:FRAMES].numpy())
    assert np.array_equal(found.eyelid, data["eyelid_params"][:FRAMES].numpy())
    assert made.provenance["coefficients.npz"].startswith("smirk: 3dmm.pt (SMIRK)")


@pytest.mark.parametrize(
    ("rows", "change", "message"),
    [
        (FRAMES - 1, {}, "32 rows, the video has 33 frames at 25 fps"),
        (FRAMES * 2, {}, "66 rows"),
        (FRAMES, {"jaw_params": None}, "lacks 'jaw_params'"),
        (FRAMES, {"jaw_params": torch.zeros(FRAMES, 6)}, r"jaw_params has shape \(33, 6\), expected \[33, 3\]"),
        (FRAMES, {"expression_params": torch.full((FRAMES, 50), torch.nan)}, "expression_params holds infinite"),
        (FRAMES, {"jaw_params": torch.zeros(FRAMES - 9, 3)}, r"jaw_params has shape \(24, 3\)"),
    ],
)
def test_a_smirk_file_that_does_not_fit_is_refused(tmp_path: Path, rows: int, change: dict, message: str) -> None:
    file = smirk(tmp_path / "3dmm.pt", rows, **change)
    with pytest.raises(DataError, match=message) as caught:
        coefficients.run(job(tmp_path, coefficients=file))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "coefficients.npz").exists()


def test_the_best_source_is_chosen(tmp_path: Path) -> None:
    assert coefficients.choose(options(tmp_path)).kind == "mesh-pca"
    entry = weights.get("face-landmarker")
    entry.path.parent.mkdir(parents=True)
    entry.path.write_bytes(b"cut off")
    with pytest.raises(AbsentError, match="is not face-landmarker"):
        coefficients.choose(options(tmp_path))
    with pytest.raises(DataError, match=r"--coefficients takes SMIRK's 3dmm\.pt"):
        coefficients.choose(options(tmp_path, coefficients=tmp_path / "none.pt"))
    assert coefficients.choose(options(tmp_path, coefficients=smirk(tmp_path / "3dmm.pt"))).kind == "smirk"


def test_blendshapes_become_coefficients_and_units() -> None:
    table = np.full((60, 52), 0.2, np.float32)
    column = {name: k for k, name in enumerate(blendshapes.NAMES)}
    table[30:33, column["eyeBlinkLeft"]] = 0.7
    table[40:, column["jawOpen"]] = 0.5
    table[40:, column["jawLeft"]] = 0.3
    table[50:, column["browDownLeft"]] = table[50:, column["browDownRight"]] = 0.6
    found, _ = coefficients.from_blendshapes(table, 54)
    assert found.kind == "arkit"
    assert found.expression.shape == (60, 50)
    assert (found.eyelid[30:33] == [1, 0]).all()
    assert found.eyelid[:30].max() == 0
    assert found.jaw[45].tolist() == pytest.approx([0.5, 0.1, 0.2])
    au = units.from_blendshapes(found.expression, found.eyelid, 54)
    assert list(au) == ["AU04_r", "AU05_r", "AU07_r", "AU45_r"]
    assert au["AU04_r"].iloc[55] == pytest.approx(2.5)  # half the way from rest (0.2) to 1
    assert au["AU04_r"].iloc[:50].max() == pytest.approx(0, abs=1e-6)
    assert au["AU45_r"].iloc[31] == pytest.approx(1.25)


def test_names_are_those_of_the_embedded_subjects(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BENCH_HOME")
    truth = np.load(catalogue.resolve("ada").root / "truth.npz")
    assert tuple(truth["arkit_names"].tolist()) == blendshapes.NAMES


def test_the_landmarker_sees_blinks_and_the_jaw(parser: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ada's first 100 frames against the exact coefficients."""
    monkeypatch.delenv("BENCH_HOME")
    model = parser.parent / "face_landmarker.task"
    if not model.exists():
        pytest.skip(f"no face landmarker: {model} is absent")
    subject = catalogue.resolve("ada")
    truth = np.load(subject.root / "truth.npz")["arkit"][:100]
    table, found = blendshapes.detect(model, (subject.frame(i).image for i in range(100)))
    assert found.all()
    ours, _ = coefficients.from_blendshapes(table, 90)
    blink = truth[:, [8, 9]].mean(1)
    assert np.corrcoef(ours.eyelid.mean(1), blink)[0, 1] > 0.9
    assert np.corrcoef(ours.jaw[:, 0], truth[:, 24])[0, 1] > 0.6
    blank = [np.zeros((64, 48, 3), np.uint8)] * 2
    table, found = blendshapes.detect(model, blank)
    assert not found.any()
    assert np.isnan(table).all()


def test_a_file_that_is_no_landmarker(tmp_path: Path) -> None:
    (tmp_path / "x.task").write_bytes(b"x" * 100)
    with pytest.raises(DataError, match="not a face landmarker"):
        blendshapes.detect(tmp_path / "x.task", [])


def test_pictures_are_padded_not_stretched() -> None:
    picture = np.full((30, 20, 3), 7, np.uint8)
    square = blendshapes.square(picture)
    assert square.shape == (30, 30, 3)
    assert (square[:, :20] == 7).all()
    assert (square[:, 20:] == 0).all()


def save(path: Path, *shape: int) -> Path:
    rows = np.arange(shape[0], dtype=np.float32).reshape(-1, *[1] * (len(shape) - 1))
    np.save(path, np.broadcast_to(rows, shape))
    return path


@pytest.mark.parametrize(
    ("shape", "file", "first"),
    [
        ((FRAMES, 16, 29), "aud_ds.npy", [0, 1, 2]),
        ((FRAMES + 2, 16, 29), "aud_ds.npy", [0, 1, 2]),
        ((FRAMES, 2, 1024), "aud_hu.npy", [0, 1, 2]),
        ((FRAMES, 16, 44), "aud_eo.npy", [0, 1, 2]),
        ((FRAMES + 1, 1, 512), "aud_ave.npy", [0, 1, 2]),  # as SyncTalk's loader holds them
        ((FRAMES - 3, 512), "aud_ave.npy", [0, 0, 0, 1]),  # as its encoder gives them
    ],
)
def test_audio_features_are_taken_in(tmp_path: Path, shape: tuple[int, ...], file: str, first: list[int]) -> None:
    made = features.run(job(tmp_path, features=save(tmp_path / "given.npy", *shape)))
    rows = np.load(tmp_path / file)
    assert len(rows) == FRAMES
    assert rows.ndim == 3
    assert rows[: len(first), 0, 0].tolist() == first
    assert list(made.provenance) == [file]
    assert [p.name for p in tmp_path.glob("aud_*.npy")] == [file]


def test_a_row_too_few_is_filled_with_the_last(tmp_path: Path) -> None:
    _, rows = features.read(save(tmp_path / "x.npy", FRAMES - 2, 16, 29), FRAMES)
    assert rows[-3:, 0, 0].tolist() == [FRAMES - 3] * 3


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((FRAMES, 16, 30), "none of the known features"),
        ((FRAMES,), "none of the known features"),
        ((2 * FRAMES, 16, 29), "66 rows, twice the 33 frames: these are 50 a second"),
        ((FRAMES - 3, 16, 29), "30 rows, the video has 33 frames"),
        ((262, 16, 29), "262 rows, the video has 33 frames"),
        ((0, 16, 29), "0 rows"),
    ],
)
def test_features_of_another_video_are_refused(tmp_path: Path, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(DataError, match=message):
        features.read(save(tmp_path / "x.npy", *shape), FRAMES)


def test_features_are_plain_finite_numbers(tmp_path: Path) -> None:
    np.save(tmp_path / "nan.npy", np.full((FRAMES, 16, 29), np.nan))
    np.save(tmp_path / "object.npy", np.array([{}] * FRAMES, object), allow_pickle=True)
    np.savez(tmp_path / "many.npz", a=np.zeros(3))
    (tmp_path / "text.npy").write_text("text")
    cases = {
        "nan.npy": "infinite",
        "object.npy": "not a plain",
        "many.npz": "several arrays",
        "text.npy": "not a plain",
    }
    for name, message in {**cases, "none.npy": "no such file"}.items():
        with pytest.raises(DataError, match=message):
            features.read(tmp_path / name, FRAMES)
        if name != "nan.npy":  # numbers are looked at later
            with pytest.raises(DataError, match=message):
                features.check(options(tmp_path, features=tmp_path / name))
    features.check(options(tmp_path))


def test_without_features_nothing_is_written(tmp_path: Path) -> None:
    made = features.run(job(tmp_path))
    assert "log-mel" in made.summary
    assert not list(tmp_path.glob("aud*"))


def test_real_deepspeech_windows_have_the_known_shape(obama: Path) -> None:
    kind, rows = features.read(obama / "deepspeech_luther_262x16x29.npy", 262)
    assert (kind.file, rows.shape) == ("aud_ds.npy", (262, 16, 29))


def test_units_come_from_blendshapes_where_there_are_any(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = np.zeros((FRAMES, 52), np.float32)
    table[20:, list(blendshapes.NAMES).index("browDownLeft")] = 1
    found, _ = coefficients.from_blendshapes(table, 30)
    work = job(tmp_path)
    np.savez(
        tmp_path / "coefficients.npz", expression=found.expression, eyelid=found.eyelid, jaw=found.jaw, kind="arkit"
    )
    rng = np.random.default_rng(0)
    np.save(
        tmp_path / ".prepare/mesh.npy", (rng.normal(0, 9, (1, 478, 3)) + np.zeros((FRAMES, 1, 1))).astype(np.float32)
    )
    made = units.run(work)
    au = pd.read_csv(tmp_path / "au.csv")
    assert au["AU04_r"].tolist() == [0] * 20 + [2.5] * 13
    assert "AU04, AU05, AU07, AU45 from ARKit blendshapes" in made.provenance["au.csv"]


def test_the_coefficients_step_bridges_lost_faces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = np.tile(np.linspace(0, 0.4, 100, dtype=np.float32)[:, None], (1, 52))
    table[50] = np.nan
    monkeypatch.setattr(coefficients, "choose", lambda options: coefficients.Source("arkit", tmp_path / "x.task"))
    monkeypatch.setattr(blendshapes, "detect", lambda *_: (table.copy(), np.isfinite(table).all(1)))
    work = job(tmp_path, 100)
    (tmp_path / "ori_imgs").mkdir()
    Image.new("RGB", (64, 64)).save(tmp_path / "ori_imgs/0.jpg")
    made = coefficients.run(work)
    assert read_coefficients(tmp_path, 100).expression[50, 0] == pytest.approx(table[[49, 51], 0].mean())
    assert "1 frames bridged" in made.summary
    table[:3] = np.nan
    with pytest.raises(DataError, match="no face in 4 of 100 frames"):
        coefficients.run(work)
