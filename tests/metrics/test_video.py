"""Frames survive the disk bit for bit, and what can't be read whole is named, never read half."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from bench import video
from bench.errors import DataError


def noise(n: int = 6, height: int = 33, width: int = 47, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize(("height", "width"), [(33, 47), (2, 2), (64, 48)])
def test_lossless_round_trip_is_bit_exact(tmp_path: Path, height: int, width: int) -> None:
    frames = noise(5, height, width)
    assert video.write_lossless(tmp_path / "a.mkv", frames, 22.09) == 5
    assert np.array_equal(np.stack(list(video.read_video(tmp_path / "a.mkv"))), frames)
    info = video.probe(tmp_path / "a.mkv")
    assert info == video.VideoInfo(Fraction(2209, 100), 5, width, height, "ffv1", False, "lossless")
    assert video.open_frames(tmp_path / "a.mkv").source == "lossless"


def test_equal_frames_give_an_equal_file(tmp_path: Path) -> None:
    for name in ("a.mkv", "b.mkv"):
        video.write_lossless(tmp_path / name, noise(), 25)
    assert (tmp_path / "a.mkv").read_bytes() == (tmp_path / "b.mkv").read_bytes()


def test_all_colours_survive(tmp_path: Path) -> None:
    """FFV1's colour transform has its extremes at saturated colours."""
    ramp = np.array([0, 1, 127, 128, 254, 255], np.uint8)
    cube = np.stack(np.meshgrid(ramp, ramp, ramp, indexing="ij"), -1).reshape(1, 12, 18, 3)
    video.write_lossless(tmp_path / "a.mkv", cube, 25)
    assert np.array_equal(next(video.read_video(tmp_path / "a.mkv")), cube[0])


def test_truncated_lossless_video_is_an_error(tmp_path: Path) -> None:
    whole = tmp_path / "a.mkv"
    video.write_lossless(whole, noise(), 25)
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 2 // 3])
    with pytest.raises(DataError, match=r"cut\.mkv: .*truncated"):
        list(video.read_video(cut))
    with pytest.raises(DataError, match="truncated"):
        video.probe(cut)


def test_flipped_byte_in_lossless_video_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    video.write_lossless(path, noise(), 25)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(DataError, match="damaged"):
        list(video.read_video(path))


@pytest.mark.parametrize("share", [0.5, 0.9])
def test_truncated_mp4_is_an_error(tmp_path: Path, share: float) -> None:
    whole = tmp_path / "a.mp4"
    video.write_preview(whole, noise(20, 64, 64), 25)
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole.read_bytes()[: int(whole.stat().st_size * share)])
    with pytest.raises(DataError) as caught:
        list(video.read_video(cut))
    assert "cut.mp4" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"not a video at all"])
def test_not_a_video(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.mp4"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"x\.mp4"):
        video.open_frames(path)
    with pytest.raises(DataError, match="no such file"):
        video.probe(tmp_path / "missing.mp4")


def test_preview_of_an_odd_size_with_sound(tmp_path: Path) -> None:
    rate = 16000
    tone = (0.5 * np.sin(np.arange(2 * rate) * 2 * np.pi * 440 / rate)).astype(np.float32)
    video.write_audio(tmp_path / "a.wav", tone, rate)
    grey = np.full((25, 33, 47, 3), 90, np.uint8)
    assert video.write_preview(tmp_path / "p.mp4", iter(grey), 25, tmp_path / "a.wav") == 25
    info = video.probe(tmp_path / "p.mp4")
    assert (info.width, info.height, info.frames, info.codec, info.has_audio) == (48, 34, 25, "h264", True)
    with av.open(str(tmp_path / "p.mp4")) as container:
        assert container.streams.video[0].codec_context.pix_fmt == "yuv420p"
    heard = video.read_audio(tmp_path / "p.mp4", rate)
    assert abs(len(heard) - rate) < 0.05 * rate  # the sound ends with the picture, after one second
    middle = heard[4000:12000]
    assert abs(float(np.sqrt(np.mean(middle**2))) - 0.5 / np.sqrt(2)) < 0.02


def test_sound_round_trip_and_resampling(tmp_path: Path) -> None:
    samples = np.random.default_rng(1).integers(-32768, 32768, 16000).astype(np.float32) / 32768
    video.write_audio(tmp_path / "a.wav", samples, 16000)
    assert np.array_equal(video.read_audio(tmp_path / "a.wav"), samples)
    assert abs(len(video.read_audio(tmp_path / "a.wav", 8000)) - 8000) <= 16
    with pytest.raises(DataError, match="holds no video"):
        video.probe(tmp_path / "a.wav")


def test_images_are_ordered_by_number(tmp_path: Path) -> None:
    frames = noise(3)
    for number, frame in zip((2, 10, 1), frames, strict=True):
        Image.fromarray(frame).save(tmp_path / f"{number}.png")
    (tmp_path / "notes.txt").write_text("not a frame")
    read = dict(video.read_frames(tmp_path))
    assert list(read) == [1, 2, 10]
    assert np.array_equal(read[10], frames[1])
    assert video.open_frames(tmp_path).source == "lossless"
    Image.fromarray(frames[0]).save(tmp_path / "11.jpg")
    assert video.open_frames(tmp_path).source == "jpeg"
    Image.fromarray(frames[0]).save(tmp_path / "f_010.png")
    with pytest.raises(DataError, match="both frame 10"):
        video.open_frames(tmp_path)


def test_images_that_have_no_plain_colours(tmp_path: Path) -> None:
    half = np.full((4, 4, 4), 128, np.uint8)
    Image.fromarray(half).save(tmp_path / "1.png")
    with pytest.raises(DataError, match="transparent"):
        list(video.read_frames(tmp_path))
    (tmp_path / "1.png").write_bytes(b"\x89PNG broken")
    with pytest.raises(DataError, match="can't be read"):
        list(video.read_frames(tmp_path))
    (tmp_path / "1.png").unlink()
    with pytest.raises(DataError, match="holds no images"):
        video.open_frames(tmp_path)


def test_writers_refuse_what_they_cannot_hold(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no frames"):
        video.write_lossless(tmp_path / "a.mkv", [], 25)
    with pytest.raises(DataError, match="frame 1 is"):
        video.write_lossless(tmp_path / "a.mkv", [noise(1)[0], noise(1, 8, 8)[0]], 25)
    with pytest.raises(DataError, match=r"\.mkv"):
        video.write_lossless(tmp_path / "a.mp4", noise(1), 25)
    assert list(tmp_path.iterdir()) == []
