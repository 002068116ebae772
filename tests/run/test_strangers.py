"""A plugin that misbehaves when it is imported ends as a failed cell with its own log; the harness never imports it."""

from __future__ import annotations

import json
import os

import pytest
from harness import FAST, bench, bench_json

from bench import isolated, locks, registry
from bench.errors import MethodError, UsageError

pytestmark = pytest.mark.usefixtures("strangers")

WORDS = {
    "s-exits": "ends the process when it is imported (exit code 0); it said: no licence found",
    "s-dies": "ends the process when it is imported (signal 11)",
    "s-hangs": "hangs when it is imported (over 5 s",
    "s-nonsense": "has no MethodInfo for its info, but dict",
}


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setenv("BENCH_PLUGIN_SECONDS", "5")
    isolated.info.cache_clear()
    yield
    isolated.info.cache_clear()


@pytest.mark.parametrize("name", WORDS)
def test_what_it_did_is_said(name):
    with pytest.raises(MethodError) as caught:
        registry.info(name)
    assert WORDS[name] in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["s-forks", "s-prints"])
def test_forking_and_printing_are_borne(name):
    assert registry.info(name).name == name


def test_the_others_go_on_and_the_harness_imports_none(toy_folder, tmp_path, monkeypatch):
    monkeypatch.setenv("S_IMPORTS", str(tmp_path / "imports"))
    names = ["s-exits", "s-hangs", "s-dies", "s-nonsense", "s-prints", "s-forks"]
    arguments = ("run", "--methods", ",".join(names), "--subjects", toy_folder, "--out", tmp_path / "r", *FAST)
    document = bench_json(*arguments, "--jobs", 2, code=1)
    states = {cell["method"]: cell["status"] for cell in document["cells"]}
    assert states == {name: "ok" if name in ("s-prints", "s-forks") else "failed" for name in names}
    errors = {cell["method"]: cell["error"] for cell in document["cells"] if cell["error"]}
    assert "sys.exit(0)" in errors["s-exits"]
    assert "hangs when it is imported (over 5 s): its log shows where" in errors["s-hangs"]
    assert "SIGSEGV" in errors["s-dies"]
    logs = {name: (tmp_path / f"r/cells/{name}--toy--quick--s0/log.txt").read_text() for name in names}
    assert "no licence found" in logs["s-exits"]
    assert "tb_stranger_hangs.py" in logs["s-hangs"]
    assert "welcome to this method" in logs["s-prints"]
    imported = {int(line) for line in (tmp_path / "imports").read_text().split()}
    assert imported
    assert os.getpid() not in imported
    assert not locks.is_held(tmp_path / "r/.lock")  # the fork that got away holds nothing of the run


def test_the_user_is_told_before_the_work(toy_folder, tmp_path):
    result = bench("run", "--methods", "s-exits", "--subjects", toy_folder, "--out", tmp_path / "r", *FAST, "--dry-run")
    assert result.exit_code == 0
    assert "its cells will fail" in result.output


def test_every_list_shows_it(tmp_path):
    rows = {row["name"]: row for row in json.loads(bench("methods", "list", "--json").stdout)["methods"]}
    assert WORDS["s-exits"] in rows["s-exits"]["error"]
    assert "summary" in rows["s-prints"]


def test_patience_is_a_number(monkeypatch):
    monkeypatch.setenv("BENCH_PLUGIN_SECONDS", "soon")
    with pytest.raises(UsageError, match="expected seconds, such as 60"):
        isolated.import_seconds()
