"""Subjects by name."""

from __future__ import annotations

import hashlib
import shutil
import threading
import zipfile
from pathlib import Path

import pytest

from bench import catalogue
from bench.errors import DataError, UsageError


@pytest.fixture
def shelf(tmp_path: Path, toy_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Shipped content with the toy as its one embedded subject, and an empty cache."""
    embedded = tmp_path / "datasets/embedded"
    embedded.mkdir(parents=True)
    shutil.make_archive(str(embedded / "toy"), "zip", toy_folder)
    write_card(embedded)
    monkeypatch.setattr("bench.paths.content", lambda *parts: tmp_path.joinpath(*parts))
    monkeypatch.setenv("BENCH_HOME", str(tmp_path / "home"))
    return embedded


def write_card(embedded: Path, sha256: str | None = None) -> None:
    sha256 = sha256 or hashlib.sha256((embedded / "toy.zip").read_bytes()).hexdigest()
    (embedded / "toy.toml").write_text(f'name = "toy"\ntitle = "Toy"\nframes = 22\nsha256 = "{sha256}"\n')


def test_an_embedded_subject_is_unpacked_once(shelf, toy_subject):
    first = catalogue.resolve("toy")
    assert first.test_ids == toy_subject.test_ids
    assert catalogue.subject_hash(first) == catalogue.subject_hash(toy_subject)
    stamp = first.root.stat().st_mtime_ns
    assert catalogue.resolve("toy").root.stat().st_mtime_ns == stamp


def test_many_at_once_unpack_it_once(shelf):
    found, errors = [], []

    def open_it() -> None:
        try:
            found.append(catalogue.resolve("toy").root)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=open_it) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(set(found)) == 1


def test_a_short_subject_is_for_tests_only(shelf):
    assert catalogue.defaults() == []
    assert catalogue.entries()["toy"].for_tests


def test_prepared_subjects_and_paths(shelf, toy_folder, tmp_path):
    shutil.copytree(toy_folder, tmp_path / "home/subjects/mine")
    (tmp_path / "home/subjects/.half-made").mkdir()
    assert set(catalogue.entries()) == {"toy", "mine"}
    assert catalogue.resolve("mine").root == tmp_path / "home/subjects/mine"
    assert catalogue.resolve(str(toy_folder)).root == toy_folder


def test_unknown_names(shelf):
    with pytest.raises(UsageError, match="unknown subject 'tyo': did you mean 'toy'"):
        catalogue.resolve("tyo")
    with pytest.raises(UsageError, match="no subject folder ./toys"):
        catalogue.resolve("./toys")


def test_an_archive_that_is_not_the_cards(shelf):
    write_card(shelf, "0" * 64)
    with pytest.raises(DataError, match="its card says 000000000000…"):
        catalogue.resolve("toy")
    (shelf / "toy.zip").unlink()
    with pytest.raises(DataError, match="toy.zip is missing"):
        catalogue.resolve("toy")


def test_an_archive_that_writes_outside(shelf, tmp_path):
    with zipfile.ZipFile(shelf / "toy.zip", "w") as bundle:
        bundle.writestr("../evil.txt", "x")
    write_card(shelf)
    with pytest.raises(DataError, match="outside its folder"):
        catalogue.resolve("toy")
    assert not list(tmp_path.rglob("evil.txt"))
    assert not [path for path in (tmp_path / "home/embedded").iterdir() if path.is_dir()]


def test_a_broken_card_and_a_broken_zip(shelf):
    (shelf / "toy.zip").write_bytes(b"no zip")
    write_card(shelf)
    with pytest.raises(DataError, match="not a whole zip"):
        catalogue.resolve("toy")
    (shelf / "toy.toml").write_text("name = ")
    with pytest.raises(DataError, match="not a subject card"):
        catalogue.entries()


def test_the_hash_knows_every_byte(own_toy, toy_folder):
    from bench.subject import Subject

    before = catalogue.subject_hash(Subject(own_toy))
    assert before == catalogue.subject_hash(Subject(toy_folder))
    (own_toy / "bc.jpg").write_bytes((own_toy / "bc.jpg").read_bytes() + b"\0")
    assert catalogue.subject_hash(Subject(own_toy)) != before
