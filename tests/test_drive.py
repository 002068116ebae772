"""Driving a trained method with another sound: what is heard, what is seen, and the video made of it."""

from __future__ import annotations

import warnings
import wave
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from bench import audio, video
from bench.audio import RATE
from bench.checkpoints import Opened
from bench.contract import MethodInfo
from bench.drive import Order, check, drive, listen
from bench.drive.frames import Driven, order
from bench.errors import AbsentError, BenchWarning, DataError, MethodError, UsageError
from bench.subject import Subject

FRAME = RATE // 25


class Hears:
    """Its picture: red says which frame it was given, green what it heard (0…255 for a 25th of the hearing's mean)."""

    def __init__(self, *sees: str) -> None:
        self.info = MethodInfo("hears", "", "", "reference", frozenset({"pose", "audio", *sees}))

    def train(self, task):
        raise NotImplementedError

    def load(self, checkpoint, device):
        return self

    def render(self, conditioning):
        for item in conditioning:
            picture = np.zeros((item.size[1], item.size[0], 3), np.uint8)
            picture[..., 0], picture[..., 1] = 10 * item.id, np.clip(item.audio[4].mean(), 0, 10) * 25
            yield picture


def opened(subject: Subject, method=None, kind: str = "mel") -> Opened:
    return Opened(method or Hears(), None, Path("nowhere"), subject, kind)


def speech(seconds: float, rate: int = RATE, *, seed: int = 0) -> np.ndarray:
    """Noise that gets louder and fainter four times a second."""
    time = np.arange(round(seconds * rate)) / rate
    noise = np.random.default_rng(seed).standard_normal(len(time)).astype(np.float32)
    return (0.1 * noise * (1.01 + np.sin(8 * np.pi * time + seed))).astype(np.float32)


def wav(path: Path, samples: np.ndarray, rate: int = RATE) -> Path:
    video.write_audio(path, samples.astype(np.float32), rate)
    return path


@pytest.fixture(autouse=True)
def _quiet_about_short_sounds():
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "(?s).*standardised over the whole sound", BenchWarning)
        yield


# What is heard


@pytest.mark.parametrize(("extra", "frames"), [(0, 30), (FRAME // 2 - 1, 30), (FRAME // 2 + 1, 31)])
def test_the_video_lasts_as_long_as_the_sound_in_whole_frames(tmp_path: Path, extra: int, frames: int):
    heard = listen(wav(tmp_path / "a.wav", np.resize(speech(1), 30 * FRAME + extra)), "mel")
    assert (heard.frames, heard.first, heard.kind) == (frames, 0, "mel")
    assert len(heard.features) >= frames
    assert listen(heard.path, "mel", start=0.39).frames == frames - 10


def test_any_format_and_rate_is_heard_as_its_samples_at_16_khz(tmp_path: Path):
    import av

    plain = speech(5, 48_000)
    wav(tmp_path / "a.wav", plain, 48_000)
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=48_000, layout="stereo")
        frame = av.AudioFrame.from_ndarray(np.stack([plain, plain]), format="fltp", layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = 48_000, 0, Fraction(1, 48_000)
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    first, second = (listen(tmp_path / name, "mel").features[:120] for name in ("a.wav", "a.mp4"))
    expected = audio.windows(audio.log_mel(video.read_audio(tmp_path / "a.wav")))[:120]
    np.testing.assert_array_equal(first, expected)
    assert np.corrcoef(first.ravel(), second.ravel())[0, 1] > 0.9


def test_features_are_those_of_the_whole_sound(tmp_path: Path):
    path = wav(tmp_path / "a.wav", speech(4))
    np.testing.assert_array_equal(listen(path, "mel", start=1).features, listen(path, "mel").features)


def write_float(path: Path, samples: np.ndarray) -> None:
    """A wav of float32, which the standard library can't write."""
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_f32le", rate=RATE, layout="mono")
        frame = av.AudioFrame.from_ndarray(samples[None].astype(np.float32), format="flt", layout="mono")
        frame.sample_rate = RATE
        container.mux(stream.encode(frame))
        container.mux(stream.encode())


@pytest.mark.parametrize(
    ("samples", "rate", "message"),
    [
        (np.zeros(RATE), RATE, r"a.wav: silent \(never above −60 dB\)"),
        (np.full(RATE, 9e-4), RATE, "silent"),
        (speech(0.29), RATE, "lasts 0.29 s; at least 0.32 s"),
        (speech(1, 8000), 8000, "sampled at 8000 Hz, so nothing is in it above 4000 Hz"),
    ],
)
def test_sound_that_cannot_drive_is_refused(tmp_path: Path, samples: np.ndarray, rate: int, message: str):
    with pytest.raises(DataError, match=message):
        listen(wav(tmp_path / "a.wav", samples, rate), "mel")


def test_what_holds_no_sound_is_refused(tmp_path: Path):
    video.write_lossless(tmp_path / "mute.mkv", [np.zeros((8, 8, 3), np.uint8)] * 25, 25)
    with pytest.raises(DataError, match="mute.mkv: holds no audio"):
        listen(tmp_path / "mute.mkv", "mel")
    (tmp_path / "text.wav").write_text("text")
    with pytest.raises(DataError, match="text.wav: can't be decoded"):
        listen(tmp_path / "text.wav", "mel")
    with wave.open(str(tmp_path / "empty.wav"), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
    with pytest.raises(DataError, match="empty"):
        listen(tmp_path / "empty.wav", "mel")
    samples = speech(1)
    samples[5000] = np.nan
    write_float(tmp_path / "nan.wav", samples)
    with pytest.raises(DataError, match=r"nan.wav: holds samples that aren't finite"):
        listen(tmp_path / "nan.wav", "mel")


def test_a_start_leaves_something_to_say(tmp_path: Path):
    path = wav(tmp_path / "a.wav", np.concatenate([speech(1), np.zeros(RATE)]))
    assert listen(path, "mel", start=0.96).frames == 26
    with pytest.warns(BenchWarning, match=r"silent from 1.00 s on"):
        listen(path, "mel", start=1)
    assert listen(wav(tmp_path / "b.wav", speech(2)), "mel", start=1.97).frames == 1
    for start in (1.98, 2, 90, -0.1, float("nan"), float("inf")):
        with pytest.raises(UsageError, match=rf"--start {start:g}: .* ends at 2.00 s"):
            listen(path, "mel", start=start)


def test_a_short_sound_is_warned_of(tmp_path: Path):
    with pytest.warns(BenchWarning, match=r"lasts 3.99 s: features are standardised over the whole sound"):
        listen(wav(tmp_path / "a.wav", speech(3.99)), "mel")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        listen(wav(tmp_path / "a.wav", speech(4)), "mel")


# Features that are given


def save(path: Path, *shape: int, value: float = 1.0) -> Path:
    rows = np.full(shape, value)
    rows[: len(rows)] += np.arange(len(rows)).reshape(-1, *[1] * (len(shape) - 1))
    np.save(path, rows)
    return path


@pytest.mark.parametrize(("kind", "window"), [("ds", (16, 29)), ("hu", (2, 1024))])
@pytest.mark.parametrize("spare", [-1, 0, 1])
def test_given_features_are_heard(tmp_path: Path, kind: str, window: tuple[int, ...], spare: int):
    path = wav(tmp_path / "a.wav", speech(1, 8000), 8000)  # the features' extractor has heard it, whatever its rate
    given = listen(path, kind, features=save(tmp_path / "f.npy", 25 + spare, *window), start=0.4)
    assert (given.kind, given.frames, given.first) == (kind, 15, 10)
    assert given.features.shape == (max(25, 25 + spare), *window)
    assert given.features[:, 0, 0].tolist()[-2:] == {-1: [24, 24], 0: [24, 25], 1: [25, 26]}[spare]


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        (
            (25, 2, 1024),
            r"float64 \[25, 2, 1024\]; the checkpoint was trained with DeepSpeech features, \[T, 16, 29\] at 25",
        ),
        ((25, 16, 30), r"\[25, 16, 30\]; the checkpoint"),
        ((25,), r"\[25\]; the checkpoint"),
        ((50, 16, 29), r"50 windows \(50 a second\?\), but .*a.wav lasts 25 frames of 1/25 s"),
        ((23, 16, 29), "23 windows, but"),
        ((27, 16, 29), "27 windows, but"),
        ((0, 16, 29), "0 windows, but"),
    ],
)
def test_features_of_another_kind_rate_or_sound_are_refused(tmp_path: Path, shape: tuple[int, ...], message: str):
    with pytest.raises(DataError, match=message):
        listen(wav(tmp_path / "a.wav", speech(1)), "ds", features=save(tmp_path / "f.npy", *shape))


def test_features_are_plain_finite_numbers(tmp_path: Path):
    path = wav(tmp_path / "a.wav", speech(1))
    np.save(tmp_path / "object.npy", np.array([{}] * 25, object), allow_pickle=True)
    np.savez(tmp_path / "many.npz", np.zeros((25, 16, 29)))
    (tmp_path / "text.npy").write_text("text")
    save(tmp_path / "nan.npy", 25, 16, 29, value=np.nan)
    cases = {"object.npy": "not a plain", "many.npz": "several arrays", "text.npy": "not a plain"}
    cases |= {"nan.npy": "finite", "none.npy": "no such file"}
    for name, message in cases.items():
        with pytest.raises(DataError, match=f"{name}: .*{message}"):
            listen(path, "ds", features=tmp_path / name)


def test_features_are_asked_for_where_there_is_no_model(tmp_path: Path):
    path = wav(tmp_path / "a.wav", speech(1))
    with pytest.raises(
        AbsentError, match=r"HuBERT features, \[T, 2, 1024\] at 25 windows a second.*--features FILE.npy"
    ):
        listen(path, "hu")
    with pytest.raises(UsageError, match="trained with mel, which is computed from the sound"):
        listen(path, "mel", features=save(tmp_path / "f.npy", 25, 16, 29))
    with pytest.raises(UsageError, match="'xy', which aren't known"):
        listen(path, "xy")


# What is seen


def test_poses_come_from_a_split_or_go_to_and_fro(toy_subject: Subject):
    assert order(toy_subject, "train", 20) == list(range(16))
    assert order(toy_subject, "test", 3) == [16, 17, 18]
    loop = [*range(22), *range(20, 0, -1)]
    assert order(toy_subject, "loop", 100) == (loop * 3)[:100]


def test_a_method_is_given_the_frame_with_the_new_sound(toy_subject: Subject):
    features = np.random.default_rng(0).standard_normal((30, 16, 32)).astype(np.float32)
    given = Driven(toy_subject, frozenset({"pose", "audio"}), features, [(18, 9), (17, 10), (16, 11)])
    assert len(given) == 3
    assert [item.id for item in given] == [18, 17, 16]
    assert [item.id for item in given[1:]] == [17, 16]
    assert given[-1].id == 16
    with pytest.raises(IndexError):
        given[3]
    np.testing.assert_array_equal(given[1].audio, features[6:14].transpose(0, 2, 1))
    np.testing.assert_array_equal(given[1].camera.viewmat, toy_subject.camera(17).viewmat)
    with pytest.raises(MethodError, match="asked for 'expression'"):
        _ = given[0].expression
    assert given[0] is not given[0]  # nothing is kept


# The video


def test_video_and_sound_start_together_and_end_with_the_sound(toy_subject: Subject, tmp_path: Path):
    samples = np.concatenate([np.zeros(RATE), speech(2)])
    told: list[tuple[int, int]] = []
    wanted = Order(wav(tmp_path / "a.wav", samples), tmp_path / "new/out.mp4", start=1.0)
    document = drive(opened(toy_subject), wanted, "cpu", lambda *args: told.append(args))
    assert (document["frames"], document["seconds"], document["start"]) == (50, 2.0, 1.0)
    assert told == [(done, 50) for done in range(51)]
    found = video.probe(wanted.out)
    assert (found.frames, found.fps, found.codec, found.has_audio) == (50, 25, "h264", True)
    sound = video.read_audio(wanted.out)
    assert abs(len(sound) - 2 * RATE) < 2048
    assert np.corrcoef(sound[: 2 * RATE - 4000], samples[RATE : 3 * RATE - 4000])[0, 1] > 0.9
    loop = order(toy_subject, "loop", 50)
    for frame, number in zip(video.read_video(wanted.out), loop, strict=True):
        assert abs(int(frame[..., 0].mean()) - 10 * number) <= 4
    assert [p.name for p in wanted.out.parent.iterdir()] == ["out.mp4"]


def test_a_split_that_ends_first_ends_the_video(toy_subject: Subject, tmp_path: Path):
    wanted = Order(wav(tmp_path / "a.wav", speech(2)), tmp_path / "out.mp4", "test")
    with pytest.warns(
        BenchWarning, match=r"test split has 6 frames \(0.24 s\) and the sound lasts 2.00 s.*--poses loop"
    ):
        document = drive(opened(toy_subject), wanted, "cpu")
    assert document["frames"] == video.probe(wanted.out).frames == 6
    assert len(video.read_audio(wanted.out)) < 0.24 * RATE + 2048


@pytest.mark.parametrize(
    ("sees", "words"), [("expression", "coefficients"), ("hair_canvas", "rim"), ("ground_truth", "the frame itself")]
)
def test_what_tells_of_the_driving_mouth_is_named(toy_subject: Subject, tmp_path: Path, sees: str, words: str):
    wanted = Order(wav(tmp_path / "a.wav", speech(0.4)), tmp_path / "out.mp4")
    with pytest.warns(BenchWarning, match=f"mouth follows the driving frames as well as the sound.*{words}"):
        drive(opened(toy_subject, Hears(sees)), wanted, "cpu")
    with warnings.catch_warnings():
        warnings.filterwarnings("error", ".*driving frames")
        drive(
            opened(toy_subject, Hears("action_units", "torso_canvas")),
            Order(wanted.audio, wanted.out, force=True),
            "cpu",
        )


def test_nothing_is_written_over_unless_told(tmp_path: Path):
    sound, out = wav(tmp_path / "a.wav", speech(1)), tmp_path / "out.mp4"
    out.touch()
    with pytest.raises(UsageError, match=r"out.mp4 exists.*--force"):
        check(Order(sound, out))
    check(Order(sound, out, force=True))
    with pytest.raises(UsageError, match="is what is read"):
        check(Order(out, out, force=True))
    with pytest.raises(UsageError, match=r"is an .mp4"):
        check(Order(sound, tmp_path / "out.mkv"))
    (tmp_path / "folder.mp4").mkdir()
    with pytest.raises(UsageError, match="is a folder"):
        check(Order(sound, tmp_path / "folder.mp4", force=True))


class Deaf(Hears):
    def __init__(self) -> None:
        self.info = MethodInfo("deaf", "", "", "reference", frozenset({"pose"}))


class Leaves(Hears):
    def load(self, checkpoint, device):
        raise SystemExit(0)


class Stops(Hears):
    def render(self, conditioning):
        return super().render(conditioning[:-1])


@pytest.mark.parametrize(
    ("method", "error", "message"),
    [
        (Deaf(), UsageError, "deaf doesn't hear"),
        (Leaves(), MethodError, r"called sys.exit\(0\)"),
        (Stops(), MethodError, "rendered 9 of 10 frames"),
    ],
)
def test_a_method_that_cannot_be_driven_leaves_no_video(toy_subject: Subject, tmp_path: Path, method, error, message):
    wanted = Order(wav(tmp_path / "a.wav", speech(0.4)), tmp_path / "out.mp4")
    with pytest.raises(error, match=message):
        drive(opened(toy_subject, method), wanted, "cpu")
    assert [p.name for p in tmp_path.iterdir()] == ["a.wav"]


def test_a_subject_of_another_rate_is_refused(own_toy: Path, tmp_path: Path):
    card = own_toy / "subject.json"
    card.write_text(card.read_text().replace('"fps": 25', '"fps": 30'))
    wanted = Order(wav(tmp_path / "a.wav", speech(1)), tmp_path / "out.mp4")
    with pytest.raises(DataError, match="30 frames a second; audio features are made for 25"):
        drive(opened(Subject(own_toy)), wanted, "cpu")
