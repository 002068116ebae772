"""Which code made something: a hash of a plugin's source that doesn't change with comments, docstrings or layout.

The source is the entry point's module and every module of the same top-level package that it imports, directly or not, found
by reading the files: nothing is imported. What a plugin imports by a computed name, and its compiled extensions, don't count.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

_DIGITS = 16


@cache
def code_version(module: str) -> str:
    """Hash of the module called ``module`` and all that it imports of its own top-level package; empty: its source isn't here."""
    package = module.partition(".")[0]
    digest, waiting, seen = hashlib.sha256(), [module], dict[str, str]()
    while waiting:
        name = waiting.pop()
        path = _source(name)
        if name in seen or path is None:
            continue
        try:
            tree = ast.parse(path.read_bytes())
        except (OSError, SyntaxError, ValueError):
            continue
        seen[name] = _meaning(tree)
        waiting += [found for found in _imported(tree, name, path) if found.partition(".")[0] == package]
    for name in sorted(seen):
        digest.update(f"{name}\0{seen[name]}\0".encode())
    return digest.hexdigest()[:_DIGITS] if seen else ""


@cache
def _source(module: str) -> Path | None:
    """The module's file. Only the top-level package is asked of Python, which imports nothing then."""
    package, _, rest = module.partition(".")
    try:
        spec = find_spec(package)
    except (ImportError, ValueError):
        return None
    if spec is None:
        return None
    if not rest and spec.origin and spec.origin.endswith(".py"):
        return Path(spec.origin)
    for place in spec.submodule_search_locations or ():
        stem = Path(place, *rest.split("."))
        for path in (stem.with_suffix(".py"), stem / "__init__.py"):
            if path.is_file():
                return path
    return None


def _imported(tree: ast.Module, module: str, path: Path) -> Iterator[str]:
    """Names of modules that ``tree`` may import, and of the packages they are in; some aren't modules at all."""
    home = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = home.split(".")[: len(home.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *filter(None, [node.module])])
            found = [base, *(f"{base}.{alias.name}" for alias in node.names)]
        else:
            continue
        for name in found:
            parts = name.split(".")
            yield from (".".join(parts[:count]) for count in range(1, len(parts) + 1))


def _meaning(tree: ast.Module) -> str:
    """The code without comments, docstrings and layout."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [line for line in node.body if not _is_text(line)] or [ast.Pass()]
    return ast.unparse(tree)


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
