"""Parts that are pictures: one function a file, each for one frame."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bench import classes, plates
from bench.formats.colours import paint
from bench.formats.layout import Colour, Out, Part
from bench.plates import NeckFade
from bench.subject import Frame, Subject

Picture = NDArray[np.uint8]
_JPEG = {"quality": 95, "subsampling": "4:2:0"}
"""OpenCV's defaults, which the official scripts use."""

_NET = 512
"""Side of the official face parser's answer; SyncTalk's inner-face mask is drawn at this size."""
_CHIN = 5
"""Rows (and half the columns) by which SyncTalk's inner-face mask grows below the chin."""


def _jpeg(picture: Picture, out: Out, name: str) -> None:
    Image.fromarray(picture).save(out.path(name), "JPEG", **_JPEG)


def _png(picture: Picture, out: Out, name: str) -> None:
    Image.fromarray(picture).save(out.path(name), "PNG", compress_level=3)


def _original(frame: Frame, out: Out) -> None:
    out.take(frame.subject.root / f"ori_imgs/{frame.id}.jpg", f"ori_imgs/{frame.id}.jpg")


def _landmarks(frame: Frame, out: Out) -> None:
    out.take(frame.subject.root / f"ori_imgs/{frame.id}.lms", f"ori_imgs/{frame.id}.lms")


def _pasted(folder: str) -> Callable[[Frame, Out], None]:
    return lambda frame, out: _jpeg(frame.background_pasted, out, f"{folder}/{frame.id}.jpg")


def _head(frame: Frame, out: Out) -> None:
    """The head, hair included, on the plate (spec_adnerf §2.1)."""
    head = classes.is_in(frame.labels, (*range(1, 14), classes.HAIR, classes.HAT))
    _jpeg(np.where(head[..., None], frame.image, frame.subject.background), out, f"head_imgs/{frame.id}.jpg")


def _bg(frame: Frame, out: Out) -> None:
    _png(frame.hair_canvas, out, f"bg/{frame.id}.png")


def _teeth(frame: Frame, out: Out) -> None:
    path = frame.subject.root / f"teeth_mask/{frame.id}.npy"
    if path.exists():
        out.take(path, f"teeth_mask/{frame.id}.npy")
    else:
        np.save(out.path(f"teeth_mask/{frame.id}.npy"), frame.teeth)


def _no_teeth(subject: Subject) -> str | None:
    if (subject.root / "teeth_mask").is_dir():
        return None
    return "the subject has no teeth masks; data_utils/easyportrait/create_teeth_mask.py makes them (EasyPortrait)"


def _original_plate(subject: Subject, out: Out) -> None:
    out.take(subject.root / "bc.jpg", "bc.jpg")


def inner_face(labels: NDArray[np.uint8]) -> Picture:
    """SyncTalk's soft inner-face mask [H,W,3] RGB from classes [H,W]: white outside, blue inside (spec_synctalk §2.3)."""
    height, width = labels.shape
    net = cv2.resize(labels, (_NET, _NET), interpolation=cv2.INTER_NEAREST)
    face = classes.is_in(np.asarray(net, np.uint8), (*range(1, 7), *range(10, 14)))
    columns = np.flatnonzero(face.any(0))
    if len(columns):
        first, quarter = columns[0], (columns[-1] - columns[0]) // 4
        lowest = _NET - 1 - face[::-1].argmax(0)
        for column in columns[(columns >= first + quarter) & (columns < first + 3 * quarter)]:
            row = min(int(lowest[column]) + _CHIN, _NET - 1)
            face[max(row - _CHIN, 0) : row + _CHIN, column] = True
    picture = np.where(face[..., None], np.array((0, 0, 255), np.uint8), np.uint8(255))
    blurred = cv2.GaussianBlur(picture, (9, 9), 4)
    return np.asarray(cv2.resize(blurred, (width, height), interpolation=cv2.INTER_NEAREST), np.uint8)


def _inner_face(frame: Frame, out: Out) -> None:
    _png(inner_face(frame.labels), out, f"parsing/{frame.id}_face.png")


def parsing(colours: Mapping[int, Colour]) -> Part:
    """``parsing/<id>.png``: the classes in the layout's colours."""
    return Part(
        "parsing/<id>.png",
        frame=lambda frame, out: _png(paint(frame.labels, colours), out, f"parsing/{frame.id}.png"),
    )


def torso(fade: NeckFade, hair_is_head: bool) -> Part:
    """``torso_imgs/<id>.png``: RGBA, alpha 0 or 255. With ``hair_is_head`` hair over the torso is cut away like the face."""

    def write(frame: Frame, out: Out) -> None:
        labels = frame.labels
        if hair_is_head:
            labels = np.where(
                classes.is_in(labels, (classes.HAIR, classes.INNER_MOUTH)), np.uint8(classes.SKIN), labels
            )
        rgb, opaque = plates.torso(frame.image, labels, frame.subject.background, fade)
        _png(np.dstack([rgb, opaque.astype(np.uint8) * 255]), out, f"torso_imgs/{frame.id}.png")

    return Part("torso_imgs/<id>.png", frame=write)


FRAMES = Part("ori_imgs/<id>.jpg", frame=_original)
LANDMARKS = Part("ori_imgs/<id>.lms", frame=_landmarks)
PLATE = Part("bc.jpg", whole=_original_plate)
TARGETS = Part("gt_imgs/<id>.jpg", frame=_pasted("gt_imgs"))
COMPOSED = Part("com_imgs/<id>.jpg", frame=_pasted("com_imgs"))
HEAD = Part("head_imgs/<id>.jpg", frame=_head)
CANVAS = Part("bg/<id>.png", frame=_bg)
TEETH = Part("teeth_mask/<id>.npy", frame=_teeth, lack=_no_teeth)
INNER_FACE = Part("parsing/<id>_face.png", frame=_inner_face, needed=False)
