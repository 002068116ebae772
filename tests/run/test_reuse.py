"""A finished cell is never done twice, and only what changed is done again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from harness import bench, bench_json, timeless

from bench.code_version import code_version

pytestmark = pytest.mark.usefixtures("plugins_for_all")
PLAIN = ("--metrics", "psnr,ssim", "--no-references")


def record(run: Path, method: str = "t-killed") -> Path:
    return run / f"cells/{method}--toy--quick--s0/record.json"


def run(toy: Path, out: Path, *options: object, methods: str = "t-killed") -> dict:
    return bench_json("run", "--methods", methods, "--subjects", toy, "--out", out, *(options or PLAIN))


@pytest.fixture(scope="module")
def made(toy_folder: Path, plugins_for_all: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run, alone in its folder, to be copied."""
    out = tmp_path_factory.mktemp("made") / "first"
    run(toy_folder, out)
    return out


@pytest.fixture
def first(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "first"))


def test_another_run_takes_over_what_is_done(first, toy_folder, tmp_path):
    document = run(toy_folder, tmp_path / "second", methods="mean-frame,t-killed")
    assert [one["status"] for one in document["cells"]] == ["ok", "ok"]
    assert record(tmp_path / "second").read_bytes() == record(first).read_bytes()  # times and all
    assert "taken over from" in (record(tmp_path / "second").parent / "log.txt").read_text()
    frames = record(first).parent / "frames.mkv"
    assert frames.stat().st_ino == (record(tmp_path / "second").parent / "frames.mkv").stat().st_ino


def test_no_reuse_and_force_do_it_themselves(first, toy_folder, tmp_path):
    for name, option in (("second", "--no-reuse"), ("third", "--force")):
        run(toy_folder, tmp_path / name, *PLAIN, option)
        assert record(tmp_path / name).read_bytes() != record(first).read_bytes()
        assert timeless(record(tmp_path / name)) == timeless(record(first))


def test_not_from_another_user(first, toy_folder, tmp_path, monkeypatch):
    monkeypatch.setattr("os.getuid", lambda: 12345)
    run(toy_folder, tmp_path / "second")
    assert "taken over" not in (record(tmp_path / "second").parent / "log.txt").read_text()


def test_not_from_another_machine(first, toy_folder, tmp_path):
    plan = json.loads((first / "run.json").read_text())
    plan["hardware"]["cpu"] = "another"
    (first / "run.json").write_text(json.dumps(plan))
    run(toy_folder, tmp_path / "second")
    assert record(tmp_path / "second").read_bytes() != record(first).read_bytes()


@pytest.mark.parametrize("what", ["code", "checkpoint"])
def test_not_of_other_code_nor_a_changed_checkpoint(what, first, toy_folder, tmp_path):
    checkpoint = record(first).parent / "checkpoint"
    if what == "code":
        done = json.loads((checkpoint / "done.json").read_text()) | {"code": "0123456789abcdef"}
        (checkpoint / "done.json").write_text(json.dumps(done))
    else:
        (checkpoint / "model.json").write_text("[]")
    run(toy_folder, tmp_path / "second")
    assert "taken over" not in (record(tmp_path / "second").parent / "log.txt").read_text()


def test_not_of_another_subject(first, own_toy, tmp_path):
    (own_toy / "aud.wav").write_bytes((own_toy / "aud.wav").read_bytes()[:-2] + b"\1\0")
    run(own_toy, tmp_path / "second")
    log = (record(tmp_path / "second").parent / "log.txt").read_text()
    assert "taken over" not in log


def test_other_metrics_only_score(first, toy_folder):
    here = record(first).parent
    kept = {name: (here / name).stat().st_mtime_ns for name in ("training.csv", "frames.mkv", "audit/share.mkv")}
    before = json.loads(record(first).read_text())
    document = run(toy_folder, first, "--metrics", "psnr,ssim,sharpness", "--no-references")
    assert "sharpness" in document["cells"][0]["metrics"]
    after = json.loads(record(first).read_text())
    assert {name: (here / name).stat().st_mtime_ns for name in kept} == kept
    assert after["metrics"]["psnr"] == before["metrics"]["psnr"]
    assert after["fps"] == before["fps"]


def test_a_metric_that_was_redefined_is_scored_again(first, toy_folder):
    content = json.loads(record(first).read_text())
    content["metrics"]["psnr"]["signature"] = content["metrics"]["psnr"]["signature"].replace("v:1", "v:0")
    content["metrics"]["psnr"]["value"] = 1.0
    record(first).write_text(json.dumps(content))
    assert run(toy_folder, first)["cells"][0]["metrics"]["psnr"]["value"] > 2


def test_other_code_renders_again_but_does_not_train(first, toy_folder):
    content = json.loads(record(first).read_text())
    assert content["provenance"]["code"] == code_version("tb_test_methods")
    here = record(first).parent
    for name in ("record.json", "rendered.json"):
        text = (here / name).read_text()
        (here / name).write_text(text.replace(content["provenance"]["code"], "0123456789abcdef"))
    done = json.loads((here / "checkpoint/done.json").read_text()) | {"code": "0123456789abcdef"}
    (here / "checkpoint/done.json").write_text(json.dumps(done))
    trained, rendered = ((here / name).stat().st_mtime_ns for name in ("training.csv", "frames.mkv"))
    result = bench("run", "--methods", "t-killed", "--subjects", toy_folder, "--out", first, *PLAIN)
    assert result.exit_code == 0
    assert "the code of t-killed is another now" in result.output
    assert (here / "training.csv").stat().st_mtime_ns == trained
    assert (here / "frames.mkv").stat().st_mtime_ns != rendered
    after = json.loads(record(first).read_text())["provenance"]
    assert (after["code"], after["training code"]) == (content["provenance"]["code"], "0123456789abcdef")


def test_the_code_version_is_of_what_the_code_does(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    package = tmp_path / "tb_versioned"
    (package / "deep").mkdir(parents=True)
    files = {
        "__init__.py": "", "deep/__init__.py": "", "plugin.py": '"""Doc."""\nfrom tb_versioned.deep import part\nfrom . import near\n',
        "deep/part.py": "import json\nfrom ..other import x\n", "near.py": "def f(a):\n    'doc'\n    return a + 1\n",
        "other.py": "x = 1\n", "unused.py": "y = 1\n",
    }  # fmt: skip

    def version(**changed: str) -> str:
        for name, text in (files | changed).items():
            (package / name).write_text(text)
        code_version.cache_clear()
        return code_version("tb_versioned.plugin")

    first = version()
    assert len(first) == 16
    assert version(**{"near.py": "def f(a):\n    'other words'\n\n    return (a + 1)  # why\n"}) == first
    assert version(**{"unused.py": "y = 2\n"}) == first
    for name, text in (
        ("near.py", "def f(a):\n    return a + 2\n"),
        ("other.py", "x = 2\n"),
        ("deep/__init__.py", "z = 0\n"),
    ):
        assert version(**{name: text}) != first, name
    assert code_version("tb_no_such_module.at_all") == ""
