"""Face parsers: which is chosen, BiSeNet's checkpoint, the offline parser on the embedded subjects, and wrong files."""

from __future__ import annotations

import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from bench import catalogue, classes, weights
from bench.errors import AbsentError, DataError
from bench.prepare import contours, parsers
from bench.prepare.parsers import bisenet, evidence, geometry, offline, tail, tflite

NOWHERE = np.zeros((478, 2))


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))


def placed(name: str, data: bytes = b"x") -> Path:
    """A file in the cache, in a weights' place."""
    path = weights.get(name).path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def trusted(monkeypatch: pytest.MonkeyPatch, name: str) -> Path:
    """The same, and its hash counts as right."""
    from dataclasses import replace

    path = placed(name)
    entry = weights.get(name)
    monkeypatch.setitem(weights.REGISTRY, name, replace(entry, sha256=weights.sha256_of(path)))
    return path


def test_the_best_that_is_here_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    assert parsers.choose(None).kind == "mesh"
    assert parsers.choose(None).hair is None
    hair = trusted(monkeypatch, "hair-segmenter")
    assert parsers.choose(Path("auto")).hair == hair
    assert hair.name in parsers.choose(None).name
    small = trusted(monkeypatch, "face-parser")
    assert (parsers.choose(None).kind, parsers.choose(None).model) == ("tflite", small)
    best = trusted(monkeypatch, "bisenet-celebamask")
    assert (parsers.choose(None).kind, parsers.choose(None).model) == ("bisenet", best)
    assert "79999_iter.pth" in parsers.choose(None).name
    assert "non-commercial" in parsers.choose(None).licence
    assert parsers.choose(Path("mesh")).kind == "mesh"
    for wanted in (None, Path("mesh"), small):
        assert all(path.is_file() for path in parsers.choose(wanted).code)


def test_a_broken_model_in_the_cache_is_loud() -> None:
    path = placed("bisenet-celebamask")
    with pytest.raises(AbsentError, match=f"{path} is not bisenet-celebamask"):
        parsers.choose(None)
    assert parsers.choose(Path("mesh")).kind == "mesh"


def test_files_of_other_kinds_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such parser; --parser takes auto, mesh"):
        parsers.choose(tmp_path / "none.pth")
    (tmp_path / "model.onnx").write_bytes(b"x")
    with pytest.raises(DataError, match=r"a parser is BiSeNet's \.pth or a \.tflite"):
        parsers.choose(tmp_path / "model.onnx")


DOCUMENTED = {
    "cp.resnet.conv1.weight": (64, 3, 7, 7),
    "cp.resnet.layer1.1.bn2.running_var": (64,),
    "cp.resnet.layer2.0.downsample.0.weight": (128, 64, 1, 1),
    "cp.resnet.layer4.1.conv2.weight": (512, 512, 3, 3),
    "cp.arm16.conv.conv.weight": (128, 256, 3, 3),
    "cp.arm16.conv_atten.weight": (128, 128, 1, 1),
    "cp.arm32.bn_atten.weight": (128,),
    "cp.conv_head32.bn.bias": (128,),
    "cp.conv_avg.conv.weight": (128, 512, 1, 1),
    "ffm.convblk.conv.weight": (256, 256, 1, 1),
    "ffm.conv1.weight": (64, 256, 1, 1),
    "ffm.conv2.weight": (256, 64, 1, 1),
    "conv_out.conv.conv.weight": (256, 256, 3, 3),
    "conv_out.conv_out.weight": (19, 256, 1, 1),
    "conv_out16.conv.conv.weight": (64, 128, 3, 3),
    "conv_out32.conv_out.weight": (19, 64, 1, 1),
}
"""Names and shapes from zllrunning/face-parsing.PyTorch's model.py and resnet.py; the real file could not be had here."""
SIZE = 53_289_463
"""Bytes of the real file, as those who pin it state."""


def test_bisenet_has_the_checkpoints_names_shapes_and_size(tmp_path: Path) -> None:
    net = bisenet.BiSeNet()
    state = net.state_dict()
    assert {name: tuple(state[name].shape) for name in DOCUMENTED} == DOCUMENTED
    assert not [name for name in state if "fc" in name or name.startswith("sp.")]
    bytes_of_numbers = sum(value.numel() * value.element_size() for value in state.values())
    assert 0 < SIZE - bytes_of_numbers < 400 * len(state)  # the rest of a .pth is names
    net.conv_out.conv_out.weight.data[:] = 0
    net.conv_out.conv_out.weight.data[17] = 1  # features are not negative: all is hair
    torch.save(net.state_dict(), tmp_path / "79999_iter.pth")
    parser = parsers.load(parsers.choose(tmp_path / "79999_iter.pth"), [])
    labels = parser(Image.fromarray(np.random.default_rng(0).integers(0, 255, (60, 80, 3), np.uint8)), NOWHERE)
    assert labels.shape == (60, 80)
    assert labels.dtype == np.uint8
    assert (labels == classes.HAIR).mean() > 0.9


def test_bisenet_takes_no_other_weights_and_runs_no_code(tmp_path: Path) -> None:
    path = tmp_path / "x.pth"
    state = bisenet.BiSeNet().state_dict()
    for change in ({"cp.extra": torch.zeros(1)}, {"ffm.conv1.weight": torch.zeros(1, 256, 1, 1)}):
        torch.save(state | change, path)
        with pytest.raises(DataError, match="not the weights of BiSeNet") as caught:
            bisenet.load(path)
        assert "\n" not in str(caught.value)
    torch.save({"cp": SimpleNamespace(a=1)}, path)
    with pytest.raises(DataError, match="not readable as plain weights"):
        bisenet.load(path)


def test_a_broken_tflite_is_named(tmp_path: Path) -> None:
    pytest.importorskip("ai_edge_litert", reason="pip install 'talkbench[parser]'")
    (tmp_path / "x.tflite").write_bytes(b"x" * 4096)
    with pytest.raises(DataError, match="not a .tflite model"):
        parsers.load(parsers.choose(tmp_path / "x.tflite"), [])
    with pytest.raises(DataError, match="not a .tflite model"):
        parsers.check(tmp_path / "x.tflite")
    with pytest.raises(DataError, match="not a .tflite model"):
        evidence.load(tmp_path / "x.tflite")


def test_without_litert_the_remedy_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    (tmp_path / "x.tflite").write_bytes(b"x")
    with pytest.raises(AbsentError, match=r"pip install 'talkbench\[parser\]', or --parser mesh"):
        tflite.interpreter(tmp_path / "x.tflite")


def test_polygons_count_pixels_half_covered() -> None:
    square = np.array([[2, 3], [7.6, 3], [7.6, 6], [2, 6]])
    inside = contours.polygon(square, (10, 8))
    assert inside.shape == (8, 10)
    assert inside[3:6, 2:8].all()
    assert inside.sum() == 18
    assert not contours.polygon(square + 50, (10, 8)).any()
    assert contours.polygon(square - [5, 0], (10, 8)).sum() == 3 * 3  # what is left inside the frame


def upright() -> np.ndarray:
    """[478,2] nothing but chin, hairline and cheeks of a face 100 wide and high, its chin at (150, 200)."""
    points = np.zeros((478, 2))
    points[[contours.CHIN, contours.HAIRLINE]] = (150, 200), (150, 100)
    points[[contours.RIGHT_SIDE, contours.LEFT_SIDE]] = (100, 150), (200, 150)
    return points


def test_places_around_a_face() -> None:
    size = (300, 400)
    likely = geometry.expected(geometry.FaceFrame.of(upright(), size))
    assert np.allclose(likely.sum(0), 1)
    for (x, y), kind in {
        (150, 60): geometry.HAIR, (80, 120): geometry.HAIR, (150, 205): geometry.SKIN, (150, 290): geometry.CLOTH,
        (20, 260): geometry.CLOTH,
    }.items():  # fmt: skip
        assert likely[:, y, x].argmax() == kind, (x, y)
    turn = np.array([[0, -1], [1, 0]])  # the picture turned by a quarter: the same answers, turned
    turned = geometry.expected(geometry.FaceFrame.of((upright() @ turn.T) + [400, 0], (400, 300)))
    assert np.allclose(turned, np.rot90(likely, -1, (1, 2)), atol=1e-5)


def test_only_components_that_touch_the_seeds_stay() -> None:
    part = np.zeros((5, 9), bool)
    part[1:3, 1:3] = part[3, 6:9] = True
    seeds = np.zeros_like(part)
    seeds[1, 1] = seeds[0, 8] = True
    assert np.array_equal(offline.joined(part, seeds), part & (np.arange(9) < 4))


@pytest.mark.parametrize(
    ("name", "least"),
    [
        ("ada", {0: 0.98, 1: 0.8, 10: 0.75, 14: 0.7, 16: 0.85, 17: 0.83}),
        ("ben", {0: 0.98, 1: 0.7, 10: 0.75, 14: 0.7, 16: 0.9, 17: 0.62}),
    ],
)
def test_the_offline_parser_finds_the_embedded_subjects_parts(
    name: str, least: dict[int, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """IoU with the exact masks; the whole table is in docs/prepare.md."""
    monkeypatch.delenv("BENCH_HOME")
    from bench.prepare import blendshapes

    subject = catalogue.resolve(name)
    from mediapipe.python.solutions.face_mesh import FaceMesh

    frames = [subject.frame(i) for i in range(0, 400, 67)]
    samples = []
    with FaceMesh(static_image_mode=True, max_num_faces=1, refine_landmarks=True) as model:
        for frame in frames:
            (face,) = model.process(blendshapes.square(frame.image)).multi_face_landmarks
            points = np.array([(p.x, p.y) for p in face.landmark]) * max(subject.size)
            samples.append((Image.fromarray(frame.image), points))
    parser = parsers.load(parsers.Choice("mesh", "Apache-2.0"), samples[:5])
    pairs = [(parser(*sample), frame.labels) for sample, frame in zip(samples, frames, strict=True)]
    for part, share in least.items():
        both = sum(((a == part) & (b == part)).sum() for a, b in pairs)
        either = sum(((a == part) | (b == part)).sum() for a, b in pairs)
        assert both / either > share, part


def test_the_hair_model_helps(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it says about hair weighs more than place and colour."""

    class Half:
        name = "half.tflite"

        def __call__(self, picture: Image.Image, size: tuple[int, int]) -> np.ndarray:
            hair = np.full(size[::-1], 0.03, np.float32)
            hair[:, : size[0] // 2] = 0.97
            return np.stack([hair, 1 - hair, 1 - hair])

    monkeypatch.setattr(evidence, "load", lambda path: Half())
    monkeypatch.setattr(offline.Person, "__call__", lambda self, picture: np.ones(picture.shape[:2], np.float32))
    picture, points = Image.new("RGB", (300, 400), (120, 90, 80)), upright()
    points[list(contours.OVAL)] = [
        (150 + 50 * np.sin(a), 150 - 50 * np.cos(a)) for a in np.linspace(0, 2 * np.pi, 37)[:-1]
    ]
    labels = parsers.load(parsers.Choice("mesh", "x", hair=Path("half.tflite")), [(picture, points)])(picture, points)
    above = np.s_[20:80]
    assert (labels[above, 20:130] == classes.HAIR).all()
    assert (labels[250:, 170:280] == classes.HAIR).mean() < 0.02


def test_hair_segmentation_runs(parser: Path) -> None:
    model = parser.parent / "mp_hair_segmentation.tflite"
    likely = evidence.load(model)(Image.new("RGB", (80, 60), (90, 120, 160)), (80, 60))
    assert likely.shape == (3, 60, 80)
    assert likely[0].max() < 0.3  # a plain wall has no hair
    assert np.allclose(likely[0] + likely[1], 1)
    with pytest.raises(DataError, match="not MediaPipe's hair segmentation"):
        evidence.load(parser)


def test_selfie_multiclass_classes_are_grouped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against a stand-in for MediaPipe's segmenter: the real model could not be had."""
    planes = [np.full((4, 4, 1), share, np.float32) for share in (0.1, 0.2, 0.1, 0.2, 0.3, 0.1)]
    stand_in = SimpleNamespace(
        segment=lambda image: SimpleNamespace(
            confidence_masks=[SimpleNamespace(numpy_view=lambda plane=plane: plane) for plane in planes]
        )
    )
    model = evidence.SelfieMulticlass.__new__(evidence.SelfieMulticlass)
    model.name, model._model = "selfie_multiclass_256x256.tflite", stand_in
    hair, skin, cloth = model(Image.new("RGB", (8, 6)), (8, 6))
    assert (hair.shape, hair[0, 0], skin[0, 0], cloth[0, 0]) == ((6, 8), *map(pytest.approx, (0.2, 0.3, 0.4)))
    (tmp_path / "selfie_multiclass.tflite").write_bytes(b"x" * 100)
    with pytest.raises(DataError, match="not a segmentation model"):
        evidence.load(tmp_path / "selfie_multiclass.tflite")


def test_another_parser_means_that_frames_are_parsed_anew(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from bench.prepare import parsing
    from bench.prepare.steps import Options, fingerprint

    options = Options(tmp_path / "v.mp4", "x", tmp_path)
    before = {"frames": "a", "mesh": "b"}
    marks = [fingerprint(parsing.STEP, options, before)]
    assert fingerprint(parsing.STEP, options, before) == marks[0]
    for name in ("hair-segmenter", "face-parser", "bisenet-celebamask"):
        trusted(monkeypatch, name)
        marks.append(fingerprint(parsing.STEP, options, before))
    assert len(set(marks)) == 4


def test_scores_are_enlarged_as_the_network_places_them() -> None:
    """A ramp from class 0 to class 1 along x: where they cross is known in closed form."""
    scores = np.zeros((8, 8, 2))
    scores[..., 1] = np.arange(8) - 3.3  # class 1 wins right of grid coordinate 3.3
    for centred, shift in ((True, 0.0), (False, 0.5 - 0.5 / 8)):
        labels = tail.enlarged(scores, 64, (96, 96), centred)
        grid = (np.arange(96) + 0.5) / 12 - 0.5 + shift
        expected = grid > 3.3
        sure = abs(grid - 3.3) > 1 / 16  # OpenCV places to 1/32 of a pixel
        assert (labels[:, sure] == expected[sure]).all()


def test_the_trimmed_network_says_what_the_whole_one_says(parser: Path) -> None:
    cut = tail.trimmed(parser.read_bytes())
    assert cut is not None
    whole, ours = parsers.load(parsers.choose(parser), []), parsers.load(parsers.choose(parser), [])
    whole._trimmed = None
    subject = catalogue.resolve("ada")
    for i in (0, 200):
        picture = Image.fromarray(subject.frame(i).image)
        assert (whole(picture, NOWHERE) == ours(picture, NOWHERE)).mean() > 0.99


def test_another_network_is_left_whole(parser: Path) -> None:
    model = parser.with_name("face_landmarker.task")
    with zipfile.ZipFile(model) as bundle:
        assert tail.trimmed(bundle.read("face_landmarks_detector.tflite")) is None
