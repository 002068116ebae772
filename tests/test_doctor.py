"""``bench doctor``: whatever is missing has a line of its own, with a remedy; it never breaks off."""

from __future__ import annotations

import json
from typing import Any

import av
import pytest
from click.testing import CliRunner

from bench import registry, system
from bench.cli import main
from bench.containers import engine, image
from bench.doctor import files, findings, machine, programs, software
from bench.errors import AbsentError

GIB = 2**30


def test_every_line_that_is_not_well_has_a_remedy() -> None:
    found = list(findings())
    assert {finding.what for finding in found} >= {
        "python",
        "torch",
        "memory",
        "codecs",
        "docker",
        "program er-nerf@official",
    }
    assert [finding.what for finding in found if finding.state != "ok" and not finding.remedy] == []
    assert all("\n" not in finding.detail + finding.remedy for finding in found)


def test_the_verb_says_it_as_json_and_by_its_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    result = CliRunner().invoke(main, ["doctor", "--json"])
    assert result.exit_code == 0, result.output
    assert {finding["what"] for finding in json.loads(result.stdout)["findings"]} >= {"cpu", "disk, here"}
    monkeypatch.setattr(av, "codecs_available", {"aac", "ffv1"})
    result = CliRunner().invoke(main, ["doctor", "--json"])
    assert result.exit_code == 1


def test_a_codec_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(av, "codecs_available", {"libx264", "aac"})
    (finding,) = software.codecs()
    assert finding.state == "broken"
    assert "ffv1 (lossless frames)" in finding.detail


@pytest.mark.parametrize(
    ("free", "state", "remedy"), [(100, "ok", ""), (2, "absent", "--jobs 1"), (0.5, "broken", "end other programs")]
)
def test_memory(free: float, state: str, remedy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "available_memory", lambda: int(free * GIB))
    monkeypatch.setattr(system, "parallel_cells", lambda device, cells: 2)
    (finding,) = machine.memory()
    assert finding.state == state
    assert remedy in finding.remedy


def _official() -> Any:
    return registry.program("er-nerf", "official")


def test_a_program_whose_needs_are_met_is_well(monkeypatch: pytest.MonkeyPatch) -> None:
    _able(monkeypatch)
    (finding,) = programs.programs()
    assert finding.state == "ok"
    assert "CUDA 11.8" in finding.detail


def _able(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with everything."""
    official = _official()
    monkeypatch.setattr(registry, "programs", lambda: ([official], []))
    monkeypatch.setattr(system, "gpu_name", lambda: "A GPU")
    monkeypatch.setattr(programs, "driver", lambda: 535)
    monkeypatch.setattr(programs, "available_memory", lambda: 500 * GIB)
    monkeypatch.setattr(programs.shutil, "disk_usage", lambda place: type("Usage", (), {"free": 500 * GIB}))
    monkeypatch.setattr(engine, "connect", lambda: None)
    monkeypatch.setattr(image, "require", lambda client, found, label: None)


@pytest.mark.parametrize(
    ("lacking", "words"),
    [
        ("gpu", "no NVIDIA GPU"),
        ("driver", "driver 470, CUDA 11.8 needs 520"),
        ("memory", "1 GiB of memory free, its limit is 32"),
        ("disk", "1 GiB of disk free, it may write 60"),
        ("image", "its image isn't here"),
        ("engine", "no Docker engine"),
    ],
)
def test_what_a_program_lacks_is_named_with_the_remedy(
    lacking: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def absent(text: str) -> Any:
        def raise_it(*_: object) -> None:
            raise AbsentError(text)

        return raise_it

    _able(monkeypatch)
    changes: dict[str, tuple[Any, str, Any]] = {
        "gpu": (system, "gpu_name", lambda: None),
        "driver": (programs, "driver", lambda: 470),
        "memory": (programs, "available_memory", lambda: GIB),
        "disk": (programs.shutil, "disk_usage", lambda place: type("Usage", (), {"free": GIB})),
        "image": (image, "require", absent("its image x isn't here: bench methods build er-nerf@official")),
        "engine": (engine, "connect", absent("no Docker engine answers: start Docker")),
    }
    monkeypatch.setattr(*changes[lacking])
    (finding,) = programs.programs()
    assert finding.state == "absent"
    assert words in finding.detail
    assert finding.remedy


def test_licensed_files_have_their_licence() -> None:
    found = {finding.what: finding for finding in files.weights()}
    bfm = found["weights bfm-2009"]
    assert bfm.state == "ok" or "Basel Face Model" in bfm.detail
