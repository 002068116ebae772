"""What the record says the heavy parts run on."""

from __future__ import annotations

import types
from importlib.metadata import PackageNotFoundError

import pytest
import torch

from bench.errors import AbsentError, UsageError
from methods import backends as module
from methods import kernels
from methods.backends import backends
from methods.fields import tcnn, volume

PARTS = ("rasteriser", "grid", "mlp", "volume")


@pytest.fixture
def installed(monkeypatch):
    """``install(tinycudann="1.7", …)``: just these packages are there, beside torch."""

    def install(**packages):
        def version(name):
            if name not in packages:
                raise PackageNotFoundError(name)
            return packages[name]

        packages = {"torch": "2.14.1", **packages}
        monkeypatch.setattr(module, "version", version)
        monkeypatch.setattr(tcnn, "available", lambda: "tinycudann" in packages)
        monkeypatch.setattr(volume, "available", lambda: "nerfacc" in packages)

    return install


def test_cpu(installed, monkeypatch):
    installed()
    monkeypatch.setattr(kernels, "native", types.SimpleNamespace(path=lambda: "portable"))
    own = "talkbench kernels portable"
    assert backends("cpu", *PARTS) == dict.fromkeys(PARTS, own)
    assert backends("cpu", "mlp") == {"mlp": own}
    monkeypatch.setattr(kernels, "native", None)
    assert backends("cpu", *PARTS) == dict.fromkeys(PARTS, "torch 2.14.1")


def test_cuda(installed):
    installed(gsplat="1.5.3", tinycudann="1.7", nerfacc="0.5.3")
    every = {"rasteriser": "gsplat 1.5.3", "grid": "tinycudann 1.7", "mlp": "tinycudann 1.7", "volume": "nerfacc 0.5.3"}
    assert backends("cuda", *PARTS) == backends("cuda:1", *PARTS) == every
    installed(gsplat="1.5.3")
    assert backends("cuda", *PARTS) == {
        "rasteriser": "gsplat 1.5.3",
        **dict.fromkeys(("grid", "mlp", "volume"), "torch 2.14.1"),
    }
    installed(tinycudann="1.7")
    with pytest.raises(AbsentError, match="gsplat is not installed"):
        backends("cuda", *PARTS)
    assert backends("cuda", "grid", "volume") == {"grid": "tinycudann 1.7", "volume": "torch 2.14.1"}


def test_this_machine():
    (found,) = backends("cpu", "volume").values()
    if kernels.native is None:
        assert found.removeprefix("torch ").split("+")[0] == torch.__version__.split("+")[0]
    else:
        assert found == f"talkbench kernels {kernels.native.path()}"


def test_other_devices_are_refused():
    with pytest.raises(UsageError, match="unknown device 'mps'"):
        backends("mps", "grid")
