"""``bench drive`` on a finished run's cell."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import toy

sys.path.insert(0, str(Path(__file__).parents[1] / "run"))
from harness import FAST, bench, bench_json  # noqa: E402

from bench import registry, video  # noqa: E402

PLUGINS = Path(__file__).parents[1] / "plugins"
CELL = "t-hears--toy--quick--s0"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of a method that hears; don't write into it."""
    root = tmp_path_factory.mktemp("trained")
    toy.make(root / "toy")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(PLUGINS))
        patch.setattr(sys, "path", [str(PLUGINS), *sys.path])
        registry._entries.cache_clear()
        result = bench("run", "--methods", "t-hears", "--subjects", root / "toy", *FAST, "--out", root / "run")
        registry._entries.cache_clear()
    assert result.exit_code == 0, result.output
    return root


@pytest.fixture
def sound(tmp_path: Path, plugins) -> Path:
    """Half a second of noise, at 22 kHz."""
    samples = 0.1 * np.random.default_rng(0).standard_normal(11_025).astype(np.float32)
    video.write_audio(tmp_path / "a.wav", samples, 22_050)
    return tmp_path / "a.wav"


def test_a_cell_speaks_another_sound(trained: Path, sound: Path, tmp_path: Path):
    out = tmp_path / "out.mp4"
    found = bench_json("drive", trained / "run/cells" / CELL, "--audio", sound, "--out", out, "--device", "cpu")
    warned = found.pop("warnings")
    assert found == {
        "out": str(out), "audio": str(sound), "start": 0.0, "seconds": 0.48, "frames": 12, "fps": 25.0, "size": [64, 64],
        "poses": "loop", "audio_kind": "mel", "method": "t-hears", "variant": "", "subject": "toy", "cell": CELL,
        "sees": ["audio", "expression", "pose"], "device": "cpu",
    }  # fmt: skip
    assert [("standardised" in text, "expression coefficients" in text) for text in warned] == [
        (True, False),
        (False, True),
    ]
    probed = video.probe(out)
    assert (probed.frames, probed.has_audio) == (12, True)
    result = bench("drive", trained / "run/cells" / CELL, "--audio", sound, "--out", out, "--force", "--poses", "test")
    assert (result.exit_code, result.stdout) == (0, f"{out}\n")
    assert [line.split(":")[0] for line in result.stderr.splitlines()] == ["warning"] * 3
    assert "test split has 6 frames" in result.stderr
    assert video.probe(out).frames == 6


def test_a_checkpoint_outside_a_run_needs_its_method_and_subject(trained: Path, sound: Path, tmp_path: Path):
    alone = shutil.copytree(trained / "run/cells" / CELL / "checkpoint", tmp_path / "alone")
    out = tmp_path / "out.mp4"
    given = ("drive", alone, "--audio", sound, "--out", out)
    assert "give --method and --subject" in bench_json(*given, code=2)["error"]
    found = bench_json(*given, "--method", "t-hears", "--subject", trained / "toy")
    assert (found["method"], found["variant"], found["cell"], found["frames"]) == ("t-hears", "", None, 12)


def test_a_changed_subject_is_refused_unless_named(trained: Path, sound: Path, tmp_path: Path):
    other = shutil.copytree(trained / "toy", tmp_path / "toy")
    (other / "ori_imgs/3.lms").write_text((other / "ori_imgs/4.lms").read_text())
    cell = shutil.copytree(trained / "run/cells" / CELL, tmp_path / "run/cells" / CELL)
    job = json.loads((cell / "job.json").read_text())
    (cell / "job.json").write_text(json.dumps(job | {"subject_root": str(other)}))
    given = ("drive", cell, "--audio", sound, "--out", tmp_path / "out.mp4")
    assert "was changed since" in bench_json(*given, code=1)["error"]
    assert any("is not the subject" in text for text in bench_json(*given, "--subject", other)["warnings"])


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--start", "9"], 2, "--start 9: .* ends at 0.48 s"),
        (["--start", "-1"], 2, "--start"),
        (["--out", "{}/out.avi"], 2, "is an .mp4"),
        (["--out", "{}/there.mp4"], 2, "there.mp4 exists.*--force"),
        (["--audio", "{}/none.wav"], 2, "none.wav"),
        (["--features", "{}/a.wav"], 2, "trained with mel"),
        (["--poses", "sideways"], 2, "sideways"),
        (["--method", "t-well"], 2, "is a checkpoint of t-hears"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_made(
    trained: Path, sound: Path, tmp_path: Path, arguments: list[str], code: int, message: str
):
    (tmp_path / "there.mp4").touch()
    before = sorted(tmp_path.iterdir())
    usual = ["--audio", sound, "--out", tmp_path / "out.mp4"]
    result = bench("drive", trained / "run/cells" / CELL, *usual, *(text.format(tmp_path) for text in arguments))
    assert result.exit_code == code
    assert result.stderr.startswith("error: ")
    assert len(result.stderr.splitlines()) == 1
    assert re.search(message, result.stderr)
    assert sorted(tmp_path.iterdir()) == before
