"""The five official adapters without their images: commands and folders against golden files after the specs' §8; Dockerfiles linted."""

from __future__ import annotations

import json
import math
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from dockerfile_parse import DockerfileParser
from harness import bench

from bench import registry
from bench.containers import commands, inputs
from bench.containers.find import found
from bench.containers.method import Program
from bench.subject import Subject

GOLDEN = Path(__file__).parent / "golden"
NAMES = ("ad-nerf", "degstalk", "er-nerf", "synctalk", "talkinggaussian")
SPECS = {
    "ad-nerf": "9fdcd7e", "degstalk": "3dbcd39edc00954e538a00d7f6399ae2449ccde6", "er-nerf": "0cf72d8", "synctalk": "d2427a3",
    "talkinggaussian": "9bd34f732e30cd94c0a9a087a125d2dda228e258",
}  # fmt: skip


@pytest.fixture(scope="module")
def prepared(toy_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Subject]:
    """The toy with what authors' code needs beside: DeepSpeech windows, and coefficients of ARKit's or SMIRK's kind."""
    import torch

    folders = {}
    for kind in ("arkit", "smirk"):
        folder = Path(shutil.copytree(toy_folder, tmp_path_factory.mktemp("official") / "toy"))
        count = len(Subject(folder).ids)
        np.save(folder / "aud_ds.npy", np.zeros((count, 16, 29), np.float32))
        zeros = {
            name: np.zeros((count, width), np.float32)
            for name, width in (("expression", 50), ("eyelid", 2), ("jaw", 3))
        }
        if kind == "arkit":
            np.savez(folder / "coefficients.npz", **zeros, kind="arkit")
        else:
            (folder / "coefficients.npz").unlink()
            smirk = {f"{name}_params": torch.from_numpy(value) for name, value in zeros.items()}
            torch.save(
                smirk | {"shape_params": torch.zeros(count, 300), "pose_params": torch.zeros(count, 3)},
                folder / "3dmm.pt",
            )
        folders[kind] = Subject(folder)
    return folders


@pytest.fixture
def subject(prepared: dict[str, Subject], name: str) -> Subject:
    """The one that the method called ``name`` can be trained on."""
    return prepared["arkit" if name == "synctalk" else "smirk"]


def _program(name: str) -> Program:
    return registry.program(name, "official")


def _golden(name: str, text: str) -> None:
    path = GOLDEN / name
    if os.environ.get("BENCH_GOLDEN") == "write":
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert text == path.read_text(), f"{path} differs; BENCH_GOLDEN=write makes it anew: compare with the spec's §8"


def test_all_five_are_there() -> None:
    specs, broken = found()
    assert broken == []
    assert sorted(one.spec.name for one in specs if "official" in one.path.parts) == list(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_is_short_and_pinned(name: str) -> None:
    program = _program(name)
    assert len(program.found.path.read_text().splitlines()) <= 30
    assert program.spec.commit == SPECS[name]
    assert program.info.backend == "official"
    assert "subject" in program.info.sees
    assert program.spec.image is not None
    assert program.spec.image.gpu
    assert program.spec.licence


@pytest.mark.parametrize("name", NAMES)
def test_commands_are_those_of_the_spec(name: str, subject: Subject) -> None:
    program, lines = _program(name), []
    places = commands.Places(Path("/host/data"), Path("/host/out"))
    for preset in program.info.presets:
        lines.append(f"# {preset}")
        for stage in program.spec.train:
            step = commands.training(program.spec, stage, places, preset, 0, "cuda")
            lines += [f"{step.name}: {' '.join(step.command)}"]
        ready = commands.Places(Path("/host/data"), Path("/host/out"), Path("/host/checkpoint"))
        step = commands.rendering(program.spec, ready, preset, 0, "cuda", subject.test_ids)
        lines += [f"{step.name}: {' '.join(step.command)}", f"output: {program.spec.render.output}"]
        lines += [f"mount: {mount.argument()}" for mount in step.mounts]
    _golden(f"{name}.commands.txt", "\n".join(lines) + "\n")


@pytest.mark.parametrize("name", NAMES)
def test_the_folder_is_that_of_the_spec(name: str, subject: Subject, tmp_path: Path) -> None:
    spec = _program(name).spec
    inputs.write_whole(subject, spec.inputs.layout, tmp_path / "data", spec.inputs.at)
    names = sorted(
        path.relative_to(tmp_path / "data").as_posix() for path in (tmp_path / "data").rglob("*") if path.is_file()
    )
    first = subject.ids[0]
    some = [
        each for each in names if not re.search(r"\d+(_face)?\.\w+$", each) or re.search(rf"\b{first}(_face)?\.", each)
    ]
    counts = [f"{len(names)} files; one a frame:"]
    _golden(f"{name}.folder.txt", "\n".join([*counts, *some]) + "\n")
    text = "".join(path.read_text() for path in (tmp_path / "data").glob("*_config.txt"))
    assert str(tmp_path) not in text, "a path of the host, which the container doesn't have"


@pytest.mark.parametrize("name", ["degstalk", "talkinggaussian"])
def test_loaders_that_write_into_their_folder_get_a_copy(name: str) -> None:
    """§2 of both specs: ``points3d.ply`` is written at every start."""
    program = _program(name)
    places = commands.Places(Path("/host/data"), Path("/host/out"))
    for stage in program.spec.train:
        step = commands.training(program.spec, stage, places, "quick", 0, "cuda")
        assert [mount.writable for mount in step.mounts if mount.target == program.spec.inputs.at] == [True]


@pytest.mark.parametrize("name", ["ad-nerf", "degstalk", "talkinggaussian"])
def test_every_preset_saves_what_the_next_stage_opens(name: str) -> None:
    """They save at whole multiples of 10 000 iterations only (§4 and §8; §5 of AD-NeRF's); 10 000 itself stops the face stage."""
    for preset in _program(name).info.presets:
        values = dict(_program(name).spec.variables(preset))
        unsmoothed = int(values.pop("unsmoothed", 0))
        for count in map(int, values.values()):
            assert count % 10_000 == 0
            assert count > max(unsmoothed, 10_000)


@pytest.mark.parametrize("name", ["er-nerf", "synctalk"])
def test_the_lips_stage_has_epochs_left(name: str) -> None:
    """§5: a stage ends after ceil(iterations / training frames) epochs, those of the stage before included."""
    for preset in _program(name).info.presets:
        values = {key: int(count) for key, count in _program(name).spec.variables(preset).items()}
        assert all(
            math.ceil(values["lips"] / frames) > math.ceil(values["head"] / frames) for frames in range(1, 10_001)
        )


@pytest.mark.parametrize("name", NAMES)
def test_the_dockerfile_is_sound(name: str) -> None:
    """hadolint's rules that matter here (DL3002, 3003, 3006–3009, 3013–3015, 3020, 3042, 4006), on the parsed file."""
    program = _program(name)
    path = program.found.path.with_name("Dockerfile")
    parsed = DockerfileParser(str(path), cache_content=True).structure
    steps = [(entry["instruction"], entry["value"]) for entry in parsed if entry["instruction"] != "COMMENT"]
    kinds = [kind for kind, _ in steps]
    assert kinds[0] == "FROM"
    assert re.fullmatch(r"[\w./-]+:[\w.-]+(@sha256:[0-9a-f]{64})?", steps[0][1])
    assert ":latest" not in steps[0][1]
    assert program.spec.image is not None
    assert f":{program.spec.image.cuda}" in steps[0][1]
    assert "ADD" not in kinds
    assert kinds[-1] == "USER"
    assert steps[-1][1].split(":")[0] not in ("0", "root")
    assert {value for kind, value in steps if kind == "ARG"} == {"UPSTREAM", "COMMIT"}
    assert ("SHELL", '["/bin/bash", "-o", "pipefail", "-c"]') in steps
    for kind, value in steps:
        if kind == "WORKDIR":
            assert value.startswith("/")
        if kind == "RUN":
            _check_run(value)
    whole = path.read_text()
    assert 'git checkout --detach "$COMMIT"' in whole
    assert '[[ "$(git rev-parse HEAD)" == "$COMMIT"* ]]' in whole


def _check_run(command: str) -> None:
    assert "sudo" not in command
    assert "cd " not in command
    for part in re.split(r"&&|;", command):
        words = part.split()
        if words[:2] == ["pip", "install"]:
            assert "--no-cache-dir" in words
            packages = [word for word in words[2:] if not word.startswith(("-", "./", "http"))]
            assert all("==" in package for package in packages), packages
        if "apt-get" in words and "install" in words:
            assert {"-y", "--no-install-recommends"} <= set(words)
            assert "rm -rf /var/lib/apt/lists/*" in command


def _run(name: str, subject: Subject, folder: Path, *more: str) -> Result:
    return bench("run", "--methods", f"{name}@official", "--subjects", subject.root, "--out", folder / "run", *more)


@pytest.mark.parametrize("name", NAMES)
def test_a_dry_run_prints_build_and_run(name: str, subject: Subject, tmp_path: Path) -> None:
    result = _run(name, subject, tmp_path, "--dry-run", "--no-references", "--json")
    assert result.exit_code == 0, result.output
    (plan,) = json.loads(result.stdout)["programs"]
    steps = [command["step"] for command in plan["commands"]]
    assert steps[0] == "build"
    assert steps[-1] == "rendering"
    assert plan["lacking"] == []
    assert all("--network=none" in command["command"] for command in plan["commands"][1:])
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", NAMES)
def test_without_a_gpu_nothing_is_started(name: str, subject: Subject, tmp_path: Path) -> None:
    result = _run(name, subject, tmp_path, "--device", "cpu", "--no-references")
    assert result.exit_code == 1
    assert f"{name}@official needs an NVIDIA GPU" in result.stderr
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", NAMES)
def test_several_seeds_are_refused_where_none_is_taken(name: str, subject: Subject, tmp_path: Path) -> None:
    result = _run(name, subject, tmp_path, "--dry-run", "--no-references", "--seeds", "0,1")
    seeded = name in ("er-nerf", "synctalk")
    assert _program(name).spec.seeded == seeded
    assert result.exit_code == (0 if seeded else 2), result.output
    assert seeded or "takes no seed" in result.stderr
