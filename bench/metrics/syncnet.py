"""SyncNet v2: what is said in 0.2 s, as a point that the mouth's pictures and the sound have in common.

The network alone, with its authors' weights; :mod:`bench.metrics.lse` makes scores of it.
"""

from __future__ import annotations

import functools
import hashlib
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from bench import weights
from bench.errors import RecordError

WEIGHTS = "syncnet-v2"
KEPT = 4096
"""Windows whose features are remembered."""

Feature = NDArray[np.float32]
"""[1024]"""


def _block(convolution: type[nn.Module], norm: type[nn.Module], *shape: Any) -> list[nn.Module]:
    """Convolution (in, out, kernel, stride, padding), normalisation, ReLU."""
    return [convolution(*shape), norm(shape[1]), nn.ReLU()]


_flat = functools.partial(_block, nn.Conv2d, nn.BatchNorm2d)
_deep = functools.partial(_block, nn.Conv3d, nn.BatchNorm3d)


def _head() -> nn.Sequential:
    return nn.Sequential(nn.Linear(512, 512), nn.BatchNorm1d(512), nn.ReLU(), nn.Linear(512, 1024))


class SyncNet(nn.Module):
    """Two networks with one aim: features of a window of pictures and of the sound that belongs to it are near each other.

    Layers and their names are those of the authors' ``syncnet_v2.model``; its state dict fits.

    Source: Chung & Zisserman, Out of time, ACCV-W 2016; joonson/syncnet_python.
    """

    def __init__(self) -> None:
        """Build it with random weights."""
        super().__init__()
        self.netcnnaud = nn.Sequential(
            *_flat(1, 64, 3, 1, 1), nn.MaxPool2d(1, 1),
            *_flat(64, 192, 3, 1, 1), nn.MaxPool2d(3, (1, 2)),
            *_flat(192, 384, 3, 1, 1), *_flat(384, 256, 3, 1, 1), *_flat(256, 256, 3, 1, 1), nn.MaxPool2d(3, 2),
            *_flat(256, 512, (5, 4)),
        )  # fmt: skip
        self.netcnnlip = nn.Sequential(
            *_deep(3, 96, (5, 7, 7), (1, 2, 2)), nn.MaxPool3d((1, 3, 3), (1, 2, 2)),
            *_deep(96, 256, (1, 5, 5), (1, 2, 2), (0, 1, 1)), nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)),
            *_deep(256, 256, (1, 3, 3), 1, (0, 1, 1)), *_deep(256, 256, (1, 3, 3), 1, (0, 1, 1)),
            *_deep(256, 256, (1, 3, 3), 1, (0, 1, 1)), nn.MaxPool3d((1, 3, 3), (1, 2, 2)),
            *_deep(256, 512, (1, 6, 6)),
        )  # fmt: skip
        self.netfcaud, self.netfclip = _head(), _head()

    def sound(self, coefficients: torch.Tensor) -> torch.Tensor:
        """[N, 1, 13, 20] MFCC → [N, 1024]."""
        features: torch.Tensor = self.netfcaud(self.netcnnaud(coefficients).flatten(1))
        return features

    def lips(self, pictures: torch.Tensor) -> torch.Tensor:
        """[N, 3, 5, 224, 224] BGR, 0 … 255 → [N, 1024]."""
        features: torch.Tensor = self.netfclip(self.netcnnlip(pictures).flatten(1))
        return features


class Embedder:
    """SyncNet on one window at a time, so that a feature can't depend on what else is computed with it.

    It remembers: LSE-C and LSE-D ask for the same windows.
    """

    def __init__(self, network: SyncNet, device: str = "cpu") -> None:
        """Put ``network`` on a torch ``device``, in evaluation mode."""
        self._network, self._device = network.to(device).eval(), device
        self._known: dict[bytes, Feature] = {}

    def lips(self, pictures: NDArray[np.uint8]) -> Feature:
        """Feature [1024] of a window of pictures [5, 224, 224, 3], RGB."""
        bgr = np.ascontiguousarray(pictures[..., ::-1].transpose(3, 0, 1, 2))
        return self._feature(self._network.lips, bgr)

    def sound(self, coefficients: NDArray[np.float64]) -> Feature:
        """Feature [1024] of a window of MFCC [20, 13]."""
        return self._feature(self._network.sound, np.ascontiguousarray(coefficients.T[None], np.float32))

    def _feature(self, part: Callable[[torch.Tensor], torch.Tensor], window: NDArray[Any]) -> Feature:
        key = hashlib.blake2b(window.tobytes(), digest_size=16, person=str(window.dtype).encode()).digest()
        if key not in self._known:
            with torch.inference_mode():
                made = part(torch.from_numpy(window)[None].to(self._device).float())[0].cpu().numpy()
            if len(self._known) >= KEPT:
                self._known.pop(next(iter(self._known)))  # the oldest
            self._known[key] = made
        return self._known[key]


def load(device: str = "cpu") -> Embedder:
    """SyncNet with its authors' weights, loaded once per process and device.

    :raises bench.errors.AbsentError: if the weights aren't here; there is no stand-in
    :raises bench.errors.RecordError: if the file holds something else
    """
    return _load(weights.require(WEIGHTS), device)


@functools.lru_cache(maxsize=2)
def _load(path: Path, device: str) -> Embedder:
    with torch.random.fork_rng(devices=[]):  # building draws random weights: not from a caller's seeded generator
        network = SyncNet()
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        missing, extra = network.load_state_dict(state, strict=False)
    except (RuntimeError, ValueError, AttributeError, TypeError, EOFError, pickle.UnpicklingError) as error:
        raise _foreign(path, str(error).splitlines()[0]) from error
    # Files older than this counter lack it; it plays no part in evaluation.
    if wrong := [*extra, *(name for name in missing if not name.endswith("num_batches_tracked"))]:
        raise _foreign(path, f"{wrong[0]} is {'too many' if extra else 'missing'}")
    return Embedder(network, device)


def _foreign(path: Path, why: str) -> RecordError:
    return RecordError(f"{path} doesn't hold SyncNet v2 ({why}): bench weights fetch {WEIGHTS} --from FILE")
