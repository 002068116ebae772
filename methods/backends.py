"""What the methods' heavy parts run on, by device: for the record, since numbers of two backends differ in the last digits."""

from __future__ import annotations

from importlib.metadata import version

from bench.errors import AbsentError, unknown
from methods import kernels
from methods.fields import tcnn, volume


def backends(device: str, *parts: str) -> dict[str, str]:
    """Name and version of what runs each of ``parts`` on ``device`` (``cpu``, ``cuda``, ``cuda:1``).

    There are ``rasteriser``, ``grid``, ``mlp`` and ``volume`` (rendering along rays).

    >>> backends("cuda", "rasteriser", "grid", "volume")  # doctest: +SKIP
    {'rasteriser': 'gsplat 1.5.3', 'grid': 'tinycudann 1.7', 'volume': 'nerfacc 0.5.3'}

    Raises:
        UsageError: another device.
        AbsentError: a rasteriser is asked for on ``cuda``, and gsplat isn't here.
    """
    kind = device.split(":")[0]
    if kind == "cpu":
        return dict.fromkeys(parts, f"talkbench kernels {kernels.native.path()}" if kernels.native else _named("torch"))
    if kind != "cuda":
        raise unknown("device", device, ["cpu", "cuda"])
    return {part: _on_cuda(part) for part in parts}


def _on_cuda(part: str) -> str:
    if part == "rasteriser":
        try:
            return _named("gsplat")
        except ModuleNotFoundError as error:  # importlib's PackageNotFoundError is one
            raise AbsentError("gsplat is not installed: pip install 'talkbench[cuda]'") from error
    library = "nerfacc" if part == "volume" and volume.available() else "torch"
    return _named("tinycudann" if part in ("grid", "mlp") and tcnn.available() else library)


def _named(package: str) -> str:
    return f"{package} {version(package)}"
