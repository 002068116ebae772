"""Downloads from a server of our own: whole, resumed, cut off, wrong, refused; and model files fetched through them."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from bench import locks, weights
from bench.cli.weights import command
from bench.download import download
from bench.errors import AbsentError, RecordError

DATA = np.random.default_rng(0).bytes(300_000)
SHA = hashlib.sha256(DATA).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """Serves DATA at /file; /cut ends early, /plain knows no ranges, /gone is not there. Remembers the ranges asked for."""

    asked: list[str | None]

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        type(self).asked.append(asked)
        if self.path == "/gone":
            return self.send_error(404)
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and self.path != "/plain" else 0
        if start >= len(DATA):
            return self.send_error(416)
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(DATA) - start))
        self.end_headers()
        self.wfile.write(DATA[start : start + 100_000] if self.path == "/cut" else DATA[start:])
        return None

    def log_message(self, *args: object) -> None: ...


@pytest.fixture
def server() -> Iterator[str]:
    Handler.asked = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_address[1]}"
        running.shutdown()


def test_a_cut_off_download_goes_on_where_it_stopped(server: str, tmp_path: Path) -> None:
    target, told = tmp_path / "w/model.bin", []
    for so_far in (100_000, 200_000):
        with pytest.raises(AbsentError, match=f"cut off at {so_far} of 300000 bytes; run it again"):
            download(f"{server}/cut", target, SHA)
        assert not target.exists()
    download(f"{server}/file", target, SHA, lambda done, total: told.append((done, total)))
    assert target.read_bytes() == DATA
    assert Handler.asked == [None, "bytes=100000-", "bytes=200000-"]
    assert told[-1] == (300_000, 300_000)
    assert target.stat().st_mode & 0o777 == 0o644
    assert not list(tmp_path.glob("w/*.part"))


def test_a_server_without_ranges_starts_anew(server: str, tmp_path: Path) -> None:
    with pytest.raises(AbsentError, match="cut off"):
        download(f"{server}/cut", tmp_path / "model.bin", SHA)
    download(f"{server}/plain", tmp_path / "model.bin", SHA)
    assert (tmp_path / "model.bin").read_bytes() == DATA


def test_a_wrong_hash_is_refused_and_nothing_kept(server: str, tmp_path: Path) -> None:
    target = tmp_path / "model.bin"
    target.write_bytes(b"the old one")
    with pytest.raises(RecordError, match=f"sha256 {SHA}, expected {'0' * 64}"):
        download(f"{server}/file", target, "0" * 64)
    assert target.read_bytes() == b"the old one"
    assert not list(tmp_path.glob(".*.part"))


def test_a_rest_of_another_file_is_found_out(server: str, tmp_path: Path) -> None:
    for junk in (b"x" * 1000, b"x" * 400_000):
        (tmp_path / ".model.bin.part").write_bytes(junk)
        with pytest.raises(RecordError, match="not the expected file"):
            download(f"{server}/file", tmp_path / "model.bin", SHA)
    download(f"{server}/file", tmp_path / "model.bin", SHA)


def test_without_a_hash_nothing_is_resumed(server: str, tmp_path: Path) -> None:
    with pytest.raises(AbsentError, match="cut off"):
        download(f"{server}/cut", tmp_path / "model.bin", None)
    download(f"{server}/file", tmp_path / "model.bin", None)
    assert Handler.asked == [None, None]


@pytest.mark.parametrize(("url", "message"), [("{}/gone", "HTTP 404"), ("file:///etc/passwd", "only http")])
def test_what_can_not_be_fetched(server: str, tmp_path: Path, url: str, message: str) -> None:
    with pytest.raises(AbsentError, match=message):
        download(url.format(server), tmp_path / "model.bin", SHA)


def test_nobody_there_and_two_at_once(server: str, tmp_path: Path) -> None:
    with pytest.raises(AbsentError, match="can't be fetched"):
        download("http://127.0.0.1:9/file", tmp_path / "model.bin", SHA)
    with locks.hold(tmp_path / ".model.bin.lock", 0), pytest.raises(AbsentError, match="another process"):
        download(f"{server}/file", tmp_path / "model.bin", SHA)


def test_model_files_are_fetched_when_asked(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_HOME", str(tmp_path))
    monkeypatch.delenv("BENCH_OFFLINE", raising=False)
    known = replace(weights.get("face-landmarker"), url=f"{server}/file", sha256=SHA, size=len(DATA))
    monkeypatch.setitem(weights.REGISTRY, "face-landmarker", known)
    monkeypatch.setitem(weights.REGISTRY, "bfm-2009", replace(weights.get("bfm-2009"), url=f"{server}/file"))
    with pytest.raises(AbsentError, match="is not here: bench weights fetch face-landmarker"):
        weights.require("face-landmarker")  # never unasked
    assert Handler.asked == []
    answer = CliRunner().invoke(command, ["fetch", "face-landmarker", "bfm-2009"])
    assert answer.exit_code == 0, answer.output
    assert weights.require("face-landmarker").read_bytes() == DATA
    assert f"its hash is unknown, so nothing was checked; sha256 {SHA}" in answer.stderr
    assert CliRunner().invoke(command, ["fetch", "face-landmarker"]).exit_code == 0
    assert len(Handler.asked) == 2  # not again
    monkeypatch.setitem(weights.REGISTRY, "face-landmarker", replace(known, sha256="1" * 64))
    assert isinstance(CliRunner().invoke(command, ["fetch", "face-landmarker"]).exception, RecordError)


def test_the_table_states_what_it_knows() -> None:
    for entry in weights.REGISTRY.values():
        assert entry.sha256 is None or (len(entry.sha256) == 64 and entry.sha256_from)
        assert entry.url is None or entry.url.startswith(("http://", "https://"))
        assert entry.licence
        assert entry.needed_by
