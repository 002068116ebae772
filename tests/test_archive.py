"""``bench export`` and ``bench import``: what comes out is what went in, and an archive is not trusted."""

from __future__ import annotations

import json
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from bench import archive, locks, records
from bench.cli import main
from bench.errors import BenchError, DataError, RecordError, UsageError
from bench.records import CellKey, Plan

RECORD = "cells/m--ada--quick--s0/record.json"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    root = tmp_path / "my run"
    key = CellKey(method="m", subject="ada", preset="quick", seed=0)
    records.save(root / "run.json", Plan(cells=[key]))
    (root / "cells" / key.name).mkdir(parents=True)
    (root / RECORD).write_text("{}")
    (root / "cells" / key.name / "frames.mkv").write_bytes(bytes(range(256)) * 5000)
    (root / ".lock").touch()
    (root / "report").mkdir()
    (root / "report" / "index.html").write_text("made anew by bench report")
    return root


@pytest.fixture
def packed(run: Path, tmp_path: Path) -> Path:
    archive.pack(run, tmp_path / "run.zip")
    return tmp_path / "run.zip"


def _contents(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_what_comes_out_is_what_went_in(run: Path, packed: Path, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    found = archive.unpack(packed, tmp_path / "out", lambda *each: told.append(each))
    expected = {name: data for name, data in _contents(run).items() if name not in (".lock", "report/index.html")}
    assert _contents(tmp_path / "out") == expected
    assert (found.files, found.bytes) == (3, sum(map(len, expected.values())))
    assert told[-1] == (found.bytes, found.bytes)


def test_the_same_run_gives_the_same_archive(run: Path, packed: Path, tmp_path: Path) -> None:
    archive.pack(run, tmp_path / "again.zip")
    assert packed.read_bytes() == (tmp_path / "again.zip").read_bytes()


def test_the_folder_is_named_after_the_run_and_never_replaced(packed: Path, tmp_path: Path) -> None:
    other = tmp_path / "elsewhere" / "run.zip"
    other.parent.mkdir()
    packed.rename(other)
    place = archive.unpack(other).place
    assert place.parent == other.parent
    with pytest.raises(UsageError, match="there already"):
        archive.unpack(other)
    assert (place / "run.json").exists()


def test_what_can_not_be_packed(run: Path, tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="not a run folder"):
        archive.pack(tmp_path, tmp_path / "x.zip")
    with locks.hold(run / ".lock", 0), pytest.raises(UsageError, match="at work"):
        archive.pack(run, tmp_path / "x.zip")
    (run / "cells" / "link").symlink_to("/etc/passwd")
    with pytest.raises(DataError, match="is a link"):
        archive.pack(run, tmp_path / "x.zip")
    assert not (tmp_path / "x.zip").exists()


Member = tuple[zipfile.ZipInfo, bytes]


def _rewritten(packed: Path, change: Callable[[dict[str, Member], dict[str, Any]], None]) -> Path:
    """The archive with its members and manifest changed."""
    with zipfile.ZipFile(packed) as bundle:
        members: dict[str, Member] = {info.filename: (info, bundle.read(info)) for info in bundle.infolist()}
    manifest = json.loads(members.pop(archive.MANIFEST)[1])
    change(members, manifest)
    bad = packed.with_name("bad.zip")
    with zipfile.ZipFile(bad, "w") as bundle:
        for info, data in members.values():
            bundle.writestr(info, data)
        bundle.writestr(archive.MANIFEST, json.dumps(manifest))
    return bad


def _added(name: str, mode: int = 0o644) -> Callable[[dict[str, Member], dict[str, Any]], None]:
    def change(members: dict[str, Member], manifest: dict[str, Any]) -> None:
        info = zipfile.ZipInfo(name)
        info.external_attr = mode << 16
        members["new"] = (info, b"{}")
        manifest["files"][name] = manifest["files"][RECORD]

    return change


def _spoilt(members: dict[str, Member], manifest: dict[str, Any]) -> None:
    members[RECORD] = (members[RECORD][0], b"[]")


def _longer(members: dict[str, Member], manifest: dict[str, Any]) -> None:
    members[RECORD] = (members[RECORD][0], b"{} ")


def _unlisted(members: dict[str, Member], manifest: dict[str, Any]) -> None:
    del manifest["files"][RECORD]


def _lacking(members: dict[str, Member], manifest: dict[str, Any]) -> None:
    del members[RECORD]


def _no_run(members: dict[str, Member], manifest: dict[str, Any]) -> None:
    del members["run.json"], manifest["files"]["run.json"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_added("../outside.txt"), "lead out"),
        (_added("cells/../../outside.txt"), "lead out"),
        (_added("/tmp/outside.txt"), "lead out"),
        (_added("cells\\..\\outside.txt"), "lead out"),
        (_added("cells//twice.txt"), "lead out"),
        (_added(".hidden"), "lead out"),
        (_added("cells/\x1b[2J"), "lead out"),
        (_added("cells/link", stat.S_IFLNK | 0o777), "no plain file"),
        (_spoilt, "not what its manifest says"),
        (_longer, "another size"),
        (_unlisted, "not both in it and in its manifest"),
        (_lacking, "not both in it and in its manifest"),
        (_no_run, "not a run folder"),
    ],
)
def test_an_archive_is_not_trusted(
    change: Callable[[dict[str, Member], dict[str, Any]], None], words: str, packed: Path, tmp_path: Path
) -> None:
    bad = _rewritten(packed, change)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(RecordError, match=words):
        archive.unpack(bad, tmp_path / "out")
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("cut", [0.1, 0.5, 0.99])
def test_half_an_archive_is_refused(packed: Path, tmp_path: Path, cut: float) -> None:
    data = packed.read_bytes()
    packed.write_bytes(data[: int(len(data) * cut)])
    with pytest.raises(RecordError, match="get it again"):
        archive.unpack(packed, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("place", [0.02, 0.3, 0.7, 0.9, 0.97])
def test_one_wrong_byte_is_refused(packed: Path, tmp_path: Path, place: float) -> None:
    data = bytearray(packed.read_bytes())
    data[int(len(data) * place)] ^= 0x10
    packed.write_bytes(data)
    with pytest.raises(BenchError):
        archive.unpack(packed, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_foreign_zip_is_named(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as bundle:
        bundle.writestr("a.txt", "a")
    with pytest.raises(RecordError, match="not made by `bench export`"):
        archive.unpack(tmp_path / "x.zip")


def test_the_verbs(run: Path, tmp_path: Path) -> None:
    runner = CliRunner()
    result = runner.invoke(main, ["export", str(run), str(tmp_path / "a.zip"), "--json"])
    assert result.exit_code == 0
    assert json.loads(result.stdout)["files"] == 3
    result = runner.invoke(main, ["import", str(tmp_path / "a.zip"), "--out", str(tmp_path / "new")])
    assert result.exit_code == 0
    assert "3 files" in result.stdout
    result = runner.invoke(main, ["import", str(tmp_path / "a.zip"), "--out", str(tmp_path / "new")])
    assert result.exit_code == 2
    assert "there already" in result.stderr
