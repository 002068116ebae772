"""Parts that are tables: poses, action units, audio features, coefficients. One file for the whole clip each."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench import arrays, tables
from bench.audio import KINDS
from bench.errors import DataError
from bench.formats.layout import Out, Part
from bench.subject import Subject

Array = NDArray[np.float64]
SPLITS = ("transforms_train.json", "transforms_val.json")
SMIRK = {"expression": 50, "eyelid": 2, "jaw": 3, "shape": 300}
"""Widths of the arrays that DEGSTalk reads from SMIRK's file."""
ARKIT = 50
"""Width of our ``arkit`` expression: ARKit's 52 units in the order of their names, without the two blinks."""
_BLINK = 8
"""Where the two blinks stand among the 52."""


def transforms(*, face_rect: bool = False, sized: bool = False) -> Part:
    """``transforms_{train,val}.json``; with AD-NeRF's ``face_rect`` a frame, or with ``w`` and ``h`` (odd sizes need them)."""

    def write(subject: Subject, out: Out) -> None:
        width, height = subject.size
        for name in SPLITS:
            data = tables.read_json(subject.root / name)
            frames = [_frame(subject, row, face_rect) for row in data["frames"]]
            head = {"focal_len": data["focal_len"], "cx": width / 2, "cy": height / 2}
            head |= {"w": width, "h": height} if sized else {}
            out.path(name).write_text(json.dumps(head | {"frames": frames}), encoding="utf-8")

    return Part("transforms_{train,val}.json", whole=write)


def _frame(subject: Subject, row: Mapping[str, Any], with_rect: bool) -> dict[str, Any]:
    index = int(row["img_id"])
    found = {"img_id": index, "aud_id": row.get("aud_id", index), "transform_matrix": row["transform_matrix"]}
    if with_rect:
        found["face_rect"] = face_rect(subject.frame(index).landmarks, subject.size)
    return found


def face_rect(points: NDArray[np.float32], size: tuple[int, int]) -> list[int]:
    """AD-NeRF's box [x, y, w, h] round the face in a picture of ``size`` (w, h), from 68 landmarks (spec_adnerf §2.4)."""
    right = points[:, 0].max()
    x, y = (points[:, 0].min() + right) / 2, points[27, 1]
    half_width, half_height = int((right - x) * 1.5), int((points[8, 1] - y) * 1.15)
    left, top = max(int(x) - half_width, 0), max(int(y) - half_height, 0)
    return [left, top, min(int(x) + half_width, size[0]) - left, min(int(y) + half_height, size[1]) - top]


def action_units(blank: bool) -> Part:
    """``au.csv`` with (``blank``, as OpenFace 2.2 writes) or without a blank before the names of its columns."""

    def write(subject: Subject, out: Out) -> None:
        first, _, rest = (subject.root / "au.csv").read_text(encoding="utf-8").partition("\n")
        names = [name.strip() for name in first.split(",")]
        if blank:
            names = [name if name == "frame" else f" {name}" for name in names]
        out.path("au.csv").write_text(",".join(names) + "\n" + rest, encoding="utf-8")

    return Part("au.csv", whole=write)


def audio(names: Mapping[str, str], remedy: str) -> Part:
    """Feature files, our name → the layout's; at least one must be there."""

    def lack(subject: Subject) -> str | None:
        if any((subject.root / ours).exists() for ours in names):
            return None
        return f"the subject has no {' or '.join(names)}; {remedy}"

    def write(subject: Subject, out: Out) -> None:
        for ours, theirs in names.items():
            if (subject.root / ours).exists():
                out.take(subject.root / ours, theirs)

    return Part(" or ".join(names.values()), whole=write, lack=lack)


def sound(needed: bool) -> Part:
    """``aud.wav``, 16 kHz mono."""

    def lack(subject: Subject) -> str | None:
        return None if subject.sound else "the subject has no aud.wav; ffmpeg -i VIDEO -ar 16000 -ac 1 aud.wav makes it"

    return Part("aud.wav", whole=_copied("aud.wav"), lack=lack, needed=needed)


def _copied(name: str) -> Callable[[Subject, Out], None]:
    return lambda subject, out: out.take(subject.root / name, name)


def euler_angles(matrices: Array) -> tuple[Array, Array]:
    """([T,3] Euler angles in radians, [T,3] translations in the matrices' unit) of camera-to-world matrices [T,4,4].

    The inverse of c2w = [Rᵀ | −Rᵀt] with R = Rx·Ry·Rz, Rz turning the other way (spec_talkinggaussian §2.4).
    """
    rotation = matrices[:, :3, :3].transpose(0, 2, 1)
    angles = np.stack(
        [
            np.arctan2(-rotation[:, 1, 2], rotation[:, 2, 2]),
            np.arcsin(rotation[:, 0, 2].clip(-1, 1)),
            np.arctan2(rotation[:, 0, 1], rotation[:, 0, 0]),
        ],
        -1,
    )
    return angles, -(rotation @ matrices[:, :3, 3:])[..., 0]


def tracking(name: str, divisor: float) -> Part:
    """The tracker's file: the subject's own, else Euler angles, translations and focal length from the transforms.

    Identity and expression of the tracker's face model are in no transforms file, so a derived file lacks them; no
    training reads them.
    """

    def lack(subject: Subject) -> str | None:
        if (subject.root / name).exists() or sorted(subject.ids) == list(range(len(subject.ids))):
            return None
        return "the subject's frame ids have gaps, the tracker's rows don't; track the video with the official scripts"

    def write(subject: Subject, out: Out) -> None:
        if (subject.root / name).exists():
            out.take(subject.root / name, name)
            return
        import torch

        rows = [tables.read_json(subject.root / split) for split in SPLITS]
        poses = {int(f["img_id"]): f["transform_matrix"] for data in rows for f in data["frames"]}
        euler, trans = euler_angles(np.array([poses[i] for i in range(len(poses))], np.float64))
        found = {"euler": euler, "trans": trans * divisor, "focal": np.array([rows[0]["focal_len"]], np.float64)}
        torch.save({key: torch.from_numpy(value).float() for key, value in found.items()}, out.path(name))

    return Part(name, whole=write, lack=lack, needed=False)


def _smirk_misfit(subject: Subject) -> str | None:
    if (subject.root / "3dmm.pt").exists():
        return None
    remedy = "data_utils/smirk/process_video.py makes it from the video"
    if not (subject.root / "coefficients.npz").exists():
        return f"the subject has no coefficients; {remedy}"
    found = subject.coefficients
    if found.kind != "smirk":
        return f"the subject's coefficients are {found.kind}, which DEGSTalk's nets don't take; {remedy}"
    for name, width in SMIRK.items():
        if getattr(found, name).shape[1] != width:
            return f"the subject's {name} is {getattr(found, name).shape[1]} wide, SMIRK's {width}; {remedy}"
    return None


def _write_smirk(subject: Subject, out: Out) -> None:
    if (subject.root / "3dmm.pt").exists():
        out.take(subject.root / "3dmm.pt", "3dmm.pt")
        return
    import torch

    found = {f"{name}_params": torch.from_numpy(np.array(getattr(subject.coefficients, name))) for name in SMIRK}
    torch.save(found, out.path("3dmm.pt"))


SMIRK_FILE = Part("3dmm.pt", whole=_write_smirk, lack=_smirk_misfit)


def to_blendshapes(expression: NDArray[np.float32], eyelid: NDArray[np.float32]) -> Array:
    """SyncTalk's [T,52] from our ``arkit`` [T,50] and eyelids [T,2]: by name, blinks at 8 and 9, no tongue, 0 at the end."""
    named = np.insert(np.asarray(expression, np.float64), [_BLINK, _BLINK], eyelid, axis=1)
    return np.concatenate([named[:, :51], np.zeros((len(named), 1))], 1)


def from_blendshapes(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of ``coefficients.npz`` from SyncTalk's ``bs.npy`` [T,52] (spec_synctalk §2.7).

    Raises:
        DataError: unreadable, or another shape.
    """
    try:
        scores = arrays.array(path).astype(np.float32)
    except (OSError, ValueError) as error:
        raise DataError(f"{path} can't be read ({error}); data_utils/blendshape_capture/main.py makes it") from error
    if scores.ndim != 2 or scores.shape[1] != 52 or not np.isfinite(scores).all():
        raise DataError(f"{path} has shape {scores.shape}, expected finite [T, 52]: MediaPipe's, without _neutral")
    jaw = np.stack([scores[:, 24], scores[:, 23] - scores[:, 25], scores[:, 22]], 1)
    return {
        "expression": np.delete(scores, [_BLINK, _BLINK + 1], 1),
        "eyelid": scores[:, _BLINK : _BLINK + 2],
        "jaw": jaw,
        "kind": np.array("arkit"),
    }


def _blendshapes_misfit(subject: Subject) -> str | None:
    remedy = "data_utils/blendshape_capture/main.py makes it from the video; or train with --au45, which reads au.csv"
    if not any((subject.root / name).exists() for name in ("coefficients.npz", "3dmm.pt")):
        return f"the subject has no coefficients; {remedy}"
    kind, width = subject.coefficients.kind, subject.coefficients.expression.shape[1]
    if (kind, width) == ("arkit", ARKIT):
        return None
    return f"the subject's coefficients are {kind}, {width} wide, not ARKit's {ARKIT} units; {remedy}"


def _write_blendshapes(subject: Subject, out: Out) -> None:
    np.save(out.path("bs.npy"), to_blendshapes(subject.coefficients.expression, subject.coefficients.eyelid))


BLENDSHAPES = Part("bs.npy", whole=_write_blendshapes, lack=_blendshapes_misfit)


def _features(subject: Subject) -> list[str]:
    return [kind.file for kind in KINDS if (subject.root / kind.file).exists()]


def _write_features(subject: Subject, out: Out) -> None:
    for name in _features(subject):
        out.take(subject.root / name, name)


def _no_features(subject: Subject) -> str | None:
    if _features(subject):
        return None
    return "the subject has no feature files; --asr_model ave needs none, it reads aud.wav"


AUDIO_OPTIONAL = Part("aud_{ds,hu,eo,ave}.npy", whole=_write_features, lack=_no_features, needed=False)
"""``aud_ave.npy`` is for our import only: SyncTalk's loader computes it from ``aud.wav``."""
