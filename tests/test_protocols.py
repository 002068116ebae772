"""Protocols: their rules in words, and their numbers against literal readings of the official scripts on the same frames."""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import protocol_oracles as oracles
import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image

from bench import catalogue, landmarks, portrait, protocol, video
from bench.cli import main
from bench.errors import AbsentError, DataError, UsageError
from bench.protocol import codec
from bench.protocol.streams import open_pair
from bench.scoring import score
from bench.subject import Subject

FRAMES = 8
LEGACY = ["ad-nerf", "degstalk-paper", "er-nerf-official", "synctalk-portrait", "talkinggaussian-official"]
DOCUMENT = Path(__file__).parent.parent / "docs/metrics.md"


@pytest.fixture(scope="module")
def tiny() -> Subject:
    return catalogue.resolve("tiny")


@pytest.fixture(scope="module")
def ids(tiny: Subject) -> list[int]:
    """Its last frames, training ones among them: it has too few test frames."""
    return sorted(tiny.ids)[-FRAMES:]


@pytest.fixture(scope="module")
def floats(tiny: Subject, ids: list[int]) -> np.ndarray:
    """A prediction [N, H, W, 3], 0…1: the frame before, blurred and noised, so that lips are somewhere else."""
    rng = np.random.default_rng(3)
    frames = [cv2.GaussianBlur(tiny.frame(number - 1).image.astype(np.float64), (0, 0), 0.8) for number in ids]
    return np.clip((np.stack(frames) + rng.normal(0, 2, (FRAMES, *frames[0].shape))) / 255, 0, 1)


@pytest.fixture(scope="module")
def made(floats: np.ndarray) -> np.ndarray:
    """The same as a script saves it."""
    return (floats * 255).astype(np.uint8)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, tiny: Subject, ids: list[int], made: np.ndarray) -> Path:
    """A folder with pred.mkv (lossless), and what the scripts would leave: pred.mp4, gt.mp4 (ori_imgs), gt_imgs/, gt_imgs.mp4."""
    folder = tmp_path_factory.mktemp("protocols")
    video.write_lossless(folder / "pred.mkv", made, 25)
    (folder / "gt_imgs").mkdir()
    for number in ids:
        oracles.write_gt_img(folder / f"gt_imgs/{number}.jpg", tiny.frame(number))
    pasted = [oracles.read_gt_img(folder / f"gt_imgs/{number}.jpg") for number in ids]
    for name, frames in (("pred", made), ("gt", [tiny.frame(i).image for i in ids]), ("gt_imgs", pasted)):
        codec.write_h264(folder / f"{name}.mp4", frames)
    return folder


@pytest.fixture(scope="module")
def network() -> Any:
    from bench.metrics import lpips

    try:
        return lpips.load()
    except AbsentError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def detector() -> landmarks.Detector:
    return landmarks.get("mediapipe")


def values(results: dict[str, Any]) -> dict[str, float]:
    return {name: result.value for name, result in results.items()}


def bench(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments), catch_exceptions=False)


# The codecs


def test_h264_equals_imageio(tmp_path: Path, tiny: Subject, ids: list[int], made: np.ndarray) -> None:
    """Smooth and noisy frames; one thread on both sides, as x264's output depends on how many there are."""
    pytest.importorskip("imageio_ffmpeg", reason="imageio-ffmpeg, whose file ours must equal, isn't installed")
    import imageio.v2 as imageio

    for frames in (made, np.stack([tiny.frame(number).image for number in ids])):
        options = {"fps": 25, "quality": 8, "macro_block_size": 1, "output_params": ["-threads", "1"]}
        imageio.mimwrite(tmp_path / "theirs.mp4", list(frames), **options)
        assert codec.write_h264(tmp_path / "ours.mp4", frames) == FRAMES
        theirs, ours = (np.stack(list(video.read_video(tmp_path / f"{who}.mp4"))) for who in ("theirs", "ours"))
        assert np.array_equal(ours, theirs)
        assert not np.array_equal(ours, frames)


def test_h264_needs_even_sides_and_frames(tmp_path: Path) -> None:
    odd = np.zeros((2, 64, 63, 3), np.uint8)
    with pytest.raises(DataError, match="63×64: H.264 .* even sides"):
        codec.write_h264(tmp_path / "x.mp4", odd)
    with pytest.raises(DataError, match="no frames"):
        codec.write_h264(tmp_path / "x.mp4", [])
    with pytest.raises(DataError, match="frame 1 is"):
        codec.write_h264(tmp_path / "x.mp4", [odd[0, :, :62], odd[0, :60, :62]])
    assert list(tmp_path.iterdir()) == []


def test_jpeg_equals_cv2_and_imageio(tmp_path: Path, made: np.ndarray) -> None:
    import imageio.v2 as imageio

    for frame in made[:3]:
        cv2.imwrite(str(tmp_path / "95.jpg"), frame[..., ::-1])
        imageio.imwrite(tmp_path / "75.jpg", frame)
        assert np.array_equal(codec.jpeg(frame, 95), oracles.read_gt_img(tmp_path / "95.jpg"))
        assert np.array_equal(codec.jpeg(frame, 75), oracles.read_gt_img(tmp_path / "75.jpg"))


# Numbers


def test_degstalk_on_the_scripts_own_files(files: Path, network: Any, detector: landmarks.Detector) -> None:
    expected = oracles.degstalk(files / "pred.mp4", files / "gt.mp4", network, detector)
    results = score(files / "pred.mp4", files / "gt.mp4", protocol="degstalk-paper", detector="mediapipe")
    assert list(results) == ["psnr", "ssim", "lpips", "lmd"]
    for name, (value, n) in expected.items():
        assert results[name].value == pytest.approx(value, abs=1e-4)
        assert results[name].n == (n, FRAMES)
        assert results[name].reason is None
    assert results["psnr"].signature.get("src") == "h264"
    assert results["ssim"].signature.get("win") == "uniform7"
    assert expected["lmd"][0] > 0.1


def test_degstalk_from_lossless_frames(
    tmp_path: Path, files: Path, tiny: Subject, ids: list[int], made: np.ndarray, network: Any, detector: Any
) -> None:
    """The harness goes the way of synthesize_fuse.py: the files that imageio would have written score the same."""
    pytest.importorskip(
        "imageio_ffmpeg", reason="imageio-ffmpeg, which the official script writes with, isn't installed"
    )
    import imageio.v2 as imageio

    for name, frames in (("pred", made), ("gt", [tiny.frame(i).image for i in ids])):
        options = {"fps": 25, "quality": 8, "macro_block_size": 1, "output_params": ["-threads", "1"]}
        imageio.mimwrite(tmp_path / f"{name}.mp4", list(frames), **options)
    expected = oracles.degstalk(tmp_path / "pred.mp4", tmp_path / "gt.mp4", network, detector)
    results = score(files / "pred.mkv", subject=tiny, expected_ids=ids, protocol="degstalk-paper", detector="mediapipe")
    assert values(results) == pytest.approx({name: value for name, (value, _) in expected.items()}, abs=1e-4)
    assert results["psnr"].signature.get("src") == "h264-crf10"


def test_talkinggaussian_scores_the_pasted_frame(
    files: Path, tiny: Subject, ids: list[int], network: Any, detector: Any
) -> None:
    expected = oracles.talkinggaussian(files / "pred.mp4", files / "gt_imgs.mp4", network, detector)
    common = {"protocol": "talkinggaussian-official", "detector": "mediapipe"}
    results = score(files / "pred.mkv", subject=tiny, expected_ids=ids, **common)
    assert values(results) == pytest.approx(expected, abs=1e-4)  # no SSIM in either
    assert results["psnr"].signature.get("src") == "h264-crf10/jpeg95+h264-crf10"
    assert results["psnr"].signature.get("truth") == "background-pasted"
    as_filmed = oracles.talkinggaussian(files / "pred.mp4", files / "gt.mp4", network, detector)
    assert abs(as_filmed["psnr"] - expected["psnr"]) > 0.2


def test_ernerf_compares_without_a_codec(
    files: Path, tiny: Subject, ids: list[int], floats: np.ndarray, made: np.ndarray, network: Any, detector: Any
) -> None:
    truths = [torch.from_numpy(oracles.read_gt_img(files / f"gt_imgs/{i}.jpg") / np.float32(255))[None] for i in ids]
    saved = [torch.from_numpy(frame / np.float32(255))[None] for frame in made]
    expected = oracles.in_memory(saved, truths, network, detector)
    common = {"protocol": "er-nerf-official", "detector": "mediapipe", "expected_ids": ids}
    results = score(files / "pred.mkv", subject=tiny, **common)
    assert values(results) == pytest.approx(expected, abs=1e-4)
    assert results["psnr"].signature.get("src") == "lossless/jpeg95"
    given = score(files / "pred.mkv", files / "gt_imgs", metrics=["psnr"], **common)["psnr"]
    assert given.value == results["psnr"].value
    assert given.signature.get("src") == "lossless/jpeg"
    # What the protocol says it can't reproduce: the script compares floats.
    in_memory = oracles.in_memory(
        [torch.from_numpy(frame.astype(np.float32))[None] for frame in floats], truths, network, detector
    )
    assert 0 < in_memory["psnr"] - expected["psnr"] < 0.1


def test_synctalk_mask_is_the_scripts(tiny: Subject, ids: list[int]) -> None:
    labels = cv2.resize(tiny.frame(ids[0]).labels, (512, 512), interpolation=cv2.INTER_NEAREST)
    weights = portrait.face_weights(labels)
    assert np.array_equal(weights, 255 - oracles.synctalk_mask(labels)[..., 1])
    edge = np.full((512, 512), 0, np.uint8)
    edge[200:500, 100:256] = 1
    # Across the right edge, far from corners and chin: spec_synctalk's step response.
    steps = portrait.face_weights(edge)[300, 251:261] / 255
    np.testing.assert_allclose(steps, [1, 0.918, 0.816, 0.698, 0.565, 0.435, 0.302, 0.184, 0.082, 0], atol=3e-3)
    with pytest.raises(DataError, match="holds no face"):
        portrait.face_weights(np.zeros((64, 64), np.uint8))


def test_synctalk_blends_the_face_onto_the_frame(
    files: Path, tiny: Subject, ids: list[int], made: np.ndarray, network: Any, detector: Any
) -> None:
    truths = [torch.from_numpy(tiny.frame(i).image.astype(np.float32) / 255)[None] for i in ids]
    blends = [oracles.synctalk_blend(frame, tiny.frame(i)) for frame, i in zip(made, ids, strict=True)]
    saved = [(blend * 255).to(torch.uint8) / 255 for blend in blends]
    common = {"subject": tiny, "expected_ids": ids, "protocol": "synctalk-portrait", "detector": "mediapipe"}
    results = values(score(files / "pred.mkv", **common))
    # Floats lose a level to rounding in a few pixels of the soft edge.
    assert results == pytest.approx(oracles.in_memory(saved, truths, network, detector), abs=2e-3)
    assert results["psnr"] == pytest.approx(oracles.in_memory(blends, truths, network, detector)["psnr"], abs=0.05)
    with open_pair(files / "pred.mkv", None, protocol.get("synctalk-portrait"), tiny, ids) as pair:
        frames = list(pair.pred)
    apart = np.abs(np.stack(frames) - np.stack([np.asarray(b[0] * 255) for b in saved]))
    assert apart.max() <= 1.01
    assert (apart > 0.5).mean() < 1e-3
    weights = portrait.face_weights(tiny.frame(ids[0]).labels)
    truth = tiny.frame(ids[0]).image
    assert np.array_equal(frames[0][weights == 0], truth[weights == 0])
    assert np.array_equal(frames[0][weights == 255], made[0][weights == 255])
    assert (weights == 0).mean() > 0.5


def test_adnerf_scores_jpeg_files(tmp_path: Path, files: Path, tiny: Subject, ids: list[int], made: np.ndarray) -> None:
    import imageio.v2 as imageio

    for number, frame in zip(ids, made, strict=True):
        imageio.imwrite(tmp_path / f"{number}.jpg", frame)
    pairs = [
        [oracles.read_gt_img(folder / f"{i}.jpg").astype(np.float64) for folder in (tmp_path, files / "gt_imgs")]
        for i in ids
    ]
    expected = np.mean([-10 * np.log10(((p - g) ** 2).mean() / 255**2) for p, g in pairs])
    common = {"subject": tiny, "expected_ids": ids, "protocol": "ad-nerf", "metrics": ["psnr"]}
    made_here, delivered = (score(pred, **common)["psnr"] for pred in (files / "pred.mkv", tmp_path))
    assert made_here.value == delivered.value == pytest.approx(expected, abs=1e-9)
    assert made_here.signature.get("src") == "jpeg75/jpeg95"
    assert delivered.signature.get("src") == "jpeg/jpeg95"


# Frames that are missing or can't be scored


def test_a_frame_without_a_face(tmp_path: Path, files: Path, made: np.ndarray, network: Any, detector: Any) -> None:
    """DEGSTalk's script leaves it out of LMD alone; TalkingGaussian's ends."""
    frames = made.copy()
    frames[2] = 0
    codec.write_h264(tmp_path / "pred.mp4", frames)
    pair = tmp_path / "pred.mp4", files / "gt.mp4"
    expected = oracles.degstalk(*pair, network, detector)
    results = score(*pair, protocol="degstalk-paper", detector="mediapipe", metrics=["psnr", "lmd"])
    assert (expected["psnr"][1], expected["lmd"][1]) == (FRAMES, FRAMES - 1)
    for name, result in results.items():
        assert result.value == pytest.approx(expected[name][0], abs=1e-4)
        assert result.n == (expected[name][1], FRAMES)
    assert results["lmd"].reason == "1 of 8 frames couldn't be scored and are left out"
    with pytest.raises(IndexError):
        oracles.talkinggaussian(*pair, network, detector)
    for name in ("talkinggaussian-official", "er-nerf-official"):
        result = score(*pair, protocol=name, detector="mediapipe", metrics=["lmd"])["lmd"]
        assert (result.state, result.value, result.n) == ("invalid", None, (FRAMES - 1, FRAMES))
        assert result.reason == "7 of 8 frames could be scored: the official script stops at the first that can't"


def test_no_face_at_all_is_invalid_even_where_faces_may_be_missing(tmp_path: Path, files: Path) -> None:
    codec.write_h264(tmp_path / "pred.mp4", np.zeros((FRAMES, 96, 96, 3), np.uint8))
    pair = tmp_path / "pred.mp4", files / "gt.mp4"
    result = score(*pair, protocol="degstalk-paper", detector="mediapipe", metrics=["lmd"])["lmd"]
    assert (result.state, result.n) == ("invalid", (0, FRAMES))


@pytest.mark.parametrize("shorter", ["pred", "gt"])
def test_scripts_stop_at_the_shorter_video(
    tmp_path: Path, files: Path, made: np.ndarray, network: Any, detector: Any, shorter: str
) -> None:
    codec.write_h264(tmp_path / "short.mp4", made[:5])
    pair = [tmp_path / "short.mp4", files / "gt.mp4"]
    if shorter == "gt":
        pair.reverse()
    expected = oracles.degstalk(*pair, network, detector)["psnr"]
    result = score(*pair, protocol="degstalk-paper", metrics=["psnr"])["psnr"]
    assert expected[1] == 5
    assert (result.state, result.n) == ("ok", (5, FRAMES))
    assert result.value == pytest.approx(expected[0], abs=1e-4)
    assert result.reason == "compared up to the shorter video's end: 5 of 8 frames"
    with pytest.raises(DataError, match=r"3 frames (missing|too many)"):
        score(*pair, metrics=["psnr"])


def test_a_folder_must_hold_its_frames_even_where_a_video_may_be_short(
    tmp_path: Path, files: Path, ids: list[int], made: np.ndarray
) -> None:
    for number, frame in zip(ids[:5], made, strict=False):
        Image.fromarray(frame).save(tmp_path / f"{number}.png")
    with pytest.raises(DataError, match="3 frames missing"):
        score(tmp_path, files / "gt_imgs", protocol="degstalk-paper", metrics=["psnr"])


# Streams


def test_nothing_is_encoded_before_it_is_asked_for_and_nothing_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: Path, tiny: Subject, ids: list[int], made: np.ndarray
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with open_pair(files / "pred.mkv", None, protocol.get("degstalk-paper"), tiny, ids) as pair:
        assert [file for file in tmp_path.rglob("*") if file.is_file()] == []
        assert (pair.ids, pair.expected) == (tuple(ids), FRAMES)
        first = next(iter(pair.pred))
        assert [file.name for file in tmp_path.rglob("*.mp4")] == ["pred.mp4"]
        assert first.shape == made[0].shape
        assert not np.array_equal(first, made[0])
        assert pair.pred.path == files / "pred.mkv"
    assert list(tmp_path.iterdir()) == []


def test_other_lossy_frames_are_named_with_all_they_went_through(tmp_path: Path, tiny: Subject, ids: list[int]) -> None:
    for number in ids:
        Image.fromarray(tiny.frame(number).image).save(tmp_path / f"{number}.jpg")
    with open_pair(tmp_path, None, protocol.get("degstalk-paper"), tiny, ids) as pair:
        assert pair.source == "jpeg+h264-crf10/h264-crf10"


def test_what_a_protocol_needs_is_said(files: Path, tiny: Subject, ids: list[int]) -> None:
    with pytest.raises(UsageError, match="synctalk-portrait blends along a subject's parsing: give --subject"):
        score(files / "pred.mp4", files / "gt.mp4", protocol="synctalk-portrait")
    with pytest.raises(UsageError, match="give GT, or --subject"):
        score(files / "pred.mp4", protocol="degstalk-paper")
    with pytest.raises(DataError, match="3 frames too many .*; 5 are expected"):
        score(files / "pred.mkv", subject=tiny, protocol="er-nerf-official", metrics=["psnr"])


# Rules in words, and the command line


def test_every_protocol_says_where_it_comes_from() -> None:
    assert protocol.names() == ["neutral", *LEGACY]
    for name in LEGACY:
        found = protocol.get(name)
        assert found.name == name
        assert re.search(r" of [\w-]+/[\w-]+ [0-9a-f]{7}; spec_\w+ §", found.source)
        assert found.differs
        assert (found.detector, found.regions) == ("fan", ())


def test_list_show_and_diff() -> None:
    listed = json.loads(bench("protocols", "list", "--json").stdout)["protocols"]
    assert [row["name"] for row in listed] == protocol.names()
    shown = json.loads(bench("protocols", "show", "degstalk-paper", "--json").stdout)
    assert shown["id"] == "degstalk-paper:1"
    assert shown["metrics"]["ssim"] == {"window": "uniform7"}
    assert "CRF 10" in shown["rules"]["codec"]
    changes = json.loads(bench("protocols", "diff", "degstalk-paper", "talkinggaussian-official", "--json").stdout)[
        "changes"
    ]
    assert [change["rule"] for change in changes] == ["ground truth", "canvas", "metrics", "unscored frames"]
    assert "hair" in changes[1]["a"]
    assert json.loads(bench("protocols", "diff", "neutral", "neutral", "--json").stdout)["changes"] == []


def test_the_same_for_people() -> None:
    assert "same rules" in bench("protocols", "diff", "neutral", "neutral").stdout
    difference = bench("protocols", "diff", "er-nerf-official", "ad-nerf").stdout
    assert "JPEG at quality 75" in difference
    assert "H.264" not in difference
    shown = bench("protocols", "show", "ad-nerf").stdout
    for text in ("9fdcd7e", "no metric code", "Unlike the official script:"):
        assert text in shown
    for name in protocol.names():
        assert name in bench("protocols", "list").stdout


@pytest.mark.parametrize("verb", [("show", "degstlk-paper"), ("diff", "neutral", "degstlk-paper")])
def test_unknown_protocols_have_neighbours(verb: tuple[str, ...]) -> None:
    result = bench("protocols", *verb)
    assert result.exit_code == 2
    assert "unknown protocol 'degstlk-paper': did you mean 'degstalk-paper'" in result.stderr


def test_score_takes_the_ground_truth_from_the_subject(tmp_path: Path) -> None:
    ada = catalogue.resolve("ada")
    frames = [codec.jpeg(ada.frame(number).image, 50) for number in ada.test_ids]
    video.write_lossless(tmp_path / "pred.mkv", frames, 25)
    arguments = ["score", str(tmp_path / "pred.mkv"), "--subject", "ada", "--metrics", "psnr"]
    neutral = json.loads(bench(*arguments, "--json").stdout)["metrics"]["psnr"]
    assert {"full", "face", "mouth"} <= set(neutral["regions"])
    assert neutral["ci95"][0] <= neutral["value"] <= neutral["ci95"][1]
    printed = bench(*arguments)
    for text in ("face", "mouth", f"{neutral['value']:.4f}", f"{neutral['ci95'][0]:.4f} – {neutral['ci95'][1]:.4f}"):
        assert text in printed.stdout
    official = bench(*arguments, "--protocol", "talkinggaussian-official")
    assert official.exit_code == 0
    assert "src:h264-crf10/jpeg95+h264-crf10|truth:background-pasted" in official.stdout
    assert "face" not in official.stdout
    wrong = bench(*arguments, "--protocol", "talkinggausian")
    assert wrong.exit_code == 2
    assert "did you mean" in wrong.stderr


# The table of definitions


@pytest.fixture(scope="module")
def table() -> list[dict[str, Any]]:
    return json.loads(bench("protocols", "demo", "--json").stdout)["rows"]


def test_the_documents_table_is_the_commands(table: list[dict[str, Any]]) -> None:
    """Up to one in the last place: another build of x264 or libjpeg may round a pixel otherwise."""
    section = DOCUMENT.read_text(encoding="utf-8").partition("bench protocols demo --markdown")[2]
    rows = re.findall(r"^\| (PSNR|SSIM|LMD) \| (.+?) \| ([0-9.]+)( dB| px|) \| (.+?) \|$", section, re.MULTILINE)
    assert [(metric, name, source) for metric, name, _, _, source in rows] == [
        (row["metric"], row["definition"], row["source"]) for row in table
    ]
    for (_, name, value, unit, _), row in zip(rows, table, strict=True):
        assert unit.strip() == row["unit"]
        last = 10.0 ** -len(value.partition(".")[2])
        assert abs(float(value) - row["value"]) < 1.5 * last, name


def test_definitions_stand_to_each_other_as_they_must(table: list[dict[str, Any]]) -> None:
    psnr, ssim, lmd = ([row["value"] for row in table if row["metric"] == m] for m in ("PSNR", "SSIM", "LMD"))
    mean, pooled, floored, rounded, _, lossless, ceiling, pasted, centre, over_all = psnr
    assert pooled < mean  # Jensen
    assert floored < rounded < mean
    assert lossless < ceiling
    assert pasted == pytest.approx(over_all, abs=1e-9)
    assert pasted == pytest.approx(centre + 10 * np.log10(4), abs=1e-6)  # a quarter of the pixels
    assert lmd[2] == pytest.approx(lmd[3] * 20 / 68)
    assert lmd[0] < lmd[3]
    assert max(ssim) == ssim[3]


def test_zero_padded_ssim_is_a_padded_convolution() -> None:
    from bench.protocol import definitions

    rng = np.random.default_rng(0)
    gt = rng.integers(0, 256, (1, 40, 40, 3), np.uint8)
    pred = np.clip(gt + rng.normal(0, 20, gt.shape), 0, 255).astype(np.uint8)
    pair = definitions.Sample((pred / 255).astype(np.float32), gt, landmarks.get("mediapipe"))
    axis = np.exp(-((np.arange(11) - 5) ** 2) / (2 * 1.5**2))
    window = torch.from_numpy(np.outer(axis, axis) / axis.sum() ** 2)[None, None].expand(3, 1, 11, 11)

    def local(x: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.conv2d(x, window, padding=5, groups=3)

    x, y = (torch.from_numpy(f.transpose(0, 3, 1, 2) / 255.0) for f in (pair.rounded, gt))
    mx, my = local(x), local(y)
    top = (2 * mx * my + 1e-4) * (2 * (local(x * y) - mx * my) + 9e-4)
    bottom = (mx**2 + my**2 + 1e-4) * (local(x * x) - mx**2 + local(y * y) - my**2 + 9e-4)
    assert definitions._zero_padded(pair) == pytest.approx(float((top / bottom).mean()), abs=1e-9)
