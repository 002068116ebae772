"""`bench data verify`: each check sees its own fault, and nothing else does."""

from __future__ import annotations

import json
import shutil
import wave
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner, Result

from bench import catalogue, checks, classes
from bench.checks import motion, timing
from bench.checks.finding import some
from bench.checks.survey import Survey, levels
from bench.cli import main
from bench.errors import DataError
from bench.subject import Subject


def bench(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments), catch_exceptions=False)


@pytest.fixture(scope="module")
def ada() -> Survey:
    """400 frames of the embedded subject: everything is right with her."""
    return checks.survey(catalogue.resolve("ada"))


def states(survey: Survey) -> dict[str, str]:
    return {finding.check: finding.state for finding in checks.run(survey)}


def only(survey: Survey, check: str, state: str, words: str) -> None:
    """``check`` alone says ``state``, with ``words`` in it."""
    found = {finding.check: finding for finding in checks.run(survey)}
    assert found[check].state == state, found[check]
    assert words in found[check].text
    assert {name for name, finding in found.items() if finding.state != "ok"} == {check}


def test_nothing_is_wrong_with_the_embedded_subjects(ada):
    assert set(states(ada).values()) == {"ok"}
    assert set(states(checks.survey(catalogue.resolve("ben"))).values()) == {"ok"}


def test_a_cut_and_missing_faces(ada):
    counts = ada.counts.copy()
    counts[200:203] = np.eye(19, dtype=int)[0] * ada.pixels
    found = next(f for f in checks.run(replace(ada, counts=counts)) if f.check == "face masks")
    assert found.state == "fail"
    assert "no face in 3 masks (frames 200, 201, 202)" in found.text
    counts = ada.counts.copy()
    counts[300:, :14] //= 2
    only(replace(ada, counts=counts), "face masks", "warn", "jumps at 1 frames (300)")


def test_landmarks_of_other_frames_lie_off_the_mask(ada):
    inside = ada.inside.copy()
    inside[10] = 0.5
    only(replace(ada, inside=inside), "face masks", "warn", "off the face's mask in 1 frames (10)")
    inside[:] = 0.5
    only(replace(ada, inside=inside), "face masks", "fail", "in 400 frames (0, 1, 2, 3, 4 …)")


def test_parts_that_are_never_there(ada):
    only(replace(ada, mouth=0 * ada.mouth), "parts", "warn", "no inner mouth in any frame")
    counts = ada.counts.copy()
    counts[:, classes.SKIN] += counts[:, classes.HAIR]
    counts[:, classes.HAIR] = 0
    only(replace(ada, counts=counts), "parts", "warn", "no hair in any frame")


def test_poses_that_leap_or_are_none(ada):
    views = ada.views.copy()
    views[100] = views[100] @ np.diag([1.0, 1, 1, 1]) + np.array([[0, 0, 0, 0.3]] + 3 * [[0.0] * 4])
    found = {f.check: f for f in checks.run(replace(ada, views=views))}
    assert found["poses"].state == "warn"
    assert "leaps at 2 frames (100, 101)" in found["poses"].text
    views = ada.views.copy()
    views[7, :3, :3] *= 1.1
    assert (
        "1 poses are no rotations (frames 7)"
        in {f.check: f for f in checks.run(replace(ada, views=views))}["poses"].text
    )


@pytest.mark.parametrize(
    ("change", "state", "words"),
    [
        (lambda views: np.roll(views, 6, 0), "warn", "same video at the same rate"),
        (lambda views: views[::-1], "fail", "same video at the same rate"),
    ],
)
def test_poses_of_another_time_miss_the_landmarks(ada, change, state, words):
    found = motion.reprojection(replace(ada, views=change(ada.views)))
    assert found.state == state, found
    assert words in found.text


def test_flipped_poses_turn_the_face_inside_out(ada):
    views = ada.views.copy()
    views[:, 2, :3] *= -1  # the head's depth the wrong way round: mirrored, no rotation any more
    found = {f.check: f.state for f in checks.run(replace(ada, views=views))}
    assert found["poses"] == "fail"
    assert found["reprojection"] == "fail"


def test_blinks_are_counted_once_each_and_judged():
    closed = np.array([0, 0.6, 0.4, 0.8, 0, 0.1, 0.9, 0.3, 0.6, 0])
    assert motion.count_blinks(closed) == 2
    subject = catalogue.resolve("ada")
    survey = checks.survey(subject)
    for series, words in (
        (np.zeros(400), "0 blinks in 16.0 s (0 a minute): a speaker"),
        (np.ones(400), "closed in 100%"),
    ):
        survey.__dict__["blink"] = series
        only(survey, "blinks", "warn", words)


def test_lag_of_a_known_shift_and_its_sign():
    rng = np.random.default_rng(0)
    sound = np.convolve(rng.random(400), np.ones(4) / 4, "same") * 30 - 40
    for shift in (-6, 0, 5):
        lag, sure = timing.lag(sound, np.roll(sound, shift))
        assert lag == shift
        assert sure > 0.9


@pytest.mark.parametrize(
    ("late", "state", "words"),
    [
        (lambda k: 0 * k, "ok", "jaw +1 frames"),
        (lambda k: 0 * k + 6, "warn", "the sound is early"),
        (lambda k: 0 * k - 6, "warn", "the sound is late"),
        (lambda k: k // 50, "warn", "run apart"),
    ],
)
def test_drift_between_sound_and_mouth(ada, late, state, words):
    """The jaw of ada read ``late`` frames behind: not at all, by a constant either way, by one more every two seconds."""
    k = np.arange(400)
    survey = replace(ada)
    survey.__dict__["chin"] = ada.chin[(k - late(k)).clip(0, 399)]
    found = timing.drift(survey)
    assert (found.state, words in found.text) == (state, True), found


def test_a_strangers_sound_is_too_weak_to_tell(ada):
    survey = replace(ada)
    survey.__dict__["voice"] = np.random.default_rng(1).normal(-30, 5, 400)
    found = timing.drift(survey)
    assert (found.state, "too weak" in found.text) == ("warn", True), found


def test_voice_hears_vowels_and_not_rumble(own_toy):
    tone = (12000 * np.sin(2 * np.pi * 1000 * np.arange(14080) / 16000)).astype("<i2")
    rumble = (12000 * np.sin(2 * np.pi * 60 * np.arange(14080) / 16000)).astype("<i2")
    found = []
    for samples in (tone, rumble):
        with wave.open(str(own_toy / "aud.wav"), "wb") as out:
            out.setparams((1, 2, 16000, 0, "NONE", ""))
            out.writeframes(samples.tobytes())
        survey = checks.survey(Subject(own_toy))
        assert survey.loudness[5:17] == pytest.approx(survey.loudness[10], abs=1.5)
        found.append(survey.voice[10] - survey.loudness[10])
    assert found[0] == pytest.approx(0, abs=0.5)
    assert found[1] < -30


def test_levels_are_decibels_of_full_scale():
    tone = np.sin(2 * np.pi * 200 * np.arange(16000) / 16000).astype(np.float32)
    found = levels(np.concatenate([tone, 0 * tone]), 25)
    assert found.shape == (50,)
    assert found[:25] == pytest.approx(-3.01, abs=0.02)
    assert (found[25:] == -60).all()


def test_the_split_is_looked_at(ada):
    for train, test, state, words in (
        (range(363), range(363, 400), "ok", "first 10 of 11"),
        (range(300), range(300, 400), "warn", "the field trains on the first 10 of 11"),
        (range(37, 400), range(37), "warn", "not one stretch after the other"),
        (range(0, 400, 2), range(1, 400, 2), "warn", "not one stretch"),
        (range(400), (), "fail", "no test frames"),
    ):
        subject = Subject(ada.subject.root)
        subject.train_ids, subject.test_ids = list(train), list(test)
        found = timing.split(replace(ada, subject=subject))
        assert (found.state, words in found.text) == (state, True), found


def test_sound_of_another_length(own_toy):
    path = own_toy / "aud.wav"
    with wave.open(str(path), "rb") as sound:
        whole = sound.readframes(10**6)
    for share, state, words in (
        (0.5, "fail", "0.44 s shorter"),
        (3, "warn", "1.76 s longer"),
        (1, "ok", "0.88 s for 0.88 s"),
    ):
        with wave.open(str(path), "wb") as out:
            out.setparams((1, 2, 16000, 0, "NONE", ""))
            out.writeframes((whole * 3)[: int(len(whole) * share) // 2 * 2])
        found = timing.sound(checks.survey(Subject(own_toy)))
        assert (found.state, words in found.text) == (state, True), found
    path.unlink()
    np.save(own_toy / "aud_ds.npy", np.zeros((22, 16, 29)))
    assert "no aud.wav" in timing.sound(checks.survey(Subject(own_toy))).text
    np.save(own_toy / "aud_ds.npy", np.zeros((5, 16, 29)))
    assert timing.sound(checks.survey(Subject(own_toy))).state == "fail"


def test_counts_and_sizes_against_the_card_file(own_toy):
    meta = json.loads((own_toy / "subject.json").read_text())
    for change, words in (({"frames": 23}, "says 23 frames"), ({"size": [65, 64]}, "says 65×64")):
        (own_toy / "subject.json").write_text(json.dumps(meta | change))
        found = {f.check: f for f in checks.run(checks.survey(Subject(own_toy)))}["frames"]
        assert found.state == "fail"
        assert words in found.text


def test_the_command_ends_with_1_on_a_fail_and_0_on_a_warning(own_toy):
    result = bench("data", "verify", str(own_toy), "--json")
    assert result.exit_code == 0
    document = json.loads(result.stdout)
    assert document["failed"] == 0
    assert {row["check"]: row["state"] for row in document["checks"]}["split"] == "warn"
    assert len(document["sha256"]) == 64
    labels = np.zeros((64, 64), np.uint8)
    classes.save(own_toy / "parsing/3.png", labels)
    result = bench("data", "verify", str(own_toy))
    assert result.exit_code == 1
    assert "no face in 1 masks (frames 3)" in result.stdout
    assert result.stderr == "error: 1 of 9 checks failed\n"


def test_a_prepared_subject_is_held_against_its_card(own_toy, tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_HOME", str(tmp_path))
    shutil.copytree(own_toy, tmp_path / "subjects/obama")
    rows = json.loads(bench("data", "verify", "obama", "--json").stdout)["checks"]
    card = next(row for row in rows if row["check"] == "card")
    assert card["state"] == "warn"
    assert "64×64, the card says 450×450; 22 frames, the card says 8000" in card["text"]


def test_broken_files_are_named(own_toy):
    (own_toy / "parsing/5.png").write_bytes(b"")
    with pytest.raises(DataError, match="parsing/5.png"):
        checks.survey(Subject(own_toy))


def test_many_ids_are_cut_short():
    assert some([1, 2]) == "1, 2"
    assert some(range(9)) == "0, 1, 2, 3, 4 …"


def test_landmarks_outside_the_picture_count_as_off(own_toy):
    path = own_toy / "ori_imgs/4.lms"
    np.savetxt(path, np.loadtxt(path) + [1000, 0], fmt="%.3f")
    assert checks.survey(Subject(own_toy)).inside[4] == 0


def test_action_units_of_a_blinkless_file(own_toy):
    """The toy's AU45 is 2.5 at every ninth frame: clipped to 2, halved."""
    blink = checks.survey(Subject(own_toy)).blink
    assert blink[4] == 1
    assert blink.sum() == 2
