"""The deformable-Gaussian methods: fields, sampling, training, resume."""

from __future__ import annotations

import dataclasses
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from training_kit import Quiet, fingerprint

from bench import classes, registry
from bench.contract import Conditioning, TrainTask, checked_frames
from bench.errors import BenchWarning, MethodError, RecordError, UsageError
from bench.subject import Camera, Subject
from methods import kernels
from methods.baselines.talkinggaussian.plugin import TalkingGaussian
from methods.deformable import design as designs
from methods.deformable.data import TrainingData
from methods.deformable.face import FaceStage
from methods.deformable.fields import FaceField, MouthField
from methods.deformable.plugin import DeformableGaussians
from methods.deformable.sample import Packed
from methods.deformable.sampling import face_position, mouth_position
from methods.degstalk.plugin import Degstalk
from methods.fields import initial
from methods.training.sampler import Sampler
from methods.training.stage import Stage

TINY = designs.Schedule(
    mouth=designs._short(designs.PAPER.mouth, 12, 4, densify_every=3, init=60, limit=120),
    face=designs._short(designs.PAPER.face, 16, 6, densify_every=3, init=150, limit=220, half_until=8),
    fuse=designs.Fuse(iterations=6, lpips_from=100),
)


def shortened(method: DeformableGaussians) -> DeformableGaussians:
    method.schedules = dict.fromkeys(("quick", "standard", "paper"), TINY)
    return method


def train(method, subject: Subject, out: Path, seed: int = 0, progress=None) -> None:
    out.mkdir(exist_ok=True)
    method.train(TrainTask(subject.for_training(), out, "quick", seed, "cpu", progress or Quiet()))


@pytest.fixture(scope="module")
def data(toy_subject: Subject) -> TrainingData:
    return TrainingData(toy_subject.for_training(), Degstalk.design, "cpu")


def test_field_widths_follow_the_specs():
    face = FaceField(Degstalk.design, 29, 50)
    assert face.decoder.weights[0].shape == (64, 116)
    assert face.expression_net.weights[-1].shape == (14, 16)
    assert FaceField(TalkingGaussian.design, 29, 5).decoder.weights[0].shape == (64, 74)
    assert MouthField(Degstalk.design, 29).decoder.weights[0].shape == (32, 100)
    assert MouthField(TalkingGaussian.design, 29).decoder.weights[0].shape == (32, 68)
    assert MouthField(TalkingGaussian.design, 29).jaw is None


def test_constant_input_equals_concatenation():
    torch.manual_seed(0)
    field, windows = MouthField(Degstalk.design, 29), torch.randn(8, 29, 16)
    encoded = field.encode(torch.rand(9, 3) * 0.1, torch.randn(9, 32))
    features, heard = torch.cat(encoded.features, 1), field.hear(windows)
    assert features.shape == (9, 68)
    inputs = torch.cat([features, heard.repeat(9, 1)], 1)
    motion, jaw = field(encoded, windows)
    assert torch.allclose(motion.offsets, field.decoder(inputs), atol=1e-6)
    assert torch.allclose(motion.xyz, motion.offsets * torch.tensor([0.002, 0.01, 0.002]))
    assert torch.allclose(jaw, field.jaw(inputs), atol=1e-6)
    assert field.eval()(encoded, windows)[1] is None


def test_the_face_hears_and_sees_through_its_attention():
    torch.manual_seed(0)
    field, windows = FaceField(Degstalk.design, 29, 50), torch.randn(8, 29, 16)
    encoded = field.encode(torch.rand(9, 3) * 0.1, torch.randn(9, 32))
    expression, direct = torch.randn(50), torch.rand(2)
    code = torch.cat([field.expression_net(expression[None])[0], direct])
    attended = encoded.audio_attention * field.hear(windows), encoded.expression_attention * code
    expected = field.decoder(torch.cat([*encoded.features, *attended], 1))
    motion = field(encoded, windows, expression, direct)
    assert torch.allclose(motion.offsets, expected, atol=1e-6)
    assert torch.allclose(motion.xyz, 0.01 * expected[:, :3])
    assert (encoded.expression_attention >= 0).all()


def test_embedding_and_audio_reach_the_motion():
    field = FaceField(Degstalk.design, 32, 50)
    xyz, z = torch.rand(6, 3) * 0.1, torch.zeros(6, 32, requires_grad=True)
    windows = torch.randn(8, 32, 16, requires_grad=True)
    field(field.encode(xyz, z), windows, torch.randn(50), torch.rand(2)).xyz.sum().backward()
    assert z.grad.abs().sum() > 0
    assert windows.grad.abs().sum() > 0


def test_sampler_never_hangs_and_favours_the_window(data: TrainingData):
    sampler = Sampler(len(data.ids), torch.Generator().manual_seed(0))
    impossible = sampler.among(np.array([1.0, 2.0, 9.0], np.float32), 4.0, 5.0)
    assert impossible == 1
    wide = {mouth_position(1, TINY.mouth, data, sampler) for _ in range(20)}
    assert all(data.lips_part[p] == data.lips_part.max() for p in wide)
    blinks = [
        face_position(7, dataclasses.replace(TINY.face, warm=3), Degstalk.design, data, sampler) for _ in range(5)
    ]
    assert all(0 <= p < len(data.ids) for p in blinks)


def test_an_epoch_shows_every_frame_once():
    sampler = Sampler(7, torch.Generator().manual_seed(3))
    assert sorted(sampler.next() for _ in range(7)) == list(range(7))


def test_masks_of_the_two_designs_differ_in_hair(toy_subject: Subject):
    subject = toy_subject.for_training()
    degstalk = TrainingData(subject, Degstalk.design, "cpu").sample(subject.train_ids[0], half=False)
    talking = TrainingData(subject, TalkingGaussian.design, "cpu").sample(subject.train_ids[0], half=False)
    assert not (degstalk.head & degstalk.hair).any()
    assert (talking.hair & ~talking.head).sum() == 0
    assert talking.head.sum() > degstalk.head.sum()


def area_mean(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """[h,w,...] at (height, width) ``size``: every pixel the mean over its share of the picture, in float64."""

    def shares(count: int, of: int) -> np.ndarray:
        ends, pixels = np.arange(count + 1) * of / count, np.arange(of)
        covered = np.minimum(ends[1:, None], pixels + 1) - np.maximum(ends[:-1, None], pixels)
        return covered.clip(0) * count / of

    rows, columns = (shares(count, of) for count, of in zip(size, picture.shape, strict=False))
    return np.einsum("ai,bj,ij...->ab...", rows, columns, picture.astype(np.float64))


def noise_frame(width: int, height: int) -> SimpleNamespace:
    """Random pixels, classes and drivers; what a design reads of a :class:`bench.subject.Frame`."""
    random = np.random.default_rng(0)
    return SimpleNamespace(
        id=7,
        image=random.integers(0, 256, (height, width, 3), np.uint8),
        background_pasted=random.integers(0, 256, (height, width, 3), np.uint8),
        labels=random.choice(np.array([0, 1, 1, 7, 11, 17, 17], np.uint8), (height, width)),
        teeth=random.random((height, width)) < 0.3,
        landmarks=(random.random((68, 2)) * (width, height)).astype(np.float32),
        camera=Camera(width, height, 90.0, 91.0, width / 2, height / 2, np.eye(4, dtype=np.float32)),
        audio=random.random((8, 32, 16), np.float32),
        expression=random.random(50, np.float32),
        eyelid=random.random(2, np.float32),
        action_units=random.random(6, np.float32),
        jaw=random.random(3, np.float32),
    )


def masks_of(frame, design) -> dict[str, np.ndarray]:
    hair = classes.hair(frame.labels, ears=design.hair_canvas)
    head = classes.face(frame.labels, ears=not design.hair_canvas) & ~frame.teeth
    head = head if design.hair_canvas else head | hair
    return {"head": head, "hair": hair, "mouth": classes.mouth(frame.labels, frame.teeth)}


VARIANTS = ("-E", "-F", "-R", "-R2", "-H", "-E-F-R-H", "paper", "paper-R")


@pytest.mark.parametrize("text", VARIANTS)
def test_a_variant_trains_is_stored_and_renders(text, toy_subject: Subject, tmp_path: Path):
    method = shortened(registry.get("degstalk", text))
    train(method, toy_subject, tmp_path / "c")
    given = [Conditioning(toy_subject.frame(i), toy_subject, method.info.sees) for i in toy_subject.test_ids]
    frames = list(checked_frames(method.info, given, method.load(tmp_path / "c", "cpu").render(given)))
    assert len(frames) == len(given)
    with pytest.raises(RecordError, match="load it as the variant"):
        Degstalk().load(tmp_path / "c", "cpu")


def test_variants_change_what_they_say(toy_subject: Subject):
    designs_of = {text: registry.get("degstalk", text).design for text in VARIANTS}
    for text, fields in {"-E": {"embedding": 0}, "-F": {"coefficients": False}, "-R": {"fusion": False}}.items():
        assert designs_of[text] == dataclasses.replace(Degstalk.design, **fields)
    assert designs_of["-H"].sees == {"pose", "audio", "expression", "torso_canvas"}
    assert designs_of["-F"].sees == {"pose", "audio", "action_units", "hair_canvas"}
    assert designs_of["-R2"].sees == {"pose", "audio", "expression", "bare_hair_canvas"}
    assert designs_of["paper"].sees == Degstalk.design.sees
    assert set(Degstalk.switches) == {*Degstalk.info.factors, *Degstalk.info.readings}
    hair = TrainingData(toy_subject.for_training(), designs_of["-H"], "cpu").sample(3, half=False)
    assert (hair.head & hair.hair).sum() > 50
    with pytest.raises(UsageError, match="no rim to leave out"):
        registry.get("degstalk", "-R2-H")


def test_without_fusion_the_branches_stay_as_they_were_trained(toy_subject: Subject, tmp_path: Path):
    whole, without = shortened(Degstalk()), shortened(registry.get("degstalk", "-R"))
    stages = []
    for method, name in ((whole, "whole"), (without, "without")):
        progress = Quiet()
        train(method, toy_subject, tmp_path / name, progress=progress)
        stages.append(progress.stages)
    assert stages == [["mouth", "face", "fuse"], ["mouth", "face"]]
    models = [load_file(tmp_path / name / "model.safetensors") for name in ("whole", "without")]
    for part in ("face", "mouth"):  # the fusion stage changes colours, not geometry
        assert torch.equal(models[0][f"{part}.raw.xyz"], models[1][f"{part}.raw.xyz"])
        assert not torch.equal(models[0][f"{part}.raw.f_dc"], models[1][f"{part}.raw.f_dc"])


@pytest.mark.parametrize("text", ["", "paper"])
def test_what_the_fusion_stage_trains(text, toy_subject: Subject, tmp_path: Path):
    method = shortened(registry.get("degstalk", text))
    models = []
    for fusion, name in ((True, "with"), (False, "without")):
        method.design = dataclasses.replace(method.design, fusion=fusion)
        train(method, toy_subject, tmp_path / name)
        models.append(load_file(tmp_path / name / "model.safetensors"))
    parts = ("xyz", "scaling", "rotation", "f_dc", "f_rest", "opacity", "embedding")
    names = [f"{cloud}.raw.{part}" for cloud in ("face", "mouth") for part in parts]
    moved = {name for name in names if not torch.equal(models[0][name], models[1][name])}
    colours = {f"{cloud}.raw.{part}" for cloud in ("face", "mouth") for part in ("f_dc", "f_rest")}
    assert moved == (colours if text else colours | {"face.raw.opacity", "mouth.raw.embedding"})


def test_the_papers_embedding_moves_where_the_planes_are_read():
    torch.manual_seed(0)
    field = FaceField(dataclasses.replace(Degstalk.design, encoded_embedding=True), 29, 50)
    xyz, z = torch.rand(6, 3) * 0.1, torch.randn(6, 32, requires_grad=True)
    features = field.encode(xyz, z).features
    assert [f.shape for f in features] == [(6, 36)]
    assert torch.equal(features[0], field.encoder(xyz + z @ field.shift.weight.T))
    assert field.decoder.weights[0].shape == (64, 36 + 32 + 16)
    features[0].sum().backward()
    assert z.grad.abs().sum() > 0
    assert field.shift.weight.grad.abs().sum() > 0
    assert any(field.shift.weight is p for group in field.parameter_groups(1.0) for p in group["params"])


def test_shape_coefficients_are_read_where_there_are_some(own_toy: Path, tmp_path: Path):
    design = registry.get("degstalk", "paper").design
    without = Subject(own_toy)
    assert TrainingData(without.for_training(), design, "cpu").expression_width == 4
    with pytest.warns(BenchWarning, match="toy has no shape coefficients"):
        train(shortened(registry.get("degstalk", "paper")), without, tmp_path / "without")
    with np.load(own_toy / "coefficients.npz") as stored:
        arrays = dict(stored)
    shape = np.arange(22 * 5, dtype=np.float32).reshape(22, 5)
    np.savez(own_toy / "coefficients.npz", **arrays, shape=shape)
    data = TrainingData(Subject(own_toy).for_training(), design, "cpu")
    assert data.expression_width == 9
    assert np.array_equal(data.sample(3, half=False).drivers.expression[4:], shape[3])
    plain = TrainingData(Subject(own_toy).for_training(), Degstalk.design, "cpu")
    assert plain.sample(3, half=False).drivers.expression.shape == (4,)


BOTH = pytest.mark.parametrize("design", [Degstalk.design, TalkingGaussian.design], ids=lambda d: d.name)


@BOTH
@pytest.mark.parametrize("size", [(48, 32), (37, 23), (51, 40)])
def test_half_size_frames_are_means_over_areas(size, design):
    frame = noise_frame(*size)
    sample = Packed.read(frame, design, 0.5).sample("cpu")
    view = sample.view
    assert (view.width, view.height) == (round(size[0] / 2), round(size[1] / 2))
    picture = frame.image if design.hair_canvas else frame.background_pasted
    exact = area_mean(picture, (view.height, view.width))
    assert np.abs(sample.image.numpy().transpose(1, 2, 0) - exact).max() <= 0.501  # rounded
    for name, mask in masks_of(frame, design).items():
        exact = area_mean(mask, (view.height, view.width))
        clear = np.abs(exact - 0.5) > 1e-6
        got = getattr(sample, name).numpy()
        assert (got == (exact > 0.5))[clear].all(), name
        if size == (48, 32):  # means of four are exact, and a half is not more than half
            assert (~clear).any()
            assert not got[~clear].any()
    assert torch.allclose(view.K[0, :2, 2], torch.tensor([view.width / 2, view.height / 2]))


@BOTH
@pytest.mark.parametrize("size", [(37, 23), (8, 4), (3, 3), (64, 63)])
def test_a_packed_frame_comes_back_bit_for_bit(size, design):
    frame, (width, height) = noise_frame(*size), size
    packed = Packed.read(frame, design, 1.0)
    heard = sum(4 * t.numel() for t in (packed.drivers.windows, packed.drivers.expression, packed.drivers.direct))
    assert packed.bytes == 3 * width * height + 3 * -(-width * height // 8) + heard
    for sample in (packed.sample("cpu"), packed.sample("cpu")):  # unpacking changes nothing
        picture = frame.image if design.hair_canvas else frame.background_pasted
        assert np.array_equal(sample.image.numpy().transpose(1, 2, 0), picture)
        for name, mask in masks_of(frame, design).items():
            got = getattr(sample, name)
            assert got.dtype == torch.bool
            assert np.array_equal(got.numpy(), mask), name
        drivers = sample.drivers
        assert np.array_equal(drivers.windows, frame.audio)
        units = frame.action_units
        wanted = (frame.expression, frame.eyelid) if design.coefficients else (units[:5], units[5:])
        assert np.array_equal(drivers.expression, wanted[0])
        assert np.array_equal(drivers.direct, wanted[1])
        assert (sample.jaw is None) == (not design.jaw_loss)
        assert sample.jaw is None or np.array_equal(sample.jaw, frame.jaw)
        assert sample.id == 7
        r0, r1, c0, c1 = sample.lips
        assert 0 <= r0 < r1 <= height
        assert 0 <= c0 < c1 <= width
        assert sample.lips_mask.sum() == (r1 - r0) * (c1 - c0)


def test_frames_and_canvases_are_read_ahead(toy_subject: Subject, monkeypatch):
    subject, readers = toy_subject.for_training(), []
    plain = TrainingData(subject, TalkingGaussian.design, "cpu")
    want = [plain.sample(subject.train_ids[3], half=True), plain.canvas(subject.train_ids[3])]
    read = Packed.read

    def noted(*given):
        readers.append(threading.get_ident())
        return read(*given)

    monkeypatch.setattr(Packed, "read", staticmethod(noted))
    data = TrainingData(subject, TalkingGaussian.design, "cpu")
    data.fetch(subject.train_ids[3], half=True, canvas=True)
    got = [data.sample(subject.train_ids[3], half=True), data.canvas(subject.train_ids[3])]
    assert len(readers) == 1
    assert threading.get_ident() not in readers
    for name in ("image", "head", "hair", "mouth"):
        assert torch.equal(getattr(got[0], name), getattr(want[0], name))
    assert torch.equal(got[1], want[1])
    data.sample(subject.train_ids[3], half=False)  # another size is another picture, read when it is asked for
    assert readers[1:] == [threading.get_ident()]


class Walk(Stage):
    """A stage that only goes from frame to frame, with other uses of the random generator in between."""

    name, total = "walk", 8

    def __init__(self, seed: int = 0) -> None:
        super().__init__(seed, frames=3)
        self.seen, self.drawn, self.fetched = [], [], []

    def draw(self, it):
        self.drawn.append(it)
        return self.sampler.next()

    def fetch(self, it, position):
        self.fetched.append((it, position))

    def step(self, it):
        self.seen.append(self.position(it))
        noise = float(torch.rand(1, generator=self.generator))
        self.seen.append(noise)
        return {"loss": noise}

    def tensors(self):
        return {}

    def load_tensors(self, tensors):
        assert not tensors


def test_a_stage_draws_its_frames_one_ahead(tmp_path: Path):
    whole = Walk()
    whole.run(tmp_path, Quiet())
    positions = whole.seen[::2]
    assert whole.drawn == list(range(1, 9))
    assert whole.fetched == list(zip(range(2, 9), positions[1:], strict=True))
    for epoch in (positions[:3], positions[3:6]):
        assert sorted(epoch) == [0, 1, 2]
    for stop in range(1, 8):
        path = tmp_path / f"{stop}.safetensors"
        first, then = Walk(), Walk(seed=1)
        for first.done in range(1, stop + 1):
            first.step(first.done)
        first.save(path)
        then.load(path)
        for it in range(then.done + 1, 9):
            then.step(it)
        assert first.seen + then.seen == whole.seen
        assert first.fetched + then.fetched == whole.fetched


@pytest.mark.parametrize("kind", [Degstalk, TalkingGaussian])
def test_training_is_deterministic_and_survives_interruption(kind, toy_subject: Subject, tmp_path: Path, monkeypatch):
    monkeypatch.setattr("methods.training.stage.SAVE_EVERY", 5)
    monkeypatch.setattr("methods.training.stage._REPORT_EVERY", 8)
    method = shortened(kind())
    train(method, toy_subject, tmp_path / "whole")
    for stage in ("mouth", "face", "fuse"):
        with pytest.raises(KeyboardInterrupt):
            train(method, toy_subject, tmp_path / "cut", progress=Quiet(stop_in=stage))
        state = load_file(tmp_path / f"cut/{stage}.safetensors")
        assert state["done"] == 5  # in the middle: the frame of the next iteration is drawn already
        assert state["upcoming"] >= 0
    assert not (tmp_path / "cut/model.json").exists()
    train(method, toy_subject, tmp_path / "cut")
    assert fingerprint(tmp_path / "whole") == fingerprint(tmp_path / "cut")
    train(method, toy_subject, tmp_path / "other", seed=1)
    assert fingerprint(tmp_path / "whole") != fingerprint(tmp_path / "other")

    conditioning = [Conditioning(toy_subject.frame(i), toy_subject, method.info.sees) for i in toy_subject.test_ids]
    frames = list(
        checked_frames(method.info, conditioning, method.load(tmp_path / "whole", "cpu").render(conditioning))
    )
    assert len(frames) == len(toy_subject.test_ids)


@pytest.mark.skipif(kernels.native is None, reason="the compiled kernels are not built")
@pytest.mark.parametrize("kind", [Degstalk, TalkingGaussian])
def test_training_does_not_depend_on_the_threads(kind, toy_subject: Subject, tmp_path: Path):
    """With more Gaussians than one thread takes at a time."""
    many = dataclasses.replace(
        TINY, **{name: dataclasses.replace(getattr(TINY, name), init=900, limit=1000) for name in ("mouth", "face")}
    )
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for threads in (1, 2):
            method = kind()
            method.schedules = {"quick": many}
            with kernels.using(threads=threads):
                train(method, toy_subject, tmp_path / str(threads))
    finally:
        torch.set_num_threads(before)
    assert fingerprint(tmp_path / "1") == fingerprint(tmp_path / "2")


def test_a_checkpoint_of_another_method_is_refused(toy_subject: Subject, tmp_path: Path):
    method = shortened(Degstalk())
    train(method, toy_subject, tmp_path / "c")
    with pytest.raises(RecordError, match="degstalk"):
        TalkingGaussian().load(tmp_path / "c", "cpu")
    (tmp_path / "c/model.safetensors").write_bytes(b"broken")
    with pytest.raises(RecordError, match="can't be read"):
        method.load(tmp_path / "c", "cpu")


def test_a_loss_that_is_not_a_number_ends_the_training(toy_subject: Subject, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(FaceStage, "step", lambda self, it: {"loss": float("nan")})
    with pytest.raises(MethodError, match="stage face, iteration 1"):
        train(shortened(Degstalk()), toy_subject, tmp_path / "c")


def test_short_presets_start_with_audio_that_is_heard():
    torch.manual_seed(0)
    windows = torch.randn(20, 8, 32, 16) + 3
    field = FaceField(Degstalk.design, 32, 50)
    before = torch.stack([field.hear(w) for w in windows]).std(0).mean()
    initial.standardise_audio(field.audio_net, windows)
    codes = field.audio_net(windows.flatten(0, 1))
    assert before < 0.02
    assert torch.allclose(codes.std(0), torch.ones(32), rtol=1e-3)
    assert codes.mean(0).abs().max() < 1e-3
    initial.standardise_mlp(field.expression_net, 0.1 * torch.rand(40, 50))
    assert field.expression_net(torch.rand(50)).isfinite().all()


def test_short_presets_keep_the_paper_proportions():
    face, paper = designs.QUICK.face, designs.PAPER.face
    ratio = (face.hair_until - face.warm) / (face.iterations - face.warm)
    assert ratio == pytest.approx((paper.hair_until - paper.warm) / (paper.iterations - paper.warm), abs=0.01)
