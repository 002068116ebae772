"""Signatures, states and what scoring refuses."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from bench import landmarks, video
from bench.classes import HAIR
from bench.cli.metrics import command as metrics_command
from bench.cli.score import command as score_command
from bench.errors import DataError, UsageError
from bench.metrics import METRICS, Batch, MetricResult, Settings, Signature, aggregate
from bench.scoring import score
from bench.subject import Subject

FIELD = st.text(
    st.characters(codec="utf-8", exclude_characters="|:", exclude_categories=("Z", "C")), min_size=1, max_size=8
)


@given(FIELD, st.dictionaries(FIELD, FIELD, max_size=8))
def test_signature_round_trip(label: str, parts: dict[str, str]) -> None:
    signature = Signature(label, tuple(parts.items()))
    assert Signature.parse(str(signature)) == signature


@pytest.mark.parametrize(
    "text", ["", "PSNR|", "PSNR|v", "PSNR|v:", "PSNR|:1", "PS NR|v:1", "PSNR|v:1|v:2", "PSNR|v:1:2"]
)
def test_broken_signatures_are_refused(text: str) -> None:
    with pytest.raises(DataError):
        Signature.parse(text)


def test_signature_texts() -> None:
    psnr = _result("psnr", np.zeros((1, 8, 8, 3), np.uint8), src="h264").signature
    assert str(psnr) == "PSNR|canvas:own|region:full|agg:frame-mean|quant:u8-round|src:h264|v:1"
    assert psnr.short() == "PSNR|src:h264|v:1"
    text = "LMD|canvas:own|region:full|agg:frame-mean|quant:u8|src:lossless|det:x-1|pts:48-67|center:mean|norm:px|v:1|n:28/29"
    lmd = Signature.parse(text)
    assert lmd.get("n") == "28/29"
    assert lmd.column() == Signature.parse(text.replace("28/29", "29/29")).column() != lmd


def _result(
    name: str, pred: np.ndarray, gt: np.ndarray | None = None, expected: int | None = None, **shared: str
) -> MetricResult:
    metric = METRICS[name]
    scorer = metric.open(Settings())
    values = scorer.per_frame(Batch(pred, pred if gt is None else gt))["full"]
    return aggregate(metric, scorer, values, expected or len(pred), 0.9, **shared)


def test_identical_frames_are_a_state_and_strict_json() -> None:
    frames = np.zeros((3, 16, 16, 3), np.uint8)
    result = _result("psnr", frames)
    assert (result.value, result.state, result.n, result.n_identical) == (None, "identical", (3, 3), 3)
    text = json.dumps(result.as_json(), allow_nan=False)
    assert json.loads(text)["value"] is None
    assert _result("ssim", frames).value == 1.0


def test_some_identical_frames_are_left_out_and_counted() -> None:
    gt = np.zeros((3, 16, 16, 3), np.uint8)
    pred = gt.copy()
    pred[1] = 51
    result = _result("psnr", pred, gt)
    assert result.value == pytest.approx(-10 * np.log10(0.04))
    assert (result.state, result.n_identical, result.n) == ("ok", 2, (3, 3))


class Blind:
    """A detector that finds a face only in bright frames."""

    name, version = "blind", "1"

    def detect(self, frame: np.ndarray) -> np.ndarray | None:
        return np.full((68, 2), frame[0, 0, 0], np.float32) if frame.mean() > 100 else None


@pytest.mark.parametrize(("dark", "state"), [(1, "ok"), (5, "invalid"), (20, "invalid")])
def test_undetected_faces_are_counted(monkeypatch: pytest.MonkeyPatch, dark: int, state: str) -> None:
    monkeypatch.setattr(landmarks, "get", lambda name, device: Blind())
    frames = np.full((20, 8, 8, 3), 200, np.uint8)
    frames[:dark] = 0
    result = _result("lmd", frames, np.full_like(frames, 210))
    assert (result.state, result.n) == (state, (20 - dark, 20))
    assert (result.value == 0.0) == (state == "ok")
    assert str(result.signature).endswith(f"det:blind-1|pts:48-67|center:mean|norm:px|v:1|n:{20 - dark}/20")
    assert np.isnan(result.per_frame[:dark]).all()


@pytest.fixture
def folders(tmp_path: Path, pair: tuple[np.ndarray, np.ndarray]) -> tuple[Path, Path]:
    """Folders of frames 7, 8, 9: (pred, gt)."""
    for name, frames in zip(("pred", "gt"), pair, strict=True):
        (tmp_path / name).mkdir()
        for number, frame in enumerate(frames, start=7):
            Image.fromarray(frame).save(tmp_path / name / f"{number}.png")
    return tmp_path / "pred", tmp_path / "gt"


def test_videos_and_folders_score_the_same(
    folders: tuple[Path, Path], tmp_path: Path, pair: tuple[np.ndarray, np.ndarray]
) -> None:
    from bench.metrics.psnr import psnr

    names = ["ssim", "psnr"]
    by_name = score(*folders, metrics=names)
    video.write_lossless(tmp_path / "pred.mkv", pair[0], 25)
    mixed = score(tmp_path / "pred.mkv", folders[1], expected_ids=[7, 8, 9], metrics=names)
    assert list(by_name) == names
    assert by_name["psnr"].value == mixed["psnr"].value == pytest.approx(float(psnr(*pair).mean()))
    assert by_name["ssim"].value == mixed["ssim"].value
    assert np.array_equal(by_name["psnr"].per_frame, mixed["psnr"].per_frame)
    assert by_name["psnr"].signature == mixed["psnr"].signature


def test_lossy_sources_are_branded(
    folders: tuple[Path, Path], tmp_path: Path, pair: tuple[np.ndarray, np.ndarray]
) -> None:
    video.write_preview(tmp_path / "pred.mp4", pair[0], 25)
    result = score(tmp_path / "pred.mp4", folders[1], metrics=["psnr"])["psnr"]
    assert result.signature.get("src") == "h264/lossless"
    video.write_preview(tmp_path / "gt.mp4", pair[1], 25)
    assert score(tmp_path / "pred.mp4", tmp_path / "gt.mp4", metrics=["psnr"])["psnr"].signature.get("src") == "h264"


def test_missing_and_extra_frames_are_errors(
    folders: tuple[Path, Path], tmp_path: Path, pair: tuple[np.ndarray, np.ndarray]
) -> None:
    pred, gt = folders
    (pred / "8.png").rename(pred / "18.png")
    with pytest.raises(DataError, match=r"pred: 1 frame missing \(ids 8\)"):
        score(pred, gt, metrics=["psnr"])
    (pred / "18.png").rename(pred / "8.png")
    Image.fromarray(pair[0][0]).save(pred / "10.png")
    with pytest.raises(DataError, match=r"pred: 1 frame too many \(ids 10\)"):
        score(pred, gt, metrics=["psnr"])
    for count in (2, 4):
        video.write_lossless(tmp_path / "v.mkv", np.resize(pair[0], (count, *pair[0].shape[1:])), 25)
        with pytest.raises(DataError, match=r"v\.mkv: 1 frame (missing|too many)"):
            score(tmp_path / "v.mkv", gt, metrics=["psnr"])
    with pytest.raises(DataError, match=r"gt: 1 frame missing \(ids 11\)"):
        score(pred, gt, expected_ids=[7, 11], metrics=["psnr"])


def test_ground_truth_may_hold_more_frames(folders: tuple[Path, Path]) -> None:
    pred, gt = folders
    (pred / "7.png").unlink()
    result = score(pred, gt, expected_ids=[8, 9], metrics=["psnr"])["psnr"]
    assert result.n == (2, 2)


def test_wrong_size_is_an_error(folders: tuple[Path, Path], pair: tuple[np.ndarray, np.ndarray]) -> None:
    pred, gt = folders
    Image.fromarray(pair[0][0][:32]).save(pred / "8.png")
    with pytest.raises(DataError, match=r"frame 8 is 80×32, its ground truth 80×64"):
        score(pred, gt, metrics=["psnr"])


def test_regions_are_scored_beside_the_whole(folders: tuple[Path, Path], pair: tuple[np.ndarray, np.ndarray]) -> None:
    from bench.metrics.psnr import psnr

    mask = np.zeros((64, 80), bool)
    mask[20:40, 20:40] = True
    masks = {"patch": lambda number: mask, "nothing": lambda number: np.zeros_like(mask)}
    results = score(*folders, metrics=["psnr", "ssim", "lmd"], masks=masks)
    whole, part = results["psnr"], results["psnr"].regions["patch"]
    assert part.value == pytest.approx(float(psnr(*pair, np.stack([mask] * 3)).mean()))
    assert whole.value == pytest.approx(float(psnr(*pair).mean()))
    assert part.signature.get("region") == "patch"
    assert whole.as_json()["regions"] == {"full": whole.value, "patch": part.value, "nothing": None}
    assert results["ssim"].regions["nothing"].state == "undefined"
    assert not results["lmd"].regions  # it has no form for parts of a frame
    with pytest.raises(DataError, match=r"mask of frame 7 is \(3, 3\)"):
        score(*folders, metrics=["psnr"], masks={"bad": lambda number: np.ones((3, 3))})


def test_a_subject_brings_its_regions(own_toy: Path) -> None:
    """Frames equal to the truth but in the hair: only the regions that hold hair see it."""
    subject = Subject(own_toy)
    frames = [subject.frame(i).image.copy() for i in subject.test_ids]
    for frame, number in zip(frames, subject.test_ids, strict=True):
        frame[subject.frame(number).labels == HAIR] ^= 1
    video.write_lossless(own_toy / "pred.mkv", frames, 25)
    found = score(own_toy / "pred.mkv", subject=subject, metrics=["psnr"])["psnr"]
    assert found.regions["face"].state == found.regions["torso"].state == "identical"
    assert found.regions["hair"].value == pytest.approx(20 * np.log10(255))
    assert found.value > found.regions["hair"].value


def test_lpips_without_weights_is_absent(folders: tuple[Path, Path], offline: Path) -> None:
    from bench.metrics.lpips import load

    load.cache_clear()
    result = score(*folders, metrics=["lpips"])["lpips"]
    assert (result.state, result.value, result.n) == ("absent", None, (0, 3))
    assert result.reason.endswith("bench weights fetch lpips-alex")
    shown = CliRunner().invoke(score_command, [*map(str, folders), "--metrics", "psnr,lpips", "--json"])
    document = json.loads(shown.stdout)["metrics"]
    assert document["psnr"]["state"] == "ok"
    assert document["lpips"]["state"] == "absent"
    assert shown.exit_code == 1
    assert "error: lpips is absent: " in shown.stderr


def test_command_line(folders: tuple[Path, Path]) -> None:
    run = CliRunner()
    arguments = [*map(str, folders), "--metrics", "psnr,ssim"]
    document = json.loads(run.invoke(score_command, [*arguments, "--json"]).stdout)
    assert set(document) == {"metrics"}
    assert set(document["metrics"]["psnr"]) >= {"value", "ci95", "signature", "n", "regions"}
    assert document["metrics"]["psnr"]["n"] == [3, 3]
    table = run.invoke(score_command, arguments)
    assert table.exit_code == 0
    assert "PSNR" in table.stdout
    assert isinstance(run.invoke(score_command, [*map(str, folders), "--metrics", "pnsr"]).exception, UsageError)
    faceless = run.invoke(score_command, [*map(str, folders), "--metrics", "lmd", "--json"])
    assert faceless.exit_code == 4
    assert json.loads(faceless.stdout)["metrics"]["lmd"]["state"] == "invalid"
    listed = json.loads(run.invoke(metrics_command, ["list", "--json"]).stdout)["metrics"]
    assert [row["name"] for row in listed] == list(METRICS)


def test_bumping_a_version_changes_the_signature() -> None:
    metric = replace(METRICS["psnr"], version=2)
    scorer = metric.open(Settings())
    assert str(metric.signature(scorer, (1, 1))).endswith("|v:2")
