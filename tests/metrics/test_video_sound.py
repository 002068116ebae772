"""Where a file's sound begins: containers and encoders disagree about time 0."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from bench import video

RATE = 44100
CLICK = 0.5


def clicking(path: Path, codec: str) -> Path:
    """2 s of silence with a click after half a second, whose peak is its first sample."""
    samples = np.zeros((1, 2 * RATE), np.float32)
    samples[0, round(CLICK * RATE) : round(CLICK * RATE) + 60] = np.linspace(0.9, 0, 60)
    whole = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
    whole.sample_rate, whole.pts, whole.time_base = RATE, 0, Fraction(1, RATE)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=RATE, layout="mono")
        form, size = stream.codec_context.format, stream.codec_context.frame_size
        resampler = av.AudioResampler(format=form, layout="mono", rate=RATE, frame_size=size)
        for block in [*resampler.resample(whole), *resampler.resample(None)]:
            container.mux(stream.encode(block))
        container.mux(stream.encode())
    return path


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("a.wav", "pcm_s16le"),
        ("a.mp3", "libmp3lame"),
        ("a.mkv", "libmp3lame"),
        ("a.mp4", "libmp3lame"),
        ("a.m4a", "aac"),
    ],
)
def test_the_click_is_where_it_was(tmp_path: Path, name: str, codec: str) -> None:
    heard = video.read_audio(clicking(tmp_path / name, codec), RATE)
    assert np.abs(heard).argmax() / RATE == pytest.approx(CLICK, abs=0.002)


def test_a_cover_is_no_first_frame(tmp_path: Path) -> None:
    Image.new("RGB", (16, 16)).save(tmp_path / "cover.png")
    plain = clicking(tmp_path / "plain.mp3", "libmp3lame")
    with (
        av.open(str(plain)) as sound,
        av.open(str(tmp_path / "cover.png")) as cover,
        av.open(str(tmp_path / "covered.mp3"), "w") as out,
    ):
        streams = {
            kind: out.add_stream_from_template(source.streams[0]) for kind, source in (("s", sound), ("c", cover))
        }
        streams["c"].disposition = av.stream.Disposition.attached_pic
        for kind, source in (("c", cover), ("s", sound)):
            for packet in source.demux(source.streams[0]):
                if packet.size:
                    packet.stream = streams[kind]
                    out.mux(packet)
    with av.open(str(tmp_path / "covered.mp3")) as container:
        assert len(container.streams.video) == 1
    heard = video.read_audio(tmp_path / "covered.mp3", RATE)
    assert np.abs(heard).argmax() / RATE == pytest.approx(CLICK, abs=0.002)
