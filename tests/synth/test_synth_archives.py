"""The shipped subjects: sizes, safety and truthfulness of archives and cards."""

from __future__ import annotations

import hashlib
import json
import tomllib
import zipfile

import pytest

from bench import paths

NAMES = ("ada", "ben", "tiny")
FOLDER = paths.content("datasets", "embedded")


def test_together_they_stay_small():
    assert sum((FOLDER / f"{name}.zip").stat().st_size for name in NAMES) <= 25e6


@pytest.mark.parametrize("name", NAMES)
def test_card_describes_the_archive(name):
    card = tomllib.loads((FOLDER / f"{name}.toml").read_text(encoding="utf-8"))
    archive = FOLDER / card["archive"]
    assert hashlib.sha256(archive.read_bytes()).hexdigest() == card["sha256"]
    assert card["licence"] == "CC0-1.0"
    with zipfile.ZipFile(archive) as opened:
        meta = json.loads(opened.read("subject.json"))
        frames = [entry for entry in opened.namelist() if entry.startswith("ori_imgs/") and entry.endswith(".jpg")]
    for key in ("title", "size", "fps", "frames", "language", "hair", "sex"):
        assert card[key] == meta[key]
    assert len(frames) == meta["frames"]


@pytest.mark.parametrize("name", NAMES)
def test_archive_is_safe_and_reproducible(name):
    with zipfile.ZipFile(FOLDER / f"{name}.zip") as archive:
        entries = archive.infolist()
    assert [e.filename for e in entries] == sorted(e.filename for e in entries)
    for entry in entries:
        assert not entry.filename.startswith("/")
        assert ".." not in entry.filename.split("/")
        assert entry.date_time == (1980, 1, 1, 0, 0, 0)
        assert entry.external_attr >> 16 == 0o644


def test_tiny_opens_as_a_subject(tmp_path):
    subject = pytest.importorskip("bench.subject")
    with zipfile.ZipFile(FOLDER / "tiny.zip") as archive:
        archive.extractall(tmp_path / "tiny")
    opened = subject.open_subject(tmp_path / "tiny")
    frame = opened.frame(opened.ids[0])
    assert frame.image.shape == (96, 96, 3)
    assert frame.labels.shape == frame.teeth.shape == (96, 96)
    assert len(opened.train_ids) == int(len(opened.ids) * 10 / 11)
