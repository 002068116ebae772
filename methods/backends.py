"""What the methods' heavy parts run on, by device: for the record, since numbers of two backends differ in the last digits."""

from __future__ import annotations

from importlib.metadata import version

from bench.errors import AbsentError, unknown
from methods import kernels
from methods.fields import tcnn, volume


def backends(device: str) -> dict[str, str]:
    """Name and version of what runs each part on ``device`` (``cpu``, ``cuda``, ``cuda:1``).

    The parts: ``rasteriser``, ``grid``, ``mlp``, ``volume`` (rendering along rays).

    >>> backends("cuda")  # doctest: +SKIP
    {'rasteriser': 'gsplat 1.5.3', 'grid': 'tinycudann 1.7', 'mlp': 'tinycudann 1.7', 'volume': 'nerfacc 0.5.3'}

    Raises:
        UsageError: another device.
        AbsentError: ``cuda`` without gsplat, which the Gaussians need there.
    """
    kind = device.split(":")[0]
    if kind == "cpu":
        own = f"talkbench kernels {kernels.native.path()}" if kernels.native else _named("torch")
        return {"rasteriser": own, "grid": own, "mlp": own, "volume": _named("torch")}
    if kind != "cuda":
        raise unknown("device", device, ["cpu", "cuda"])
    try:
        rasteriser = _named("gsplat")
    except ModuleNotFoundError as error:  # importlib's PackageNotFoundError is one
        raise AbsentError("gsplat is not installed: pip install 'talkbench[cuda]'") from error
    field = _named("tinycudann" if tcnn.available() else "torch")
    rays = _named("nerfacc" if volume.available() else "torch")
    return {"rasteriser": rasteriser, "grid": field, "mlp": field, "volume": rays}


def _named(package: str) -> str:
    return f"{package} {version(package)}"
