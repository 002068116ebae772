"""Any video goes in: rates, rotation, size, crop; and what is refused, each in one line."""

import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
from clips import heads, made, noise, placed, tagged, write_video
from PIL import Image

from bench.errors import DataError
from bench.prepare import Options, crop, faces, follow, prepare, rate, source

MESH = Path("mesh")


def options(video: Path, **more) -> Options:
    return Options(video, "x", video.parent / "out", parser=MESH, **more)


def refusal(video: Path, **more) -> str:
    with pytest.raises(DataError) as caught:
        prepare(options(video, **more), lambda items, what, total: items, lambda done: None)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(str(video))
    return message.removeprefix(str(video))


@pytest.fixture(scope="module")
def ada():
    return heads("ada", 40)


@pytest.fixture(scope="module")
def ben():
    return heads("ben", 40)


def test_cut_off_files(tmp_path):
    whole = write_video(tmp_path / "whole.mp4", noise(50)).read_bytes()
    for name, data, message in (
        ("faststart.mp4", whole[: len(whole) // 2], "cut off: "),
        ("text.mp4", b"not a video", "not a readable video"),
        ("empty.mp4", b"", "not a readable video"),
    ):
        (tmp_path / name).write_bytes(data)
        assert message in refusal(tmp_path / name)
    late = write_video(tmp_path / "late.mp4", noise(50), movflags="0").read_bytes()  # its index is at the end
    (tmp_path / "late.mp4").write_bytes(late[: len(late) // 2])
    assert "not a readable video" in refusal(tmp_path / "late.mp4")
    film = write_video(tmp_path / "whole.mkv", noise(100)).read_bytes()
    (tmp_path / "cut.mkv").write_bytes(film[: len(film) // 2])
    assert " of 4.1 s can be read" in refusal(tmp_path / "cut.mkv")


def test_sound_only_and_pictures_only(tmp_path):
    with av.open(str(tmp_path / "song.m4a"), "w") as out:
        audio = out.add_stream("aac", rate=16000)
        audio.layout = "mono"
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.int16), "s16", "mono")
        frame.sample_rate = 16000
        out.mux(audio.encode(frame) + audio.encode(None))
    assert "sound only" in refusal(tmp_path / "song.m4a")
    assert "no sound in it" in refusal(write_video(tmp_path / "mute.mp4", noise(20), sound=False))


def test_a_silent_track_is_no_sound(tmp_path, ada):
    assert "silent" in refusal(write_video(tmp_path / "silent.mp4", ada[:20], sound=0.0))


def test_too_short(tmp_path):
    assert "too short: one picture" in refusal(write_video(tmp_path / "one.mp4", noise(1)))
    assert "too short: 5 frames" in refusal(write_video(tmp_path / "five.mp4", noise(5)))


def test_a_photo(tmp_path, ada):
    assert "still picture: nothing moves" in refusal(write_video(tmp_path / "photo.mp4", ada[:1] * 40))


def test_a_photo_that_is_zoomed(tmp_path, ada):
    film = []
    for k in range(30):
        margin = 0.4 * k
        film.append(
            np.asarray(Image.fromarray(ada[0]).resize((256, 256), 2, (margin, margin, 256 - margin, 256 - margin)))
        )
    clip = write_video(tmp_path / "zoom.mp4", film)
    with pytest.raises(DataError, match="only moved: neither mouth nor eyes open or close in 30 frames"):
        made(options(clip), "follow", "frames", "mesh")


def test_no_face(tmp_path):
    assert "no face in 4 pictures from frame 0 to 15" in refusal(write_video(tmp_path / "noise.mp4", noise(20)))


def test_two_people(tmp_path, ada, ben):
    both = [np.hstack(pair) for pair in zip(ada, ben, strict=True)]
    assert "two faces from frame 0 (0.00 s)" in refusal(write_video(tmp_path / "two.mp4", both))


def test_a_far_or_passing_face_does_not_disturb(tmp_path, ada, ben):
    small = [np.hstack([a, placed(b, (128, 256), 10, 20, 90)]) for a, b in zip(ada, ben, strict=True)]
    made(options(write_video(tmp_path / "small.mp4", small)), "follow")
    passing = [np.hstack([a, b if 10 <= k < 24 else b * 0 + 90]) for k, (a, b) in enumerate(zip(ada, ben, strict=True))]
    times = np.arange(40) * 40
    seen = follow.look(tmp_path, source.stills(write_video(tmp_path / "passing.mp4", passing, times=times)))
    assert {len(boxes) for boxes in seen.boxes} == {1, 2}
    assert len(follow.followed(seen)[0]) == len(seen.looks)


def test_a_cut_and_a_flash(tmp_path, ada, ben):
    assert "a cut at frame 20 (0.80 s):" in refusal(write_video(tmp_path / "cut.mp4", ada[:20] + ben[:20]))
    jump = heads("ada", 20) + heads("ada", 20, 200)
    assert "a cut at frame 20" in refusal(write_video(tmp_path / "jump.mp4", jump))
    flash = [np.clip(p.astype(int) + 90 * (k == 20), 0, 255).astype(np.uint8) for k, p in enumerate(ada)]
    made(options(write_video(tmp_path / "flash.mp4", flash)), "follow")


def test_the_head_leaves(tmp_path, ada):
    away = [placed(p, (512, 256), 100 + max(0, k - 10) * 12, 0) for k, p in enumerate(ada + ada[::-1])]
    message = refusal(write_video(tmp_path / "away.mp4", away))
    assert "the head leaves the picture" in message
    assert "frame 3" in message
    back = [placed(p, (512, 256), 100 if k % 70 < 40 else -400, 0) for k, p in enumerate(ada * 3)]
    with pytest.raises(DataError, match="a cut"):
        made(options(write_video(tmp_path / "back.mp4", back)), "follow")


def test_the_face_is_hidden_for_a_while(tmp_path, ada):
    curtain = [np.roll(p, 0) for p in ada * 2]
    for k, picture in enumerate(curtain):
        share = min(max(0, k - 15) * 32, 256, max(0, 75 - k) * 32)
        picture[:share] = 120
    assert "no face from frame" in refusal(write_video(tmp_path / "curtain.mp4", curtain))


def test_a_stretch_without_pictures(tmp_path, ada):
    times = np.arange(40) * 40 + 3000 * (np.arange(40) >= 20)
    assert "no new picture for 3.0 s after frame 19" in refusal(write_video(tmp_path / "gap.mp4", ada, times=times))


def test_variable_rate(tmp_path, ada):
    times = np.cumsum(np.random.default_rng(0).integers(25, 70, 40)) - 25
    job = made(options(write_video(tmp_path / "vfr.mp4", ada, times=times)), "follow", "frames")
    chosen, _ = follow.plan(job)
    shown = (times - times[0])[chosen] / 1000
    assert job.frames == len(chosen) == round((times[-1] - times[0]) / 40 + 0.5)
    assert np.abs(shown - np.arange(len(chosen)) / 25).max() < 0.036
    assert (job.root / f"ori_imgs/{job.frames - 1}.jpg").exists()


def test_a_slow_video_shows_pictures_several_times(tmp_path, ada):
    job = made(options(write_video(tmp_path / "slow.mp4", ada, rate=10)), "follow", "frames")
    assert job.frames == 98
    shown = [job.image(i).read_bytes() for i in range(98)]
    assert [shown.index(one) for one in shown[:8]] == [0, 0, 2, 2, 4, 4, 4, 7]
    assert len(set(shown)) == 40


def test_25_stretched_to_30_shows_each_picture_once(tmp_path, ada):
    stretched = [p for k, p in enumerate(ada) for _ in range(2 if k % 5 == 4 else 1)]
    job = made(options(write_video(tmp_path / "30.mp4", stretched, rate=30)), "follow", "frames")
    assert job.frames == 40
    for k in (3, 4, 5, 39):
        with Image.open(job.image(k)) as picture:
            assert np.abs(np.asarray(picture).astype(int) - ada[k]).mean() < 4


@pytest.mark.parametrize("matrix", [(0, 1, -1, 0), (0, -1, 1, 0), (-1, 0, 0, -1), (-1, 0, 0, 1)])
def test_rotated_by_its_tag(tmp_path, ada, matrix):
    """Pixels lie turned in the file; the tag brings them upright. The crop is found in the upright picture."""
    tall = [placed(p, (256, 384), 0, 60) for p in ada[:20]]
    a, b, c, d = matrix
    stored = [source.upright(p, (a, c, b, d)) for p in tall]  # a quarter turn's inverse is its transpose
    job = made(options(tagged(write_video(tmp_path / "phone.mp4", stored), matrix)), "follow", "frames")
    assert job.facts("follow")["video_size"] == [256, 384]
    _, (left, top, right, bottom) = follow.plan(job)
    assert job.size == (right - left, bottom - top)
    assert right - left == bottom - top > 150
    with Image.open(job.image(7)) as picture:
        assert np.abs(np.asarray(picture).astype(int) - tall[7][top:bottom, left:right]).mean() < 4


def test_huge_pictures(tmp_path, ada):
    huge = [placed(p, (4096, 2160), 1400, 300, 1400) for p in ada[:12]]
    job = made(options(write_video(tmp_path / "huge.mp4", huge)), "follow", "frames")
    assert job.size == (512, 512)
    _, (left, top, right, bottom) = follow.plan(job)
    assert right - left == bottom - top
    assert left < 1400 + 0.25 * 1400
    assert right > 1400 + 0.75 * 1400
    with Image.open(job.image(11)) as picture, faces.Finder() as find:
        (box,) = find(np.asarray(picture))
    assert 0.25 < box[2] < 0.5
    assert 0.35 < box[1] + box[3] / 2 < 0.65


def test_a_square_head_shot_passes_unchanged(tmp_path, ada):
    clip = write_video(tmp_path / "square.mp4", ada[:12])
    with av.open(str(clip)) as container:
        last = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)][-1]
    job = made(options(clip), "follow", "frames")
    assert job.size == (256, 256)
    assert follow.plan(job)[1] == (0, 0, 256, 256)
    (still,) = (s for s in source.stills(clip) if s.index == 11)
    assert (still.rgb() == last).all()


def test_size_and_crop_are_the_users(tmp_path, ada):
    wide = [placed(p, (600, 300), 150, 20) for p in ada[:20]]
    clip = write_video(tmp_path / "wide.mp4", wide)
    job = made(options(clip, size=128), "follow", "frames")
    assert job.size == (128, 128)
    job = made(options(clip, crop="none"), "follow", "frames")
    assert job.size == (600, 300)
    job = made(options(clip, crop="none", size=300), "follow", "frames")
    assert job.size == (300, 150)
    with pytest.raises(DataError, match="give --size 66"):
        prepare(options(clip, size=65), lambda items, what, total: items, lambda done: None)


def test_wide_pixels_are_made_square(tmp_path, ada):
    """An anamorphic picture: 2:1 pixels."""
    narrow = [np.asarray(Image.fromarray(p).resize((128, 256))) for p in ada[:12]]
    clip = tmp_path / "dv.mkv"
    with av.open(str(clip), "w") as out:
        video = out.add_stream("libx264", rate=25)
        video.width, video.height, video.pix_fmt = 128, 256, "yuv420p"
        video.codec_context.sample_aspect_ratio = 2
        for picture in narrow:
            out.mux(video.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        out.mux(video.encode(None))
    still = next(source.stills(clip))
    assert still.size == (256, 256)
    assert still.rgb().shape == (256, 256, 3)


def test_leaving_off_never_hangs(tmp_path):
    """Decoding threads that log while the file is closed: this hung for good."""
    clip = write_video(tmp_path / "clip.mp4", noise(30, 640, 360))
    code = (
        "import sys, av; from pathlib import Path; from bench.prepare import source; av.logging.set_level(av.logging.DEBUG)\n"
        "for k in range(40):\n"
        "    stills = source.stills(Path(sys.argv[1])); [next(stills) for _ in range(2 + k % 5)]; del stills"
    )
    assert subprocess.run([sys.executable, "-c", code, str(clip)], timeout=60, capture_output=True).returncode == 0


def test_the_square_holds_a_head_that_moves():
    x = np.linspace(500, 700, 20)
    boxes = np.stack([x, np.full(20, 400.0), np.full(20, 200.0), np.full(20, 200.0)], 1)
    kept = crop.choose(boxes, (1920, 1080), Path("v.mp4"))
    left, top, right, bottom = crop.reach(boxes, (1920, 1080), hair=True)
    assert kept.x <= left
    assert kept.y <= top
    assert kept.x + kept.width >= right
    assert kept.y + kept.height >= bottom
    assert kept.width == kept.height
    assert kept.width % 2 == 0
    tall = crop.choose(np.array([[110, 180, 228, 228.0]]), (446, 512), Path("v.mp4"))
    assert (tall.x, tall.y, tall.width) == (0, 32, 446)  # not all of it fits: the hair's top is kept
    at_edge = crop.choose(boxes - [500, 400, 0, 0], (1920, 1080), Path("v.mp4"))
    assert (at_edge.x, at_edge.y) == (0, 0)
    with pytest.raises(DataError, match="moves over 1500 px, a square of the picture has 1080"):
        crop.choose(np.array([[0, 400, 200, 200], [1300.0, 400, 200, 200]]), (1920, 1080), Path("v.mp4"))
    with pytest.raises(DataError, match="face is 30 px wide"):
        crop.choose(np.array([[100, 100, 30, 30.0]]), (640, 360), Path("v.mp4"))


@pytest.mark.parametrize(
    ("fps", "count", "expected"), [(25, 50, 50), (50, 100, 50), (22.09, 147, 166), (12.5, 20, 40), (30, 90, 75)]
)
def test_any_rate_becomes_25(fps, count, expected):
    times = np.arange(count) / fps
    chosen = rate.nearest(times)
    assert abs(len(chosen) - expected) <= 1
    if fps == 25:
        assert chosen.tolist() == list(range(50))
    assert np.abs(times[chosen] - np.arange(len(chosen)) / 25)[:-2].max() <= 0.5 / fps + 1e-9


def test_only_a_pattern_of_doubled_frames_is_taken_out():
    times = np.arange(60) / 30
    change = np.full(60, 2.0)
    change[5::6] = 0.0
    assert rate.doubled(times, change).sum() == 10
    assert rate.schedule(times, change)[:7].tolist() == [0, 1, 2, 3, 4, 6, 7]
    once = np.full(400, 2.0)
    once[256] = 0.0
    assert rate.schedule(np.arange(400) / 25, once).tolist() == list(range(400))
    change[10:40] = 0.0  # a pause in which nothing moves is no pattern
    assert not rate.doubled(times, change).any()
    assert not rate.doubled(np.arange(60) / 25, np.where(np.arange(60) % 6 == 5, 0.0, 2.0)).any()


def test_trails_follow_and_tell_apart():
    left = np.stack([np.linspace(100, 300, 10), np.full(10, 50), np.full(10, 80), np.full(10, 80)], 1)
    right = left + [400, 0, 0, 0]
    looks = [np.stack(pair) if k > 3 else pair[0][None] for k, pair in enumerate(zip(left, right, strict=True))]
    found = faces.trails(looks)
    assert [len(trail.boxes) for trail in found] == [10, 6]
    assert [box[0] for box in found[0].boxes.values()] == left[:, 0].tolist()
    assert faces.overlap([0, 0, 10, 10], [2, 2, 4, 4]) == 1
    assert faces.overlap([0, 0, 10, 10], [5, 0, 10, 10]) == pytest.approx(1 / 3)
