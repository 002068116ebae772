"""``bench inspect`` and its page, with methods that say this and that of themselves."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from bench import registry
from bench.checkpoints import Opened
from bench.cli import main
from bench.contract import MethodInfo
from bench.errors import MethodError, UsageError
from bench.inspection import File, Inspection, Picture, Section, Sheet, Table, check, chosen_frames, inspect

NASTY = '<script>alert("x")</script> & "q"'


class Looks:
    """Says what it was told to say, and remembers what it was given."""

    info = MethodInfo(name="looks", title="", summary="", kind="reference", sees=frozenset({"pose"}))

    def __init__(self, answer=None) -> None:
        self.answer = answer

    def train(self, task):
        raise NotImplementedError

    def load(self, checkpoint, device):
        raise NotImplementedError

    def inspect(self, task):
        self.task = task
        Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(task.out / "a b.png")
        (task.out / "data.bin").write_bytes(b"x")
        return self.answer if self.answer is not None else good()


def good(**changes) -> Inspection:
    parts = {
        "key": "one",
        "title": NASTY,
        "text": NASTY,
        "tables": (Table("sizes", NASTY, ("count", "share"), {NASTY: (1234, 0.123456789), "none": (0, None)}),),
        "sheets": (Sheet((Picture("a b.png", NASTY),), NASTY),),
        "files": (File("data.bin", NASTY),),
    }
    return Inspection((Section(**parts | changes),))


@pytest.fixture
def opened(toy_subject, tmp_path):
    (tmp_path / "cell/checkpoint").mkdir(parents=True)

    def make(answer=None) -> Opened:
        return Opened(Looks(answer), None, tmp_path / "cell/checkpoint", toy_subject, "mel")

    return make


def test_numbers_pictures_and_files_are_laid_out(opened, tmp_path, toy_subject):
    found, out = opened(), tmp_path / "out"
    document = inspect(found, [18, 16], "cpu", out)
    assert json.loads((out / "inspect.json").read_text()) == document
    assert (document["method"], document["subject"], document["frames"]) == ("looks", "toy", [18, 16])
    section = document["sections"]["one"]
    assert section["tables"]["sizes"] == {
        NASTY: {"count": 1234, "share": 0.123456789},
        "none": {"count": 0, "share": None},
    }
    assert section["pictures"] == [{"file": "a b.png", "caption": NASTY}]
    assert section["files"] == [{"file": "data.bin", "what": NASTY}]
    task = found.method.task
    assert [given.id for given in task.chosen] == [18, 16]
    assert [given.id for given in task.every] == toy_subject.test_ids
    assert (task.device, task.checkpoint) == ("cpu", found.checkpoint)
    with pytest.raises(MethodError, match="sees"):
        _ = task.chosen[0].audio


def test_the_page_is_escaped_and_links_what_lies_beside_it(opened, tmp_path):
    inspect(opened(), [16], "cpu", tmp_path / "out")
    page = (tmp_path / "out/index.html").read_text()
    assert "<script" not in page
    assert page.count("&lt;script&gt;alert(&#34;x&#34;)&lt;/script&gt; &amp; &#34;q&#34;") >= 8
    assert 'src="a%20b.png"' in page
    assert "<td>1,234</td><td>0.1235</td>" in page
    assert "<td>0</td><td>—</td>" in page
    assert "http" not in page.replace("http-equiv", "")
    assert "light dark" in page


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ([], "gave list, expected an Inspection"),
        (good(files=(File("gone.bin", ""),)), "'gone.bin'"),
        (good(files=(File("../cell", ""),)), "'../cell'"),
        (good(sheets=(Sheet((Picture("/etc/hosts", ""),)),)), "'/etc/hosts'"),
        (good(tables=(Table("t", "", ("a",), {"r": (float("nan"),)}),)), "expected 1 finite numbers"),
        (good(tables=(Table("t", "", ("a",), {"r": (1, 2)}),)), "expected 1 finite numbers"),
    ],
)
def test_an_answer_against_the_contract_leaves_nothing(opened, tmp_path, answer, message):
    with pytest.raises(MethodError, match=message):
        inspect(opened(answer), [16], "cpu", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_earlier_inspection_is_replaced_and_nothing_else_is(opened, tmp_path):
    out = tmp_path / "out"
    inspect(opened(), [16], "cpu", out)
    (out / "old.png").write_text("")
    inspect(opened(), [16], "cpu", out)
    assert not (out / "old.png").exists()
    (out / "inspect.json").unlink()
    with pytest.raises(UsageError, match="is no inspection"):
        check(opened(), out)
    with pytest.raises(UsageError, match="is a file"):
        check(opened(), out / "index.html")


def test_frames_are_test_frames(opened, toy_subject):
    found = opened()
    assert chosen_frames(found, []) == [17, 19, 21]
    assert chosen_frames(found, [21, 16, 21]) == [21, 16]
    with pytest.raises(UsageError, match="no test frame 3: choose from its 6, 16 to 21"):
        chosen_frames(found, [16, 3])
    toy_subject = toy_subject.for_training()
    toy_subject.test_ids = [5]
    assert chosen_frames(Opened(found.method, None, found.checkpoint, toy_subject, "mel"), []) == [5]


class TestCommand:
    """From the command line, with a checkpoint outside a run."""

    @pytest.fixture
    def bench(self, toy_folder, tmp_path, monkeypatch):
        looks = Looks()
        real = registry.get
        monkeypatch.setattr(registry, "get", lambda name, *more: looks if name == "looks" else real(name, *more))
        self.checkpoint = tmp_path / "mine"
        self.checkpoint.mkdir()

        def run(*arguments: str, method: str = "looks"):
            fixed = ("inspect", str(self.checkpoint), "--method", method, "--subject", str(toy_folder))
            return CliRunner().invoke(main, [*fixed, *arguments], catch_exceptions=False)

        return run

    def test_json_is_one_document_and_the_default_place_is_beside(self, bench):
        result = bench("--json", "--frames", "16,20")
        assert result.exit_code == 0, result.output
        document = json.loads(result.stdout)
        assert document["frames"] == [16, 20]
        assert Path(document["page"]) == self.checkpoint.parent / "mine-inspection/index.html"
        assert Path(document["page"]).exists()
        assert "no done.json" in document["warnings"][0]
        assert result.stderr == f"warning: {document['warnings'][0]}\n"

    def test_one_frame_and_a_place(self, bench, tmp_path):
        result = bench("--frame", "18", "--out", str(tmp_path / "there"))
        assert result.stdout == f"{tmp_path / 'there/index.html'}\n"
        assert json.loads((tmp_path / "there/inspect.json").read_text())["frames"] == [18]

    def test_a_method_that_has_nothing_to_show(self, bench):
        result = bench(method="copy-gt")
        assert result.exit_code == 2
        assert "error: method copy-gt has no inspect()" in result.stderr
        assert not (self.checkpoint.parent / "mine-inspection").exists()

    def test_a_frame_that_is_none(self, bench):
        result = bench("--frame", "0")
        assert (result.exit_code, "no test frame 0" in result.stderr) == (2, True)


def test_help_imports_no_torch():
    import subprocess

    code = (
        "import sys; from bench.cli import main\n"
        "try: main(['inspect', '--help'])\n"
        "except SystemExit: pass\n"
        "assert 'torch' not in sys.modules and 'jinja2' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
