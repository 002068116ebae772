"""A new method that runs as it stands, to be changed into one's own (``bench methods new``)."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from string import Template

from bench import paths, registry
from bench.errors import UsageError

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_EXECUTABLE = 0o755


def create(name: str, folder: Path, container: bool) -> list[Path]:
    """Write a plugin, or with ``container`` a program and its TOML, into the new ``folder``; returns the files.

    Raises:
        UsageError: the name can't be one, or is a method or a module already; the folder is there already.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"method name {name!r}: a small letter, then small letters, digits and single dashes, such as my-method"
        )
    if name in registry.names() or name in {one.info.name for one in registry.programs()[0]}:
        raise UsageError(f"there is a method {name!r} already: choose another name")
    if folder.exists():
        raise UsageError(f"{folder} is there already: name another folder with --out")
    module = name.replace("-", "_")
    if not container and importlib.util.find_spec(module):
        raise UsageError(f"Python has a module {module!r} already: choose another name, such as {name}-method")
    source = paths.content("reports", "scaffold", "container" if container else "plugin")
    with paths.atomic_folder(folder) as temporary:
        for template in sorted(source.iterdir()):
            plain = template.name.removesuffix(".in")  # our own tools are not to read it as Python or a project
            target = temporary / (f"{module}.py" if plain == "module.py" else plain)
            text = template.read_text(encoding="utf-8")
            target.write_text(Template(text).substitute(name=name, module=module), encoding="utf-8")
            if text.startswith("#!"):
                target.chmod(_EXECUTABLE)
    return sorted(folder.iterdir())
