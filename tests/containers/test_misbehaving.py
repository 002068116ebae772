"""Containers that do what they shouldn't: each is one failed cell with a one-line cause, and nothing of it is left."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from dockerd import BASE
from harness import FAST, bench, bench_json

from bench.containers.find import Found
from bench.containers.method import Program
from bench.containers.spec import read
from bench.contract import Conditioning
from bench.errors import MethodError
from bench.subject import Subject

TOML = """\
name = "{name}"
title = "{name}"
summary = "Misbehaves."
kind = "reference"
licence = "Apache-2.0"
sees = ["ground_truth"]
[image]
name = "{image}"
memory = "32m"
pids = 16
hours = {hours}
disk = "16m"
[inputs]
pictures = "bmp"
[render]
run = '''sh -c "{script}" '''
output = "{output}"
"""
COPY = "cp {data}/ground_truth/*.bmp {out}"
"""What a good one does."""
HOUR, MOMENT = 0.02, 0.0006
PICTURES = "{out}/{id}.bmp"

CASES: dict[str, tuple[str, str, float, str]] = {
    # name: (script, output, hours, the cell's error)
    "exits-1": ("echo no weights here >&2; exit 1", PICTURES, HOUR, "rendering ended with exit code 1; its last line: no weights here"),
    "no-such-command": ("nonsense", PICTURES, HOUR,
        r"rendering ended with exit code 127 \(a command it calls isn't there\); its last line: sh: nonsense: not found"),
    "too-few": (f"{COPY}; rm {{out}}/17.bmp", PICTURES, HOUR, r"rendered 5 of 6 frames: 17 missing \(\{id\}.bmp\)"),
    "too-many": (f"{COPY}; cp {{out}}/17.bmp {{out}}/99.bmp", PICTURES, HOUR,
        "rendered 1 frames more than the 6 asked for, such as 99.bmp"),
    "two-of-one": (f"{COPY}; cp {{out}}/17.bmp {{out}}/017.bmp", PICTURES, HOUR,
        "rendering left two pictures of frame 17: 017.bmp and 17.bmp"),
    "none": ("true", PICTURES, HOUR, r"rendering left no \{id\}.bmp"),
    "wrong-size": (f"{COPY}; cp /small.bmp {{out}}/17.bmp", PICTURES, HOUR, "frame 17 is 2×2, the subject's are 64×64"),
    "no-picture": (f"{COPY}; echo x > {{out}}/17.bmp", PICTURES, HOUR, r"frame 17 can't be read as a picture \(17.bmp\)"),
    "no-video": ("echo x > {out}/a.mp4", "{out}/*.mp4", HOUR, "what it rendered can't be read: .*a.mp4: can't be decoded.*"),
    "link": (f"{COPY}; ln -sf /etc/passwd {{out}}/17.bmp", PICTURES, HOUR, r"rendered 5 of 6 frames: 17 missing .*"),
    "hangs": ("sleep 600", PICTURES, MOMENT, r"rendering took longer than its limit of 0.0006 h \(hours in its TOML\)"),
    "ignores-sigterm": ("trap '' TERM INT HUP; while true; do sleep 1; done", PICTURES, MOMENT,
        r"rendering took longer than its limit of 0.0006 h \(hours in its TOML\)"),
    "eats-memory": ("awk 'BEGIN { s = \\\"0123456789abcdef\\\"; while (1) s = s s }'", PICTURES, HOUR,
        r"rendering ran out of memory: its limit is 32 MiB \(memory in its TOML\)"),
    "fills-tmp": ("dd if=/dev/zero of=/tmp/big bs=1M count=100", PICTURES, HOUR,
        r"rendering ran out of memory: its limit is 32 MiB \(memory in its TOML\)"),
    "fills-disk": ("dd if=/dev/zero of={out}/big bs=1M count=100; sleep 20", PICTURES, HOUR,
        r"rendering wrote \d+ MiB, more than its limit of 16 MiB \(disk in its TOML\)"),
    "fills-disk-fast": ("dd if=/dev/zero of={out}/big bs=1M count=20", PICTURES, HOUR,
        r"rendering wrote \d+ MiB, more than its limit of 16 MiB \(disk in its TOML\)"),
    "forks": ("for k in $(seq 40); do sleep 60 & done; wait", PICTURES, HOUR,
        "rendering ended with exit code 2; its last line: sh: can't fork.*"),
    "network": ("nc -w 5 192.0.2.1 80", PICTURES, HOUR, "rendering ended with exit code 1; its last line: nc: .*unreachable"),
    "writes-outside": ("echo x > /usr/x", PICTURES, HOUR,
        "rendering ended with exit code 1; its last line: .*/usr/x: Read-only file system"),
    "writes-inputs": ("echo x > {data}/ids.txt", PICTURES, HOUR,
        "rendering ended with exit code 1; its last line: .*/bench/data/ids.txt: Read-only file system"),
    "writes-checkpoint": ("echo x > {checkpoint}/x", PICTURES, HOUR,
        "rendering ended with exit code 1; its last line: .*/bench/checkpoint/x: Read-only file system"),
    "is-nobody": ("test $(id -u) != 0 && exit 7", PICTURES, HOUR, "rendering ended with exit code 7; it printed nothing"),
    "garbage": ("head -c 3000000 /dev/urandom; echo; echo so long; exit 3", PICTURES, HOUR,
        "rendering ended with exit code 3; its last line: so long"),
}  # fmt: skip
RUN = (
    "exits-1", "too-few", "wrong-size", "hangs", "ignores-sigterm", "eats-memory", "fills-disk", "network", "writes-outside",
    "garbage",
)  # fmt: skip
"""Those that are cells of a run; the others are rendered in this process, which is quicker and shows the same."""


def _write(folder: Path, name: str, image: str = BASE) -> Path:
    script, output, hours, _ = CASES[name]
    path = folder / f"{name}.toml"
    path.write_text(TOML.format(name=name, script=script, output=output, hours=hours, image=image))
    return path


@pytest.fixture(scope="module")
def cells(engine: Any, toy_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """The cells of one run, by method; two at a time."""
    folder = tmp_path_factory.mktemp("misbehaving")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCH_METHODS", ":".join(str(_write(folder, name)) for name in RUN))
        methods = ",".join(f"{name}@docker" for name in RUN)
        document = bench_json(
            "run", "--methods", methods, "--subjects", toy_folder, "--out", folder / "run", "--jobs", 2, *FAST, code=1
        )
    return {cell["method"]: cell for cell in document["cells"]}


@pytest.mark.parametrize("name", RUN)
def test_is_one_failed_cell_with_one_line(name: str, cells: dict[str, dict[str, Any]], clean: Any):
    cell = cells[name]
    assert cell["status"] == "failed"
    assert re.fullmatch(CASES[name][3], cell["error"]), cell["error"]
    assert cell["error"].isprintable()
    folder = Path(cell["record"]).parent
    assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize("name", [name for name in CASES if name not in RUN])
def test_is_an_error_in_one_line(name: str, clean: Any, tmp_path: Path, toy_subject: Subject):
    path = _write(tmp_path, name)
    program = Program(Found(path, read(path)), "docker")
    given = [Conditioning(toy_subject.frame(number), toy_subject, program.info.sees) for number in toy_subject.test_ids]
    (tmp_path / "checkpoint").mkdir()
    with pytest.raises(MethodError) as caught:
        list(program.load(tmp_path / "checkpoint", "cpu").render(given))
    assert re.fullmatch(CASES[name][3], str(caught.value)), caught.value
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["checkpoint", path.name]


def test_garbage_is_made_readable_and_bounded_in_the_log(cells: dict[str, dict[str, Any]]):
    text = (Path(cells["garbage"]["record"]).parent / "log.txt").read_text(encoding="utf-8")
    assert all(line.isprintable() for line in text.split("\n"))
    assert max(map(len, text.split("\n"))) < 3000
    assert len(text) > 100_000


def test_an_image_that_is_not_there_stops_the_run_before_it_starts(
    engine: Any, toy_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("BENCH_METHODS", str(_write(tmp_path, "none", "talkbench-test/nowhere:1")))
    result = bench("run", "--methods", "none@docker", "--subjects", toy_folder, "--out", tmp_path / "run", *FAST)
    assert result.exit_code == 1
    assert result.stderr == (
        "error: none@docker: its image talkbench-test/nowhere:1 isn't here: import or pull it as talkbench-test/nowhere:1\n"
    )
    assert not (tmp_path / "run").exists()
