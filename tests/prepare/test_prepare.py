"""The whole way: a video alone; the sample's first second with all files given; what a second run keeps; bad options."""

import html
import json
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner
from clips import heads, noise, write_video

from bench.cli.prepare import command
from bench.errors import BenchError, DataError
from bench.prepare import STEPS, Options, prepare
from bench.subject import open_subject

FRAMES = 30


def run(options: Options, told: list | None = None):
    return prepare(options, lambda items, what, total: items, (told if told is not None else []).append)


@pytest.fixture(scope="module")
def made(obama, parser, tmp_path_factory):
    """(options, steps) of the sample's first 30 frames, prepared."""
    folder = tmp_path_factory.mktemp("obama")
    with av.open(str(obama / "obama_256.mp4")) as video:
        pictures = [f.to_ndarray(format="rgb24") for f, _ in zip(video.decode(video=0), range(FRAMES), strict=False)]
    clip = write_video(folder / "clip.mp4", pictures)
    options = Options(clip, "first", folder / "subject", obama / "track_params.pt", parser, au=obama / "au.csv")
    return options, run(options)


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """(options, steps) of an embedded subject's frames, prepared from the video and nothing else."""
    folder = tmp_path_factory.mktemp("alone")
    clip = write_video(folder / "<me> & you.mp4", heads("ada", FRAMES))
    options = Options(clip, "me", folder / "subject", parser=Path("mesh"))
    return options, run(options)


def test_a_video_alone_makes_a_subject(alone):
    options, done = alone
    subject = open_subject(options.out)
    assert (len(subject.train_ids), len(subject.test_ids), subject.size) == (27, 3, (256, 256))
    frame = subject.frame(28)
    assert set(np.unique(frame.labels)) >= {0, 1, 12, 13, 14, 16, 17}
    assert frame.hair_canvas.shape == (256, 256, 3)
    assert len(subject.audio_features) >= FRAMES
    facts = {key: value for step in done for key, value in step.made.facts.items()}
    assert facts["reprojection_px"]["median"] < 1.5
    assert facts["focal_from"] in ("prior", "video")
    assert set(subject.meta["provenance"]) >= {"crop", "ori_imgs/*.jpg", "aud.wav", "parsing/*.png", "bc.jpg", "au.csv"}


def test_the_page_shows_every_step_and_escapes(alone):
    options, done = alone
    page = (options.out / "prepare.html").read_text()
    for step in done[:-1]:
        assert f'<section id="{step.name}">' in page
        assert step.made.summary in html.unescape(page)
    assert "<me>" not in page
    assert "&lt;me&gt; &amp; you.mp4" in page
    assert page.count("data:image/jpeg;base64,") > 40
    assert page.count("<svg") == 5
    assert "<script" not in page
    assert "http" not in page.replace("http-equiv", "").replace("http://www.w3.org/2000/svg", "")
    assert 'width: 90.0%">train: frames 0–26' in page


def test_what_is_out_of_date_is_made_again(alone):
    options, _ = alone
    assert all(d.kept for d in run(options))
    (options.out / "bc.jpg").unlink()
    assert [d.name for d in run(options) if not d.kept] == ["plate"]
    given = replace(options, background=options.out / "ori_imgs/0.jpg")
    assert [d.name for d in run(given) if not d.kept] == ["plate", "sheet"]
    assert "0.jpg, resized" in (options.out / "prepare.html").read_text()
    larger = [d.name for d in run(replace(options, size=128)) if not d.kept]
    assert larger[:2] == ["frames", "sound"]
    assert open_subject(options.out).size == (128, 128)


def test_the_subject_opens_and_every_part_is_there(made):
    options, done = made
    subject = open_subject(options.out)
    assert (len(subject.train_ids), len(subject.test_ids), subject.size) == (27, 3, (256, 256))
    frame = subject.frame(20)
    assert set(np.unique(frame.labels)) >= {0, 1, 11, 12, 13, 14, 16, 17}
    assert frame.landmarks[:, 0].min() > 60
    assert frame.torso_canvas.shape == frame.hair_canvas.shape == (256, 256, 3)
    assert subject.coefficients.kind == "mesh-pca"
    assert len(subject.audio_features) >= FRAMES
    assert set(subject.meta["provenance"]) >= {
        "ori_imgs/*.jpg",
        "parsing/*.png",
        "bc.jpg",
        "au.csv",
        "coefficients.npz",
    }
    fit = next(d for d in done if d.name == "fit").made.facts["reprojection_px"]
    assert fit["median"] < 1.5


def test_a_second_run_keeps_all_and_a_lost_file_is_made_again(made):
    options, _ = made
    assert all(d.kept for d in run(options))
    (options.out / "parsing/3.png").unlink()
    again = {d.name: d.kept for d in run(options)}
    assert not again["masks"]
    assert again["parsing"]
    assert (options.out / "parsing/3.png").exists()


def test_a_killed_parsing_goes_on_where_it_stopped(made):
    options, _ = made
    stamp = options.out / ".prepare/parsing.json"
    stamp.write_text(json.dumps({"mark": json.loads(stamp.read_text())["mark"], "state": "running"}))
    (options.out / ".prepare/raw/7.png").unlink()
    (options.out / ".prepare/raw/.8.half.png").write_bytes(b"half")
    before = (options.out / ".prepare/raw/6.png").stat().st_mtime_ns
    run(options)
    assert (options.out / ".prepare/raw/7.png").exists()
    assert not (options.out / ".prepare/raw/.8.half.png").exists()
    assert (options.out / ".prepare/raw/6.png").stat().st_mtime_ns == before


def test_poses_of_another_video_are_refused(made, obama, tmp_path):
    options, _ = made
    data = torch.load(obama / "track_params.pt", weights_only=True)
    data["euler"][:, 2] = 2 * torch.pi - data["euler"][:, 2] + 0.3 * torch.sin(torch.arange(8000.0))
    torch.save(data, tmp_path / "wrong.pt")
    wrong = Options(options.video, "x", options.out, tmp_path / "wrong.pt", options.parser)
    with pytest.raises(DataError, match=r"wrong\.pt: these poses"):
        run(wrong)


def test_without_au_the_units_are_measured_and_said_to_be(made):
    options, _ = made
    told = []
    run(Options(options.video, "first", options.out, options.poses, options.parser), told)
    assert "coarse, not OpenFace" in open_subject(options.out).meta["provenance"]["au.csv"]
    assert next(d for d in told if d.name == "parsing").kept


def test_the_command_prints_one_json_document(made):
    options, _ = made
    arguments = [str(options.video), "--name", "first", "--out", str(options.out), "--poses", str(options.poses)]
    result = CliRunner().invoke(command, [*arguments, "--parser", str(options.parser), "--json"])
    assert result.exit_code == 0, result.output
    answer = json.loads(result.stdout)
    assert answer["frames"] == FRAMES
    assert [s["step"] for s in answer["steps"]] == [s.name for s in STEPS]


def broken_options(tmp_path, **change) -> Options:
    """Options whose files all exist, though only the video and the poses are any good."""
    parts = {"video": tmp_path / "v.mp4", "poses": tmp_path / "t.pt", "parser": tmp_path / "p.tflite"} | change
    if not (tmp_path / "v.mp4").exists():
        write_video(tmp_path / "v.mp4", noise(20))
    euler = torch.full((40, 3), torch.pi)
    torch.save({"euler": euler, "trans": torch.full((40, 3), -8.0), "focal": torch.tensor([1200.0])}, tmp_path / "t.pt")
    (tmp_path / "p.tflite").write_bytes(b"no model")
    return Options(name="x", out=tmp_path / "out", **parts)


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        ({"video": Path("none.mp4")}, DataError, "no such video"),
        ({"au": Path("none.csv")}, DataError, "no such file"),
        ({"parser": Path("none.tflite")}, DataError, "no such parser"),
        ({"coefficients": Path("none.pt")}, DataError, "no such file"),
        ({"features": Path("none.npy")}, DataError, "no such file"),
        ({"size": 65}, DataError, "even"),
        ({}, DataError, "not a .tflite model"),
    ],
)
def test_bad_options(tmp_path, change, kind, message):
    with pytest.raises(kind, match=message) as caught:
        run(broken_options(tmp_path, **change))
    assert "\n" not in str(caught.value)


def test_a_foreign_folder_is_left_alone(tmp_path):
    options = broken_options(tmp_path)
    options.out.mkdir()
    (options.out / "thesis.tex").write_text("mine")
    with pytest.raises(DataError, match="another --out"):
        run(options)


def test_short_or_odd_tables_and_models(made, tmp_path):
    options, _ = made
    pd.read_csv(options.au).head(10).to_csv(tmp_path / "short.csv", index=False)
    (tmp_path / "bad.tflite").write_bytes(b"x" * 4096)
    base = (options.video, "first", options.out, options.poses)
    for bad, message in (
        (Options(*base, options.parser, au=tmp_path / "short.csv"), "10 rows"),
        (Options(*base, tmp_path / "bad.tflite"), "not a .tflite model"),
        (Options(*base, options.parser.parent / "mp_hair_segmentation.tflite"), r"expected float32"),
    ):
        with pytest.raises(BenchError, match=message):
            run(bad)


def test_two_hundred_iterations_learn_the_face(made, tmp_path):
    """Real footage: after 20 + 150 + 30 iterations DEGSTalk's face beats the canvas that it is drawn over."""
    from bench import classes
    from bench.contract import Conditioning, TrainTask
    from bench.pixels import quantised
    from methods.deformable import design
    from methods.degstalk.plugin import Degstalk

    class Silent:
        def stage(self, name, total): ...

        def step(self, done, scalars=None): ...

        def image(self, name, picture): ...

    run(made[0])
    subject = open_subject(made[0].out)
    method = Degstalk()
    branches = [
        design._short(paper, total, total // 2, densify_every=25, init=count, limit=5000, xyz_gain=4, net_gain=4)
        for paper, total, count in ((design.PAPER.mouth, 20, 500), (design.PAPER.face, 150, 4000))
    ]
    method.schedules = {"quick": design.Schedule(*branches, design.Fuse(iterations=30, lpips_from=100))}
    method.train(TrainTask(subject.for_training(), tmp_path, "quick", 0, "cpu", Silent()))

    frame = subject.frame(subject.test_ids[1])
    conditioning = Conditioning(frame, subject, method.info.sees)
    rendered = quantised(method.load(tmp_path, "cpu").frame(conditioning), "u8-round")
    face = classes.face(frame.labels, ears=False)
    ours, canvas = (((p.astype(float) - frame.image) ** 2)[face].mean() for p in (rendered, frame.hair_canvas))
    assert 10 * np.log10(canvas / ours) > 4
    assert 10 * np.log10(255**2 / ours) > 20
