"""LSE-C and LSE-D without SyncNet's real weights, which can't be passed on: every step before and after the network, and its shape."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from bench import landmarks, video, weights
from bench.errors import AbsentError, RecordError
from bench.metrics import Batch, Settings, Undefined, lse, syncnet
from bench.metrics.lse import COLUMNS, METRICS, crop, distances, face_box, lse_c, lse_d, offset, sound_features
from bench.metrics.mfcc import mfcc

LSE_C, LSE_D = METRICS


# ---------------------------------------------------------------- from features to scores


def rows_of(lips: np.ndarray, heard: np.ndarray) -> np.ndarray:
    return np.array([distances(feature, heard, i) for i, feature in enumerate(lips)])


@pytest.mark.parametrize("late", [-15, -4, 0, 1, 5, 15])
def test_a_shifted_copy_is_found_at_its_offset(late: int) -> None:
    """Pictures ``late`` frames after their sound: distance 0 there, about sqrt(2·64) elsewhere."""
    everything = np.random.default_rng(0).normal(size=(260, 64))
    heard, lips = everything[30:230], everything[30 - late : 230 - late]
    rows = rows_of(lips, heard)[20:-20]  # away from the ends, where zeros stand in
    assert rows.shape == (160, 31)
    assert offset(rows) == late
    assert lse_d(rows) == pytest.approx(0.0, abs=1e-9)
    assert lse_c(rows) == pytest.approx(np.sqrt(128), rel=0.02)


def test_distances_are_those_of_the_official_loop() -> None:
    """Written out as syncnet_python computes them: padded features, one frame after the other."""
    rng = np.random.default_rng(1)
    lips, heard = rng.normal(size=(40, 16)), rng.normal(size=(40, 16))
    padded = torch.nn.functional.pad(torch.from_numpy(heard), (0, 0, 15, 15))
    expected = [
        torch.nn.functional.pairwise_distance(torch.from_numpy(lips[[i]]).repeat(31, 1), padded[i : i + 31])
        for i in range(40)
    ]
    rows = rows_of(lips, heard)
    np.testing.assert_allclose(rows, torch.stack(expected).numpy(), atol=1e-5)
    profile = torch.stack(expected, 1).mean(1)
    assert lse_d(rows) == pytest.approx(float(profile.min()), abs=1e-5)
    assert lse_c(rows) == pytest.approx(float(profile.median() - profile.min()), abs=1e-5)
    assert offset(rows) == 15 - int(profile.argmin())


def test_rows_without_a_window_are_left_out() -> None:
    rows = np.random.default_rng(2).uniform(5, 15, (50, 31))
    holes = np.insert(rows, [0, 0, 20, 50], np.nan, axis=0)
    for statistic in (lse_c, lse_d):
        assert statistic(holes) == pytest.approx(statistic(rows), abs=1e-12)
        assert np.isnan(statistic(np.full((9, 31), np.nan)))
        np.testing.assert_allclose(
            statistic.of(np.stack([rows, rows[::-1] + 1])), [statistic(rows), statistic(rows + 1)]
        )
    assert offset(holes) == offset(rows)


# ---------------------------------------------------------------- from files to windows


def test_mfcc_are_those_of_python_speech_features() -> None:
    """First and last row of a chirp by that package, version 0.6, printed to six digits."""
    chirp = np.round(8000 * np.sin(np.arange(2000) ** 1.3 / 40))
    found = mfcc(chirp)
    assert found.shape == (11, 13)
    np.testing.assert_allclose(
        found[[0, -1]],
        [
            [18.860087, 25.645773, 9.277786, -7.911169, -23.034042, -31.440131, -29.644393, -21.154969, -9.17284,
             0.525414, 6.19668, 5.957798, 2.525575],
            [20.190979, 26.490098, -10.47199, -32.420563, -27.799569, -2.844569, 21.505071, 24.137477, 5.475961,
             -17.440536, -24.421427, -13.526828, 3.210478],
        ],
        atol=2e-6,
    )  # fmt: skip
    assert [len(mfcc(np.ones(n))) for n in (300, 400, 401, 16000)] == [1, 1, 2, 99]
    assert np.isfinite(mfcc(np.zeros(1000))).all()


def test_face_box_and_crop_follow_the_official_geometry() -> None:
    """A face of 40×60 px is raised to 72 px; the square reaches from its top 1.4·72 px down and is centred across."""
    points = np.full((68, 2), 128.0)
    points[0], points[1], points[2], points[3] = (108, 130), (148, 130), (128, 100), (128, 160)
    box = face_box(points)
    np.testing.assert_allclose(box, [128, 124, 36])
    rows, columns = np.mgrid[0:256, 0:256]
    frame = np.stack([rows, columns, np.full_like(rows, 9)], -1).astype(np.uint8)
    found = crop(frame[None], box)[0].astype(float)
    assert found.shape == (224, 224, 3)
    middles = (np.arange(224) + 0.5) / 224  # of 100 rows from 88 on, 101 columns from 77 on
    np.testing.assert_allclose(found[1:-1, 5, 0], (88 + middles * 100 - 0.5)[1:-1], atol=0.75)
    np.testing.assert_allclose(found[7, 1:-1, 1], (77 + middles * 101 - 0.5)[1:-1], atol=0.75)
    edge = crop(frame[None], np.array([2.0, 2.0, 36.0]))[0]
    assert (edge[:60, :60] == 110).all()  # beyond the picture
    assert (edge[-20:, -20:, 2] == 9).all()
    assert np.isnan(face_box(points * np.nan)).all()


class Telling:
    """In SyncNet's place: a feature says which frame its window begins with, read from the pictures or from the sound."""

    def lips(self, pictures: np.ndarray) -> np.ndarray:
        return self._feature(float(pictures[0, :, :, 0].mean()) / 2)

    def sound(self, coefficients: np.ndarray) -> np.ndarray:
        assert coefficients.shape == (20, 13)
        return self._feature(float(coefficients[0, 0]))

    def _feature(self, place: float) -> np.ndarray:
        return np.r_[100 * place, np.zeros(1023)].astype(np.float32)


@pytest.fixture
def telling(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Sound of 60 frames; its first coefficient is the frame's number; the detector finds one still face."""
    face = np.random.default_rng(0).uniform(20, 40, (68, 2)).astype(np.float32)
    detector = SimpleNamespace(name="still", version="1", detect=lambda frame: face if frame[0, 0, 2] else None)
    monkeypatch.setattr(landmarks, "get", lambda name, device: detector)
    monkeypatch.setattr(syncnet, "load", lambda device: Telling())
    monkeypatch.setattr(lse, "mfcc", lambda samples: np.repeat(np.arange(60.0), 4)[:-1, None] * np.ones(13))
    video.write_audio(tmp_path / "a.wav", np.zeros(60 * 640, np.float32), 16000)
    return tmp_path / "a.wav"


def numbered(count: int, late: int = 0) -> np.ndarray:
    """Frames whose red says which one they are (twice); their blue says that there is a face."""
    frames = np.full((count, 64, 64, 3), 1, np.uint8)
    frames[..., 0] = 2 * np.arange(count).clip(late)[:, None, None] - 2 * late
    return frames


def scored(frames: np.ndarray, heard: Path, size: int = 8, ids: tuple[int, ...] = ()) -> np.ndarray:
    scorer = LSE_D.open(Settings(sound=heard))
    batches = [
        Batch(frames[a : a + size], frames[a : a + size], ids=ids[a : a + size]) for a in range(0, len(frames), size)
    ]
    return np.concatenate([scorer.per_frame(batch)["full"] for batch in batches])


def test_windows_and_sound_begin_with_the_same_frame(telling: Path) -> None:
    rows = scored(numbered(60), telling)
    assert rows.shape == (60, 31)
    # The first four frames end no window; the last one's sound is one row of MFCC short, as in the official script.
    assert np.flatnonzero(np.isnan(rows[:, 0])).tolist() == [0, 1, 2, 3, 59]
    assert offset(rows) == 0
    assert np.nanmax(rows[:, 15]) == 0
    assert offset(scored(numbered(60, late=3), telling)[20:]) == 3


def test_windows_do_not_depend_on_the_batch(telling: Path) -> None:
    rows = [scored(numbered(60), telling, size) for size in (60, 8, 1)]
    assert np.array_equal(rows[0], rows[1], equal_nan=True)
    assert np.array_equal(rows[0], rows[2], equal_nan=True)


def test_windows_do_not_reach_over_gaps(telling: Path) -> None:
    ids = (*range(100, 120), *range(300, 340))
    rows = scored(numbered(60), telling, ids=ids)
    assert np.flatnonzero(np.isnan(rows[:, 0])).tolist() == [0, 1, 2, 3, 20, 21, 22, 23, 59]


def test_a_window_needs_faces(telling: Path) -> None:
    frames = numbered(60)
    frames[30:32, ..., 2] = 0  # two frames without one: the others of the window say where it is
    assert np.flatnonzero(np.isnan(scored(frames, telling)[4:59, 0])).tolist() == []
    frames[32, ..., 2] = 0
    assert np.flatnonzero(np.isnan(scored(frames, telling)[:, 0])).tolist() == [0, 1, 2, 3, 32, 33, 34, 59]


def test_sound_features_of_real_sound() -> None:
    """13 MFCC rows a window would do for no network: they are 20, every 4; short sound has none."""
    seen = []
    embedder: Any = SimpleNamespace(sound=lambda c: seen.append(c) or np.zeros(1024, np.float32))
    noise = np.random.default_rng(0).normal(0, 0.1, 640 * 12).astype(np.float32)
    found = sound_features(noise, embedder)
    assert found.shape == (7, 1024)  # 12 frames: syncnet_python's min_length - 5
    np.testing.assert_allclose(seen[3], mfcc(np.rint(noise.astype(np.float64) * 32768))[12:32])
    assert sound_features(noise[:3000], embedder).shape == (0, 1024)


# ---------------------------------------------------------------- the network


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    """Random weights, as the authors' file lays them out."""
    torch.manual_seed(0)
    return syncnet.SyncNet().state_dict()


@pytest.fixture
def placed(offline: Path, state: dict[str, torch.Tensor], monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Those weights where the real ones belong; the registered hash is not theirs, so it is taken out."""
    monkeypatch.setitem(weights.REGISTRY, syncnet.WEIGHTS, replace(weights.get(syncnet.WEIGHTS), sha256=None))
    target = weights.get(syncnet.WEIGHTS).path
    target.parent.mkdir(parents=True)
    torch.save(state, target, _use_new_zipfile_serialization=False)  # as old as the authors' file
    yield target
    syncnet._load.cache_clear()


def test_layers_are_those_of_the_authors_file(state: dict[str, torch.Tensor]) -> None:
    shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
    assert {name.split(".")[0] for name in shapes} == {"netcnnaud", "netfcaud", "netcnnlip", "netfclip"}
    for name, shape in {
        "netcnnaud.0.weight": (64, 1, 3, 3), "netcnnaud.4.weight": (192, 64, 3, 3), "netcnnaud.8.bias": (384,),
        "netcnnaud.14.weight": (256, 256, 3, 3), "netcnnaud.18.weight": (512, 256, 5, 4), "netcnnaud.19.running_var": (512,),
        "netcnnlip.0.weight": (96, 3, 5, 7, 7), "netcnnlip.4.weight": (256, 96, 1, 5, 5), "netcnnlip.8.weight": (256, 256, 1, 3, 3),
        "netcnnlip.14.weight": (256, 256, 1, 3, 3), "netcnnlip.18.weight": (512, 256, 1, 6, 6), "netfclip.1.weight": (512,),
        "netfcaud.0.weight": (512, 512), "netfclip.3.weight": (1024, 512),
    }.items():  # fmt: skip
        assert shapes[name] == shape, name
    # The published file has 54 573 114 bytes: the numbers, and some 100 for each tensor's name and shape.
    stored = sum(4 * tensor.numel() for name, tensor in state.items() if not name.endswith("tracked"))
    assert 0 < weights.get(syncnet.WEIGHTS).size - stored < 200 * len(state)


def test_features_have_1024_numbers_and_are_computed_once(placed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    embedder = syncnet.load()
    rng = np.random.default_rng(0)
    pictures, coefficients = rng.integers(0, 256, (5, 224, 224, 3), dtype=np.uint8), rng.normal(size=(20, 13))
    lips, heard = embedder.lips(pictures), embedder.sound(coefficients)
    assert lips.shape == heard.shape == (1024,)
    assert np.isfinite(lips).all()
    with torch.inference_mode():
        bgr = torch.from_numpy(pictures[..., ::-1].copy()).permute(3, 0, 1, 2)[None].float()
        expected = embedder._network.lips(bgr)[0].numpy()
    np.testing.assert_allclose(lips, expected, rtol=1e-5, atol=1e-6)
    monkeypatch.setattr(embedder, "_network", SimpleNamespace(lips=None, sound=None))
    assert embedder.lips(pictures) is lips
    assert syncnet.load() is embedder


def test_lse_from_end_to_end_with_random_weights(placed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    face = np.random.default_rng(0).uniform(20, 40, (68, 2)).astype(np.float32)
    detector = SimpleNamespace(name="still", version="1", detect=lambda frame: face)
    monkeypatch.setattr(landmarks, "get", lambda name, device: detector)
    noise = np.random.default_rng(1).normal(0, 0.1, 9 * 640).astype(np.float32)
    heard = placed.with_name("a.wav")
    video.write_audio(heard, noise, 16000)
    frames = np.random.default_rng(2).integers(0, 256, (9, 64, 64, 3), dtype=np.uint8)
    rows, signatures = [], []
    for metric in METRICS:
        scorer = metric.open(Settings(sound=heard))
        rows.append(scorer.per_frame(Batch(frames, frames))["full"])
        signatures.append(str(metric.signature(scorer, (4, 9))))
        assert np.isfinite(metric.statistic(rows[-1]))
    assert rows[0].shape == (9, len(COLUMNS))
    assert np.array_equal(rows[0], rows[1], equal_nan=True)
    assert signatures[1] == (
        "LSE-D|canvas:own|region:full|agg:min|quant:u8-round|src:lossless|net:syncnet-v2|det:still-1|crop:lm+0.2-0.4-med5|"
        "shift:15|pad:zero|v:1|n:4/9"
    )


def test_what_is_missing_is_named(offline: Path) -> None:
    heard = offline / "a.wav"
    for settings, reason in (
        (Settings(sound=heard, fps=30), "SyncNet knows 25 frames a second only, these are 30"),
        (Settings(), "no sound.*--sound FILE"),
        (Settings(sound=heard), "the model file of syncnet-v2 is not here: bench weights fetch syncnet-v2"),
    ):
        for metric in METRICS:
            with pytest.raises((AbsentError, Undefined), match=reason):
                metric.open(settings)


@pytest.mark.parametrize("fault", ["text", "tensor", "too many", "missing", "shape"])
def test_another_file_is_refused(placed: Path, state: dict[str, torch.Tensor], fault: str) -> None:
    wrong = dict(state)
    if fault == "too many":
        wrong["netcnnlip.99.weight"] = torch.zeros(3)
    elif fault == "missing":
        del wrong["netfclip.3.bias"]
    elif fault == "shape":
        wrong["netfclip.3.bias"] = torch.zeros(3)
    torch.save(torch.zeros(4) if fault == "tensor" else wrong, placed)
    if fault == "text":
        placed.write_text("<html>404</html>")
    with pytest.raises(RecordError, match=r"doesn't hold SyncNet v2 \(.*bench weights fetch syncnet-v2 --from FILE"):
        syncnet.load()


def test_a_file_from_before_batch_counters_loads(placed: Path, state: dict[str, torch.Tensor]) -> None:
    torch.save({name: t for name, t in state.items() if not name.endswith("num_batches_tracked")}, placed)
    syncnet.load()


def test_loading_leaves_the_random_state_alone(placed: Path) -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    syncnet.load()
    assert torch.equal(before, torch.get_rng_state())
