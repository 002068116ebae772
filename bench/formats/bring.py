"""Make a subject folder (docs/subject-folder.md) from a folder that a method's own scripts made. The source is only read."""

from __future__ import annotations

import json
import wave
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from bench import arrays, classes, paths, tables
from bench.audio import KINDS
from bench.errors import DataError
from bench.formats.export import empty, refuse
from bench.formats.layout import Lack, Layout, place
from bench.formats.records import SPLITS, from_blendshapes
from bench.subject import Subject

_OPENFACE = "OpenFace's FeatureExtraction -f VIDEO -aus writes it; row = frame"
_TOLD = (("hair", classes.HAIR), ("the inner mouth", classes.INNER_MOUTH))
_DEEPSPEECH = (16, 29)
"""Rows and letters of a DeepSpeech window."""
Writer = Callable[[Path], None]


@dataclass
class Plan:
    """What will be done, found out before anything is written."""

    copies: list[tuple[Path, str]] = field(default_factory=list)
    """(file of the source, name in the subject folder)"""
    writers: list[Writer] = field(default_factory=list)
    """Make converted files in the subject folder given."""
    provenance: dict[str, str] = field(default_factory=dict)
    lacks: list[Lack] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    ids: list[int] = field(default_factory=list)
    size: tuple[int, int] = (0, 0)

    def copy(self, source: Path, name: str, of: Path) -> None:
        """A file that stays as it is; ``of`` is the folder that the provenance names."""
        self.copies.append((source, name))
        self.provenance[name] = f"{source.relative_to(of)} of {of.name}, unchanged"


@dataclass(frozen=True)
class Brought:
    """What an import made."""

    folder: Path
    frames: int
    lacks: tuple[Lack, ...]
    notes: tuple[str, ...]


def plan(source: Path, layout: Layout) -> Plan:
    """Look through ``source``: what will be copied, converted, and what is missing.

    Raises:
        DataError: a file that is there can't be read.
    """
    if (source / "subject.json").exists():
        raise DataError(f"{source} is a subject folder already: name it in --subjects, or copy it into subjects/")
    found = Plan()
    _poses(source, layout, found)
    for kind in ("frames", "landmarks", "parsing"):
        _per_frame(source, layout, found, kind)
    _teeth(source, found)
    blended = [what for what, index in _TOLD if layout.colours[index] == layout.colours[classes.SKIN]]
    if blended:
        found.notes.append(f"{layout.title}'s parsing paints {' and '.join(blended)} like the face: no such masks")
    if (source / "bc.jpg").exists():
        found.copy(source / "bc.jpg", "bc.jpg", source)
    else:
        found.lacks.append(Lack("bc.jpg", f"`{layout.makers['plate']}` makes it", needed=True))
    _units(source, found)
    _audio(source, found)
    _coefficients(source, found)
    return found


def bring(
    source: Path, layout: Layout, name: str, folder: Path, *, partial: bool = False, link: bool = False
) -> Brought:
    """Make the subject folder ``folder``, which must not be there yet; a killed import leaves nothing.

    :param partial: leave out what is missing, instead of refusing; the folder opens when it is complete
    :param link: link files that stay as they are, instead of copying them
    :raises AbsentError: a needed file is missing; nothing was written
    :raises DataError: the folder is there, or a file is broken or doesn't fit the others
    """
    empty(folder)
    found = plan(source, layout)
    if not partial:
        refuse(found.lacks, f"{layout.title}'s folder {source}")
    with paths.atomic_folder(folder) as root:
        for path, where in found.copies:
            place(path, root / where, link)
        for writer in found.writers:
            writer(root)
        _write_meta(root, source, layout, name, found)
        if not any(lack.needed for lack in found.lacks):
            Subject(root)  # as a method would: a broken folder never takes its place
    return Brought(folder, len(found.ids), tuple(found.lacks), tuple(found.notes))


def _write_meta(root: Path, source: Path, layout: Layout, name: str, found: Plan) -> None:
    meta = {
        "schema": 1,
        "name": name,
        "title": f"{name}, from a {layout.title} folder",
        "fps": 25,
        "size": list(found.size),
        "frames": len(found.ids),
        "licence": "not stated",
        "source": f"{layout.title} folder {source.resolve().name}",
        "provenance": found.provenance,
    }
    (root / "subject.json").write_text(json.dumps(meta, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _poses(source: Path, layout: Layout, found: Plan) -> None:
    if all((source / name).exists() for name in SPLITS):
        for name in SPLITS:
            found.copy(source / name, name, source)
            found.ids += [int(row["img_id"]) for row in tables.read_json(source / name)["frames"]]
        return
    name, divisor = layout.tracked
    if (source / name).exists():
        _tracked(source, name, divisor, found)
        return
    why = f"nor is {name} there; `{layout.makers['transforms']}` makes them"
    found.lacks.append(Lack(" and ".join(SPLITS), why, needed=True))
    found.ids = sorted(int(path.stem) for path in (source / "ori_imgs").glob("*.jpg") if path.stem.isdecimal())


def _tracked(source: Path, name: str, divisor: float, found: Plan) -> None:
    """The split is the field's, 10/11 by frame ids; the focal length belongs to frames as large as these."""
    matrices, focal = read_tracking(source / name, divisor)
    found.ids = list(range(len(matrices)))
    border = len(matrices) * 10 // 11

    def write(root: Path) -> None:
        width, height = found.size
        for split, ids in zip(SPLITS, (range(border), range(border, len(matrices))), strict=True):
            frames = [{"img_id": i, "aud_id": i, "transform_matrix": matrices[i].tolist()} for i in ids]
            data = {"focal_len": focal, "cx": width / 2, "cy": height / 2, "frames": frames}
            (root / split).write_text(json.dumps(data), encoding="utf-8")

    found.writers.append(write)
    found.provenance["transforms_*.json"] = f"from {name} of {source.name}, first {border} of {len(matrices)} train"


def read_tracking(path: Path, divisor: float) -> tuple[np.ndarray[Any, Any], float]:
    """([T,4,4] camera-to-world, focal length in pixels) of a tracker's file; translations are divided by ``divisor``.

    Raises:
        DataError: no readable tensors ``euler`` [T,3], ``trans`` [T,3], ``focal``.
    """
    import torch

    from bench.prepare.poses import camera_to_world

    try:
        data = torch.load(path, map_location="cpu", weights_only=True)
        euler, trans = (data[key].double().numpy() for key in ("euler", "trans"))
        matrices = camera_to_world(euler, trans * (10 / divisor))  # it divides by AD-NeRF's ten
        focal = float(data["focal"].flatten()[0])
    except Exception as error:  # torch raises many kinds for a bad or unsafe file
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(
            f"{path}: not a tracker's file with euler, trans, focal ({reason}); track the video again"
        ) from error
    if not np.isfinite(matrices).all() or not np.isfinite(focal) or focal <= 0:
        raise DataError(f"{path}: holds a pose or focal length that is not finite; track the video again")
    return matrices, focal


_PER_FRAME: Mapping[str, tuple[str, str]] = {
    "frames": ("ori_imgs", "jpg"),
    "landmarks": ("ori_imgs", "lms"),
    "parsing": ("parsing", "png"),
}


def _per_frame(source: Path, layout: Layout, found: Plan, kind: str) -> None:
    folder, suffix = _PER_FRAME[kind]
    best: list[int] = []
    for place_ in layout.pictures if kind == "frames" else (folder,):
        there = {path.name for path in (source / place_).glob(f"*.{suffix}")}
        missing = [i for i in found.ids if f"{i}.{suffix}" not in there]
        if not missing and found.ids:
            found.copies += [(source / f"{place_}/{i}.{suffix}", f"{folder}/{i}.{suffix}") for i in found.ids]
            found.provenance[f"{folder}/*.{suffix}"] = f"{place_}/ of {source.name}, unchanged"
            if place_ != folder:
                found.notes.append(f"frames are {place_}'s: the plate stands behind the person, not the video's scene")
            if kind == "frames":
                found.size = _size(source / f"{place_}/{found.ids[0]}.jpg")
            return
        best = missing if not best or len(missing) < len(best) else best
    count = f" ({len(best)} of {len(found.ids)}, first {best[0]})" if best else ""
    why = f"missing{count}; `{layout.makers[kind]}` makes them"
    found.lacks.append(Lack(f"{folder}/<id>.{suffix}", why, needed=True))


def _size(path: Path) -> tuple[int, int]:
    try:
        with Image.open(path) as picture:
            return picture.size
    except OSError as error:
        raise DataError(f"{path} can't be read ({error}); make the frames again") from error


def _teeth(source: Path, found: Plan) -> None:
    there = [i for i in found.ids if (source / f"teeth_mask/{i}.npy").exists()]
    found.copies += [(source / f"teeth_mask/{i}.npy", f"teeth_mask/{i}.npy") for i in there]
    if there:
        found.provenance["teeth_mask/*.npy"] = f"teeth_mask/ of {source.name}, unchanged"
    if len(there) < len(found.ids):
        why = "data_utils/easyportrait/create_teeth_mask.py makes them (EasyPortrait); without them there are no teeth"
        found.lacks.append(Lack("teeth_mask/<id>.npy", why, needed=False))


def _units(source: Path, found: Plan) -> None:
    path = source / "au.csv"
    if not path.exists():
        found.lacks.append(Lack("au.csv", _OPENFACE, needed=True))
        return
    try:
        tables.read_action_units(path, rows=max(found.ids, default=0) + 1)
    except DataError as error:
        found.lacks.append(Lack("au.csv", f"{error}", needed=True))
    else:
        found.copy(path, "au.csv", source)


def _audio(source: Path, found: Plan) -> None:
    for kind in KINDS:
        if (source / kind.file).exists():
            found.copy(source / kind.file, kind.file, source)
    unnamed = source / "aud.npy"  # what the DeepSpeech script writes; the others' file is called so, too
    if unnamed.exists() and not (source / "aud_ds.npy").exists():
        if _shape(unnamed)[1:] == _DEEPSPEECH:
            found.copy(unnamed, "aud_ds.npy", source)
        else:
            found.notes.append(f"aud.npy has shape {_shape(unnamed)}, not DeepSpeech's [T, 16, 29]: left out")
    usable = {where for _, where in found.copies} & {kind.file for kind in KINDS}
    problem = _sound(source, found)
    if problem:
        lack = f"{problem}; ffmpeg -i VIDEO -ar 16000 -ac 1 aud.wav makes it"
        found.lacks.append(Lack("aud.wav", lack, needed=not usable))


def _shape(path: Path) -> tuple[int, ...]:
    try:
        return tuple(arrays.array(path, "r").shape)
    except (OSError, ValueError) as error:
        raise DataError(f"{path} can't be read ({error}); make it again from aud.wav") from error


def _sound(source: Path, found: Plan) -> str | None:
    """Plan ``aud.wav``; what is wrong with it if it can't be used. Of several channels the first counts, as officially."""
    path = source / "aud.wav"
    if not path.exists():
        return "there is none"
    try:
        with wave.open(str(path), "rb") as stream:
            rate, channels, width = stream.getframerate(), stream.getnchannels(), stream.getsampwidth()
    except (OSError, EOFError, wave.Error) as error:
        return f"it is no readable wav ({error})"
    if (rate, width) != (16000, 2):
        return f"it has {rate} Hz and {8 * width} bit, not 16000 Hz and 16 bit"
    if channels == 1:
        found.copy(path, "aud.wav", source)
        return None

    def write(root: Path) -> None:
        with wave.open(str(path), "rb") as stream, wave.open(str(root / "aud.wav"), "wb") as out:
            samples = np.frombuffer(stream.readframes(stream.getnframes()), "<i2").reshape(-1, channels)
            out.setparams((1, 2, 16000, 0, "NONE", "not compressed"))
            out.writeframes(np.ascontiguousarray(samples[:, 0]).tobytes())

    found.writers.append(write)
    found.provenance["aud.wav"] = f"first of {channels} channels of aud.wav of {source.name}"
    return None


def _coefficients(source: Path, found: Plan) -> None:
    if (source / "3dmm.pt").exists():
        found.copy(source / "3dmm.pt", "3dmm.pt", source)
    elif (source / "bs.npy").exists():
        arrays = from_blendshapes(source / "bs.npy")
        found.writers.append(lambda root: np.savez(root / "coefficients.npz", **arrays))
        found.provenance["coefficients.npz"] = f"ARKit units of bs.npy of {source.name}"
    else:
        why = "DEGSTalk needs them: `bench data prepare` measures them, or SMIRK's 3dmm.pt"
        found.lacks.append(Lack("coefficients.npz", why, needed=False))
