"""Opening a checkpoint outside its run."""

from __future__ import annotations

import json
import shutil
import sys
import warnings
from pathlib import Path

import pytest
import toy

sys.path.insert(0, str(Path(__file__).parent / "run"))
from harness import FAST, bench  # noqa: E402

from bench.checkpoints import open_checkpoint, proved  # noqa: E402
from bench.errors import BenchWarning, DataError, RecordError, UsageError  # noqa: E402
from bench.paths import home  # noqa: E402

pytestmark = pytest.mark.usefixtures("plugins")
CELL = "t-slow--toy--quick--s0"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of a method that writes a file, beside its subject; don't write into it."""
    root = tmp_path_factory.mktemp("trained")
    toy.make(root / "toy")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("T_SLOW", "0")
        patch.setenv("PYTHONPATH", str(Path(__file__).parent / "plugins"))
        patch.setattr(sys, "path", [str(Path(__file__).parent / "plugins"), *sys.path])
        from bench import registry

        registry._entries.cache_clear()
        result = bench("run", "--methods", "t-slow", "--subjects", root / "toy", *FAST, "--out", root / "run")
        registry._entries.cache_clear()
    assert result.exit_code == 0, result.output
    return root


@pytest.fixture
def own(trained: Path, tmp_path: Path) -> Path:
    """A copy of the cell to break; its subject stays where it was."""
    return Path(shutil.copytree(trained / "run/cells" / CELL, tmp_path / "run/cells" / CELL))


def changed(trained: Path, folder: Path) -> Path:
    """The subject with one byte of one frame changed."""
    shutil.copytree(trained / "toy", folder)
    path = folder / "ori_imgs/3.lms"
    path.write_text(path.read_text().replace("1", "2", 1))
    return folder


@pytest.mark.parametrize("part", ["", "checkpoint"])
def test_a_cell_and_its_checkpoint_folder_say_what_they_are(trained: Path, part: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(trained / "run/cells")
    opened = open_checkpoint(Path(CELL) / part)
    assert opened.method.info.name == opened.label == "t-slow"
    assert opened.key is not None
    assert opened.key.name == CELL
    assert opened.checkpoint.resolve() == trained / "run/cells" / CELL / "checkpoint"
    assert (opened.subject.root, opened.audio_kind) == (trained / "toy", "mel")


def test_an_unscored_cell_opens_by_its_job(own: Path):
    (own / "record.json").unlink()
    assert open_checkpoint(own).subject.name == "toy"


def test_a_changed_subject_is_refused_unless_it_is_named(own: Path, trained: Path, tmp_path: Path):
    other = changed(trained, tmp_path / "other")
    job = json.loads((own / "job.json").read_text())
    (own / "job.json").write_text(json.dumps(job | {"subject_root": str(other)}))
    with pytest.raises(RecordError, match=r"not the subject that t-slow--toy--quick--s0 was trained on.*--subject"):
        open_checkpoint(own)
    with pytest.warns(BenchWarning, match="is not the subject"):
        assert open_checkpoint(own, subject=str(other)).subject.root == other
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert open_checkpoint(own, subject=str(trained / "toy")).subject.root == trained / "toy"


def test_a_subject_that_has_gone_is_looked_up_by_name(
    own: Path, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    job = json.loads((own / "job.json").read_text())
    (own / "job.json").write_text(json.dumps(job | {"subject_root": str(tmp_path / "gone")}))
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    with pytest.raises(DataError, match=r"'toy' of t-slow--toy--quick--s0 is not at .*gone any more.*--subject"):
        open_checkpoint(own)
    shutil.copytree(trained / "toy", home() / "subjects/toy")
    assert open_checkpoint(own).subject.root == home() / "subjects/toy"


@pytest.mark.parametrize("file", ["state.json", "new.json"])
def test_a_changed_checkpoint_is_refused(own: Path, file: str):
    (own / "checkpoint" / file).write_text("{}")
    with pytest.raises(RecordError, match="was changed after training"):
        open_checkpoint(own)


def test_another_whole_checkpoint_in_a_scored_cell_is_refused(own: Path):
    from bench.hashes import hash_folder

    (own / "checkpoint/state.json").write_text("{}")
    done = json.loads((own / "checkpoint/done.json").read_text())
    done["sha256"] = hash_folder(own / "checkpoint", without={"done.json"})
    (own / "checkpoint/done.json").write_text(json.dumps(done))
    assert proved(own / "checkpoint").sha256 == done["sha256"]
    with pytest.raises(RecordError, match="is not the checkpoint of"):
        open_checkpoint(own)


def test_unfinished_and_broken_cells_are_named(own: Path):
    (own / "checkpoint/done.json").write_text("{")
    with pytest.raises(RecordError, match=r"done.json can't be read"):
        open_checkpoint(own)
    (own / "checkpoint/done.json").unlink()
    with pytest.raises(RecordError, match="no finished checkpoint"):
        open_checkpoint(own)
    (own / "record.json").unlink()
    (own / "job.json").write_text("[]")
    with pytest.raises(RecordError, match=r"job.json can't be read"):
        open_checkpoint(own)


def test_outside_a_run_method_and_subject_are_needed(trained: Path, tmp_path: Path):
    alone = Path(shutil.copytree(trained / "run/cells" / CELL / "checkpoint", tmp_path / "alone"))
    with pytest.raises(UsageError, match=r"give --method and --subject \(such as"):
        open_checkpoint(alone)
    with pytest.raises(UsageError, match=r"give --subject \("):
        open_checkpoint(alone, method="t-slow")
    opened = open_checkpoint(alone, method="t-slow", subject=str(trained / "toy"))
    assert (opened.key, opened.label, opened.checkpoint) == (None, "t-slow", alone)
    (alone / "state.json").write_text("{}")
    with pytest.raises(RecordError, match="was changed after training"):
        open_checkpoint(alone, method="t-slow", subject=str(trained / "toy"))
    (alone / "done.json").unlink()
    with pytest.warns(BenchWarning, match=r"no done.json"):
        open_checkpoint(alone, method="t-slow", subject=str(trained / "toy"))


def test_what_is_no_checkpoint_is_refused_with_the_remedy(trained: Path):
    with pytest.raises(UsageError, match="no checkpoint folder"):
        open_checkpoint(trained / "nothing")
    with pytest.raises(UsageError, match=rf"whole run: name one of its cells, such as .*{CELL}"):
        open_checkpoint(trained / "run")
    with pytest.raises(UsageError, match="is a checkpoint of t-slow, not of t-well"):
        open_checkpoint(trained / "run/cells" / CELL, method="t-well")
    with pytest.raises(UsageError, match="did you mean"):
        open_checkpoint(trained / "toy", method="t-slo", subject="ada")
