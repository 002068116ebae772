"""``bench run`` from end to end, on the toy subject."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from harness import FAST, bench, bench_json, timeless

import bench as package
from bench import video
from bench.errors import MethodError
from bench.records import load_record
from bench.run.layout import RunFolder


@pytest.fixture(scope="module")
def run(toy_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    """A finished run of three reference methods, and what it printed."""
    out = tmp_path_factory.mktemp("runs") / "first"
    methods = "copy-gt,mean-frame,frozen-mouth"
    return out, bench_json("run", "--methods", methods, "--subjects", toy_folder, "--out", out, "--jobs", 2, *FAST)


def test_the_document_is_the_public_one(run):
    out, document = run
    assert document["run"] == str(out)
    assert [cell["method"] for cell in document["cells"]] == ["copy-gt", "mean-frame", "frozen-mouth"]
    cell = document["cells"][1]
    assert set(cell) == {
        "method", "variant", "backend", "subject", "seed", "preset", "status", "error", "metrics", "copied_share", "fps",
        "train_seconds", "peak_memory_bytes", "record",
    }  # fmt: skip
    assert (cell["subject"], cell["seed"], cell["preset"], cell["status"], cell["error"]) == (
        "toy",
        0,
        "quick",
        "ok",
        None,
    )
    psnr = cell["metrics"]["psnr"]
    assert {"value", "ci95", "signature", "n", "regions"} <= set(psnr)
    assert psnr["n"] == [6, 6]
    assert psnr["regions"].keys() == {"full", "face", "mouth", "hair", "torso", "synthesised"}
    assert psnr["regions"]["full"] == psnr["value"]
    assert psnr["signature"] == "PSNR|canvas:own|region:full|agg:frame-mean|quant:u8-round|src:lossless|v:1"
    assert cell["train_seconds"]["total"] >= cell["train_seconds"]["mean"] > 0
    assert cell["peak_memory_bytes"] > 2**20
    assert Path(cell["record"]).exists()


def test_references_score_what_they_must(run):
    copy, mean, frozen = (cell["metrics"] for cell in run[1]["cells"])
    assert (copy["psnr"]["value"], copy["psnr"]["state"]) == (None, "identical")
    assert copy["ssim"]["value"] == 1
    assert mean["psnr"]["value"] < frozen["psnr"]["value"]
    assert frozen["psnr"]["regions"]["mouth"] < frozen["psnr"]["value"]


def test_a_cell_leaves_everything_that_records_promise(run, toy_subject):
    folder = RunFolder(run[0]).cell(load_record(Path(run[1]["cells"][1]["record"])).cell)
    names = {path.name for path in folder.root.iterdir()}
    assert names >= {
        "record.json",
        "frames.parquet",
        "frames.mkv",
        "preview.mp4",
        "training.csv",
        "checkpoint",
        "audit",
        "log.txt",
    }
    table = pd.read_parquet(folder.per_frame)
    assert list(table["id"]) == toy_subject.test_ids
    assert {"sha256", "psnr", "ssim", "psnr_face", "psnr_mouth", "ssim_face", "psnr_synthesised"} <= set(table)
    info = video.probe(folder.preview)
    assert (info.frames, info.has_audio) == (6, True)
    assert video.probe(RunFolder(run[0]).ground_truth("toy")).frames == 6
    assert (run[0] / "report/index.html").exists()


def test_what_was_copied_is_known(run):
    copy, mean, frozen = (cell["copied_share"] for cell in run[1]["cells"])
    assert copy == 1
    assert mean == 0
    assert 0.8 < frozen < 1  # all but the mouth
    assert run[1]["cells"][1]["metrics"]["psnr"]["regions"]["synthesised"] == pytest.approx(
        run[1]["cells"][1]["metrics"]["psnr"]["value"]
    )  # it drew every pixel
    assert run[1]["cells"][0]["metrics"]["psnr"]["regions"]["synthesised"] is None


@pytest.mark.usefixtures("plugins")
def test_floor_and_ceilings_stand_in_every_table(toy_folder, tmp_path):
    arguments = ("--subjects", toy_folder, "--out", tmp_path / "r", "--metrics", "psnr")
    document = bench_json("run", "--methods", "t-float,mean-frame", *arguments)
    assert [cell["method"] for cell in document["cells"]] == ["t-float", "mean-frame"]
    assert [cell["method"] for cell in document["references"]] == ["codec", "copy-gt"]
    table = bench("report", tmp_path / "r", "--table", "md").stdout
    assert [line.split(" | ")[0] for line in table.splitlines()[2:]] == [
        "| t-float", "| mean-frame", "| codec", "| copy-gt"
    ]  # fmt: skip


@pytest.mark.usefixtures("plugins")
def test_the_protocol_makes_8_bits_of_floats(toy_folder, tmp_path):
    """0.5 is level 127.5: rounded to the even 128, or cut off to 127."""
    for name, level in (("neutral", 128), ("degstalk-paper", 127)):
        arguments = ("--protocol", name, "--subjects", toy_folder, "--out", tmp_path / name, *FAST)
        (cell,) = bench_json("run", "--methods", "t-float", *arguments)["cells"]
        frame = next(video.read_video(Path(cell["record"]).parent / "frames.mkv"))
        assert (frame == level).all()


def test_frames_on_disk_are_bit_exact(run, toy_subject):
    folder = RunFolder(run[0]).cell(load_record(Path(run[1]["cells"][0]["record"])).cell)
    for frame_id, frame in zip(toy_subject.test_ids, video.read_video(folder.frames), strict=True):
        assert np.array_equal(frame, toy_subject.frame(frame_id).image)


def test_a_record_says_where_it_comes_from(run, toy_subject):
    record = load_record(Path(run[1]["cells"][2]["record"]))
    assert record.sees == ["ground_truth"]
    assert {"subject", "checkpoint", "frames", "audio", "detector", "device"} <= record.provenance.keys()
    assert record.versions["python"]
    assert record.hardware["cpu"]


def test_python_reads_a_run(run):
    table = package.load(run[0]).table()
    assert list(table.method) == ["copy-gt", "mean-frame", "frozen-mouth"]
    assert table.psnr_state[0] == "identical"
    assert np.isnan(table.psnr[0])
    assert table.psnr_mouth[1] > 0


def test_the_same_command_keeps_what_is_done(run, toy_folder):
    out, _ = run
    before = {path: path.stat().st_mtime_ns for path in out.glob("cells/*/record.json")}
    arguments = ("--methods", "copy-gt,mean-frame,frozen-mouth", "--subjects", toy_folder, "--out", out, *FAST)
    plan = bench_json("run", *arguments, "--dry-run")
    assert [cell["state"] for cell in plan["cells"]] == ["done"] * 3
    result = bench("run", *arguments)
    assert result.exit_code == 0
    assert "mean-frame" in result.stdout
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_a_corrupt_record_is_named_and_made_again(run, toy_folder):
    out, document = run
    path = Path(document["cells"][1]["record"])
    whole = timeless(path)
    path.write_text(path.read_text()[:100])
    result = bench("run", "--methods", "mean-frame", "--subjects", toy_folder, "--out", out, *FAST)
    assert result.exit_code == 0
    assert f"{path} is corrupt" in result.stderr
    assert timeless(path) == whole
    assert len(json.loads((out / "run.json").read_text())["cells"]) == 3  # the plan has grown, not shrunk


def test_a_changed_checkpoint_is_put_aside_and_trained_again(run, toy_folder):
    out, document = run
    path = Path(document["cells"][1]["record"])
    whole = timeless(path)
    (path.parent / "checkpoint/extra").write_text("x")
    path.unlink()
    result = bench("run", "--methods", "mean-frame", "--subjects", toy_folder, "--out", out, *FAST)
    assert result.exit_code == 0
    assert "was changed after training" in (path.parent / "log.txt").read_text()
    assert (path.parent / "checkpoint.changed/extra").exists()
    assert timeless(path) == whole


def test_status_of_a_finished_run(run):
    document = bench_json("status", run[0])
    assert document["working"] is False
    assert {cell["state"] for cell in document["cells"]} == {"ok"}


def test_a_dry_run_starts_nothing(toy_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = (
        "run",
        "--methods",
        "copy-gt,mean-frame",
        "--subjects",
        toy_folder,
        "--seeds",
        "0,1",
        "--dry-run",
        *FAST,
    )
    document = bench_json(*arguments)
    assert [cell["name"] for cell in document["cells"]] == [
        f"{method}--toy--quick--s{seed}" for method in ("copy-gt", "mean-frame") for seed in (0, 1)
    ]
    assert Path(document["run"]).parent == tmp_path / "runs"
    assert document == bench_json(*arguments)  # the default folder is stable, so that a run can be resumed
    assert "copy-gt--toy--quick--s1" in bench(*arguments).stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("plugins")
def test_one_bad_method_does_not_stop_the_others(toy_folder, tmp_path):
    bad = {
        "t-raises": "the loss became nan in stage only at iteration 3: check the masks",
        "t-exits": "the method called sys.exit(0)",
        "t-dies": "killed by signal 9 (SIGKILL; out of memory?)",
        "t-junk": "t-junk rendered frame 16 as float32 (3, 3), expected uint8 or float32 (64, 64, 3)",
        "t-nan": "t-nan rendered frame 16 with values that aren't finite",
        "t-none": "t-none rendered frame 16 as NoneType",
        "t-short": "t-short rendered 5 of 6 frames: frame 21 is missing",
        "t-peeks": "asked for 'ground_truth' of test frame 16, which its MethodInfo.sees doesn't declare",
        "t-full": "no space left on the device",
    }
    methods = ",".join([*bad, "mean-frame"])
    document = bench_json(
        "run", "--methods", methods, "--subjects", toy_folder, "--out", tmp_path / "r", "--jobs", 2, *FAST, code=1
    )
    cells = {cell["method"]: cell for cell in document["cells"]}
    assert cells.pop("mean-frame")["status"] == "ok"
    for name, cell in cells.items():
        assert cell["status"] == "failed"
        assert bad[name] in cell["error"]
        assert "\n" not in cell["error"]
        folder = Path(cell["record"]).parent
        assert load_record(Path(cell["record"])).status == "failed"
        assert not (folder / "frames.mkv").exists()
        assert not [path for path in folder.iterdir() if path.name.startswith(".frames") and name != "t-dies"]
    assert "MethodError" in (Path(cells["t-raises"]["record"]).parent / "log.txt").read_text()


@pytest.mark.usefixtures("plugins")
def test_a_time_limit_ends_a_cell(toy_folder, tmp_path):
    arguments = ("--methods", "t-hangs", "--subjects", toy_folder, "--out", tmp_path / "r", "--time-limit", 0.3, *FAST)
    (cell,) = bench_json("run", *arguments, code=1)["cells"]
    assert cell["error"] == "took longer than --time-limit (0.3 min)"
    assert "hanging" in (Path(cell["record"]).parent / "log.txt").read_text()


@pytest.mark.usefixtures("plugins")
def test_a_measure_without_coverage_makes_the_cell_invalid(toy_folder, tmp_path):
    """t-well paints everything grey: there is no face to find."""
    arguments = ("--methods", "t-well", "--subjects", toy_folder, "--out", tmp_path / "r", "--metrics", "psnr,lmd")
    arguments += ("--no-references",)
    (cell,) = bench_json("run", *arguments, code=4)["cells"]
    assert cell["status"] == "invalid"
    assert cell["metrics"]["lmd"]["value"] is None
    assert cell["metrics"]["psnr"]["value"] > 5
    assert "0 of 6 frames" in cell["error"]


def test_reference_methods_prove_the_lip_metric(tmp_path):
    """On a real (if synthetic) face."""
    methods = "copy-gt,frozen-mouth,time-shift"
    document = bench_json(
        "run", "--methods", methods, "--subjects", "tiny", "--out", tmp_path / "r", "--metrics", "psnr,lmd",
        "--no-references",
    )  # fmt: skip
    lmd = {cell["method"]: cell["metrics"]["lmd"]["value"] for cell in document["cells"]}
    assert lmd["copy-gt"] == 0
    assert lmd["frozen-mouth"] > 0.05
    assert lmd["time-shift"] > 0
    regions = next(c["metrics"]["psnr"] for c in document["cells"] if c["method"] == "frozen-mouth")
    assert regions["regions"]["mouth"] < regions["regions"]["face"] < regions["value"]


def test_the_see_gate_opens_only_what_is_declared(toy_subject):
    from bench.contract import Conditioning

    item = Conditioning(toy_subject.frame(16), toy_subject, frozenset({"pose", "audio"}))
    assert item.camera.width == 64
    assert item.audio.shape == (8, 32, 16)
    assert item.background.shape == (64, 64, 3)
    for part in ("expression", "eyelid", "action_units", "torso_canvas", "hair_canvas", "ground_truth", "landmarks"):
        with pytest.raises(MethodError, match=r"MethodInfo\.sees doesn't declare"):
            getattr(item, part)


def test_a_methods_warning_is_shown_once(plugins, toy_folder, tmp_path):
    """Only warnings meant for the user (BenchWarning): two cells give the same one here."""
    result = bench(
        "run", "--methods", "t-well", "--subjects", toy_folder, "--seeds", "0,1", "--out", tmp_path / "r", *FAST
    )
    assert result.exit_code == 0
    assert result.stderr.count("note: t-well runs slowly: buy a faster grey") == 1


def test_workers_use_the_installed_packages(toy_folder, tmp_path, monkeypatch):
    """A checkout's own folders, where nothing is compiled, must not hide them."""
    (tmp_path / "methods").mkdir()
    (tmp_path / "methods/__init__.py").write_text("raise ImportError('the wrong methods')")
    monkeypatch.chdir(tmp_path)
    document = bench_json("run", "--methods", "mean-frame", "--subjects", toy_folder, "--out", tmp_path / "r", *FAST)
    assert document["cells"][0]["status"] == "ok"
