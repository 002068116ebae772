"""Python, torch, the compiled kernels, codecs, plugins, landmark detectors."""

from __future__ import annotations

import importlib.util
import platform
import sys

from bench import registry
from bench.doctor.finding import Finding
from bench.errors import AbsentError, BenchError

_CODECS = {"libx264": "previews", "ffv1": "lossless frames", "aac": "sound of previews"}


def python() -> list[Finding]:
    """The version."""
    right = (3, 11) <= sys.version_info[:2] <= (3, 12)
    return [
        Finding(
            "python", "ok" if right else "broken", platform.python_version(), "" if right else "use Python 3.11 or 3.12"
        )
    ]


def torch() -> list[Finding]:
    """Whether it can be imported."""
    try:
        import torch as found
    except (ImportError, OSError) as error:
        return [Finding("torch", "broken", str(error), "pip install --force-reinstall torch torchvision")]
    return [Finding("torch", "ok", f"{found.__version__}, {found.get_num_threads()} threads")]


def kernels() -> list[Finding]:
    """Whether the shipped extension was built; found by file, since bench imports no method."""
    home = importlib.util.find_spec("methods.kernels")
    built = importlib.util.find_spec("methods.kernels._kernels") if home else None
    if built:
        return [Finding("cpu kernels", "ok", str(built.origin))]
    detail = "not built: the torch twins are used, many times slower"
    return [Finding("cpu kernels", "absent", detail, "pip install . (needs a C++17 compiler)")]


def codecs() -> list[Finding]:
    """The encoders that a run writes with."""
    import av

    missing = [name for name in _CODECS if name not in av.codecs_available]
    if not missing:
        return [Finding("codecs", "ok", f"PyAV {av.__version__}: {', '.join(_CODECS)}")]
    detail = ", ".join(f"{name} ({_CODECS[name]})" for name in missing)
    return [
        Finding(
            "codecs",
            "broken",
            f"PyAV {av.__version__} lacks {detail}",
            "pip install --force-reinstall --only-binary av av",
        )
    ]


def methods() -> list[Finding]:
    """Every plugin, asked what it is."""
    names, broken = registry.names(), []
    for name in names:
        try:
            registry.info(name)
        except BenchError as error:
            broken.append(Finding(f"method {name}", "broken", str(error), "mend or uninstall its package"))
    if not names:
        return [Finding("methods", "broken", "none is installed", "install talkbench: pip install .")]
    return broken or [Finding("methods", "ok", ", ".join(names))]


def detectors() -> list[Finding]:
    """The landmark detectors."""
    from bench import landmarks

    found = []
    for name in landmarks.DETECTORS:
        try:
            found.append(Finding(f"landmarks {name}", "ok", landmarks.get(name).version))
        except AbsentError as error:
            found.append(Finding(f"landmarks {name}", "absent", "not here", str(error)))
    return found
