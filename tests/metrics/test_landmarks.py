"""LMD's known answers, and the detectors on a picture of a face."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bench import landmarks
from bench.errors import AbsentError, DataError, UsageError
from bench.metrics.landmark_distance import lmd


def test_lmd_of_a_known_change() -> None:
    """One mouth point moves by (20, 0): the mean moves by 1, so one point is off by 19 and nineteen by 1."""
    gt = np.random.default_rng(0).uniform(0, 500, (2, 68, 2))
    pred = gt.copy()
    pred[0, 50, 0] += 20
    pred[:, :48] += 100  # the rest of the face doesn't count
    np.testing.assert_allclose(lmd(pred, gt), [(19 + 19 * 1) / 20, 0.0], atol=1e-12)


def test_lmd_is_in_pixels_and_ignores_position() -> None:
    gt = np.random.default_rng(1).uniform(0, 500, (4, 68, 2))
    pred = gt + np.random.default_rng(2).normal(0, 2, gt.shape)
    np.testing.assert_allclose(lmd(pred + 33.0, gt - 12.0), lmd(pred, gt))
    np.testing.assert_allclose(lmd(2 * pred, 2 * gt), 2 * lmd(pred, gt))


def test_lmd_without_a_face_is_nan() -> None:
    gt = np.random.default_rng(1).uniform(0, 500, (3, 68, 2))
    pred = gt.copy()
    pred[0], gt[2] = np.nan, np.nan
    assert np.isnan(lmd(pred, gt)).tolist() == [True, False, True]
    with pytest.raises(DataError):
        lmd(pred[:, :67], gt)


@pytest.mark.parametrize("name", ["mediapipe", "dlib"])
def test_detector_finds_the_mouth(name: str, faces: np.ndarray) -> None:
    detector = _get(name)
    points = landmarks.detect_all(detector, faces)
    assert points.shape == (2, 68, 2)
    assert points.dtype == np.float32
    np.testing.assert_allclose(points[0, 48:68].mean(0), (252, 276), atol=6)  # where the picture's lips are
    opening = points[:, 66, 1] - points[:, 62, 1]
    assert opening[1] > opening[0] + 5
    assert points[0, 36, 0] < points[0, 45, 0]  # left and right as in the image
    assert points[0, 48, 0] < points[0, 54, 0]
    assert detector.detect(np.zeros((128, 128, 3), np.uint8)) is None


def test_mediapipe_and_dlib_agree_point_by_point(faces: np.ndarray) -> None:
    """The list of mesh vertices follows iBUG's order: on the lips the two detectors differ by a few pixels at most."""
    ours, theirs = (landmarks.detect_all(_get(name), faces[:1])[0] for name in ("mediapipe", "dlib"))
    distance = np.linalg.norm(ours - theirs, axis=1)
    assert distance[48:].max() < 5
    assert distance[17:48].max() < 12
    assert len(set(landmarks.MEDIAPIPE_TO_IBUG)) == 68


def test_mediapipe_does_not_remember_frames(faces: np.ndarray) -> None:
    detector = _get("mediapipe")
    first = detector.detect(faces[1])
    detector.detect(faces[0])
    assert np.array_equal(first, detector.detect(faces[1]))


def test_mediapipe_on_a_frame_that_is_not_square(faces: np.ndarray) -> None:
    detector = _get("mediapipe")
    cut = detector.detect(faces[0][:400])
    np.testing.assert_allclose(cut[48:], detector.detect(faces[0])[48:], atol=2)


def test_mediapipe_is_silent(faces: np.ndarray, tmp_path: Path) -> None:
    np.save(tmp_path / "faces.npy", faces)
    code = "import sys, numpy; from bench import landmarks; landmarks.detect_all(landmarks.get('mediapipe'), numpy.load(sys.argv[1]))"
    command = [sys.executable, "-P", "-c", code, str(tmp_path / "faces.npy")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout + done.stderr == ""


def test_unknown_and_missing_detectors() -> None:
    with pytest.raises(UsageError, match="did you mean 'mediapipe'"):
        landmarks.get("mediapip")
    if importlib.util.find_spec("face_alignment") is None:
        with pytest.raises(AbsentError, match=r"pip install 'talkbench\[fan\]'"):
            landmarks.get("fan")


def test_fan_finds_the_mouth(faces: np.ndarray) -> None:
    points = landmarks.detect_all(_get("fan"), faces[:1])
    np.testing.assert_allclose(points[0, 48:68].mean(0), (252, 276), atol=6)


FAKE_FAN = """
import numpy, urllib.error
class LandmarksType:
    TWO_D = "2d"
class FaceAlignment:
    def __init__(self, kind, flip_input, device, compile=True):
        assert (kind, flip_input, device, compile) == ("2d", False, "cpu", False)
        if OFFLINE:
            raise urllib.error.URLError("no network")
    def get_landmarks_from_image(self, frame):
        return [numpy.full((68, 2), k, float) for k in (1, 2)] if frame.any() else None
"""


@pytest.mark.parametrize("without_network", [False, True])
def test_fan_is_called_as_the_official_scripts_do(
    offline: Path, monkeypatch: pytest.MonkeyPatch, without_network: bool
) -> None:
    """Stands in for the package, whose weights most machines can't get: arguments, the last face, no face, no network."""
    (offline / "face_alignment.py").write_text(f"OFFLINE = {without_network}\n{FAKE_FAN}")
    monkeypatch.syspath_prepend(str(offline))
    monkeypatch.setitem(sys.modules, "face_alignment", None)  # so that the fake one goes with the test
    del sys.modules["face_alignment"]
    monkeypatch.setattr(landmarks, "installed_version", lambda name: "9.9")
    if without_network:
        with pytest.raises(AbsentError, match=r"no network.*bench weights fetch fan-2dfan4"):
            landmarks.Fan()
        return
    detector = landmarks.Fan()
    assert detector.version == "9.9"
    assert (detector.detect(np.ones((8, 8, 3), np.uint8)) == 2).all()
    assert detector.detect(np.zeros((8, 8, 3), np.uint8)) is None
    del sys.modules["face_alignment"]


def _get(name: str) -> landmarks.Detector:
    try:
        return landmarks.get(name)
    except AbsentError as error:
        pytest.skip(str(error))
