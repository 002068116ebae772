"""The ground-truth audit against methods whose copied share is known beforehand."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image
from safetensors.numpy import save_file

from bench import audit, catalogue, classes, plates, records, registry, video
from bench.audit.measure import sample_of
from bench.audit.picture import tinted
from bench.cli.audit import command
from bench.contract import Conditioning, MethodInfo
from bench.errors import MethodError, RecordError, UsageError
from bench.hashes import hash_folder
from bench.records import CellKey, Plan, Record
from bench.run.layout import RunFolder
from bench.subject import Subject

Draw = Callable[[Conditioning], Any]
GREY = 100


def info_of(*sees: str) -> MethodInfo:
    return MethodInfo(name="t", title="t", summary="for tests", kind="reference", sees=frozenset(sees))


class Renderer:
    """Draws each frame with one function; counts them."""

    def __init__(self, draw: Draw) -> None:
        self.draw, self.count = draw, 0

    def render(self, conditioning: Sequence[Conditioning]) -> Iterator[Any]:
        for item in conditioning:
            self.count += 1
            yield self.draw(item)


def audited(subject: Subject, draw: Draw, *sees: str, count: int = 32) -> audit.Audit:
    return audit.run_audit(info_of(*sees), lambda: Renderer(draw), subject, count)


def reference(subject: Subject, name: str, checkpoint: Path) -> audit.Audit:
    method = registry.get(name)
    return audit.run_audit(method.info, lambda: method.load(checkpoint, "cpu"), subject, 32)


def drawn(item: Conditioning) -> np.ndarray:
    """A picture made of the pose and the sound alone."""
    width, height = item.size
    brightness = GREY + 40 * np.sin(100 * item.camera.viewmat[0, 3]) + 5 * np.tanh(item.audio.mean())
    return np.full((height, width, 3), brightness).astype(np.uint8)


def half_pasted(item: Conditioning) -> np.ndarray:
    picture = np.full_like(item.ground_truth, GREY)
    picture[:, :32] = item.ground_truth[:, :32]
    return picture


def test_whoever_draws_everything_has_copied_nothing(toy_subject: Subject) -> None:
    for plate in ((), ("hair_canvas",), ("ground_truth", "torso_canvas")):  # handing it over is not yet copying
        found = audited(toy_subject, drawn, "pose", "audio", *plate)
        assert (found.share, found.noise, found.maps.max()) == (0.0, 0.0, 0)
        assert set(found.plates) == set(plate)


def test_copy_gt_has_copied_everything(toy_subject: Subject, tmp_path: Path) -> None:
    found = reference(toy_subject, "copy-gt", tmp_path)
    assert found.share == 1.0
    assert found.regions == dict.fromkeys(("face", "mouth", "hair", "torso", "background"), 1.0)
    assert found.ids == tuple(toy_subject.test_ids)
    assert found.maps.shape == (6, 64, 64)


def test_time_shift_has_copied_other_test_frames(toy_subject: Subject, tmp_path: Path) -> None:
    assert reference(toy_subject, "time-shift", tmp_path).share == 1.0


def test_a_half_pasted_frame_is_half_copied_and_the_map_says_where(toy_subject: Subject) -> None:
    found = audited(toy_subject, half_pasted, "ground_truth")
    assert found.share == 0.5
    assert found.per_frame == (0.5,) * 6
    assert np.all(found.maps[:, :, :32] == 255)
    assert np.all(found.maps[:, :, 32:] == 0)
    hair = np.stack([toy_subject.frame(i).labels == classes.HAIR for i in found.ids])
    assert found.regions["hair"] == pytest.approx(hair[:, :, :32].sum() / hair.sum())


@pytest.mark.parametrize(("form", "tolerance"), [("float32", 1e-6), ("uint8", 0.005)])
def test_a_blend_is_copied_by_its_weight(toy_subject: Subject, form: str, tolerance: float) -> None:
    def blend(item: Conditioning) -> np.ndarray:
        mixed = 0.3 * item.ground_truth + 0.7 * GREY
        return np.rint(mixed).astype(np.uint8) if form == "uint8" else (mixed / 255).astype(np.float32)

    assert audited(toy_subject, blend, "ground_truth").share == pytest.approx(0.3, abs=tolerance)


@pytest.mark.parametrize("plate", ["torso_canvas", "hair_canvas"])
def test_a_plate_handed_on_is_copied_where_it_holds_the_frame(toy_subject: Subject, plate: str) -> None:
    def built(picture: np.ndarray, number: int) -> np.ndarray:
        frame = toy_subject.frame(number)
        teeth = (frame.teeth,) if plate == "hair_canvas" else ()
        return getattr(plates, plate)(picture, frame.labels, *teeth, toy_subject.background)

    found = audited(toy_subject, lambda item: getattr(item, plate), plate)
    for number, share in zip(found.ids, found.maps, strict=True):
        image = toy_subject.frame(number).image
        holds = (built(image, number) != built(audit.disturb(image), number)).any(-1)
        assert np.array_equal(share == 255, holds)
        assert np.array_equal(share == 0, ~holds)
    assert found.share == pytest.approx((found.maps == 255).mean(), abs=1e-9)
    assert found.share > (0.2 if plate == "torso_canvas" else 0.99)  # of 64 rows, the neck's fade covers 53
    assert found.regions["torso"] == 1.0


def test_pixels_put_elsewhere_are_copied_pixels(toy_subject: Subject) -> None:
    """Mirrored top to bottom, the torso lies where the plate holds nothing of the frame; its faded rows weigh less there."""
    upright = audited(toy_subject, lambda item: item.torso_canvas, "torso_canvas")
    flipped = audited(toy_subject, lambda item: item.torso_canvas[::-1].copy(), "torso_canvas")
    assert upright.share > flipped.share > 0.8 * upright.share > 0.2


def test_a_method_that_sees_more_than_it_says_is_found_out(toy_subject: Subject) -> None:
    found = audited(toy_subject, lambda item: item._frame.image)
    assert (found.share, found.plates) == (1.0, ())


def noisy(draw: Draw, level: int) -> Callable[[], Renderer]:
    """Loads renderers that add uniform noise of up to ± ``level``, each its own."""
    random = np.random.default_rng(3)

    def with_noise(item: Conditioning) -> np.ndarray:
        picture = draw(item)
        noise = random.integers(-level, level, picture.shape, endpoint=True)
        return np.clip(picture + noise, 0, 255).astype(np.uint8)

    return lambda: Renderer(with_noise)


def test_noise_is_not_taken_for_copying(toy_subject: Subject) -> None:
    seen = ("pose", "audio", "ground_truth")
    draws = audit.run_audit(info_of(*seen), noisy(drawn, 6), toy_subject, 32)
    assert draws.share < 0.001
    assert draws.noise == pytest.approx(sum(abs(a - b) for a in range(13) for b in range(13)) / 169, rel=0.02)
    pastes = audit.run_audit(info_of(*seen), noisy(half_pasted, 6), toy_subject, 32)
    assert pastes.share == pytest.approx(0.5, abs=0.02)
    assert np.all(pastes.maps[:, :, 40:] < 255)


def test_what_a_renderer_remembers_does_not_hide_copying(toy_subject: Subject) -> None:
    """It keeps the pictures it has seen by frame id, and hands out one buffer for all frames."""

    def load() -> Renderer:
        kept: dict[int, np.ndarray] = {}
        buffer = np.empty((64, 64, 3), np.uint8)

        def draw(item: Conditioning) -> np.ndarray:
            buffer[:] = kept.setdefault(item.id, item.ground_truth)
            return buffer

        return Renderer(draw)

    assert audit.run_audit(info_of("ground_truth"), load, toy_subject, 32).share == 1.0


def test_a_broken_contract_is_an_error(toy_subject: Subject) -> None:
    def one_less(draw: Draw) -> Any:
        short = Renderer(draw)
        render = short.render
        short.render = lambda conditioning: render(conditioning[:-1])  # type: ignore[method-assign]
        return short

    with pytest.raises(MethodError, match="is missing"):
        audit.run_audit(info_of(), lambda: one_less(lambda item: np.zeros((64, 64, 3), np.uint8)), toy_subject, 32)
    with pytest.raises(MethodError, match="sees"):
        audited(toy_subject, half_pasted, "hair_canvas")


def test_the_cost_is_as_documented(toy_subject: Subject) -> None:
    loaded: list[Renderer] = []

    def load() -> Renderer:
        loaded.append(Renderer(lambda item: item.ground_truth))
        return loaded[-1]

    audit.run_audit(info_of("ground_truth"), load, toy_subject, 6)
    assert sorted(renderer.count for renderer in loaded) == [4, 6, 6]


def test_a_method_without_plates_is_spot_checked(toy_subject: Subject) -> None:
    assert len(toy_subject.test_ids) == 6
    assert len(audited(toy_subject, lambda item: np.zeros((64, 64, 3), np.uint8), "pose", count=32).ids) == 6
    few = sample_of(info_of("pose"), range(100), 32)
    assert (len(few), few[0], few[-1]) == (8, 0, 99)
    assert len(sample_of(info_of("pose", "hair_canvas"), range(100), 32)) == 32


def test_the_sample_is_spread_evenly(toy_subject: Subject) -> None:
    assert audit.sample(range(10, 110), 4) == (10, 43, 76, 109)
    assert audit.sample([3, 1, 2], 32) == (3, 1, 2)
    assert audit.sample([7, 8], 1) == (7,)
    found = audited(toy_subject, half_pasted, "ground_truth", count=3)
    assert found.ids == (16, 18, 21)
    assert len(found.maps) == len(found.per_frame) == 3


def test_only_pixels_of_test_frames_are_disturbed(toy_subject: Subject) -> None:
    values = np.arange(256, dtype=np.uint8)
    assert np.all(np.abs(audit.disturb(values).astype(int) - values) == audit.DELTA)
    other = audit.Disturbed(toy_subject)
    for number in toy_subject.ids:
        frame, changed = toy_subject.frame(number), other.frame(number)
        moved = audit.DELTA if number in toy_subject.test_ids else 0
        assert np.all(np.abs(changed.image.astype(int) - frame.image) == moved)
        for part in ("labels", "teeth", "landmarks", "audio", "expression", "action_units"):
            assert np.array_equal(getattr(changed, part), getattr(frame, part)), part
        assert np.array_equal(changed.camera.viewmat, frame.camera.viewmat)
    assert np.array_equal(other.background, toy_subject.background)


def test_what_is_saved_is_what_is_loaded(toy_subject: Subject, tmp_path: Path) -> None:
    folder, found = tmp_path / "audit", audited(toy_subject, half_pasted, "ground_truth", count=3)
    assert not audit.exists(folder)
    audit.save(folder, audited(toy_subject, drawn, "pose", "audio"))
    audit.save(folder, found)
    assert audit.exists(folder)
    assert sorted(path.name for path in folder.iterdir()) == ["audit.json", "share.mkv"]
    loaded = audit.load(folder)
    assert np.array_equal(loaded.maps, found.maps)
    for name in audit.Summary.__dataclass_fields__:
        assert getattr(loaded, name) == getattr(found, name), name
    assert audit.read(folder).share == 0.5


def test_synthesised_is_what_was_not_copied(toy_subject: Subject, tmp_path: Path) -> None:
    audit.save(tmp_path / "audit", audited(toy_subject, half_pasted, "ground_truth", count=3))
    weights = audit.synthesised(tmp_path / "audit")
    for number in toy_subject.test_ids:
        right = 1.0 if number in (16, 18, 21) else 0.0
        assert weights(number).shape == (64, 64)
        assert np.all(weights(number)[:, :32] == 0)
        assert np.all(weights(number)[:, 32:] == right)


def _change(folder: Path, **values: Any) -> None:
    path = folder / "audit.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda folder: (folder / "audit.json").write_text("{"),
        lambda folder: (folder / "audit.json").unlink(),
        lambda folder: _change(folder, schema_version=2),
        lambda folder: _change(folder, share=1.5),
        lambda folder: _change(folder, share=float("nan")),
        lambda folder: _change(folder, extra=1),
        lambda folder: _change(folder, ids=[16]),
        lambda folder: _change(folder, ids=[16], per_frame=[0.5]),
        lambda folder: (folder / "share.mkv").unlink(),
        lambda folder: (folder / "share.mkv").write_bytes((folder / "share.mkv").read_bytes()[:700]),
    ],
)
def test_a_broken_audit_on_disk_is_named(spoil: Callable[[Path], Any], toy_subject: Subject, tmp_path: Path) -> None:
    audit.save(tmp_path / "audit", audited(toy_subject, half_pasted, "ground_truth", count=3))
    spoil(tmp_path / "audit")
    with pytest.raises(RecordError, match="run the cell again"):
        audit.load(tmp_path / "audit")


# bench audit


@pytest.fixture
def run(toy_folder: Path, tmp_path: Path) -> Path:
    """A run folder: copy-gt and mean-frame done, a method whose plugin can't be imported, one that isn't done."""
    subject, names = Subject(toy_folder), ("t-absent", "copy-gt", "mean-frame", "time-shift")
    keys = [CellKey(method=name, subject="toy", preset="quick", seed=0) for name in names]
    run = tmp_path / "run"
    records.save(run / "run.json", Plan(cells=keys))
    for key in keys[:3]:
        folder = RunFolder(run).cell(key)
        folder.checkpoint.mkdir(parents=True)
        if key.method == "mean-frame":
            save_file({"mean": np.full((64, 64, 3), GREY, np.uint8)}, folder.checkpoint / "mean.safetensors")
        provenance = {"subject": catalogue.subject_hash(subject), "checkpoint": hash_folder(folder.checkpoint)}
        records.save(folder.record, Record(cell=key, status="ok", canvas="own", provenance=provenance))
        video.write_lossless(folder.frames, (subject.frame(i).image for i in subject.test_ids), 25)
    return run


def bench_audit(run: Path, toy_folder: Path, *arguments: str) -> Result:
    return CliRunner().invoke(command, [str(run), "--subjects", str(toy_folder), *arguments], catch_exceptions=False)


@pytest.mark.usefixtures("plugins")
def test_one_cell_that_cannot_be_audited_leaves_the_others(run: Path, toy_folder: Path) -> None:
    before = hash_folder(run)
    result = bench_audit(run, toy_folder)
    assert result.exit_code == 1
    assert [line.split()[:3] for line in result.stdout.splitlines()[1:3]] == [
        ["copy-gt--toy--quick--s0", "own", "100.0"],
        ["mean-frame--toy--quick--s0", "own", "0.0"],
    ]
    assert "time-shift--toy--quick--s0: skipped, not finished" in result.stdout
    assert result.stderr.startswith("error: t-absent--toy--quick--s0: ")
    assert result.stderr.count("\n") == 1
    assert hash_folder(run) == before


def test_json_has_every_number(run: Path, toy_folder: Path) -> None:
    result = bench_audit(run, toy_folder, "--json", "--frames", "2", "--cell", "copy-gt--toy--quick--s0")
    assert result.exit_code == 0
    (cell,) = json.loads(result.stdout)["cells"]
    assert (cell["share"], cell["ids"], cell["regions"]["face"], cell["state"]) == (1.0, [16, 21], 1.0, "ok")


def test_a_changed_checkpoint_or_subject_is_not_audited(run: Path, own_toy: Path) -> None:
    (run / "cells/mean-frame--toy--quick--s0/checkpoint/mean.safetensors").write_bytes(b"")
    result = bench_audit(run, own_toy, "--cell", "mean-frame--toy--quick--s0")
    assert (result.exit_code, "the checkpoint of the cell's record" in result.stderr) == (1, True)
    (own_toy / "new.txt").write_text("one file more")
    result = bench_audit(run, own_toy, "--cell", "copy-gt--toy--quick--s0")
    assert (result.exit_code, "the subject that the cell was trained on" in result.stderr) == (1, True)


def test_an_unknown_cell_is_a_usage_error(run: Path, toy_folder: Path) -> None:
    with pytest.raises(UsageError, match="did you mean 'copy-gt--toy--quick--s0'"):
        bench_audit(run, toy_folder, "--cell", "copy-gt--toy--quick--s1")


def test_the_picture_shows_copied_pixels_red(run: Path, toy_folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "audit.png"
    cells = ("--cell", "copy-gt--toy--quick--s0", "--cell", "mean-frame--toy--quick--s0")
    assert bench_audit(run, toy_folder, *cells, "--picture", str(path)).exit_code == 0
    pixels = np.asarray(Image.open(path).convert("RGB")).astype(int)
    right = pixels[:, int(0.72 * pixels.shape[1]) :]
    red = (right[..., 0] > 60) & (right[..., 1] < 0.2 * right[..., 0])
    upper, lower = red[: len(red) // 2].mean(), red[len(red) // 2 : -60].mean()
    assert upper > 0.5
    assert lower < 0.01


def test_the_tint_goes_from_white_to_red() -> None:
    white, share = np.full((1, 3, 3), 255, np.uint8), np.array([[0, 51, 255]], np.uint8)
    assert tinted(white, share).tolist() == [[[255, 255, 255], [255, 204, 204], [255, 0, 0]]]
